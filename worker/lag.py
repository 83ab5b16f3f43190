"""
The lag: every few seconds, how far each input is read, against where it ends.

For three readers: lag tools get the group's offsets, metrics the lag, and the watchdog a promise. An input that has
something to read and was not read for a minute ends the process, whatever the reason: a fetch that hangs, a broker
that does not answer, an event loop that stands still. A restart resumes from the last checkpoint.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from worker.exits import Exit

if TYPE_CHECKING:
    from faust.types import TP

    from worker.exits import Watchdog
    from worker.metrics import Metrics
    from worker.ownership import Ownership

LOOK_SECONDS = 2.0
STALL_SECONDS = 60.0


class LagWatch:
    """Looks at the inputs of all open partitions."""

    def __init__(self, ownership: Ownership, watchdog: Watchdog, metrics: Metrics) -> None:
        self._ownership = ownership
        self._watchdog = watchdog
        self._metrics = metrics
        self._stood: dict[TP, int] = {}
        self._told: dict[TP, int] = {}

    async def run(self) -> None:
        """Look again and again."""
        self._answered()
        while True:
            await self._look()
            self._answered()
            await asyncio.sleep(LOOK_SECONDS)

    def _answered(self) -> None:
        self._watchdog.promise(
            self, STALL_SECONDS, Exit.INPUT_STALLED, f"no broker has answered for {STALL_SECONDS:g} s"
        )

    async def _look(self) -> None:
        standing = self._ownership.standing()
        ends = await self._ownership.consumer.lane_thread.end_offsets(standing) if standing else {}
        for tp in self._stood.keys() - standing.keys():
            self._watchdog.kept(tp)
        for tp, position in standing.items():
            self._judge(tp, position, ends[tp])
        self._stood = standing
        await self._tell()

    def _judge(self, tp: TP, position: int, end: int) -> None:
        self._metrics.input_lag.labels(tp.topic, str(tp.partition)).set(max(0, end - position))
        if position >= end or self._stood.get(tp) != position:
            sentence = f"{tp.topic}-{tp.partition} was not read for {STALL_SECONDS:g} s, though it has more to read"
            self._watchdog.promise(tp, STALL_SECONDS, Exit.INPUT_STALLED, sentence)

    async def _tell(self) -> None:
        saved = self._ownership.saved()
        news = {tp: offset for tp, offset in saved.items() if self._told.get(tp) != offset}
        await self._ownership.consumer.lane_thread.tell_lag_tools(news)
        self._told = saved
