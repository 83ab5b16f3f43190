"""
Cutting cells that hold spend already: at an instant that a new plan asks about, or at a tick nobody had announced.

A cell is a sum, so what it was summed from is looked up again: the notes of updates, with their corrections, and the
reports of series, within the horizon. Only if they add up to exactly what the cells hold are these cut; else something
is forgotten, and the cut is refused. Cells that begin at the cut, or hold nothing after it, need no cutting.

What is pending was accepted since the last tick, what is counted before it; where both lie in one cell that is told
by the order of acceptance. The differences that corrections and reports made since have no such order: they stay with
the first part of the pending cell. Their sum with the counted part is exact in either case.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from worker.ledger.book import Book
from worker.ledger.campaign import Campaign
from worker.ledger.cells import COUNT, DAY, NEVER, Cell, Key, lasting
from worker.ledger.corrections import effective, in_currency
from worker.ledger.kinds import CAMPAIGN, PENDING
from worker.ledger.notes import unpack_note
from worker.ledger.uncounted import NOWHERE

_ZEROS: Final = (0,) * COUNT


class Part(NamedTuple):
    """What one update, or one report, counts; *is_new* if the last tick did not count it."""

    at: int
    key: Key
    figures: Sequence[int]
    is_new: bool


Sums = dict[Key, list[int]]


class Place(NamedTuple):
    """The cells to be cut within one lasting cell, and what is to take their place."""

    pending: list[tuple[Cell, list[Cell]]]
    counted: list[Cell] | None


def cut_for_ever(book: Book, campaign: Campaign, cuts: Sequence[int]) -> int | None:
    """Cut what is pending and what is counted at *cuts*; None, or the one that is impossible: then nothing is cut."""
    by_cell: dict[tuple[int, int], list[int]] = {}
    for cut in cuts:
        by_cell.setdefault(lasting(cut - 1, campaign.cuts), []).append(cut)
    places = []
    for (lo, hi), within in by_cell.items():
        place = _cut(book, campaign, lo, hi, within, for_ever=True)
        if place is None:
            return within[0]
        places.append((lo, place))
    for lo, place in places:
        _put(campaign, lo, place)
    return None


def cut_at_tick(book: Book, campaign: Campaign, lo: int, tick: int) -> bool:
    """Cut the pending cell that begins at *lo* just after *tick*; False where that is impossible."""
    lo, hi = lasting(lo, campaign.cuts)
    place = _cut(book, campaign, lo, hi, [tick + 1], for_ever=False)
    if place is None:
        return False
    _put(campaign, lo, place)
    return True


def _cut(book: Book, campaign: Campaign, lo: int, hi: int, cuts: Sequence[int], *, for_ever: bool) -> Place | None:
    """How the cells in [lo, hi) are cut at *cuts*; None where what they were summed from is not all known."""
    pending = _pending(campaign, lo, hi)
    counted = _counted(campaign, lo)
    pieces = [cell for cell in pending if _straddles(cell, cuts)]
    recount = for_ever and counted is not None and _straddles(counted, cuts)
    if not pieces and not recount:
        return Place([], None)
    parts = list(_parts(book, campaign, lo, hi))
    if not _same(_sums(campaign, [*pending, *([counted] if counted else [])]), _sum(campaign, parts)):
        return None
    cut = [(cell, _divide(campaign, cell, _parts_of(cell, parts, counted), cuts)) for cell in pieces]
    if counted is None or not recount:
        return Place(cut, None)
    kept = [cell for cell in pending if cell not in pieces]
    return Place(cut, _recount(campaign, counted, parts, [*kept, *(c for _, part in cut for c in part)], cuts))


def _straddles(cell: Cell, cuts: Iterable[int]) -> bool:
    return any(cell.lo < cut <= cell.latest for cut in cuts)


def _pending(campaign: Campaign, lo: int, hi: int) -> list[Cell]:
    return [campaign.pending.value(cell) for cell in campaign.pending.within(lo, hi)]


def _counted(campaign: Campaign, lo: int) -> Cell | None:
    """The counted cell that begins at *lo*, from its day and the recent ones."""
    cells = [cell for cell in (campaign.counted_day(lo // DAY).get(lo), campaign.recent.get(lo)) if cell is not None]
    if not cells:
        return None
    whole = Cell(lo, cells[0].hi)
    for cell in cells:
        whole.absorb(cell)
    return whole


def _parts(book: Book, campaign: Campaign, lo: int, hi: int) -> Iterator[Part]:
    """What was counted in [lo, hi), update by update and report by report."""
    # While a tick is open, what came since waits in no cell that it cuts.
    new, waits = (
        (book.tick_ordinal, book.memory.end) if book.tick is None else (book.counted_ordinal, book.tick_ordinal)
    )
    last = NEVER if book.last_tick is None else book.last_tick
    for ordinal, hashed, packed in book.memory.notes_of(campaign.row):
        note = unpack_note(packed) if packed else None
        if note is None or ordinal >= waits or not lo <= note.at < hi:
            continue
        name = campaign.names[note.attribution]
        correction = campaign.corrections.get(hashed)
        figures = effective(note.counted(), correction.figures if correction else None)
        if campaign.history is None or in_currency(campaign, note.currency):
            # What was known at the last tick and dated after it is not counted either.
            yield Part(note.at, (*name, note.currency), figures, ordinal >= new or note.at > last)
    for identity, series in campaign.series.items():
        for step in series.counted(lo, hi):
            key = (identity.channel, identity.deal_id, identity.currency)
            yield Part(step.report.at, key, step.counts, is_new=step.report.at > last)


def _parts_of(cell: Cell, parts: Iterable[Part], counted: Cell | None) -> list[Part]:
    """What a pending cell was summed from; if some of its time is counted already, only what surely is pending."""
    within = (part for part in parts if cell.lo <= part.at <= cell.latest)
    return [part for part in within if counted is None or part.is_new]


def _divide(campaign: Campaign, cell: Cell, parts: Iterable[Part], cuts: Sequence[int]) -> list[Cell]:
    """A cell's figures by the piece of time *parts* lie in; what they do not tell is the first piece's."""
    pieces: dict[int, Cell] = {}
    first = _piece(pieces, cell, cell.lo, cuts)
    first.absorb(cell)
    first.latest = NEVER
    for part in parts:
        piece = _piece(pieces, cell, part.at, cuts)
        piece.latest = max(piece.latest, part.at)
        number = campaign.number(*part.key[:2])
        first.add(part.key, number, [-figure for figure in part.figures])
        piece.add(part.key, number, part.figures)
    return _finish(pieces, cell, cuts)


def _finish(pieces: dict[int, Cell], cell: Cell, cuts: Sequence[int]) -> list[Cell]:
    """The pieces of *cell* that hold anything; the latest event time is that of the last."""
    last = _piece(pieces, cell, cell.latest, cuts)
    last.latest = cell.latest
    for piece in pieces.values():
        if piece.latest == NEVER:
            piece.held = {key: held for key, held in piece.held.items() if any(held[:COUNT])}
    return [piece for piece in pieces.values() if piece.held or piece is last]


def _piece(pieces: dict[int, Cell], cell: Cell, at: int, cuts: Sequence[int]) -> Cell:
    """The piece of *cell* that *at* falls into."""
    edges = [cell.lo, *(cut for cut in cuts if cut > cell.lo)]
    place = bisect_right(edges, at) - 1
    lo = edges[place]
    hi = edges[place + 1] if place + 1 < len(edges) else cell.hi
    return pieces.setdefault(lo, Cell(lo, hi))


def _recount(
    campaign: Campaign, counted: Cell, parts: Iterable[Part], pending: Iterable[Cell], cuts: Sequence[int]
) -> list[Cell]:
    """A counted cell's figures by piece: what all parts tell, less what is pending there."""
    pieces: dict[int, Cell] = {}
    for key, held in counted.held.items():
        _piece(pieces, counted, counted.lo, cuts).add(key, held[COUNT], _ZEROS)
    for part in parts:
        piece = _piece(pieces, counted, part.at, cuts)
        piece.latest = min(max(piece.latest, part.at), counted.latest)
        piece.add(_plain(campaign, part.key), campaign.number(*part.key[:2]), part.figures)
    for cell in pending:
        piece = _piece(pieces, counted, cell.lo, cuts)
        for key, held in cell.held.items():
            piece.add(_plain(campaign, key), held[COUNT], [-figure for figure in held[:COUNT]])
    return _finish(pieces, counted, cuts)


