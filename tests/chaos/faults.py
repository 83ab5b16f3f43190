"""
The faults: each takes a running world apart in one way, and waits until what it did is certain.

A fault may leave a worker down; the next one starts it. What must hold is not looked at here but after all of them
(`tests.chaos.audit`); here only that the fault happened, and that no worker ended in a way it must not.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from confluent_kafka import Consumer, TopicPartition

from tests.chaos.fleet import ENDED_SECONDS, KILLED, MAY_END, REACHED_SECONDS, RECOVERED_SECONDS, Fleet
from tests.chaos.wire import ProxiedBroker, Proxy
from tests.kafka.broker import wait_until
from tests.kafka.killable import FREEZE, KILL, POINTS, RESTORE_POINTS, REVOKE, TERMINATE
from tests.kafka.stage import Stage, WorkerProcess, is_frozen
from worker.demo.postgres import EmbeddedPostgres
from worker.exits import Exit

SNAPSHOTS: Final = "snapshot_taken"
ATTEMPTS: Final = 8
BALLAST_MIB: Final = 1
DISK_FULL_SECONDS: Final = 90.0
COMPACTED_SECONDS: Final = 120.0


class Place(NamedTuple):
    """What several worlds may share, one after another."""

    folder: Path
    broker: ProxiedBroker
    proxy: Proxy
    postgres: EmbeddedPostgres
    disk: Path | None
    """A small file system that holds the broker's data; None where none could be mounted."""
    why_no_disk: str


class World(NamedTuple):
    """All that can be taken apart."""

    place: Place
    stage: Stage
    fleet: Fleet
    dsn: str
    dice: random.Random

    @property
    def tick_seconds(self) -> int:
        """Time between ticks."""
        return self.stage.settings.tick_seconds


class Fault(NamedTuple):
    """A fault by its name, how often it comes in a full run and in a short one, and about how long it takes."""

    name: str
    act: Callable[[World], None]
    times: int
    times_short: int
    seconds: float


# --- workers that end ------------------------------------------------------------------------------------------------


def kill_at_random(world: World) -> None:
    world.fleet.recover()
    world.fleet.pause(1.5)
    world.fleet.kill(world.fleet.any())


def kill_at(world: World, point: str, most: int, *, only: str = "") -> None:
    """kill -9 at a named point, at one of its first times; again where another fault has ended the worker."""
    sentence = f"{point}:{world.dice.randint(1, most)}{only}"
    for _ in range(ATTEMPTS):
        name = start_armed(world, KILL, sentence)
        code = world.fleet[name].wait_dead(REACHED_SECONDS)
        world.fleet.note(name, code)
        if code == KILLED:
            return
    raise AssertionError(f"{point} was not reached")


def start_armed(world: World, how: str, sentence: str) -> str:
    """Start a worker with a sentence, in the place of one that is down or is killed for it."""
    fleet = world.fleet
    name = fleet.down()
    if name is None:
        name = fleet.any()
        fleet.kill(name)
    for other in fleet.wanted:
        if other != name and fleet.is_down(other):
            fleet.start(other)
    fleet.start(name, **{how: sentence})
    return name


def kill_while_giving_back(world: World, point: str) -> None:
    """kill -9 while a rebalance or a stop takes the partitions away; again where there was nothing to save."""
    for _ in range(ATTEMPTS):
        name = start_armed(world, KILL, f"{point}:1" if point.startswith(REVOKE) else f"{point}:1:{REVOKE}")
        worker = world.fleet[name]
        wait_until(partial(owns_or_ended, worker), REACHED_SECONDS, what="the worker", otherwise=worker.tail)
        with another_joins(world) if world.dice.random() < 0.5 else contextlib.nullcontext():
            if not ends_within(worker, 8):
                worker.process.terminate()
        code = worker.wait_dead(ENDED_SECONDS)
        world.fleet.note(name, code)
        if code == KILLED:
            return
    raise AssertionError(f"{point} was not reached while partitions were given back")


def owns_or_ended(worker: WorkerProcess) -> bool:
    """Whether it has partitions to give back, or has given them back already: others start beside it."""
    return worker.process.poll() is not None or bool(worker.owns())


@contextlib.contextmanager
def another_joins(world: World) -> Iterator[None]:
    """One worker more, which makes the group share anew; gone with the block."""
    world.fleet.start("extra")
    try:
        yield
    finally:
        world.fleet.stop("extra")


