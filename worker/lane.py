"""
The record-batch lane: Kafka's record batches go whole from the fetch to the ledger, one Faust message a fetch.

Faust hands every record through a consumer, a conductor, a queue and a stream, at 50 to 100 microseconds each. The
lane keeps that path and sends thousands of records along it at once:

    fetch ─▶ WholeBatches ─▶ LaneThread ─▶ LaneConsumer ─▶ conductor, agent (stock Faust)
             one Fetched      one Take      one message
             a record batch   a partition   a Take

What is overridden, and why, stands beside each override; a contract test fails when the upstream source of any of
them changes. Nothing here knows what a record means.

The chain. A batch carries the log position before and after it, `[start, end)`, control records and aborted batches
included. A partition folds a batch only if it starts where the partition stands, so a batch that Faust lost,
repeated or kept across a rebalance can never be folded twice or skipped: it breaks the chain, and the lane reads
again from where the partition stands.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, TypeVar

import aiokafka.consumer.fetcher as upstream_fetcher
import faust
import numpy as np
from aiokafka import TopicPartition
from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CorruptRecordException, KafkaError, OffsetOutOfRangeError
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from worker.ledger import RecordBatch
from worker.ledger.kernel import unpack
from worker.waiting import wait_at_most

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence

    from worker.compiled import Integers

T = TypeVar("T")

FETCH_WAIT_MS = 250
LOOK_AGAIN_SECONDS = 0.5
ASK_AGAIN_SECONDS = 0.5


class Fetched(NamedTuple):
    """One record batch of the log: where it starts and ends, and its records (None: control or aborted)."""

    start: int
    end: int
    records: RecordBatch | None


@dataclass(slots=True, eq=False, weakref_slot=True)
class Take:
    """
    What one fetch returned of one input partition: the value of one Faust message.

    *epoch* counts the seeks of that partition before this fetch: what was fetched before the last seek is stale.
    """

    topic: str
    partition: int
    epoch: int
    batches: Sequence[Fetched]

    @property
    def offset(self) -> int:
        """The offset of the last record: what Faust tells messages apart by."""
        return self.batches[-1].end - 1


class Owner(Protocol):
    """What the lane asks of whoever folds the takes."""

    def position(self, topic: str, partition: int) -> int | None:
        """Where the partition stands; None while it is not open for this topic."""

    async def room(self) -> None:
        """Return when more may be fetched."""

    def handed_out(self, takes: Iterable[Take]) -> None:
        """These are on their way, and take up room until they are folded or thrown away."""

    def input_lost(self, sentence: str) -> NoReturn:
        """The log no longer holds what comes next; this ends the process."""


# --- in the consumer's thread ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Whole:
    """
    Given to an AIOKafkaConsumer as its ``key_deserializer``, makes it hand out :class:`Fetched`, not records.

    A token that only our consumers hold: others in this process, the sink's for instance, stay as they are.
    *timestamped* are the topics whose records each need their timestamp.
    """

    timestamped: frozenset[str] = frozenset()


class KeptRecords(MemoryRecords):
    """The record batches of a fetch response; *data* are the bytes they are read from, which upstream hides."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class WholeBatches(PartitionRecords):
    """
    One fetch response of one partition, handed out a record batch at a time.

    Upstream builds a record and a ConsumerRecord for every record, most of the cost of reading; the rules for control
    records, aborted transactions and positions are upstream's, line by line.
    """

    next_fetch_offset: int
    _records: KeptRecords

    def _unpack_records(self) -> Iterator[Any]:
        if isinstance(self._key_deserializer, Whole):
            return self._unpack_batches(timestamped=self._tp.topic in self._key_deserializer.timestamped)
        return super()._unpack_records()  # type: ignore[no-any-return]

    def _unpack_batches(self, *, timestamped: bool) -> Iterator[Fetched]:
        for raw in _raw_batches(self._records.data):
            if not self._records.has_next():
                return
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            start = self.next_fetch_offset
            records = None
            if not self._is_hidden(batch):
                records = None if timestamped else self._packed(batch, raw, start)
                records = records or self._records_of(batch, start, timestamped=timestamped)
            # Before the yield: getall() may stop here, and the position must not fall behind what was handed out.
            self.next_fetch_offset = batch.next_offset
            yield Fetched(start, batch.next_offset, records)

    def _is_hidden(self, batch: Any) -> bool:
        """Whether nobody may see the records of *batch*; keeps the list of producers whose transaction was aborted."""
        if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)

    def _packed(self, batch: Any, raw: memoryview, start: int) -> RecordBatch | None:
        """The records in the bytes they came in; None for the oldest formats."""
        if raw[_MAGIC] != _NEWEST_MAGIC:
            return None
        unpacked = unpack(_body(raw), int.from_bytes(raw[_COUNT], "big"))
        if unpacked is None:
            return None
        whole, places = unpacked
        # A seek may land inside a batch, and the broker returns the whole of it.
        first = int(places.searchsorted(start - batch.base_offset))
        records = whole.cut(first, len(places))
        offsets = _placed(batch.base_offset + places[first:])
        tp, newest = self._tp, int(batch.max_timestamp)
        return RecordBatch(tp.topic, tp.partition, offsets, records.keys, records.values, newest, packed=records)

    def _records_of(self, batch: Any, start: int, *, timestamped: bool) -> RecordBatch:
        records = list(batch)
        # A seek may land inside a batch, and the broker returns the whole of it.
        if records and records[0].offset < start:
            records = [record for record in records if record.offset >= start]
        return RecordBatch(
            self._tp.topic,
            self._tp.partition,
            _placed(np.array([record.offset for record in records], np.int64)),
            [record.key for record in records],
            [record.value for record in records],
            _newest(batch, records),
            [record.timestamp for record in records] if timestamped else None,
        )


