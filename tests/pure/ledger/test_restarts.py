"""A ledger that was written and read again knows what it knew."""

from __future__ import annotations

import pytest

from tests.pure.ledger.world import START, TICK, World, plan, update
from worker.ledger import LedgerLimits
from worker.ledger.cells import DAY
from worker.pacing import PacingState

BILLIONS = "999999999999.00"


def test_a_correction_that_waited_alone_is_given_up_after_a_restart() -> None:
    world = World(LedgerLimits(horizon_ms=16_000, tick_nanos=TICK))
    world.spend(update("x", corrects="never", kind="correction"))
    world.restart()
    assert list(world.ledger.campaigns) == ["c"]
    late = world.spend(update("y", campaign_id="other"), timestamp=60_000).late
    assert [(refused.offset, refused.reason) for refused in late] == [(0, "unmatched_correction")]


@pytest.mark.parametrize("budget", ["9000000000.00", "20000000000.00", BILLIONS])
def test_a_budget_beyond_64_bits_of_nanos_is_kept(budget: str) -> None:
    world = World()
    world.plan(plan(total_budget="1.00"))
    world.plan(plan(total_budget=budget, budget_change_policy="rebase"))
    history = world.ledger.campaigns["c"].history
    world.restart()
    assert world.ledger.campaigns["c"].history == history
    world.restart()
    assert world.ledger.campaigns["c"].history == history


def test_a_proposal_beyond_64_bits_of_nanos_is_kept() -> None:
    world = World()
    channels = [{"channel": name, "allocated_budget": "400000000000.00"} for name in ("CTV", "DISPLAY")]
    world.plan(plan(total_budget=BILLIONS, channels=channels))
    world.spend(update("1", 5, "300000000000.00", channel="CTV"))
    world.tick(START + 6 * TICK)
    state = world.ledger.campaigns["c"].state
    assert state.proposals
    world.restart()
    assert world.ledger.campaigns["c"].state == state != PacingState()
    assert world.tick(START + 7 * TICK)


def test_what_moves_to_its_day_at_a_tick_without_news_is_there_once() -> None:
    """Ten quarters of a day and one of the day before: the first tick moves that one, the next most of the ten."""
    world = World(LedgerLimits(tick_nanos=TICK, recent=6))
    world.plan(plan(flight_start="2026-06-01T00:00:00Z", flight_end="2026-12-01T00:00:00Z"))
    quarters = [update(str(n), 1440 + 15 * n, "1.00") for n in range(10)]
    world.spend(update("before", 60, "1.00"), *quarters)
    last = START + 2 * DAY
    for tick in (last, last + TICK):
        world.tick(tick)
        campaign = world.ledger._book.campaign("c")
        assert campaign is not None
        whole = {cell.lo: cell.spend() for cell in campaign.counted(0, tick // DAY)}
        world.restart()
        again = world.ledger._book.campaign("c")
        assert again is not None
        assert sorted((cell.lo, cell.spend()) for cell in again.counted(0, tick // DAY)) == sorted(whole.items())
