"""
The checkpoint: a partition's state, the input it covers and what came of it become visible in one transaction.

    begin ─▶ outputs, dead letters ─▶ changed ledger records ─▶ marker ─▶ every write acknowledged ─▶ commit
      ▲                                                                                                 │
      └── anything else: the process ends; the next owner's start aborts what is open ◀─────────────────┘

Each partition has a transactional producer of its own, called by application and partition, so that a new owner's
start fences the old one: a worker that was thought dead can never write again. Nothing is retried or aborted here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka import AIOKafkaProducer

from worker.topics import BATCH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from aiokafka.producer.message_accumulator import BatchBuilder

    from worker.clock import Clock
    from worker.events import Message
    from worker.settings import Settings

# A transaction outlives the checkpoint that gives up on it, which ends the process; the next owner aborts it anyway.
TRANSACTION_SECONDS_BEYOND_CHECKPOINT = 30


class Written(NamedTuple):
    """One record to be written: key, value (None: a tombstone) and headers."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Cut(NamedTuple):
    """
    What one checkpoint writes: taken in one go between two folds, so that its parts belong together.

    *positions* is where the partition stood; the marker, the last record of *ledger*, says the same. *tick* is the one
    that was opened since the last cut. *parts* go to other partitions as well: by topic and partition.
    """

    outputs: Mapping[str, Sequence[Written | Message]]
    ledger: Sequence[tuple[bytes, bytes | None]]
    positions: Mapping[str, int]
    tick: int | None = None
    parts: Mapping[tuple[str, int], Sequence[Written]] = {}


class RecordTooLargeError(Exception):
    """A record that no batch can hold."""


class Checkpoints:
    """The checkpoints of one partition: its producer, and where its records go."""

    def __init__(self, producer: AIOKafkaProducer, partition: int, ledger_topic: str, clock: Clock) -> None:
        self._producer = producer
        self._clock = clock
        self._partition = partition
        self._ledger_topic = ledger_topic

    async def start(self) -> None:
        """Fence whoever wrote this partition before, and abort what it left open."""
        await self._producer.start()

    async def stop(self) -> None:
        """Close the connections; what is committed stays."""
        await self._producer.stop()

    async def write(self, cut: Cut) -> int:
        """
        Make *cut* visible, all of it or nothing; the bytes that took.

        Every write is awaited before the commit, because aiokafka commits a transaction whose batch has failed. A tick
        before its time is never committed.
        """
        await self._producer.begin_transaction()
        told = max(self._clock.now(), cut.tick or 0)
        size, writes = 0, []
        for topic, partition, batch in self._batches(cut):
            size += batch.size()
            writes.append(await self._send(topic, partition, batch))
        self._clock.hold_against(await asyncio.gather(*writes), told)
        await self._producer.commit_transaction()
        return size

    async def _send(self, topic: str, partition: int, batch: BatchBuilder) -> asyncio.Future[Any]:
        acknowledged: asyncio.Future[Any] = await self._producer.send_batch(batch, topic, partition=partition)
        return acknowledged

    def _batches(self, cut: Cut) -> Iterator[tuple[str, int, BatchBuilder]]:
        """Outputs first and the ledger after them, so that the marker is the last record written."""
        mine = [((topic, self._partition), records) for topic, records in cut.outputs.items()]
        for (topic, partition), records in (*mine, *cut.parts.items()):
            for batch in self._pack(records):
                yield topic, partition, batch
        for batch in self._pack(Written(key, value) for key, value in cut.ledger):
            yield self._ledger_topic, self._partition, batch

    def _pack(self, records: Iterable[Written | Message]) -> Iterator[BatchBuilder]:
        batch = self._producer.create_batch()
        for record in records:
            if not _append(batch, record):
                yield batch
                batch = self._producer.create_batch()
                if not _append(batch, record):
                    raise RecordTooLargeError(f"a record of {len(record.value or b'')} bytes fits in no batch")
        if batch.record_count():
            yield batch


def _append(batch: BatchBuilder, record: Written | Message) -> bool:
    """Whether *record* still fits in *batch*; the first always does."""
    appended = batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
    return appended is not None


def transactional_id(settings: Settings, partition: int) -> str:
    """What Kafka knows a partition's writer by: the same whoever runs it, so that a new one fences the old."""
    return f"{settings.app_id}-{partition}"


def new_producer(settings: Settings, partition: int, factory: Callable[..., AIOKafkaProducer]) -> AIOKafkaProducer:
    """The producer of one partition. Batches are made here, whole, so that aiokafka's own limits only have to fit."""
    return factory(
        **settings.kafka_options(),
        client_id=transactional_id(settings, partition),
        transactional_id=transactional_id(settings, partition),
        transaction_timeout_ms=int(
            (settings.checkpoint_timeout_seconds + TRANSACTION_SECONDS_BEYOND_CHECKPOINT) * 1000
        ),
        max_batch_size=BATCH_BYTES,
        request_timeout_ms=int(settings.checkpoint_timeout_seconds * 1000),
    )
