"""What reached PostgreSQL: the tables are asked what anybody could ask them, and nobody else is asked anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncpg

from worker.demo.feed import NAMES
from worker.demo.screen import grouped
from worker.demo.view import Happening, Row, Seen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROWS: Final = """
    SELECT campaign_id, currency, total_budget::text AS budget, total_spend::text AS spend,
           coalesce(expected_spend, 0)::text AS expected, coalesce(round(pacing_pct, 2)::text, '') AS pacing_pct,
           coalesce(band, '') AS band, final AS is_final, open_warnings AS warnings,
           open_criticals AS criticals
    FROM pacing_current
"""

# Events of one tick come by several topics, so the newest ticks are looked at again until nothing more can come.
HAPPENINGS: Final = """
    SELECT event_id AS id, occurred_at, coalesce(campaign_id, account_id) AS campaign_id, transition AS mark,
           message AS text, currency, NULL AS amount
    FROM pacing_deviations WHERE occurred_at >= $1
    UNION ALL
    SELECT event_id, occurred_at, coalesce(campaign_id, account_id),
           CASE event_type WHEN 'pacing.alert_raised' THEN 'raised' ELSE 'cleared' END,
           kind || ': ' || message, currency, NULL
    FROM pacing_signals WHERE occurred_at >= $1
    UNION ALL
    SELECT recommendation_id, occurred_at, campaign_id, 'proposed',
           'move from ' || source_channel || ' to ' || target_channel, currency, amount::text
    FROM pacing_reallocations WHERE occurred_at >= $1
    UNION ALL
    SELECT snapshot_id, occurred_at, campaign_id, 'closed', 'the flight is over; spent', currency, total_spend::text
    FROM pacing_snapshots WHERE final AND occurred_at >= $1
    ORDER BY occurred_at, campaign_id
"""

SEEN: Final = """
    SELECT (SELECT count(*) FROM pacing_snapshots) AS snapshots,
           (SELECT count(*) FROM pacing_current) AS campaigns,
           (SELECT count(*) FROM pacing_deviations WHERE transition = 'opened') AS opened,
           (SELECT count(*) FROM pacing_deviations WHERE transition = 'resolved') AS resolved,
           (SELECT count(*) FROM pacing_reallocations) AS proposals,
           (SELECT count(*) FROM pacing_signals WHERE event_type = 'pacing.alert_raised') AS alerts
"""

LOOK_BACK: Final = timedelta(seconds=30)
"""How far behind the newest tick an event of it may still come."""


class Reading(NamedTuple):
    """One look at the tables."""

    rows: list[Row]
    happenings: list[Happening]
    seen: Seen


class Readback:
    """A connection to the demo's database that remembers which events it has told."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._newest = datetime.fromtimestamp(0, UTC)
        self._told: dict[Any, datetime] = {}

    async def read(self) -> Reading:
        """How everybody stands, what is new since the last reading, and how much there is."""
        rows = [Row(**dict(record)) for record in await self._connection.fetch(ROWS)]
        order = list(NAMES)
        rows.sort(key=lambda row: order.index(row.campaign_id))
        records = await self._connection.fetch(HAPPENINGS, self._newest - LOOK_BACK)
        (counts,) = await self._connection.fetch(SEEN)
        return Reading(rows, list(self._untold(records)), Seen(**dict(counts)))

    def _untold(self, records: Sequence[asyncpg.Record]) -> Iterator[Happening]:
        """What has not been told yet; what can no longer come again is forgotten."""
        for record in records:
            if record["id"] not in self._told:
                self._told[record["id"]] = record["occurred_at"]
                self._newest = max(self._newest, record["occurred_at"])
                yield _happening(record)
        since = self._newest - LOOK_BACK
        self._told = {event: at for event, at in self._told.items() if at >= since}

    async def close(self) -> None:
        """Give the connection back."""
        await self._connection.close()


async def connect(dsn: str) -> Readback:
    """A readback of the database at *dsn*."""
    return Readback(await asyncpg.connect(dsn))


def _happening(record: asyncpg.Record) -> Happening:
    text = record["text"]
    if record["amount"] is not None:
        text = f"{text} {grouped(record['amount'], record['currency'])} {record['currency']}"
    at = int(record["occurred_at"].timestamp()) * 10**9
    return Happening(at, record["campaign_id"], record["mark"], text)
