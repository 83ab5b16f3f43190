"""An account is the sum of its campaigns, in any order; under a cap, the lowest wins."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.account import AccountSnapshotTaken
from schemas.deviation import DeviationDetected, DeviationResolved
from schemas.fields import NANOS, format_money, parse_time
from worker.intake import Unreadable, account_plan_of
from worker.ledger.parts import parts_of, read_part
from worker.pacing import Event, Plan
from worker.pacing.accounts import AccountState, take_account_tick
from worker.pacing.plan import Flight
from worker.pacing.rollup import MOST_BITS, NO_REST, Child, Rest, Rollup, Sums, Worst, added, child_of
from worker.pacing.standing import Standing

KEY = ("acme", "EUR")
DAY = 86_400 * NANOS
START = parse_time("2026-07-01T00:00:00Z")
CENT = NANOS // 100


def cap(**other: Any) -> Plan:
    """A cap of 1,000.00 over the ten days from START."""
    body = {
        "account_id": "acme",
        "currency": "EUR",
        "total_budget": "1000",
        "flight_start": "2026-07-01",
        "flight_end": "2026-07-10",
    }
    plan = account_plan_of(json.dumps({**body, **other}).encode())
    assert isinstance(plan, Plan), plan
    return plan


def child(name: str = "c", spend: int = 500, expected: int = 500, budget: int = 1000, **other: Any) -> Child:
    """A campaign of ten days; amounts in whole money."""
    gap, base = (spend - expected) * NANOS, expected * NANOS
    worst = Worst(name, gap, base) if base else None
    flight = other.get("flight", Flight(START, START + 10 * DAY))
    active = other.get("is_active", True)
    projected = other.get("projected")
    return Child(*KEY, active, (budget * NANOS, 1), spend * NANOS, (expected * NANOS, 1), flight, projected, worst)


def sums(*children: Child) -> Sums:
    """What they add up to."""
    made = Sums()
    for each in children:
        made.add(each)
    return made


def take(
    of: Sums, plan: Plan | None = None, state: AccountState | None = None, *, day: float = 5, **how: Any
) -> tuple[list[Event], AccountState]:
    """A tick so many days after START."""
    how = {"complete": True, **how}
    return take_account_tick(KEY, of, plan, state or AccountState(), as_of=START + int(day * DAY), **how)


def kinds(events: Sequence[Event]) -> list[str]:
    return [event.kind for event in events]


def snapshot(events: Sequence[Event]) -> dict[str, Any]:
    """The one snapshot among them, held to its model."""
    (body,) = [event.body for event in events if event.kind == "account_snapshot_taken"]
    AccountSnapshotTaken.model_validate(body)
    return body


# -- roll-ups --------------------------------------------------------------------------------------------------------

amounts = st.integers(-(10**21), 10**21)
flights = st.tuples(st.integers(0, 50), st.integers(1, 50)).map(lambda two: Flight(two[0] * DAY, sum(two) * DAY))
ratios = st.tuples(amounts, st.integers(1, 12) | st.integers(1, 10**16))
children = st.builds(
    Child,
    st.just("acme"),
    st.just("EUR"),
    st.booleans(),
    st.tuples(st.integers(0, 10**21), st.integers(1, 10**9)),
    amounts,
    st.tuples(st.integers(0, 10**21), st.integers(1, 12) | st.integers(1, 10**16)),
    flights,
    st.none() | ratios,
    st.none() | st.builds(Worst, st.sampled_from("abcdef"), amounts, st.integers(1, 10**30)),
)


def worst_of(all_: Sequence[Child]) -> Worst | None:
    """The oracle's: by Fraction, then by name."""
    found = [each.worst for each in all_ if each.worst is not None]
    return min(found, key=lambda w: (-abs(Fraction(w.gap, w.base)), w.campaign_id), default=None)


def dealt(all_: Sequence[Child], dice: Any) -> Sums:
    """The campaigns in any order, dealt out to three partitions and their slices, written, read and added up."""
    parts = [Sums() for _ in range(3)]
    for each in dice.sample(all_, len(all_)):
        dice.choice(parts).add(each)
        dice.choice(parts).close(each.flight, each.spend)
    dice.shuffle(parts)
    whole = Sums()
    for part in parts:
        (written,) = parts_of(0, 1, START, {KEY: part})
        read = read_part(written.value).sums
        assert read == part
        whole.merge(read)
    return whole


