"""The newest snapshot of each campaign, as PostgreSQL has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from schemas.fields import parse_money

NANOS_A_MICROSECOND = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Snapshot(NamedTuple):
    """A campaign's newest snapshot: its total, and the input that covers."""

    campaign_id: str
    partition: int
    next_offsets: Mapping[str, int]
    as_of: int
    """The last instant it counts."""
    spend: int


async def read(dsn: str) -> list[Snapshot]:
    """Every campaign's. Raises what `worker.sink.database` does."""
    from worker.sink.database import connect, query, transaction

    connection = await connect(dsn)
    try:
        async with transaction(connection):
            rows = await connection.fetch(query("current_snapshots"))
    finally:
        await connection.close()
    return [snapshot_of(row) for row in rows if row["ledger_position"] is not None]


def snapshot_of(row: Mapping[str, Any]) -> Snapshot:
    """A row of `pacing_current_snapshots`."""
    position = json.loads(row["ledger_position"])
    return Snapshot(
        row["campaign_id"],
        position["partition"],
        position["next_offsets"],
        _as_of(row),
        parse_money(row["total_spend"], number=False),
    )


def _as_of(row: Mapping[str, Any]) -> int:
    """A closing snapshot counts what is dated before the end; all others, revised ones too, up to their tick."""
    taken: datetime = row["occurred_at"]
    at = (taken - _EPOCH) // timedelta(microseconds=1) * NANOS_A_MICROSECOND
    closes = row["final"] and row["revision"] == 0 and taken == row["period_end"]
    return at - 1 if closes else at
