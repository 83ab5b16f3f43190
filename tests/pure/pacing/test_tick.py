"""One campaign's tick after another: what is told, in which order, under which ids, and what is remembered."""

# ruff: noqa: E501  # a row of a table is one line

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from schemas.fields import NANOS, parse_time
from tests.pure.pacing.feeding import QUIET, Paced, compare, plan_of
from tests.pure.pacing.test_snapshot import APRIL, spent
from worker.pacing import Attribution, Counted, Event, PacingState, PlanHistory, take_tick
from worker.pacing.state import Closing, DeviationLife, Proposal, Raised

Json = dict[str, Any]

CHANNELS = [{"channel": "ctv", "allocated_budget": 3_000}, {"channel": "audio", "allocated_budget": 3_000}]
DEALS = [{"deal_id": "own", "allocated_budget": 300, "flight_start": "2026-04-11", "flight_end": "2026-04-20"}]


class Campaign(Paced):
    """3,000 USD over April, 100 a day; unless the plan says otherwise."""

    def __init__(self, **plan: Any) -> None:
        super().__init__()
        self.raw = {**APRIL, "total_budget": 3_000, **plan}
        self.plan(self.raw)

    def change(self, counts_from: str, **plan: Any) -> None:
        self.raw = {**self.raw, **plan}
        self.plan(self.raw, counts_from)

    def take(self, at: str, *updates: Json, complete: bool = True, first: bool = False) -> list[Event]:
        """The events of a tick, which are the oracle's too."""
        self.feed(*updates)
        events, told = self.tick(at, complete=complete, first=first)
        compare(events, told)
        return events

    def kinds(self, at: str, *updates: Json, **how: Any) -> list[str]:
        """Kinds of event; a deviation's with its scope, transition and reason."""
        return [in_short(event) for event in self.take(at, *updates, **how)]


def in_short(event: Event) -> str:
    body = event.body
    if event.kind.startswith("deviation"):
        return " ".join(filter(None, [body["scope_id"], body["transition"], body.get("reason")]))
    return event.kind


def day(number: int) -> str:
    """The midnight that begins a day of April; 31 is the first of May, the end of the flight."""
    return f"2026-04-{number:02d}T00:00:00Z" if number < 31 else f"2026-05-{number - 30:02d}T00:00:00Z"


# -- the order and the ids of events ---------------------------------------------------------------------------------


def test_the_snapshot_is_first_then_deviations_then_proposals_then_signals() -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS)
    events = campaign.take(day(11), spent(10, channel="ctv"), spent(3_001, channel="audio"), spent(1, channel="radio"))
    kinds = ["snapshot_taken", *["deviation_detected"] * 3, "reallocation_recommended", *["alert_raised"] * 2]
    assert [event.kind for event in events] == kinds
    assert [event.body["scope_id"] for event in events[1:4]] == ["c-1", "ctv", "audio"]
    assert [event.body["event_type"] for event in events] == [f"pacing.{event.kind}" for event in events]


def test_every_event_names_its_snapshot_and_has_an_id_of_its_own() -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS)
    seen: list[str] = []
    for number, amount in ((11, 10), (12, 900), (13, -800), (14, 3_000), (31, 0), (32, 5)):
        events = campaign.take(day(number), spent(amount, day(number - 1), channel="ctv"))
        seen += [event.body["event_id"] for event in events]
        snapshots = {event.body["snapshot_id"] for event in events if "snapshot_id" in event.body}
        assert len(snapshots) == 1
    assert len(seen) == len(set(seen))
    assert len(seen) > 15


def test_the_same_input_gives_the_same_ids_and_another_tick_others() -> None:
    def ids(number: int) -> list[str]:
        events = Campaign(channels=CHANNELS[:1]).take(day(number), spent(1, channel="ctv"))
        return [event.body["event_id"] for event in events]

    assert ids(11) == ids(11)
    assert not set(ids(11)) & set(ids(12))


def test_a_first_tick_has_the_ids_of_the_same_tick_live() -> None:
    live, alone = Campaign(channels=CHANNELS[:1]), Campaign(channels=CHANNELS[:1])
    update = spent(1, channel="ctv")
    told = [event.body for event in live.take(day(11), update)]
    assert told == [event.body for event in alone.take(day(11), update, first=True)]


