"""Which lines a tick counts in the order of arrival, and what is carried from tick to tick."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import TextIOWrapper
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fields import parse_time
from tests.pure.ledger.world import MINUTE, START, World, at, plan, update
from tests.pure.replay.files import Json, Screen, run
from worker import files, recorded
from worker.files import Chunk
from worker.ledger import LedgerLimits

LONG = {"flight_end": at(minutes=10_000)}


def hour(number: float) -> str:
    return at(minutes=60 * number)


def spent(spend: list[Json | str], **options: Any) -> list[tuple[Any, ...]]:
    """What each snapshot counts, how much of it came late, and what lies ahead of it."""
    done = run([plan(**LONG)], spend, **options)
    return done.told("snapshot_taken", "timestamp", "total_spend", "late_spend", "future_spend")


# --- rule 22 ---------------------------------------------------------------------------------------------------------


def test_a_tick_is_taken_before_the_first_line_dated_after_it_and_what_comes_later_is_late() -> None:
    stream = [update("a", 10), update("b", 60), update("c", 60 + 1 / 60), update("d", 30, "0.10"), update("e", 121)]
    assert spent(list(stream), since=hour(1)) == [
        (hour(1), "2.00", "0.00", "0.00"),  # c is the first that is later: b, at the very tick, is not
        (hour(2), "3.10", "0.10", "0.00"),  # d is late
        (hour(3), "4.10", "0.00", "0.00"),
    ]


def test_a_line_dated_later_waits_for_its_tick_and_each_tick_before_it_is_taken_first() -> None:
    stream = [update("a", 10), update("far", 60 * 3.5), update("b", 20)]
    assert spent(list(stream), since=hour(1)) == [
        (hour(1), "1.00", "0.00", "0.00"),
        (hour(2), "1.00", "0.00", "0.00"),
        (hour(3), "1.00", "0.00", "0.00"),
        (hour(4), "3.00", "1.00", "0.00"),
    ]


def test_what_follows_the_last_tick_is_counted_by_none() -> None:
    stream = [update("a", 10), update("b", 500), update("c", 20)]
    told = spent(list(stream), since=hour(1), until=hour(2))
    assert told == [(hour(1), "1.00", "0.00", "0.00"), (hour(2), "1.00", "0.00", "0.00")]


@pytest.mark.parametrize(
    ("since", "until", "ticks"),
    [
        (hour(1), hour(3), [1, 2, 3]),
        (hour(1), hour(2.9), [1, 2]),
        (hour(0.5), hour(2.5), [0.5, 1.5, 2.5]),
        (hour(2), hour(2), [2]),
        (hour(4), None, [4]),
        (None, hour(1), [1]),
        (None, hour(0.5), []),
        (None, None, [1, 2]),
    ],
)
def test_ticks_go_from_the_first_to_the_last_both_included(
    since: str | None, until: str | None, ticks: list[float]
) -> None:
    told = spent([update("a", 10), update("b", 90)], since=since, until=until)
    assert [row[0] for row in told] == [hour(tick) for tick in ticks]


def test_a_last_line_at_a_tick_needs_no_other_tick() -> None:
    assert [row[0] for row in spent([update("a", 60), update("b", 120)])] == [hour(1), hour(2)]


def test_a_stream_without_a_line_is_ticked_where_it_is_said_when() -> None:
    assert [row[0] for row in spent([], since=hour(1), until=hour(2))] == [hour(1), hour(2)]
    assert [row[0] for row in spent([], since=hour(1))] == [hour(1)]
    done = run([plan()], [])
    assert (done.code, done.lines) == (2, [])
    assert done.faults == ["--from: needed, as spend has no line to begin with"]


# --- state -----------------------------------------------------------------------------------------------------------


def test_a_deviation_is_told_when_it_opens_and_when_it_ends() -> None:
    stream = [update("a", 60, "60.00"), update("b", 61, "30.00"), update("c", 170, "90.00")]
    done = run([plan(total_budget="240.00")], list(stream))
    opened = done.told("deviation_detected", "occurred_at", "transition", "alert_level", "deviation_pct", "alert_id")
    ended = done.told("deviation_resolved", "occurred_at", "transition", "reason", "deviation_pct", "alert_id")
    assert [row[:-1] for row in opened] == [(hour(2), "opened", "warning", -25.0)]
    assert [row[:-1] for row in ended] == [(hour(3), "resolved", "recovered", 0.0)]
    assert opened[0][-1] == ended[0][-1]


def test_a_flight_is_closed_once_and_revised_when_a_late_line_comes() -> None:
    stream = [update("a", 10), update("b", 241), update("late", 200), update("c", 301)]
    done = run([plan()], list(stream), since=hour(3), until=hour(6))
    told = done.told("snapshot_taken", "timestamp", "final", "revision", "total_spend")
    assert told[:3] == [
        (hour(3), False, 0, "1.00"),
        (hour(4), True, 0, "1.00"),
        (hour(5), True, 1, "3.00"),
    ]


def test_the_periods_of_a_recurring_budget_are_closed_as_they_end() -> None:
    weekly = plan(period="weekly", flight_end=at(minutes=30 * 1440))
    stream = [update("a", 10), update("b", 6 * 1440), update("c", 13 * 1440)]
    done = run([weekly], list(stream), tick="1d")
    finals = [row[1:] for row in done.told("snapshot_taken", "final", "period_end", "total_spend") if row[0]]
    assert finals == [("2026-07-06T00:00:00Z", "1.00"), ("2026-07-13T00:00:00Z", "1.00")]


def test_each_version_of_a_plan_counts_from_its_time() -> None:
    versions = [plan(**LONG), plan(total_budget="500.00", effective_at=hour(2), **LONG)]
    done = run(versions[::-1], [update("a", 10), update("b", 170)])
    told = done.told("snapshot_taken", "timestamp", "total_budget")
    assert told == [(hour(1), "1000.00"), (hour(2), "500.00"), (hour(3), "500.00")]


# --- files -----------------------------------------------------------------------------------------------------------


def test_bad_lines_are_named_and_the_good_ones_are_counted() -> None:
    stream: list[Json | str] = [update("a", 10), "{", update("b", 70), update("c", 80, "-1"), update("d", 90)]
    done = run([plan(**LONG), {"campaign_id": "broken"}], stream)
    assert done.code == 2
    assert [row[1] for row in done.told("snapshot_taken", "timestamp", "total_spend")] == ["1.00", "3.00"]
    named = {tuple(fault.split(": ")[0].split(":")) for fault in done.faults}
    assert named == {("plan", "2"), ("spend", "2"), ("spend", "4")}


@pytest.mark.parametrize(
    ("spoiled", "ticks"),
    [
        ("{", 1),
        ('{"event_time": "2026-07-01T09:00:00Z"}', 1),
        (update("x", 500, event_time="2026-07-32T00:00:00Z"), 1),
        (update("x", 100, "-1"), 2),  # a line with an event time, though it is refused
    ],
)
def test_a_line_without_an_event_time_takes_no_tick(spoiled: Json | str, ticks: int) -> None:
    done = run([plan(**LONG)], [update("a", 10), spoiled])
    assert done.code == 2
    assert len(done.told("snapshot_taken")) == ticks


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"tick": None}, "--tick: needed, as in 1h, unless --cuts says when ticks were taken"),
        ({"tick": "hourly"}, "--tick: 'hourly' is no whole number of s, m, h or d from 1s to 366d"),
        ({"tick": "0m"}, "--tick: '0m' is no whole number of s, m, h or d from 1s to 366d"),
        ({"tick": "367d"}, "--tick: '367d' is no whole number of s, m, h or d from 1s to 366d"),
        ({"since": hour(2), "until": hour(1)}, "--to: it is before --from"),
    ],
)
def test_options_that_make_no_sense_are_told(options: Json, fault: str) -> None:
    done = run([plan()], [], **options)
    assert (done.code, done.lines, done.faults) == (2, [], [fault])


def test_records_are_taken_for_the_messages_in_them_and_a_plan_counts_from_its_record() -> None:
    def record(offset: int, said: Json | None, minutes: float) -> Json:
        payload = None if said is None else json.dumps(said)
        stamp = (START + int(minutes * MINUTE)) // 10**6
        return {"topic": "t", "partition": 0, "offset": offset, "ts": stamp, "key": "c", "payload": payload}

    plans = [record(0, plan(**LONG), 0), record(1, plan(total_budget="500.00", **LONG), 90), record(2, None, 95)]
    done = run(plans, [record(0, update("a", 10), 10), "{}", record(1, update("b", 70), 70)])
    assert done.told("snapshot_taken", "timestamp", "total_budget") == [(hour(1), "1000.00"), (hour(2), "500.00")]
    assert done.faults == [
        "plan:3: payload: a tombstone: when it ended the plan only recorded cuts tell",
        "spend:2: message: not a record as the first one is: object missing required field `partition`",
    ]


# --- as live ---------------------------------------------------------------------------------------------------------

minutes = st.integers(0, 400)
amounts = st.integers(0, 300_00).map(lambda cents: f"{cents // 100}.{cents % 100:02d}")


@st.composite
def streams(draw: st.DrawFn) -> list[Json]:
    """Updates of two campaigns, by and large in the order of time; repeats, credits, corrections and conflicts."""
    stream: list[Json] = []
    for number in range(draw(st.integers(0, 30))):
        event_id = f"e{draw(st.integers(max(0, number - 3), number))}"
        said = update(event_id, draw(minutes), draw(amounts), campaign_id=draw(st.sampled_from("cd")))
        said |= draw(
            st.sampled_from([{}, {"channel": "CTV"}, {"kind": "credit", "spend": "-0.50"}, {"kind": "cumulative"}])
        )
        if draw(st.integers(0, 9)) == 0:
            said |= {"kind": "correction", "corrects": f"e{draw(st.integers(0, 30))}", "event_id": f"k{number}"}
        stream.append(said)
    return sorted(stream, key=lambda u: parse_time(u["event_time"]) + draw(st.sampled_from([0, 0, 90 * MINUTE])))


@given(streams(), st.sampled_from([20, 60]), st.integers(1, 400))
@settings(max_examples=60, deadline=None)
def test_any_stream_is_told_as_live_ticks_tell_it(stream: list[Json], every: int, chunk_bytes: int) -> None:
    plans = [plan(name, channels=[{"channel": "CTV", "allocated_budget": "500.00"}]) for name in "cd"]
    ticks = [START + number * every * MINUTE for number in range(400 // every + 2)]
    world = World(LedgerLimits(tick_nanos=every * MINUTE))
    world.plan(*plans)
    world.ledger.expect_tick(ticks[0])
    live = []
    waiting = list(ticks)
    for said in stream:
        while waiting and parse_time(said["event_time"]) > waiting[0]:
            live += [event.body for event in world.tick(waiting.pop(0))]
        world.spend(said)
    for tick in waiting:
        live += [event.body for event in world.tick(tick)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "CHUNK_BYTES", chunk_bytes)
        done = run(list(plans), list(stream), tick=f"{every}m", since=at(), until=at(minutes=(len(ticks) - 1) * every))
    assert done.events == [body if "ledger_position" not in body else body | {"ledger_position": None} for body in live]


@pytest.mark.parametrize(
    ("summary", "out", "watched"), [(False, TextIOWrapper, True), (False, Screen, False), (True, Screen, True)]
)
def test_a_bar_follows_the_spend_unless_the_events_are_printed_where_it_would_be(
    summary: bool, out: type[TextIOWrapper], watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []

    def watch(chunks: Iterator[Chunk], _file: BinaryIO, name: str) -> Iterator[Chunk]:
        names.append(name)
        return chunks

    monkeypatch.setattr(recorded, "watch", watch)
    run([plan(**LONG)], [update("a", 10)], summary=summary, out=out)
    assert ("spend" in names) is watched


# --- accounts --------------------------------------------------------------------------------------------------------

CAP: Json = {
    "account_id": "a",
    "currency": "EUR",
    "total_budget": "10",
    "flight_start": hour(0),
    "flight_end": hour(10),
}


def test_accounts_are_told_after_the_campaigns_of_each_tick_with_what_is_open_carried_on() -> None:
    stream = [update("a", 30, "5"), update("b", 30, "1", campaign_id="d"), update("c", 150, "0.5")]
    plans = [plan(**LONG), plan(campaign_id="d", **LONG)]
    done = run(plans, list(stream), since=hour(1), until=hour(3), caps=[CAP])
    alone = run(plans, list(stream), since=hour(1), until=hour(3))
    assert [line for line in done.lines if b'"campaign_id":null' not in line and b"account_snapshot" not in line] == (
        alone.lines
    )
    assert done.told("account_snapshot_taken", "timestamp", "total_spend", "expected_spend", "deviation_pct") == [
        (hour(1), "6.00", "1.00", 500.0),
        (hour(2), "6.00", "2.00", 200.0),
        (hour(3), "6.50", "3.00", 116.67),
    ]
    opened = [
        (e["occurred_at"], e["transition"]) for e in done.events if e.get("scope") == "account" and "transition" in e
    ]
    assert opened == [(hour(1), "opened")]
    milestones = [
        e["occurred_at"] for e in done.events if e.get("scope") == "account" and e.get("kind") == "milestone_reached"
    ]
    assert milestones == [hour(1), hour(2)], "raised once, and cleared at the next tick"


def test_accounts_without_caps_are_the_sums_of_the_campaigns_of_their_tick_alone() -> None:
    stream = [update("a", 30, "5"), update("b", 90, "2")]
    done = run([plan(**LONG)], list(stream), since=hour(1), until=hour(2), caps=[])
    told = done.told("account_snapshot_taken", "timestamp", "campaigns", "total_spend", "total_budget")
    assert told == [(hour(1), 1, "5.00", "1000.00"), (hour(2), 1, "7.00", "1000.00")]


@pytest.mark.parametrize("other", [{"summary": True}, {"cuts": []}])
def test_accounts_are_not_told_with_what_is_about_campaigns(other: Any) -> None:
    done = run([plan(**LONG)], [update("a", 30)], caps=[CAP], **other)
    assert (done.code, done.lines) == (2, [])
    assert done.faults == ["--accounts: not with --summary or --cuts, which are about campaigns"]


def test_a_bad_cap_is_named_and_the_rest_is_replayed() -> None:
    done = run([plan(**LONG)], [update("a", 30)], caps=[CAP, {**CAP, "total_budget": 0}])
    assert done.code == 2
    assert [fault.split(":")[:3] for fault in done.faults] == [["caps", "2", " total_budget"]]
    assert done.told("account_snapshot_taken", "cap") == [("10.00",)]
