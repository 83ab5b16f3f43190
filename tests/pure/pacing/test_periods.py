"""Recurring budgets: their windows, what is carried from one to the next, what closes with each."""

# ruff: noqa: E501  # a row of a table is one line

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fields import NANOS, format_time, parse_time
from tests.pure.pacing.feeding import plan_of
from tests.pure.pacing.test_snapshot import spent
from tests.pure.pacing.test_tick import Campaign, in_short
from worker.pacing import Flight, PlanHistory, plan_cuts
from worker.pacing.periods import is_on_quarters, period_at, window_at, windows_until
from worker.pacing.state import PacingState, PeriodEnd

Json = dict[str, Any]
NO_CHANNELS: Json = {
    "total_budget": 3_100,
    "flight_start": "2026-07-10",
    "flight_end": "2026-10-20",
    "period": "monthly",
}


class Monthly(Campaign):
    """3,100 USD for each month from 10 July to 20 October, UTC; unless the plan says otherwise."""

    def __init__(self, **plan: Any) -> None:
        super().__init__(**{**NO_CHANNELS, **plan})

    def figures(self, at: str, *updates: Json, **how: Any) -> list[tuple[Any, ...]]:
        """Of each snapshot: its budget, spend, expected spend, and whether it is a closing one."""
        bodies = [event.body for event in self.take(at, *updates, **how) if event.kind == "snapshot_taken"]
        return [(b["total_budget"], b["total_spend"], b["expected_spend"], b["final"]) for b in bodies]


def noon(day: str) -> str:
    return f"2026-{day}T12:00:00Z"


def start_of(day: str) -> str:
    return f"2026-{day}T00:00:00Z"


# -- windows -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "period", "at", "start", "end"),
    [
        pytest.param("UTC", "weekly", "2026-07-01T00:00:00Z", "2026-06-29T00:00:00Z", "2026-07-06T00:00:00Z", id="a Wednesday's week begins on Monday"),
        pytest.param("UTC", "weekly", "2026-07-05T23:59:59.999999999Z", "2026-06-29T00:00:00Z", "2026-07-06T00:00:00Z", id="Sunday's last instant"),
        pytest.param("UTC", "weekly", "2026-07-06T00:00:00Z", "2026-07-06T00:00:00Z", "2026-07-13T00:00:00Z", id="Monday's first instant"),
        pytest.param("UTC", "monthly", "2026-12-31T00:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z", id="December"),
        pytest.param("UTC", "monthly", "2028-02-29T00:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z", id="a leap February"),
        pytest.param("UTC", "quarterly", "2026-06-30T00:00:00Z", "2026-04-01T00:00:00Z", "2026-07-01T00:00:00Z", id="the second quarter"),
        pytest.param("UTC", "quarterly", "2026-12-01T00:00:00Z", "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z", id="the fourth quarter"),
        pytest.param("Europe/Berlin", "weekly", "2026-03-29T12:00:00Z", "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z", id="a week of 167 hours"),
        pytest.param("Europe/Berlin", "monthly", "2026-10-31T23:30:00Z", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z", id="November begins at the local midnight"),
        pytest.param("America/New_York", "monthly", "2026-03-01T04:59:59Z", "2026-02-01T05:00:00Z", "2026-03-01T05:00:00Z", id="still February in New York"),
    ],
)  # fmt: skip
def test_a_period_is_one_of_the_zones_calendar(zone: str, period: Any, at: str, start: str, end: str) -> None:
    assert tuple(map(format_time, period_at(zone, period, parse_time(at)))) == (start, end)


FLIGHT = st.tuples(st.integers(0, 400 * 86_400), st.integers(1, 200 * 86_400))
ZONE = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])