def test_a_deviation_says_what_it_is() -> None:
    campaign = Campaign()
    snapshot, opened = campaign.take(day(11), spent(800))
    body = opened.body
    assert list(body) == [
        "event_id", "event_type", "occurred_at", "campaign_id", "account_id", "currency",
        "alert_id", "snapshot_id", "scope", "scope_id", "transition", "alert_level", "direction",
        "deviation_pct", "threshold_pct", "spend", "expected_spend", "message",
    ]  # fmt: skip
    assert (body["scope"], body["scope_id"], body["transition"]) == ("campaign", "c-1", "opened")
    assert (body["alert_level"], body["direction"]) == ("warning", "underpacing")
    assert (body["deviation_pct"], body["threshold_pct"]) == (-20.0, 10.0)
    assert (body["spend"], body["expected_spend"]) == ("800.00", "1000.00")
    assert body["snapshot_id"] == snapshot.body["snapshot_id"]
    message = "Campaign c-1 is underpacing (warning, beyond 10.0 %): 800.00 of 1000.00 USD expected, -20.00 %."
    assert body["message"] == message
    resolved = campaign.take(day(12), spent(300, day(11)))[1].body
    assert list(resolved) == [*list(body), "reason"]
    assert (resolved["transition"], resolved["reason"]) == ("resolved", "recovered")
    assert resolved["alert_id"] == body["alert_id"]
    assert resolved["message"] == "Campaign c-1 is no longer underpacing: 1100.00 of 1100.00 USD expected, +0.00 %."


def test_the_sentences_of_a_deviation() -> None:
    campaign = Campaign(channels=CHANNELS[:1], total_budget=3_000)
    for number, amount in ((11, 1_200), (12, 400), (13, -220), (14, -1_400), (31, -1_000)):
        for event in campaign.take(day(number), spent(amount, day(number - 1), channel="ctv")):
            if event.kind.startswith("deviation") and event.body["scope"] == "channel":
                assert event.body["message"] in SENTENCES
                SENTENCES.remove(event.body["message"])
    assert not SENTENCES


SENTENCES = [
    "Channel ctv is overpacing (warning, beyond 10.0 %): 1200.00 of 1000.00 USD expected, +20.00 %.",
    "Channel ctv is now overpacing (critical, beyond 25.0 %): 1600.00 of 1100.00 USD expected, +45.45 %.",
    "Channel ctv is still overpacing (warning, beyond 10.0 %): 1380.00 of 1200.00 USD expected, +15.00 %.",
    "Channel ctv is no longer overpacing: -20.00 of 1300.00 USD expected, -101.54 %.",
    "Channel ctv is underpacing (critical, beyond 25.0 %): -20.00 of 1300.00 USD expected, -101.54 %.",
    "Channel ctv has ended its flight: -1020.00 of 3000.00 USD expected, -134.00 %.",
]


# -- what is remembered ----------------------------------------------------------------------------------------------


def figures(spend: int) -> list[int]:
    return [spend * NANOS, 0, 0, 0, 0, 0, 0, 0]


def counted(spend: int, **more: Any) -> Counted:
    """*spend* of channel ctv."""
    totals = {Attribution("ctv", None): figures(spend)}
    made = Counted(totals, 0, 0, None, lambda _: totals, lambda _: None, [(0, totals)], {})
    for name, value in more.items():
        setattr(made, name, value)
    return made


def a_history(**plan: Any) -> PlanHistory:
    raw = {**APRIL, "total_budget": 6_000, "channels": CHANNELS, **plan}
    return PlanHistory().with_version(plan_of(raw), 0)


def test_nothing_given_is_changed() -> None:
    history, state, counts = a_history(), PacingState(), counted(10)
    before, record = PacingState(), history.pack()
    totals, new = copy.deepcopy(counts.totals), copy.deepcopy(counts.new)
    for number in (11, 12, 32, 33):
        _, after = take_tick(history, state, counts, as_of=parse_time(day(number)))
        assert (history.pack(), counts.totals, counts.new) == (record, totals, new)
        assert state == before
        state, before = after, copy.deepcopy(after)


def test_a_tick_that_changes_nothing_hands_back_the_very_same_state() -> None:
    history = a_history()
    _, state = take_tick(history, PacingState(), counted(4_000), as_of=parse_time(day(11)))
    assert state.deviations
    assert state.alerts
    counts = counted(4_000, new=[])
    _, cleared = take_tick(history, state, counts, as_of=parse_time(day(11)) + 1)
    events, again = take_tick(history, cleared, counts, as_of=parse_time(day(11)) + 2)
    assert [event.kind for event in events] == ["snapshot_taken"]
    assert again is cleared


