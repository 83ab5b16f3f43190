"""What these tests share: a PostgreSQL, a database of each test's own in it, and a Kafka to feed the sink from."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from tests.kafka.conftest import started as started_kafka
from tests.postgres.feed import EmbeddedFeed, Feed, KafkaFeed
from worker.demo.postgres import EmbeddedPostgres, running_postgres
from worker.sink.migrate import migrate


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A server that all tests share and none may stop."""
    with running_postgres() as server:
        yield server


@pytest.fixture
async def empty_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """Where an empty database of the test's own is."""
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgres.dsn)
    await connection.execute(f"CREATE DATABASE {name}")
    yield postgres.dsn_of(name)
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def database(empty_database: str) -> str:
    """Where a database with the product's tables is."""
    await migrate(empty_database)
    return empty_database


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Any]:
    """A connection to it, as the sink has them."""
    found = await asyncpg.connect(database, statement_cache_size=0)
    yield found
    await found.close()


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, to be killed, frozen and restarted."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The address of a real Kafka that all tests here share; without Java they are skipped."""
    yield from (broker.bootstrap for broker in started_kafka())


@pytest.fixture(params=["embedded", "kafka"])
def feed(request: pytest.FixtureRequest) -> Iterator[Feed]:
    """Topics of the test's own: on librdkafka's embedded cluster, and on a real Kafka."""
    if request.param == "kafka":
        with KafkaFeed(request.getfixturevalue("kafka")) as found:
            yield found
    else:
        with EmbeddedFeed() as embedded:
            yield embedded
