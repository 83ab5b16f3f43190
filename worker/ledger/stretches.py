"""
Spend by stretches of time, for a projection: the days of a campaign, and when its spend came to an amount.

A tick asks for the same days as the one before, and once a day for one day more. So what was summed once is added to
as cells are counted, and a new stretch that nothing can lie in yet begins at 0: counted days are read again only after
a restart, or where a plan asks anew. None of it is written: it follows from the cells.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from worker.ledger.cells import NEVER, QUARTER

SpendCell = tuple[int, int, int]
"""A counted cell: its start, the latest event time in it, the nanos spent."""


STILL_TO_COME: Final = 2
"""Of the days that a projection asks for the last: today, and tomorrow."""


class Stretches:
    """The spend from each of *edges*, quarters of an hour, to the next; *latest* is when the last of all is dated."""

    __slots__ = ("edges", "sums")
    edges: tuple[int, ...]
    sums: list[int]

    def __init__(
        self,
        edges: tuple[int, ...],
        before: Stretches | None,
        latest: int,
        cells: Callable[[int, int], Iterable[SpendCell]],
    ) -> None:
        known = {} if before is None else dict(zip(pairwise(before.edges), before.sums, strict=True))
        self.edges = edges
        self.sums = [known.get(stretch, 0) for stretch in pairwise(edges)]
        unknown = [stretch for stretch in pairwise(edges) if stretch not in known and stretch[0] <= latest]
        if unknown:
            starts = {start for start, _ in unknown}
            for lo, _, spend in cells(min(starts), max(end for _, end in unknown)):
                if (place := self._place(lo)) is not None and edges[place] in starts:
                    self.sums[place] += spend

    def add(self, lo: int, spend: int) -> None:
        """Count a cell that begins at *lo*."""
        if (place := self._place(lo)) is not None:
            if place < len(self.sums) - STILL_TO_COME:
                # Another list, for who keeps what follows from days that are over (see `Counted.spends`).
                self.sums = [*self.sums]
            self.sums[place] += spend

    def _place(self, lo: int) -> int | None:
        place = bisect_right(self.edges, lo) - 1
        return place if 0 <= place < len(self.sums) else None


class Crossing(NamedTuple):
    """When spend came to an amount: *at*, in the quarter of an hour that ends at *end*. *asked* is the question."""

    asked: tuple[int, int | None, int | None]
    at: int | None
    end: int

    @classmethod
    def of(cls, cells: Iterable[SpendCell], spend: int, since: int | None, until: int | None) -> Crossing:
        """
        The first quarter of an hour by whose end the cells within [since, until) come to *spend*.

        >>> cells = [(0, 5, 60), (QUARTER, QUARTER + 7, 50), (QUARTER, QUARTER + 3, 9)]
        >>> Crossing.of(cells, 100, None, None).at - QUARTER
        7
        """
        asked = spend, since, until
        latest: dict[int, int] = {}
        spends: dict[int, int] = {}
        for lo, last, amount in cells:
            if (since is None or lo >= since) and (until is None or lo < until):
                quarter = lo - lo % QUARTER
                latest[quarter] = max(latest.get(quarter, NEVER), last)
                spends[quarter] = spends.get(quarter, 0) + amount
        quarters = sorted(spends)
        for quarter, so_far in zip(quarters, accumulate(spends[quarter] for quarter in quarters), strict=True):
            if so_far >= spend:
                return cls(asked, latest[quarter], quarter + QUARTER)
        return cls(asked, None, -NEVER)
