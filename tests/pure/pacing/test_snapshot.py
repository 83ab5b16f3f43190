"""The figures of a snapshot, with the worked examples of the field and what their own cards round away."""

# ruff: noqa: E501  # a row of a table is one line

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from tests.pure.pacing.feeding import QUIET, Paced, compare
from worker.pacing.snapshot import band

Json = dict[str, Any]

APRIL: Json = {
    "campaign_id": "c-1",
    "account_id": "a-1",
    "currency": "USD",
    "total_budget": 20_000,
    "flight_start": "2026-04-01",
    "flight_end": "2026-04-30",
    "signals": QUIET,
}


def spent(amount: object, at: str = "2026-04-02T00:00:00Z", **more: Any) -> Json:
    """An update; a negative amount is a credit."""
    name = f"e-{amount}-{at}-{sorted(more.items())}"
    kind = "credit" if str(amount).startswith("-") else "increment"
    return {
        "campaign_id": "c-1",
        "event_id": name,
        "source": "dsp",
        "event_time": at,
        "spend": amount,
        "kind": kind,
        **more,
    }


def snapshot(as_of: str, *updates: Json, **plan: Any) -> Json:
    """The body of the one snapshot of a first tick, which is the oracle's too."""
    paced = Paced()
    paced.plan({**APRIL, **plan})
    paced.feed(*updates)
    events, told = paced.tick(as_of, first=True)
    compare(events, told)
    return events[0].body


def day_is_over(day: int) -> str:
    """The midnight that ends a day of April."""
    return f"2026-04-{day + 1:02d}T00:00:00Z"


@pytest.mark.parametrize(
    ("budget", "spend", "day", "used", "variance", "named"),
    [
        pytest.param(9_000, 7_800, 22, 86.67, 13.33, "mild", id="AdRoll site retargeting: 7800/9000 - 22/30, not +14"),
        pytest.param(6_500, 4_200, 22, 64.62, -8.72, "drift", id="AdRoll lookalike: 4200/6500 - 22/30, not -8"),
        pytest.param(3_000, 2_400, 22, 80.00, 6.67, "drift", id="AdRoll cart abandoner: 2400/3000 - 22/30"),
        pytest.param(1_500, 700, 22, 46.67, -26.67, "strong", id="AdRoll brand-safe: 700/1500 - 22/30"),
        pytest.param(20_000, 15_100, 22, 75.50, 2.17, "on_pace", id="AdRoll account: 15100/20000 - 22/30, not +3"),
        pytest.param(16_000, 11_200, 18, 70.00, 10.00, "drift", id="Criteo lower funnel: 11200/16000 - 18/30, the end of its band"),
        pytest.param(8_000, 4_400, 18, 55.00, -5.00, "on_pace", id="Criteo mid funnel: 4400/8000 - 18/30, the end of its band"),
        pytest.param(5_000, 1_400, 18, 28.00, -32.00, "sharp", id="Criteo Commerce Media: 1400/5000 - 18/30"),
        pytest.param(1_000, 600, 18, 60.00, 0.00, "on_pace", id="Criteo sponsored: 600/1000 - 18/30"),
        pytest.param(30_000, 17_600, 18, 58.67, -1.33, "on_pace", id="Criteo account: 17600/30000 - 18/30"),
        pytest.param(18_000, 12_400, 18, 68.89, 8.89, "drift", id="StackAdapt display: 12400/18000 - 18/30"),
        pytest.param(22_000, 18_200, 18, 82.73, 22.73, "strong", id="StackAdapt CTV: 18200/22000 - 18/30"),
        pytest.param(8_000, 5_400, 18, 67.50, 7.50, "drift", id="StackAdapt native: 5400/8000 - 18/30"),
        pytest.param(5_000, 3_200, 18, 64.00, 4.00, "on_pace", id="StackAdapt audio: 3200/5000 - 18/30"),
        pytest.param(7_000, 4_800, 18, 68.57, 8.57, "drift", id="StackAdapt retargeting: 4800/7000 - 18/30"),
        pytest.param(60_000, 44_000, 18, 73.33, 13.33, "mild", id="StackAdapt account: 44000/60000 - 18/30"),
    ],
)  # fmt: skip
def test_used_variance_and_band_of_the_cards(
    budget: int, spend: int, day: int, used: float, variance: float, named: str
) -> None:
    body = snapshot(day_is_over(day), spent(spend), total_budget=budget)
    assert (body["budget_used_pct"], body["variance_pp"], body["band"]) == (used, variance, named)
    assert body["elapsed_pct"] == {22: 73.33, 18: 60.0}[day]


