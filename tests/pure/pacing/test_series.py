"""Signals on the course of the spend: silence, local days over their allowance, days out of line."""

from __future__ import annotations

import json
from datetime import date, timedelta
from fractions import Fraction
from statistics import median
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fields import NANOS, format_time, parse_time
from tests.pure import oracle, oracle_series
from tests.pure.pacing.feeding import QUIET, Paced, compare, plan_of
from worker.pacing import HOUR, PacingState
from worker.pacing.activity import active_until
from worker.pacing.allowances import RULES, span_of
from worker.pacing.daily import usual

Json = dict[str, Any]

PLAN: Json = {
    "campaign_id": "c-1",
    "account_id": "a-1",
    "currency": "USD",
    "total_budget": 100_000,
    "flight_start": "2026-06-01",
    "flight_end": "2026-12-31",
    "thresholds": {"underpacing_warning_pct": 100, "underpacing_critical_pct": 100},
}


class Campaign(Paced):
    """A campaign whose alerts are looked at; its state goes through a record at every tick."""

    def __init__(self, **plan: Any) -> None:
        super().__init__(series=True)
        self.raw = {**PLAN, **plan, "signals": {**QUIET, **plan.get("signals", {})}}
        self.plan(self.raw)
        self.fed = 0

    def spend(self, at: str, amount: Any, **fields: Any) -> None:
        self.fed += 1
        kind = "credit" if str(amount).startswith("-") else "increment"
        named = {"campaign_id": "c-1", "event_id": f"e{self.fed}", "source": "dsp", "kind": kind}
        self.feed({**named, "event_time": at, "spend": str(amount), **fields})

    def alerts(self, at: str, **flags: bool) -> list[str]:
        """What is raised and cleared at a tick, in short; the evidence of what is raised is kept."""
        events, told = self.tick(at, **flags)
        compare(events, told)
        self.state = msgspec.convert(json.loads(msgspec.json.encode(self.state)), PacingState)
        found = [event for event in events if event.kind.startswith("alert_")]
        self.evidence = {event.body["kind"]: event.body["evidence"] for event in found if event.body["evidence"]}
        self.messages = [event.body["message"] for event in found]
        return [f"{event.kind[6:]} {event.body['kind']}" for event in found]


# -- silence ---------------------------------------------------------------------------------------------------------


def test_an_interruption_says_since_when_and_what_its_source_has_sent() -> None:
    campaign = Campaign()
    campaign.spend("2026-07-01T10:15:00Z", 5)
    campaign.spend("2026-07-03T10:59:00Z", 0)
    assert campaign.alerts("2026-07-03T10:59:59.999999999Z") == []
    assert campaign.alerts("2026-07-03T11:00:00Z") == ["raised delivery_interrupted"]
    assert campaign.evidence["delivery_interrupted"] == {
        "silent_since": "2026-07-01T11:00:00Z",
        "silent_hours": 48,
        "spend": "5.00",
        "budget": "100000.00",
        "remaining_budget": "99995.00",
        "last_reports": {"dsp": "2026-07-03T10:59:00Z"},
    }
    assert campaign.messages == [
        (
            "Campaign c-1 has spent nothing in 48 h of active time since 2026-07-01T11:00:00Z:"
            " there is budget left, and its source still reports."
        )
    ]
    assert campaign.alerts("2026-07-03T12:00:00Z") == []


@pytest.mark.parametrize(
    ("spends", "raised"),
    [
        pytest.param([("10:05", 5), ("10:50", -4)], False, id="5 - 4 = 1 in the hour of 10:00: positive"),
        pytest.param([("10:05", 5), ("10:50", -5)], True, id="5 - 5 = 0 in the hour: not positive"),
        pytest.param([("09:59", -9), ("10:05", 5)], False, id="a credit of another hour takes nothing from it"),
        pytest.param([("10:05", 0)], True, id="an update of no spend is none"),
    ],
)
def test_what_counts_is_the_net_spend_of_a_utc_hour(spends: list[tuple[str, int]], raised: bool) -> None:
    campaign = Campaign()
    campaign.spend("2026-07-01T10:00:00Z", 5)
    for clock, amount in spends:
        campaign.spend(f"2026-07-02T{clock}:00Z", amount)
    assert campaign.alerts("2026-07-03T11:00:00Z") == ["raised delivery_interrupted"] * raised


