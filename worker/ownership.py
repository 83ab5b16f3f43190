"""
Which partitions this worker owns, and what becomes of them: assigned, restored, open, closed, lost.

    assigned ─▶ fence the last owner ─▶ restore ─▶ open: fold, save, tick ─▶ revoked: close, save ─┬▶ again: open
                                                                                                   └▶ not: dropped

On a rebalance Kafka's eager protocol takes every partition away and gives most of them back. Those that come back
keep their ledger and producer. That is safe: whoever owned such a partition in between has fenced this producer, so
the first checkpoint on a stale ledger fails, and ends the process.

What is restored at the same time is opened together: a tick that is due in the first partition would take the
processor from the others.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from typing import TYPE_CHECKING, NoReturn, Protocol
from weakref import WeakSet

from faust.types import TP

from worker import restore
from worker.exits import Exit, leave, or_leave
from worker.partition import by_partition
from worker.waiting import cancelled, wait_at_most

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from worker.checkpoint import Checkpoints
    from worker.exits import Watchdog
    from worker.lane import LaneConsumer, Take
    from worker.ledger.newest import Newest
    from worker.metrics import Metrics
    from worker.partition import Partition
    from worker.restore import Changelog
    from worker.saver import Saver
    from worker.settings import Settings
    from worker.tick import Ticks

log = logging.getLogger(__name__)

NO_ROOM_SECONDS = 0.05
# Longer than the slowest member may take to join a rebalance (Faust: 60 s).
ASSIGNED_SECONDS = 120.0


class Parts(Protocol):
    """What an owned partition is made of; `worker.app` says how."""

    def checkpoints(self, number: int) -> Checkpoints:
        """Its transactions."""

    def changelog(self, number: int) -> Changelog:
        """Its history."""

    def account_changelog(self, number: int) -> Changelog:
        """The history of its accounts."""

    def partition(self, number: int) -> Partition:
        """Its ledger, empty."""

    def saver(self, partition: Partition, checkpoints: Checkpoints) -> Saver:
        """Its checkpoints, in time."""

    def ticks(self, partition: Partition, saver: Saver) -> Ticks:
        """Its ticks."""


class Held:
    """A partition that is restored: its parts and, while it is open, the tasks that run them."""

    def __init__(self, partition: Partition, checkpoints: Checkpoints, saver: Saver, ticks: Ticks) -> None:
        self.partition = partition
        self.checkpoints = checkpoints
        self.saver = saver
        self._ticks = ticks
        self._saving: asyncio.Task[None] | None = None
        self._ticking: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Let it fold, save and tick."""
        number = self.partition.number
        self._ticks.expect()
        self.partition.is_open = True
        saving = or_leave(Exit.CHECKPOINT, f"the checkpoint of partition {number} failed", self.saver.run())
        ticking = or_leave(Exit.DEFECT, f"the tick of partition {number} failed", self._ticks.run())
        self._saving, self._ticking = asyncio.create_task(saving), asyncio.create_task(ticking)

    async def close(self) -> None:
        """Fold no more, and save what was folded."""
        self.partition.is_open = False
        await cancelled(self._ticking)
        self.saver.stop()
        if self._saving is not None:
            await self._saving
        self._ticking = self._saving = None


