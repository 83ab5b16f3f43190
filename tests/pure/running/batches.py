"""Record batches as a broker would send them, made byte by byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from worker.lane import Fetched, KeptRecords, Whole, WholeBatches

ATTRIBUTES = slice(21, 23)
CONTROL = 0x20
ABORT = b"\x00\x00\x00\x00"
COMMIT = b"\x00\x00\x00\x01"
FIRST_TIMESTAMP = 1_700_000_000_000
INPUT = TopicPartition("spend", 3)


def batch(first: int, values: Sequence[bytes], *, offsets: Sequence[int] = (), **producer: int) -> bytes:
    """One record batch; *offsets* where some are missing, *producer* the id of a transaction's producer."""
    builder = DefaultRecordBatchBuilder(
        2,
        0,
        is_transactional=int(bool(producer)),
        producer_id=producer.get("producer", -1),
        producer_epoch=0,
        base_sequence=0,
        batch_size=1_000_000,
    )
    for place, value in zip(offsets or range(first, first + len(values)), values, strict=True):
        at = place - first
        builder.append(at, timestamp=FIRST_TIMESTAMP + at, key=b"key-%d" % place, value=value, headers=[])
    return first.to_bytes(8, "big") + bytes(builder.build())[8:]


def control(offset: int, kind: bytes, producer: int) -> bytes:
    """The end of a transaction."""
    builder = DefaultRecordBatchBuilder(
        2, 0, is_transactional=1, producer_id=producer, producer_epoch=0, base_sequence=-1, batch_size=1_000
    )
    builder.append(0, timestamp=FIRST_TIMESTAMP, key=kind, value=b"\x00" * 6, headers=[])
    made = bytearray(builder.build())
    attributes = int.from_bytes(made[ATTRIBUTES], "big") | CONTROL
    made[ATTRIBUTES] = attributes.to_bytes(2, "big")
    return offset.to_bytes(8, "big") + bytes(made)[8:]


def response(
    *batches: bytes,
    position: int = 0,
    aborted: Sequence[tuple[int, int]] = (),
    token: object = None,
    check_crcs: bool = False,
) -> PartitionRecords:
    """What aiokafka makes of a fetch response; *aborted* are (producer, first offset)."""
    deserializer: Any = Whole() if token is None else token
    return WholeBatches(
        INPUT, KeptRecords(b"".join(batches)), list(aborted), position, deserializer, None, check_crcs, READ_COMMITTED
    )


def fetched(*batches: bytes, **more: Any) -> list[Fetched]:
    """All that :func:`response` hands out."""
    return list(response(*batches, **more))
