"""
What is printed of plain campaigns is what a tick would have told of them: byte for byte, and no more.

`Told` takes every tick both ways. The law is held over random campaigns; tables say which campaigns are plain.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from schemas.fields import format_time, parse_time, round_half_even
from tests.pure.pacing.feeding import Paced
from worker.events import encode_body, encode_event
from worker.pacing import Printed, Row, print_rows, row_of, take_tick
from worker.pacing.printing import _divided, _rounded, _time, _times, _wider

Json = dict[str, Any]
POSITION: Json = {"partition": 3, "next_offsets": {"plans": 1, "spend": 2**40}}
START = datetime(2026, 7, 1, tzinfo=UTC)


def at(days: float) -> str:
    """An instant so many days after the start of the flight."""
    return (START + timedelta(days=days)).isoformat().replace("+00:00", "Z")


def plan(**more: object) -> Json:
    return {
        "campaign_id": "c-1", "account_id": "acme", "currency": "USD", "total_budget": "3000", "timezone": "UTC",
        "flight_start": at(0), "flight_end": at(30),
        "channels": [{"channel": "ctv", "allocated_budget": "1000"}, {"channel": "é", "allocated_budget": "999.99"}],
    } | more  # fmt: skip


class Told:
    """A campaign whose ticks are taken by `take_tick` and, where it is plain, printed as well."""

    def __init__(self, *plans: Json) -> None:
        self.paced = Paced(series=True)
        self.row: Row | None = None
        self.updates = 0
        for raw in plans:
            self.paced.plan(raw)

    def feed(self, days: float, spend: str, channel: str | None = "ctv", **more: object) -> None:
        self.updates += 1
        update = {
            "event_id": f"e{self.updates}", "source": "s", "campaign_id": "c-1", "channel": channel,
            "event_time": at(days), "spend": spend,
        }  # fmt: skip
        if str(spend).startswith("-"):
            update["type"] = "credit"
        self.paced.feed(update | more)

    def tick(self, days: float, *, complete: bool = True) -> Printed | None:
        """What is printed at a tick, if it is; it is held against what the tick tells."""
        paced, as_of = self.paced, parse_time(at(days))
        counted = paced.counted(as_of)
        self.row = row_of(self.row, paced.history, paced.state, counted, as_of)
        (printed,) = print_rows([self.row], as_of, POSITION, complete=complete)
        events, after = take_tick(
            paced.history, paced.state, counted, as_of=as_of, complete=complete, position=POSITION
        )
        paced.oracle.tick(at(days))
        if printed is not None:
            assert after is paced.state
            (event,) = events
            assert printed.text == encode_body(event.body) == encode_event(printed)
            assert (printed.child, printed.body, printed.kind) == (event.child, event.body, event.kind)
            head = event.body["campaign_id"], event.body["event_id"], event.body["timestamp"], event.body["band"]
            assert (printed.campaign_id, printed.event_id, printed.tick, printed.band) == head
        paced.state, paced.taken = after, as_of
        return printed


# -- the law -----------------------------------------------------------------------------------------------------------

SPEND = st.sampled_from(["0", "0.01", "1", "33.333333333", "100", "250.5", "-20", "0.000000001", "999"])
COUNT = st.none() | st.integers(0, 10_000)


@st.composite
def plans(draw: DrawFn) -> Json:
    budget = draw(st.sampled_from([1, 1000, 3000, 30_000, 123_457, 999_999_999]))
    names = draw(st.sampled_from([(), ("ctv",), ("ctv", "é"), ("z", "ctv", 'a "b\\')]))
    channels = [{"channel": name, "allocated_budget": f"{budget / (len(names) + 1):.0f}"} for name in names]
    warning, critical = draw(st.sampled_from([("0", "1"), ("10", "20"), ("5", "90"), ("50", "50"), ("1000", "2000")]))
    sides = ("underpacing", "overpacing")
    limits: Json = {
        f"{side}_{level}_pct": pct for side in sides for level, pct in (("warning", warning), ("critical", critical))
    }
    more: dict[str, st.SearchStrategy[Any]] = {
        "enter_ticks": st.integers(1, 3), "exit_ticks": st.integers(1, 3), "grace_days": st.integers(0, 5),
        "min_expected": st.sampled_from(["0", "100", "2000"]), "feed_lag_minutes": st.sampled_from([0, 0, 60]),
    }  # fmt: skip
    limits |= draw(st.fixed_dictionaries({}, optional=more))
    return plan(
        total_budget=str(budget),
        currency=draw(st.sampled_from(["USD", "USD", "JPY", "KWD"])),
        timezone=draw(st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu"])),
        flight_end=at(draw(st.sampled_from([3, 10, 30, 30, 365.25]))),
        channels=channels,
        thresholds=limits,
        automation=draw(st.sampled_from(["insight_only", "recommendations"])),
        signals=draw(st.sampled_from([{}, {}, {"milestone_reached": False}])),
    )


@st.composite
def lives(draw: DrawFn) -> list[tuple[float, bool, list[tuple[float, str, str | None, Json]]]]:
    """Ticks, in days since the start, whether they are complete, each with the updates that came before it."""
    now, ticks = 0.0, []
    for _ in range(draw(st.integers(3, 12))):
        now += draw(st.sampled_from([1 / 1440, 1 / 24, 0.5, 1, 1, 2.5]))
        updates = []
        for _ in range(draw(st.sampled_from([0, 0, 1, 1, 3]))):
            ago = draw(st.sampled_from([0.0, 1 / 2880, 0.1, 0.1, 1.5, 8, -0.2]))
            counts = {"impressions": draw(COUNT), "requests": draw(COUNT)}
            figures = {name: count for name, count in counts.items() if count is not None}
            updates.append((now - ago, draw(SPEND), draw(st.sampled_from([None, "ctv", "ctv", "é", "radio"])), figures))
        ticks.append((now, draw(st.sampled_from([True, True, True, False])), updates))
    return ticks


@settings(max_examples=150)
@given(plans(), plans(), st.integers(0, 30), lives())
@example(
    plan(),
    plan(),
    9,
    [(1.0, True, [(0.9, "101", "ctv", {})]), (1.5, True, []), (2.0, False, [(1.9, "100", "é", {"impressions": 7})])],
)
def test_what_is_printed_is_what_the_tick_tells(raw: Json, other: Json, change: int, life: list[Any]) -> None:
    told = Told(raw)
    for place, (now, complete, updates) in enumerate(life):
        if place == change:
            told.paced.plan(other | {"currency": raw["currency"]}, at(now))
        for days, spend, channel, figures in updates:
            told.feed(days, spend, channel, **figures)
        told.tick(now, complete=complete)


def test_a_campaign_on_its_plan_is_printed_at_every_tick_but_at_milestones() -> None:
    """Each day 100 of 3000 over 30 days, a third in each channel."""
    told, seen = Told(plan()), []
    for day in range(1, 28):
        told.feed(day - 0.5, "33.33", impressions=1000, requests=3000)
        told.feed(day - 0.4, "33.33", "é")
        told.feed(day - 0.3, "33.34", None)
        seen.append(told.tick(day) is not None)
    # 50, 80 and 90 % of the budget are milestones, each over at the next tick.
    assert [day for day, is_printed in enumerate(seen, 1) if not is_printed] == [15, 16, 24, 25, 27]


# -- which campaigns are plain -----------------------------------------------------------------------------------------


def steady(raw: Json | None = None) -> Told:
    """A campaign on its plan, after a tick at day 10: 1000 of 3000 spent, a third in each channel and elsewhere."""
    told = Told(raw or plan())
    for channel in ("ctv", "é", None):
        told.feed(9.9, "333.33", channel)
    told.tick(10)
    return told


def test_one_on_its_plan_is_plain() -> None:
    assert steady().tick(10.1) is not None


PLANS: list[tuple[str, Json]] = [
    ("a curve", {"curve": {"kind": "front_loaded", "factor": "0.5"}}),
    ("weights", {"hour_weights": [1] * 23 + [2]}),
    ("a recurring budget", {"period": "monthly"}),
    ("a deal", {"deals": [{"deal_id": "d", "allocated_budget": "1"}]}),
    ("a curve of a channel", {"channels": [
        {"channel": "ctv", "allocated_budget": "1000", "curve": {"kind": "front_loaded", "factor": "0.5"}}]}),
    ("another projection", {"projection": "seasonal"}),
    ("a daily budget", {"daily_budget": "5000"}),
    ("a paused plan", {"status": "paused"}),
    ("a feed that lags", {"thresholds": {"feed_lag_minutes": 1}}),
    ("a channel without a budget", {"channels": [{"channel": "ctv", "allocated_budget": "0"}]}),
    ("a budget above a billion", {"total_budget": "1200000000", "thresholds": {"underpacing_warning_pct": "100",
        "underpacing_critical_pct": "100"}, "channels": []}),
    ("a flight within a second", {"flight_start": "2026-07-01T00:00:00.5Z"}),
]  # fmt: skip


@pytest.mark.parametrize("more", [pytest.param(more, id=name) for name, more in PLANS])
def test_a_plan_that_asks_for_more_is_left_to_the_tick(more: Json) -> None:
    assert steady(plan(**more)).tick(10.1) is None


NEWS: list[tuple[str, Callable[[Told], None]]] = [
    ("spend of a channel that is not planned", lambda told: told.feed(10.05, "1", "radio")),
    ("spend outside the flight", lambda told: told.feed(-1, "1")),
    ("a milestone", lambda told: told.feed(10.05, "600", None)),
    ("a channel over its budget", lambda told: told.feed(10.05, "700")),
    ("a deviation that opens", lambda told: told.feed(10.05, "50")),
    ("a credit below zero", lambda told: told.feed(10.05, "-400", "é")),
    ("late spend below zero", lambda told: told.feed(9.95, "-1")),
    ("future spend below zero", lambda told: told.feed(12, "-1")),
    ("more impressions than can be counted with", lambda told: told.feed(10.05, "1", impressions=2**62)),
    ("an id that came again", lambda told: told.feed(10.05, "1", event_id="e1")),
    ("another version of the plan", lambda told: told.paced.plan(plan(), at(10.02))),
    ("the end of the plan", lambda told: told.paced.end_plan()),
]


@pytest.mark.parametrize("come", [pytest.param(come, id=name) for name, come in NEWS])
def test_news_that_tell_of_more_are_left_to_the_tick(come: Callable[[Told], None]) -> None:
    told = steady()
    come(told)
    assert told.tick(10.1) is None


@pytest.mark.parametrize(
    ("days", "why"), [(30, "the flight is over"), (0, "it has not begun"), (13, "it has been silent for 48 h")]
)
def test_a_tick_at_which_more_is_told_is_left_to_the_tick(days: float, why: str) -> None:
    told = steady() if days > 10 else Told(plan())
    assert told.tick(days) is None, why


def test_a_tick_within_a_second_is_left_to_the_tick() -> None:
    told = steady()
    as_of = parse_time(at(10.1)) + 1
    counted = told.paced.counted(as_of)
    row = row_of(told.row, told.paced.history, told.paced.state, counted, as_of)
    assert row is not None
    assert print_rows([row, None], as_of, None, complete=True) == [None, None]


JUDGED: list[tuple[str, float, Callable[[Told], None]]] = [
    ("a milestone", 10.1, lambda told: told.feed(10.05, "600", None)),
    ("a channel over its budget", 10.1, lambda told: told.feed(10.05, "700")),
    ("a deviation that opens", 10.1, lambda told: told.feed(10.05, "50")),
    ("a silence of two days", 13, lambda told: told.feed(10.05, "0")),
]


@pytest.mark.parametrize(("days", "come"), [pytest.param(days, come, id=name) for name, days, come in JUDGED])
def test_what_is_judged_is_not_judged_at_a_tick_that_is_not_complete(days: float, come: Callable[[Told], None]) -> None:
    told = steady()
    come(told)
    printed = told.tick(days, complete=False)
    assert printed is not None
    assert printed.body["complete"] is False
    assert told.tick(days + 0.01) is None


def test_a_deviation_that_is_counted_towards_is_left_to_the_tick_also_where_that_is_not_complete() -> None:
    told = steady(plan(thresholds={"enter_ticks": 3}))
    told.feed(10.05, "60")
    assert [told.tick(10.1), told.tick(10.2, complete=False)] == [None, None]


def test_deviations_that_are_open_stay_so_in_print() -> None:
    told = Told(plan(automation="insight_only"))
    told.feed(9.9, "600")
    told.feed(9.9, "160", "é")
    assert told.tick(10) is None
    printed = told.tick(10.01)
    assert printed is not None
    lives = {key.split("\0")[-1]: (life.direction, life.level) for key, life in told.paced.state.deviations.items()}
    assert lives == {
        "c-1": ("underpacing", "warning"), "ctv": ("overpacing", "critical"), "é": ("underpacing", "critical"),
    }  # fmt: skip
    assert printed.body["worst_child"] == {"scope": "channel", "scope_id": "ctv", "deviation_pct": 79.82}


def test_a_deviation_of_a_channel_of_an_ended_plan_is_left_to_the_tick() -> None:
    """The plan ended and came again without its channels before a tick could resolve what was open."""
    told = steady()
    told.feed(10.05, "60")
    assert told.tick(10.1) is None
    told.paced.end_plan()
    told.paced.plan(plan(channels=[]))
    assert told.tick(10.2) is None


def test_a_deviation_that_is_not_open_yet_is_left_to_the_tick() -> None:
    told = steady(plan(thresholds={"enter_ticks": 3}))
    told.feed(10.05, "60")
    assert [told.tick(10.1), told.tick(10.2), told.tick(10.3)] == [None, None, None]
    assert told.tick(10.4) is not None


def test_a_plan_that_was_ever_changed_is_left_to_the_tick() -> None:
    """Its course is bent, also once the version before is forgotten."""
    told = steady()
    told.paced.plan(plan(total_budget="3100"), at(10.05))
    assert told.tick(10.1) is None
    told.paced.history = told.paced.history.forget(parse_time(at(10.1)))
    assert told.tick(10.2) is None


def test_a_proposal_is_left_to_the_tick_and_so_is_what_stands_of_it() -> None:
    told = Told(plan(automation="recommendations"))
    told.feed(9.9, "600")
    told.feed(9.9, "150", "é")
    assert [told.tick(10), told.tick(10.01)] == [None, None]
    assert told.paced.state.proposals


def test_signals_that_are_up_stay_so_in_print_and_others_are_left_to_the_tick() -> None:
    """1400 of 3000 in 10 of 30 days: 13 points ahead, projected to be used up after 21.4 days."""
    told = Told(plan(channels=[]))
    told.feed(9.9, "1400", None)
    assert told.tick(10) is None
    assert {alert.kind for alert in told.paced.state.alerts.values()} == {"ahead_of_period", "exhaustion_projected"}
    printed = told.tick(10.01)
    assert printed is not None
    assert printed.body["projected_exhaustion_at"] == "2026-07-22T10:48:00Z"
    assert printed.body["worst_child"] is None
    told.feed(11, "1", None, event_id="e1")
    assert told.tick(11.01) is None
    assert "conflicting_update" in {alert.kind for alert in told.paced.state.alerts.values()}
    told.tick(11.02)
    assert told.tick(11.03) is not None


def test_a_day_out_of_line_is_left_to_the_tick() -> None:
    """20 days at 100 each; then one at 129, no spike, and at 131."""
    told = Told(plan(channels=[]))
    for day in range(20):
        told.feed(day + 0.5, "100", None)
        told.tick(day + 0.9)
    told.feed(20.5, "129", None)
    assert told.tick(20.6) is not None
    told.feed(20.7, "2", None)
    assert told.tick(20.8) is None
    # The next day it is yesterday that was one.
    assert told.tick(21.1) is None


def test_a_campaign_without_hours_and_days_is_plain() -> None:
    told = Told(plan(channels=[]))
    told.paced.series = False
    told.feed(0.5, "100", None)
    assert told.tick(1) is not None
    assert told.tick(20) is None
    assert told.tick(20.01) is not None


def test_a_rolling_pace_too_large_to_print_is_left_to_the_tick() -> None:
    told = Told(plan(total_budget="0.000001", channels=[], flight_end=at(1000)))
    told.feed(9.5, "999999", None)
    told.tick(10)
    assert told.tick(10.1) is None


def test_several_are_printed_one_behind_the_other() -> None:
    one, other = steady(), steady(plan(channels=[]))
    as_of = parse_time(at(10.1))
    rows = [
        row_of(told.row, told.paced.history, told.paced.state, told.paced.counted(as_of), as_of)
        for told in (one, other)
    ]
    alone = [print_rows([row], as_of, POSITION, complete=True)[0] for row in rows]
    assert print_rows([rows[0], None, rows[1]], as_of, POSITION, complete=True) == [alone[0], None, alone[1]]


# -- the arithmetic of it ----------------------------------------------------------------------------------------------

WIDE = st.integers(0, 2**127)
WORD = st.integers(0, 2**62)


def words(number: int, count: int) -> tuple[Any, ...]:
    """The words of 64 bits of a number, the highest first, as the compiled part has them."""
    return tuple(np.uint64(number >> 64 * place & (2**64 - 1)) for place in reversed(range(count)))


@given(WORD, WORD)
def test_a_product_of_two_words_is_whole(one: int, other: int) -> None:
    assert _times(one, other) == words(one * other, 2)


@given(WIDE, WORD)
def test_a_product_of_a_wide_number_and_a_word_is_whole(one: int, other: int) -> None:
    assert _wider(words(one, 2), other) == words(one * other, 3)


@given(WORD, st.integers(1, 2**65), WORD)
def test_a_quotient_and_its_rest_are_exact(quotient: int, by: int, rest: int) -> None:
    number = quotient * by + rest % by
    assert _divided(words(number, 2), words(by, 2)) == (quotient, words(rest % by, 2))
    assert _rounded(words(number, 2), words(by, 2)) == round_half_even(number, by)


@given(st.integers(0, 2**62))
def test_an_instant_is_printed_as_elsewhere(nanos: int) -> None:
    out = np.zeros(40, np.uint8)
    assert out[: _time(out, 0, nanos)].tobytes().decode() == f'"{format_time(nanos)}"'
