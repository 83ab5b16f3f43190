"""
The sheet: every uncounted holding of a partition as one row of 64-bit integers.

    row  | spend .. conversion_value | updates | latest | lo, hi | attribution | campaign | name, twice 64 bits
          0 ...................... 7   8         9        10  11   12            13         14, 15

A holding is what one attribution (in one stated currency) has in one time cell. As lists of Python integers a million
updates a second could not be added up: the integers of a campaign lie all over the memory. Here they are a line or
two of the processor's cache, and a whole batch is added by one compiled loop (`kernel`); single rows are read and
written as the array they are, so that a small file needs no numpy.

Row 0 is none at all: it covers no instant, and stands for what is not known. A row also says under which name it is
looked up (see `lookup`), and whether it has changed since changes were drained.

Amounts are nanos. What passes 2^60 (a billion units of money in a quarter of an hour) moves to `big`, where integers
have no end; so nothing ever overflows.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from worker.ledger.cells import COUNT, DAY, NEVER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

UPDATES: Final = 8
LATEST: Final = 9
LO: Final = 10
HI: Final = 11
ATTRIBUTION: Final = 12
CAMPAIGN: Final = 13
NAME: Final = 14
WIDTH: Final = 16

FULL: Final = 1 << 60
"""A figure in a row stays within this, either sign."""

NO_ROW: Final = 0

_EMPTY: Final = array("q", [0] * WIDTH)


class Sheet:
    """The uncounted holdings of a partition."""

    def __init__(self) -> None:
        self.cells = array("q", _EMPTY)
        self.dirty = bytearray(1)
        """One byte a row: whether it has changed since it was last asked."""
        self.big: dict[int, list[int]] = {}
        """What rows hold besides, where they were too full."""
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self.dirty) - 1 - len(self._free)

    def open(self, lo: int, hi: int, attribution: int, campaign: int) -> int:
        """A new, empty row."""
        if not self._free:
            self._grow()
        row = self._free.pop()
        cells, base = self.cells, row * WIDTH
        cells[base + LATEST] = NEVER
        cells[base + LO] = lo
        cells[base + HI] = hi
        cells[base + ATTRIBUTION] = attribution
        cells[base + CAMPAIGN] = campaign
        return row

    def _grow(self) -> None:
        """Have an eighth more rows."""
        first = len(self.dirty)
        more = max(64, first // 8)
        self.cells.frombytes(bytes(8 * WIDTH * more))
        self.dirty += bytes(more)
        self._free += range(first + more - 1, first - 1, -1)

    def close(self, row: int) -> None:
        """Give a row back."""
        self.cells[row * WIDTH : (row + 1) * WIDTH] = _EMPTY
        self.dirty[row] = 0
        self.big.pop(row, None)
        self._free.append(row)

    def add(self, row: int, figures: Sequence[int], latest: int, updates: int = 0) -> None:
        """Count *figures* in a row; *latest* is the event time, or NEVER."""
        cells, base = self.cells, row * WIDTH
        for at, figure in enumerate(figures):
            if figure:
                total = cells[base + at] + figure
                if -FULL < total < FULL:
                    cells[base + at] = total
                else:
                    self._spill(row, at, total)
        cells[base + UPDATES] += updates
        cells[base + LATEST] = max(cells[base + LATEST], latest)
        self.dirty[row] = 1

    def _spill(self, row: int, at: int, total: int) -> None:
        self.big.setdefault(row, [0] * COUNT)[at] += total
        self.cells[row * WIDTH + at] = 0

    def figures(self, row: int) -> list[int]:
        """The eight figures of a row."""
        base = row * WIDTH
        figures = self.cells[base : base + COUNT].tolist()
        if row in self.big:
            return [small + big for small, big in zip(figures, self.big[row], strict=True)]
        return figures

    def holding(self, row: int) -> list[int]:
        """A row as `cells` describes a holding: figures, attribution, updates, the latest event time."""
        line = self.cells[row * WIDTH : row * WIDTH + CAMPAIGN].tolist()
        figures = line[:COUNT] if row not in self.big else self.figures(row)
        return [*figures, line[ATTRIBUTION], line[UPDATES], line[LATEST]]

    def spend(self, row: int) -> int:
        """The spend in a row."""
        return self.cells[row * WIDTH] + (self.big[row][0] if row in self.big else 0)

    def get(self, row: int, column: int) -> int:
        """One of the columns that are no figures."""
        return self.cells[row * WIDTH + column]

    def covers(self, row: int, at: int) -> bool:
        """Whether the row's cell holds an instant; no row covers none."""
        base = row * WIDTH
        return self.cells[base + LO] <= at < self.cells[base + HI]

    def narrow(self, row: int, hi: int) -> None:
        """The row's cell ends at *hi*."""
        self.cells[row * WIDTH + HI] = hi

    def changed(self) -> Iterator[tuple[int, int]]:
        """(campaign's row, UTC day) of each row that has changed since this was last asked."""
        row = self.dirty.find(1)
        while row >= 0:
            base = row * WIDTH
            yield self.cells[base + CAMPAIGN], self.cells[base + LO] // DAY
            self.dirty[row] = 0
            row = self.dirty.find(1, row + 1)

    # -- batches

    def view(self) -> Integers:
        """The sheet as an array; it must be let go of before a row is opened."""
        import numpy as np

        return np.frombuffer(self.cells, np.int64)
