"""
A ledger that forgets nothing and sums everything up anew: what the real one is held to.

It keeps every update in the order of its offsets with what became of it, and asks the oracle (`tests.pure.oracle`)
for the totals of those that count. Nothing of the product is used, so nothing of it can hide a mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tests.pure import oracle as o

Json = dict[str, Any]
Totals = dict[tuple[str | None, str | None], list[int]]

NANOS = 10**9
QUARTER = 900 * NANOS
MONEY = ("spend", "conversion_value")
ZERO = Fraction(0)
NEVER = Fraction(-1)


def seconds(nanos: int) -> Fraction:
    return Fraction(nanos, NANOS)


@dataclass
class Known:
    """An update, when it came, and whether it was accepted."""

    said: Json
    came: int
    accepted: bool


@dataclass
class NaiveCampaign:
    """All that was ever said of a campaign."""

    currency: str | None = None
    updates: list[Known] = field(default_factory=list)
    conflicts: list[int] = field(default_factory=list)
    """When each came."""
    held_until: int | None = None
    """When its first plan came."""
    last: tuple[int, int] | None = None
    """The last tick that counted it, and what had come by then."""
    cuts: set[int] = field(default_factory=set)
    """The instants its plan asked about then."""

    def find(self, source: str, event_id: str) -> Json | None:
        for known in self.updates:
            if known.accepted and (known.said["source"], known.said["event_id"]) == (source, event_id):
                return known.said
        return None

    def take(self, raw: Json, came: int) -> str:
        """What becomes of an update: accepted, duplicate, or the reason it is refused for."""
        said = o.meaning(raw)
        standing = self.find(said["source"], said["event_id"])
        if standing is not None:
            if standing == said:
                return "duplicate"
            self.conflicts.append(came)
            return "conflicting_update"
        verdict = self.verdict(said)
        self.updates.append(Known(said, came, verdict == "accepted"))
        return verdict

    def verdict(self, said: Json) -> str:
        if not self.is_mine(said):
            return "currency_mismatch"
        if said["kind"] == "correction":
            if said["corrects"] == said["event_id"]:
                return "not_correctable"
            original = self.find(said["source"], said["corrects"])
            if original is not None and original["kind"] in ("correction", "cumulative"):
                return "not_correctable"
            if original is not None and not self.is_mine(original):
                return "currency_mismatch"
        return "accepted"

    def is_mine(self, said: Json) -> bool:
        """Whether it is in the plan's currency, as far as that is known."""
        return self.currency is None or said.get("currency", self.currency) == self.currency

    def counting(self, cut: int) -> list[Json]:
        """What counts of what came before *cut*."""
        return [k.said for k in self.updates if k.accepted and k.came < cut and self.is_mine(k.said)]

    # -- what a tick is to know

    def totals(self, cut: int, before: int) -> Totals:
        """The totals of what is dated before an instant."""
        return integers(o.by(self.counting(cut), seconds(before), inclusive=False))

    def latest(self, cut: int, before: int) -> int | None:
        times = [u["event_time"] for u in self.counting(cut) if u["kind"] != "correction"]
        dated = [int(at * NANOS) for at in times if at < seconds(before)]
        return max(dated, default=None)

    def times(self, cut: int, since: int, until: int) -> list[int]:
        """The latest event time of every quarter of an hour within [since, until) that has one, ascending."""
        times = {int(u["event_time"] * NANOS) for u in self.counting(cut) if u["kind"] != "correction"}
        quarters = {at // QUARTER: at for at in sorted(times) if since <= at < until}
        return list(quarters.values())

    def late(self, cut: int) -> int:
        if self.last is None:
            return 0
        tick, known = self.last
        return spend(self.totals(cut, tick + 1)) - spend(self.totals(known, tick + 1))

    def future(self, cut: int, tick: int) -> int:
        return spend(self.totals(cut, 2**80)) - spend(self.totals(cut, tick + 1))

    def new(self, cut: int, tick: int, before: int) -> Totals:
        """What is counted at *tick* and was not at the last one, dated before an instant."""
        now = self.totals(cut, min(before, tick + 1))
        if self.last is None:
            return now
        last, known = self.last
        return minus(now, self.totals(known, min(before, last + 1)))

    def last_tick(self) -> int:
        return -(2**80) if self.last is None else self.last[0]

    def has_differences(self, cut: int) -> bool:
        """Whether a report or a correction came since the last tick: what it changes has no order of arrival."""
        since = 0 if self.last is None else self.last[1]
        kinds = {known.said["kind"] for known in self.updates if since <= known.came < cut}
        return not kinds.isdisjoint({"cumulative", "correction"})

    def cases(self, cut: int) -> dict[str, tuple[int, dict[str, int]]]:
        since = 0 if self.last is None else self.last[1]
        cases: dict[str, tuple[int, dict[str, int]]] = {}
        conflicts = sum(since <= came < cut for came in self.conflicts)
        if conflicts:
            cases["conflicting_update"] = (conflicts, {})
        return cases


def integers(totals: o.Totals) -> Totals:
    """Totals in nanos and counts."""
    return {
        key: [int(figures[name] * (NANOS if name in MONEY else 1)) for name in o.FIGURES]
        for key, figures in totals.items()
    }


def minus(now: Totals, then: Totals) -> Totals:
    keys = {**now, **then}
    zeros = [0] * 8
    return {key: [a - b for a, b in zip(now.get(key, zeros), then.get(key, zeros), strict=True)] for key in keys}


def spend(totals: Totals) -> int:
    return sum(figures[0] for figures in totals.values())
