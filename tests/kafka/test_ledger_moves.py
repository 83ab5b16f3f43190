"""The ledger goes into a file and out of it, to another application or other partitions, and is audited there."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from tests.kafka.broker import ROOT, wait_until
from tests.kafka.stage import READY_SECONDS, Feed, Stage, audit, check_single, settle
from tests.kafka.test_stops import delete_before
from tests.postgres.conftest import FAST
from worker.demo.postgres import running_postgres
from worker.exits import Exit
from worker.ledger.packing import decode, encode
from worker.sink.database import connect
from worker.sink.migrate import migrate
from worker.topics import apply_now

Staging = Callable[..., Stage]


def pacing(stage: Stage, *arguments: str, **more: str) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of a command with a stage's settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PACING_")}
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli", *arguments],
        env={**clean, **stage.environment, "PYTHONPATH": str(ROOT), **more},
        cwd=stage.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def run_over(here: Stage, campaigns: int = 12, updates: int = 3_000) -> Feed:
    """Feed a stage, let a worker take all of it, and stop it between two ticks."""
    feed = Feed(here, campaigns)
    feed.plan_all()
    feed.spend(updates)
    take_in(here)
    return feed


def take_in(here: Stage, **more: str) -> None:
    worker = here.worker(**more)
    worker.wait_ready(here.settings.partitions)
    settle(here, worker)
    assert worker.terminate()[0] == Exit.STOPPED, worker.tail()


def exported(here: Stage, name: str = "ledger.ndjson") -> Path:
    file = here.folder / name
    assert pacing(here, "ledger", "export", str(file)) == (0, "", "")
    return file


def test_a_ledger_moves_into_another_application_and_every_total_stays_exact(stage: Staging) -> None:
    here = stage()
    feed = run_over(here)
    file = exported(here)
    feed.spend(1_000)
    take_in(here)  # what comes after the export is folded again by who imports it
    other = {"PACING_APP_ID": f"{here.name}-moved"}
    here.environment |= other
    apply_now(here.settings.model_copy(update={"app_id": f"{here.name}-moved"}))

    code, told, faults = pacing(here, "ledger", "import", str(file))
    assert (code, told.count(" records written\n"), faults) == (0, 2, "")
    code, told, _ = pacing(here, "ledger", "import", str(file))
    assert (code, told.count("this ledger is there already\n")) == (0, 2)
    assert exported(here, "again.ndjson").read_text() == file.read_text().replace(
        f'"app_id":"{here.name}"', f'"app_id":"{here.name}-moved"'
    )

    feed.spend(3_000)  # among them repeats of what the first application counted
    take_in(here)
    assert audit(here) >= 3 * 12
    code, told, _ = pacing(here, "audit")
    assert (code, told.splitlines()[-1]) == (0, "the difference is zero"), told
    code, told, _ = pacing(here, "audit", "--ledger", str(file))
    assert (code, told.splitlines()[-1]) == (0, "the difference is zero"), told

    code, _, faults = pacing(here, "ledger", "import", str(file))
    assert code == 1
    assert "holds another ledger already" in faults


def test_a_ledger_moves_into_other_partitions_with_its_memory(stage: Staging) -> None:
    # Ticks far enough apart for a stop to fall between them.
    here, there = stage(partitions=2, tick_seconds=5), stage(partitions=3)
    feed = Feed(here, 20)
    feed.plan_all()
    feed.spend(3_000)
    first = {**spent("campaign-00001", "first", "10"), "channel": "CTV"}
    feed.write(here.spend, "campaign-00001", as_json(first))
    feed.write(here.spend, "campaign-00001", as_json(correction("early", "second", "3")))
    feed.flush()
    file = settled_export(here)

    refused = pacing(there, "ledger", "import", str(file))
    assert refused[0] == 1
    assert "--repartition" in refused[2]
    code, told, faults = pacing(there, "ledger", "import", str(file), "--repartition")
    assert (code, told.count(" records written\n"), faults) == (0, 3, "")
    feed.stage = there
    feed.spend(3_000)
    for body in (first, correction("late", "first", "4"), spent("campaign-00001", "second", "100")):
        feed.write(there.spend, "campaign-00001", as_json(body))
    feed.flush()
    moved = exported(there, "moved.ndjson")
    take_in(there)

    check_single(there)
    newest = {event["campaign_id"]: event for event in there.events("snapshot_taken")}
    assert newest.keys() == set(feed.campaigns)
    for campaign, snapshot in newest.items():
        # 4 for the first and 3 for the second, which the corrections say, in place of 10 and 100; itself a correction
        # is summed by the oracle as if it were spend, so that 4 and 3 are in already.
        off = Decimal(110) if campaign == "campaign-00001" else Decimal(0)
        assert Decimal(snapshot["total_spend"]) == of_both(here, there, snapshot) - off, snapshot
    code, told, _ = pacing(there, "audit", "--ledger", str(moved))
    assert (code, told.splitlines()[-1]) == (0, "the difference is zero"), told


def settled_export(here: Stage) -> Path:
    """An export from between two ticks: a stop may fall between the ticks of two partitions, and is done again."""
    for _ in range(5):
        take_in(here)
        file = exported(here)
        lines = map(json.loads, file.read_text().splitlines())
        markers = [line for line in lines if line["kind"] == "marker"]
        if len({marker["last_tick"] for marker in markers}) == 1 and not any(marker["tick"] for marker in markers):
            return file
    raise AssertionError("no stop fell between two ticks")


def of_both(here: Stage, there: Stage, snapshot: Mapping[str, Any]) -> Decimal:
    """What both inputs add up to by a snapshot, an id counting once."""
    seen: dict[tuple[str, str], Decimal] = {}
    as_of = datetime.fromisoformat(snapshot["timestamp"])
    covered = snapshot["ledger_position"]["next_offsets"][there.spend]
    for message in (*here.committed(here.spend), *there.committed(there.spend)):
        body = json.loads(message.value())
        is_covered = message.topic() == here.spend or message.offset() < covered
        if body["campaign_id"] == snapshot["campaign_id"] and is_covered:
            is_due = datetime.fromisoformat(body["event_time"]) <= as_of
            seen.setdefault((body["source"], body["event_id"]), Decimal(body["spend"]) if is_due else Decimal(0))
    return sum(seen.values(), Decimal(0))


def spent(campaign: str, event_id: str, amount: str) -> dict[str, str]:
    time = datetime.now().astimezone().isoformat()
    return {"event_id": event_id, "source": "ads", "campaign_id": campaign, "event_time": time, "spend": amount}


def correction(event_id: str, corrects: str, amount: str) -> dict[str, str]:
    return {**spent("campaign-00001", event_id, amount), "kind": "correction", "corrects": corrects}


def as_json(body: Mapping[str, str]) -> bytes:
    return json.dumps(body).encode()


def test_an_audit_finds_a_total_that_somebody_changed(stage: Staging) -> None:
    here = stage(partitions=1)
    run_over(here, campaigns=3, updates=500)
    code, told, _ = pacing(here, "audit")
    assert (code, told.splitlines()[-1]) == (0, "the difference is zero"), told
    assert "not covered: PostgreSQL: PACING_POSTGRES_DSN is empty" in told

    key = b"ccampaign-00001"
    value = decode([m.value() for m in here.committed(here.ledger) if m.key() == key][-1])
    value[5][0][1] = 10**12 + 1
    producer = Producer({"bootstrap.servers": here.bootstrap})
    producer.produce(here.ledger, encode(value), key)
    assert producer.flush(30) == 0

    code, told, _ = pacing(here, "audit")
    assert code == 1
    (difference,) = [line for line in told.splitlines() if line.startswith("difference: ")]
    assert difference.startswith("difference: partition 0: campaign-00001: spend")
    assert "has 10000000000.01" in difference
    assert told.splitlines()[-1] == "1 differences in 1 campaigns"


def test_an_audit_says_what_it_cannot_cover_and_goes_on_from_an_export(stage: Staging) -> None:
    here = stage(partitions=1)
    feed = run_over(here, campaigns=3, updates=500)
    file = exported(here)
    feed.spend(300)
    take_in(here)
    asyncio.run(delete_before(here, here.spend, 400))

    code, told, _ = pacing(here, "audit")
    assert code == 1
    assert f"not covered: partition 0: {here.spend} is there from 400 on, and 0 is needed" in told
    assert told.splitlines()[-1] == "no difference was found in what was covered"
    code, told, _ = pacing(here, "audit", "--ledger", str(file))
    assert (code, told.splitlines()[-1]) == (0, "the difference is zero"), told
    assert told.startswith("partition 0: 300 updates read")


def test_what_cannot_be_moved_is_refused_in_a_sentence(stage: Staging) -> None:
    here = stage(partitions=1)
    assert pacing(here, "ledger", "export")[0::2] == (1, f"pacing: there is no ledger in {here.ledger}\n")
    run_over(here, campaigns=2, updates=50)
    file = exported(here)
    lines = file.read_text().splitlines(keepends=True)
    torn = here.folder / "torn.ndjson"
    torn.write_text("".join(lines[:-1]))
    code, _, faults = pacing(here, "ledger", "import", str(torn))
    assert (code, faults) == (
        2,
        f"{torn}:{len(lines) - 1}: line: the file ends within a section: it was cut short\n",
    )
    other = {"PACING_APP_ID": f"{here.name}-x", "PACING_TOPIC_SPEND_UPDATES": f"{here.name}.elsewhere"}
    pacing(here, "topics", "apply", **other)
    code, _, faults = pacing(here, "ledger", "import", str(file), **other)
    assert code == 1
    assert f"the settings name {here.name}.elsewhere" in faults


def test_an_audit_compares_with_the_newest_snapshots_in_postgresql(stage: Staging) -> None:
    with running_postgres(FAST) as server:
        asyncio.run(migrate(server.dsn))
        here = stage(partitions=1, postgres_dsn=server.dsn)
        feed = Feed(here, 4)
        feed.plan_all()
        feed.spend(1_000)
        worker = here.worker()
        worker.wait_ready(1)
        settle(here, worker)
        wait_until(lambda: rows(server.dsn) == 4, READY_SECONDS, what="the sink")
        assert worker.terminate()[0] == Exit.STOPPED

        code, told, _ = pacing(here, "audit")
        assert (code, told.splitlines()[-1]) == (0, "the difference is zero"), told
        assert "partition 0: 4 snapshots in PostgreSQL compared\n" in told
        change = "UPDATE pacing_current_snapshots SET total_spend = total_spend + 0.01 WHERE campaign_id = $1"
        asyncio.run(on_postgres(server.dsn, change, feed.campaigns[2]))
        code, told, _ = pacing(here, "audit")
        assert code == 1
        (difference,) = [line for line in told.splitlines() if line.startswith("difference: ")]
        assert difference.startswith(f"difference: partition 0: {feed.campaigns[2]}: spend: PostgreSQL's newest")
        assert difference.endswith("(difference 0.01)")


def rows(dsn: str) -> int:
    """How many campaigns have a snapshot in PostgreSQL that covers some of their spend."""
    found = asyncio.run(on_postgres(dsn, "SELECT count(*) FROM pacing_current_snapshots WHERE total_spend > $1", 0))
    return int(found[0][0])


async def on_postgres(dsn: str, statement: str, *arguments: object) -> list[Any]:
    connection = await connect(dsn)
    try:
        return list(await connection.fetch(statement, *arguments))
    finally:
        await connection.close()
