"""
The newest record of each key of a changelog, in the bytes they came in, and which of them are of each campaign.

    batch ─▶ take: a later record of a key takes the place of the one before     entry: key, where its value lies
    entries ─▶ group: by the campaign in their keys                              cut out when one is asked for

A restore reads a record of nearly every key a campaign has, and most are not asked for before the next tick: an object
for each key and value would cost more than reading them. It is Python that numba compiles; the rules are those of
`kernel`. A key is compared whole, a hash only says where to look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.compiled import Bytes, Integers, compiled, integer, loop
from worker.ledger.batches import PADDING, Packed
from worker.ledger.kernel import Words, words_of
from worker.ledger.kinds import CAMPAIGN, CORRECTION, HISTORY, NUMBERED, ONE_A_CAMPAIGN
from worker.ledger.records import Shelves

Slots = NDArray[np.int32]

KEEPS: Final = 1 << 26
"""Bytes of batches that are kept at any rate; beyond, no more than twice what is the newest of its key."""

# Of an entry: where its key lies among the keys, of which batch its value is, and where it lies there; -1: none.
_KEY, _KEY_END, _PART, _VALUE, _VALUE_END, _COLUMNS = range(6)

_PRIME: Final = np.uint64(0x9E37_79B1_85EB_CA87)
_HALF: Final = np.uint64(32)
_MASKS: Final = np.array([(1 << 8 * size) - 1 for size in range(8)], np.uint64)

_NO_KIND, _SINGLE, _NUMBERED = range(3)
_KINDS: Final = np.zeros(256, np.int64)
"""How the campaign's id stands in the keys of a kind: all behind the first byte, or up to a NUL."""
_KINDS[[kind[0] for kind in ONE_A_CAMPAIGN]] = _SINGLE
_KINDS[[kind[0] for kind in NUMBERED]] = _NUMBERED

_OWN, _PLANNED, _CORRECTED = 1, 2, 4
_FLAGS: Final = np.zeros(256, np.int64)
"""What a record of a kind says of its campaign; what is left of one without a record of its own is left out."""
_FLAGS[[kind[0] for kind in (CAMPAIGN, HISTORY, CORRECTION)]] = _OWN, _PLANNED, _CORRECTED

# Of a campaign: where its id lies in a key, and its flags.
_ID, _ID_END, _SAYS, _WIDTH = range(4)


# -- taking ------------------------------------------------------------------------------------------------------------


@compiled
def _hash(words: Words, at: int, size: int) -> np.uint64:
    hashed: np.uint64 = np.uint64(size)
    for step in range(0, size - 7, 8):
        hashed = (hashed ^ words[at + step]) * _PRIME
        hashed ^= hashed >> _HALF
    left = size & 7
    hashed = (hashed ^ (words[at + size - left] & _MASKS[left])) * _PRIME
    return hashed ^ (hashed >> _HALF)


@compiled
def _same(a: Bytes, at: int, b: Bytes, begin: int, size: int) -> bool:
    step = 0
    while step < size and a[at + step] == b[begin + step]:
        step += 1
    return step == size


class _Known(NamedTuple):
    """The entries there are, and a table of them: a slot is 1 + an entry, 0 where it is free."""

    keys: Bytes
    entries: Integers
    hashes: Words
    slots: Slots


@loop
def _take(words: Words, data: Bytes, spans: Integers, part: int, count: int, known: _Known) -> int:
    """Take the records of a batch, there being *count* entries; how many there are then."""
    keys, entries, hashes, slots = known.keys, known.entries, known.hashes, known.slots
    mask, end = np.uint64(len(slots) - 1), entries[count - 1, _KEY_END] if count else 0
    for number in range(len(spans)):
        at, size = max(spans[number, 0], 0), spans[number, 1] - spans[number, 0]
        hashed = _hash(words, at, size)
        slot, entry = hashed & mask, -1
        while slots[slot] != 0 and entry < 0:
            other = integer(slots[slot]) - 1
            begin = entries[other, _KEY]
            if (
                hashes[other] == hashed
                and entries[other, _KEY_END] - begin == size
                and _same(data, at, keys, begin, size)
            ):
                entry = other
            slot = (slot + np.uint64(1)) & mask
        if entry < 0:
            entry = count
            count += 1
            slots[slot], hashes[entry] = count, hashed
            entries[entry, _KEY], entries[entry, _KEY_END] = end, end + size
            for step in range(size):
                keys[end + step] = data[at + step]
            end += size
        entries[entry, _PART] = part
        entries[entry, _VALUE], entries[entry, _VALUE_END] = spans[number, 2], spans[number, 3]
    return count


