"""
One partition of the worker: its ledger, what waits for its next checkpoint, and whether it is open.

Everything that changes a ledger is synchronous: a batch is folded, a slice of a tick is judged, a cut is taken, each
in one go. So at every await the ledger is consistent, whatever comes in between: a rebalance, a stop, a crash.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

from worker.checkpoint import Cut, Written
from worker.events import Origin, dead_letter_headers
from worker.exits import Exit, leave
from worker.joining import joined
from worker.pacing import Printed
from worker.topics import dead_letter_topic
from worker.waiting import wait_at_most

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prometheus_client import Gauge

    from worker.accounts import AccountStage
    from worker.events import EventWriter, Message
    from worker.lane import Fetched, Take
    from worker.ledger import Folded, Ledger, RecordBatch, Refused
    from worker.ledger.accounts import AccountLedger
    from worker.metrics import Metrics
    from worker.pacing import Event

# How long one partition may keep the event loop to itself while it folds.
TURN_SECONDS = 0.01
# Bytes of events and dead letters that make a checkpoint early: a message may be a megabyte, and all may be refused.
OUTBOX_BYTES = 16 * 1024 * 1024
# How many times what makes a checkpoint early may wait for one before fetching pauses.
FULL = 4


class Outbox:
    """What waits for the next checkpoint: events and dead letters, by topic; *size_bytes* is that of their values."""

    def __init__(self, partition: int, writer: EventWriter) -> None:
        self.size_bytes = 0
        self._partition = partition
        self._writer = writer
        self._waiting: defaultdict[str, list[Written | Message]] = defaultdict(list)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def tell(self, event: Event | Printed) -> None:
        """An event the pacing core made."""
        if isinstance(event, Printed):
            message = self._writer.printed(event)
            self._add(message.topic, message)
        else:
            self.event(event.body)

    def event(self, body: dict[str, object]) -> None:
        """An event by its body."""
        message = self._writer.message(body)
        self._add(message.topic, message)

    def dead_letter(self, topic: str, refused: Refused) -> None:
        """An input that could not be accepted: its bytes untouched, the reason in headers."""
        origin = Origin(topic, self._partition, refused.offset)
        headers = dead_letter_headers(origin, reason=refused.reason, field=refused.field, detail=refused.detail)
        self._add(dead_letter_topic(topic), Written(refused.key, refused.value, headers))

    def _add(self, topic: str, written: Written | Message) -> None:
        self._waiting[topic].append(written)
        self.size_bytes += len(written.value or b"")

    def drain(self) -> dict[str, list[Written | Message]]:
        """All of it, which the next checkpoint writes."""
        drained = dict(self._waiting)
        self._waiting.clear()
        self.size_bytes = 0
        return drained


class InputCounts:
    """
    What became of one input of one partition, in metrics.

    Each is looked up once: looking one up by its labels costs as much as folding a record, and a batch needs seven.
    """

    def __init__(self, metrics: Metrics, topic: str, partition: int) -> None:
        self._metrics = metrics
        self._labels = (topic, str(partition))
        self.fold_seconds = metrics.fold_seconds.labels(topic)
        self._batches = metrics.input_batches.labels(topic)
        self._accepted = metrics.inputs.labels(topic, "accepted")
        self._duplicates = metrics.inputs.labels(topic, "duplicate")
        self._rejected = metrics.inputs.labels(topic, "rejected")
        self._late = metrics.refused_late.labels(topic)

    @cached_property
    def _newest(self) -> Gauge:
        """Made with the first record: before it, the newest one would be of 1970."""
        return self._metrics.input_newest_record.labels(*self._labels)

    def count(self, records: RecordBatch, folded: Folded) -> None:
        """Count a batch."""
        self._batches.inc()
        self._accepted.inc(folded.accepted)
        self._duplicates.inc(folded.duplicates)
        self._newest.set(records.max_timestamp / 1000)
        if folded.refused or folded.late:
            self._refuse(folded)

    def _refuse(self, folded: Folded) -> None:
        self._rejected.inc(len(folded.refused))
        self._late.inc(len(folded.late))
        for refused in (*folded.refused, *folded.late):
            self._metrics.dead_letters.labels(self._labels[0], refused.reason).inc()


class Partition:
    """
    One partition that this worker owns: its campaigns' ledger and, beside it, its *accounts*.

    *inputs* are the campaigns', plans and spend; where it stands in each input is in ``positions``. So many
    *most_unsaved* updates make a checkpoint early. Within *width_ms* of record time the ledger forgets nothing.
    """

    def __init__(
        self,
        ledger: Ledger,
        outbox: Outbox,
        *,
        inputs: tuple[str, str],
        accounts: AccountStage,
        metrics: Metrics,
        most_unsaved: int,
        width_ms: int,
    ) -> None:
        self.number = ledger.partition
        self.ledger = ledger
        self.outbox = outbox
        self.accounts = accounts
        self.is_open = False
        self.opened_tick: int | None = None
        self.moved = asyncio.Event()
        self.checkpoint_wanted = asyncio.Event()
        self._unsaved = 0
        self._most_unsaved = most_unsaved
        self._width_ms = width_ms
        self._plans, self._spend = inputs
        self._metrics = metrics
        self._counts = {topic: InputCounts(metrics, topic, self.number) for topic in self.topics}

    @property
    def topics(self) -> tuple[str, ...]:
        """The input topics, the campaigns' first."""
        return (self._plans, self._spend, *self.accounts.topics)

    @property
    def positions(self) -> dict[str, int]:
        """The next offset of every input."""
        return {**self.ledger.positions, **self.accounts.ledger.positions}

    @property
    def saved_positions(self) -> dict[str, int]:
        """From where every input would be read again after a checkpoint taken now."""
        return {**self.ledger.positions, **self.accounts.ledger.saved_positions()}

    @property
    def is_full(self) -> bool:
        """Whether so much waits for a checkpoint that no more should be fetched until one is taken."""
        return self._waits_for_a_checkpoint(FULL)

    def _waits_for_a_checkpoint(self, times: int = 1) -> bool:
        """Whether there is so many times what makes a checkpoint early."""
        return self._unsaved >= times * self._most_unsaved or self.outbox.size_bytes >= times * OUTBOX_BYTES

    def accepts(self, topic: str) -> bool:
        """Whether input of *topic* may be folded now: a plan may not change under a tick that is being taken."""
        return self.is_open and (topic != self._plans or self.ledger.tick is None)

    def position(self, topic: str) -> int | None:
        """The next offset of *topic*; None while its input may not be folded."""
        return self._of(topic).positions[topic] if self.accepts(topic) else None

    def _of(self, topic: str) -> Ledger | AccountLedger:
        """Whose input *topic* is."""
        return self.accounts.ledger if topic in self.accounts.topics else self.ledger

    async def fold(self, take: Take) -> bool:
        """
        Fold what continues where the partition stands; False when the chain is broken and must be read again.

        Others get their turn between two record batches, so the chain is looked at before each.
        """
        turn = time.perf_counter()
        for fetched in self._batches(take):
            if not self.accepts(take.topic):
                return True
            if self._of(take.topic).positions[take.topic] != fetched.start:
                return False
            self._fold_batch(take.topic, fetched)
            if take.topic == self.accounts.parts:
                await self._judge_accounts()
            if time.perf_counter() - turn > TURN_SECONDS:
                await asyncio.sleep(0)
                turn = time.perf_counter()
        return True

    def _fold_batch(self, topic: str, fetched: Fetched) -> None:
        if fetched.records is not None and fetched.records.values:
            counts = self._counts[topic]
            with counts.fold_seconds.time():
                folded = self._folding(topic)(fetched.records)
            counts.count(fetched.records, folded)
            for refused in (*folded.refused, *folded.late):
                self.outbox.dead_letter(topic, refused)
        self._of(topic).advance(topic, fetched.end)
        self._unsaved += fetched.end - fetched.start
        if self._waits_for_a_checkpoint():
            self.checkpoint_wanted.set()
        self.moved.set()

    def _folding(self, topic: str) -> Callable[[RecordBatch], Folded]:
        if topic in self.accounts.topics:
            return self.accounts.fold
        return self.ledger.fold_plans if topic == self._plans else self.ledger.fold_spend

    async def _judge_accounts(self) -> None:
        """Tell the accounts of every tick that is due. What a rebalance cuts short the next parts' coming ends."""
        while self.is_open and (events := self.accounts.judge_some()) is not None:
            self.tell(events)
            await asyncio.sleep(0)

    def tell(self, events: Sequence[Event | Printed]) -> None:
        """Events the pacing core made, for the next checkpoint."""
        for event in events:
            self.outbox.tell(event)
        # Looking a metric up by its label costs as much as an event's headers.
        for kind, count in Counter([event.kind for event in events]).items():
            self._metrics.events.labels(kind).inc(count)

    def _batches(self, take: Take) -> Iterable[Fetched]:
        """What is folded at a time: a plan costs a hundred times as much as an update, so theirs are not joined."""
        return joined(self._checked(take), self._width_ms) if take.topic == self._spend else take.batches

    def _checked(self, take: Take) -> Iterator[Fetched]:
        """Spend is never compacted: a missing offset is a lost update, and no figure after it would be right."""
        for fetched in take.batches:
            if _has_hole(fetched):
                leave(
                    Exit.INPUT_LOST,
                    f"{take.topic}-{take.partition} lacks records between {fetched.start} and {fetched.end}:"
                    " is it compacted? Spend must be kept whole",
                )
            yield fetched

    def cut(self) -> Cut | None:
        """Everything since the last cut, taken in one go; None when there is nothing."""
        if self.ledger.tick is not None:
            self.accounts.add_up(self.ledger, self.ledger.tick)
        outputs = self.outbox.drain()
        accounts = self.accounts.changes()
        if accounts:
            outputs[self.accounts.changelog] = list(accounts)
        changes = self.ledger.changes()
        self._unsaved = 0
        if not outputs and not changes:
            return None
        tick, self.opened_tick = self.opened_tick, None
        parts = {(self.accounts.parts, number): written for number, written in self.accounts.drain().items()}
        return Cut(outputs, changes, self.saved_positions, tick, parts)

    def has_read(self, ends: dict[str, int]) -> bool:
        """Whether every input is folded up to *ends*."""
        return all(self.ledger.positions[topic] >= end for topic, end in ends.items())

    async def read_up_to(self, ends: dict[str, int], deadline_seconds: float) -> bool:
        """Wait until every input is folded up to *ends*; False at the deadline (monotonic seconds)."""
        while not self.has_read(ends):
            self.moved.clear()
            left = deadline_seconds - time.monotonic()
            if left <= 0:
                return False
            await wait_at_most(self.moved, left)
        return True


def _has_hole(fetched: Fetched) -> bool:
    return fetched.records is not None and fetched.records.offsets != range(fetched.start, fetched.end)


def by_partition(tps: Iterable[tuple[str, int]]) -> dict[str, set[int]]:
    """The partition numbers of each topic."""
    numbers: defaultdict[str, set[int]] = defaultdict(set)
    for topic, number in tps:
        numbers[topic].add(number)
    return dict(numbers)
