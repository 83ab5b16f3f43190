"""
Local days that cost too much: over what the platform may spend, or out of line with the days before.

    daily_budget_exceeded   spend > daily budget x the platform's day factor, strictly         (`allowances`)
    spend_spike             z = (spend - median) / (1.4826 MAD) > 4, strictly, over the last 28 local days before it,
                            MAD being no less than 5 % of the median

Each day is a signal of its own: raised once, when it is over, and cleared once: when credits bring it back, at the end
of the next local day, or with the flight or period. Source: contract, rule 17; field definitions 13 and 14.

What the contract leaves open:

- today, as far as it has come, and yesterday are looked at on every complete tick of the flight. An older day is told
  of by daily_budget_exceeded at the tick that counts what takes it over the allowance: late news, or all of it in
  `evaluate`, where it is held to the versions of that day; else to the plan as it is now. That is a case, and a fact:
  it is told on a tick that is not complete and after the flight as well, and cleared at the next complete tick;
- no new one is raised while the plan is paused, nor of a day that ended before the period began;
- a day is compared with those of the last 28 that lie in the flight and have active time. Fewer than 14 of them are
  too few, and with a median of 0 or less there is no usual day;
- a quarter of an hour belongs to the local day in which it begins: so does every instant, in every zone since 1972.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from worker.pacing.activity import is_active
from worker.pacing.allowances import is_over, rule_of, span_of
from worker.pacing.amounts import currency_of
from worker.pacing.density import local_day, ordinal_at
from worker.pacing.figures import DAYS_BEFORE, LastDays
from worker.pacing.periods import is_on_quarters
from worker.pacing.signals import Signal, Words, alert_key, scope_name
from worker.pacing.state import DayCap
from worker.pacing.watch import allowance, cap_of, past_cap

if TYPE_CHECKING:
    from worker.pacing.plan import Calendar, Flight
    from worker.pacing.tick import Tick

DAILY_BUDGET: Final = "daily_budget_exceeded"
SPIKE: Final = "spend_spike"

Told = tuple[dict[str, Any], str]
"""The evidence of a signal, and how its sentence goes on after the campaign's name."""

_LAST: Final = 28
_FEWEST: Final = 14
"""Two weeks: every weekday twice."""
_QUARTER: Final = 900 * 10**9


# -- yesterday and today ---------------------------------------------------------------------------------------------


class _Day(NamedTuple):
    """What a day is held to: its *cap* and what that allows, in hundredths of nanos (-1: anything), and the *usual*."""

    cap: DayCap
    allowance: int
    usual: Usual | None


class _HeldTo(NamedTuple):
    """What the last two days are held to, and what yesterday spent."""

    days: tuple[_Day, _Day]
    yesterday: int


def the_last_two(tick: Tick, last: LastDays) -> Iterator[Signal]:
    """Yesterday and today, where they are over their allowance or out of line as of a complete tick of the flight."""
    days, yesterday = _held_to(tick, last)
    spent = yesterday, last.today
    for (cap, allowed, _), spend in zip(days, spent, strict=True):
        if spend * 100 > allowed >= 0 and _is_of_window(tick, cap.day):
            yield from _of_day(tick, DAILY_BUDGET, cap.day, partial(_served, tick, cap, spend))
    for (cap, _, usually), spend in zip(days, spent, strict=True):
        if usually is not None and spend > usually.most and _is_of_window(tick, cap.day):
            yield from _of_day(tick, SPIKE, cap.day, partial(_out_of_line, tick, cap.day, spend, usually))


def limit_today(tick: Tick, last: LastDays) -> int | None:
    """The most nanos that may be spent today and be no spike; None where yesterday is one, -1 where none can be."""
    (before, today), yesterday = _held_to(tick, last)
    if before.usual is not None and yesterday > before.usual.most:
        return None
    return -1 if today.usual is None else today.usual.most


def _held_to(tick: Tick, last: LastDays) -> _HeldTo:
    """What the last two days are held to; kept while the plan and the days before today stay as they are."""
    key = tick.today, tick.version.version, tick.watch, last.key
    held: _HeldTo = tick.history.kept("days", key, lambda: _hold(tick, last.before()))
    return held


