"""What a partition's campaigns add up to at a tick: those told, and what those told no more have spent."""

from __future__ import annotations

from schemas.fields import NANOS
from tests.pure.ledger.world import HOUR, START, World, plan, update
from worker.ledger.parts import parts_of, read_part
from worker.pacing.plan import Flight

FLIGHT = Flight(START, START + 4 * HOUR)


def test_a_slice_adds_up_the_campaigns_it_judges_and_no_other() -> None:
    world = World()
    world.plan(plan("a"), plan("b"), plan("c", account_id="other"), plan("d", currency="USD"))
    world.spend(*[update(name, 5, f"{number}.5", campaign_id=name) for number, name in enumerate("abcd", 1)])
    world.ledger.open_tick(START + HOUR)
    world.ledger.tick_slice(1)
    first = world.ledger.take_rollup()
    assert {key: (sums.campaigns, sums.spend) for key, sums in first.items()} == {("a", "EUR"): (1, 1_500_000_000)}
    world.finish()
    rest = world.ledger.take_rollup()
    assert {key: (sums.campaigns, sums.spend // NANOS) for key, sums in rest.items()} == {
        ("a", "EUR"): (1, 2),
        ("other", "EUR"): (1, 3),
        ("a", "USD"): (1, 4),
    }
    assert world.ledger.take_rollup() == {}


def test_a_campaign_counts_to_its_closing_and_then_by_what_it_has_spent() -> None:
    world = World()
    world.plan(plan())
    world.spend(update("1", 5, "7"))
    for tick, is_told in ((START + HOUR, True), (FLIGHT.end, True), (FLIGHT.end + HOUR, False)):
        world.tick(tick)
        (sums,) = world.ledger.take_rollup().values()
        assert (sums.campaigns, sums.active) == ((1, 1) if tick < FLIGHT.end else (1, 0) if is_told else (0, 0))
        assert (sums.spend, sums.closed_in(FLIGHT)) == ((7 * NANOS, 0) if is_told else (0, 7 * NANOS))


def test_a_late_update_of_a_closed_campaign_revises_it_and_counts_as_spent() -> None:
    world = World()
    world.plan(plan())
    world.spend(update("1", 5, "7"))
    world.tick(FLIGHT.end)
    world.ledger.take_rollup()
    world.spend(update("2", 6, "2"))
    (event, *_) = world.tick(FLIGHT.end + HOUR)
    assert event.body["revision"] == 1
    (sums,) = world.ledger.take_rollup().values()
    assert (sums.campaigns, sums.closed_in(FLIGHT)) == (0, 9 * NANOS)


def test_a_campaign_whose_plan_has_ended_has_still_spent_what_it_has() -> None:
    world = World()
    world.plan(plan())
    world.spend(update("1", 5, "7"))
    world.tick(START + HOUR)
    world.ledger.take_rollup()
    world.plan(None)
    for tick in (2, 3):
        world.tick(START + tick * HOUR)
        (sums,) = world.ledger.take_rollup().values()
        assert (sums.campaigns, sums.closed_in(FLIGHT)) == (0, 7 * NANOS)


def test_periods_that_closed_at_a_tick_add_nothing_beside_the_one_that_goes_on() -> None:
    world = World()
    world.plan(plan(period="weekly", flight_start="2026-07-01", flight_end="2026-07-31"))
    world.spend(update("1", 5, "7"))
    events = world.tick(START + 8 * 24 * HOUR)
    assert [event.body["final"] for event in events if event.kind == "snapshot_taken"] == [True, False]
    (sums,) = world.ledger.take_rollup().values()
    assert (sums.campaigns, sums.spend, sums.closed) == (1, 0, {})


def test_a_part_says_what_was_added_up_whatever_its_size() -> None:
    world = World()
    world.plan(plan(total_budget="999999999999"))
    world.spend(*[update(str(number), 5, "999999999999.999999999") for number in range(3)])
    world.tick(START + HOUR)
    (sums,) = world.ledger.take_rollup().values()
    assert sums.spend == 3 * (10**21 - 1)
    (addressed,) = parts_of(0, 1, START, {("a", "EUR"): sums})
    assert read_part(addressed.value).sums == sums


def test_spend_without_a_plan_adds_nothing() -> None:
    world = World()
    world.spend(update("1", 5, "7"))
    world.tick(START + HOUR)
    assert world.ledger.take_rollup() == {}
