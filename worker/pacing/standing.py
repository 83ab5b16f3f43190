"""
Where each scope of a campaign stands at an instant: what it has spent, what it was expected to.

A deal's spend that names no channel counts for the deal's channel; spend without a channel counts for the campaign
alone; the campaign's spend is all of it, planned or not, inside the flight or outside. Source: contract, rules 3 and
9; field definition 17.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import add
from typing import NamedTuple

from worker.pacing.deviation import Deviation, deviation_of
from worker.pacing.expected import Ratio, planned
from worker.pacing.figures import FIGURES, Figures, Totals
from worker.pacing.history import Courses, scope_flights
from worker.pacing.plan import Flight, Plan

NO_FIGURES: Figures = [0] * len(FIGURES)
"""What a scope has that nothing was reported of; never changed."""

_TotalsBefore = Callable[[int], Totals]


class Tally:
    """A campaign's totals by scope: *spend* of the campaign in nanos, all figures of its channels and deals."""

    __slots__ = ("channels", "deals", "spend")

    def __init__(self, plan: Plan, totals: Totals) -> None:
        self.spend = 0
        self.channels: dict[str, Figures] = {}
        self.deals: dict[str, Figures] = {}
        homes = {deal.deal_id: deal.channel for deal in plan.deals}
        for (channel, deal_id), figures in totals.items():
            self.spend += figures[0]
            home = channel
            if deal_id is not None:
                _add(self.deals, deal_id, figures)
                home = channel or homes.get(deal_id)
            if home is not None:
                _add(self.channels, home, figures)

    def figures(self, scope: str, scope_id: str) -> Figures:
        """The figures of a channel or a deal; of the campaign only the spend is kept."""
        if scope == "campaign":
            return [self.spend]
        return (self.channels if scope == "channel" else self.deals).get(scope_id, NO_FIGURES)


def _add(sums: dict[str, Figures], name: str, figures: Figures) -> None:
    """Add without changing what was given: most scopes have one attribution and share its list."""
    sums[name] = list(map(add, sums[name], figures)) if name in sums else figures


class Standing(NamedTuple):
    """One scope at an instant; *expected* in nanos as a ratio, *deviation* from it."""

    scope: str
    scope_id: str
    budget: int
    flight: Flight
    figures: Figures
    expected: Ratio
    deviation: Deviation


class Standings:
    """
    Every scope of a plan at an instant, the campaign first, then channels and deals in the plan's order.

    *courses* are the plan's where it was ever bent; *before* tells the totals before a change that rebases.
    """

    __slots__ = ("_before", "_courses", "_past", "_plan", "tally")

    def __init__(self, plan: Plan, courses: Courses | None, totals: Totals, before: _TotalsBefore) -> None:
        self.tally = Tally(plan, totals)
        self._plan = plan
        self._courses = courses
        self._before = before
        self._past: dict[int, Tally] = {}

    def at(self, as_of: int) -> list[Standing]:
        """The scopes with what is spent in these totals and expected at *as_of*."""
        standings = []
        for key, budget, flight in scope_flights(self._plan):
            scope, scope_id = key
            figures = self.tally.figures(scope, scope_id)
            expected = self._expected(scope, scope_id, budget, flight, as_of)
            standings.append(
                Standing(scope, scope_id, budget, flight, figures, expected, deviation_of(figures[0], expected))
            )
        return standings

    def unplanned(self, scope: str, scope_id: str) -> Standing:
        """A scope the plan no longer has: what it has spent, with no budget and nothing expected."""
        figures = self.tally.figures(scope, scope_id)
        nothing = (0, 1)
        return Standing(scope, scope_id, 0, self._plan.flight, figures, nothing, deviation_of(figures[0], nothing))

    def _expected(self, scope: str, scope_id: str, budget: int, flight: Flight, as_of: int) -> Ratio:
        if self._courses is None:
            return planned(budget, flight, as_of)
        return self._courses[scope, scope_id].by(as_of, lambda instant: self._spent_by(scope, scope_id, instant))

    def _spent_by(self, scope: str, scope_id: str, instant: int) -> int:
        """What the scope has spent with event_time <= *instant*, late news included."""
        past = self._past.get(instant)
        if past is None:
            past = self._past[instant] = Tally(self._plan, self._before(instant + 1))
        return past.figures(scope, scope_id)[0]
