"""An account under a cap: when the cap runs out, and the signals read from its figures, exact and told once."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.alert import AlertCleared, AlertRaised
from schemas.fields import NANOS, parse_time
from tests.pure.pacing.test_accounts import DAY, KEY, START, cap, snapshot, take
from worker.pacing import Event, Plan
from worker.pacing.accounts import AccountState, take_account_tick
from worker.pacing.plan import Flight
from worker.pacing.rollup import Child, Sums

LASTING = ("budget_used_before_period", "ahead_of_period", "exhaustion_projected")
NANO = Fraction(1, NANOS)
END = START + 10 * DAY


def of(spend: object, projected: object = None, *, is_active: bool = True, end: int = END) -> Sums:
    """One campaign that has spent so much and is projected to spend so much, in money."""
    nanos = int(Fraction(str(spend)) * NANOS)
    final = None if projected is None else (Fraction(str(projected)) * NANOS).as_integer_ratio()
    made = Sums()
    made.add(Child(*KEY, is_active, (10**15, 1), nanos, (nanos, 1), Flight(START, end), final, None))
    return made


def changes(events: Sequence[Event]) -> list[str]:
    """What is raised (+) and cleared (-), each held to its model."""
    told = []
    for event in events:
        if event.kind == "alert_raised":
            AlertRaised.model_validate(event.body)
            told.append(f"+{event.body['kind']}{event.body['evidence'].get('milestone_pct', '')}")
        elif event.kind == "alert_cleared":
            AlertCleared.model_validate(event.body)
            told.append(f"-{event.body['kind']}")
    return told


def up(state: AccountState, *kinds: str) -> list[str]:
    return [alert.kind for alert in state.up.values() if not kinds or alert.kind in kinds]


def read_again(state: AccountState) -> AccountState:
    """What a restart makes of it."""
    return msgspec.json.decode(msgspec.json.encode(state), type=AccountState)


# -- when the cap runs out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "spend", "projected", "at", "dark_days"),
    [
        pytest.param(5, 600, 1400, "2026-07-08T12:00:00Z", 2.5, id="5 d + 400 / 800 x 5 d = 7.5 d"),
        pytest.param(5, 500, 1001, "2026-07-10T23:45:37.724550899Z", 0.01, id="5 d + 500 / 501 x 5 d, rounded up"),
        pytest.param(5, 500, 1000, None, None, id="P 1,000 = the cap: it lasts to the end"),
        pytest.param(
            5, 500, "1000.000000001", "2026-07-10T23:59:59.999999137Z", 0.0, id="a nano above: 863.99.. ns before"
        ),
        pytest.param(5, 500, 999, None, None, id="P 999 < the cap"),
        pytest.param(5, 500, None, None, None, id="no projection, no time"),
        pytest.param(5, 999, 1999, "2026-07-06T00:07:12Z", 4.995, id="5 d + 1 / 1,000 x 5 d"),
        pytest.param(0, 0, 3000, "2026-07-04T08:00:00Z", 6.6667, id="1,000 / 3,000 x 10 d"),
        pytest.param(5, -1000, 3000, "2026-07-08T12:00:00Z", 2.5, id="credits: 5 d + 2,000 / 4,000 x 5 d"),
        pytest.param(5, 1000, 900, "2026-07-06T00:00:00Z", 5.0, id="used up: the tick that sees it"),
        pytest.param(5, "1000.01", None, "2026-07-06T00:00:00Z", 5.0, id="used up, whatever is projected"),
    ],
)
def test_a_cap_runs_out_where_the_even_line_reaches_it(
    day: int, spend: object, projected: object, at: str | None, dark_days: float | None
) -> None:
    body = snapshot(take(of(spend, projected), cap(), day=day)[0])
    assert (body["projected_exhaustion_at"], body["dark_days"]) == (at, dark_days)


def test_a_line_that_reaches_the_cap_within_the_last_nanosecond_does_not_before_the_end() -> None:
    # (10^12 - 10^9) / (10^12 - 10^9 + 1) of 10 ns is above 9 ns: the first whole one is the end itself.
    events, _ = take_account_tick(KEY, of("1", "1000.000000001"), cap(), AccountState(), as_of=END - 10, complete=True)
    assert snapshot(events)["projected_exhaustion_at"] is None


@pytest.mark.parametrize("plan", [None, cap(currency="USD")], ids=["no cap", "a cap in another currency"])
def test_without_a_cap_in_force_nothing_runs_out(plan: Plan | None) -> None:
    body = snapshot(take(of(10**6, 2 * 10**6), plan)[0])
    assert (body["projected_spend"], body["projected_exhaustion_at"], body["dark_days"]) == ("2000000.00", None, None)


def test_closed_spend_uses_up_the_cap_without_any_campaign() -> None:
    sums = Sums()
    sums.close(Flight(START, START + DAY), 1000 * NANOS)
    body = snapshot(take(sums, cap())[0])
    assert (body["projected_spend"], body["projected_exhaustion_at"]) == (None, "2026-07-06T00:00:00Z")


def test_a_cap_that_is_used_up_ran_out_at_the_tick_that_saw_it_first() -> None:
    plan, first = cap(), "2026-07-06T00:00:00Z"
    _, state = take(of(1000), plan)
    for day, complete in ((6, True), (6.5, False), (7, True)):
        events, state = take(of(1200, 1500), plan, read_again(state), day=day, complete=complete)
        assert (snapshot(events)["projected_exhaustion_at"], snapshot(events)["dark_days"]) == (first, 5.0)
    _, state = take(of(999), plan, state, day=7.5)
    events, state = take(of(1000), plan, state, day=8)
    assert snapshot(events)["projected_exhaustion_at"] == "2026-07-09T00:00:00Z", "credits had left something of it"


def test_half_a_tick_shows_that_the_cap_is_used_up_and_does_not_remember_it() -> None:
    events, state = take(of(1000), cap(), complete=False)
    assert (snapshot(events)["projected_exhaustion_at"], state.is_kept) == ("2026-07-06T00:00:00Z", False)
    assert snapshot(take(of(1000), cap(), state, day=6)[0])["projected_exhaustion_at"] == "2026-07-07T00:00:00Z"


def test_half_a_tick_of_the_next_window_remembers_nothing_of_the_last() -> None:
    plan = cap(period="weekly", flight_end="2026-07-31")
    _, state = take(of(1000), plan, day=4)
    assert state.spent_at == START + 4 * DAY
    # The week of 1 July, a Wednesday, ends on Monday the 6th.
    events, same = take(of(1000), plan, state, day=5, complete=False)
    assert snapshot(events)["projected_exhaustion_at"] == "2026-07-06T00:00:00Z"
    assert same == state


# -- thresholds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "spend", "raised"),
    [
        pytest.param(7, "900", False, id="90.00 % used is not above 90"),
        pytest.param(7, "900.000000001", True, id="a nano above, at 70 % of the time"),
        pytest.param(8, "901", False, id="8 of 10 days: 80.00 % elapsed is not below 80"),
    ],
)
def test_ninety_percent_used_before_eighty_of_the_window(day: int, spend: str, raised: bool) -> None:
    assert ("+budget_used_before_period" in changes(take(of(spend), cap(), day=day)[0])) is raised


@pytest.mark.parametrize(
    ("spend", "raised"),
    [
        pytest.param("600", False, id="60 - 50 = 10.00 points are not more than 10"),
        pytest.param("600.000000001", True, id="a nano more is"),
    ],
)
def test_ten_points_ahead_of_the_window(spend: str, raised: bool) -> None:
    assert ("+ahead_of_period" in changes(take(of(spend), cap())[0])) is raised


@pytest.mark.parametrize(
    ("day", "spend", "projected", "raised"),
    [
        pytest.param(5, 500, 1125, False, id="5 d + 500 / 625 x 5 d = 9 d: one day before the end is not more"),
        pytest.param(5, 500, "1125.000000001", True, id="P a nano more: it runs out earlier than that"),
        pytest.param(0.5, 0, 5000, False, id="half a day of the window is no history"),
        pytest.param(1, 0, 5000, True, id="a day is"),
        pytest.param(0.5, 1000, None, True, id="a cap that is used up needs none"),
        pytest.param(9, 1000, None, False, id="used up at 9 d: one day before the end is not more"),
    ],
)
def test_exhaustion_more_than_a_day_before_the_end(day: float, spend: object, projected: object, raised: bool) -> None:
    assert ("+exhaustion_projected" in changes(take(of(spend, projected), cap(), day=day)[0])) is raised


@pytest.mark.parametrize(
    ("spend", "reached"),
    [
        pytest.param("499.999999999", [], id="below 50"),
        pytest.param("500", [50], id="50 itself"),
        pytest.param("800", [50, 80], id="80 itself, and 50 on the way"),
        pytest.param("999.99", [50, 80, 90], id="just below 100"),
        pytest.param("1100", [50, 80, 90, 100], id="over it"),
    ],
)
def test_milestones_on_the_way_are_told_at_once(spend: str, reached: list[int]) -> None:
    told = [each for each in changes(take(of(spend), cap(), day=9.5)[0]) if "milestone" in each]
    assert told == [f"+milestone_reached{pct}" for pct in reached]


def test_a_signal_of_an_account_says_so_with_its_figures() -> None:
    events, _ = take(of(600, 1400), cap(), day=4)
    raised = {event.body["kind"]: event.body for event in events if event.kind == "alert_raised"}
    assert {body["scope"] for body in raised.values()} == {"account"}
    assert {(body["scope_id"], body["account_id"], body["campaign_id"]) for body in raised.values()} == {
        ("acme", "acme", None)
    }
    # 4 d + 400 / 800 x 6 d = 7 d.
    assert raised["exhaustion_projected"]["evidence"] == {
        "projected_exhaustion_at": "2026-07-08T00:00:00Z",
        "dark_days": 3.0,
        "projected_spend": "1400.00",
        "projection_method": None,
    }
    message = "Account acme is projected to use up its budget at 2026-07-08T00:00:00Z, 3.0 days before the end."
    assert raised["exhaustion_projected"]["message"] == message
    assert raised["ahead_of_period"]["evidence"] == {"budget_used_pct": 60.0, "elapsed_pct": 40.0, "ahead_pp": 20.0}
    assert (
        raised["milestone_reached"]["message"] == "Account acme has reached 50 % of its budget: 600.00 of 1000.00 EUR."
    )


# -- life ------------------------------------------------------------------------------------------------------------


def test_each_is_raised_and_cleared_once_through_restarts() -> None:
    plan = cap()
    events, state = take(of(950, 2000), plan, day=5)
    assert changes(events) == [*(f"+{kind}" for kind in LASTING), *(f"+milestone_reached{pct}" for pct in (50, 80, 90))]
    raised = [event.body["alert_id"] for event in events if event.kind == "alert_raised"]
    assert len(set(raised)) == 6
    events, state = take(of(950, 2000), plan, read_again(state), day=5.1)
    assert changes(events) == ["-milestone_reached"] * 3
    assert [event.body["alert_id"] for event in events if event.kind == "alert_cleared"] == raised[3:]
    events, state = take(of(950, 2000), plan, read_again(state), day=5.2)
    assert changes(events) == []
    events, state = take(of(520, 900), plan, read_again(state), day=5.3)
    assert changes(events) == [f"-{kind}" for kind in LASTING]
    assert [event.body["alert_id"] for event in events if event.kind == "alert_cleared"] == raised[:3]
    assert changes(take(of(520, 900), plan, state, day=5.4)[0]) == []


def test_a_milestone_is_told_once_a_window_whatever_is_credited_or_added() -> None:
    plan = cap(period="weekly", flight_end="2026-07-31")
    _, state = take(of(500), plan, day=4)
    _, state = take(of(100), plan, read_again(state), day=4.1)
    assert state.milestones == 1
    assert changes(take(of(500), plan, read_again(state), day=4.2)[0]) == []
    more = cap(period="weekly", flight_end="2026-07-31", total_budget=2000)
    events, after = take(of(1600), more, state, day=4.3)
    assert [each for each in changes(events) if "milestone" in each] == ["+milestone_reached80"]
    events, after = take(of(1000), more, after, day=12)
    told = [each for each in changes(events) if "milestone" in each]
    assert told == ["-milestone_reached", "+milestone_reached50"], "the next week"
    assert after.milestones == 1


def test_half_a_tick_raises_and_clears_none() -> None:
    events, state = take(of(950, 2000), cap(), complete=False)
    assert (changes(events), state) == ([], AccountState())
    _, state = take(of(950, 2000), cap())
    events, after = take(of(0, 0), cap(), state, day=6, complete=False)
    assert (changes(events), after) == ([], state)


def test_an_account_without_an_active_campaign_raises_milestones_alone_and_goes_on_with_what_is_up() -> None:
    paused = of(950, 2000, is_active=False)
    assert changes(take(paused, cap())[0]) == [f"+milestone_reached{pct}" for pct in (50, 80, 90)]
    _, state = take(of(950, 2000), cap())
    events, state = take(paused, cap(), state, day=5.1)
    assert changes(events) == ["-milestone_reached"] * 3
    assert up(state) == list(LASTING)
    assert changes(take(of(500, 900, is_active=False), cap(), state, day=5.2)[0]) == [f"-{kind}" for kind in LASTING]


def test_in_the_days_of_grace_only_exhaustion_and_milestones_are_told() -> None:
    plan = cap(thresholds={"grace_days": 6})
    assert changes(take(of(950, 2000), plan, day=5.9)[0])[:1] == ["+exhaustion_projected"]
    assert changes(take(of(950, 2000), plan, day=6)[0])[:3] == [f"+{kind}" for kind in LASTING]


@pytest.mark.parametrize("kind", ["over_budget", "milestone_reached", *LASTING])
def test_each_signal_of_a_cap_has_a_switch_of_its_own(kind: str) -> None:
    everything = changes(take(of(1200, 2000), cap(), day=4)[0])
    assert {each.strip("+0123456789") for each in everything} == {"over_budget", "milestone_reached", *LASTING}
    quiet = cap(signals={kind: False})
    events, state = take(of(1200, 2000), quiet, day=4)
    assert changes(events) == [each for each in everything if not each.startswith(f"+{kind}")]
    # What was up is cleared once it is switched off, and what is switched on again is told.
    _, loud = take(of(1200, 2000), cap(), day=4)
    assert set(changes(take(of(1200, 2000), quiet, loud, day=4.1)[0])) >= {f"-{kind}"}
    assert set(changes(take(of(1200, 2000), cap(), state, day=4.1)[0])) >= {
        each for each in everything if each.startswith(f"+{kind}")
    }


def test_without_a_cap_an_account_has_over_budget_alone() -> None:
    events, state = take(of(2 * 10**6, 3 * 10**6))
    assert (changes(events), state.milestones, state.spent_at) == (["+over_budget"], 0, None)


@pytest.mark.parametrize(
    ("plan", "day"),
    [(cap(), 10), (None, 6), (cap(flight_end="2026-07-31", total_budget=10**5), 6)],
    ids=["after its flight", "taken away", "another window"],
)
def test_what_is_up_and_remembered_ends_with_the_window(plan: Plan | None, day: int) -> None:
    _, state = take(of(1200, 2000), cap())
    assert up(state, "over_budget", *LASTING) == ["over_budget", *LASTING]
    events, after = take(of(0, 0, end=END + 20 * DAY), plan, read_again(state), day=day)
    assert changes(events) == [f"-{kind}" for kind in up(state)]
    assert (after.alerts, after.milestones, after.spent_at) == ({}, 0, None)
    assert not after.is_kept or after.life is not None


def test_a_record_of_before_these_signals_still_reads() -> None:
    _, state = take(of(1200), cap())
    alert = msgspec.to_builtins(state)["raised"]
    window = {"start": START, "end": END}
    old = msgspec.json.encode({"life": None, "raised": alert, "window": window})
    read = msgspec.json.decode(old, type=AccountState)
    assert read == AccountState(None, state.raised, Flight(START, END))
    events, after = take(of(1010), cap(), read, day=9.5)
    assert changes(events) == [f"+milestone_reached{pct}" for pct in (50, 80, 90, 100)], "over_budget is not told again"
    assert after.raised == state.raised


def test_what_is_written_only_grows() -> None:
    assert list(AccountState.__struct_fields__) == ["life", "raised", "window", "alerts", "milestones", "spent_at"]
    _, state = take(of(1000), cap(), day=9.5)
    written = msgspec.json.decode(msgspec.json.encode(state))
    alerts = written.pop("alerts")
    assert list(alerts) == [f"milestone_reached\0account\0acme\0{pct}" for pct in (50, 80, 90, 100)]
    assert written == {
        "life": None,
        "raised": None,
        "window": {"start": START, "end": END},
        "milestones": 4,
        "spent_at": parse_time("2026-07-10T12:00:00Z"),
    }


# -- the oracle ------------------------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """What a tick is about, in nanos and nanoseconds from the window's start."""

    at: int
    spend: int
    projected: Fraction | None
    is_active: bool
    complete: bool
    restarts: bool


