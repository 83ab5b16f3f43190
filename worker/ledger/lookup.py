"""
From what an update says of itself to the row of the sheet that counts it, a batch at a time.

An update's name is (campaign, channel, deal, stated currency) and the quarter of an hour it is dated in. Of a name at
most one row is known here at a time: the one that was counted in last; it still has to be asked whether it covers the
instant, since ticks and plans part quarters. Whoever is not known here is looked up in its campaign, and put here.

Names are 128 bits of hash: of a million names two are alike with a probability of 10^-27, so nothing else is compared.
The table is open addressing over the low bits, made of two arrays: which row, and nothing more; the row knows its name.
A row that was given back has no name, so a stale entry is met and passed over.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from worker.ledger.sheet import NAME, WIDTH, Sheet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SMALLEST: Final = 1 << 12


class Lookup:
    """The rows that were counted in last, by name."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._table = array("I", bytes(4 * _SMALLEST))
        """Rows; NO_ROW is a free slot."""
        self._used = 0

    def view(self) -> NDArray[np.uint32]:
        """The table as an array; it must be let go of before a name is put."""
        import numpy as np

        return np.frombuffer(self._table, np.uint32)

    def put(self, row: int, first: int, second: int) -> None:
        """From now on the name means *row*, and no other row has it."""
        cells, table = self._sheet.cells, self._table
        at = first & (len(table) - 1)
        spot = -1
        while known := table[at]:
            base = known * WIDTH + NAME
            if known == row or (cells[base] == first and cells[base + 1] == second):
                cells[base] = cells[base + 1] = 0
                spot = at if spot < 0 else spot
            at = (at + 1) & (len(table) - 1)
        base = row * WIDTH + NAME
        cells[base], cells[base + 1] = first, second
        table[at if spot < 0 else spot] = row
        self._used += spot < 0
        if self._used * 3 > len(table) * 2:
            self._rebuild()

    def forget(self) -> None:
        """No row is known by any name."""
        if not self._used:
            return
        view = self._sheet.view()
        view[NAME::WIDTH] = view[NAME + 1 :: WIDTH] = 0
        self._table = array("I", bytes(4 * _SMALLEST))
        self._used = 0

    def _rebuild(self) -> None:
        """A table of the rows that have a name, twice as large if they need it."""
        import numpy as np

        from worker.ledger.kernel import enter

        view = self._sheet.view()
        rows = np.flatnonzero(view[NAME + 1 :: WIDTH])
        hashes = view[NAME::WIDTH][rows]
        size = _SMALLEST
        while size < 3 * rows.size:
            size *= 2
        self._table = array("I", bytes(4 * size))
        self._used = rows.size
        enter(self.view(), hashes.view(np.uint64), rows.astype(np.uint32))
