"""
The core against the oracle: any plans, any updates, any ticks, every figure of every event.

Times and amounts are drawn from coarse grids on purpose: budgets, spends and thresholds then meet exactly, where
strictness shows. `THOROUGH=20 pytest ...` draws twenty times as many stories.
"""

from __future__ import annotations

import os
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.pure import oracle
from tests.pure.pacing.feeding import Paced, compare

Json = dict[str, Any]

THOROUGH = int(os.environ.get("THOROUGH", "1"))

DAYS = 12
CHANNELS = ("ctv", "display", "audio")
DEALS = ("d-1", "d-2")


def at(half_days: int, nanos: int = 0) -> str:
    """An instant on the grid: half days from 2026-03-26, over a change of the clocks in Europe."""
    day, half = divmod(half_days, 2)
    fraction = f".{nanos:09d}" if nanos else ""
    month, day = (3, 26 + day) if 26 + day <= 31 else (4, 26 + day - 31)
    return f"2026-{month:02d}-{day:02d}T{12 * half:02d}:00:00{fraction}Z"


# Strategies are made once: to make one costs more than to draw from it.
COIN = st.booleans()
ONE_IN_TEN = st.integers(0, 9).map(lambda number: number == 0)
INSTANT = st.integers(0, 2 * DAYS)
EVENT_ID = st.sampled_from([f"e{n}" for n in range(30)])
AMOUNT = st.sampled_from(["0", "25", "50", "100", "110", "125", "250", "500", "0.333333333", "33.335"])
NANO = st.sampled_from([0, 0, 1])
KIND = st.sampled_from(["increment"] * 6 + ["credit", "cumulative", "correction"])
SOURCE = st.sampled_from(["dsp", "dsp", "dsp", "adserver"])
COUNT = st.none() | st.integers(0, 1000)
SEQUENCE = st.none() | st.integers(0, 3)
CHANNEL = st.none() | st.sampled_from([*CHANNELS, "radio"])
DEAL = st.none() | st.sampled_from([*DEALS, "d-9"])
WARNING = st.sampled_from(["0", "5", "10", "12.5", "20", "50"])
CRITICAL = {
    warning: st.sampled_from([critical for critical in (25, 50, 100) if critical >= Decimal(warning)])
    for warning in ("0", "5", "10", "12.5", "20", "50")
}
THRESHOLD = {
    "exit_ratio": st.sampled_from(["0.8", 1, "0.5", "0.000000001"]),
    "enter_ticks": st.sampled_from([1, 1, 1, 2, 3]),
    "exit_ticks": st.sampled_from([1, 1, 1, 2]),
    "grace_days": st.sampled_from([0, 0, 0, 1, 2]),
    "min_expected": st.sampled_from([0, 0, 0, 100, 500]),
    "feed_lag_minutes": st.sampled_from([0, 0, 0, 60, 720]),
}
BUDGET = st.sampled_from([1000, 1200, 6000])
NAMES = st.lists(st.sampled_from(CHANNELS), unique=True, max_size=3)
DEAL_IDS = st.lists(st.sampled_from(DEALS), unique=True, max_size=2)
FLIGHT_START = st.integers(0, 6)
FLIGHT_LENGTH = st.integers(3, 14)
PLAN = {
    "automation": st.sampled_from(["recommendations", "recommendations", "insight_only"]),
    "budget_change_policy": st.sampled_from(["forward", "reflow", "rebase"]),
    "status": st.sampled_from(["active"] * 8 + ["paused", "completed", "canceled"]),
    "signals": st.sampled_from(
        [None, None, {"over_budget": False}, {"spend_outside_flight": False}, {"milestone_reached": False}]
    ),
    "projection": st.sampled_from([None, "run_rate", "trailing_7d", "seasonal"]),
}
MIN_AMOUNT = st.sampled_from([0, 1, 50, 100])
MAX_PCT = st.sampled_from(["0", "0.5", "5", "30", "100"])
CURRENCY = st.sampled_from(["USD", "USD", "JPY", "KWD"])
ZONE = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"])
STEP = st.integers(1, 4)
FROM_NOW = st.sampled_from([0, 0, 1, 3])


