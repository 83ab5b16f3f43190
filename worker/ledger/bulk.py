"""
The fold of a large stretch, a column at a time: what is plain in it, and in order.

    columns ─▶ ids ─▶ found in memory, or earlier in the stretch?      ─▶ repeats: bodies compared, ignored
            ─▶ instants, amounts, counts: `columns.read`                 ─▶ rows of the sheet: added up
            ─▶ names ─▶ rows: `lookup`                                   ─▶ notes, bodies ─▶ memory

Whatever is not plain is left to `fold.Stretch`, one by one: what cannot be read, reports and corrections, conflicts,
records under a wrong key. Where an update's row is not known, that update is looked up alone, and then goes on with
the others. So this file decides nothing: it is the shorter way to what `fold` does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from schemas.wire import SpendUpdate
from worker.ledger.book import Book
from worker.ledger.columns import Columns, Read, read, transpose
from worker.ledger.hearing import hear_all
from worker.ledger.identity import UNKNOWN
from worker.ledger.identity import Columns as Entries
from worker.ledger.lookup import names_of
from worker.ledger.notes import pack_tail
from worker.ledger.sheet import ATTRIBUTION, CAMPAIGN, HI, LO, NO_ROW, WIDTH

Integers = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Mask = NDArray[np.bool_]

RowOf = Callable[[int, SpendUpdate, int], int]
"""(place, update, instant) to its row of the sheet, made if it is new; NO_ROW if it is refused."""


class Bulk(NamedTuple):
    """What became of a stretch; *others* are to be folded one by one."""

    accepted: int
    accepted_ids: list[int]
    """Their hashes, where somebody may wait for one of them."""
    duplicates: int
    others: list[int]
    known: dict[int, int]
    """The ordinals of those of the others that are remembered, by place."""
    bodies: dict[int, int]
    """The hash of what an accepted one said, by the hash of its id, where that comes again among the others."""
    hashes: dict[int, int]
    """The hashes of the ids of the others, by place."""


class Stretch(NamedTuple):
    """Updates by column, with what is known of their ids."""

    columns: Columns
    ids: Hashes
    first: Integers
    """Where each id stands first in the stretch."""
    ordinals: Integers
    """In the memory, or UNKNOWN."""

    def is_new(self) -> Mask:
        """Whether an id is not remembered, and stands here first."""
        new: Mask = (self.ordinals == UNKNOWN) & (self.first == np.arange(len(self.first)))
        return new


class Written(NamedTuple):
    """What updates said, and where it is counted."""

    rows: Integers
    notes: list[bytes]
    bodies: Hashes


def fold(
    book: Book, updates: Sequence[SpendUpdate], keys: Sequence[bytes | None], row_of: RowOf, apart: Collection[int]
) -> Bulk:
    """Fold the plain ones of *updates*, whose ids are none of those in *apart*."""
    columns = transpose(updates)
    ids = _ids(columns)
    stretch = Stretch(columns, ids, _first(ids), book.memory.find_all(ids))
    taken, fine = read(columns)
    if book.partitions:
        fine &= _are_keys(keys, columns.campaign_id)
    if apart:
        fine &= ~np.isin(ids, np.array(list(apart), np.uint64))
    new = fine & stretch.is_new()
    rows = _rows(book, taken, new, updates, row_of)
    notes = _notes(book, taken, rows)
    written = Written(rows, notes, _hashes(notes))
    accepted = new & (rows != NO_ROW)
    _count(book, taken, rows, accepted)
    _remember(book, stretch, taken, written, accepted)
    repeats = fine & _repeats(book, stretch, written, accepted)
    return _told(book, stretch, written, accepted, repeats, ~(new | repeats))


# -- identity ----------------------------------------------------------------------------------------------------------


def _hashes(texts: Iterable[bytes]) -> Hashes:
    """What `identity.hash64` makes of each."""
    return np.frombuffer(b"".join(map(xxhash.xxh3_64_digest, texts)), ">u8").astype(np.uint64)


def _ids(columns: Columns) -> Hashes:
    """What `identity.id_hash` makes of each."""
    named = zip(columns.campaign_id, columns.source, columns.event_id, strict=True)
    return _hashes(map(str.encode, map("\0".join, named)))


def _first(ids: Hashes) -> Integers:
    """The first place of each id."""
    order = ids.argsort(kind="stable")
    ordered = ids[order]
    begins = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    first = np.empty(len(ids), np.int64)
    first[order] = order[np.maximum.accumulate(np.where(begins, np.arange(len(ids)), 0))]
    return first


def _are_keys(keys: Sequence[bytes | None], campaigns: Sequence[str]) -> Mask:
    """Whether each record lies under its campaign's key. No id holds a NUL, so none can be spelled by two keys."""
    if None not in keys and b"\0".join(keys) == "\0".join(campaigns).encode():  # type: ignore[arg-type]
        return np.ones(len(campaigns), np.bool_)
    return np.array([key == campaign.encode() for key, campaign in zip(keys, campaigns, strict=True)])


