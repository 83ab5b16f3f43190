"""Versions of a plan: which one is in force, how they are numbered, what is kept of them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.pacing import Deal, Flight, Plan, PlanHistory, plan_cuts
from worker.pacing.expected import Bend
from worker.pacing.plan import Calendar, Channel, Curve, Policy, Reallocation, Segment, Thresholds

Json = dict[str, Any]
TEN = 10 * 10**9

THRESHOLDS = Thresholds(
    underpacing_warning_pct=TEN,
    underpacing_critical_pct=2 * TEN,
    overpacing_warning_pct=TEN,
    overpacing_critical_pct=2 * TEN,
    exit_ratio=800_000_000,
    enter_ticks=1,
    exit_ticks=1,
    grace=0,
    min_expected=0,
    feed_lag=0,
)


def plan(budget: int = 1000, **changes: Any) -> Plan:
    """A plan of [0, 100)."""
    made = Plan(
        campaign_id="c-1",
        account_id="a-1",
        name=None,
        currency="USD",
        minor_digits=2,
        timezone="UTC",
        total_budget=budget,
        flight=Flight(0, 100),
        channels=(),
        deals=(),
        thresholds=THRESHOLDS,
        reallocation=Reallocation(100, 30),
        automation="recommendations",
        budget_change_policy="forward",
        status="active",
        silenced=(),
        effective_at=None,
    )
    return msgspec.structs.replace(made, **changes)


def history(*versions: tuple[Plan, int]) -> PlanHistory:
    made = PlanHistory()
    for version, counts_from in versions:
        made = made.with_version(version, counts_from)
    return made


def number_at(history: PlanHistory, as_of: int) -> int:
    version = history.in_force(as_of)
    assert version is not None
    return version.version


def test_without_a_plan_none_is_in_force() -> None:
    assert PlanHistory().in_force(5) is None
    assert PlanHistory().latest is None
    assert plan_cuts(PlanHistory()) == ()


def test_the_first_version_counts_from_ever() -> None:
    made = history((plan(), 50))
    assert made.versions[0].counts_from is None
    assert number_at(made, -10) == 1


def test_a_first_version_that_says_from_when_it_counts_is_not_in_force_before() -> None:
    made = history((plan(effective_at=50), 50))
    assert made.in_force(49) is None
    assert number_at(made, 50) == 1


def test_a_plan_taken_back_before_it_counted_can_still_end() -> None:
    assert number_at(history((plan(effective_at=50), 50)).as_ended(), 49) == 1


def test_a_version_is_in_force_from_the_instant_it_counts() -> None:
    made = history((plan(), 0), (plan(2000), 50))
    assert [number_at(made, at) for at in (49, 50, 51)] == [1, 2, 2]


def test_of_versions_that_count_from_the_same_instant_the_later_accepted_is_in_force() -> None:
    made = history((plan(), 0), (plan(2000), 50), (plan(3000), 50))
    assert number_at(made, 50) == 3


def test_a_version_accepted_later_may_count_earlier() -> None:
    made = history((plan(), 0), (plan(2000), 60), (plan(3000), 40))
    assert [number_at(made, at) for at in (39, 40, 59, 60)] == [1, 3, 3, 2]
    assert made.latest == plan(3000)


def test_a_version_that_was_never_in_force_bends_nothing() -> None:
    between = history((plan(), 0), (plan(9000, budget_change_policy="reflow"), 50), (plan(2000), 50))
    without = history((plan(), 0), (plan(2000), 50))
    assert courses(between, 70) == courses(without, 70)


def test_a_plan_that_was_never_changed_has_no_bent_courses() -> None:
    assert history((plan(), 0)).courses(70) is None


def courses(made: PlanHistory, as_of: int) -> dict[tuple[str, str], tuple[Bend, ...]]:
    return {key: course.bends for key, course in (made.courses(as_of) or {}).items()}


@pytest.mark.parametrize(
    "change",
    [
        {"status": "paused"},
        {"name": "Summer"},
        {"thresholds": msgspec.structs.replace(THRESHOLDS, enter_ticks=3)},
        {"budget_change_policy": "rebase"},
        {"channels": (Channel("ctv", 600, 100),)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_change_of_neither_budget_nor_flight_does_not_bend(change: Json) -> None:
    first = plan(channels=(Channel("ctv", 600),))
    made = history((first, 0), (msgspec.structs.replace(first, **change), 50))
    assert all(len(bends) == 1 for bends in courses(made, 70).values())


CURVED: Json = {"curve": Curve("loaded", 500_000_000)}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(CURVED, id="a curve"),
        pytest.param({"calendar": Calendar(blackouts=(Flight(10, 20),))}, id="a blackout"),
        pytest.param({"calendar": Calendar("UTC", (1, 2, 1, 1, 1, 1, 1))}, id="weights"),
    ],
)
def test_a_change_of_the_shape_bends_every_scope_that_follows_it(change: Json) -> None:
    deals = (Deal("of-ctv", "ctv", 1), Deal("of-audio", "audio", 1), Deal("of-none", None, 1))
    channels = (Channel("ctv", 600), Channel("audio", 400, 0, Curve("finish_early", TEN)))
    first = plan(channels=channels, deals=deals)
    bends = courses(history((first, 0), (msgspec.structs.replace(first, **change), 50)), 70)
    follows = 1 if "curve" in change else 2
    assert {name: len(found) for (_, name), found in bends.items()} == {
        "c-1": 2, "ctv": 2, "audio": follows, "of-ctv": 2, "of-audio": follows, "of-none": 2,
    }  # fmt: skip


def test_a_change_of_curve_bends_from_what_was_expected_by_then() -> None:
    found = history((plan(), 0), (plan(**CURVED), 50)).courses(75)
    assert found is not None
    # Linear until 50; then the rest in the proportion of the new curve, which is at 5/8 by 50 and at 27/32 by 75.
    late = 500 + 500 * (Fraction(27, 32) - Fraction(5, 8)) / (1 - Fraction(5, 8))
    assert Fraction(*found["campaign", "c-1"].by(75, lambda _: 0)) == late


def test_a_curve_that_has_reached_all_by_the_change_expects_the_new_budget_at_once() -> None:
    early: Json = {"curve": Curve("finish_early", 4 * TEN)}
    found = history((plan(**early), 0), (plan(2000, **early), 50)).courses(51)
    assert found is not None
    assert Fraction(*found["campaign", "c-1"].by(51, lambda _: 0)) == 2000


def test_the_curves_of_a_version_are_integrated_once() -> None:
    made = history((plan(**CURVED), 0))
    version = made.in_force(10)
    assert version is not None
    assert made.scopes(version) is made.scopes(version)


def test_only_the_scope_that_changed_is_bent() -> None:
    first = plan(channels=(Channel("ctv", 600), Channel("audio", 400)))
    second = plan(channels=(Channel("ctv", 500), Channel("audio", 400)))
    bends = courses(history((first, 0), (second, 50)), 70)
    assert {name: len(found) for (_, name), found in bends.items()} == {"c-1": 1, "ctv": 2, "audio": 1}


def test_a_new_flight_bends_every_scope_that_follows_it() -> None:
    deals = (Deal("own", None, 100, Flight(10, 20)), Deal("follows", None, 100))
    first = plan(channels=(Channel("ctv", 600),), deals=deals)
    made = history((first, 0), (msgspec.structs.replace(first, flight=Flight(0, 200)), 50))
    assert {name: len(found) for (_, name), found in courses(made, 70).items()} == {
        "c-1": 2, "ctv": 2, "own": 1, "follows": 2,
    }  # fmt: skip


def test_a_scope_added_in_flight_begins_from_a_budget_of_nothing() -> None:
    made = history((plan(), 0), (plan(channels=(Channel("ctv", 600),)), 50))
    found = made.courses(75)
    assert found is not None
    assert Fraction(*found["channel", "ctv"].by(75, lambda _: 0)) == 300
    assert found["channel", "ctv"].by(50, lambda _: 0)[0] == 0


def test_a_scope_left_out_and_added_again_begins_again() -> None:
    with_ctv = plan(channels=(Channel("ctv", 600),))
    made = history((with_ctv, 0), (plan(), 20), (with_ctv, 50))
    found = made.courses(75)
    assert found is not None
    assert [bend.budget for bend in found["channel", "ctv"].bends] == [0, 600]
    assert ("channel", "ctv") not in courses(made, 30)


POLICY = st.sampled_from(["forward", "reflow", "rebase"])
SHAPE = st.sampled_from(
    [
        {},
        {},
        CURVED,
        {"curve": Curve("custom", segments=(Segment(0, 1), Segment(30, 10**20)))},
        {"calendar": Calendar("Europe/Berlin", (1, 2, 3, 4, 5, 6, 7), (), (Flight(10, 20),))},
    ]
)
BUDGET = st.sampled_from([500, 1000, 10**21 - 1])
Drawn = list[tuple[int, Policy, Json, int]]
VERSIONS = st.lists(st.tuples(BUDGET, POLICY, SHAPE, st.integers(0, 100)), min_size=1, max_size=6)


def versions_of(drawn: Drawn) -> list[tuple[Plan, int]]:
    return [(plan(budget, budget_change_policy=policy, **shape), counts) for budget, policy, shape, counts in drawn]


@given(drawn=VERSIONS, taken=st.integers(0, 100), later=st.integers(0, 50))
@settings(deadline=None)
def test_what_is_forgotten_is_not_missed(drawn: Drawn, taken: int, later: int) -> None:
    made = history(*versions_of(drawn))
    short = made.forget(taken)
    at = taken + later
    assert short.in_force(at) == made.in_force(at)
    spent = {instant: 7 * instant for instant in range(101)}
    for as_of in (at, at - 30):
        assert expected(short, at, as_of, spent) == expected(made, at, as_of, spent)


def expected(made: PlanHistory, at: int, as_of: int, spent: dict[int, int]) -> object:
    found = made.courses(at)
    if found is None:
        return None
    return Fraction(*found["campaign", "c-1"].by(as_of, spent.__getitem__))


def test_a_plan_sent_again_and_again_does_not_grow_its_record() -> None:
    made = PlanHistory()
    for hour in range(100):
        made = made.with_version(plan(), hour).forget(hour)
    assert len(made.versions) == 1
    assert number_at(made, 99) == 100
    assert all(len(bends) == 1 for bends in courses(made, 99).values())


def test_changes_of_a_budget_are_counted_since_its_record_grows_by_them() -> None:
    made = PlanHistory()
    counts = []
    for day in range(4):
        made = made.with_version(plan(1000 + day, channels=(Channel("ctv", 5),)), day).forget(day)
        counts.append(made.changes)
    assert counts == [0, 1, 2, 3]
    reflowed = made.with_version(plan(7, budget_change_policy="reflow"), 5).forget(5)
    assert reflowed.changes == 0


def test_nothing_to_forget_leaves_the_history_as_it_is() -> None:
    made = history((plan(), 0), (plan(2000), 50))
    assert made.forget(49) is made
    assert PlanHistory().forget(49).versions == ()


@given(drawn=VERSIONS, taken=st.integers(0, 100), ended=st.booleans())
@settings(deadline=None)
def test_a_history_survives_its_record(drawn: Drawn, taken: int, *, ended: bool) -> None:
    made = history(*versions_of(drawn)).forget(taken)
    made = made.as_ended() if ended else made
    record = msgspec.msgpack.encode(made.pack())
    read = PlanHistory.unpack(msgspec.msgpack.decode(record))
    assert read == made
    assert (read.versions, read.accepted, read.ended) == (made.versions, made.accepted, made.ended)
    assert courses(read, 100) == courses(made, 100)
    assert read != made.with_version(plan(7), 100)
    assert read != "a history"


def test_a_record_keeps_everything_of_a_plan() -> None:
    full = plan(
        name="Summer",
        channels=(Channel("ctv", 600, 100),),
        deals=(Deal("d-1", "ctv", 100, Flight(10, 20)), Deal("d-2", None, 5)),
        silenced=("over_budget",),
        effective_at=12,
        curve=Curve("custom", segments=(Segment(0, 1), Segment(30, 2))),
        calendar=Calendar("Europe/Berlin", (1,) * 7, (2,) * 24, (Flight(10, 20),)),
    )
    made = history((full, 0))
    assert PlanHistory.unpack(made.pack()).versions == made.versions


def test_records_of_before_there_were_curves_are_read() -> None:
    thresholds = msgspec.to_builtins(THRESHOLDS)
    written = {
        "campaign_id": "c-1", "account_id": "a-1", "name": None, "currency": "USD", "minor_digits": 2,
        "timezone": "UTC", "total_budget": 1000, "flight": {"start": 0, "end": 100},
        "channels": [{"channel": "ctv", "allocated_budget": 600, "min_budget": 100}], "deals": [],
        "thresholds": thresholds, "reallocation": {"min_amount": 100, "max_pct": 30},
        "automation": "recommendations", "budget_change_policy": "forward", "status": "active", "silenced": [],
        "effective_at": None,
    }  # fmt: skip
    roots = [["campaign", "c-1", [[500, 0, 100, 0, "reflow"], [1000, 0, 100, 50, "forward"]]]]
    read = PlanHistory.unpack([[[written, 2, 50]], 2, False, roots])
    assert read.versions[0].plan == plan(channels=(Channel("ctv", 600, 100),))
    assert courses(read, 70)["campaign", "c-1"] == (
        Bend(500, Flight(0, 100), 0, "reflow"),
        Bend(1000, Flight(0, 100), 50, "forward"),
    )


def test_a_history_of_linear_plans_is_written_as_it_always_was() -> None:
    packed = history((plan(), 0), (plan(2000), 50)).forget(60).pack()
    assert len(packed) == 4
    later = {"curve", "calendar", "recurrence", "projection", "daily_budget", "platform"}
    assert packed[0][0][0].keys() == set(Plan.__struct_fields__) - later
    assert packed[3] == [["campaign", "c-1", [[1000, 0, 100, 0, "reflow"], [2000, 0, 100, 50, "forward"]]]]


def test_after_a_tombstone_the_next_plan_starts_afresh_but_counts_on() -> None:
    made = history((plan(), 0), (plan(2000), 50)).as_ended()
    assert made.ended
    assert made.in_force(60) is not None
    again = made.with_version(plan(3000), 70)
    assert not again.ended
    assert [(v.version, v.counts_from) for v in again.versions] == [(3, None)]
    assert again.courses(80) is None


def test_a_tombstone_keeps_what_was_bent() -> None:
    made = history((plan(), 0), (plan(2000), 50)).forget(60).as_ended()
    assert [bend.budget for bend in courses(made, 70)["campaign", "c-1"]] == [1000, 2000]


def test_cuts_are_where_flights_start_and_end() -> None:
    deals = (Deal("own", None, 100, Flight(10, 20)), Deal("follows", None, 100))
    made = history((plan(deals=deals), 0), (plan(flight=Flight(5, 90)), 50))
    assert plan_cuts(made) == (0, 5, 10, 20, 90, 100)


def test_cuts_are_just_after_a_rebase_since_what_is_spent_at_its_instant_counts() -> None:
    rebase = plan(2000, budget_change_policy="rebase")
    made = history((plan(budget_change_policy="rebase"), 0), (rebase, 50))
    assert plan_cuts(made) == (0, 51, 100)


def test_the_cut_of_a_rebase_outlives_its_plan() -> None:
    rebase = plan(2000, budget_change_policy="rebase")
    made = history((plan(), 0), (rebase, 50), (plan(3000), 60)).forget(70)
    assert len(made.versions) == 1
    assert plan_cuts(made) == (0, 51, 100)


@pytest.mark.parametrize("of", ["flight", "thresholds", "reallocation", "timezone", "currency"])
def test_what_plans_have_in_common_is_one_object(of: str) -> None:
    """Whether they were just read or come from a record."""
    one, other = (history((msgspec.convert(msgspec.to_builtins(plan()), Plan), 0)) for _ in range(2))
    again = PlanHistory.unpack(msgspec.json.decode(msgspec.json.encode(one.pack())))
    parts = [getattr(each.versions[0].plan, of) for each in (one, other, again)]
    assert parts[0] is parts[1] is parts[2]
    assert [each.versions[0].plan for each in (one, other, again)] == [plan()] * 3
