"""
The real worker, run for a benchmark: topics and a group of its own, processes pinned to a core, what it tells.

While something is measured it is asked for nothing: how far it is tells the broker (the group's offsets), and when it
was there tell the transactions (`commits`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from tests.benchmarks.machine import pinned
from tests.benchmarks.waiting import NoFigureError, wait_for
from tests.kafka.broker import ROOT, free_ports

PARTITIONS = 4
SPEND = "pacing.spend_updates"
PLANS = "pacing.campaign_plans"
READY_SECONDS = 120.0
STOP_SECONDS = 60.0
TOPICS_SECONDS = 120
OUTPUTS = (
    "snapshot_taken deviation_detected deviation_resolved reallocation_recommended alert_raised alert_cleared"
    " tick_closed"
).split()
RESTORED = re.compile(r"partition \d+ restored in ([0-9.]+) s")

T = TypeVar("T")


class App:
    """One application on a broker: any number of workers with the same group, outputs and ledger."""

    def __init__(self, bootstrap: str, name: str, home: Path, **settings: object) -> None:
        self.bootstrap = bootstrap
        self.name = name
        self.home = home / name
        self.home.mkdir()
        clean = {variable: value for variable, value in os.environ.items() if not variable.startswith("PACING_")}
        self.environment = clean | {
            "PYTHONPATH": str(ROOT),
            "PACING_KAFKA_BOOTSTRAP": bootstrap,
            "PACING_APP_ID": name,
            "PACING_PARTITIONS": str(PARTITIONS),
            "PACING_REPLICATION_FACTOR": "1",
            "PACING_LOG_FORMAT": "json",
            **{f"PACING_TOPIC_{kind.upper()}": self.output(kind) for kind in OUTPUTS},
            **{f"PACING_{setting.upper()}": str(value) for setting, value in settings.items()},
        }
        self._started = 0
        self._apply_topics()

    def output(self, kind: str) -> str:
        """The topic of a kind of events."""
        return f"{self.name}.{kind}"

    @property
    def ledger(self) -> str:
        """The topic of its ledger."""
        return f"{self.name}-ledger"

    def _apply_topics(self) -> None:
        command = [sys.executable, "-m", "worker.cli", "topics", "apply"]
        options = {"env": self.environment, "cwd": self.home, "timeout": TOPICS_SECONDS}
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
        if done.returncode:
            raise NoFigureError(f"no topics: {done.stderr}")

    def keep_every_checkpoint(self) -> None:
        """Let the broker not compact the ledger: a marker that is gone tells no time."""
        self.alter(self.ledger, min_compaction_lag_ms="86400000")

    def alter(self, topic: str, **config: str) -> None:
        """Change configs of a topic; `retention_bytes` is `retention.bytes`."""
        entries = [
            ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
            for name, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for altered in admin.incremental_alter_configs([resource]).values():
            altered.result(TOPICS_SECONDS)

    @contextlib.contextmanager
    def running(self, *cores: int, module: str = "worker.cli", **more: str) -> Iterator[list[WorkerProcess]]:
        """A worker on each of *cores*, ended in order afterwards."""
        workers: list[WorkerProcess] = []
        try:
            for number, core in enumerate(cores):
                self._started += 1
                log = self.home / f"worker-{self._started}.log"
                # Named by its place, not by its start: a restart is the same member, and waits for nobody's session.
                workers.append(WorkerProcess(self, f"w{number}", core, log, module, more))
            yield workers
            for worker in workers:
                worker.stop()
        finally:
            for worker in workers:
                worker.kill()

    def wait_folded(self, workers: Sequence[WorkerProcess], topic: str, count: int, seconds: float) -> None:
        """Wait until *count* records of *topic* are folded and saved, by what the group tells lag tools."""
        what = f"{self.name} folding {count:,} records of {topic}"
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.name, "log_level": 0})
        with contextlib.closing(consumer):
            saved = alive(workers, lambda: committed(consumer, topic) >= count)
            wait_for(saved, what, seconds=seconds, every=0.5)


def committed(consumer: Consumer, topic: str) -> int:
    """How many records of *topic* the group has committed; 0 while the broker cannot tell."""
    places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    try:
        return sum(max(0, place.offset) for place in consumer.committed(places, timeout=10))
    except KafkaException:
        return 0


class Opened(NamedTuple):
    """A partition that was restored: when, in seconds since 1970, and how many seconds that took."""

    at: float
    seconds: float


class WorkerProcess:
    """One worker process."""

    def __init__(self, app: App, instance: str, core: int, log_path: Path, module: str, more: dict[str, str]) -> None:
        (self.port,) = free_ports(1)
        self.log = log_path
        self._ended = False
        identity = {"PACING_GROUP_INSTANCE_ID": instance, "PACING_WEB_PORT": str(self.port)}
        arguments = ["worker"] if module == "worker.cli" else []
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                pinned(core, [sys.executable, "-m", module, *arguments]),
                env={**app.environment, **identity, **more},
                cwd=app.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self, partitions: int = PARTITIONS) -> None:
        """Wait until it has restored so many partitions."""
        wait_for(alive([self], lambda: len(self.owns()) == partitions), "a worker that is ready", seconds=READY_SECONDS)

    def owns(self) -> list[int]:
        """The partitions it is ready for."""
        said = json.loads(self._get("readyz") or "{}")
        return list(said["partitions"]) if said.get("ok") else []

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics; none while nobody answers."""
        lines = (line for line in self._get("metrics").splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def _get(self, page: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{page}", timeout=30) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError:
            return ""

    def opened(self) -> list[Opened]:
        """When each of its partitions was open, and how long that took."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        told = [
            (json.loads(line), found[1]) for line in lines if line.startswith("{") if (found := RESTORED.search(line))
        ]
        return [Opened(datetime.fromisoformat(said["timestamp"]).timestamp(), float(took)) for said, took in told]

    def tail(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])

    def stop(self) -> None:
        """SIGTERM, and wait until it has saved everything; one that was killed stays dead."""
        if self._ended:
            return
        self.process.terminate()
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise NoFigureError(f"a worker did not stop within {STOP_SECONDS:.0f} s: {self.tail()}") from None
        if code:
            raise NoFigureError(f"a worker ended with {code}: {self.tail()}")

    def kill(self) -> None:
        """kill -9, if it is still there."""
        self._ended = True
        self.process.kill()
        self.process.wait()


def alive(workers: Sequence[WorkerProcess], condition: Callable[[], T]) -> Callable[[], T]:
    """*condition*, with an end to waiting when a worker has ended."""

    def holds() -> T:
        for worker in workers:
            if worker.process.poll() is not None:
                raise NoFigureError(f"a worker ended with {worker.process.returncode}: {worker.tail()}")
        return condition()

    return holds
