"""Signals besides deviations: what raises them, what clears them, what they say."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.fields import NANOS, parse_time
from tests.pure.pacing.feeding import QUIET, Paced, compare, plan_of
from tests.pure.pacing.test_snapshot import APRIL, spent
from worker.pacing import Attribution, Case, Counted, Event, PacingState, PlanHistory, take_tick

Json = dict[str, Any]

CHANNELS = [{"channel": "ctv", "allocated_budget": 12_000}, {"channel": "audio", "allocated_budget": 8_000}]
DEALS = [
    {"deal_id": "own", "allocated_budget": 3_000, "flight_start": "2026-04-10", "flight_end": "2026-04-19"},
    {"deal_id": "follows", "allocated_budget": 3_000, "channel": "ctv"},
]


class Campaign(Paced):
    """A campaign whose alerts are looked at."""

    def __init__(self, **plan: Any) -> None:
        super().__init__()
        self.raw = {**APRIL, **plan}
        self.plan(self.raw)

    def alerts(self, day: int, *updates: Json, complete: bool = True) -> list[tuple[str, str, str]]:
        """What is raised and cleared at the midnight that begins a day of April, in short."""
        self.feed(*updates)
        events, told = self.tick(midnight(day), complete=complete)
        compare(events, told)
        self.events = [event for event in events if event.kind.startswith("alert_")]
        return [(event.kind[6:], event.body["kind"], event.body["scope_id"]) for event in self.events]


def midnight(day: int) -> str:
    return f"2026-04-{day:02d}T00:00:00Z"


def test_over_budget_lasts_while_spend_is_above_the_budget() -> None:
    campaign = Campaign()
    assert campaign.alerts(2, spent("20000")) == []
    assert campaign.alerts(3, spent("0.000000001", midnight(2))) == [("raised", "over_budget", "c-1")]
    assert campaign.alerts(4, spent("5", midnight(3))) == []
    assert campaign.alerts(5, spent("-5", midnight(4))) == []
    assert campaign.alerts(6, spent("-0.000000001", midnight(5))) == [("cleared", "over_budget", "c-1")]
    assert campaign.alerts(7, spent("1", midnight(6))) == [("raised", "over_budget", "c-1")]


def test_over_budget_is_told_of_every_scope_with_a_budget() -> None:
    campaign = Campaign(channels=CHANNELS, deals=DEALS)
    found = campaign.alerts(12, spent(12_001, channel="ctv"), spent(3_001, midnight(11), deal_id="own"), spent(5_000))
    assert found == [("raised", "over_budget", name) for name in ("c-1", "ctv", "own")]
    assert [event.body["scope"] for event in campaign.events] == ["campaign", "channel", "deal"]


def test_an_alert_says_what_it_is() -> None:
    campaign = Campaign()
    campaign.alerts(2, spent("20000.5"))
    raised = campaign.events[0].body
    assert list(raised) == [
        "event_id", "event_type", "occurred_at", "campaign_id", "account_id", "currency",
        "alert_id", "kind", "scope", "scope_id", "alert_level", "message", "evidence",
    ]  # fmt: skip
    assert raised["event_type"] == "pacing.alert_raised"
    assert raised["occurred_at"] == midnight(2)
    assert raised["alert_level"] == "critical"
    assert raised["evidence"] == {"spend": "20000.50", "budget": "20000.00", "over_by": "0.50"}
    assert raised["message"] == "Campaign c-1 has spent 20000.50 USD, 0.50 more than its budget 20000.00."
    campaign.alerts(3, spent("-1", midnight(2)))
    cleared = campaign.events[0].body
    assert list(cleared) == list(raised)
    assert cleared["event_type"] == "pacing.alert_cleared"
    assert (cleared["alert_id"], cleared["alert_level"]) == (raised["alert_id"], "critical")
    assert cleared["event_id"] != raised["event_id"]
    assert (cleared["message"], cleared["evidence"]) == ("Campaign c-1: over_budget is over.", {})


def test_raised_again_it_is_another_alert() -> None:
    campaign = Campaign()
    ids = []
    for day, amount in ((2, "20001"), (3, "-2"), (4, "2")):
        campaign.alerts(day, spent(amount, midnight(day - 1)))
        ids.append(campaign.events[0].body["alert_id"])
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("at", "amount", "raised"),
    [
        pytest.param("2026-03-31T23:59:59.999999999Z", 1, True, id="just before the start"),
        pytest.param("2026-04-01T00:00:00Z", 1, False, id="at the start"),
        pytest.param("2026-03-31T23:00:00Z", 0, False, id="an update of no spend"),
        pytest.param("2026-03-31T23:00:00Z", -1, True, id="a credit"),
    ],
)
def test_spend_outside_the_flight(at: str, amount: int, raised: bool) -> None:
    campaign = Campaign()
    expected = [("raised", "spend_outside_flight", "c-1")] if raised else []
    assert campaign.alerts(2, spent(amount, at)) == expected


def test_spend_outside_the_flight_clears_at_the_first_tick_without_a_new_case() -> None:
    campaign = Campaign()
    before = "2026-03-30T00:00:00Z"
    assert campaign.alerts(2, spent(1, before), spent(2, "2026-03-31T12:00:00Z")) == [
        ("raised", "spend_outside_flight", "c-1")
    ]
    body = campaign.events[0].body
    assert body["evidence"] == {
        "spend": "3.00",
        "flight_start": "2026-04-01T00:00:00Z",
        "flight_end": "2026-05-01T00:00:00Z",
    }
    assert body["message"] == (
        "Campaign c-1: 3.00 USD is dated outside its flight, 2026-04-01T00:00:00Z to 2026-05-01T00:00:00Z."
    )
    assert body["alert_level"] == "warning"
    assert campaign.alerts(3, spent(4, before)) == []
    assert campaign.alerts(4) == [("cleared", "spend_outside_flight", "c-1")]
    assert campaign.alerts(5) == []


def test_amounts_that_cancel_each_other_under_one_attribution_are_no_case() -> None:
    campaign = Campaign(channels=CHANNELS)
    early, late = "2026-03-30T00:00:00Z", "2026-03-31T00:00:00Z"
    assert campaign.alerts(2, spent(5, early, channel="ctv"), spent(-5, late, channel="ctv")) == []
    found = campaign.alerts(3, spent(6, early, channel="ctv"), spent(-6, late, channel="audio"))
    assert found == [("raised", "spend_outside_flight", "c-1")]
    assert campaign.events[0].body["evidence"]["spend"] == "0.00"


def test_a_deal_with_a_flight_of_its_own_is_told_of_by_itself() -> None:
    campaign = Campaign(channels=CHANNELS, deals=DEALS)
    inside, outside = "2026-04-12T00:00:00Z", "2026-04-05T00:00:00Z"
    assert campaign.alerts(13, spent(1, inside, deal_id="own"), spent(1, outside, deal_id="follows")) == []
    found = campaign.alerts(14, spent(2, outside, deal_id="own"), spent(3, outside, channel="ctv"))
    assert found == [("raised", "spend_outside_flight", "own")]
    assert campaign.events[0].body["scope"] == "deal"
    assert campaign.events[0].body["evidence"] == {
        "spend": "2.00", "flight_start": "2026-04-10T00:00:00Z", "flight_end": "2026-04-20T00:00:00Z",
    }  # fmt: skip


def test_unplanned_channels_are_told_of_one_by_one() -> None:
    campaign = Campaign(channels=CHANNELS)
    at = midnight(1)
    found = campaign.alerts(
        2, spent(1, at, channel="radio"), spent(2, at, channel="print"), spent(4, at, channel="ctv"), spent(8, at)
    )
    assert found == [("raised", "unplanned_channel", "radio"), ("raised", "unplanned_channel", "print")]
    body = campaign.events[0].body
    assert (body["scope"], body["alert_level"], body["evidence"]) == ("channel", "warning", {"spend": "1.00"})
    assert body["message"] == "Channel radio is not in the plan; 1.00 USD came under it."
    assert campaign.alerts(3, spent(1, at, channel="radio"), spent(3, at, channel="radio")) == [
        ("cleared", "unplanned_channel", "print")
    ]


def test_an_unplanned_channel_is_told_of_for_any_figure() -> None:
    campaign = Campaign(channels=CHANNELS)
    assert campaign.alerts(2, spent(0, midnight(1), channel="radio", impressions=5)) == [
        ("raised", "unplanned_channel", "radio")
    ]
    assert campaign.alerts(3, spent(0, midnight(2), channel="print", impressions=0)) == [
        ("cleared", "unplanned_channel", "radio")
    ]


def test_an_old_unplanned_channel_is_not_a_new_case_of_a_planned_one() -> None:
    campaign = Campaign(channels=CHANNELS)
    campaign.alerts(2, spent(1, midnight(1), channel="radio"))
    assert campaign.alerts(3, spent(1, midnight(2), channel="ctv")) == [("cleared", "unplanned_channel", "radio")]


def test_a_deals_channel_may_be_the_unplanned_one() -> None:
    campaign = Campaign(channels=[], deals=[{"deal_id": "d", "allocated_budget": 1, "channel": "radio"}])
    assert campaign.alerts(2, spent(1, midnight(1), deal_id="d")) == [], "a plan without channels has no unplanned ones"
    campaign = Campaign(channels=CHANNELS)
    assert campaign.alerts(2, spent(1, midnight(1), deal_id="d")) == [], "an unknown deal has no channel"


def test_a_channel_that_is_planned_later_clears() -> None:
    campaign = Campaign(channels=CHANNELS[:1])
    assert campaign.alerts(2, spent(1, midnight(1), channel="audio")) == [("raised", "unplanned_channel", "audio")]
    campaign.plan({**campaign.raw, "channels": CHANNELS}, midnight(2))
    assert campaign.alerts(3, spent(1, midnight(2), channel="audio")) == [("cleared", "unplanned_channel", "audio")]


def test_conflicts_raise_and_clear() -> None:
    campaign = Campaign()
    first = spent(1)
    assert campaign.alerts(2, first, first) == []
    assert campaign.alerts(3, {**first, "spend": 2}, {**first, "spend": 3}) == [("raised", "conflicting_update", "c-1")]
    assert campaign.events[0].body["evidence"] == {"count": 2, "amounts": {}}
    assert campaign.events[0].body["message"] == (
        "Campaign c-1: 2 of its updates came again under a known id with another body; the first stands."
    )
    assert campaign.alerts(4) == [("cleared", "conflicting_update", "c-1")]


def test_foreign_currency_held_before_the_plan_is_told_with_its_amounts() -> None:
    campaign = Paced()
    held = [spent("5.5", currency="EUR"), spent(100, "2026-04-03T00:00:00Z", currency="JPY"), spent(7, currency="USD")]
    campaign.feed(*held, spent(1, "2026-04-04T00:00:00Z", currency="EUR"))
    campaign.plan(APRIL)
    events, told = campaign.tick(midnight(6))
    compare(events, told)
    assert events[0].body["total_spend"] == "7.00"
    alert = events[-1].body
    assert (alert["kind"], alert["alert_level"]) == ("currency_mismatch", "critical")
    assert alert["evidence"] == {"count": 3, "amounts": {"EUR": "6.50", "JPY": "100"}}
    assert alert["message"].endswith("it stays out of the totals, 6.50 EUR, 100 JPY.")


def case_of(kind: str, case: Case, state: PacingState, day: int) -> tuple[list[Event], PacingState]:
    """A tick whose only news is one case."""
    counted = Counted({}, 0, 0, None, lambda _: {}, lambda _: None, [], {kind: case} if case.count else {})
    history = PlanHistory().with_version(plan_of(APRIL), 0)
    events, state = take_tick(history, state, counted, as_of=parse_time(midnight(day)))
    return [event for event in events if event.kind.startswith("alert_")], state


@pytest.mark.parametrize(
    ("kind", "level"),
    [("unmatched_correction", "warning"), ("conflicting_update", "warning"), ("currency_mismatch", "critical")],
)
def test_a_case_is_raised_once_and_cleared_without_a_new_one(kind: str, level: str) -> None:
    events, state = case_of(kind, Case(2, {"USD": 3 * NANOS}), PacingState(), 2)
    body = events[0].body
    assert (body["kind"], body["scope"], body["scope_id"], body["alert_level"]) == (kind, "campaign", "c-1", level)
    assert body["evidence"] == {"count": 2, "amounts": {"USD": "3.00"}}
    assert "3.00 USD" in body["message"]
    events, state = case_of(kind, Case(1, {}), state, 3)
    assert events == []
    events, state = case_of(kind, Case(0, None), state, 4)
    assert [event.kind for event in events] == ["alert_cleared"]
    assert state == PacingState(deviations=state.deviations)


def test_a_correction_that_never_matched_says_so() -> None:
    events, _ = case_of("unmatched_correction", Case(1, {"USD": 3 * NANOS}), PacingState(), 2)
    assert events[0].body["message"] == (
        "Campaign c-1: 1 of its updates corrected an update that never came; it counts nothing, 3.00 USD."
    )


@pytest.mark.parametrize("kind", ["over_budget", "spend_outside_flight", "unplanned_channel", "conflicting_update"])
def test_a_signal_may_be_switched_off(kind: str) -> None:
    first = spent(30_000, "2026-03-30T00:00:00Z", channel="radio")
    campaign = Campaign(channels=CHANNELS)
    campaign.alerts(2, first, {**first, "spend": 1})
    assert kind in [event.body["kind"] for event in campaign.events]
    silent = Campaign(channels=CHANNELS, signals={**QUIET, kind: False, "daily_budget_exceeded": True})
    silent.alerts(2, first, {**first, "spend": 1})
    assert len(silent.events) == len(campaign.events) - 1
    assert kind not in [event.body["kind"] for event in silent.events]


def test_a_signal_switched_off_while_it_is_up_clears() -> None:
    campaign = Campaign()
    campaign.alerts(2, spent(30_000))
    campaign.plan({**campaign.raw, "signals": {**QUIET, "over_budget": False}}, midnight(2))
    assert campaign.alerts(3) == [("cleared", "over_budget", "c-1")]


def test_on_a_tick_that_is_not_complete_news_is_raised_and_nothing_clears() -> None:
    campaign = Campaign()
    campaign.alerts(2, spent(30_000))
    assert campaign.alerts(3, spent(-20_000, "2026-03-30T00:00:00Z"), complete=False) == [
        ("raised", "spend_outside_flight", "c-1")
    ]
    assert campaign.alerts(4, complete=False) == []
    assert campaign.alerts(5) == [("cleared", "over_budget", "c-1"), ("cleared", "spend_outside_flight", "c-1")]


def test_over_budget_is_not_raised_on_a_tick_that_is_not_complete() -> None:
    campaign = Campaign()
    assert campaign.alerts(2, spent(30_000), complete=False) == []
    assert campaign.alerts(3) == [("raised", "over_budget", "c-1")]


def test_figures_under_a_cell_that_starts_before_a_flight_belong_outside() -> None:
    """The start of a cell decides: no cell straddles the flight's edge."""
    start = parse_time("2026-04-01T00:00:00Z")
    totals = {Attribution(None, None): [NANOS, 0, 0, 0, 0, 0, 0, 0]}
    history = PlanHistory().with_version(plan_of(APRIL), 0)
    for cell, count in ((start - 1, 1), (start, 0)):
        counted = Counted(totals, 0, 0, None, lambda _: {}, lambda _: None, [(cell, totals)], {})
        events, _ = take_tick(history, PacingState(), counted, as_of=start + 1)
        assert len([event for event in events if event.kind == "alert_raised"]) == count