@given(st.lists(children, max_size=12), st.randoms(use_true_random=False))
def test_a_roll_up_adds_up_whatever_the_order_and_the_parts(all_: list[Child], dice: Any) -> None:
    whole = dealt(all_, dice)
    assert whole.campaigns == len(all_)
    assert whole.active == sum(each.is_active for each in all_)
    assert whole.spend == sum(each.spend for each in all_)
    assert Fraction(*whole.budgets) == sum(Fraction(*each.budget) for each in all_)
    assert Fraction(*whole.expects) == sum(Fraction(*each.expected) for each in all_)
    assert Fraction(*whole.leaves) == sum(max(Fraction(0), Fraction(*each.budget) - each.spend) for each in all_)
    projected = [Fraction(*each.projected) for each in all_ if each.projected is not None]
    assert whole.unprojected == len(all_) - len(projected)
    assert (whole.projects is None) == (len(projected) < len(all_) or not all_)
    assert whole.projects is None or Fraction(*whole.projects) == sum(projected)
    assert whole.is_exact
    assert whole.start == min((each.flight.start for each in all_), default=None)
    assert whole.end == max((each.flight.end for each in all_), default=None)
    window = Flight(20 * DAY, 30 * DAY)
    within = [each for each in all_ if each.flight.start < window.end and each.flight.end > window.start]
    assert whole.closed_in(window) == sum(each.spend for each in within)
    expected = worst_of(all_)
    assert (whole.worst is None) == (expected is None)
    if whole.worst is not None and expected is not None:
        assert whole.worst.campaign_id == expected.campaign_id
        assert Fraction(whole.worst.gap, whole.worst.base) ** 2 == Fraction(expected.gap, expected.base) ** 2


def once(amount: Fraction) -> str:
    """An amount of nanos as an event prints it: rounded once, half-even, to the cent."""
    return format_money(round(amount / CENT) * CENT, 2)


