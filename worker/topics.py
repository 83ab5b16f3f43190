"""
Every topic of the worker, in one list, with what the broker must hold for it.

The same list creates the topics (``pacing topics apply``), checks them (``pacing topics check``, the worker's start,
``pacing doctor``) and tells the running worker where its records come from and go to. All topics have the same number
of partitions, because a campaign's spend, plan, ledger and events share a partition number.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    from worker.settings import Settings

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MIB = 1024 * 1024

# An input message may be as large as Kafka's own default allows; a dead letter carries it whole, and headers beside it.
INPUT_BYTES = 1_048_588
DEAD_LETTER_BYTES = 2 * MIB
# A checkpoint's batches are built up to BATCH_BYTES; the broker must take them whole.
BATCH_BYTES = 900 * 1024
LEDGER_BYTES = 2 * MIB

DEAD_LETTERS = ".dlq"

# What a setting of 0 means where the cluster does not decide.
USUAL_PARTITIONS = 8
USUAL_COPIES = 3

CONNECT_SECONDS = 15
REQUEST_TIMEOUT_MS = 10_000

# Kafka protocol error codes met here.
TOPIC_ALREADY_EXISTS = 36
INVALID_REPLICATION_FACTOR = 38


class Topic(NamedTuple):
    """One topic: the setting its name comes from, which way it goes, and what the broker must hold for it."""

    name: str
    setting: str
    direction: str
    partitions: int
    configs: Mapping[str, str]


class Difference(NamedTuple):
    """Something about a topic that is not as declared, in words; *fatal* where the worker cannot run like that."""

    topic: str
    what: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.topic}: {self.what}"


def ledger_topic(settings: Settings) -> str:
    """The topic that carries the ledger: one partition for each partition of the inputs."""
    return f"{settings.app_id}-ledger"


def account_ledger_topic(settings: Settings) -> str:
    """The topic that carries what is remembered of accounts, beside the ledger of their partition."""
    return f"{settings.app_id}-account-ledger"


def account_parts_topic(settings: Settings) -> str:
    """The topic in which partitions tell each other what their campaigns add up to."""
    return f"{settings.app_id}-account-parts"


def account_topics(settings: Settings) -> tuple[str, str]:
    """What a worker reads for its accounts: their plans, and the parts of all partitions."""
    return (settings.topic_account_plans, account_parts_topic(settings))


def dead_letter_topic(input_topic: str) -> str:
    """Where the refused messages of *input_topic* go.

    >>> dead_letter_topic("pacing.spend_updates")
    'pacing.spend_updates.dlq'
    """
    return input_topic + DEAD_LETTERS


def input_topics(settings: Settings) -> tuple[str, str]:
    """The topics a worker reads, plans first: the order in which a partition's marker names their positions."""
    return (settings.topic_campaign_plans, settings.topic_spend_updates)


def output_topics(settings: Settings) -> dict[str, str]:
    """The topic of every kind of event: ``snapshot_taken`` goes to ``pacing.snapshot_taken``."""
    return {
        "snapshot_taken": settings.topic_snapshot_taken,
        "deviation_detected": settings.topic_deviation_detected,
        "deviation_resolved": settings.topic_deviation_resolved,
        "reallocation_recommended": settings.topic_reallocation_recommended,
        "alert_raised": settings.topic_alert_raised,
        "alert_cleared": settings.topic_alert_cleared,
        "tick_closed": settings.topic_tick_closed,
        "account_snapshot_taken": settings.topic_account_snapshot_taken,
    }


def every_topic(settings: Settings) -> tuple[Topic, ...]:
    """Every topic the worker touches, in the order of the contract."""
    return (
        *_inputs(settings),
        *(_output(settings, f"topic_{kind}", name) for kind, name in output_topics(settings).items()),
        *(_dead_letters(settings, name) for name in (*input_topics(settings), settings.topic_account_plans)),
        _parts(settings),
        _ledger(settings, ledger_topic(settings)),
        _ledger(settings, account_ledger_topic(settings)),
    )


def _inputs(settings: Settings) -> tuple[Topic, ...]:
    # A version of a plan or its tombstone must not be compacted away while a stopped worker has not read it.
    compacted = {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(DAY_MS),
        "delete.retention.ms": str(7 * DAY_MS),
        "max.message.bytes": str(INPUT_BYTES),
    }
    return (
        _topic(settings, settings.topic_campaign_plans, "topic_campaign_plans", "in", compacted),
        _topic(
            settings,
            settings.topic_spend_updates,
            "topic_spend_updates",
            "in",
            _kept(settings.spend_retention_hours, INPUT_BYTES),
        ),
        _topic(settings, settings.topic_account_plans, "topic_account_plans", "in", compacted),
    )


