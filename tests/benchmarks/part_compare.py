"""The same backlog, on the same broker, through this worker and its peers: the table with the ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks import peers
from tests.benchmarks.asked import Asked
from tests.benchmarks.drains import check_totals, drained, fold_plans, wait_whole_tick
from tests.benchmarks.feed import send
from tests.benchmarks.machine import BROKER_CORE, WORKER_CORE
from tests.benchmarks.report import OURS, Report
from tests.benchmarks.running import PLANS, SPEND, App
from tests.benchmarks.waiting import NoFigureError
from tests.benchmarks.workload import Backlog, plans
from tests.kafka.broker import running_broker

TICK_SECONDS = 10
"""Often enough that several fall into a drain; a minute is what the worker does where nothing else is set."""
SHORT = "pacing.spend_updates.short"
OURS_HOW = (
    "everything on: repeats found (5 %), corrections (0.5 %), a checkpoint each 0.5 s, ticks each {tick} s ({judged:,}"
    " campaigns judged meanwhile); from its last partition's opening to the commit that saved the last update; every"
    " campaign's total equals an independent sum"
)


def measure(asked: Asked, report: Report) -> None:
    """Feed once, drain by each."""
    with running_broker(cpu=BROKER_CORE, data_dir=_folder(asked.home, "kafka")) as broker:
        now = datetime.now(UTC)
        ours = App(broker.bootstrap, "bench", asked.home, tick_seconds=TICK_SECONDS)
        broker.create_topics([SHORT], partitions=4)
        send(broker.bootstrap, PLANS, plans(asked.campaigns, now))
        attempt(report, OURS, lambda: fold_plans(ours, asked.campaigns))
        backlog = Backlog(asked.updates, asked.campaigns, now)
        send(broker.bootstrap, SPEND, backlog)
        short = Backlog(min(asked.peer_updates, asked.updates), asked.campaigns, now)
        send(broker.bootstrap, SHORT, short)
        attempt(report, OURS, lambda: _ours(ours, asked, report, backlog.exact))
        _peers(broker.bootstrap, asked, report, backlog.every, short.once)


def attempt(report: Report, name: str, drain: Callable[[], None]) -> None:
    """Let *drain* report; where it cannot, say so and go on with the next."""
    try:
        drain()
    except (NoFigureError, TimeoutError, OSError, ValueError) as error:
        report.no_drain(name, str(error))


def _ours(app: App, asked: Asked, report: Report, expected: Mapping[str, int]) -> None:
    with app.running(WORKER_CORE) as workers:
        done = drained(app, workers, SPEND, asked.updates, 120 + asked.updates / 10_000)
        check_totals(app, wait_whole_tick(app, workers, done.end, asked.campaigns, 60), expected)
    report.drain(OURS, done.updates, done.seconds, OURS_HOW.format(judged=done.judged, tick=TICK_SECONDS))


def _peers(
    bootstrap: str, asked: Asked, report: Report, every: Mapping[str, int], once_of_short: Mapping[str, int]
) -> None:
    count, few = asked.updates, min(asked.peer_updates, asked.updates)

    def contender(name: str, updates: int, how: str, seconds: Callable[[], float]) -> None:
        attempt(report, name, lambda: report.drain(name, updates, seconds(), f"{how}; totals checked"))

    contender(
        "record-batch loop, the limit of this stack",
        count,
        "aiokafka's batches unpacked whole, one msgspec decode a batch, exact nanos, a dict; nothing kept or found",
        lambda: peers.raw_seconds(bootstrap, SPEND, count, "batches", every),
    )
    contender(
        "raw aiokafka loop",
        count,
        "one record at a time, msgspec decode, exact nanos, a dict; nothing kept or found",
        lambda: peers.raw_seconds(bootstrap, SPEND, count, "records", every),
    )
    contender(
        peers.QUIX.replace("quixstreams==", "Quix Streams "),
        count,
        "stateful, its defaults: a total a campaign in RocksDB and a changelog; no repeats found, no corrections",
        lambda: peers.quix_seconds(bootstrap, SPEND, count, _folder(asked.home, "quix"), every),
    )
    contender(
        "plain Faust agent",
        few,
        f"a Faust table, written once an event; {few:,} of the updates, because it is slow: its rate counts; repeats"
        " found in a set that is not kept, no corrections",
        lambda: peers.faust_seconds(bootstrap, SHORT, few, _folder(asked.home, "faust"), once_of_short),
    )


def _folder(home: Path, name: str) -> Path:
    made = home / name
    made.mkdir()
    return made