class Ownership:
    """
    The partitions of this worker. The lane asks it where each stands; Faust's signals tell it what it owns.

    *ticked* are the inputs that a tick waits for, plans first; *beside* those of the accounts.
    """

    def __init__(
        self,
        settings: Settings,
        ticked: tuple[str, ...],
        beside: tuple[str, ...],
        parts: Parts,
        watchdog: Watchdog,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._ticked = ticked
        self._topics = (*ticked, *beside)
        self._parts = parts
        self._watchdog = watchdog
        self._metrics = metrics
        self._opening: dict[int, asyncio.Task[None]] = {}
        self._on_their_way: WeakSet[Take] = WeakSet()
        self._room = asyncio.Event()
        self.held: dict[int, Held] = {}
        self.consumer: LaneConsumer
        self.was_assigned = False
        metrics.queue_limit_items.labels("lane").set(settings.unfolded_messages)
        metrics.partitions_expected.set(settings.partitions)
        metrics.partitions.labels("restoring").set_function(lambda: self.restoring)
        metrics.partitions.labels("live").set_function(lambda: self._live)
        metrics.partitions.labels("suspended").set_function(lambda: len(self.held) - self._live)

    @property
    def _live(self) -> int:
        return sum(held.partition.is_open for held in self.held.values())

    # --- asked by the lane -------------------------------------------------------------------------------------------

    def position(self, topic: str, partition: int) -> int | None:
        """Where the partition stands; None while it is not open for this topic."""
        held = self.held.get(partition)
        return held.partition.position(topic) if held is not None else None

    async def room(self) -> None:
        """Return when more may be fetched: few takes wait to be folded, and not too much waits for a checkpoint."""
        while self._is_full():
            self._room.clear()
            began = time.monotonic()
            await wait_at_most(self._room, NO_ROOM_SECONDS)
            self._metrics.backpressure_seconds.labels("lane").inc(time.monotonic() - began)

    def _is_full(self) -> bool:
        waiting = len(self._on_their_way)
        self._metrics.queue_items.labels("lane").set(waiting)
        return waiting >= self._settings.unfolded_messages or any(h.partition.is_full for h in self.held.values())

    def handed_out(self, takes: Iterable[Take]) -> None:
        """These take up room until they are folded; weakly held, because Faust may throw them away."""
        self._on_their_way.update(takes)

    def input_lost(self, sentence: str) -> NoReturn:
        """The log no longer holds what comes next."""
        leave(Exit.INPUT_LOST, sentence)

    # --- asked by the agents -----------------------------------------------------------------------------------------

    async def fold(self, take: Take) -> None:
        """Fold what one fetch returned, unless it is stale; where the chain is broken, read again."""
        tp = TP(take.topic, take.partition)
        held = self.held.get(take.partition)
        if held is None or take.epoch != self.consumer.epoch(tp):
            self._dropped(take, "not_owned" if held is None else "stale")
        elif not await held.partition.fold(take):
            self._dropped(take, "gap")
            await self.consumer.reposition([tp])
        self._on_their_way.discard(take)
        self._room.set()

    def _dropped(self, take: Take, reason: str) -> None:
        self._metrics.batches_dropped.labels(reason).inc(len(take.batches))

    # --- asked by the ticks ------------------------------------------------------------------------------------------

    async def ends(self, number: int) -> dict[str, int]:
        """The offset at which each input that a tick waits for ends now, by topic."""
        ends = await self.consumer.lane_thread.end_offsets([TP(topic, number) for topic in self._ticked])
        return {tp.topic: end for tp, end in ends.items()}

    async def reopen_plans(self, number: int) -> None:
        """Let plans in again, which waited for the tick to close."""
        await self.consumer.let_in([TP(self._topics[0], number)])

    # --- told by Faust's signals -------------------------------------------------------------------------------------

    async def assigned(self, tps: Iterable[TP]) -> None:
        """Drop what is lost, open again what came back, restore what is new."""
        numbers = self._copartitioned(tps)
        self._watchdog.kept(self)
        self.was_assigned = True
        self._metrics.rebalances.inc()
        for number in self.held.keys() - numbers:
            await self._drop(number)
        for number in sorted(numbers - self.held.keys()):
            work = or_leave(Exit.RESTORE_FAILED, f"partition {number} was not restored", self._restore(number))
            self._opening[number] = asyncio.create_task(work)
        await self._let_in()

    async def revoked(self) -> None:
        """Close every partition and save it; those that come back are opened again."""
        self._watchdog.promise(
            self, ASSIGNED_SECONDS, Exit.INPUT_STALLED, f"the group assigned nothing within {ASSIGNED_SECONDS:g} s"
        )
        opening, self._opening = self._opening, {}
        await cancelled(*opening.values())
        await asyncio.gather(*(held.close() for held in self.held.values()))
        self._on_their_way.clear()
        await self.consumer.lane_thread.tell_lag_tools(self.saved())

    async def stop(self) -> None:
        """Save everything and let go of it."""
        await self.revoked()
        self._watchdog.kept(self)
        for number in list(self.held):
            await self._drop(number)

    def saved(self) -> dict[TP, int]:
        """Where the inputs of each partition stood at its last committed checkpoint."""
        return {
            TP(topic, number): offset
            for number, held in self.held.items()
            for topic, offset in held.saver.saved.items()
        }

    def standing(self) -> dict[TP, int]:
        """Where each input that may be folded now stands."""
        places = ((tp, self.position(*tp)) for number in self.held for tp in self.inputs(number))
        return {tp: at for tp, at in places if at is not None}

    @property
    def all_open(self) -> bool:
        """Whether every restored partition is open, that is none is closed by a rebalance or a stop."""
        return all(held.partition.is_open for held in self.held.values())

    @property
    def restoring(self) -> int:
        """How many partitions are assigned and not yet restored."""
        return len(self._opening)

    def _copartitioned(self, tps: Iterable[TP]) -> set[int]:
        """The numbers assigned, which must be the same for every input: a campaign's plan and spend meet in one."""
        numbers = by_partition(tps)
        first = self._topics[0]
        mine = numbers.get(first, set())
        for topic in self._topics[1:]:
            others = numbers.get(topic, set())
            if others != mine:
                leave(
                    Exit.NOT_COPARTITIONED,
                    f"assigned partitions {sorted(mine)} of {first}, but {sorted(others)} of {topic}:"
                    " do both topics have the same number of partitions?",
                )
        return mine

    # --- one partition -----------------------------------------------------------------------------------------------

    async def _restore(self, number: int) -> None:
        """Fence, read the changelog, and open if no other is restored still."""
        began = time.monotonic()
        checkpoints = self._parts.checkpoints(number)
        try:
            with self._watchdog.limit(
                checkpoints,
                restore.STALL_SECONDS,
                Exit.RESTORE_FAILED,
                f"no answer while fencing the last owner of partition {number}",
            ):
                await checkpoints.start()
            held = await self._read(number, checkpoints)
        except asyncio.CancelledError:
            await checkpoints.stop()
            raise
        self.held[number] = held
        self._opening.pop(number, None)
        if not self._opening:
            collect_and_freeze()
            await self._let_in()
        self._metrics.restore_seconds.observe(time.monotonic() - began)
        log.info("partition %d restored in %.2f s", number, time.monotonic() - began)

    async def _read(self, number: int, checkpoints: Checkpoints) -> Held:
        """Ask and read everything at once: nobody else writes any more, and much of it is waiting for answers."""
        partition = self._parts.partition(number)
        accounts = partition.accounts
        changelog, account_changelog = self._parts.changelog(number), self._parts.account_changelog(number)
        bounds, records, account_records = await asyncio.gather(
            self._bounds(number), changelog.read(), account_changelog.read()
        )
        self._metrics.restore_records.inc(changelog.records_read + account_changelog.records_read)
        _load(partition.ledger, records, _of(bounds, self._ticked))
        _load(accounts.ledger, account_records, _of(bounds, accounts.topics))
        saver = self._parts.saver(partition, checkpoints)
        return Held(partition, checkpoints, saver, self._parts.ticks(partition, saver))

    async def _bounds(self, number: int) -> dict[str, restore.Bounds]:
        thread = self.consumer.lane_thread
        tps = self.inputs(number)
        sentence = f"no broker said where the inputs of partition {number} begin and end while it was restored"
        with self._watchdog.limit(("bounds", number), restore.STALL_SECONDS, Exit.RESTORE_FAILED, sentence):
            begin, end, *committed = await asyncio.gather(
                thread.begin_offsets(tps), thread.end_offsets(tps), *map(thread.committed, tps)
            )
        return {tp.topic: restore.Bounds(begin[tp], end[tp], of) for tp, of in zip(tps, committed, strict=True)}

    def inputs(self, number: int) -> list[TP]:
        """The input partitions of one number."""
        return [TP(topic, number) for topic in self._topics]

    async def _let_in(self) -> None:
        """Open what is restored: in any order with Faust's own resuming, so everything is done here."""
        closed = [held for held in self.held.values() if not held.partition.is_open]
        for held in closed:
            held.open()
        if closed:
            await self.consumer.let_in([tp for held in closed for tp in self.inputs(held.partition.number)])

    async def _drop(self, number: int) -> None:
        """Forget a partition that another worker has now."""
        await self.held.pop(number).checkpoints.stop()
        self._metrics.forget_partition(number)


def _of(bounds: Mapping[str, restore.Bounds], topics: Iterable[str]) -> dict[str, restore.Bounds]:
    return {topic: bounds[topic] for topic in topics}


def _load(ledger: restore.Restorable, records: Newest, bounds: Mapping[str, restore.Bounds]) -> None:
    if not restore.load(ledger, records):
        restore.begin_anew(ledger, bounds)
    restore.check(ledger, bounds)


def collect_and_freeze() -> None:
    """
    Take a restored ledger out of the cyclic collector's sight: it holds millions of objects and no cycles.

    Measured: with the default thresholds the collector costs a fifth to a third of the intake.
    """
    gc.collect()
    gc.freeze()