IAB: Json = {
    "total_budget": 150_000,
    "flight_start": "2026-07-01T00:00:00Z",
    "flight_end": "2026-09-30T00:00:00Z",
    "channels": [
        {"channel": "CTV", "allocated_budget": 75_000},
        {"channel": "DISPLAY", "allocated_budget": 45_000},
        {"channel": "AUDIO", "allocated_budget": 30_000},
    ],
    "deals": [
        {"deal_id": "deal-001", "channel": "CTV", "allocated_budget": 40_000},
        {"deal_id": "deal-002", "channel": "CTV", "allocated_budget": 35_000},
    ],
}
IAB_SPEND = [
    spent(16_000, "2026-08-01T00:00:00Z", deal_id="deal-001", impressions=640_000, bids=3_000_000, wins=1_000_000),
    spent(14_000, "2026-08-01T00:00:00Z", deal_id="deal-002", impressions=560_000),
    spent(28_000, "2026-08-01T00:00:00Z", channel="DISPLAY", impressions=2_800_000, requests=3_000_000),
    spent(10_000, "2026-08-01T00:00:00Z", channel="AUDIO", impressions=600_000),
]


def test_the_buyer_agents_example_by_times() -> None:
    body = snapshot("2026-08-15T00:00:00Z", *IAB_SPEND, **IAB)
    assert body["expected_spend"] == "74175.82"  # 150000 x 45/91, where the document prints 73,770
    assert (body["total_spend"], body["pacing_pct"], body["deviation_pct"]) == ("68000.00", 91.67, -8.33)
    assert (body["remaining_budget"], body["required_daily_spend"]) == ("82000.00", "1782.61")  # 82000 / 46
    assert (body["elapsed_pct"], body["band"]) == (49.45, "on_pace")
    assert body["worst_child"] == {"scope": "channel", "scope_id": "AUDIO", "deviation_pct": -32.59}
    rows = [
        (c["channel"], c["expected_spend"], c["deviation_pct"], c["effective_cpm"]) for c in body["channel_snapshots"]
    ]
    assert rows == [
        ("CTV", "37087.91", -19.11, "25.00"),  # 30000 / 1,200,000 impressions
        ("DISPLAY", "22252.75", 25.83, "10.00"),
        ("AUDIO", "14835.16", -32.59, "16.67"),
    ]
    deals = [(d["deal_id"], d["channel"], d["spend"], d["win_rate"]) for d in body["deal_snapshots"]]
    assert deals == [("deal-001", "CTV", "16000.00", 0.3333), ("deal-002", "CTV", "14000.00", None)]
    assert [c["fill_rate"] for c in body["channel_snapshots"]] == [None, 0.9333, None]
    assert len(body["recommendations"]) == 1


def test_the_buyer_agents_example_by_dates() -> None:
    dates = {**IAB, "flight_start": "2026-07-01", "flight_end": "2026-09-30"}
    body = snapshot("2026-08-15T00:00:00Z", *IAB_SPEND, **dates)
    assert body["expected_spend"] == "73369.57"  # 150000 x 45/92: the last day counts


def test_the_optimizers_daily_target() -> None:
    body = snapshot(day_is_over(26), spent(33_100), total_budget=38_000)
    assert body["required_daily_spend"] == "1225.00"  # (38000 - 33100) / 4 days


def test_before_the_flight_there_is_no_pacing() -> None:
    body = snapshot("2026-03-31T00:00:00Z")
    assert (body["expected_spend"], body["pacing_pct"], body["deviation_pct"]) == ("0.00", None, None)
    assert (body["elapsed_pct"], body["budget_used_pct"], body["variance_pp"]) == (0.0, 0.0, 0.0)
    assert (body["data_through"], body["worst_child"]) == (None, None)
    assert body["required_daily_spend"] == "666.67"  # all of it over all 30 days


def test_after_the_flight_no_time_is_left() -> None:
    body = snapshot("2026-05-02T00:00:00Z", spent(15_000))
    assert (body["expected_spend"], body["pacing_pct"], body["elapsed_pct"]) == ("20000.00", 75.0, 100.0)
    assert body["required_daily_spend"] is None


def test_an_overspent_budget_leaves_a_negative_rest_and_nothing_to_spend() -> None:
    body = snapshot(day_is_over(10), spent("20000.005"))
    assert (body["remaining_budget"], body["required_daily_spend"]) == ("-0.005", "0.00")


