"""What the ledger forgets, when, and what becomes of those who ask for it; the horizon is an hour of record time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pure.ledger.world import HOUR, MINUTE, START, TICK, World, listening, plan, update
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
