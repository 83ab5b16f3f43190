"""A sink under test: in a thread of this process, or in a process of its own that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg
from prometheus_client import CollectorRegistry

from worker.metrics import Metrics
from worker.settings import Settings, load_settings
from worker.sink.sink import Pace, Sink
from worker.sink.thread import SinkThread

ROOT: Final = Path(__file__).resolve().parents[2]

# Everything that is waited for in minutes elsewhere happens at once here.
QUICK: Final = Pace(poll=0.1, first_pause=0.05, longest_pause=0.5, lag=0.1, skipping=0.1, truncation=0.5, stopping=5)


class RunningSink:
    """A sink's thread and its metrics."""

    def __init__(self, settings: Settings, pace: Pace = QUICK) -> None:
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry)
        self.thread = SinkThread(lambda: Sink(settings, metrics, pace=pace))

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value; 0 where there is none yet."""
        return self.registry.get_sample_value(name, labels) or 0.0

    def total(self, name: str, **labels: str) -> float:
        """The sum of a metric over all labels but these."""
        return sum(
            sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    @property
    def is_level(self) -> bool:
        """Whether everything there is has been written."""
        told = self.thread.status()
        return told["healthy"] is True and told["lag"] == 0


@contextlib.contextmanager
def running_sink(settings: Settings, pace: Pace = QUICK) -> Iterator[RunningSink]:
    """A started sink, stopped at the end."""
    sink = RunningSink(settings, pace)
    sink.thread.start()
    try:
        yield sink
    finally:
        assert sink.thread.stop(20)


class SinkProcess:
    """A sink in a process of its own: `python -m tests.postgres.running`, settings in the environment."""

    def __init__(self, settings: Settings) -> None:
        names = [name for name in Settings.model_fields if name.startswith(("topic_", "sink_"))]
        names += ["kafka_bootstrap", "app_id", "embedded_broker", "session_timeout_seconds"]
        values = {name: str(getattr(settings, name)) for name in names}
        values["postgres_dsn"] = settings.postgres_dsn.get_secret_value()
        environment = os.environ | {f"PACING_{name.upper()}": value for name, value in values.items()}
        self._process = subprocess.Popen([sys.executable, "-m", __name__], cwd=ROOT, env=environment)

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: it holds what it holds, and does nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)


def ask(dsn: str, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, on a connection of its own."""

    async def fetch() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            return [tuple(row) for row in await connection.fetch(sql, *arguments)]
        finally:
            await connection.close()

    return asyncio.run(fetch())


def main() -> None:
    """Sink until SIGTERM."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    settings = load_settings(env_file=None)
    with running_sink(settings):
        stopped.wait()


if __name__ == "__main__":
    main()
