"""Record batches made in memory, as the lane hands them on: for what is measured without a broker."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Iterator
from itertools import islice

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.producer.message_accumulator import BatchBuilder

from tests.benchmarks.running import PLANS, SPEND
from tests.benchmarks.workload import Message
from worker.lane import Fetched, KeptRecords, Whole, WholeBatches
from worker.ledger import LedgerLimits, RecordBatch
from worker.ledger.ledger import Ledger

# What librdkafka makes of a backlog of such updates with a batch size of a megabyte.
RECORDS = 2_400


def ledger(corrigible: frozenset[str] | None = None) -> Ledger:
    """The ledger of the only partition there is."""
    made = Ledger(0, 1, LedgerLimits(corrigible_sources=corrigible))
    for topic in (PLANS, SPEND):
        made.advance(topic, 0)
    return made


def batches(topic: str, messages: Iterable[Message]) -> Iterator[RecordBatch]:
    """*messages* as record batches of one partition."""
    now = time.time_ns() // 10**6
    remaining, offset = iter(messages), 0
    while taken := list(islice(remaining, RECORDS)):
        keys: list[bytes | None] = [campaign.encode() for campaign, _ in taken]
        values: list[bytes | None] = [value for _, value in taken]
        offsets = range(offset, offset := offset + len(taken))
        yield RecordBatch(topic, 0, offsets, keys, values, now, [now] * len(taken))


def written(batch: RecordBatch) -> bytes:
    """The bytes of a record batch, as they lie in the log."""
    builder = BatchBuilder(1 << 24, 0)
    for key, value in zip(batch.keys, batch.values, strict=True):
        builder.append(timestamp=batch.max_timestamp, key=key, value=value)
    # The offset it begins at is not part of what its checksum covers: a broker writes it in as well.
    return struct.pack(">q", batch.offsets[0]) + bytes(builder._build())[8:]


def unpacked(data: bytes, start: int) -> list[Fetched]:
    """What the lane makes of a fetch that begins at *start*."""
    tp = TopicPartition(SPEND, 0)
    return list(WholeBatches(tp, KeptRecords(data), [], start, Whole(), None, True, READ_COMMITTED))
