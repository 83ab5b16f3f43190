"""
A stage for tests of the whole worker: topics of its own, worker processes, what was fed and what came out.

The oracle here is written apart from the ledger and knows Decimal, dict and nothing else: it reads the input topic
from its beginning and adds up, for any snapshot, what the snapshot says it covers.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from tests.kafka import killable
from tests.kafka.broker import ROOT, free_ports, wait_until
from worker.settings import Settings, load_settings
from worker.topics import LEDGER_BYTES, account_ledger_topic, apply_now, input_topics, ledger_topic, output_topics

# Deadlines of waiting, not waits: far above what it takes, for two cores may have more to do than this.
READY_SECONDS: Final = 60.0
SETTLED_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
EXPECTED_DELAY_SECONDS: Final = 5.0
PARTITIONER: Final = "murmur2_random"
CHANNELS: Final = ("CTV", "DISPLAY", None)


class Stage:
    """The topics and settings of one test, apart from every other test's."""

    def __init__(self, bootstrap: str, name: str, folder: Path, **settings: object) -> None:
        self.bootstrap = bootstrap
        self.folder = folder
        self.name = name
        self.environment = environment(bootstrap, name, **settings)
        self.settings = settings_of(self.environment)
        self.plans, self.spend = input_topics(self.settings)
        self.outputs = output_topics(self.settings)
        self.ledger = ledger_topic(self.settings)
        self._workers: list[WorkerProcess] = []
        if not self.settings.embedded_broker:
            applied = apply_now(self.settings)
            assert not applied.differences, applied

    def worker(self, instance: str = "w1", **more: str) -> WorkerProcess:
        """Start a worker process."""
        worker = WorkerProcess(self, instance, {**self.environment, **more})
        self._workers.append(worker)
        return worker

    def alter(self, topic: str, **config: str) -> None:
        """Change configs of a topic; `max_message_bytes` is `max.message.bytes`."""
        entries = [
            ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
            for name, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for altered in admin.incremental_alter_configs([resource]).values():
            altered.result(READY_SECONDS)

    def hide_the_broker_s_clock(self) -> None:
        """Let a worker run ahead of the broker's time: a test cannot wait for days."""
        for ledger in (self.ledger, account_ledger_topic(self.settings)):
            self.alter(ledger, message_timestamp_type="CreateTime")

    def refuse_writes(self, topic: str) -> None:
        """
        Let the broker refuse every write to *topic*.

        By their size: a min.insync.replicas above the copies there can be is lowered to them since Kafka 4.
        """
        self.alter(topic, max_message_bytes="1")

    def take_writes(self, topic: str) -> None:
        """Let the broker take them again."""
        self.alter(topic, max_message_bytes=str(LEDGER_BYTES))

    def end(self) -> None:
        """Leave no process behind."""
        for worker in self._workers:
            worker.kill()

    def committed(self, *topics: str) -> list[Message]:
        """Every committed record of *topics*, in the order of each partition."""
        return read(self.bootstrap, topics, self.settings.partitions, isolation="read_committed")

    def written(self, *topics: str) -> list[Message]:
        """Every record of *topics*, those of aborted transactions included."""
        return read(self.bootstrap, topics, self.settings.partitions, isolation="read_uncommitted")

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The bodies of every committed event of a kind."""
        return [json.loads(message.value()) for message in self.committed(self.outputs[kind])]


def environment(bootstrap: str, name: str, **settings: object) -> dict[str, str]:
    """The variables of a worker with topics of its own, in a hurry; *settings* win."""
    topics = (field for field in Settings.model_fields if field.startswith("topic_"))
    return {
        "PACING_KAFKA_BOOTSTRAP": bootstrap,
        "PACING_APP_ID": name,
        "PACING_PARTITIONS": "2",
        "PACING_REPLICATION_FACTOR": "1",
        "PACING_TICK_SECONDS": "1",
        "PACING_CHECKPOINT_SECONDS": "0.05",
        "PACING_SESSION_TIMEOUT_SECONDS": "6",
        **{f"PACING_{field.upper()}": f"{name}.{field}" for field in topics},
        **{f"PACING_{field.upper()}": str(value) for field, value in settings.items()},
    }


def settings_of(variables: Mapping[str, str]) -> Settings:
    """The settings these variables make."""
    return load_settings(env_file=None, **{name.removeprefix("PACING_").lower(): v for name, v in variables.items()})


class WorkerProcess:
    """One worker process of a stage."""

    def __init__(self, stage: Stage, instance: str, environment: dict[str, str]) -> None:
        self.port = free_ports(1)[0]
        self.log = stage.folder / f"{instance}.log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PACING_")}
        identity = {"PACING_GROUP_INSTANCE_ID": instance, "PACING_WEB_PORT": str(self.port)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", killable.__name__],
                env={**clean, **identity, **environment},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def readiness(self) -> dict[str, Any]:
        """What /readyz says; empty while nobody answers."""
        return self._get("readyz")

    def healthiness(self) -> dict[str, Any]:
        """What /healthz says; empty while nobody answers."""
        return self._get("healthz")

    def _get(self, page: str) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{page}", timeout=2) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            return dict(json.load(error))
        except OSError:
            return {}

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def owns(self) -> list[int]:
        """The partitions it is ready for."""
        said = self.readiness()
        return list(said["partitions"]) if said.get("ok") else []

    def wait_ready(self, partitions: int = 2) -> None:
        """Wait until it has restored so many partitions."""
        wait_until(lambda: self._is_ready(partitions), READY_SECONDS, what="the worker", otherwise=self.tail)

    def wait_owning(self, seconds: float = READY_SECONDS) -> None:
        """Wait until it has restored whatever it was given, and that is not nothing."""
        wait_until(self._owns_some, seconds, what="the worker", otherwise=self.tail)

    def _owns_some(self) -> bool:
        assert self.process.poll() is None, f"the worker ended with {self.process.returncode}\n{self.tail()}"
        return bool(self.owns())

    def _is_ready(self, partitions: int) -> bool:
        assert self.process.poll() is None, f"the worker ended with {self.process.returncode}\n{self.tail()}"
        return len(self.owns()) == partitions

    def wait_dead(self, seconds: float = READY_SECONDS) -> int:
        """Wait until it has ended; its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker did not end within {seconds} s\n{self.tail()}") from None

    def wait_killed(self) -> None:
        """Wait until it has killed itself."""
        assert self.wait_dead() == -9, self.tail()

    def terminate(self) -> tuple[int, float]:
        """SIGTERM; the exit code and how many seconds it took."""
        began = time.monotonic()
        self.process.terminate()
        code = self.wait_dead(STOP_SECONDS)
        return code, time.monotonic() - began

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def tail(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])


