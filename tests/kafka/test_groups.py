"""Several workers: who owns what, and that nothing is lost or doubled when it changes hands."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from itertools import chain

from tests.kafka.broker import wait_until
from tests.kafka.stage import READY_SECONDS, Feed, Stage, WorkerProcess, audit, settle
from worker.exits import Exit

Staging = Callable[..., Stage]


def share(*workers: WorkerProcess, of: int) -> None:
    """Wait until the workers own all partitions between them, each at least one."""

    def shared() -> bool:
        owned = [worker.owns() for worker in workers]
        return all(owned) and sorted(chain.from_iterable(owned)) == list(range(of))

    wait_until(shared, READY_SECONDS, what="the assignment", otherwise=lambda: workers[0].tail() + workers[-1].tail())


def test_one_worker_two_and_one_again_share_exact_figures(stage: Staging) -> None:
    here = stage(partitions=4)
    feed = Feed(here, 40)
    feed.plan_all()
    with feed.flowing(2_000):
        one = here.worker("w1")
        one.wait_ready(4)
        two = here.worker("w2")
        share(one, two, of=4)
        settle(here, one, two)
        assert two.terminate()[0] == 0
        share(one, of=4)
        settle(here, one)
    settle(here, one)
    audit(here)


def test_plans_and_spend_of_a_partition_always_meet_in_one_worker(stage: Staging) -> None:
    here = stage(partitions=4)
    feed = Feed(here, 40)
    feed.plan_all()
    feed.spend(400)
    # Three workers for four partitions of two topics: where round robin would part plans from spend.
    workers = [here.worker(f"w{number}") for number in range(3)]
    share(*workers, of=4)
    settle(here, *workers)
    audit(here)
    assert all(snapshot["plan_version"] == 1 for snapshot in here.events("snapshot_taken"))


def test_a_killed_worker_s_partitions_go_to_the_other(stage: Staging) -> None:
    here = stage(partitions=4)
    feed = Feed(here, 40)
    feed.plan_all()
    with feed.flowing(2_000):
        one, two = here.worker("w1"), here.worker("w2")
        share(one, two, of=4)
        two.kill()
        share(one, of=4)
        settle(here, one)
    settle(here, one)
    audit(here)


def test_a_worker_that_was_thought_dead_is_fenced_when_it_wakes(stage: Staging) -> None:
    here = stage(partitions=2, session_timeout_seconds=2)
    feed = Feed(here, 20)
    feed.plan_all()
    with feed.flowing(1_000):
        zombie = here.worker("w1")
        zombie.wait_ready()
        settle(here, zombie)
        subprocess.run(["kill", "-STOP", str(zombie.process.pid)], check=True)
        heir = here.worker("w2")
        heir.wait_ready()
        settle(here, heir)
        subprocess.run(["kill", "-CONT", str(zombie.process.pid)], check=True)
        wait_until(
            lambda: zombie.process.poll() is not None or len(zombie.owns() + heir.owns()) == 2,
            READY_SECONDS,
            what="the zombie's end or its return",
            otherwise=zombie.tail,
        )
        assert zombie.process.poll() in (None, Exit.CHECKPOINT), zombie.tail()
        settle(here, heir)
    settle(here, heir)
    audit(here)
