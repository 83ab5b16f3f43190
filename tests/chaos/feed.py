"""
The feed of a chaos run: seeded updates of every kind, among them what is wrong, late, twice and corrected.

Of a hundred records about 5 repeat one that came before, byte for byte; 2 are dated days ago; 1 takes money back; 1
corrects another, sometimes before that one comes; 5 are running totals, of which some overtake each other; 0.1 are no
update at all and 0.1 contradict what was said under the same id. The dice decide all of it but the present.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from confluent_kafka import Producer

from tests.kafka.stage import CHANNELS, PARTITIONER, Stage, plan

Json = dict[str, Any]
Keyed = tuple[str, bytes]

REPEATED: Final = 0.05
LATE: Final = 0.02
CREDITS: Final = 0.01
CORRECTIONS: Final = 0.01
CUMULATIVE: Final = 0.05
GARBAGE: Final = 0.001
CONFLICTS: Final = 0.001
OUT_OF_ORDER: Final = 0.1
"""Of corrections and running totals, those that come before what should come before them."""

SLOWER: Final = 10
"""So much slower they come once there were as many as there must be, until the faults are over."""

REMEMBERED: Final = 4_096
TURN_SECONDS: Final = 0.02
FLUSH_SECONDS: Final = 60.0


class Updates:
    """The records, in the order in which they are sent."""

    def __init__(self, campaigns: list[str], seed: int) -> None:
        self._campaigns = campaigns
        self._dice = random.Random(seed)
        self._number = 0
        self._sent: deque[Keyed] = deque(maxlen=REMEMBERED)
        self._increments: deque[Json] = deque(maxlen=REMEMBERED)
        self._totals: dict[tuple[str, str | None], tuple[int, int, int]] = {}
        self._after: deque[Keyed] = deque()
        """What was overtaken, and comes next."""

    def __iter__(self) -> Iterator[Keyed]:
        while True:
            record = self._next()
            self._sent.append(record)
            yield record

    def _next(self) -> Keyed:
        if self._after:
            return self._after.popleft()
        roll = self._dice.random()
        for share, make in (
            (REPEATED, self._repeat),
            (GARBAGE, self._garbage),
            (CONFLICTS, self._conflict),
            (CUMULATIVE, self._report),
            (CORRECTIONS, self._correction),
        ):
            if roll < share and self._increments:
                return make()
            roll -= share
        return _keyed(self._increment())

    def _said(self, kind: str, source: str, campaign: str) -> Json:
        self._number += 1
        late = self._dice.random() < LATE
        when = datetime.now(UTC) - timedelta(seconds=self._dice.uniform(60, 5 * 86_400) if late else 0)
        return {
            "event_id": f"{kind}-{self._number}",
            "source": source,
            "campaign_id": campaign,
            "event_time": when.isoformat(),
            "kind": kind,
        }

    def _increment(self) -> Json:
        dice = self._dice
        is_credit = dice.random() < CREDITS
        sign, count = ("-", -1) if is_credit else ("", 1)
        update = self._said("credit" if is_credit else "increment", "ads", dice.choice(self._campaigns))
        update |= {"spend": sign + self._amount(), "impressions": count * dice.randrange(1_000)}
        if (channel := dice.choice(CHANNELS)) is not None:
            update["channel"] = channel
        if dice.random() < 0.1:
            update |= {"clicks": count * dice.randrange(9), "conversion_value": sign + self._amount()}
        self._increments.append(update)
        return update

    def _amount(self) -> str:
        amount = self._dice.randrange(40 * 10**9)
        return f"{amount // 10**9}.{amount % 10**9:09d}"

    def _repeat(self) -> Keyed:
        return self._dice.choice(self._sent)

    def _conflict(self) -> Keyed:
        first = self._dice.choice(self._increments)
        return _keyed({**first, "impressions": first["impressions"] + (1 if first["kind"] == "increment" else -1)})

    def _garbage(self) -> Keyed:
        good = self._increment()
        self._increments.pop()
        text = json.dumps(good).encode()
        campaign = good["campaign_id"]
        without = {name: value for name, value in good.items() if name != "event_id"}
        return self._dice.choice(
            [
                (campaign, b""),
                (campaign, b"null"),
                (campaign, b"\xff\xfe{}"),
                (campaign, text[:-7]),
                (campaign, b"[" + text + b"]"),
                (campaign, json.dumps(without).encode()),
                (campaign, json.dumps(good | {"spend": "1.0000000001"}).encode()),
                (campaign, json.dumps(good | {"spend": "NaN"}).encode()),
                (campaign, json.dumps(good | {"event_time": "2026-07-01T00:00:00"}).encode()),
                (campaign, json.dumps(good | {"kind": "increment", "spend": "-1"}).encode()),
                ("nobody", text),
            ]
        )

    def _correction(self) -> Keyed:
        dice = self._dice
        overtakes = dice.random() < OUT_OF_ORDER
        original = self._increment() if overtakes else dice.choice(self._increments)
        sign, count = ("-", -1) if original["kind"] == "credit" else ("", 1)
        correction = self._said("correction", original["source"], original["campaign_id"])
        correction |= {"corrects": original["event_id"], "spend": sign + self._amount()}
        if dice.random() < 0.5:
            correction["impressions"] = count * dice.randrange(1_000)
        if dice.random() < 0.5:
            correction["sequence"] = dice.randrange(5)
        if overtakes:
            self._after.append(_keyed(original))
        return _keyed(correction)

    def _report(self) -> Keyed:
        campaign, channel = self._dice.choice(self._campaigns), self._dice.choice(CHANNELS)
        report = self._total(campaign, channel)
        if self._dice.random() < OUT_OF_ORDER:
            self._after.append(report)
            return self._total(campaign, channel)
        return report

    def _total(self, campaign: str, channel: str | None) -> Keyed:
        sequence, spend, impressions = self._totals.get((campaign, channel), (0, 10**12, 10**6))
        sequence, spend = sequence + 1, max(0, spend + self._dice.randrange(-5 * 10**9, 20 * 10**9))
        impressions += self._dice.randrange(100)
        self._totals[campaign, channel] = (sequence, spend, impressions)
        report = self._said("cumulative", "totals", campaign)
        report |= {"event_time": datetime.now(UTC).isoformat(), "sequence": sequence, "impressions": impressions}
        report["spend"] = f"{spend // 10**9}.{spend % 10**9:09d}"
        return _keyed(report if channel is None else report | {"channel": channel})


def _keyed(update: Json) -> Keyed:
    return update["campaign_id"], json.dumps(update).encode()


class ChaosFeed:
    """Sends so many updates while the faults happen: *per_second*, and at least *least* in all."""

    def __init__(self, stage: Stage, *, campaigns: int, seed: int, least: int, per_second: float) -> None:
        self.campaigns = [f"campaign-{number:05d}" for number in range(campaigns)]
        self.sent = 0
        self._stage = stage
        self._updates = iter(Updates(self.campaigns, seed))
        self._least = least
        self._per_second = per_second
        self._producer = Producer(
            {
                "bootstrap.servers": stage.bootstrap,
                "partitioner": PARTITIONER,
                "compression.type": "lz4",
                "linger.ms": 5,
                "acks": "all",
                "enable.idempotence": True,
                "message.timeout.ms": 0,  # a broker that is away is waited for: what is sent is not to be lost
                "log_level": 0,
                "error_cb": lambda _error: None,
            }
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._flow, name="feed")

    def plan_all(self) -> None:
        """A plan for every campaign: some with so little money that their deviations and proposals come and go."""
        for number, campaign in enumerate(self.campaigns):
            budget = 10 ** (3 + number % 4)
            channels = [{"channel": name, "allocated_budget": str(budget // 4)} for name in CHANNELS if name]
            fields = plan(campaign, total_budget=str(budget), channels=channels)
            self._producer.produce(self._stage.plans, fields, campaign.encode())
        assert self._producer.flush(FLUSH_SECONDS) == 0

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Send while the block lasts."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def finish(self) -> None:
        """Send what is left of the least there must be, at once, and wait until all is acknowledged."""
        while self.sent < self._least:
            self._send(min(1_000, self._least - self.sent))
        assert self._producer.flush(FLUSH_SECONDS) == 0, "the feed was not acknowledged"

    def _flow(self) -> None:
        began = time.monotonic()
        while not self._stop.wait(TURN_SECONDS):
            due = (time.monotonic() - began) * self._per_second
            self._send(int(min(due, self._least + (due - self._least) / SLOWER)) - self.sent)

    def _send(self, count: int) -> None:
        for _ in range(count):
            key, value = next(self._updates)
            self._produce(key, value)
            self.sent += 1
        self._producer.poll(0)

    def _produce(self, key: str, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(self._stage.spend, value, key.encode())
            except BufferError:
                self._producer.poll(0.1)
            else:
                return