@given(zone=ZONE, period=st.sampled_from(["weekly", "monthly", "quarterly"]), drawn=FLIGHT, part=st.fractions(0, 1))
@settings(deadline=None)
def test_windows_follow_each_other_from_the_start_of_the_flight_to_its_end(
    zone: str, period: str, drawn: tuple[int, int], part: Fraction
) -> None:
    first = parse_time("2026-01-01T00:00:00Z") + drawn[0] * NANOS
    plan = plan_of(
        {
            "campaign_id": "c", "account_id": "a", "currency": "USD", "total_budget": 1, "timezone": zone,
            "flight_start": format_time(first), "flight_end": format_time(first + drawn[1] * NANOS),
            "period": period, "partial_period": "prorated",
        }
    )  # fmt: skip
    flights = [window.flight for window in windows_until(plan, first, plan.flight.end)]
    flights.append(window_at(plan, plan.flight.end).flight)
    ends = [flight.end for flight in flights]
    assert [flight.start for flight in flights] == [plan.flight.start, *ends[:-1]]
    assert ends[-1] == plan.flight.end
    assert all(Fraction(*window_at(plan, flight.start).share) <= 1 for flight in flights)
    at = first + int(part * (drawn[1] - 1)) * NANOS
    window = window_at(plan, at).flight
    assert window in flights
    assert window.start <= at < window.end


@pytest.mark.parametrize(
    ("changes", "at", "window", "budget"),
    [
        pytest.param({}, noon("07-15"), ("07-10", "08-01"), "3100.00", id="July is cut by the flight, and has it all"),
        pytest.param({}, noon("08-15"), ("08-01", "09-01"), "3100.00", id="August is whole"),
        pytest.param({}, noon("10-15"), ("10-01", "10-21"), "3100.00", id="October is cut"),
        pytest.param({"partial_period": "prorated"}, noon("07-15"), ("07-10", "08-01"), "2200.00", id="22 of 31 days of 3100"),
        pytest.param({"partial_period": "prorated"}, noon("08-15"), ("08-01", "09-01"), "3100.00", id="a whole month has no part"),
        pytest.param({"partial_period": "prorated"}, noon("10-15"), ("10-01", "10-21"), "2000.00", id="20 of 31 days of 3100"),
        pytest.param({"partial_period": "prorated", "total_budget": 1000}, noon("07-15"), ("07-10", "08-01"), "709.68", id="22/31 of 1000, rounded once"),
        pytest.param({"period": "quarterly", "partial_period": "prorated"}, noon("07-15"), ("07-10", "10-01"), "2796.74", id="83 of 92 days of 3100"),
        pytest.param({"period": "weekly"}, noon("07-15"), ("07-13", "07-20"), "3100.00", id="a week"),
        pytest.param({}, noon("07-05"), ("07-10", "08-01"), "3100.00", id="before the flight: the first"),
        pytest.param({}, noon("11-05"), ("10-01", "10-21"), "3100.00", id="after the flight: the last"),
    ],
)  # fmt: skip
def test_a_snapshot_is_of_the_window_that_holds_its_tick(
    changes: Json, at: str, window: tuple[str, str], budget: str
) -> None:
    body = Monthly(**changes).take(at, first=True)[0].body
    assert (body["period_start"], body["period_end"]) == tuple(map(start_of, window))
    assert body["total_budget"] == body["remaining_budget"] == budget


def test_every_figure_is_of_the_window() -> None:
    campaign = Monthly(channels=[{"channel": "ctv", "allocated_budget": 1_550}])
    updates = [
        spent(9_000, noon("07-20"), channel="ctv", impressions=10),
        spent(1_000, noon("08-05"), channel="ctv", impressions=4),
    ]
    body = campaign.take(start_of("08-16"), *updates, first=True)[0].body
    assert (body["total_spend"], body["expected_spend"], body["elapsed_pct"]) == ("1000.00", "1500.00", 48.39)
    assert (body["remaining_budget"], body["required_daily_spend"]) == ("2100.00", "131.25")  # 2100 / 16 days
    assert body["channel_snapshots"][0]["expected_spend"] == "750.00"
    assert (body["channel_snapshots"][0]["spend"], body["channel_snapshots"][0]["impressions"]) == ("1000.00", 4)
    assert (body["data_through"], body["future_spend"]) == (noon("08-05"), "0.00")


