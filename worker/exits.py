"""
How the worker ends when it cannot go on: at once, with a sentence and a code of its own.

The worker is crash-only. Whatever is in doubt (a checkpoint that failed, a position that does not fit, a broker that
does not answer) is settled by a restart, which reads the last committed state and nothing else. So there is one way
out, it never tries to tidy up, and what it leaves open in Kafka the next owner's start aborts.

==== ===================================================================================
code meaning
==== ===================================================================================
0    stopped in order
2    settings or topics are wrong; nothing was started
70   a defect: an exception nobody expected
71   a checkpoint failed or took too long, or another worker owns the partition now
72   the input cannot be read: no progress although there is something to read
73   the ledger cannot be what this worker wrote: it refuses to pace by it
74   input was deleted before it was read (retention), or does not follow on itself
75   a partition could not be restored, or not in time
76   a stop took too long
77   plans and spend do not share their partitions
78   the clock is more than a tick ahead of the broker's
79   the sink hangs: it neither writes nor waits for its next try
==== ===================================================================================
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

T = TypeVar("T")

WATCH_SECONDS = 0.25


class Exit(IntEnum):
    """The exit codes of ``pacing worker``; the table above says what they mean."""

    STOPPED = 0
    MISCONFIGURED = 2
    DEFECT = 70
    CHECKPOINT = 71
    INPUT_STALLED = 72
    LEDGER_REFUSED = 73
    INPUT_LOST = 74
    RESTORE_FAILED = 75
    STOP_STALLED = 76
    NOT_COPARTITIONED = 77
    CLOCK_AHEAD = 78
    SINK_STALLED = 79


def leave(code: Exit, sentence: str) -> NoReturn:
    """
    End the process now, from any thread, with one line on standard error.

    ``os._exit`` and ``os.write``: no handler, buffer or event loop that hangs can keep the process alive. It is
    called from the one place where exceptions end and from the watchdog's thread, and where a doubt is found.
    """
    os.write(2, f"pacing worker: {sentence} (exit {int(code)})\n".encode(errors="replace"))
    os._exit(int(code))


async def or_leave(code: Exit, what: str, work: Coroutine[Any, Any, T]) -> T:
    """
    Do *work*; an exception nobody caught below ends the process. The one place where everything is caught.

    The traceback goes to the log, the sentence and the code to whoever restarts us.
    """
    try:
        return await work
    except Exception as error:
        logging.getLogger(__name__).exception("%s", what)
        leave(code, f"{what}: {type(error).__name__}: {error}")


class Watchdog:
    """
    A thread that ends the process when something promised by a deadline has not happened.

    A thread, not a task: the thing that hangs may be the event loop itself.
    """

    def __init__(self, end: Callable[[Exit, str], NoReturn] = leave) -> None:
        self._end = end
        self._deadlines: dict[object, tuple[float, Exit, str]] = {}
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch; safe to call once."""
        self._thread.start()

    def promise(self, name: object, seconds: float, code: Exit, sentence: str) -> None:
        """Something called *name* happens within *seconds*, else the process ends so; the last promise counts."""
        self._deadlines[name] = (time.monotonic() + seconds, code, sentence)

    def kept(self, name: object) -> None:
        """What was promised under *name* has happened, or is not expected any more."""
        self._deadlines.pop(name, None)

    @contextmanager
    def limit(self, name: object, seconds: float, code: Exit, sentence: str) -> Iterator[None]:
        """The body ends within *seconds*."""
        self.promise(name, seconds, code, sentence)
        try:
            yield
        finally:
            self.kept(name)

    def _watch(self) -> None:
        while True:
            time.sleep(WATCH_SECONDS)
            self.check(time.monotonic())

    def check(self, now: float) -> None:
        """End the process if a promise is broken at *now* (monotonic seconds)."""
        for deadline, code, sentence in list(self._deadlines.values()):
            if now > deadline:
                self._end(code, sentence)
