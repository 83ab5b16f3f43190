"""
The journal of the sheet: the rows that changed since the last checkpoint, as they are now, thousands in a record.

    sheet    | . a . b . c .          record 7: a b c     record 8: b          a checkpoint writes what changed
    record 9: b c, a                  record 7 deleted    record 8 deleted     the oldest are rewritten with it

Spend that hits very many campaigns changes a row or two of each; a record for each would cost more than the update.
So rows are copied a column at a time. A row is what the newest record that names it says; a row that was given back is
named as well, while an older record speaks of it. The journal is as long as the sheet: what is in the oldest record
and in no newer one is written again before that record is deleted, while the journal is more than twice as large.

    column   [least, step, bytes an entry, entries]: each entry little-endian, and a value is least + step x entry
    rows     [rows given back, rows, campaign, label, attribution, lo, latest, updates, spend .. conversion_value: each
             a column; [row, figures that passed `sheet.FULL` (integers, or bytes past 64 bits)] of those that have any]

A label tells the stated currency, whether the row waits for an open tick, and whether a tick has counted it: see
`sheet.label_of`.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from worker.ledger.cells import COUNT
from worker.ledger.kinds import ROWS
from worker.ledger.packing import encode, pack_big, unpack_big
from worker.ledger.records import VERSION, Record, UnreadableLedgerError, fields_of, hash_bytes
from worker.ledger.sheet import ATTRIBUTION, CAMPAIGN, LATEST, LO, UPDATES, Sheet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

ROWS_A_RECORD: Final = 4096
"""At some hundred bytes a row, the most there can be, half a Kafka record."""
RECORD: Final = 512
"""What a record costs besides its rows, in rows: so there is a limit to how many small ones there are."""
SHORTEST: Final = 1 << 17
"""Rows that the journal may have at any rate."""

NOWHERE: Final = -1
WIDE: Final = 2
"""Entries of more bytes are worth looking for what they all are a multiple of."""

COLUMNS: Final = (CAMPAIGN, None, ATTRIBUTION, LO, LATEST, UPDATES, *range(COUNT))
"""Where a record's columns stand in the sheet; None: the labels, which are kept beside it."""
FIELDS: Final = 2 + len(COLUMNS) + 1
"""Of a record's value."""


class Rows(NamedTuple):
    """What a record says."""

    freed: Integers
    rows: Integers
    columns: Sequence[Integers]
    """As `COLUMNS` names them."""
    big: Mapping[int, list[int]]


class Journal:
    """The records of a sheet, oldest first, each known by its ordinal."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._home = array("q")
        """Of each row the newest record that names it; NOWHERE: none does."""
        self._sizes: deque[int] = deque()
        """How large each record is, in rows."""
        self.first = 0
        """The oldest record's ordinal."""

    @property
    def end(self) -> int:
        """The ordinal of the next record."""
        return self.first + len(self._sizes)

    def __len__(self) -> int:
        """How long it is, in rows."""
        return sum(self._sizes)

    # -- writing

    def changes(self) -> Iterator[Record]:
        """The records of what changed, all of which are to be drained."""
        import numpy as np

        sheet, home = self._sheet, self._homes()
        rows = sheet.changed()
        if not rows.size:
            return
        first = self._first_kept(rows.size)
        if first > self.first:
            old = np.flatnonzero((home != NOWHERE) & (home < first))
            home[old] = NOWHERE
            rows = np.union1d(rows, old)
        rows = rows[(sheet.labels_of(rows) != 0) | (home[rows] != NOWHERE)]
        for start in range(0, len(rows), ROWS_A_RECORD):
            part = rows[start : start + ROWS_A_RECORD]
            home[part] = self.end
            yield _key(self.end), encode([VERSION, *packed(_taken(sheet, part))])
            self._sizes.append(RECORD + len(part))
        while self.first < first:
            yield _key(self.first), None
            self._sizes.popleft()
            self.first += 1

    def _homes(self) -> Integers:
        import numpy as np

        self._home.extend([NOWHERE] * (len(self._sheet.labels) - len(self._home)))
        return np.frombuffer(self._home, np.int64)

    def _first_kept(self, more: int) -> int:
        """The oldest record that is kept when so many *more* rows are written."""
        size, most = len(self) + RECORD + more, max(SHORTEST, 2 * len(self._sheet))
        first = self.first
        for each in self._sizes:
            if size <= most:
                break
            size -= each
            first += 1
        return first

    # -- reading

    def load(self, key: bytes, value: bytes) -> None:
        """Take the next record; after the last one the sheet is to be told that it `was_read`."""
        ordinal, said, sheet = int.from_bytes(key[1:], "big"), unpacked(fields_of(value, FIELDS)), self._sheet
        if self._sizes and ordinal != self.end:
            raise UnreadableLedgerError(f"uncounted rows {self.end} to {ordinal} are missing")
        sheet.put_all(said.rows, _in_sheet(said.columns), said.columns[COLUMNS.index(None)], said.freed)
        for row in (*said.freed.tolist(), *said.rows.tolist()) if sheet.big else ():
            sheet.big.pop(row, None)
        sheet.big.update(said.big)
        if not self._sizes:
            self.first = ordinal
        home = self._homes()
        home[said.freed] = home[said.rows] = ordinal
        self._sizes.append(RECORD + len(said.freed) + len(said.rows))


