"""
Curves: the share of a scope's budget that is planned to be spent by an instant, C(t).

    t ──Elapse──▶ u, the elapsed share of the density over the flight ──curve──▶ C(u)

What does not depend on t is worked out once, when a plan version is first paced. A share is a pair of integers
(numerator, denominator > 0), exact. Source: contract, CampaignPlan and rules 2 and 3; field definitions 1 to 5.

A custom curve's segments lie in the campaign's flight. Over a deal's own flight the same course of u is followed: the
curve bends u, whatever u is the elapsed share of. Where a flight has no density (a period that is blacked out), C is 0.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from math import gcd, lcm

import msgspec

from schemas.fields import NANOS
from worker.pacing.density import Density, Ratio, density_of
from worker.pacing.plan import EVEN, LINEAR, Calendar, Curve, Flight, Segment

Bent = Callable[[int, int], Ratio]
"""C(u) of u = num / den, 0 <= u <= 1."""


class Shape(msgspec.Struct, frozen=True):
    """How a scope's money lies in time: the density, the curve, and the flight that a custom curve divides."""

    calendar: Calendar = EVEN
    curve: Curve = LINEAR
    divided: Flight | None = None


def shape_of(calendar: Calendar, curve: Curve, flight: Flight) -> Shape | None:
    """The shape of a scope that follows the campaign's calendar and *flight*; None where both are even and linear."""
    if calendar == EVEN and curve == LINEAR:
        return None
    return Shape(calendar, curve, flight if curve.segments else None)


def elapsed(flight: Flight, as_of: int) -> int:
    """
    The nanoseconds of the flight that have passed: none before it, its whole length after it.

    >>> elapsed(Flight(100, 200), 130), elapsed(Flight(100, 200), 5), elapsed(Flight(100, 200), 200)
    (30, 0, 100)
    """
    if as_of <= flight.start:
        return 0
    return min(as_of, flight.end) - flight.start


class Elapse:
    """u: the elapsed share of a density over a flight."""

    __slots__ = ("_den", "_density", "_flight", "_less", "_num")

    def __init__(self, flight: Flight, density: Density | None) -> None:
        self._flight = flight
        self._density = density
        # u = (R(t) - R(start)) / (R(end) - R(start)), brought to (num R(t) - less) / den.
        (first, of), (last, by) = (_reached(density, end) for end in (flight.start, flight.end))
        num, less, den = of * by, first * by, last * of - first * by
        common = gcd(num, less, den)
        self._num, self._less, self._den = num // common, less // common, den // common

    @property
    def is_nothing(self) -> bool:
        """Whether no weight lies in the flight."""
        return self._den == 0

    def share(self, as_of: int) -> Ratio:
        """u at an instant: 0 before the flight, 1 after it, and always 0 where there is no weight."""
        flight = self._flight
        at = min(max(as_of, flight.start), flight.end)
        num, den = _reached(self._density, at)
        return (num * self._num - self._less * den, den * self._den) if self._den else (0, 1)


def _reached(density: Density | None, instant: int) -> Ratio:
    return (instant, 1) if density is None else density.reached(instant)


class Track:
    """C(t) of a flight and a shape; the last answer is kept, since a campaign and its channels ask for the same."""

    __slots__ = ("_at", "_bent", "_elapse", "_share")

    def __init__(self, flight: Flight, shape: Shape | None) -> None:
        shape = shape or Shape()
        density = None if shape.calendar == EVEN else density_of(shape.calendar)
        self._elapse = Elapse(flight, density)
        self._bent = _bent(shape.curve, Elapse(shape.divided or flight, density))
        self._at: int | None = None
        self._share: Ratio = (0, 1)

    def share(self, as_of: int) -> Ratio:
        """
        C(t), from 0 at the start of the flight to 1 at its end, in lowest terms.

        >>> Track(Flight(0, 100), Shape(curve=Curve("finish_early", 50 * NANOS))).share(25)
        (1, 2)
        """
        if as_of != self._at:
            num, den = self._elapse.share(as_of)
            num, den = (num, den) if self._bent is None else self._bent(num, den)
            # In lowest terms, since every figure of the tick is made of it; it is never less than nothing.
            common = gcd(num, den)
            self._at, self._share = as_of, (num // common, den // common)
        return self._share


@lru_cache(maxsize=1024)
def track_of(flight: Flight, shape: Shape | None) -> Track:
    """The track of a flight and a shape, one for all scopes that have both."""
    return Track(flight, shape)


# -- the curves ------------------------------------------------------------------------------------------------------


def _bent(curve: Curve, divided: Elapse) -> Bent | None:
    """The course of a curve; None for one that leaves u as it is."""
    if curve.kind == "linear":
        return None
    if curve.kind == "custom":
        return _custom(curve.segments, divided)
    whole = NANOS if curve.kind == "loaded" else 100 * NANOS
    common = gcd(curve.factor, whole)
    make = _loaded if curve.kind == "loaded" else _early
    return make(curve.factor // common, whole // common)


def _loaded(factor: int, of: int) -> Bent:
    """u + f u (1 - u): the first half carries 1/2 + f/4."""

    def bent(num: int, den: int) -> Ratio:
        return num * den * of + factor * num * (den - num), den * den * of

    return bent


def _early(part: int, of: int) -> Bent:
    """min(u / p, 1)."""

    def bent(num: int, den: int) -> Ratio:
        return min(num * of, den * part), den * part

    return bent


def _custom(segments: Sequence[Segment], divided: Elapse) -> Bent:
    """Linear in u within each segment, which carries its share of all."""
    marks = [divided.share(segment.start) for segment in segments]
    whole = lcm(*(den for _, den in marks))
    # A segment without active time carries no money: of several that start at one u, the last has all of it.
    shares = {num * (whole // den): segment.share for (num, den), segment in zip(marks, segments, strict=True)}
    shares.pop(whole, None)
    starts, ends = list(shares), [*list(shares)[1:], whole]
    before = list(accumulate(shares.values(), initial=0))

    def bent(num: int, den: int) -> Ratio:
        place = bisect_right(starts, num * whole // den) - 1
        start, width = starts[place], (ends[place] - starts[place]) * den
        return before[place] * width + shares[start] * (num * whole - start * den), before[-1] * width

    return bent
