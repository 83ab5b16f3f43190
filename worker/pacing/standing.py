"""
Where each scope of a campaign stands at an instant: what it has spent, what it was expected to.

A deal's spend that names no channel counts for the deal's channel; spend without a channel counts for the campaign
alone; the campaign's spend is all of it, planned or not, inside the flight or outside. Source: contract, rules 3 and
9; field definition 17.
"""

from __future__ import annotations

from operator import add, sub

import msgspec

from worker.pacing.density import Ratio
from worker.pacing.expected import Course, planned
from worker.pacing.figures import FIGURES, Figures, Totals
from worker.pacing.pace import Before, Pace
from worker.pacing.plan import Flight, Plan

NO_FIGURES: Figures = [0] * len(FIGURES)
"""What a scope has that nothing was reported of; never changed."""


class Tally:
    """
    A campaign's totals by scope and scope_id: of channels and deals, planned or not, all figures.

    Of the campaign the spend alone, since no other figure of it is told.
    """

    __slots__ = ("by_scope", "channels")

    def __init__(self, plan: Plan, totals: Totals) -> None:
        self.channels: dict[str, Figures] = {}
        deals: dict[str, Figures] = {}
        homes = {deal.deal_id: deal.channel for deal in plan.deals}
        spend = 0
        for (channel, deal_id), figures in totals.items():
            spend += figures[0]
            home = channel
            if deal_id is not None:
                _add(deals, deal_id, figures)
                home = channel or homes.get(deal_id)
            if home is not None:
                _add(self.channels, home, figures)
        self.by_scope: dict[str, dict[str, Figures]] = {
            "campaign": {plan.campaign_id: [spend]},
            "channel": self.channels,
            "deal": deals,
        }


def _add(sums: dict[str, Figures], name: str, figures: Figures) -> None:
    """Add without changing what was given: most scopes have one attribution and share its list."""
    sums[name] = list(map(add, sums[name], figures)) if name in sums else figures


class Standing(msgspec.Struct, frozen=True, gc=False):
    """
    One scope at an instant.

    *expected* is in nanos, as num / den; *gap* is (spend - expected) x den, so that the deviation is gap / num. The
    budget is *budget* / *scale* nanos.
    """

    scope: str
    scope_id: str
    budget: int
    flight: Flight
    figures: Figures
    expected: Ratio
    gap: int
    scale: int = 1

    @property
    def key(self) -> str:
        """What the state knows the scope by; no id holds a NUL."""
        return f"{self.scope}\0{self.scope_id}"


class Standings:
    """
    Every scope of a plan, the campaign first, then channels and deals in the plan's order, at any instant.

    *pace* is what is planned, *tally* what is spent; *before* tells the totals of its window that are dated before an
    instant, for a change that rebases.
    """

    __slots__ = ("_before", "_pace", "_past", "_plan", "_tally")

    def __init__(self, plan: Plan, pace: Pace, tally: Tally, before: Before) -> None:
        self._plan = plan
        self._pace = pace
        self._tally = tally
        self._before = before
        self._past: dict[int, Tally] = {}

    def at(self, as_of: int) -> list[Standing]:
        """The scopes with what is spent by the tally and expected at *as_of*."""
        sums = self._tally.by_scope
        standings = []
        for scope, scope_id, budget, flight, track, scale, course in self._pace.scopes:
            figures = sums[scope].get(scope_id, NO_FIGURES)
            if course is None:
                num, den = planned(budget, flight, track, as_of)
                den *= scale
            else:
                num, den = self._bent(course, scope, scope_id, as_of)
            gap = figures[0] * den - num
            standings.append(Standing(scope, scope_id, budget, flight, figures, (num, den), gap, scale))
        return standings

    def expected(self, instant: int) -> Ratio:
        """What the campaign is expected to have spent by an instant, in nanos."""
        scope, scope_id, budget, flight, track, scale, course = self._pace.scopes[0]
        if course is not None:
            return self._bent(course, scope, scope_id, instant)
        num, den = planned(budget, flight, track, instant)
        return num, den * scale

    def unplanned(self, scope: str, scope_id: str) -> Standing:
        """A scope the plan no longer has: what it has spent, with no budget and nothing expected."""
        figures = self._tally.by_scope[scope].get(scope_id, NO_FIGURES)
        return Standing(scope, scope_id, 0, self._pace.window.flight, figures, (0, 1), figures[0])

    def _bent(self, course: Course, scope: str, scope_id: str, as_of: int) -> Ratio:
        unit = self._pace.unit
        num, den = course.by(as_of, lambda at: self._spent_by(scope, scope_id, at) * unit)
        return num, den * unit

    def _spent_by(self, scope: str, scope_id: str, instant: int) -> int:
        """What the scope has spent with event_time <= *instant*, late news included."""
        past = self._past.get(instant)
        if past is None:
            past = self._past[instant] = Tally(self._plan, self._before(instant + 1))
        return past.by_scope[scope].get(scope_id, NO_FIGURES)[0]


def without(totals: Totals, earlier: Totals) -> Totals:
    """The totals less those of *earlier*, which has no attribution of its own."""
    if not earlier:
        return totals
    return {
        key: list(map(sub, figures, earlier[key])) if key in earlier else figures for key, figures in totals.items()
    }