def test_without_a_plan_nothing_is_told() -> None:
    state = PacingState()
    assert take_tick(PlanHistory(), state, counted(1), as_of=0) == ([], state)


def test_the_state_survives_its_record() -> None:
    state = PacingState(
        {"campaign\0c": DeviationLife("a", "overpacing", "critical", "overpacing", 2, 1, 3)},
        {"over_budget\0campaign\0c": Raised("b", "over_budget", "campaign", "c", "critical")},
        {"x\0y": Proposal("r", 10**20)},
        Closing(5, "s", 2, behind=True),
    )
    small = msgspec.structs.replace(state, proposals={"x\0y": Proposal("r", 5)})
    record = msgspec.msgpack.encode(small)
    assert msgspec.msgpack.decode(record, type=PacingState) == small
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(PacingState()), type=PacingState) == PacingState()
    assert msgspec.msgpack.decode(b"\x90", type=PacingState) == PacingState(), "an older, shorter record reads"


def test_the_position_is_the_snapshots() -> None:
    position = {"partition": 3, "next_offsets": {"pacing.spend_updates": 17}}
    for as_of in (day(11), day(32)):
        events, _ = take_tick(a_history(), PacingState(), counted(1), as_of=parse_time(as_of), position=position)
        assert events[0].body["ledger_position"] == position


# -- before, in and after the flight -----------------------------------------------------------------------------------


def test_snapshots_begin_with_the_plan_not_with_the_flight() -> None:
    campaign = Campaign()
    assert campaign.kinds("2026-03-01T00:00:00Z") == ["snapshot_taken"]


def test_the_first_tick_at_the_end_closes_the_flight() -> None:
    campaign = Campaign()
    campaign.take(day(30), spent(2_000))
    late = spent(300, "2026-04-30T23:59:59.999999999Z")
    after = spent(40, day(31))
    events = campaign.take(day(31), late, after)
    assert [in_short(event) for event in events] == ["snapshot_taken", "c-1 resolved flight_ended", "alert_raised"]
    body = events[0].body
    assert (body["final"], body["revision"], body["total_spend"]) == (True, 0, "2300.00")
    assert (body["expected_spend"], body["elapsed_pct"], body["required_daily_spend"]) == ("3000.00", 100.0, None)
    assert (body["future_spend"], body["data_through"]) == ("40.00", "2026-04-30T23:59:59.999999999Z")
    assert (body["occurred_at"], body["period_end"]) == (day(31), day(31))
    assert events[1].body["snapshot_id"] == body["snapshot_id"]
    assert events[1].body["deviation_pct"] == -23.33


def test_a_closing_told_late_is_as_of_the_end() -> None:
    campaign = Campaign()
    campaign.take(day(30), spent(2_000))
    body = campaign.take(day(33), spent(500, day(30)), spent(40, day(32)))[0].body
    assert (body["occurred_at"], body["total_spend"], body["future_spend"]) == (day(33), "2500.00", "40.00")


def test_what_is_dated_after_the_end_shows_in_a_revision_at_the_next_tick() -> None:
    campaign = Campaign()
    campaign.take(day(32), spent(2_000), spent(40, day(31)))
    events = campaign.take(day(33))
    body = events[0].body
    assert (body["total_spend"], body["revision"], body["final"]) == ("2040.00", 1, True)
    assert campaign.kinds(day(34)) == []


def test_a_revision_follows_only_a_change_of_spend() -> None:
    campaign = Campaign(channels=CHANNELS[:1])
    campaign.take(day(31), spent(2_000, channel="ctv"))
    assert campaign.kinds(day(32), spent(0, day(30), channel="ctv", impressions=5)) == []
    revisions = []
    for number, updates in ((33, [spent(5, day(30))]), (34, []), (35, [spent(-5, day(29), channel="ctv")])):
        revisions.append(
            [event.body["revision"] for event in campaign.take(day(number), *updates) if "final" in event.body]
        )
    assert revisions == [[1], [], [2]]


def test_money_that_moves_between_channels_is_a_change_of_spend() -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS)
    campaign.take(day(31), spent(2_000, channel="ctv"))
    events = campaign.take(day(32), spent(-5, day(30), channel="ctv"), spent(5, day(30), channel="audio"))
    assert (events[0].body["revision"], events[0].body["total_spend"]) == (1, "2000.00")
    assert campaign.kinds(day(33), spent(-5, day(29), channel="ctv"), spent(5, day(28), channel="ctv")) == []


