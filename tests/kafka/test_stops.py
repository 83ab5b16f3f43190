"""How the worker ends: in order when asked, and otherwise at once, with a code and a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.structs import TopicPartition

from tests.kafka.broker import Broker, wait_until
from tests.kafka.stage import READY_SECONDS, SETTLED_SECONDS, STOP_SECONDS, Feed, Stage, audit, settle
from worker.exits import Exit
from worker.topics import apply_now

Staging = Callable[..., Stage]


def test_a_worker_asked_to_stop_saves_what_it_folded_and_ends_in_time(stage: Staging) -> None:
    here = stage(checkpoint_seconds=30, tick_seconds=3600)
    feed = Feed(here, 20)
    feed.plan_all()
    feed.spend(5_000)
    worker = here.worker()
    worker.wait_ready()
    settle(here, worker)
    with feed.flowing(5_000):
        wait_until(lambda: folded(worker.metrics(), here.spend) > 6_000, SETTLED_SECONDS, what="spend")
        code, seconds = worker.terminate()
    assert (code, seconds < STOP_SECONDS) == (Exit.STOPPED, True)
    # Everything was saved on the way out: the next worker finds only what came after.
    assert len(here.committed(here.ledger)) > 0
    after = here.worker(PACING_TICK_SECONDS="1")
    after.wait_ready()
    settle(here, after)
    audit(here)


def folded(metrics: Mapping[str, float], topic: str) -> float:
    """How many records of a topic were folded."""
    return sum(value for name, value in metrics.items() if name.startswith("pacing_inputs_total") and topic in name)


def test_a_worker_stopped_inside_a_tick_ends_in_time_and_the_next_resumes(stage: Staging) -> None:
    here = stage(partitions=1, tick_slice_campaigns=20, checkpoint_seconds=0.2, tick_seconds=3600)
    feed = Feed(here, 2_000)
    feed.plan_all()
    worker = here.worker()
    wait_until(lambda: here.events("snapshot_taken") != [], SETTLED_SECONDS, what="a slice", otherwise=worker.tail)
    code, seconds = worker.terminate()
    assert (code, seconds < STOP_SECONDS) == (Exit.STOPPED, True)
    assert here.events("tick_closed") == [], "the stop was not inside the tick"
    settle(here, here.worker())
    closed = here.events("tick_closed")
    assert [event["campaigns"] for event in closed] == [2_000]
    assert audit(here) == 2_000


def test_a_worker_waits_out_a_broker_s_restart_or_ends_and_the_next_resumes(own_kafka: Broker, tmp_path: Path) -> None:
    here = Stage(own_kafka.bootstrap, "bounce", tmp_path)
    feed = Feed(here, 20)
    feed.plan_all()
    feed.spend(1_000)
    worker = here.worker()
    try:
        worker.wait_ready()
        settle(here, worker)
        own_kafka.restart()
        feed.spend(1_000)
        try:
            settle(here, worker)
        except AssertionError:
            # A transaction that the restart cut in two cannot be finished: then a new start is the one way back.
            assert worker.process.poll() == Exit.CHECKPOINT, worker.tail()
            settle(here, here.worker())
        audit(here)
    finally:
        here.end()


def test_input_deleted_before_it_was_read_ends_the_worker_with_a_sentence(stage: Staging) -> None:
    here = stage(partitions=1)
    feed = Feed(here, 5)
    feed.plan_all()
    feed.spend(100)
    worker = here.worker()
    worker.wait_ready(1)
    settle(here, worker)
    assert worker.terminate()[0] == Exit.STOPPED
    feed.spend(100)
    asyncio.run(delete_before(here, here.spend, 150))

    again = here.worker()
    assert again.wait_dead() == Exit.INPUT_LOST, again.tail()
    assert "input was deleted before it was read" in again.tail()


async def delete_before(stage: Stage, topic: str, offset: int) -> None:
    """What retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.bootstrap)
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=offset)})
    await admin.close()


def test_a_ledger_behind_what_the_group_had_read_is_refused(stage: Staging) -> None:
    here = stage(partitions=1)
    feed = Feed(here, 5)
    feed.plan_all()
    feed.spend(100)
    worker = here.worker()
    worker.wait_ready(1)
    settle(here, worker)
    assert worker.terminate()[0] == Exit.STOPPED
    asyncio.run(delete(here, here.ledger))
    wait_until(lambda: not apply_now(here.settings).differences, READY_SECONDS, what="the ledger's topic, made anew")

    again = here.worker()
    assert again.wait_dead() == Exit.LEDGER_REFUSED, again.tail()
    assert "was its changelog lost" in again.tail()


async def delete(stage: Stage, topic: str) -> None:
    """Delete a topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.bootstrap)
    await admin.start()
    await admin.delete_topics([topic])
    await admin.close()


def test_topics_with_different_partition_counts_refuse_to_start(stage: Staging) -> None:
    here = stage(partitions=2)
    worker = here.worker(PACING_PARTITIONS="3")
    assert worker.wait_dead() == Exit.MISCONFIGURED
    assert "pacing topics apply" in worker.tail()
