"""
The loop: take what Kafka has, write it, and on any trouble begin again from what PostgreSQL says.

There is one way to recover. A failed or doubtful batch is not kept and tried again: it is dropped, with every position
that this sink believes in, and after a pause the positions are read from PostgreSQL and the records from Kafka. So a
lost connection, a killed server, a commit whose answer never came and a zombie that moved a position are one case.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from worker.metrics import Metrics
from worker.settings import Settings
from worker.sink.database import connection_pool
from worker.sink.migrate import pending_of
from worker.sink.months import Month, Span, drop_before, make_months
from worker.sink.positions import TRUNCATED, Gap, Log, Place, gap_of, positions_of, step_over
from worker.sink.reading import KINDS, Record
from worker.sink.writing import Batch, FencedError, Move, Written, read_batch, write_batch
from worker.topics import output_topics

# A day: the loop below always comes round (every statement has a time limit), so a member that has not asked for
# records in the group's usual five minutes is one whose PostgreSQL is down, and a rebalance would not help it.
POLL_INTERVAL_MS: Final = 86_400_000
FETCH_BYTES: Final = 2 * 1024 * 1024
# No news for so long, and the sink no longer says that it is well.
UNWELL_SECONDS: Final = 90.0

log = logging.getLogger(__name__)


class NotMigratedError(Exception):
    """The database lacks migrations; nothing is written until `pacing migrate` has made them."""


# What a loop that waits and tries again can be rid of. Everything else is a defect.
TROUBLE: Final = (
    OSError,  # also TimeoutError
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    KafkaError,
    NotMigratedError,
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long, in seconds."""

    poll: float = 0.5
    first_pause: float = 0.25
    longest_pause: float = 30.0
    tidying: float = 3600.0
    lag: float = 2.0
    skipping: float = 5.0  # between writes of positions that moved over nothing but Kafka's own records
    truncation: float = 30.0  # a position beyond the log's end for so long: not a broker that is still starting
    stopping: float = 5.0


