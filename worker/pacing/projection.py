"""
Projection: what a campaign will have spent by the end of its flight or period, and when its budget is used up.

Three methods, by the plan's `projection`; which one was used stands in the snapshot:

    run_rate     S B / E(t), which is S / C(t) for a plan that was never changed: the pace to date goes on
    trailing_7d  S + the mean of the last seven active days x the active days left
    seasonal     S + the days left, each as the days of its weekday were, and the rest of today by the hours' shape

    the path of run_rate      P(x) = S E(x) / E(t)
    the path of the others    P(x) = S + R(x) - R(t), R being the integral of a density in nanos a day (see `density`)

Days are whole local days of the window, and today is none of them: it is partial. An active day has planned time in
it, by weekday weights and blackouts; one that is blacked out in part counts as that part of a day, as history and
ahead alike. `trailing_7d` needs seven active days among the last 28; `seasonal` 20 among the last 56, with two
Saturdays and two Sundays where the plan spends on them. With fewer, the next simpler method is used, and the reason is
told: seasonal, trailing_7d, run_rate. While nothing is expected yet there is no projection.

Seasonal means of a weekday: a day's weight is 8 less the whole weeks since it, and the mean of all days counts as one
more day of weight 8, so that two odd Mondays do not make a Monday; a weekday that was never seen has the mean of all.

Exhaustion is the first instant (of whole nanoseconds) at which the path reaches the budget, strictly before the end.
Once the budget is spent it is what was observed: the latest event time in the quarter of an hour in which spend
reached the budget, since the ledger keeps no single updates. Source: contract, rule 11; field definitions 10 and 11.
What they leave open: a rate below zero, after credits, counts as zero; the capped figure is never below what is spent;
the rolling pace is that of the last seven whole days, null while there are fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import gcd, lcm
from typing import Final, NamedTuple

import msgspec

from schemas.fields import NANOS
from worker.pacing.density import Density, Ratio, density_of, local_day, ordinal_at
from worker.pacing.figures import Counted
from worker.pacing.history import PlanHistory
from worker.pacing.periods import is_on_quarters
from worker.pacing.plan import Calendar, Plan, ProjectionMethod
from worker.pacing.standing import Standing

ROLLING_DAYS: Final = 7
TRAILING_LOOK_BACK: Final = 28
SEASONAL_LOOK_BACK: Final = 56
SEASONAL_DAYS: Final = 20
SEASONAL_WEEKENDS: Final = 2
_LOOK_BACK: Final = {"run_rate": ROLLING_DAYS, "trailing_7d": TRAILING_LOOK_BACK, "seasonal": SEASONAL_LOOK_BACK}

_WEEK: Final = 7
_WEEKEND: Final = (5, 6)
_NEWEST: Final = SEASONAL_LOOK_BACK // _WEEK
"""The weight of a day of the last week, and of the mean of all days."""

_ABOUT: Final = 300 * NANOS
"""Five minutes: further an exhaustion seldom moves from tick to tick."""

Path = Callable[[int], Ratio]
"""The projected spend by an instant, in nanos; it never falls."""


class Projection(msgspec.Struct, frozen=True, gc=False):
    """
    What is projected; *spend* in nanos, uncapped, and *rolling* the pace of the last seven days, both rational.

    *reason* says why it is not the method that the plan asks for, or why there is none.
    """

    method: ProjectionMethod | None = None
    spend: Ratio | None = None
    exhausted_at: int | None = None
    reason: str | None = None
    rolling: Ratio | None = None


class Ground(msgspec.Struct, frozen=True, gc=False):
    """
    What a projection rests on besides where the campaign stands.

    *expected* is the campaign's course, a straight line over its flight where it *is_even*, which late spend may move
    where it *rests_on_spend*; *origin* and *until* bound what counts for it, None where nothing does.
    """

    plan: Plan
    history: PlanHistory
    version: int
    expected: Callable[[int], Ratio]
    is_even: bool
    rests_on_spend: bool
    counted: Counted
    origin: int | None
    until: int | None


def project(ground: Ground, campaign: Standing, as_of: int) -> Projection:
    """The projection of a *campaign* that stands so at *as_of*, over its flight or window."""
    flight, spend = campaign.flight, campaign.figures[0]
    at = min(max(as_of, flight.start), flight.end)
    days = days_before(ground, campaign, at)
    rolling, learned, reason = _told_by(ground, days, campaign)
    num, den = campaign.expected
    is_spent = spend * campaign.scale >= campaign.budget
    if not num:
        return Projection(None, None, _observed(ground, campaign) if is_spent else None, _NOTHING_EXPECTED, rolling)
    if learned is not None:
        final = _learned_by(learned, spend, at, flight.end)
    elif as_of >= flight.end or spend <= 0:
        # At the end nothing is still to come, even where a flight was cut short after it and the course bent later.
        final = spend, 1
    elif ground.is_even:
        final = spend * (flight.end - flight.start), at - flight.start
    else:
        final = spend * campaign.budget * den, campaign.scale * num
    exhausted_at = None
    if is_spent:
        exhausted_at = _observed(ground, campaign)
    elif as_of < flight.end and final[0] * campaign.scale >= campaign.budget * final[1]:
        exhausted_at = _exhausted_at(ground, learned, campaign, as_of)
    return Projection("run_rate" if learned is None else learned.method, final, exhausted_at, reason, rolling)


_NOTHING_EXPECTED: Final = "nothing is expected to be spent yet"


def capped(projected: Ratio, campaign: Standing) -> Ratio:
    """
    The projected spend where the budget is a hard cap: no more than it, and no less than what is spent.

    >>> from worker.pacing.plan import Flight
    >>> capped((3000, 1), Standing("campaign", "c", 2000, Flight(0, 9), [1500], (1, 1), 0))
    (2000, 1)
    """
    spend, budget, scale = campaign.figures[0], campaign.budget, campaign.scale
    if spend * scale >= budget:
        return spend, 1
    return (budget, scale) if projected[0] * scale > budget * projected[1] else projected


def _run_rate(ground: Ground, campaign: Standing) -> Path:
    spend, (num, den) = campaign.figures[0], campaign.expected

    def path(instant: int) -> Ratio:
        expected, of = ground.expected(instant)
        return spend * expected * den, of * num

    return path


def _observed(ground: Ground, campaign: Standing) -> int | None:
    """When spend reached the budget; None where that was at the end or later."""
    reached = ground.counted.first_reached(-(-campaign.budget // campaign.scale), ground.origin, ground.until)
    return reached if reached is not None and reached < campaign.flight.end else None


# -- where a path reaches an amount ----------------------------------------------------------------------------------


def exhausted_evenly(campaign: Standing, as_of: int) -> int | None:
    """The first instant x with S (x - start) / (T - start) >= B, None where that is the end: see `first_reaching`."""
    flight = campaign.flight
    lasts = -(-campaign.budget * (as_of - flight.start) // (campaign.scale * campaign.figures[0]))
    return flight.start + lasts if flight.start + lasts < flight.end else None


def _exhausted_at(ground: Ground, learned: Learned | None, campaign: Standing, as_of: int) -> int | None:
    """
    When the path uses up a budget that it has reached by the end; None where that is the end.

    On a course that bends it is looked for, first about where the last tick found it.
    """
    if learned is not None:
        return _exhausted_as_learned(learned, campaign, as_of)
    if ground.is_even:
        return exhausted_evenly(campaign, as_of)
    near: list[int] = ground.history.kept("exhaustion", ground.version, lambda: [as_of])
    path, budget = _run_rate(ground, campaign), (campaign.budget, campaign.scale)
    found = first_reaching(path, budget, as_of, campaign.flight.end, near[0])
    if found is not None:
        near[0] = found
    return found


def first_reaching(path: Path, amount: Ratio, after: int, end: int, near: int = 0) -> int | None:
    """
    The first instant after *after* at which the path has reached the amount; None where that is the end.

    The path is below it at *after*, and not at *end*. It is mostly made of straight pieces: on one of them a guess
    along the line between the bounds is exact, and the instant before it shows that; elsewhere a halving follows, so
    that a piece is met soon. The first bounds are tried some minutes about *near*, which changes no result.

    >>> first_reaching(lambda instant: (instant, 1), (7, 2), 0, 10)
    4
    """
    low, high = after, end
    below, above = _less(path(low), amount), _less(path(high), amount)
    tried = [middle for middle in (near + _ABOUT, near - _ABOUT) if after < middle < end]
    while high - low > 1:
        if tried:
            middle = tried.pop()
        else:
            lack, excess = -below[0] * above[1], above[0] * below[1]
            middle = min(high - 1, low - (-(high - low) * lack // (lack + excess)))
            tried = [(low + high) // 2, middle - 1]
        if not low < middle < high:
            continue
        reached = _less(path(middle), amount)
        if reached[0] < 0:
            low, below = middle, reached
        else:
            high, above = middle, reached
    return high if high < end else None


def _reduced(ratio: Ratio) -> Ratio:
    common = gcd(*ratio)
    return ratio[0] // common, ratio[1] // common


def _less(one: Ratio, other: Ratio) -> Ratio:
    return one[0] * other[1] - other[0] * one[1], one[1] * other[1]


# -- whole days ------------------------------------------------------------------------------------------------------


class Days(msgspec.Struct, frozen=True, gc=False):
    """The last whole local days of a window, *number* of them, between *edges*.

    The edges go on to the end of tomorrow; *spends* are what was spent between them.
    """

    today: int
    number: int
    edges: tuple[int, ...]
    spends: Sequence[int]


def days_before(ground: Ground, campaign: Standing, at: int) -> Days | None:
    """The whole days before an instant of the window; None in zones whose midnights the ledger does not cut at."""
    plan = ground.plan
    today = ordinal_at(plan.timezone, at)
    count, edges = _calendar(plan.timezone, campaign.flight.start, today, _LOOK_BACK[plan.projection])
    return Days(today, count, edges, ground.counted.spend_between(edges)) if edges else None


@lru_cache(maxsize=4096)
def _calendar(zone: str, start: int, today: int, most: int) -> tuple[int, tuple[int, ...]]:
    """How many whole days of the window lie before *today*, and the midnights from the first on."""
    if not is_on_quarters(zone):
        return 0, ()
    first = ordinal_at(zone, start)
    first += local_day(zone, first).start < start
    count = max(0, min(most, today - first))
    return count, _midnights(zone, today, count)


@lru_cache(maxsize=4096)
def _midnights(zone: str, today: int, count: int) -> tuple[int, ...]:
    # Today and tomorrow are asked for as well: the ledger then adds them up as they come, and never looks back.
    return tuple(local_day(zone, day).start for day in range(today - count, today + 3))


def rolling_pace(ground: Ground, days: Days | None) -> Ratio | None:
    """Spend over expected spend of the last seven whole days; None for fewer, and where nothing was expected."""
    if days is None or days.number < ROLLING_DAYS:
        return None
    first = days.number - ROLLING_DAYS
    start, end = days.edges[first], days.edges[days.number]
    num, den = _reduced(_less(ground.expected(end), ground.expected(start)))
    return (sum(days.spends[first : days.number]) * den, num) if num > 0 else None


# -- what is learned from them ---------------------------------------------------------------------------------------


class Learned(NamedTuple):
    """What was learned from days: a density whose weight is nanos times *unit*."""

    method: ProjectionMethod
    density: Density
    nanos: int
    unit: int


class Told(NamedTuple):
    """What whole days tell: their rolling pace, what is learned from them, and why no more is."""

    rolling: Ratio | None
    learned: Learned | None
    reason: str | None


def _told_by(ground: Ground, days: Days | None, campaign: Standing) -> Told:
    """What the days tell of a campaign with that budget; kept while they stay as they are."""
    if days is None:
        return Told(None, *_learned(ground, None))
    key = ground.version, days.today, days.number, campaign.budget, campaign.scale, days.spends
    told: Told = ground.history.kept(
        "whole days", key, lambda: Told(rolling_pace(ground, days), *_learned(ground, days))
    )
    return told._replace(rolling=rolling_pace(ground, days)) if ground.rests_on_spend else told


def _learned(ground: Ground, days: Days | None) -> tuple[Learned | None, str | None]:
    """What the plan's method learns from the days, or a simpler one where they are few and why; None for run_rate."""
    if ground.plan.projection == "run_rate":
        return None, None
    if days is None:
        return None, f"the days of {ground.plan.timezone} do not begin on quarters of an hour"
    reason = None
    if ground.plan.projection == "seasonal":
        reason = _too_few_for_seasons(ground, days)
        if reason is None:
            return _seasonal(ground, days), None
    trailing = _trailing(ground, days)
    if trailing is None:
        reason = reason or f"trailing_7d needs {ROLLING_DAYS} active days of the last {TRAILING_LOOK_BACK}"
    return trailing, reason


