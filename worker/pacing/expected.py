"""
What a scope is expected to have spent by an instant, after every change of its plan.

The law of this file: **exact**. A figure is a pair of integers (numerator, denominator > 0); nothing is rounded here.

A scope is the campaign, one of its channels or one of its deals. A channel follows the campaign's flight, a deal its
own where it has one. Each version of the plan that changes a scope's budget or flight bends its course by the
version's policy (contract, rule 1; field definition 6). Three readings that the contract leaves open:

- a version that changes neither budget nor flight of a scope does not bend that scope, so that new thresholds never
  re-anchor a `rebase`;
- a scope that a later version adds had a budget of 0 before: under `forward` nothing is expected of it by the moment
  it is added, all of it by the end. One that a version leaves out has no course; added again, it begins again;
- the course before a change (asked for when the feed lags) is the old one, but under `reflow` the new: "B2 C(t)".
"""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import NamedTuple

from worker.pacing.plan import Flight, Policy

Ratio = tuple[int, int]
"""A rational number as (numerator, denominator), the denominator positive."""

SpentBy = Callable[[int], int]
"""The nanos a scope has spent with event_time <= the instant."""

_FROM_NOTHING: Ratio = (0, 1)


def elapsed(flight: Flight, as_of: int) -> int:
    """
    The nanoseconds of the flight that have passed: none before it, its whole length after it.

    >>> elapsed(Flight(100, 200), 130), elapsed(Flight(100, 200), 5), elapsed(Flight(100, 200), 200)
    (30, 0, 100)
    """
    if as_of <= flight.start:
        return 0
    return min(as_of, flight.end) - flight.start


def planned(budget: int, flight: Flight, as_of: int) -> Ratio:
    """
    The expected spend of a linear plan that was never changed, in nanos: B C(t), C(t) the elapsed share of the flight.

    Zero before the flight and the whole budget after it, so that a finished campaign is judged by what it was given.
    Source: field definitions 1 and 2.

    >>> planned(1000, Flight(0, 90), 45)
    (45000, 90)
    """
    # elapsed(), written out: every scope of every tick passes here.
    start, end = flight.start, flight.end
    return budget * (0 if as_of <= start else min(as_of, end) - start), end - start


class Bend(NamedTuple):
    """
    One change of a scope's budget or flight, from when it counts, and the policy that bends the course there.

    The first of a course is a `reflow`: B C(t) over the whole flight, whatever *since* says.
    """

    budget: int
    flight: Flight
    since: int
    policy: Policy


class Course:
    """
    The expected spend of one scope through all its bends, the oldest first.

        first version, reflow   B C(t)
        forward                 E1(tc) + (B2 - E1(tc)) (C(t) - C(tc)) / (1 - C(tc))
        rebase                  the same from S(tc), what was spent by then

    Clamped to [0, B2]; B2 where C(tc) = 1. All four are one formula: from an anchor at *gone* of the flight, what is
    left of the budget over what is left of the flight; a reflow is anchored at 0 before the flight.
    """

    __slots__ = ("_anchors", "bends")

    def __init__(self, bends: tuple[Bend, ...]) -> None:
        self.bends = bends
        self._anchors: list[Ratio | None] = []
        for piece in range(len(bends)):
            self._anchors.append(self._fixed_anchor(piece))

    def bent(self, bend: Bend) -> Course:
        """The course with one more bend; what was before a reflow is forgotten."""
        return Course((bend,) if bend.policy == "reflow" else (*self.bends, bend))

    def by(self, as_of: int, spent_by: SpentBy) -> Ratio:
        """
        The expected spend at *as_of*, in nanos.

        >>> course = Course((Bend(1000, Flight(0, 100), 0, "reflow"), Bend(2000, Flight(0, 100), 50, "forward")))
        >>> course.by(75, lambda instant: 0)  # 500 by the change, then half of the other 1500
        (6250000, 5000)
        """
        piece = len(self.bends) - 1
        while piece and as_of < self.bends[piece].since:
            piece -= 1
        anchor = self._anchors[piece] or self._anchor(piece, spent_by)
        return _from_anchor(anchor, self.bends[piece], as_of)

    def _anchor(self, piece: int, spent_by: SpentBy) -> Ratio:
        """What had to be spent by the start of the piece: known, or asked for and carried forward."""
        known = piece
        while self._anchors[known] is None and self.bends[known].policy != "rebase":
            known -= 1
        anchor = self._anchors[known] or (spent_by(self.bends[known].since), 1)
        for earlier in range(known, piece):
            anchor = _from_anchor(anchor, self.bends[earlier], self.bends[earlier + 1].since)
        return anchor

    def _fixed_anchor(self, piece: int) -> Ratio | None:
        """The anchor that no late spend can move; None where the piece starts, or comes down, from a rebase."""
        bend = self.bends[piece]
        if bend.policy == "reflow":
            return _FROM_NOTHING
        before = self._anchors[piece - 1]
        if bend.policy == "rebase" or before is None:
            return None
        return _reduced(*_from_anchor(before, self.bends[piece - 1], bend.since))


def _reduced(num: int, den: int) -> Ratio:
    """The same in lowest terms, since every further bend multiplies the denominator."""
    common = gcd(num, den)
    return num // common, den // common


def _from_anchor(anchor: Ratio, bend: Bend, as_of: int) -> Ratio:
    """A + (B - A) (C(t) - C(tc)) / (1 - C(tc)), clamped to [0, B]; B where C(tc) = 1."""
    flight, budget = bend.flight, bend.budget
    gone = 0 if bend.policy == "reflow" else elapsed(flight, bend.since)
    left = flight.end - flight.start - gone
    if left == 0:
        return budget, 1
    start, scale = anchor
    num = start * left + (budget * scale - start) * (elapsed(flight, as_of) - gone)
    return max(0, min(num, budget * scale * left)), scale * left
