"""An import while a worker runs: it takes a partition from a worker that has saved nothing, and from no other."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.kafka.broker import wait_until
from tests.kafka.killable import FREEZE
from tests.kafka.stage import READY_SECONDS, Feed, Stage, WorkerProcess, audit, is_frozen, settle
from tests.kafka.test_ledger_moves import exported, pacing, run_over, take_in
from worker.exits import Exit
from worker.settings import Settings
from worker.topics import apply_now, ledger_topic
from worker.transfer import moving
from worker.transfer.log import Reader
from worker.transfer.sections import Section

Staging = Callable[..., Stage]


def begun_anew(here: Stage) -> Settings:
    """The stage under another application id, whose ledger is empty; its settings."""
    settings = here.settings.model_copy(update={"app_id": f"{here.name}-anew"})
    here.environment |= {"PACING_APP_ID": settings.app_id}
    apply_now(settings)
    return settings


def frozen_in_its_first_checkpoint(here: Stage, point: str) -> WorkerProcess:
    worker = here.worker(**{FREEZE: f"{point}:1"})
    wait_until(lambda: is_frozen(worker.process.pid), READY_SECONDS, what="the freeze", otherwise=worker.tail)
    return worker


def wake(worker: WorkerProcess) -> None:
    worker.process.send_signal(signal.SIGCONT)


def resumes(here: Stage, feed: Feed, file: Path | None = None) -> None:
    """A new worker goes on with more spend, and every figure is exact."""
    feed.spend(1_000)
    take_in(here)
    audit(here)
    code, told, _ = pacing(here, "audit", *(["--ledger", str(file)] if file else []))
    assert (code, told.splitlines()[-1]) == (0, "the difference is zero"), told


@pytest.mark.parametrize("point", ["begin", "send", "acks"])
def test_an_import_fences_a_worker_that_has_saved_nothing_and_what_it_was_writing_is_gone(
    point: str, stage: Staging
) -> None:
    # One partition: another one's first checkpoint might be committed by then.
    here = stage(partitions=1)
    feed = run_over(here, updates=1_000)
    file = exported(here)
    begun_anew(here)
    worker = frozen_in_its_first_checkpoint(here, point)

    code, told, faults = pacing(here, "ledger", "import", str(file))
    assert (code, told.count(" records written\n"), faults) == (0, 1, "")
    wake(worker)
    assert worker.wait_dead() == Exit.CHECKPOINT, worker.tail()
    imported = exported(here, "imported.ndjson").read_text()
    assert imported == file.read_text().replace(f'"app_id":"{here.name}"', f'"app_id":"{here.name}-anew"')
    resumes(here, feed, file)


def test_an_import_leaves_a_worker_alone_that_has_a_ledger(stage: Staging) -> None:
    here = stage()
    feed = run_over(here, updates=1_000)
    file = exported(here)
    worker = here.worker()
    with feed.flowing(1_000):
        worker.wait_ready()
        code, told, faults = pacing(here, "ledger", "import", str(file))
        assert (code, told) == (1, "")
        assert "holds another ledger already" in faults
        assert "nothing was written" in faults
        settle(here, worker)
    settle(here, worker)
    assert worker.terminate()[0] == Exit.STOPPED, worker.tail()
    resumes(here, feed)


def test_a_worker_that_saves_between_the_look_and_the_fence_keeps_its_ledger(
    stage: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = stage()
    feed = run_over(here, updates=1_000)
    sections, _ = moving.read_file(str(exported(here)))
    settings = begun_anew(here)
    worker = frozen_in_its_first_checkpoint(here, "begin")
    looked = moving._look

    async def look_and_let_it_save(
        log: Reader, settings: Settings, ledgers: Mapping[int, moving.Records]
    ) -> dict[int, moving.Records]:
        there = await looked(log, settings, ledgers)
        wake(worker)
        await asyncio.to_thread(wait_until, lambda: has_saved(here, settings), READY_SECONDS, what="a checkpoint")
        monkeypatch.setattr(moving, "_look", looked)
        return there

    monkeypatch.setattr(moving, "_look", look_and_let_it_save)
    with feed.flowing(500), pytest.raises(moving.NotMovedError, match="holds another ledger already"):
        import_now(settings, sections)
    # Its fence was drawn before it was seen to have a ledger: it ends, and goes on from that.
    assert worker.wait_dead() == Exit.CHECKPOINT, worker.tail()
    resumes(here, feed)


def has_saved(here: Stage, settings: Settings) -> bool:
    """Whether both partitions have a checkpoint."""
    return {message.partition() for message in here.committed(ledger_topic(settings))} == {0, 1}


def import_now(settings: Settings, sections: Sequence[Section]) -> None:
    asyncio.run(moving.import_(settings, sections, anew=False))