def _hold(tick: Tick, spent: list[int]) -> _HeldTo:
    """The same from what the days before today *spent*, the latest first."""
    today = tick.today
    usable = _comparable(tick.plan.timezone, tick.plan.flight, tick.plan.calendar, today, len(spent))

    def held(age: int) -> _Day:
        cap = cap_of(tick.version, tick.watch, today - age)
        places = range(age, min(age + _LAST, len(spent)))
        return _Day(cap, allowance(cap), usual([spent[place] for place in places if usable[place]]))

    return _HeldTo((held(1), held(0)), spent[0])


@lru_cache(maxsize=4096)
def _comparable(zone: str, flight: Flight, calendar: Calendar, today: int, count: int) -> tuple[bool, ...]:
    """Of each day before *today*, the latest first, whether all of it lies in the flight, and is not all dark."""
    days = [local_day(zone, today - age)[:2] for age in range(1, count + 1)]
    return tuple(flight.start <= start < end <= flight.end and is_active(calendar, start, end) for start, end in days)


# -- over the allowance ----------------------------------------------------------------------------------------------


def new_days_over_allowance(tick: Tick) -> Iterator[Signal]:
    """The local days that what is counted since the last tick has taken over their allowance."""
    if not _has_daily_budget(tick):
        return
    for day, new in _new_by_day(tick).items():
        cap = _cap_of(tick, day)
        if cap.daily_budget is not None and new > 0:
            served = _served_on(tick, day)
            if _is_over(cap, served) and not _is_over(cap, served - new):
                yield from _of_day(tick, DAILY_BUDGET, day, partial(_served, tick, cap, served))


def _served_on(tick: Tick, day: int) -> int:
    """The nanos spent on a local day: of the last ones they are known, of an older one they are added up."""
    last, age = last_days(tick), tick.today - day
    if last is not None and age <= DAYS_BEFORE and is_on_quarters(tick.plan.timezone):
        return last.before()[age - 1] if age else last.today
    start, end = local_day(tick.plan.timezone, day)[:2]
    return _spent_before(tick, end) - _spent_before(tick, start)


def _cap_of(tick: Tick, day: int) -> DayCap:
    """What counts as the daily budget of a day; a worker forgets what a plan was the day before yesterday."""
    if tick.is_first:
        return past_cap(tick.history, tick.version, day)
    return cap_of(tick.version, tick.watch, day)


def _has_daily_budget(tick: Tick) -> bool:
    return tick.plan.daily_budget is not None or bool(tick.watch.caps) or len(tick.history.versions) > 1


def _is_over(cap: DayCap, served: int) -> bool:
    return cap.daily_budget is not None and is_over(served, cap.daily_budget, rule_of(cap.platform).day_pct)


def _new_by_day(tick: Tick) -> dict[int, int]:
    """The nanos counted since the last tick by the local day they are dated in."""
    days: dict[int, int] = {}
    for start, totals in tick.counted.new:
        spend = sum([figures[0] for figures in totals.values()])
        if spend:
            day = ordinal_at(tick.plan.timezone, start)
            days[day] = days.get(day, 0) + spend
    return dict(sorted(days.items()))


def _spent_before(tick: Tick, instant: int) -> int:
    """The nanos dated before an instant, or before the quarter of an hour it lies in."""
    return sum(figures[0] for figures in tick.counted.before(instant - instant % _QUARTER).values())


def _served(tick: Tick, cap: DayCap, served: int) -> Told:
    """What was served, what of it is to be billed, and what is to be credited."""
    carried = currency_of(tick.plan.minor_digits).carried
    derived = currency_of(tick.plan.minor_digits).derived
    rule, budget, day = rule_of(cap.platform), cap.daily_budget or 0, _day_text(cap.day)
    allowed = budget * rule.day_pct
    evidence = {
        "day": day,
        "daily_budget": carried(budget),
        "platform": cap.platform,
        "day_factor_pct": rule.day_pct,
        "allowance": derived(allowed, 100),
        "served": carried(served),
        "billable": derived(min(served * 100, allowed), 100),
        "expected_credit": derived(max(0, served * 100 - allowed), 100),
        "rule": rule.source or None,
        "rule_read": rule.read or None,
        "period": _period(tick, cap),
    }
    over = f"{evidence['expected_credit']} more than it may of a daily budget of {evidence['daily_budget']}"
    return evidence, f"has spent {evidence['served']} {tick.plan.currency} on {day}, {over}"