def _output(settings: Settings, setting: str, name: str) -> Topic:
    return _topic(settings, name, setting, "out", _kept(settings.output_retention_hours, LEDGER_BYTES))


def _dead_letters(settings: Settings, input_topic: str) -> Topic:
    kept = _kept(settings.dead_letter_retention_hours, DEAD_LETTER_BYTES)
    return _topic(settings, dead_letter_topic(input_topic), "dead letters", "out", kept)


def _parts(settings: Settings) -> Topic:
    # As spend: read by the same workers, and lost to none of them while they are down.
    kept = _kept(settings.spend_retention_hours, LEDGER_BYTES)
    return _topic(settings, account_parts_topic(settings), "app_id", "parts", kept)


def _ledger(settings: Settings, name: str) -> Topic:
    # Small segments and an eager cleaner keep what a restore reads within a few times the number of keys.
    configs = {
        "cleanup.policy": "compact",
        "segment.bytes": str(64 * MIB),
        "min.cleanable.dirty.ratio": "0.2",
        "max.message.bytes": str(LEDGER_BYTES),
        # The broker's own time comes back with each checkpoint: what a worker's clock is held against.
        "message.timestamp.type": "LogAppendTime",
    }
    return _topic(settings, name, "app_id", "ledger", configs)


def _kept(hours: int, most_bytes: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(hours * HOUR_MS),
        "max.message.bytes": str(most_bytes),
    }


def _topic(settings: Settings, name: str, setting: str, direction: str, configs: Mapping[str, str]) -> Topic:
    in_sync = {"min.insync.replicas": str(max(1, settings.replication_factor - 1))}
    return Topic(name, setting, direction, settings.partitions, {**configs, **in_sync})


# --- against a broker --------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """What the broker holds for one topic."""

    partitions: int
    configs: Mapping[str, str]


def compare(declared: Iterable[Topic], found: Mapping[str, Found]) -> list[Difference]:
    """What the broker holds otherwise than declared; configs are compared as the text Kafka gives."""
    differences: list[Difference] = []
    for topic in declared:
        differences += _differences(topic, found.get(topic.name))
    return differences


def _differences(topic: Topic, found: Found | None) -> list[Difference]:
    if found is None:
        return [Difference(topic.name, "it does not exist", fatal=True)]
    differences = []
    if found.partitions != topic.partitions:
        what = f"it has {found.partitions} partitions, not {topic.partitions}"
        differences.append(Difference(topic.name, what, fatal=True))
    for config, value in topic.configs.items():
        there = found.configs.get(config)
        if there is not None and there != value:
            fatal = _cannot_do(topic, config, there)
            differences.append(Difference(topic.name, f"its {config} is {there}, not {value}", fatal))
    return differences


def _cannot_do(topic: Topic, config: str, there: str) -> bool:
    """Whether the worker would lose or fail to write data with *there* in place of what is declared."""
    if config == "cleanup.policy":
        return topic.direction == "ledger" or "compact" in there
    return config == "max.message.bytes" and topic.direction != "in" and int(there) < BATCH_BYTES


async def read_topics(
    admin: AIOKafkaAdminClient, names: Iterable[str], *, with_configs: bool = True
) -> dict[str, Found]:
    """
    What the broker holds for the topics *names*; those that do not exist are left out.

    Asks for all topics, because asking for one by name makes a broker with automatic creation create it.
    """
    wanted = set(names)
    partitions = {
        topic["topic"]: len(topic["partitions"])
        for topic in await admin.describe_topics()
        if topic["topic"] in wanted and not topic["error_code"]
    }
    configs = await _read_configs(admin, list(partitions)) if with_configs else {}
    return {name: Found(count, configs.get(name, {})) for name, count in partitions.items()}


async def _read_configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    answers = await admin.describe_configs(resources) if resources else []
    # A resource: error code, error message, resource type, name, entries; an entry begins with its name and value.
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in answers
        for resource in answer.resources
        if not resource[0]
    }


async def settled(admin: AIOKafkaAdminClient, settings: Settings) -> Settings:
    """
    *settings* with the numbers that are left to the cluster.

    As many partitions as the topics that exist have, inputs first; three copies, or as many as there are brokers.
    """
    brokers = len((await admin.describe_cluster())["brokers"])
    found = await read_topics(admin, [topic.name for topic in every_topic(settings)], with_configs=False)
    counts = [found[topic.name].partitions for topic in every_topic(settings) if topic.name in found]
    return settings.model_copy(
        update={
            "partitions": settings.partitions or (counts or [USUAL_PARTITIONS])[0],
            "replication_factor": settings.replication_factor or min(USUAL_COPIES, brokers),
        }
    )