def is_frozen(pid: int) -> bool:
    """Whether a process is stopped (SIGSTOP)."""
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


# --- what goes in ----------------------------------------------------------------------------------------------------


def plan(campaign: str, **other: Any) -> bytes:
    """A plan of 30 days around now, with two channels."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=10)
    fields = {
        "campaign_id": campaign,
        "account_id": "account-1",
        "currency": "USD",
        "total_budget": "1000000.00",
        "flight_start": start.isoformat(),
        "flight_end": (start + timedelta(days=30)).isoformat(),
        "channels": [{"channel": name, "allocated_budget": "400000"} for name in CHANNELS if name],
    }
    return json.dumps({**fields, **other}).encode()


class Feed:
    """Writes plans and seeded spend: increments, credits, exact repeats, some dated ahead, and garbage if asked."""

    def __init__(self, stage: Stage, campaigns: int, *, seed: int = 1, garbage: float = 0.0) -> None:
        self.stage = stage
        self.campaigns = [f"campaign-{number:05d}" for number in range(campaigns)]
        self._dice = random.Random(seed)
        self._garbage = garbage
        self._number = 0
        self._recent: list[tuple[str, bytes]] = []
        self.use(codec="none")

    def use(self, *, codec: str) -> None:
        """Write with this compression from now on."""
        self._producer = Producer(
            {
                "bootstrap.servers": self.stage.bootstrap,
                "partitioner": PARTITIONER,
                "compression.type": codec,
                "linger.ms": 5,
                "acks": "all",
            }
        )

    def plan_all(self, **other: Any) -> None:
        """A plan for every campaign."""
        for campaign in self.campaigns:
            self.write(self.stage.plans, campaign, plan(campaign, **other))
        self._producer.flush(30)

    def write(self, topic: str, key: str | None, value: bytes | None, **more: Any) -> None:
        """One record."""
        try:
            self._producer.produce(topic, value, key.encode() if key is not None else None, **more)
        except BufferError:
            self._producer.poll(1)
            self._producer.produce(topic, value, key.encode() if key is not None else None, **more)

    def flush(self) -> None:
        """Wait until everything written is acknowledged."""
        assert self._producer.flush(30) == 0

    def spend(self, count: int) -> None:
        """So many updates, acknowledged."""
        for _ in range(count):
            self.write(self.stage.spend, *self._update())
        self.flush()

    def _update(self) -> tuple[str, bytes]:
        dice = self._dice
        if self._recent and dice.random() < 0.05:
            return dice.choice(self._recent)
        campaign = dice.choice(self.campaigns)
        if dice.random() < self._garbage:
            return campaign, dice.choice([b"", b"{", b"\xff\xfe", b"[]", b'{"campaign_id": 7}', b"null"])
        self._number += 1
        self._recent = [*self._recent[-200:], (campaign, self._body(campaign))]
        return self._recent[-1]

    def _body(self, campaign: str) -> bytes:
        dice = self._dice
        credit = dice.random() < 0.02
        ahead = dice.random() < 0.01
        seconds = dice.uniform(0, 10) if ahead else -dice.uniform(0, 9 * 86_400)
        nanos = dice.randrange(10**9 if credit else 40 * 10**9)
        return json.dumps(
            {
                "event_id": f"event-{self._number}",
                "source": "ads",
                "campaign_id": campaign,
                **({"channel": channel} if (channel := dice.choice(CHANNELS)) else {}),
                "event_time": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
                "kind": "credit" if credit else "increment",
                "spend": f"{'-' if credit else ''}{nanos // 10**9}.{nanos % 10**9:09d}",
                "impressions": dice.randrange(1000) * (-1 if credit else 1),
            }
        ).encode()

    @contextmanager
    def flowing(self, per_second: int) -> Iterator[None]:
        """Spend comes in the background, about so many updates a second, until the block ends."""
        stop = threading.Event()
        thread = threading.Thread(target=self._flow, args=(per_second, stop))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _flow(self, per_second: int, stop: threading.Event) -> None:
        while not stop.wait(0.02):
            self.spend(per_second // 50)


# --- what comes out --------------------------------------------------------------------------------------------------


def read(bootstrap: str, topics: Iterable[str], partitions: int, *, isolation: str) -> list[Message]:
    """Every record of *topics* up to their ends as they are now."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "nobody",
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
        }
    )
    places = [TopicPartition(topic, partition, 0) for topic in topics for partition in range(partitions)]
    try:
        consumer.assign(places)
        return list(_read_to_the_ends(consumer, len(places)))
    finally:
        consumer.close()


