"""
The ticks a live worker took, over the input each of them covered: its events again, byte for byte.

    tick_closed   {"partition":1, "tick":"...", "complete":true, "next_offsets":{plans: 12, spend: 4711}}
    partition 1   plans    0 ... 11 | 12 ...          what lies before its offsets a tick counts,
                  spend    0 ... 4710 | 4711 ...      however it is dated

Each partition has a ledger of its own, as it had live. A recorded message lies where its record says; a file without
records holds each partition's messages in the order of their offsets from 0 on, the partition being that of the
campaign's id. There are as many partitions as the highest one with a cut says; one without a cut was never judged.

What only the live worker knew: between two ticks, which input came first (here it is the plans); in a file without
records, timestamps. Nothing is ever forgotten here, so a duplicate or correction older than the horizon is found.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from math import gcd
from typing import Annotated, Final, NamedTuple

import msgspec

from schemas.fields import NANOS, parse_time
from worker.faults import Fault, Faults
from worker.ledger import Ledger, LedgerLimits, RecordBatch
from worker.offline import take_tick
from worker.recorded import read
from worker.replay.arrival import Tell
from worker.replay.logs import Column, Log

ANY: Final = 60 * NANOS
"""Where there is one cut only, no time between ticks is better than another."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Partition = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class Topics(NamedTuple):
    """The names of the inputs in `next_offsets`."""

    plans: str
    spend: str


class TickClosed(msgspec.Struct):
    """What is read of a `tick_closed` event."""

    partition: _Partition
    tick: str
    complete: bool
    next_offsets: dict[str, _Count]


class Cut(NamedTuple):
    """A tick of a partition, and the input it covers."""

    number: int
    """By which a person finds it in its file."""
    partition: int
    tick: int
    complete: bool
    next_offsets: dict[str, int]


_closed = msgspec.json.Decoder(TickClosed)


# --- the cuts --------------------------------------------------------------------------------------------------------


def read_cuts(name: str, topics: Topics, faults: Faults) -> dict[int, list[Cut]]:
    """The cuts in the file called *name*, by partition and in order; what is wrong with one is told."""
    cuts: dict[int, list[Cut]] = {}
    for items in read(name, faults):
        for number, value in zip(items.numbers, items.values, strict=True):
            try:
                cut = _cut(number, value or b"null")
                before = cuts.setdefault(cut.partition, [])
                _check(cut, before[-1] if before else None, topics)
                before.append(cut)
            except (ValueError, RecursionError) as error:
                faults.tell(Fault(name, number, "", f"no cut to go by: {error}"))
    if not cuts and not faults.found:
        faults.tell(Fault(name, 1, "", "there is no cut in the file"))
    return cuts


def _cut(number: int, value: bytes) -> Cut:
    closed = _closed.decode(value)
    return Cut(number, closed.partition, parse_time(closed.tick), closed.complete, closed.next_offsets)


def _check(cut: Cut, before: Cut | None, topics: Topics) -> None:
    """Raises ValueError where a cut cannot follow the one before it."""
    for topic in topics:
        if topic not in cut.next_offsets:
            raise ValueError(f"its next_offsets do not name the topic {topic}, which the settings say is an input")
    if before is not None and cut.tick <= before.tick:
        raise ValueError(f"its tick is not after that of item {before.number}, of the same partition")
    if before is not None and any(cut.next_offsets[topic] < before.next_offsets[topic] for topic in topics):
        raise ValueError(f"it covers less than item {before.number}, of the same partition")


# --- a partition -----------------------------------------------------------------------------------------------------


