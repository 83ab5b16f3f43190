"""
What was committed when: the records of a topic with the time at which their transaction became visible.

Kafka ends a transaction with a record of its own, dated by the broker in that instant. Reading those afterwards times
a worker to the millisecond and costs it nothing, where asking it while it runs would take turns of its event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar
from unittest import mock

import aiokafka.consumer.fetcher as upstream
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.benchmarks.waiting import NoFigureError
from worker.lane import WholeBatches
from worker.ledger.kinds import MARKER

K = TypeVar("K")

Keep = Callable[[bytes | None, bytes | None], K | None]
"""What is kept of a record, by key and value; None: nothing."""

READ_SECONDS = 600.0
FETCH_BYTES = 8 * 1024 * 1024
BATCHES = 64


class Commit(NamedTuple, Generic[K]):
    """One transaction in one partition: when it became visible, in seconds since 1970, and what it wrote there."""

    partition: int
    at: float
    kept: list[K]


class _Piece(NamedTuple):
    """A batch of the log: the records of one, or the end of a transaction."""

    committed_ms: int | None
    records: list[tuple[bytes | None, bytes | None]]


class _Pieces(WholeBatches):
    """A fetch with the ends of transactions, which no client shows."""

    def _unpack_records(self) -> Iterator[Any]:
        while self._records.has_next():
            batch = self._records.next_batch()
            hidden = self._is_hidden(batch)
            self.next_fetch_offset = batch.next_offset
            if batch.is_control_batch:
                yield _Piece(batch.max_timestamp, [])
            elif not hidden:
                yield _Piece(None, [(record.key, record.value) for record in batch])


def commits(bootstrap: str, topic: str, partitions: int, keep: Keep[K]) -> list[Commit[K]]:
    """Every committed transaction of *topic* that wrote something to *keep*, by time."""
    with mock.patch.object(upstream, "PartitionRecords", _Pieces):
        found = asyncio.run(_in_time(_commits(bootstrap, topic, partitions, keep), topic))
    return sorted(found, key=lambda commit: commit.at)


async def _in_time(reading: Any, topic: str) -> Any:
    try:
        return await asyncio.wait_for(reading, READ_SECONDS)
    except TimeoutError:
        raise NoFigureError(f"{topic} could not be read within {READ_SECONDS:.0f} s") from None


async def _commits(bootstrap: str, topic: str, partitions: int, keep: Keep[K]) -> list[Commit[K]]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        check_crcs=False,
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    await consumer.start()
    try:
        tps = [TopicPartition(topic, partition) for partition in range(partitions)]
        consumer.assign(tps)
        return await _read(consumer, tps, keep)
    finally:
        await consumer.stop()


async def _read(consumer: AIOKafkaConsumer, tps: list[TopicPartition], keep: Keep[K]) -> list[Commit[K]]:
    ends = await consumer.end_offsets(tps)
    for tp, begin in (await consumer.beginning_offsets(tps)).items():
        consumer.seek(tp, begin)
    found: list[Commit[K]] = []
    waiting: dict[int, list[K]] = {tp.partition: [] for tp in tps}
    while any([await consumer.position(tp) < end for tp, end in ends.items()]):
        for tp, pieces in (await consumer.getmany(timeout_ms=500, max_records=BATCHES)).items():
            for piece in pieces:
                if piece.committed_ms is None:
                    waiting[tp.partition] += [k for r in piece.records if (k := keep(*r)) is not None]
                elif waiting[tp.partition]:
                    found.append(Commit(tp.partition, piece.committed_ms / 1000, waiting[tp.partition]))
                    waiting[tp.partition] = []
    return found


# -- what the worker writes ------------------------------------------------------------------------------------------


def marker(key: bytes | None, value: bytes | None) -> dict[str, Any] | None:
    """The marker of a checkpoint: keeps where its partition stood."""
    return msgspec.msgpack.decode(value) if key == MARKER and value is not None else None


class TickClosed(msgspec.Struct):
    """What is asked of a tick that closed."""

    tick: str
    campaigns: int
    complete: bool
    next_offsets: dict[str, int]


_closed = msgspec.json.Decoder(TickClosed)


def tick_closed(_: bytes | None, value: bytes | None) -> TickClosed | None:
    """A tick that one partition closed."""
    return _closed.decode(value) if value is not None else None


class Snapshot(msgspec.Struct):
    """What is asked of a snapshot."""

    campaign_id: str
    timestamp: str
    total_spend: str
    complete: bool


_snapshot = msgspec.json.Decoder(Snapshot)


def snapshot_of(tick: str) -> Keep[Snapshot]:
    """Keeps the snapshots of one tick."""
    sign = tick.encode()

    def keep(_: bytes | None, value: bytes | None) -> Snapshot | None:
        if value is None or sign not in value:
            return None
        found = _snapshot.decode(value)
        return found if found.timestamp == tick else None

    return keep