def _read_to_the_ends(consumer: Consumer, open_ends: int) -> Iterator[Message]:
    while open_ends:
        message = consumer.poll(20)
        assert message is not None, "no end of a partition was told"
        if message.error() is None:
            yield message
        elif message.error().code() == KafkaError._PARTITION_EOF:
            open_ends -= 1
        else:
            raise AssertionError(message.error())


class Update(NamedTuple):
    """An accepted update, as the oracle sees it."""

    offset: int
    event_time: datetime
    channel: str | None
    spend: Decimal


class Oracle:
    """Adds up the distinct good updates of the input topic."""

    def __init__(self, stage: Stage) -> None:
        self._updates: defaultdict[str, list[Update]] = defaultdict(list)
        seen = set()
        for message in stage.committed(stage.spend):
            body = _parsed(message)
            if body is None or (body["campaign_id"], body["source"], body["event_id"]) in seen:
                continue
            seen.add((body["campaign_id"], body["source"], body["event_id"]))
            time_ = datetime.fromisoformat(body["event_time"])
            update = Update(message.offset(), time_, body.get("channel"), Decimal(body["spend"]))
            self._updates[body["campaign_id"]].append(update)

    def spend(self, campaign: str, before_offset: int, as_of: datetime, *channel: str | None) -> Decimal:
        """What a campaign, or one channel of it, has spent by *as_of* in the records before *before_offset*."""
        updates = self._updates[campaign]
        return sum(
            (
                update.spend
                for update in updates
                if update.offset < before_offset
                and update.event_time <= as_of
                and (not channel or update.channel == channel[0])
            ),
            Decimal(0),
        )

    def total(self) -> Decimal:
        """Everything, whenever it is dated."""
        return sum((update.spend for updates in self._updates.values() for update in updates), Decimal(0))


