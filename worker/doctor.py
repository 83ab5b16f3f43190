"""
`pacing doctor`: everything the worker needs, looked at from where it would run, a line each.

A check never guesses: what could not be looked at because something before it failed is said to be so. Nothing of the
worker's is touched; the one thing written is a topic of the doctor's own, which tries a transaction and reads the
broker's clock, and is deleted again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from worker.settings import Settings, SettingsError, load_settings, unknown_variables
from worker.topics import BrokerUnavailableError, broker_admin, check_topics, every_topic, hush, ledger_topic, settled

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient

State = Literal["ok", "FAIL", "note", "skip"]

CLOCK_SECONDS: Final = 5.0
"""Ticks are taken by this machine's clock and spend is dated by others': more apart than this is worth a repair."""

TRY_SECONDS: Final = 20.0

# What a broker's greatest version of a request says about its release (KIP-890, KIP-848, KIP-664, KIP-700, KIP-98).
RELEASES: Final = (
    ((24, 5), "4.0 or newer"),
    ((68, 0), "3.7 to 3.9"),
    ((65, 0), "3.0 to 3.6"),
    ((60, 0), "2.8"),
    ((22, 0), "0.11 to 2.7"),
)


class Finding(NamedTuple):
    """What one check found, and what to do about it where it failed."""

    state: State
    name: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        told = f"{self.state:<4}  {self.name:<13} {self.text}"
        return f"{told}; {self.remedy}" if self.remedy else told


def run() -> int:
    """Print what was found, a line each; 0 only if nothing failed, 2 if the settings are wrong."""
    try:
        settings = load_settings()
    except SettingsError as error:
        for fault in error.faults:
            _print(Finding("FAIL", "settings", fault))
        return 2
    hush()
    return asyncio.run(_examine(settings))


def _print(finding: Finding) -> None:
    sys.stdout.write(f"{finding}\n")
    sys.stdout.flush()


async def _examine(settings: Settings) -> int:
    failed = False
    async for finding in findings(settings):
        _print(finding)
        failed |= finding.state == "FAIL"
    return 1 if failed else 0


async def findings(settings: Settings) -> AsyncIterator[Finding]:
    """Every check in turn, those that depend on nothing first."""
    for finding in (*_settings(), _web_port(settings), _data_dir(settings)):
        yield finding
    async for finding in _kafka(settings):
        yield finding
    async for finding in _postgres(settings):
        yield finding


# --- this machine ----------------------------------------------------------------------------------------------------


def _settings() -> Iterator[Finding]:
    yield Finding("ok", "settings", "every setting is within its bounds")
    for name, near in unknown_variables(os.environ).items():
        what = f"{name} is set and is no setting"
        yield Finding("note", "settings", what, f"{near} is" if near else "")


def _web_port(settings: Settings) -> Finding:
    where = f"{settings.web_host}:{settings.web_port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.web_host, settings.web_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        remedy = "stop what listens there (a worker?) or set PACING_WEB_PORT, PACING_WEB_HOST"
        return Finding("FAIL", "web port", f"{where} cannot be listened on: {error.strerror}", remedy)
    return Finding("ok", "web port", f"{where} is free")


def _data_dir(settings: Settings) -> Finding:
    """Whether the directory, or the nearest one above it that exists, can be written to."""
    wanted = settings.data_dir.absolute()
    there = next(path for path in (wanted, *wanted.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        remedy = "set PACING_DATA_DIR to a directory this user may write to"
        return Finding("FAIL", "data dir", f"{there} cannot be written to: {error.strerror}", remedy)
    return Finding("ok", "data dir", f"{settings.data_dir} can be written to")


# --- Kafka -----------------------------------------------------------------------------------------------------------


async def _kafka(settings: Settings) -> AsyncIterator[Finding]:
    from aiokafka.errors import KafkaError

    try:
        async with broker_admin(settings) as admin:
            yield await _broker(admin, settings)
            settings = await settled(admin, settings)
            for look in (_topics, _transaction):
                for finding in await look(admin, settings):
                    yield finding
    except BrokerUnavailableError as error:
        yield Finding(
            "FAIL", "broker", str(error), "set PACING_KAFKA_BOOTSTRAP and the security settings, or start Kafka"
        )
        for name in ("topics", "ledger", "transactions", "clock"):
            yield Finding("skip", name, "not looked at, because there is no broker")
    except KafkaError as error:
        remedy = "look at the broker's log and at this user's rights"
        yield Finding("FAIL", "broker", f"it refused to tell: {type(error).__name__}: {error}", remedy)


async def _broker(admin: AIOKafkaAdminClient, settings: Settings) -> Finding:
    cluster = await admin.describe_cluster()
    count = len(cluster["brokers"])
    release = await _release(admin)
    told = f"{count} broker{'s' if count > 1 else ''} at {settings.kafka_bootstrap}, Kafka {release}"
    if count < settings.replication_factor and not settings.embedded_broker:
        remedy = f"start more, or set PACING_REPLICATION_FACTOR={count}"
        return Finding("FAIL", "broker", f"{told}: too few for {settings.replication_factor} copies", remedy)
    return Finding("ok", "broker", told)


async def _release(admin: AIOKafkaAdminClient) -> str:
    from aiokafka.protocol.admin import ApiVersionRequest

    answer = await admin._send_request(ApiVersionRequest())  # noqa: SLF001  # the public face has no such question
    greatest = {key: most for key, _, most in answer.api_versions}
    return next((name for (key, version), name in RELEASES if greatest.get(key, -1) >= version), "before 0.11")


async def _topics(admin: AIOKafkaAdminClient, settings: Settings) -> list[Finding]:
    """What differs from the declaration, told once for all topics it is the same in."""
    ledger = ledger_topic(settings)
    topics: dict[tuple[str, str, bool], list[str]] = {}
    for difference in await check_topics(admin, settings):
        name = "ledger" if difference.topic == ledger else "topics"
        topics.setdefault((name, difference.what, difference.fatal), []).append(difference.topic)
    found = [_difference(*key, names) for key, names in topics.items()]
    wrong = {finding.name for finding in found}
    if "topics" not in wrong:
        count = len(every_topic(settings)) - 1
        found.append(Finding("ok", "topics", f"{count} topics with {settings.partitions} partitions each"))
    if "ledger" not in wrong:
        found.append(Finding("ok", "ledger", f"{ledger} is compacted"))
    return found


def _difference(name: str, what: str, fatal: bool, topics: list[str]) -> Finding:  # noqa: FBT001  # a dictionary's key
    remedy = "run `pacing topics apply`" if "not exist" in what else "change it there or in the settings"
    return Finding("FAIL" if fatal else "note", name, f"{what}: {', '.join(topics)}", remedy)


async def _transaction(admin: AIOKafkaAdminClient, settings: Settings) -> list[Finding]:
    """Commit one record by a transaction to a topic of our own, whose timestamp is the broker's clock."""
    if settings.embedded_broker:
        what = "not looked at: an embedded broker promises none"
        return [Finding("skip", "transactions", what), Finding("skip", "clock", "it is this machine's")]
    from aiokafka.errors import KafkaError

    topic = f"{settings.app_id}-doctor"
    try:
        async with asyncio.timeout(TRY_SECONDS):
            return await _try_transaction(admin, settings, topic)
    except TimeoutError:
        return _no_transaction(f"none was committed in {TRY_SECONDS:.0f} s")
    finally:
        with contextlib.suppress(KafkaError):
            await admin.delete_topics([topic])