def test_no_interruption_opens_or_clears_on_a_tick_that_is_not_complete() -> None:
    campaign = Campaign()
    campaign.spend("2026-07-01T10:00:00Z", 5)
    campaign.spend("2026-07-03T10:00:00Z", 0)
    assert campaign.alerts("2026-07-03T12:00:00Z", complete=False) == []
    assert campaign.alerts("2026-07-03T12:01:00Z") == ["raised delivery_interrupted"]
    campaign.spend("2026-07-03T12:02:00Z", 5)
    assert campaign.alerts("2026-07-03T12:03:00Z", complete=False) == []
    assert campaign.alerts("2026-07-03T12:04:00Z") == ["cleared delivery_interrupted"]


def test_without_any_source_nothing_is_stale() -> None:
    campaign = Campaign()
    assert campaign.alerts("2026-06-10T00:00:00Z") == []
    campaign.oracle.hear("of another campaign", "2026-06-09T00:00:00Z")
    assert campaign.alerts("2026-06-10T00:01:00Z") == ["raised delivery_interrupted"]


def test_a_source_of_the_campaign_that_is_silent_is_stale_whatever_the_others_send() -> None:
    campaign = Campaign()
    campaign.spend("2026-07-01T10:00:00Z", 5)
    campaign.oracle.hear("another", "2026-07-04T00:00:00Z")
    assert campaign.alerts("2026-07-04T00:00:00Z") == ["raised source_stale"]


def test_with_a_feed_known_to_lag_the_silence_is_judged_as_of_that_long_ago() -> None:
    campaign = Campaign(thresholds={**PLAN["thresholds"], "feed_lag_minutes": 120})
    campaign.spend("2026-07-01T10:00:00Z", 5)
    assert campaign.alerts("2026-07-03T12:59:00Z") == []
    assert campaign.alerts("2026-07-03T13:00:00Z") == ["raised source_stale"]


def test_the_silence_of_a_recurring_budget_begins_with_its_period() -> None:
    campaign = Campaign(period="monthly", total_budget=100)
    campaign.spend("2026-07-10T10:00:00Z", 100)
    assert campaign.alerts("2026-07-31T00:00:00Z") == ["raised cap_reached"]
    assert campaign.alerts("2026-08-01T00:00:00Z") == ["cleared cap_reached"]
    assert campaign.alerts("2026-08-02T23:59:00Z") == []
    assert campaign.alerts("2026-08-03T00:00:00Z") == ["raised source_stale"]


def test_a_signal_that_is_switched_off_is_silent() -> None:
    campaign = Campaign(signals={"source_stale": False})
    campaign.spend("2026-07-01T10:00:00Z", 5)
    assert campaign.alerts("2026-07-05T00:00:00Z") == []


CALENDARS = st.fixed_dictionaries(
    {
        "timezone": st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
        "weekday_weights": st.none() | st.lists(st.sampled_from([0, 1, 2]), min_size=7, max_size=7).filter(any),
        "hour_weights": st.none() | st.lists(st.sampled_from([0, 0, 1]), min_size=24, max_size=24).filter(any),
        "blackouts": st.lists(
            st.tuples(st.integers(0, 400), st.integers(1, 60)).map(
                lambda pair: {"start": hours_in(pair[0]), "end": hours_in(sum(pair))}
            ),
            max_size=2,
        ),
    }
)


def hours_in(hours: int) -> str:
    return format_time(parse_time("2026-10-20T00:30:00Z") + hours * HOUR)


