"""
What a campaign's tick costs in the worker's process: counted, judged, told as bytes, its records made, all of it put
into Kafka's record batches, and the metrics kept.

The worker's own `Ticks` take it, over a partition and its checkpoints; only the broker is missing. On one core. Once
for the plainest plan, whose channels are all off it, once with everything a plan can ask for: a curve, weights of
weekdays and hours, blackouts, two changes of the budget, a zone with changes of its clocks, a deal, a seasonal
projection from ten weeks of history, a daily budget with a platform's allowance, every signal, and its account. Each
with new spend for everybody, and with none.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, NamedTuple

from aiokafka.producer.message_accumulator import BatchBuilder
from prometheus_client import CollectorRegistry

from tests.benchmarks.asked import Asked
from tests.benchmarks.batches import batches, ledger
from tests.benchmarks.report import Report
from tests.benchmarks.running import PLANS, SPEND
from tests.benchmarks.workload import CHANNELS, Message, campaign_id, stamp
from worker.accounts import AccountStage
from worker.app import GC_THRESHOLDS
from worker.checkpoint import Checkpoints
from worker.clock import Clock
from worker.events import EventWriter
from worker.ledger import RecordBatch
from worker.ledger.accounts import AccountLedger
from worker.ledger.ledger import Ledger
from worker.metrics import Metrics
from worker.ownership import collect_and_freeze
from worker.partition import Outbox, Partition
from worker.settings import Settings
from worker.tick import Schedule, Ticks
from worker.topics import BATCH_BYTES, output_topics

CAMPAIGNS = 1_000
HISTORY_DAYS = 70
TICKS = 20
TRANSACTION_CAMPAIGNS = 2_000
SHOWN_CAMPAIGNS = 10
"""With gauges of their own: the share of 1,000 in 100,000 campaigns."""
UPDATES_A_TICK = 5
MINUTE = 60 * 10**9

EVERYTHING: dict[str, Any] = {
    "timezone": "America/New_York",
    "curve": {"kind": "front_loaded", "factor": "0.5"},
    "weekday_weights": ["1.3", 1, 1, "1.1", "1.4", "0.35", "0.25"],
    "hour_weights": [1, 1, 1, 1, 1, 2, 4, 6, 8, 9, 9, 10, 11, 10, 9, 9, 10, 12, 16, 20, 22, 18, 8, 3],
    "deals": [{"deal_id": "deal-0", "channel": "CTV", "allocated_budget": "100000.00"}],
    "projection": "seasonal",
    "daily_budget": "2000.00",
    "platform": "google",
}


def measure(asked: Asked, report: Report) -> None:  # a part of its own size
    """Both plans, with new spend and without."""
    for name, more in (("a linear plan of three channels", {}), ("everything a plan can ask for", EVERYTHING)):
        for news, spent in _costs(more).items():
            report.figure(
                f"campaigns/s of a tick, {name}, {news}",
                f"{1e6 / spent.micros:,.0f}",
                f"{spent.micros:.0f} µs a campaign of processor time in the worker's process, where a uuid5 takes"
                f" {spent.uuid5_micros:.1f} µs: the median of {TICKS} ticks over {CAMPAIGNS:,} campaigns with"
                f" {UPDATES_A_TICK if news == NEWS else 0} new updates each; record batches included, without sending",
            )


NEWS, NO_NEWS = "with new spend", "without"


class Spent(NamedTuple):
    """Processor time of a campaign's tick, beside that of a uuid5 in the same minutes."""

    micros: float
    uuid5_micros: float


def _costs(more: dict[str, Any]) -> dict[str, Spent]:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    held, dice = ledger(), _Numbers()
    tick = int(now.timestamp()) * 10**9
    for batch in batches(PLANS, _plans(now, more)):
        assert not held.fold_plans(batch).refused
    held.expect_tick(tick)
    _fold(held, _history(now, dice))
    taken = _Taken(held)
    taken.take(tick)
    gc.set_threshold(*GC_THRESHOLDS)
    collect_and_freeze()
    micros: dict[str, list[float]] = {NEWS: [], NO_NEWS: []}
    uuids = []
    for number in range(1, 2 * TICKS + 1):
        has_news = number % 2
        if has_news:
            _fold(held, _news(now + timedelta(minutes=number), dice))
            taken.save()
        micros[NEWS if has_news else NO_NEWS].append(taken.take(tick + number * MINUTE))
        uuids.append(_uuid5_micros())
    return {news: Spent(median(found), median(uuids)) for news, found in micros.items()}


def _uuid5_micros() -> float:
    begun = time.process_time()
    for _ in range(CAMPAIGNS):
        uuid.uuid5(uuid.NAMESPACE_DNS, "pacing.snapshot_taken|summer-26")
    return (time.process_time() - begun) / CAMPAIGNS * 1e6


