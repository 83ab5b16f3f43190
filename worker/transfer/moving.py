"""
`pacing ledger export` and `pacing ledger import`.

    export   changelog, as committed ─▶ newest record of each key ─▶ does it load? ─▶ NDJSON
    import   NDJSON ─▶ does it load, and fit the topics? ─▶ fence whoever writes ─▶ is the changelog empty? ─▶ write

An import starts the partition's transactional producer, as a worker does: one that runs can write no more, and ends.
It writes in as many transactions as it needs, the marker in the last one; a changelog without a marker is paced by
nobody, and an import that was cut off is simply done again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TextIO

from aiokafka import AIOKafkaProducer

from worker.checkpoint import Checkpoints, Cut, new_producer
from worker.clock import Clock
from worker.files import STDIN, UnreadableError, open_file
from worker.ledger import Ledger, UnreadableLedgerError
from worker.ledger.changelog import read_marker
from worker.ledger.kinds import MARKER
from worker.ledger.repartition import NotSettledError, repartition
from worker.limits import ledger_limits
from worker.settings import Settings
from worker.topics import broker_admin, input_topics, ledger_topic, read_topics, settled
from worker.transfer.log import Reader, reader
from worker.transfer.sections import Section, Sections, lines_of

Records = Mapping[bytes, bytes]

TRANSACTION_BYTES: Final = 32 * 1024 * 1024
"""Bytes of one transaction: far below what a checkpoint's timeout allows."""


class NotMovedError(Exception):
    """Why a ledger was not exported or imported, in a sentence."""


# -- export ------------------------------------------------------------------------------------------------------------


async def export(settings: Settings, file: str, partition: int | None = None) -> list[str]:
    """
    Write the ledger of every partition, or of one, to *file* (`-`: standard output); what is to be told of it.

    Raises NotMovedError, LogError, BrokerUnavailableError.
    """
    settings = await on_the_broker(settings)
    told, found = [], False
    with _output(file) as out:
        async with reader(settings) as log:
            for number in numbers(settings, partition):
                records = await read_ledger(log, settings, number)
                if records is None:
                    told.append(f"partition {number}: there is no ledger")
                    continue
                found = True
                out.writelines(lines_of(Section(settings.app_id, number, settings.partitions, records)))
        if not found:
            raise NotMovedError(f"there is no ledger in {ledger_topic(settings)}")
    return told


@contextmanager
def _output(name: str) -> Iterator[TextIO]:
    """Standard output, or a file that takes its name when it is whole: a failed export costs no older one."""
    if name == STDIN:
        yield sys.stdout
        return
    whole = Path(name)
    part = whole.with_name(f"{whole.name}.part")
    try:
        with part.open("w", encoding="utf-8") as out:
            yield out
        part.replace(whole)
    finally:
        part.unlink(missing_ok=True)


async def on_the_broker(settings: Settings) -> Settings:
    """*settings* with the numbers the cluster has. Raises NotMovedError where the ledger's topic is not as they say."""
    async with broker_admin(settings) as admin:
        settings = await settled(admin, settings)
        name = ledger_topic(settings)
        found = await read_topics(admin, [name, *input_topics(settings)], with_configs=False)
    for topic in (name, *input_topics(settings)):
        if topic not in found:
            raise NotMovedError(f"there is no topic {topic}; `pacing topics apply` creates it")
        if found[topic].partitions != settings.partitions:
            raise NotMovedError(f"{topic} has {found[topic].partitions} partitions, not {settings.partitions}")
    return settings


def numbers(settings: Settings, partition: int | None) -> Iterable[int]:
    """The partitions that are asked for."""
    if partition is None:
        return range(settings.partitions)
    if not 0 <= partition < settings.partitions:
        raise NotMovedError(f"there is no partition {partition} of {settings.partitions}")
    return (partition,)


async def read_ledger(log: Reader, settings: Settings, number: int) -> Records | None:
    """The records of a partition's ledger, None where there is none. Raises NotMovedError where it is unreadable."""
    records = await log.newest(ledger_topic(settings), number)
    if not records:
        return None
    why = why_not_loaded(settings, number, records)
    if why is not None:
        raise NotMovedError(f"the ledger of partition {number} cannot be read: {why}")
    return records


def why_not_loaded(settings: Settings, number: int, records: Records) -> str | None:
    """Why a worker would not go on from *records*; None where it would."""
    ledger = Ledger(number, settings.partitions, ledger_limits(settings))
    try:
        return None if ledger.load(records) else "it has no marker"
    except UnreadableLedgerError as error:
        return str(error)


# -- import ------------------------------------------------------------------------------------------------------------


