"""
The core against the oracle: any plans, any updates, any ticks, every figure of every event.

Times and amounts are drawn from coarse grids on purpose: budgets, spends and thresholds then meet exactly, where
strictness shows.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.pure.pacing.feeding import Paced, compare

Json = dict[str, Any]

DAYS = 12
CHANNELS = ("ctv", "display", "audio")
DEALS = ("d-1", "d-2")


def at(half_days: int, nanos: int = 0) -> str:
    """An instant on the grid: half days from 2026-03-26, over a change of the clocks in Europe."""
    day, half = divmod(half_days, 2)
    fraction = f".{nanos:09d}" if nanos else ""
    month, day = (3, 26 + day) if 26 + day <= 31 else (4, 26 + day - 31)
    return f"2026-{month:02d}-{day:02d}T{12 * half:02d}:00:00{fraction}Z"


def optional(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | value


@st.composite
def thresholds(draw: DrawFn) -> Json:
    found: Json = {}
    for side in ("underpacing", "overpacing"):
        warning = draw(st.sampled_from([0, 5, 10, "12.5", 20, 50]))
        found[f"{side}_warning_pct"] = warning
        found[f"{side}_critical_pct"] = draw(st.sampled_from([c for c in (25, 50, 100) if c >= float(warning)]))
    found["exit_ratio"] = draw(st.sampled_from(["0.8", 1, "0.5", "0.000000001"]))
    found["enter_ticks"] = draw(st.sampled_from([1, 1, 1, 2, 3]))
    found["exit_ticks"] = draw(st.sampled_from([1, 1, 1, 2]))
    found["grace_days"] = draw(st.sampled_from([0, 0, 0, 1, 2]))
    found["min_expected"] = draw(st.sampled_from([0, 0, 0, 100, 500]))
    found["feed_lag_minutes"] = draw(st.sampled_from([0, 0, 0, 60, 720]))
    return found


@st.composite
def flights(draw: DrawFn) -> tuple[str, str]:
    """A start and an end in order, as times or dates."""
    start = draw(st.integers(0, 6))
    end = draw(st.integers(start + 3, start + 14))
    if draw(st.booleans()):
        return at(start), at(end)
    return at(start - start % 2)[:10], at(end)[:10]


@st.composite
def plans(draw: DrawFn, currency: str, zone: str) -> Json:
    budget = draw(st.sampled_from([1000, 1200, 6000]))
    start, end = draw(flights())
    names = draw(st.lists(st.sampled_from(CHANNELS), unique=True, max_size=3))
    channels = []
    for name in names:
        allocated = budget // 3 if draw(st.booleans()) else budget // 4
        channels.append(
            {
                "channel": name,
                "allocated_budget": allocated,
                "min_budget": draw(st.sampled_from([None, 0, allocated // 2])),
            }
        )
    deals = []
    for deal_id in draw(st.lists(st.sampled_from(DEALS), unique=True, max_size=2)):
        own = draw(flights()) if draw(st.booleans()) else (None, None)
        channel = draw(optional(st.sampled_from(names or CHANNELS)))
        deals.append(
            {
                "deal_id": deal_id,
                "channel": channel,
                "allocated_budget": budget // 8,
                "flight_start": own[0],
                "flight_end": own[1],
            }
        )
    return {
        "campaign_id": "c-1",
        "account_id": "a-1",
        "currency": currency,
        "timezone": zone,
        "total_budget": str(budget),
        "flight_start": start,
        "flight_end": end,
        "channels": channels,
        "deals": deals,
        "thresholds": draw(thresholds()),
        "reallocation": {
            "min_amount": draw(st.sampled_from([0, 1, 50, 100])),
            "max_pct": draw(st.sampled_from([0, 5, 30, 100])),
        },
        "automation": draw(st.sampled_from(["recommendations", "recommendations", "insight_only"])),
        "budget_change_policy": draw(st.sampled_from(["forward", "reflow", "rebase"])),
        "status": draw(st.sampled_from(["active"] * 8 + ["paused", "completed", "canceled"])),
        "signals": draw(st.sampled_from([None, None, {"over_budget": False}, {"spend_outside_flight": False}])),
    }


@st.composite
def updates(draw: DrawFn) -> Json:
    kind = draw(st.sampled_from(["increment"] * 6 + ["credit", "cumulative", "correction"]))
    amount = draw(st.sampled_from(["0", "25", "50", "100", "110", "125", "250", "500", "0.333333333", "33.335"]))
    update: Json = {
        "campaign_id": "c-1",
        "event_id": draw(st.sampled_from([f"e{n}" for n in range(30)])),
        "source": draw(st.sampled_from(["dsp", "dsp", "dsp", "adserver"])),
        "event_time": at(draw(st.integers(0, 2 * DAYS)), draw(st.sampled_from([0, 0, 1]))),
        "kind": kind,
        "channel": draw(optional(st.sampled_from([*CHANNELS, "radio"]))),
        "deal_id": draw(optional(st.sampled_from([*DEALS, "d-9"]))),
        "spend": "-" + amount if kind == "credit" else amount,
        "sequence": draw(optional(st.integers(0, 3))),
    }
    if kind == "correction":
        update["corrects"] = draw(st.sampled_from([f"e{n}" for n in range(30)]))
    for count in ("impressions", "requests", "bids", "wins"):
        update[count] = draw(optional(st.integers(0, 1000)))
    return update


@st.composite
def stories(draw: DrawFn) -> list[tuple[str, Any]]:
    """Plans, updates and ticks in the order they happen; a plan counts from the last tick or later."""
    currency = draw(st.sampled_from(["USD", "USD", "JPY", "KWD"]))
    zone = draw(st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]))
    story: list[tuple[str, Any]] = []
    if draw(st.booleans()):
        story.append(("feed", draw(st.lists(updates(), max_size=3))))
    story.append(("plan", (draw(plans(currency, zone)), at(0))))
    tick = draw(st.integers(0, 8))
    for _ in range(draw(st.integers(1, 6))):
        story.append(("feed", draw(st.lists(updates(), max_size=4))))
        story.append(("tick", (at(tick), draw(st.sampled_from([True, True, True, False])))))
        if draw(st.integers(0, 3)) == 0:
            story.append(("plan", (draw(plans(currency, zone)), at(tick + draw(st.sampled_from([0, 0, 1, 3]))))))
        if draw(st.integers(0, 20)) == 0:
            story.append(("end", None))
        tick += draw(st.integers(1, 4))
    return story


def play(story: list[tuple[str, Any]]) -> None:
    """Tell it to both, and compare what they tell back."""
    paced = Paced()
    for what, with_ in story:
        match what:
            case "feed":
                paced.feed(*with_)
            case "plan":
                paced.plan(*with_)
            case "end":
                paced.end_plan()
            case "tick":
                compare(*paced.tick(with_[0], complete=with_[1]))


@given(story=stories())
@settings(max_examples=300, deadline=None)
def test_every_tick_of_any_story_is_the_oracles(story: list[tuple[str, Any]]) -> None:
    play(story)


@given(plan=plans("USD", "Europe/Berlin"), fed=st.lists(updates(), max_size=10), tick=st.integers(0, 2 * DAYS + 4))
@settings(max_examples=200, deadline=None)
def test_a_first_tick_is_the_oracles(plan: Json, fed: list[Json], tick: int) -> None:
    paced = Paced()
    paced.plan(plan)
    paced.feed(*fed)
    compare(*paced.tick(at(tick), first=True))
