"""
One batch into PostgreSQL: positions, rows and refusals in one transaction.

The positions move first, each only from where this sink last saw it (compare and set), and their rows stay locked until
the commit. So of two sinks that read the same partition, say one that was frozen and woke up, exactly one writes
each stretch of it; the other finds itself `FencedError` and reads its position anew.

Events that PostgreSQL cannot take are found by halving the batch, each half under a savepoint; what fails alone goes,
whole and with the reason, to ``pacing_sink_refused``, and the rest is written.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

import asyncpg

from schemas.fields import format_time
from worker.sink.database import is_about_data, query, transaction
from worker.sink.keeping import NEVER, Last, Told, judge, newest_of
from worker.sink.reading import KINDS, SNAPSHOT, Event, Read, Record, Refused, SnapshotKey, read_events

# A batch of bodies is held once by the statement that takes it apart; beyond this it would go through a file.
WORK_MEMORY: Final = "SET LOCAL work_mem = '64MB'"

TABLE_OF: Final = {
    SNAPSHOT: "pacing_snapshots",
    "deviation_detected": "pacing_deviations",
    "deviation_resolved": "pacing_deviations",
    "reallocation_recommended": "pacing_reallocations",
    "alert_raised": "pacing_signals",
    "alert_cleared": "pacing_signals",
    "account_snapshot_taken": "pacing_account_snapshots",
}
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class FencedError(Exception):
    """Somebody else wrote from this position: nothing of the batch was written, and the position is to be read anew."""


class Move(NamedTuple):
    """A position's way over a batch: from the offset it must stand at, to the next one to read."""

    topic: str
    partition: int
    from_offset: int
    to_offset: int


class Batch(NamedTuple):
    """What is written together: moves of positions, and what was read, by kind of event."""

    moves: Sequence[Move]
    read: Mapping[str, Read]

    def ticks(self) -> set[int]:
        """The ticks of its events, in nanoseconds."""
        return {event.tick for read in self.read.values() for event in read.events}


@dataclass(slots=True)
class Written:
    """What became of a batch: rows by table, those given and those of them that were new; what was left out."""

    given: Counter[str] = field(default_factory=Counter)
    new: Counter[str] = field(default_factory=Counter)
    thinned: int = 0
    refused: list[Refused] = field(default_factory=list)


def read_batch(moves: Sequence[Move], records: Mapping[str, list[Record]]) -> Batch:
    """Make a batch of the records of each kind."""
    return Batch(moves, {kind: read_events(kind, records[kind]) for kind in KINDS if kind in records})


async def write_batch(connection: Any, sink: str, batch: Batch, history_seconds: int) -> Written:
    """
    Write *batch*, or nothing of it.

    Raises FencedError, or what PostgreSQL's absence raises; then what was written is unknown, and the position that
    is read anew tells.
    """
    written = Written()
    async with transaction(connection):
        await connection.execute(WORK_MEMORY)
        await move(connection, sink, batch.moves)
        for kind, read in batch.read.items():
            written.given[TABLE_OF[kind]] += read.repeats
            written.refused += read.refused
            if read.events:
                await _write_or_halve(connection, kind, read.events, history_seconds, written)
        await _record_refused(connection, sink, written.refused)
    return written


async def move(connection: Any, sink: str, moves: Sequence[Move]) -> None:
    """Move positions, all or none (in a transaction); FencedError when one of them was not where it must stand."""
    moved = await connection.fetchval(query("move_positions"), sink, *_columns(sorted(moves), 4))
    if moved != len(moves):
        raise FencedError(f"{len(moves) - moved} of {len(moves)} positions were moved by somebody else")


async def _write_or_halve(
    connection: Any, kind: str, events: list[Event], history_seconds: int, written: Written
) -> None:
    """Write the events that can be written, and add up in *written* what became of each."""
    try:
        async with connection.transaction():
            arguments = await _arguments(connection, kind, events, history_seconds)
            new, kept = await connection.fetchrow(query(f"write_{kind}"), *arguments)
    except asyncpg.PostgresError as error:
        if not is_about_data(error):
            raise
        if len(events) == 1:
            written.refused.append(Refused(events[0].record, f"PostgreSQL: {error}"))
            return
        middle = len(events) // 2
        for half in (events[:middle], events[middle:]):
            await _write_or_halve(connection, kind, half, history_seconds, written)
        return
    written.given[TABLE_OF[kind]] += kept
    written.new[TABLE_OF[kind]] += new
    written.thinned += len(events) - kept


async def _arguments(connection: Any, kind: str, events: list[Event], history_seconds: int) -> list[list[Any]]:
    """What the statement of this kind takes."""
    bodies = [event.body for event in events]
    if kind != SNAPSHOT:
        return [bodies]
    if not history_seconds:
        return [bodies, newest_of(events), [], []]
    verdicts = judge(events, await _last_snapshots(connection, events), history_seconds)
    kept_at = [_time_text(verdict.kept_tick) for verdict in verdicts]
    return [bodies, newest_of(events), [verdict.is_kept for verdict in verdicts], kept_at]


async def _last_snapshots(connection: Any, events: list[Event]) -> dict[str, Last]:
    """What PostgreSQL has of the campaigns of these snapshots."""
    campaigns = {event.key.campaign_id for event in events if isinstance(event.key, SnapshotKey)}
    rows = await connection.fetch(query("last_snapshots"), sorted(campaigns))
    return {row["campaign_id"]: _last(row) for row in rows}


def _last(row: Mapping[str, Any]) -> Last:
    proposals = tuple(sorted(json.loads(row["recommendations"] or "null") or ()))
    return Last(
        order=(_nanos(row["occurred_at"]), _nanos(row["period_end"]), row["revision"]),
        kept_tick=_nanos(row["kept_at"]),
        told=Told(row["plan_version"], row["revision"], row["total_budget"], row["band"], row["complete"], proposals),
    )


def _nanos(moment: datetime | None) -> int:
    return NEVER if moment is None else (moment - EPOCH) // timedelta(microseconds=1) * 1000


@lru_cache(maxsize=1024)
def _time_text(tick: int) -> str | None:
    return None if tick == NEVER else format_time(tick)


async def _record_refused(connection: Any, sink: str, refused: list[Refused]) -> None:
    if refused:
        rows = [(r.topic, r.partition, r.offset, r.key, r.value, _storable(reason)) for r, reason in refused]
        await connection.execute(query("record_refused"), sink, *_columns(rows, 6))


def _storable(reason: str) -> str:
    """A reason may quote what it is about, and so the very character that PostgreSQL does not hold."""
    return reason.replace("\0", "\\0")


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows as one list a column, for UNNEST."""
    return [[row[column] for row in rows] for column in range(width)]