class _Taken:
    """A partition whose ticks are taken as in the worker, its checkpoints written to nowhere."""

    def __init__(self, held: Ledger) -> None:
        metrics = Metrics(CollectorRegistry(), shown_campaigns=SHOWN_CAMPAIGNS)
        writer = EventWriter(output_topics(Settings.model_construct()), "bench")
        self.partition = Partition(
            held,
            Outbox(0, writer),
            inputs=(PLANS, SPEND),
            accounts=_accounts(metrics),
            metrics=metrics,
            most_unsaved=1 << 30,
            width_ms=1,
        )
        self._checkpoints = Checkpoints(_NoProducer(), 0, "ledger", Clock(time.time_ns, 1 << 62))
        self._ticks = Ticks(
            self.partition,
            self,  # type: ignore[arg-type]  # as much of a saver as a tick asks for
            Schedule(MINUTE, 1.0),
            transaction_campaigns=TRANSACTION_CAMPAIGNS,
            clock=time.time_ns,
            inputs=_NoInputs(),
            metrics=metrics,
        )

    def take(self, tick: int) -> float:
        """Take a tick; the microseconds of processor time a campaign."""
        begun = time.process_time()
        asyncio.run(self._ticks.take(tick))
        return (time.process_time() - begun) / CAMPAIGNS * 1e6

    def save(self) -> None:
        """A checkpoint between ticks."""
        asyncio.run(self.cut_now())

    async def cut_now(self) -> None:
        """Write a checkpoint."""
        cut = self.partition.cut()
        if cut is not None:
            await self._checkpoints.write(cut)

    save_now = cut_now


def _accounts(metrics: Metrics) -> AccountStage:
    held = AccountLedger(0, 1, plans="caps", parts="parts")
    for topic in ("caps", "parts"):
        held.advance(topic, 0)
    return AccountStage(held, 1, plans="caps", parts="parts", changelog="account-ledger", metrics=metrics)


class _NoInputs:
    """Inputs that are read to their ends."""

    async def ends(self, _: int) -> dict[str, int]:
        return {}

    async def reopen_plans(self, _: int) -> None:
        """Nothing was held back."""


class _NoProducer:
    """As much of aiokafka's producer as a checkpoint needs, but for the network."""

    async def begin_transaction(self) -> None:
        """Nobody is asked."""

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(BATCH_BYTES, 0, is_transactional=1)

    async def send_batch(self, batch: BatchBuilder, _: str, *, partition: int) -> asyncio.Future[Any]:
        batch.close()
        sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        sent.set_result(_Appended(partition))
        return sent

    async def commit_transaction(self) -> None:
        """Nobody is asked."""


class _Appended(NamedTuple):
    """What the broker answers, without its time."""

    partition: int
    timestamp_type: int = 0


def _fold(held: Ledger, messages: Iterator[Message]) -> None:
    start = held.positions[SPEND]
    for batch in batches(SPEND, messages):
        offsets = range(start, start := start + len(batch.values))
        moved = RecordBatch(SPEND, 0, offsets, batch.keys, batch.values, batch.max_timestamp, batch.timestamps)
        assert not held.fold_spend(moved).refused


class _Numbers:
    """Numbers that never come twice, for ids."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        self._last += 1
        return self._last


def _plans(now: datetime, more: dict[str, Any]) -> Iterator[Message]:
    """A plan each; with everything, two changes of its budget and blackouts as well."""
    start = now - timedelta(days=HISTORY_DAYS)
    budgets = ("1000000.00", "1100000.00", "1050000.00") if more else ("1000000.00",)
    for number in range(CAMPAIGNS):
        for version, budget in enumerate(budgets):
            plan = {
                "campaign_id": campaign_id(number),
                "account_id": f"account-{number % 50:03d}",
                "currency": "USD",
                "total_budget": budget,
                "flight_start": stamp(start),
                "flight_end": stamp(start + timedelta(days=2 * HISTORY_DAYS)),
                "effective_at": stamp(start + timedelta(days=20 * version)),
                "channels": [{"channel": channel, "allocated_budget": "300000.00"} for channel in CHANNELS],
                "blackouts": _blackouts(start) if more else [],
                **more,
            }
            yield campaign_id(number), json.dumps(plan).encode()


def _blackouts(start: datetime) -> list[dict[str, str]]:
    days = [start + timedelta(days=12 * number) for number in range(1, 11)]
    return [{"start": stamp(day), "end": stamp(day + timedelta(hours=12))} for day in days]


def _history(now: datetime, numbers: _Numbers) -> Iterator[Message]:
    """An update a day and channel."""
    for day in range(HISTORY_DAYS, 0, -1):
        at = stamp(now - timedelta(days=day, minutes=-7))
        for number in range(CAMPAIGNS):
            for channel in CHANNELS:
                yield _update(number, channel, at, f"{1_000 + 37 * (number * day % 97)}.25", numbers)


def _news(now: datetime, numbers: _Numbers) -> Iterator[Message]:
    """Some updates of the last minute for everybody."""
    at = stamp(now - timedelta(seconds=30))
    for number in range(CAMPAIGNS):
        for place in range(UPDATES_A_TICK):
            yield _update(number, CHANNELS[place % len(CHANNELS)], at, f"1.{place}0237", numbers)


def _update(number: int, channel: str, at: str, spend: str, numbers: _Numbers) -> Message:
    update = {
        "event_id": f"evt-{numbers.next()}",
        "source": "adserver",
        "campaign_id": campaign_id(number),
        "channel": channel,
        "event_time": at,
        "spend": spend,
        "impressions": 1_000 + number % 97,
        "requests": 3_000,
    }
    return campaign_id(number), json.dumps(update).encode()
