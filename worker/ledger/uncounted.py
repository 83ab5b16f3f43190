"""
What a campaign has that no tick has counted: open cells by UTC day, their figures in the sheet.

Rows are written as rows (see `journal`). A day nobody folds into is packed to bytes, and they are its record: a
campaign without a plan is never counted, and may wait for years. Rows that the compiled loops opened are in a chain
on the sheet (see `chains`) until somebody asks for their cells; most are counted before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from worker.ledger import sheet as on_sheet
from worker.ledger.cells import ATTRIBUTION, COUNT, DAY, LATEST, UPDATES, Cell, Key
from worker.ledger.packing import decode, encode, pack_cells, unpack_cell, unpack_spend
from worker.ledger.sheet import TAKEN_HI, TAKEN_LABEL, TAKEN_LO, TAKEN_ROW, Sheet, currency_of, label_of
from worker.pacing import Attribution


class OpenCell:
    """A cell that updates fold into: the row of the sheet for each attribution and stated currency."""

    __slots__ = ("held", "hi", "lo")

    def __init__(self, lo: int, hi: int) -> None:
        self.lo = lo
        self.hi = hi
        self.held: dict[Key, int] = {}


NOWHERE: Final = OpenCell(0, 0)
"""A cell that no instant falls into."""

OpenDay = dict[int, OpenCell]
"""The open cells of a UTC day by their start."""


class Due(NamedTuple):
    """What a tick counts of a campaign."""

    cells: list[Cell]
    """In order of time."""
    rows: list[int]
    """Those of the sheet that go on holding all of it as ticked ones; none if it is held no more."""


class PackedDay(NamedTuple):
    """A day's cells as bytes: their number, their spend and the cells."""

    cells: int
    spend: int
    data: bytes


