"""
The real worker as a process that kills itself (-9) at a named point of a transaction, and whose clock can be set.

    PACING_TEST_KILL=acks:3          in the third transaction, when every write is acknowledged and nothing committed
    PACING_TEST_KILL=send:2:.snap    in the second transaction that writes to a topic with ".snap" in its name
    PACING_TEST_CLOCK_SECONDS=3600   the clock is an hour ahead

Points: begin (begun), send (a batch acknowledged), acks (all of them), flight (the commit is on its way), commit
(committed, and nobody told).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import Any, Final, NoReturn

from aiokafka import AIOKafkaProducer

from worker.app import run
from worker.settings import load_settings

KILL: Final = "PACING_TEST_KILL"
CLOCK: Final = "PACING_TEST_CLOCK_SECONDS"
POINTS: Final = ("begin", "send", "acks", "flight", "commit")
IN_FLIGHT_SECONDS: Final = 0.001


def die() -> NoReturn:
    """As hard as it gets."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class Sentence:
    """Which transaction to die in, and where. Counts those of all partitions together."""

    def __init__(self, text: str) -> None:
        self.point, nth, *topic = text.split(":")
        self._left = int(nth)
        self.topic = topic[0] if topic else None

    def hits(self) -> bool:
        """Whether this one is the one."""
        self._left -= 1
        return self._left == 0


class KillableProducer(AIOKafkaProducer):
    """An AIOKafkaProducer that ends the process where its sentence says."""

    sentence: Sentence
    _doomed = False
    _seen = False

    async def begin_transaction(self) -> None:
        await super().begin_transaction()
        self._seen = False
        if self.sentence.topic is None:
            self._doomed = self.sentence.hits()
        self._die_at("begin")

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
        if self.sentence.topic is not None and self.sentence.topic in topic and not self._seen:
            self._seen = True
            self._doomed = self.sentence.hits()
        acknowledged = await super().send_batch(batch, topic, partition=partition)
        if self._doomed and self.sentence.point == "send":
            await acknowledged
            die()
        return acknowledged

    async def commit_transaction(self) -> None:
        self._die_at("acks")
        committing = asyncio.ensure_future(super().commit_transaction())
        if self._doomed and self.sentence.point == "flight":
            await asyncio.sleep(IN_FLIGHT_SECONDS)
            die()
        await committing
        self._die_at("commit")

    def _die_at(self, point: str) -> None:
        if self._doomed and self.sentence.point == point:
            die()


def main() -> int:
    """Run the worker with the seams that the environment asks for."""
    seams: dict[str, Any] = {}
    if sentence := os.environ.pop(KILL, ""):
        KillableProducer.sentence = Sentence(sentence)
        seams["producer"] = KillableProducer
    if ahead := os.environ.pop(CLOCK, ""):
        nanos = int(float(ahead) * 10**9)
        seams["clock"] = lambda: time.time_ns() + nanos
    return run(load_settings(env_file=None), **seams)


if __name__ == "__main__":
    sys.exit(main())
