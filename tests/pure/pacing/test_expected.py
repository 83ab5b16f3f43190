"""Expected spend: its laws, the three ways a change of the plan bends it, and worked examples."""

from __future__ import annotations

from fractions import Fraction
from math import gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import NANOS, parse_time
from worker.pacing.amounts import currency_of
from worker.pacing.curves import elapsed
from worker.pacing.expected import Bend, Course, planned
from worker.pacing.plan import Flight, Policy

UNIT = st.integers(0, 10**15)
START = st.integers(-100, 100)
LENGTH = st.integers(1, 200)
INSTANT = st.integers(-200, 500)
POLICY: st.SearchStrategy[Policy] = st.sampled_from(["forward", "reflow", "rebase"])


def never(instant: int) -> int:
    raise AssertionError(f"asked for the spend at {instant}")


@st.composite
def courses(draw: st.DrawFn) -> Course:
    """A first plan and up to four changes of it, in the order of their time."""
    flight = Flight(start := draw(START), start + draw(LENGTH))
    course = Course((Bend(draw(UNIT), flight, 0, "reflow"),))
    for since in sorted(draw(st.lists(INSTANT, max_size=4))):
        flight = Flight(start := draw(START), start + draw(LENGTH))
        course = course.bent(Bend(draw(UNIT), flight, since, draw(POLICY)))
    return course


SPENT = st.integers(-(10**15), 2 * 10**15)


@given(course=courses(), spent=SPENT, first=INSTANT, second=INSTANT)
def test_between_changes_it_only_moves_towards_the_budget(course: Course, spent: int, first: int, second: int) -> None:
    """It rises, unless more was spent by a rebase, or expected by a cut, than the budget is: then it is the budget."""
    since = course.bends[-1].since if len(course.bends) > 1 else -1000
    early, late = sorted((max(first, since), max(second, since)))
    assert Fraction(*course.by(early, lambda _: spent)) <= Fraction(*course.by(late, lambda _: spent))


@given(course=courses(), spent=SPENT, at=INSTANT)
def test_it_is_within_the_budget(course: Course, spent: int, at: int) -> None:
    last = course.bends[-1]
    if at >= last.since or len(course.bends) == 1:
        assert 0 <= Fraction(*course.by(at, lambda _: spent)) <= last.budget


@given(course=courses(), spent=SPENT)
def test_at_the_end_it_is_the_whole_budget(course: Course, spent: int) -> None:
    last = course.bends[-1]
    assert Fraction(*course.by(max(last.flight.end, last.since), lambda _: spent)) == last.budget


@given(budget=UNIT, start=START, length=LENGTH, at=st.integers(-300, 0))
def test_before_the_start_it_is_nothing(budget: int, start: int, length: int, at: int) -> None:
    assert planned(budget, Flight(start, start + length), None, start + at)[0] == 0


@given(course=courses(), spent=SPENT, at=INSTANT)
def test_a_denominator_is_positive(course: Course, spent: int, at: int) -> None:
    assert course.by(at, lambda _: spent)[1] > 0


@given(course=courses(), spent=SPENT)
def test_a_forward_change_leaves_its_instant_alone_unless_clamped(course: Course, spent: int) -> None:
    last = course.bends[-1]
    before = Fraction(*Course(course.bends[:-1]).by(last.since, lambda _: spent)) if len(course.bends) > 1 else None
    if before is not None and last.policy == "forward" and last.since < last.flight.end:
        assert Fraction(*course.by(last.since, lambda _: spent)) == min(before, last.budget)


@given(parts=st.lists(UNIT, min_size=1, max_size=5), at=INSTANT, more=st.lists(UNIT, min_size=5, max_size=5))
def test_parts_that_add_up_to_the_whole_are_expected_to(parts: list[int], at: int, more: list[int]) -> None:
    """Of linear plans and of plans raised under `forward` or `reflow`: roll-up adds up."""
    flight = Flight(0, 200)
    raises = [part + extra for part, extra in zip(parts, more, strict=False)]
    for policy in ("forward", "reflow"):
        whole = Course((Bend(sum(parts), flight, 0, "reflow"), Bend(sum(raises), flight, 50, policy)))
        pieces = [
            Course((Bend(part, flight, 0, "reflow"), Bend(raised, flight, 50, policy)))
            for part, raised in zip(parts, raises, strict=True)
        ]
        assert sum(Fraction(*piece.by(at, never)) for piece in pieces) == Fraction(*whole.by(at, never))


def bent(policy: Policy, budget: int, since: int = 50, *, end: int = 100) -> Course:
    """1,000 over [0, 100), changed at *since*."""
    return Course((Bend(1000, Flight(0, 100), 0, "reflow"),)).bent(Bend(budget, Flight(0, end), since, policy))


