"""What the ledger forgets, when, and what becomes of those who ask for it; the horizon is an hour of record time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pure.ledger.world import HOUR, MINUTE, START, TICK, World, at, listening, plan, update
from worker.ledger import Folded, LedgerLimits
from worker.pacing import Attribution

Json = dict[str, Any]

MINUTE_MS = 60_000


def a_world(**limits: Any) -> World:
    world = World(LedgerLimits(tick_nanos=TICK, horizon_ms=HOUR // 10**6, **limits))
    world.plan(plan())
    return world


def folded(world: World, minutes: int, *updates: Json) -> Folded:
    """Fold updates whose records were written so many minutes after the start."""
    return world.fold(*(json.dumps(said).encode() for said in updates), timestamp=minutes * MINUTE_MS)


def spent(world: World, tick: int) -> int:
    """The spend a tick counts, in nanos."""
    world.ledger.open_tick(tick)
    with listening() as told:
        world.finish()
    return sum(figures[0] for figures in told[-1].counted.totals.values())


def reasons(result: Folded) -> list[str]:
    return [refused.reason for refused in (*result.refused, *result.late)]


@pytest.mark.parametrize(("minutes", "dollars"), [(59, 1), (64, 2)], ids=["within: 1", "beyond: 1 + 1"])
def test_a_repeat_is_found_within_the_horizon(minutes: int, dollars: int) -> None:
    world = a_world()
    folded(world, 0, update("e", 1, "1"))
    world.restart()
    folded(world, minutes, update("e", 1, "1"))
    assert spent(world, START + TICK) == dollars * 10**9


def test_a_correction_counts_within_the_horizon_and_stays_when_its_original_is_forgotten() -> None:
    world = a_world()
    folded(world, 0, update("e", 1, "1"))
    folded(world, 59, update("c", 1, "5", kind="correction", corrects="e"))
    assert spent(world, START + TICK) == 5 * 10**9
    assert reasons(folded(world, 130, update("d", 2, "1"))) == []
    world.restart()
    assert spent(world, START + 2 * TICK) == 6 * 10**9


def test_a_correction_waits_for_its_original_for_the_horizon_and_is_then_refused_once() -> None:
    world = a_world()
    late = update("c", 1, "5", kind="correction", corrects="never")
    assert reasons(folded(world, 0, late)) == []
    world.restart()
    assert reasons(folded(world, 59, update("a", 1, "1"))) == []
    assert reasons(folded(world, 64, update("b", 1, "1"))) == ["unmatched_correction"]
    assert reasons(folded(world, 65, update("never", 1, "1"))) == []
    world.ledger.open_tick(START + TICK)
    with listening() as told:
        world.finish()
    assert told[0].counted.cases["unmatched_correction"].count == 1
    assert told[0].counted.totals[Attribution(None, None)][0] == 3 * 10**9


def test_a_correction_that_waits_counts_when_its_original_comes_after_a_restart() -> None:
    world = a_world()
    folded(world, 0, update("c", 1, "5", kind="correction", corrects="e"))
    world.restart()
    folded(world, 59, update("e", 1, "1"))
    assert spent(world, START + TICK) == 5 * 10**9


def test_a_series_goes_on_from_totals_that_came_before_the_horizon() -> None:
    world = a_world()
    reports = [update(f"r{n}", n, str(n), kind="cumulative") for n in range(1, 5)]
    folded(world, 0, *reports)
    assert spent(world, START + TICK) == 4 * 10**9
    assert reasons(folded(world, 130, update("r12", 12, "7", kind="cumulative"))) == []
    world.restart()
    too_old = folded(world, 131, update("old", 2, "2.5", kind="cumulative"))
    assert reasons(too_old) == ["beyond_horizon"]
    folded(world, 132, update("r13", 13, "9.5", kind="cumulative"), update("between", 11, "6", kind="cumulative"))
    assert spent(world, START + 2 * TICK) == 9_500_000_000


def test_more_ids_than_may_be_remembered_are_forgotten_early_and_counted() -> None:
    world = a_world(ids=160)
    for start in range(0, 400, 5):
        folded(world, 0, *(update(f"e{n}", 1, "1") for n in range(start, start + 5)))
    assert world.ledger.statistics().forgotten_early >= 240
    assert world.ledger.statistics().ids <= 160
    folded(world, 0, update("e399", 1, "1"), update("e0", 1, "1"))
    assert spent(world, START + TICK + MINUTE) == 401 * 10**9


# -- the same id again, beyond the horizon -----------------------------------------------------------------------------


def unplanned(**limits: Any) -> World:
    return World(LedgerLimits(tick_nanos=TICK, horizon_ms=HOUR // 10**6, **limits))


def correction(event_id: str, spend: str, corrects: str, **fields: Any) -> Json:
    return update(event_id, 1, spend, kind="correction", corrects=corrects, **fields)


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_correction_goes_on_waiting_for_the_plan_when_its_id_comes_again(is_restarted: bool) -> None:
    world = unplanned()
    folded(world, 0, update("a", 1, "1"), correction("x", "5", "a"))
    folded(world, 70, update("b", 1, "1"), correction("x", "7", "b"))
    if is_restarted:
        world.restart()
    assert world.ledger.statistics().pending_corrections == 2
    world.plan(plan())
    assert spent(world, START + TICK) == (5 + 7) * 10**9
    world.checkpoint()
    assert world.restored().statistics().pending_corrections == 0


def test_a_correction_whose_id_came_again_is_given_up_alone() -> None:
    world = unplanned()
    folded(world, 0, update("a", 1, "1"), correction("x", "5", "a"))
    folded(world, 70, correction("x", "7", "never"))
    world.restart()
    assert reasons(folded(world, 140, update("b", 1, "1"))) == ["unmatched_correction"]
    world.plan(plan())
    assert spent(world, START + TICK) == (5 + 1) * 10**9


@pytest.mark.parametrize(("first", "second"), [("x", "y"), ("y", "x")])
def test_corrections_that_wait_for_the_plan_count_for_the_original_that_they_were_of(first: str, second: str) -> None:
    world = unplanned()
    folded(world, 0, update("e", 1, "1"), correction(first, "5", "e", sequence=2), correction("z", "4", "e"))
    folded(world, 70, update("e", 1, "1"), correction(second, "3", "e", sequence=1))
    world.restart()
    world.plan(plan())
    assert spent(world, START + TICK) == (5 + 3) * 10**9


def test_a_correction_of_what_is_forgotten_does_not_stand_before_one_of_the_original_that_came_again() -> None:
    world = unplanned()
    folded(world, 0, update("e", 1, "1"), correction("x", "5", "e", sequence=2))
    folded(world, 70, update("e", 1, "1"))
    world.plan(plan())
    folded(world, 71, correction("y", "3", "e", sequence=1))
    assert spent(world, START + TICK) == (5 + 3) * 10**9


def test_a_correction_of_what_is_forgotten_does_not_hinder_a_cut() -> None:
    world = unplanned()
    folded(world, 0, update("e", 1, "1"), correction("x", "5", "e"))
    folded(world, 70, update("e", 31, "1"), update("f", 33, "1"))
    world.plan(plan())
    assert world.plan(plan(flight_start=at(minutes=32))).refused == []


@pytest.mark.parametrize("is_planned", [True, False])
def test_of_corrections_of_one_rank_the_first_stands(is_planned: bool) -> None:
    world = a_world() if is_planned else unplanned()
    folded(world, 0, correction("x", "5", "e"))
    folded(world, 50, update("e", 1, "1"))
    folded(world, 70, correction("x", "7", "e"))
    if not is_planned:
        world.plan(plan())
    assert spent(world, START + TICK) == 5 * 10**9


@pytest.mark.parametrize("later", [[], [update("later", 3, "9", kind="cumulative")]], ids=["newest", "in between"])
def test_of_reports_of_one_rank_the_first_stands(later: list[Json]) -> None:
    world = a_world()
    folded(world, 0, update("t", 2, "5", kind="cumulative"))
    folded(world, 50, *later)
    folded(world, 70, update("t", 2, "7", kind="cumulative"))
    assert spent(world, START + 2 * MINUTE) == 5 * 10**9


def test_of_reports_of_one_rank_in_a_currency_and_in_none_the_first_stands() -> None:
    world = unplanned()
    folded(world, 0, update("another", 1, "1", kind="cumulative"))
    folded(world, 0, update("t", 2, "5", kind="cumulative", currency="EUR"))
    folded(world, 70, update("t", 2, "7", kind="cumulative"))
    world.plan(plan())
    assert spent(world, START + TICK) == 5 * 10**9