async def _try_transaction(admin: AIOKafkaAdminClient, settings: Settings, topic: str) -> list[Finding]:
    from aiokafka import AIOKafkaProducer
    from aiokafka.admin import NewTopic
    from aiokafka.errors import KafkaError

    configs = {"message.timestamp.type": "LogAppendTime"}
    copies = min(settings.replication_factor, len((await admin.describe_cluster())["brokers"]))
    await admin.create_topics([NewTopic(topic, 1, copies, topic_configs=configs)])
    producer = AIOKafkaProducer(**settings.kafka_options(), transactional_id=topic)
    try:
        await producer.start()
        began = time.time()
        async with producer.transaction():
            written = await producer.send_and_wait(topic, b"doctor")
        return [
            Finding("ok", "transactions", "one was committed"),
            _clock(written.timestamp / 1000, began, time.time()),
        ]
    except KafkaError as error:
        return _no_transaction(f"{type(error).__name__}: {error}")
    finally:
        await producer.stop()


def _no_transaction(why: str) -> list[Finding]:
    remedy = "look at the brokers' transaction.state.log settings and this user's rights"
    return [Finding("FAIL", "transactions", why, remedy), Finding("skip", "clock", "not looked at, because of that")]


def _clock(broker: float, began: float, ended: float) -> Finding:
    """How far this machine's clock is from the broker's, less what the way there may account for. Seconds."""
    apart = max(began - broker, broker - ended, 0.0)
    if apart > CLOCK_SECONDS:
        return Finding("FAIL", "clock", f"{apart:.1f} s from the broker's", "synchronise the clocks (NTP)")
    return Finding("ok", "clock", f"within {max(apart, 0.1):.1f} s of the broker's")


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


async def _postgres(settings: Settings) -> AsyncIterator[Finding]:
    dsn = settings.postgres_dsn.get_secret_value()
    if not dsn:
        yield Finding("ok", "PostgreSQL", "no sink: PACING_POSTGRES_DSN is empty")
        return
    import asyncpg

    from worker.sink.database import connect
    from worker.sink.migrate import pending_of

    try:
        connection = await connect(dsn)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        yield Finding("FAIL", "PostgreSQL", f"{type(error).__name__}: {error}", "start it, or set PACING_POSTGRES_DSN")
        yield Finding("skip", "migrations", "not looked at, because there is no database")
        return
    try:
        yield Finding("ok", "PostgreSQL", f"version {connection.get_server_version().major}")
        yield _migrations(await pending_of(connection))
    finally:
        await connection.close()


def _migrations(waiting: list[str]) -> Finding:
    if waiting:
        return Finding("FAIL", "migrations", f"{len(waiting)} to make: {', '.join(waiting)}", "run `pacing migrate`")
    return Finding("ok", "migrations", "all made")
