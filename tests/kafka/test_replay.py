"""`pacing replay --cuts` over recorded topics tells what the worker published, byte for byte, whatever befell it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Message

from tests.kafka.broker import ROOT, wait_until
from tests.kafka.killable import KILL
from tests.kafka.stage import SETTLED_SECONDS, Feed, Stage, plan, settle

Staging = Callable[..., Stage]
Events = dict[tuple[str, str], list[bytes]]
"""The values of each campaign's events, by campaign and type, in order."""


def recorded(messages: Iterable[Message]) -> str:
    """Records as `kcat -J` writes them."""
    return "".join(
        json.dumps(
            {
                "topic": message.topic(),
                "partition": message.partition(),
                "offset": message.offset(),
                "tstype": "create",
                "ts": message.timestamp()[1],
                "broker": 1,
                "key": None if message.key() is None else message.key().decode(),
                "payload": None if message.value() is None else message.value().decode(errors="replace"),
            }
        )
        + "\n"
        for message in messages
    )


def record(stage: Stage, folder: Path) -> list[str]:
    """Record the input and the cuts into files; the options that name them."""
    (folder / "plans").write_text(recorded(stage.committed(stage.plans)))
    (folder / "spend").write_text(recorded(stage.committed(stage.spend)))
    cuts = [message.value() for message in stage.committed(stage.outputs["tick_closed"])]
    (folder / "cuts").write_bytes(b"\n".join(cuts))
    return ["--plan", "plans", "--spend", "spend", "--cuts", "cuts"]


def replay(stage: Stage, folder: Path, options: list[str]) -> tuple[Events, list[str]]:
    """What the command tells of each campaign, and its faults."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PACING_")}
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli", "replay", *options],
        cwd=folder,
        env={**clean, **stage.environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    events: Events = defaultdict(list)
    for line in done.stdout.splitlines():
        body = json.loads(line)
        events[body["campaign_id"], body["event_type"]].append(line)
    faults = done.stderr.decode().splitlines()
    assert done.returncode == (2 if faults else 0), faults
    return events, faults


def published(stage: Stage) -> Events:
    """What the worker has told of each campaign at ticks it has closed; one it was stopped in has no cut yet."""
    closed = {event["partition"]: event["tick"] for event in stage.events("tick_closed")}
    last = {partition: datetime.fromisoformat(tick) for partition, tick in closed.items()}
    events: Events = defaultdict(list)
    for kind, topic in stage.outputs.items():
        for message in stage.committed(topic) if kind != "tick_closed" else ():
            body = json.loads(message.value())
            if body.get("campaign_id") is None:  # an account's, whose ticks are not those of one partition
                continue
            if datetime.fromisoformat(body["occurred_at"]) <= last[message.partition()]:
                events[body["campaign_id"], body["event_type"]].append(message.value())
    return events


def test_the_cuts_of_a_worker_that_was_killed_replay_to_its_events_byte_for_byte(
    stage: Staging, tmp_path: Path
) -> None:
    here = stage(tick_slice_campaigns=5)
    feed = Feed(here, 40, garbage=0.005)
    feed.plan_all()
    feed.spend(3_000)
    with feed.flowing(500):
        # In the middle of a tick, some of whose events are committed; what was late by then is told after the restart.
        here.worker(**{KILL: "acks:3:snapshot_taken"}).wait_killed()
        worker = here.worker()
        worker.wait_ready()
        settle(here, worker)
        change_plans(feed)
        settle(here, worker)
    settle(here, worker)
    ticks = len(here.events("tick_closed"))
    wait_until(
        lambda: len(here.events("tick_closed")) >= ticks + 4, SETTLED_SECONDS, what="ticks", otherwise=worker.tail
    )
    assert worker.terminate()[0] == 0

    live = published(here)
    told, faults = replay(here, tmp_path, record(here, tmp_path))
    assert told == live
    check_eventful(here, live, faults)


def change_plans(feed: Feed) -> None:
    """Versions that count from their record, from an instant to come and from one long past; and a plan that ends."""
    soon, past = datetime.now(UTC) + timedelta(seconds=2.5), datetime.now(UTC) - timedelta(days=3)
    since: tuple[dict[str, str], ...] = ({}, {"effective_at": soon.isoformat()}, {"effective_at": past.isoformat()})
    for number, campaign in enumerate(feed.campaigns[:12]):
        changed = plan(campaign, total_budget="2000", channels=[], **since[number % 3])
        feed.write(feed.stage.plans, campaign, changed)
    feed.write(feed.stage.plans, feed.campaigns[12], None)
    feed.write(feed.stage.plans, feed.campaigns[13], b"{")
    feed.flush()


def check_eventful(stage: Stage, live: Events, faults: list[str]) -> None:
    """Nothing that could come out differently was missing from the test."""
    assert {"pacing.deviation_detected", "pacing.deviation_resolved"} <= {kind for _, kind in live}
    values = [value for (_, kind), told in live.items() if kind == "pacing.snapshot_taken" for value in told]
    snapshots = [json.loads(value) for value in values]
    assert any(snapshot["plan_version"] == 2 for snapshot in snapshots)
    assert any(float(snapshot["late_spend"]) > 0 for snapshot in snapshots)
    assert {snapshot["ledger_position"]["partition"] for snapshot in snapshots} == {0, 1}
    dead = stage.committed(f"{stage.spend}.dlq", f"{stage.plans}.dlq")
    assert len({tuple(fault.split(":")[:2]) for fault in faults}) == len(dead) > 1
