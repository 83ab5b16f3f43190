"""
Cutting cells that hold spend already: at an instant that a new plan asks about, or at a tick nobody had announced.

A cell is a sum, so what it was summed from is looked up again: the notes of updates, with their corrections, and the
reports of series, within the horizon. Only if they add up to exactly what the cells hold are these cut; else something
is forgotten, and the cut is refused. Cells that begin at the cut, or hold nothing after it, need no cutting.

    lo            cut            hi     what lies after the cut is what was counted there, update by update and report
    |....pending...|......           |  by report, less what lies in cells that begin there; what lies before it is what
    |....counted...|...              |  is left. All that is dated after the last tick is pending.

Where both hold something on either side of the cut, what is late is told apart by the order of acceptance. The
differences that corrections and reports made since the last tick have none: they stay with the first pending piece.
Pending and counted together are exact in every piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from worker.ledger.campaign import Campaign, effective, in_currency
from worker.ledger.cells import COUNT, DAY, LATEST, NEVER, UPDATES, Cell, Key, lasting
from worker.ledger.identity import IdMemory
from worker.ledger.kinds import CAMPAIGN
from worker.ledger.notes import unpack_note
from worker.ledger.uncounted import NOWHERE

_ZEROS: Final = (0,) * COUNT

Sums = dict[Key, list[int]]


class Past(NamedTuple):
    """What is remembered of a campaign's updates."""

    memory: IdMemory
    last_tick: int
    """The last tick that counted the campaign, or NEVER."""
    ordinal: int
    """The first entry of *memory* that it did not count."""


class Part(NamedTuple):
    """What one update, or one report, counts; *is_pending* if no tick has counted it."""

    at: int
    key: Key
    figures: Sequence[int]
    is_pending: bool


class Stretch(NamedTuple):
    """A stretch of time that is cut, and what is known to lie in it."""

    lo: int
    hi: int
    parts: Sequence[Part]


def cut_for_ever(past: Past, campaign: Campaign, cuts: Sequence[int]) -> int | None:
    """Cut what is pending and what is counted at *cuts*; None, or the one that is impossible: then nothing is cut."""
    campaign.settle()
    stretches = []
    for cut in sorted(cuts):
        lo, hi = lasting(cut - 1, campaign.cuts)
        if _straddles(_pending(campaign, lo, hi), cut) or _straddles(_counted(campaign, lo, hi), cut):
            stretch = _stretch(past, campaign, lo, hi, cut)
            if stretch is None:
                return cut
            stretches.append((stretch, cut))
    for stretch, cut in stretches:
        _cut_pending(campaign, stretch, cut)
        _cut_counted(campaign, stretch, cut)
    return None


def straddles_tick(campaign: Campaign, tick: int) -> bool:
    """Whether a pending cell holds something on both sides of *tick*, and nothing waits for it yet."""
    pending, waiting = campaign.pending, campaign.waiting
    return not pending.is_empty and (waiting is None or waiting.is_empty) and pending.straddles(tick)


def cut_at_tick(past: Past, campaign: Campaign, tick: int) -> None:
    """Cut what is pending just after *tick*, before anything waits for it; if that is impossible it is left whole."""
    campaign.settle()
    lo, hi = lasting(tick, campaign.cuts)
    stretch = _stretch(past, campaign, lo, hi, tick + 1)
    if stretch is not None:
        _cut_pending(campaign, stretch, tick + 1)


def _straddles(cells: Iterable[Cell], cut: int) -> bool:
    return any(cell.lo < cut <= cell.latest for cell in cells)


def _pending(campaign: Campaign, lo: int, hi: int) -> list[Cell]:
    return [campaign.pending.value(cell) for cell in campaign.pending.within(lo, hi)]


