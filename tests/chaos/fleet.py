"""The workers of a chaos run, and who restarts them when they end, as a supervisor would."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from itertools import chain
from typing import Final

from tests.kafka.broker import wait_until
from tests.kafka.killable import CLOCK_FILE
from tests.kafka.stage import Stage, WorkerProcess
from worker.exits import Exit

RECOVERED_SECONDS: Final = 180.0
REACHED_SECONDS: Final = 120.0
ENDED_SECONDS: Final = 90.0

# How a worker may end while everything around it fails; another code is a defect, or a ledger that is not right.
KILLED: Final = -signal.SIGKILL
# Asked to stop before it listened to that: nothing was started.
UNHEARD: Final = -signal.SIGTERM
MAY_END: Final = frozenset(
    {KILLED, Exit.STOPPED, Exit.CHECKPOINT, Exit.INPUT_STALLED, Exit.RESTORE_FAILED, Exit.STOP_STALLED}
)


class Fleet:
    """The workers by name, and those there should be. *environment* is every worker's."""

    def __init__(self, stage: Stage, dice: random.Random, environment: dict[str, str]) -> None:
        self.stage = stage
        self.wanted: list[str] = []
        self.ends: Counter[int] = Counter()
        self.starts = 0
        self._dice = dice
        self._environment = environment
        self._workers: dict[str, WorkerProcess] = {}

    def start(self, name: str, **more: str) -> WorkerProcess:
        """Start a worker that should be there."""
        if name not in self.wanted:
            self.wanted.append(name)
        clock = {CLOCK_FILE: str(self.stage.folder / f"{name}.clock")}
        self._workers[name] = self.stage.worker(name, **{**self._environment, **clock, **more})
        self.starts += 1
        return self._workers[name]

    def any(self) -> str:
        """The name of one of those there should be."""
        return self._dice.choice(self.wanted)

    def __getitem__(self, name: str) -> WorkerProcess:
        return self._workers[name]

    def is_down(self, name: str) -> bool:
        """Whether it has ended; how is noted."""
        worker = self._workers.get(name)
        if worker is None:
            return True
        code = worker.process.poll()
        if code is None:
            return False
        self.note(name, code)
        return True

    def note(self, name: str, code: int, *, allowed: frozenset[int] = MAY_END) -> None:
        """It has ended with *code*, which must be one of those that faults lead to."""
        worker = self._workers.pop(name)
        self.ends[code] += 1
        assert code in allowed, f"{name} ended with {code}\n{worker.tail()}"

    def tend(self) -> None:
        """Start again whoever has ended."""
        for name in self.wanted:
            if self.is_down(name):
                self.start(name)

    def kill(self, name: str) -> None:
        """kill -9."""
        self[name].kill()
        self.note(name, KILLED)

    def end(self, name: str, *codes: int, seconds: float = ENDED_SECONDS) -> int:
        """Wait until it has ended by itself, in one of these ways."""
        code = self[name].wait_dead(seconds)
        self.note(name, code, allowed=frozenset(codes))
        return code

    def stop(self, name: str) -> None:
        """SIGTERM, for good; it may have ended for another reason."""
        self.wanted.remove(name)
        if not self.is_down(name):
            self[name].process.terminate()
            self.note(name, self[name].wait_dead(ENDED_SECONDS), allowed=MAY_END | {UNHEARD})

    def down(self) -> str | None:
        """One that should be there and is not."""
        return next((name for name in self.wanted if self.is_down(name)), None)

    def recover(self) -> None:
        """Tend until those there should be own all partitions between them, each at least one."""
        wait_until(self._is_whole, RECOVERED_SECONDS, what="the fleet", otherwise=self.tails, every_seconds=0.1)

    def _is_whole(self) -> bool:
        self.tend()
        owned = [self[name].owns() for name in self.wanted]
        return all(owned) and sorted(chain.from_iterable(owned)) == list(range(self.stage.settings.partitions))

    def tails(self) -> str:
        """The ends of their logs."""
        return "\n\n".join(f"--- {name}\n{worker.tail()}" for name, worker in self._workers.items())

    def pause(self, most_seconds: float) -> None:
        """Let it run for a moment of the dice's choice: when a fault comes is the run's subject."""
        time.sleep(self._dice.uniform(0, most_seconds))
