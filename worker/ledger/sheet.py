"""
The sheet: every holding of a partition that is in no other record, as one row of 64-bit integers.

    row  | spend .. conversion_value | updates | latest | lo, hi | attribution | campaign | name, twice 64 bits
          0 ...................... 7   8         9        10  11   12            13         14, 15

A holding is what one attribution (in one stated currency) has in one time cell. As lists of Python integers a million
updates a second could not be added up: the integers of a campaign lie all over the memory. Here they are a line or
two of the processor's cache, and a whole batch is added by one compiled loop (`kernel`); single rows are read and
written as the array they are, so that a small file needs no numpy.

A tick leaves the rows it counts where they are, as *ticked* ones: only with what they hold is the record of their
campaign what the campaign is. It takes them in when it is written again, which most ticks need not do.

Row 0 is none at all: it covers no instant, and stands for what is not known. A row also says under which name it is
looked up (see `lookup`). Beside it stand its label, and whether it has changed since changes were drained: rows are
written as they are, thousands in a record (see `journal`), and keep their numbers when they are read again.

Amounts are nanos. What passes 2^60 (a billion units of money in a quarter of an hour) moves to `big`, where integers
have no end; so nothing ever overflows.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from operator import add
from typing import TYPE_CHECKING, Final, NamedTuple

from worker.ledger.cells import COUNT, NEVER
from worker.ledger.chains import Chains

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

TAKEN_LO: Final = 11
TAKEN_HI: Final = 12
TAKEN_LABEL: Final = 13
TAKEN_ROW: Final = 14
TAKEN: Final = 15
"""Of a row that was counted: behind a holding as `cells` describes it, its cell, its label and its number."""

FULL: Final = 1 << 60
"""A figure in a row stays within this, either sign."""

NO_ROW: Final = 0

OPEN: Final = 1 << 24
WAITS: Final = 1 << 25
TICKED: Final = 1 << 26
_LETTERS: Final = 3

_EMPTY: Final = array("q", [0] * WIDTH)


@cache
def label_of(currency: str | None, *, waits: bool, ticked: bool = False) -> int:
    """
    What rows of a cell and attribution differ in: the letters of the stated currency; whether it *waits*, was *ticked*.

    >>> f"{label_of('EUR', waits=False):x}", f"{label_of(None, waits=True):x}"
    ('1455552', '3000000')
    """
    return OPEN | waits * WAITS | ticked * TICKED | int.from_bytes((currency or "").encode(), "big")


@cache
def currency_of(label: int) -> str | None:
    """The stated currency that a label tells."""
    letters = label & (OPEN - 1)
    return letters.to_bytes(_LETTERS, "big").decode() if letters else None


class Line(NamedTuple):
    """What a row says."""

    campaign: int
    lo: int
    label: int
    holding: Sequence[int]
    """As `cells` describes it."""


class Sheet:
    """The holdings of a partition that are in no other record."""

    def __init__(self) -> None:
        self.cells = array("q", _EMPTY)
        self.dirty = bytearray(1)
        """One byte a row: whether it has changed since it was last asked."""
        self.labels = array("i", [0])
        """See `label_of`; 0: the row is free."""
        self.big: dict[int, list[int]] = {}
        """What rows hold besides, where they were too full."""
        self.chains = Chains()
        self.repacked: set[tuple[int, int]] = set()
        """(campaign, UTC day) of rows that became bytes of their day, or came of them, since it was last asked."""
        self._free: list[int] = []
        self._read: tuple[Integers, Integers] | None = None
        """Campaigns in order, and the row of each: as the sheet was read."""

    def __len__(self) -> int:
        return len(self.dirty) - 1 - len(self._free)

    def open(self, lo: int, hi: int, attribution: int, campaign: int, label: int) -> int:
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
        self.labels[row] = label
        self.dirty[row] = 1
        return row

    def _grow(self) -> None:
        """Have an eighth more rows."""
        first = len(self.dirty)
        more = max(64, first // 8)
        self._add_rows(more)
        self._free += range(first + more - 1, first - 1, -1)

    def _add_rows(self, more: int) -> None:
        self.cells.frombytes(bytes(8 * WIDTH * more))
        self.labels.frombytes(bytes(4 * more))
        self.dirty += bytes(more)
        self.chains.add_rows(more)

    def lend(self, count: int) -> list[int]:
        """So many free rows, for who opens some of them."""
        while len(self._free) < count:
            self._grow()
        start = len(self._free) - count
        lent = self._free[start:]
        del self._free[start:]
        return lent

    def give_back(self, rows: Iterable[int]) -> None:
        """Those that were lent and not opened."""
        self._free += rows

    def relabel(self, row: int, label: int) -> None:
        """Let a row be known by another label."""
        self.labels[row] = label
        self.dirty[row] = 1

    def close(self, row: int) -> None:
        """Give a row back."""
        self.cells[row * WIDTH : (row + 1) * WIDTH] = _EMPTY
        self.labels[row] = 0
        self.dirty[row] = 1
        self.big.pop(row, None)
        self._free.append(row)

    def complete(self, taken: Sequence[list[int]]) -> None:
        """Have the rows of *taken* say what they hold besides."""
        if self.big:
            for line in taken:
                more = self.big.get(line[TAKEN_ROW])
                line[:COUNT] = map(add, line, more) if more else line[:COUNT]

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

    def lines(self) -> Iterator[Line]:
        """What every open row says."""
        for row, label in enumerate(self.labels):
            if label:
                yield Line(self.get(row, CAMPAIGN), self.get(row, LO), label, self.holding(row))

    def put(self, line: Line) -> None:
        """A new row that says the same; where its cell ends its campaign says."""
        *figures, attribution, updates, latest = line.holding
        row = self.open(line.lo, line.lo, attribution, line.campaign, line.label)
        self.add(row, figures, latest, updates)

    def narrow(self, row: int, hi: int) -> None:
        """The row's cell ends at *hi*."""
        self.cells[row * WIDTH + HI] = hi

    # -- the journal

    def changed(self) -> Integers:
        """The rows that have changed, or were given back, since this was last asked, in order."""
        import numpy as np

        dirty = np.frombuffer(self.dirty, np.bool_)
        rows = np.flatnonzero(dirty)
        dirty[rows] = False
        return rows

    def labels_of(self, rows: Integers) -> Integers:
        """Their labels."""
        import numpy as np

        return np.frombuffer(self.labels, np.int32)[rows].astype(np.int64)

    def columns(self, rows: Integers, places: Sequence[int]) -> list[Integers]:
        """What stands in each of *places* of *rows*."""
        return list(self.view().reshape(-1, WIDTH)[rows].T[[*places]])

    def put_all(self, rows: Integers, columns: Mapping[int, Integers], labels: Integers, freed: Integers) -> None:
        """Let *rows* be as the journal says, in columns by their place, and those *freed* be free."""
        import numpy as np

        self._add_rows(max(0, 1 + int(max(rows.max(initial=0), freed.max(initial=0))) - len(self.dirty)))
        cells, kept = self.view().reshape(-1, WIDTH), np.frombuffer(self.labels, np.int32)
        cells[freed] = kept[freed] = 0
        kept[rows] = labels
        for place, column in columns.items():
            cells[rows, place] = column
        # Where a cell ends its campaign says.
        cells[rows, HI] = cells[rows, LO]

    def was_read(self) -> None:
        """The journal has said everything."""
        import numpy as np

        labels = np.frombuffer(self.labels, np.int32)
        free, rows = np.flatnonzero(labels == 0), np.flatnonzero(labels)
        self._free = free[:NO_ROW:-1].tolist()
        campaigns = self.view()[rows * WIDTH + CAMPAIGN]
        order = campaigns.argsort(kind="stable")
        self._read = campaigns[order], rows[order]

    def read_rows(self, campaign: int) -> list[int]:
        """The rows of *campaign* as the sheet was read, for who takes them up."""
        if self._read is None:
            return []
        campaigns, rows = self._read
        first, stop = campaigns.searchsorted([campaign, campaign + 1])
        found: list[int] = rows[first:stop].tolist()
        return found

    # -- batches

    def view(self) -> Integers:
        """The sheet as an array; it must be let go of before a row is opened."""
        import numpy as np

        return np.frombuffer(self.cells, np.int64)