async def check_topics(admin: AIOKafkaAdminClient, settings: Settings) -> list[Difference]:
    """
    What the broker holds otherwise than declared; an embedded broker has no configs, so only counts are compared.

    *settings* are `settled`.
    """
    declared = every_topic(settings)
    names = [topic.name for topic in declared]
    found = await read_topics(admin, names, with_configs=not settings.embedded_broker)
    return compare(declared, found)


class Applied(NamedTuple):
    """What ``apply`` did: the topics it created, and what still differs (it alters nothing that is there)."""

    created: list[str]
    differences: list[Difference]


async def apply_topics(admin: AIOKafkaAdminClient, settings: Settings) -> Applied:
    """
    Create the topics that are missing, and report what differs in those that are there.

    Nothing there is altered: more partitions would part a campaign's spend from its ledger, and a changed config may
    be somebody's decision. *settings* are `settled`.
    """
    declared = every_topic(settings)
    found = await read_topics(admin, [topic.name for topic in declared])
    if any(topic.partitions != settings.partitions for topic in found.values()):
        # Whatever was created beside them could not be used, and partitions cannot be taken away again.
        return Applied([], compare(declared, found))
    missing = [topic for topic in declared if topic.name not in found]
    refused = await _create(admin, missing, settings.replication_factor)
    created = [topic.name for topic in missing if topic.name not in {difference.topic for difference in refused}]
    return Applied(created, refused + compare([topic for topic in declared if topic.name in found], found))


async def _create(admin: AIOKafkaAdminClient, topics: list[Topic], replication_factor: int) -> list[Difference]:
    from aiokafka.admin import NewTopic

    if not topics:
        return []
    new = [NewTopic(t.name, t.partitions, replication_factor, topic_configs=dict(t.configs)) for t in topics]
    answer = await admin.create_topics(new)
    # An error is (topic, code) in the oldest protocol and (topic, code, message) since.
    return [
        Difference(error[0], _why_not_created(error[1], replication_factor), fatal=True)
        for error in answer.topic_errors
        if error[1] not in (0, TOPIC_ALREADY_EXISTS)
    ]


def _why_not_created(code: int, replication_factor: int) -> str:
    if code == INVALID_REPLICATION_FACTOR:
        return (
            f"not created: there are fewer than {replication_factor} brokers for its copies"
            " (set PACING_REPLICATION_FACTOR)"
        )
    from aiokafka.errors import for_code

    return f"not created: {for_code(code).__name__}"


# --- the commands ----------------------------------------------------------------------------------------------------


class BrokerUnavailableError(Exception):
    """No broker answered, in a sentence."""


@asynccontextmanager
async def broker_admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client. Raises BrokerUnavailableError where there is nobody to connect to."""
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(**settings.kafka_options(), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await _connect(admin, settings)
        yield admin
    finally:
        await admin.close()


async def _connect(admin: AIOKafkaAdminClient, settings: Settings) -> None:
    from aiokafka.errors import KafkaConnectionError, KafkaError

    try:
        await asyncio.wait_for(admin.start(), CONNECT_SECONDS)
    except TimeoutError:
        told = f"no Kafka broker at {settings.kafka_bootstrap} answered in {CONNECT_SECONDS} s"
        raise BrokerUnavailableError(told) from None
    except KafkaConnectionError:
        raise BrokerUnavailableError(f"no Kafka broker answers at {settings.kafka_bootstrap}") from None
    except KafkaError as error:
        raise BrokerUnavailableError(f"no Kafka broker at {settings.kafka_bootstrap}: {_in_words(error)}") from None


def _in_words(error: KafkaError) -> str:
    return str(error).removeprefix(f"{type(error).__name__}: ") or type(error).__name__


def hush() -> None:
    """A broker that is away is told once, by us; aiokafka would log each attempt."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def check_now(settings: Settings) -> list[Difference]:
    """What differs from the declaration. Raises BrokerUnavailableError."""

    async def check() -> list[Difference]:
        async with broker_admin(settings) as admin:
            return await check_topics(admin, await settled(admin, settings))

    hush()
    return asyncio.run(check())


def apply_now(settings: Settings) -> Applied:
    """Create what is missing, and say what differs in the rest. Raises BrokerUnavailableError."""

    async def apply() -> Applied:
        async with broker_admin(settings) as admin:
            return await apply_topics(admin, await settled(admin, settings))

    hush()
    return asyncio.run(apply())
