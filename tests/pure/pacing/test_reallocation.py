"""Reallocation to date: who gives whom how much, and what may never happen to the money."""

# ruff: noqa: E501  # a row of a table is one line

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import NANOS
from tests.pure.pacing.test_history import plan as a_plan
from worker.pacing.plan import Channel, Flight, Plan, Reallocation
from worker.pacing.reallocation import Move, propose
from worker.pacing.standing import NO_FIGURES, Standing

FLIGHT = Flight(0, 100)
CENT = NANOS // 100


def plan(channels: list[Channel], *, min_amount: int = 0, max_pct: int = 100, digits: int = 2, budget: int = 0) -> Plan:
    """A plan of these channels; amounts in nanos, max_pct in percent."""
    return a_plan(
        budget or sum(channel.allocated_budget for channel in channels),
        channels=tuple(channels),
        minor_digits=digits,
        reallocation=Reallocation(min_amount, max_pct * NANOS),
    )


def standing(channel: Channel, spend: int, num: int, den: int = 1) -> Standing:
    """A channel that has spent *spend* nanos of num / den expected."""
    figures = [spend, *NO_FIGURES[1:]]
    return Standing(
        "channel", channel.channel, channel.allocated_budget, FLIGHT, figures, (num, den), spend * den - num
    )


def table(text: str) -> list[tuple[Channel, Standing]]:
    """Rows `name allocated min spent expected` in units."""
    rows = []
    for row in text.split(";"):
        name, *numbers = row.split()
        allocated, minimum, spend, expected = (int(Fraction(number) * NANOS) for number in numbers)
        channel = Channel(name, allocated, minimum)
        rows.append((channel, standing(channel, spend, expected)))
    return rows


def moves(text: str, **settings: int) -> str:
    rows = table(text)
    made = plan([channel for channel, _ in rows], **settings)
    return ", ".join(map(in_short, propose(made, [standing for _, standing in rows], (made.total_budget, 1))))


def in_short(move: Move) -> str:
    return f"{move.source.scope_id}>{move.target.scope_id} {Fraction(move.amount, NANOS)}"