class Sink:
    """
    The sink of one worker process.

    *settings* say where Kafka and PostgreSQL are, which topics to read and what to keep. *clock* gives the time in
    seconds since 1970; it decides which months there are, nothing else. *came_round* is called each time the loop comes
    round, also when it has to wait: whoever does not hear of it for long knows that it hangs.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.time,
        pace: Pace | None = None,
        came_round: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._pace = pace or Pace()
        self._came_round = came_round
        names = output_topics(settings)
        self._kinds = {names[kind]: kind for kind in KINDS}
        self._consumer: Any = None
        self._pool: Any = None
        self._positions: dict[Place, int] = {}  # as PostgreSQL has them
        self._settled: dict[Place, int] = {}  # and past what needs no row
        self._ends: dict[Place, int] = {}
        self._beyond_since: dict[Place, float] = {}
        self._months: set[Month] = set()
        self._migrated = False
        self._tidy_at = self._skip_at = 0.0
        self._error: str | None = "not started"
        self._well_at = time.monotonic()

    # --- what it tells -----------------------------------------------------------------------------------------------

    @property
    def healthy(self) -> bool:
        """Whether the last round went well, and not long ago."""
        return self._error is None and time.monotonic() - self._well_at < UNWELL_SECONDS

    @property
    def lag(self) -> int | None:
        """Committed records of this worker's partitions that are not in PostgreSQL; None until that is known."""
        lags = self._lags()
        return sum(lags.values()) if lags else None

    def status(self) -> Mapping[str, object]:
        """All of it, JSON-ready."""
        return {
            "healthy": self.healthy,
            "lag": self.lag,
            "error": self._error,
            "partitions": len(self._positions),
        }

    # --- the loop ----------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Sink until *stop* is set; then finish the batch in hand, or drop it when that takes long."""
        tasks = [asyncio.create_task(body) for body in (self._work(stop), self._watch_lag(), stop.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                await asyncio.wait(tasks[:1], timeout=self._pace.stopping)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await self._close()
        for defect in ended:
            if isinstance(defect, Exception):
                raise defect

    async def _work(self, stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            self._came_round()
            try:
                await self._round(stop)
                self._note_well()
                failures = 0
            except FencedError as error:
                self._metrics.sink_fenced.inc()
                log.warning("the sink reads its positions anew: %s", error)
                self._forget()
            except TROUBLE as error:
                await self._note_trouble(error, failures)
                await _wait(stop, self._pause(failures))
                failures += 1

    async def _round(self, stop: asyncio.Event) -> None:
        await self._be_ready()
        await self._take_up_partitions()
        records = await self._poll(stop)
        if records:
            await self._write(records)
        else:
            await self._skip()

    def _pause(self, failures: int) -> float:
        """A pause that doubles with each failure up to a limit; not the same in every worker."""
        pause = min(self._pace.longest_pause, self._pace.first_pause * 2.0 ** min(failures, 20))
        return pause * (0.5 + random.random() / 2)  # noqa: S311  # not a secret

    def _note_well(self) -> None:
        self._error = None
        self._well_at = time.monotonic()
        self._metrics.sink_up.set(1)

    async def _note_trouble(self, error: BaseException, failures: int) -> None:
        self._error = f"{type(error).__name__}: {error}"
        self._metrics.sink_up.set(0)
        self._metrics.sink_retries.inc()
        log.log(logging.INFO if failures else logging.ERROR, "the sink waits and tries again: %s", self._error)
        self._forget()
        self._migrated = False
        if self._pool is not None:
            await self._pool.expire_connections()

    def _forget(self) -> None:
        """Believe in no position; the next round asks PostgreSQL."""
        self._positions.clear()

    # --- getting ready -----------------------------------------------------------------------------------------------

    async def _be_ready(self) -> None:
        if self._consumer is None:
            self._consumer = await self._started_consumer()
        if self._pool is None:
            dsn = self._settings.postgres_dsn.get_secret_value()
            self._pool = await connection_pool(dsn, self._settings.sink_pool_size)
        if not self._migrated:
            await self._check_migrations()
        if time.monotonic() >= self._tidy_at:
            await self._tidy()

    async def _started_consumer(self) -> Any:
        consumer = AIOKafkaConsumer(
            **self._settings.kafka_options(),
            group_id=f"{self._settings.app_id}-sink",
            client_id=f"{self._settings.app_id}-sink",
            isolation_level="read_committed",
            enable_auto_commit=False,
            # Where reading begins is PostgreSQL's to say; a reset by itself would hide a gap.
            auto_offset_reset="none",
            # A campaign's events of all topics go to one sink, so that two do not wait for each other's rows.
            partition_assignment_strategy=(RangePartitionAssignor,),
            max_poll_interval_ms=POLL_INTERVAL_MS,
            max_partition_fetch_bytes=FETCH_BYTES,
            session_timeout_ms=int(self._settings.session_timeout_seconds * 1000),
            heartbeat_interval_ms=int(self._settings.session_timeout_seconds * 1000 / 4),
            check_crcs=not self._settings.embedded_broker,
        )
        consumer.subscribe(list(self._kinds), listener=_Rebalances(self._give_up, self._forget))
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(consumer.stop)
            await consumer.start()
            undo.pop_all()
        return consumer

    def _give_up(self, places: Iterable[Place]) -> None:
        """These partitions go to somebody else."""
        for place in places:
            self._positions.pop(place, None)
            self._settled.pop(place, None)
            self._ends.pop(place, None)
            self._metrics.sink_lag.remove_by_labels({"topic": place.topic, "partition": str(place.partition)})

    async def _check_migrations(self) -> None:
        async with self._pool.acquire() as connection:
            missing = await pending_of(connection)
        if missing:
            raise NotMigratedError(f"the database lacks {', '.join(missing)}: run `pacing migrate`")
        self._migrated = True

    async def _tidy(self) -> None:
        """Make the months to come and drop those that are too old. Busy tables are left for the next round."""
        now = self._clock()
        span = Span.at(now, self._settings.sink_retention_months)
        await self._make_months(span.ahead(now))
        try:
            async with self._pool.acquire() as connection:
                dropped = await drop_before(connection, span.oldest)
        except asyncpg.LockNotAvailableError as error:
            log.warning("old months are being read and are dropped later: %s", error)
            dropped = []
        if dropped:
            log.info("dropped, as older than the retention: %s", ", ".join(dropped))
        self._months = {month for month in self._months if month >= span.oldest}
        self._tidy_at = time.monotonic() + self._pace.tidying

    async def _make_months(self, months: set[Month]) -> None:
        if missing := months - self._months:
            async with self._pool.acquire() as connection:
                await make_months(connection, missing)
            self._months |= missing

    # --- partitions --------------------------------------------------------------------------------------------------

    async def _take_up_partitions(self) -> None:
        """Read the positions of partitions that are new here, and see what Kafka still has from there."""
        new = self._assigned() - self._positions.keys()
        if not new:
            return
        logs = await self._logs(new)
        async with self._pool.acquire() as connection:
            for place, position in (await positions_of(connection, self._settings.app_id, logs)).items():
                begin = await self._begin(connection, place, position, logs[place])
                if begin is not None:
                    self._go_on(place, begin)

    def _assigned(self) -> set[Place]:
        return {Place(*each) for each in self._consumer.assignment()}

    async def _logs(self, places: Iterable[Place]) -> dict[Place, Log]:
        asked = [TopicPartition(*place) for place in places]
        first = await self._consumer.beginning_offsets(asked)
        end = await self._consumer.end_offsets(asked)
        self._ends |= {Place(*each): end[each] for each in asked}
        return {Place(*each): Log(first[each], end[each]) for each in asked}

    async def _begin(self, connection: Any, place: Place, position: int, log: Log) -> int | None:
        """Where reading begins; None when that is not decided yet."""
        gap = gap_of(place, position, log)
        if gap is None:
            self._beyond_since.pop(place, None)
            return position
        if gap.reason == TRUNCATED and not self._is_truncated(place):
            return None
        await step_over(connection, self._settings.app_id, gap)
        self._report(gap)
        return gap.to_offset

    def _is_truncated(self, place: Place) -> bool:
        """Whether a log has ended before our position for long: right after a start a broker may not know its end."""
        now = time.monotonic()
        return now - self._beyond_since.setdefault(place, now) >= self._pace.truncation

    def _report(self, gap: Gap) -> None:
        self._metrics.sink_gaps.labels(gap.place.topic).inc(gap.records)
        log.error(
            "PostgreSQL lacks events that Kafka no longer has (%s): %s, partition %d, offsets %d to %d",
            gap.reason,
            *gap.place,
            gap.from_offset,
            gap.to_offset,
        )

    def _go_on(self, place: Place, position: int) -> None:
        if place in self._assigned():  # a rebalance may have come in between
            self._consumer.seek(TopicPartition(*place), position)
            self._positions[place] = self._settled[place] = position

    # --- records -----------------------------------------------------------------------------------------------------

    async def _poll(self, stop: asyncio.Event) -> dict[Place, list[Record]]:
        """What has come, by partition; only of those whose position is known."""
        if not self._positions:
            await _wait(stop, self._pace.poll / 5)
            return {}
        try:
            records = await self._consumer.getmany(
                *(TopicPartition(*place) for place in self._positions),
                timeout_ms=int(self._pace.poll * 1000),
                max_records=self._settings.sink_batch_rows,
            )
        except OffsetOutOfRangeError as error:  # retention has overtaken us: {partition: offset}
            self._give_up(Place(*each) for each in error.args[0])
            return {}
        except NoOffsetForPartitionError as error:
            self._give_up(Place(*each) for each in error.args)
            return {}
        # A rebalance may have come in between.
        mine = self._assigned() & self._positions.keys()
        return {Place(*each): found for each, found in records.items() if each in mine}

    async def _write(self, records: Mapping[Place, list[Record]]) -> None:
        """Write what came, each partition number in a transaction of its own, some at a time."""
        batches = [await self._batch(number, records) for number in {place.partition for place in records}]
        now = self._clock()
        span = Span.at(now, self._settings.sink_retention_months)
        await self._make_months(span.within(tick for batch in batches for tick in batch.ticks()))
        # All are waited for, whatever becomes of one, so that none goes on behind the next round's back.
        ended = await asyncio.gather(*(self._write_one(batch) for batch in batches), return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                raise error

    async def _batch(self, number: int, records: Mapping[Place, list[Record]]) -> Batch:
        mine = {place: found for place, found in records.items() if place.partition == number}
        moves = [Move(*place, self._positions[place], await self._reached(place)) for place in mine]
        return read_batch(moves, {self._kinds[place.topic]: found for place, found in mine.items()})

    async def _reached(self, place: Place) -> int:
        """The offset after the last record taken, and after such records of Kafka's own as follow it."""
        reached: int = await self._consumer.position(TopicPartition(*place))
        return reached

    async def _write_one(self, batch: Batch) -> None:
        with self._metrics.sink_batch_seconds.time():
            async with self._pool.acquire() as connection:
                written = await write_batch(
                    connection, self._settings.app_id, batch, self._settings.sink_history_seconds
                )
        self._note_moves(batch.moves)
        self._count(written)

    def _note_moves(self, moves: Iterable[Move]) -> None:
        for topic, partition, _, to_offset in moves:
            place = Place(topic, partition)
            if place in self._positions:
                self._positions[place] = self._settled[place] = to_offset

    def _count(self, written: Written) -> None:
        for table, given in written.given.items():
            self._metrics.sink_rows.labels(table, "written").inc(written.new[table])
            self._metrics.sink_rows.labels(table, "duplicate").inc(given - written.new[table])
        self._metrics.sink_thinned.inc(written.thinned)
        self._metrics.sink_last.set_to_current_time()
        for record, reason in written.refused:
            self._metrics.sink_refused.labels(record.topic).inc()
            at = (record.topic, record.partition, record.offset)
            log.error("an event is refused, and kept in pacing_sink_refused: %s/%d/%d: %s", *at, reason)

    async def _skip(self) -> None:
        """
        Move positions over what needs no row: commit markers and aborted records.

        Else they would stand before records of Kafka's own that retention removes one day, and that would look like
        a gap.
        """
        moves = []
        for place in self._assigned() & self._positions.keys():
            self._settled[place] = await self._reached(place)
            if self._settled[place] > self._positions[place]:
                moves.append(Move(*place, self._positions[place], self._settled[place]))
        if moves and time.monotonic() >= self._skip_at:
            await self._write_one(read_batch(moves, {}))
            self._skip_at = time.monotonic() + self._pace.skipping

    # --- beside the loop ---------------------------------------------------------------------------------------------

    async def _watch_lag(self) -> None:
        """Ask Kafka now and then where the logs end, whatever PostgreSQL does."""
        while True:
            await asyncio.sleep(self._pace.lag)
            if self._consumer is None:
                continue
            with contextlib.suppress(KafkaError, OSError):
                self._ends |= await self._end_offsets()
            for place, lag in self._lags().items():
                self._metrics.sink_lag.labels(place.topic, str(place.partition)).set(lag)

    def _lags(self) -> dict[Place, int]:
        """How far behind each partition is; of copies, since another thread may ask."""
        settled, ends = dict(self._settled), dict(self._ends)
        return {place: max(0, end - settled[place]) for place, end in ends.items() if place in settled}

    async def _end_offsets(self) -> dict[Place, int]:
        assigned = list(self._consumer.assignment())
        found = await self._consumer.end_offsets(assigned) if assigned else {}
        return {Place(*each): end for each, end in found.items() if each in self._assigned()}

    async def _close(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()
        if self._pool is not None:
            self._pool.terminate()


class _Rebalances(ConsumerRebalanceListener):
    """
    Tells the sink which partitions are taken from it, and that what it has now begins anew.

    Until the new assignment is there aiokafka shows the old one; a position that was taken up in between is not the
    new one's, so at its coming all are forgotten.
    """

    def __init__(self, give_up: Callable[[Iterable[Place]], None], forget: Callable[[], None]) -> None:
        self._give_up = give_up
        self._forget = forget

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._give_up([Place(*each) for each in revoked])

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:  # noqa: ARG002  # asked for anew
        self._forget()


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until *stop* is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
