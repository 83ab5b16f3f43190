"""
The rows of a campaign in a chain on the sheet, so that compiled loops can find them, and open more.

    campaign  | since, until | epoch | bin | first pending row, first waiting row, first ticked row
    row       | the next one of its chain

After a tick nearly each update of a uniform feed opens a row: its cell is one of a quarter of an hour, cut where ticks
cut it, and nothing about that has to be asked. A campaign *stands open* for such rows between two cuts of its plan
([since, until)), as long as no tick has moved (its epoch is the book's), and while all its rows there are in the chain:
few of them, and of one UTC day. Whoever has to look into cells takes the chain apart (`uncounted`); then the campaign
is shut, and what comes is looked up one by one until the next tick has taken it all away.

A tick that finds nothing but a snapshot to tell leaves what it counts on the sheet, in a third chain (see `counting`).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SINCE: Final = 0
UNTIL: Final = 1
EPOCH: Final = 2
BIN: Final = 3
HEAD: Final = 4
"""Where the chains of a campaign begin, one for each of its bins:"""
PENDING, WAITING, TICKED = range(3)
"""what is pending, what waits for an open tick, and what ticks have left."""
STAND: Final = 7
"""Columns of a campaign."""

LONGEST: Final = 32
"""Rows of a chain: it is walked whenever a row may have to be opened, or counted."""
SPREAD: Final = 8
"""Where rows become many, they do at so many numbers of them, by campaign: so not all are settled at one tick."""


class Chains:
    """The chains of a sheet."""

    def __init__(self) -> None:
        self._stands = array("q")
        self._next = array("i", [0])

    def add_rows(self, more: int) -> None:
        """The sheet has more rows."""
        self._next.frombytes(bytes(4 * more))

    def __bool__(self) -> bool:
        """Whether a campaign has ever stood open: nothing but the compiled loops lets one."""
        return bool(self._stands)

    def rows(self, campaign: int, which: int) -> list[int]:
        """The chain of one of the bins of a campaign, the last row opened first."""
        at, rows = campaign * STAND + HEAD + which, []
        row = self._stands[at] if at < len(self._stands) else 0
        while row:
            rows.append(row)
            row = self._next[row]
        return rows

    def has_rows(self, campaign: int, which: int) -> bool:
        """Whether the chain of one of the bins of a campaign has any."""
        at = campaign * STAND + HEAD + which
        return at < len(self._stands) and self._stands[at] != 0

    def link(self, campaign: int, rows: Iterable[int], which: int) -> None:
        """Let *rows* be the chain of one of the bins of a campaign."""
        self.reach(campaign)
        before = campaign * STAND + HEAD + which
        self._stands[before] = 0
        for row in rows:
            self._next[row] = self._stands[before]
            self._stands[before] = row

    def open(self, campaign: int, since: int, until: int, epoch: int, which: int) -> None:
        """Let rows be opened in [since, until) while the epoch lasts, in one of the bins."""
        self.reach(campaign)
        base = campaign * STAND
        self._stands[base : base + HEAD] = array("q", (since, until, epoch, which))

    def reach(self, campaign: int) -> None:
        """Have room for a campaign, and for those before it."""
        if campaign * STAND >= len(self._stands):
            self._stands.frombytes(bytes(8 * STAND * (64 + campaign + campaign // 8) - 8 * len(self._stands)))

    def stands_open(self, campaign: int, at: int, epoch: int) -> bool:
        """Whether rows may be opened for a campaign around an instant."""
        base, stands = campaign * STAND, self._stands
        return base < len(stands) and stands[base + EPOCH] == epoch and stands[base] <= at < stands[base + UNTIL]

    def shut(self, campaign: int) -> None:
        """Let no row be opened until it is open again."""
        base = campaign * STAND
        if base < len(self._stands):
            self._stands[base + SINCE] = self._stands[base + UNTIL] = 0

    def views(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Both as arrays; they must be let go of before a campaign stands open or the sheet grows."""
        import numpy as np

        return np.frombuffer(self._stands, np.int64).reshape(-1, STAND), np.frombuffer(self._next, np.int32)
