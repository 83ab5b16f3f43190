"""
Twenty minutes at top speed: whether memory, open files, lag or the disk grow.

Spend is fed as fast as the worker saves it, with ticks and a PostgreSQL beside it. An id is remembered for a minute,
so that what is remembered is as much at the end as in the middle; the broker keeps the newest bytes of each topic
(`flow.shorten_logs`) and compacts the ledger's. The last third must be as the one before it, and the totals exact.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.benchmarks.asked import Asked
from tests.benchmarks.drains import check_totals, wait_whole_tick
from tests.benchmarks.feed import send
from tests.benchmarks.flow import PATIENCE, Flow, shorten_logs
from tests.benchmarks.machine import BROKER_CORE, WORKER_CORE
from tests.benchmarks.report import Report
from tests.benchmarks.running import PARTITIONS, PLANS, SPEND, App, WorkerProcess
from tests.benchmarks.waiting import NoFigureError
from tests.benchmarks.watching import Sample, Thirds, thirds, verdicts, watched
from tests.benchmarks.workload import plans
from tests.kafka.broker import running_broker
from tests.postgres.conftest import FAST
from worker.demo.postgres import running_postgres
from worker.ledger.identity import GENERATION
from worker.sink.migrate import migrate

MINUTES = 20.0
TICK_SECONDS = 10
HORIZON_SECONDS = 60
AHEAD = 400_000


def measure(asked: Asked, report: Report) -> None:
    """Feed at top speed, watch, and judge the last third by the middle one."""
    minutes = asked.minutes or MINUTES
    with running_postgres(FAST) as server, running_broker(cpu=BROKER_CORE) as broker:
        asyncio.run(migrate(server.dsn))
        more = {**PATIENCE, "horizon_seconds": HORIZON_SECONDS, "tick_seconds": TICK_SECONDS}
        app = App(broker.bootstrap, "bench-soak", asked.home, postgres_dsn=server.dsn, **more)
        shorten_logs(app)
        send(broker.bootstrap, PLANS, plans(asked.campaigns, datetime.now(UTC)))
        flow = Flow(app, asked.campaigns, AHEAD)
        with app.running(WORKER_CORE) as workers:
            app.wait_folded(workers, PLANS, asked.campaigns, 120)
            with flow.flowing():
                samples = watched(workers[0], flow, broker.data_dir, 60 * minutes)
            _check(app, workers, flow, asked.campaigns)
    judge(report, samples, flow.sent)


def _check(app: App, workers: Sequence[WorkerProcess], flow: Flow, campaigns: int) -> None:
    app.wait_folded(workers, SPEND, flow.sent, 300)
    whole = wait_whole_tick(app, workers, time.time(), campaigns, 60 + 6 * TICK_SECONDS)
    check_totals(app, whole, flow.updates.totals())


def judge(report: Report, samples: Sequence[Sample], sent: int) -> None:
    """A row for each thing that must not grow."""
    found = thirds(samples)
    if min(map(len, found)) < 2:
        raise NoFigureError("too short: a third has no two samples")
    seconds = samples[-1].at - samples[0].at
    how = (
        f"middle third, then last, of {seconds / 60:.1f} minutes with {sent:,} updates, at the worker's own speed, ids"
        f" remembered for {HORIZON_SECONDS} s, ticks each {TICK_SECONDS} s, with PostgreSQL; totals exact"
    )
    for verdict in verdicts(found):
        what = f"soak: {verdict.what}"
        if verdict.what == "memory" and (why := why_too_short(found)):
            report.figure(what, f"{verdict.told}; not judged", f"{how}; {why}")
        elif verdict.is_level:
            report.figure(what, verdict.told, how)
        else:
            report.no_figure(what, f"not level: {verdict.told}; {how}")


def why_too_short(found: Thirds) -> str:
    """Why memory cannot be judged: a third does not hold an index of ids from its first to its last; else empty."""
    third = found.last[-1].at - found.last[0].at
    needed = HORIZON_SECONDS + GENERATION * PARTITIONS / max(1.0, found.speed(lambda each: each.at)[1])
    if third >= needed:
        return ""
    return f"a third is too short for that: at this speed an index of ids fills and is forgotten in {needed:,.0f} s"