def test_what_lies_before_the_window_is_no_data_of_it() -> None:
    assert Monthly().take(start_of("08-02"), spent(5, noon("07-20")), first=True)[0].body["data_through"] is None


@pytest.mark.parametrize(
    ("at", "spend"),
    [("07-31", "30.00"), ("08-01", "0.00"), ("10-20", "30.00"), ("10-26", "70.00")],
)
def test_spend_dated_outside_the_flight_counts_in_the_first_window_and_the_last(at: str, spend: str) -> None:
    fed = [spent(10, noon("07-01")), spent(20, noon("07-20")), spent(30, noon("10-10")), spent(40, noon("10-25"))]
    assert Monthly().figures(start_of(at), *fed, first=True)[0][1] == spend


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        pytest.param(start_of("07-25"), "0.00", id="where it starts"),
        pytest.param(noon("07-28"), "50.00", id="3.5 of 7 days in July"),
        pytest.param(noon("08-03"), "50.00", id="2.5 of 5 days in August"),
        pytest.param(start_of("08-06"), "100.00", id="over"),
        pytest.param(noon("09-10"), "0.00", id="not there in September"),
    ],
)
def test_a_deal_is_planned_over_what_of_its_own_flight_lies_in_the_window(at: str, expected: str) -> None:
    deal = {"deal_id": "d", "allocated_budget": 100, "flight_start": "2026-07-25", "flight_end": "2026-08-05"}
    assert Monthly(deals=[deal]).take(at, first=True)[0].body["deal_snapshots"][0]["expected_spend"] == expected


def test_a_window_without_active_time_plans_nothing() -> None:
    campaign = Monthly(blackouts=[{"start": "2026-08-01", "end": "2026-08-31"}])
    body = campaign.take(noon("08-20"), spent(5, noon("08-02")), first=True)[0].body
    assert (body["expected_spend"], body["pacing_pct"], body["required_daily_spend"]) == ("0.00", None, None)


# -- what is carried ---------------------------------------------------------------------------------------------------

CARRY: Json = {"rollover": "carry_underspend"}


@pytest.mark.parametrize(
    ("changes", "fed", "at", "budget"),
    [
        pytest.param({}, {"07-20": 2_000}, "08-15", "3100.00", id="nothing is carried unless it is said"),
        pytest.param(CARRY, {"07-20": 2_000}, "08-15", "4200.00", id="3100 + 3100 - 2000"),
        pytest.param(CARRY, {"07-20": 4_000}, "08-15", "3100.00", id="overspend is not carried"),
        pytest.param(CARRY, {"07-20": 2_000, "08-20": 4_000}, "09-15", "3300.00", id="carried money is left over, too: 3100 + 4200 - 4000"),
        pytest.param(CARRY, {"07-20": 4_000, "08-20": 3_000}, "09-15", "3200.00", id="overspend is forgotten: 3100 + 3100 - 3000"),
        pytest.param({**CARRY, "partial_period": "prorated"}, {"07-20": 2_000}, "08-15", "3300.00", id="of a part the part: 3100 + 2200 - 2000"),
        pytest.param({**CARRY, "partial_period": "prorated", "total_budget": 1000}, {}, "08-15", "1709.68", id="22/31 of 1000 + 1000, rounded once"),
        pytest.param(CARRY, {"07-20": "0.000000001"}, "08-15", "6199.999999999", id="carried to the nano"),
    ],
)  # fmt: skip
def test_what_is_left_of_a_window_is_carried_to_the_next(changes: Json, fed: Json, at: str, budget: str) -> None:
    updates = [spent(amount, noon(day)) for day, amount in fed.items()]
    assert Monthly(**changes).figures(noon(at), *updates, first=True)[0][0] == budget


