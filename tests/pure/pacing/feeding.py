"""
Runs the core and the oracle side by side over the same plans, updates and ticks.

The core asks a ledger for its counts; here the oracle's own accounting stands in for it, cut into cells of time as the
real ledger cuts them (quarter-hours, ticks, plan cuts).
"""

from __future__ import annotations

import json
from datetime import date
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from schemas.fields import NANOS, local_midnight, parse_time
from schemas.wire import decode_plan
from tests.pure import oracle as o
from worker.pacing import (
    DAYS_BEFORE,
    FIGURES,
    Attribution,
    Case,
    Counted,
    Event,
    LastDays,
    PacingState,
    Plan,
    PlanHistory,
    Totals,
    plan_cuts,
    read_plan,
    take_tick,
)
from worker.pacing.amounts import percent

Json = dict[str, Any]
QUARTER = 900 * NANOS
HOUR = 4 * QUARTER
MONEY = ("spend", "conversion_value")
QUIET = dict.fromkeys(
    ("budget_used_before_period", "ahead_of_period", "exhaustion_projected", "milestone_reached"), False
)
"""The signals read from the figures switched off, for what is about others."""


def plan_of(raw: Json) -> Plan:
    """The plan in a message that holds."""
    wire = decode_plan(json.dumps(raw, default=str).encode())
    assert wire is not None, raw
    plan = read_plan(wire)
    assert isinstance(plan, Plan), plan
    return plan


def seconds(instant: int) -> Fraction:
    return Fraction(instant, NANOS)


def integers(totals: o.Totals) -> Totals:
    """The oracle's totals as the ledger hands them over."""
    return {
        Attribution(*key): [int(figures[name] * (NANOS if name in MONEY else 1)) for name in FIGURES]
        for key, figures in totals.items()
    }


