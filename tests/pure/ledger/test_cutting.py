"""Cells that held spend before a tick or a plan asked about an instant within them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pure.ledger.test_against_the_oracle import check
from tests.pure.ledger.world import MINUTE, START, TICK, World, at, listening, plan, update

Json = dict[str, Any]


def report(event_id: str, minutes: float, spend: str, **fields: Any) -> Json:
    return update(event_id, minutes, spend, kind="cumulative", **fields)


def correction(event_id: str, corrects: str, spend: str) -> Json:
    return update(event_id, 1, spend, kind="correction", corrects=corrects)


def judged(world: World) -> None:
    """Finish the open tick, and hold what the core was told to the naive ledger."""
    cut = world.cut
    with listening() as told:
        world.finish()
    for heard in told:
        check(world.naive[heard.campaign_id], heard, cut)


def opened(world: World, tick: int) -> None:
    world.ledger.open_tick(tick)
    world.cut = world.offset


@pytest.mark.parametrize("wait", ["nothing", "report", "correction"])
def test_what_comes_while_a_tick_nobody_announced_is_open_waits_for_the_next(wait: str) -> None:
    world = World()
    world.plan(plan())
    world.spend(update("before", 3, "1"), update("after", 7, "2"), report("first", 8, "10"))
    opened(world, START + 5 * MINUTE)
    if wait == "report":
        world.spend(report("second", 9, "25"), report("late", 2, "4"))
    if wait == "correction":
        world.spend(correction("down", "after", "0.5"), correction("up", "before", "3"))
    judged(world)
    opened(world, START + 10 * MINUTE)
    judged(world)


def test_a_cell_is_cut_beside_one_that_was_begun_when_the_tick_was_known() -> None:
    world = World()
    world.plan(plan())
    world.spend(update("wide", 7, "1"), update("first", 1, "2"))
    world.ledger.expect_tick(START + 5 * MINUTE)
    world.spend(update("narrow", 8, "4"))
    for minutes in (5, 15):
        opened(world, START + minutes * MINUTE)
        judged(world)


def test_corrections_of_what_is_counted_and_a_plan_that_parts_its_time() -> None:
    world = World()
    world.plan(plan())
    world.spend(update("early", 1, "1"), update("later", 9, "2"))
    opened(world, START + TICK)
    judged(world)
    world.spend(correction("less", "later", "1.5"), update("late", 2, "8"))
    world.plan(plan(flight_start=at(minutes=4)))
    opened(world, START + 2 * TICK)
    judged(world)


def test_a_plan_cannot_part_reports_of_which_only_the_last_of_a_cell_is_kept() -> None:
    world = World()
    world.plan(plan())
    world.spend(*(report(f"r{n}", n, str(n)) for n in range(1, 6)))
    opened(world, START + TICK)
    judged(world)
    world.spend(report("r16", 16, "16"))
    folded = world.plan(plan(flight_start=at(minutes=3)))
    assert [(refused.reason, refused.field) for refused in folded.refused] == [("invalid_plan", "flight_start")]
    assert not world.plan(plan(flight_start=at(minutes=15))).refused
    opened(world, START + 2 * TICK)
    judged(world)


def test_a_conflict_that_came_while_a_tick_was_open_is_told_once_whatever_is_restarted() -> None:
    world = World()
    world.plan(plan())
    world.spend(update("e", 1, "1"))
    opened(world, START + TICK)
    world.spend(update("e", 1, "2"))
    world.checkpoint()
    judged(world)
    world.restart()
    for tick in (2, 3):
        opened(world, START + tick * TICK)
        judged(world)


def test_series_that_the_first_plan_joins_are_one_after_a_restart_as_well() -> None:
    world = World()
    world.spend(report("e1", 31, "1"))
    world.checkpoint()
    world.spend(report("e0", -1, "0", currency="EUR"))
    world.restart()
    world.plan(plan())
    world.restart()
    opened(world, START + 3 * TICK)
    judged(world)
