"""Which core does what, and what machine this was: without it a figure says nothing."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.kafka.broker import KAFKA_VERSION

CORES = sorted(os.sched_getaffinity(0))
WORKER_CORE = CORES[0]
BROKER_CORE = CORES[1 % len(CORES)]
# Where there is no third core, a second worker shares the broker's.
SECOND_CORE = CORES[2 % len(CORES)] if len(CORES) > 2 else BROKER_CORE


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """*command*, tied to one core from its first thread on."""
    return ["taskset", "--cpu-list", str(core), *command]


def leave_the_workers_core() -> None:
    """What measures stays off the core of what is measured, where there is another."""
    os.sched_setaffinity(0, set(CORES) - {WORKER_CORE} or set(CORES))


@contextlib.contextmanager
def on_every_core() -> Iterator[None]:
    """While nothing is measured, any core may be used."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def described() -> str:
    """Processor, cores, versions."""
    return (
        f"{_processor()}, {len(CORES)} cores, {platform.system()} {platform.release()};"
        f" Python {platform.python_version()}, Apache Kafka {KAFKA_VERSION}"
    )


def _processor() -> str:
    """What the kernel calls the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def load() -> str:
    """How busy the machine has been for the last minute."""
    return f"{os.getloadavg()[0]:.1f}"
