"""
The tick: when a partition is judged. What is judged, and how, is the pacing core's.

Ticks are the whole multiples of a period since 1970 UTC. A partition takes the newest one that is due and that it has
not taken, so those missed while it was down are made up once, by their last.

    due ─▶ read the inputs' ends ─▶ fold up to them, or wait no longer ─▶ open ─▶ slice, slice, slice ─▶ close
                                      (complete)       (incomplete)        │        a checkpoint each so many campaigns
                                                                           └─ fixes what is counted

A slice judges some campaigns and lets others have their turn: a tick over many campaigns takes several checkpoints,
and input is folded between them. The ledger knows how far its tick has come, so a crash resumes inside it. Plans
wait until the tick is closed. The event that closes it travels in the transaction of its last slice.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from schemas.fields import format_time
from worker.census import Census
from worker.pacing import Printed

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.ledger import Ledger
    from worker.metrics import Metrics
    from worker.partition import Partition
    from worker.saver import Saver

NANOS = 10**9
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "pacing")

# Campaigns judged in one go, between two turns of the event loop: two to ten milliseconds. Every partition that ticks
# has such a turn before the next fold, and before each step of a checkpoint.
TURN_CAMPAIGNS = 50
LONGEST_SLEEP_SECONDS = 1.0


class Schedule(NamedTuple):
    """When ticks are due, and how long one waits for its input."""

    period_nanos: int
    wait_seconds: float

    def newest(self, now: int) -> int:
        """
        The last tick that is due at *now* (nanoseconds since 1970).

        >>> Schedule(60, 1.0).newest(179)
        120
        """
        return now - now % self.period_nanos

    def next_after(self, last: int | None, now: int) -> int:
        """
        The first tick that can still be taken: the newest one due, else the one after the *last*.

        >>> [Schedule(60, 1.0).next_after(120, now) for now in (119, 121, 185)]
        [180, 180, 180]
        """
        newest = self.newest(now)
        return newest if last is None else max(newest, last + self.period_nanos)

    def missed(self, last: int | None, tick: int) -> int:
        """How many ticks between *last* and *tick* are never taken."""
        return 0 if last is None else (tick - last) // self.period_nanos - 1


class Inputs(Protocol):
    """What a tick asks of the lane."""

    async def ends(self, number: int) -> dict[str, int]:
        """The offset at which each input of a partition ends now, by topic."""

    async def reopen_plans(self, number: int) -> None:
        """Let plans in again, which waited for the tick to close."""


class Ticks:
    """Takes the ticks of one open partition."""

    def __init__(
        self,
        partition: Partition,
        saver: Saver,
        schedule: Schedule,
        *,
        transaction_campaigns: int,
        clock: Callable[[], int],
        inputs: Inputs,
        metrics: Metrics,
    ) -> None:
        self._partition = partition
        self._saver = saver
        self._schedule = schedule
        self._transaction_campaigns = transaction_campaigns
        self._clock = clock
        self._inputs = inputs
        self._metrics = metrics
        self._census = Census(partition.number, metrics)
        self._next = 0

    @property
    def _ledger(self) -> Ledger:
        return self._partition.ledger

    def expect(self) -> None:
        """Tell the ledger which tick is the first that may come: what it folds is kept apart where that one cuts."""
        self._next = self._schedule.next_after(self._ledger.last_tick, self._clock())
        self._ledger.expect_tick(self._next)

    async def run(self) -> None:
        """Take every tick that comes, after the one a crash or a rebalance interrupted."""
        if self._ledger.tick is not None:
            await self._finish(self._ledger.tick)
        while True:
            await self.take(await self._next_due())

    async def _next_due(self) -> int:
        """Sleep until the next tick is due; in short naps, because clocks are stepped."""
        while (tick := self._schedule.newest(self._clock())) < self._next:
            left = (self._next - self._clock()) / NANOS
            await asyncio.sleep(min(max(left, 0.0), LONGEST_SLEEP_SECONDS))
        return tick

    async def take(self, tick: int) -> None:
        """Take *tick*, once its input is folded or it has waited long enough."""
        deadline = time.monotonic() + self._schedule.wait_seconds
        complete = await self._partition.read_up_to(await self._inputs.ends(self._partition.number), deadline)
        self._metrics.ticks_skipped.inc(self._schedule.missed(self._ledger.last_tick, tick))
        self._ledger.open_tick(tick, complete=complete)
        self._partition.opened_tick = tick
        await self._finish(tick)

    async def _finish(self, tick: int) -> None:
        """Judge the campaigns that *tick* has not judged yet, and close it."""
        began = time.monotonic()
        since_cut = 0
        while not self._judge_some():
            since_cut += TURN_CAMPAIGNS
            if since_cut >= self._transaction_campaigns:
                await self._saver.cut_now()
                since_cut = 0
            await asyncio.sleep(0)
        await self._saver.save_now()
        self._told(tick, time.monotonic() - began)
        await self._inputs.reopen_plans(self._partition.number)
        await self._census.count(self._ledger, tick)

    def _judge_some(self) -> bool:
        """One slice, in one go; after the last one the tick is closed in the same go, so in the same transaction."""
        part = self._ledger.tick_slice(TURN_CAMPAIGNS)
        events = [judged.event for judged in part.events]
        self._partition.tell(events)
        for event in events:
            if isinstance(event, Printed):
                self._census.saw_printed(event)
            elif event.kind == "snapshot_taken":
                self._census.saw(event.body)
        self._metrics.tick_campaigns.inc(part.campaigns)
        if part.done:
            self._partition.outbox.event(tick_closed(self._ledger))
            self._metrics.events.labels("tick_closed").inc()
            self._partition.accounts.close(self._ledger, self._ledger.tick or 0)
            self._ledger.close_tick()
            self.expect()
        return part.done

    def _told(self, tick: int, seconds: float) -> None:
        self._metrics.ticks.labels(str(self._ledger.tick_complete).lower()).inc()
        self._metrics.tick_seconds.observe(seconds)
        self._metrics.tick_lag_seconds.observe(max(0, self._clock() - tick) / NANOS)
        self._metrics.tick_last.labels(str(self._partition.number)).set(tick / NANOS)


def tick_closed(ledger: Ledger) -> dict[str, Any]:
    """The body of the event that closes a partition's open tick."""
    tick = ledger.tick or 0
    return {
        "event_id": str(uuid.uuid5(NAMESPACE, f"pacing.tick_closed|{ledger.partition}|{tick}")),
        "event_type": "pacing.tick_closed",
        "occurred_at": format_time(tick),
        "partition": ledger.partition,
        "tick": format_time(tick),
        "campaigns": ledger.tick_campaigns,
        "complete": ledger.tick_complete,
        "next_offsets": dict(ledger.tick_positions),
    }
