"""
What changed since the last checkpoint, as records; and the ledger from its records.

A campaign that was used is looked at for what changed in it; what was only added up is rows of the sheet, which the
journal takes as they are. New ids are written in segments that are joined as they
grow: a segment is joined with the one before it while that is no more than twice as large, up to half a mebibyte, so
each id is written a few times and a restore reads few records. What the horizon has passed is deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from worker.ledger.book import Book, Counts, Waiting
from worker.ledger.campaign import Campaign
from worker.ledger.cells import DAY
from worker.ledger.identity import Columns
from worker.ledger.journal import Journal
from worker.ledger.kinds import (
    CAMPAIGN,
    CORRECTION,
    COUNTED,
    HISTORY,
    IDS,
    LOCAL_DAYS,
    MARKER,
    PENDING,
    REPORTS,
    ROWS,
    SERIES,
    SOURCE,
    WAITING,
)
from worker.ledger.packing import decode, encode
from worker.ledger.records import (
    VERSION,
    Record,
    Records,
    UnreadableLedgerError,
    day_bytes,
    fields_of,
    hash_bytes,
    key_of,
    pack_campaign,
    pack_correction,
    pack_counted,
    pack_history,
    pack_local_days,
    pack_pending,
    pack_reports,
    pack_series,
    pack_source,
    parted,
    parts_of,
    source_key,
)
from worker.ledger.series import Series
from worker.ledger.uncounted import NOWHERE

if TYPE_CHECKING:
    from worker.ledger.newest import Newest

SEGMENT_BYTES: Final = 512 * 1024
"""The largest segment of ids: a Kafka record is at most a megabyte by default."""

SEGMENT_IDS: Final = 8192


class Segment(NamedTuple):
    """A stretch of remembered ids in one record: [first, stop) of the part that begins at *part*."""

    part: int
    first: int
    stop: int
    size: int


class Marker(msgspec.Struct, kw_only=True):
    """Where a checkpoint stands. Fields are only added, with defaults."""

    version: int = VERSION
    partition: int
    partitions: int
    positions: dict[str, int]
    last_tick: int | None
    next_tick: int | None
    tick: int | None
    """The open tick; what follows is of it, else of the last one."""
    tick_done: str | None
    tick_positions: dict[str, int]
    tick_complete: bool
    tick_first: bool
    tick_campaigns: int
    tick_ordinal: int
    watermark: int
    rows: int
    first_ordinal: int
    next_ordinal: int
    counts: tuple[int, int, int, int]
    first_rows: int = 0
    """The journal's records are [*first_rows*, *next_rows*)."""
    next_rows: int = 0


_marker = msgspec.msgpack.Decoder(Marker).decode


# -- writing -----------------------------------------------------------------------------------------------------------


