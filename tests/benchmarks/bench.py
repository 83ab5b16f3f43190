"""
`make bench`: how fast the worker is, as ratios measured in one run on a real Kafka.

Broker and worker get one core each. The same backlog is drained by a plain Faust agent (one table update an event)
and by the worker (identity, checkpoints and ticks on); both must end at the same totals, or there is no figure.
Then a tick over many campaigns is timed from the records it produced.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.benchmarks import workload
from tests.kafka.broker import Broker, free_ports, running_broker

T = TypeVar("T")

WORKER_CPU = "0"
BROKER_CPU = 1
PARTITIONS = 4
DEADLINE_SECONDS = 900
# Often enough to time seconds by, seldom enough not to cost the worker's core anything that shows.
POLL_SECONDS = 0.1
SPEND = "pacing.spend_updates"
PLANS = "pacing.campaign_plans"
SNAPSHOTS = "pacing.snapshot_taken"
TICKS = "pacing.tick_closed"


@dataclass(frozen=True)
class Drained:
    """A backlog folded: how long it took and where it ended."""

    seconds: float
    totals: dict[str, int]


class Worker:
    """The real worker as a process of its own, on its own core."""

    def __init__(self, broker: Broker, home: Path, **settings: str) -> None:
        (self.port,) = free_ports(1)
        self.environment = os.environ | {
            "PACING_KAFKA_BOOTSTRAP": broker.bootstrap,
            "PACING_PARTITIONS": str(PARTITIONS),
            "PACING_REPLICATION_FACTOR": "1",
            "PACING_WEB_PORT": str(self.port),
            "PACING_DATA_DIR": str(home),
            **{f"PACING_{name.upper()}": value for name, value in settings.items()},
        }
        self.pacing = str(Path(sys.executable).with_name("pacing"))

    def apply_topics(self) -> None:
        """Create the topics."""
        subprocess.run([self.pacing, "topics", "apply"], env=self.environment, check=True, stdout=subprocess.DEVNULL)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run it; stop it in order at the end."""
        command = ["taskset", "--cpu-list", WORKER_CPU, self.pacing, "worker"]
        with Path(self.environment["PACING_DATA_DIR"], "worker.log").open("ab") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)

    def folded(self) -> int:
        """Spend updates accepted, found repeated or refused so far."""
        counted = "pacing_inputs_total{"
        return int(sum(value for name, value in self._samples() if name.startswith(counted) and SPEND in name))

    def _samples(self) -> Iterator[tuple[str, float]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                yield name, float(value)


def main() -> int:
    """Run every measurement and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench", description=main.__doc__)
    parser.add_argument("--updates", type=int, default=1_000_000)
    parser.add_argument("--campaigns", type=int, default=1_000)
    parser.add_argument("--tick-campaigns", type=int, default=100_000)
    parser.add_argument("--only", choices=("drain", "peer", "tick"), action="append")
    asked = parser.parse_args()
    parts = asked.only or ["drain", "peer", "tick"]
    with tempfile.TemporaryDirectory(prefix="pacing-bench-") as home:
        if "drain" in parts or "peer" in parts:
            compare_drains(asked.updates, asked.campaigns, Path(home), parts)
        if "tick" in parts:
            time_a_tick(asked.tick_campaigns, Path(home))
    return 0


def compare_drains(count: int, campaigns: int, home: Path, parts: list[str]) -> None:
    """The same backlog through the worker and through a plain Faust agent."""
    with running_broker(cpu=BROKER_CPU) as broker:
        worker = Worker(broker, home, tick_seconds="2")
        worker.apply_topics()
        now = datetime.now(UTC)
        send(broker, PLANS, plans(campaigns, now))
        send(broker, SPEND, workload.updates(count, campaigns, now))
        ours = drain_by_worker(worker, broker, count, campaigns)
        say("worker: identity, checkpoints, ticks", count, ours.seconds)
        if "peer" not in parts:
            return
        plain = drain_by_plain_faust(broker, count, home)
        say("plain Faust agent, one table update an event", count, plain.seconds)
        if plain.totals != ours.totals:
            raise SystemExit("the two sides ended at different totals: no ratio")
        print(f"ratio {plain.seconds / ours.seconds:.1f}x, same totals for {len(ours.totals):,} campaigns")


@dataclass(frozen=True)
class Progress:
    """How many updates were folded at a moment."""

    at: float
    folded: int


def drain_by_worker(worker: Worker, broker: Broker, count: int, campaigns: int) -> Drained:
    """Time from the first update seen folded to the last; totals from the snapshots published."""
    with worker.running():
        begun = wait_for(lambda: reached(worker, 1), every=POLL_SECONDS)
        ended = wait_for(lambda: reached(worker, count), every=POLL_SECONDS)
        seconds = (ended.at - begun.at) * count / (count - begun.folded)
        caught_up = datetime.now(UTC)
        totals = wait_for(lambda: totals_of(broker, campaigns, caught_up), every=1)
    return Drained(seconds, totals)


def reached(worker: Worker, folded: int) -> Progress | None:
    """How far the worker is, once that is at least *folded*."""
    now = Progress(time.perf_counter(), worker.folded())
    return now if now.folded >= folded else None


def drain_by_plain_faust(broker: Broker, count: int, home: Path) -> Drained:
    """The peer, on the worker's core."""
    command = [sys.executable, "-m", "tests.benchmarks.plain_faust", broker.bootstrap, SPEND, str(count), str(home)]
    done = subprocess.run(
        ["taskset", "--cpu-list", WORKER_CPU, *command],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=True,
    )
    outcome = json.loads(done.stdout.strip().splitlines()[-1])
    return Drained(outcome["seconds"], outcome["totals"])


def totals_of(broker: Broker, campaigns: int, after: datetime) -> dict[str, int] | None:
    """Spend in nanos by campaign from snapshots that are complete and taken *after*; None until all are there."""
    totals = {
        body["campaign_id"]: int(Decimal(body["total_spend"]) * 10**9)
        for _, body in read(broker, SNAPSHOTS)
        if body["complete"] and body["timestamp"] > workload.stamp(after)
    }
    return totals if len(totals) == campaigns else None


def time_a_tick(campaigns: int, home: Path) -> None:
    """A tick over *campaigns* with three channels each, from its first record to its last."""
    with running_broker(cpu=BROKER_CPU) as broker:
        worker = Worker(broker, home, tick_seconds="60")
        worker.apply_topics()
        now = datetime.now(UTC)
        send(broker, PLANS, plans(campaigns, now))
        send(broker, SPEND, workload.updates(3 * campaigns, campaigns, now))
        with worker.running():
            first, last = wait_for(lambda: a_whole_tick(broker, campaigns), every=5)
        seconds = (last - first) / 1000
        what = f"tick over {campaigns:,} campaigns, 3 channels each"
        print(f"{what}: {seconds:.2f} s, {campaigns / seconds:,.0f} campaigns/s")


def a_whole_tick(broker: Broker, campaigns: int) -> tuple[int, int] | None:
    """Times (ms) of the first snapshot and of the last `tick_closed` of a complete tick over all campaigns."""
    closed: dict[str, list[int]] = {}
    counted: dict[str, int] = {}
    for at, body in read(broker, TICKS):
        if body["complete"]:
            closed.setdefault(body["tick"], []).append(at)
            counted[body["tick"]] = counted.get(body["tick"], 0) + body["campaigns"]
    whole = [tick for tick, count in counted.items() if count == campaigns and len(closed[tick]) == PARTITIONS]
    if not whole:
        return None
    tick = max(whole)
    first = min(at for at, body in read(broker, SNAPSHOTS) if body["timestamp"] == tick)
    return first, max(closed[tick])


def plans(campaigns: int, now: datetime) -> Iterator[tuple[str, bytes]]:
    """One plan a campaign, in flight for a day already."""
    for number in range(campaigns):
        yield workload.campaign_id(number), workload.plan(number, now - timedelta(days=1))


def send(broker: Broker, topic: str, messages: Iterator[tuple[str, bytes]]) -> None:
    """Produce as an ad server would: keyed by campaign, in its murmur2 partition."""
    producer = Producer(
        {
            "bootstrap.servers": broker.bootstrap,
            "partitioner": "murmur2_random",
            "linger.ms": 50,
            "batch.num.messages": 10_000,
            "queue.buffering.max.messages": 500_000,
        }
    )
    for number, (key, value) in enumerate(messages):
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 1_000 == 0:
            producer.poll(0)
    producer.flush()


def read(broker: Broker, topic: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every committed message of a topic, as (timestamp in ms, body)."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": "bench",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    ends = 0
    while ends < PARTITIONS:
        for message in consumer.consume(10_000, timeout=1):
            if message.error():
                ends += 1
            else:
                yield message.timestamp()[1], json.loads(message.value())
    consumer.close()


def wait_for(condition: Callable[[], T | None], *, every: float) -> T:
    """Poll until *condition* gives something true, and return that."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not (found := condition()):
        if time.monotonic() > end:
            raise SystemExit(f"not reached within {DEADLINE_SECONDS} s")
        time.sleep(every)
    return found


def say(what: str, count: int, seconds: float) -> None:
    """One line of the table."""
    print(f"{what}: {count:,} updates in {seconds:.2f} s, {count / seconds:,.0f}/s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