def drawn(draw: DrawFn, strategies: dict[str, SearchStrategy[Any]]) -> Json:
    return {name: draw(strategy) for name, strategy in strategies.items()}


@st.composite
def thresholds(draw: DrawFn) -> Json:
    found = drawn(draw, THRESHOLD)
    for side in ("underpacing", "overpacing"):
        warning = found[f"{side}_warning_pct"] = draw(WARNING)
        found[f"{side}_critical_pct"] = draw(CRITICAL[warning])
    return found


@st.composite
def flights(draw: DrawFn) -> tuple[str, str]:
    """A start and an end in order, as times or dates."""
    start = draw(FLIGHT_START)
    end = start + draw(FLIGHT_LENGTH)
    if draw(COIN):
        return at(start), at(end)
    return at(start)[:10], at(end)[:10]


THRESHOLDS = thresholds()
FLIGHT = flights()


# -- the shape of a plan in time ---------------------------------------------------------------------------------------

FACTOR = st.sampled_from(["0.5", 1, "0.000000001", "0.333333333"])
FULL_AT = st.sampled_from([90, 50, "33.3", 100, "0.000000001"])
PCTS = st.sampled_from([["100"], ["50", "50"], ["0", "100"], ["12.5", "62.5", "25"], ["70", "0", "30"]])
KINDS = st.sampled_from(["linear"] * 3 + ["front_loaded", "back_loaded", "finish_early", "custom"])
WEEKDAYS = st.none() | st.lists(st.sampled_from([0, 1, 1, "1.5", 3]), min_size=7, max_size=7)
HOURS = st.none() | st.lists(st.sampled_from([0, 1, 1, 2, "0.25"]), min_size=24, max_size=24)
ONE_HOUR = st.integers(0, 23).map(lambda hour: [int(each == hour) for each in range(24)])
BLACKOUTS = st.lists(st.tuples(INSTANT, st.integers(1, 5), NANO), max_size=2)
SHAPES = st.sampled_from(["even", "curved", "weighed", "all"])


@st.composite
def curves(draw: DrawFn, start: str, end: str, budget: int) -> Json:
    """A curve over that flight; a custom one tells percentages or amounts, by days."""
    kind = draw(KINDS)
    if kind in ("front_loaded", "back_loaded"):
        return {"kind": kind, "factor": draw(FACTOR)}
    if kind == "finish_early":
        return {"kind": kind, "full_spend_at_pct": draw(FULL_AT)}
    if kind == "linear":
        return {"kind": kind}
    days = dict.fromkeys(at(half_day)[: len(start)] for half_day in range(2 * DAYS + 12))
    starts = [start, *[day for day in days if start < day < end][:2]]
    pcts = next(pcts for pcts in (draw(PCTS), ["100"]) if len(pcts) <= len(starts))
    if draw(COIN):
        return {"kind": kind, "segments": [{"start": s, "pct": p} for s, p in zip(starts, pcts, strict=False)]}
    amounts = [str(budget * Decimal(pct) / 100) for pct in pcts]
    return {"kind": kind, "segments": [{"start": s, "amount": a} for s, a in zip(starts, amounts, strict=False)]}


def calendar_of(draw: DrawFn) -> Json:
    blackouts = [{"start": at(start, nano), "end": at(start + length)} for start, length, nano in draw(BLACKOUTS)]
    return {"weekday_weights": draw(WEEKDAYS), "hour_weights": draw(HOURS | ONE_HOUR), "blackouts": blackouts}


PERIOD = st.sampled_from(["flight"] * 4 + ["weekly"] * 3 + ["monthly", "quarterly"])
RECURRENCE = {
    "rollover": st.sampled_from(["none", "carry_underspend"]),
    "partial_period": st.sampled_from(["full", "prorated"]),
}


def recurring(draw: DrawFn, plan: Json) -> Json:
    """The plan, its budget for each period; what a custom curve divides once is linear then."""
    plan = {**plan, "period": draw(PERIOD), **drawn(draw, RECURRENCE)}
    if plan["period"] != "flight":
        for of in (plan, *plan["channels"]):
            if (of.get("curve") or {}).get("kind") == "custom":
                of["curve"] = {"kind": "linear"}
    return plan


