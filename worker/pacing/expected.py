"""
What a scope is expected to have spent by an instant, after every change of its plan.

The law of this file: **exact**. A figure is a pair of integers (numerator, denominator > 0); nothing is rounded here.

A scope is the campaign, one of its channels or one of its deals. A channel follows the campaign's flight, a deal its
own where it has one. Each version of the plan that changes a scope's budget or flight bends its course by the
version's policy (contract, rule 1; field definition 6). Three readings that the contract leaves open:

- a version that changes neither budget nor flight of a scope does not bend that scope, so that new thresholds never
  re-anchor a `rebase`;
- a scope that a later version adds had a budget of 0 before, so under `forward` nothing is expected of it up to its
  first moment; one that a version leaves out is expected to spend nothing;
- the course before a change (asked for when the feed lags) is the old one, but under `reflow` the new one: "B2 C(t)".
"""

from __future__ import annotations

from collections.abc import Callable

from worker.pacing.plan import Flight, Policy

Ratio = tuple[int, int]
"""A rational number as (numerator, denominator), the denominator positive."""

SpentBy = Callable[[int], int]
"""The nanos a scope has spent with event_time <= the instant."""

NOTHING: Ratio = (0, 1)


def elapsed(flight: Flight, as_of: int) -> int:
    """
    The nanoseconds of the flight that have passed: none before it, its whole length after it.

    >>> elapsed(Flight(100, 200), 130), elapsed(Flight(100, 200), 5), elapsed(Flight(100, 200), 200)
    (30, 0, 100)
    """
    start, end = flight.start, flight.end
    if as_of <= start:
        return 0
    return (end if as_of >= end else as_of) - start


class Course:
    """
    How the expected spend of one scope runs under the plan version in force.

    *since* is when the last change of its budget or flight took effect, None for what was so from the first version;
    *earlier* the course until then, None where the scope was not planned.
    """

    __slots__ = ("_anchor", "budget", "earlier", "flight", "policy", "since")

    def __init__(
        self, budget: int, flight: Flight, since: int | None = None, policy: Policy = "reflow", earlier: Course | None = None
    ) -> None:
        self.budget = budget
        self.flight = flight
        self.since = since
        self.policy = policy
        self.earlier = earlier
        self._anchor = self._fixed_anchor()

    def by(self, as_of: int, spent_by: SpentBy) -> Ratio:
        """
        The expected spend at *as_of*, in nanos.

            first version, reflow   B C(t)
            forward                 E1(tc) + (B2 - E1(tc)) (C(t) - C(tc)) / (1 - C(tc))
            rebase                  the same from S(tc), what was spent by then

        Clamped to [0, B2]; B2 where C(tc) = 1.

        >>> Course(1000, Flight(0, 90)).by(45, lambda instant: 0)
        (45000, 90)
        """
        since, flight = self.since, self.flight
        if since is None or self.policy == "reflow":
            return self.budget * elapsed(flight, as_of), flight.end - flight.start
        if as_of < since:
            return self.earlier.by(as_of, spent_by) if self.earlier else NOTHING
        anchor, scale = self._anchor or self._anchor_by(spent_by)
        gone = elapsed(flight, since)
        left = flight.end - flight.start - gone
        if left == 0:
            return self.budget, 1
        passed = elapsed(flight, as_of) - gone
        return self._clamped(anchor * left + (self.budget * scale - anchor) * passed, scale * left)

    def _clamped(self, num: int, den: int) -> Ratio:
        if num < 0:
            return NOTHING
        return (num, den) if num <= self.budget * den else (self.budget, 1)

    def _anchor_by(self, spent_by: SpentBy) -> Ratio:
        """Where the bent course starts from: E1(tc), or S(tc) under `rebase`."""
        assert self.since is not None
        if self.policy == "rebase":
            return spent_by(self.since), 1
        return self.earlier.by(self.since, spent_by) if self.earlier else NOTHING

    def _fixed_anchor(self) -> Ratio | None:
        """The anchor where no later news can move it: late spend moves what a `rebase` starts from."""
        if self.since is None or self.policy == "reflow" or self.asks_spend():
            return None
        return self._anchor_by(_never_asked)

    def asks_spend(self) -> bool:
        """Whether the course depends on what was spent by some change."""
        if self.since is None or self.policy == "reflow":
            return False
        return self.policy == "rebase" or (self.earlier is not None and self.earlier.asks_spend())


def _never_asked(instant: int) -> int:
    raise AssertionError(f"a course without rebase asked for the spend at {instant}")
