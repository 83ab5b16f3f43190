"""
The real worker as a process of its own, exactly as `pacing worker` starts it, with its log in a file.

Its settings are given in the environment and nowhere else: variables and a `.env` of the person who runs the demo are
kept away from it, so the demo is the same everywhere and never talks to anybody's real Kafka.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

STOP_SECONDS: Final = 20.0
"""The worker's own promise: a SIGTERM ends it within this."""

TAIL_LINES: Final = 25


class WorkerProcess:
    """A running worker: whether it lives, how it ended, what it said last."""

    def __init__(self, settings: Mapping[str, str], folder: Path, log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "worker.cli", "worker"],
                env=_environment(settings),
                cwd=folder,  # where no .env lies
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the demo, which then stops the worker in order
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process still exists."""
        return self._process.poll() is None

    def how_it_ended(self) -> str:
        """In words, how the process ended: by a signal, or by itself with a code.

        The codes are explained in `worker.exits`.
        """
        code = self._process.returncode
        if code is None:
            return "is running"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended by itself with exit code {code}"

    def last_words(self) -> list[str]:
        """The last lines of its log."""
        return self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:]

    def stop(self) -> int:
        """Stop it in order, or at once where it does not heed; its exit code."""
        if self.is_running:
            self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without anybody's settings, and with the demo's."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("PACING_")}
    return kept | dict(settings)


async def is_ready(web_port: int) -> bool:
    """Whether the worker at that port says that it has its partitions and does its job."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", web_port)
    except OSError:
        return False
    with contextlib.closing(writer):
        writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
        status_line = await reader.readline()
    return b" 200 " in status_line


@contextlib.contextmanager
def running_worker(settings: Mapping[str, str], folder: Path, log: Path) -> Iterator[WorkerProcess]:
    """A worker with these settings, stopped at the end."""
    worker = WorkerProcess(settings, folder, log)
    try:
        yield worker
    finally:
        worker.stop()
