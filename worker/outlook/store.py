"""
Snapshots from PostgreSQL: the history, and each campaign's newest.

One transaction for all questions, so that they are answered as of one moment. Where the history is thinned
(PACING_SINK_HISTORY_SECONDS), the snapshot at a point of a period is the last one kept at or before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final

from schemas.fields import format_time
from worker.outlook.published import Ask, Fault, Snapshot, channels_of, snapshot_of
from worker.sink.database import connect, query

ASKED_AT_ONCE: Final = 10_000
"""Campaigns a statement asks for: bounds what one answer holds."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class BadDsnError(Exception):
    """A DSN that names no database."""


class StoreError(Exception):
    """A database that cannot be named so, or a row that is no snapshot; in a sentence."""


class Store:
    """What PostgreSQL has, of one account or of all."""

    def __init__(self, runner: asyncio.Runner, connection: Any, account: str | None) -> None:
        self._runner = runner
        self._connection = connection
        self._ticks = {
            row["campaign_id"]: _nanos(row["occurred_at"]) for row in self._fetch("snapshot_campaigns", account)
        }

    def last_tick(self) -> int | None:
        """As `published.Source` says."""
        return max(self._ticks.values(), default=None)

    def campaigns(self) -> Sequence[str]:
        """As `published.Source` says."""
        return list(self._ticks)

    def newest(self, asked: Sequence[Ask]) -> list[Snapshot]:
        """As `published.Source` says."""
        found = []
        for first in range(0, len(asked), ASKED_AT_ONCE):
            part = asked[first : first + ASKED_AT_ONCE]
            rows = self._fetch(
                "newest_snapshots",
                [ask.campaign_id for ask in part],
                [_moment(ask.tick) for ask in part],
                [_moment(ask.starts_by) for ask in part],
                [_moment(ask.ends_by) for ask in part],
            )
            found += [_snapshot(row) for row in rows]
        return found

    def _fetch(self, name: str, *arguments: Any) -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = self._runner.run(self._connection.fetch(query(name), *arguments))
        return rows


@contextmanager
def open_store(dsn: str, account: str | None) -> Iterator[Store]:
    """The store behind *dsn*, read in one transaction. Raises what asyncpg raises, BadDsnError or StoreError."""
    with asyncio.Runner() as runner:
        try:
            connection = runner.run(connect(dsn))
        except ValueError as error:
            raise BadDsnError(str(error)) from None
        try:
            transaction = connection.transaction(isolation="repeatable_read", readonly=True)
            runner.run(transaction.start())
            yield Store(runner, connection, account)
            runner.run(transaction.rollback())
        finally:
            runner.run(connection.close())


def _snapshot(row: Mapping[str, Any]) -> Snapshot:
    fields = dict(row)
    for name in ("occurred_at", "period_start", "period_end"):
        fields[name] = format_time(_nanos(fields[name]))
    fields["channel_snapshots"] = channels_of(fields["channel_snapshots"])
    found = snapshot_of(SimpleNamespace(**fields))
    if isinstance(found, Fault):
        raise StoreError(f"a snapshot of {row['campaign_id']!r}: {found.field}: {found.message}")
    return found


def _nanos(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _moment(nanos: int) -> datetime:
    """The instant to the microsecond, as PostgreSQL keeps it; later than any it has where there is no limit."""
    return _EPOCH + timedelta(microseconds=nanos // 1000)
