"""
Which updates were accepted: their ids, what tells a repeat from a conflict, and what a correction has to replace.

    id     64 bits of (campaign_id, source, event_id)         body   64 bits of the known fields after parsing
    row    the campaign's number in this ledger               note   what it said, packed (see `notes`); may be empty

An entry is remembered for the horizon, counted in record timestamps: it lies in the bucket (a sixteenth of the
horizon) that was current when it was accepted, and is forgotten with it. Entries are numbered in the order of
acceptance, for ever; so buckets, generations and the chunks written to the changelog are all stretches of one line.

    ordinal      0 ............ forgotten | first ........................... end
    generations              [   4 Mi entries, with an index   ][   young   ]

Memory: 24 bytes in arrays, 5 to 13 in the index, so 29 to 37 an id, and the note on top. A Python set of integers
takes 80. A generation is dropped whole once all of it is forgotten, so growing and forgetting never touch more than
four million entries at a time. Two ids with one hash end in the dead letters as a conflict, never as a silent drop;
among ten million ids that happens once in 370,000 ledgers.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import xxhash

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Ordinals = NDArray[np.int64]

BUCKETS: Final = 16
"""Buckets in a horizon: an id is remembered for the horizon and up to a sixteenth more."""

GENERATION: Final = 1 << 22
"""Entries in a generation: its index (32 MiB) grows within a quarter of a second, and a lookup visits few."""

NOTE_BYTES: Final = 1 << 31
"""Bytes of notes in a generation; their ends are 32-bit numbers, and one note is far below the rest of the range."""

YOUNG: Final = 1 << 16
"""Entries up to which a dict is the index: a small file is evaluated before the compiled loops would be imported."""

UNKNOWN: Final = -1
"""In the place of an ordinal: not remembered."""
SPECIAL: Final = -2
"""In the place of an ordinal: accepted just now, and of a kind that has no note."""

HASHES: Final = 1 << 64
"""How many hashes there are."""

hash64 = xxhash.xxh3_64_intdigest
"""The hash of ids and bodies. Part of the formats: it must give the same number for ever."""


def id_hash(campaign_id: str, source: str, event_id: str) -> int:
    """
    The 64 bits by which an update is recognised; NUL is in no id, so no two triples are spelled alike.

    >>> id_hash("c", "s", "e")
    18186752480522788869
    """
    return hash64(f"{campaign_id}\0{source}\0{event_id}".encode())


class Entries(NamedTuple):
    """Newly accepted updates, column by column."""

    ids: Sequence[int]
    bodies: Sequence[int]
    rows: Sequence[int]
    notes: Sequence[bytes]

    def cut(self, start: int, stop: int) -> Entries:
        """Those in [start, stop)."""
        cut = slice(start, stop)
        return Entries(self.ids[cut], self.bodies[cut], self.rows[cut], self.notes[cut])


class Columns(NamedTuple):
    """Entries as a segment's columns of bytes; the integers are little-endian."""

    ids: bytes
    bodies: bytes
    rows: bytes
    lengths: bytes
    """Of the notes, in bytes."""
    notes: bytes


ENTRY_BYTES: Final = 24
"""An entry in a segment, without its note."""


def _little(column: array[int]) -> array[int]:
    """An array whose bytes are little-endian; the same for the way back."""
    if sys.byteorder == "big":
        column = array(column.typecode, column)
        column.byteswap()
    return column


def _extend(column: array[int], data: memoryview) -> None:
    """Append little-endian integers."""
    if sys.byteorder == "big":
        column += _little(array(column.typecode, bytes(data)))
    else:
        column.frombytes(data)


