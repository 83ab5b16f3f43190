"""
The fold of a large stretch by compiled loops (`kernel`): what is plain in it, and in order.

    bytes ─▶ scan ─▶ ids ─▶ in memory, or earlier in the stretch?  ─▶ repeats: bodies compared, ignored
                  ─▶ names ─▶ rows of the sheet: added up          ─▶ notes, bodies ─▶ memory

Whatever is not plain is left to `fold.Stretch`, one by one: what the scan cannot read for certain, reports and
corrections, conflicts, records under a wrong key. Rows that are not there yet are opened by the loops as well, where
the campaign stands open for them (see `chains`); else an update is looked up alone, and then goes on with the others.
So this file decides nothing: it is the shorter way to what `fold` does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.wire import decode_update
from worker.ledger import kernel
from worker.ledger.batches import Packed
from worker.ledger.book import Book
from worker.ledger.cells import NEVER
from worker.ledger.hearing import hear_all
from worker.ledger.identity import UNKNOWN
from worker.ledger.identity import Columns as Entries
from worker.ledger.kernel import ACCEPTED, OTHER, REPEAT, Identity, Scanned, Taken, Ticks
from worker.ledger.sheet import NO_ROW

Integers = NDArray[np.int64]

RowOf = Callable[[int, int], int]
"""(place, instant) of an update to its row of the sheet, made if it is new; NO_ROW if it is refused."""


class Asked(Protocol):
    """Who reads the updates at some places, and looks up what is not known of them."""

    def rows_of(self, places: list[int]) -> RowOf:
        """What looks up their rows."""

    def meant(self, places: list[int], instants: Integers) -> Iterable[tuple[int, int, int] | None]:
        """Whom each name means, as `lookup.Names` keeps it; None where that is not settled."""


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


def scan(book: Book, packed: Packed) -> Scanned:
    """Read what is plain in a stretch."""
    return kernel.scan(packed.data, packed.spans, is_keyed=bool(book.partitions))


def fold(book: Book, packed: Packed, scanned: Scanned, asked: Asked, apart: Collection[int]) -> Bulk:
    """Fold what was scanned as fine, but for what has an id among those *apart*."""
    fine = scanned.fine.copy()
    identity = _identify(book, scanned, apart)
    rows = _rows(book, scanned, identity, asked)
    names = _sources(packed, scanned)
    taken = kernel.take(packed.data, scanned, identity, rows, book.sheet, _kept(book, names))
    for place in taken.heavy.tolist():
        book.sheet.add(int(rows[place]), scanned.figures[place].tolist(), int(scanned.at[place]), updates=1)
    if len(taken.places):
        _remember(book, scanned, taken, names)
    # A new one without a row was refused.
    others = np.flatnonzero(fine & (taken.fates == OTHER) & ~identity.new)
    return _told(book, scanned, identity, taken, others)


def _identify(book: Book, scanned: Scanned, apart: Collection[int]) -> Identity:
    firsts = kernel.firsts_of(scanned, np.fromiter(apart, np.uint64, len(apart)))
    ordinals = book.memory.find_all(scanned.ids)
    new = scanned.fine & (ordinals == UNKNOWN) & (firsts == np.arange(len(firsts)))
    return Identity(firsts, ordinals, book.memory.bodies(ordinals), new)


def _rows(book: Book, scanned: Scanned, identity: Identity, asked: Asked) -> Integers:
    """The row of the sheet for each; of what is not new any row of that name."""
    rows, strange = kernel.rows_of(scanned, identity, book.lookup.view(), book.sheet.view())
    if len(strange):
        left = _opened(book, scanned, strange, rows)
        if len(left):
            _let_open(book, scanned, left, asked)
            # Side by side, or it would be another loop to compile.
            left = _opened(book, scanned, left[:, 0].copy(), rows)
        _look_up(book, scanned, left[:, 0], rows, asked)
        book.lookup.put(rows[strange], scanned.names[strange])
    return rows


def _opened(book: Book, scanned: Scanned, places: Integers, rows: Integers) -> Integers:
    """Open the rows of those at *places*; what is left of them, as `kernel.open_rows` says it."""
    last, coming = book.ticks.last, book.ticks.next
    ticks = Ticks(NEVER if last is None else last, -NEVER if coming is None else coming, book.ticks.every, book.epoch)
    return kernel.open_rows(scanned, places, *book.names.views(), ticks, book.sheet, rows)


def _let_open(book: Book, scanned: Scanned, left: Integers, asked: Asked) -> None:
    """Know the names that are left, and take their campaigns up, so that their rows can be opened."""
    is_known = left[:, 1] != UNKNOWN
    shut, strange = left[is_known], left[~is_known, 0]
    for campaign, at in dict(zip(shut[:, 1].tolist(), scanned.at[shut[:, 0]].tolist(), strict=True)).items():
        book.stand_open(book.by_row[campaign], at)
    if not len(strange):
        return
    names = dict(zip(map(tuple, kernel.without_quarter(scanned, strange).tolist()), strange.tolist(), strict=True))
    meant = asked.meant(list(names.values()), scanned.at)
    known = [(*name, *whom) for name, whom in zip(names, meant, strict=True) if whom is not None]
    if known:
        book.names.put(np.array(known, np.int64))


def _look_up(book: Book, scanned: Scanned, strange: Integers, rows: Integers, asked: Asked) -> None:
    """Look the rows of those at *strange* up, one by one."""
    places, found = strange.tolist(), dict[tuple[int, int], int]()
    row_of, names = asked.rows_of(places), map(tuple, scanned.names[strange].tolist())
    for place, at, name in zip(places, scanned.at[strange].tolist(), names, strict=True):
        row = found.get(name, NO_ROW)
        if not book.sheet.covers(row, at):
            row = found[name] = row_of(place, at)
        rows[place] = row


def _sources(packed: Packed, scanned: Scanned) -> list[str]:
    """The names of the sources, by their numbers."""
    values, places = packed.values, scanned.firsts[scanned.firsts >= 0].tolist()
    # What was scanned can be read.
    return [decode_update(values[place]).source for place in places]  # type: ignore[union-attr]


def _kept(book: Book, names: list[str]) -> NDArray[np.bool_]:
    """Of each source, whether what it says is kept, so that it may be corrected."""
    corrigible = book.limits.corrigible_sources
    return np.array([corrigible is None or name in corrigible for name in names], np.bool_)


def _remember(book: Book, scanned: Scanned, taken: Taken, names: list[str]) -> None:
    sources = scanned.sources[taken.places]
    for name, number in sorted(zip(names, range(len(names)), strict=True)):
        own = sources == number
        if own.any():
            hear_all(book, name, taken.rows[own], scanned.at[taken.places[own]])
    columns = (taken.ids, taken.bodies, taken.rows, taken.lengths, taken.notes)
    book.memory.append_columns(book.bucket(), Entries(*(column.tobytes() for column in columns)))


def _told(book: Book, scanned: Scanned, identity: Identity, taken: Taken, others: Integers) -> Bulk:
    left: list[int] = others.tolist()
    ids, ordinals, firsts = scanned.ids, identity.ordinals, identity.firsts
    standing = {int(firsts[place]) for place in left if taken.fates[firsts[place]] == ACCEPTED}
    bodies = zip(taken.places.tolist(), taken.bodies.tolist(), strict=True) if standing else ()
    return Bulk(
        accepted=len(taken.places),
        accepted_ids=taken.ids.tolist() if book.wanted else [],
        duplicates=int(np.count_nonzero(taken.fates == REPEAT)),
        others=left,
        known={place: int(ordinals[place]) for place in left if ordinals[place] != UNKNOWN},
        bodies={int(ids[place]): body for place, body in bodies if place in standing},
        hashes={place: int(ids[place]) for place in left},
    )
