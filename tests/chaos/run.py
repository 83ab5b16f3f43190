"""
One chaos run: everything is started, the faults come in the order of a seed, everything settles, and is audited.

    make chaos                                      2,000,000 updates, every fault; about a quarter of an hour
    make chaos UPDATES=300000 ROUNDS=1 SEED=7       smaller; the seed decides the order, the moments and the updates
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from tests.chaos.audit import Audit, Found, committed_rows, rows
from tests.chaos.faults import FAULTS, Fault, Place, World, fill_disk
from tests.chaos.feed import ChaosFeed
from tests.chaos.fleet import Fleet
from tests.chaos.oracle import instant
from tests.chaos.wire import ProxiedBroker, Proxy
from tests.kafka.broker import BrokerUnavailableError, wait_until
from tests.kafka.stage import Stage, consumer_end
from tests.postgres.conftest import FAST
from tests.postgres.conftest import run as sql
from tests.postgres.running import running_sink
from worker.demo.postgres import running_postgres
from worker.sink.migrate import migrate

SETTLED_SECONDS: Final = 240.0
LEVEL_SECONDS: Final = 240.0
PARTITIONS: Final = 4
# Above TURN_CAMPAIGNS a partition, so that a tick takes several transactions.
CAMPAIGNS: Final = 600
DISK_BYTES: Final = 3 << 29
DISK_BYTES_AN_UPDATE: Final = 400

CHAOS: Final = {
    # The cleaner looks often, so that a changelog can be compacted while somebody waits.
    "log.cleaner.backoff.ms": "500",
    "log.segment.delete.delay.ms": "1000",
}
HURRIED: Final = {
    "tick_seconds": 2,
    "tick_slice_campaigns": 100,
    "checkpoint_seconds": 0.1,
    "checkpoint_timeout_seconds": 10,
    "session_timeout_seconds": 5,
    "partitions": PARTITIONS,
}


@dataclass
class Plan:
    """What a run does. *times* says how often a fault comes; 0 is never."""

    seed: int
    updates: int
    times: Callable[[Fault], int]
    tell: Callable[[str], None] = field(default=lambda line: print(line, flush=True))

    def faults(self) -> list[Fault]:
        """The faults in the order of the seed."""
        faults = [fault for fault in FAULTS for _ in range(self.times(fault))]
        random.Random(self.seed).shuffle(faults)
        return faults


@dataclass
class Outcome:
    """What happened, and what the audit saw."""

    seed: int
    sent: int
    seconds: float
    times: Counter[str]
    skipped: dict[str, str]
    ends: Counter[int]
    found: Found

    def lines(self) -> Iterator[str]:
        """For people: a line a fault, and what came out of it all."""
        found = self.found
        for fault in FAULTS:
            if fault.name in self.skipped:
                yield f"  {'skipped':>7}  {fault.name}: {self.skipped[fault.name]}"
            elif self.times[fault.name]:
                yield f"  {self.times[fault.name]:>6} x  {fault.name}"
        yield f"workers ended: {', '.join(f'{count} x {code}' for code, count in sorted(self.ends.items()))}"
        yield (
            f"updates: {found.records} in, {found.accepted} accepted, {found.repeats} repeats,"
            f" {found.refused} refused, of {found.campaigns} campaigns"
        )
        yield f"events: {', '.join(f'{count} {kind}' for kind, count in sorted(found.events.items()))}"
        yield (
            f"every event once, {found.snapshots} snapshots exact ({found.incomplete} not complete) in {found.ticks}"
            f" ticks; {found.accounts} account snapshots their sums; {found.rows} rows in PostgreSQL;"
            f" {found.aborted} aborted records"
        )
        yield f"difference {found.difference_nanos} nanos; {self.seconds:.0f} s; seed {self.seed}"


def run(plan: Plan, folder: Path) -> Outcome:
    """
    Carry *plan* out.

    Raises AssertionError or TimeoutError for whatever is not as it must be, BrokerUnavailableError without Java.
    """
    with a_place(folder, plan.updates) as place, a_world(place, plan.seed) as world:
        return carry_out(plan, world)


def carry_out(plan: Plan, world: World) -> Outcome:
    """Carry *plan* out in a world."""
    began = time.monotonic()

    def tell(what: str) -> None:
        plan.tell(f"{time.monotonic() - began:6.1f} s  {what}")

    skipped = {fault.name: world.place.why_no_disk for fault in FAULTS if fault.act is fill_disk}
    skipped = {name: why for name, why in skipped.items() if why}
    faults = [fault for fault in plan.faults() if fault.name not in skipped]
    per_second = plan.updates / sum(fault.seconds for fault in faults)
    feed = ChaosFeed(world.stage, campaigns=CAMPAIGNS, seed=plan.seed, least=plan.updates, per_second=per_second)
    feed.plan_all()
    for name in ("w1", "w2"):
        world.fleet.start(name)
    world.fleet.recover()
    with feed.flowing():
        for number, fault in enumerate(faults, 1):
            tell(f"{number:>3}/{len(faults)}  {fault.name}")
            fault.act(world)
        world.fleet.recover()
    feed.finish()
    tell(f"{feed.sent} updates sent; waiting for the last of them")
    settle(world)
    for name in list(world.fleet.wanted):
        world.fleet.stop(name)
    sink_the_rest(world)
    tell("audit")
    found = Audit(world.stage, world.dsn).run()
    assert (found.difference_nanos, found.records) == (0, feed.sent)
    times = Counter(fault.name for fault in faults)
    return Outcome(plan.seed, feed.sent, time.monotonic() - began, times, skipped, world.fleet.ends, found)


@contextlib.contextmanager
def a_folder() -> Iterator[Path]:
    """A folder that another user may pass through: PostgreSQL does not run as root."""
    with tempfile.TemporaryDirectory(prefix="pacing-chaos-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextlib.contextmanager
def a_place(folder: Path, updates: int) -> Iterator[Place]:
    """Broker, network and PostgreSQL."""
    with contextlib.ExitStack() as undo:
        disk, why = undo.enter_context(small_disk(folder, DISK_BYTES + updates * DISK_BYTES_AN_UPDATE))
        broker = ProxiedBroker(Path(tempfile.mkdtemp(prefix="kafka-", dir=disk or folder)), overrides=CHAOS)
        undo.callback(broker.stop)
        broker.start()
        proxy = undo.enter_context(Proxy(broker.proxy_port, broker.behind_port))
        yield Place(folder, broker, proxy, undo.enter_context(running_postgres(FAST)), disk, why)


@contextlib.contextmanager
def a_world(place: Place, seed: int) -> Iterator[World]:
    """Topics and a database of its own, and a fleet without workers."""
    name = f"chaos-{uuid.uuid4().hex[:8]}"
    dsn = place.postgres.dsn_of(name)
    asyncio.run(make_database(place.postgres.dsn, dsn, name))
    (folder := place.folder / name).mkdir()
    stage = Stage(place.broker.bootstrap, name, folder, **HURRIED)
    environment = {"PACING_KAFKA_BOOTSTRAP": place.broker.proxied_bootstrap, "PACING_POSTGRES_DSN": dsn}
    dice = random.Random(seed + 1)
    try:
        yield World(place, stage, Fleet(stage, dice, environment), dsn, dice)
    finally:
        stage.end()


async def make_database(server: str, dsn: str, name: str) -> None:
    """A database with the product's tables."""
    await sql(server, f'CREATE DATABASE "{name}"')
    assert await migrate(dsn)


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[tuple[Path | None, str]]:
    """A file system of its own size in memory; or why there is none."""
    disk = folder / "disk"
    disk.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        yield None, "only root on Linux can mount a small file system"
        return
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(disk)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield None, f"no small file system could be mounted: {done.stderr.strip()}"
        return
    try:
        yield disk, ""
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def settle(world: World) -> None:
    """Wait until a tick has counted all input there is, whenever it is dated."""
    stage, now = world.stage, time.time()
    partitions = range(stage.settings.partitions)
    ends = {(topic, n): consumer_end(stage, topic, n) for topic in (stage.plans, stage.spend) for n in partitions}

    def settled() -> bool:
        world.fleet.tend()
        covered = {event["partition"]: event for event in stage.events("tick_closed")}
        return all(
            n in covered and covered[n]["next_offsets"].get(topic, -1) >= end and is_after(covered[n]["tick"], now)
            for (topic, n), end in ends.items()
        )

    wait_until(settled, SETTLED_SECONDS, what="a tick over all input", otherwise=world.fleet.tails, every_seconds=0.5)


