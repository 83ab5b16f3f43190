"""Whatever ends a worker, and wherever: every figure is exact, every event single, every snapshot a newer one."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.kafka.killable import KILL, POINTS
from tests.kafka.stage import Feed, Stage, audit, settle

Staging = Callable[..., Stage]


def test_spend_goes_in_and_exact_snapshots_come_out(stage: Staging) -> None:
    here = stage()
    feed = Feed(here, 40)
    feed.plan_all()
    feed.spend(5_000)
    worker = here.worker()
    with feed.flowing(2_000):
        worker.wait_ready()
        settle(here, worker)
    settle(here, worker)
    assert audit(here) >= 2 * 40
    assert here.committed(f"{here.spend}.dlq") == []


def test_every_input_is_counted_once_as_accepted_duplicate_or_rejected(stage: Staging) -> None:
    here = stage()
    feed = Feed(here, 10, garbage=0.02)
    feed.plan_all()
    feed.spend(5_000)
    worker = here.worker()
    worker.wait_ready()
    settle(here, worker)
    inputs = {name: value for name, value in worker.metrics().items() if name.startswith("pacing_inputs_total")}
    assert sum(value for name, value in inputs.items() if here.spend in name) == 5_000
    refused = sum(value for name, value in inputs.items() if here.spend in name and "rejected" in name)
    assert refused == len(here.committed(f"{here.spend}.dlq")) > 0


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_inside_a_checkpoint_leaves_nothing_half_done(point: str, stage: Staging) -> None:
    here = stage()
    feed = Feed(here, 40)
    feed.plan_all()
    with feed.flowing(2_000):
        for nth in (2, 7):
            here.worker(**{KILL: f"{point}:{nth}"}).wait_killed()
        last = here.worker()
        last.wait_ready()
        settle(here, last)
    settle(here, last)
    audit(here)
    last.terminate()  # what it would write between the two readings looks like fewer aborted records
    if point in ("send", "acks"):
        topics = (here.ledger, *here.outputs.values())  # outputs are sent first: the kill may come before the ledger
        assert len(here.written(*topics)) > len(here.committed(*topics)), "no aborted record: the kills missed"


def test_a_worker_killed_at_random_loses_and_doubles_nothing(stage: Staging) -> None:
    here = stage()
    feed = Feed(here, 40)
    feed.plan_all()
    dice = random.Random(7)
    with feed.flowing(4_000):
        for _ in range(4):
            worker = here.worker()
            worker.wait_ready()
            time.sleep(dice.uniform(0.05, 1.0))  # the moment of the kill is the test's subject
            worker.kill()
        last = here.worker()
        last.wait_ready()
    settle(here, last)
    audit(here)


@pytest.mark.parametrize("point", ["send", "acks", "commit"])
def test_a_worker_killed_inside_a_tick_of_many_slices_resumes_it(point: str, stage: Staging) -> None:
    here = stage(tick_slice_campaigns=100, partitions=1, tick_seconds=2)
    feed = Feed(here, 700)
    feed.plan_all()
    feed.spend(3_000)
    with feed.flowing(500):
        here.worker(**{KILL: f"{point}:3:snapshot_taken"}).wait_killed()
        before = {event["campaign_id"] for event in here.events("snapshot_taken")}
        assert 0 < len(before) < 700, "the kill was not inside a tick"
        assert here.events("tick_closed") == []
        worker = here.worker()
        worker.wait_ready(1)
        settle(here, worker)
    settle(here, worker)
    audit(here)
    first = here.events("tick_closed")[0]
    of_first = [event for event in here.events("snapshot_taken") if event["timestamp"] == first["tick"]]
    assert len(of_first) == first["campaigns"] == 700