class Changelog:
    """The records of a book: those still to be written, and what was written or read."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self._journal = Journal(book.sheet)
        self._segments: list[Segment] = []
        self._written = 0
        """The first ordinal in no segment."""

    def changes(self) -> list[Record]:
        """Drain the records that changed; the marker is last. Nothing where nothing did."""
        book = self.book
        records: list[Record] = []
        for campaign in book.used.values():
            if campaign.changed or campaign.dropped_series:
                records += _changes_of(campaign)
            if campaign.pending.has_days:
                _pack_quiet_days(campaign)
        records += self._rows()
        records += self._waiting()
        records += [(source_key(source.name), pack_source(source)) for source in book.sources.changed()]
        records += self._ids()
        book.used.clear()
        if not records and not book.moved:
            return []
        book.moved = False
        return [*records, (MARKER, encode(_mark(book, self._journal)))]

    def _rows(self) -> Iterator[Record]:
        """What changed in the sheet, and the days that were packed or unpacked."""
        sheet = self.book.sheet
        yield from self._journal.changes()
        for row, day in sorted(sheet.repacked):
            campaign = self.book.by_row[row]
            yield key_of(PENDING, campaign.campaign_id, day_bytes(day)), _pending(campaign, day)
        sheet.repacked.clear()

    def _waiting(self) -> Iterator[Record]:
        book = self.book
        for campaign_id, waits in sorted(book.changed_waiting):
            waiting = book.waiting.get(waits)
            value = None if waiting is None else encode([VERSION, *waiting[2:]])
            yield key_of(WAITING, campaign_id, hash_bytes(waits)), value
        book.changed_waiting.clear()

    def _ids(self) -> list[Record]:
        """Delete the segments that are forgotten, write what is new, and what that is joined with."""
        memory = self.book.memory
        changed: dict[int, Segment | None] = {}
        while self._segments and self._segments[0].first < memory.first:
            changed[self._segments.pop(0).first] = None
        for segment in self._new_segments(max(self._written, memory.first)):
            changed[segment.first] = segment
            self._segments.append(segment)
            self._join(changed)
        self._written = memory.end
        return [(_segment_key(first), segment and self._pack_segment(segment)) for first, segment in changed.items()]

    def _new_segments(self, start: int) -> Iterator[Segment]:
        for part, first, stop in self.book.memory.parts(start):
            while first < stop:
                end = min(stop, first + SEGMENT_IDS)
                while end - first > 1 and self._size(first, end) > SEGMENT_BYTES:
                    end = first + (end - first) // 2
                yield Segment(part, first, end, self._size(first, end))
                first = end  # noqa: PLW2901  # the rest of the part

    def _size(self, first: int, stop: int) -> int:
        return self.book.memory.size(first, stop)

    def _join(self, changed: dict[int, Segment | None]) -> None:
        segments = self._segments
        while len(segments) > 1:
            before, last = segments[-2:]
            size = before.size + last.size
            if before.part != last.part or before.size > 2 * last.size or size > SEGMENT_BYTES:
                return
            segments[-2:] = [before._replace(stop=last.stop, size=size)]
            changed[last.first] = None
            changed[before.first] = segments[-1]

    def _pack_segment(self, segment: Segment) -> bytes:
        bucket = self.book.memory.bucket_of(segment.first)
        columns = self.book.memory.columns(segment.first, segment.stop)
        return encode([VERSION, bucket, segment.part, *columns])

    # -- reading

    def load(self, newest: Records | Newest) -> bool:
        """Take the newest record of each key; whether there was a marker."""
        records, shelves = parted(newest) if isinstance(newest, Mapping) else newest.parted()
        marker = records.pop(MARKER, None)
        if marker is None:
            return False
        self._place(where := read_marker(marker))
        for key in sorted(records):
            self._take(key, records.pop(key))
        self.book.shelves = shelves
        self.book.corrected = shelves.corrected()
        self._written = self.book.memory.end
        self.book.sheet.was_read()
        self._check_whole(where)
        return True

    def _place(self, marker: Marker) -> None:
        book = self.book
        if (marker.partition, marker.partitions) != (book.partition, book.partitions):
            raise UnreadableLedgerError(
                f"it is of partition {marker.partition} of {marker.partitions},"
                f" not of {book.partition} of {book.partitions}"
            )
        book.positions = marker.positions
        book.last_tick = marker.last_tick
        book.tick = marker.tick
        book.tick_done = marker.tick_done
        book.tick_positions = marker.tick_positions
        book.tick_complete = marker.tick_complete
        book.tick_first = marker.tick_first
        book.tick_campaigns = marker.tick_campaigns
        book.tick_ordinal = marker.tick_ordinal
        book.watermark = marker.watermark
        book.rows = marker.rows
        book.counts = Counts(*marker.counts)
        book.memory.begin(marker.first_ordinal)
        book.move_ticks(marker.last_tick if marker.tick is None else marker.tick, marker.next_tick)

    def _take(self, key: bytes, value: bytes) -> None:
        kind = key[:1]
        if kind == IDS:
            self._take_segment(int.from_bytes(key[1:], "big"), value)
        elif kind == ROWS:
            self._journal.load(key, value)
        elif kind == SOURCE:
            source = self.book.sources.of(key[1:].decode())
            source.merge(*fields_of(value, 3))
            source.changed = False
        elif kind == WAITING:
            campaign_id, own = parts_of(key)
            self.book.wait_for(Waiting(campaign_id, int.from_bytes(own, "big"), *fields_of(value, 7)))
            self.book.changed_waiting.clear()
        else:
            raise UnreadableLedgerError(f"a record of an unknown kind, {kind!r}")

    def _take_segment(self, first: int, value: bytes) -> None:
        memory = self.book.memory
        bucket, part, ids, bodies, rows, lengths, notes = fields_of(value, 7)
        if first != memory.end:
            raise UnreadableLedgerError(f"ids {memory.end} to {first} are missing")
        memory.append_segment(bucket, part, Columns(ids, bodies, rows, lengths, notes))
        self._segments.append(Segment(part, first, memory.end, memory.size(first, memory.end)))

    def _check_whole(self, marker: Marker) -> None:
        memory, journal = self.book.memory, self._journal
        if memory.end != marker.next_ordinal:
            raise UnreadableLedgerError(f"ids {memory.end} to {marker.next_ordinal} are missing")
        if not len(journal):
            journal.first = marker.first_rows
        if (journal.first, journal.end) != (marker.first_rows, marker.next_rows):
            raise UnreadableLedgerError(
                f"uncounted rows are {journal.first} to {journal.end}, not {marker.first_rows} to {marker.next_rows}"
            )


def _segment_key(first: int) -> bytes:
    return IDS + hash_bytes(first)


def _mark(book: Book, journal: Journal) -> Marker:
    counts = book.counts
    return Marker(
        partition=book.partition,
        partitions=book.partitions,
        positions=book.positions,
        last_tick=book.last_tick,
        next_tick=book.ticks.next,
        tick=book.tick,
        tick_done=book.tick_done,
        tick_positions=book.tick_positions,
        tick_complete=book.tick_complete,
        tick_first=book.tick_first,
        tick_campaigns=book.tick_campaigns,
        tick_ordinal=book.tick_ordinal,
        watermark=book.watermark,
        rows=book.rows,
        first_ordinal=book.memory.first,
        next_ordinal=book.memory.end,
        counts=(counts.accepted, counts.duplicates, counts.refused, counts.forgotten_early),
        first_rows=journal.first,
        next_rows=journal.end,
    )


def read_marker(value: bytes) -> Marker:
    """The marker in a record's value. Raises UnreadableLedgerError for another format."""
    version = decode(value).get("version")
    if version != VERSION:
        raise UnreadableLedgerError(f"a marker of format {version}; this version reads format {VERSION}")
    return _marker(value)


