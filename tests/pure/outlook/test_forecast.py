"""The next period: the documents' own figures, and what holds of any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import NANOS
from tests.pure.outlook.making import APRIL, DAY, MARCH, MAY, taken
from worker.outlook.forecast import baseline_of, forecast, forecast_spend
from worker.outlook.recorded import Snapshot

AMOUNT = st.integers(0, 10**12)
INFLATION = st.integers(1 - 100 * NANOS, 1_000 * NANOS)


def told(
    snapshots: Sequence[Snapshot], bursts: Mapping[str, int] | None = None, inflations: Sequence[int] = (0,)
) -> list[dict[str, Any]]:
    planned = {name: amount * NANOS for name, amount in (bursts or {}).items()}
    return list(forecast(snapshots, planned, [inflation * NANOS for inflation in inflations]))


def campaign(snapshot: Snapshot, burst: int = 0, inflation: int = 0) -> dict[str, Any]:
    """The campaign's line; the first is its account's."""
    return told([snapshot], {"c": burst}, [inflation])[1]


# --- the documents' figures ------------------------------------------------------------------------------------------

# budget, spend, day of 30; what the period comes to, and that against the budget, in percent
RUN_RATES = [
    pytest.param(20_000, 18_400, 22, "25090.91", 25.45, id="AdRoll: (92 % / 22) x 30 = 125.45 %, printed ~125 %"),
    pytest.param(30_000, 28_500, 22, "38863.64", 29.55, id="Criteo: (95 % / 22) x 30 = 129.55 %, printed ~129 %"),
    pytest.param(5_000, 1_400, 18, "2333.33", -53.33, id="Criteo: 28 % / 60 % = 46.67 % of the cap, printed 47 %"),
    pytest.param(16_000, 11_200, 18, "18666.67", 16.67, id="Criteo: 70 % / 60 % = 116.67 %: 1,500 more is too little"),
    pytest.param(9_000, 7_800, 22, "10636.36", 18.18, id="AdRoll: 7,800 / 22 x 30: 1,000 more is too little"),
    pytest.param(60_000, 44_000, 18, "73333.33", 22.22, id="StackAdapt: 44,000 / 18 x 30"),
    pytest.param(1_000, 500, 15, "1000.00", 0.0, id="AdRoll, Criteo: 50 % on day 15 is the whole"),
]


@pytest.mark.parametrize(("budget", "spend", "day", "baseline", "change_pct"), RUN_RATES)
def test_a_period_under_way_is_taken_at_its_rate_so_far(
    budget: int, spend: int, day: int, baseline: str, change_pct: float
) -> None:
    line = campaign(taken(at=APRIL + day * DAY, budget=budget, spend=spend))
    assert (line["baseline_method"], line["baseline_spend"]) == ("run_rate", baseline)
    assert (line["forecast_spend"], line["budget_change_pct"]) == (baseline, change_pct)


NEXT_BUDGETS = [
    pytest.param(17_000, 0, 0, "17000.00", id="AdRoll: March's 17,000 as they are"),
    pytest.param(17_000, 0, 10, "18700.00", id="AdRoll: 17,000 x 1.10"),
    pytest.param(17_000, 0, 25, "21250.00", id="AdRoll: 17,000 x 1.25"),
    pytest.param(17_000, 3_000, 25, "25000.00", id="AdRoll: (17,000 + a sale of 3,000) x 1.25"),
    pytest.param(27_000, 0, 10, "29700.00", id="Criteo: 27,000 x 1.10"),
    pytest.param(27_000, 0, 15, "31050.00", id="Criteo: 27,000 x 1.15"),
]


@pytest.mark.parametrize(("spend", "burst", "inflation", "wanted"), NEXT_BUDGETS)
def test_what_a_period_has_spent_is_the_baseline_of_the_next(
    spend: int, burst: int, inflation: int, wanted: str
) -> None:
    line = campaign(taken(at=APRIL, start=MARCH, end=APRIL, budget=20_000, spend=spend), burst, inflation)
    assert (line["baseline_method"], line["baseline_spend"]) == ("actual", f"{spend}.00")
    assert (line["burst_spend"], line["inflation_pct"]) == (f"{burst}.00", inflation)
    assert line["forecast_spend"] == wanted


# AdRoll: "Plan for 15 to 25% higher unit-cost ...; equivalently, expect 15 to 20% less reach for the same dollar."
REACH = [
    pytest.param(15, -13.04, id="1/1.15 - 1, printed 15 % less"),
    pytest.param(25, -20.0, id="1/1.25 - 1, printed 20 % less"),
    pytest.param(0, 0.0, id="1/1 - 1"),
    pytest.param(-20, 25.0, id="1/0.8 - 1"),
]


@pytest.mark.parametrize(("inflation", "change_pct"), REACH)
def test_the_same_money_reaches_less_by_the_inverse_of_the_inflation(inflation: int, change_pct: float) -> None:
    assert campaign(taken(at=MAY), 0, inflation)["reach_change_pct"] == change_pct


# --- what holds of any -----------------------------------------------------------------------------------------------


@given(spend=AMOUNT)
def test_without_bursts_and_inflation_the_forecast_is_the_baseline(spend: int) -> None:
    assert forecast_spend(Fraction(spend), 0, 0) == spend


@given(spend=AMOUNT, burst=AMOUNT, inflation=INFLATION)
def test_a_forecast_is_the_baselines_and_the_bursts_added_up(spend: int, burst: int, inflation: int) -> None:
    alone = forecast_spend(Fraction(spend), 0, inflation)
    assert forecast_spend(Fraction(spend), burst, inflation) == alone + forecast_spend(Fraction(burst), 0, inflation)


@given(spend=st.integers(1, 10**12), inflation=INFLATION)
def test_what_a_forecast_buys_is_what_the_baseline_bought(spend: int, inflation: int) -> None:
    bought = forecast_spend(Fraction(spend), 0, inflation) * 100 * NANOS / (100 * NANOS + inflation)
    assert bought == spend


@given(spends=st.lists(st.integers(0, 10**9), min_size=1, max_size=5), day=st.integers(1, 30), inflation=INFLATION)
def test_an_account_takes_what_its_campaigns_take_together_rounded_once(
    spends: list[int], day: int, inflation: int
) -> None:
    snapshots = [taken(f"c{n}", at=APRIL + day * DAY, spend=spend) for n, spend in enumerate(spends)]
    account, *campaigns = forecast(snapshots, {}, [inflation])
    exact = Fraction(sum(spends) * 30, day) * (1 + Fraction(inflation, 100 * NANOS))
    assert abs(Fraction(account["forecast_spend"]) - exact) <= Fraction(1, 200)
    together = sum(Decimal(line["forecast_spend"]) for line in campaigns)
    assert abs(Decimal(account["forecast_spend"]) - together) <= Decimal("0.005") * (len(spends) + 1)


# --- the baseline ----------------------------------------------------------------------------------------------------


def test_a_projection_that_the_snapshot_carries_is_taken_before_the_rate() -> None:
    projected = taken(at=APRIL + 10 * DAY, spend=100, projected=450 * NANOS, projection_method="trailing_7d")
    line = campaign(projected)
    assert (line["baseline_spend"], line["baseline_method"]) == ("450.00", "trailing_7d")


def test_of_a_period_that_is_over_a_projection_is_not_asked() -> None:
    over = taken(at=MAY, spend=100, projected=450 * NANOS, projection_method="run_rate")
    assert baseline_of(over) == (Fraction(100 * NANOS), "actual")


def test_a_period_that_has_just_begun_has_no_baseline_and_its_account_names_it() -> None:
    account, begun, known = told([taken("begun", at=APRIL), taken("known", at=MAY, spend=7)], {"begun": 5, "known": 1})
    for field in ("baseline_spend", "baseline_method", "forecast_spend", "budget_change", "budget_change_pct"):
        assert begun[field] is None
    assert (begun["burst_spend"], begun["total_budget"]) == ("5.00", "1000.00")
    assert (known["forecast_spend"], known["budget_change"]) == ("8.00", "-992.00")
    assert (account["forecast_spend"], account["burst_spend"], account["total_budget"]) == ("8.00", "1.00", "1000.00")
    assert account["without_baseline"] == ["begun"]


def test_an_account_of_campaigns_that_have_all_just_begun_has_no_forecast() -> None:
    account, _ = told([taken(at=APRIL)])
    assert (account["forecast_spend"], account["total_budget"], account["without_baseline"]) == (None, "1000.00", ["c"])


# --- lines -----------------------------------------------------------------------------------------------------------


def test_accounts_come_with_their_campaigns_by_currency_and_once_for_each_inflation() -> None:
    snapshots = [
        taken("c", at=MAY, account_id="b"),
        taken("a", at=MAY, account_id="b", currency="EUR"),
        taken("b", at=MAY, account_id="b"),
        taken("d", at=MAY, account_id="a"),
    ]
    lines = told(snapshots, inflations=[0, 10])
    assert [(line["scope_id"], line["currency"]) for line in lines[::2]] == [
        *(("a", "USD"), ("d", "USD")),
        *(("b", "EUR"), ("a", "EUR")),
        *(("b", "USD"), ("b", "USD"), ("c", "USD")),
    ]
    assert [line["inflation_pct"] for line in lines] == [0, 10] * 7


def test_a_campaign_without_an_account_stands_alone() -> None:
    (line,) = told([taken(at=MAY, account_id=None)])
    assert (line["scope"], line["campaign_id"], line["account_id"]) == ("campaign", "c", None)


def test_an_account_says_when_only_where_its_campaigns_agree() -> None:
    snapshots = [taken("a", at=MAY), taken("b", at=APRIL + DAY, spend=1, complete=False)]
    account = told(snapshots)[0]
    assert (account["as_of"], account["period_start"]) == (None, "2026-04-01T00:00:00Z")
    assert (account["baseline_method"], account["complete"]) == (None, False)


def test_money_is_rounded_to_the_currencys_minor_unit() -> None:
    yen = taken(at=APRIL + 9 * DAY, currency="JPY", spend=100)
    assert campaign(yen)["baseline_spend"] == "333"


def test_of_no_budget_no_change_in_percent_is_told() -> None:
    assert campaign(taken(at=MAY, budget=0, spend=5))["budget_change_pct"] is None