# Where in a record batch what is needed of its head lies.
_LENGTH = slice(8, 12)
_BEHIND_LENGTH = 12
_MAGIC = 16
_ATTRIBUTES = slice(21, 23)
_COUNT = slice(57, 61)
_HEAD = 61
_NEWEST_MAGIC = 2
_CODEC = 7
_CODECS = {1: gzip_decode, 2: snappy_decode, 3: lz4_decode, 4: zstd_decode}


def _raw_batches(data: bytes) -> Iterator[memoryview]:
    """The bytes of each record batch, the last one perhaps in part."""
    view, at = memoryview(data), 0
    while at < len(data):
        size = _BEHIND_LENGTH + int.from_bytes(view[at:][_LENGTH], "big")
        yield view[at : at + size]
        at += size


def _body(raw: memoryview) -> bytes | memoryview:
    """The records of a batch."""
    codec = int.from_bytes(raw[_ATTRIBUTES], "big") & _CODEC
    body: bytes | memoryview = _CODECS[codec](bytes(raw[_HEAD:])) if codec else raw[_HEAD:]
    return body


def _newest(batch: Any, records: Sequence[Any]) -> int:
    """The greatest timestamp, in milliseconds; the oldest formats do not have it in their head."""
    if isinstance(batch, DefaultRecordBatch):
        return int(batch.max_timestamp)
    return max((record.timestamp or -1 for record in records), default=-1)


def _placed(offsets: Integers) -> Sequence[int]:
    """The offsets of records, as a range where none is missing: all but compacted batches."""
    if not len(offsets):
        return range(0)
    first, end = int(offsets[0]), int(offsets[-1]) + 1
    return range(first, end) if end - first == len(offsets) else offsets.tolist()


def install() -> None:
    """Let aiokafka build :class:`WholeBatches`; consumers without the token :class:`Whole` behave as before."""
    upstream_fetcher.PartitionRecords = WholeBatches
    upstream_fetcher.MemoryRecords = KeptRecords


class LaneThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer. *epochs* counts the seeks of each partition."""

    mundane_level = "debug"
    epochs: Counter[TP]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.epochs = Counter()

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        """
        Upstream, with what Faust has no setting for.

        Read-committed, so that an aborted transaction of a feed never counts. The range assignor gives partition p of
        every input to the same member; round robin does so only for some numbers of members.
        """
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"  # noqa: SLF001  no argument of Faust's leads there
        consumer._partition_assignment_strategy = [RangePartitionAssignor]  # noqa: SLF001
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001
        consumer._key_deserializer = Whole(self.consumer.transport.timestamped)  # noqa: SLF001
        return consumer

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109  upstream's name
        max_records: int | None = None,
    ) -> dict[TP, list[Take]]:
        """Upstream, with all that came of one partition as one :class:`Take`."""
        # A copy, and never an empty one: upstream reads "none" as "all", and the main thread changes the set meanwhile.
        wanted = frozenset(active_partitions)
        if not wanted:
            return {}
        try:
            fetched = await super()._fetch_records(consumer, wanted, timeout, max_records)
        except OffsetOutOfRangeError as error:
            self.consumer.lane_owner.input_lost(_lost(error))
            raise
        # No await since upstream took them, so no seek can have come between the batches and their epoch.
        return {tp: [Take(tp.topic, tp.partition, self.epochs[TP(*tp)], all_)] for tp, all_ in fetched.items()}

    async def _there(self, work: Coroutine[Any, Any, T]) -> T:
        """
        Do *work* in this thread's loop, and cancel it there when the caller is cancelled.

        Upstream's ``call_thread`` has two workers for all calls; a fetch that waits for a rebalance to end takes one,
        and what the rebalance itself waits for must not stand behind it.
        """
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.thread_loop))

    async def seek_all(self, positions: Mapping[TP, int]) -> None:
        """Seek in the consumer's own thread; partitions that were taken away meanwhile are left out."""
        await self._there(self._seek_all(positions))

    async def _seek_all(self, positions: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        for tp, offset in positions.items():
            if TopicPartition(*tp) in assigned:
                self.epochs[tp] += 1
                consumer.seek(TopicPartition(*tp), offset)

    async def end_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """
        The offset after the last stable record of each of *tps*, asked of the broker until it answers.

        How long that may take is `worker.lag`'s business: it ends a worker whose brokers are silent.
        """
        asked = [TopicPartition(*tp) for tp in tps]
        while True:
            with suppress(KafkaError):
                found = await self._there(self._ensure_consumer().end_offsets(asked))
                return {TP(*tp): offset for tp, offset in found.items()}
            await asyncio.sleep(ASK_AGAIN_SECONDS)

    async def begin_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """The first offset that the log of each of *tps* still holds."""
        found = await self._there(self._ensure_consumer().beginning_offsets([TopicPartition(*tp) for tp in tps]))
        return {TP(*tp): offset for tp, offset in found.items()}

    async def committed(self, tp: TP) -> int | None:
        """What the group has committed for *tp*: for lag tools, and to notice a ledger that is behind it."""
        found: int | None = await self._there(self._ensure_consumer().committed(TopicPartition(*tp)))
        return found

    async def tell_lag_tools(self, positions: Mapping[TP, int]) -> None:
        """Commit *positions* for the group. Nothing reads them back, so that a refusal is nobody's trouble."""
        if positions:
            await self._there(self._tell_lag_tools(positions))

    async def _tell_lag_tools(self, positions: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        held = {TopicPartition(*tp): offset for tp, offset in positions.items() if TopicPartition(*tp) in assigned}
        if held:
            with suppress(KafkaError):
                await consumer.commit(held)


def _lost(error: OffsetOutOfRangeError) -> str:
    places = ", ".join(f"{tp.topic}-{tp.partition} at {offset}" for tp, offset in error.args[0].items())
    return (
        f"input was deleted before it was read: the log no longer holds {places}."
        " Retention is shorter than the worker was away, or the topic was made anew"
    )


# --- in the main thread ----------------------------------------------------------------------------------------------


class _NeverRead(defaultdict[TP, int | None]):
    """
    Faust's note of how far it has read, which always says "nothing yet".

    Upstream silently drops messages below its own note, and sets it after the message was handed on, that is also
    after a seek back. The chain does that job exactly.
    """

    def __init__(self) -> None:
        super().__init__(lambda: None)

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        pass

    def update(self, *args: Any, **kwargs: Any) -> None:
        pass


class LaneConsumer(driver.Consumer):
    """Faust's consumer with positions from the ledger in place of the group's committed offsets."""

    mundane_level = "debug"
    lane_owner: Owner
    _thread: LaneThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _NeverRead()
        self._resumed = asyncio.Event()
        self.lane_owner = self.transport.lane_owner

    def _new_consumer_thread(self) -> LaneThread:
        return LaneThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def lane_thread(self) -> LaneThread:
        """The thread that owns the aiokafka consumer."""
        return self._thread

    def epoch(self, tp: TP) -> int:
        """How often *tp* was sought: a take of an earlier epoch is stale."""
        return self._thread.epochs[tp]

    async def let_in(self, tps: Iterable[TP]) -> None:
        """Read *tps*, which are open now, from where their partition stands."""
        # Only what was sought: what has opened since (plans, as a tick was closed meanwhile) is let in by its own call,
        # and aiokafka, which finds no offset of the group's for it, would end the worker.
        self.resume_partitions(await self.reposition(tps))

    def _to_message(self, tp: TP, record: Take) -> Any:
        """Upstream reads a record's fields; a take has a topic, a partition and an offset only."""
        return faust.types.ConsumerMessage(
            record.topic,
            record.partition,
            record.offset,
            None,
            0,
            (),
            None,
            record,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def perform_seek(self) -> None:
        """Upstream seeks to the group's offsets, which only lag tools read; here to where each partition stands."""
        await self.reposition(self.assignment())

    async def reposition(self, tps: Iterable[TP]) -> set[TP]:
        """Read each open one of *tps* again from where its partition stands; which these were."""
        places = ((tp, self.lane_owner.position(*tp)) for tp in tps)
        positions = {tp: at for tp, at in places if at is not None}
        await self._thread.seek_all(positions)
        return set(positions)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Upstream resumes whatever is assigned; a partition that is still restored must wait."""
        super().resume_partitions({tp for tp in tps if self.lane_owner.position(*tp) is not None})
        self._resumed.set()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109  upstream's name
        """Upstream, but only when there is room: Faust's own limit counts messages, whatever their size."""
        await self.lane_owner.room()
        taken = await super()._getmany(active_partitions, timeout)
        self.lane_owner.handed_out(take for takes in taken.values() for take in takes)
        return taken

    async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109  upstream's name
        """Upstream sleeps a whole second when no partition is active; here until one is resumed."""
        if self.flow_active and not self._get_active_partitions():
            self._resumed.clear()
            await wait_at_most(self._resumed, LOOK_AGAIN_SECONDS)
            return {}, set()
        return await super()._wait_next_records(timeout)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Upstream warns of streams that do not commit; ours never do. The watchdog looks at progress instead."""


class LaneTransport(driver.Transport):
    """The aiokafka transport with the lane's consumer; *lane_owner* folds what it reads."""

    Consumer = LaneConsumer
    lane_owner: Owner
    timestamped: frozenset[str]


class WholeTake(faust.Schema):
    """The schema of the lane's topics: the value of a message is the take itself, nothing is decoded."""

    def loads_key(self, _: Any, message: Any, **__: Any) -> Any:
        """A take has no key."""
        return message.key

    def loads_value(self, _: Any, message: Any, **__: Any) -> Any:
        """The take."""
        return message.value