def _counted(campaign: Campaign, lo: int, hi: int) -> list[Cell]:
    """The counted cells that begin in [lo, hi), from their day and the recent ones."""
    cells: dict[int, Cell] = {}
    for cell in (*campaign.counted_day(lo // DAY).values(), *campaign.recent.values()):
        if lo <= cell.lo < hi:
            cells.setdefault(cell.lo, Cell(cell.lo, cell.hi)).absorb(cell)
    return list(cells.values())


# -- what is known -----------------------------------------------------------------------------------------------------


def _stretch(past: Past, campaign: Campaign, lo: int, hi: int, cut: int) -> Stretch | None:
    """What lies in [lo, hi); None where not all of it is known."""
    if any(series.is_blurred(lo, cut, hi) for series in campaign.series.values()):
        return None
    parts = list(_parts(past, campaign, lo, hi))
    held = [*_pending(campaign, lo, hi), *_counted(campaign, lo, hi)]
    return Stretch(lo, hi, parts) if _same(_sums(campaign, held), _sum(campaign, parts)) else None


def _parts(past: Past, campaign: Campaign, lo: int, hi: int) -> Iterator[Part]:
    """What was counted in [lo, hi), update by update and report by report."""
    for ordinal, hashed, packed in past.memory.notes_of(campaign.row):
        note = unpack_note(packed) if packed else None
        if note is None or not lo <= note.at < hi:
            continue
        name = campaign.names[note.attribution]
        correction = campaign.correction_of(hashed, ordinal)
        figures = effective(note.counted(), correction.figures if correction else None)
        if campaign.history is None or in_currency(campaign, note.currency):
            is_pending = note.at > past.last_tick or ordinal >= past.ordinal
            yield Part(note.at, (*name, note.currency), figures, is_pending)
    for identity, series in campaign.series.items():
        for step in series.counted(lo, hi):
            key = (identity.channel, identity.deal_id, identity.currency)
            yield Part(step.report.at, key, step.counts, step.report.at > past.last_tick)


def _sum(campaign: Campaign, parts: Iterable[Part]) -> Sums:
    sums: Sums = {}
    for part in parts:
        total = sums.setdefault(_plain(campaign, part.key), [0] * COUNT)
        total[:] = map(sum, zip(total, part.figures, strict=True))
    return sums


def _sums(campaign: Campaign, cells: Iterable[Cell]) -> Sums:
    parts = (Part(0, key, held[:COUNT], is_pending=False) for cell in cells for key, held in cell.held.items())
    return _sum(campaign, parts)


def _same(one: Sums, other: Sums) -> bool:
    """Whether both say the same, what is absent being 0."""
    return all(one.get(key, list(_ZEROS)) == other.get(key, list(_ZEROS)) for key in {**one, **other})


def _plain(campaign: Campaign, key: Key) -> Key:
    """The key under which an amount is counted: once there is a plan, all of it is in its currency."""
    return key if campaign.history is None else (key[0], key[1], None)


# -- cutting -----------------------------------------------------------------------------------------------------------


def _cut_pending(campaign: Campaign, stretch: Stretch, cut: int) -> None:
    cells = _pending(campaign, stretch.lo, stretch.hi)
    whole = [cell for cell in cells if cell.lo < cut <= cell.latest]
    if not whole:
        return
    pending, number = campaign.pending, stretch.lo // DAY
    cutting = Cutting(whole, *_told_of_pending(campaign, stretch, cells, cut), stretch.parts)
    _, hi = campaign.ticks.around(cut, cut, stretch.hi)
    for cell in whole:
        pending.drop(pending.day(number)[cell.lo])
    for piece in _pieces(campaign, cutting, cut, hi):
        pending.put(piece)
    campaign.cell = NOWHERE


def _told_of_pending(
    campaign: Campaign, stretch: Stretch, pending: Sequence[Cell], cut: int
) -> tuple[list[Cell], Sequence[Part]]:
    """What is pending after *cut*, as the cells that hold some of it already and the parts it was summed from."""
    counted = _counted(campaign, stretch.lo, stretch.hi)
    if _straddles(counted, cut):
        return _after(pending, cut), [part for part in stretch.parts if part.is_pending]
    return _after([*pending, *counted], cut), stretch.parts


def _cut_counted(campaign: Campaign, stretch: Stretch, cut: int) -> None:
    cells = _counted(campaign, stretch.lo, stretch.hi)
    whole = [cell for cell in cells if cell.lo < cut <= cell.latest]
    if not whole:
        return
    others = _after([*cells, *_pending(campaign, stretch.lo, stretch.hi)], cut)
    pieces = _pieces(campaign, Cutting(whole, others, stretch.parts, stretch.parts), cut, stretch.hi)
    number = stretch.lo // DAY
    day = campaign.counted_day(number)
    for cell in whole:
        campaign.recent.pop(cell.lo, None)
        day.pop(cell.lo, None)
    for piece in pieces:
        day.setdefault(piece.lo, Cell(piece.lo, piece.hi)).absorb(piece)
    campaign.keep_day(number, day)
    campaign.mark(CAMPAIGN)


class Cutting(NamedTuple):
    """What is cut: the cells that hold something on both sides, and what tells how much."""

    whole: Sequence[Cell]
    after: Sequence[Cell]
    """The cells that begin at the cut or after it."""
    parts: Sequence[Part]
    """What all of them were summed from, as far as it is after the cut."""
    dated: Sequence[Part]
    """All that lies there: the latest event time of either piece is one of theirs."""


def _after(cells: Iterable[Cell], cut: int) -> list[Cell]:
    return [cell for cell in cells if cell.lo >= cut]


def _pieces(campaign: Campaign, cutting: Cutting, cut: int, hi: int) -> list[Cell]:
    """What is cut as one cell before *cut* and one from there to *hi*; one that holds nothing is left out."""
    before, after = Cell(min(cell.lo for cell in cutting.whole), cut), Cell(cut, hi)
    _share_figures(campaign, cutting, before, after)
    _share_times(campaign, cutting, before, after)
    for cell in (before, after):
        cell.held = {key: held for key, held in cell.held.items() if _is_anything(held)}
    return [cell for cell in (before, after) if cell.held]


def _share_figures(campaign: Campaign, cutting: Cutting, before: Cell, after: Cell) -> None:
    for part in cutting.parts:
        if part.at >= after.lo:
            _add(campaign, after, part.key, part.figures, NEVER)
    for cell in cutting.after:
        _subtract(campaign, after, cell)
    for cell in cutting.whole:
        for key, held in cell.held.items():
            _add(campaign, before, key, held[:COUNT], NEVER, held[UPDATES])
    _subtract(campaign, before, after)


def _share_times(campaign: Campaign, cutting: Cutting, before: Cell, after: Cell) -> None:
    latest = max(cell.latest for cell in cutting.whole)
    times = [(key, held[LATEST]) for cell in cutting.whole for key, held in cell.held.items()]
    times += [(part.key, part.at) for part in cutting.dated if part.at <= latest]
    for key, at in times:
        _add(campaign, before if at < after.lo else after, key, _ZEROS, at)


def _subtract(campaign: Campaign, cell: Cell, other: Cell) -> None:
    for key, held in other.held.items():
        _add(campaign, cell, key, [-figure for figure in held[:COUNT]], NEVER)


def _add(campaign: Campaign, cell: Cell, key: Key, figures: Iterable[int], latest: int, updates: int = 0) -> None:
    cell.add(_plain(campaign, key), campaign.number(key[0], key[1]), figures, latest, updates)


def _is_anything(held: Sequence[int]) -> bool:
    return any(held[:COUNT]) or held[UPDATES] > 0 or held[LATEST] != NEVER
