"""Two periods side by side: figures by hand, and what holds of any."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.outlook.making import APRIL, DAY, MARCH, part, taken
from worker.outlook.comparison import comparison
from worker.outlook.recorded import Snapshot
from worker.outlook.windows import Pair

NOW = APRIL + 18 * DAY
THEN = MARCH + 18 * DAY


def then(name: str = "c", at: int = THEN, **fields: Any) -> Snapshot:
    return taken(name, at=at, start=MARCH, end=APRIL, **fields)


def lines(*pairs: Pair) -> dict[tuple[str, str], dict[str, Any]]:
    return {(line["scope"], line["scope_id"]): line for line in comparison(pairs)}


def campaign(pair: Pair) -> dict[str, Any]:
    return lines(pair)["campaign", "c"]


# --- figures ---------------------------------------------------------------------------------------------------------


def test_every_figure_of_a_campaign_comes_with_its_change() -> None:
    now = taken(at=NOW, budget=22_000, spend=18_200)
    before = then(at=MARCH + 18 * DAY + 14 * DAY // 24, budget=20_000, spend=11_000, whole=part(20_000, 11_000, 12_000))
    line = campaign(Pair(now, before, then(at=APRIL, budget=20_000, spend=19_000)))
    assert line["total_budget"] == {"current": "22000.00", "prior": "20000.00", "change": "2000.00", "change_pct": 10.0}
    # 7,200 / 11,000
    assert line["total_spend"] == {"current": "18200.00", "prior": "11000.00", "change": "7200.00", "change_pct": 65.45}
    # 22,000 x 18/30
    assert line["expected_spend"]["current"] == "13200.00"
    # 82.7272... - 55: rounded once, not 82.73 - 55
    assert line["budget_used_pct"] == {"current": 82.73, "prior": 55.0, "change_pp": 27.73}
    # 60 - 18.58333/31
    assert line["elapsed_pct"] == {"current": 60.0, "prior": 59.95, "change_pp": 0.05}
    # 137.8787... - 91.6666...
    assert line["pacing_pct"] == {"current": 137.88, "prior": 91.67, "change_pp": 46.21}
    # 22.7272... + 5
    assert line["variance_pp"] == {"current": 22.73, "prior": -5.0, "change_pp": 27.73}
    assert (line["prior_period_spend"], line["prior_period_used_pct"]) == ("19000.00", 95.0)
    assert (line["as_of"], line["prior_as_of"]) == ("2026-04-19T00:00:00Z", "2026-03-19T14:00:00Z")


# the card's way of subtracting in brackets
UNROUNDED = [
    pytest.param((9, 7), (9, 2), 55.56, id="77.77.. - 22.22.. = 55.55.. (77.78 - 22.22 = 55.56)"),
    pytest.param((3, 2), (6, 1), 50.0, id="66.66.. - 16.66.. = 50 (66.67 - 16.67 = 50)"),
    pytest.param((6, 1), (3, 1), -16.67, id="16.66.. - 33.33.. = -16.66.. (16.67 - 33.33 = -16.66)"),
    pytest.param((300, 1), (600, 1), 0.17, id="0.33.. - 0.166.. = 0.166.. (0.33 - 0.17 = 0.16)"),
]


@pytest.mark.parametrize(("now", "before", "change"), UNROUNDED)
def test_a_change_is_of_unrounded_values(now: tuple[int, int], before: tuple[int, int], change: float) -> None:
    current = taken(at=NOW, budget=now[0], spend=now[1])
    line = campaign(Pair(current, then(budget=before[0], spend=before[1]), None))
    assert line["budget_used_pct"]["change_pp"] == change


@pytest.mark.parametrize("spend", [0, -5])
def test_from_nothing_or_less_no_change_in_percent_is_told(spend: int) -> None:
    line = campaign(Pair(taken(at=NOW, spend=10), then(spend=spend), None))
    assert line["total_spend"]["change_pct"] is None
    assert line["total_spend"]["change"] == f"{10 - spend}.00"


def test_where_nothing_is_expected_there_is_no_pacing() -> None:
    line = campaign(Pair(taken(at=APRIL, spend=1), then(at=MARCH), None))
    assert line["pacing_pct"] == {"current": None, "prior": None, "change_pp": None}


def test_the_period_before_is_told_whole_only_when_it_was_over() -> None:
    line = campaign(Pair(taken(at=NOW), then(), then(at=APRIL - 1, spend=9)))
    assert (line["prior_period_spend"], line["prior_period_used_pct"]) == (None, None)


def test_one_snapshot_that_is_not_complete_makes_the_line_so() -> None:
    assert campaign(Pair(taken(at=NOW), then(), then(at=APRIL, complete=False)))["complete"] is False
    assert campaign(Pair(taken(at=NOW), then(), then(at=APRIL)))["complete"] is True


# --- accounts and channels -------------------------------------------------------------------------------------------


def test_an_account_is_its_campaigns_added_up() -> None:
    line = lines(
        Pair(taken("a", at=NOW, budget=100, spend=60), then("a", budget=100, spend=50), then("a", at=APRIL, spend=90)),
        Pair(
            taken("b", at=NOW, budget=300, spend=100), then("b", budget=200, spend=100), then("b", at=APRIL, spend=10)
        ),
    )["account", "acme"]
    assert line["budget_used_pct"] == {"current": 40.0, "prior": 50.0, "change_pp": -10.0}
    assert (line["prior_period_spend"], line["prior_period_used_pct"]) == ("100.00", 5.0)
    assert (line["new"], line["gone"], line["unmatched"], line["like_for_like"]) == ([], [], [], None)
    assert (line["as_of"], line["prior_as_of"], line["campaign_id"]) == (
        "2026-04-19T00:00:00Z",
        "2026-03-19T00:00:00Z",
        None,
    )


def test_the_target_line_of_an_account_is_weighted_by_budgets() -> None:
    whole, half = taken("a", at=APRIL + 30 * DAY, budget=100), taken("b", at=APRIL + 15 * DAY, budget=300)
    line = lines(Pair(whole, None, None), Pair(half, None, None))["account", "acme"]
    # (100 x 1 + 300 x 1/2) / 400
    assert line["elapsed_pct"]["current"] == 62.5
    assert line["as_of"] is None


def test_what_is_in_one_period_alone_is_named_and_left_out_of_what_is_alike() -> None:
    account = lines(
        Pair(taken("both", at=NOW, spend=600), then("both", spend=500), None),
        Pair(taken("new", at=NOW, spend=900), None, None),
        Pair(None, then("gone", spend=100), then("gone", at=APRIL)),
        Pair(taken("late", at=NOW, spend=300), None, then("late", at=APRIL)),
    )["account", "acme"]
    assert (account["new"], account["gone"], account["unmatched"]) == (["new"], ["gone"], ["late"])
    assert account["total_spend"] == {"current": "1800.00", "prior": "600.00", "change": "1200.00", "change_pct": 200.0}
    assert account["like_for_like"]["total_spend"] == {
        "current": "600.00",
        "prior": "500.00",
        "change": "100.00",
        "change_pct": 20.0,
    }
    # Of "both" the end of March is not known.
    assert account["prior_period_spend"] is None


def test_channels_have_lines_of_their_own_and_are_alike_by_name() -> None:
    now = taken(at=NOW, spend=30, channels={"CTV": part(50, 20, 30), "AUDIO": part(50, 10, 30)})
    before = then(spend=24, channels={"AUDIO": part(60, 15, 30), "PRINT": part(40, 9, 20)})
    found = lines(Pair(now, before, None))
    assert list(found) == [
        *(("account", "acme"), ("campaign", "c")),
        *(("channel", "AUDIO"), ("channel", "CTV"), ("channel", "PRINT")),
    ]
    whole = found["campaign", "c"]
    assert (whole["new"], whole["gone"]) == (["CTV"], ["PRINT"])
    assert whole["like_for_like"]["budget_used_pct"] == {"current": 20.0, "prior": 25.0, "change_pp": -5.0}
    assert found["channel", "CTV"]["pacing_pct"] == {"current": 66.67, "prior": None, "change_pp": None}
    assert found["channel", "PRINT"]["pacing_pct"] == {"current": None, "prior": 45.0, "change_pp": None}
    assert found["channel", "AUDIO"]["elapsed_pct"] == {"current": 60.0, "prior": 58.06, "change_pp": 1.94}


def test_accounts_come_by_name_and_currency_and_what_has_none_stands_alone() -> None:
    found = comparison(
        [
            Pair(taken("c", at=NOW, account_id="b"), None, None),
            Pair(taken("b", at=NOW, account_id="b", currency="EUR"), None, None),
            Pair(taken("z", at=NOW, account_id=None), None, None),
            Pair(taken("a", at=NOW, account_id="b"), None, None),
        ]
    )
    assert [(line["scope_id"], line["currency"]) for line in found] == [
        ("z", "USD"),
        *(("b", "EUR"), ("b", "EUR")),
        *(("b", "USD"), ("a", "USD"), ("c", "USD")),
    ]


# --- laws ------------------------------------------------------------------------------------------------------------

SPENDS = st.integers(-(10**6), 10**9)
TAKEN = st.builds(
    lambda spend, day, budget: taken(at=APRIL + day * DAY, budget=budget, spend=spend),
    SPENDS,
    st.integers(0, 30),
    st.integers(1, 10**9),
)


def changes(line: dict[str, Any]) -> list[Any]:
    found = [value for value in line.values() if isinstance(value, dict) and "current" in value]
    return [value for figure in found for name, value in figure.items() if name.startswith("change")]


@given(snapshot=TAKEN)
def test_a_period_beside_itself_has_not_changed(snapshot: Snapshot) -> None:
    for line in comparison([Pair(snapshot, snapshot, snapshot)]):
        assert {Fraction(change) for change in changes(line) if change is not None} == {0}


@given(now=TAKEN, before=TAKEN)
def test_a_change_turned_round_is_its_opposite(now: Snapshot, before: Snapshot) -> None:
    forth, back = campaign(Pair(now, before, None)), campaign(Pair(before, now, None))
    for figure in ("total_spend", "total_budget"):
        assert Fraction(forth[figure]["change"]) == -Fraction(back[figure]["change"])
    for figure in ("budget_used_pct", "elapsed_pct", "variance_pp"):
        assert forth[figure]["change_pp"] == -back[figure]["change_pp"]


@given(snapshots=st.lists(TAKEN, min_size=1, max_size=4))
def test_an_account_of_one_kind_of_campaign_is_what_they_add_up_to(snapshots: list[Snapshot]) -> None:
    pairs = [Pair(each._replace(campaign_id=f"c{n}"), None, None) for n, each in enumerate(snapshots)]
    account, *campaigns = comparison(pairs)
    for figure in ("total_budget", "total_spend", "expected_spend"):
        assert Fraction(account[figure]["current"]) == sum(Fraction(line[figure]["current"]) for line in campaigns)