def test_a_late_credit_changes_what_was_carried() -> None:
    campaign = Monthly(**CARRY)
    assert campaign.figures(noon("08-01"), spent(3_100, noon("07-20")))[-1][0] == "3100.00"
    assert campaign.figures(noon("08-02"), spent(-600, noon("07-21")))[-1][0] == "3700.00"


def test_nothing_is_carried_from_before_the_plan_counted_nor_from_another_period() -> None:
    later = Monthly(**CARRY, effective_at=noon("08-10"))
    assert later.figures(noon("09-15"), spent(100, noon("08-20")))[-1][0] == "6100.00"  # 3100 + 3100 - 100, no July
    flight = Monthly(**CARRY, period="flight")
    flight.take(noon("08-05"), spent(100, noon("08-04")))
    flight.change(noon("08-06"), period="monthly")
    assert flight.figures(noon("09-15"))[-1][0] == "6100.00"


def test_what_was_lost_while_nothing_was_carried_stays_lost() -> None:
    campaign = Monthly()
    campaign.take(noon("08-05"), spent(100, noon("07-20")))
    campaign.change(start_of("09-02"), **CARRY)
    assert campaign.figures(noon("09-03"), spent(600, noon("08-20")))[-1][0] == "5600.00"  # August's 2500, not July's


def test_a_period_taken_up_again_carries_nothing_from_before_it_was_given_up() -> None:
    campaign = Monthly(**CARRY)
    campaign.take(noon("08-05"), spent(100, noon("07-20")))
    campaign.change(noon("08-06"), period="flight")
    campaign.take(noon("08-07"))
    campaign.change(noon("08-08"), period="monthly")
    assert campaign.figures(noon("08-09"))[-1][0] == "3100.00"
    assert campaign.figures(noon("09-15"), spent(600, noon("08-20")))[-1][0] == "5600.00"


def test_channels_and_deals_scale_with_what_the_window_has() -> None:
    channels = [
        {"channel": "ctv", "allocated_budget": 1_000, "min_budget": 500},
        {"channel": "audio", "allocated_budget": 2_100},
    ]
    deals = [{"deal_id": "d", "channel": "ctv", "allocated_budget": 310}]
    campaign = Monthly(**CARRY, channels=channels, deals=deals)
    body = campaign.take(start_of("08-11"), spent(1_550, noon("07-20")), first=True)[
        0
    ].body  # 3100 + 1550, half as much again
    assert body["total_budget"] == "4650.00"
    children = [*body["channel_snapshots"], *body["deal_snapshots"]]
    assert [(child["allocated_budget"], child["expected_spend"]) for child in children] == [
        ("1500.00", "483.87"), ("3150.00", "1016.13"), ("465.00", "150.00"),
    ]  # fmt: skip


def test_a_source_keeps_its_minimum_in_the_measure_of_the_window() -> None:
    channels = [
        {"channel": "ctv", "allocated_budget": 1_550, "min_budget": 1_450},
        {"channel": "audio", "allocated_budget": 1_550},
    ]
    campaign = Monthly(**CARRY, channels=channels, reallocation={"min_amount": 0})
    fed = [spent(1_550, noon("07-20")), spent(2_000, noon("08-10"), channel="audio")]
    moved = [
        event.body["amount"]
        for event in campaign.take(start_of("08-16"), *fed, first=True)
        if event.kind == "reallocation_recommended"
    ]
    assert moved == ["150.00"]  # 1.5 x (1550 - 1450)


@pytest.mark.parametrize(("max_pct", "amount"), [("1", "46.50"), ("100", "874.99")])
def test_the_cap_is_of_what_the_window_has(max_pct: str, amount: str) -> None:
    channels = [{"channel": name, "allocated_budget": 1_550} for name in ("ctv", "audio")]
    campaign = Monthly(**CARRY, channels=channels, reallocation={"min_amount": 0, "max_pct": max_pct})
    # 4650 in August; 1125 expected of each by its middle, 48.39 % of 2325.
    fed = [spent(1_550, noon("07-20")), spent("1999.999999999", noon("08-10"), channel="audio")]
    moved = [
        event.body["amount"]
        for event in campaign.take(start_of("08-16"), *fed, first=True)
        if event.kind == "reallocation_recommended"
    ]
    assert moved == [amount]


