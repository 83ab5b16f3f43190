"""
Monthly partitions: made before they are needed, dropped when they are old.

All months are UTC. What falls outside the months that are there goes to the default partition of its table, and moves
into its month when that is made (worker/sink/migrations/0002_months.sql), so a row always has a place.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from worker.sink.database import query, transaction

TABLES: Final = (
    "pacing_snapshots",
    "pacing_deviations",
    "pacing_signals",
    "pacing_reallocations",
    "pacing_account_snapshots",
)
AHEAD_MONTHS: Final = 3
MAINTENANCE_LOCK: Final = 0x70616369_6E670002
# Making or dropping a month waits for readers of its table, and whoever comes later waits behind it: not for long.
LOCK_WAIT: Final = "SET LOCAL lock_timeout = '5s'"
NANOS: Final = 10**9


class Month(NamedTuple):
    """A calendar month; months compare in time."""

    year: int
    month: int

    def plus(self, months: int) -> Month:
        """The month so many later (earlier, if negative).

        >>> Month(2026, 11).plus(3), Month(2026, 1).plus(-1)
        (Month(year=2027, month=2), Month(year=2025, month=12))
        """
        year, month = divmod(self.year * 12 + self.month - 1 + months, 12)
        return Month(year, month + 1)

    @property
    def start(self) -> datetime:
        """Its first instant."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)


def month_of(instant_seconds: float) -> Month:
    """The month that holds an instant, in seconds since 1970.

    >>> month_of(0)
    Month(year=1970, month=1)
    """
    moment = datetime.fromtimestamp(instant_seconds, UTC)
    return Month(moment.year, moment.month)


class Span(NamedTuple):
    """The months that have partitions of their own at a moment: from the oldest kept to the last made ahead."""

    oldest: Month
    newest: Month

    @classmethod
    def at(cls, now_seconds: float, retention_months: int) -> Span:
        """The current month and *retention_months* whole ones before it are kept."""
        current = month_of(now_seconds)
        return cls(current.plus(-retention_months), current.plus(AHEAD_MONTHS))

    def within(self, ticks: Iterable[int]) -> set[Month]:
        """The months of these ticks (nanoseconds) as far as they get partitions of their own."""
        months = {month_of(tick // NANOS) for tick in set(ticks)}
        return {month for month in months if self.oldest <= month <= self.newest}

    def ahead(self, now_seconds: float) -> set[Month]:
        """The current month and those made ahead."""
        return {month_of(now_seconds).plus(months) for months in range(AHEAD_MONTHS + 1)}


async def make_months(connection: Any, months: Iterable[Month]) -> int:
    """Make the partitions of these months that are missing; how many there were."""
    made = 0
    for month in sorted(months):
        for table in TABLES:
            # A transaction each: one that held two tables could deadlock with whoever reads both.
            async with transaction(connection):
                await _take_turns(connection)
                made += await connection.fetchval("SELECT pacing_make_month($1, $2::date)", table, month.start)
    return made


async def drop_before(connection: Any, oldest: Month) -> list[str]:
    """Drop what is older than the month *oldest*; the names of the partitions dropped."""
    dropped: list[str] = []
    for table in TABLES:
        async with transaction(connection):
            await _take_turns(connection)
            rows = await connection.fetch("SELECT pacing_drop_months($1, $2::date) AS name", table, oldest.start)
            dropped += [row["name"] for row in rows]
    async with transaction(connection):
        await connection.execute(query("forget_before"), oldest.start)
    return dropped


async def _take_turns(connection: Any) -> None:
    """Let one sink at a time change partitions."""
    await connection.execute(LOCK_WAIT)
    await connection.execute("SELECT pg_advisory_xact_lock($1)", MAINTENANCE_LOCK)
