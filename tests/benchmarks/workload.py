"""
The workload of the benchmarks: plans and a backlog of full contract updates, seeded, with 5 % exact repeats.

Every update is what an ad server would send: id, source, attribution, time, money and counters. Amounts have up to
six decimals, as a CPM priced per impression has.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

CHANNELS = ("CTV", "DISPLAY", "AUDIO")
REPEAT_SHARE = 0.05
SEED = 20260101
SPREAD = timedelta(minutes=10)


def campaign_id(number: int) -> str:
    """The id of the campaign with this *number*."""
    return f"campaign-{number:07d}"


def plan(number: int, start: datetime) -> bytes:
    """A month's linear plan over three channels, as a message value."""
    return json.dumps(
        {
            "campaign_id": campaign_id(number),
            "account_id": f"account-{number % 50:03d}",
            "currency": "USD",
            "total_budget": "1000000.00",
            "flight_start": stamp(start),
            "flight_end": stamp(start + timedelta(days=30)),
            "channels": [{"channel": channel, "allocated_budget": "300000.00"} for channel in CHANNELS],
        }
    ).encode()


def updates(count: int, campaigns: int, until: datetime) -> Iterator[tuple[str, bytes]]:
    """
    *count* updates as (campaign id, message value), spread evenly over the campaigns and ten minutes.

    Each channel is bought through one deal, so a campaign has three attributions.

    One in twenty repeats, to the byte, one of the ten thousand before it.
    """
    dice = random.Random(SEED)
    recent: list[tuple[str, bytes]] = []
    start = until - SPREAD
    for number in range(count):
        if recent and dice.random() < REPEAT_SHARE:
            yield dice.choice(recent)
            continue
        made = _update(number, dice, campaigns, start + SPREAD * (number / count))
        if len(recent) < 10_000:
            recent.append(made)
        else:
            recent[number % 10_000] = made
        yield made


def _update(number: int, dice: random.Random, campaigns: int, at: datetime) -> tuple[str, bytes]:
    chosen = campaign_id(dice.randrange(campaigns))
    impressions = dice.randrange(1, 5_000)
    body = (
        f'{{"event_id":"evt-{number:012d}","source":"adserver-{number % 3}","campaign_id":"{chosen}",'
        f'"channel":"{CHANNELS[number % 3]}","deal_id":"deal-{number % 3}","line_item_id":"line-{number % 11}",'
        f'"event_time":"{stamp(at)}","kind":"increment","spend":"{impressions * 2370 // 1000}.{impressions:06d}",'
        f'"currency":"USD","impressions":{impressions},"clicks":{impressions // 97},"conversions":{impressions // 997},'
        f'"bids":{impressions * 9},"wins":{impressions + 3},"requests":{impressions * 11}}}'
    )
    return chosen, body.encode()


def stamp(at: datetime) -> str:
    """RFC 3339 with milliseconds, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
