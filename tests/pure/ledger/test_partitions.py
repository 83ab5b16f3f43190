"""Where a key belongs is decided as every Kafka client decides it."""

from __future__ import annotations

import json

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pure.ledger.world import SPEND, update
from worker.ledger import Ledger, LedgerLimits, RecordBatch
from worker.ledger.partitions import murmur2, partition_of


# org.apache.kafka.common.utils.UtilsTest, its signed integers as they are.
@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_that_of_the_java_client(key: bytes, hashed: int) -> None:
    assert murmur2(key) == hashed & 0xFFFFFFFF


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(1, 64))
def test_a_key_lies_where_aiokafka_puts_it(key: bytes, partitions: int) -> None:
    everywhere = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, everywhere, everywhere)


def test_an_update_in_a_partition_that_is_not_its_key_s_is_refused() -> None:
    partitions = 4
    mine = partition_of(b"c", partitions)
    value = json.dumps(update("e")).encode()
    for number in range(partitions):
        ledger = Ledger(number, partitions, LedgerLimits())
        folded = ledger.fold_spend(RecordBatch(SPEND, number, range(1), [b"c"], [value], 0))
        assert [refused.reason for refused in folded.refused] == ([] if number == mine else ["wrong_partition"])