@given(st.lists(children, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_an_account_prints_the_sum_of_exact_figures_rounded_once(all_: list[Child], dice: Any) -> None:
    body = snapshot(take(dealt(all_, dice))[0])
    budget = sum((Fraction(*each.budget) for each in all_), Fraction(0))
    expected = sum((Fraction(*each.expected) for each in all_), Fraction(0))
    spend = Fraction(sum(each.spend for each in all_))
    assert body["expected_spend"] == once(expected)
    assert body["total_budget"] == body["children_budget"]
    if budget.denominator > 1:
        assert body["total_budget"] == once(budget)
    else:
        assert Fraction(body["total_budget"]) * NANOS == budget
    for name, whole, part in (
        ("pacing_pct", expected, spend),
        ("deviation_pct", expected, spend - expected),
        ("budget_used_pct", budget, spend),
        ("variance_pp", budget, spend - expected),
    ):
        assert body[name] is None if not whole else Fraction(str(body[name])) == round(part / whole * 100, 2), name
    final = [Fraction(*each.projected) for each in all_ if each.projected is not None]
    assert body["projected_spend"] == (once(sum(final, Fraction(0))) if len(final) == len(all_) else None)


@pytest.mark.parametrize("seed", range(3))
def test_more_flights_than_can_be_kept_are_whole_nanos_and_the_account_says_so(seed: int) -> None:
    """Flights of prime lengths: 17 bits each, which no two have in common."""
    dice = Random(seed)  # the same deal every time
    primes = [number for number in range(100_000, 110_000) if all(number % by for by in range(2, 331))]
    of = Fraction(NANOS, 3)
    all_ = [
        replace(child(str(each)), expected=(of.numerator * each + 1, of.denominator * each), projected=(1, each))
        for each in primes
    ]
    assert len(primes) > MOST_BITS // 17
    whole = dealt(all_, dice)
    assert not whole.is_exact
    assert whole.expects == (sum(round(Fraction(*each.expected)) for each in all_), 1)
    assert (whole.budget_rest, whole.projects) == (NO_REST, (0, 1))
    assert snapshot(take(whole)[0])["exact"] is False
    assert snapshot(take(dealt(all_[:700], dice))[0])["exact"] is True


@pytest.mark.parametrize(
    ("one", "other", "sum_"),
    [
        pytest.param((1, 4), (-1, 6), (1, 12), id="1/4 - 1/6 = 3/12 - 2/12 = 1/12"),
        pytest.param((1, 4), None, None, id="1/4 + what is not kept = not kept"),
        pytest.param(None, (1, 4), None, id="what is not kept + 1/4 = not kept"),
        pytest.param((1, 1 << 7000), (1, 3**7000), None, id="2^-7000 + 3^-7000: 18,095 bits are not kept"),
    ],
)
def test_rests_are_added_exactly_or_not_kept(one: Rest, other: Rest, sum_: Rest) -> None:
    assert added(one, other) == sum_


def test_a_part_of_an_earlier_version_is_read_as_whole_nanos() -> None:
    """It told what snapshots print, and knew no rests."""
    written = (
        b'{"source":1,"tick":60,"account_id":"acme","currency":"EUR","sums":{"campaigns":2,"active":1,"budget":3000,'
        b'"spend":700,"expected":800,"left":2300,"projected":900,"start":0,"end":9,"worst":["c",-100,800]}}'
    )
    sums_ = read_part(written).sums
    assert sums_ is not None
    assert (sums_.budgets, sums_.expects, sums_.leaves, sums_.projects) == ((3000, 1), (800, 1), (2300, 1), (900, 1))
    assert sums_.is_exact


def test_money_of_two_currencies_is_never_added() -> None:
    rollup = Rollup()
    rollup.add(child())
    rollup.add(replace(child(), currency="USD"))
    rollup.close(cap(), 7)
    taken = rollup.take()
    assert {key: each.campaigns for key, each in taken.items()} == {KEY: 1, ("acme", "USD"): 1}
    assert taken[KEY].closed_in(Flight(START, START + 1)) == 7
    assert rollup.take() == {}


# -- without a cap ---------------------------------------------------------------------------------------------------


def test_without_a_cap_an_account_is_the_sum_of_its_campaigns() -> None:
    late = Flight(START + 5 * DAY, START + 20 * DAY)
    events, _ = take(sums(child("a", 450, 500), child("b", 0, 0, 3000, flight=late)))
    body = snapshot(events)
    assert (body["total_budget"], body["children_budget"], body["total_spend"]) == ("4000.00", "4000.00", "450.00")
    assert (body["expected_spend"], body["deviation_pct"], body["budget_used_pct"]) == ("500.00", -10.0, 11.25)
    assert (body["variance_pp"], body["band"], body["campaigns"]) == (-1.25, "on_pace", 2)
    assert (body["cap"], body["cap_difference"], body["spendable"]) == (None, None, "3550.00")
    assert (body["elapsed_pct"], body["period_end"]) == (25.0, "2026-07-21T00:00:00Z")
    assert kinds(events) == ["account_snapshot_taken"], "-10 % is not beyond 10 %"


def test_a_projection_is_told_where_all_campaigns_have_one() -> None:
    one, other = child("a", projected=(900 * NANOS, 1)), child("b", projected=(150 * CENT, 1))
    assert snapshot(take(sums(one, other))[0])["projected_spend"] == "901.50"
    assert snapshot(take(sums(one, other, child("c")))[0])["projected_spend"] is None
    of = sums(one)
    of.close(Flight(START, START + DAY), 50 * NANOS)
    assert snapshot(take(of, cap())[0])["projected_spend"] == "950.00"


def test_a_campaign_adds_what_it_comes_to_unrounded() -> None:
    standing = Standing("campaign", "c", 100 * NANOS, Flight(0, 9), [50], (100, 3), 50, 7)
    assert child_of(cap(), standing, (100, 3), is_final=False) == Child(
        *KEY, True, (100 * NANOS, 7), 50, (100, 3), Flight(0, 9), (100, 3), Worst("acme", 50, 100)
    )
    final = child_of(cap(), standing, None, is_final=True)
    assert (final.is_active, final.projected) == (False, None)


def test_ten_yen_over_three_campaigns_are_no_rounded_yen() -> None:
    """Each expects 10/3 yen and prints 3: together 10, not 9, so that 11 spent are 10 % over and no warning."""
    flight = Flight(START, START + 9 * DAY)
    third = Child("acme", "JPY", True, (10 * NANOS, 1), 0, (10 * NANOS, 3), flight, (10 * NANOS, 3), None)
    of = sums(third, third, replace(third, spend=11 * NANOS))
    events, _ = take_account_tick(("acme", "JPY"), of, None, AccountState(), as_of=START + 3 * DAY, complete=True)
    body = snapshot(events)
    assert (body["expected_spend"], body["projected_spend"], body["deviation_pct"]) == ("10", "10", 10.0)
    assert kinds(events) == ["account_snapshot_taken"], "10 % is not beyond 10 %"


def test_a_total_on_plan_shows_the_worst_of_its_children() -> None:
    body = snapshot(take(sums(child("a", 550), child("c", 300), child("b", 700)))[0])
    assert body["band"] == "on_pace"
    assert body["worst_child"] == {"scope": "campaign", "scope_id": "b", "deviation_pct": 40.0}


def test_without_any_budget_what_is_relative_to_it_is_null() -> None:
    body = snapshot(take(sums(child(spend=0, expected=0, budget=0)))[0])
    assert [body[name] for name in ("pacing_pct", "budget_used_pct", "variance_pp", "band", "worst_child")] == [
        None
    ] * 5


def test_nothing_is_told_of_an_account_without_campaigns_and_cap() -> None:
    assert take(Sums()) == ([], AccountState())


# -- under a cap -----------------------------------------------------------------------------------------------------


def test_under_a_cap_the_cap_is_the_plan_and_the_difference_is_told() -> None:
    body = snapshot(take(sums(child("a", 300), child("b", 180, 500, 600)), cap())[0])
    assert (body["total_budget"], body["cap"], body["children_budget"]) == ("1000.00", "1000.00", "1600.00")
    assert (body["cap_difference"], body["expected_spend"], body["total_spend"]) == ("-600.00", "500.00", "480.00")
    assert (body["elapsed_pct"], body["deviation_pct"], body["spendable"]) == (50.0, -4.0, "520.00")


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 500)), min_size=1, max_size=5), st.integers(1, 3000))
def test_the_lowest_wins(spends: list[tuple[int, int]], budget: int) -> None:
    campaigns = [child(str(n), spend, 100, own) for n, (spend, own) in enumerate(spends)]
    body = snapshot(take(sums(*campaigns), cap(total_budget=budget))[0])
    left = budget - sum(spend for spend, _ in spends)
    of_children = sum(max(0, own - spend) for spend, own in spends)
    assert Fraction(body["spendable"]) == max(0, min(left, of_children))