def sink_the_rest(world: World) -> None:
    """Write what the workers had not yet written when they were stopped."""
    settings, wanted = world.stage.settings, committed_rows(world.stage)
    with running_sink(settings.model_copy(update={"postgres_dsn": SecretStr(world.dsn)})) as sink:

        def is_level() -> bool:
            return rows(world.dsn) >= wanted and sink.is_level

        wait_until(is_level, LEVEL_SECONDS, what="PostgreSQL", otherwise=lambda: str(sink.thread.status()))


def is_after(tick: str, seconds: float) -> bool:
    """Whether a tick is later than an instant."""
    return (instant(tick) or 0) > seconds * 10**9


def main() -> int:
    """Run by hand."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.run", description=__doc__)
    parser.add_argument("--updates", type=int, default=2_000_000, help="at least so many updates flow")
    parser.add_argument("--rounds", type=int, default=3, help="each fault at most so often (kill -9 at random: 10)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="decides everything but the time")
    parser.add_argument("--only", default="", help="only the faults whose name this expression finds")
    given = parser.parse_args()

    def times(fault: Fault) -> int:
        most = fault.times if given.rounds >= 3 else min(fault.times, given.rounds)
        return most if re.search(given.only, fault.name) else 0

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("asked to stop"))
    print(f"seed {given.seed}", flush=True)
    with a_folder() as folder:
        try:
            outcome = run(Plan(given.seed, given.updates, times), folder)
        except BrokerUnavailableError as error:
            print(error, file=sys.stderr)
            return 2
        except (AssertionError, TimeoutError):
            traceback.print_exc()
            print(
                f"FAILED; again: make chaos SEED={given.seed} UPDATES={given.updates} ROUNDS={given.rounds}",
                file=sys.stderr,
            )
            return 1
    print("\n".join(outcome.lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
