"""The embedded broker: what the demo relies on, and the limit that makes it begin a month again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition

from worker.demo.broker import PARTITIONS, EmbeddedBroker, running_broker
from worker.demo.cast import CAST
from worker.demo.stories import Message, messages
from worker.ledger.partitions import partition_of

PLANS, SPEND = "plans", "spend"
MIB = 1024 * 1024


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with running_broker([PLANS, SPEND]) as broker:
        yield broker


def lying_in(broker: EmbeddedBroker, topic: str, partition: int) -> list[bytes]:
    """The keys of the records that lie in a partition."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "test", "auto.offset.reset": "earliest"})
    try:
        first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        consumer.assign([TopicPartition(topic, partition, first)])
        return [key_of(consumer) for _ in range(end - first)]
    finally:
        consumer.close()


def key_of(consumer: Consumer) -> bytes:
    record = consumer.poll(10)
    assert record is not None, "no record in ten seconds"
    assert record.error() is None
    return bytes(record.key())


def test_every_campaign_lies_in_the_partition_that_javas_default_chooses(broker: EmbeddedBroker) -> None:
    broker.send((PLANS, messages(story, 0)[0]) for story in CAST)
    broker.flush()
    keys = {partition: lying_in(broker, PLANS, partition) for partition in range(PARTITIONS)}
    assert sum(map(len, keys.values())) == len(CAST)
    assert all(partition_of(key, PARTITIONS) == partition for partition in keys for key in keys[partition])


def test_the_cast_is_spread_over_the_partitions() -> None:
    campaigns = Counter(partition_of(story.campaign_id.encode(), PARTITIONS) for story in CAST)
    assert len(campaigns) == PARTITIONS
    assert max(campaigns.values()) <= len(CAST) / 2


def test_it_tells_when_it_has_dropped_the_oldest_records(broker: EmbeddedBroker) -> None:
    def send(mebibytes: int) -> None:
        for _ in range(mebibytes * 4):
            broker.send([(SPEND, Message(0, False, b"campaign", bytes(MIB // 4)))])
            broker.flush()

    send(3)
    assert not broker.has_dropped()
    send(3)
    assert broker.has_dropped()
