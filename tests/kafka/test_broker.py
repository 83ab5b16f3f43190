"""The broker that the other tests stand on."""

from __future__ import annotations

import uuid

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.kafka.broker import Broker, answering_brokers, create_topics

pytestmark = pytest.mark.kafka


def write(bootstrap: str, topic: str, value: bytes) -> None:
    """Append one record and wait until it is acknowledged."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    producer.produce(topic, value, partition=0)
    assert producer.flush(30) == 0


def read_first(bootstrap: str, topic: str) -> bytes | None:
    """The first record of a topic's partition 0."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        record = consumer.poll(30)
        return None if record is None else record.value()
    finally:
        consumer.close()


def test_a_record_written_is_read(kafka: str) -> None:
    topic = f"broker-{uuid.uuid4().hex}"
    create_topics(kafka, [topic])
    write(kafka, topic, b"spend")
    assert read_first(kafka, topic) == b"spend"


def test_a_killed_broker_comes_back_at_its_address_with_what_it_had_acknowledged(own_kafka: Broker) -> None:
    own_kafka.create_topics(["kept"])
    write(own_kafka.bootstrap, "kept", b"spend")
    address = own_kafka.bootstrap

    own_kafka.kill()
    assert answering_brokers(address) == []
    own_kafka.start()

    assert answering_brokers(address) == [address]
    assert read_first(address, "kept") == b"spend"


def test_a_stopped_broker_is_gone_and_may_start_again(own_kafka: Broker) -> None:
    own_kafka.restart()
    assert own_kafka.is_running
    own_kafka.stop()
    assert not own_kafka.is_running