@pytest.mark.parametrize(
    ("channels", "settings", "expected"),
    [
        pytest.param("a 500 0 60 100; b 500 0 130 100", {}, "a>b 30", id="the smaller gap: min(100 - 60, 130 - 100)"),
        pytest.param("a 500 0 90 100; b 500 0 130 100", {}, "", id="exactly 10 % behind is no source"),
        pytest.param("a 500 0 60 100; b 500 0 110 100", {}, "", id="exactly 10 % ahead is no target"),
        pytest.param("a 500 0 89.99 100; b 500 0 110.01 100", {}, "a>b 1001/100", id="strictly beyond both"),
        pytest.param("a 500 0 130 100; b 500 0 60 100", {}, "b>a 30", id="whichever comes first in the plan"),
        pytest.param("a 500 0 20 100; b 500 0 60 100; c 500 0 300 100", {}, "a>c 80, b>c 40", id="the largest source first"),
        pytest.param("a 500 0 60 100; b 500 0 20 100; c 500 0 300 100", {}, "b>c 80, a>c 40", id="not the first of the plan"),
        pytest.param("b 500 0 60 100; a 500 0 60 100; c 500 0 300 100", {}, "a>c 40, b>c 40", id="of equals the first name"),
        pytest.param("a 500 0 20 100; b 500 0 130 100; c 500 0 145 100", {}, "a>c 45, a>b 30", id="the largest target first"),
        pytest.param("a 500 0 20 100; c 500 0 145 100; b 500 0 145 100", {}, "a>b 45, a>c 35", id="of equal targets the first name"),
        pytest.param(
            "a 500 0 50 100; b 500 0 60 100; c 500 0 170 100; d 500 0 150 100", {}, "a>c 50, b>d 40",
            id="after a draw of 50 the gap of 20 comes behind that of 50",
        ),
        pytest.param("a 500 0 20 100; b 500 0 130 100", {}, "a>b 30", id="a target gets no more than its gap"),
        pytest.param("a 500 480 60 100; b 500 0 200 100", {}, "a>b 20", id="a source keeps its minimum: 500 - 480"),
        pytest.param("a 90 0 60 100; b 500 0 200 100", {}, "a>b 30", id="a source keeps what it has spent: 90 - 60"),
        pytest.param("a 90 85 60 100; b 500 0 200 100", {}, "a>b 5", id="the larger of the two: 90 - 85"),
        pytest.param("a 500 500 60 100; b 500 0 200 100", {}, "", id="a source at its minimum gives nothing"),
        pytest.param("a 50 0 60 100; b 500 0 200 100", {}, "", id="nor does one that has overspent"),
        pytest.param("a 500 470 10 100; b 500 0 60 100; c 500 0 200 100", {}, "b>c 40, a>c 30", id="by what it can give, not its gap"),
        pytest.param("a 500 0 60 100; b 500 0 200 100", {"max_pct": 3}, "a>b 30", id="the cap: 3 % of 1000"),
        pytest.param("a 500 0 20 100; b 500 0 60 100; c 500 0 300 100", {"max_pct": 7}, "a>c 80, b>c 25", id="the cap is of the sum: 7 % of 1500"),
        pytest.param("a 500 0 60 100; b 500 0 200 100", {"max_pct": 3, "budget": 1010 * NANOS}, "a>b 303/10", id="the cap is of the total budget, allocated or not"),
        pytest.param("a 500 0 60 100; b 500 0 200 100", {"max_pct": 0}, "", id="no cap, no move"),
        pytest.param("a 500 0 60 100; b 500 0 200 100", {"min_amount": 40 * NANOS}, "a>b 40", id="exactly the minimum amount moves"),
        pytest.param("a 500 0 60 100; b 500 0 200 100", {"min_amount": 40 * NANOS + 1}, "", id="less is dropped"),
        pytest.param(
            "a 500 0 20 100; b 500 0 130 100; c 500 0 170 100", {"min_amount": 20 * NANOS}, "a>c 70",
            id="what is too little is dropped: 80 - 70 for b",
        ),
        pytest.param(
            "a 500 0 85 100; b 500 0 60 100; c 500 0 150 100", {"min_amount": 20 * NANOS}, "b>c 40",
            id="what is dropped draws nothing: a's 15",
        ),
        pytest.param(
            "a 500 0 55 100; b 500 0 145 100; c 500 0 120 100", {"min_amount": 30 * NANOS}, "a>b 45",
            id="a dropped target is not given again",
        ),
        pytest.param("a 500 0 59.999 100; b 500 0 200 100", {}, "a>b 40", id="rounded down to the cent: 40.001"),
        pytest.param("a 500 0 60.001 100; b 500 0 200 100", {}, "a>b 3999/100", id="never up: 39.999"),
        pytest.param("a 500 0 60.001 100; b 500 0 200 100", {"min_amount": 39_995_000_000}, "", id="rounded, then compared: 39.99 is below 39.995"),
        pytest.param("a 500 0 59.5 100; b 500 0 200 100", {"digits": 0}, "a>b 40", id="a yen has no cents"),
        pytest.param("a 500 0 0.001 0.002; b 500 0 1 0.5", {}, "", id="less than a cent is nothing, even without a minimum"),
        pytest.param("a 500 0 0 0; b 500 0 130 100", {}, "", id="without expected spend no source"),
        pytest.param("a 500 0 60 100; b 500 0 130 0", {}, "", id="without expected spend no target"),
        pytest.param("a 500 0 -20 100; b 500 0 300 100", {}, "a>b 120", id="a net credit is spend to catch up: 100 + 20"),
        pytest.param("a 500 0 100 100; b 500 0 130 100", {}, "", id="on plan is no source"),
        pytest.param("a 500 0 60 100; b 500 0 100 100", {}, "", id="on plan is no target"),
    ],
)  # fmt: skip
def test_what_is_proposed(channels: str, settings: dict[str, int], expected: str) -> None:
    assert moves(channels, **settings) == expected