def test_money_dated_after_the_end_that_only_moves_is_a_change_too() -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS)
    campaign.take(day(32), spent(-5, day(31), channel="ctv"), spent(5, day(31), channel="audio"))
    assert campaign.take(day(33))[0].body["revision"] == 1


def test_after_the_end_nothing_opens_and_nothing_is_proposed() -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS)
    campaign.take(day(30), spent(2_900, channel="ctv"), spent(2_900, channel="audio"))
    assert campaign.kinds(day(31)) == ["snapshot_taken"]
    found = campaign.kinds(day(32), spent(-2_000, day(30), channel="ctv"), spent(9_000, day(30), channel="audio"))
    assert found == ["snapshot_taken"]


def test_a_first_tick_after_the_end_is_one_plain_snapshot() -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS)
    events = campaign.take(day(33), spent(9_000, channel="ctv"), spent(1, day(32)), first=True)
    assert [event.kind for event in events] == ["snapshot_taken", "alert_raised"]
    body = events[0].body
    assert (body["final"], body["revision"], body["total_spend"]) == (False, 0, "9001.00")
    assert events[1].body["kind"] == "spend_outside_flight"


def test_a_first_tick_at_the_end_is_the_same() -> None:
    campaign = Campaign(channels=CHANNELS[:1])
    assert campaign.kinds(day(31), spent(1, channel="ctv"), first=True) == ["snapshot_taken"]


def test_a_first_tick_opens_at_once_and_nothing_is_late() -> None:
    campaign = Campaign(thresholds={"enter_ticks": 5})
    counts = campaign.counted(parse_time(day(11)))
    counts.late_spend = 7
    events, _ = take_tick(campaign.history, PacingState(), counts, as_of=parse_time(day(11)), first=True)
    assert [in_short(event) for event in events] == ["snapshot_taken", "c-1 opened"]
    assert events[0].body["late_spend"] == "0.00"


def test_late_spend_is_told() -> None:
    campaign = Campaign()
    campaign.take(day(11), spent(1_000))
    body = campaign.take(day(12), spent(7, day(11)), spent(80, "2026-04-11T00:00:01Z"))[0].body
    assert (body["late_spend"], body["total_spend"]) == ("7.00", "1087.00")


def test_an_extended_flight_runs_again_and_is_closed_again() -> None:
    campaign = Campaign()
    campaign.take(day(31), spent(3_000))
    campaign.change(day(32), flight_end="2026-05-10")
    events = campaign.take(day(33))
    assert (events[0].body["final"], events[0].body["revision"]) == (False, 0)
    assert campaign.take("2026-05-11T00:00:00Z")[0].body["final"]
    assert campaign.kinds("2026-05-12T00:00:00Z") == []


def test_a_flight_cut_short_after_its_closing_is_closed_as_of_the_new_end() -> None:
    campaign = Campaign()
    campaign.take(day(31), spent(1_000), spent(2_000, day(25)))
    campaign.change(day(31), flight_end="2026-04-20")
    body = campaign.take(day(32))[0].body
    assert (body["final"], body["revision"], body["period_end"], body["total_spend"]) == (True, 0, day(21), "1000.00")


# -- status ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["completed", "canceled"])
def test_a_plan_that_is_over_is_closed_once(status: str) -> None:
    campaign = Campaign()
    campaign.take(day(11), spent(500))
    campaign.change(day(11), status=status)
    events = campaign.take(day(12), spent(5, day(11)), spent(6, day(20)))
    assert [in_short(event) for event in events] == ["snapshot_taken", "c-1 resolved plan_ended"]
    body = events[0].body
    assert (body["final"], body["revision"], body["total_spend"], body["future_spend"]) == (True, 0, "505.00", "6.00")
    assert (body["expected_spend"], body["data_through"]) == ("1100.00", day(11))
    for number in (13, 21, 31, 32):
        assert campaign.kinds(day(number), spent(1, day(12))) == []


def test_a_plan_over_before_its_flight_was_closed_is_closed_as_of_the_tick() -> None:
    campaign = Campaign(status="completed")
    body = campaign.take(day(33), spent(500), spent(5, day(32)))[0].body
    assert (body["final"], body["total_spend"]) == (True, "505.00")


def test_a_plan_over_after_its_flight_was_closed_tells_no_more() -> None:
    campaign = Campaign()
    campaign.take(day(31), spent(500))
    campaign.change(day(31), status="completed")
    assert campaign.kinds(day(32), spent(5, day(30))) == []


