"""
Active plan time: when money is to be spent at all, however little.

Not in a blackout, nor on a weekday or in a local hour whose weight is 0. A day on which no hour has weight is shared
evenly, as `density` has it, so all of it is active. Source: field definitions 1 and 13; contract, rule 16.
"""

from __future__ import annotations

from collections.abc import Iterator

from worker.pacing.density import HOUR, LocalDay, local_day, ordinal_at
from worker.pacing.plan import Calendar

_WEEK = 7


def active_until(calendar: Calendar, since: int, enough: int, end: int) -> int | None:
    """
    The instant by which so much active time (*enough* nanoseconds) has passed from *since* on; None if not by *end*.

    >>> active_until(Calendar(), 10, 15, 100), active_until(Calendar(), 10, 15, 20)
    (25, None)
    """
    left = enough
    for start, stop in _active(calendar, since, end):
        if stop - start >= left:
            return start + left
        left -= stop - start
    return None


def _active(calendar: Calendar, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The stretches of [start, end) that are active, in order."""
    for begins, ends in _weighted(calendar, start, end):
        at = begins
        for blackout in calendar.blackouts:
            if blackout.end > at and blackout.start < ends:
                if blackout.start > at:
                    yield at, blackout.start
                at = blackout.end
        if at < ends:
            yield at, ends


def _weighted(calendar: Calendar, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The same without regard to blackouts."""
    if not calendar.weekday_weights and not calendar.hour_weights:
        yield start, end
        return
    at = start
    while at < end:
        ordinal = ordinal_at(calendar.timezone, at)
        day = local_day(calendar.timezone, ordinal)
        if not calendar.weekday_weights or calendar.weekday_weights[(ordinal - 1) % _WEEK]:
            for begins, ends in _hours(day, calendar.hour_weights):
                if ends > at and begins < end:
                    yield max(begins, at), min(ends, end)
        at = day.end


def _hours(day: LocalDay, weights: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """The hours of a local day that have weight; all of it, where none has."""
    pieces = day.hours or [(day.start + hour * HOUR, day.start + (hour + 1) * HOUR, hour) for hour in range(24)]
    found = [(start, end) for start, end, hour in pieces if not weights or weights[hour]]
    yield from found or [(day.start, day.end)]


def is_active(calendar: Calendar, start: int, end: int) -> bool:
    """Whether there is any active time in [start, end)."""
    return active_until(calendar, start, 1, end) is not None
