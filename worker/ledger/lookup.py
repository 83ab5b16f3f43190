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

    Integers = NDArray[np.int64]

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

    def put(self, rows: Integers, names: Integers) -> None:
        """From now on each name means its row, if it is one, and no other row has it."""
        from worker.ledger.kernel import place_rows

        if (self._used + len(rows)) * 3 > len(self._table) * 2:
            self._rebuild(len(rows))
        self._used += place_rows(self.view(), self._sheet.view(), rows, names)

    def forget(self) -> None:
        """No row is known by any name."""
        if not self._used:
            return
        view = self._sheet.view()
        view[NAME::WIDTH] = view[NAME + 1 :: WIDTH] = 0
        self._table = array("I", bytes(4 * _SMALLEST))
        self._used = 0

    def _rebuild(self, more: int) -> None:
        """A table of the rows that have a name, large enough for *more*."""
        import numpy as np

        from worker.ledger.kernel import enter

        view = self._sheet.view()
        rows = np.flatnonzero(view[NAME + 1 :: WIDTH])
        hashes = view[NAME::WIDTH][rows]
        size = _SMALLEST
        while size < 3 * (rows.size + more):
            size *= 2
        self._table = array("I", bytes(4 * size))
        self._used = rows.size
        enter(self.view(), hashes.view(np.uint64), rows.astype(np.uint32))


_FIELDS: Final = 5
"""Of who is known: the name, without its quarter, twice 64 bits; the campaign, the attribution, the label."""


class Names:
    """
    Whom the names of updates mean, whatever the quarter: campaign, attribution and currency, as numbers.

    Only of campaigns with a plan: which currency they take is settled for ever, and so is the rest.
    """

    def __init__(self) -> None:
        self._known = array("q", bytes(8 * _FIELDS))
        """Nobody is the first."""
        self._table = array("I", bytes(4 * _SMALLEST))

    def views(self) -> tuple[Integers, NDArray[np.uint32]]:
        """Who is known, and the table of their numbers; they must be let go of before a name is put."""
        import numpy as np

        return np.frombuffer(self._known, np.int64).reshape(-1, _FIELDS), np.frombuffer(self._table, np.uint32)

    def put(self, known: Integers) -> None:
        """Know more names, which are not known yet."""
        import numpy as np

        from worker.ledger.kernel import enter

        first = len(self._known) // _FIELDS
        self._known.frombytes(known.tobytes())
        count = first + len(known)
        if count * 3 > len(self._table) * 2:
            self._table = array("I", bytes(4 * 4 * len(self._table)))
            first = 1
        known, table = self.views()
        enter(table, known[first:, 0].astype(np.uint64), np.arange(first, count, dtype=np.uint32))
