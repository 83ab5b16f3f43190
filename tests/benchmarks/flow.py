"""
Input without end: so much of it waits that the worker never runs short, so little that it never falls far behind.

The feed looks at the worker's own position (the group's offsets) and sends what is missing to *ahead* records beyond
it. So it is as fast as the worker, on whatever machine, and its topic may be kept short: see `shorten_logs`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

from confluent_kafka import Consumer, Producer

from tests.benchmarks.running import OUTPUTS, SPEND, App, committed
from tests.benchmarks.waiting import NoFigureError
from tests.benchmarks.workload import Message, campaign_id, increment, spent_nanos, stamp

CHUNK = 5_000
LOOK_SECONDS = 0.1
FLUSH_SECONDS = 60
PATIENCE = {"checkpoint_timeout_seconds": 120}
"""Settings of a worker at full input for minutes: others may have its core meanwhile, and how long it takes is told."""
REPEATED = 20
"""One record in so many is the one before it, once more."""

MIB = 1 << 20
SEGMENT_BYTES = 16 * MIB
SPEND_BYTES = 128 * MIB
OUTPUT_BYTES = 64 * MIB


def shorten_logs(app: App) -> None:
    """
    Let the broker keep only the newest bytes of spend and events, and compact the ledger's topics as ever.

    It deletes whole segments but the newest, so a log is up to two segments longer.
    """
    kept = {SPEND: SPEND_BYTES} | {app.output(kind): OUTPUT_BYTES for kind in OUTPUTS}
    for topic, most in kept.items():
        app.alter(topic, retention_bytes=str(most), segment_bytes=str(SEGMENT_BYTES), file_delete_delay_ms="1000")
    app.alter(app.ledger, file_delete_delay_ms="1000")


class Updates:
    """The updates in their order, each campaign in turn; *made* counts them, repeats left out."""

    def __init__(self, campaigns: int) -> None:
        self.made = 0
        self._campaigns = campaigns
        self._turn = 0
        self._last: Message = ("", b"")

    def some(self, count: int) -> Iterator[Message]:
        """The next *count*, dated now."""
        at = stamp(datetime.now(UTC))
        for _ in range(count):
            self._turn += 1
            if self._turn % REPEATED:
                self._last = self._next(at)
            yield self._last

    def _next(self, at: str) -> Message:
        number, self.made = self.made, self.made + 1
        campaign = campaign_id(number % self._campaigns)
        return campaign, increment(number, campaign, at, self._impressions(number % self._campaigns))

    @staticmethod
    def _impressions(place: int) -> int:
        return 1 + place * 7_919 % 4_999

    def totals(self) -> dict[str, int]:
        """What each campaign has spent, in nanos: its amount is always the same."""
        rounds, more = divmod(self.made, self._campaigns)
        return {
            campaign_id(place): (rounds + (place < more)) * spent_nanos(self._impressions(place))
            for place in range(self._campaigns)
        }


class Flow:
    """Sends updates over *campaigns* while it flows, *ahead* of what *app* has saved."""

    def __init__(self, app: App, campaigns: int, ahead: int) -> None:
        self.sent = 0
        self.saved = 0
        self.updates = Updates(campaigns)
        self._app = app
        self._ahead = ahead
        self._stop = threading.Event()
        self._broke: BaseException | None = None

    @contextlib.contextmanager
    def flowing(self) -> Iterator[None]:
        """Send in the background until the block ends; NoFigureError where not all of it was taken."""
        thread = threading.Thread(target=self._guarded, name="flow")
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
        self.check()

    def check(self) -> None:
        """NoFigureError if the feed has broken."""
        if self._broke is not None:
            raise NoFigureError(f"the feed broke: {self._broke!r}") from self._broke

    def _guarded(self) -> None:
        try:
            self._flow()
        except Exception as broke:  # noqa: BLE001  of another thread: told to the one that measures
            self._broke = broke

    def _flow(self) -> None:
        address = {"bootstrap.servers": self._app.bootstrap}
        producer = Producer({**address, "partitioner": "murmur2_random", "linger.ms": 20, "acks": 1})
        with contextlib.closing(Consumer({**address, "group.id": self._app.name, "log_level": 0})) as group:
            while not self._stop.is_set():
                self.saved = max(self.saved, committed(group, SPEND))
                room = self._ahead - (self.sent - self.saved)
                if room > 0:
                    self._send(producer, min(room, CHUNK))
                else:
                    self._stop.wait(LOOK_SECONDS)
        if left := producer.flush(FLUSH_SECONDS):
            raise NoFigureError(f"{left} updates were not acknowledged within {FLUSH_SECONDS} s")

    def _send(self, producer: Producer, count: int) -> None:
        for campaign, value in self.updates.some(count):
            while True:
                try:
                    producer.produce(SPEND, value, campaign)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.poll(0)
        self.sent += count
