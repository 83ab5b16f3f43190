"""
Restore: a partition's ledger as it was at the last committed checkpoint.

The producer was started before, so whoever wrote the changelog until now is fenced, and what it left open is aborted:
the changelog ends where it ends. It is read from its first offset to its last stable one, whole record batches at a
time, and only the newest record of each key is decoded.

A restore that reads too little would begin a second history beside the first. So every doubt ends the process:
records but no marker, a gap in what was read, a marker behind what the group has told lag tools, a marker outside
what the inputs still hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, NoReturn, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from worker.exits import Exit, leave
from worker.lane import Whole
from worker.ledger import UnreadableLedgerError
from worker.ledger.batches import packed
from worker.ledger.newest import Newest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.exits import Watchdog
    from worker.lane import Fetched
    from worker.ledger.records import Records
    from worker.settings import Settings

FETCH_BYTES = 8 * 1024 * 1024
POLL_BATCHES = 64
POLL_MS = 1_000
STALL_SECONDS = 60.0


class Bounds(NamedTuple):
    """What the log of an input holds, and what the group has told lag tools about it (None: nothing yet)."""

    begin: int
    end: int
    committed: int | None


class Changelog:
    """The newest record of each key in one partition of the ledger's topic."""

    def __init__(self, settings: Settings, tp: TopicPartition, watchdog: Watchdog) -> None:
        self._tp = tp
        self._watchdog = watchdog
        self._newest = Newest()
        self.records_read = 0
        self._consumer = AIOKafkaConsumer(
            **settings.kafka_options(),
            isolation_level="read_committed",
            # With "latest" a reset in the background races the seek, and everything is skipped.
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            check_crcs=not settings.embedded_broker,
            max_partition_fetch_bytes=FETCH_BYTES,
            key_deserializer=Whole(),
        )

    async def read(self) -> Newest:
        """Read the whole partition."""
        self._in_time()
        await self._consumer.start()
        try:
            await self._read_all()
        finally:
            self._watchdog.kept(self)
            await self._consumer.stop()
        return self._newest

    async def _read_all(self) -> None:
        self._consumer.assign([self._tp])
        at = (await self._consumer.beginning_offsets([self._tp]))[self._tp]
        end = (await self._consumer.end_offsets([self._tp]))[self._tp]
        self._consumer.seek(self._tp, at)
        while at < end:
            fetched = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_BATCHES)
            for batch in fetched.get(self._tp, ()):
                at = self._take(batch, at)
                self._in_time()

    def _take(self, batch: Fetched, at: int) -> int:
        """Keep the records of *batch*, which must begin at *at*; where the next one begins."""
        if batch.start != at:
            refuse(self._tp.partition, f"its changelog was read from {batch.start} where {at} came next")
        if batch.records is not None:
            self._newest.take(batch.records.packed or packed(batch.records.keys, batch.records.values))
            self.records_read += len(batch.records.keys)
        return batch.end

    def _in_time(self) -> None:
        self._watchdog.promise(
            self,
            STALL_SECONDS,
            Exit.RESTORE_FAILED,
            f"no record of {self._tp.topic}-{self._tp.partition} came within {STALL_SECONDS:g} s while it was restored",
        )


def refuse(partition: int, why: str) -> NoReturn:
    """End the process: this ledger is not to be paced by."""
    leave(Exit.LEDGER_REFUSED, f"the ledger of partition {partition} is refused: {why}")


class Restorable(Protocol):
    """What has a changelog: the ledger of a partition's campaigns, and that of its accounts."""

    partition: int

    @property
    def positions(self) -> dict[str, int]:
        """The next offset of each of its inputs."""

    def load(self, newest: Records | Newest) -> bool:
        """Take the newest record of each key; whether there was a marker."""

    def advance(self, topic: str, offset: int) -> None:
        """Stand at an offset."""


def load(ledger: Restorable, records: Records | Newest) -> bool:
    """Put the changelog's *records* into an empty ledger; False when there was none, so that it begins anew."""
    try:
        has_marker = ledger.load(records)
    except UnreadableLedgerError as error:
        refuse(ledger.partition, str(error))
    if records and not has_marker:
        refuse(ledger.partition, f"its changelog holds {len(records)} keys and no marker")
    return has_marker


def begin_anew(ledger: Restorable, inputs: Mapping[str, Bounds]) -> None:
    """A ledger without a history starts at the first record the inputs still hold."""
    for topic, bounds in inputs.items():
        ledger.advance(topic, bounds.begin)


def check(ledger: Restorable, inputs: Mapping[str, Bounds]) -> None:
    """End the process if *ledger* cannot have been the last state of this partition, or its input is gone."""
    for topic, bounds in inputs.items():
        _check_input(ledger.partition, topic, ledger.positions[topic], bounds)


def _check_input(partition: int, topic: str, position: int, bounds: Bounds) -> None:
    if bounds.committed is not None and bounds.committed > position:
        refuse(
            partition,
            f"it stands at {position} of {topic}, and the group had come to {bounds.committed};"
            " was its changelog lost, or is another application using this id?",
        )
    if position > bounds.end:
        refuse(partition, f"it stands at {position} of {topic}, which ends at {bounds.end}; was that topic made anew?")
    if position < bounds.begin:
        leave(
            Exit.INPUT_LOST,
            f"input was deleted before it was read: {topic}-{partition} begins at {bounds.begin},"
            f" and the ledger stands at {position}",
        )
