"""
A Kafka cluster inside this process, for the demo: librdkafka's mock cluster, on loopback.

It speaks enough of the protocol for a consumer group, transactions and a compacted topic's name, and it is gone with
the process. What it does not do is keep promises: it shows records of aborted transactions, fences nobody, checks no
settings, compacts nothing, and keeps 5 MiB of each partition, after which the oldest record batches go. So nothing that
was counted on it proves anything about exactness; the tests on a real Kafka do.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, Producer, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from worker.demo.stories import Message

PARTITIONS: Final = 4
"""The mock cluster gives every topic it is asked for four partitions, and cannot be told otherwise."""

DEADLINE_SECONDS: Final = 10.0

# librdkafka writes its own complaints (a connection closed at the end, say) over the table; the worker's log has ours.
QUIET: Final = {"log_level": 0}


class EmbeddedBroker:
    """One broker with the topics it was asked for, a producer for the demo's messages, and an eye on what it keeps."""

    def __init__(self, topics: Sequence[str]) -> None:
        # Two threads of librdkafka serve the cluster for as long as this producer, which produces nothing, is open.
        self._cluster = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, **QUIET})
        self.bootstrap = _address(self._cluster)
        self._topics = topics
        self._producer = Producer(
            {"bootstrap.servers": self.bootstrap, "partitioner": "murmur2_random", "linger.ms": 20, **QUIET}
        )
        self._watcher = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "demo", **QUIET})
        for topic in topics:
            _create(self._cluster, topic)

    def send(self, messages: Iterable[tuple[str, Message]]) -> None:
        """Produce messages to their topics, keyed by campaign into the partition Java's default would choose."""
        for topic, message in messages:
            self._producer.produce(topic, key=message.key, value=message.value)
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until everything sent has arrived."""
        if self._producer.flush(DEADLINE_SECONDS):
            raise RuntimeError("the embedded broker does not take messages")

    def has_dropped(self) -> bool:
        """Whether some partition has outgrown what the cluster keeps, so that its oldest records are gone."""
        return any(self._first_kept(topic, partition) > 0 for topic in self._topics for partition in range(PARTITIONS))

    def _first_kept(self, topic: str, partition: int) -> int:
        offsets = self._watcher.get_watermark_offsets(TopicPartition(topic, partition), timeout=DEADLINE_SECONDS)
        return int(offsets[0]) if offsets else 0

    def close(self) -> None:
        """End the clients, then the cluster and everything in it."""
        self._producer.purge()
        self._watcher.close()
        self._producer.close()
        self._cluster.close()


def _address(cluster: Producer) -> str:
    brokers = cluster.list_topics(timeout=DEADLINE_SECONDS).brokers
    broker = next(iter(brokers.values()))
    return f"{broker.host}:{broker.port}"


def _create(cluster: Producer, topic: str) -> None:
    """Asking for a topic creates it; there is no other way."""
    created = len(cluster.list_topics(topic, timeout=DEADLINE_SECONDS).topics[topic].partitions)
    if created != PARTITIONS:
        raise RuntimeError(f"the embedded broker gave {topic} {created} partitions, not {PARTITIONS}")


@contextlib.contextmanager
def running_broker(topics: Sequence[str]) -> Iterator[EmbeddedBroker]:
    """An embedded broker with these topics, closed at the end."""
    broker = EmbeddedBroker(topics)
    try:
        yield broker
    finally:
        broker.close()
