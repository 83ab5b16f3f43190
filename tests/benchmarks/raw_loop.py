"""
What the client below costs alone: aiokafka and msgspec, a dict of totals, nothing kept and no repeats found.

    python -m tests.benchmarks.raw_loop BOOTSTRAP TOPIC UPDATES records|batches

*records* takes what aiokafka hands out, one record at a time; *batches* takes record batches whole, as the worker's
lane does, and decodes each in one call: the limit of this stack. Both read every amount exactly. Prints one JSON line:
seconds from the first fetch to the last update, and the totals in nanos by campaign.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterable

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.benchmarks.running import PARTITIONS
from worker.lane import Whole, install

FETCH_BYTES = 4 * 1024 * 1024
POLL_MS = 1_000
BATCHES = 40


class Spend(msgspec.Struct, gc=False):
    """What is read of an update."""

    campaign_id: str
    kind: str
    spend: str


_decoder = msgspec.json.Decoder(Spend)


def add(totals: dict[str, int], updates: Iterable[Spend]) -> None:
    """Add increments up, to the nano."""
    for update in updates:
        if update.kind == "increment":
            units, _, decimals = update.spend.partition(".")
            totals[update.campaign_id] += int(units + decimals.ljust(9, "0"))


async def drain(bootstrap: str, topic: str, expected: int, *, whole: bool) -> tuple[float, dict[str, int]]:
    """Read *expected* updates; the seconds and the totals."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=FETCH_BYTES,
        key_deserializer=Whole() if whole else None,
    )
    await consumer.start()
    consumer.assign([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
    take = take_batches if whole else take_records
    totals: dict[str, int] = defaultdict(int)
    seen, begun = 0, time.perf_counter()
    while seen < expected:
        seen += await take(consumer, totals)
    seconds = time.perf_counter() - begun
    await consumer.stop()
    return seconds, totals


async def take_records(consumer: AIOKafkaConsumer, totals: dict[str, int]) -> int:
    """One fetch, record by record; how many it held."""
    fetched = await consumer.getmany(timeout_ms=POLL_MS)
    for records in fetched.values():
        add(totals, (_decoder.decode(record.value) for record in records))
    return sum(map(len, fetched.values()))


async def take_batches(consumer: AIOKafkaConsumer, totals: dict[str, int]) -> int:
    """One fetch, batch by batch; how many records it held."""
    seen = 0
    for batches in (await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCHES)).values():
        for batch in batches:
            if batch.records is not None:
                add(totals, _decoder.decode_lines(b"\n".join(batch.records.values)))
                seen += len(batch.records.values)
    return seen


def main(bootstrap: str, topic: str, expected: int, way: str) -> None:
    """Drain and print the outcome."""
    if way == "batches":
        install()
    seconds, totals = asyncio.run(drain(bootstrap, topic, expected, whole=way == "batches"))
    print(json.dumps({"seconds": seconds, "totals": totals}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