def test_each_side_has_its_own_threshold() -> None:
    rows = table("a 500 0 85 100; b 500 0 120 100")
    made = plan([channel for channel, _ in rows])
    for under, over, count in ((14, 19, 1), (15, 19, 0), (14, 20, 0)):
        thresholds = msgspec.structs.replace(
            made.thresholds, underpacing_warning_pct=under * NANOS, overpacing_warning_pct=over * NANOS
        )
        tuned = msgspec.structs.replace(made, thresholds=thresholds)
        assert len(propose(tuned, [standing for _, standing in rows], (tuned.total_budget, 1))) == count


def test_gaps_of_different_denominators_are_compared_exactly() -> None:
    """1/3 of a nano decides who is first."""
    a, b, c = Channel("a", 10**12), Channel("b", 10**12), Channel("c", 10**12)
    standings = [standing(a, 0, 10**10), standing(b, 0, 3 * 10**10 + 1, 3), standing(c, 10**12, 10**9)]
    made = plan([a, b, c], max_pct=1, budget=10**12)
    assert [move.source.scope_id for move in propose(made, standings, (made.total_budget, 1))] == ["b"]


def test_a_larger_numerator_is_not_a_larger_gap() -> None:
    """10 against 20/3."""
    a, b, c = Channel("a", 10**12), Channel("b", 10**12), Channel("c", 10**12)
    standings = [standing(a, 0, 10**10), standing(b, 0, 2 * 10**10, 3), standing(c, 10**12, 10**9)]
    made = plan([a, b, c], max_pct=1, budget=10**12)
    assert [move.source.scope_id for move in propose(made, standings, (made.total_budget, 1))] == ["a"]


MONEY = st.integers(0, 2000).map(lambda cents: cents * CENT) | st.integers(0, 20 * NANOS)


@st.composite
def channels(draw: st.DrawFn) -> list[tuple[Channel, Standing]]:
    rows = []
    for name in draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)):
        allocated = draw(MONEY)
        channel = Channel(name, allocated, draw(st.integers(0, allocated)))
        rows.append((channel, standing(channel, draw(MONEY), draw(MONEY), draw(st.integers(1, 7)))))
    return rows


@given(
    rows=channels(),
    min_amount=st.sampled_from([0, 1, CENT, NANOS]),
    max_pct=st.integers(0, 100),
    digits=st.sampled_from([0, 2, 3]),
)
def test_money_is_conserved_and_every_limit_kept(
    rows: list[tuple[Channel, Standing]], min_amount: int, max_pct: int, digits: int
) -> None:
    made = plan([channel for channel, _ in rows], min_amount=min_amount, max_pct=max_pct, digits=digits, budget=10**11)
    found = propose(made, [standing for _, standing in rows], (made.total_budget, 1))
    given_by: dict[str, int] = defaultdict(int)
    given_to: dict[str, int] = defaultdict(int)
    for move in found:
        given_by[move.source.scope_id] += move.amount
        given_to[move.target.scope_id] += move.amount
        assert move.amount >= max(min_amount, 1)
        assert move.amount % 10 ** (9 - digits) == 0
    assert not given_by.keys() & given_to.keys(), "nobody gives and receives"
    assert sum(given_by.values()) == sum(given_to.values())
    assert sum(given_by.values()) * 100 <= 10**11 * max_pct
    assert len({(move.source.scope_id, move.target.scope_id) for move in found}) == len(found)
    for channel, held in rows:
        gap = held.figures[0] - Fraction(*held.expected)
        if channel.channel in given_by:
            left = channel.allocated_budget - given_by[channel.channel]
            assert left >= max(held.figures[0], channel.min_budget)
            assert given_by[channel.channel] <= -gap
        if channel.channel in given_to:
            assert given_to[channel.channel] <= gap