def sheet_of(records: Mapping[bytes, bytes]) -> Sheet:
    """The sheet that a ledger's records say."""
    journal = Journal(sheet := Sheet())
    for key in sorted(key for key in records if key[:1] == ROWS):
        journal.load(key, records[key])
    sheet.was_read()
    return sheet


def _key(ordinal: int) -> bytes:
    return ROWS + hash_bytes(ordinal)


def _in_sheet(columns: Sequence[Integers]) -> dict[int, Integers]:
    return {at: column for at, column in zip(COLUMNS, columns, strict=True) if at is not None}


def _taken(sheet: Sheet, rows: Integers) -> Rows:
    """*rows* as they are now."""
    labels = sheet.labels_of(rows)
    is_open = labels != 0
    taken = rows[is_open]
    columns = sheet.columns(taken, [at for at in COLUMNS if at is not None])
    columns.insert(COLUMNS.index(None), labels[is_open])
    big = {row: sheet.big[row] for row in sorted(sheet.big.keys() & taken.tolist())} if sheet.big else {}
    return Rows(rows[~is_open], taken, columns, big)


# -- values ------------------------------------------------------------------------------------------------------------


def packed(said: Rows) -> list[Any]:
    """The fields of a record."""
    big = [[row, [_pack_figure(figure) for figure in figures]] for row, figures in said.big.items()]
    return [*map(pack_column, (said.freed, said.rows, *said.columns)), big]


def unpacked(fields: Sequence[Any]) -> Rows:
    """What the fields of a record say."""
    *packed, big = fields
    freed, rows, *columns = map(unpack_column, packed)
    return Rows(freed, rows, columns, {row: [unpack_big(figure) for figure in figures] for row, figures in big})


def _pack_figure(figure: int) -> int | bytes:
    return figure if -(2**63) <= figure < 2**63 else pack_big(figure)


def pack_column(column: Integers) -> list[Any]:
    r"""
    A column of integers, with only as many bytes an entry as it needs.

    >>> import numpy as np
    >>> pack_column(np.array([7, 7, 7])), pack_column(np.array([5, 9, 7]))
    ([7, 0, 0, 3], [5, 1, 1, b'\x00\x04\x02'])
    """
    import numpy as np

    least = int(column.min()) if len(column) else 0
    entries, step = (column - least).view(np.uint64), 1
    most = int(entries.max()) if len(column) else 0
    if not most:
        return [least, 0, 0, len(column)]
    if most >= 256**WIDE:
        step = int(np.gcd.reduce(entries))
        most //= step
        entries = entries // np.uint64(step) if step > 1 else entries
    width = next(width for width in (1, 2, 4, 8) if most < 256**width)
    return [least, step, width, entries.astype(f"<u{width}").tobytes()]


def as_column(numbers: Sequence[int]) -> Integers:
    """A column of *numbers*."""
    import numpy as np

    return np.array(numbers, np.int64)


def unpack_column(packed: Sequence[Any]) -> Integers:
    """The column that `pack_column` wrote."""
    import numpy as np

    least, step, width, entries = packed
    if not width:
        return np.full(entries, least, np.int64)
    column: Integers = np.frombuffer(entries, f"<u{width}").astype(np.uint64).view(np.int64) * step + least
    return column