def test_what_was_fed_is_carried_exactly_and_what_is_derived_is_rounded_once() -> None:
    body = snapshot(day_is_over(10), spent("0.00237"), spent("0.002"), total_budget="0.1")
    assert body["total_spend"] == "0.00437"
    assert body["remaining_budget"] == "0.09563"
    assert body["expected_spend"] == "0.03"  # 0.1 / 3


def test_a_currency_without_minor_units_prints_none() -> None:
    body = snapshot(day_is_over(10), spent(500), spent("0.5"), currency="JPY", total_budget=1000)
    assert (body["expected_spend"], body["total_spend"], body["required_daily_spend"]) == ("333", "500.5", "25")


def test_a_tiny_budget_prints_its_large_percentages_exactly() -> None:
    body = snapshot(day_is_over(15), spent(999_999_999_999), total_budget="0.000000001")
    assert str(body["budget_used_pct"]) == "99999999999900000000000.00"


@pytest.mark.parametrize(
    ("wins", "bids", "expected"),
    [(1, 3, 0.3333), (0, 5, 0.0), (5, 0, None), (0, 0, None), (None, None, None), (7, 4, 1.75)],
)
def test_win_rate(wins: int | None, bids: int | None, expected: float | None) -> None:
    deals = [{"deal_id": "d", "allocated_budget": 1}]
    body = snapshot(day_is_over(1), spent(1, deal_id="d", wins=wins, bids=bids), deals=deals)
    assert body["deal_snapshots"][0]["win_rate"] == expected


@pytest.mark.parametrize(
    ("impressions", "spend", "expected"),
    [
        (1000, "2.37", "2.37"),
        (3, "0.01", "3.33"),
        (0, 5, None),
        (None, 5, None),
        (1, "0", "0.00"),
        (1000, "-5", "-5.00"),
    ],
)
def test_effective_cpm(impressions: int | None, spend: str, expected: str | None) -> None:
    channels = [{"channel": "ctv", "allocated_budget": 1}]
    body = snapshot(day_is_over(1), spent(spend, channel="ctv", impressions=impressions), channels=channels)
    assert body["channel_snapshots"][0]["effective_cpm"] == expected


def test_impressions_taken_back_below_zero_have_no_cpm_and_no_rate() -> None:
    channels = [{"channel": "ctv", "allocated_budget": 100}]
    updates = [
        spent(1, channel="ctv", impressions=1, requests=1),
        spent(-1, channel="ctv", impressions=-3, requests=-2),
    ]
    child = snapshot(day_is_over(1), *updates, channels=channels)["channel_snapshots"][0]
    assert (child["impressions"], child["effective_cpm"], child["fill_rate"]) == (-2, None, None)


def test_spend_is_attributed_to_its_channel_and_its_deals_channel() -> None:
    plan = {
        "channels": [{"channel": "ctv", "allocated_budget": 100}, {"channel": "audio", "allocated_budget": 100}],
        "deals": [
            {"deal_id": "d", "channel": "ctv", "allocated_budget": 50},
            {"deal_id": "free", "allocated_budget": 50},
        ],
    }
    updates = [
        spent(1),
        spent(2, channel="ctv"),
        spent(4, deal_id="d"),
        spent(8, deal_id="d", channel="audio"),
        spent(16, deal_id="free"),
        spent(32, deal_id="unknown", channel="ctv"),
        spent(64, channel="radio"),
    ]
    body = snapshot(day_is_over(1), *updates, **plan)
    assert body["total_spend"] == "127.00"
    assert {c["channel"]: c["spend"] for c in body["channel_snapshots"]} == {"ctv": "38.00", "audio": "8.00"}
    assert {d["deal_id"]: d["spend"] for d in body["deal_snapshots"]} == {"d": "12.00", "free": "16.00"}


def test_a_deal_follows_its_own_flight() -> None:
    deals = [
        {"deal_id": "own", "allocated_budget": 100, "flight_start": "2026-04-06", "flight_end": "2026-04-15"},
        {"deal_id": "follows", "allocated_budget": 100},
    ]
    expected = {
        day: [deal["expected_spend"] for deal in snapshot(day_is_over(day), deals=deals)["deal_snapshots"]]
        for day in (5, 6, 15, 20)
    }
    assert expected == {5: ["0.00", "16.67"], 6: ["10.00", "20.00"], 15: ["100.00", "50.00"], 20: ["100.00", "66.67"]}


def test_updates_after_the_tick_are_future_spend() -> None:
    tick = "2026-04-10T00:00:00Z"
    body = snapshot(tick, spent(1, tick), spent(2, "2026-04-10T00:00:00.000000001Z"), spent(4, "2026-05-01T00:00:00Z"))
    assert (body["total_spend"], body["future_spend"], body["data_through"]) == ("1.00", "6.00", tick)