def test_a_cap_counts_for_its_currency_and_within_its_flight_alone() -> None:
    for plan, day in ((cap(currency="USD"), 5), (cap(), 10), (cap(flight_start="2026-07-07"), 5)):
        assert snapshot(take(sums(child()), plan, day=day)[0])["cap"] is None


def test_a_cap_by_the_month_is_for_the_month() -> None:
    plan = cap(flight_end="2026-09-30", period="monthly", total_budget="3100")
    body = snapshot(take(sums(child(budget=9000)), plan, day=5)[0])
    assert (body["expected_spend"], body["period_end"]) == ("500.00", "2026-08-01T00:00:00Z")


def test_what_closed_campaigns_have_spent_uses_up_the_cap() -> None:
    of = sums(child("a", 300))
    of.close(Flight(START - DAY, START + DAY), 150 * NANOS)
    of.close(Flight(START - DAY, START), 10_000 * NANOS)
    body = snapshot(take(of, cap())[0])
    assert (body["closed_spend"], body["total_spend"], body["spendable"]) == ("150.00", "450.00", "550.00")
    assert snapshot(take(of)[0])["closed_spend"] == "0.00"


def test_a_cap_that_cannot_hold_is_refused_with_every_fault() -> None:
    faults = account_plan_of(b'{"account_id": "a", "currency": "EUX", "total_budget": 0}')
    assert isinstance(faults, Unreadable)
    assert [fault.field for fault in faults.faults] == ["currency", "total_budget", "flight_start", "flight_end"]
    late = account_plan_of(
        b'{"account_id":"a","currency":"EUR","total_budget":1,"flight_start":"2026-01-02","flight_end":"2026-01-01"}'
    )
    assert isinstance(late, Unreadable)
    assert (late.reason, late.field) == ("invalid_plan", "flight_end")


# -- deviations and signals ------------------------------------------------------------------------------------------


