"""
`pacing demo` as a person starts it: what it shows went the whole way, and it leaves nothing behind.

Nothing here says that a figure is exact: the embedded broker cannot promise it. The tests on a real Kafka do.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from tests.kafka.broker import wait_until
from worker.demo import run
from worker.demo.cast import CAST
from worker.demo.show import ONCE_SECONDS

STARTED_WITHIN_SECONDS = 90
ENDED_WITHIN_SECONDS = 60


class Demo:
    """A running demo: what it has printed, the processes it has started, the folder for its temporary files."""

    def __init__(self, folder: Path, *options: str, **variables: str) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir(mode=0o711)
        self._output = folder / "output.txt"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "worker.cli", "demo", *options],
                env={**os.environ, "TMPDIR": str(self.temporary), **variables},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._family: set[psutil.Process] = set()

    def printed(self) -> str:
        """Everything it has printed so far."""
        return self._output.read_text()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait_until(self, what: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds; it must before the demo ends."""
        self._wait(lambda: what() or self._has_ended(), seconds)
        assert what(), f"it ended; it printed:\n{self.printed()}"

    def exit_code(self, seconds: float) -> int:
        """Its exit code, once it has ended."""
        self._wait(self._has_ended, seconds)
        return self._process.returncode

    def _has_ended(self) -> bool:
        return self._process.poll() is not None

    def _wait(self, what: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds, keeping note of every process that belongs to the demo."""

        def holds() -> bool:
            with suppress(psutil.NoSuchProcess):
                self._family |= set(psutil.Process(self._process.pid).children(recursive=True))
            return what()

        wait_until(holds, seconds, what="the demo", otherwise=self.printed, every_seconds=0.1)

    def worker(self) -> psutil.Process:
        """The worker's process."""
        for process in psutil.Process(self._process.pid).children():
            if process.cmdline()[-2:] == ["worker.cli", "worker"]:
                return process
        raise AssertionError("there is no worker")

    def left_behind(self) -> list[object]:
        """Processes and files that are still there."""
        processes = [process for process in self._family if process.is_running()]
        return [*processes, *self.temporary.iterdir()]

    def end(self) -> None:
        """End it after a failed test, and whatever it did not end itself."""
        self._process.kill()
        self._process.wait()
        for process in self._family:
            with suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user may pass through, since PostgreSQL runs as another user than root."""
    with TemporaryDirectory(prefix="pacing-test-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Demo]]:
    demos: list[Demo] = []

    def start(*options: str, **variables: str) -> Demo:
        demos.append(Demo(folder, *options, **variables))
        return demos[-1]

    yield start
    for demo in demos:
        demo.end()


def test_a_bounded_demo_sees_everything_in_postgresql_and_leaves_nothing_behind(start: Callable[..., Demo]) -> None:
    demo = start("--once")
    assert demo.exit_code(ONCE_SECONDS + ENDED_WITHIN_SECONDS) == 0, demo.printed()
    counts = re.search(
        r"(\d+) snapshots, (\d+) deviations, (\d+) resolved, (\d+) proposals, (\d+) signals", demo.printed()
    )
    assert counts is not None, demo.printed()
    snapshots, *others = map(int, counts.groups())
    assert snapshots >= len(CAST)
    assert all(others[:3])
    for mark in ("opened", "resolved", "proposed"):
        assert re.search(rf"^\d\d:\d\d:\d\d  {mark} ", demo.printed(), re.MULTILINE), demo.printed()
    assert demo.left_behind() == []


def test_a_worker_killed_in_the_middle_is_reported_and_ends_the_demo(start: Callable[..., Demo], folder: Path) -> None:
    demo = start(PACING_DATA_DIR=str(folder / "kept"))
    demo.wait_until(lambda: "  opened  " in demo.printed(), STARTED_WITHIN_SECONDS)
    demo.worker().kill()
    assert demo.exit_code(ENDED_WITHIN_SECONDS) == 1, demo.printed()
    assert "the worker was ended by SIGKILL" in demo.printed()
    assert "restored" in (folder / "kept" / "worker.log").read_text()
    assert demo.left_behind() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_ends_in_order_when_it_is_told_to(start: Callable[..., Demo], number: signal.Signals) -> None:
    demo = start()
    demo.wait_until(lambda: "metrics" in demo.printed(), STARTED_WITHIN_SECONDS)
    demo.send(number)
    assert demo.exit_code(ENDED_WITHIN_SECONDS) == 0, demo.printed()
    assert "Traceback" not in demo.printed()
    assert demo.left_behind() == []


def test_a_bounded_demo_that_is_stopped_has_not_seen_everything(start: Callable[..., Demo]) -> None:
    demo = start("--once")
    demo.wait_until(lambda: "the worker starts" in demo.printed(), STARTED_WITHIN_SECONDS)
    demo.send(signal.SIGTERM)
    assert demo.exit_code(ENDED_WITHIN_SECONDS) == 1, demo.printed()
    assert "stopped before everything was seen" in demo.printed()
    assert demo.left_behind() == []


def test_a_part_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("worker.demo.find_spec", lambda _: None)
    assert run(once=True) == 2
    assert "pip install 'pacing-worker[demo]'" in capsys.readouterr().err
