"""
Series of cumulative reports: running totals, of which the ledger counts the differences.

A series is what (source, channel, deal, line item, series, currency) name within a campaign. Its total at an instant
is what the best report dated by then says: one with a sequence beats one without, then the higher sequence, the later
event time, the greater event_id; of equals (an id that came again beyond the horizon) the first. So in order of event
time only a report that beats all before it matters, and it counts the difference to the one it beats, at its own event
time:

    event time    1h      2h      3h      4h
    sequence      1       4       3       5
    total         10      25      20      30
    counts       +10     +15       -      +5       the report of 3h is beaten by that of 2h, wherever it comes in

That is a function of the set of reports. Each figure has its own chain: a report without impressions says nothing
about impressions. Reports that no later one can bring back are not kept: beaten ones at once, those that share a
counted time cell with the next (`thin`), and those whose whole past came longer ago than the horizon (`collapse`);
what is dated before those last is refused, since its place is not known any more. Source: contract, rule 8.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from worker.ledger.cells import COUNT, DAY, NEVER

Rank = tuple[bool, int, int, str]


class Identity(NamedTuple):
    """What a running total is of, within a campaign."""

    source: str
    channel: str | None
    deal_id: str | None
    line_item_id: str | None
    series: str | None
    currency: str | None
    """As stated, until the campaign has a plan; then None is the plan's."""


class Report(NamedTuple):
    """One cumulative report; *figures* None where it says nothing. *bucket* is when it came, in record time."""

    at: int
    sequence: int | None
    event_id: str
    bucket: int
    figures: tuple[int | None, ...]

    def rank(self) -> Rank:
        """Which of two is the newer total."""
        return (self.sequence is not None, self.sequence or 0, self.at, self.event_id)

    def place(self) -> tuple[int, Rank]:
        """Where it stands in its series."""
        return (self.at, self.rank())

    def turn(self) -> tuple[int, Rank, int]:
        """The same, and of equals the first to come before the other."""
        return (*self.place(), self.bucket)


class Step(NamedTuple):
    """What a report counts: the differences, and whether it sets any figure at all."""

    report: Report
    counts: list[int]
    sets: bool


Tip = list[tuple[Rank, int] | None]
"""The best rank and its value, for each figure."""

Counts = list[tuple[int, list[int]]]
"""(event time, what is to be added to the figures there)."""

_NOTHING: Final = (0,) * COUNT


def climb(tip: Tip, report: Report) -> Step:
    """What *report* counts on top of *tip*, which it raises."""
    rank, counts, sets = report.rank(), [0] * COUNT, False
    for at, figure in enumerate(report.figures):
        best = tip[at]
        if figure is not None and (best is None or rank > best[0]):
            counts[at] = figure - (best[1] if best else 0)
            tip[at] = (rank, figure)
            sets = True
    return Step(report, counts, sets)


def steps(reports: Iterable[Report]) -> Iterator[Step]:
    """What each of *reports*, in order of event time, counts."""
    tip: Tip = [None] * COUNT
    for report in reports:
        yield climb(tip, report)