class Uncounted:
    """
    The open cells of one campaign; *row* is its number, *names* its attributions by theirs.

    *waits*: for an open tick.
    """

    __slots__ = ("_cells", "_days", "names", "row", "sheet", "waits")

    def __init__(self, sheet: Sheet, row: int, names: list[Attribution], *, waits: bool = False) -> None:
        self.sheet = sheet
        self.waits = waits
        self.row = row
        self.names = names
        self._days: dict[int, OpenDay | PackedDay] = {}
        self._cells = 0
        """How many are in the days."""

    @property
    def days(self) -> dict[int, OpenDay | PackedDay]:
        """The cells by UTC day, nothing being in the chain any more."""
        chained = self.chained()
        if chained:
            self.sheet.chains.link(self.row, (), self.waits)
            for row in reversed(chained):
                self.take_up(row)
        return self._days

    @property
    def cells(self) -> int:
        """How many there are."""
        chained = self.chained()
        return self._cells + len({self.sheet.get(row, on_sheet.LO) for row in chained}) if chained else self._cells

    @property
    def in_days(self) -> int:
        """How many of them are in the days: all, or none."""
        return self._cells

    @property
    def has_chain(self) -> bool:
        """Whether they are in the chain: all, or none."""
        return self.sheet.chains.has_rows(self.row, self.waits)

    @property
    def is_empty(self) -> bool:
        """Whether there are none."""
        return not self._days and not self.has_chain

    @property
    def has_days(self) -> bool:
        """Whether there are several; a chain is of one."""
        return len(self._days) > 1

    @property
    def is_chained(self) -> bool:
        """Whether all there is, if anything, is in the chain."""
        return not self._days

    def chained(self) -> list[int]:
        """The rows in the chain, the last one opened first."""
        return self.sheet.chains.rows(self.row, self.waits)

    def day(self, number: int) -> OpenDay:
        """The cells of a day, unpacked."""
        day = self.days.get(number)
        if day is None:
            day = self.days[number] = {}
        elif isinstance(day, PackedDay):
            opened: OpenDay = {}
            self.days[number] = opened
            self.sheet.repacked.add((self.row, number))
            self._cells -= day.cells
            for packed in decode(day.data):
                self.put(unpack_cell(number, packed, self.names))
            return opened
        return day

    def open(self, lo: int, hi: int) -> OpenCell:
        """The cell that begins at *lo*, a new one if there is none; it ends at *hi*."""
        day = self.day(lo // DAY)
        cell = day.get(lo)
        if cell is None:
            cell = day[lo] = OpenCell(lo, hi)
            self._cells += 1
            self.sheet.chains.shut(self.row)
        elif cell.hi != hi:
            cell.hi = hi
            for row in cell.held.values():
                self.sheet.narrow(row, hi)
        return cell

    def hold(self, cell: OpenCell, key: Key, number: int) -> int:
        """The row for an attribution, with its *number*, in a cell."""
        row = cell.held.get(key)
        if row is None:
            label = label_of(key[2], waits=self.waits)
            row = cell.held[key] = self.sheet.open(cell.lo, cell.hi, number, self.row, label)
        return row

    def take_up(self, row: int) -> None:
        """Know a row of the sheet that was read."""
        get = self.sheet.get
        self.open(get(row, on_sheet.LO), get(row, on_sheet.HI)).held[self._key(row)] = row

    def ticked(self, row: int) -> Cell:
        """The cell of a row of the sheet that a tick has counted: what it holds."""
        lo = self.sheet.get(row, on_sheet.LO)
        cell = Cell(lo, lo)
        cell.held[self._key(row)] = self.sheet.holding(row)
        return cell

    def _key(self, row: int) -> Key:
        name = self.names[self.sheet.get(row, on_sheet.ATTRIBUTION)]
        return name.channel, name.deal_id, currency_of(self.sheet.labels[row])

    def put(self, cell: Cell) -> None:
        """Add a cell's figures to what is here."""
        opened = self.open(cell.lo, cell.hi)
        for key, held in cell.held.items():
            row = self.hold(opened, key, held[ATTRIBUTION])
            self.sheet.add(row, held[:COUNT], held[LATEST], held[UPDATES])

    def value(self, cell: OpenCell) -> Cell:
        """A copy of what a cell holds."""
        copy, holding = Cell(cell.lo, cell.hi), self.sheet.holding
        copy.held = {key: holding(row) for key, row in cell.held.items()}
        return copy

    def take(self, cell: OpenCell) -> Cell:
        """Take a cell away; what it held."""
        value = self.value(cell)
        self.drop(cell)
        return value

    def take_days(self, instant: int) -> list[Cell]:
        """Take the cells of the days away that begin by an instant; what they held, in order of time."""
        taken = []
        last = instant // DAY
        for number in sorted(number for number in self._days if number <= last):
            day = self.day(number)
            due = sorted(start for start in day if start <= instant)
            for start in due:
                cell = day.pop(start)
                taken.append(self.value(cell))
                for row in cell.held.values():
                    self.sheet.close(row)
            self._cells -= len(due)
            if not day:
                del self._days[number]
        return taken

    def take_in(self, other: Uncounted) -> None:
        """Take all that *other* has; a whole chain as it is, where nothing is here."""
        chained = other.chained()
        self.sheet.chains.shut(self.row)
        if not chained or self.cells:
            for cell in other.all():
                self.put(other.take(cell))
            return
        self.sheet.chains.link(self.row, (), other.waits)
        self.sheet.chains.link(self.row, reversed(chained), self.waits)
        for row in chained:
            self.sheet.relabel(row, label_of(currency_of(self.sheet.labels[row]), waits=self.waits))

    def straddles(self, instant: int) -> bool:
        """Whether a cell holds something on both sides of an instant."""
        cells, width, lo, latest = self.sheet.cells, on_sheet.WIDTH, on_sheet.LO, on_sheet.LATEST
        rows: Iterable[int] = self.chained()
        # Cells lie within a UTC day.
        number = instant // DAY
        if not rows and number in self._days:
            rows = (row for cell in self.day(number).values() for row in cell.held.values())
        return any(cells[row * width + lo] <= instant < cells[row * width + latest] for row in rows)

    def drop(self, cell: OpenCell) -> None:
        """Take a cell away."""
        for row in cell.held.values():
            self.sheet.close(row)
        number = cell.lo // DAY
        day = self.day(number)
        del day[cell.lo]
        self._cells -= 1
        if not day:
            del self.days[number]

    def within(self, lo: int, hi: int) -> list[OpenCell]:
        """The cells that begin in [lo, hi), in order of time."""
        first, last = lo // DAY, (hi - 1) // DAY
        numbers = sorted(number for number in self.days if first <= number <= last)
        return [cell for number in numbers for start, cell in sorted(self.day(number).items()) if lo <= start < hi]

    def all(self) -> Iterator[OpenCell]:
        """Every cell."""
        for number in list(self.days):
            yield from list(self.day(number).values())

    def spend(self) -> int:
        """The spend in all cells."""
        spend = self.sheet.spend
        total = sum(map(spend, self.chained()))
        for day in self._days.values():
            if isinstance(day, PackedDay):
                total += day.spend
            else:
                total += sum(spend(row) for cell in day.values() for row in cell.held.values())
        return total

    def values(self) -> Iterator[Cell]:
        """A copy of every cell; no day is unpacked for it."""
        for number, day in self.days.items():
            if isinstance(day, PackedDay):
                yield from (unpack_cell(number, packed, self.names) for packed in decode(day.data))
            else:
                yield from map(self.value, day.values())

    # -- days as bytes

    def data(self, number: int) -> bytes | None:
        """A packed day's cells as its record has them; None if it is none."""
        day = self.days.get(number)
        return day.data if isinstance(day, PackedDay) else None

    def pack(self, number: int) -> None:
        """Keep a day as bytes, where nothing in it has changed since changes were drained."""
        day = self.days[number]
        if isinstance(day, PackedDay) or not day:
            return
        rows = [row for cell in day.values() for row in cell.held.values()]
        if any(map(self.sheet.dirty.__getitem__, rows)):
            return
        data = encode(pack_cells(map(self.value, day.values())))
        self.days[number] = PackedDay(len(day), sum(map(self.sheet.spend, rows)), data)
        self.sheet.repacked.add((self.row, number))
        for row in rows:
            self.sheet.close(row)

    def keep(self, number: int, packed: Sequence[Any]) -> None:
        """Know a day from the cells in its record."""
        if packed:
            spend = sum(unpack_spend(number, cell)[2] for cell in packed)
            self.days[number] = PackedDay(len(packed), spend, encode(packed))
            self._cells += len(packed)


def take_through(bins: Sequence[Uncounted], instant: int) -> dict[int, Due]:
    """Take the cells of each away that begin by an instant, by the campaign's row."""
    chained = [each for each in bins if each.has_chain]
    days = {each.row: Due(each.take_days(instant), []) for each in bins if not each.has_chain}
    return {**days, **_take_chained(chained, instant)} if chained else days


def _take_chained(bins: Sequence[Uncounted], instant: int) -> dict[int, Due]:
    """The same of what is in the chains, which all are on one sheet."""
    from worker.ledger.counting import count_rows  # loaded already: nothing else puts rows into chains

    sheet = bins[0].sheet
    rows, ends = count_rows(sheet, [each.row for each in bins], instant)
    sheet.complete(rows)
    spans = zip(bins, pairwise([0, *ends]), strict=True)
    return {each.row: _due(each.names, rows[begin:end]) for each, (begin, end) in spans}


def _due(names: Sequence[Attribution], rows: Sequence[list[int]]) -> Due:
    """What the rows that were counted, which are in order of time, come to."""
    cells: list[Cell] = []
    for row in rows:
        lo = row[TAKEN_LO]
        if not cells or cells[-1].lo != lo:
            cells.append(Cell(lo, row[TAKEN_HI]))
        channel, deal_id = names[row[ATTRIBUTION]]
        cells[-1].held[channel, deal_id, currency_of(row[TAKEN_LABEL])] = row[:TAKEN_LO]
    return Due(cells, [row[TAKEN_ROW] for row in rows])
