"""
Everything through a real pgbouncer in transaction mode, which gives every transaction a server connection of its own.

So what passes here leans on nothing that outlives a transaction; the first test shows that what does so fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from tests.debian import PackageUnavailableError
from tests.postgres.events import NOON, one_of_each, snapshot
from tests.postgres.feed import EmbeddedFeed
from tests.postgres.pgbouncer import find_pgbouncer, running_pgbouncer
from tests.postgres.running import ask, running_sink
from tests.postgres.test_sink import ids, ids_of, wait_for, written_once
from worker.sink.migrate import migrate, migrations, pending


@pytest.fixture(scope="module", autouse=True)
def _pgbouncer() -> None:
    try:
        find_pgbouncer()
    except PackageUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def bounced(empty_database: str) -> Iterator[str]:
    """An empty database, by way of pgbouncer."""
    with running_pgbouncer(empty_database) as dsn:
        yield dsn


async def test_what_keeps_something_in_its_session_fails_here(bounced: str) -> None:
    connection = await asyncpg.connect(bounced, statement_cache_size=0)
    await connection.execute("CREATE TEMP TABLE kept (id int)")

    async def use_it_for_long() -> None:
        for _ in range(1000):
            await connection.execute("SELECT * FROM kept")

    with pytest.raises(asyncpg.UndefinedTableError):
        await use_it_for_long()
    await connection.close()


async def test_migrations_are_applied_once_by_many_at_once(bounced: str) -> None:
    assert await pending(bounced) == [migration.name for migration in migrations()]
    applied = await asyncio.wait_for(asyncio.gather(*(migrate(bounced) for _ in range(4))), 60)
    assert sorted(name for names in applied for name in names) == [migration.name for migration in migrations()]
    assert await pending(bounced) == []


def test_the_sink_writes_every_event_once(bounced: str, empty_database: str) -> None:
    asyncio.run(migrate(bounced))
    with EmbeddedFeed() as feed:
        events = [one_of_each(f"campaign-{n}", NOON) for n in range(50)]
        sent = [body for each in events for bodies in each.values() for body in bodies]
        for kind in events[0]:
            feed.send(kind, [each[kind][0] for each in events])
        feed.send("snapshot_taken", [snapshot("poison", band="\0")])
        settings = feed.settings(bounced, sink_batch_rows=20, sink_history_seconds=3600)
        with running_sink(settings) as sink:
            wait_for(sink, empty_database, sent)
            assert written_once(sink)
            assert sink.metric("pacing_sink_retries_total") == 0
    assert ids(empty_database) == ids_of(sent)
    assert ask(empty_database, "SELECT count(*) FROM pacing_sink_refused") == [(1,)]
