"""
One partition of a topic from one offset to another, as it is committed, a record batch at a time.

The commands read as the worker does, with the position before and after each batch looked at: what is missing is an
error, never a shorter answer.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from worker import lane
from worker.lane import Fetched, Whole
from worker.settings import Settings

FETCH_BYTES: Final = 8 * 1024 * 1024
POLL_BATCHES: Final = 64
POLL_MS: Final = 1_000
STALL_SECONDS: Final = 60.0

Headers = Sequence[tuple[str, bytes]]


class LogError(Exception):
    """A log that cannot be read to its end, in a sentence."""


class Range(NamedTuple):
    """The offsets a partition holds, those of open transactions left out: [begin, end)."""

    begin: int
    end: int


class Reader:
    """Reads partitions of topics, one after another; *plain* is a consumer that hands out records one by one."""

    def __init__(self, consumer: Any, plain: Any) -> None:
        self._consumer = consumer
        self._plain = plain

    async def range_of(self, topic: str, partition: int) -> Range:
        """What the partition holds now."""
        tp = TopicPartition(topic, partition)
        begin = (await self._consumer.beginning_offsets([tp]))[tp]
        return Range(begin, (await self._consumer.end_offsets([tp]))[tp])

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Fetched]:
        """The record batches of [start, end); the last one may reach beyond. Raises LogError."""
        tp = TopicPartition(topic, partition)
        self._consumer.assign([tp])
        self._consumer.seek(tp, start)
        at, seen = start, time.monotonic()
        while at < end:
            fetched = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_BATCHES)
            for batch in fetched.get(tp, ()):
                if batch.start != at:
                    raise LogError(f"{topic}-{partition} was read from {batch.start} where {at} came next")
                at, seen = batch.end, time.monotonic()
                yield batch
                if at >= end:
                    break
            if time.monotonic() - seen > STALL_SECONDS:
                raise LogError(f"no record of {topic}-{partition} came within {STALL_SECONDS:g} s")

    async def headers(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Headers]:
        """The headers of each record of [start, end). Raises LogError."""
        tp, consumer = TopicPartition(topic, partition), self._plain
        consumer.assign([tp])
        consumer.seek(tp, start)
        at, seen = start, time.monotonic()
        while at < end:
            fetched = await consumer.getmany(timeout_ms=POLL_MS)
            for record in fetched.get(tp, ()):
                yield record.headers
            # Control records are no records; the position tells that they were passed.
            at, before = await consumer.position(tp), at
            if at > before:
                seen = time.monotonic()
            elif time.monotonic() - seen > STALL_SECONDS:
                raise LogError(f"no record of {topic}-{partition} came within {STALL_SECONDS:g} s")

    async def newest(self, topic: str, partition: int) -> dict[bytes, bytes]:
        """
        The newest record of each key of a compacted partition; deleted ones are left out.

        Of a partition that somebody writes to meanwhile it is the state at one instant, unless its log is compacted
        in that very moment: what is to be exact is read while nobody writes.
        """
        begin, end = await self.range_of(topic, partition)
        newest: dict[bytes, bytes] = {}
        async for batch in self.read(topic, partition, begin, end):
            if batch.records is not None:
                _keep(newest, zip(batch.records.keys, batch.records.values, strict=True))
        return newest


def _keep(newest: dict[bytes, bytes], records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
    for key, value in records:
        if value is None:
            newest.pop(key or b"", None)
        else:
            newest[key or b""] = value


@asynccontextmanager
async def reader(settings: Settings) -> AsyncIterator[Reader]:
    """A reader of what is committed; its connections end with the block."""
    lane.install()
    whole, plain = _consumer(settings, key_deserializer=Whole()), _consumer(settings)
    await whole.start()
    try:
        await plain.start()
        yield Reader(whole, plain)
    finally:
        await whole.stop()
        await plain.stop()


def _consumer(settings: Settings, **more: Any) -> Any:
    return AIOKafkaConsumer(
        **settings.kafka_options(),
        isolation_level="read_committed",
        # With "latest" a reset in the background races the seek, and everything is skipped.
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        check_crcs=not settings.embedded_broker,
        max_partition_fetch_bytes=FETCH_BYTES,
        **more,
    )
