"""
Ledgers of all partitions, parted anew: every campaign moves, whole, to the partition that its key hashes to.

A campaign's records carry over as they are, but for what is counted within a partition: its row, and the ordinals of
its updates. Its uncounted rows and its remembered ids follow it, these in the order of the buckets they came in; a new
partition's record time is the latest of the old ones, as is what it knows of each source.

    old 0  c h l p d s r x w │ u i o m      new 0  c h l p d s r x w │ u i o m
    old 1  c h l p d s r x w │ u i o m  ──▶ new 1  ...
                                            new 2  ...

It is exact where nothing is under way: the last tick of every partition is the same, has closed, and has counted all
that was folded. Then no entry of the memory is of a later tick than another, and none has to be parted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from worker.ledger.book import Book, Counts
from worker.ledger.changelog import Changelog, Marker, read_marker
from worker.ledger.identity import Columns
from worker.ledger.journal import sheet_of
from worker.ledger.kinds import CAMPAIGN, CORRECTION, IDS, MARKER, ROWS, SOURCE, WAITING
from worker.ledger.limits import LedgerLimits
from worker.ledger.packing import decode, encode
from worker.ledger.partitions import partition_of
from worker.ledger.records import fields_of, parts_of
from worker.ledger.sheet import Line
from worker.ledger.sources import Sources

Records = Mapping[bytes, bytes]

_ORDINAL: Final = {CORRECTION: 1, WAITING: 7}
"""The place of an original's ordinal in the values of these records."""
_ROW: Final = 1
"""The place of the row in a campaign's."""
CHUNK: Final = 8192
"""Entries given to the memory at a time, so that it may part a bucket of very many."""


class NotSettledError(ValueError):
    """Something is under way, so that the ledgers cannot be parted anew; in a sentence."""


class Entry(NamedTuple):
    """A remembered update: *place* is (old partition, old ordinal)."""

    bucket: int
    place: tuple[int, int]
    id: bytes
    body: bytes
    campaign_id: str
    note: bytes


@dataclass
class Part:
    """A new partition as it fills."""

    records: dict[bytes, bytes] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    """Of the sheet, the campaign by its new number."""
    entries: list[Entry] = field(default_factory=list)
    sources: Sources = field(default_factory=lambda: Sources(sys.maxsize))
    """What any of the old partitions knew of a source: nobody remembers for which campaign it reported last."""


def repartition(
    ledgers: Sequence[Records], partitions: int, positions: Sequence[Mapping[str, int]], limits: LedgerLimits
) -> list[dict[bytes, bytes]]:
    """
    The records of *partitions* ledgers that hold what *ledgers*, all of one application, hold.

    *positions* is where the inputs of each new partition begin. Raises NotSettledError.
    """
    markers = [read_marker(records[MARKER]) for records in ledgers]
    _check_settled(markers)
    parts = [Part() for _ in range(partitions)]
    for number, records in enumerate(ledgers):
        _deal_out(number, records, parts)
    counts = _shared_out([marker.counts for marker in markers], partitions)
    return [
        _finish(part, Goal(number, partitions, positions[number], counts[number]), markers, limits)
        for number, part in enumerate(parts)
    ]


class Goal(NamedTuple):
    """What a new partition is told about itself."""

    partition: int
    partitions: int
    positions: Mapping[str, int]
    counts: tuple[int, int, int, int]


def _check_settled(markers: Sequence[Marker]) -> None:
    for marker in markers:
        if marker.tick is not None:
            raise NotSettledError(f"partition {marker.partition} stands within a tick")
        if marker.positions != marker.tick_positions or marker.tick_ordinal != marker.next_ordinal:
            raise NotSettledError(f"partition {marker.partition} has folded input that its last tick did not count")
    if len({marker.last_tick for marker in markers}) > 1:
        raise NotSettledError("the partitions stand at different ticks")


# -- dealing out -------------------------------------------------------------------------------------------------------


def _deal_out(number: int, records: Records, parts: Sequence[Part]) -> None:
    names: dict[int, str] = {}
    for key, value in records.items():
        if key[:1] == CAMPAIGN:
            campaign_id = key[1:].decode()
            names[decode(value)[_ROW]] = campaign_id
            rows = _part_of(campaign_id, parts).rows
            rows[campaign_id] = len(rows)
    for line in sheet_of(records).lines():
        part = _part_of(campaign_id := names[line.campaign], parts)
        part.lines.append(line._replace(campaign=part.rows[campaign_id]))
    _tell_of_sources(records, parts)
    first = read_marker(records[MARKER]).first_ordinal
    for key, value in sorted(records.items()):
        if key[:1] == IDS:
            for entry in _entries(number, key, value, names):
                _part_of(entry.campaign_id, parts).entries.append(entry)
        elif key[:1] not in (MARKER, SOURCE, ROWS):
            campaign_id, _ = parts_of(key)
            _part_of(campaign_id, parts).records[key] = _renumbered(key, value, number, first)