class Paced:
    """
    One campaign, paced by the core and by the oracle.

    Unless *series* is asked for, nobody counts hours and days for it: a test that feeds once in a week of July means
    something else than a campaign that stood still.
    """

    def __init__(self, campaign_id: str = "c-1", *, series: bool = False) -> None:
        self.series = series
        self.history = PlanHistory()
        self.state = PacingState()
        self.oracle = o.Oracle(campaign_id, series=series)
        self.taken: int | None = None
        self.currency = ""

    def plan(self, raw: Json, counts_from: str | None = None) -> None:
        """A version of the plan, in force from *counts_from* (the first: from ever)."""
        counts = None if counts_from is None else parse_time(counts_from)
        self.history = self.history.with_version(plan_of(raw), counts or 0)
        self.oracle.plan(raw, counts_from)
        self.currency = raw["currency"]

    def end_plan(self) -> None:
        self.history = self.history.as_ended()
        self.oracle.end_plan()

    def feed(self, *updates: Json) -> None:
        self.oracle.feed(*updates)

    def tick(self, as_of: str, *, complete: bool = True, first: bool = False) -> tuple[list[Event], list[o.Told]]:
        """Both sides' events of one tick; the core's state goes through its record format."""
        at = parse_time(as_of)
        counted = self.counted(at)
        events, after = take_tick(
            PlanHistory.unpack(self.history.pack()), self.state, counted, as_of=at, complete=complete, first=first
        )
        told = self.oracle.tick(as_of, complete=complete, first=first)
        self.state, self.taken = after, at
        if not (first or after.is_period_open):
            # As the ledger does after a tick, and never before one has seen a new version.
            self.history = self.history.forget(at)
        return events, told

    def counted(self, at: int) -> Counted:
        """What the ledger would count at the tick."""
        oracle = self.oracle
        now, then = o.accept(oracle.updates, self.currency), o.accept(oracle.updates[: oracle.known], self.currency)
        times = sorted({int(u["event_time"] * NANOS) for u in now.updates if u["kind"] != "correction"})

        def latest_before(instant: int) -> int | None:
            return max((time for time in times if time < instant), default=None)

        everything = now.by(Fraction(10**12))
        totals = now.by(seconds(at))
        late = o.minus(now.by(seconds(self.taken)), then.by(seconds(self.taken))) if self.taken else {}
        return Counted(
            totals=integers(totals),
            future_spend=spend_of(everything) - spend_of(totals),
            late_spend=spend_of(late),
            data_through=latest_before(at + 1),
            before=lambda instant: self.before(now, instant, at),
            data_through_before=latest_before,
            new=self.new_cells(now, then, [time for time in times if time <= at]),
            cases=self.cases(now, then),
            spends=lambda edges: self.spends(now, edges, at),
            reached=lambda spend, since, until: self.reached(now, spend, since, at + 1 if until is None else until),
            positive_hour=(lambda _: self.positive_hour(now, at)) if self.series else None,
            days=(lambda zone, day: self.days(now, at, zone, day)) if self.series else None,
            reports=(lambda: self.reports(now, at)) if self.series else None,
        )

    def positive_hour(self, accepted: o.Accepted, at: int) -> int | None:
        """The latest UTC hour with positive net spend, of all there are."""
        hours = sorted({int(update["event_time"] * NANOS) // HOUR * HOUR for update in accepted.updates})
        positive = [hour for hour in hours if self.between(accepted, hour, hour + HOUR, at) > 0]
        return max(positive, default=None)

    def days(self, accepted: o.Accepted, at: int, zone: str, day: int) -> LastDays:
        """What was spent on each of the days, every one added up."""
        tz = ZoneInfo(zone)
        edges = [local_midnight(date.fromordinal(day + 1 - age), tz) for age in range(DAYS_BEFORE + 2)]
        stretches = [*pairwise(edges)]

        def spent() -> list[int]:
            return [self.between(accepted, start, end, at) for end, start in stretches[1:]]

        end, start = stretches[0]
        return LastDays(self.between(accepted, start, end, at), object(), spent)

    def between(self, accepted: o.Accepted, start: int, end: int, at: int) -> int:
        """The nanos dated in [start, end) and counted at the tick."""
        before = [accepted.by(seconds(min(edge, at + 1)), inclusive=False) for edge in (start, end)]
        return spend_of(before[1]) - spend_of(before[0])

    def reports(self, accepted: o.Accepted, at: int) -> dict[str, int | None]:
        """When each source of the campaign, or each at all, last reported."""
        own = [(update["source"], int(update["event_time"] * NANOS)) for update in accepted.updates]
        heard = [*own, *((source, int(time * NANOS)) for source, time in self.oracle.elsewhere)]
        names = {source for source, _ in own} or {source for source, _ in heard}
        return {
            name: max((time for source, time in heard if source == name and time <= at), default=None) for name in names
        }

    def before(self, accepted: o.Accepted, instant: int, at: int) -> Totals:
        """What is dated before an instant and counted by the tick."""
        assert not instant % QUARTER or instant in plan_cuts(self.history), (
            "asked for an instant the ledger does not cut at"
        )
        return integers(accepted.by(seconds(min(instant, at + 1)), inclusive=False))

    def spends(self, accepted: o.Accepted, edges: tuple[int, ...], at: int) -> list[int]:
        assert not any(edge % QUARTER for edge in edges), "asked for an instant the ledger does not cut at"
        return [
            spend_of(accepted.by(min(seconds(end), seconds(at + 1)), inclusive=False))
            - spend_of(accepted.by(min(seconds(start), seconds(at + 1)), inclusive=False))
            for start, end in pairwise(edges)
        ]

    def reached(self, accepted: o.Accepted, spend: int, since: int | None, until: int) -> int | None:
        times = [u["event_time"] for u in accepted.updates if u["kind"] != "correction"]
        nanos = sorted(int(time * NANOS) for time in times if seconds(since or 0) <= time < seconds(until))
        before = 0 if since is None else spend_of(accepted.by(seconds(since), inclusive=False))
        for quarter in sorted({time // QUARTER for time in nanos}):
            last = max(time for time in nanos if time // QUARTER == quarter)
            if spend_of(accepted.by(seconds(last))) - before >= spend:
                return last
        return None

    def new_cells(self, now: o.Accepted, then: o.Accepted, times: list[int]) -> list[tuple[int, Totals]]:
        """What each instant with spend has gained since the last tick, told at the start of its cell."""
        cells = []
        for time in times:
            at = seconds(time)
            was: o.Totals = {}
            if self.taken is not None and time <= self.taken:
                was = o.minus(then.by(at), then.by(at, inclusive=False))
            gained = o.minus(o.minus(now.by(at), now.by(at, inclusive=False)), was)
            gained = {key: figures for key, figures in gained.items() if any(figures.values())}
            if gained:
                cells.append((self.cell_start(time), integers(gained)))
        return cells

    def cell_start(self, time: int) -> int:
        cuts = [cut for cut in plan_cuts(self.history) if cut <= time]
        if self.taken is not None and self.taken < time:
            cuts.append(self.taken + 1)
        return max([time // QUARTER * QUARTER, *cuts])

    def cases(self, now: o.Accepted, then: o.Accepted) -> dict[str, Case]:
        cases = {}
        if now.conflicts > then.conflicts:
            cases["conflicting_update"] = Case(now.conflicts - then.conflicts, None)
        foreign = now.foreign[len(then.foreign) :]
        if foreign:
            amounts: dict[str, int] = {}
            for update in foreign:
                amounts[update["currency"]] = amounts.get(update["currency"], 0) + int(update["spend"] * NANOS)
            cases["currency_mismatch"] = Case(len(foreign), amounts)
        return cases


def spend_of(totals: o.Totals) -> int:
    return int(sum(figures["spend"] for figures in totals.values()) * NANOS)


def compare(events: list[Event], told: list[o.Told]) -> None:
    """The core told what the oracle tells: signals in any order among themselves, all else in order."""
    check_children(events)
    ours = steady([(event.kind, o.figures_of(event.body)) for event in events])
    theirs = steady(told)
    kinds = [kind for kind, _ in ours], [kind for kind, _ in theirs]
    assert kinds[0] == kinds[1], f"core, oracle: {kinds}"
    for (kind, mine), (_, other) in zip(ours, theirs, strict=True):
        wrong = {name: (mine.get(name), other.get(name)) for name in mine | other if mine.get(name) != other.get(name)}
        assert not wrong, f"{kind}: core, oracle: {wrong}"


def check_children(events: list[Event]) -> None:
    """What a campaign adds to its account, rounded once, is what its snapshot told; a revision adds nothing."""
    for event in events:
        if event.kind != "snapshot_taken" or event.body["revision"]:
            assert event.child is None
            continue
        child, body = event.child, event.body
        assert child is not None
        assert (child.account_id, child.currency) == (body["account_id"], body["currency"])
        budget, currency = Fraction(*child.budget) / NANOS, body["currency"]
        assert body["total_budget"] == (o.money if child.budget[1] == 1 else o.derived)(budget, currency)
        assert body["total_spend"] == o.money(Fraction(child.spend, NANOS), currency)
        for name, amount in (("expected_spend", child.expected), ("projected_spend", child.projected)):
            assert body[name] == (None if amount is None else o.derived(Fraction(*amount) / NANOS, currency))
        assert (child.worst is None) == (body["deviation_pct"] is None)
        if child.worst is not None:
            assert percent(child.worst.gap, child.worst.base) == body["deviation_pct"]


def steady(told: list[o.Told]) -> list[o.Told]:
    """Signals last, sorted; the rest in order."""
    rest = [one for one in told if not one[0].startswith("alert_")]
    signals = sorted((one for one in told if one[0].startswith("alert_")), key=repr)
    return rest + signals
