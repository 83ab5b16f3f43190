r"""
Recorded input: the messages as they are, or the records they came in, with partition, offset, timestamp and key.

A record is a line as `kcat -J` writes it; of its fields these are read:

    {"partition":0,"offset":5,"ts":1785535200000,"key":"c-1","payload":"{\"campaign_id\":\"c-1\", ...}"}

What the first item of a file is, all of them have to be. A `payload` of null is a tombstone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from schemas.wire import within_sentence
from worker.faults import Fault, Faults
from worker.files import Chunk, UnreadableError, open_file, read_chunks
from worker.progress_bar import watch

_RECORD_FIELDS: Final = frozenset({"partition", "offset", "payload"})
_MESSAGE_FIELD: Final = "campaign_id"
"""What every message of an input has, and no record."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class Record(msgspec.Struct):
    """A record of a topic."""

    partition: _Count
    offset: _Count
    payload: str | None
    key: str | None = None
    ts: int | None = None
    """In milliseconds since the epoch; None or -1 where it was not recorded."""

    @property
    def timestamps(self) -> list[int] | None:
        """The timestamp, as a batch of this record alone has it."""
        return None if self.ts is None or self.ts < 0 else [self.ts]


class Items(NamedTuple):
    """Items of a file next to each other, by the numbers they are told by; *records* where it holds records."""

    numbers: Sequence[int]
    values: Sequence[bytes | None]
    records: Sequence[Record] | None

    def part(self, start: int, stop: int) -> Items:
        """Those from *start* up to *stop*."""
        records = None if self.records is None else self.records[start:stop]
        return Items(self.numbers[start:stop], self.values[start:stop], records)


_record = msgspec.json.Decoder(Record)
_anything = msgspec.json.Decoder(dict[str, Any])


def read(name: str, faults: Faults, *, bar: bool = True) -> Iterator[Items]:
    """The items of the file called *name*, with a *bar* if it is long; what is wrong with the file itself is told."""
    are_records = None
    for chunk in _chunks(name, faults, bar=bar):
        if are_records is None and chunk.values:
            are_records = _is_record(chunk.values[0])
        if are_records:
            yield _records(name, chunk, faults)
        else:
            yield Items(chunk.numbers, chunk.values, None)


def _chunks(name: str, faults: Faults, *, bar: bool) -> Iterator[Chunk]:
    try:
        with open_file(name) as file:
            read = read_chunks(file)
            for chunk in watch(read, file, name) if bar else read:
                yield chunk
                for number, message in chunk.misshapen:
                    faults.tell(Fault(name, number, "", message))
    except UnreadableError as error:
        faults.a_file_is_unread = True
        faults.tell(Fault(name, None, "", str(error)))


def _is_record(value: bytes) -> bool:
    try:
        fields = _anything.decode(value).keys()
    except (ValueError, RecursionError):
        return False
    return fields >= _RECORD_FIELDS and _MESSAGE_FIELD not in fields


def _records(name: str, chunk: Chunk, faults: Faults) -> Items:
    numbers, records = [], []
    for number, value in zip(chunk.numbers, chunk.values, strict=True):
        try:
            records.append(_record.decode(value))
            numbers.append(number)
        except (ValueError, RecursionError) as error:
            faults.tell(Fault(name, number, "", f"not a record as the first one is: {within_sentence(str(error))}"))
    values = [None if record.payload is None else record.payload.encode() for record in records]
    return Items(numbers, values, records)
