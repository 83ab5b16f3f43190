"""Partitions by month: made ahead, filled from the default, dropped when old."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from schemas.fields import parse_time
from tests.postgres.events import account_snapshot, deviation, encoded, proposal, signal, snapshot
from tests.pure.sink.test_reading import FakeRecord
from worker.sink.months import TABLES, Month, Span, drop_before, make_months
from worker.sink.writing import read_batch, write_batch

MARCH = Month(2026, 3)
NOW = datetime(2026, 3, 15, 12, tzinfo=UTC).timestamp()


async def write(connection: Any, *times: str) -> None:
    """One event of every kind at each of these times."""
    ticks = [parse_time(time) for time in times]
    accounts = [account_snapshot(tick=tick) for tick in ticks]
    records: dict[str, list[Any]] = {
        "snapshot_taken": [FakeRecord(value) for value in encoded(snapshot(tick=tick) for tick in ticks)],
        "deviation_detected": [
            FakeRecord(value) for value in encoded(deviation("opened", tick=tick) for tick in ticks)
        ],
        "alert_raised": [FakeRecord(value) for value in encoded(signal("alert_raised", tick=tick) for tick in ticks)],
        "reallocation_recommended": [FakeRecord(value) for value in encoded(proposal(tick=tick) for tick in ticks)],
        "account_snapshot_taken": [FakeRecord(value) for value in encoded(accounts)],
    }
    written = await write_batch(connection, "test", read_batch([], records), 0)
    assert sum(written.new.values()) == len(TABLES) * len(times)


async def partitions(connection: Any, table: str = "pacing_snapshots") -> dict[str, int]:
    """How many rows each partition of a table has."""
    names = await connection.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = to_regclass($1) ORDER BY 1", table
    )
    # The names are the catalogue's.
    return {name: await connection.fetchval(f"SELECT count(*) FROM {name}") for (name,) in names}  # noqa: S608


@pytest.mark.parametrize("table", TABLES)
async def test_rows_of_a_month_go_to_its_partition_and_others_to_the_default(connection: Any, table: str) -> None:
    await make_months(connection, [MARCH, MARCH.plus(1)])
    await write(
        connection, "2026-03-01T00:00:00Z", "2026-03-31T23:59:59Z", "2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z"
    )
    assert await partitions(connection, table) == {
        f"{table}_2026_03": 2,
        f"{table}_2026_04": 1,
        f"{table}_default": 1,
    }


@pytest.mark.parametrize("table", TABLES)
async def test_a_month_made_late_takes_its_rows_from_the_default(connection: Any, table: str) -> None:
    await write(
        connection, "2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z", "2026-03-31T23:59:59Z", "2026-04-01T00:00:00Z"
    )
    assert await make_months(connection, [MARCH]) == len(TABLES)
    assert await partitions(connection, table) == {f"{table}_2026_03": 2, f"{table}_default": 2}


async def test_making_a_month_again_does_nothing(connection: Any) -> None:
    await make_months(connection, [MARCH])
    assert await make_months(connection, [MARCH]) == 0


async def test_months_are_utc_whatever_the_session_says(connection: Any) -> None:
    await connection.execute("SET TIME ZONE 'Pacific/Auckland'")
    await make_months(connection, [MARCH])
    await write(connection, "2026-03-01T00:00:00Z", "2026-03-31T23:59:59Z")
    assert (await partitions(connection))["pacing_snapshots_2026_03"] == 2


async def test_many_that_make_the_same_months_at_once_make_them_once(database: str) -> None:
    months = Span.at(NOW, 13).ahead(NOW)
    connections = [await asyncpg.connect(database) for _ in range(5)]
    made = await asyncio.gather(*(make_months(each, months) for each in connections))
    assert sum(made) == len(months) * len(TABLES)
    for each in connections:
        await each.close()


async def test_what_is_older_than_the_retention_is_dropped_also_from_the_default(connection: Any) -> None:
    await make_months(connection, [MARCH.plus(-2), MARCH.plus(-1), MARCH])
    await write(
        connection, "2025-12-31T23:59:59Z", "2026-01-15T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"
    )
    dropped = await drop_before(connection, Span.at(NOW, retention_months=1).oldest)
    assert sorted(dropped) == sorted(f"{table}_2026_01" for table in TABLES)
    assert await partitions(connection) == {
        "pacing_snapshots_2026_02": 1,
        "pacing_snapshots_2026_03": 1,
        "pacing_snapshots_default": 0,
    }


async def test_alerts_that_ended_go_with_the_retention_and_open_ones_stay(connection: Any) -> None:
    opened = [deviation("opened", name, parse_time("2026-01-15T00:00:00Z"), alert_id=name) for name in ("a", "b", "c")]
    ends = {"a": "2026-01-31T23:59:59Z", "b": "2026-02-01T00:00:00Z"}
    ended = [deviation("resolved", name, parse_time(time), alert_id=name) for name, time in ends.items()]
    records: dict[str, list[Any]] = {
        "deviation_detected": [FakeRecord(value) for value in encoded(opened)],
        "deviation_resolved": [FakeRecord(value) for value in encoded(ended)],
    }
    await write_batch(connection, "test", read_batch([], records), 0)
    await drop_before(connection, Month(2026, 2))
    assert [row["alert_id"] for row in await connection.fetch("SELECT * FROM pacing_alerts ORDER BY 1")] == ["b", "c"]


async def test_a_campaign_without_news_goes_with_the_retention(connection: Any) -> None:
    records: list[Any] = [
        FakeRecord(value)
        for value in encoded(
            [
                snapshot("ended", parse_time("2026-01-31T23:59:59Z"), final=True),
                snapshot("running", parse_time("2026-01-31T23:59:59Z")),
                snapshot("running", parse_time("2026-02-01T00:00:00Z")),
            ]
        )
    ]
    await write_batch(connection, "test", read_batch([], {"snapshot_taken": records}), 0)
    await drop_before(connection, Month(2026, 2))
    assert [row["campaign_id"] for row in await connection.fetch("SELECT campaign_id FROM pacing_current")] == [
        "running"
    ]


async def test_a_month_that_is_being_read_is_not_waited_for_for_ever(connection: Any, database: str) -> None:
    await make_months(connection, [Month(2025, 1)])
    reader = await asyncpg.connect(database)
    async with reader.transaction():
        await reader.fetch("SELECT * FROM pacing_snapshots")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await asyncio.wait_for(drop_before(connection, MARCH), 20)
    await reader.close()
    assert await drop_before(connection, MARCH)


async def test_a_query_by_campaign_and_time_reads_an_index_of_that_month_only(connection: Any) -> None:
    await make_months(connection, [MARCH.plus(-1), MARCH])
    await connection.execute("SET enable_seqscan = off")
    plan = await connection.fetch(
        "EXPLAIN SELECT * FROM pacing_snapshots WHERE campaign_id = 'campaign-1'"
        " AND occurred_at >= '2026-03-01T00:00:00Z' AND occurred_at < '2026-03-08T00:00:00Z'"
    )
    text = "\n".join(row[0] for row in plan)
    assert "Index Scan using pacing_snapshots_2026_03_pkey" in text
    assert "2026_02" not in text