class Generation:
    """A stretch of entries with an index over their ids."""

    __slots__ = ("_indexed", "_table", "_young", "base", "bodies", "ends", "ids", "notes", "rows")

    def __init__(self, base: int) -> None:
        self.base = base
        """The ordinal of the first entry."""
        self.ids = array("Q")
        self.bodies = array("Q")
        self.rows = array("I")
        self.ends = array("I")
        """Where each note ends in *notes*."""
        self.notes = bytearray()
        self._young: dict[int, int] = {}
        self._table: Any = None
        self._indexed = 0

    def __len__(self) -> int:
        return len(self.ids)

    def is_full(self) -> bool:
        """Whether the next entry belongs to another."""
        return len(self.ids) >= GENERATION or len(self.notes) >= NOTE_BYTES

    def room(self) -> int:
        """How many more entries belong here; notes are looked at between batches only."""
        return 0 if self.is_full() else GENERATION - len(self.ids)

    def append(self, entries: Entries) -> None:
        """Take *entries*, for which there is room."""
        first = len(self.ids)
        self.ids.extend(entries.ids)
        self.bodies.extend(entries.bodies)
        self.rows.extend(entries.rows)
        end = len(self.notes)
        self.ends.extend([end := end + len(note) for note in entries.notes])
        self.notes += b"".join(entries.notes)
        if self._table is None and self._indexed == first and len(self.ids) <= YOUNG:
            self._young.update(zip(entries.ids, range(first, len(self.ids)), strict=True))
            self._indexed = len(self.ids)

    def append_columns(self, columns: Columns, start: int, stop: int) -> None:
        """Take the entries [start, stop) of a segment."""
        import numpy as np

        lengths = np.frombuffer(columns.lengths, "<u4").astype(np.int64)
        skipped = int(lengths[:start].sum())
        ends = (lengths[start:stop].cumsum() + len(self.notes)).astype(np.uint32)
        _extend(self.ids, memoryview(columns.ids)[8 * start : 8 * stop])
        _extend(self.bodies, memoryview(columns.bodies)[8 * start : 8 * stop])
        _extend(self.rows, memoryview(columns.rows)[4 * start : 4 * stop])
        self.ends.frombytes(ends.tobytes())
        self.notes += memoryview(columns.notes)[skipped : skipped + int(ends[-1]) - len(self.notes)]

    def notes_between(self, low: int, high: int) -> int:
        """Bytes of the notes of the entries [low, high)."""
        return self.ends[high - 1] - (self.ends[low - 1] if low else 0) if low < high else 0

    def columns(self, low: int, high: int) -> Columns:
        """The entries [low, high) as columns."""
        import numpy as np

        ends = np.frombuffer(self.ends, np.uint32)[low:high]
        before = np.uint32(self.ends[low - 1] if low else 0)
        return Columns(
            _little(self.ids[low:high]).tobytes(),
            _little(self.bodies[low:high]).tobytes(),
            _little(self.rows[low:high]).tobytes(),
            np.diff(ends, prepend=before).astype("<u4").tobytes(),
            bytes(self.notes[before : ends[-1]]),
        )

    def memory(self) -> int:
        """Bytes held."""
        index = 0 if self._table is None else self._table.nbytes
        arrays = (self.ids, self.bodies, self.rows, self.ends)
        return index + 104 * len(self._young) + sum(map(sys.getsizeof, (*arrays, self.notes)))

    def note(self, at: int) -> bytes:
        """The note of an entry."""
        return bytes(self.notes[self.ends[at - 1] if at else 0 : self.ends[at]])

    # -- index: open addressing, linear probing; a slot holds 1 + the position of an entry, 0 is free; a power of two.
    # It is brought up to date by who looks something up: a restore enters everything once, into a table of its size.

    def _index(self) -> None:
        """Enter what is new; a larger table when it would be more than two thirds full."""
        import numpy as np

        slots = 0 if self._table is None else len(self._table)
        least = len(self.ids) * 3 // 2
        if least > slots:
            self._table = np.zeros(1 << least.bit_length(), np.uint32)
            self._indexed = 0
            self._young = {}
        self._enter(self._indexed)
        self._indexed = len(self.ids)

    def _enter(self, first: int) -> None:
        import numpy as np

        from worker.ledger.kernel import enter

        entries = np.arange(first + 1, len(self.ids) + 1, dtype=np.uint32)
        enter(self._table, np.frombuffer(self.ids, np.uint64)[first:], entries)

    def find(self, wanted: Sequence[int], alive: int) -> dict[int, int]:
        """The ordinal of each of *wanted* that is here, by its place; entries before *alive* are forgotten."""
        if self._table is None and self._indexed == len(self.ids):
            young, base = self._young, self.base
            places = ((place, base + young[hashed]) for place, hashed in enumerate(wanted) if hashed in young)
            return {place: ordinal for place, ordinal in places if ordinal >= alive}
        import numpy as np

        found = np.full(len(wanted), UNKNOWN)
        self.find_all(np.array(wanted, np.uint64), alive, found)
        return {place: int(found[place]) for place in np.flatnonzero(found != UNKNOWN).tolist()}

    def find_all(self, hashes: Hashes, alive: int, found: Ordinals) -> None:
        """Put the ordinals of those of *hashes* that are here into *found*."""
        import numpy as np

        from worker.ledger.kernel import find

        if self._table is None or self._indexed < len(self.ids):
            self._index()
        ids, oldest = np.frombuffer(self.ids, np.uint64), max(alive - self.base, 0)
        find(self._table, ids, hashes, oldest, self.base, found)

    def of_row(self, row: int) -> list[int]:
        """The positions of a campaign's entries, ascending."""
        if len(self.ids) <= YOUNG:
            return [at for at, other in enumerate(self.rows) if other == row]
        import numpy as np

        found: list[int] = np.flatnonzero(np.frombuffer(self.rows, np.uint32) == row).tolist()
        return found


