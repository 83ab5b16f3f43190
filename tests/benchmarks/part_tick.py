"""
What a campaign's tick costs in the worker's process: counted, judged, told as bytes, and its records made.

Without a broker, on one core. Once for the plainest plan, once with everything a plan can ask for: a curve, weights of
weekdays and hours, blackouts, two changes of the budget, a zone with changes of its clocks, a deal, a seasonal
projection from ten weeks of history, a daily budget with a platform's allowance, every signal, and its account.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from tests.benchmarks.asked import Asked
from tests.benchmarks.batches import batches, ledger
from tests.benchmarks.report import Report
from tests.benchmarks.running import PLANS, SPEND
from tests.benchmarks.workload import CHANNELS, Message, campaign_id, stamp
from worker.app import GC_THRESHOLDS
from worker.events import EventWriter
from worker.ledger import RecordBatch
from worker.ledger.ledger import Ledger
from worker.ownership import collect_and_freeze
from worker.settings import Settings
from worker.tick import TURN_CAMPAIGNS
from worker.topics import output_topics

CAMPAIGNS = 1_000
HISTORY_DAYS = 70
TICKS = 20
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
    """Both plans."""
    for name, more in (("a linear plan of three channels", {}), ("everything a plan can ask for", EVERYTHING)):
        micros = _micros(more)
        report.figure(
            f"campaigns/s of a tick, {name}",
            f"{1e6 / micros:,.0f}",
            f"{micros:.0f} µs a campaign of processor time in the worker's process, the median of {TICKS} ticks over"
            f" {CAMPAIGNS:,} campaigns with {UPDATES_A_TICK} new updates each; without sending",
        )


def _micros(more: dict[str, Any]) -> float:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    held, dice = ledger(), _Numbers()
    tick = int(now.timestamp()) * 10**9
    for batch in batches(PLANS, _plans(now, more)):
        assert not held.fold_plans(batch).refused
    held.expect_tick(tick)
    _fold(held, _history(now, dice))
    _tick(held, tick, _writer())
    gc.set_threshold(*GC_THRESHOLDS)
    collect_and_freeze()
    found = []
    for number in range(1, TICKS + 1):
        _fold(held, _news(now + timedelta(minutes=number), dice))
        held.changes()
        begun = time.process_time()
        _tick(held, tick + number * MINUTE, _writer())
        found.append((time.process_time() - begun) / CAMPAIGNS * 1e6)
    return median(found)


def _tick(held: Ledger, tick: int, writer: EventWriter) -> None:
    """Judge everybody, write every event, make the records."""
    held.open_tick(tick)
    while True:
        part = held.tick_slice(TURN_CAMPAIGNS)
        for judged in part.events:
            writer.message(judged.event.body)
        if part.done:
            held.close_tick()
            held.changes()
            return


def _writer() -> EventWriter:
    return EventWriter(output_topics(Settings.model_construct()), "bench")


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