@pytest.mark.parametrize(
    ("policy", "budget", "spent", "at", "expected"),
    [
        pytest.param("forward", 2000, 0, 75, 1250, id="forward, raised: 500 + (2000 - 500) x 25/50"),
        pytest.param("forward", 600, 0, 75, 550, id="forward, cut: 500 + (600 - 500) x 25/50"),
        pytest.param("forward", 400, 0, 50, 400, id="forward, cut below what was expected: the budget at once"),
        pytest.param("forward", 400, 0, 75, 400, id="forward, cut below what was expected: the budget to the end"),
        pytest.param("forward", 2000, 0, 25, 250, id="forward, asked for a time before the change: as it was"),
        pytest.param("forward", 2000, 0, 49, 490, id="forward, just before the change: as it was"),
        pytest.param("reflow", 2000, 0, 75, 1500, id="reflow: 2000 x 75/100"),
        pytest.param("reflow", 2000, 0, 25, 500, id="reflow, asked for a time before the change: 2000 x 25/100"),
        pytest.param("rebase", 2000, 300, 75, 1150, id="rebase: 300 + (2000 - 300) x 25/50"),
        pytest.param("rebase", 2000, 300, 50, 300, id="rebase, at the change: what was spent"),
        pytest.param("rebase", 2000, 300, 49, 490, id="rebase, just before the change: as it was"),
        pytest.param("rebase", 2000, 2500, 75, 2000, id="rebase, overspent: the budget"),
        pytest.param("rebase", 2000, -500, 55, 0, id="rebase from a net credit: -500 + 2500 x 5/50 is below 0"),
        pytest.param("rebase", 2000, -500, 75, 750, id="rebase from a net credit: -500 + 2500 x 25/50"),
    ],
)
def test_a_change_at_50_of_100(policy: Policy, budget: int, spent: int, at: int, expected: int) -> None:
    def spent_by(instant: int) -> int:
        assert instant == 50
        return spent

    assert Fraction(*bent(policy, budget).by(at, spent_by)) == expected


@pytest.mark.parametrize("policy", ["forward", "reflow", "rebase"])
@pytest.mark.parametrize("since", [100, 130])
def test_a_change_when_all_is_elapsed_is_the_new_budget(policy: Policy, since: int) -> None:
    assert Fraction(*bent(policy, 1700, since).by(since, lambda _: 3)) == 1700


def test_a_change_before_the_flight_spreads_the_new_budget_over_all_of_it() -> None:
    course = Course((Bend(1000, Flight(100, 200), 0, "reflow"), Bend(500, Flight(100, 200), 20, "forward")))
    assert Fraction(*course.by(150, never)) == 250


def test_a_longer_flight_bends_as_more_budget_does() -> None:
    assert Fraction(*bent("forward", 1000, end=150).by(100, never)) == 500 + Fraction(500 * 50, 100)


def test_a_forward_after_a_rebase_starts_from_what_was_spent() -> None:
    course = bent("rebase", 2000).bent(Bend(3000, Flight(0, 100), 75, "forward"))
    # 300 spent by 50; 300 + 1700 / 2 = 1150 expected by 75; then half of the other 1850 by 87.5.
    assert Fraction(*course.by(80, lambda instant: {50: 300}[instant])) == 1150 + Fraction(1850 * 5, 25)


def test_forwards_after_a_rebase_follow_each_other() -> None:
    flight = Flight(0, 100)
    course = bent("rebase", 2000).bent(Bend(3000, flight, 60, "forward")).bent(Bend(1000, flight, 80, "forward"))
    at_60 = 300 + Fraction(1700 * 10, 50)
    at_80 = at_60 + (3000 - at_60) * Fraction(20, 40)
    assert at_80 > 1000
    assert Fraction(*course.by(90, lambda instant: {50: 300}[instant])) == 1000
    assert Fraction(*course.by(79, lambda instant: {50: 300}[instant])) == at_60 + (3000 - at_60) * Fraction(19, 40)


def test_what_was_before_a_reflow_is_forgotten() -> None:
    assert bent("reflow", 2000).bends == (Bend(2000, Flight(0, 100), 50, "reflow"),)


def test_an_anchor_is_kept_in_lowest_terms() -> None:
    course = bent("forward", 2000).bent(Bend(2500, Flight(0, 100), 75, "forward"))
    anchors = [piece.anchor for piece in course._pieces]
    assert [gcd(*anchor) for anchor in anchors if anchor] == [1, 1, 1]
    assert anchors == [(0, 1), (500, 1), (1250, 1)]


@pytest.mark.parametrize(
    ("at", "passed"),
    [(99, 0), (100, 0), (101, 1), (199, 99), (200, 100), (201, 100)],
)
def test_a_flight_elapses_from_its_start_to_its_end(at: int, passed: int) -> None:
    assert elapsed(Flight(100, 200), at) == passed


@pytest.mark.parametrize(
    ("budget", "start", "end", "at", "expected"),
    [
        pytest.param(150_000, "2026-07-01", "2026-09-30", "2026-08-15", "74175.82", id="IAB, times: 150000 x 45/91"),
        pytest.param(150_000, "2026-07-01", "2026-10-01", "2026-08-15", "73369.57", id="IAB, dates: 150000 x 45/92"),
        pytest.param(60_000, "2026-04-01", "2026-05-01", "2026-04-19", "36000.00", id="StackAdapt: 60000 x 18/30"),
        pytest.param(20_000, "2026-04-01", "2026-05-01", "2026-04-23", "14666.67", id="AdRoll: 20000 x 22/30"),
        pytest.param(30_000, "2026-04-01", "2026-05-01", "2026-04-19", "18000.00", id="Criteo: 30000 x 18/30"),
    ],
)
def test_worked_examples(budget: int, start: str, end: str, at: str, expected: str) -> None:
    instants = [parse_time(f"{day}T00:00:00Z") for day in (start, end, at)]
    flight = Flight(instants[0], instants[1])
    assert currency_of(2).derived(*planned(budget * NANOS, flight, None, instants[2])) == expected
