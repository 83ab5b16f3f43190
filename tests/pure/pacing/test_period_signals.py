"""Signals read from the figures: at their thresholds, raised and cleared once, in grace, paused, over periods."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pure.pacing.feeding import Paced, compare
from tests.pure.pacing.test_snapshot import APRIL, spent
from worker.pacing import Event, PacingState

Json = dict[str, Any]

LASTING = ("budget_used_before_period", "ahead_of_period", "exhaustion_projected")
NANO = "0.000000001"


class Campaign(Paced):
    """A campaign of 30,000 over April, 1,000 a day; only these signals are looked at, in short."""

    def __init__(self, *kinds: str, **plan: Any) -> None:
        super().__init__()
        self.kinds = kinds
        self.raw = {**APRIL, "total_budget": 30_000, "signals": {}, **plan}
        self.plan(self.raw)

    def at(self, day: int, *updates: Json, clock: str = "00:00", complete: bool = True) -> list[str]:
        """What is raised (+) and cleared (-) at an instant of April; day 31 is the first of May."""
        self.feed(*updates)
        date = "2026-05-01" if day == 31 else f"2026-04-{day:02d}"
        events, told = self.tick(f"{date}T{clock}:00Z", complete=complete)
        compare(events, told)
        self.events = [
            event for event in events if event.kind.startswith("alert_") and event.body["kind"] in self.kinds
        ]
        return list(map(in_short, self.events))


def in_short(event: Event) -> str:
    sign = "+" if event.kind == "alert_raised" else "-"
    milestone = event.body["evidence"].get("milestone_pct", "")
    return f"{sign}{event.body['kind']}{milestone}"


# -- thresholds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "spend", "raised"),
    [
        pytest.param(24, "27000", [], id="90.00 % used is not above 90"),
        pytest.param(24, "27000.000000001", ["+budget_used_before_period"], id="a nano above, at 76.67 % of the time"),
        pytest.param(25, "27001", [], id="24 of 30 days: 80.00 % elapsed is not below 80"),
    ],
)
def test_ninety_percent_used_before_eighty_of_the_period(day: int, spend: str, raised: list[str]) -> None:
    assert Campaign("budget_used_before_period").at(day, spent(spend)) == raised


@pytest.mark.parametrize(
    ("spend", "raised"),
    [
        pytest.param("13000", [], id="43.33 - 33.33 = 10.00 points are not more than 10"),
        pytest.param("13000.000000001", ["+ahead_of_period"], id="a nano more is"),
    ],
)
def test_ten_points_ahead_of_the_period(spend: str, raised: list[str]) -> None:
    assert Campaign("ahead_of_period").at(11, spent(spend)) == raised


@pytest.mark.parametrize(
    ("spend", "raised"),
    [
        pytest.param("30000", [], id="30,000 / (30,000 / 29) = 29 days: one day before the end is not more than one"),
        pytest.param("30000.000000001", ["+exhaustion_projected"], id="a nano more is"),
    ],
)
def test_exhaustion_more_than_a_day_before_the_end(spend: str, raised: list[str]) -> None:
    campaign = Campaign("exhaustion_projected", total_budget=43_500)
    # At the 21st 20 days are over: 30,000 of them is 1,500 a day, and 43,500 lasts 29 days.
    assert campaign.at(21, spent(spend)) == raised


@pytest.mark.parametrize(
    ("spend", "reached"),
    [
        pytest.param("14999.999999999", [], id="below 50"),
        pytest.param("15000", [50], id="50 itself"),
        pytest.param("24000", [50, 80], id="80 itself, and 50 on the way"),
        pytest.param("29999.99", [50, 80, 90], id="just below 100"),
        pytest.param("31000", [50, 80, 90, 100], id="over it"),
    ],
)
def test_milestones_on_the_way_are_told_at_once(spend: str, reached: list[int]) -> None:
    told = Campaign("milestone_reached").at(28, spent(spend))
    assert told == [f"+milestone_reached{pct}" for pct in reached]


# -- life ------------------------------------------------------------------------------------------------------------


def test_each_is_raised_and_cleared_once() -> None:
    campaign = Campaign(*LASTING)
    assert campaign.at(21, spent(28_000)) == [f"+{kind}" for kind in LASTING]
    assert campaign.at(22) == []
    assert campaign.at(23, spent(-10_000, "2026-04-22T00:00:00Z")) == [f"-{kind}" for kind in LASTING]
    assert campaign.at(24) == []


def test_a_milestone_is_told_once_a_flight_whatever_is_credited() -> None:
    campaign = Campaign("milestone_reached")
    assert campaign.at(10, spent(16_000)) == ["+milestone_reached50"]
    assert campaign.at(11, spent(-5_000, "2026-04-10T00:00:00Z")) == ["-milestone_reached"]
    assert campaign.at(12, spent(5_000, "2026-04-11T00:00:00Z")) == []
    campaign.plan({**campaign.raw, "total_budget": 60_000}, "2026-04-12T00:00:00Z")
    assert campaign.at(13, spent(15_000, "2026-04-12T00:00:00Z")) == []
    assert campaign.at(14, spent(20_000, "2026-04-13T00:00:00Z")) == ["+milestone_reached80"]


def test_milestones_of_one_tick_are_alerts_of_their_own() -> None:
    campaign = Campaign("milestone_reached")
    campaign.at(10, spent(27_000))
    raised = campaign.events
    assert len({event.body["alert_id"] for event in raised}) == 3
    campaign.at(11)
    assert [event.body["alert_id"] for event in campaign.events] == [event.body["alert_id"] for event in raised]


def test_a_milestone_switched_off_is_told_when_it_is_switched_on() -> None:
    campaign = Campaign("milestone_reached", signals={"milestone_reached": False})
    assert campaign.at(10, spent(16_000)) == []
    campaign.plan({**campaign.raw, "signals": {}}, "2026-04-10T00:00:00Z")
    assert campaign.at(11) == ["+milestone_reached50"]


@pytest.mark.parametrize("kind", [*LASTING, "milestone_reached"])
def test_each_can_be_switched_off(kind: str) -> None:
    campaign = Campaign(*LASTING, "milestone_reached", signals={kind: False})
    assert kind not in {event[1:].rstrip("0589") for event in campaign.at(21, spent(28_000))}
    assert {event.body["kind"] for event in campaign.events} == {*LASTING, "milestone_reached"} - {kind}


def test_the_closing_of_the_flight_clears_what_is_up() -> None:
    campaign = Campaign(*LASTING)
    campaign.at(21, spent(28_000))
    assert campaign.at(31) == [f"-{kind}" for kind in LASTING]


def test_a_tick_that_is_not_complete_raises_and_clears_none() -> None:
    campaign = Campaign(*LASTING, "milestone_reached")
    assert campaign.at(21, spent(28_000), complete=False) == []
    assert len(campaign.at(22)) == 6
    assert campaign.at(23, spent(-28_000, "2026-04-22T00:00:00Z"), complete=False) == []
    assert len(campaign.at(24)) == 6


def test_in_grace_only_exhaustion_is_raised() -> None:
    campaign = Campaign(*LASTING, thresholds={"grace_days": 7})
    assert campaign.at(7, spent(28_000)) == ["+exhaustion_projected"]
    assert campaign.at(8) == ["+budget_used_before_period", "+ahead_of_period"]


def test_grace_that_begins_while_a_signal_is_up_leaves_it() -> None:
    campaign = Campaign("ahead_of_period")
    assert campaign.at(6, spent(20_000)) == ["+ahead_of_period"]
    campaign.plan({**campaign.raw, "thresholds": {"grace_days": 10}}, "2026-04-06T00:00:00Z")
    assert campaign.at(7) == []
    assert campaign.at(8, spent(-19_000, "2026-04-07T00:00:00Z")) == ["-ahead_of_period"]


def test_less_than_a_day_is_no_history_to_project_from_unless_all_is_spent() -> None:
    campaign = Campaign("exhaustion_projected")
    assert campaign.at(1, spent(2_000, "2026-04-01T01:00:00Z"), clock="23:59") == []
    assert campaign.at(2) == ["+exhaustion_projected"]
    assert Campaign("exhaustion_projected").at(1, spent(30_000, "2026-04-01T01:00:00Z"), clock="02:00") == [
        "+exhaustion_projected"
    ]


def test_paused_nothing_comes_up_but_a_milestone_and_what_is_up_stays_while_it_holds() -> None:
    campaign = Campaign(*LASTING, "milestone_reached", status="paused")
    assert campaign.at(6, spent(16_000)) == ["+milestone_reached50"]
    campaign.plan({**campaign.raw, "status": "active"}, "2026-04-06T00:00:00Z")
    assert campaign.at(7) == ["-milestone_reached", "+ahead_of_period", "+exhaustion_projected"]
    campaign.plan(campaign.raw, "2026-04-07T00:00:00Z")
    assert campaign.at(8) == []
    assert campaign.at(20) == ["-ahead_of_period", "-exhaustion_projected"]


@pytest.mark.parametrize("status", ["completed", "canceled"])
def test_a_plan_that_is_over_foresees_nothing_at_a_first_tick(status: str) -> None:
    campaign = Campaign(*LASTING, "milestone_reached", status=status)
    campaign.feed(spent(16_000))
    events, told = campaign.tick("2026-04-06T00:00:00Z", first=True)
    compare(events, told)
    assert [event.body["kind"] for event in events if event.kind == "alert_raised"] == ["milestone_reached"]


def test_every_period_has_its_own() -> None:
    campaign = Campaign("ahead_of_period", "milestone_reached", total_budget=700, period="weekly")
    assert campaign.at(7, spent(400, "2026-04-06T01:00:00Z")) == ["+ahead_of_period", "+milestone_reached50"]
    assert campaign.at(8) == ["-milestone_reached"]
    assert campaign.at(9, spent(200, "2026-04-08T01:00:00Z")) == ["+milestone_reached80"]
    assert "-ahead_of_period" in campaign.at(13)
    assert campaign.at(14, spent(500, "2026-04-13T01:00:00Z")) == ["+ahead_of_period", "+milestone_reached50"]


# -- what they say ---------------------------------------------------------------------------------------------------


def test_they_say_what_they_are_about_with_the_figures() -> None:
    campaign = Campaign(*LASTING, "milestone_reached")
    campaign.at(21, spent(28_000))
    said = {event.body["kind"]: (event.body["message"], event.body["evidence"]) for event in campaign.events}
    assert said["budget_used_before_period"] == (
        "Campaign c-1 has used 93.33 % of its budget by 66.67 % of the time.",
        {"budget_used_pct": 93.33, "elapsed_pct": 66.67},
    )
    assert said["ahead_of_period"] == (
        "Campaign c-1 has used 26.67 percentage points more of its budget than of its time.",
        {"budget_used_pct": 93.33, "elapsed_pct": 66.67, "ahead_pp": 26.67},
    )
    assert said["exhaustion_projected"] == (
        "Campaign c-1 is projected to use up its budget at 2026-04-22T10:17:08Z, 8.5714 days before the end.",
        {
            "projected_exhaustion_at": "2026-04-22T10:17:08.571428572Z",
            "dark_days": 8.5714,
            "projected_spend": "42000.00",
            "projection_method": "run_rate",
        },
    )
    assert said["milestone_reached"] == (
        "Campaign c-1 has reached 90 % of its budget: 28000.00 of 30000.00 USD.",
        {"milestone_pct": 90, "spend": "28000.00", "budget": "30000.00"},
    )
    assert {event.body["alert_level"] for event in campaign.events} == {"warning"}
    assert {(event.body["scope"], event.body["scope_id"]) for event in campaign.events} == {("campaign", "c-1")}


def test_of_a_budget_that_is_spent_it_says_when_it_was() -> None:
    campaign = Campaign("exhaustion_projected")
    campaign.at(21, spent(30_000, "2026-04-20T06:00:00Z"))
    message = campaign.events[0].body["message"]
    assert message == "Campaign c-1 has used up its budget at 2026-04-20T06:00:00Z, 10.75 days before the end."


def test_a_budget_spent_before_anything_is_expected_has_no_projection_to_show() -> None:
    campaign = Campaign("exhaustion_projected")
    campaign.at(1, spent(30_000, "2026-03-31T12:00:00Z"))
    assert campaign.events[0].body["evidence"] == {
        "projected_exhaustion_at": "2026-03-31T12:00:00Z",
        "dark_days": 30.5,
        "projected_spend": None,
        "projection_method": None,
    }


def test_a_part_of_a_periods_budget_is_told_rounded() -> None:
    """700 x 5/7 for the part of a week from Wednesday is 500; of 1,000 it is 714.285714..., of which 360 are 50.4 %."""
    campaign = Campaign("milestone_reached", total_budget=1_000, period="weekly", partial_period="prorated")
    campaign.at(4, spent(360, "2026-04-02T00:00:00Z"))
    assert campaign.events[0].body["evidence"]["budget"] == "714.29"


def test_what_was_told_is_remembered_over_a_restart() -> None:
    campaign = Campaign(*LASTING, "milestone_reached")
    campaign.at(21, spent(28_000))
    assert (campaign.state.milestones, len(campaign.state.alerts)) == (3, 6)
    assert PacingState().milestones == 0
    campaign.at(22)
    assert (campaign.state.milestones, len(campaign.state.alerts)) == (3, 3)
