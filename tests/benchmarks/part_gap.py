"""The longest time for which a big tick keeps the worker from folding what comes in."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from tests.benchmarks.asked import Asked
from tests.benchmarks.feed import Sent, prepared, send, stream
from tests.benchmarks.machine import BROKER_CORE, WORKER_CORE
from tests.benchmarks.report import Report
from tests.benchmarks.running import PARTITIONS, PLANS, SPEND, App, WorkerProcess
from tests.benchmarks.waiting import NoFigureError
from tests.benchmarks.watched_worker import NOTES
from tests.benchmarks.workload import Backlog, plans
from tests.kafka.broker import running_broker

TICK_SECONDS = 60
BEFORE_SECONDS = 10
AFTER_SECONDS = 5
UPDATES_A_SECOND = 10_000


def measure(asked: Asked, report: Report) -> None:
    """Stream while a tick is taken, and look for the longest silence."""
    campaigns = asked.gap_campaigns
    notes = asked.home / "notes.json"
    # As long as a tick over so many may take, with a margin; what it did take is looked at below.
    seconds = BEFORE_SECONDS + max(10.0, min(50.0, campaigns / 3_000)) + AFTER_SECONDS
    with running_broker(cpu=BROKER_CORE) as broker:
        app = App(broker.bootstrap, "bench-gap", asked.home, tick_seconds=TICK_SECONDS)
        now = datetime.now(UTC)
        send(broker.bootstrap, PLANS, plans(campaigns, now))
        count = int(seconds * UPDATES_A_SECOND)
        steps = prepared(Backlog(count, campaigns, now), UPDATES_A_SECOND, PARTITIONS)
        with app.running(WORKER_CORE, module="tests.benchmarks.watched_worker", **{NOTES: str(notes)}) as workers:
            app.wait_folded(workers, PLANS, campaigns, 120 + campaigns / 500)
            _wait_for_the_eve_of_a_tick(workers)
            sent = stream(broker.bootstrap, SPEND, steps)
            app.wait_folded(workers, SPEND, count, 180)
    _told(report, campaigns, sent, notes)


def _wait_for_the_eve_of_a_tick(workers: Sequence[WorkerProcess]) -> None:
    """Sleep until a little before the next tick, which is a moment of the clock and not a condition."""
    left = -(time.time() + BEFORE_SECONDS) % TICK_SECONDS
    time.sleep(left)
    if workers[0].process.poll() is not None:
        raise NoFigureError(f"the worker ended: {workers[0].tail()}")


def _told(report: Report, campaigns: int, sent: Sequence[Sent], path: Path) -> None:
    notes = json.loads(path.read_text(encoding="utf-8"))
    begin, end = sent[0].at, sent[-1].at
    ticks = [(begun, ended) for _, begun, ended in notes["ticks"] if begin < begun < end]
    if not ticks:
        raise NoFigureError("no tick fell into the stream")
    first, last = min(begun for begun, _ in ticks), min(end, max(ended for _, ended in ticks))
    folds = sorted((at, partition) for partition, at in notes["folds"] if first - 1 <= at <= last + 1)
    own = max(_longest(at for at, partition in folds if partition == number) for number in range(PARTITIONS))
    before = [at for _, at in notes["folds"] if begin + 1 <= at < first]
    report.figure(
        f"longest ingest gap during a tick over {campaigns:,} campaigns",
        f"{_longest(at for at, _ in folds) * 1000:,.0f} ms",
        f"between two folds, while {UPDATES_A_SECOND:,} updates/s came and a tick of {last - first:.1f} s was taken;"
        f" of one partition {own * 1000:,.0f} ms; before the tick {_longest(before) * 1000:,.0f} ms",
    )


def _longest(times: Iterable[float]) -> float:
    return max((after - before for before, after in pairwise(sorted(times))), default=0.0)