def _plain(campaign: Campaign, key: Key) -> Key:
    """The key under which an amount is counted: once there is a plan, all of it is in its currency."""
    return key if campaign.history is None else (key[0], key[1], None)


def _sum(campaign: Campaign, parts: Iterable[Part]) -> Sums:
    sums: Sums = {}
    for part in parts:
        total = sums.setdefault(_plain(campaign, part.key), [0] * COUNT)
        total[:] = map(sum, zip(total, part.figures, strict=True))
    return sums


def _sums(campaign: Campaign, cells: Iterable[Cell]) -> Sums:
    parts = (Part(0, key, held[:COUNT], is_new=False) for cell in cells for key, held in cell.held.items())
    return _sum(campaign, parts)


def _same(one: Sums, other: Sums) -> bool:
    """Whether both say the same, what is absent being 0."""
    return all(one.get(key, list(_ZEROS)) == other.get(key, list(_ZEROS)) for key in {**one, **other})


def _put(campaign: Campaign, lo: int, place: Place) -> None:
    """Put the pieces in place of the cells."""
    number = lo // DAY
    pending = campaign.pending
    for cell, pieces in place.pending:
        pending.drop(pending.day(number)[cell.lo])
        for piece in pieces:
            pending.put(piece)
        campaign.mark(PENDING, number)
    campaign.cell = NOWHERE
    if place.counted is not None:
        campaign.recent.pop(lo, None)
        day = campaign.counted_day(number)
        day.pop(lo, None)
        day.update((piece.lo, piece) for piece in place.counted)
        campaign.keep_day(number, day)
        campaign.mark(CAMPAIGN)