@given(calendar=CALENDARS, since=st.integers(0, 300), enough=st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_active_time_is_where_the_density_is_not_zero(calendar: Json, since: int, enough: int) -> None:
    raw = {**PLAN, **calendar, "flight_start": "2026-10-01", "flight_end": "2026-11-30"}
    start, end = parse_time(hours_in(since)), parse_time("2026-11-20T00:00:00Z")
    found = active_until(plan_of(raw).calendar, start, enough * HOUR, end)
    version = oracle.Version(raw, 1, None)
    until = end if found is None else found
    active = oracle_series.active(version, Fraction(start, NANOS), Fraction(until, NANOS))
    assert active < enough * 3600 if found is None else active == enough * 3600


# -- days over the allowance -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "allowed"),
    [
        pytest.param(None, "40", id="no platform: 40 x 1 = 40"),
        pytest.param("unheard-of", "40", id="not listed: 40 x 1 = 40"),
        pytest.param("adroll", "48", id="adroll: 40 x 1.2 = 48"),
        pytest.param("meta", "70", id="meta: 40 x 1.75 = 70"),
        pytest.param("google", "80", id="google: 40 x 2 = 80"),
    ],
)
def test_a_day_may_cost_its_allowance_and_no_nano_more(platform: str | None, allowed: str) -> None:
    campaign = Campaign(daily_budget="40", platform=platform)
    campaign.spend("2026-07-01T10:00:00Z", allowed)
    assert campaign.alerts("2026-07-01T11:00:00Z") == []
    campaign.spend("2026-07-01T12:00:00Z", "0.000000001")
    assert campaign.alerts("2026-07-01T13:00:00Z") == ["raised daily_budget_exceeded"]


def test_of_the_last_days_no_cell_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = Campaign(daily_budget="40")
    campaign.spend("2026-07-01T10:00:00Z", "40")
    assert campaign.alerts("2026-07-01T11:00:00Z") == []
    monkeypatch.setattr(Paced, "before", None)
    campaign.spend("2026-07-01T12:00:00Z", "1")
    assert campaign.alerts("2026-07-02T13:00:00Z") == ["raised daily_budget_exceeded"]
    assert campaign.evidence["daily_budget_exceeded"]["served"] == "41.00"


@pytest.mark.parametrize("day", ["2026-06-04", "2026-06-05"], ids=["30 days ago: added up", "29: known"])
def test_what_takes_an_old_day_over_its_allowance_is_told(day: str) -> None:
    campaign = Campaign(daily_budget="40")
    campaign.spend(f"{day}T10:00:00Z", "40")
    assert campaign.alerts(f"{day}T11:00:00Z") == []
    assert "raised daily_budget_exceeded" not in campaign.alerts("2026-07-04T10:00:00Z")
    campaign.spend(f"{day}T12:00:00Z", "1")
    assert "raised daily_budget_exceeded" in campaign.alerts("2026-07-04T11:00:00Z")
    assert campaign.evidence["daily_budget_exceeded"]["served"] == "41.00"


def test_served_billable_and_credit_are_told_apart() -> None:
    campaign = Campaign(daily_budget="10", platform="meta")
    campaign.spend("2026-06-27T10:00:00Z", "17.50")
    for day in range(28, 31):
        campaign.spend(f"2026-06-{day}T10:00:00Z", "17.50")
    campaign.spend("2026-07-01T10:00:00Z", "20.256")
    assert campaign.alerts("2026-07-01T12:00:00Z") == ["raised daily_budget_exceeded"]
    # A week from Sunday, 28 June: 3 x 17.50 + 20.256 = 72.756 of 7 x 10
    assert campaign.evidence["daily_budget_exceeded"] == {
        "day": "2026-07-01",
        "daily_budget": "10.00",
        "platform": "meta",
        "day_factor_pct": 175,
        "allowance": "17.50",
        "served": "20.256",
        "billable": "17.50",
        "expected_credit": "2.76",
        "rule": RULES["meta"].source,
        "rule_read": "2026-11-22",
        "period": {
            "first_day": "2026-06-28",
            "last_day": "2026-07-04",
            "multiple_pct": 700,
            "allowance": "70.00",
            "served": "72.756",
            "billable": "70.00",
            "expected_credit": "2.76",
        },
    }
    assert campaign.messages == [
        "Campaign c-1 has spent 20.256 USD on 2026-07-01, 2.76 more than it may of a daily budget of 10.00."
    ]


