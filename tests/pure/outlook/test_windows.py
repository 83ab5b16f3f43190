"""Which snapshots two periods are compared by."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.fields import NANOS, parse_time
from tests.pure.outlook.making import APRIL, DAY, MARCH, MAY, taken
from worker.outlook.recorded import Recorded, Snapshot
from worker.outlook.windows import Pair, are_alike, current_snapshots, pairs

JUNE = parse_time("2026-06-01T00:00:00Z")
HOUR = 3600 * NANOS


def in_march(at: int, name: str = "c", spend: int = 0, revision: int = 0, start: int = MARCH) -> Snapshot:
    return taken(name, at=at, start=start, end=APRIL, spend=spend, revision=revision)


def only(snapshots: list[Snapshot], as_of: int) -> Pair:
    (pair,) = pairs(Recorded(snapshots), as_of)
    return pair


MARCHS = [in_march(MARCH + hour * HOUR, spend=hour) for hour in range(0, 31 * 24 + 1, 6)]
APRILS = [taken(at=APRIL + hour * HOUR, spend=hour) for hour in range(0, 30 * 24 + 1, 6)]


def test_a_period_stands_beside_the_one_before_at_the_same_elapsed_share() -> None:
    now, then, closed = only(MARCHS + APRILS, APRIL + 18 * DAY)
    assert now == APRILS[18 * 4]
    # 18 of 30 days are 18.6 of 31: the last snapshot by 19 March 14:24 is that of noon.
    assert then == in_march(parse_time("2026-03-19T12:00:00Z"), spend=18 * 24 + 12)
    assert closed == MARCHS[-1]


def test_between_two_ticks_the_last_one_stands() -> None:
    assert only(MARCHS + APRILS, APRIL + 18 * DAY + HOUR).current == APRILS[18 * 4]


def test_at_the_end_of_a_period_it_is_still_the_one_that_is_asked_for() -> None:
    now, then, closed = only(MARCHS + APRILS + [taken(at=MAY, start=MAY, end=JUNE)], MAY)
    assert (now, then, closed) == (APRILS[-1], MARCHS[-1], MARCHS[-1])


def test_a_closing_snapshot_is_found_at_the_first_tick_after_the_end() -> None:
    late = [in_march(MARCH + 30 * DAY, spend=30), in_march(APRIL + 5 * HOUR, spend=31)]
    opening = [taken(at=APRIL + 5 * HOUR), taken(at=APRIL + 6 * HOUR)]
    assert only(late + opening, APRIL + 6 * HOUR).closed == late[1]
    assert current_snapshots(Recorded(late + opening), APRIL)[0] == [late[1]]


def test_of_several_closing_snapshots_the_last_revision_stands() -> None:
    closings = [in_march(APRIL, spend=spend, revision=spend) for spend in (2, 0, 1)]
    assert only([*closings, taken(at=APRIL + DAY)], APRIL + DAY).closed == closings[0]


def test_without_a_snapshot_by_that_point_there_is_none_to_compare_with() -> None:
    late = in_march(APRIL, spend=5)
    assert only([late, taken(at=APRIL + DAY)], APRIL + DAY) == (taken(at=APRIL + DAY), None, late)


def test_the_window_before_the_one_before_is_not_taken_for_it() -> None:
    february = taken(at=MARCH + HOUR, start=parse_time("2026-02-01T00:00:00Z"), end=MARCH)
    late = in_march(MARCH + 20 * DAY, spend=5)
    assert only([february, late, taken(at=APRIL + DAY)], APRIL + DAY).prior is None


def test_a_first_period_stands_alone() -> None:
    assert only([taken(at=APRIL + DAY)], APRIL + DAY) == (taken(at=APRIL + DAY), None, None)


def test_a_month_is_not_compared_with_the_days_of_a_launch() -> None:
    launched = in_march(APRIL, start=parse_time("2026-03-28T00:00:00Z"))
    assert only([launched, taken(at=APRIL + DAY)], APRIL + DAY).closed is None


@pytest.mark.parametrize(
    ("days", "other", "alike"),
    [(31, 28, True), (92, 90, True), (7, 7, True), (30, 26, False), (30, 4, False), (10, 9, True)],
)
def test_periods_are_alike_up_to_a_tenth(days: int, other: int, *, alike: bool) -> None:
    one, two = (taken(at=APRIL, end=APRIL + n * DAY) for n in (days, other))
    assert are_alike(one, two) == are_alike(two, one) == alike


def test_what_ended_where_its_accounts_periods_began_is_told_as_gone() -> None:
    gone = [in_march(MARCH + 18 * DAY, "gone", spend=8), in_march(APRIL, "gone", spend=9)]
    found = pairs(Recorded([*gone, taken("now", at=APRIL + 18 * DAY)]), APRIL + 18 * DAY)
    assert found == [(taken("now", at=APRIL + 18 * DAY), None, None), (None, gone[0], gone[1])]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"account_id": "another"}, id="another account"),
        pytest.param({"currency": "EUR"}, id="another currency"),
        pytest.param({"start": APRIL + DAY, "end": MAY + DAY}, id="a period that began later"),
        pytest.param({"end": APRIL + 7 * DAY}, id="a period of another kind"),
    ],
)
def test_what_ended_before_another_kind_of_period_is_not_told(other: dict[str, Any]) -> None:
    now = taken("now", at=APRIL + 3 * DAY, **other)
    assert pairs(Recorded([in_march(APRIL, "gone"), now]), APRIL + 3 * DAY) == [(now, None, None)]


def test_a_period_that_has_not_begun_is_not_the_current_one() -> None:
    assert pairs(Recorded([taken(at=MARCH), in_march(MARCH, "other")]), MARCH) == []
