"""
Ten minutes at full input with PostgreSQL stopped and a slow tick each minute: whether memory stays in its bound.

What the worker holds is bounded by its settings (`bound`; README's "Memory" tells what by what). The sink's events wait
in Kafka, spend waits in Kafka while a tick is taken or a checkpoint written; so the largest resident memory there ever
was, as the kernel has it, must stay below the bound.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.asked import Asked
from tests.benchmarks.drains import check_totals, closed_ticks, fold_plans, instant, wait_whole_tick
from tests.benchmarks.feed import send
from tests.benchmarks.flow import PATIENCE, Flow, shorten_logs
from tests.benchmarks.machine import BROKER_CORE, WORKER_CORE
from tests.benchmarks.report import Report
from tests.benchmarks.running import PARTITIONS, PLANS, READY_SECONDS, SPEND, App, WorkerProcess
from tests.benchmarks.waiting import NoFigureError, wait_for
from tests.benchmarks.watching import MIB, Sample, watched
from tests.benchmarks.workload import plans
from tests.kafka.broker import running_broker
from tests.postgres.conftest import FAST
from worker.demo.postgres import EmbeddedPostgres, running_postgres
from worker.ledger.identity import BUCKETS, GENERATION
from worker.ledger.limits import LedgerLimits
from worker.partition import FULL, OUTBOX_BYTES
from worker.settings import Settings, load_settings
from worker.sink.migrate import migrate
from worker.sink.reading import KINDS
from worker.sink.sink import FETCH_BYTES

MINUTES = 10.0
TICK_SECONDS = 60
HORIZON_SECONDS = 60
AHEAD = 400_000
BACK_SECONDS = 120.0

# Bytes. A record costs more in Python than on the wire, and what is being written is there twice.
PROCESS = 200 * MIB
CAMPAIGN = 16_000
ID = 130
UNSAVED_UPDATE = 300
TOLD_CAMPAIGN = 8_000
SINK_ROW = 12_000
IN_PYTHON = 2
INPUTS = 4
"""Plans, spend, caps and parts."""


def bound(settings: Settings, partitions: int, campaigns: int, updates_a_second: float) -> Mapping[str, int]:
    """The most that a worker with so many *partitions* holds, in bytes, by what it is for."""
    horizon = settings.horizon_seconds * (1 + 1 / BUCKETS)
    ids = min(LedgerLimits().ids * partitions, int(updates_a_second * horizon) + GENERATION * partitions)
    takes = settings.unfolded_messages + 2 * INPUTS * partitions
    return {
        "the process": PROCESS,
        "campaigns": campaigns * CAMPAIGN,
        "ids": ids * ID,
        "fetched": takes * settings.fetch_bytes * IN_PYTHON,
        "not saved yet": 2 * FULL * settings.checkpoint_records * UNSAVED_UPDATE * partitions,
        "dead letters": 2 * FULL * OUTBOX_BYTES * partitions,
        "a tick": 2 * settings.tick_slice_campaigns * TOLD_CAMPAIGN * partitions,
        "the sink": len(KINDS) * FETCH_BYTES * IN_PYTHON * partitions + settings.sink_batch_rows * SINK_ROW,
    }


def measure(asked: Asked, report: Report) -> None:
    """Stop PostgreSQL, feed at top speed through slow ticks, and look at the largest resident memory."""
    minutes, campaigns = asked.minutes or MINUTES, asked.gap_campaigns
    with running_postgres(FAST) as server, running_broker(cpu=BROKER_CORE) as broker:
        asyncio.run(migrate(server.dsn))
        more = {**PATIENCE, "horizon_seconds": HORIZON_SECONDS, "tick_seconds": TICK_SECONDS}
        app = App(broker.bootstrap, "bench-pressure", asked.home, postgres_dsn=server.dsn, **more)
        shorten_logs(app)
        send(broker.bootstrap, PLANS, plans(campaigns, datetime.now(UTC)))
        fold_plans(app, campaigns)
        flow = Flow(app, campaigns, AHEAD)
        with app.running(WORKER_CORE) as workers:
            workers[0].wait_ready()
            server.kill()
            begun = time.time()
            with flow.flowing():
                samples = watched(workers[0], flow, broker.data_dir, 60 * minutes)
            ended, largest = time.time(), largest_resident(workers[0].process.pid)
            saving = _checkpoint_seconds(workers[0])
            _comes_back(server, workers[0])
            app.wait_folded(workers, SPEND, flow.sent, 300)
            whole = wait_whole_tick(app, workers, time.time(), campaigns, 6 * TICK_SECONDS + campaigns / 1_000)
            check_totals(app, whole, flow.updates.totals())
            slowest = _slowest_tick(app, begun, ended)
    late = f"a tick {slowest:.0f} s late at the most, a checkpoint {saving:.1f} s long on average"
    _told(report, samples, largest, late, campaigns)


def largest_resident(pid: int) -> int:
    """The most memory a process ever had, in bytes."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def _slowest_tick(app: App, begun: float, ended: float) -> float:
    """From a tick's time, which is in these, to its last commit: the longest there was, in seconds."""
    lates = [at - instant(tick.tick) for _, at, tick in closed_ticks(app) if begun < instant(tick.tick) < ended]
    if not lates:
        raise NoFigureError("no tick fell into the time")
    return max(lates)


def _comes_back(server: EmbeddedPostgres, worker: WorkerProcess) -> None:
    """PostgreSQL is there again, and the sink goes on."""
    server.start()
    wait_for(lambda: worker.metrics().get("pacing_sink_up") == 1, "the sink going on", seconds=BACK_SECONDS)


def _checkpoint_seconds(worker: WorkerProcess) -> float:
    """How long its checkpoints took on average."""
    told = wait_for(lambda: worker.metrics() or None, "the metrics", seconds=READY_SECONDS)
    return told["pacing_checkpoint_seconds_sum"] / told["pacing_checkpoint_seconds_count"]


def _told(report: Report, samples: Sequence[Sample], largest: int, late: str, campaigns: int) -> None:
    seconds = samples[-1].at - samples[0].at
    speed = (samples[-1].saved - samples[0].saved) / seconds
    parts = bound(load_settings(env_file=None, horizon_seconds=HORIZON_SECONDS), PARTITIONS, campaigns, speed)
    most, named = sum(parts.values()), ", ".join(f"{name} {size / MIB:,.0f}" for name, size in parts.items())
    how = (
        f"bound {most / MIB:,.0f} MiB ({named}); largest"
        f" resident memory in {seconds / 60:.1f} minutes with PostgreSQL stopped, at {speed:,.0f} updates/s over"
        f" {campaigns:,} campaigns, {min(each.waiting for each in samples[1:]):,} updates always waiting, {late};"
        " totals exact"
    )
    what = "memory under pressure"
    if largest > most:
        report.no_figure(what, f"{largest / MIB:,.0f} MiB is beyond its {how}")
    else:
        report.figure(what, f"{largest / MIB:,.0f} MiB", how)