def test_signals_about_single_updates_go_on_after_the_plan_is_over() -> None:
    campaign = Campaign(status="completed")
    campaign.take(day(11), spent(500))
    assert campaign.kinds(day(12), spent(5, "2026-03-01T00:00:00Z")) == ["alert_raised"]
    assert campaign.kinds(day(13)) == ["alert_cleared"]


def test_a_plan_made_active_again_runs_again() -> None:
    campaign = Campaign(status="canceled")
    campaign.take(day(11), spent(500))
    campaign.change(day(11), status="active")
    assert campaign.kinds(day(12)) == ["snapshot_taken", "c-1 opened"]
    assert campaign.take(day(31))[0].body["final"]


@pytest.mark.parametrize("status", ["completed", "canceled", "paused"])
def test_a_first_tick_of_a_plan_that_is_not_active_opens_nothing(status: str) -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS, status=status)
    events = campaign.take(day(11), spent(500, channel="ctv"), spent(2_000, channel="audio"), first=True)
    assert [event.kind for event in events] == ["snapshot_taken"]
    assert not events[0].body["final"]


def test_paused_nothing_opens_nothing_is_proposed_but_an_open_one_may_resolve() -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS)
    first = campaign.take(day(11), spent(500, channel="ctv"), spent(2_000, channel="audio"))
    assert len(first[0].body["recommendations"]) == 1
    campaign.change(day(11), status="paused")
    events = campaign.take(day(12), spent(600, day(11), channel="ctv"))
    assert [in_short(event) for event in events] == ["snapshot_taken", "ctv resolved recovered"]
    assert events[0].body["recommendations"] == []


# -- tombstones --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("complete", [True, False])
def test_a_tombstone_resolves_what_is_open_without_a_snapshot(complete: bool) -> None:
    campaign = Campaign(channels=CHANNELS[:1])
    campaign.take(day(11), spent(5_000, channel="ctv"))
    campaign.end_plan()
    events = campaign.take(day(12), complete=complete)
    assert [in_short(event) for event in events] == [
        "c-1 resolved plan_ended", "ctv resolved plan_ended", "alert_cleared", "alert_cleared",
    ]  # fmt: skip
    assert [event.body["snapshot_id"] for event in events[:2]] == [None, None]
    assert events[0].body["message"] == "Campaign c-1 is no longer planned: 5000.00 of 1100.00 USD expected, +354.55 %."
    assert campaign.state == PacingState()
    assert campaign.kinds(day(13), spent(1, day(12))) == []


def test_after_a_tombstone_the_same_state_comes_back() -> None:
    history, state = a_history().as_ended(), PacingState()
    assert take_tick(history, state, counted(1), as_of=parse_time(day(11)))[1] is state


def test_a_tombstone_with_only_a_closing_to_forget_is_silent() -> None:
    campaign = Campaign()
    campaign.take(day(31), spent(3_000))
    campaign.end_plan()
    assert campaign.kinds(day(32)) == []
    assert campaign.state == PacingState()


def test_a_plan_after_a_tombstone_starts_its_own_life() -> None:
    campaign = Campaign()
    campaign.take(day(31), spent(3_000))
    campaign.end_plan()
    campaign.take(day(32))
    campaign.change(day(32))
    body = campaign.take(day(33))[0].body
    assert (body["final"], body["revision"], body["plan_version"]) == (True, 0, 2)


# -- ticks that are not complete ---------------------------------------------------------------------------------------


def test_on_a_tick_that_is_not_complete_no_deviation_changes_and_nothing_is_proposed() -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS)
    first = campaign.take(day(11), spent(500, channel="ctv"), spent(2_000, channel="audio"))
    before = campaign.state
    events = campaign.take(day(12), spent(9_000, day(11), channel="ctv"), complete=False)
    assert [event.kind for event in events] == ["snapshot_taken"]
    assert not events[0].body["complete"]
    assert events[0].body["recommendations"] == first[0].body["recommendations"]
    assert campaign.state == before


def test_such_ticks_do_not_count_towards_opening() -> None:
    campaign = Campaign(thresholds={"enter_ticks": 2})
    assert campaign.kinds(day(11)) == ["snapshot_taken"]
    assert campaign.kinds(day(12), complete=False) == ["snapshot_taken"]
    assert campaign.kinds(day(13)) == ["snapshot_taken", "c-1 opened"]


