"""Where the tests' events come from: the output topics, on an embedded cluster or on a real Kafka."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka import Producer

from tests.kafka import broker
from tests.postgres.events import Body, encoded
from worker.demo.broker import EmbeddedBroker
from worker.settings import Settings, load_settings
from worker.sink.reading import KINDS

PARTITIONS: Final = 4
DEADLINE_SECONDS: Final = 60.0


class Feed:
    """Output topics of one test's own, and a producer that writes to them as the worker does: in transactions."""

    embedded = False

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.app_id = f"sink-{uuid.uuid4().hex[:12]}"
        self.topics = {kind: f"{self.app_id}.{kind}" for kind in KINDS}
        self._producer: Producer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._producer is not None:
            self._producer.close()

    def settings(self, dsn: str, **more: Any) -> Settings:
        """The settings of a sink that reads from here into the database at *dsn*."""
        names = {f"topic_{kind}": topic for kind, topic in self.topics.items()}
        given: dict[str, Any] = {
            "kafka_bootstrap": self.bootstrap,
            "app_id": self.app_id,
            "postgres_dsn": dsn,
            "embedded_broker": self.embedded,
            "session_timeout_seconds": 3,
            "sink_retention_months": 1_200,
        }
        return load_settings(env_file=None, **names, **given | more)

    def send(self, kind: str, bodies: Iterable[Body]) -> None:
        """Commit events of one kind, in one transaction."""
        keyed = ((body.get("campaign_id") or body["account_id"], value) for body, value in _with_values(bodies))
        self.send_raw(kind, [(key.encode(), value) for key, value in keyed])

    def send_all(self, events: Mapping[str, Sequence[Body]]) -> None:
        """Commit events of several kinds."""
        for kind, bodies in events.items():
            self.send(kind, bodies)

    def send_raw(self, kind: str, records: Iterable[tuple[bytes, bytes | None]], *, abort: bool = False) -> None:
        """Commit keys and values as they are, or abort them after they were written."""
        producer = self.producer
        producer.begin_transaction()
        for key, value in records:
            producer.produce(self.topics[kind], key=key, value=value)
            producer.poll(0)
        assert producer.flush(DEADLINE_SECONDS) == 0
        if abort:
            producer.abort_transaction(DEADLINE_SECONDS)
        else:
            producer.commit_transaction(DEADLINE_SECONDS)

    @property
    def producer(self) -> Producer:
        """A transactional producer that places keys as Java does."""
        if self._producer is None:
            self._producer = Producer(
                {
                    "bootstrap.servers": self.bootstrap,
                    "transactional.id": self.app_id,
                    "partitioner": "murmur2_random",
                    "log_level": 0,
                }
            )
            self._producer.init_transactions(DEADLINE_SECONDS)
        return self._producer


class EmbeddedFeed(Feed):
    """On librdkafka's in-process cluster, which shows aborted records and keeps 5 MiB a partition."""

    embedded = True

    def __init__(self) -> None:
        super().__init__("")
        self._broker = EmbeddedBroker(list(self.topics.values()))
        self.bootstrap = self._broker.bootstrap

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._broker.close()


class KafkaFeed(Feed):
    """On a real Kafka."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(bootstrap)
        broker.create_topics(bootstrap, self.topics.values(), partitions=PARTITIONS)


def _with_values(bodies: Iterable[Body]) -> list[tuple[Body, bytes]]:
    listed = list(bodies)
    return list(zip(listed, encoded(listed), strict=True))


def wait_until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Ask until *condition* holds, or fail when it has not within *seconds*."""
    broker.wait_until(condition, seconds, what=what)