def test_of_several_budgets_in_a_day_the_highest_counts() -> None:
    campaign = Campaign(daily_budget="10", platform="google")
    campaign.alerts("2026-07-01T00:00:00Z")
    for hour, budget in ((8, "50"), (16, "5")):
        campaign.plan({**campaign.raw, "daily_budget": budget}, f"2026-07-01T{hour:02d}:00:00Z")
        assert campaign.alerts(f"2026-07-01T{hour:02d}:00:00Z") == []
    campaign.spend("2026-07-01T17:00:00Z", "100")
    assert campaign.alerts("2026-07-01T18:00:00Z") == []
    campaign.spend("2026-07-01T19:00:00Z", "0.01")
    assert campaign.alerts("2026-07-02T00:00:00Z") == ["raised daily_budget_exceeded"]
    assert campaign.evidence["daily_budget_exceeded"]["allowance"] == "100.00"
    campaign.spend("2026-07-02T01:00:00Z", "10.01")
    assert campaign.alerts("2026-07-02T02:00:00Z") == ["raised daily_budget_exceeded"]


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        pytest.param("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 25, id="25 hours"),
        pytest.param("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 23, id="23 hours"),
    ],
)
def test_a_local_day_has_the_full_allowance_whatever_its_length(start: str, end: str, hours: int) -> None:
    plan = {"timezone": "Europe/Berlin", "flight_start": "2026-01-01", "daily_budget": hours}
    campaign = Campaign(**plan)
    assert (parse_time(end) - parse_time(start)) // HOUR == hours
    for hour in range(hours):
        campaign.spend(format_time(parse_time(start) + hour * HOUR), 1)
    campaign.spend(format_time(parse_time(end)), 5)
    campaign.spend(format_time(parse_time(start) - 1), 5)
    assert campaign.alerts(format_time(parse_time(end) - 1)) == []
    campaign.spend(format_time(parse_time(end) - 2), "0.01")
    assert campaign.alerts(end) == ["raised daily_budget_exceeded"]


def test_a_first_tick_tells_of_every_day_that_was_over() -> None:
    campaign = Campaign(daily_budget=10)
    for day in (3, 7, 20):
        campaign.spend(f"2026-07-{day:02d}T10:00:00Z", 11)
    found = campaign.alerts("2026-07-21T00:00:00Z", first=True)
    assert found == ["raised daily_budget_exceeded"] * 3


def test_paused_no_day_is_told_of_but_one_that_is_up_stays_until_it_is_over() -> None:
    campaign = Campaign(daily_budget=10)
    campaign.spend("2026-07-01T10:00:00Z", 11)
    assert campaign.alerts("2026-07-01T11:00:00Z") == ["raised daily_budget_exceeded"]
    campaign.plan({**campaign.raw, "status": "paused"}, "2026-07-01T12:00:00Z")
    campaign.spend("2026-07-02T10:00:00Z", 11)
    assert campaign.alerts("2026-07-02T11:00:00Z") == []
    assert campaign.alerts("2026-07-03T00:00:00Z") == ["cleared daily_budget_exceeded"]


