"""
The workload of the benchmarks: plans and a backlog of full contract updates, seeded, with repeats and corrections.

Every update is what an ad server would send: id, source, attribution, time, money and counters. Amounts have up to
six decimals, as a CPM priced per impression has. One in twenty repeats, to the byte, one of the ten thousand before
it; one in two hundred corrects one of them. What all of it adds up to is summed here while it is made, in integers and
without the ledger, so that a drain can be held to it.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

CHANNELS = ("CTV", "DISPLAY", "AUDIO")
REPEAT_SHARE = 0.05
CORRECTION_SHARE = 0.005
RECENT = 10_000
SEED = 20260101
SPREAD = timedelta(minutes=10)

Message = tuple[str, bytes]
"""Campaign id and message value."""


class Made(NamedTuple):
    """An update that may come again or be corrected: where it counts, and what it said."""

    campaign: str
    body: bytes
    number: int
    nanos: int
    """What the increment spent; -1 for a correction, and for what is corrected already."""


def campaign_id(number: int) -> str:
    """The id of the campaign with this *number*."""
    return f"campaign-{number:07d}"


def plans(campaigns: int, now: datetime) -> Iterator[Message]:
    """One plan a campaign, in flight for a day already; flights begin on whole seconds, as customers' do."""
    start = now.replace(microsecond=0) - timedelta(days=1)
    for number in range(campaigns):
        yield campaign_id(number), plan(number, start)


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


class Backlog:
    """
    *count* updates spread evenly over the *campaigns* and over the time up to *until*; the first is number *first*.

    Each channel is bought through one deal, so a campaign has three attributions. The sums, in nanos by campaign, are
    of what was yielded so far: *exact* counts each update once and what corrections say, *once* leaves corrections
    out, *every* counts each increment as often as it is there.
    """

    def __init__(
        self,
        count: int,
        campaigns: int,
        until: datetime,
        *,
        corrections: float = CORRECTION_SHARE,
        spread: timedelta = SPREAD,
        first: int = 0,
    ) -> None:
        self.exact: defaultdict[str, int] = defaultdict(int)
        self.once: defaultdict[str, int] = defaultdict(int)
        self.every: defaultdict[str, int] = defaultdict(int)
        self._numbers = range(first, first + count)
        self._campaigns = campaigns
        self._start = until - spread
        self._milliseconds = spread // timedelta(milliseconds=1)
        self._corrections = corrections
        self._dice = random.Random(SEED)
        self._recent: list[Made] = []
        self._stamped = (-1, "")

    def __iter__(self) -> Iterator[Message]:
        for number in self._numbers:
            made = self._repeat() or self._correction(number) or self._increment(number)
            yield made.campaign, made.body

    def _repeat(self) -> Made | None:
        if not self._recent or self._dice.random() >= REPEAT_SHARE:
            return None
        again = self._recent[int(self._dice.random() * len(self._recent))]
        if b'"increment"' in again.body:
            self.every[again.campaign] += _nanos(again.body)
        return again

    def _correction(self, number: int) -> Made | None:
        """A correction of a recent increment that is not corrected yet."""
        if not self._recent or self._dice.random() >= self._corrections:
            return None
        place = int(self._dice.random() * len(self._recent))
        original = self._recent[place]
        if original.nanos < 0:
            return None
        self._recent[place] = original._replace(nanos=-1)
        nanos = original.nanos // 2
        self.exact[original.campaign] += nanos - original.nanos
        body = _correction(number, original, self._stamp(number), nanos)
        return self._remember(number, Made(original.campaign, body, number, -1))

    def _increment(self, number: int) -> Made:
        campaign = campaign_id(int(self._dice.random() * self._campaigns))
        impressions = 1 + int(self._dice.random() * 4_999)
        nanos = spent_nanos(impressions)
        body = increment(number, campaign, self._stamp(number), impressions)
        self.exact[campaign] += nanos
        self.once[campaign] += nanos
        self.every[campaign] += nanos
        return self._remember(number, Made(campaign, body, number, nanos))

    def _remember(self, number: int, made: Made) -> Made:
        if len(self._recent) < RECENT:
            self._recent.append(made)
        else:
            self._recent[number % RECENT] = made
        return made

    def _stamp(self, number: int) -> str:
        """The time of an update; many share a millisecond, and writing it down costs as much as the rest."""
        millisecond = (number - self._numbers.start) * self._milliseconds // len(self._numbers)
        if millisecond != self._stamped[0]:
            self._stamped = (millisecond, stamp(self._start + timedelta(milliseconds=millisecond)))
        return self._stamped[1]


def spent_nanos(impressions: int) -> int:
    """What an increment over so many impressions spends: at a CPM of 2,370, to the unit, and a trace of each."""
    return impressions * 2370 // 1000 * 10**9 + impressions * 1000


def increment(number: int, campaign: str, at: str, impressions: int) -> bytes:
    """An increment as a message value."""
    return (
        f'{{"event_id":"evt-{number:012d}","source":"adserver-{number % 3}","campaign_id":"{campaign}",'
        f'"channel":"{CHANNELS[number % 3]}","deal_id":"deal-{number % 3}","line_item_id":"line-{number % 11}",'
        f'"event_time":"{at}","kind":"increment","spend":"{impressions * 2370 // 1000}.{impressions:06d}",'
        f'"currency":"USD","impressions":{impressions},"clicks":{impressions // 97},"conversions":{impressions // 997},'
        f'"bids":{impressions * 9},"wins":{impressions + 3},"requests":{impressions * 11}}}'
    ).encode()


def _correction(number: int, original: Made, at: str, nanos: int) -> bytes:
    return (
        f'{{"event_id":"evt-{number:012d}","source":"adserver-{original.number % 3}",'
        f'"campaign_id":"{original.campaign}","event_time":"{at}","kind":"correction",'
        f'"corrects":"evt-{original.number:012d}","spend":"{nanos // 10**9}.{nanos % 10**9:09d}"}}'
    ).encode()


def _nanos(increment: bytes) -> int:
    """What an increment's bytes say it spent."""
    units, _, decimals = increment.partition(b'"spend":"')[2].partition(b'"')[0].partition(b".")
    return int(units) * 10**9 + int(decimals.ljust(9, b"0"))


def stamp(at: datetime) -> str:
    """RFC 3339 with milliseconds, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
