"""
The worker put together. Read this first: nothing else wires one part to another.

    plans ──┐   LaneConsumer     agents         Partition      Saver           Kafka, one transaction a checkpoint:
            ├─▶ fetch whole  ─▶  plans,  ─▶  ─▶ ledger.fold ─▶ Checkpoints ─▶  ledger, events, dead letters, marker
    spend ──┘   record batches   spend          ▲
                                                └── Ticks: ledger.open_tick, tick_slice ..., close_tick

Faust gives group membership, the flow of messages, agents and signals; the figures live in the ledger, one for each
partition, and come and go with it (`worker.ownership`).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import faust
from aiokafka import AIOKafkaProducer, TopicPartition
from prometheus_client import CollectorRegistry
from yarl import URL

from schemas.reasons import REASONS
from worker import lane, web
from worker.accounts import AccountStage
from worker.checkpoint import Checkpoints, new_producer
from worker.clock import Clock
from worker.events import EventWriter
from worker.exits import WATCH_SECONDS, Exit, Watchdog, leave, or_leave
from worker.lag import LagWatch
from worker.ledger import Ledger
from worker.ledger.accounts import AccountLedger
from worker.ledger.identity import BUCKETS
from worker.ledger.warm import warm
from worker.limits import ledger_limits
from worker.logs import configure as configure_logs
from worker.metrics import Metrics
from worker.ownership import ASSIGNED_SECONDS, Ownership
from worker.partition import Outbox, Partition
from worker.restore import Changelog
from worker.saver import Saver
from worker.settings import unknown_variables
from worker.sink.sink import Sink
from worker.sink.thread import SinkThread
from worker.tick import Schedule, Ticks
from worker.topics import (
    BrokerUnavailableError,
    account_ledger_topic,
    account_topics,
    broker_admin,
    check_topics,
    input_topics,
    ledger_topic,
    output_topics,
    settled,
)
from worker.waiting import cancelled, first_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.lane import Take
    from worker.settings import Settings

log = logging.getLogger(__name__)

# Objects made since the last collection before the next: the default of 700 costs a fifth of the intake.
GC_THRESHOLDS = (200_000, 20, 50)
HEARTBEATS_A_SESSION = 3
REQUEST_SECONDS_BEYOND_SESSION = 30
# Longer than all statements of the slowest round together: each may take a minute.
SINK_STALL_SECONDS = 900.0


class Worker(NamedTuple):
    """A worker that is wired and not started."""

    settings: Settings
    app: faust.App
    ownership: Ownership
    lag_watch: LagWatch
    watchdog: Watchdog
    metrics: Metrics


class PacingApp(faust.App):
    """Faust's app, which keeps nothing on disk."""

    mundane_level = "debug"

    async def on_first_start(self) -> None:
        """Upstream makes directories for tables; the ledger's home is its changelog."""