class Fault(NamedTuple):
    """Something wrong with the file: `file:line: field: what is wrong`."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field or 'line'}: {self.message}"


def read_file(name: str) -> tuple[list[Section], list[str]]:
    """The ledgers in a file, and every fault of it in words."""
    sections = Sections()
    try:
        with open_file(name) as file:
            sections.read(file)
    except UnreadableError as error:
        return [], [f"{name}: {error}"]
    except OSError as error:
        return [], [f"{name}: {error.strerror or error}"]
    return sections.sections, [str(Fault(name, *fault)) for fault in sections.faults]


async def import_(settings: Settings, sections: Sequence[Section], *, anew: bool) -> list[str]:
    """
    Write the ledgers of *sections* into the changelog of this application; what was done, a line a partition.

    *anew*: part them anew for the number of partitions the topics have now. Raises NotMovedError, LogError,
    BrokerUnavailableError; then nothing was written, or an import cut short that may be done again.
    """
    settings = await on_the_broker(settings)
    async with reader(settings) as log:
        ledgers = await _parted_anew(log, settings, sections) if anew else _as_they_are(settings, sections)
        for number, records in ledgers.items():
            why = why_not_loaded(settings, number, records) or await _why_not_here(log, settings, number, records)
            if why is not None:
                raise NotMovedError(f"the ledger of partition {number} cannot be gone on from here: {why}")
        # A worker that runs on another ledger is told from an empty changelog before it would be fenced.
        await _look(log, settings, ledgers)
        return await _write_all(log, settings, ledgers)


def _as_they_are(settings: Settings, sections: Sequence[Section]) -> dict[int, Records]:
    for section in sections:
        if section.partitions != settings.partitions:
            raise NotMovedError(
                f"the file is of {section.partitions} partitions, the topics have {settings.partitions}:"
                " `--repartition` parts it anew"
            )
    return {section.partition: section.records for section in sections}


async def _parted_anew(log: Reader, settings: Settings, sections: Sequence[Section]) -> dict[int, Records]:
    partitions = sections[0].partitions
    by_number = {section.partition: section.records for section in sections}
    missing = sorted(set(range(partitions)) - by_number.keys())
    if missing:
        raise NotMovedError(f"partition {missing[0]} of {partitions} is not in the file: all are needed to part anew")
    before = {topic for records in by_number.values() for topic in read_marker(records[MARKER]).positions}
    positions = [await _beginnings(log, settings, number, before) for number in range(settings.partitions)]
    ledgers = [by_number[number] for number in range(partitions)]
    try:
        parted = repartition(ledgers, settings.partitions, positions, ledger_limits(settings))
    except NotSettledError as error:
        told = "stop what feeds the old topics, let a tick close over all of it, stop the workers, and export again"
        raise NotMovedError(f"{error}: {told}") from None
    return dict(enumerate(parted))


async def _beginnings(log: Reader, settings: Settings, number: int, before: Iterable[str]) -> dict[str, int]:
    """Where the new inputs begin; one with the name of an old one must be empty, or it would be counted again."""
    beginnings = {}
    for topic in input_topics(settings):
        begin, end = await log.range_of(topic, number)
        if topic in before and begin != end:
            raise NotMovedError(
                f"{topic}-{number} holds records, and the ledger has read a topic of that name:"
                " part a ledger anew for topics with names of their own"
            )
        beginnings[topic] = begin
    return beginnings


async def _why_not_here(log: Reader, settings: Settings, number: int, records: Records) -> str | None:
    """Why the inputs do not go on where the ledger stands; None where they do."""
    positions = read_marker(records[MARKER]).positions
    for topic in input_topics(settings):
        if topic not in positions:
            return f"it has read {', '.join(positions) or 'nothing'}, and the settings name {topic}"
        begin, end = await log.range_of(topic, number)
        if not begin <= positions[topic] <= end:
            return f"it stands at {positions[topic]} of {topic}, which holds {begin} to {end}"
    return None


async def _write_all(log: Reader, settings: Settings, ledgers: Mapping[int, Records]) -> list[str]:
    """Fence every partition's writer, look at what is there, and only then write."""
    topic = ledger_topic(settings)
    async with AsyncExitStack() as stack:
        writers, clock = {}, Clock(time.time_ns, settings.tick_nanos)
        for number in ledgers:
            writers[number] = Checkpoints(new_producer(settings, number, AIOKafkaProducer), number, topic, clock)
            await writers[number].start()
            stack.push_async_callback(writers[number].stop)
        there = await _look(log, settings, ledgers)
        return [await _write(writers[n], n, records, there[n]) for n, records in ledgers.items()]


async def _look(log: Reader, settings: Settings, ledgers: Mapping[int, Records]) -> dict[int, Records]:
    """What the changelogs hold. Raises NotMovedError where that is another ledger."""
    there: dict[int, Records] = {}
    for number, records in ledgers.items():
        there[number] = await log.newest(ledger_topic(settings), number)
        _check_room(number, there[number], records)
    return there


def _check_room(number: int, there: Records, records: Records) -> None:
    """A changelog is empty, holds the very same, or the beginning of it without the marker."""
    if there == records:
        return
    is_a_part = MARKER not in there and all(records.get(key) == value for key, value in there.items())
    if not is_a_part:
        raise NotMovedError(
            f"partition {number} holds another ledger already ({len(there)} records): nothing was written;"
            " import under an application id of its own, or delete the ledger's topic and create it anew"
        )


async def _write(writer: Checkpoints, number: int, records: Records, there: Records) -> str:
    if there == records:
        return f"partition {number}: this ledger is there already"
    positions = read_marker(records[MARKER]).positions
    for part in _transactions(records):
        await writer.write(Cut({}, part, positions))
    return f"partition {number}: {len(records)} records written"


def _transactions(records: Records, most_bytes: int = TRANSACTION_BYTES) -> Iterator[list[tuple[bytes, bytes]]]:
    """The records by the transaction, the marker at the end of the last one."""
    part: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in sorted(records.items(), key=lambda record: record[0] == MARKER):
        if part and size + len(value) > most_bytes:
            yield part
            part, size = [], 0
        part.append((key, value))
        size += len(key) + len(value)
    yield part
