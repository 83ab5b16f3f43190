"""
What grows with the number of campaigns: throughput, the time of a tick, the time to come back after kill -9.

For each size on a broker of its own: plans first, folded, and judged before anything is spent; then the backlog, spread
evenly over the campaigns; then, when a tick has counted it, a tick that has nothing to count, and one that counts three
updates a campaign on average; then kill -9 and a restart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

import psutil

from tests.benchmarks.asked import Asked
from tests.benchmarks.drains import Drained, WholeTick, check_totals, drained, fold_plans, instant, wait_whole_tick
from tests.benchmarks.feed import send
from tests.benchmarks.machine import BROKER_CORE, WORKER_CORE
from tests.benchmarks.report import Report
from tests.benchmarks.running import PARTITIONS, PLANS, READY_SECONDS, SPEND, App, WorkerProcess, alive
from tests.benchmarks.waiting import NoFigureError, wait_for
from tests.benchmarks.workload import Backlog, plans
from tests.kafka.broker import running_broker

TICK_SECONDS = 60
NEWS = 3
"""Updates for each campaign, on average, of the tick with new spend: some have none."""
RESUMED_SECONDS = 600.0
GIB = 1 << 30
# At the most, of the worker, the broker and this process, which keeps sums: a campaign took 15 kB in the worker alone.
CAMPAIGN_BYTES = 16_000
BASE_BYTES = 3 * GIB


def measure(asked: Asked, report: Report) -> None:
    """Every size; one that fails says so, and the next is tried."""
    ticks: dict[int, float] = {}
    for campaigns in asked.sizes:
        _attempt(report, f"{campaigns:,} campaigns", partial(_size, asked, campaigns, report, ticks))
    if ticks:
        report.figure("campaigns at which a tick takes its whole 60 s", *_limit(ticks))


def _attempt(report: Report, what: str, step: Callable[[], None]) -> None:
    """Carry *step* out; where it fails, say so and go on."""
    try:
        step()
    except (NoFigureError, TimeoutError, OSError, ValueError) as error:
        report.no_figure(what, str(error))


def _size(asked: Asked, campaigns: int, report: Report, ticks: dict[int, float]) -> None:
    _check_memory(campaigns)
    with running_broker(cpu=BROKER_CORE) as broker:
        app = App(broker.bootstrap, f"bench-{campaigns}", asked.home, tick_seconds=TICK_SECONDS)
        now = datetime.now(UTC)
        send(broker.bootstrap, PLANS, plans(campaigns, now))
        fold_plans(app, campaigns)
        backlog = Backlog(asked.updates, campaigns, now)
        send(broker.bootstrap, SPEND, backlog)
        # The first tick is the newest that is due when the worker begins.
        begun, longest = time.time() - TICK_SECONDS, 6 * TICK_SECONDS + campaigns / 200
        with app.running(WORKER_CORE) as workers:
            done = drained(app, workers, SPEND, asked.updates, 300 + asked.updates / 5_000)
            report.figure(f"updates/s over {campaigns:,} campaigns", *_speed(done))
            first = wait_whole_tick(app, workers, begun, campaigns, longest)
            idle = wait_whole_tick(app, workers, max(instant(first.tick), done.end), campaigns, longest)
            report.figure(f"a tick over {campaigns:,} campaigns", *_tick(campaigns, idle.seconds, "with nothing new"))
            news = Backlog(
                NEWS * campaigns, campaigns, datetime.now(UTC), spread=timedelta(seconds=1), first=asked.updates
            )
            send(broker.bootstrap, SPEND, news)
            app.wait_folded(workers, SPEND, asked.updates + NEWS * campaigns, longest)
            # A tick that was due while they came may have counted some of them, or none.
            whole = wait_whole_tick(app, workers, max(instant(idle.tick), time.time()), campaigns, longest)
            ticks[campaigns] = whole.seconds
            report.figure(f"tick over {campaigns:,} campaigns", *_tick(campaigns, whole.seconds, "with new spend"))
            workers[0].kill()
        what = f"totals of {campaigns:,} campaigns"
        exact = {name: backlog.exact[name] + news.exact[name] for name in {*backlog.exact, *news.exact}}
        _attempt(report, what, partial(_check, app, whole, exact, report, what))
        _restore(app, campaigns, asked.updates + NEWS * campaigns, report)


def _check_memory(campaigns: int) -> None:
    """Where memory would not do, the kernel ends a process, and not always the one that asks for it."""
    needed, free = BASE_BYTES + campaigns * CAMPAIGN_BYTES, psutil.virtual_memory().available
    if free < needed:
        raise NoFigureError(f"not tried: it may take {needed / GIB:.0f} GiB of memory, and {free / GIB:.0f} are free")


def _check(app: App, whole: WholeTick, exact: Mapping[str, int], report: Report, what: str) -> None:
    check_totals(app, whole, exact)
    report.figure(what, "equal", "every campaign's spend in the snapshots of that tick, against an independent sum")


def _speed(done: Drained) -> tuple[str, str]:
    how = (
        f"drain of {done.updates:,} updates, hit uniformly, in {done.seconds:.2f} s; ticks each 60 s"
        f" judged {done.judged:,} campaigns meanwhile"
    )
    return f"{done.per_second:,.0f}", how


def _tick(campaigns: int, seconds: float, news: str) -> tuple[str, str]:
    how = (
        f"{seconds:.2f} s from the tick's time (or the end of the tick before) to the commit of its last event,"
        f" {PARTITIONS} partitions on one core, three channels a campaign, {news}, no input meanwhile"
    )
    return f"{campaigns / seconds:,.0f} campaigns/s, {seconds / campaigns * 1e6:,.0f} µs each", how


def _limit(ticks: dict[int, float]) -> tuple[str, str]:
    """Where a tick takes its window: reached, or carried on from the largest size."""
    largest = max(ticks)
    limit = largest * TICK_SECONDS / ticks[largest]
    over = [size for size in sorted(ticks) if ticks[size] > TICK_SECONDS]
    seen = f"the tick over {over[0]:,} took longer" if over else "no tick that was measured took longer"
    return f"{limit:,.0f}", f"in proportion to the tick over {largest:,} campaigns ({ticks[largest]:.1f} s); {seen}"


def _restore(app: App, campaigns: int, updates: int, report: Report) -> None:
    """Start again after kill -9, and wait until every partition folds again."""
    begun = time.time()
    with app.running(WORKER_CORE) as workers:
        worker = workers[0]
        wait_for(alive(workers, lambda: len(worker.opened()) == PARTITIONS), "the restore", seconds=RESUMED_SECONDS)
        opened = max(each.at for each in worker.opened())
        seconds = max(each.seconds for each in worker.opened())
        worker.wait_ready()
        records = _samples(worker)["pacing_restore_records_total"]
    of = f"{campaigns:,} campaigns and {updates:,} updates"
    report.figure(
        f"restore of {of}",
        f"{records / seconds:,.0f} records/s",
        f"{records:,.0f} ledger records in {seconds:.2f} s, from assignment to the last of {PARTITIONS} partitions"
        " restored at once; a record holds up to 8,192 ids",
    )
    report.figure(
        f"resumed after kill -9 with {of}",
        f"{opened - begun:.2f} s",
        "from the start of the new process, with the same member id, to the opening of its last partition",
    )


def _samples(worker: WorkerProcess) -> dict[str, float]:
    """The metrics of a worker that answers; a restored ledger may keep it busy for a while."""
    return wait_for(lambda: worker.metrics() or None, "the metrics", seconds=READY_SECONDS)