def _changes_of(campaign: Campaign) -> Iterator[Record]:  # noqa: C901  # one branch for each kind of record
    """The records of a campaign that changed."""
    changed, campaign.changed = campaign.changed, {}
    name = campaign.campaign_id
    for kind, which in changed:
        if kind == CAMPAIGN:
            yield key_of(CAMPAIGN, name), pack_campaign(campaign)
            campaign.give_back()
        elif kind == COUNTED:
            yield key_of(COUNTED, name, day_bytes(which)), pack_counted(campaign.days[which])
        elif kind == LOCAL_DAYS and campaign.rhythm is not None:
            yield key_of(LOCAL_DAYS, name), pack_local_days(campaign.rhythm)
        elif kind == HISTORY and campaign.history is not None:
            yield key_of(HISTORY, name), pack_history(campaign.history)
        elif kind == CORRECTION:
            correction = campaign.corrections.get(which)
            value = None if correction is None else pack_correction(correction)
            yield key_of(CORRECTION, name, hash_bytes(which)), value
        elif kind == SERIES:
            yield from _changed_series(name, campaign.series[which])
    for series in campaign.dropped_series:
        yield from _dropped_series(name, series)
    campaign.dropped_series.clear()


def _pending(campaign: Campaign, day: int) -> bytes | None:
    return pack_pending(campaign.pending.data(day), campaign.waiting.data(day) if campaign.waiting else None)


def _pack_quiet_days(campaign: Campaign) -> None:
    """Pack the uncounted days that have not changed since changes were last drained."""
    for day in campaign.pending.days:
        campaign.pending.pack(day)
    campaign.cell = NOWHERE


def _changed_series(name: str, series: Series) -> Iterator[Record]:
    number = day_bytes(series.number)
    if series.head_changed:
        series.head_changed = False
        yield key_of(SERIES, name, number), pack_series(series)
    for day in series.changed_days:
        yield key_of(REPORTS, name, number, day_bytes(day)), pack_reports(series.of_day(day))
    series.changed_days.clear()


def _dropped_series(name: str, series: Series) -> Iterator[Record]:
    number = day_bytes(series.number)
    yield key_of(SERIES, name, number), None
    for day in {report.at // DAY for report in series.reports} | series.changed_days:
        yield key_of(REPORTS, name, number, day_bytes(day)), None
