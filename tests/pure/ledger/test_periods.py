"""Recurring budgets on a real ledger: closings and what is carried, over restarts and for odd midnights."""

from __future__ import annotations

from typing import Any

from schemas.fields import parse_time
from tests.pure.ledger.world import World, plan, update
from worker.ledger import LedgerLimits
from worker.pacing import Event, Printed

Json = dict[str, Any]

HOURLY = 3600 * 10**9
MONTHLY: Json = {
    "flight_start": "2026-07-10",
    "flight_end": "2026-10-20",
    "period": "monthly",
    "rollover": "carry_underspend",
    "channels": [{"channel": "ctv", "allocated_budget": "500"}],
}
SPEND = [("07-15", "400"), ("07-31", "100.5"), ("08-01", "7"), ("08-20", "1200"), ("09-05", "33.333333333")]
TICKS = ["07-20", "08-01", "08-02", "08-25", "09-02", "10-02", "10-21", "10-22"]


def told(*, restarts: bool) -> list[Event | Printed]:
    """What is told at every tick; a credit of July comes in August, and one of September after the flight."""
    world = World(LedgerLimits(tick_nanos=HOURLY))
    world.plan(plan(**MONTHLY))
    fed = [update(f"e-{day}", spend=amount, channel="ctv", event_time=f"2026-{day}T12:00:00Z") for day, amount in SPEND]
    events = []
    for number, day in enumerate(TICKS):
        if number < len(fed):
            world.spend(fed[number])
        if day in ("08-25", "10-22"):
            dated = {"08-25": "07-16", "10-22": "09-06"}[day]
            world.spend(update(f"back-{day}", kind="credit", spend="-50", event_time=f"2026-{dated}T00:00:00Z"))
        events += world.tick(parse_time(f"2026-{day}T00:00:00Z"))
        if restarts:
            world.restart()
    return events


def snapshots(events: list[Event | Printed]) -> list[tuple[Any, ...]]:
    bodies = [event.body for event in events if event.kind == "snapshot_taken"]
    return [
        (b["occurred_at"][5:10], b["period_end"][5:10], b["total_budget"], b["total_spend"], b["final"]) for b in bodies
    ]


def test_each_period_is_closed_once_and_what_it_leaves_is_carried() -> None:
    assert snapshots(told(restarts=False)) == [
        ("07-20", "08-01", "1000.00", "400.00", False),
        ("08-01", "08-01", "1000.00", "500.50", True),
        ("08-01", "09-01", "1499.50", "0.00", False),
        ("08-02", "09-01", "1499.50", "7.00", False),
        ("08-25", "09-01", "1549.50", "1207.00", False),  # 50 of July came back
        ("09-02", "09-01", "1549.50", "1207.00", True),
        ("09-02", "10-01", "1342.50", "0.00", False),
        ("10-02", "10-01", "1342.50", "33.333333333", True),
        ("10-02", "10-21", "2309.166666667", "0.00", False),
        ("10-21", "10-21", "2309.166666667", "0.00", True),
        ("10-22", "10-21", "2359.166666667", "0.00", True),
    ]


def test_a_restart_after_every_tick_changes_nothing() -> None:
    assert told(restarts=True) == told(restarts=False)


def test_a_period_that_begins_within_a_quarter_of_an_hour_parts_the_spend_there() -> None:
    """Until 1972 Liberia's clocks were 44 minutes and 30 seconds behind UTC."""
    world = World(LedgerLimits(tick_nanos=HOURLY))
    flight = {"flight_start": "1971-11-15T00:00:00Z", "flight_end": "1972-01-15T00:00:00Z"}
    world.plan(plan(timezone="Africa/Monrovia", period="monthly", **flight))
    for second, spend in (("29", "1"), ("30", "20")):
        world.spend(update(f"e-{second}", spend=spend, event_time=f"1971-12-01T00:44:{second}Z"))
    told = snapshots(world.tick(parse_time("1971-12-02T00:00:00Z")))
    assert [(spend, final) for *_, spend, final in told] == [("1.00", True), ("20.00", False)]


def test_what_was_asked_for_once_is_not_held_for_ever() -> None:
    world = World(LedgerLimits(tick_nanos=HOURLY))
    world.plan(plan(**{**MONTHLY, "rollover": "none"}))
    world.spend(update("e", event_time="2026-07-15T12:00:00Z"))
    held = []
    for day in TICKS:
        world.tick(parse_time(f"2026-{day}T00:00:00Z"))
        campaign = world.ledger._book.campaign("c")
        assert campaign is not None
        held.append(len(campaign.prefixes))
    assert max(held) <= 3
    assert held[3] == 1