class Parts:
    """How the parts of one owned partition are made."""

    def __init__(self, settings: Settings, producer: Callable[..., AIOKafkaProducer], clock: Callable[[], int]) -> None:
        self._settings = settings
        self._producer = producer
        self._clock = clock
        self._writer = EventWriter(output_topics(settings), settings.event_source)
        self.metrics = Metrics(CollectorRegistry(), shown_campaigns=settings.campaign_gauges)
        self.watchdog = Watchdog()
        self.ownership: Ownership

    def checkpoints(self, number: int) -> Checkpoints:
        """Its transactions."""
        producer = new_producer(self._settings, number, self._producer)
        # librdkafka's in-process broker stamps records, but not by a clock.
        most_ahead = sys.maxsize if self._settings.embedded_broker else self._settings.tick_nanos
        clock = Clock(self._clock, most_ahead)
        return Checkpoints(producer, number, ledger_topic(self._settings), clock)

    def changelog(self, number: int) -> Changelog:
        """Its history."""
        return Changelog(self._settings, TopicPartition(ledger_topic(self._settings), number), self.watchdog)

    def account_changelog(self, number: int) -> Changelog:
        """The history of its accounts."""
        return Changelog(self._settings, TopicPartition(account_ledger_topic(self._settings), number), self.watchdog)

    def accounts(self, number: int) -> AccountStage:
        """Its account stage, empty."""
        plans, parts = account_topics(self._settings)
        return AccountStage(
            AccountLedger(number, self._settings.partitions, plans=plans, parts=parts),
            self._settings.partitions,
            plans=plans,
            parts=parts,
            changelog=account_ledger_topic(self._settings),
            metrics=self.metrics,
        )

    def partition(self, number: int) -> Partition:
        """Its ledger, empty."""
        limits = ledger_limits(self._settings)
        return Partition(
            Ledger(number, self._settings.partitions, limits),
            Outbox(number, self._writer),
            inputs=input_topics(self._settings),
            accounts=self.accounts(number),
            metrics=self.metrics,
            most_unsaved=self._settings.checkpoint_records,
            width_ms=max(1, limits.horizon_ms // BUCKETS),
        )

    def saver(self, partition: Partition, checkpoints: Checkpoints) -> Saver:
        """Its checkpoints, in time."""
        return Saver(
            partition,
            checkpoints,
            interval_seconds=self._settings.checkpoint_seconds,
            timeout_seconds=self._settings.checkpoint_timeout_seconds,
            watchdog=self.watchdog,
            metrics=self.metrics,
        )

    def ticks(self, partition: Partition, saver: Saver) -> Ticks:
        """Its ticks."""
        return Ticks(
            partition,
            saver,
            Schedule(self._settings.tick_nanos, self._settings.tick_wait),
            transaction_campaigns=self._settings.tick_slice_campaigns,
            clock=self._clock,
            inputs=self.ownership,
            metrics=self.metrics,
        )


def create_app(
    settings: Settings,
    *,
    producer: Callable[..., AIOKafkaProducer] = AIOKafkaProducer,
    clock: Callable[[], int] = time.time_ns,
) -> Worker:
    """
    Wire a worker; nothing is started and nothing connects.

    *producer* makes the transactional producers and *clock* tells the time in nanoseconds: tests bring their own.
    """
    lane.install()
    parts = Parts(settings, producer, clock)
    ticked, beside = input_topics(settings), account_topics(settings)
    ownership = Ownership(settings, ticked, beside, parts, parts.watchdog, parts.metrics)
    parts.ownership = ownership
    app = PacingApp(settings.app_id, **faust_options(settings))
    app.transport = lane_transport(app, settings, ownership)
    connect(app, settings, ownership)
    lag_watch = LagWatch(ownership, parts.watchdog, parts.metrics)
    parts.metrics.expect_inputs((*ticked, *beside), list(REASONS))
    parts.metrics.expect_outputs(output_topics(settings).values())
    parts.metrics.tick_period_seconds.set(settings.tick_seconds)
    return Worker(settings, app, ownership, lag_watch, parts.watchdog, parts.metrics)


def connect(app: faust.App, settings: Settings, ownership: Ownership) -> None:
    """The agents and signals: all that the worker knows of Faust from day to day."""
    topics = (*input_topics(settings), *account_topics(settings))
    for name, topic in zip(("plans", "spend", "account_plans", "account_parts"), topics, strict=True):
        source = app.topic(topic, schema=lane.WholeTake(), acks=False)

        @app.agent(source, name=name)  # type: ignore[untyped-decorator]
        async def fold(takes: AsyncIterator[Take]) -> None:
            async for take in takes:
                await or_leave(Exit.DEFECT, f"folding {take.topic}-{take.partition}", ownership.fold(take))

    @app.on_partitions_assigned.connect(weak=False)  # type: ignore[untyped-decorator]
    async def assigned(_: faust.App, tps: set[Any], **__: Any) -> None:
        await or_leave(Exit.DEFECT, "assigning partitions", ownership.assigned(tps))

    @app.on_partitions_revoked.connect(weak=False)  # type: ignore[untyped-decorator]
    async def revoked(_: faust.App, __: set[Any], **___: Any) -> None:
        await or_leave(Exit.DEFECT, "giving partitions back", ownership.revoked())

    @app.on_before_shutdown.connect(weak=False)  # type: ignore[untyped-decorator]
    async def stopping(_: faust.App, **__: Any) -> None:
        await or_leave(Exit.STOP_STALLED, "saving everything before the stop", ownership.stop())


def lane_transport(app: faust.App, settings: Settings, ownership: Ownership) -> lane.LaneTransport:
    """The transport that reads whole record batches for *ownership*."""
    transport = lane.LaneTransport(app.conf.broker_consumer, app)
    transport.lane_owner = ownership
    transport.timestamped = frozenset({settings.topic_campaign_plans})
    return transport


def faust_options(settings: Settings) -> dict[str, Any]:
    """Faust's settings. What is off is off for a reason: see ARCHITECTURE.md."""
    session = settings.session_timeout_seconds
    return {
        "broker": [URL(f"kafka://{broker}") for broker in settings.brokers],
        "broker_credentials": credentials(settings),
        "broker_session_timeout": session,
        "broker_heartbeat_interval": session / HEARTBEATS_A_SESSION,
        "broker_request_timeout": session + REQUEST_SECONDS_BEYOND_SESSION,
        "broker_max_poll_records": settings.fetch_batches,
        "broker_check_crcs": not settings.embedded_broker,
        "consumer_max_fetch_size": settings.fetch_bytes,
        # No position is ever guessed: a log that lost what comes next is an error, not a new beginning.
        "consumer_auto_offset_reset": "none",
        "consumer_group_instance_id": settings.group_instance_id,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "table_standby_replicas": 0,
        "stream_wait_empty": False,
        "stream_recovery_delay": 0.0,
        "web_enabled": False,
    }


def credentials(settings: Settings) -> faust.SASLCredentials | faust.SSLCredentials | None:
    """How Faust shows who it is to the brokers; None for plain text."""
    context = settings.ssl_context()
    if settings.kafka_security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.kafka_sasl_username,
            password=settings.kafka_sasl_password.get_secret_value(),
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None


# --- running it ------------------------------------------------------------------------------------------------------


def run(settings: Settings, **seams: Any) -> int:
    """Run the worker until SIGTERM or Ctrl-C; the exit code (`worker.exits`). *seams* are `create_app`'s."""
    configure_logs(settings)
    warn_of_typos()
    gc.set_threshold(*GC_THRESHOLDS)
    settings = asyncio.run(look_at_topics(settings))
    # Before anybody waits: where they are not compiled yet that takes half a minute.
    warm()
    # What is loaded by now stays: the collection after a restore need not go through it.
    gc.freeze()
    return asyncio.run(serve(create_app(settings, **seams)))


def warn_of_typos() -> None:
    """Tell of variables that are almost a setting; strange ones may be somebody else's, as Kubernetes' are."""
    for name, near in unknown_variables(os.environ).items():
        if near is not None:
            log.warning("%s is set and is no setting; %s is", name, near)


async def serve(worker: Worker) -> int:
    """Start everything, wait for the end, stop everything."""
    worker.watchdog.start()
    worker.ownership.consumer = worker.app.consumer
    stop = stop_signal()
    async with watched(worker):
        starting = asyncio.create_task(or_leave(Exit.DEFECT, "the worker could not start", start(worker)))
        await first_of(stop.wait(), worker.app.wait())
        if worker.app.crashed:
            leave(Exit.DEFECT, f"Faust crashed: {worker.app.crash_reason!r}")
        seconds = worker.settings.stop_timeout_seconds - WATCH_SECONDS
        with worker.watchdog.limit("stop", seconds, Exit.STOP_STALLED, f"the stop took longer than {seconds:g} s"):
            await cancelled(starting)
            await worker.app.stop()
    log.info("stopped")
    return int(Exit.STOPPED)


async def start(worker: Worker) -> None:
    """Start the app, then look at its lag for ever."""
    sentence = f"the worker did not join its group within {ASSIGNED_SECONDS:g} s"
    with worker.watchdog.limit("start", ASSIGNED_SECONDS, Exit.INPUT_STALLED, sentence):
        await worker.app.start()
    await worker.lag_watch.run()


async def look_at_topics(settings: Settings) -> Settings:
    """
    The settings, with what they leave to the cluster.

    Ends the process if the topics are not as declared where that matters; warns where it may matter.
    """
    try:
        async with broker_admin(settings) as admin:
            settings = await settled(admin, settings)
            differences = await check_topics(admin, settings)
    except BrokerUnavailableError as error:
        leave(Exit.INPUT_STALLED, str(error))
    for difference in differences:
        log.warning("%s", difference)
    fatal = [str(difference) for difference in differences if difference.fatal]
    if fatal:
        leave(Exit.MISCONFIGURED, f"topics are not as they must be (see `pacing topics apply`): {'; '.join(fatal)}")
    return settings


@asynccontextmanager
async def watched(worker: Worker) -> AsyncIterator[None]:
    """What goes on beside the worker: its pages, and the sink where a database is set."""
    settings = worker.settings
    sink = sink_thread(worker) if settings.postgres_dsn.get_secret_value() else None
    checks = web.HealthChecks(worker.ownership, settings, sink.status if sink is not None else None)
    pages = await web.serve(web.create_web(checks, worker.metrics), settings.web_host, settings.web_port)
    log.info("health and metrics on %s", ", ".join(f"{host}:{port}" for host, port, *_ in pages.addresses))
    if sink is not None:
        sink.start()
    yield
    if sink is not None:
        await asyncio.to_thread(sink.stop)
        worker.watchdog.kept(sink)
    await pages.cleanup()


def sink_thread(worker: Worker) -> SinkThread:
    """The sink, which may wait for PostgreSQL as long as it takes, and may not hang."""

    def came_round() -> None:
        sentence = f"the sink has hung for {SINK_STALL_SECONDS:g} s"
        worker.watchdog.promise(thread, SINK_STALL_SECONDS, Exit.SINK_STALLED, sentence)

    thread = SinkThread(lambda: Sink(worker.settings, worker.metrics, came_round=came_round))
    return thread


def stop_signal() -> asyncio.Event:
    """Set by SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