@loop
def _enter(hashes: Words, slots: Slots) -> None:
    mask = np.uint64(len(slots) - 1)
    for entry in range(len(hashes)):
        slot = hashes[entry] & mask
        while slots[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = entry + 1


# -- grouping ----------------------------------------------------------------------------------------------------------


@loop
def _group(keys: Bytes, words: Words, entries: Integers, slots: Slots, names: Integers, groups: Integers) -> int:
    """
    The number of the campaign each of *entries* is of into *groups*, and how many there are.

    *names*, zeros, has a row a campaign. A slot is 1 + a campaign.
    """
    mask, count = np.uint64(len(slots) - 1), 0
    for number in range(len(entries)):
        kind, begin = integer(keys[entries[number, _KEY]]), entries[number, _KEY] + 1
        end = entries[number, _KEY_END]
        if _KINDS[kind] == _NUMBERED:
            end = _nul(keys, begin, end)
        slot, group = _hash(words, begin, end - begin) & mask, -1
        while slots[slot] != 0 and group < 0:
            other = integer(slots[slot]) - 1
            at = names[other, _ID]
            if names[other, _ID_END] - at == end - begin and _same(keys, begin, keys, at, end - begin):
                group = other
            slot = (slot + np.uint64(1)) & mask
        if group < 0:
            group = count
            count += 1
            slots[slot] = count
            names[group, _ID], names[group, _ID_END] = begin, end
        names[group, _SAYS] |= _FLAGS[kind]
        groups[number] = group
    return count


@compiled
def _nul(keys: Bytes, at: int, end: int) -> int:
    while at < end and keys[at] != 0:
        at += 1
    return at


@loop
def _move(data: Bytes, entries: Integers, places: Integers, out: Bytes) -> None:
    """Copy the values of *entries*, which lie in *data*."""
    for number in range(len(entries)):
        begin, end = entries[number, _VALUE], entries[number, _VALUE_END]
        out[places[number] : places[number] + end - begin] = data[begin:end]


# -- the records -------------------------------------------------------------------------------------------------------


def _table(entries: int) -> Slots:
    return np.zeros(1 << (2 * entries).bit_length(), np.int32)


def _grown(array: NDArray[np.generic], room: int) -> NDArray[np.generic]:
    """*array* with so much room at least; what was beyond its end is anything."""
    if len(array) >= room:
        return array
    grown = np.empty((max(room, 2 * len(array)), *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


class Newest:
    """The newest record of each key, of those that were taken, one batch after the other."""

    def __init__(self, keeps: int = KEEPS) -> None:
        self._count = 0
        self._entries: Integers = np.empty((0, _COLUMNS), np.int64)
        self._hashes: Words = np.empty(0, np.uint64)
        self._slots = _table(0)
        self._keys: Bytes = np.zeros(len(PADDING), np.uint8)
        self._parts: list[bytes] = []
        self._keeps = self._most = keeps
        self.size_bytes = 0
        """Of the batches that are kept."""

    def __len__(self) -> int:
        """How many keys there are, those that are deleted included."""
        return self._count

    def take(self, records: Packed) -> None:
        """Take a batch, later than all before it."""
        room, data = self._count + len(records.spans), np.frombuffer(records.data, np.uint8)
        end = int(self._entries[self._count - 1, _KEY_END]) if self._count else 0
        keys = end + int((records.spans[:, 1] - records.spans[:, 0]).sum()) + len(PADDING)
        self._keys = _grown(self._keys, keys)  # type: ignore[assignment]
        self._entries = _grown(self._entries, room)  # type: ignore[assignment]
        self._hashes = _grown(self._hashes, room)  # type: ignore[assignment]
        if 2 * room > len(self._slots):
            self._slots = _table(2 * room)
            _enter(self._hashes[: self._count], self._slots)
        known = _Known(self._keys, self._entries, self._hashes, self._slots)
        self._count = _take(words_of(data), data, records.spans, len(self._parts), self._count, known)
        self._parts.append(records.data)
        self.size_bytes += len(records.data)
        if self.size_bytes > self._most:
            self._keep_the_newest()

    def _keep_the_newest(self) -> None:
        """Let go of the values that later ones have taken the place of."""
        rows = self._standing()
        ends = (self._entries[rows, _VALUE_END] - self._entries[rows, _VALUE]).cumsum()
        begins = ends - (self._entries[rows, _VALUE_END] - self._entries[rows, _VALUE])
        out = np.zeros(ends.max(initial=0) + len(PADDING), np.uint8)
        for part, some in self._by_part(rows):
            _move(np.frombuffer(part, np.uint8), self._entries[rows[some]], begins[some], out)
        self._entries[rows, _PART], self._entries[rows, _VALUE], self._entries[rows, _VALUE_END] = 0, begins, ends
        self._parts, self.size_bytes, self._most = [out.tobytes()], len(out), max(self._keeps, 2 * len(out))

    def _standing(self) -> Integers:
        """The entries that are not deleted."""
        return np.flatnonzero(self._entries[: self._count, _VALUE] >= 0)

    def _by_part(self, rows: Integers) -> Iterator[tuple[bytes, Integers]]:
        """Each batch, and which of *rows* have their value in it."""
        parts = self._entries[rows, _PART]
        order = parts.argsort(kind="stable")
        bounds = parts[order].searchsorted(np.arange(len(self._parts) + 1))
        for number, part in enumerate(self._parts):
            yield part, order[bounds[number] : bounds[number + 1]]

    def parted(self) -> tuple[dict[bytes, bytes], Shelves]:
        """What stands, as `records.parted` gives it: what is of no campaign, and the campaigns."""
        rows = self._standing()
        entries = self._entries[rows]
        kinds = np.where(entries[:, _KEY_END] > entries[:, _KEY], self._keys[entries[:, _KEY]], 0)
        of_a_campaign = _KINDS[kinds] != _NO_KIND
        return self._records(rows[~of_a_campaign]), self._shelves(rows[of_a_campaign])

    def standing(self) -> dict[bytes, bytes]:
        """The records that are not deleted."""
        return self._records(self._standing())

    def _records(self, rows: Integers) -> dict[bytes, bytes]:
        return {
            self._keys[key:key_end].tobytes(): self._parts[part][value:value_end]
            for key, key_end, part, value, value_end in self._entries[rows].tolist()
        }

    def _shelves(self, rows: Integers) -> Shelves:
        names, groups = np.zeros((len(rows), _WIDTH), np.int64), np.empty(len(rows), np.int64)
        count = _group(self._keys, words_of(self._keys), self._entries[rows], _table(2 * len(rows)), names, groups)
        order = groups.argsort(kind="stable")
        keys, bounds = self._keys.tobytes(), groups[order].searchsorted(np.arange(count + 1)).tolist()
        own = np.flatnonzero(names[:count, _SAYS] & _OWN)
        begins, ends, says = names[own].T.tolist()
        ids = [keys[begin:end] for begin, end in zip(begins, ends, strict=True)]
        return Shelves(
            _Campaigns(
                dict(zip(ids, own.tolist(), strict=True)), bounds, self._entries[rows[order]], keys, self._parts
            ),
            [name for name, said in zip(ids, says, strict=True) if said & _PLANNED],
            [name for name, said in zip(ids, says, strict=True) if said & _CORRECTED],
        )


class _Campaigns(MutableMapping[bytes, Mapping[bytes, bytes]]):
    """
    The records of campaigns as `Shelves` holds them, each cut out when its campaign is asked for.

    Those of the campaign with a number are *entries* from one of *bounds* to the next. A batch is let go of with the
    last campaign that has a record in it; as ticks write and ask in the same order, that is soon.
    """

    def __init__(
        self, numbers: dict[bytes, int], bounds: Sequence[int], entries: Integers, keys: bytes, parts: Sequence[bytes]
    ) -> None:
        self._numbers = numbers
        self._bounds = bounds
        self._entries = entries
        self._keys = keys
        self._left = np.bincount(entries[:, _PART], minlength=len(parts)).tolist()
        self._parts = [part if left else b"" for part, left in zip(parts, self._left, strict=True)]

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._numbers)

    def __getitem__(self, name: bytes) -> Mapping[bytes, bytes]:
        behind = 2 + len(name)
        return {
            self._keys[key : key + 1] + self._keys[min(key + behind, key_end) : key_end]: self._parts[part][value:end]
            for key, key_end, part, value, end in self._of(self._numbers[name])
        }

    def _of(self, number: int) -> list[list[int]]:
        entries: list[list[int]] = self._entries[self._bounds[number] : self._bounds[number + 1]].tolist()
        return entries

    def __delitem__(self, name: bytes) -> None:
        for _, _, part, _, _ in self._of(self._numbers.pop(name)):
            self._left[part] -= 1
            if not self._left[part]:
                self._parts[part] = b""

    def __setitem__(self, name: bytes, records: Mapping[bytes, bytes]) -> None:
        raise TypeError("what was read is not changed")
