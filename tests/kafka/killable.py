"""
The real worker as a process that ends, freezes or stops itself at a named point, and whose clock can be set.

    PACING_TEST_KILL=acks:3             kill -9 in the third transaction, when all is acknowledged, nothing committed
    PACING_TEST_KILL=send:2:.snap       in the second transaction that writes to a topic with ".snap" in its name
    PACING_TEST_FREEZE=flight:1         SIGSTOP while the commit is on its way; SIGCONT lets it go on
    PACING_TEST_TERMINATE=commit:1      SIGTERM, when it is committed
    PACING_TEST_CLOCK_SECONDS=3600      the clock is an hour ahead
    PACING_TEST_CLOCK_FILE=...          the clock is as many seconds ahead as the file says, looked at all the time
    PACING_TEST_STALL_SECONDS=5         what gives up after so and so long without progress gives up after that
    PACING_TEST_HANG_SINK=1             the sink does nothing, for ever

Points of a transaction: begin (begun), send (a batch acknowledged), acks (all of them), flight (the commit is on its
way), commit (committed, and nobody told). With ":revoke" for a topic only those count that are written while the
partitions are given back. Points of a restore: fencing (the last owner is being fenced), fence (it is), read (the
changelog is). Of giving back: revoke (asked to), revoked (done).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from worker import app, lag, restore
from worker.ledger.newest import Newest
from worker.ownership import Ownership
from worker.restore import Changelog
from worker.settings import load_settings
from worker.sink.sink import Sink

KILL: Final = "PACING_TEST_KILL"
FREEZE: Final = "PACING_TEST_FREEZE"
TERMINATE: Final = "PACING_TEST_TERMINATE"
CLOCK: Final = "PACING_TEST_CLOCK_SECONDS"
CLOCK_FILE: Final = "PACING_TEST_CLOCK_FILE"
HANG: Final = "PACING_TEST_HANG_SINK"
STALL: Final = "PACING_TEST_STALL_SECONDS"
SIGNALS: Final = {KILL: signal.SIGKILL, FREEZE: signal.SIGSTOP, TERMINATE: signal.SIGTERM}

POINTS: Final = ("begin", "send", "acks", "flight", "commit")
RESTORE_POINTS: Final = ("fencing", "fence", "read")
REVOKE: Final = "revoke"
IN_FLIGHT_SECONDS: Final = 0.001
CLOCK_LOOKED_AT_SECONDS: Final = 0.02


class Sentence:
    """Which transaction to end in, where and by which signal. Counts those of all partitions together."""

    def __init__(self, text: str, number: signal.Signals) -> None:
        self.point, nth, *only = text.split(":")
        self._left = int(nth)
        self._signal = number
        self.only = only[0] if only else None
        self.revoking = False

    def hits(self) -> bool:
        """Whether this one is the one."""
        self._left -= 1
        return self._left == 0

    def reach(self, point: str) -> None:
        """A point that is no transaction's: it ends the process if it is the one."""
        if point == self.point and self.hits():
            self.carry_out()

    def carry_out(self) -> None:
        """As hard as it gets; after a SIGSTOP and a SIGCONT the process goes on from here."""
        os.kill(os.getpid(), self._signal)


class KillableProducer(AIOKafkaProducer):
    """An AIOKafkaProducer that ends the process where its sentence says."""

    sentence: Sentence
    _doomed = False
    _seen = False

    async def start(self) -> None:
        if self.sentence.point == "fencing" and self.sentence.hits():
            asyncio.get_running_loop().call_later(IN_FLIGHT_SECONDS, self.sentence.carry_out)
        await super().start()
        self.sentence.reach("fence")

    async def begin_transaction(self) -> None:
        await super().begin_transaction()
        self._doomed = self._seen = False
        if self.sentence.point in POINTS and (
            self.sentence.only is None or (self.sentence.only == REVOKE and self.sentence.revoking)
        ):
            self._doomed = self.sentence.hits()
        self._end_at("begin")

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
        if self.sentence.only is not None and self.sentence.only in topic and not self._seen:
            self._seen = True
            self._doomed = self.sentence.hits()
        acknowledged = await super().send_batch(batch, topic, partition=partition)
        if self._doomed and self.sentence.point == "send":
            await acknowledged
            self._end_at("send")
        return acknowledged

    async def commit_transaction(self) -> None:
        self._end_at("acks")
        committing = asyncio.ensure_future(super().commit_transaction())
        if self._doomed and self.sentence.point == "flight":
            await asyncio.sleep(IN_FLIGHT_SECONDS)
            self._end_at("flight")
        await committing
        self._end_at("commit")

    def _end_at(self, point: str) -> None:
        if self._doomed and self.sentence.point == point:
            self._doomed = False
            self.sentence.carry_out()


def listen(sentence: Sentence) -> None:
    """Tell *sentence* of the points that are no producer's."""
    revoked, read = Ownership.revoked, Changelog.read

    async def revoked_and_told(self: Ownership) -> None:
        sentence.revoking = bool(self.held)  # a worker that joins is asked to give back nothing
        if sentence.revoking:
            sentence.reach(REVOKE)
        await revoked(self)
        if sentence.revoking:
            sentence.reach("revoked")
        sentence.revoking = False

    async def read_and_told(self: Changelog) -> Newest:
        records = await read(self)
        sentence.reach("read")
        return records

    Ownership.revoked = revoked_and_told  # type: ignore[method-assign]
    Changelog.read = read_and_told  # type: ignore[method-assign]


async def hang(*_: object) -> None:
    """Nothing, for ever."""
    await asyncio.Event().wait()


class SteppedClock:
    """The machine's clock, and as many seconds more as *file* says."""

    def __init__(self, file: Path, real: Callable[[], int]) -> None:
        self._file = file
        self._real = real
        self._ahead = 0
        self._look_at = 0.0

    def __call__(self) -> int:
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + CLOCK_LOOKED_AT_SECONDS
            text = self._file.read_text() if self._file.exists() else ""
            self._ahead = int(float(text or 0) * 10**9)
        return self._real() + self._ahead


def stepped(file: Path) -> SteppedClock:
    """The clock of *file*, for all of this process: aiokafka's and the log's as well."""
    clock = SteppedClock(file, time.time_ns)
    time.time_ns = clock
    time.time = lambda: clock() / 10**9
    return clock


def main() -> int:
    """Run the worker with the seams that the environment asks for."""
    seams: dict[str, Any] = {}
    for variable, number in SIGNALS.items():
        if text := os.environ.pop(variable, ""):
            KillableProducer.sentence = Sentence(text, number)
            listen(KillableProducer.sentence)
            seams["producer"] = KillableProducer
    if ahead := os.environ.pop(CLOCK, ""):
        nanos = int(float(ahead) * 10**9)
        seams["clock"] = lambda: time.time_ns() + nanos
    if file := os.environ.pop(CLOCK_FILE, ""):
        seams["clock"] = stepped(Path(file))
    if stall := os.environ.pop(STALL, ""):
        lag.STALL_SECONDS = restore.STALL_SECONDS = app.SINK_STALL_SECONDS = float(stall)
    if os.environ.pop(HANG, ""):
        Sink._round = hang  # type: ignore[assignment, method-assign]
    return app.run(load_settings(env_file=None), **seams)


if __name__ == "__main__":
    sys.exit(main())