@pytest.mark.parametrize(
    ("children", "expected"),
    [
        pytest.param({"a": 90, "b": 111, "c": 100}, ("b", 11.0), id="the largest, whatever its side"),
        pytest.param({"b": 110, "a": 90}, ("a", -10.0), id="of equals the first name"),
        pytest.param({"a": 110, "b": 90}, ("a", 10.0), id="of equals the first name, also when it comes first"),
        pytest.param({"a": "110.000000001", "b": "110.000000002"}, ("b", 10.0), id="compared exactly"),
        pytest.param({"a": "89.999999999", "b": "110.000000002"}, ("b", 10.0), id="compared exactly, across sides"),
    ],
)
def test_the_worst_child(children: dict[str, Any], expected: tuple[str, float]) -> None:
    channels = [{"channel": name, "allocated_budget": 3000} for name in children]
    updates = [spent(amount, channel=name) for name, amount in children.items()]
    worst = snapshot(day_is_over(1), *updates, channels=channels)["worst_child"]
    assert (worst["scope_id"], worst["deviation_pct"]) == expected


def test_a_deal_may_be_the_worst_child_and_comes_after_a_channel_of_its_name() -> None:
    plan = {
        "channels": [{"channel": "x", "allocated_budget": 3000}],
        "deals": [
            {"deal_id": "x", "channel": "x", "allocated_budget": 3000},
            {"deal_id": "y", "allocated_budget": 300},
        ],
    }
    assert snapshot(day_is_over(1), **plan)["worst_child"] == {
        "scope": "channel",
        "scope_id": "x",
        "deviation_pct": -100.0,
    }
    worst = snapshot(day_is_over(1), spent(101, channel="x", deal_id="x"), **plan)["worst_child"]
    assert worst == {"scope": "deal", "scope_id": "y", "deviation_pct": -100.0}


@pytest.mark.parametrize(
    ("percent", "named"),
    [(0, "on_pace"), (5, "on_pace"), (10, "drift"), (20, "mild"), (30, "strong"), (1000, "sharp")],
)
def test_bands_are_closed_at_their_upper_end(percent: int, named: str) -> None:
    names = ["on_pace", "drift", "mild", "strong", "sharp", "sharp"]
    for sign in (-1, 1):
        assert band(sign * percent * 10**9, 100 * 10**9) == named
        assert band(sign * (percent * 10**9 + 1), 100 * 10**9) == (
            names[names.index(named) + 1] if percent else "on_pace"
        )


def test_the_plan_that_a_changed_budget_is_compared_with_is_the_bent_one() -> None:
    """Doubled halfway under `forward`, exactly on plan: no variance, though C(t) is already a half."""
    paced = Paced()
    paced.plan(APRIL)
    paced.feed(spent(10_000))
    paced.plan({**APRIL, "total_budget": 40_000}, day_is_over(15))
    events, told = paced.tick(day_is_over(15))
    compare(events, told)
    body = events[0].body
    assert (body["expected_spend"], body["elapsed_pct"], body["budget_used_pct"]) == ("10000.00", 50.0, 25.0)
    assert (body["variance_pp"], body["deviation_pct"], body["plan_version"]) == (0.0, 0.0, 2)


def test_a_snapshot_says_what_it_is() -> None:
    body = snapshot(day_is_over(3))
    names = list(body)
    assert names[:8] == [
        "event_id",
        "event_type",
        "occurred_at",
        "campaign_id",
        "account_id",
        "currency",
        "snapshot_id",
        "timestamp",
    ]
    assert body["event_type"] == "pacing.snapshot_taken"
    assert body["event_id"] == body["snapshot_id"]
    assert body["occurred_at"] == body["timestamp"] == day_is_over(3)
    assert (body["campaign_id"], body["account_id"], body["currency"]) == ("c-1", "a-1", "USD")
    assert (body["period_start"], body["period_end"]) == ("2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z")
    assert (body["revision"], body["final"], body["complete"], body["plan_version"]) == (0, False, True, 1)
    assert (body["projected_spend"], body["projection_method"], body["ledger_position"]) == ("0.00", "run_rate", None)


def test_percentages_are_exact_to_their_last_digit() -> None:
    body = snapshot(day_is_over(22), spent("7333.335"))
    assert body["budget_used_pct"] == round(Fraction("7333.335") / 20_000 * 10_000) / 100