def test_over_budget_is_over_the_windows() -> None:
    campaign = Monthly(partial_period="prorated", total_budget=1000)
    raised = [
        event.body
        for event in campaign.take(noon("07-15"), spent("709.68", noon("07-12")), first=True)
        if event.kind == "alert_raised"
    ]
    assert [(body["kind"], body["evidence"]) for body in raised] == [
        ("over_budget", {"spend": "709.68", "budget": "709.68", "over_by": "0.00"})
    ]  # 709.68 > 709.677...


# -- closing -----------------------------------------------------------------------------------------------------------


def test_the_first_tick_after_a_period_closes_it_and_goes_on_with_the_next() -> None:
    campaign = Monthly()
    assert campaign.figures(noon("07-31"), spent(3_000, noon("07-20"))) == [("3100.00", "3000.00", "3029.55", False)]
    late = [spent(50, noon("07-25")), spent(7, start_of("08-01"))]
    assert campaign.figures(start_of("08-01"), *late) == [
        ("3100.00", "3050.00", "3100.00", True),
        ("3100.00", "7.00", "0.00", False),
    ]
    assert campaign.figures(noon("08-01")) == [("3100.00", "7.00", "50.00", False)]


def test_periods_that_passed_unseen_are_closed_oldest_first() -> None:
    campaign = Monthly()
    campaign.take(noon("07-15"))
    events = campaign.take(
        noon("09-15"), spent(100, noon("07-20")), spent(200, noon("08-20")), spent(300, noon("09-02"))
    )
    bodies = [event.body for event in events if event.kind == "snapshot_taken"]
    assert [(body["period_end"], body["total_spend"], body["future_spend"], body["final"]) for body in bodies] == [
        (start_of("08-01"), "100.00", "500.00", True),
        (start_of("09-01"), "200.00", "300.00", True),
        (start_of("10-01"), "300.00", "0.00", False),
    ]
    assert len({body["snapshot_id"] for body in bodies}) == 3
    assert [body["data_through"] for body in bodies] == [noon("07-20"), noon("08-20"), noon("09-02")]
    assert {body["timestamp"] for body in bodies} == {noon("09-15")}


def test_the_last_period_closes_with_the_flight() -> None:
    campaign = Monthly()
    campaign.take(noon("09-15"), spent(5, noon("09-02")))
    assert [figures[3] for figures in campaign.figures(noon("10-20"))] == [True, False]
    assert campaign.figures(start_of("10-21"), spent(40, noon("10-05"))) == [("3100.00", "40.00", "3100.00", True)]
    assert campaign.figures(noon("10-21")) == []
    assert campaign.figures(noon("10-22"), spent(2, noon("10-06"))) == [("3100.00", "42.00", "3100.00", True)]


def test_everything_open_resolves_with_its_period() -> None:
    campaign = Monthly(
        reallocation={"min_amount": 0},
        channels=[{"channel": name, "allocated_budget": 1_550} for name in ("ctv", "audio")],
    )
    campaign.take(noon("07-31"), spent(10, noon("07-20"), channel="ctv"), spent(3_200, noon("07-20"), channel="audio"))
    assert campaign.state.deviations
    assert campaign.state.alerts
    assert campaign.state.proposals
    events = campaign.take(start_of("08-01"))
    assert [in_short(event) for event in events] == [
        "snapshot_taken", "ctv resolved period_ended", "audio resolved period_ended", *["alert_cleared"] * 2, "snapshot_taken",
    ]  # fmt: skip
    assert {event.body["snapshot_id"] for event in events[:3]} == {events[0].body["snapshot_id"]}
    assert events[1].body["expected_spend"] == "1550.00"
    assert events[1].body["message"].startswith("Channel ctv has ended its period")
    end = parse_time(start_of("08-01"))
    assert campaign.state == PacingState(period=PeriodEnd(end, events[0].body["snapshot_id"]))