def test_a_closing_that_is_not_complete_leaves_what_is_open_for_the_next_tick_that_is() -> None:
    campaign = Campaign(signals={**QUIET, "over_budget": True})
    campaign.take(day(30), spent(5_000))
    events = campaign.take(day(31), complete=False)
    assert [event.kind for event in events] == ["snapshot_taken"]
    assert (events[0].body["final"], events[0].body["complete"]) == (True, False)
    closing = events[0].body["snapshot_id"]
    assert campaign.kinds(day(32), complete=False) == []
    events = campaign.take(day(33))
    assert [in_short(event) for event in events] == ["c-1 resolved flight_ended", "alert_cleared"]
    assert events[0].body["snapshot_id"] == closing
    assert campaign.kinds(day(34)) == []


def test_a_plan_that_is_over_is_closed_at_the_first_tick_that_is_complete() -> None:
    campaign = Campaign()
    campaign.take(day(11), spent(500))
    campaign.change(day(11), status="canceled")
    for number in (12, 31):
        events = campaign.take(day(number), complete=False)
        assert [event.kind for event in events] == ["snapshot_taken"]
        assert not events[0].body["final"]
    events = campaign.take(day(32), spent(100, day(12)))
    assert [in_short(event) for event in events] == ["snapshot_taken", "c-1 resolved plan_ended"]
    assert (events[0].body["final"], events[0].body["total_spend"]) == (True, "600.00")


def test_a_plan_over_after_a_closing_that_was_not_complete_resolves_as_of_that_closing() -> None:
    campaign = Campaign(flight_end="2026-04-11")
    campaign.take(day(11), spent(500))
    campaign.take(day(12), complete=False)
    campaign.change(day(12), status="canceled", flight_end="2026-04-30")
    events = campaign.take(day(13))
    assert [in_short(event) for event in events] == ["c-1 resolved plan_ended"]
    assert events[0].body["expected_spend"] == "3000.00"


def test_a_closing_clears_signals_unless_it_is_not_complete() -> None:
    outside = "2026-03-01T00:00:00Z"
    for complete, expected in ((True, ["snapshot_taken", "alert_cleared"]), (False, ["snapshot_taken"])):
        campaign = Campaign()
        campaign.take(day(30), spent(2_900), spent(1, outside))
        assert campaign.kinds(day(31), spent(2, outside), complete=complete) == expected


# -- when a deviation may open -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thresholds", "at", "opens"),
    [
        pytest.param({"grace_days": 3}, "2026-04-03T23:59:59.999999999Z", False, id="in the days of grace"),
        pytest.param({"grace_days": 3}, "2026-04-04T00:00:00Z", True, id="when they are over"),
        pytest.param({"min_expected": 300}, "2026-04-03T23:59:59.999999999Z", False, id="a little less than enough expected"),
        pytest.param({"min_expected": 300}, "2026-04-04T00:00:00Z", True, id="exactly enough expected"),
        pytest.param({"min_expected": 300, "feed_lag_minutes": 1}, "2026-04-04T00:00:59Z", False, id="by when the feed ends"),
        pytest.param({"min_expected": 300, "feed_lag_minutes": 1}, "2026-04-04T00:01:00Z", True, id="enough by when the feed ends"),
    ],
)  # fmt: skip
def test_when_a_deviation_may_open(thresholds: Json, at: str, opens: bool) -> None:
    campaign = Campaign(thresholds=thresholds)
    assert campaign.kinds(at) == ["snapshot_taken", *(["c-1 opened"] if opens else [])]


def test_grace_runs_from_a_deals_own_start() -> None:
    campaign = Campaign(deals=DEALS, thresholds={"grace_days": 3}, total_budget=3_000)
    campaign.take(day(10), spent(900))
    assert campaign.kinds(day(13), spent(300, day(12))) == ["snapshot_taken"]
    assert campaign.kinds(day(14), spent(100, day(13))) == ["snapshot_taken", "own opened"]


def test_a_lagging_feed_is_compared_with_what_was_expected_when_it_ended() -> None:
    campaign = Campaign(thresholds={"feed_lag_minutes": 1440})
    events = campaign.take(day(11), spent(900))
    assert [event.kind for event in events] == ["snapshot_taken"]
    assert (events[0].body["deviation_pct"], events[0].body["expected_spend"]) == (-10.0, "1000.00")
    events = campaign.take(day(12), spent("-0.000000001", day(10)))
    assert (events[1].body["deviation_pct"], events[1].body["expected_spend"]) == (-10.0, "1000.00")
    assert events[0].body["deviation_pct"] == -18.18