def ends_within(worker: WorkerProcess, seconds: float) -> bool:
    """Whether it ends in so many seconds."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        worker.process.wait(seconds)
    return worker.process.poll() is not None


def terminate_in_a_tick(world: World) -> None:
    point = world.dice.choice(POINTS[1:])
    name = start_armed(world, TERMINATE, f"{point}:{world.dice.randint(1, 4)}:{SNAPSHOTS}")
    world.fleet.end(name, Exit.STOPPED, seconds=REACHED_SECONDS)


def scale(world: World) -> None:
    """One worker, three, two, one; then two again."""
    fleet = world.fleet
    fleet.recover()
    first, *others = fleet.wanted
    for name in others:
        fleet.stop(name)
    fleet.recover()
    for name in ("w3", *others):
        fleet.start(name)
    for name in ("w3", *others):
        fleet.recover()
        fleet.pause(2.0)
        fleet.stop(name)
    fleet.recover()
    assert fleet.wanted == [first]
    for name in others:
        fleet.start(name)


# --- workers that were thought dead ----------------------------------------------------------------------------------


def zombie(world: World) -> None:
    """Frozen past the session timeout, while others take over; then it wakes up."""
    world.fleet.recover()
    world.fleet.pause(1.0)
    name = world.fleet.any()
    world.fleet[name].process.send_signal(signal.SIGSTOP)
    let_others_take_over(world, name)
    world.fleet[name].process.send_signal(signal.SIGCONT)
    world.fleet.recover()


def zombie_in_a_transaction(world: World) -> None:
    """The same, frozen at a point of a transaction, with which it goes on when it wakes up; it must end itself."""
    point = world.dice.choice(("begin", "send", "acks", "flight"))
    name = start_armed(world, FREEZE, f"{point}:{world.dice.randint(2, 6)}")
    process = world.fleet[name].process
    wait_until(lambda: is_frozen(process.pid), REACHED_SECONDS, what="the freeze", otherwise=world.fleet.tails)
    let_others_take_over(world, name)
    process.send_signal(signal.SIGCONT)
    world.fleet.end(name, *(MAY_END - {Exit.STOPPED, KILLED}), seconds=REACHED_SECONDS)


def zombie_replaced(world: World) -> None:
    """Frozen, and started anew under its own name, as a cluster does with a node that it does not hear of."""
    world.fleet.recover()
    name = world.fleet.any()
    old = world.fleet[name]
    old.process.send_signal(signal.SIGSTOP)
    world.fleet.start(name)
    world.fleet.recover()
    old.process.send_signal(signal.SIGCONT)
    code = old.wait_dead(REACHED_SECONDS)
    world.fleet.ends[code] += 1
    assert code in MAY_END - {Exit.STOPPED, KILLED}, old.tail()


def let_others_take_over(world: World, frozen: str) -> None:
    """Wait until the others own everything."""
    fleet = world.fleet
    others = [name for name in fleet.wanted if name != frozen]

    def have() -> bool:
        for name in others:
            if fleet.is_down(name):
                fleet.start(name)
        owned = [fleet[name].owns() for name in others]
        return sorted(chain.from_iterable(owned)) == list(range(world.stage.settings.partitions))

    wait_until(have, RECOVERED_SECONDS, what="the take-over", otherwise=fleet.tails, every_seconds=0.1)


# --- what is around them ---------------------------------------------------------------------------------------------


def kill_broker(world: World) -> None:
    world.fleet.recover()
    world.fleet.pause(1.0)
    world.place.broker.kill()
    world.fleet.pause(3.0)
    world.place.broker.start()


def restart_broker(world: World) -> None:
    world.fleet.recover()
    world.place.broker.restart()


def kill_postgres(world: World) -> None:
    world.fleet.pause(1.0)
    world.place.postgres.kill()
    world.fleet.pause(4.0)
    world.place.postgres.start()


def stall_network(world: World) -> None:
    """Nothing passes for a while, in one time of three for longer than a checkpoint may take."""
    world.fleet.recover()
    is_long = world.dice.random() < 1 / 3
    limit = world.stage.settings.checkpoint_timeout_seconds
    with world.place.proxy.stalled():
        time.sleep(world.dice.uniform(limit, 1.5 * limit) if is_long else world.dice.uniform(0.5, limit / 2))


def reset_network(world: World) -> None:
    world.fleet.recover()
    for _ in range(world.dice.randint(1, 4)):
        world.fleet.pause(1.0)
        world.place.proxy.reset()


def refuse_writes(world: World) -> None:
    """The broker takes no records for a topic, until a worker has given up."""
    world.fleet.recover()
    topic = world.dice.choice([world.stage.ledger, world.stage.outputs[SNAPSHOTS]])
    before = world.fleet.ends[Exit.CHECKPOINT]
    world.stage.refuse_writes(topic)
    wait_until(lambda: world.fleet.down() is not None, REACHED_SECONDS, what="the end of a worker")
    assert world.fleet.ends[Exit.CHECKPOINT] > before
    world.stage.take_writes(topic)


def fill_disk(world: World) -> None:
    """The broker's disk is full, which ends the broker; then there is room again."""
    assert world.place.disk is not None
    world.fleet.recover()
    ballast = world.place.disk / "ballast"
    try:
        fill(ballast)
        ended = world.place.broker
        wait_until(lambda: not ended.is_running, DISK_FULL_SECONDS, what="the broker's end", otherwise=ended.log_tail)
        world.place.broker.kill()
    finally:
        ballast.unlink()
    world.place.broker.start()


