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
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos.audit import Audit, Found, committed_rows, rows
from tests.chaos.faults import FAULTS, Fault, World, fill_disk
from tests.chaos.feed import ChaosFeed
from tests.chaos.fleet import Fleet
from tests.chaos.wire import ProxiedBroker, Proxy
from tests.kafka.broker import BrokerUnavailableError, wait_until
from tests.kafka.stage import Stage, consumer_end
from tests.postgres.conftest import FAST
from worker.demo.postgres import running_postgres
from worker.sink.migrate import migrate

SETTLED_SECONDS: Final = 240.0
LEVEL_SECONDS: Final = 240.0
PARTITIONS: Final = 4
# Above TURN_CAMPAIGNS a partition, so that a tick takes several transactions.
CAMPAIGNS: Final = 600
DISK_BYTES: Final = 1 << 30
DISK_BYTES_AN_UPDATE: Final = 1_500

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
            f" ticks; {found.rows} rows in PostgreSQL; {found.aborted} aborted records"
        )
        yield f"difference {found.difference_nanos} nanos; {self.seconds:.0f} s; seed {self.seed}"


def run(plan: Plan, folder: Path) -> Outcome:
    """
    Carry *plan* out.

    Raises AssertionError or TimeoutError for whatever is not as it must be, BrokerUnavailableError without Java.
    """
    began = time.monotonic()
    with contextlib.ExitStack() as undo:
        world, skipped = undo.enter_context(a_world(plan, folder))
        faults = [fault for fault in plan.faults() if fault.name not in skipped]
        seconds = sum(fault.seconds for fault in faults)
        dsn = world.postgres.dsn
        feed = ChaosFeed(
            world.stage,
            campaigns=CAMPAIGNS,
            seed=plan.seed,
            least=plan.updates,
            per_second=plan.updates / seconds,
        )
        undo.callback(feed.stop)
        feed.plan_all()
        for name in ("w1", "w2"):
            world.fleet.start(name)
        world.fleet.recover()
        feed.start()
        for number, fault in enumerate(faults, 1):
            plan.tell(f"{time.monotonic() - began:6.1f} s  {number:>3}/{len(faults)}  {fault.name}")
            fault.act(world)
        world.fleet.recover()
        feed.finish()
        plan.tell(f"{time.monotonic() - began:6.1f} s  {feed.sent} updates sent; waiting for the last of them")
        settle(world, dsn)
        plan.tell(f"{time.monotonic() - began:6.1f} s  audit")
        for name in list(world.fleet.wanted):
            world.fleet.stop(name)
        found = Audit(world.stage, dsn).run()
        assert found.difference_nanos == 0
        assert found.records == feed.sent
        times = Counter(fault.name for fault in faults)
        return Outcome(plan.seed, feed.sent, time.monotonic() - began, times, skipped, world.fleet.ends, found)


@contextlib.contextmanager
def a_world(plan: Plan, folder: Path) -> Iterator[tuple[World, dict[str, str]]]:
    """Broker, network, PostgreSQL and a fleet without workers; and the faults that cannot be had here, with why."""
    with contextlib.ExitStack() as undo:
        disk, why = undo.enter_context(small_disk(folder, DISK_BYTES + plan.updates * DISK_BYTES_AN_UPDATE))
        data = disk or folder
        broker = ProxiedBroker(Path(tempfile.mkdtemp(prefix="kafka-", dir=data)), overrides=CHAOS)
        undo.callback(broker.stop)
        broker.start()
        proxy = undo.enter_context(Proxy(broker.proxy_port, broker.behind_port))
        postgres = undo.enter_context(running_postgres(FAST))
        assert asyncio.run(migrate(postgres.dsn))
        stage = Stage(broker.bootstrap, f"chaos-{plan.seed}", folder, **HURRIED)
        undo.callback(stage.end)
        environment = {"PACING_KAFKA_BOOTSTRAP": broker.proxied_bootstrap, "PACING_POSTGRES_DSN": postgres.dsn}
        dice = random.Random(plan.seed + 1)
        world = World(stage, Fleet(stage, dice, environment), broker, proxy, postgres, dice, disk)
        yield world, {fault.name: why for fault in FAULTS if why and fault.act is fill_disk}


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


def settle(world: World, dsn: str) -> None:
    """Wait until a tick has counted all input there is, whenever it is dated, and all its events are rows."""
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

    def is_level() -> bool:
        world.fleet.tend()
        return rows(dsn) >= committed_rows(stage)

    wait_until(is_level, LEVEL_SECONDS, what="PostgreSQL", otherwise=world.fleet.tails, every_seconds=1)


def is_after(tick: str, seconds: float) -> bool:
    """Whether a tick is later than an instant."""
    from tests.chaos.oracle import instant

    return (instant(tick) or 0) > seconds * 10**9


def main() -> int:
    """Run by hand."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.run", description=__doc__)
    parser.add_argument("--updates", type=int, default=2_000_000, help="at least so many updates flow")
    parser.add_argument("--rounds", type=int, default=3, help="each fault at most so often (kill -9 at random: 10)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="decides everything but the time")
    parser.add_argument("--only", default="", help="only the faults with this in their name")
    given = parser.parse_args()

    def times(fault: Fault) -> int:
        most = fault.times if given.rounds >= 3 else min(fault.times, given.rounds)
        return most if given.only in fault.name else 0

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("asked to stop"))
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="pacing-chaos-") as folder:
        Path(folder).chmod(0o755)
        try:
            outcome = run(Plan(given.seed, given.updates, times), Path(folder))
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