class IdMemory:
    """The accepted updates of a partition within the horizon."""

    def __init__(self, most: int) -> None:
        """*most* is how many the owner wants to keep: a sixteenth of it is the least that can be forgotten early."""
        self.first = 0
        """The oldest ordinal that is remembered."""
        self.end = 0
        """The ordinal the next entry gets."""
        self.buckets: list[tuple[int, int]] = []
        """(bucket, ordinal of its first entry), ascending; a bucket of very many is parted."""
        self._most = max(1, most // BUCKETS)
        self._generations: list[Generation] = []

    def __len__(self) -> int:
        return self.end - self.first

    def find(self, wanted: Sequence[int]) -> dict[int, int]:
        """The ordinals of those of *wanted* that are remembered, by their place in *wanted*; mostly empty."""
        found: dict[int, int] = {}
        for generation in self._generations:
            found.update(generation.find(wanted, self.first))
        return found

    def find_all(self, hashes: Hashes) -> Ordinals:
        """The ordinal of each of *hashes*, UNKNOWN for those that are not remembered."""
        import numpy as np

        found = np.full(hashes.size, UNKNOWN)
        for generation in self._generations:
            generation.find_all(hashes, self.first, found)
        return found

    def bodies(self, ordinals: Ordinals) -> Hashes:
        """The hashes of what updates said."""
        import numpy as np

        bodies = np.zeros(ordinals.size, np.uint64)
        for generation in self._generations:
            here = (ordinals >= generation.base) & (ordinals < generation.base + len(generation))
            if here.any():
                bodies[here] = np.frombuffer(generation.bodies, np.uint64)[ordinals[here] - generation.base]
        return bodies

    def find_one(self, wanted: int) -> int:
        """The ordinal of an id, or UNKNOWN."""
        return self.find([wanted]).get(0, UNKNOWN)

    def append(self, bucket: int, entries: Entries) -> None:
        """Remember *entries*, accepted while *bucket* was current."""
        if not entries.ids:
            return
        self._begin(bucket)
        start, count = 0, len(entries.ids)
        while start < count:
            generation = self._newest()
            stop = min(count, start + generation.room())
            generation.append(entries if stop - start == count else entries.cut(start, stop))
            start = stop
        self.end += count

    def _begin(self, bucket: int) -> None:
        """Be in *bucket*, in a new part of it if there are very many."""
        if not self.buckets or self.buckets[-1][0] != bucket or self.end - self.buckets[-1][1] >= self._most:
            self.buckets.append((bucket, self.end))

    def _newest(self) -> Generation:
        if not self._generations or self._generations[-1].is_full():
            self._generations.append(Generation(self.end if not self._generations else self._next_base()))
        return self._generations[-1]

    def _next_base(self) -> int:
        newest = self._generations[-1]
        return newest.base + len(newest)

    def forget_before(self, bucket: int) -> None:
        """Forget every bucket before *bucket*."""
        while self.buckets and self.buckets[0][0] < bucket:
            self._forget_oldest()

    def forget_beyond(self, most: int) -> int:
        """Forget the oldest until *most* are left, or all that is older than the current sixteenth; how many."""
        before = self.first
        while len(self) > most and len(self.buckets) > 1:
            self._forget_oldest()
        return self.first - before

    def _forget_oldest(self) -> None:
        del self.buckets[0]
        self.first = self.buckets[0][1] if self.buckets else self.end
        while self._generations and self._generations[0].base + len(self._generations[0]) <= self.first:
            del self._generations[0]

    def _locate(self, ordinal: int) -> tuple[Generation, int]:
        at = bisect_right(self._generations, ordinal, key=lambda generation: generation.base) - 1
        generation = self._generations[at]
        return generation, ordinal - generation.base

    def body(self, ordinal: int) -> int:
        """The hash of what an update said."""
        generation, at = self._locate(ordinal)
        return generation.bodies[at]

    def note(self, ordinal: int) -> bytes:
        """What an update said, packed; empty where that is not kept."""
        generation, at = self._locate(ordinal)
        return generation.note(at)

    def notes_of(self, row: int) -> Iterator[tuple[int, int, bytes]]:
        """(ordinal, id, note) of each entry of a campaign, in the order of acceptance."""
        for generation in self._generations:
            for at in generation.of_row(row):
                if generation.base + at >= self.first:
                    yield generation.base + at, generation.ids[at], generation.note(at)

    # -- segments

    def begin(self, first: int) -> None:
        """Be empty, with *first* the next ordinal."""
        self.first = self.end = first

    def parts(self, start: int) -> Iterator[tuple[int, int, int]]:
        """The stretches from *start* on that are forgotten at once: (where the part begins, first, stop)."""
        stops = [first for _, first in self.buckets[1:]] + [self.end]
        # Not strict: before the first update there is no bucket, only the end.
        for (_, part), stop in zip(self.buckets, stops, strict=False):
            if stop > start:
                yield part, max(part, start), stop

    def bucket_of(self, ordinal: int) -> int:
        """The bucket an entry lies in."""
        return self.buckets[bisect_right(self.buckets, ordinal, key=lambda bucket: bucket[1]) - 1][0]

    def size(self, start: int, stop: int) -> int:
        """Bytes of the entries [start, stop) in a segment."""
        parts = (self._range(generation, start, stop) for generation in self._generations)
        notes = sum(generation.notes_between(low, high) for generation, low, high in parts)
        return (stop - start) * ENTRY_BYTES + notes

    def columns(self, start: int, stop: int) -> Columns:
        """Entries [start, stop) as little-endian columns."""
        ranges = (self._range(generation, start, stop) for generation in self._generations)
        parts = [generation.columns(low, high) for generation, low, high in ranges if low < high]
        return Columns(*(b"".join(column) for column in zip(*parts, strict=True)))

    def _range(self, generation: Generation, start: int, stop: int) -> tuple[Generation, int, int]:
        """The positions of [start, stop) in a generation."""
        return generation, max(start - generation.base, 0), max(min(stop - generation.base, len(generation)), 0)

    def append_segment(self, bucket: int, part: int, columns: Columns) -> None:
        """Remember the entries of a segment of the part that began at *part*."""
        if not self.buckets or self.buckets[-1][1] != part:
            self.buckets.append((bucket, part))
        self._append_columns(columns)

    def append_columns(self, bucket: int, columns: Columns) -> None:
        """Remember entries that were accepted while *bucket* was current."""
        self._begin(bucket)
        self._append_columns(columns)

    def _append_columns(self, columns: Columns) -> None:
        count = len(columns.ids) // 8
        start = 0
        while start < count:
            generation = self._newest()
            stop = min(count, start + generation.room())
            generation.append_columns(columns, start, stop)
            start = stop
        self.end += count

    def memory(self) -> int:
        """Bytes held, index and notes included."""
        return sum(generation.memory() for generation in self._generations)
