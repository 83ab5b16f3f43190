"""
Ticks over a stream in the order it arrived: tick T is taken before the first line that is dated after T.

    12:10  12:40 | 13:05  12:50  13:20 | 14:01        ticks at 13:00 and 14:00; 12:50 is late for the first
             13:00                   14:00

A line that is refused for its form is dated by nothing. Source: contract, rule 22; what it leaves open: without a first
tick it is the first multiple of the time between ticks since 1970 (as the worker's are) at or after the first line's
event time; without a last one, the first tick that counts every line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from schemas.wire import SpendUpdate, check_update, decode_updates
from worker.faults import Faults
from worker.ledger import CampaignEvent, Ledger, LedgerLimits
from worker.offline import fold_plans, fold_spend, take_tick
from worker.recorded import Items, read

NEVER: Final = -1
NEVER_AGAIN: Final = 1 << 63
"""After every event time."""

Tell = Callable[[Ledger, int, Iterator[CampaignEvent]], None]
"""Takes what a tick of a ledger leads to, all of it."""


class Span(NamedTuple):
    """The first and the last tick, where they are given."""

    first: int | None
    last: int | None

    def holds(self, tick: int) -> bool:
        """Whether *tick* lies between them."""
        return (self.first is None or self.first <= tick) and (self.last is None or tick <= self.last)


class Stream:
    """A ledger that is fed in the order of arrival, and the ticks between, *every* so many nanoseconds."""

    def __init__(self, name: str, every: int, span: Span, tell: Tell, faults: Faults) -> None:
        self.ledger = Ledger(0, 0, LedgerLimits.unbounded(tick_nanos=every))
        self._name = name
        self._every = every
        self._last = span.last
        self._tell = tell
        self._faults = faults
        self._next: int | None = None
        self._latest = NEVER
        if span.first is not None:
            self._begin(span.first)

    def _begin(self, tick: int) -> None:
        self._next = tick
        self.ledger.expect_tick(tick)

    def feed(self, items: Items) -> None:
        """Fold *items*, and take each tick before the first of them that is dated after it."""
        times = list(map(_event_time, decode_updates(items.values)))
        self._latest = max(self._latest, *times) if times else self._latest
        first = next((at for at in times if at != NEVER), None)
        if self._next is None and first is not None:
            self._begin(first + -first % self._every)
        folded, coming = 0, self._coming
        for place, at in enumerate(times):
            if at > coming:
                self._fold(items, folded, place)
                folded = place
                self._take_until(at - 1)
                coming = self._coming
        self._fold(items, folded, len(times))

    @property
    def _coming(self) -> int:
        """The next tick that a line may cause."""
        is_over = self._next is None or (self._last is not None and self._next > self._last)
        return NEVER_AGAIN if is_over or self._next is None else self._next

    def _fold(self, items: Items, start: int, stop: int) -> None:
        if start < stop:
            fold_spend(self.ledger, self._name, items.part(start, stop), self._faults)

    def end(self) -> None:
        """Take the ticks after the last line."""
        if self._next is None:
            self._faults.tell_option("--from", f"needed, as {self._name} has no line to begin with")
            return
        self._take_until(max(self._latest + self._every - 1, self._next) if self._last is None else self._last)

    def _take_until(self, last: int) -> None:
        """Take every tick up to and including *last*."""
        last = last if self._last is None else min(last, self._last)
        while self._next is not None and self._next <= last:
            tick, self._next = self._next, self._next + self._every
            self._tell(self.ledger, tick, take_tick(self.ledger, tick))


def _event_time(update: SpendUpdate | None) -> int:
    checked = None if update is None else check_update(update)
    return NEVER if checked is None else checked[0]


def replay(plan: str, spend: str, every: int, span: Span, tell: Tell, faults: Faults, *, bar: bool) -> None:
    """Take every tick of the stream in the file *spend* under the plans in the file *plan*."""
    stream = Stream(spend, every, span, tell, faults)
    fold_plans(stream.ledger, plan, faults)
    if faults.a_file_is_unread:
        return
    for items in read(spend, faults, bar=bar):
        stream.feed(items)
    if not faults.a_file_is_unread:
        stream.end()
