"""
The density of a plan over time, integrated exactly: how much of its weight lies before an instant.

The law of this file: **a full local day carries its weekday's weight**, whether it has 23, 24 or 25 hours. Its hours
share it by their weights, each as often as the day has it:

    w(t) = W(weekday) h(hour) / (the integral of h over that local day);  0 in a blackout

So the integral up to t is a sum of weekday weights, a matter of counting weeks, and a part of one day. Nothing is
kept by day or hour, and a flight of years costs what one of a week does. Where the plan has no weights, w is 1 on all
active time. Source: contract, rule 2; field definitions 1, 2, 4 and 5. What the contract leaves open:

- a local day lasts from its first midnight to the next day's, so one on which clocks go back over midnight shows an
  hour of the day before;
- a day on which no hour has weight, as where clocks skip the only one that has, is shared evenly: it still carries
  its weight;
- a day that the calendar leaves out (Samoa's 30 December 2011) carries nothing;
- a blackout takes its part of a day's weight away; the rest of the day gets no more for it.

Instants and lengths are nanoseconds; weights are integers of any one unit.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from math import gcd
from operator import attrgetter
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from schemas.fields import FIRST_YEAR, LAST_YEAR, NANOS, local_midnight
from worker.pacing.amounts import DAY
from worker.pacing.plan import Calendar, Flight

Ratio = tuple[int, int]
"""A rational number as (numerator, denominator), the denominator positive."""

HOUR: Final = 3600 * NANOS
_MOST_KNOWN: Final = 16
_WEEK: Final = 7


# -- local days ------------------------------------------------------------------------------------------------------


class LocalDay(NamedTuple):
    """A day of a zone, [start, end); *hours* are its pieces (from, to, local hour), none of 24 plain hours."""

    start: int
    end: int
    hours: tuple[tuple[int, int, int], ...]


@lru_cache(maxsize=4096)
def local_day(zone: str, ordinal: int) -> LocalDay:
    """The local day of that number (`date.toordinal`); campaigns of a zone ask for the same few at a tick."""
    tz = ZoneInfo(zone)
    day = date.fromordinal(ordinal)
    start, end = local_midnight(day, tz), local_midnight(day + timedelta(days=1), tz)
    is_plain = end - start == DAY and _offset(start, tz) == _offset(end - NANOS, tz)
    return LocalDay(start, end, () if is_plain else tuple(_hours(start, end, tz)))


@lru_cache(maxsize=4096)
def ordinal_at(zone: str, instant: int) -> int:
    """The number of the local day that holds the instant."""
    shown = _local(instant, ZoneInfo(zone)).toordinal()
    # Clocks that go back over midnight show the day before once more.
    return shown + 1 if instant >= local_day(zone, shown).end else shown


def _hours(start: int, end: int, tz: ZoneInfo) -> Iterator[tuple[int, int, int]]:
    """The pieces of a day by what hour the clock shows."""
    while start < end:
        local = _local(start, tz)
        until = min(end, start + HOUR - (local.minute * 60 + local.second) * NANOS)
        until = _change(start, until, tz)
        yield start, until, local.hour
        start = until


def _change(start: int, end: int, tz: ZoneInfo) -> int:
    """Where within (start, end) the clocks are changed, to the second; *end* where they are not."""
    before = _offset(start, tz)
    if _offset(end - NANOS, tz) == before:
        return end
    low, high = start // NANOS, end // NANOS - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(middle * NANOS, tz) == before else (low, middle)
    return high * NANOS


def _local(instant: int, tz: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(instant // NANOS, tz)


def _offset(instant: int, tz: ZoneInfo) -> timedelta:
    return _local(instant, tz).utcoffset() or timedelta()


@lru_cache(maxsize=1024)
def vanished_days(zone: str) -> tuple[int, ...]:
    """The days that a zone's calendar leaves out, as where it moved over the date line."""
    tz = ZoneInfo(zone)
    firsts = [date(year, month, 1) for year in range(FIRST_YEAR, LAST_YEAR + 1) for month in range(1, 13)]
    offsets = [_offset(local_midnight(first, tz), tz) for first in firsts]
    days = []
    for first, before, after in zip(firsts, offsets, offsets[1:], strict=False):
        if after - before >= timedelta(hours=20):
            days += [first.toordinal() + number for number in range(32)]
    return tuple(day for day in days if local_day(zone, day).start == local_day(zone, day).end)


# -- the density -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def density_of(calendar: Calendar) -> Density:
    """The density of a calendar, one for all scopes of a plan."""
    return Density(calendar)


