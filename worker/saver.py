"""
The saver: takes a partition's checkpoints, one after another, while folding goes on.

Only this task writes, so that nothing that is cancelled (a tick, a fold) can leave a transaction half written.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from worker.exits import Exit
from worker.topics import DEAD_LETTERS
from worker.waiting import wait_at_most

if TYPE_CHECKING:
    from worker.checkpoint import Checkpoints, Cut
    from worker.exits import Watchdog
    from worker.metrics import Metrics
    from worker.partition import Partition


class Saver:
    """
    The checkpoints of one partition, in time.

    *saved* is where the partition's inputs stood at the last committed checkpoint.
    """

    def __init__(
        self,
        partition: Partition,
        checkpoints: Checkpoints,
        *,
        interval_seconds: float,
        timeout_seconds: float,
        watchdog: Watchdog,
        metrics: Metrics,
    ) -> None:
        self._partition = partition
        self._checkpoints = checkpoints
        self._interval = interval_seconds
        self._timeout = timeout_seconds
        self._watchdog = watchdog
        self._metrics = metrics
        self._stopping = False
        self._cut_taken = asyncio.Event()
        self._settled = asyncio.Event()
        self.saved = partition.saved_positions
        self.saved_at = time.time()

    async def run(self) -> None:
        """Save again and again, until told to stop; then once more, for what was folded until then."""
        self._stopping = False
        while not self._stopping:
            await wait_at_most(self._partition.checkpoint_wanted, self._interval)
            self._partition.checkpoint_wanted.clear()
            await self._save()
        await self._save()

    def stop(self) -> None:
        """Let :meth:`run` end after a last checkpoint."""
        self._stopping = True
        self._partition.checkpoint_wanted.set()

    async def cut_now(self) -> None:
        """Wait until what there is now has been taken into a checkpoint, though not yet written."""
        self._cut_taken.clear()
        self._partition.checkpoint_wanted.set()
        await self._cut_taken.wait()

    async def save_now(self) -> None:
        """Wait until what there is now is committed."""
        await self.cut_now()
        await self._settled.wait()

    async def _save(self) -> None:
        self._settled.clear()
        cut = self._partition.cut()
        self._cut_taken.set()
        if cut is not None:
            await self._write(cut)
            self.saved = dict(cut.positions)
        self.saved_at = time.time()
        self._settled.set()
        self._metrics.checkpoint_last.labels(str(self._partition.number)).set(self.saved_at)

    async def _write(self, cut: Cut) -> None:
        number = self._partition.number
        sentence = f"the checkpoint of partition {number} took longer than {self._timeout:g} s"
        with (
            self._watchdog.limit(self, self._timeout, Exit.CHECKPOINT, sentence),
            self._metrics.checkpoint_seconds.time(),
        ):
            size = await self._checkpoints.write(cut)
        self._count(cut, size)

    def _count(self, cut: Cut, size: int) -> None:
        self._metrics.checkpoint_transactions.inc()
        self._metrics.checkpoint_bytes.inc(size)
        records = self._metrics.checkpoint_records
        records.labels("ledger").inc(len(cut.ledger))
        for topic, written in cut.outputs.items():
            records.labels(self._kind_of(topic)).inc(len(written))
        records.labels("part").inc(sum(map(len, cut.parts.values())))

    def _kind_of(self, topic: str) -> str:
        if topic == self._partition.accounts.changelog:
            return "ledger"
        return "dead_letter" if topic.endswith(DEAD_LETTERS) else "event"