def _learned_by(learned: Learned, spend: int, as_of: int, instant: int) -> Ratio:
    """S + R(x) - R(t): what is spent by an instant, in nanos."""
    num, den = _less(learned.density.reached(instant), learned.density.reached(as_of))
    return spend * den * learned.unit + num * learned.nanos, den * learned.unit


def _exhausted_as_learned(learned: Learned, campaign: Standing, as_of: int) -> int | None:
    """The first instant x with R(x) = R(t) + B - S, more than R(t); None where that is the end or later."""
    num, den = learned.density.reached(as_of)
    left, of = (campaign.budget - campaign.figures[0] * campaign.scale) * learned.unit, campaign.scale * learned.nanos
    at = learned.density.first_at((num * of + left * den, den * of))
    return at if at < campaign.flight.end else None


def _trailing(ground: Ground, days: Days) -> Learned | None:
    """The mean of the last seven active days; None where there are fewer."""
    parts, whole = _parts(ground, days, with_hours=False)
    active = [place for place, part in enumerate(parts) if part and days.number - place <= TRAILING_LOOK_BACK]
    last = active[-ROLLING_DAYS:]
    if len(last) < ROLLING_DAYS:
        return None
    spend = max(0, sum(days.spends[place] for place in last))
    return Learned(
        "trailing_7d", _activity(ground.plan, with_hours=False), spend * whole, sum(parts[place] for place in last)
    )


