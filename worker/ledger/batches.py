"""What goes into a ledger and what comes out at once: record batches, counts and refusals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple, overload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Spans = NDArray[np.int64]

PADDING = bytes(32)
"""Zeros behind packed bytes, so that whoever reads a word behind a field's name need not look where they end."""
_KEY, _VALUE = 0, 2


class Column(Sequence[bytes | None]):
    """The keys or the values of packed records, each cut out when it is asked for."""

    def __init__(self, data: bytes, spans: Spans, place: int) -> None:
        self._data = data
        self._spans = spans
        self._place = place

    def __len__(self) -> int:
        return len(self._spans)

    def __iter__(self) -> Iterator[bytes | None]:
        data = self._data
        # A column at a time: a list for each record would cost more than what is cut out.
        begins, ends = self._spans[:, self._place : self._place + 2].T.tolist()
        return (None if begin < 0 else data[begin:end] for begin, end in zip(begins, ends, strict=True))

    def pick(self, places: Sequence[int]) -> list[bytes | None]:
        """What stands at *places*."""
        return list(Column(self._data, self._spans[list(places)], self._place))

    @overload
    def __getitem__(self, at: int) -> bytes | None: ...
    @overload
    def __getitem__(self, at: slice) -> Column: ...
    def __getitem__(self, at: int | slice) -> bytes | Column | None:
        if isinstance(at, slice):
            return Column(self._data, self._spans[at], self._place)
        begin, end = self._spans[at, self._place : self._place + 2].tolist()
        return None if begin < 0 else self._data[begin:end]


def picked(column: Sequence[bytes | None], places: Sequence[int]) -> list[bytes | None]:
    """What stands at *places* of a column; of a packed one many are cut out at once."""
    return column.pick(places) if isinstance(column, Column) else [column[place] for place in places]


class Packed(NamedTuple):
    """
    Records in the bytes they came in, `PADDING` behind them.

    *spans* has a row a record: where its key begins and ends, and its value; -1 twice for one that is not there.
    """

    data: bytes
    spans: Spans

    def cut(self, start: int, stop: int) -> Packed:
        """Those in [start, stop)."""
        return Packed(self.data, self.spans[start:stop])

    @property
    def keys(self) -> Column:
        """The keys."""
        return Column(self.data, self.spans, _KEY)

    @property
    def values(self) -> Column:
        """The values."""
        return Column(self.data, self.spans, _VALUE)


def packed(keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> Packed:
    """Records as they would have come from a log."""
    import numpy as np

    texts = [*keys, *values]
    ends = np.fromiter(accumulate(len(text or b"") for text in texts), np.int64, len(texts))
    spans = np.empty((len(values), 4), np.int64)
    for place, column in ((_KEY, slice(len(keys))), (_VALUE, slice(len(keys), None))):
        spans[:, place + 1] = ends[column]
        spans[:, place] = ends[column] - [len(text or b"") for text in texts[column]]
        spans[[text is None for text in texts[column]], place : place + 2] = -1
    return Packed(b"".join([*(text or b"" for text in texts), PADDING]), spans)


def joined(parts: Sequence[Packed]) -> Packed:
    """The same records as one."""
    import numpy as np

    starts = accumulate((len(part.data) for part in parts), initial=0)
    spans = [np.where(part.spans < 0, -1, part.spans + start) for part, start in zip(parts, starts, strict=False)]
    return Packed(b"".join(part.data for part in parts), np.concatenate(spans))


class RecordBatch(NamedTuple):
    """
    One record batch of an input partition, as it lies in the log.

    A fold never sees half a batch, and what depends on record timestamps depends on *max_timestamp* alone, so that
    the ledger is a function of the log however it is fetched.
    """

    topic: str
    partition: int
    offsets: Sequence[int]
    """One a record, ascending; a range where none is missing. In a file: the index of the item."""
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    max_timestamp: int
    """The greatest record timestamp, in milliseconds since the epoch; -1 where there is none."""
    timestamps: Sequence[int] | None = None
    """One a record, in milliseconds: from when a plan counts that does not say. None: a file, which has none."""
    packed: Packed | None = None
    """The same keys and values in the bytes they came in; None where each is an object of its own."""


class Refused(NamedTuple):
    """An input that could not be accepted; its bytes go to the dead letters untouched."""

    offset: int
    reason: str
    field: str
    """The field that is at fault; empty where it is the whole message."""
    detail: str
    """A sentence for a person."""
    key: bytes | None
    value: bytes | None


class Folded(NamedTuple):
    """
    What became of a batch: accepted + duplicates + len(refused) is the number of its records.

    *late* are corrections accepted with an earlier batch: what they correct did not come within the horizon, or has
    come and cannot be corrected. They are dead letters as well, under the offsets they had.
    """

    accepted: int
    duplicates: int
    refused: list[Refused]
    late: list[Refused]
