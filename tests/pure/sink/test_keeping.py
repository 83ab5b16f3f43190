"""Which snapshots go into the history, and which is the newest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.postgres.events import MINUTE, NOON, encoded, snapshot
from tests.pure.sink.test_reading import FakeRecord
from worker.sink.keeping import NEVER, Last, Verdict, judge, newest_of, order_of, told_by
from worker.sink.reading import Event, SnapshotKey, read_events

HOUR_SECONDS = 3600


def read(bodies: list[dict[str, Any]]) -> list[Event]:
    read = read_events("snapshot_taken", [FakeRecord(value) for value in encoded(bodies)])
    assert len(read.events) == len(bodies)
    return read.events


def kept(bodies: list[dict[str, Any]], last: Mapping[str, Last] | None = None) -> list[bool]:
    return [verdict.is_kept for verdict in judge(read(bodies), last or {}, HOUR_SECONDS)]


def last_of(events: list[Event], verdicts: list[Verdict]) -> dict[str, Last]:
    """What PostgreSQL would have after these."""
    found = {}
    for event, verdict, is_newest in zip(events, verdicts, newest_of(events), strict=True):
        assert isinstance(event.key, SnapshotKey)
        if is_newest:
            found[event.key.campaign_id] = Last(order_of(event), verdict.kept_tick, told_by(event.key))
    return found


def test_with_an_interval_the_first_snapshot_of_each_stretch_is_kept() -> None:
    ticks = [NOON - MINUTE, NOON, NOON + MINUTE, NOON + 59 * MINUTE, NOON + 60 * MINUTE]
    assert kept([snapshot(tick=tick) for tick in ticks]) == [True, True, False, False, True]


@pytest.mark.parametrize(
    "changed",
    [
        {"plan_version": 2},
        {"revision": 1},
        {"total_budget": "160000.00"},
        {"band": "strong"},
        {"band": None},
        {"complete": False},
        {"final": True},
        {"recommendations": ["0a0a0a0a-0000-5000-8000-000000000000"]},
    ],
    ids=str,
)
def test_a_snapshot_that_tells_something_new_is_kept_and_the_next_like_it_is_not(changed: dict[str, Any]) -> None:
    bodies = [snapshot(tick=NOON), snapshot(tick=NOON + MINUTE, **changed)]
    bodies.append(snapshot(tick=NOON + 2 * MINUTE, **{**changed, "final": False}))
    assert kept(bodies) == [True, True, False]


def test_figures_that_move_are_nothing_new() -> None:
    bodies = [snapshot(tick=NOON), snapshot(tick=NOON + MINUTE, total_spend="50026.00", variance_pp=-16.2)]
    assert kept(bodies) == [True, False]


def test_campaigns_are_judged_by_themselves() -> None:
    bodies = [snapshot("a"), snapshot("b"), snapshot("a", NOON + MINUTE), snapshot("b", NOON + MINUTE, band="drift")]
    assert kept(bodies) == [True, True, False, True]
    assert newest_of(read(bodies)) == [False, False, True, True]


def test_a_snapshot_read_again_is_not_kept_again() -> None:
    first = read([snapshot(tick=NOON + n * MINUTE) for n in range(3)])
    last = last_of(first, judge(first, {}, HOUR_SECONDS))
    assert kept([snapshot(tick=NOON + MINUTE)], last) == [False]


def test_of_one_tick_the_later_period_then_the_later_revision_is_the_newest() -> None:
    bodies = [
        snapshot(period_end="2026-03-15T12:00:00Z", final=True),
        snapshot(period_end="2026-04-15T12:00:00Z"),
        snapshot(period_end="2026-03-15T12:00:00Z", revision=1),
        snapshot(period_end=None),
    ]
    assert newest_of(read(bodies)) == [False, True, False, False]


@given(
    ticks=st.lists(st.tuples(st.integers(0, 200), st.sampled_from(["mild", "drift"])), min_size=1, max_size=30),
    cuts=st.lists(st.integers(1, 30), max_size=4),
)
def test_how_snapshots_are_cut_into_batches_does_not_matter(ticks: list[tuple[int, str]], cuts: list[int]) -> None:
    bodies = [snapshot(tick=NOON + minute * MINUTE, band=band) for minute, band in sorted(dict(ticks).items())]
    events = read(bodies)
    whole = judge(events, {}, HOUR_SECONDS)

    last: dict[str, Last] = {}
    pieces: list[Verdict] = []
    for start, end in zip([0, *sorted(set(cuts))], [*sorted(set(cuts)), len(events)], strict=True):
        piece = judge(events[start:end], last, HOUR_SECONDS)
        last |= last_of(events[start:end], piece)
        pieces += piece

    assert pieces == whole
    assert whole[0].is_kept
    assert all(verdict.kept_tick != NEVER for verdict in whole)