def _period(tick: Tick, cap: DayCap) -> dict[str, Any] | None:
    """The same of the platform's period so far; None where it has no rule for one."""
    rule = rule_of(cap.platform)
    if rule.span is None:
        return None
    first, after = span_of(rule.span, cap.day)
    start, end = (local_day(tick.plan.timezone, day).start for day in (first, after))
    served = _spent_before(tick, end) - _spent_before(tick, start)
    allowed = (cap.daily_budget or 0) * (rule.period_pct or 0)
    currency = currency_of(tick.plan.minor_digits)
    return {
        "first_day": _day_text(first),
        "last_day": _day_text(after - 1),
        "multiple_pct": rule.period_pct,
        "allowance": currency.derived(allowed, 100),
        "served": currency.carried(served),
        "billable": currency.derived(min(served * 100, allowed), 100),
        "expected_credit": currency.derived(max(0, served * 100 - allowed), 100),
    }


# -- out of line -----------------------------------------------------------------------------------------------------


class Usual(NamedTuple):
    """What days are compared with: *days* of them, twice their median, and 40 times what MAD is taken for; nanos."""

    days: int
    median2: int
    mad40: int
    most: int
    """The most nanos that are no spike: see `usual`."""

    def hundredths_of_z(self, spend: int) -> int:
        """z of a day, in hundredths, rounded half-even."""
        num, den = (2 * spend - self.median2) * 20 * 10_000 * 100, 14_826 * self.mad40
        whole, rest = divmod(2 * num + den, 2 * den)
        return whole - (whole & 1) if rest == 0 else whole


def usual(spent: list[int]) -> Usual | None:
    """
    What is usual, of days that spent so much; None where nothing is. A day is no spike up to z = 4, in integers:

        (x - median) / (1.4826 MAD) > 4   <=>   50000 x > 25000 (2 median) + 7413 (40 MAD)

    >>> usual([100] * 13), usual([100] * 14)
    (None, Usual(days=14, median2=200, mad40=200, most=129))
    >>> usual([90, 110] * 7)
    Usual(days=14, median2=200, mad40=400, most=159)
    """
    if len(spent) < _FEWEST:
        return None
    median2 = _twice_median(spent)
    if median2 <= 0:
        return None
    mad4 = _twice_median([abs(2 * each - median2) for each in spent])
    mad40 = max(10 * mad4, median2)
    return Usual(len(spent), median2, mad40, (25_000 * median2 + 7_413 * mad40) // 50_000)


def _twice_median(numbers: list[int]) -> int:
    ordered, middle = sorted(numbers), len(numbers) // 2
    return ordered[middle] + ordered[~middle]


def _out_of_line(tick: Tick, day: int, spend: int, days: Usual) -> Told:
    currency = currency_of(tick.plan.minor_digits)
    hundredths = days.hundredths_of_z(spend)
    evidence = {
        "day": _day_text(day),
        "spend": currency.carried(spend),
        "days": days.days,
        "median": currency.derived(days.median2, 2),
        "mad": currency.derived(days.mad40, 40),
        "z": hundredths / 100,
        "limit_z": 4,
    }
    usually = f"usually {evidence['median']} in the {days.days} days before"
    return evidence, f"has spent {evidence['spend']} {tick.plan.currency} on {evidence['day']}, {usually}"


# -- days ------------------------------------------------------------------------------------------------------------


def last_days(tick: Tick) -> LastDays | None:
    """What was spent on the local day of the tick and on those before it; None where nobody counts days."""
    days = tick.counted.days
    return None if days is None else days(tick.plan.timezone, tick.today)


def _is_of_window(tick: Tick, day: int) -> bool:
    """Whether some of the day lies in the flight or period of the tick, which closed what was before it."""
    return local_day(tick.plan.timezone, day).end > tick.pace.window.flight.start


def _of_day(tick: Tick, kind: str, day: int, tell: Callable[[], Told]) -> Iterator[Signal]:
    """The signal of a day. A plan that is not active raises none."""
    signal = Signal(kind, "campaign", tick.plan.campaign_id, partial(_words, tick, tell), _day_text(day))
    if tick.plan.status == "active" or alert_key(signal) in tick.state.alerts:
        yield signal


def _words(tick: Tick, tell: Callable[[], Told]) -> Words:
    evidence, words = tell()
    return f"{scope_name('campaign', tick.plan.campaign_id)} {words}.", evidence


@lru_cache(maxsize=256)
def _day_text(day: int) -> str:
    return date.fromordinal(day).isoformat()
