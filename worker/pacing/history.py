"""
The accepted versions of a campaign's plan, and from when each counts.

Source: contract, rule 1. At a tick the newest version whose `counts_from` has come is in force; of equal ones the one
accepted later. The first version counts from ever and bends nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from worker.pacing.plan import Flight, Plan


class PlanVersion(NamedTuple):
    """A plan, its number among the campaign's accepted versions (from 1), and from when it counts (None: ever)."""

    plan: Plan
    version: int
    counts_from: int | None


class PlanHistory:
    """
    What a campaign's plan has been, in the order the versions count.

    *ended* says that a tombstone ended the plan: the versions stay for what is still to be told about it, and the
    next accepted plan starts a history of its own, its number counted on.
    """

    __slots__ = ("accepted", "cache", "ended", "versions")

    def __init__(self, versions: tuple[PlanVersion, ...] = (), accepted: int = 0, *, ended: bool = False) -> None:
        self.versions = versions
        self.accepted = accepted
        self.ended = ended
        self.cache: dict[int, Any] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlanHistory) and self.pack() == other.pack()

    __hash__ = None  # type: ignore[assignment]

    def in_force(self, as_of: int) -> PlanVersion | None:
        """The version in force at *as_of*; None only while there is none at all."""
        versions = self.versions
        at = len(versions) - 1
        while at > 0 and (versions[at].counts_from or 0) > as_of:
            at -= 1
        return versions[at] if versions else None

    def with_version(self, plan: Plan, counts_from: int) -> PlanHistory:
        """The history with one more accepted version, which counts from *counts_from*."""
        number = self.accepted + 1
        if self.ended or not self.versions:
            return PlanHistory((PlanVersion(plan, number, None),), number)
        at = bisect_right(self.versions[1:], counts_from, key=_counts_from) + 1
        added = PlanVersion(plan, number, counts_from)
        return PlanHistory((*self.versions[:at], added, *self.versions[at:]), number)

    def as_ended(self) -> PlanHistory:
        """The history after a tombstone."""
        return PlanHistory(self.versions, self.accepted, ended=True)

    def pack(self) -> list[Any]:
        """Plain data for the ledger's record; `unpack` reads it back."""
        versions = [[msgspec.to_builtins(v.plan), v.version, v.counts_from] for v in self.versions]
        return [versions, self.accepted, self.ended]

    @classmethod
    def unpack(cls, packed: list[Any]) -> PlanHistory:
        """The history that `pack` wrote."""
        versions, accepted, ended = packed
        read = (PlanVersion(msgspec.convert(plan, Plan), number, counts) for plan, number, counts in versions)
        return cls(tuple(read), accepted, ended=ended)


def _counts_from(version: PlanVersion) -> int:
    assert version.counts_from is not None
    return version.counts_from


def plan_cuts(history: PlanHistory) -> tuple[int, ...]:
    """
    The instants x at which "event_time < x" must be answerable exactly, ascending.

    Where a flight starts and ends, the campaign's and a deal's own, and just after a change that rebases, since S(tc)
    counts event_time <= tc.
    """
    cuts: set[int] = set()
    for version in history.versions:
        cuts.update(edge for flight in _flights(version.plan) for edge in (flight.start, flight.end))
        if version.counts_from is not None and version.plan.budget_change_policy == "rebase":
            cuts.add(version.counts_from + 1)
    return tuple(sorted(cuts))


def _flights(plan: Plan) -> Iterable[Flight]:
    yield plan.flight
    yield from (deal.flight for deal in plan.deals if deal.flight is not None)