def test_a_deviation_opens_goes_on_and_recovers() -> None:
    events, state = take(sums(child(spend=600)))
    assert kinds(events) == ["account_snapshot_taken", "deviation_detected"]
    opened = events[1].body
    DeviationDetected.model_validate(opened)
    assert (opened["scope"], opened["scope_id"], opened["campaign_id"]) == ("account", "acme", None)
    assert (opened["alert_level"], opened["direction"], opened["snapshot_id"]) == (
        "warning",
        "overpacing",
        events[0].body["event_id"],
    )
    events, same = take(sums(child(spend=600)), None, state, day=5.1)
    assert (kinds(events), same) == (["account_snapshot_taken"], state)
    events, state = take(sums(child(spend=501)), None, state, day=5.2)
    assert kinds(events) == ["account_snapshot_taken", "deviation_resolved"]
    assert (events[1].body["alert_id"], events[1].body["reason"]) == (opened["alert_id"], "recovered")
    assert not state.is_kept


@pytest.mark.parametrize(
    ("of", "plan"),
    [
        (sums(child(spend=0, is_active=False)), None),
        (sums(child(spend=0)), cap(thresholds={"grace_days": 6})),
        (sums(child(spend=0)), cap(thresholds={"min_expected": "500.01"})),
        (sums(child(spend=400)), cap(thresholds={"feed_lag_minutes": 24 * 60})),
    ],
    ids=["no campaign is active", "in the grace", "too little is expected", "the feed is a day behind"],
)
def test_no_deviation_opens_where_none_may(of: Sums, plan: Plan | None) -> None:
    assert kinds(take(of, plan)[0]) == ["account_snapshot_taken"]


def test_over_budget_is_up_as_long_as_it_is_so() -> None:
    events, state = take(sums(child(spend=1001)))
    assert [event.body["kind"] for event in events if event.kind == "alert_raised"] == ["over_budget"]
    events, state = take(sums(child(spend=1001)), None, state, day=5.1)
    assert kinds(events) == ["account_snapshot_taken"]
    assert state.raised is not None
    events, state = take(sums(child(spend=1000)), None, state, day=5.2)
    assert [event.body["kind"] for event in events if event.kind == "alert_cleared"] == ["over_budget"]
    assert state.raised is None


def test_half_a_tick_changes_nothing_that_lasts() -> None:
    _, state = take(sums(child(spend=2000)), cap())
    for of in (sums(child(spend=500)), sums(child(spend=0))):
        events, after = take(of, cap(), state, complete=False)
        assert (kinds(events), after) == (["account_snapshot_taken"], state)
        assert events[0].body["complete"] is False


@pytest.mark.parametrize(
    ("before", "plan", "day", "reason"),
    [
        (cap(), cap(), 10, "flight_ended"),
        (cap(), None, 6, "plan_ended"),
        (cap(), cap(flight_end="2026-07-31"), 6, "plan_ended"),
        (None, cap(), 6, "plan_ended"),
        (
            cap(flight_end="2026-09-01", period="monthly"),
            cap(flight_end="2026-09-01", period="monthly"),
            31,
            "period_ended",
        ),
    ],
    ids=["after its flight", "taken away", "another window", "one comes", "the next month"],
)
def test_what_is_open_ends_with_its_window(before: Plan | None, plan: Plan | None, day: int, reason: str) -> None:
    _, state = take(sums(child(spend=2000)), before)
    assert state.life is not None
    assert state.raised is not None
    _, still = take(sums(child(spend=2000)), plan, state, day=day, complete=False)
    assert still == state
    events, _ = take(sums(child(spend=700, expected=700)), plan, state, day=day)
    closing = kinds(events)[: 1 + len(state.up)]
    assert closing == ["deviation_resolved", *["alert_cleared"] * len(state.up)]
    assert kinds(events)[len(closing)] == "account_snapshot_taken"
    assert events[0].body["reason"] == reason
    DeviationResolved.model_validate(events[0].body)


def test_what_is_open_ends_with_the_last_campaign() -> None:
    _, state = take(sums(child(spend=2000)))
    events, state = take(Sums(), None, state, day=6)
    assert kinds(events) == ["deviation_resolved", "alert_cleared"]
    assert events[0].body["reason"] == "plan_ended"
    assert not state.is_kept


def test_the_first_tick_of_all_waits_for_no_second() -> None:
    plan = cap(thresholds={"enter_ticks": 3})
    assert kinds(take(sums(child(spend=0)), plan)[0]) == ["account_snapshot_taken"]
    assert "deviation_detected" in kinds(take(sums(child(spend=0)), plan, first=True)[0])