def as_far_as_it_holds(plan: Json) -> Json:
    """The plan, without its calendar where that leaves a flight or a segment with money no time."""
    version = oracle.Version(plan, 1, None)
    for scope in version.scopes:
        edges = [scope.start, scope.end]
        if scope.curve[0] == "custom":
            edges = [*scope.curve[3], scope.curve[2]]
        for left, right in pairwise(edges):
            if version.density.until(left) == version.density.until(right) or version.density.until(
                scope.start
            ) == version.density.until(scope.end):
                return {**plan, "weekday_weights": None, "hour_weights": None, "blackouts": []}
    return plan


@st.composite
def plans(draw: DrawFn, currency: str, zone: str) -> Json:
    budget = draw(BUDGET)
    start, end = draw(FLIGHT)
    names, shape = draw(NAMES), draw(SHAPES)
    channels = [channel_of(draw, name, budget // 3 if draw(COIN) else budget // 4) for name in names]
    shaped: Json = {}
    if shape in ("curved", "all"):
        shaped["curve"] = draw(curves(start, end, budget))
        for channel in channels:
            channel["curve"] = draw(curves(start, end, channel["allocated_budget"])) if draw(COIN) else None
    if shape in ("weighed", "all"):
        shaped |= calendar_of(draw)
    plan = {
        "campaign_id": "c-1",
        "account_id": "a-1",
        "currency": currency,
        "timezone": zone,
        "total_budget": str(budget),
        "flight_start": start,
        "flight_end": end,
        "channels": channels,
        "deals": [deal_of(draw, deal_id, names, budget // 8) for deal_id in draw(DEAL_IDS)],
        "thresholds": draw(THRESHOLDS),
        "reallocation": {"min_amount": draw(MIN_AMOUNT), "max_pct": draw(MAX_PCT)},
        **drawn(draw, PLAN),
        **shaped,
    }
    return as_far_as_it_holds(recurring(draw, plan))


def channel_of(draw: DrawFn, name: str, allocated: int) -> Json:
    return {"channel": name, "allocated_budget": allocated, "min_budget": allocated // 2 if draw(COIN) else None}


def deal_of(draw: DrawFn, deal_id: str, channels: list[str], allocated: int) -> Json:
    start, end = draw(FLIGHT) if draw(COIN) else (None, None)
    channel = draw(CHANNEL)
    return {
        "deal_id": deal_id,
        "channel": channel if channel in channels or not channels else None,
        "allocated_budget": allocated,
        "flight_start": start,
        "flight_end": end,
    }


@st.composite
def updates(draw: DrawFn) -> Json:
    kind, amount = draw(KIND), draw(AMOUNT)
    return {
        "campaign_id": "c-1",
        "event_id": draw(EVENT_ID),
        "source": draw(SOURCE),
        "event_time": at(draw(INSTANT), draw(NANO)),
        "kind": kind,
        "channel": draw(CHANNEL),
        "deal_id": draw(DEAL),
        "spend": "-" + amount if kind == "credit" else amount,
        "sequence": draw(SEQUENCE),
        "corrects": draw(EVENT_ID) if kind == "correction" else None,
        **{count: draw(COUNT) for count in ("impressions", "requests", "bids", "wins")},
    }


FEW_UPDATES = st.lists(updates(), max_size=4)
UPDATES = st.lists(updates(), max_size=10)
PLANS = {
    (currency, zone): plans(currency, zone)
    for currency in ("USD", "JPY", "KWD")
    for zone in ("UTC", "Europe/Berlin", "America/New_York")
}


def varied(draw: DrawFn, plan: Json) -> Json:
    """The plan sent again, with little or nothing changed."""
    changes = drawn(draw, {name: PLAN[name] for name in ("budget_change_policy", "signals")})
    if draw(COIN) and (plan.get("curve") or {}).get("kind") != "custom":
        changes["total_budget"] = str(2 * int(plan["total_budget"]))
    return {**plan, **changes}


@st.composite
def stories(draw: DrawFn) -> list[tuple[str, Any]]:
    """Plans, updates and ticks in the order they happen; a plan counts from the last tick or later."""
    plan = PLANS[draw(CURRENCY), draw(ZONE)]
    story: list[tuple[str, Any]] = []
    if draw(COIN):
        story.append(("feed", draw(FEW_UPDATES)))
    raw = draw(plan)
    story.append(("plan", (raw, at(0))))
    tick = draw(FLIGHT_START)
    for _ in range(draw(STEP) + 3):
        story.append(("feed", draw(FEW_UPDATES)))
        story.append(("tick", (at(tick), not draw(ONE_IN_TEN))))
        if draw(COIN):
            raw = varied(draw, raw) if draw(COIN) else draw(plan)
            story.append(("plan", (raw, at(tick + draw(FROM_NOW)))))
        if draw(ONE_IN_TEN) and draw(COIN):
            story.append(("end", None))
        tick += draw(STEP)
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
@settings(max_examples=80 * THOROUGH, deadline=None)
def test_every_tick_of_any_story_is_the_oracles(story: list[tuple[str, Any]]) -> None:
    play(story)


@given(plan=PLANS["USD", "Europe/Berlin"], fed=UPDATES, tick=INSTANT)
@settings(max_examples=60 * THOROUGH, deadline=None)
def test_a_first_tick_is_the_oracles(plan: Json, fed: list[Json], tick: int) -> None:
    paced = Paced()
    paced.plan(plan)
    paced.feed(*fed)
    compare(*paced.tick(at(tick), first=True))


# -- near the plan -----------------------------------------------------------------------------------------------------

SHARE = st.sampled_from(
    ["0", "0.5", "0.74", "0.75", "0.8", "0.85", "0.9", "0.92", "0.95", "1", "1.05", "1.08", "1.1", "1.15", "1.25",
     "1.26", "1.5", "2"]
)  # fmt: skip
"""What a channel has spent of its expected spend: on, inside and beyond the thresholds that are drawn."""

ALLOCATED = st.sampled_from([1000, 2000, 3000])
DAY = st.integers(2, 9)
STATUS = st.sampled_from(["active", "paused"])


@st.composite
def near_the_plan(draw: DrawFn) -> list[tuple[str, Any]]:
    """Three channels over ten days, each brought to a share of its expected spend before every day's tick."""
    budgets = {name: draw(ALLOCATED) for name in CHANNELS}
    plan: Json = {
        "campaign_id": "c-1",
        "account_id": "a-1",
        "currency": "USD",
        "total_budget": sum(budgets.values()),
        "flight_start": at(0),
        "flight_end": at(20),
        "channels": [channel_of(draw, name, budget) for name, budget in budgets.items()],
        "thresholds": draw(THRESHOLDS),
        "reallocation": {"min_amount": draw(MIN_AMOUNT), "max_pct": draw(MAX_PCT)},
    }
    story: list[tuple[str, Any]] = [("plan", (plan, at(0)))]
    spent = dict.fromkeys(CHANNELS, Decimal(0))
    for day in range(1, draw(DAY)):
        for name, budget in budgets.items():
            wanted = Decimal(draw(SHARE)) * budget * day / 10
            story.append(("feed", [brought(name, day, wanted - spent[name])]))
            spent[name] = wanted
        if draw(ONE_IN_TEN):
            plan = {**plan, "status": draw(STATUS), "thresholds": draw(THRESHOLDS)}
            story.append(("plan", (plan, at(2 * day))))
        story.append(("tick", (at(2 * day), not draw(ONE_IN_TEN))))
    return story


def brought(channel: str, day: int, change: Decimal) -> Json:
    """The update that changes a channel's spend on a day."""
    return {
        "campaign_id": "c-1",
        "event_id": f"{channel}-{day}",
        "source": "dsp",
        "event_time": at(2 * day),
        "channel": channel,
        "kind": "credit" if change < 0 else "increment",
        "spend": str(change),
    }


@given(story=near_the_plan())
@settings(max_examples=60 * THOROUGH, deadline=None)
def test_deviations_and_proposals_near_the_plan_are_the_oracles(story: list[tuple[str, Any]]) -> None:
    play(story)