class Partition:
    """One partition as it was: its ledger, its plans, and the cuts still to come."""

    def __init__(self, ledger: Ledger, cuts: list[Cut], topics: Topics, logs: Logs, tell: Tell) -> None:
        self.ledger = ledger
        self._cuts = iter(cuts)
        self._topics = topics
        self._logs = logs
        self._tell = tell
        self._plans = logs.plans.get(ledger.partition, Column())
        self._planned = 0
        for topic in cuts[0].next_offsets:  # in whose order a snapshot names them
            ledger.advance(topic, 0)
        self._cut = self._next()

    def _next(self) -> Cut | None:
        """The next cut, the plans before it being folded."""
        cut = next(self._cuts, None)
        if cut is not None and self._has(self._logs.plan, self._topics.plans, cut):
            self.ledger.expect_tick(cut.tick)
            self._fold_plans(bisect_left(self._plans.offsets, cut.next_offsets[self._topics.plans]))
            return cut
        return None

    def _has(self, log: Log, topic: str, cut: Cut) -> bool:
        """Whether all that *cut* covers of an input is here; if not, that is told."""
        partition, end = self.ledger.partition, cut.next_offsets[topic]
        if log.reaches(partition, end):
            return True
        message = f"it covers {topic}-{partition} up to offset {end}, but {log.name} ends at {log.end(partition)}"
        self._logs.faults.tell(Fault(self._logs.cuts, cut.number, "next_offsets", message))
        return False

    def _fold_plans(self, stop: int) -> None:
        plans, log, partition = self._plans, self._logs.plan, self.ledger.partition
        for at in range(self._planned, stop):
            offsets, keys, values = plans.offsets[at : at + 1], plans.keys[at : at + 1], plans.values[at : at + 1]
            batch = RecordBatch(self._topics.plans, partition, offsets, keys, values, -1, plans.timestamps[at])
            folded = self.ledger.fold_plans(batch)
            self._logs.faults.tell_plans(log.name, folded, lambda offset: log.number(partition, offset))
        self._planned = stop

    def feed(self, spend: Column) -> None:
        """Fold *spend*, and take each tick that ends in it."""
        start = 0
        while self._cut is not None and spend.offsets[-1] >= (end := self._cut.next_offsets[self._topics.spend]):
            stop = bisect_left(spend.offsets, end, start)
            self._fold(spend, start, stop)
            self._take(self._cut)
            start = stop
        self._fold(spend, start, len(spend.offsets))

    def _fold(self, spend: Column, start: int, stop: int) -> None:
        if start < stop:
            log, partition = self._logs.spend, self.ledger.partition
            offsets, keys, values = spend.offsets[start:stop], spend.keys[start:stop], spend.values[start:stop]
            folded = self.ledger.fold_spend(RecordBatch(self._topics.spend, partition, offsets, keys, values, -1))
            self._logs.faults.tell_spend(log.name, folded, lambda offset: log.number(partition, offset))

    def _take(self, cut: Cut) -> None:
        for topic, offset in cut.next_offsets.items():
            self.ledger.advance(topic, offset)
        self._tell(self.ledger, cut.tick, take_tick(self.ledger, cut.tick, complete=cut.complete))
        self._cut = self._next()

    def end(self) -> None:
        """Take the ticks that end where the file does."""
        while self._cut is not None and self._has(self._logs.spend, self._topics.spend, self._cut):
            self._take(self._cut)


class Logs(NamedTuple):
    """The input of all partitions."""

    cuts: str
    plan: Log
    spend: Log
    plans: dict[int, Column]
    faults: Faults


def replay(plan: str, spend: str, cuts: str, topics: Topics, tell: Tell, faults: Faults, *, bar: bool) -> None:
    """Take the ticks in the file *cuts* over the plans and the spend each covers."""
    by_partition = read_cuts(cuts, topics, faults)
    if faults.found:  # what comes after a tick that is not known would not be what was live
        return
    partitions = max(by_partition) + 1
    plan_log, spend_log = Log(plan, partitions, faults, compacted=True), Log(spend, partitions, faults, compacted=False)
    logs = Logs(cuts, plan_log, spend_log, _all_of(plan_log, faults), faults)
    if faults.a_file_is_unread:
        return
    owned = {
        number: Partition(_ledger(number, partitions, of), of, topics, logs, tell)
        for number, of in by_partition.items()
    }
    for items in read(spend, faults, bar=bar):
        for number, column in spend_log.columns(items).items():
            if number in owned:
                owned[number].feed(column)
    if not faults.a_file_is_unread:
        for partition in owned.values():
            partition.end()


def _all_of(log: Log, faults: Faults) -> dict[int, Column]:
    """All messages of a file, by partition."""
    columns: dict[int, Column] = {}
    for items in read(log.name, faults):
        for number, more in log.columns(items).items():
            columns.setdefault(number, Column()).extend(more)
    return columns


def _ledger(number: int, partitions: int, cuts: list[Cut]) -> Ledger:
    """A ledger whose cells each of the cuts parts, those that are dated ahead as well."""
    every = gcd(*(later.tick - cut.tick for cut, later in pairwise(cuts)))
    return Ledger(number, partitions, LedgerLimits.unbounded(tick_nanos=every or ANY))
