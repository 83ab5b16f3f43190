"""Throughput of one worker and of two, on the same backlog."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.benchmarks.asked import Asked
from tests.benchmarks.drains import check_totals, drained, wait_whole_tick
from tests.benchmarks.feed import send
from tests.benchmarks.machine import BROKER_CORE, SECOND_CORE, WORKER_CORE
from tests.benchmarks.report import Report
from tests.benchmarks.running import PLANS, SPEND, App
from tests.benchmarks.waiting import NoFigureError
from tests.benchmarks.workload import Backlog, plans
from tests.kafka.broker import running_broker

# Both members join one generation, so that no rebalance falls into the drain.
JOIN_MS = "5000"


def measure(asked: Asked, report: Report) -> None:
    """Feed once, drain by one worker and by two."""
    overrides = {"group.initial.rebalance.delay.ms": JOIN_MS}
    with running_broker(cpu=BROKER_CORE, overrides=overrides) as broker:
        now = datetime.now(UTC)
        apps = [App(broker.bootstrap, f"bench-{count}", asked.home, tick_seconds=2) for count in (1, 2)]
        send(broker.bootstrap, PLANS, plans(asked.campaigns, now))
        backlog = Backlog(asked.updates, asked.campaigns, now)
        send(broker.bootstrap, SPEND, backlog)
        for app, cores in zip(apps, ((WORKER_CORE,), (WORKER_CORE, SECOND_CORE)), strict=True):
            what = f"updates/s of {len(cores)} worker{'s' if len(cores) > 1 else ''}"
            try:
                report.figure(what, *_speed(app, cores, asked, backlog))
            except (NoFigureError, TimeoutError, OSError, ValueError) as error:
                report.no_figure(what, str(error))


def _speed(app: App, cores: tuple[int, ...], asked: Asked, backlog: Backlog) -> tuple[str, str]:
    with app.running(*cores) as workers:
        done = drained(app, workers, SPEND, asked.updates, 120 + asked.updates / 10_000)
        check_totals(app, wait_whole_tick(app, workers, done.end, asked.campaigns, 60), backlog.exact)
    where = "a core each, the broker on another"
    if BROKER_CORE in cores:
        where = "one on a core of its own, the other on the broker's: this machine has no third"
    if len(cores) == 1:
        where = "on a core of its own"
    how = f"drain of {done.updates:,} updates in {done.seconds:.2f} s, {where}; totals checked"
    return f"{done.per_second:,.0f}", how
