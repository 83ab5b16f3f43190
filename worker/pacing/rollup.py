"""
The roll-up: what the campaigns of an account come to at a tick, added up in any order.

The law of this file: **exact, and the same in any order**. Spend is a whole number of nanos. Budgets, expected and
projected spends are fractions: of each its whole nanos are added (rounded half-even), and apart what these leave out,
the *rest*, over the least common denominator of all. So nothing is rounded before the account is judged or printed.

The common denominator grows with every flight that has nothing in common with the others. Flights by the day, of up to
a year, need 520 bits together, whatever their lengths; some thousand that begin at unrelated seconds pass `MOST_BITS`.
Then the rest is given up, the whole nanos stand alone, half a nano off a campaign at the most, and the account says
that it is not exact. That, too, is a function of the set: a least common denominator only grows.

Source: contract, Events out; field definitions 17 and 18. What the contract leaves open:

- a campaign counts where the tick has told a snapshot of it that is no revision; the last of these, where a period
  closed at the same tick;
- a campaign with a plan that is told no more (closed, or ended by a tombstone) has spent what it has: `closed` keeps
  that by its flight, because a cap is used up by it as well. Nothing more is expected of it.
"""

from __future__ import annotations

from math import gcd, lcm
from typing import Final

import msgspec

from worker.pacing.density import Ratio
from worker.pacing.plan import Flight, Plan
from worker.pacing.standing import Standing

AccountKey = tuple[str, str]
"""(account_id, currency): money of two currencies is never added."""

Rest = Ratio | None
"""What whole nanos leave out of a sum, as num / den; None where *den* would have more than `MOST_BITS`."""

Parted = tuple[int, Rest]
"""An amount as whole nanos and the rest of it."""

NO_REST: Final = (0, 1)
MOST_BITS: Final = 14_000
"""Python writes no integer of more than 4,300 digits (14,284 bits) unless told to."""


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
    budget: Ratio
    spend: int
    expected: Ratio
    flight: Flight
    projected: Ratio | None
    """None: its snapshot tells none."""
    worst: Worst | None
    """The campaign's own deviation; None where nothing is expected."""


def child_of(plan: Plan, standing: Standing, projected: Ratio | None, *, is_final: bool) -> Child:
    """What a campaign that stands at *standing* adds, whose spend is projected so."""
    num = standing.expected[0]
    return Child(
        plan.account_id,
        plan.currency,
        plan.status == "active" and not is_final,
        (standing.budget, standing.scale),
        standing.figures[0],
        standing.expected,
        standing.flight,
        projected,
        Worst(plan.campaign_id, standing.gap, num) if num else None,
    )


def parted(amount: Ratio) -> Parted:
    """
    An amount as whole nanos, rounded half-even, and the rest of it in lowest terms.

    >>> parted((7, 3)), parted((6, 4)), parted((-1, 3)), parted((8, 4))
    ((2, (1, 3)), (2, (-1, 2)), (0, (-1, 3)), (2, (0, 1)))
    """
    num, den = amount
    if den == 1:
        return num, NO_REST
    whole, over = divmod(num, den)
    if not over:
        return whole, NO_REST
    if 2 * over > den or (2 * over == den and whole & 1):
        whole, over = whole + 1, over - den
    common = gcd(over, den)
    return whole, (over // common, den // common)


def added(one: Rest, other: Rest) -> Rest:
    """
    The sum of two rests over their least common denominator.

    >>> added((1, 4), (-1, 6)), added((1, 4), None), added((1, 1 << 7000), (1, 3**7000))
    ((1, 12), None, None)
    """
    if other is NO_REST:
        return one
    if one is None or other is None:
        return None
    (num, den), (more, of) = one, other
    times, over = divmod(den, of)
    if not over:
        return num + more * times, den
    common = lcm(den, of)
    if common.bit_length() > MOST_BITS:
        return None
    return num * (common // den) + more * (common // of), common


def total(nanos: int, rest: Rest) -> Ratio:
    """
    What whole nanos and their rest come to, over 1 where that is whole; of a rest that was given up, the nanos alone.

    >>> total(2, (1, 3)), total(2, (4, 2)), total(2, None)
    ((7, 3), (4, 1), (2, 1))
    """
    num, den = rest or NO_REST
    whole, over = divmod(num, den)
    return (nanos * den + num, den) if over else (nanos + whole, 1)


class Sums(msgspec.Struct, omit_defaults=True):
    """
    The campaigns of one account in one currency, added up; money in nanos, whole ones and the rests of each sum.

    *left* is what campaigns may still spend, none less than nothing; *start* and *end* hold all their windows. *closed*
    is what campaigns that are told no more have spent, by flight. Fields are only added at the end, with a default.
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
    budget_rest: Rest = NO_REST
    expected_rest: Rest = NO_REST
    left_rest: Rest = NO_REST
    projected_rest: Rest = NO_REST

    def add(self, child: Child) -> None:
        """Add a campaign."""
        budget, scale = child.budget
        left = max(0, budget - child.spend * scale), scale
        self.campaigns += 1
        self.active += child.is_active
        self.spend += child.spend
        self._add(parted(child.budget), parted(child.expected), parted(left), parted(child.projected or (0, 1)))
        self.unprojected += child.projected is None
        self._hold(child.flight.start, child.flight.end)
        self._compare(child.worst)

    def merge(self, other: Sums) -> None:
        """Add what others have added up of the same account and currency."""
        self.campaigns += other.campaigns
        self.active += other.active
        self.spend += other.spend
        self._add(
            (other.budget, other.budget_rest),
            (other.expected, other.expected_rest),
            (other.left, other.left_rest),
            (other.projected, other.projected_rest),
        )
        self.unprojected += other.unprojected
        if other.start is not None and other.end is not None:
            self._hold(other.start, other.end)
        self._compare(other.worst)
        for flight, spend in other.closed.items():
            self.closed[flight] = self.closed.get(flight, 0) + spend

    def _add(self, budget: Parted, expected: Parted, left: Parted, projected: Parted) -> None:
        self.budget, self.budget_rest = self.budget + budget[0], added(self.budget_rest, budget[1])
        self.expected, self.expected_rest = self.expected + expected[0], added(self.expected_rest, expected[1])
        self.left, self.left_rest = self.left + left[0], added(self.left_rest, left[1])
        self.projected, self.projected_rest = self.projected + projected[0], added(self.projected_rest, projected[1])

    @property
    def budgets(self) -> Ratio:
        """The campaigns' budgets."""
        return total(self.budget, self.budget_rest)

    @property
    def expects(self) -> Ratio:
        """What is expected of the campaigns."""
        return total(self.expected, self.expected_rest)

    @property
    def leaves(self) -> Ratio:
        """What the campaigns may still spend."""
        return total(self.left, self.left_rest)

    @property
    def projects(self) -> Ratio | None:
        """What the campaigns are projected to spend; None where one has no projection, or there is none."""
        return None if self.unprojected or not self.campaigns else total(self.projected, self.projected_rest)

    @property
    def is_exact(self) -> bool:
        """Whether no rest was given up."""
        return None not in {self.budget_rest, self.expected_rest, self.left_rest, self.projected_rest}

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
