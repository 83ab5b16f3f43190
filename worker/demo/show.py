"""
The demo from its start to Ctrl-C: the PostgreSQL server, the folder for the log, and one month after another.

A *month* is one run of the cast (`worker.demo.month`). Everything in it is new each time (broker, database, worker,
flights), so a month never meets what another left behind.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from worker.demo.month import AGAIN, EXIT_CODES, End, Stage, play_month
from worker.demo.postgres import PostgresUnavailableError, running_postgres

USUAL_WEB_PORT: Final = 6066

ONCE_SECONDS: Final = 75.0
"""The most a bounded demo takes to see everything, the start of its parts included."""


async def show(*, once: bool) -> int:
    """Play months until Ctrl-C, a failure, or, with *once*, until everything was seen; the exit code."""
    stop, deadline = _stop_on_signals(), time.monotonic() + ONCE_SECONDS if once else None
    with ExitStack() as undo:
        folder = undo.enter_context(_folder())
        _say("PostgreSQL starts ...")
        try:
            server = await asyncio.to_thread(undo.enter_context, running_postgres())
        except PostgresUnavailableError as error:
            # Ctrl-C reaches initdb too, which then fails as it should.
            return EXIT_CODES[End.STOPPED] if stop.is_set() else _failed(str(error))
        return await _months(Stage(server, folder, _web_port(0 if once else USUAL_WEB_PORT), stop, deadline))


async def _months(stage: Stage) -> int:
    """Months until one ends for good; its exit code."""
    for number in count(1):
        end = End.STOPPED if stage.stop.is_set() else await play_month(stage, number)
        if end is End.STOPPED and stage.deadline is not None:
            return _failed("stopped before everything was seen")
        if end in EXIT_CODES:
            return EXIT_CODES[end]
        _say(AGAIN[end])
    raise AssertionError("there is always another month")


def _stop_on_signals() -> asyncio.Event:
    """
    An event that is set by Ctrl-C, by SIGTERM, and when the terminal goes away.

    A second Ctrl-C changes nothing: what is under way is the stopping, and each step of it has its deadline.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return stop


@contextmanager
def _folder() -> Iterator[Path]:
    """The folder for the worker's log: PACING_DATA_DIR, which is kept, else one that goes with the demo."""
    named = os.environ.get("PACING_DATA_DIR")
    if named:
        folder = Path(named).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    else:
        with TemporaryDirectory(prefix="pacing-demo-") as folder_name:
            yield Path(folder_name)


def _web_port(wanted: int) -> int:
    """A port for metrics and health: the one that is *wanted*, or any free one where somebody has that."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("the system always has a free port")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _failed(text: str) -> int:
    sys.stderr.write(f"pacing demo: {text}\n")
    return 1