class Book:
    """The same in fractions, written apart: what runs out when, and which signals are up."""

    def __init__(self, budget: int, grace: int) -> None:
        self.budget, self.grace = Fraction(budget), grace
        self.up: set[str] = set()
        self.told: set[int] = set()
        self.fresh: set[int] = set()
        self.spent: int | None = None

    def runs_out(self, seen: Seen) -> int | None:
        if seen.spend >= self.budget:
            return seen.at if self.spent is None else self.spent
        if seen.projected is None or seen.projected <= self.budget:
            return None
        slope = Fraction(seen.projected - seen.spend, 10 * DAY - seen.at)
        first = ceil(seen.at + (self.budget - seen.spend) / slope)
        assert first == 10 * DAY or seen.spend + slope * (first - seen.at) >= self.budget
        assert seen.spend + slope * (first - 1 - seen.at) < self.budget
        return None if first == 10 * DAY else first

    def changes(self, seen: Seen) -> tuple[int | None, set[str]]:
        """When the cap runs out, and what is raised and cleared."""
        out = self.runs_out(seen)
        if not seen.complete:
            return out, set()
        used, gone = seen.spend / self.budget, Fraction(seen.at, 10 * DAY)
        holds = {
            "over_budget": used > 1,
            "budget_used_before_period": used > Fraction(9, 10) and gone < Fraction(8, 10),
            "ahead_of_period": used - gone > Fraction(1, 10),
            "exhaustion_projected": out is not None and 10 * DAY - out > DAY,
        }
        may_come = {
            "over_budget": True,
            "budget_used_before_period": seen.is_active and seen.at >= self.grace,
            "ahead_of_period": seen.is_active and seen.at >= self.grace,
            "exhaustion_projected": seen.is_active and (used >= 1 or seen.at >= DAY),
        }
        now = {kind for kind in holds if holds[kind] and (kind in self.up or may_come[kind])}
        fresh = {pct for pct in (50, 80, 90, 100) if used >= Fraction(pct, 100)} - self.told
        told = {f"+{kind}" for kind in now - self.up} | {f"-{kind}" for kind in self.up - now}
        told |= {f"+milestone_reached{pct}" for pct in fresh} | ({"-milestone_reached"} if self.fresh else set())
        self.up, self.fresh, self.told = now, fresh, self.told | fresh
        self.spent = out if used >= 1 else None
        return out, told