def test_a_period_closed_on_an_incomplete_tick_resolves_at_the_next_complete_one() -> None:
    campaign = Monthly()
    campaign.take(noon("07-31"), spent(10, noon("07-20")))
    assert campaign.kinds(start_of("08-01"), complete=False) == ["snapshot_taken", "snapshot_taken"]
    assert campaign.kinds(noon("08-01"), complete=False) == ["snapshot_taken"]
    events = campaign.take(start_of("08-02"), spent(100, noon("08-01")))
    assert [in_short(event) for event in events] == ["c-1 resolved period_ended", "snapshot_taken"]
    assert (events[0].body["spend"], events[0].body["expected_spend"]) == ("10.00", "3100.00")
    assert campaign.kinds(noon("08-02")) == ["snapshot_taken", "c-1 opened"]


@pytest.mark.parametrize("change", [{"total_budget": 6_200}, {"period": "flight"}], ids=["a budget", "no period"])
def test_what_resolves_late_does_so_by_the_plan_of_its_period(change: Json) -> None:
    campaign = Monthly()
    campaign.take(noon("07-31"), spent(10, noon("07-20")))
    campaign.change(start_of("08-01"), **change)
    campaign.take(start_of("08-01"), complete=False)
    campaign.change(noon("08-01"), name="sent again")
    event = campaign.take(start_of("08-02"))[0].body
    assert (event["reason"], event["expected_spend"]) == ("period_ended", "3100.00")


def test_what_resolves_late_does_so_under_a_plan_that_came_after_a_tombstone() -> None:
    campaign = Monthly()
    campaign.take(noon("07-31"), spent(10, noon("07-20")))
    campaign.take(start_of("08-01"), complete=False)
    campaign.end_plan()
    campaign.change(noon("08-01"), period="flight")
    assert campaign.kinds(start_of("08-02"))[:2] == ["c-1 resolved period_ended", "snapshot_taken"]


def test_grace_begins_anew_with_each_period() -> None:
    campaign = Monthly(thresholds={"grace_days": 3})
    opened = [at for at in ("07-12", "07-14", "08-02", "08-05") if "c-1 opened" in campaign.kinds(noon(at))]
    assert opened == ["07-14", "08-05"]


def test_a_first_tick_closes_nothing() -> None:
    assert [figures[3] for figures in Monthly().figures(noon("09-15"), first=True)] == [False]


def test_a_completed_plan_closes_no_more_periods() -> None:
    campaign = Monthly()
    campaign.take(noon("07-20"))
    campaign.change(noon("07-25"), status="completed")
    assert campaign.figures(noon("07-26"), spent(5, noon("07-22"))) == [("3100.00", "5.00", "2325.00", True)]
    assert campaign.kinds(noon("09-15")) == []


def test_a_tombstone_resolves_what_is_open_and_closes_nothing() -> None:
    campaign = Monthly()
    campaign.take(noon("07-31"), spent(10, noon("07-20")))
    campaign.end_plan()
    assert campaign.kinds(noon("08-05")) == ["c-1 resolved plan_ended"]


# -- changes -----------------------------------------------------------------------------------------------------------