def test_a_budget_that_is_named_in_the_day_is_judged_at_once() -> None:
    campaign = Campaign()
    campaign.spend("2026-07-01T10:00:00Z", 11)
    assert campaign.alerts("2026-07-01T11:00:00Z") == []
    campaign.plan({**campaign.raw, "daily_budget": 10}, "2026-07-01T12:00:00Z")
    assert campaign.alerts("2026-07-01T12:00:00Z") == ["raised daily_budget_exceeded"]


def test_the_days_of_a_period_that_has_ended_resolve_with_it_and_are_not_told_again() -> None:
    campaign = Campaign(daily_budget=10, period="monthly")
    campaign.spend("2026-07-31T22:00:00Z", 11)
    assert campaign.alerts("2026-07-31T23:00:00Z") == ["raised daily_budget_exceeded"]
    assert campaign.alerts("2026-08-01T00:00:00Z") == ["cleared daily_budget_exceeded"]
    assert campaign.alerts("2026-08-01T01:00:00Z") == []


def test_after_a_tombstone_a_plan_starts_afresh() -> None:
    campaign = Campaign(daily_budget=50)
    campaign.plan({**campaign.raw, "daily_budget": 10}, "2026-07-01T08:00:00Z")
    campaign.alerts("2026-07-01T08:00:00Z")
    campaign.end_plan()
    campaign.plan({**campaign.raw, "daily_budget": 10}, "2026-07-01T09:00:00Z")
    campaign.spend("2026-07-01T10:00:00Z", 11)
    assert campaign.alerts("2026-07-01T11:00:00Z") == ["raised daily_budget_exceeded"]


def test_every_rule_has_a_source_with_a_date_and_the_factors_of_the_contract() -> None:
    assert {name: rule.day_pct for name, rule in RULES.items()} == {"adroll": 120, "google": 200, "meta": 175}
    assert all("https://" in rule.source and date.fromisoformat(rule.read) for rule in RULES.values())


@given(day=st.dates(date(1990, 1, 1), date(2090, 1, 1)), span=st.sampled_from(["week", "month"]))
def test_spans_follow_one_another_and_hold_their_days(day: date, span: Any) -> None:
    first, after = span_of(span, day.toordinal())
    assert first <= day.toordinal() < after
    assert span_of(span, after)[0] == after
    assert date.fromordinal(first).day == 1 if span == "month" else date.fromordinal(first).isoweekday() == 7


# -- days out of line ------------------------------------------------------------------------------------------------


def month(campaign: Campaign, days: int, amount: Any = 100) -> None:
    """So much on each of the first days of June, and an update that lies in the day after."""
    for day in range(days):
        at = date(2026, 6, 1) + timedelta(days=day)
        campaign.spend(f"{at.isoformat()}T10:00:00Z", amount)


@pytest.mark.parametrize(
    ("days", "spend", "raised"),
    [
        # MAD is 0, so 5 % of 100: 100 + 4 x 1.4826 x 5 = 129.652
        pytest.param(28, "129.652", False, id="z = 29.652 / 7.413 = 4 exactly"),
        pytest.param(28, "129.652000001", True, id="a nano beyond"),
        pytest.param(14, "129.66", True, id="14 days are enough"),
        pytest.param(13, "5000", False, id="13 are not"),
    ],
)
def test_a_spike_is_beyond_four_robust_deviations(days: int, spend: str, raised: bool) -> None:
    campaign = Campaign()
    month(campaign, days)
    day = (date(2026, 6, 1) + timedelta(days=days)).isoformat()
    campaign.spend(f"{day}T10:00:00Z", spend)
    assert campaign.alerts(f"{day}T11:00:00Z") == ["raised spend_spike"] * raised
    if raised and days == 28:
        assert campaign.evidence["spend_spike"] == {
            "day": "2026-06-29", "spend": "129.652000001", "days": 28, "median": "100.00", "mad": "5.00", "z": 4.0,
            "limit_z": 4,
        }  # fmt: skip
        assert campaign.messages[0].endswith("on 2026-06-29, usually 100.00 in the 28 days before.")