def _repeats(book: Book, stretch: Stretch, written: Written, accepted: Mask) -> Mask:
    """Whether an update says what the remembered one with its id said, or the one that was accepted just now."""
    known = stretch.ordinals != UNKNOWN
    standing = written.bodies[stretch.first]
    standing[known] = book.memory.bodies(stretch.ordinals[known])
    comes_again = (stretch.first != np.arange(len(known))) & accepted[stretch.first]
    same: Mask = (written.rows != NO_ROW) & (written.bodies == standing) & (known | comes_again)
    return same


# -- counting ----------------------------------------------------------------------------------------------------------


def _rows(book: Book, taken: Read, new: Mask, updates: Sequence[SpendUpdate], row_of: RowOf) -> Integers:
    """The row of the sheet for each; of what is not *new* any row of that name."""
    names = names_of(map("\0".join, _parts(taken.columns)), taken.at)
    rows = book.lookup.find(names)
    base, cells = rows * WIDTH, book.sheet.view()
    strange = new & ((taken.at < cells[base + LO]) | (taken.at >= cells[base + HI]))
    del cells
    for place in np.flatnonzero(strange).tolist():
        rows[place] = row = row_of(place, updates[place], int(taken.at[place]))
        if row != NO_ROW:
            book.lookup.put(row, int(names.first[place]), int(names.second[place]))
    return rows


def _parts(columns: Columns) -> Iterable[tuple[str, ...]]:
    """What each row is looked up by; ids are never empty, so that the absent ones may be."""
    optional = (columns.channel, columns.deal_id, columns.currency)
    return zip(columns.campaign_id, *map(_spelled, optional), strict=True)


def _spelled(column: Sequence[str | None]) -> Sequence[str]:
    return [name or "" for name in column] if None in column else column  # type: ignore[return-value]


_NOTE = np.dtype(
    [
        ("flags", "<u2"),
        ("attribution", "<u4"),
        ("at", "<i8"),
        ("currency", "S3"),
        ("spend", "<i8"),
        ("counts", "<u4", (6,)),
        ("value", "<i8"),
    ]
)
"""The fixed part of a narrow note, as `notes` describes it."""


def _notes(book: Book, taken: Read, rows: Integers) -> list[bytes]:
    """What each says, as `pack_note` writes it."""
    fixed = np.zeros(len(rows), _NOTE)
    fixed["flags"] = taken.flags
    fixed["attribution"] = book.sheet.view()[rows * WIDTH + ATTRIBUTION]
    fixed["at"] = taken.at
    fixed["currency"] = _codes(taken.columns.currency)
    fixed["spend"] = taken.figures[0]
    fixed["counts"] = taken.figures[1:-1].T
    fixed["value"] = taken.figures[-1]
    return list(map(bytes.__add__, fixed.view(f"V{_NOTE.itemsize}").tolist(), _tails(taken.columns)))


def _codes(currencies: Sequence[str | None]) -> Any:
    """The currencies as bytes; one is enough where all are the same."""
    different = set(currencies)
    if len(different) == 1:
        return (different.pop() or "").encode()
    return np.array([(currency or "").encode() for currency in currencies])


def _tails(columns: Columns) -> Iterable[bytes]:
    c = columns
    if any(c.series) or set(c.sequence) != {None}:
        return map(pack_tail, c.line_item_id, c.series, c.sequence)
    return map(str.encode, _spelled(c.line_item_id))


def _count(book: Book, taken: Read, rows: Integers, accepted: Mask) -> None:
    if accepted.all():
        book.sheet.add_all(rows, taken.figures, taken.at)
    elif accepted.any():
        book.sheet.add_all(rows[accepted], taken.figures[:, accepted], taken.at[accepted])


def _remember(book: Book, stretch: Stretch, taken: Read, written: Written, accepted: Mask) -> None:
    if not accepted.any():
        return
    notes, chosen = written.notes, accepted.tolist()
    corrigible = book.limits.corrigible_sources
    if corrigible is not None:
        notes = [
            note if source in corrigible else b"" for note, source in zip(notes, stretch.columns.source, strict=True)
        ]
    notes = list(compress(notes, chosen))
    campaigns = book.sheet.view()[written.rows[accepted] * WIDTH + CAMPAIGN]
    sources = stretch.columns.source
    heard = sources if len(campaigns) == len(sources) else list(compress(sources, chosen))
    hear_all(book, heard, campaigns, taken.at[accepted])
    columns = Entries(
        stretch.ids[accepted].astype("<u8").tobytes(),
        written.bodies[accepted].astype("<u8").tobytes(),
        campaigns.astype("<u4").tobytes(),
        np.fromiter(map(len, notes), "<u4", len(notes)).tobytes(),
        b"".join(notes),
    )
    book.memory.append_columns(book.bucket(), columns)


def _told(book: Book, stretch: Stretch, written: Written, accepted: Mask, repeats: Mask, others: Mask) -> Bulk:
    left: list[int] = np.flatnonzero(others).tolist()
    ids, first = stretch.ids, stretch.first
    standing = [int(first[place]) for place in left if accepted[first[place]]]
    return Bulk(
        accepted=int(accepted.sum()),
        accepted_ids=ids[accepted].tolist() if book.wanted else [],
        duplicates=int(repeats.sum()),
        others=left,
        known={place: int(stretch.ordinals[place]) for place in left if stretch.ordinals[place] != UNKNOWN},
        bodies={int(ids[place]): int(written.bodies[place]) for place in standing},
        hashes={place: int(ids[place]) for place in left},
    )