def test_proposals_do_not_wait_for_a_lagging_feed() -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS, thresholds={"feed_lag_minutes": 1440})
    found = campaign.kinds(day(11), spent(850, channel="ctv"), spent(1_110, channel="audio"))
    assert found == ["snapshot_taken", "audio opened", "reallocation_recommended"]  # ctv: 850 of 900 by then


def test_a_deal_whose_own_flight_is_over_deviates_no_more() -> None:
    campaign = Campaign(deals=DEALS)
    campaign.take(day(19), spent(1_800))
    assert campaign.kinds(day(20), spent(100, day(19))) == ["snapshot_taken"]
    events = campaign.take(day(21), spent(100, day(20)))
    assert [in_short(event) for event in events] == ["snapshot_taken", "own resolved flight_ended"]
    assert events[0].body["deal_snapshots"][0]["deviation_pct"] == -100.0
    assert campaign.kinds(day(22), spent(100, day(21))) == ["snapshot_taken"]


def test_a_scope_the_plan_drops_resolves_with_what_it_has_spent() -> None:
    deals = [{"deal_id": "d", "allocated_budget": 300}]
    campaign = Campaign(channels=CHANNELS[:1], deals=deals, thresholds={"enter_ticks": 1})
    campaign.take(day(11), spent(990), spent(5, channel="ctv"), spent(7, deal_id="d"))
    campaign.change(day(11), channels=[], deals=[])
    events = campaign.take(day(12), spent(100, day(11)))
    assert [in_short(event) for event in events] == [
        "snapshot_taken", "ctv resolved plan_ended", "d resolved plan_ended",
    ]  # fmt: skip
    assert [event.body["spend"] for event in events[1:]] == ["5.00", "7.00"]
    assert [(event.body["expected_spend"], event.body["deviation_pct"]) for event in events[1:]] == [("0.00", None)] * 2
    assert events[1].body["message"] == "Channel ctv is no longer planned: 5.00 of 0.00 USD expected."
    assert campaign.kinds(day(13), spent(100, day(12))) == ["snapshot_taken"]


def test_a_scope_that_was_only_counting_is_dropped_silently() -> None:
    campaign = Campaign(channels=CHANNELS[:1], thresholds={"enter_ticks": 3})
    campaign.take(day(11), spent(1_000))
    campaign.change(day(11), channels=[])
    assert campaign.kinds(day(12), spent(100, day(11))) == ["snapshot_taken"]
    assert not campaign.state.deviations


def test_what_only_counts_at_the_end_of_the_flight_is_forgotten() -> None:
    campaign = Campaign(thresholds={"enter_ticks": 3})
    campaign.take(day(30))
    assert campaign.state.deviations
    assert campaign.kinds(day(31)) == ["snapshot_taken"]
    assert campaign.state.deviations == {}


# -- proposals ---------------------------------------------------------------------------------------------------------


def proposals(campaign: Campaign, number: int, *updates: Json) -> list[tuple[str, bool]]:
    """(amount, whether it supersedes another) of what is proposed at a day's tick."""
    events = campaign.take(day(number), *updates)
    found = [event.body for event in events if event.kind == "reallocation_recommended"]
    return [(body["amount"], body["supersedes"] is not None) for body in found]


def test_a_proposal_says_what_it_is() -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS)
    events = campaign.take(day(11), spent(500, channel="ctv"), spent(2_000, channel="audio"))
    body = events[-1].body
    assert list(body)[6:] == [
        "recommendation_id", "snapshot_id", "type", "source_channel", "target_channel", "amount", "reason", "mode",
        "confidence", "status", "expires_at", "supersedes",
    ]  # fmt: skip
    assert body["recommendation_id"] == body["event_id"]
    assert events[0].body["recommendations"] == [body["recommendation_id"]]
    assert body["snapshot_id"] == events[0].body["snapshot_id"]
    assert (body["type"], body["mode"], body["status"], body["confidence"]) == (
        "REALLOCATE",
        "to_date",
        "PENDING",
        None,
    )
    assert (body["source_channel"], body["target_channel"], body["amount"]) == ("ctv", "audio", "500.00")
    assert (body["expires_at"], body["supersedes"]) == (day(31), None)
    assert body["reason"] == (
        "ctv has spent 500.00 of 1000.00 USD expected (-50.00 %); audio has spent 2000.00 of 1000.00 USD expected (+100.00 %)."
    )


