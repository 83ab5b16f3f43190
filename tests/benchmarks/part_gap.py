"""The longest time for which a big tick keeps the worker from folding what comes in."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple

from tests.benchmarks.asked import Asked
from tests.benchmarks.drains import closed_ticks, fold_plans, instant
from tests.benchmarks.feed import send
from tests.benchmarks.flow import PATIENCE, Flow
from tests.benchmarks.machine import BROKER_CORE, WORKER_CORE
from tests.benchmarks.report import Report
from tests.benchmarks.running import PARTITIONS, PLANS, SPEND, App, WorkerProcess, alive
from tests.benchmarks.waiting import NoFigureError, wait_for
from tests.benchmarks.watched_worker import NOTES
from tests.benchmarks.workload import plans
from tests.kafka.broker import running_broker

TICK_SECONDS = 60
BEFORE_SECONDS = 10
AHEAD = 100_000
TAKEN_SECONDS = 600.0


def measure(asked: Asked, report: Report) -> None:
    """Feed as fast as the worker saves while a tick is taken, and look for the longest silence."""
    campaigns = asked.gap_campaigns
    notes = asked.home / "notes.json"
    with running_broker(cpu=BROKER_CORE) as broker:
        app = App(broker.bootstrap, "bench-gap", asked.home, tick_seconds=TICK_SECONDS, **PATIENCE)
        send(broker.bootstrap, PLANS, plans(campaigns, datetime.now(UTC)))
        fold_plans(app, campaigns)
        flow = Flow(app, campaigns, AHEAD)
        with app.running(WORKER_CORE, module="tests.benchmarks.watched_worker", **{NOTES: str(notes)}) as workers:
            workers[0].wait_ready()
            _wait_for_the_eve_of_a_tick(workers)
            begin = time.time()
            with flow.flowing():
                tick = alive(workers, lambda: _is_taken(app, begin))
                wait_for(tick, f"a tick over {campaigns:,} campaigns", seconds=TAKEN_SECONDS, every=2)
                end, saved = time.time(), flow.saved
            app.wait_folded(workers, SPEND, flow.sent, 180)
    _told(report, campaigns, Streamed(begin, end, saved), json.loads(notes.read_text(encoding="utf-8")))


def _wait_for_the_eve_of_a_tick(workers: Sequence[WorkerProcess]) -> None:
    """Sleep until a little before the next tick, which is a moment of the clock and not a condition."""
    left = -(time.time() + BEFORE_SECONDS) % TICK_SECONDS
    time.sleep(left)
    if workers[0].process.poll() is not None:
        raise NoFigureError(f"the worker ended: {workers[0].tail()}")


def _is_taken(app: App, begin: float) -> bool:
    """Whether every partition has closed a tick whose time is after *begin*."""
    return {partition for partition, _, tick in closed_ticks(app) if instant(tick.tick) > begin} == set(
        range(PARTITIONS)
    )


class Streamed(NamedTuple):
    """When the stream began and ended, in seconds since 1970, and how much of it was saved by then."""

    begin: float
    end: float
    saved: int


def _told(report: Report, campaigns: int, streamed: Streamed, notes: dict[str, list[Any]]) -> None:
    begin, end, saved = streamed
    ticks = [(begun, ended) for tick, begun, ended in notes["ticks"] if begin < tick < end]
    if not ticks:
        raise NoFigureError("no tick fell into the stream")
    first, last = min(begun for begun, _ in ticks), min(end, max(ended for _, ended in ticks))
    folds = sorted((at, partition) for partition, at in notes["folds"] if first - 1 <= at <= last + 1)
    own = max(_longest(at for at, partition in folds if partition == number) for number in range(PARTITIONS))
    before = [at for _, at in notes["folds"] if begin + 1 <= at < first]
    report.figure(
        f"longest ingest gap during a tick over {campaigns:,} campaigns",
        f"{_longest(at for at, _ in folds) * 1000:,.0f} ms",
        f"between two folds, while there was always something to fold ({saved / (end - begin):,.0f} updates/s) and a"
        f" tick of {last - first:.1f} s was taken; of one partition {own * 1000:,.0f} ms; before the tick"
        f" {_longest(before) * 1000:,.0f} ms",
    )


def _longest(times: Iterable[float]) -> float:
    return max((after - before for before, after in pairwise(sorted(times))), default=0.0)
