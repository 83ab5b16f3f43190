"""
Where each recorded message lay: in which partition, and at which offset.

In a file of records each says so. In a file of messages they lie from offset 0 on, in the order of the file, in the
partition that their campaign's id hashes to. Source: contract, general rules and "Commands".
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from worker.faults import Fault, Faults
from worker.ledger.partitions import partition_of
from worker.recorded import Items, Record

_NOWHERE: Final = "no campaign_id, so which of {} partitions it lay in can be told only by a record"


class _Named(msgspec.Struct):
    campaign_id: str


_named = msgspec.json.Decoder(_Named)


class Placed(NamedTuple):
    """A message, the number it is told by, and where it lay."""

    number: int
    value: bytes | None
    partition: int
    offset: int
    key: bytes | None
    timestamps: list[int] | None


class Column:
    """Messages of one partition, in the order of their offsets, and the number of each in the file."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.numbers: list[int] = []
        self.keys: list[bytes | None] = []
        self.values: list[bytes | None] = []
        self.timestamps: list[list[int] | None] = []

    def append(self, placed: Placed) -> None:
        """One more."""
        self.offsets.append(placed.offset)
        self.numbers.append(placed.number)
        self.keys.append(placed.key)
        self.values.append(placed.value)
        self.timestamps.append(placed.timestamps)

    def extend(self, more: Column) -> None:
        """Those that come after."""
        self.offsets += more.offsets
        self.numbers += more.numbers
        self.keys += more.keys
        self.values += more.values
        self.timestamps += more.timestamps


class Log:
    """An input topic in a file: which message lay where. A *compacted* one may begin anywhere."""

    def __init__(self, name: str, partitions: int, faults: Faults, *, compacted: bool) -> None:
        self.name = name
        self._compacted = compacted
        self._partitions = partitions
        self._faults = faults
        self._ends: dict[int, int] = {}
        self._gaps: set[int] = set()
        self._places: dict[str, tuple[int, bytes]] = {}
        self._offsets: dict[int, array[int]] = {}
        self._numbers: dict[int, array[int]] = {}

    def number(self, partition: int, offset: int) -> int:
        """The number of the item that lay at an offset."""
        return self._numbers[partition][bisect_left(self._offsets[partition], offset)]

    def reaches(self, partition: int, offset: int) -> bool:
        """
        Whether all before *offset* is here, as far as can be told.

        Records with gaps between them may end in one, too: control records of transactions are recorded by nobody.
        """
        return partition in self._gaps or self._ends.get(partition, 0) >= offset

    def end(self, partition: int) -> int:
        """The offset behind the last message of a partition."""
        return self._ends.get(partition, 0)

    def columns(self, items: Items) -> dict[int, Column]:
        """*items* by the partition they lay in."""
        columns: dict[int, Column] = {}
        found = self._by_campaign(items) if items.records is None else self._by_record(items, items.records)
        for placed in found:
            column = columns.get(placed.partition)
            if column is None:
                column = columns[placed.partition] = Column()
            column.append(placed)
        for partition, column in columns.items():
            self._offsets.setdefault(partition, array("q")).extend(column.offsets)
            self._numbers.setdefault(partition, array("q")).extend(column.numbers)
        return columns

    def _by_record(self, items: Items, records: Sequence[Record]) -> Iterator[Placed]:
        for number, value, record in zip(items.numbers, items.values, records, strict=True):
            end = self._ends.get(record.partition, 0)
            if record.offset < end:
                message = f"offset {record.offset} of partition {record.partition} comes after {end - 1}"
                self._faults.tell(Fault(self.name, number, "offset", message))
                continue
            if record.offset > end:
                self._gap(number, record)
            self._ends[record.partition] = record.offset + 1
            key = None if record.key is None else record.key.encode()
            yield Placed(number, value, record.partition, record.offset, key, record.timestamps)

    def _gap(self, number: int, record: Record) -> None:
        self._gaps.add(record.partition)
        if not self._compacted and record.partition not in self._ends:
            message = f"partition {record.partition} begins with offset {record.offset}: what was before it is missing"
            self._faults.tell(Fault(self.name, number, "offset", message))

    def _by_campaign(self, items: Items) -> Iterator[Placed]:
        for number, value in zip(items.numbers, items.values, strict=True):
            place = self._place(value or b"")
            if place is None:
                self._faults.tell(Fault(self.name, number, "", _NOWHERE.format(self._partitions)))
                continue
            partition, key = place
            offset = self._ends.get(partition, 0)
            self._ends[partition] = offset + 1
            yield Placed(number, value, partition, offset, key, None)

    def _place(self, value: bytes) -> tuple[int, bytes] | None:
        """The partition and the key of a message; None where it cannot be told."""
        try:
            campaign = _named.decode(value).campaign_id
        except (ValueError, RecursionError):
            return (0, b"") if self._partitions == 1 else None
        place = self._places.get(campaign)
        if place is None:
            key = campaign.encode()
            place = self._places[campaign] = partition_of(key, self._partitions), key
        return place