def _parsed(message: Message) -> dict[str, Any] | None:
    try:
        body = json.loads(message.value())
    except ValueError:
        return None
    good = isinstance(body, dict) and isinstance(body.get("campaign_id"), str)
    return body if good and message.key() == body["campaign_id"].encode() else None


def audit(stage: Stage) -> int:
    """
    Every committed snapshot is exact, single and newer than the campaign's last; how many there are.

    Exact: its spend, and each channel's, is the oracle's sum over the input its `ledger_position` says it covers.
    """
    oracle = Oracle(stage)
    snapshots = stage.events("snapshot_taken")
    for snapshot in snapshots:
        _check_snapshot(stage, oracle, snapshot)
    check_single(stage)
    _check_monotone(snapshots)
    _check_ticks(stage.events("tick_closed"))
    return len(snapshots)


def _check_snapshot(stage: Stage, oracle: Oracle, snapshot: dict[str, Any]) -> None:
    covered = snapshot["ledger_position"]["next_offsets"][stage.spend]
    as_of = datetime.fromisoformat(snapshot["timestamp"])
    campaign = snapshot["campaign_id"]
    assert Decimal(snapshot["total_spend"]) == oracle.spend(campaign, covered, as_of), snapshot
    for channel in snapshot["channel_snapshots"]:
        exact = oracle.spend(campaign, covered, as_of, channel["channel"])
        assert Decimal(channel["spend"]) == exact, (channel, snapshot)


def check_single(stage: Stage) -> None:
    """No event id is committed twice."""
    ids = [json.loads(message.value())["event_id"] for message in stage.committed(*stage.outputs.values())]
    assert len(ids) == len(set(ids))


def _check_monotone(snapshots: list[dict[str, Any]]) -> None:
    last: dict[str, tuple[datetime, int]] = {}
    for snapshot in snapshots:
        now = (
            datetime.fromisoformat(snapshot["timestamp"]),
            sum(snapshot["ledger_position"]["next_offsets"].values()),
        )
        before = last.get(snapshot["campaign_id"])
        assert before is None or (before[0] < now[0] and before[1] <= now[1]), (before, snapshot)
        last[snapshot["campaign_id"]] = now


def _check_ticks(closed: list[dict[str, Any]]) -> None:
    last: dict[int, datetime] = {}
    for event in closed:
        tick = datetime.fromisoformat(event["tick"])
        assert event["partition"] not in last or last[event["partition"]] < tick, event
        last[event["partition"]] = tick


def settle(stage: Stage, *workers: WorkerProcess) -> None:
    """Wait until a tick has closed that covers all input there is now."""
    ends = {
        (topic, partition): consumer_end(stage, topic, partition)
        for topic in (stage.plans, stage.spend)
        for partition in range(stage.settings.partitions)
    }

    def settled() -> bool:
        for worker in workers:
            assert worker.process.poll() is None, worker.tail()
        covered = {event["partition"]: event["next_offsets"] for event in stage.events("tick_closed")}
        return all(covered.get(partition, {}).get(topic, -1) >= end for (topic, partition), end in ends.items())

    wait_until(settled, SETTLED_SECONDS, what="a tick over all input", otherwise=lambda: _tails(workers))


def _tails(workers: Iterable[WorkerProcess]) -> str:
    return "\n\n".join(worker.tail() for worker in workers)


def consumer_end(stage: Stage, topic: str, partition: int) -> int:
    """Where a partition ends now."""
    consumer = Consumer({"bootstrap.servers": stage.bootstrap, "group.id": "nobody"})
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1])
    finally:
        consumer.close()
