"""Spend by days: the same list again only while the days that are over stay as they are."""

from __future__ import annotations

import pytest

from worker.ledger.cells import QUARTER
from worker.ledger.stretches import Stretches

EDGES = tuple(96 * QUARTER * day for day in range(5))
"""Two days that are over, today and tomorrow."""


def stretches() -> Stretches:
    """100 nanos a day that is over, 10 today."""
    return Stretches(
        EDGES, None, EDGES[3], lambda *_: [(EDGES[day], 0, spend) for day, spend in enumerate((100, 100, 10))]
    )


@pytest.mark.parametrize("day", [2, 3], ids=["today", "tomorrow"])
def test_what_comes_for_a_day_that_is_not_over_leaves_the_list(day: int) -> None:
    held = stretches()
    before, was = held.sums, held.sums[day]
    held.add(EDGES[day], 7)
    assert held.sums is before
    assert held.sums[day] == was + 7


@pytest.mark.parametrize("day", [0, 1], ids=["the first", "yesterday"])
def test_what_comes_for_a_day_that_is_over_makes_another_list(day: int) -> None:
    held = stretches()
    before = held.sums
    held.add(EDGES[day] + QUARTER, 7)
    assert before == [100, 100, 10, 0]
    assert held.sums == [100 + 7 * (day == 0), 100 + 7 * (day == 1), 10, 0]


@pytest.mark.parametrize("at", [-1, EDGES[4]], ids=["before", "after"])
def test_what_comes_for_no_day_of_them_changes_nothing(at: int) -> None:
    held = stretches()
    before = held.sums
    held.add(at, 7)
    assert held.sums is before
    assert held.sums == [100, 100, 10, 0]
