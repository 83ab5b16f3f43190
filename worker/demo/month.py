"""
One run of the cast: broker, database and worker started in order, then the feed sent when it is due, the figures shown.

The feed begins when the worker says that it is ready, so the play is the same on a slow machine as on a fast one; the
days that have passed by then come at once, as the backlog that a worker finds in the middle of a month.

It ends for good when the person says so, when a bounded demo has seen everything (or waited long enough), or when a
part died. It ends to begin again when the last flight is over, or when the embedded broker has outgrown what it keeps.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, closing, suppress
from enum import Enum, auto
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg

from schemas.fields import NANOS
from worker.demo.broker import PARTITIONS, EmbeddedBroker, running_broker
from worker.demo.feed import NAMES, Feed
from worker.demo.postgres import EmbeddedPostgres
from worker.demo.process import WorkerProcess, is_ready, running_worker
from worker.demo.readback import Readback, connect
from worker.demo.screen import FEED, Screen, Summary, open_screen
from worker.demo.stories import Note, aligned
from worker.demo.view import Happening, Places, Seen
from worker.settings import Settings
from worker.sink.migrate import migrate
from worker.topics import every_topic

TICK_SECONDS: Final = 2

LOOK_SECONDS: Final = 0.2
READ_SECONDS: Final = 1.0

AFTERWARDS_SECONDS: Final = 10
"""How long a month goes on after its last flight, for the closing snapshots."""


class End(Enum):
    """Why a month ended."""

    STOPPED = auto()
    SEEN = auto()
    NOT_SEEN = auto()
    WORKER_DIED = auto()
    POSTGRES_DIED = auto()
    OVER = auto()
    FULL = auto()


EXIT_CODES: Final = {End.STOPPED: 0, End.SEEN: 0, End.NOT_SEEN: 1, End.WORKER_DIED: 1, End.POSTGRES_DIED: 1}
"""What the demo exits with; a month that ended for another reason is followed by another month."""

AGAIN: Final = {
    End.OVER: "the last flight is over: the month begins again",
    End.FULL: "the embedded broker has begun to drop records: the month begins again",
}


class Stage(NamedTuple):
    """What outlives a month: the server, the log's folder, the web port, the wish to stop, a bounded demo's end."""

    server: EmbeddedPostgres
    folder: Path
    web_port: int
    stop: asyncio.Event
    deadline: float | None


async def play_month(stage: Stage, number: int) -> End:
    """Play the cast once on a broker, a database and a worker of its own; why it ended."""
    names = Settings.model_construct()  # the defaults, whatever the environment says
    with ExitStack() as undo:
        broker = undo.enter_context(running_broker([topic.name for topic in every_topic(names)]))
        dsn = await _new_database(stage.server, f"pacing_{number}")
        log = stage.folder / "worker.log"
        worker = undo.enter_context(running_worker(_environment(stage, broker, dsn), stage.folder, log))
        screen = _screen(stage, Places(f"http://127.0.0.1:{stage.web_port}", broker.bootstrap, dsn, str(log)))
        undo.enter_context(closing(screen))
        return await Month(stage, Player(broker, names), worker, screen).watch(dsn)


async def _new_database(server: EmbeddedPostgres, name: str) -> str:
    """An empty database with the tables in it; where it is."""
    connection = await asyncpg.connect(server.dsn)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    await migrate(server.dsn_of(name))
    return server.dsn_of(name)


def _environment(stage: Stage, broker: EmbeddedBroker, dsn: str) -> dict[str, str]:
    """The settings of the demo's worker; all others have their defaults."""
    return {
        "PACING_KAFKA_BOOTSTRAP": broker.bootstrap,
        "PACING_EMBEDDED_BROKER": "true",
        "PACING_PARTITIONS": str(PARTITIONS),
        "PACING_REPLICATION_FACTOR": "1",
        "PACING_POSTGRES_DSN": dsn,
        "PACING_TICK_SECONDS": str(TICK_SECONDS),
        "PACING_WEB_PORT": str(stage.web_port),
        "PACING_DATA_DIR": str(stage.folder),
        "PACING_SECRETS_DIR": str(stage.folder),  # where there are none
    }


