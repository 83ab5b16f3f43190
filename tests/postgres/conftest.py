"""What these tests share: a PostgreSQL, a database of each test's own in it, and a Kafka to feed the sink from."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, NamedTuple

import asyncpg
import pytest

from tests.kafka.broker import outside_bootstrap, running_broker, why_unavailable
from tests.postgres.feed import EmbeddedFeed, Feed, KafkaFeed
from worker.demo.postgres import EmbeddedPostgres, running_postgres
from worker.sink.migrate import migrate

# Nothing here outlives the machine's power: what a test may lose, a test may also make again.
FAST: Final = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
TEMPLATE: Final = "migrated"


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A server that all tests share and none may stop, with a migrated database to make others of."""
    with running_postgres(FAST) as server:
        asyncio.run(run(server.dsn, f"CREATE DATABASE {TEMPLATE}"))
        asyncio.run(migrate(server.dsn_of(TEMPLATE)))
        yield server


async def run(dsn: str, sql: str) -> None:
    """One statement on a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def new_database(server: EmbeddedPostgres, template: str) -> AsyncIterator[str]:
    """Where a copy of *template* is, for as long as the test takes."""
    name = f"test_{uuid.uuid4().hex}"
    await run(server.dsn, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server.dsn_of(name)
    await run(server.dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def empty_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """Where an empty database of the test's own is."""
    async for dsn in new_database(postgres, "template0"):
        yield dsn


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """Where a database with the product's tables is."""
    async for dsn in new_database(postgres, TEMPLATE):
        yield dsn


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Any]:
    """A connection to it, as the sink has them."""
    found = await asyncpg.connect(database, statement_cache_size=0)
    yield found
    await found.close()


class Victim(NamedTuple):
    """A server that a test may kill, freeze and restart, and a database with the product's tables in it."""

    server: EmbeddedPostgres
    dsn: str


@pytest.fixture(scope="session")
def victims() -> Iterator[EmbeddedPostgres]:
    """The server of the tests that kill theirs; one after the other."""
    with running_postgres() as server:
        asyncio.run(run(server.dsn, f"CREATE DATABASE {TEMPLATE}"))
        asyncio.run(migrate(server.dsn_of(TEMPLATE)))
        yield server


@pytest.fixture
def victim(victims: EmbeddedPostgres) -> Iterator[Victim]:
    """A database of the test's own on a server that it may kill."""
    name = f"test_{uuid.uuid4().hex}"
    asyncio.run(run(victims.dsn, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
    yield Victim(victims, victims.dsn_of(name))
    if not victims.is_running:
        victims.start()


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The address of a real Kafka that all tests here share; without Java they are skipped."""
    if (outside := outside_bootstrap()) is not None:
        yield outside
    elif (reason := why_unavailable()) is not None:
        pytest.skip(f"the sink was not tested on a real Kafka: {reason}")
    else:
        with running_broker() as broker:
            yield broker.bootstrap


@pytest.fixture
def kafka_feed(kafka: str) -> Iterator[Feed]:
    """Topics of the test's own on a real Kafka: for what the embedded cluster cannot do."""
    with KafkaFeed(kafka) as found:
        yield found


@pytest.fixture(params=["embedded", "kafka"])
def feed(request: pytest.FixtureRequest) -> Iterator[Feed]:
    """Topics of the test's own: on librdkafka's embedded cluster, and on a real Kafka."""
    if request.param == "kafka":
        yield request.getfixturevalue("kafka_feed")
    else:
        with EmbeddedFeed() as embedded:
            yield embedded