def _tell_of_sources(records: Records, parts: Sequence[Part]) -> None:
    """What is known of a source, to every new partition."""
    for key, value in records.items():
        if key[:1] == SOURCE:
            for part in parts:
                part.sources.of(key[1:].decode()).merge(*fields_of(value, 3))


def _part_of(campaign_id: str, parts: Sequence[Part]) -> Part:
    return parts[partition_of(campaign_id.encode(), len(parts))]


def _renumbered(key: bytes, value: bytes, number: int, first: int) -> bytes:
    """A correction, with the old partition that its ordinal is of, and its *first*, until all entries are in place."""
    return encode([number, first, value]) if key[:1] in _ORDINAL else value


def _entries(number: int, key: bytes, value: bytes, names: Mapping[int, str]) -> Iterator[Entry]:
    _, bucket, _, ids, bodies, rows, lengths, notes = decode(value)[:8]
    first, at = int.from_bytes(key[1:], "big"), 0
    for place in range(len(ids) // 8):
        length = _little(lengths, place)
        eight, name = slice(8 * place, 8 * place + 8), names.get(_little(rows, place))
        # Nameless is a correction that waited alone, in a ledger that did not write down whose it was.
        if name is not None:
            yield Entry(bucket, (number, first + place), ids[eight], bodies[eight], name, notes[at : at + length])
        at += length


def _little(column: bytes, place: int) -> int:
    """An entry of a column of little-endian 32-bit integers."""
    return int.from_bytes(column[4 * place : 4 * place + 4], "little")


# -- finishing ---------------------------------------------------------------------------------------------------------


def _finish(part: Part, goal: Goal, markers: Sequence[Marker], limits: LedgerLimits) -> dict[bytes, bytes]:
    part.entries.sort(key=lambda entry: (entry.bucket, entry.place))
    ordinals = {entry.place: ordinal for ordinal, entry in enumerate(part.entries)}
    records = {key: _moved(key, value, part.rows, ordinals) for key, value in part.records.items()}
    book = _book(part, goal, markers, limits)
    memory_and_marker = Changelog(book).changes()
    return {**records, **{key: value for key, value in memory_and_marker if value is not None}}


def _moved(key: bytes, value: bytes, rows: Mapping[str, int], ordinals: Mapping[tuple[int, int], int]) -> bytes:
    """A record with the numbers of its new partition."""
    kind = key[:1]
    if kind == CAMPAIGN:
        return _with(value, _ROW, rows[key[1:].decode()])
    if kind not in _ORDINAL:
        return value
    number, first, value = decode(value)
    at = _ORDINAL[kind]
    ordinal = decode(value)[at]
    # What is forgotten is below the first that is not, which is 0 now, and stays in order: it may be corrected twice.
    return _with(value, at, ordinals.get((number, ordinal), ordinal - first))


def _with(value: bytes, at: int, new: int) -> bytes:
    fields: list[Any] = decode(value)
    fields[at] = new
    return encode(fields)


def _book(part: Part, goal: Goal, markers: Sequence[Marker], limits: LedgerLimits) -> Book:
    """A ledger that holds the memory, and stands where the old ones stood."""
    book = Book(goal.partition, goal.partitions, limits)
    for bucket, entries in _by_bucket(part.entries):
        book.memory.append_columns(bucket, _columns(entries, part.rows))
    for line in part.lines:
        book.sheet.put(line)
    last = markers[0]
    book.positions = dict(goal.positions)
    book.tick_positions = dict(goal.positions)
    book.last_tick = last.last_tick
    book.tick_complete = all(marker.tick_complete for marker in markers)
    book.tick_ordinal = book.memory.end
    book.move_ticks(last.last_tick, last.next_tick)
    book.watermark = max(marker.watermark for marker in markers)
    book.sources = part.sources
    book.rows = len(part.rows)
    book.counts = Counts(*goal.counts)
    book.moved = True
    return book


def _by_bucket(entries: Iterable[Entry]) -> Iterator[tuple[int, list[Entry]]]:
    buckets: dict[int, list[Entry]] = {}
    for entry in entries:
        buckets.setdefault(entry.bucket, []).append(entry)
    for bucket, several in buckets.items():
        for start in range(0, len(several), CHUNK):
            yield bucket, several[start : start + CHUNK]


def _columns(entries: Sequence[Entry], rows: Mapping[str, int]) -> Columns:
    return Columns(
        b"".join(entry.id for entry in entries),
        b"".join(entry.body for entry in entries),
        b"".join(rows[entry.campaign_id].to_bytes(4, "little") for entry in entries),
        b"".join(len(entry.note).to_bytes(4, "little") for entry in entries),
        b"".join(entry.note for entry in entries),
    )


def _shared_out(counts: Sequence[tuple[int, int, int, int]], partitions: int) -> list[tuple[int, int, int, int]]:
    """What became of the input so far, in equal shares: nobody remembers whose it was, and it still adds up."""
    shares = []
    for number in range(partitions):
        each = [sum(column) for column in zip(*counts, strict=True)]
        accepted, duplicates, refused, early = (n // partitions + (number < n % partitions) for n in each)
        shares.append((accepted, duplicates, refused, early))
    return shares
