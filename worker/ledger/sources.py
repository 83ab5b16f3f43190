"""
The sources of a partition: when each last reported anything, for any campaign.

It is told by event time: as of tick T a source has reported what it sent with event_time <= T, whenever that came. What
is dated later is kept apart by the minute until its tick comes. The cut of a tick is fixed when it opens, since what is
folded while it is taken must not count. Which sources have reported for a campaign is the campaign's (`Campaign`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from schemas.fields import NANOS
from worker.ledger.cells import NEVER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

MINUTE: Final = 60 * NANOS
AHEAD: Final = 1_000
"""Minutes to come that a source is remembered to have reported for; of more, the nearest."""

OTHERS: Final = ""
"""The name under which all sources stand together that are beyond the limit; no id is empty."""

Ahead = dict[int, tuple[int, int]]
"""The earliest and the latest event time by minute."""


class Source:
    """One source."""

    __slots__ = ("ahead", "at_tick", "changed", "latest", "name", "rows")

    def __init__(self, name: str) -> None:
        self.name = name
        self.latest = NEVER
        """The latest event time that is not after the next tick."""
        self.at_tick = NEVER
        """The latest event time that the open tick, else the last one, counts."""
        self.ahead: Ahead = {}
        self.rows = bytearray()
        """By the row of a campaign: whether it is known that the source has reported for it."""
        self.changed = True

    def hear(self, at: int, coming: int | None) -> None:
        """It has reported something dated *at*; *coming* is the next tick."""
        if coming is not None and at <= coming:
            if at > self.latest:
                self.latest = at
                self.changed = True
            return
        minute = at // MINUTE
        earliest, latest = self.ahead.get(minute, (at, at))
        self.put_ahead(minute, min(earliest, at), max(latest, at))

    def hear_all(self, at: Integers, coming: int | None) -> None:
        """The same for a column of event times."""
        later = at if coming is None else at[at > coming]
        if len(later) < len(at) and coming is not None:
            self.hear(int(at[at <= coming].max()), coming)
        for instant in later.tolist():
            self.hear(instant, coming)

    def put_ahead(self, minute: int, earliest: int, latest: int) -> None:
        """Remember a minute to come."""
        self.ahead[minute] = earliest, latest
        self.changed = True
        if len(self.ahead) > AHEAD:
            del self.ahead[max(self.ahead)]

    def cut(self, tick: int) -> None:
        """Fix what *tick* counts."""
        for minute in [minute for minute in self.ahead if minute <= tick // MINUTE]:
            earliest, latest = self.ahead[minute]
            if latest <= tick:
                del self.ahead[minute]
            due = latest if latest <= tick else earliest
            if self.latest < due <= tick:
                self.latest = due
        if self.at_tick != self.latest:
            self.at_tick = self.latest
            self.changed = True

    def packed(self) -> list[Any]:
        """What its record holds, after the version."""
        ahead = [[minute, *times] for minute, times in sorted(self.ahead.items())]
        return [_or_none(self.latest), _or_none(self.at_tick), ahead]

    def merge(self, latest: int | None, at_tick: int | None, ahead: Iterable[tuple[int, int, int]]) -> None:
        """Know what a record says as well."""
        self.latest = max(self.latest, NEVER if latest is None else latest)
        self.at_tick = max(self.at_tick, NEVER if at_tick is None else at_tick)
        for minute, earliest, last in ahead:
            known = self.ahead.get(minute, (earliest, last))
            self.put_ahead(minute, min(known[0], earliest), max(known[1], last))


def _or_none(instant: int) -> int | None:
    return None if instant == NEVER else instant


class Sources:
    """The sources of a partition, *most* of them by name."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_name: dict[str, Source] = {}

    def __iter__(self) -> Iterator[Source]:
        return iter(self._by_name.values())

    def of(self, name: str) -> Source:
        """The source of that name, a new one if it was not met; beyond the limit all others are one."""
        source = self._by_name.get(name)
        if source is None:
            if len(self._by_name) >= self._most and name != OTHERS:
                return self.of(OTHERS)
            source = self._by_name[name] = Source(name)
        return source

    def cut(self, tick: int) -> None:
        """Fix what *tick* counts."""
        for source in self:
            source.cut(tick)

    def reports(self, names: Iterable[str]) -> dict[str, int | None]:
        """When each of the sources called *names* last reported as of the tick; where there are none, each of all."""
        known = [self._by_name[name] for name in names if name in self._by_name] or [*self]
        return {source.name: _or_none(source.at_tick) for source in known}

    def changed(self) -> Iterator[Source]:
        """Those that changed since this was last asked, by name."""
        for _, source in sorted(self._by_name.items()):
            if source.changed:
                source.changed = False
                yield source
