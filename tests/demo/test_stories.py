"""The cast as messages: deterministic, in order, and with the documents' own figures on the documents' own days."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from schemas.fields import NANOS, parse_time
from schemas.wire import check_update, decode_plan, decode_update, explain_plan
from worker.demo.cast import ADROLL, CAST, CRITEO, CUMULATIVE, IAB, STACKADAPT, STRAY, Story
from worker.demo.feed import Feed
from worker.demo.stories import aligned, flight_end, flight_start, impressions, instant_of_day, messages, plan_of, spent
from worker.pacing import Plan
from worker.pacing.reading import read_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.demo.stories import Message

START = parse_time("2026-04-01T00:00:00Z")
BROKEN_OFF = b'{"event_id": "cut-1", "source": "ctv-ads", "spend": '
EACH = pytest.mark.parametrize("story", CAST, ids=lambda story: story.campaign_id)


@cache
def sent_by(campaign_id: str) -> list[Message]:
    """What a story sends; made once, since making it takes longer than looking at it."""
    return messages(next(story for story in CAST if story.campaign_id == campaign_id), START)


def updates(story: Story) -> Iterator[dict[str, Any]]:
    """The spend updates of a story that are whole JSON, each once, in the order they are sent."""
    known = set()
    for message in sent_by(story.campaign_id):
        if message.is_plan or not message.value.endswith(b"}") or message.value in known:
            continue
        known.add(message.value)
        yield json.loads(message.value)


def spent_by_channel(story: Story, as_of: int) -> dict[str, Fraction]:
    """What an outsider adds up from the increments dated up to *as_of*."""
    totals: dict[str, Fraction] = {}
    for update in updates(story):
        if parse_time(update["event_time"]) <= as_of:
            totals[update["channel"]] = totals.get(update["channel"], Fraction()) + Fraction(update["spend"])
    return totals


@pytest.mark.parametrize(
    ("story", "day", "figures"),
    [
        (IAB, 45, {"CTV": 30_000, "DISPLAY": 28_000, "AUDIO": 10_000}),
        (
            STACKADAPT,
            18,
            {
                "Display Prospecting": 12_400,
                "CTV Awareness": 18_200,
                "Native Articles": 5_400,
                "Audio Sponsorship": 3_200,
                "Retargeting": 4_800,
            },
        ),
        (
            ADROLL,
            22,
            {
                "Site retargeting": 7_800,
                "Lookalike prospecting": 4_200,
                "Cart-abandoner display": 2_400,
                "Brand-safe contextual": 700,
            },
        ),
        (
            CRITEO,
            18,
            {
                "Lower-funnel retargeting": 11_200,
                "Mid-funnel consideration": 4_400,
                "Commerce Media": 1_400,
                "Sponsored product": 600,
            },
        ),
    ],
    ids=["IAB 68,000", "StackAdapt 44,000", "AdRoll 15,100", "Criteo 17,600"],
)
def test_a_documents_spend_is_reached_to_the_cent_on_its_day(story: Story, day: int, figures: dict[str, int]) -> None:
    assert spent_by_channel(story, instant_of_day(story, START, day)) == figures


@pytest.mark.parametrize(("story", "day"), [(IAB, 45), (STACKADAPT, 18), (ADROLL, 22), (CRITEO, 18)])
def test_a_documents_day_is_reached_at_a_tick_forty_seconds_into_the_demo(story: Story, day: int) -> None:
    assert instant_of_day(story, START, day) == START + 40 * NANOS


def test_the_iab_documents_impressions_are_reached_too() -> None:
    shown = {line.deal_id or line.channel: impressions(line, spent(IAB, line, 45 * IAB.day_ms)) for line in IAB.lines}
    assert shown == {"deal-001": 640_000, "deal-002": 560_000, "DISPLAY": 2_800_000, "AUDIO": 600_000}


@EACH
def test_the_same_start_gives_the_same_bytes(story: Story) -> None:
    assert messages(story, START) == sent_by(story.campaign_id)


@EACH
def test_another_start_moves_the_dates_and_changes_nothing_else(story: Story) -> None:
    earlier, later = sent_by(story.campaign_id), messages(story, START + 3600 * NANOS)
    assert [message.at - 3600 * NANOS for message in later] == [message.at for message in earlier]
    assert [without_times(message.value) for message in later] == [without_times(message.value) for message in earlier]


def without_times(value: bytes) -> object:
    """A message without its dates, for comparing two starts."""
    if not value.endswith(b"}"):
        return value
    dated = ("event_time", "flight_start", "flight_end", "effective_at")
    return {name: field for name, field in json.loads(value).items() if name not in dated}


@EACH
def test_the_plan_is_sent_first_and_the_rest_in_order(story: Story) -> None:
    sent = sent_by(story.campaign_id)
    assert sent[0].is_plan
    assert [message.at for message in sent] == sorted(message.at for message in sent)


@EACH
def test_every_plan_is_one_that_the_worker_paces(story: Story) -> None:
    for message in sent_by(story.campaign_id):
        if message.is_plan:
            assert explain_plan(message.value) == ()
            decoded = decode_plan(message.value)
            assert decoded is not None
            assert isinstance(read_plan(decoded), Plan)


@EACH
def test_every_update_is_what_the_contract_allows_but_the_one_that_is_broken_off(story: Story) -> None:
    refused = [
        message.value
        for message in sent_by(story.campaign_id)
        if not message.is_plan and ((update := decode_update(message.value)) is None or check_update(update) is None)
    ]
    assert refused == ([BROKEN_OFF] if story is STRAY else [])


@EACH
def test_no_increment_is_negative(story: Story) -> None:
    increments = [
        Fraction(update["spend"]) for update in updates(story) if update.get("kind", "increment") == "increment"
    ]
    assert all(spend >= 0 for spend in increments)


@EACH
def test_reports_are_dated_inside_the_flight(story: Story) -> None:
    begin, end = flight_start(story, START), flight_end(story, START)
    reports = [update for update in updates(story) if update["event_id"].startswith(f"{story.campaign_id}/")]
    assert reports
    assert all(begin <= parse_time(report["event_time"]) < end for report in reports)


@EACH
def test_two_updates_share_an_id_only_where_the_story_says_so(story: Story) -> None:
    twice = {name for name, count in Counter(update["event_id"] for update in updates(story)).items() if count > 1}
    assert twice <= {"twice-1"}


@EACH
def test_some_reports_are_repeated_byte_for_byte(story: Story) -> None:
    counts = Counter(message.value for message in sent_by(story.campaign_id))
    repeated = sum(count - 1 for count in counts.values()) / len(counts)
    assert 0.01 < repeated < 0.12


def test_running_totals_end_where_the_table_ends() -> None:
    newest: dict[str, dict[str, Any]] = {}
    for update in updates(CUMULATIVE):
        if update["sequence"] > newest.get(update["channel"], {"sequence": -1})["sequence"]:
            newest[update["channel"]] = update
    assert {channel: Fraction(update["spend"]) for channel, update in newest.items()} == {
        "SEARCH": 14_900,
        "SHOPPING": 6_000,
    }


def test_a_channels_deals_add_up_to_its_budget() -> None:
    plan = plan_of(IAB, START)
    assert plan["channels"][0] == {"channel": "CTV", "allocated_budget": "75000"}
    assert [deal["allocated_budget"] for deal in plan["deals"]] == ["40000.00", "35000.00"]


def test_the_feed_hands_out_everything_once_and_in_order() -> None:
    feed = Feed(START)
    first = feed.due(START)
    rest = feed.due(feed.ends_at)
    sent = first.messages + rest.messages
    assert len(sent) == sum(len(sent_by(story.campaign_id)) for story in CAST)
    assert [message.at for message in sent] == sorted(message.at for message in sent)
    assert all(message.at <= START for message in first.messages)
    assert feed.due(feed.ends_at) == ([], [])


def test_a_start_is_moved_to_the_next_tick() -> None:
    assert aligned(START, 2) == START
    assert aligned(START + 1, 2) == START + 2 * NANOS
