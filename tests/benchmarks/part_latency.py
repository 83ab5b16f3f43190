"""
From produce to checkpoint and to snapshot, at half of the worker's top speed.

A stream of batches is sent at a fixed rate while the worker checkpoints each 0.5 s and ticks each second. An update's
way ends when the first checkpoint, or the first closed tick, that covers its offset is committed; its beginning is
the producer's call. Both clocks are this machine's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.benchmarks.asked import Asked
from tests.benchmarks.drains import closed_ticks, drained, progress
from tests.benchmarks.feed import Sent, prepared, send, stream
from tests.benchmarks.machine import BROKER_CORE, WORKER_CORE
from tests.benchmarks.report import Report
from tests.benchmarks.running import PARTITIONS, PLANS, SPEND, App
from tests.benchmarks.waiting import NoFigureError
from tests.benchmarks.workload import Backlog, plans
from tests.kafka.broker import Broker, running_broker

TICK_SECONDS = 1
# The first moments of a stream are those of connections and caches.
WARM_SECONDS = 3.0

Covered = list[tuple[float, int]]
"""What was covered when: (seconds since 1970, offset), both ascending."""


def measure(asked: Asked, report: Report) -> None:
    """Find the top speed if it is not known, then stream at half of it."""
    top, known = (asked.top, "as drained in this run") if asked.top else (_top(asked), "as drained just before")
    with running_broker(cpu=BROKER_CORE) as broker:
        sent, app = _streamed(broker, asked, top / 2)
        took = sent[-1].at - sent[0].at
        rate = sum(each.size for each in sent) / took
        how = (
            f"streamed for {took:.0f} s at {rate:,.0f} updates/s (half of {top:,.0f}, {known}), checkpoints each 0.5 s,"
            f" ticks each {TICK_SECONDS} s over {asked.campaigns:,} campaigns"
        )
        late = [each for each in sent if each.at - sent[0].at > min(WARM_SECONDS, took / 2)]
        acknowledged = sorted((each.acknowledged - each.at, each.size) for each in late)
        how += f"; the broker's acknowledgement alone takes {_told(acknowledged)}"
        report.figure("produce to checkpoint", _percentiles(late, _checkpoints(app)), f"{how}; to the commit")
        report.figure("produce to snapshot", _percentiles(late, _ticks(app)), f"{how}; to the commit of the tick")


def _top(asked: Asked) -> float:
    """Updates a second of a drain."""
    with running_broker(cpu=BROKER_CORE) as broker:
        app = App(broker.bootstrap, "bench-top", asked.home, tick_seconds=TICK_SECONDS)
        now = datetime.now(UTC)
        send(broker.bootstrap, PLANS, plans(asked.campaigns, now))
        send(broker.bootstrap, SPEND, Backlog(asked.updates, asked.campaigns, now))
        with app.running(WORKER_CORE) as workers:
            return drained(app, workers, SPEND, asked.updates, 120 + asked.updates / 10_000).per_second


def _streamed(broker: Broker, asked: Asked, rate: float) -> tuple[list[Sent], App]:
    app = App(broker.bootstrap, "bench-latency", asked.home, tick_seconds=TICK_SECONDS)
    app.keep_every_checkpoint()
    now = datetime.now(UTC)
    send(broker.bootstrap, PLANS, plans(asked.campaigns, now))
    count = int(rate * asked.stream_seconds)
    steps = prepared(Backlog(count, asked.campaigns, now), rate, PARTITIONS)
    with app.running(WORKER_CORE) as workers:
        app.wait_folded(workers, PLANS, asked.campaigns, 120)
        sent = stream(broker.bootstrap, SPEND, steps)
        app.wait_folded(workers, SPEND, count, 120)
    return sent, app


def _checkpoints(app: App) -> dict[int, Covered]:
    """What each partition's checkpoints covered."""
    covered: dict[int, Covered] = {}
    for each in progress(app, SPEND):
        covered.setdefault(each.partition, []).append((each.at, each.position))
    return covered


def _ticks(app: App) -> dict[int, Covered]:
    """What each partition's ticks covered: a tick's cut is what was folded when it was opened."""
    covered: dict[int, Covered] = {}
    for partition, at, tick in closed_ticks(app):
        covered.setdefault(partition, []).append((at, tick.next_offsets[SPEND]))
    return covered


def _percentiles(sent: Sequence[Sent], covered: dict[int, Covered]) -> str:
    """The median and the 99th percentile of the updates' times, in milliseconds."""
    times: list[tuple[float, int]] = []
    for each in sent:
        ways = covered.get(each.partition, [])
        place = bisect_left(ways, each.end, key=lambda way: way[1])
        # What is sent last is covered by the checkpoint of the stop, and by no tick.
        if place < len(ways):
            times.append((ways[place][0] - each.at, each.size))
    if not times:
        raise NoFigureError("nothing that was sent was covered")
    return _told(sorted(times))


def _told(times: Sequence[tuple[float, int]]) -> str:
    return f"p50 {_at(times, 0.50):,.0f} ms, p99 {_at(times, 0.99):,.0f} ms"


def _at(times: Sequence[tuple[float, int]], share: float) -> float:
    left = share * sum(count for _, count in times)
    for seconds, count in times:
        left -= count
        if left <= 0:
            return seconds * 1000
    return times[-1][0] * 1000
