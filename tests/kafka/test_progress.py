"""A worker that cannot go on ends in a stated time, with the code of what it lacked; started again, it resumes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kafka.broker import Broker, wait_until
from tests.kafka.killable import FREEZE, HANG, STALL
from tests.kafka.stage import READY_SECONDS, Feed, Stage, WorkerProcess, audit, is_frozen, settle
from worker.exits import Exit

Staging = Callable[..., Stage]

STALL_SECONDS = 4
ENDED_SECONDS = 20


@pytest.fixture
def here(own_kafka: Broker, tmp_path: Path) -> Iterator[Stage]:
    """A stage on a broker that may be frozen."""
    stage = Stage(own_kafka.bootstrap, "stalled", tmp_path, session_timeout_seconds=2)
    yield stage
    own_kafka.resume()
    stage.end()


def fed(stage: Stage) -> Feed:
    """A feed with some spend."""
    feed = Feed(stage, 20)
    feed.plan_all()
    feed.spend(1_000)
    return feed


def ends(worker: WorkerProcess, code: Exit, sentence: str) -> None:
    """Wait for the end."""
    assert worker.wait_dead(ENDED_SECONDS) == code, worker.tail()
    assert sentence in worker.tail()


def resumes(stage: Stage) -> None:
    """A worker without any seam goes on where it was."""
    worker = stage.worker()
    worker.wait_ready()
    settle(stage, worker)
    audit(stage)


def test_a_worker_that_no_broker_answers_ends_in_time_and_resumes(own_kafka: Broker, here: Stage) -> None:
    feed = fed(here)
    worker = here.worker(**{STALL: str(STALL_SECONDS)})
    worker.wait_ready()
    settle(here, worker)
    own_kafka.pause()
    ends(worker, Exit.INPUT_STALLED, f"no broker has answered for {STALL_SECONDS} s")
    own_kafka.resume()
    feed.spend(1_000)
    resumes(here)


def test_a_worker_that_cannot_be_restored_ends_in_time_and_resumes(own_kafka: Broker, here: Stage) -> None:
    fed(here)
    first = here.worker()
    first.wait_ready()
    settle(here, first)
    assert first.terminate()[0] == Exit.STOPPED
    worker = here.worker(**{FREEZE: "fence:2", STALL: str(STALL_SECONDS)})
    wait_until(lambda: is_frozen(worker.process.pid), READY_SECONDS, what="the fence", otherwise=worker.tail)
    own_kafka.pause()
    worker.process.send_signal(signal.SIGCONT)
    ends(worker, Exit.RESTORE_FAILED, "while it was restored")
    own_kafka.resume()
    resumes(here)


def test_a_worker_whose_writes_are_refused_ends_in_time_and_resumes(stage: Staging) -> None:
    here = stage(checkpoint_timeout_seconds=STALL_SECONDS)
    feed = fed(here)
    worker = here.worker()
    worker.wait_ready()
    settle(here, worker)
    here.refuse_writes(here.ledger)
    feed.spend(1_000)
    ends(worker, Exit.CHECKPOINT, "the checkpoint of partition")
    here.take_writes(here.ledger)
    resumes(here)


def test_a_worker_whose_sink_hangs_ends_in_time_and_resumes(stage: Staging) -> None:
    here = stage(postgres_dsn="postgresql://nobody:nothing@127.0.0.1:1/nowhere")
    fed(here)
    worker = here.worker(**{HANG: "1", STALL: str(STALL_SECONDS)})
    ends(worker, Exit.SINK_STALLED, f"the sink has hung for {STALL_SECONDS} s")
    resumes(here)
