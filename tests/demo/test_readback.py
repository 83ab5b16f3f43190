"""What the demo reads back from a real PostgreSQL with the product's own tables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import pytest

from worker.demo.postgres import EmbeddedPostgres, running_postgres
from worker.demo.readback import LOOK_BACK, Readback, connect
from worker.demo.view import Happening, Row, Seen
from worker.sink.migrate import migrate

NAMESPACE = UUID(int=1)
TICK = datetime(2026, 4, 18, 12, tzinfo=UTC)
AT = int(TICK.timestamp()) * 10**9
SNAPSHOT = {
    "campaign_id": "criteo-april",
    "occurred_at": TICK,
    "currency": "EUR",
    "total_budget": Decimal("30000.00"),
    "total_spend": Decimal("17600.000001"),
    "expected_spend": Decimal("18000.00"),
    "pacing_pct": Decimal("97.8"),
    "band": "on_pace",
    "remaining_budget": Decimal("12399.999999"),
    "plan_version": 1,
    "revision": 0,
    "final": False,
    "complete": True,
}
DEVIATION = {
    "campaign_id": "criteo-april",
    "occurred_at": TICK,
    "currency": "EUR",
    "alert_id": "a-1",
    "scope": "channel",
    "scope_id": "Commerce Media",
    "transition": "opened",
    "alert_level": "critical",
    "direction": "underpacing",
    "message": "Commerce Media is underpacing",
}
SIGNAL = {
    "event_type": "pacing.alert_raised",
    "campaign_id": "criteo-april",
    "occurred_at": TICK,
    "alert_id": "s-1",
    "kind": "unplanned_channel",
    "scope": "channel",
    "scope_id": "CINEMA",
    "alert_level": "warning",
    "message": "9.50 on CINEMA",
}
PROPOSAL = {
    "campaign_id": "criteo-april",
    "occurred_at": TICK,
    "currency": "EUR",
    "type": "REALLOCATE",
    "source_channel": "Commerce Media",
    "target_channel": "Lower-funnel retargeting",
    "amount": Decimal("1600.00"),
    "status": "PENDING",
}


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture
async def database(server: EmbeddedPostgres, request: pytest.FixtureRequest) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database of the test's own, with the product's tables."""
    name = f"test_{abs(hash(request.node.name))}"
    administrator = await asyncpg.connect(server.dsn)
    await administrator.execute(f"CREATE DATABASE {name}")
    await administrator.close()
    await migrate(server.dsn_of(name))
    connection = await asyncpg.connect(server.dsn_of(name))
    yield connection
    await connection.close()


@pytest.fixture
async def readback(database: asyncpg.Connection, server: EmbeddedPostgres) -> AsyncIterator[Readback]:
    readback = await connect(server.dsn_of(await database.fetchval("SELECT current_database()")))
    yield readback
    await readback.close()


async def insert(database: asyncpg.Connection, table: str, key: str, row: dict[str, Any], **changes: Any) -> None:
    """Insert an event as the sink would, under an id made of what it says."""
    row = row | changes
    name = uuid5(NAMESPACE, f"{table}{sorted(row.items())}")
    row = {key: str(name) if table == "pacing_alerts" else name} | row
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await database.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", *row.values())  # noqa: S608 - our own names


async def test_an_empty_database_is_read_as_nothing_yet(readback: Readback) -> None:
    assert await readback.read() == ([], [], Seen())


async def test_the_newest_snapshot_is_a_row_with_its_open_alerts(
    database: asyncpg.Connection, readback: Readback
) -> None:
    await insert(database, "pacing_current_snapshots", "snapshot_id", SNAPSHOT)
    for number, level in enumerate(["critical", "warning", "warning"]):
        alert = {"campaign_id": "criteo-april", "kind": "deviation", "scope": "channel", "scope_id": str(number)}
        await insert(database, "pacing_alerts", "alert_id", alert | {"alert_level": level, "opened_at": TICK})
    reading = await readback.read()
    assert reading.rows == [
        Row(
            "criteo-april",
            "EUR",
            "30000.00",
            "17600.000001",
            "18000.00",
            "97.80",
            "on_pace",
            False,
            warnings=2,
            criticals=1,
        )
    ]


async def test_every_kind_of_event_is_told_once_in_a_persons_words(
    database: asyncpg.Connection, readback: Readback
) -> None:
    await insert(database, "pacing_deviations", "event_id", DEVIATION)
    await insert(database, "pacing_signals", "event_id", SIGNAL)
    await insert(database, "pacing_signals", "event_id", SIGNAL, event_type="pacing.alert_cleared")
    await insert(database, "pacing_reallocations", "recommendation_id", PROPOSAL)
    await insert(database, "pacing_snapshots", "snapshot_id", SNAPSHOT)
    await insert(database, "pacing_snapshots", "snapshot_id", SNAPSHOT, final=True)
    told = {(happening.mark, happening.text) for happening in (await readback.read()).happenings}
    assert told == {
        ("opened", "Commerce Media is underpacing"),
        ("raised", "unplanned_channel: 9.50 on CINEMA"),
        ("cleared", "unplanned_channel: 9.50 on CINEMA"),
        ("proposed", "move from Commerce Media to Lower-funnel retargeting 1,600.00 EUR"),
        ("closed", "the flight is over; spent 17,600.00 EUR"),
    }
    assert (await readback.read()).happenings == []


async def test_an_event_that_comes_after_a_newer_one_is_still_told(
    database: asyncpg.Connection, readback: Readback
) -> None:
    await insert(database, "pacing_deviations", "event_id", DEVIATION)
    await readback.read()
    late = TICK - LOOK_BACK + timedelta(seconds=2)
    await insert(database, "pacing_deviations", "event_id", DEVIATION, occurred_at=late, message="late")
    assert (await readback.read()).happenings == [
        Happening(int(late.timestamp()) * 10**9, "criteo-april", "opened", "late")
    ]


async def test_it_counts_what_has_been_seen(database: asyncpg.Connection, readback: Readback) -> None:
    await insert(database, "pacing_current_snapshots", "snapshot_id", SNAPSHOT)
    for second in range(3):
        at = TICK + timedelta(seconds=second)
        await insert(database, "pacing_snapshots", "snapshot_id", SNAPSHOT, occurred_at=at)
    await insert(database, "pacing_deviations", "event_id", DEVIATION)
    await insert(database, "pacing_deviations", "event_id", DEVIATION, transition="escalated")
    await insert(database, "pacing_deviations", "event_id", DEVIATION, transition="resolved")
    await insert(database, "pacing_reallocations", "recommendation_id", PROPOSAL)
    await insert(database, "pacing_signals", "event_id", SIGNAL)
    seen = (await readback.read()).seen
    assert seen == Seen(snapshots=3, campaigns=1, opened=1, resolved=1, proposals=1, alerts=1)
