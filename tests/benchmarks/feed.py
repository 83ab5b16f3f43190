"""
Feeding: a backlog as ad servers would produce it, and a paced stream whose time of sending is known.

The stream is built beforehand, batch by batch, because making updates costs more than folding them: what feeds must
not take the core away from the broker while something is measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from confluent_kafka import Producer

from tests.benchmarks.machine import on_every_core
from tests.benchmarks.waiting import NoFigureError
from tests.benchmarks.workload import Message
from worker.ledger.partitions import partition_of

FLUSH_SECONDS = 120
BATCH_BYTES = 900 * 1024
STEP_SECONDS = 0.02
SENT_SECONDS = 60.0


def send(bootstrap: str, topic: str, messages: Iterable[Message]) -> None:
    """Produce as an ad server would: keyed by campaign, in its murmur2 partition."""
    lost: list[str] = []
    with on_every_core():
        producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "linger.ms": 50,
                "batch.num.messages": 10_000,
                "queue.buffering.max.messages": 500_000,
                "queue.buffering.max.kbytes": 512 * 1024,
                "delivery.report.only.error": True,
                "on_delivery": lambda error, _: lost.append(str(error)),
            }
        )
        for number, message in enumerate(messages):
            _produce(producer, topic, message)
            if number % 1_000 == 0:
                producer.poll(0)
        if left := producer.flush(FLUSH_SECONDS):
            raise NoFigureError(f"{left} messages to {topic} were not acknowledged within {FLUSH_SECONDS} s")
    if lost:
        raise NoFigureError(f"{len(lost)} messages to {topic} were not taken: {lost[0]}")


def _produce(producer: Producer, topic: str, message: Message) -> None:
    campaign, value = message
    end = time.monotonic() + FLUSH_SECONDS
    while True:
        try:
            producer.produce(topic, value, campaign)
        except BufferError:
            if time.monotonic() > end:
                raise NoFigureError(f"{topic} takes no more messages") from None
            producer.poll(0.1)
        else:
            return


# -- a paced stream --------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """What is sent at one instant: a batch a partition, and how many updates it holds."""

    batches: list[tuple[int, BatchBuilder, int]]


class Sent(NamedTuple):
    """A batch that was taken: when it was sent and acknowledged, in seconds since 1970, and the offset behind it."""

    partition: int
    at: float
    acknowledged: float
    end: int
    size: int
    """How many updates it holds."""


def prepared(messages: Iterable[Message], per_second: float, partitions: int) -> list[Step]:
    """*messages* as batches, one a partition for every fiftieth of a second at *per_second*."""
    with on_every_core():
        return list(_steps(iter(messages), max(1, round(per_second * STEP_SECONDS)), partitions))


def _steps(messages: Iterator[Message], size: int, partitions: int) -> Iterator[Step]:
    @cache
    def place(campaign: str) -> tuple[int, bytes]:
        key = campaign.encode()
        return partition_of(key, partitions), key

    while taken := list(islice(messages, size)):
        parts: dict[int, list[tuple[bytes, bytes]]] = {}
        for campaign, value in taken:
            partition, key = place(campaign)
            parts.setdefault(partition, []).append((key, value))
        yield Step([made for partition, records in parts.items() for made in _batches(partition, records)])


def _batches(partition: int, records: list[tuple[bytes, bytes]]) -> Iterator[tuple[int, BatchBuilder, int]]:
    batch = BatchBuilder(BATCH_BYTES, 0)
    for key, value in records:
        if batch.append(timestamp=None, key=key, value=value) is None:
            yield partition, batch, batch.record_count()
            batch = BatchBuilder(BATCH_BYTES, 0)
            batch.append(timestamp=None, key=key, value=value)
    yield partition, batch, batch.record_count()


def stream(bootstrap: str, topic: str, steps: list[Step]) -> list[Sent]:
    """Send *steps*, one each fiftieth of a second; NoFigureError where the broker does not take them."""
    try:
        return asyncio.run(_stream(bootstrap, topic, steps))
    except (KafkaError, TimeoutError) as error:
        raise NoFigureError(f"the stream was not taken: {error!r}") from error


async def _stream(bootstrap: str, topic: str, steps: list[Step]) -> list[Sent]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks=1, max_batch_size=BATCH_BYTES)
    await producer.start()
    try:
        going: list[asyncio.Task[Sent]] = []
        begun = time.monotonic()
        for number, step in enumerate(steps):
            await asyncio.sleep(max(0.0, begun + number * STEP_SECONDS - time.monotonic()))
            for partition, batch, count in step.batches:
                at = time.time()
                sent = await producer.send_batch(batch, topic, partition=partition)
                going.append(asyncio.create_task(_acknowledged(sent, partition, at, count)))
        return list(await asyncio.wait_for(asyncio.gather(*going), SENT_SECONDS))
    finally:
        await producer.stop()


async def _acknowledged(sent: asyncio.Future[Any], partition: int, at: float, count: int) -> Sent:
    taken = await sent
    return Sent(partition, at, time.time(), taken.offset + count, count)