def test_a_proposal_is_told_again_when_it_has_moved_by_the_minimum_amount() -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS)
    assert proposals(campaign, 11, spent(500, channel="ctv"), spent(2_000, channel="audio")) == [("500.00", False)]
    assert proposals(campaign, 12, spent("0.01", day(11), channel="ctv"), spent(100, day(11), channel="audio")) == []
    standing = campaign.state.proposals
    assert proposals(campaign, 13) == [("699.99", True)]
    assert campaign.state.proposals.keys() == standing.keys()
    assert campaign.state.proposals != standing


@pytest.mark.parametrize(("moved", "told"), [("99.99", []), ("100", [("600.00", True)]), ("-100", [("400.00", True)])])
def test_the_minimum_amount_itself_is_enough(moved: str, told: list[tuple[str, bool]]) -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS)
    campaign.take(day(11), spent(500, channel="ctv"), spent(2_000, channel="audio"))
    change = spent(str(-float(moved)) if moved != "99.99" else "-99.99", day(10), channel="ctv")
    events = campaign.take("2026-04-11T00:00:00.000000001Z", change)
    found = [event.body for event in events if event.kind == "reallocation_recommended"]
    assert [(body["amount"], body["supersedes"] is not None) for body in found] == told


def test_without_a_minimum_an_unchanged_proposal_is_not_told_again() -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS, reallocation={"min_amount": 0})
    assert proposals(campaign, 11, spent(500, channel="ctv"), spent(2_000, channel="audio")) == [("500.00", False)]
    assert proposals(campaign, 12, spent(100, day(11), channel="ctv")) == []
    assert proposals(campaign, 13, spent("99.99", day(12), channel="ctv")) == [("500.01", True)]


def test_what_supersedes_names_what_it_replaces() -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS)
    first = campaign.take(day(11), spent(500, channel="ctv"), spent(2_000, channel="audio"))[-1].body
    second = campaign.take(day(13))[-1].body
    assert second["supersedes"] == first["recommendation_id"] != second["recommendation_id"]


def test_a_proposal_that_is_gone_is_dropped_and_comes_back_as_new() -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS)
    campaign.take(day(11), spent(500, channel="ctv"), spent(2_000, channel="audio"))
    assert proposals(campaign, 12, spent(600, day(11), channel="ctv")) == []
    assert campaign.state.proposals == {}
    assert proposals(campaign, 13, spent(-600, day(12), channel="ctv")) == [("700.00", False)]


def test_insights_only_propose_nothing() -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS, automation="insight_only")
    assert proposals(campaign, 11, spent(500, channel="ctv"), spent(2_000, channel="audio")) == []


def test_a_proposal_ends_with_the_flight() -> None:
    campaign = Campaign(total_budget=6_000, channels=CHANNELS)
    campaign.take(day(30), spent(500, channel="ctv"), spent(4_000, channel="audio"))
    assert campaign.state.proposals
    body = campaign.take(day(31))[0].body
    assert body["recommendations"] == []
    assert campaign.state.proposals == {}


# -- changes of the plan -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["forward", "reflow", "rebase"])
def test_a_snapshot_names_the_policy_and_the_version_it_was_made_under(policy: str) -> None:
    campaign = Campaign()
    campaign.change(day(11), total_budget=6_000, budget_change_policy=policy)
    named = [(body["plan_version"], body["budget_change_policy"]) for body in map(snapshot_at(campaign), (10, 11))]
    assert named == [(1, "forward"), (2, policy)]


def snapshot_at(campaign: Campaign) -> Callable[[int], Json]:
    return lambda number: campaign.take(day(number))[0].body


@pytest.mark.parametrize("policy", ["forward", "reflow", "rebase"])
def test_the_percentages_before_a_change_can_still_be_made(policy: str) -> None:
    """With its history a tick before the change comes out as it did, whatever the policy makes of what is after it."""
    unchanged, changed = Campaign(), Campaign()
    changed.change(day(11), total_budget=6_000, budget_change_policy=policy, curve={"kind": "back_loaded", "factor": 1})
    told = [campaign.take(day(10), spent(950), first=True) for campaign in (unchanged, changed)]
    assert [event.body for event in told[0]] == [event.body for event in told[1]]
    assert told[0][0].body["pacing_pct"] == 105.56  # 950 of 900
    assert (
        changed.take(day(12), first=True)[0].body["pacing_pct"]
        != unchanged.take(day(12), first=True)[0].body["pacing_pct"]
    )
