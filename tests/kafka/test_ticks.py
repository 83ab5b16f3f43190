"""When ticks are taken, what they wait for, and what a worker that was away does about those it missed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from tests.kafka.broker import wait_until
from tests.kafka.killable import CLOCK
from tests.kafka.stage import SETTLED_SECONDS, Feed, Stage, audit, plan, settle
from worker.exits import Exit

Staging = Callable[..., Stage]


def ticks(stage: Stage, partition: int = 0) -> list[datetime]:
    """The ticks a partition has closed, in order."""
    closed = stage.events("tick_closed")
    return [datetime.fromisoformat(event["tick"]) for event in closed if event["partition"] == partition]


def test_ticks_are_aligned_to_the_clock_and_close_once(stage: Staging) -> None:
    here = stage(tick_seconds=2, partitions=1)
    feed = Feed(here, 5)
    feed.plan_all()
    worker = here.worker()
    worker.wait_ready(1)
    wait_until(lambda: len(ticks(here)) >= 3, SETTLED_SECONDS, what="three ticks", otherwise=worker.tail)
    taken = ticks(here)
    assert all(tick.timestamp() % 2 == 0 for tick in taken)
    assert [later - tick for tick, later in pairwise(taken)] == [timedelta(seconds=2)] * (len(taken) - 1)
    closed = here.events("tick_closed")
    assert all(event["campaigns"] == 5 and event["complete"] for event in closed)


def test_a_restart_makes_up_the_newest_missed_tick_and_no_other(stage: Staging) -> None:
    here = stage(tick_seconds=60, partitions=1)
    feed = Feed(here, 5)
    feed.plan_all()
    feed.spend(100)
    first = here.worker()
    first.wait_ready(1)
    settle(here, first)
    assert first.terminate()[0] == 0
    assert len(ticks(here)) == 1

    here.hide_the_broker_s_clock()
    ten_minutes_later = here.worker(**{CLOCK: "600"})
    ten_minutes_later.wait_ready(1)
    wait_until(lambda: len(ticks(here)) == 2, SETTLED_SECONDS, what="a tick", otherwise=ten_minutes_later.tail)
    before, after = ticks(here)
    assert timedelta(minutes=10) <= after - before <= timedelta(minutes=11)
    audit(here)


def test_a_worker_that_catches_up_says_so_and_raises_no_false_alarm(stage: Staging) -> None:
    here = stage(tick_seconds=3600, partitions=1, fetch_batches=1)
    feed = Feed(here, 1)
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=10)
    flight = {"flight_start": start.isoformat(), "flight_end": (start + timedelta(days=20)).isoformat()}
    # Half of the budget is spent by then, which is a fact and no alarm.
    alarms = {"total_budget": "800000", "channels": [], "signals": {"milestone_reached": False}}
    feed.write(here.plans, feed.campaigns[0], plan(feed.campaigns[0], **alarms, **flight))
    on_pace(feed, start, first_day=0, last_day=10)
    worker = here.worker()
    worker.wait_ready(1)
    settle(here, worker)
    assert worker.terminate()[0] == 0

    here.hide_the_broker_s_clock()
    # Away for five days, in which spend went on as planned; the first tick waits for none of it.
    on_pace(feed, start, first_day=10, last_day=15)
    five_days = timedelta(days=5).total_seconds()
    worker = here.worker(PACING_TICK_WAIT_SECONDS="0", **{CLOCK: str(five_days)})
    wait_until(lambda: len(ticks(here)) == 2, SETTLED_SECONDS, what="a tick", otherwise=worker.tail)
    worker.wait_ready(1)
    assert worker.terminate()[0] == 0
    worker = here.worker(**{CLOCK: str(five_days + 3600)})
    wait_until(lambda: len(ticks(here)) == 3, SETTLED_SECONDS, what="a tick", otherwise=worker.tail)

    snapshots = here.events("snapshot_taken")
    assert [snapshot["complete"] for snapshot in snapshots] == [True, False, True]
    assert snapshots[1]["deviation_pct"] < -25, "the tick should have come before the backlog was read"
    assert here.events("deviation_detected") == here.events("alert_raised") == []
    assert here.events("reallocation_recommended") == []
    audit(here)


def on_pace(feed: Feed, start: datetime, *, first_day: int, last_day: int) -> None:
    """Spend 40,000 a day, in 4,000 updates."""
    campaign = feed.campaigns[0]
    for number in range(first_day * 4_000, last_day * 4_000):
        update = {"event_id": str(number), "source": "ads", "campaign_id": campaign, "spend": "10"}
        update["event_time"] = (start + timedelta(days=number / 4_000)).isoformat()
        feed.write(feed.stage.spend, campaign, json.dumps(update).encode())
    feed.flush()


def test_a_tick_waits_for_the_input_that_was_there_at_its_time(stage: Staging) -> None:
    here = stage(tick_seconds=3600, tick_wait_seconds=60, partitions=1, fetch_batches=1)
    feed = Feed(here, 20)
    feed.plan_all()
    feed.spend(20_000)
    worker = here.worker()
    wait_until(lambda: len(ticks(here)) == 1, SETTLED_SECONDS, what="a tick", otherwise=worker.tail)
    closed = here.events("tick_closed")[0]
    assert closed["complete"]
    assert closed["next_offsets"][here.spend] == 20_000
    audit(here)


def test_a_clock_more_than_a_tick_ahead_of_the_broker_s_ends_the_worker_before_it_takes_one(stage: Staging) -> None:
    here = stage(tick_seconds=60, partitions=1)
    feed = Feed(here, 5)
    feed.plan_all()
    ahead = here.worker(**{CLOCK: "3600"})
    assert ahead.wait_dead() == Exit.CLOCK_AHEAD, ahead.tail()
    assert "ahead of the broker's, more than a tick (60 s)" in ahead.tail()
    assert here.committed(*here.outputs.values()) == []

    within = here.worker(**{CLOCK: "30"})
    within.wait_ready(1)
    settle(here, within)
    audit(here)


def test_plans_that_come_while_a_tick_is_open_count_after_it(stage: Staging) -> None:
    here = stage(partitions=1, tick_slice_campaigns=50)
    feed = Feed(here, 500)
    feed.plan_all()
    worker = here.worker()
    worker.wait_ready(1)
    with feed.flowing(500):
        for version in range(30):
            feed.write(here.plans, feed.campaigns[version], plan(feed.campaigns[version], total_budget="2000000"))
            feed.flush()
        settle(here, worker)
    settle(here, worker)
    audit(here)
    last = {snapshot["campaign_id"]: snapshot for snapshot in here.events("snapshot_taken")}
    assert [last[campaign]["plan_version"] for campaign in feed.campaigns[:31]] == [2] * 30 + [1]