def _activity(plan: Plan, *, with_hours: bool) -> Density:
    """The density that gives every active day the weight 1."""
    weekdays = tuple(1 if weight else 0 for weight in plan.calendar.weekday_weights or (1,) * _WEEK)
    return density_of(_calendar_with(plan, weekdays, with_hours=with_hours))


def _calendar_with(plan: Plan, weekdays: tuple[int, ...], *, with_hours: bool) -> Calendar:
    hours = plan.calendar.hour_weights if with_hours else ()
    return Calendar(plan.timezone, weekdays, hours, plan.calendar.blackouts)


def _parts(ground: Ground, days: Days, *, with_hours: bool) -> tuple[tuple[int, ...], int]:
    """How much of each whole day is active, in parts of the whole, and how many parts a whole day has."""

    def make() -> tuple[tuple[int, ...], int]:
        density = _activity(ground.plan, with_hours=with_hours)
        edges = days.edges[: days.number + 1]
        reached = [density.reached(edge) for edge in edges]
        parts = [_less(after, before) for before, after in pairwise(reached)]
        whole = lcm(*(den // gcd(num, den) for num, den in parts))
        return tuple(num * whole // den for num, den in parts), whole

    name = "parts by the hour" if with_hours else "parts"
    return ground.history.kept(name, (ground.version, days.today, days.number), make)


def _too_few_for_seasons(ground: Ground, days: Days) -> str | None:
    """Why the weekdays cannot be told apart yet."""
    parts, _ = _parts(ground, days, with_hours=True)
    weights = ground.plan.calendar.weekday_weights
    counts = [0] * _WEEK
    for place, part in enumerate(parts):
        counts[_weekday(days, place)] += part > 0
    weekends = min((counts[day] for day in _WEEKEND if not weights or weights[day]), default=SEASONAL_WEEKENDS)
    if sum(counts) >= SEASONAL_DAYS and weekends >= SEASONAL_WEEKENDS:
        return None
    return (
        f"seasonal needs {SEASONAL_DAYS} active days with two of each weekend day among the last {SEASONAL_LOOK_BACK}; "
        f"there are {sum(counts)}"
    )


def _weekday(days: Days, place: int) -> int:
    """Day 1 of the calendar is a Monday."""
    return (days.today - days.number + place - 1) % _WEEK


def _seasonal(ground: Ground, days: Days) -> Learned:
    """A density whose weekdays weigh what they were seen to spend, in nanos, with the plan's hours and blackouts."""
    parts, whole = _parts(ground, days, with_hours=True)
    means, unit = weekday_means(
        [
            (_weekday(days, place), _NEWEST - (days.number - place - 1) // _WEEK, days.spends[place], part)
            for place, part in enumerate(parts)
            if part
        ],
        whole,
    )
    weights = ground.plan.calendar.weekday_weights or (1,) * _WEEK
    weekdays = tuple(mean if weight else 0 for mean, weight in zip(means, weights, strict=True))
    return Learned("seasonal", Density(_calendar_with(ground.plan, weekdays, with_hours=True)), 1, unit)


def weekday_means(seen: Sequence[tuple[int, int, int, int]], whole: int) -> tuple[list[int], int]:
    """
    The mean spend of each weekday as integers over a common denominator, recency-weighted and shrunk.

        mean of k = (sum of weight x spend of k's days + 8 m) / (sum of weight x active part of k's days + 8)

    m being the same of all days without the 8s. *seen* are (weekday, weight, nanos, active parts) of the days, *whole*
    the parts of a whole day.

    >>> means, unit = weekday_means([(0, 8, 300, 1), (1, 8, 100, 1)], 1)
    >>> [mean // unit for mean in means]
    [250, 150, 200, 200, 200, 200, 200]
    """
    spends, parts = [0] * _WEEK, [0] * _WEEK
    for weekday, weight, nanos, part in seen:
        spends[weekday] += weight * nanos
        parts[weekday] += weight * part
    spend, total, prior = sum(spends), sum(parts), _NEWEST * whole
    unit = lcm(*(part + prior for part in parts))
    # Each is whole (spends total + prior spend) / (total (parts + prior)); below zero it counts as zero.
    means = [
        max(0, whole * (of_day * total + prior * spend)) * (unit // (part + prior))
        for of_day, part in zip(spends, parts, strict=True)
    ]
    return means, unit * total