def test_a_spike_lasts_until_the_day_after_it_is_over() -> None:
    campaign = Campaign()
    month(campaign, 28)
    campaign.spend("2026-06-29T10:00:00Z", 200)
    assert campaign.alerts("2026-06-29T11:00:00Z") == ["raised spend_spike"]
    campaign.spend("2026-06-30T10:00:00Z", 100)
    assert campaign.alerts("2026-06-30T23:00:00Z") == []
    campaign.spend("2026-07-01T00:00:00Z", 0)
    assert campaign.alerts("2026-07-01T00:00:00Z") == ["cleared spend_spike"]


def test_where_most_days_have_no_spend_there_is_no_usual_day() -> None:
    campaign = Campaign()
    for week in range(5):
        campaign.spend(f"2026-06-{1 + 7 * week:02d}T10:00:00Z", 700)
        if week:
            assert campaign.alerts(f"2026-06-{1 + 7 * week:02d}T11:00:00Z") == []


def test_days_without_active_time_are_not_compared_with() -> None:
    campaign = Campaign(weekday_weights=[1, 1, 1, 1, 1, 0, 0])
    for day in range(1, 27):
        if date(2026, 6, day).weekday() < 5:
            campaign.spend(f"2026-06-{day:02d}T10:00:00Z", 100)
    campaign.spend("2026-06-29T10:00:00Z", 200)
    assert campaign.alerts("2026-06-29T11:00:00Z") == ["raised spend_spike"]
    assert campaign.evidence["spend_spike"]["days"] == 20


@given(
    spent=st.lists(st.integers(-50, 300) | st.just(100), min_size=0, max_size=28),
    spend=st.integers(-10, 2000),
)
@settings(max_examples=300)
def test_the_comparison_in_integers_is_that_of_fractions(spent: list[int], spend: int) -> None:
    days = usual([each * NANOS for each in spent])
    middle = Fraction(median(spent)) if spent else Fraction(0)
    assert (days is None) == (len(spent) < 14 or middle <= 0)
    if days is not None:
        mad = max(Fraction(median(abs(each - middle) for each in spent)), middle / 20)
        z = (spend - middle) / (Fraction("1.4826") * mad)
        assert (spend * NANOS > days.most) == (z > 4)
        assert days.hundredths_of_z(spend * NANOS) == round(z * 100)


DAILY = st.lists(st.sampled_from(["80", "100", "100", "105", "120", "135", "200", "0"]), min_size=16, max_size=34)


@given(
    daily=DAILY,
    zone=st.sampled_from(["UTC", "America/New_York"]),
    late=st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["-100", "30", "150"])), max_size=3),
    platform=st.sampled_from([None, "google"]),
)
@settings(max_examples=15, deadline=None)
def test_days_near_their_limits_are_the_oracles(
    daily: list[str], zone: str, late: list[tuple[int, str]], platform: str | None
) -> None:
    campaign = Campaign(timezone=zone, daily_budget=60 if platform else 120, platform=platform)
    for day, amount in enumerate(daily):
        at = date(2026, 6, 1) + timedelta(days=day)
        campaign.spend(f"{at.isoformat()}T15:00:00Z", amount)
        for place, (since, change) in enumerate(late):
            if day == 14 + place and since < day:
                campaign.spend(f"{(date(2026, 6, 1) + timedelta(days=since)).isoformat()}T16:00:00Z", change)
        if day >= 13:
            campaign.alerts(f"{at.isoformat()}T18:00:00Z")


def test_each_day_is_raised_once_and_cleared_once() -> None:
    campaign = Campaign(daily_budget=10)
    told = []
    for hour in range(1, 72):
        at = format_time(parse_time("2026-07-01T00:00:00Z") + hour * HOUR)
        campaign.spend(at, 1)
        told += [found.split()[0] for found in campaign.alerts(at)]
    assert told == ["raised", "raised", "cleared", "raised"]
