"""
Time cells: figures by attribution within the instants that no question will ever part.

A cell is [lo, hi) between two neighbouring cuts. There are three kinds of cuts: every UTC quarter of an hour (all
local midnights and hours fall on one), the instants a plan asks about, and just after each tick still to come. A
tick then counts whole cells, and "spent before x" is a sum of whole cells, so single updates need not be kept.

    day 0                                  day 1
    |....|....|..x.|....|   quarters       |....|....       x  a plan's flight starts here
                       T+1  T'+1                            T  ticks to come

At a tick the cells at or before it move from what is pending to what is counted. Amounts are nanos, instants
nanoseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import add
from typing import Any, Final

from schemas.fields import NANOS

QUARTER: Final = 900 * NANOS
DAY: Final = 86_400 * NANOS

COUNT: Final = 8
"""Figures of an update: the first eight entries of a holding."""
ATTRIBUTION: Final = 8
UPDATES: Final = 9
LATEST: Final = 10

Key = tuple[str | None, str | None, str | None]
"""(channel, deal_id, currency as stated) of an update."""

Holding = list[int]
"""The eight figures, the number of the attribution in its campaign, how many updates, the latest event time."""

NEVER: Final = -(1 << 62)
"""Before every event time; an offset makes those of the first day of 1970 negative."""


@dataclass(slots=True)
class TickCuts:
    """
    Where ticks part time: just after the last one, and just after each to come, *every* nanoseconds from *next*.

    What came before the last tick is late, wherever it is dated; ticks passed over are parted nowhere.
    """

    every: int
    last: int | None = None
    next: int | None = None

    def around(self, at: int, lo: int, hi: int) -> tuple[int, int]:
        """[lo, hi), which holds *at*, narrowed to between two ticks."""
        if self.last is not None:
            lo, hi = narrow(at, self.last + 1, lo, hi)
        if self.next is None:
            return lo, hi
        first = self.next + 1
        if at < first:
            return lo, min(hi, first)
        since = at - (at - first) % self.every
        return max(lo, since), min(hi, since + self.every)


def narrow(at: int, cut: int, lo: int, hi: int) -> tuple[int, int]:
    """The side of [lo, hi) at *cut* on which *at* lies."""
    return (max(lo, cut), hi) if cut <= at else (lo, min(hi, cut))


def lasting(at: int, cuts: Iterable[int]) -> tuple[int, int]:
    """
    The cell of *at* without regard to ticks, as it is kept for ever; *cuts* are the plan's.

    >>> lasting(QUARTER + 5, (QUARTER + 3, QUARTER + 9)) == (QUARTER + 3, QUARTER + 9)
    True
    """
    lo = at - at % QUARTER
    hi = lo + QUARTER
    for cut in cuts:
        lo, hi = narrow(at, cut, lo, hi)
    return lo, hi


def awkward(cuts: Iterable[int]) -> tuple[int, ...]:
    """Those of a plan's cuts that fall within a quarter of an hour, ascending; the others part cells anyway."""
    return tuple(sorted(cut for cut in cuts if cut % QUARTER))


class Cell:
    """The figures of [lo, hi) by attribution and stated currency."""

    __slots__ = ("held", "hi", "lo", "packed")

    def __init__(self, lo: int, hi: int) -> None:
        self.lo = lo
        self.hi = hi
        self.held: dict[Key, Holding] = {}
        self.packed: Any = None
        """Its bytes in a record, where it has not changed since it was written."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cell) and (self.lo, self.held) == (other.lo, other.held)

    __hash__ = None  # type: ignore[assignment]  # changed all the time

    def __repr__(self) -> str:
        return f"Cell({self.lo}, {self.hi}, {self.held})"

    @property
    def day(self) -> int:
        """The UTC day it lies in."""
        return self.lo // DAY

    @property
    def latest(self) -> int:
        """The latest event time in it."""
        return max((held[LATEST] for held in self.held.values()), default=NEVER)

    def add(self, key: Key, attribution: int, figures: Iterable[int], latest: int, updates: int = 0) -> None:
        """Count *figures* for *key*, the latest of them dated *latest*."""
        self.packed = None
        held = self.held.get(key)
        if held is None:
            self.held[key] = [*figures, attribution, updates, latest]
            return
        held[:COUNT] = map(add, held, figures)
        held[UPDATES] += updates
        held[LATEST] = max(held[LATEST], latest)

    def absorb(self, other: Cell) -> None:
        """Count what *other* holds as well."""
        for key, held in other.held.items():
            self.add(key, held[ATTRIBUTION], held[:COUNT], held[LATEST], held[UPDATES])

    def spend(self) -> int:
        """Nanos in it, under any attribution."""
        return sum([held[0] for held in self.held.values()])
