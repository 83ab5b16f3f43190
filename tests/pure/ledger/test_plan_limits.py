"""How many versions of a plan, and changes of its budget, a ledger keeps."""

from __future__ import annotations

from tests.pure.ledger.world import START, TICK, World, at, plan
from worker.ledger import LedgerLimits


def test_a_budget_changed_too_often_is_refused_and_the_last_good_plan_stays() -> None:
    world = World(LedgerLimits(versions=2))
    refused, budgets = [], []
    for change in range(5):
        folded = world.plan(plan(total_budget=str(1000 + change)), timestamp=START // 10**6)
        refused += [(one.field, one.detail) for one in folded.refused]
        budgets += [event.body["total_budget"] for event in world.tick(START + (change + 1) * TICK)[:1]]
    assert refused == [("total_budget", "its budget or flight was changed 2 times: end the plan and send it anew")] * 2
    assert budgets == ["1000.00", "1001.00", "1002.00", "1002.00", "1002.00"]


def test_a_plan_sent_again_is_no_change() -> None:
    world = World(LedgerLimits(versions=2))
    for number in range(5):
        assert not world.plan(plan(), timestamp=START // 10**6).refused
        world.tick(START + (number + 1) * TICK)


def test_the_largest_budget_fits_its_record() -> None:
    world = World(LedgerLimits(tick_nanos=TICK))
    most = "999999999999.999999999"
    curve = {"kind": "custom", "segments": [{"start": at(), "amount": most}]}
    world.plan(plan(total_budget=most, channels=[{"channel": "ctv", "allocated_budget": most, "curve": curve}]))
    world.restart()
    assert world.tick(START + TICK)[0].body["total_budget"] == most
