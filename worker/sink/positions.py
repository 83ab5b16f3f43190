"""
Where reading goes on in each partition: PostgreSQL decides, not the consumer group.

The group only shares the partitions out among the workers. Whoever gets one asks here where to begin, and is told of
what Kafka no longer has: a gap is written down once, in the transaction that moves the position over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from worker.sink.database import query, transaction
from worker.sink.writing import Move, move

RETENTION: Final = "retention"
TRUNCATED: Final = "truncated"


class Place(NamedTuple):
    """A partition of a topic; equal to aiokafka's TopicPartition."""

    topic: str
    partition: int


class Log(NamedTuple):
    """What a partition's log holds: [first_offset, end_offset), as far as transactions are decided."""

    first_offset: int
    end_offset: int


class Gap(NamedTuple):
    """Records that are gone unread: [from_offset, to_offset) for `retention`; `truncated`: the log ended before."""

    place: Place
    from_offset: int
    to_offset: int
    reason: str

    @property
    def records(self) -> int:
        """How many are missing; how many a truncated log lost nobody knows, and one is counted."""
        return max(1, self.to_offset - self.from_offset)


def gap_of(place: Place, position: int, log: Log) -> Gap | None:
    """
    What is missing between a position and the log, if anything.

    A position beyond the log's end means that the log was cut off or made anew; then all of it is read again, which
    the ids of the events make harmless.

    >>> gap_of(Place("t", 0), 5, Log(7, 9)).reason, gap_of(Place("t", 0), 12, Log(7, 9)).to_offset
    ('retention', 7)
    """
    if position < log.first_offset:
        return Gap(place, position, log.first_offset, RETENTION)
    if position > log.end_offset:
        return Gap(place, position, log.first_offset, TRUNCATED)
    return None


async def positions_of(connection: Any, sink: str, logs: Mapping[Place, Log]) -> dict[Place, int]:
    """Where reading stands in these partitions; one that nobody has read begins where its log begins."""
    wanted = sorted(logs)
    async with transaction(connection):
        rows = await connection.fetch(
            query("claim_positions"),
            sink,
            [place.topic for place in wanted],
            [place.partition for place in wanted],
            [logs[place].first_offset for place in wanted],
        )
    return {Place(row["topic"], row["partition"]): row["next_offset"] for row in rows}


async def step_over(connection: Any, sink: str, gap: Gap) -> None:
    """Write a gap down and move the position over it, once: FencedError if somebody else has moved it."""
    async with transaction(connection):
        await move(connection, sink, [Move(*gap.place, gap.from_offset, gap.to_offset)])
        await connection.execute(query("record_gap"), sink, *gap.place, gap.from_offset, gap.to_offset, gap.reason)
