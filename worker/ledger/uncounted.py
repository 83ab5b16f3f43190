"""
What a campaign has that no tick has counted: open cells by UTC day, their figures in the sheet.

Rows are written as rows (see `journal`). A day nobody folds into is packed to bytes, and they are its record: a
campaign without a plan is never counted, and may wait for years.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from worker.ledger import sheet as on_sheet
from worker.ledger.cells import ATTRIBUTION, COUNT, DAY, LATEST, UPDATES, Cell, Key
from worker.ledger.packing import decode, encode, pack_cells, unpack_cell, unpack_spend
from worker.ledger.sheet import Sheet, currency_of, label_of
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

    __slots__ = ("cells", "days", "names", "row", "sheet", "waits")

    def __init__(self, sheet: Sheet, row: int, names: list[Attribution], *, waits: bool = False) -> None:
        self.sheet = sheet
        self.waits = waits
        self.row = row
        self.names = names
        self.days: dict[int, OpenDay | PackedDay] = {}
        self.cells = 0
        """How many there are."""

    def day(self, number: int) -> OpenDay:
        """The cells of a day, unpacked."""
        day = self.days.get(number)
        if day is None:
            day = self.days[number] = {}
        elif isinstance(day, PackedDay):
            opened: OpenDay = {}
            self.days[number] = opened
            self.sheet.repacked.add((self.row, number))
            self.cells -= day.cells
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
            self.cells += 1
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
        lo = get(row, on_sheet.LO)
        cell = self.open(lo, lo)
        name = self.names[get(row, on_sheet.ATTRIBUTION)]
        cell.held[name.channel, name.deal_id, currency_of(self.sheet.labels[row])] = row

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

    def is_after(self, cell: OpenCell, instant: int) -> bool:
        """Whether anything in a cell is dated after an instant."""
        cells = self.sheet.cells
        return any(cells[row * on_sheet.WIDTH + on_sheet.LATEST] > instant for row in cell.held.values())

    def take(self, cell: OpenCell) -> Cell:
        """Take a cell away; what it held."""
        value = self.value(cell)
        self.drop(cell)
        return value

    def take_through(self, instant: int) -> list[Cell]:
        """Take the cells away that begin by an instant; what they held, in order of time."""
        taken = []
        last = instant // DAY
        for number in sorted(number for number in self.days if number <= last):
            day = self.day(number)
            due = sorted(start for start in day if start <= instant)
            for start in due:
                cell = day.pop(start)
                taken.append(self.value(cell))
                for row in cell.held.values():
                    self.sheet.close(row)
            self.cells -= len(due)
            if not day:
                del self.days[number]
        return taken

    def drop(self, cell: OpenCell) -> None:
        """Take a cell away."""
        for row in cell.held.values():
            self.sheet.close(row)
        number = cell.lo // DAY
        day = self.day(number)
        del day[cell.lo]
        self.cells -= 1
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
        spend, total = self.sheet.spend, 0
        for day in self.days.values():
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
            self.cells += len(packed)
