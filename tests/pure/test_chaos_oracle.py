"""The fast oracle of the chaos runs, held to the slow one, which knows fractions and asks for nothing."""

from __future__ import annotations

import itertools
import json
import random
from fractions import Fraction
from typing import Any, Final

import pytest

from tests.chaos.feed import Updates
from tests.chaos.oracle import FIGURES, MONEY, PartitionOracle, instant, nanos, read
from tests.pure.oracle import Accepted, Fed, accept, by
from tests.pure.oracle import instant as slow_instant

CAMPAIGNS: Final = [f"campaign-{number}" for number in range(4)]
NANOS: Final = 10**9

Totals = dict[tuple[str | None, str | None], list[int]]


def in_nanos(totals: Any) -> Totals:
    """The slow oracle's totals as the fast one has them."""
    return {
        place: [int(figures[name] * (NANOS if name in MONEY else 1)) for name in FIGURES]
        for place, figures in totals.items()
        if any(figures.values())
    }


def without_nothing(totals: Totals) -> Totals:
    return {place: figures for place, figures in totals.items() if any(figures)}


@pytest.fixture(scope="module", params=[1, 2, 3])
def fed(request: pytest.FixtureRequest) -> tuple[PartitionOracle, list[tuple[int, dict[str, Any]]]]:
    """Some thousand updates, taken by the fast oracle; and those that can be read, with their offsets."""
    fast = PartitionOracle()
    readable = []
    for offset, (key, value) in enumerate(itertools.islice(Updates(CAMPAIGNS, request.param), 4_000)):
        fast.take(offset, key.encode(), value)
        if read(key.encode(), value) is not None:
            readable.append((offset, json.loads(value)))
    return fast, readable


def slowly(readable: list[tuple[int, dict[str, Any]]], campaign: str, before: int) -> Accepted:
    return accept((Fed(u, held=False) for n, u in readable if n < before and u["campaign_id"] == campaign), "USD")


def test_both_oracles_hold_the_same_totals_before_any_offset_and_up_to_any_time(
    fed: tuple[PartitionOracle, list[tuple[int, dict[str, Any]]]],
) -> None:
    fast, readable = fed
    dice = random.Random(1)
    for campaign in CAMPAIGNS:
        for before in (4_000, *(dice.randrange(4_000) for _ in range(3))):
            accepted = slowly(readable, campaign, before)
            times = sorted(update["event_time"] for update in accepted.updates)
            for as_of in (times[-1], *dice.choices(times, k=3)):
                exact = in_nanos(by(accepted.updates, as_of))
                assert without_nothing(fast.totals(campaign, before, int(as_of * NANOS))) == exact, (campaign, before)


def test_both_oracles_accept_and_refuse_the_same(
    fed: tuple[PartitionOracle, list[tuple[int, dict[str, Any]]]],
) -> None:
    fast, readable = fed
    accepted = [slowly(readable, campaign, 4_000) for campaign in CAMPAIGNS]
    unreadable = 4_000 - len(readable)
    assert fast.accepted == sum(len(each.updates) for each in accepted)
    assert len(fast.refused) == unreadable + sum(each.conflicts for each in accepted)
    assert fast.accepted + fast.repeats + len(fast.refused) == 4_000


def test_the_feed_has_everything_it_promises() -> None:
    records = list(itertools.islice(Updates(CAMPAIGNS, 7), 40_000))
    told = [read(key.encode(), value) for key, value in records]
    fast = PartitionOracle()
    for offset, (key, value) in enumerate(records):
        fast.take(offset, key.encode(), value)
    assert 0.0004 < (len(fast.refused) - told.count(None)) / 40_000 < 0.002
    kinds = [update["kind"] for update in told if update is not None]
    for kind, least, most in (("credit", 0.007, 0.013), ("correction", 0.007, 0.015), ("cumulative", 0.04, 0.07)):
        assert least < kinds.count(kind) / 40_000 < most, kind
    seen = [(update["campaign_id"], update["event_id"]) for update in told if update is not None]
    assert 0.04 < 1 - len(set(seen)) / len(seen) < 0.06
    assert 0.0004 < told.count(None) / 40_000 < 0.002


@pytest.mark.parametrize("text", ["0", "12.5", "-0.000000001", "999999999999.999999999"])
def test_money_is_read_to_the_nano(text: str) -> None:
    assert nanos(text) == Fraction(text) * NANOS


@pytest.mark.parametrize("text", ["1.0000000001", "NaN", "", "1e3", "+1", "1000000000000"])
def test_what_is_no_amount_is_none(text: str) -> None:
    assert nanos(text) is None


@pytest.mark.parametrize("text", ["2026-07-01T00:00:00Z", "2026-07-01T02:00:00.123456789+02:00"])
def test_times_are_read_to_the_nano(text: str) -> None:
    assert instant(text) == slow_instant(text) * NANOS
    assert instant(text.removesuffix("Z").removesuffix("+02:00")) is None