def test_a_new_budget_from_the_first_of_a_month_is_that_months() -> None:
    campaign = Monthly()
    campaign.take(noon("07-31"), spent(5, noon("07-22")))
    campaign.change(start_of("08-01"), total_budget=6_200)
    assert campaign.figures(start_of("08-01")) == [
        ("3100.00", "5.00", "3100.00", True),
        ("6200.00", "0.00", "0.00", False),
    ]
    assert campaign.figures(start_of("08-11")) == [("6200.00", "0.00", "2000.00", False)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param("forward", "3030.48", id="forward: 1000 + (6200 - 1000) x 8.2/21"),
        pytest.param("reflow", "3640.00", id="reflow: 6200 x 18.2/31"),
        pytest.param("rebase", "2493.49", id="rebase: 119 + (6200 - 119) x 8.2/21"),
    ],
)
def test_a_change_within_a_window_bends_that_window_alone(policy: str, expected: str) -> None:
    campaign = Monthly()
    campaign.take(start_of("08-11"), spent(9_000, noon("07-20")), spent(119, noon("08-05")))
    campaign.change(start_of("08-11"), total_budget=6_200, budget_change_policy=policy)
    assert campaign.figures("2026-08-19T04:48:00Z") == [("6200.00", "119.00", expected, False)]
    assert campaign.figures(start_of("09-16"))[-1] == ("6200.00", "0.00", "3100.00", False)


def test_a_change_is_carried_as_what_its_window_ended_with() -> None:
    """Raised in August, looked at in October: the versions that July and August were closed by are still known."""
    campaign = Monthly(**CARRY)
    campaign.take(start_of("08-11"), spent(3_000, noon("07-20")))
    campaign.change(start_of("08-11"), total_budget=6_200)
    campaign.change(noon("08-20"), status="paused")
    campaign.take(noon("09-02"))
    campaign.change(noon("09-03"), total_budget=1_000)
    campaign.take(noon("09-04"))
    # July leaves 100, August 6200 + 100, September 1000 + 6300, October has 1000 more.
    assert campaign.figures(noon("10-15"))[-1][0] == "8300.00"
    assert campaign.figures(noon("10-16"), spent(-50, noon("07-20")))[-1][0] == "8350.00"


def test_another_period_begins_its_windows_afresh() -> None:
    campaign = Monthly(**CARRY)
    campaign.take(noon("08-11"), spent(100, noon("07-20")), spent(500, noon("08-10")))
    campaign.change(noon("08-12"), period="weekly", total_budget=700)
    assert campaign.figures("2026-08-13T00:00:00Z") == [("700.00", "500.00", "300.00", False)]
    assert campaign.figures(start_of("08-19"))[-1] == ("900.00", "0.00", "257.14", False)  # 700 + 700 - 500
    campaign.change(noon("08-20"), period="flight", total_budget=1_030)
    assert campaign.figures(noon("08-30")) == [("1030.00", "600.00", "515.00", False)]


def test_a_flight_that_goes_on_keeps_its_windows() -> None:
    campaign = Monthly(flight_end="2026-07-20")
    assert campaign.figures(noon("07-25"), spent(5, noon("07-15"))) == [("3100.00", "5.00", "3100.00", True)]
    campaign.change(noon("07-26"), flight_end="2026-09-20")
    assert campaign.figures(noon("07-27"))[0][:2] == ("3100.00", "5.00")
    assert [figures[3] for figures in campaign.figures(noon("08-02"))] == [True, False]


def test_a_plan_that_counts_from_later_closes_no_period_before() -> None:
    campaign = Monthly(effective_at=noon("08-10"))
    assert [figures[3] for figures in campaign.figures(noon("08-11"), spent(5, noon("07-15")))] == [False]
    assert [figures[3] for figures in campaign.figures(noon("09-02"))] == [True, False]


# -- the record --------------------------------------------------------------------------------------------------------


def resent(**changes: Any) -> PlanHistory:
    """A monthly plan sent again on every day of August and September, with a budget of its own in each month."""
    made = PlanHistory()
    raw = {"campaign_id": "c", "account_id": "a", "currency": "USD", **NO_CHANNELS, **changes}
    for number in range(61):
        counts = parse_time(start_of("08-01")) + number * 86_400 * NANOS
        plan = plan_of({**raw, "name": str(number), "total_budget": 100 if number < 31 else 200})
        made = made.with_version(plan, counts).forget(counts)
    return made


