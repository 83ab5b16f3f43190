"""
How fast the sink is: snapshots a second from a real Kafka into a real PostgreSQL, with everything on.

    python -m tests.benchmarks.sink [--snapshots 200000] [--campaigns 10000] [--history 0]

The snapshots (two channels, one deal) lie in Kafka before the clock starts; it stops when the last one is committed.
PostgreSQL runs with its default durability. Broker, sink and server share this machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import time
from collections.abc import Iterator

from tests.kafka.broker import running_broker
from tests.postgres.events import MINUTE, NOON, Body, snapshot
from tests.postgres.feed import KafkaFeed, wait_until
from tests.postgres.running import RunningSink, ask, running_sink
from worker.demo.postgres import running_postgres
from worker.sink.migrate import migrate
from worker.sink.sink import Pace

PIECE = 20_000
SIZE = """
    SELECT (SELECT count(*) FROM pacing_snapshots), sum(pg_total_relation_size(inhrelid))::bigint
    FROM pg_inherits WHERE inhparent = 'pacing_snapshots'::regclass
"""


def ticks(snapshots: int, campaigns: int) -> Iterator[list[Body]]:
    """So many snapshots of so many campaigns, tick after tick, in pieces."""
    numbers = range(snapshots)
    for start in numbers[::PIECE]:
        yield [
            snapshot(f"campaign-{n % campaigns:06d}", NOON + n // campaigns * MINUTE)
            for n in numbers[start : start + PIECE]
        ]


def written(sink: RunningSink) -> float:
    """How many snapshots the sink has taken care of."""
    return sink.total("pacing_sink_rows_total") + sink.metric("pacing_sink_thinned_total")


def measure(feed: KafkaFeed, dsn: str, snapshots: int, history_seconds: int) -> None:
    """Sink what lies in Kafka, and say how that went."""
    settings = feed.settings(dsn, sink_history_seconds=history_seconds)
    with running_sink(settings, Pace(lag=0.5)) as sink:
        wait_until(lambda: written(sink) > 0, "the first batch")
        begin, before, cpu = time.monotonic(), written(sink), process_seconds()
        wait_until(lambda: written(sink) >= snapshots, "the last batch", 600)
        taken, count = time.monotonic() - begin, written(sink) - before
        used = process_seconds() - cpu
    sys.stdout.write(f"{count:.0f} snapshots in {taken:.1f} s: {count / taken:,.0f} a second\n")
    sys.stdout.write(f"processor time in this process: {used / count * 1e6:.1f} microseconds a snapshot\n")
    ((rows, size),) = ask(dsn, SIZE)
    sys.stdout.write(f"{rows} rows in the history, {size / max(1, rows):.0f} bytes each with the index\n")


def process_seconds() -> float:
    """Processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Fill Kafka, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snapshots", type=int, default=200_000)
    parser.add_argument("--campaigns", type=int, default=10_000)
    parser.add_argument("--history", type=int, default=0, help="PACING_SINK_HISTORY_SECONDS")
    options = parser.parse_args()
    with running_broker() as broker, running_postgres() as server, KafkaFeed(broker.bootstrap) as feed:
        asyncio.run(migrate(server.dsn))
        for bodies in ticks(options.snapshots, options.campaigns):
            feed.send("snapshot_taken", bodies)
        sys.stdout.write(f"load of this machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
        measure(feed, server.dsn, options.snapshots, options.history)
    return 0


if __name__ == "__main__":
    sys.exit(main())