class Series:
    """One running total: the reports that still matter, in order of event time."""

    __slots__ = (
        "_thinned",
        "base_at",
        "blurred_until",
        "changed_days",
        "head_changed",
        "identity",
        "number",
        "reports",
        "tip",
    )

    def __init__(self, number: int, identity: Identity, reports: Sequence[Report] = (), base_at: int = NEVER) -> None:
        self.number = number
        self.identity = identity
        self.reports = list(reports)
        self.base_at = base_at
        """Reports dated before it are refused; NEVER: none is."""
        self.blurred_until = NEVER
        """Up to here a report may count for others as well, that lay in its cell before it."""
        self._thinned = 0
        """How many of the reports have been looked at for that."""
        self.tip: Tip = [None] * COUNT
        for report in self.reports:
            climb(self.tip, report)
        self.changed_days: set[int] = set()
        self.head_changed = False

    def add(self, report: Report) -> Counts:
        """Count *report*, dated at or after *base_at*; what that changes, and when."""
        if self.reports and report.place() < self.reports[-1].place():
            return self._insert(report)
        step = climb(self.tip, report)
        if not step.sets:
            return []
        self.reports.append(report)
        self.changed_days.add(report.at // DAY)
        return [(report.at, step.counts)] if any(step.counts) else []

    def _insert(self, report: Report) -> Counts:
        before = self.reports
        at = bisect_right(before, report.place(), key=Report.place)
        after = list(steps([*before[:at], report, *before[at:]]))
        changed = _difference(after, list(steps(before)))
        self._keep([step.report for step in after if step.sets])
        return changed

    def _keep(self, reports: list[Report]) -> None:
        """Hold exactly *reports*."""
        self.changed_days.update(report.at // DAY for report in set(self.reports).symmetric_difference(reports))
        self.reports = reports
        self._thinned = 0
        self.tip = [None] * COUNT
        for report in reports:
            climb(self.tip, report)

    def thin(self, cell_of: Callable[[int], int], counted_until: int) -> None:
        """
        Drop what lies in one counted cell with its successor and came in the same bucket.

        Whatever is dated between the two falls into that cell as well, so only the cell's last total is asked for.
        The newest stays: it is what the next report is compared with.
        """
        reports, at = self.reports, self._thinned
        while at + 2 < len(reports) and reports[at + 1].at < counted_until:
            first, second = reports[at], reports[at + 1]
            if _shadows(second, first) and cell_of(first.at) == cell_of(second.at):
                del reports[at]
                self.changed_days.add(first.at // DAY)
                self._blur(second.at)
            else:
                at += 1
        self._thinned = at

    def _blur(self, until: int) -> None:
        if until > self.blurred_until:
            self.blurred_until = until
            self.head_changed = True

    def is_blurred(self, lo: int, cut: int, hi: int) -> bool:
        """Whether of what was counted in [lo, hi) it may not be known how much of it before *cut*."""
        return lo < cut <= self.blurred_until and any(cut <= report.at < hi for report in self.reports)

    def collapse(self, bucket: int) -> None:
        """Of the leading reports that came before *bucket* keep those that say each figure's last value."""
        if not self.reports or self.reports[0].bucket >= bucket:
            return
        old = next((at for at, report in enumerate(self.reports) if report.bucket >= bucket), len(self.reports))
        base_at = max(self.base_at, self.reports[old - 1].at)
        if base_at != self.base_at:
            self.base_at = base_at
            self.head_changed = True
            self._blur(base_at)
            self._keep([*_last_of_each(self.reports[:old]), *self.reports[old:]])

    def counted(self, lo: int, hi: int) -> Iterator[Step]:
        """What the reports dated in [lo, hi) count."""
        return (step for step in steps(self.reports) if lo <= step.report.at < hi)

    def of_day(self, day: int) -> list[Report]:
        """The reports dated on a UTC day."""
        start = bisect_left(self.reports, day * DAY, key=lambda report: report.at)
        stop = bisect_right(self.reports, (day + 1) * DAY - 1, key=lambda report: report.at)
        return self.reports[start:stop]


def _shadows(later: Report, earlier: Report) -> bool:
    """Whether *later* beats *earlier* in every figure that *earlier* has, and both came in the same bucket."""
    carries = all(new is not None for new, old in zip(later.figures, earlier.figures, strict=True) if old is not None)
    return carries and later.bucket == earlier.bucket and later.rank() > earlier.rank()


def _last_of_each(reports: Sequence[Report]) -> list[Report]:
    """Those of *reports* that set a figure last."""
    last: list[Report | None] = [None] * COUNT
    tip: Tip = [None] * COUNT
    for report in reports:
        before = list(tip)
        climb(tip, report)
        last = [report if new is not old else kept for new, old, kept in zip(tip, before, last, strict=True)]
    return [report for report in reports if report in last]


def _difference(after: Iterable[Step], before: Iterable[Step]) -> Counts:
    """What *after* counts and *before* did not, by event time, ascending."""
    changed: dict[int, list[int]] = {}
    for taken, sign in ((after, 1), (before, -1)):
        for step in taken:
            counts = changed.setdefault(step.report.at, [0] * COUNT)
            for at, count in enumerate(step.counts):
                counts[at] += sign * count
    return sorted((at, counts) for at, counts in changed.items() if any(counts))


def merge(number: int, identity: Identity, parts: Sequence[Series]) -> tuple[Series, Counts]:
    """One series of the reports of several, and what that changes in their sum."""
    reports = sorted((report for part in parts for report in part.reports), key=Report.turn)
    after = list(steps(reports))
    before = [step for part in parts for step in steps(part.reports)]
    merged = Series(number, identity, [s.report for s in after if s.sets], max(part.base_at for part in parts))
    merged.changed_days = {report.at // DAY for report in reports}
    merged.blurred_until = max(part.blurred_until for part in parts)
    merged.head_changed = True
    return merged, _difference(after, before)
