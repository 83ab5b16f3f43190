"""
The cast paced by the real ledger and core, tick by tick, without a broker or a clock.

So it is known before anything starts that a minute of the demo shows what it promises, and that the documents' figures
come out of it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from schemas.fields import NANOS, parse_time
from worker.demo.cast import ADROLL, CAST, CRITEO, IAB, STACKADAPT, Story
from worker.demo.feed import Feed
from worker.demo.month import TICK_SECONDS
from worker.demo.stories import Message
from worker.ledger import Ledger, LedgerLimits, RecordBatch

START = parse_time("2026-04-01T00:00:00Z")
PLANS, SPEND = "pacing.campaign_plans", "pacing.spend_updates"

Body = dict[str, Any]


class Month:
    """The cast's month so far: events in the order they were told, and what was refused."""

    def __init__(self) -> None:
        self._ledger = Ledger(0, 0, LedgerLimits(tick_nanos=TICK_SECONDS * NANOS))
        self._ledger.expect_tick(START)
        self.feed = Feed(START)
        self._offsets = Counter[str]()
        self.events: list[Body] = []
        self.refused: list[str] = []

    def tick(self, seconds: int) -> None:
        """Take the tick that is *seconds* after the start, once everything sent by then is folded."""
        tick = START + seconds * NANOS
        due = self.feed.due(tick).messages
        for topic, is_plan in ((PLANS, True), (SPEND, False)):
            self._fold(topic, [message for message in due if message.is_plan is is_plan])
        self._ledger.open_tick(tick)
        told = self._ledger.tick_slice(1_000)
        assert told.done
        self._ledger.close_tick()
        self.events += [each.event.body for each in told.events]

    def _fold(self, topic: str, messages: list[Message]) -> None:
        if not messages:
            return
        first = self._offsets[topic]
        self._offsets[topic] += len(messages)
        times = [message.at // 10**6 for message in messages]
        batch = RecordBatch(
            topic,
            0,
            range(first, first + len(messages)),
            [message.key for message in messages],
            [message.value for message in messages],
            max(times),
            times,
        )
        fold = self._ledger.fold_plans if topic == PLANS else self._ledger.fold_spend
        self.refused += [refused.reason for refused in fold(batch).refused]

    def of(self, kind: str, /, **fields: Any) -> list[Body]:
        """The events of a kind with these fields."""
        return [
            event
            for event in self.events
            if event["event_type"] == f"pacing.{kind}" and all(event[name] == value for name, value in fields.items())
        ]


def played(seconds: int) -> Month:
    month = Month()
    for second in range(0, seconds + 1, TICK_SECONDS):
        month.tick(second)
    return month


@pytest.fixture(scope="module")
def minute() -> Month:
    """The first minute."""
    return played(60)


@pytest.fixture(scope="module")
def month() -> Month:
    """The whole month and the ticks after it."""
    return played((Feed(START).ends_at - START) // NANOS + 10)


def seconds_of(event: Body) -> int:
    return (parse_time(event["occurred_at"]) - START) // NANOS


def test_within_a_minute_every_campaign_has_a_snapshot_at_every_tick(minute: Month) -> None:
    counts = Counter(event["campaign_id"] for event in minute.of("snapshot_taken"))
    assert counts == {story.campaign_id: 31 for story in CAST}


@pytest.mark.parametrize(
    ("campaign_id", "opens_by", "resolved_by"),
    [
        ("audio-launch", 24, 40),
        ("flash-sale", 10, 50),
        ("regional-display", 28, 48),
        ("social-always-on", 0, 18),
        ("native-content", 16, 36),
        ("search-brand", 20, 32),
    ],
)
def test_within_a_minute_a_campaigns_deviation_opens_and_is_resolved(
    minute: Month, campaign_id: str, opens_by: int, resolved_by: int
) -> None:
    opened = minute.of("deviation_detected", campaign_id=campaign_id, scope="campaign", transition="opened")
    resolved = minute.of("deviation_resolved", campaign_id=campaign_id, scope="campaign", reason="recovered")
    assert [event["alert_id"] for event in opened] == [event["alert_id"] for event in resolved]
    assert len(opened) == 1
    assert seconds_of(opened[0]) <= opens_by < seconds_of(resolved[0]) <= resolved_by


def test_a_live_match_escalates_and_eases_again(month: Month) -> None:
    life = [
        (event["transition"], event["alert_level"])
        for event in month.events
        if event["campaign_id"] == "video-live-match" and event.get("scope") == "campaign" and "transition" in event
    ]
    assert life == [
        ("opened", "warning"),
        ("escalated", "critical"),
        ("deescalated", "warning"),
        ("resolved", "warning"),
    ]


def test_within_a_minute_money_is_proposed_to_move(minute: Month) -> None:
    campaigns = {event["campaign_id"] for event in minute.of("reallocation_recommended")}
    assert {"iab-summer", "adroll-april", "criteo-april"} <= campaigns


@pytest.mark.parametrize("kind", ["spend_outside_flight", "unplanned_channel", "conflicting_update"])
def test_a_stray_message_raises_a_signal_that_clears_at_the_next_tick(minute: Month, kind: str) -> None:
    (raised,) = minute.of("alert_raised", campaign_id="ctv-takeover", kind=kind)
    (cleared,) = minute.of("alert_cleared", campaign_id="ctv-takeover", kind=kind)
    assert raised["alert_id"] == cleared["alert_id"]
    assert seconds_of(cleared) == seconds_of(raised) + TICK_SECONDS


def test_what_cannot_be_counted_is_refused_and_nothing_else(month: Month) -> None:
    assert sorted(month.refused) == ["conflicting_update", "currency_mismatch", "malformed_json"]


def snapshot(month: Month, story: Story, seconds: int) -> Body:
    """A campaign's snapshot so many seconds after the start."""
    found = month.of("snapshot_taken", campaign_id=story.campaign_id)
    return next(event for event in found if seconds_of(event) == seconds)


@pytest.mark.parametrize(
    ("story", "spend", "expected", "pacing_pct", "elapsed_pct"),
    [
        (IAB, "68000.00", "74175.82", 91.67, 49.45),
        (STACKADAPT, "44000.00", "36000.00", 122.22, 60.0),
        (ADROLL, "15100.00", "14666.67", 102.95, 73.33),
        (CRITEO, "17600.00", "18000.00", 97.78, 60.0),
    ],
    ids=["IAB day 45 of 91", "StackAdapt day 18 of 30", "AdRoll day 22 of 30", "Criteo day 18 of 30"],
)
def test_a_documents_figures_show_forty_seconds_into_the_demo(
    minute: Month, story: Story, spend: str, expected: str, pacing_pct: float, elapsed_pct: float
) -> None:
    shown = snapshot(minute, story, 40)
    assert (shown["total_spend"], shown["expected_spend"]) == (spend, expected)
    assert (shown["pacing_pct"], shown["elapsed_pct"]) == (pacing_pct, elapsed_pct)


@pytest.mark.parametrize(
    ("story", "channels"),
    [
        (IAB, {"CTV": -19.11, "DISPLAY": 25.83, "AUDIO": -32.59}),
        (CRITEO, {"Lower-funnel retargeting": 16.67, "Mid-funnel consideration": -8.33, "Commerce Media": -53.33}),
    ],
    ids=["IAB", "Criteo"],
)
def test_a_documents_channels_show_what_their_total_hides(
    minute: Month, story: Story, channels: dict[str, float]
) -> None:
    shown = {
        channel["channel"]: channel["deviation_pct"] for channel in snapshot(minute, story, 40)["channel_snapshots"]
    }
    assert {channel: shown[channel] for channel in channels} == channels


def test_the_iab_documents_proposal_is_the_one_its_rule_makes(minute: Month) -> None:
    moves = {
        (event["source_channel"], event["target_channel"]): event["amount"]
        for event in minute.of("reallocation_recommended", campaign_id=IAB.campaign_id)
        if seconds_of(event) <= 40
    }
    assert moves.keys() == {("CTV", "DISPLAY")}


def test_a_credit_a_correction_and_a_restatement_leave_the_tables_totals(month: Month) -> None:
    final = {event["campaign_id"]: event["total_spend"] for event in month.of("snapshot_taken", final=True, revision=0)}
    assert final["social-always-on"] == "15000.00"
    assert final["native-content"] == "8950.00"
    assert final["search-brand"] == "20900.00"


def test_a_raised_budget_bends_the_plan_without_a_jump(minute: Month) -> None:
    shown = minute.of("snapshot_taken", campaign_id="search-brand")
    versions = {seconds_of(event): event["plan_version"] for event in shown}
    assert (versions[48], versions[50]) == (1, 2)
    before, after = (float(next(e for e in shown if seconds_of(e) == at)["expected_spend"]) for at in (48, 50))
    assert 0 < after - before < 100


def test_every_flight_is_closed_and_every_deviation_with_it(month: Month) -> None:
    closed = {event["campaign_id"] for event in month.of("snapshot_taken", final=True)}
    assert closed == {story.campaign_id for story in CAST}
    opened = {event["alert_id"] for event in month.of("deviation_detected", transition="opened")}
    assert opened == {event["alert_id"] for event in month.of("deviation_resolved")}


def test_spending_past_the_budget_is_told(month: Month) -> None:
    assert {event["campaign_id"] for event in month.of("alert_raised", kind="over_budget")} == {"video-live-match"}
