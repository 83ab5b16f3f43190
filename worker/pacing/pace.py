"""
What a version of a plan expects of every scope over one window: budgets as they come out there, and their courses.

    flight           the budgets as the plan has them
    a recurring one  each scope's budget times what the window has of the campaign's: its share of the period, where a
                     part is prorated, and what is carried into it

    carried into a window = max(0, the budget of the one before, carried money included, less what was spent in it)

What is carried is worked out again at every tick from all that is known by then, so that a late credit changes it.
Budgets are rational, (budget, scale); nothing is rounded. Source: contract, rules 1 and 4; see also `periods`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import gcd, lcm
from typing import Final, NamedTuple

from worker.pacing.density import Ratio
from worker.pacing.figures import Totals
from worker.pacing.history import Courses, PlanHistory, PlanVersion, begins, bend, first_courses
from worker.pacing.periods import Window, window_at, windows_until
from worker.pacing.plan import Plan
from worker.pacing.scopes import Scope, ScopePlan, scopes_of
from worker.pacing.state import PeriodEnd

Before = Callable[[int], Totals]
"""The totals of what is dated before an instant."""


_WHOLE: Final = (1, 1)


class Pace(NamedTuple):
    """
    What is planned over a window.

    The courses of *scopes* that are bent are in nanos of 1 / *unit*; *origin* is from when spend counts in the window,
    None for the first, which has all that is dated before it as well.
    """

    window: Window
    scopes: tuple[Scope, ...]
    unit: int = 1
    origin: int | None = None


def pace_at(history: PlanHistory, version: PlanVersion, as_of: int, before: Before) -> Pace:
    """What *version*, in force at *as_of*, plans over the window that holds that instant."""
    if version.plan.recurrence is None:
        return history.kept("pace", version.version, lambda: _over_the_flight(history, version, as_of))
    window = window_at(version.plan, as_of)
    flight = window.flight
    origin = None if flight.start == version.plan.flight.start else flight.start
    chain = history.chain(as_of)
    carried = _carried(history, version, window, begins(chain[0]), before)
    factor = _factor(version.plan, window, carried)
    is_part = window.share != _WHOLE
    scopes = tuple(_scaled(scope, factor, is_part=is_part) for scope in history.scopes(version, flight))
    chain = _led_to(chain, flight.start)
    if len(chain) == 1:
        return Pace(window, scopes, 1, origin)
    courses, unit = _courses(history, chain, window, carried)
    return Pace(window, _on(courses, scopes), unit, origin)


def _over_the_flight(history: PlanHistory, version: PlanVersion, as_of: int) -> Pace:
    window, scopes, courses = window_at(version.plan, as_of), history.scopes(version), history.courses(as_of)
    return Pace(window, scopes if courses is None else _on(courses, scopes))


def _on(courses: Courses, scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
    """The scopes, each on its course."""
    return tuple(scope._replace(course=courses[scope.scope, scope.scope_id]) for scope in scopes)


def _scaled(scope: Scope, factor: Ratio, *, is_part: bool) -> Scope:
    """The scope with its budget of a window. What *is_part* of one never has the scale of 1, that of amounts as fed."""
    num, scale = scope.budget * factor[0], factor[1]
    common = gcd(num, scale)
    num, scale = num // common, scale // common
    if is_part and scale == 1:
        num, scale = 2 * num, 2
    return Scope(scope.scope, scope.scope_id, num, scope.flight, scope.track, scale)


def _factor(plan: Plan, window: Window, carried: Ratio) -> Ratio:
    """What every budget of the plan is multiplied by in the window."""
    (num, den), (more, of) = window.share, carried if _carries(plan) else (0, 1)
    num, den = num * of * plan.total_budget + more * den, den * of * plan.total_budget
    common = gcd(num, den)
    return num // common, den // common


def _carries(plan: Plan) -> bool:
    return plan.recurrence is not None and plan.recurrence.carries


# -- changes within a window -----------------------------------------------------------------------------------------


def _led_to(chain: list[PlanVersion], start: int) -> list[PlanVersion]:
    """The versions that bend a window which starts at *start*, after the one it starts under."""
    while len(chain) > 1 and begins(chain[1]) <= start:
        chain = chain[1:]
    return chain


def _courses(history: PlanHistory, chain: list[PlanVersion], window: Window, carried: Ratio) -> tuple[Courses, int]:
    """The courses over a window in which versions have bent them, and the unit they are in."""
    start = window.flight.start
    windows = [window_at(version.plan, max(start, begins(version))) for version in chain]
    factors = [_factor(version.plan, each, carried) for version, each in zip(chain, windows, strict=True)]
    unit = lcm(*(den for _, den in factors))

    def make() -> Courses:
        courses: Courses = {}
        for place, (version, each, factor) in enumerate(zip(chain, windows, factors, strict=True)):
            scopes = _in_units(version.plan, each, factor, unit)
            policy = version.plan.budget_change_policy
            courses = bend(courses, scopes, begins(version), policy) if place else first_courses(scopes)
        return courses

    return history.kept("courses", (chain[-1].version, window, carried), make), unit


def _in_units(plan: Plan, window: Window, factor: Ratio, unit: int) -> Iterator[ScopePlan]:
    num, den = factor
    for scope in scopes_of(plan, window.flight):
        yield scope._replace(budget=scope.budget * num * (unit // den))


# -- what is carried -------------------------------------------------------------------------------------------------


class Past(NamedTuple):
    """
    A window that has ended: its own budget, num / den nanos, and whether what was left before it was added.

    *is_planned* is False where it ended before the plan took up its period: then it leaves nothing.
    """

    end: int
    is_planned: bool
    num: int = 0
    den: int = 1
    carries: bool = False


def _carried(history: PlanHistory, version: PlanVersion, window: Window, since: int, before: Before) -> Ratio:
    """What the windows before have left, by all that is known now; *since* is when the plan took up its period."""
    left: Ratio = (0, 1)
    if not _carries(version.plan):
        return left
    key = version.version, window.flight.start
    spent_before = 0
    for past in history.kept("past", key, lambda: list(_past(history, version, window, since))):
        spent = _spend(before(past.end))
        left = _left(past, left, spent - spent_before)
        spent_before = spent
    return left


def _left(past: Past, carried: Ratio, spent: int) -> Ratio:
    """What a window leaves of its whole budget: carried money included, never less than nothing."""
    if not past.is_planned:
        return 0, 1
    num, den = past.num - spent * past.den, past.den
    if past.carries:
        num, den = num * carried[1] + carried[0] * den, den * carried[1]
    common = gcd(num, den)
    return (num // common, den // common) if num > 0 else (0, 1)


def _past(history: PlanHistory, version: PlanVersion, window: Window, since: int) -> Iterator[Past]:
    """The windows before one, the oldest first, each by the version of its last instant; *since*: see `_carried`."""
    for earlier in windows_until(version.plan, version.plan.flight.start, window.flight.start):
        last = earlier.end - 1
        closed_by = history.at(last) if last >= since else None
        if closed_by is None:
            yield Past(earlier.end, is_planned=False)
        else:
            num, den = window_at(closed_by.plan, last).share
            yield Past(earlier.end, True, closed_by.plan.total_budget * num, den, _carries(closed_by.plan))


def _spend(totals: Totals) -> int:
    return sum(figures[0] for figures in totals.values())


# -- what has ended --------------------------------------------------------------------------------------------------


def ended_periods(history: PlanHistory, last: PeriodEnd | None, as_of: int) -> Iterator[tuple[PlanVersion, int]]:
    """
    The ends of the periods that have ended by *as_of* and after the *last* that was closed, the oldest first.

    Each with the version that was in force at its last instant. Where a flight ends is another matter.
    """
    versions = history.versions
    for place, version in enumerate(versions):
        plan = version.plan
        if plan.recurrence is None or plan.status in {"completed", "canceled"}:
            continue
        since = max(begins(version), plan.flight.start if last is None else last.end)
        until = as_of if place + 1 == len(versions) else min(as_of, begins(versions[place + 1]))
        if since < until:
            yield from ((version, window.end) for window in windows_until(plan, since, until))
