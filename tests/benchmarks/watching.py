"""A worker looked at from outside while it works: its memory, its files, its disk, and whether any of it grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

from tests.benchmarks.flow import Flow
from tests.benchmarks.running import WorkerProcess, alive

EVERY_SECONDS = 2.0
MIB = 1 << 20


class Sample(NamedTuple):
    """What was seen at one moment."""

    at: float
    """Seconds, monotonic."""
    worked: float
    """Seconds of processor time that the worker has had."""
    resident: int
    """Bytes of memory."""
    descriptors: int
    """Open files and sockets."""
    saved: int
    """Updates folded and saved."""
    waiting: int
    """Updates sent and not saved yet."""
    sink_lag: float
    """Events that are not in PostgreSQL yet."""
    disk: int
    """Bytes of the broker's data."""


def watched(worker: WorkerProcess, flow: Flow, data_dir: Path, seconds: float) -> list[Sample]:
    """Look at *worker* again and again for so long; NoFigureError if it or the feed ends."""
    process, samples = psutil.Process(worker.process.pid), []
    look = alive([worker], lambda: sample(process, worker, flow, data_dir))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        flow.check()
        samples.append(look())
        time.sleep(EVERY_SECONDS)
    return samples


def sample(process: psutil.Process, worker: WorkerProcess, flow: Flow, data_dir: Path) -> Sample:
    """What is to be seen now."""
    told, times = worker.metrics(), process.cpu_times()
    lag = sum(value for name, value in told.items() if name.startswith("pacing_sink_lag_records"))
    return Sample(
        time.monotonic(),
        times.user + times.system,
        process.memory_info().rss,
        process.num_fds(),
        flow.saved,
        flow.sent - flow.saved,
        lag,
        bytes_under(data_dir),
    )


def bytes_under(folder: Path) -> int:
    """Bytes of all files below *folder*; one that goes away meanwhile has none."""
    return sum(_size(file) for file in folder.rglob("*"))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


class Thirds(NamedTuple):
    """The samples of the middle third of a time, and of the last: in the first everything is still filling."""

    middle: Sequence[Sample]
    last: Sequence[Sample]

    def most(self, of: Callable[[Sample], float]) -> tuple[float, float]:
        """The greatest of each."""
        return max(map(of, self.middle)), max(map(of, self.last))

    def usual(self, of: Callable[[Sample], float]) -> tuple[float, float]:
        """The median of each."""
        return median(map(of, self.middle)), median(map(of, self.last))

    def speed(self, clock: Callable[[Sample], float]) -> tuple[float, float]:
        """Updates saved a second of *clock* in each."""
        return _per_second(self.middle, clock), _per_second(self.last, clock)


def thirds(samples: Sequence[Sample]) -> Thirds:
    """The middle and the last third, by time."""
    begun, end = samples[0].at, samples[-1].at
    part = (end - begun) / 3
    return Thirds(
        [each for each in samples if begun + part <= each.at < begun + 2 * part],
        [each for each in samples if each.at >= begun + 2 * part],
    )


def _per_second(samples: Sequence[Sample], clock: Callable[[Sample], float]) -> float:
    return (samples[-1].saved - samples[0].saved) / (clock(samples[-1]) - clock(samples[0]))


class Verdict(NamedTuple):
    """One thing that must not grow, in both thirds, and whether it did."""

    what: str
    told: str
    is_level: bool


def verdicts(found: Thirds) -> Iterator[Verdict]:
    """
    What may have grown from the middle third to the last.

    Memory by its greatest value: it goes up and down with each index of ids that fills and is dropped. Files by their
    usual number, since connections come and go. The feed keeps what waits at its bound, so that a worker which falls
    behind is seen by its speed: of its own processor time, for others may have the machine.
    """
    before, after = found.most(lambda each: each.resident)
    yield Verdict("memory", f"{before / MIB:,.0f} MiB, then {after / MIB:,.0f} MiB at the most", after <= 1.05 * before)
    before, after = found.usual(lambda each: each.descriptors)
    yield Verdict("open files", f"{before:.0f}, then {after:.0f}", after <= before)
    before, after = found.speed(lambda each: each.worked)
    told = "by the clock {:,.0f}, then {:,.0f}".format(*found.speed(lambda each: each.at))
    what = f"{before:,.0f} updates a second of processor time, then {after:,.0f} ({told})"
    yield Verdict("speed", what, after >= 0.9 * before)
    before, after = found.most(lambda each: each.waiting)
    yield Verdict("updates waiting", f"{before:,.0f}, then {after:,.0f} at the most", after <= 1.2 * before)
    before, after = found.usual(lambda each: each.sink_lag)
    yield Verdict("events not in PostgreSQL", f"{before:,.0f}, then {after:,.0f}", after <= 1.2 * before + 1_000)
    before, after = found.most(lambda each: each.disk)
    yield Verdict("the broker's data", f"{before / MIB:,.0f} MiB, then {after / MIB:,.0f} MiB", after <= 1.2 * before)
