"""
The roll-up: what the campaigns of an account come to at a tick, added up in any order.

The law of this file: **a roll-up is the sum of what was told**. Spend is added exactly; a budget that is no whole
number of nanos, and every expected or projected spend, is added as the campaign's own snapshot prints it, rounded once.
So whoever adds up the snapshots of a tick gets the account's figures to the last digit, and a sum over thousands of
flights stays an integer. Only the worst child is chosen by unrounded deviations. Source: contract, Events out; field
definitions 17 and 18. What the contract leaves open:

- a campaign counts where the tick has told a snapshot of it that is no revision; the last of these, where a period
  closed at the same tick;
- a campaign with a plan that is told no more (closed, or ended by a tombstone) has spent what it has: `closed` keeps
  that by its flight, because a cap is used up by it as well. Nothing more is expected of it.
"""

from __future__ import annotations

import msgspec

from worker.pacing.plan import Flight, Plan
from worker.pacing.standing import Standing

AccountKey = tuple[str, str]
"""(account_id, currency): money of two currencies is never added."""


class Worst(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A child and its deviation, exactly: gap / base."""

    campaign_id: str
    gap: int
    base: int

    def is_worse_than(self, other: Worst) -> bool:
        """Whether it is further off, or as far and first by name."""
        this, that = abs(self.gap) * other.base, abs(other.gap) * self.base
        return this > that or (this == that and self.campaign_id < other.campaign_id)


class Child(msgspec.Struct, frozen=True, gc=False):
    """What a campaign adds to its account at a tick: money in nanos, *flight* the window its figures are of."""

    account_id: str
    currency: str
    is_active: bool
    budget: int
    spend: int
    expected: int
    flight: Flight
    projected: int | None
    """None: its snapshot tells none."""
    worst: Worst | None
    """The campaign's own deviation; None where nothing is expected."""


def child_of(plan: Plan, standing: Standing, projected: str | None, *, is_final: bool) -> Child:
    """What a campaign that stands at *standing* adds, whose snapshot tells this `projected_spend`."""
    num, den = standing.expected
    unit = 10 ** (9 - plan.minor_digits)
    budget, scale = standing.budget, standing.scale
    return Child(
        plan.account_id,
        plan.currency,
        plan.status == "active" and not is_final,
        budget if scale == 1 else as_told(budget, scale, unit),
        standing.figures[0],
        as_told(num, den, unit),
        standing.flight,
        None if projected is None else int(projected.replace(".", "")) * unit,
        Worst(plan.campaign_id, standing.gap, num) if num else None,
    )


def as_told(num: int, den: int, unit: int) -> int:
    """
    num / den nanos as it is printed: rounded half-even to whole *unit*s (nanos of a minor unit).

    >>> as_told(5, 2, 1), as_told(7, 2, 1), as_told(-5, 2, 1)
    (2, 4, -2)
    """
    whole = den * unit
    count, rest = divmod(2 * num + whole, 2 * whole)
    if rest == 0:
        count -= count & 1
    return count * unit


class Sums(msgspec.Struct, omit_defaults=True):
    """
    The campaigns of one account in one currency, added up; money in nanos.

    *left* is what campaigns may still spend, none less than nothing; *start* and *end* hold all their windows. *closed*
    is what campaigns that are told no more have spent, by flight.
    """

    campaigns: int = 0
    active: int = 0
    budget: int = 0
    spend: int = 0
    expected: int = 0
    left: int = 0
    projected: int = 0
    unprojected: int = 0
    """Campaigns without a projection: with any, the sum of the others says nothing."""
    start: int | None = None
    end: int | None = None
    worst: Worst | None = None
    closed: dict[str, int] = {}
    """By "start end"."""

    def add(self, child: Child) -> None:
        """Add a campaign."""
        self.campaigns += 1
        self.active += child.is_active
        self.budget += child.budget
        self.spend += child.spend
        self.expected += child.expected
        self.left += max(0, child.budget - child.spend)
        if child.projected is None:
            self.unprojected += 1
        else:
            self.projected += child.projected
        self._hold(child.flight.start, child.flight.end)
        self._compare(child.worst)

    def merge(self, other: Sums) -> None:
        """Add what others have added up of the same account and currency."""
        self.campaigns += other.campaigns
        self.active += other.active
        self.budget += other.budget
        self.spend += other.spend
        self.expected += other.expected
        self.left += other.left
        self.projected += other.projected
        self.unprojected += other.unprojected
        if other.start is not None and other.end is not None:
            self._hold(other.start, other.end)
        self._compare(other.worst)
        for flight, spend in other.closed.items():
            self.closed[flight] = self.closed.get(flight, 0) + spend

    def close(self, flight: Flight, spend: int) -> None:
        """Add what a campaign has spent that is told no more."""
        name = f"{flight.start} {flight.end}"
        self.closed[name] = self.closed.get(name, 0) + spend

    def closed_in(self, window: Flight) -> int:
        """What such campaigns have spent whose flights share time with *window*."""
        spent = 0
        for flight, spend in self.closed.items():
            start, end = map(int, flight.split())
            if start < window.end and end > window.start:
                spent += spend
        return spent

    def _hold(self, start: int, end: int) -> None:
        self.start = start if self.start is None else min(self.start, start)
        self.end = end if self.end is None else max(self.end, end)

    def _compare(self, child: Worst | None) -> None:
        if child is not None and (self.worst is None or child.is_worse_than(self.worst)):
            self.worst = child


class Rollup:
    """What a partition's campaigns add up to, by account and currency, since it was last taken."""

    __slots__ = ("_sums",)

    def __init__(self) -> None:
        self._sums: dict[AccountKey, Sums] = {}

    def add(self, child: Child) -> None:
        """Add a campaign."""
        self._of(child.account_id, child.currency).add(child)

    def close(self, plan: Plan, spend: int) -> None:
        """Add what a campaign has spent that is told no more."""
        self._of(plan.account_id, plan.currency).close(plan.flight, spend)

    def take(self) -> dict[AccountKey, Sums]:
        """All of it, and begin again with nothing."""
        taken, self._sums = self._sums, {}
        return taken

    def _of(self, account_id: str, currency: str) -> Sums:
        key = account_id, currency
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = Sums()
        return sums