@pytest.mark.parametrize(("changes", "budgets"), [({}, [200]), (CARRY, [100, 200])])
def test_only_versions_that_say_something_else_of_the_money_are_kept(changes: Json, budgets: list[int]) -> None:
    kept = resent(**changes).versions
    assert [version.plan.total_budget // NANOS for version in kept] == budgets
    assert kept[-1].version == 61


def test_a_history_that_forgets_nothing_is_the_same() -> None:
    made = resent(**CARRY)
    assert made.forget(parse_time(noon("09-30"))) is made


def test_midnights_on_quarters_of_an_hour_need_no_cuts_others_do() -> None:
    assert is_on_quarters("Asia/Kathmandu")
    assert not is_on_quarters("Africa/Monrovia")
    raw = {"campaign_id": "c", "account_id": "a", "currency": "USD", "total_budget": 1, "period": "monthly"}
    raw |= {"flight_start": "1971-11-15T00:00:00Z", "flight_end": "1972-01-15T00:00:00Z"}
    flight = Flight(parse_time("1971-11-15T00:00:00Z"), parse_time("1972-01-15T00:00:00Z"))
    assert plan_cuts(PlanHistory().with_version(plan_of({**raw, "timezone": "Asia/Kathmandu"}), 0)) == (
        flight.start,
        flight.end,
    )
    cuts = plan_cuts(PlanHistory().with_version(plan_of({**raw, "timezone": "Africa/Monrovia"}), 0))
    assert [format_time(cut) for cut in cuts[1:-1]] == ["1971-12-01T00:44:30Z", "1972-01-01T00:44:30Z"]


# -- laws --------------------------------------------------------------------------------------------------------------

AMOUNT = st.sampled_from(["0", "1", "33.335", "700", "2500"])
DAYS = st.lists(st.tuples(st.integers(0, 140), AMOUNT), max_size=8)


@given(fed=DAYS, carries=st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_windows_add_up_to_all_that_was_spent_and_carried_money_is_not_lost(
    fed: list[tuple[int, str]], *, carries: bool
) -> None:
    campaign = Monthly(**(CARRY if carries else {}))
    start = parse_time(start_of("06-20"))
    for number, (day, amount) in enumerate(fed):
        campaign.feed({**spent(amount, format_time(start + day * 86_400 * NANOS)), "event_id": str(number)})
    closed = [figures for figures in campaign.figures(start_of("11-30")) if figures[3]]
    assert len(closed) == 4
    after_flight = [
        Fraction(amount) for day, amount in fed if start + day * 86_400 * NANOS >= parse_time(start_of("10-21"))
    ]
    assert sum(Fraction(spend) for _, spend, *_ in closed) == sum(Fraction(amount) for _, amount in fed) - sum(
        after_flight
    )
    for (budget, spend, *_), (following, *_) in pairwise(closed):
        left = max(Fraction(0), Fraction(budget) - Fraction(spend)) if carries else 0
        assert Fraction(following) == 3_100 + left
    assert all(abs(Fraction(expected) - Fraction(budget)) <= Fraction(1, 200) for budget, _, expected, _ in closed)


def test_a_rebase_stays_one_when_the_plan_is_sent_again_with_another_policy() -> None:
    campaign = Monthly()
    campaign.take(start_of("08-11"), spent(119, noon("08-05")))
    campaign.change(start_of("08-11"), total_budget=6_200, budget_change_policy="rebase")
    campaign.take(start_of("08-12"))
    campaign.change(start_of("08-13"), budget_change_policy="forward", name="sent again")
    campaign.take(start_of("08-14"))
    campaign.change(start_of("08-15"), name="and again")
    campaign.take(start_of("08-16"))
    assert campaign.figures("2026-08-19T04:48:00Z") == [("6200.00", "119.00", "2493.49", False)]
