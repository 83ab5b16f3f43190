"""
One campaign's ledger: what no tick has counted yet, and what was counted, by attribution and by time.

    updates ─▶ pending (or waiting) ──tick──▶ totals, and recent cells ──when they are several──▶ days, packed

*waiting* takes what comes while a tick is open that has not reached this campaign: the tick's cut of the input is one
for the whole partition. What is counted is kept by day, packed to bytes as its records are written. Some of it may lie
on the sheet still, where a tick has left it (see `counting`): it is settled before anybody asks for totals.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from operator import add
from typing import Any, Final, NamedTuple

from worker.ledger.cells import (
    ATTRIBUTION,
    COUNT,
    DAY,
    LATEST,
    NEVER,
    UPDATES,
    Cell,
    Key,
    TickCuts,
    awkward,
    lasting,
    narrow,
)
from worker.ledger.chains import SPREAD, TICKED
from worker.ledger.kinds import CAMPAIGN, COUNTED, HISTORY, LOCAL_DAYS
from worker.ledger.packing import Pair, decode, encode, pack_cells, unpack_cell, unpack_spend
from worker.ledger.rhythm import Rhythm
from worker.ledger.series import Identity, Series
from worker.ledger.sheet import TICKED as IS_TICKED
from worker.ledger.sheet import WAITS, Sheet
from worker.ledger.stretches import Crossing, SpendCell, Stretches
from worker.ledger.uncounted import NOWHERE, Due, OpenCell, Uncounted
from worker.pacing import (
    DAYS_BEFORE,
    HOUR,
    Attribution,
    Case,
    Counted,
    Figures,
    LastDays,
    OpenCounts,
    PacingState,
    PlanHistory,
    Row,
    Totals,
    plan_cuts,
)

UNWRITTEN: Final = 16
"""With more rows on the sheet than that, less than `SPREAD` fewer of some, its record takes in what was counted."""

KEPT: Final = 2
"""Of the recent cells the latest, into which most of what comes late falls: they stay when the others move to days."""

Cases = dict[str, tuple[int, dict[str | None, int]]]
"""By kind: how many, and the money that stayed out of the totals by currency (None: the plan's)."""


Day = dict[int, Cell]
"""Counted cells of a UTC day by their start."""


class Correction(NamedTuple):
    """The correction of an update that wins, and what the update said; figures None are left as they were."""

    ordinal: int
    """The original's, with which it is forgotten."""
    note: bytes
    sequence: int | None
    at: int
    event_id: str
    figures: tuple[int | None, ...]

    def rank(self) -> tuple[bool, int, int, str]:
        """Of several corrections of an update the greatest wins; of equals, an id that came again, the first."""
        return (self.sequence is not None, self.sequence or 0, self.at, self.event_id)


class Plain(NamedTuple):
    """A plain campaign: what it is judged from, and where the scope of each attribution begins in that, by number."""

    row: Row
    scopes: Sequence[int]

    def with_figures(self, figures: bytes) -> Plain:
        """The same with what was counted since."""
        return Plain(self.row.with_figures(figures), self.scopes)


class Prefix:
    """What was counted before an instant, kept up to date while it is asked for."""

    __slots__ = ("latest", "totals")

    def __init__(self) -> None:
        self.totals: Totals = {}
        self.latest = NEVER


class Campaign:
    """What one partition's ledger knows of a campaign."""

    __slots__ = (
        "asked",
        "bin",
        "campaign_id",
        "cases",
        "cell",
        "changed",
        "corrections",
        "crossing",
        "currency",
        "cuts",
        "days",
        "dropped_series",
        "epoch",
        "history",
        "is_ticked",
        "key",
        "latest",
        "names",
        "next_series",
        "numbers",
        "open_counts",
        "pending",
        "plain",
        "prefixes",
        "recent",
        "rhythm",
        "row",
        "series",
        "sources",
        "state",
        "stretches",
        "ticks",
        "totals",
        "unwritten",
        "waiting",
        "waiting_cases",
        "waiting_sources",
    )

    def __init__(self, campaign_id: str, key: bytes | None, row: int, sheet: Sheet) -> None:
        self.campaign_id = campaign_id
        self.key = key
        """The key its records must have; None in a file."""
        self.row = row
        """Its number in this ledger."""
        self.history: PlanHistory | None = None
        self.currency: str | None = None
        self.cuts: tuple[int, ...] = ()
        self.names: list[Attribution] = []
        self.numbers: dict[Pair, int] = {}
        # -- not counted yet
        self.pending = Uncounted(sheet, row, self.names)
        self.waiting: Uncounted | None = None
        self.bin = self.pending
        """Where updates fold to now: *pending*, or *waiting* while an open tick has not reached the campaign."""
        self.ticks = TickCuts(DAY)
        self.cell = NOWHERE
        """The cell the last update fell into."""
        self.cases, self.waiting_cases = Cases(), Cases()
        self.sources: tuple[str, ...] = ()
        """Those that have reported for it, by name."""
        self.waiting_sources: tuple[str, ...] = ()
        """The same since an open tick fixed its cut."""
        # -- counted
        self.totals: Totals = {}
        self.latest = NEVER
        self.is_ticked = False
        """Whether a tick has counted it: before, nothing is late."""
        # The rows of the sheet that hold what was counted since its record was written.
        self.unwritten: list[int] = []
        self.recent: Day = {}
        self.days: dict[int, bytes] = {}
        self.rhythm: Rhythm | None = None
        """None until a tick asks for it."""
        self.prefixes: dict[int, Prefix] = {}
        self.asked: set[int] = set()
        """Which of them the open tick has asked for."""
        self.stretches: Stretches | None = None
        """Spend by the days that were last asked for, kept up to date."""
        self.crossing: Crossing | None = None
        """When an amount was reached, as last asked for; None again when something is counted before that."""
        self.state = PacingState()
        # What is open, where it was asked for since the state changed.
        self.open_counts: OpenCounts | None = None
        self.plain: Plain | None = None
        """What it is judged from; None where it is not plain, or no tick has looked."""
        # -- what later updates are compared with
        self.series: dict[Identity, Series] = {}
        self.next_series = 0
        self.corrections: dict[int, Correction] = {}
        """By the hash of the original's id."""
        # -- since the last time changes were drained
        self.changed: dict[tuple[bytes, Any], None] = {}
        """The records to be written: their kind, and which of it."""
        self.dropped_series: list[Series] = []
        self.epoch = -1

    def new_series(self) -> int:
        """The number of a new series: no other one had it, or will."""
        self.next_series += 1
        self.mark(CAMPAIGN)
        return self.next_series - 1

    def mark(self, kind: bytes, which: Any = None) -> None:
        """A record is to be written."""
        self.changed[kind, which] = None

    def succeed(self, history: PlanHistory) -> None:
        """Go on with another plan history; its cuts are in the cells already."""
        self.history = history
        self.mark(HISTORY)
        cuts = awkward(plan_cuts(history))
        if cuts != self.cuts:
            # What the sheet holds would be kept under other cuts when it is read again.
            self.settle()
            self.mark(CAMPAIGN)
        self.cuts = cuts
        self.cell = NOWHERE
        self.pending.sheet.chains.shut(self.row)
        self.prefixes.clear()
        self.stretches = self.crossing = None

    def forget_versions(self, tick: int) -> None:
        """Drop plans that no tick after *tick* asks for."""
        if self.history is None or len(self.history.versions) == 1 or self.state.is_period_open:
            return
        history = self.history.forget(tick)
        if history is not self.history:
            self.succeed(history)

    # -- folding

    @property
    def cells(self) -> int:
        """How many cells are not counted."""
        return self.pending.cells + (self.waiting.cells if self.waiting else 0)

    @property
    def cells_in_days(self) -> int:
        """How many of them are in no chain."""
        return self.pending.in_days + (self.waiting.in_days if self.waiting else 0)

    def number(self, channel: str | None, deal_id: str | None) -> int:
        """The number of an attribution, a new one if it was not met."""
        pair = (channel, deal_id)
        number = self.numbers.get(pair)
        if number is None:
            name = Attribution(channel, deal_id)
            number = self.numbers[name] = len(self.names)
            self.names.append(name)
            self.mark(CAMPAIGN)
        return number

    def seek(self, at: int, most: int = sys.maxsize) -> OpenCell:
        """The uncounted cell of an instant, which becomes the current one; NOWHERE if it would be one too many."""
        lo, hi = self.ticks.around(at, *lasting(at, self.cuts))
        day = self.bin.day(lo // DAY)
        if lo not in day and self.cells >= most:
            return NOWHERE
        self.cell = self.bin.open(lo, hi)
        return self.cell

    def between_cuts(self, at: int) -> tuple[int, int]:
        """[since, until) around an instant, within which the plan parts nothing but quarters of an hour."""
        since, until = NEVER, -NEVER
        for cut in self.cuts:
            since, until = narrow(at, cut, since, until)
        return since, until

    def add(self, at: int, key: Key, figures: Sequence[int], updates: int = 0) -> None:
        """Count *figures* at an instant, outside the hot path and whatever cells there are."""
        cell = self.cell if self.cell.lo <= at < self.cell.hi else self.seek(at)
        row = self.bin.hold(cell, key, self.number(key[0], key[1]))
        self.bin.sheet.add(row, figures, at, updates)

    def correction_of(self, original: int, ordinal: int) -> Correction | None:
        """The correction that counts for an update; what still stands of an earlier one with the same id is not its."""
        standing = self.corrections.get(original)
        return standing if standing is not None and standing.ordinal == ordinal else None

    def tell(self, kind: str, amount: dict[str | None, int], count: int = 1) -> None:
        """A new case for the next tick that counts what comes now."""
        cases = self.cases if self.bin is self.pending else self.waiting_cases
        known, amounts = cases.get(kind, (0, {}))
        total = {currency: amounts.get(currency, 0) + amount.get(currency, 0) for currency in {**amounts, **amount}}
        cases[kind] = (known + count, total)
        self.mark(CAMPAIGN)

    def wait(self) -> Uncounted:
        """What waits for an open tick to reach the campaign."""
        if self.waiting is None:
            self.waiting = Uncounted(self.pending.sheet, self.row, self.names, waits=True)
        return self.waiting

    def meet(self, source: str, *, waits: bool) -> None:
        """*source* has reported for it; *waits*: behind the cut of an open tick."""
        if source in self.sources or source in self.waiting_sources:
            return
        if waits:
            self.waiting_sources = (*self.waiting_sources, source)
        else:
            self.sources = tuple(sorted((*self.sources, source)))
        self.mark(CAMPAIGN)

    def refresh(self, epoch: int, ticks: TickCuts, *, waits: bool) -> None:
        """Ticks have moved: look the current cell up again."""
        self.epoch = epoch
        self.ticks = ticks
        self.bin = self.wait() if waits else self.pending
        self.cell = NOWHERE

    # -- counting

    def count(self, due: Due, last: int | None) -> Counted:
        """Move what is *due* into the totals; what the core is to know, *last* being the tick before."""
        self.settle()
        new, late = self._count_due(due.cells, last if self.is_ticked else None)
        self.unwritten += due.rows
        if (new and not due.rows) or not self.is_ticked or len(self.unwritten) > UNWRITTEN - self.row % SPREAD:
            self.mark(CAMPAIGN)
        if (CAMPAIGN, None) in self.changed:
            self.give_back()
        self.is_ticked = True
        return Counted(
            totals=self.totals,
            future_spend=0 if self.pending.is_empty else self.pending.spend(),
            late_spend=late,
            data_through=None if self.latest == NEVER else self.latest,
            before=self._totals_before,
            data_through_before=self._latest_before,
            new=new,
            cases=self._cases() if self.cases else {},
            spends=self._spends,
            reached=self._reached,
            positive_hour=self._positive_hour,
            days=self._days,
        )

    def _count_due(self, due: Sequence[Cell], last: int | None) -> tuple[list[tuple[int, Totals]], int]:
        """What is newly counted, cell by cell, and the nanos of it that are dated at or before the *last* tick."""
        new: list[tuple[int, Totals]] = []
        late = 0
        for cell in due:
            spend = cell.spend()
            if cell.held:
                new.append((cell.lo, self._count_cell(cell, spend)))
            if last is not None and cell.lo <= last:
                late += spend
        return new, late

    def take_up(self, rows: Iterable[int]) -> None:
        """Know its rows of the sheet that was read."""
        sheet, ticked = self.pending.sheet, list[int]()
        for row in rows:
            if sheet.labels[row] & IS_TICKED:
                ticked.append(row)
            else:
                (self.wait() if sheet.labels[row] & WAITS else self.pending).take_up(row)
        if ticked:
            sheet.chains.link(self.row, ticked, TICKED)

    def settle(self) -> None:
        """Add to the totals what ticks have left on the sheet."""
        chains = self.pending.sheet.chains
        if chains.has_rows(self.row, TICKED):
            rows = chains.rows(self.row, TICKED)
            chains.link(self.row, (), TICKED)
            for cell in map(self.pending.ticked, rows):
                self._count_cell(cell, cell.spend())
            self.unwritten += rows

    def ticked(self) -> Iterator[Cell]:
        """What ticks have left on the sheet."""
        return map(self.pending.ticked, self.pending.sheet.chains.rows(self.row, TICKED))

    def all_totals(self) -> Totals:
        """The totals, with what ticks have left on the sheet: the same, settled or not."""
        totals = {name: [*figures] for name, figures in self.totals.items()}
        for cell in self.ticked():
            for held in cell.held.values():
                _add(totals, self.names[held[ATTRIBUTION]], held)
        return totals

    def spent(self) -> int:
        """What is counted, in nanos."""
        return sum(figures[0] for figures in self.totals.values()) + sum(cell.spend() for cell in self.ticked())

    def give_back(self) -> None:
        """Its record, which is written or about to be, says all that was counted: no row of the sheet need."""
        for row in self.unwritten:
            self.pending.sheet.close(row)
        self.unwritten.clear()

    def _positive_hour(self, zone: str) -> int | None:
        return self._rhythm_in(zone).positive_hour(self._positive_before)

    def _days(self, zone: str, day: int) -> LastDays:
        return self._rhythm_in(zone).days(day)

    def _rhythm_in(self, zone: str) -> Rhythm:
        """The rhythm in a zone: made from the cells of the last days where it is not known there."""
        if self.rhythm is None or self.rhythm.zone != zone:
            last = self.latest // DAY
            cells = self.counted(last - DAYS_BEFORE - 2, last)
            self.rhythm = Rhythm.of(zone, ((cell.lo, cell.spend()) for cell in cells))
            self.mark(CAMPAIGN)
            self.mark(LOCAL_DAYS)
        return self.rhythm

    def _positive_before(self, hour: int) -> int:
        """The latest UTC hour before *hour* with positive net spend; NEVER where there is none."""
        recent: dict[int, list[Cell]] = {}
        for cell in self.recent.values():
            recent.setdefault(cell.day, []).append(cell)
        for number in sorted({*self.days, *recent}, reverse=True):
            net: dict[int, int] = {}
            for cell in (*self.counted_day(number).values(), *recent.get(number, ())):
                net[cell.lo // HOUR] = net.get(cell.lo // HOUR, 0) + cell.spend()
            positive = [each for each, spend in net.items() if spend > 0 and each < hour]
            if positive:
                return max(positive)
        return NEVER

    def _count_cell(self, cell: Cell, spend: int) -> Totals:
        """Add a cell, in which *spend* nanos are, to all that is counted; its figures by attribution."""
        counted: Totals = {}
        for held in cell.held.values():
            name, figures = self.names[held[ATTRIBUTION]], held[:COUNT]
            _add(self.totals, name, figures)
            _add(counted, name, figures)
            self.latest = max(self.latest, held[LATEST])
        self._keep(cell)
        if self.rhythm is not None and self.rhythm.count(cell.lo, spend):
            self.mark(LOCAL_DAYS)
            self.mark(CAMPAIGN)
        if self.stretches is not None:
            self.stretches.add(cell.lo, spend)
        if self.crossing is not None and cell.lo < self.crossing.end:
            self.crossing = None
        for cut, prefix in self.prefixes.items():
            if cell.lo < cut:
                prefix.latest = max(prefix.latest, cell.latest)
                _add_all(prefix.totals, counted)
        return counted

    def _keep(self, cell: Cell) -> None:
        """Keep a counted cell, under what will part it for ever: the tick does not matter any more."""
        lo, hi = lasting(cell.lo, self.cuts)
        recent = self.recent.get(lo)
        if recent is None:
            recent = self.recent[lo] = Cell(lo, hi)
        for key, held in cell.held.items():
            name = key if key[2] is None else (key[0], key[1], None)
            if name in recent.held:
                recent.add(name, held[ATTRIBUTION], held[:COUNT], held[LATEST])
            else:
                # Nobody else has it any more, and how many updates it was is of no use any more.
                recent.held[name] = held
                held[UPDATES] = 0
                recent.packed = None

    def _cases(self) -> dict[str, Case]:
        return {kind: Case(count, self._amounts(amounts)) for kind, (count, amounts) in self.cases.items()}

    def _amounts(self, amounts: dict[str | None, int]) -> dict[str, int]:
        """Money by currency, what stated none being in the plan's."""
        named: dict[str, int] = {}
        for currency, amount in amounts.items():
            name = currency or self.currency or ""
            named[name] = named.get(name, 0) + amount
        return named

    def after_tick(self, state: PacingState, recent: int) -> None:
        """The tick is taken: what waited is pending now, and more counted cells than *recent* go to their days."""
        if state is not self.state:
            self.state, self.open_counts = state, None
            self.mark(CAMPAIGN)
        if self.cases or self.waiting_cases or self.waiting_sources:
            self.mark(CAMPAIGN)
        if self.waiting_sources:
            self.sources = tuple(sorted((*self.sources, *self.waiting_sources)))
            self.waiting_sources = ()
        self.cases, self.waiting_cases = self.waiting_cases, {}
        if self.waiting is not None:
            self.pending.take_in(self.waiting)
            self.waiting = None
        self.bin = self.pending
        self.cell = NOWHERE
        # Of a recurring budget's windows each tick asks for a few: what was not asked for now is made again if it is.
        if self.prefixes:
            self.prefixes = {cut: prefix for cut, prefix in self.prefixes.items() if cut in self.asked}
            self.asked.clear()
        if len(self.recent) > recent:
            starts = sorted(self.recent)
            # Days that are over, if there are any: so a day is written once, and is not read for that.
            over = [lo for lo in starts[:-KEPT] if lo // DAY < starts[-KEPT] // DAY]
            self._store(over or starts[:-KEPT])

    def _store(self, starts: Iterable[int]) -> None:
        """Move counted cells to their days; what is left of them is in the campaign's own record."""
        self.mark(CAMPAIGN)
        by_day: dict[int, list[Cell]] = {}
        for lo in starts:
            by_day.setdefault(lo // DAY, []).append(self.recent.pop(lo))
        for number, cells in by_day.items():
            day = self.counted_day(number)
            for cell in cells:
                day.setdefault(cell.lo, cell)
                if day[cell.lo] is not cell:
                    day[cell.lo].absorb(cell)
            self.keep_day(number, day)

    def counted_day(self, number: int) -> Day:
        """The counted cells of a day, without the recent ones."""
        data = self.days.get(number)
        return {} if data is None else self.unpack_day(number, data)

    def unpack_day(self, number: int, data: bytes) -> Day:
        """The counted cells in *data*."""
        cells = (unpack_cell(number, packed, self.names) for packed in decode(data))
        return {cell.lo: cell for cell in cells}

    def keep_day(self, number: int, day: Day) -> None:
        """Write a day's counted cells."""
        self.days[number] = encode(pack_cells(day.values()))
        self.mark(COUNTED, number)

    def prefix(self, cut: int) -> Prefix:
        """What is counted and dated before *cut*, one of the plan's cuts or a quarter of an hour."""
        self.asked.add(cut)
        prefix = self.prefixes.get(cut)
        if prefix is None:
            prefix = self.prefixes[cut] = self._new_prefix(cut)
        return prefix

    def _new_prefix(self, cut: int) -> Prefix:
        """One that was not asked for lately, from the nearest before it: the days before that are not read again."""
        prefix, since = Prefix(), NEVER
        earlier = [known for known in self.prefixes if known < cut]
        if earlier:
            since = max(earlier)
            prefix.latest = self.prefixes[since].latest
            _add_all(prefix.totals, self.prefixes[since].totals)
        for cell in self.counted(since // DAY, cut // DAY):
            if since <= cell.lo < cut:
                prefix.latest = max(prefix.latest, cell.latest)
                for held in cell.held.values():
                    _add(prefix.totals, self.names[held[ATTRIBUTION]], held)
        return prefix

    def _totals_before(self, cut: int) -> Totals:
        return self.prefix(cut).totals

    def _latest_before(self, cut: int) -> int | None:
        latest = self.prefix(cut).latest
        return None if latest == NEVER else latest

    def _spends(self, edges: tuple[int, ...]) -> Sequence[int]:
        """What is counted from each of those quarters of an hour to the next."""
        held = self.stretches
        if held is None or held.edges != edges:
            held = self.stretches = Stretches(edges, held, self.latest, self._spend_cells)
        return held.sums

    def _reached(self, spend: int, since: int | None, until: int | None) -> int | None:
        """See `Counted.first_reached`."""
        if self.crossing is None or self.crossing.asked != (spend, since, until):
            self.crossing = Crossing.of(self._spend_cells(NEVER, -NEVER), spend, since, until)
        return self.crossing.at

    def _spend_cells(self, start: int, end: int) -> Iterator[SpendCell]:
        """The spend of every counted cell of the days that [start, end) touches, in any order."""
        first, last = start // DAY, end // DAY
        for number, data in self.days.items():
            if first <= number <= last:
                for packed in decode(data):
                    yield unpack_spend(number, packed)
        for cell in self.recent.values():
            yield cell.lo, cell.latest, cell.spend()

    def counted(self, first: int, last: int) -> Iterator[Cell]:
        """Every counted cell of those days, and the recent; one start may come twice, in its day and among them."""
        for number in self.days:
            if first <= number <= last:
                yield from self.counted_day(number).values()
        yield from self.recent.values()


def _add(totals: Totals, name: Attribution, held: list[int]) -> None:
    figures = totals.get(name)
    if figures is None:
        totals[name] = held[:COUNT]
    else:
        # As long as the shorter: a holding has more behind its figures.
        figures[:] = map(add, figures, held)


def _add_all(totals: Totals, more: Totals) -> None:
    for name, figures in more.items():
        _add(totals, name, figures)


def effective(said: Sequence[int], replaced: Iterable[int | None] | None) -> Figures:
    """The figures an update counts with: those it said, but where a correction carries one."""
    if replaced is None:
        return list(said)
    return [figure if new is None else new for figure, new in zip(said, replaced, strict=True)]


def in_currency(campaign: Campaign, currency: str | None) -> bool:
    """Whether an amount stated in *currency* is in the plan's; None is."""
    return currency is None or currency == campaign.currency
