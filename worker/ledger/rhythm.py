"""
The rhythm of a campaign: its last hour with spend, and what it spent on each of its last local days.

The signals on the series ask for both at every tick. So they are kept up to date as cells are counted, and nothing of
a month is read again: a cell of the newest hour and day is two additions. What comes late, or is taken back, changes
them alike: they are a function of what is counted, whatever its order.

    hour, net     the latest UTC hour with spend, and its net spend
    positive      the latest hour before it with positive net spend; UNKNOWN where it has to be looked for in the cells
    day, spend    the latest local day with spend, and its net spend
    past          what was spent in the 29 days before it, the latest first, as a record holds it

Hours are numbered from 1970 UTC, days as `date.toordinal` does in the plan's zone; nanos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from worker.ledger.cells import NEVER
from worker.ledger.packing import decode, encode, pack_amount, unpack_amount
from worker.pacing import DAYS_BEFORE, HOUR, LastDays, ordinal_at

UNKNOWN: Final = None
_NO_DAYS: Final = encode([])


class Rhythm:
    """The rhythm of one campaign, in the zone of its plan."""

    __slots__ = ("day", "hour", "net", "past", "positive", "spend", "zone")

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self.hour = NEVER
        self.net = 0
        self.positive: int | None = NEVER
        self.day = 0
        """None is numbered 0: day 1 is that of the year 1."""
        self.spend = 0
        self.past = _NO_DAYS

    @classmethod
    def of(cls, zone: str, cells: Iterable[tuple[int, int]]) -> Rhythm:
        """What the (start, spend) of the cells of the last days come to; of what was before them nothing is known."""
        rhythm = cls(zone)
        rhythm.positive = UNKNOWN
        for at, spend in sorted(cells):
            rhythm.count(at, spend)
        return rhythm

    def count(self, at: int, spend: int) -> bool:
        """Count a cell that begins at *at*; whether the days before the latest have changed."""
        if not spend:
            return False
        self._count_hour(at // HOUR, spend)
        return self._count_day(ordinal_at(self.zone, at), spend)

    # -- hours

    def _count_hour(self, hour: int, spend: int) -> None:
        if hour == self.hour:
            self.net += spend
        elif hour > self.hour:
            if self.net > 0:
                self.positive = self.hour
            self.hour, self.net = hour, spend
        elif self.positive is not UNKNOWN and (hour > self.positive if spend > 0 else hour == self.positive):
            self.positive = UNKNOWN

    def positive_hour(self, before: Callable[[int], int]) -> int | None:
        """
        The start of the latest hour with positive net spend; None where there is none.

        *before* looks for the latest such hour before an hour, in the cells; NEVER where there is none.
        """
        if self.net > 0:
            return self.hour * HOUR
        if self.positive is UNKNOWN:
            self.positive = before(self.hour)
        return None if self.positive == NEVER else self.positive * HOUR

    # -- days

    def _count_day(self, day: int, spend: int) -> bool:
        if day == self.day:
            self.spend += spend
            return False
        if day > self.day:
            self.past = _packed(self._before(day))
            self.day, self.spend = day, spend
            return True
        age = self.day - day
        if age > DAYS_BEFORE:
            return False
        days = unpack_days(self.past)
        days += [0] * (age - len(days))
        days[age - 1] += spend
        self.past = _packed(days)
        return True

    def days(self, day: int) -> LastDays:
        """The spend of a day, none before the latest one, and of those before it."""
        if day == self.day:
            return LastDays(self.spend, (day, self.past), partial(self._before, day))
        return LastDays(0, (self.day, self.spend, self.past), partial(self._before, day))

    def _before(self, day: int) -> list[int]:
        """The spend of the days before a day that is not before the latest one."""
        days = unpack_days(self.past)
        gap = day - self.day
        if gap:
            days = [*[0] * min(gap - 1, DAYS_BEFORE), self.spend, *days]
        days = days[:DAYS_BEFORE]
        return days + [0] * (DAYS_BEFORE - len(days))


def _packed(days: list[int]) -> bytes:
    """Days as a record holds them: the zeros at the end are left out."""
    kept = len(days)
    while kept and not days[kept - 1]:
        kept -= 1
    return encode([pack_amount(spend) for spend in days[:kept]])


def unpack_days(packed: bytes) -> list[int]:
    """What `_packed` wrote."""
    return [unpack_amount(amount) for amount in decode(packed)]