class Density:
    """The integral of a calendar's density."""

    __slots__ = ("_ends", "_hours", "_known", "_lost", "_starts", "_vanished", "_week", "_won", "_zone")

    def __init__(self, calendar: Calendar) -> None:
        self._zone = calendar.timezone
        has_weights = bool(calendar.weekday_weights or calendar.hour_weights)
        weekdays = calendar.weekday_weights or (1,) * _WEEK
        self._week = tuple(accumulate(weekdays, initial=0)) if has_weights else ()
        self._hours = tuple(accumulate(calendar.hour_weights, initial=0)) if calendar.hour_weights else ()
        self._vanished = vanished_days(self._zone) if has_weights else ()
        self._starts = [blackout.start for blackout in calendar.blackouts]
        self._ends = [blackout.end for blackout in calendar.blackouts]
        self._lost = self._losses(calendar.blackouts)
        self._won = [_minus(self._weight(start), lost) for start, lost in zip(self._starts, self._lost, strict=False)]
        """What is reached by the start of each blackout."""
        self._known: dict[int, Ratio] = {}
        """Of the instants asked for lately: the tick and the flight's end are, again and again."""

    def _losses(self, blackouts: Sequence[Flight]) -> list[Ratio]:
        """What is lost to the blackouts before each of them, and to all."""
        lost: list[Ratio] = [(0, 1)]
        for blackout in blackouts:
            lost.append(_plus(lost[-1], _minus(self._weight(blackout.end), self._weight(blackout.start))))
        return lost

    def reached(self, instant: int) -> Ratio:
        """The weight that lies before the instant, from an origin of its own: only differences mean something."""
        known = self._known.get(instant)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[instant] = self._reached(instant)
        return known

    def _reached(self, instant: int) -> Ratio:
        past = bisect_right(self._starts, instant)
        if past and instant < self._ends[past - 1]:
            past -= 1
            instant = self._starts[past]
        num, den = self._weight(instant)
        lost, of = self._lost[past]
        return (num * of - lost * den, den * of) if lost else (num, den)

    def first_at(self, weight: Ratio) -> int:
        """
        The first instant before which so much weight lies, from the origin of `reached`.

        >>> Density(Calendar(blackouts=(Flight(10, 20),))).first_at((25, 2))
        23
        """
        num, den = weight
        past = bisect_left(self._won, True, key=lambda won: won[0] * den >= num * won[1])
        lost, of = self._lost[past]
        return self._first_at(num * of + lost * den, den * of)

    def _weight(self, instant: int) -> Ratio:
        """The same without blackouts."""
        if not self._week:
            return instant, 1
        ordinal = ordinal_at(self._zone, instant)
        day = local_day(self._zone, ordinal)
        part, whole = self._part(day, instant)
        # Day 1 of the calendar is a Monday.
        weeks, weekday = divmod(ordinal - 1, _WEEK)
        before = weeks * self._week[-1] + self._week[weekday]
        for vanished in self._vanished:
            if vanished < ordinal:
                before -= self._of_weekday((vanished - 1) % _WEEK)
        return before * whole + self._of_weekday(weekday) * part, whole

    def _first_at(self, num: int, den: int) -> int:
        """The first instant with a weight of num / den before it, without blackouts."""
        if not self._week:
            return -(-num // den)
        for vanished in self._vanished:
            weeks, weekday = divmod(vanished - 1, _WEEK)
            if num > (weeks * self._week[-1] + self._week[weekday]) * den:
                num += self._of_weekday(weekday) * den
        # The last day that begins with less than that, of those that carry something.
        weeks, rest = divmod((num - 1) // den, self._week[-1])
        weekday = bisect_right(self._week, rest) - 1
        before = weeks * self._week[-1] + self._week[weekday]
        day = local_day(self._zone, weeks * _WEEK + weekday + 1)
        return self._in_day(day, num - before * den, den * self._of_weekday(weekday))

    def _in_day(self, day: LocalDay, num: int, den: int) -> int:
        """The first instant of a day before which num / den of its weight lies: more than nothing."""
        if not self._hours:
            return day.start - (-num * (day.end - day.start) // den)
        if not day.hours:
            part = -(-num * self._hours[-1] * HOUR // den)
            hour = bisect_right(self._hours, (part - 1) // HOUR) - 1
            return day.start + hour * HOUR - ((self._hours[hour] * HOUR - part) // self._of_hour(hour))
        ends = list(accumulate((self._of_hour(hour) * (end - start) for start, end, hour in day.hours), initial=0))
        if not ends[-1]:
            return day.start - (-num * (day.end - day.start) // den)
        part = -(-num * ends[-1] // den)
        place = bisect_left(ends, part) - 1
        start, _, hour = day.hours[place]
        return start - ((ends[place] - part) // self._of_hour(hour))

    def _of_weekday(self, weekday: int) -> int:
        return self._week[weekday + 1] - self._week[weekday]

    def _part(self, day: LocalDay, instant: int) -> Ratio:
        """What of a day's weight lies before the instant."""
        if not self._hours:
            return instant - day.start, day.end - day.start
        if not day.hours:
            hour, rest = divmod(instant - day.start, HOUR)
            return self._hours[hour] * HOUR + self._of_hour(hour) * rest, self._hours[-1] * HOUR
        part = sum(
            self._of_hour(hour) * (min(end, instant) - start) for start, end, hour in day.hours if start < instant
        )
        whole = sum(self._of_hour(hour) * (end - start) for start, end, hour in day.hours)
        return (part, whole) if whole else (instant - day.start, day.end - day.start)

    def _of_hour(self, hour: int) -> int:
        return self._hours[hour + 1] - self._hours[hour]


def _plus(one: Ratio, other: Ratio) -> Ratio:
    num, den = one[0] * other[1] + other[0] * one[1], one[1] * other[1]
    common = gcd(num, den)
    return num // common, den // common


def _minus(one: Ratio, other: Ratio) -> Ratio:
    return _plus(one, (-other[0], other[1]))


# -- blackouts -------------------------------------------------------------------------------------------------------


_START, _END = attrgetter("start"), attrgetter("end")


def dark_time(blackouts: Sequence[Flight], start: int, end: int) -> int:
    """
    The nanoseconds of [start, end) that are blacked out; *blackouts* are in order and apart.

    >>> dark_time((Flight(10, 20), Flight(30, 40)), 15, 32)
    7
    """
    touched = blackouts[bisect_right(blackouts, start, key=_END) : bisect_left(blackouts, end, key=_START)]
    if not touched:
        return 0
    # Only the first may have begun before, and only the last go on.
    before, after = max(0, start - touched[0].start), max(0, touched[-1].end - end)
    return sum([each.end - each.start for each in touched]) - before - after
