"""
Periods: the windows a recurring budget is for, and what it comes to in each.

A window is a calendar period of the plan's zone (weeks from Monday), cut by the flight: [start, end). Of a plan for
the whole flight the one window is the flight. Source: contract, rule 4. What the contract leaves open:

- spend dated before the flight counts in the first window, spend dated after it in the last, so that the windows add
  up to all that was spent;
- of a period that has ended, the version in force at its last instant is the one it is closed and carried by: a new
  budget from the first of a month is the new month's;
- whether a window is given what the one before it left is said by its own version, the one in force now or at its end;
- a deal with a flight of its own is planned over what of it lies in the window; where nothing does, nothing is;
- a window without any active time plans nothing, and its budget is still its own: it may be carried on;
- a version with another period, or the first one with any, begins its windows afresh: nothing is carried into them,
  and they are bent by nothing before.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from schemas.fields import FIRST_YEAR, LAST_YEAR, NANOS, local_midnight
from worker.pacing.density import Ratio, ordinal_at
from worker.pacing.plan import Flight, Period, Plan

_WHOLE: Final[Ratio] = (1, 1)
_QUARTER_HOUR: Final = 900


class Window(NamedTuple):
    """What a budget is for; *share* of it, where only a part of the period lies in the flight and that is prorated."""

    flight: Flight
    share: Ratio = _WHOLE

    @property
    def end(self) -> int:
        """Its end, itself not included."""
        return self.flight.end


def window_at(plan: Plan, instant: int) -> Window:
    """The window of the plan that holds the instant; the first before the flight, the last after it."""
    recurrence, flight = plan.recurrence, plan.flight
    if recurrence is None:
        return Window(flight)
    start, end = period_at(plan.timezone, recurrence.period, min(max(instant, flight.start), flight.end - 1))
    cut = Flight(max(start, flight.start), min(end, flight.end))
    return Window(cut, (cut.end - cut.start, end - start) if recurrence.is_prorated else _WHOLE)


def windows_until(plan: Plan, since: int, until: int) -> Iterator[Window]:
    """The windows that end after *since* and at or before *until*, the oldest first; not the one the flight ends."""
    window = window_at(plan, since)
    while window.end <= until and window.end < plan.flight.end:
        yield window
        window = window_at(plan, window.end)


@lru_cache(maxsize=4096)
def period_at(zone: str, period: Period, instant: int) -> tuple[int, int]:
    """The calendar period of a zone that holds the instant, [start, end)."""
    first = _first_day(period, date.fromordinal(ordinal_at(zone, instant)))
    tz = ZoneInfo(zone)
    return local_midnight(first, tz), local_midnight(_next(period, first), tz)


def _first_day(period: Period, day: date) -> date:
    match period:
        case "weekly":
            return day - timedelta(days=day.weekday())
        case "monthly":
            return day.replace(day=1)
        case _:
            return day.replace(month=day.month - (day.month - 1) % 3, day=1)


def _next(period: Period, first: date) -> date:
    """The first day of the next period."""
    if period == "weekly":
        return first + timedelta(days=7)
    months = first.month - 1 + (1 if period == "monthly" else 3)
    return date(first.year + months // 12, months % 12 + 1, 1)


# -- cuts ------------------------------------------------------------------------------------------------------------


def awkward_edges(plan: Plan) -> Iterator[int]:
    """
    Where windows begin, if the zone's midnights may fall within a quarter of an hour; else they part nothing anew.

    No zone has had such an offset since 1972.
    """
    if plan.recurrence is not None and not is_on_quarters(plan.timezone):
        yield from (window.end for window in windows_until(plan, plan.flight.start, plan.flight.end))


@lru_cache(maxsize=1024)
def is_on_quarters(zone: str) -> bool:
    """Whether the zone's clocks have always differed from UTC by whole quarters of an hour."""
    tz = ZoneInfo(zone)
    firsts = (date(year, month, 1) for year in range(FIRST_YEAR, LAST_YEAR + 1) for month in (1, 7))
    return not any(local_midnight(first, tz) // NANOS % _QUARTER_HOUR for first in firsts)
