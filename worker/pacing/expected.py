"""
What a scope is expected to have spent by an instant, after every change of its plan.

The law of this file: **exact**. A figure is a pair of integers (numerator, denominator > 0); nothing is rounded here.

A scope is the campaign, one of its channels or one of its deals. A channel follows the campaign's flight, a deal its
own where it has one. Each version of the plan that changes a scope's budget, flight, curve or weights bends its course
by the version's policy (contract, rule 1; field definition 6). Three readings that the contract leaves open:

- a version that changes none of these for a scope does not bend that scope, so that new thresholds never re-anchor a
  `rebase`;
- a scope that a later version adds had a budget of 0 before: under `forward` nothing is expected of it by the moment
  it is added, all of it by the end. One that a version leaves out has no course; added again, it begins again;
- the course before a change (asked for when the feed lags) is the old one, but under `reflow` the new: "B2 C(t)".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import gcd
from typing import Final, NamedTuple

from worker.pacing.curves import Shape, Track, track_of
from worker.pacing.density import Ratio
from worker.pacing.plan import Flight, Policy

SpentBy = Callable[[int], int]
"""The nanos a scope has spent with event_time <= the instant."""

_FROM_NOTHING: Ratio = (0, 1)
_EVER: Final = -(1 << 62)


def planned(budget: int, flight: Flight, track: Track | None, as_of: int) -> Ratio:
    """
    The expected spend of a plan that was never changed, in nanos: B C(t), without a *track* of a linear, even plan.

    Zero before the flight and the whole budget after it, so that a finished campaign is judged by what it was given.
    Source: field definitions 1 and 2.

    >>> planned(1000, Flight(0, 90), None, 45)
    (45000, 90)
    """
    if track is not None:
        num, den = track.share(as_of)
        return budget * num, den
    # elapsed(), written out: every scope of every tick passes here.
    start, end = flight.start, flight.end
    return budget * (0 if as_of <= start else min(as_of, end) - start), end - start


class Bend(NamedTuple):
    """
    One change of a scope's budget, flight or shape, from when it counts, and the policy that bends the course there.

    The first of a course is a `reflow`: B C(t) over the whole flight, whatever *since* says.
    """

    budget: int
    flight: Flight
    since: int
    policy: Policy
    shape: Shape | None = None

    def is_to(self, budget: int, flight: Flight, shape: Shape | None) -> bool:
        """Whether it is what a scope comes to, so that nothing has changed."""
        return (self.budget, self.flight, self.shape) == (budget, flight, shape)


class Line(NamedTuple):
    """A course on which nothing but C(t) = num / den changes: (rate num + start den) / (whole den), within [0, B]."""

    track: Track
    rate: int
    start: int
    whole: int
    most: int
    """B whole."""

    def reached(self, as_of: int) -> Ratio:
        """What is expected at *as_of*, in nanos."""
        track, rate, start, whole, most = self
        num, den = track.share(as_of)
        expected = rate * num + start * den
        return 0 if expected < 0 else min(expected, most * den), whole * den


class Piece(NamedTuple):
    """The course from one bend to the next: *gone* is C(tc), *anchor* what is expected there (None: spend decides)."""

    bend: Bend
    track: Track
    gone: Ratio
    anchor: Ratio | None

    def line(self) -> Line | None:
        """
        The same as `reached` from a known anchor, A = start / scale and C(tc) = gone / of, brought to one fraction.

            ((B scale - start) (num of - gone den) + start (of - gone) den) / (scale (of - gone) den)
        """
        budget, (gone, of) = self.bend.budget, self.gone
        if self.anchor is None or gone == of:
            return None
        start, scale = self.anchor
        rate, left = budget * scale - start, of - gone
        return Line(self.track, rate * of, start * left - rate * gone, scale * left, budget * scale * left)

    def reached(self, anchor: Ratio, as_of: int) -> Ratio:
        """A + (B - A) (C(t) - C(tc)) / (1 - C(tc)), clamped to [0, B]; B where C(tc) = 1."""
        budget, (gone, of) = self.bend.budget, self.gone
        if gone == of:
            return budget, 1
        start, scale = anchor
        num, den = self.track.share(as_of)
        done, left = num * of - gone * den, (of - gone) * den
        expected = start * left + (budget * scale - start) * done
        return max(0, min(expected, budget * scale * left)), scale * left


class Course:
    """
    The expected spend of one scope through all its bends, the oldest first.

        first version, reflow   B C(t)
        forward                 E1(tc) + (B2 - E1(tc)) (C(t) - C(tc)) / (1 - C(tc))
        rebase                  the same from S(tc), what was spent by then

    Clamped to [0, B2]; B2 where C(tc) = 1. All four are one formula: from an anchor at C(tc), what is left of the
    budget over what is left of the curve; a reflow is anchored at 0 before the flight.
    """

    __slots__ = ("_line", "_line_since", "_pieces", "bends", "rests_on_spend")

    def __init__(self, bends: tuple[Bend, ...], known: Sequence[Piece] = ()) -> None:
        self.bends = bends
        self.rests_on_spend = any(bend.policy == "rebase" for bend in bends)
        """Whether late spend may move it."""
        # *known* are the first of them, worked out already.
        self._pieces = list(known)
        for bend in bends[len(known) :]:
            track = track_of(bend.flight, bend.shape)
            gone = track.share(bend.flight.start if bend.policy == "reflow" else bend.since)
            self._pieces.append(Piece(bend, track, gone, self._fixed_anchor(bend)))
        # Of the last piece, for which nearly every tick asks. The first counts from ever.
        self._line, self._line_since = self._pieces[-1].line(), bends[-1].since if len(bends) > 1 else _EVER

    def bent(self, bend: Bend) -> Course:
        """The course with one more bend; what was before a reflow is forgotten."""
        return Course((bend,)) if bend.policy == "reflow" else Course((*self.bends, bend), self._pieces)

    def by(self, as_of: int, spent_by: SpentBy) -> Ratio:
        """
        The expected spend at *as_of*, in nanos.

        >>> course = Course((Bend(1000, Flight(0, 100), 0, "reflow"), Bend(2000, Flight(0, 100), 50, "forward")))
        >>> course.by(75, lambda instant: 0)  # 500 by the change, then half of the other 1500
        (5000, 4)
        """
        if self._line is not None and as_of >= self._line_since:
            return self._line.reached(as_of)
        at = len(self._pieces) - 1
        while at and as_of < self.bends[at].since:
            at -= 1
        piece = self._pieces[at]
        return piece.reached(piece.anchor or self._anchor(at, spent_by), as_of)

    def _anchor(self, at: int, spent_by: SpentBy) -> Ratio:
        """What had to be spent by the start of a piece: known, or asked for and carried forward."""
        known = at
        while self._pieces[known].anchor is None and self.bends[known].policy != "rebase":
            known -= 1
        anchor = self._pieces[known].anchor or (spent_by(self.bends[known].since), 1)
        for earlier in range(known, at):
            anchor = self._pieces[earlier].reached(anchor, self.bends[earlier + 1].since)
        return anchor

    def _fixed_anchor(self, bend: Bend) -> Ratio | None:
        """The anchor of a bend that no late spend can move; None where it is, or comes down from, a rebase."""
        if bend.policy == "reflow":
            return _FROM_NOTHING
        before = self._pieces[-1]
        if bend.policy == "rebase" or before.anchor is None:
            return None
        return _reduced(*before.reached(before.anchor, bend.since))


def _reduced(num: int, den: int) -> Ratio:
    """The same in lowest terms, since every further bend multiplies the denominator."""
    common = gcd(num, den)
    return num // common, den // common