ticks = st.builds(
    Seen,
    st.integers(0, 10 * DAY - 1) | st.sampled_from([DAY - 1, DAY, 8 * DAY, 10 * DAY - 1, 10 * DAY - 2]),
    st.integers(-200, 1200).map(lambda money: money * NANOS) | st.integers(0, 1200 * NANOS),
    st.none() | st.builds(Fraction, st.integers(0, 4000 * NANOS), st.just(1) | st.integers(1, 10**6)),
    st.booleans(),
    st.integers(0, 4).map(bool),
    st.booleans(),
)


@given(
    st.lists(ticks, min_size=1, max_size=8),
    st.integers(1, 1500) | st.sampled_from([1000, 500]),
    st.sampled_from([0, 2, 5]),
)
@example([Seen(10 * DAY - 2, 0, Fraction(1000 * NANOS + 1), True, True, False)], 1000, 0)
def test_an_account_under_a_cap_is_as_the_book_says(seen: list[Seen], budget: int, grace: int) -> None:
    plan, book = cap(total_budget=budget, thresholds={"grace_days": grace}), Book(budget * NANOS, grace * DAY)
    state = AccountState()
    for drawn in sorted(seen, key=lambda each: each.at):
        # A projection is of what is spent and more.
        final = None if drawn.projected is None else drawn.projected + drawn.spend
        each = drawn._replace(projected=final)
        sums = Sums()
        projected = None if final is None else final.as_integer_ratio()
        sums.add(Child(*KEY, each.is_active, (10**15, 1), each.spend, (1, 1), Flight(START, END), projected, None))
        before = read_again(state) if each.restarts else state
        events, state = take_account_tick(KEY, sums, plan, before, as_of=START + each.at, complete=each.complete)
        out, told = book.changes(each)
        body = snapshot(events)
        at = body["projected_exhaustion_at"]
        assert (None if at is None else parse_time(at) - START) == out
        assert body["dark_days"] == (None if out is None else float(round(Fraction(10 * DAY - out, DAY), 4)))
        assert set(changes(events)) == told
        cleared = [event.body["alert_id"] for event in events if event.kind == "alert_cleared"]
        assert len(cleared) == len(set(cleared))


def test_every_lasting_kind_is_in_the_book() -> None:
    # A draw that never raised them would hold nothing.
    book = Book(1000 * NANOS, 0)
    _, told = book.changes(Seen(DAY, 1001 * NANOS, None, True, True, False))
    assert told >= {f"+{kind}" for kind in ("over_budget", *LASTING)}