def _screen(stage: Stage, places: Places) -> Screen:
    return Summary() if stage.deadline is not None else open_screen(places)


class Player:
    """Sends the feed to the broker's topics as it becomes due, from the moment it is told to begin."""

    def __init__(self, broker: EmbeddedBroker, names: Settings) -> None:
        self.broker = broker
        self._names = names
        self._feed: Feed | None = None

    @property
    def has_begun(self) -> bool:
        """Whether there is a feed yet."""
        return self._feed is not None

    def begin(self) -> None:
        """Let the feed start at the next tick; what was before that is due now."""
        self._feed = Feed(aligned(time.time_ns(), TICK_SECONDS))

    def play(self) -> list[Note]:
        """Send what has become due; what a person would say about it."""
        if self._feed is None:
            return []
        due = self._feed.due(time.time_ns())
        plans, spend = self._names.topic_campaign_plans, self._names.topic_spend_updates
        self.broker.send((plans if message.is_plan else spend, message) for message in due.messages)
        return due.notes

    def is_over(self) -> bool:
        """Whether the last flight, and the time for its closing snapshot, are over."""
        return self._feed is not None and time.time_ns() > self._feed.ends_at + AFTERWARDS_SECONDS * NANOS


class Month:
    """A month under way: it is fed, read back and shown until there is a reason to end it."""

    def __init__(self, stage: Stage, player: Player, worker: WorkerProcess, screen: Screen) -> None:
        self._stage = stage
        self._player = player
        self._worker = worker
        self._screen = screen
        self._said: list[Happening] = []
        self._seen = Seen()
        self._is_full = False

    async def watch(self, dsn: str) -> End:
        """Feed, read back and show; why it ended, which is told where it is a failure."""
        try:
            readback = await connect(dsn)
            try:
                end = await self._until_it_ends(readback)
            finally:
                await readback.close()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self._screen.close()
            lines = self._stage.server.log_tail()
            self._screen.say(f"\nPostgreSQL does not answer: {error}; the last lines of its log:\n{lines}")
            return End.POSTGRES_DIED
        self._tell(end)
        return end

    def _tell(self, end: End) -> None:
        """Say why it ended, on a screen that is put in order first."""
        self._screen.close()
        if end is End.WORKER_DIED:
            lines = "\n  ".join(self._worker.last_words())
            self._screen.say(f"\nthe worker {self._worker.how_it_ended()}; the last lines of its log:\n  {lines}")
        elif end is End.NOT_SEEN:
            self._screen.say(f"not seen in PostgreSQL in time: {', '.join(self._seen.missing(len(NAMES)))}")
        elif end is End.STOPPED:
            self._screen.say("stopping the worker, the broker and PostgreSQL ...")

    async def _until_it_ends(self, readback: Readback) -> End:
        read_at = 0.0
        while (end := self._end()) is None:
            if not self._player.has_begun and await is_ready(self._stage.web_port):
                self._player.begin()
            self._said += [Happening(note.at, note.campaign_id, FEED, note.text) for note in self._player.play()]
            if time.monotonic() - read_at >= READ_SECONDS:
                read_at = time.monotonic()
                await self._show(readback)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stage.stop.wait(), LOOK_SECONDS)
        return end

    async def _show(self, readback: Readback) -> None:
        """Show what PostgreSQL says by now, and what the feed did meanwhile, in the order it happened."""
        reading = await readback.read()
        happenings = sorted([*self._said, *reading.happenings], key=lambda happening: happening.at)
        self._said, self._seen, self._is_full = [], reading.seen, self._player.broker.has_dropped()
        self._screen.update(reading.rows, happenings, reading.seen)

    def _end(self) -> End | None:
        """Why it ends now, if it does; the first reason that holds."""
        reasons = {
            End.STOPPED: self._stage.stop.is_set(),
            End.WORKER_DIED: not self._worker.is_running,
            End.SEEN: self._stage.deadline is not None and not self._seen.missing(len(NAMES)),
            End.NOT_SEEN: self._stage.deadline is not None and time.monotonic() > self._stage.deadline,
            End.OVER: self._player.is_over(),
            End.FULL: self._is_full,
        }
        return next((end for end, holds in reasons.items() if holds), None)