def fill(ballast: Path) -> None:
    """Take all the room that is left, now and as it is freed."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, BALLAST_MIB << 20)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4_096))


def compact_ledger(world: World) -> None:
    """The changelog is compacted under the workers, and one of them restored from what is left."""
    stage = world.stage
    world.fleet.recover()
    ends = ledger_ends(stage)
    before = records_before(stage, ends)
    stage.alter(stage.ledger, segment_ms="1000", min_cleanable_dirty_ratio="0.001")

    def is_compacted() -> bool:
        world.fleet.tend()
        return records_before(stage, ends) < before / 2

    wait_until(
        is_compacted, COMPACTED_SECONDS, what="compaction", otherwise=world.place.broker.log_tail, every_seconds=1
    )
    stage.alter(stage.ledger, segment_ms="604800000", min_cleanable_dirty_ratio="0.2")
    world.fleet.recover()
    world.fleet.kill(world.fleet.any())


def ledger_ends(stage: Stage) -> dict[int, int]:
    """Where each partition of the ledger's topic ends."""
    consumer = Consumer({"bootstrap.servers": stage.bootstrap, "group.id": "nobody"})
    try:
        places = [TopicPartition(stage.ledger, number) for number in range(stage.settings.partitions)]
        return {place.partition: int(consumer.get_watermark_offsets(place, timeout=10)[1]) for place in places}
    finally:
        consumer.close()


def records_before(stage: Stage, ends: dict[int, int]) -> int:
    """How many records of the ledger's topic are left before these offsets."""
    return sum(1 for message in stage.written(stage.ledger) if message.offset() < ends[message.partition()])


# --- clocks ----------------------------------------------------------------------------------------------------------


def step_clock(world: World) -> None:
    """One worker's clock goes back and forth, never a tick ahead."""
    world.fleet.recover()
    name = world.fleet.any()
    for _ in range(4):
        set_clock(world, name, world.dice.uniform(-3, 0.7) * world.tick_seconds)
        world.fleet.pause(world.tick_seconds)
    set_clock(world, name, 0)


def advance_clock(world: World) -> None:
    """One worker's clock is more than a tick ahead of the broker's, which ends it."""
    world.fleet.recover()
    name = world.fleet.any()
    set_clock(world, name, world.dice.uniform(2, 1_000) * world.tick_seconds)
    world.fleet.end(name, Exit.CLOCK_AHEAD)
    set_clock(world, name, 0)


def set_clock(world: World, name: str, ahead_seconds: float) -> None:
    """So far ahead from now on; all at once, for the file is read all the time."""
    file = world.stage.folder / f"{name}.clock"
    new = file.with_suffix(".new")
    new.write_text(f"{ahead_seconds:.3f}")
    new.replace(file)


# --- all of them -----------------------------------------------------------------------------------------------------

CHECKPOINT_FAULTS: Final = [
    Fault(f"kill -9 in a checkpoint: {point}", partial(kill_at, point=point, most=6), 3, 1, 4) for point in POINTS
]
SLICE_FAULTS: Final = [
    Fault(f"kill -9 in a tick: {point}", partial(kill_at, point=point, most=3, only=f":{SNAPSHOTS}"), 3, int(n < 2), 6)
    for n, point in enumerate(("acks", "send", "begin", "flight", "commit"))
    if point != "begin"  # before the first write a transaction of a tick is like any other
]
RESTORE_FAULTS: Final = [
    Fault(f"kill -9 in a restore: {point}", partial(kill_at, point=point, most=1), 3, int(point != "fencing"), 3)
    for point in RESTORE_POINTS
]
REVOKE_FAULTS: Final = [
    Fault(f"kill -9 giving back: {point}", partial(kill_while_giving_back, point=point), 3, int(point == "acks"), 8)
    for point in (REVOKE, "send", "acks", "flight", "revoked")
]
FAULTS: Final = [
    Fault("kill -9 at random", kill_at_random, 10, 2, 4),
    *CHECKPOINT_FAULTS,
    *SLICE_FAULTS,
    *RESTORE_FAULTS,
    *REVOKE_FAULTS,
    Fault("SIGTERM in a tick", terminate_in_a_tick, 3, 1, 6),
    Fault("1, 3, 2, 1 workers", scale, 2, 1, 20),
    Fault("SIGSTOP past the session", zombie, 3, 0, 12),
    Fault("SIGSTOP in a transaction", zombie_in_a_transaction, 3, 1, 14),
    Fault("SIGSTOP, and replaced", zombie_replaced, 2, 1, 10),
    Fault("broker killed", kill_broker, 3, 1, 12),
    Fault("broker restarted", restart_broker, 1, 0, 12),
    Fault("PostgreSQL killed", kill_postgres, 3, 1, 4),
    Fault("network silent", stall_network, 3, 1, 10),
    Fault("network reset", reset_network, 3, 1, 4),
    Fault("changelog compacted", compact_ledger, 2, 0, 15),
    Fault("writes refused", refuse_writes, 2, 1, 14),
    Fault("disk full", fill_disk, 2, 1, 15),
    Fault("clock stepped", step_clock, 3, 1, 6),
    Fault("clock a tick ahead", advance_clock, 2, 1, 6),
]
