"""Thresholds and the life of a deviation, tick by tick."""

# ruff: noqa: E501  # a row of a table is one line

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import NANOS
from tests.pure.pacing.test_history import THRESHOLDS
from worker.pacing import Thresholds
from worker.pacing.deviation import Step, beyond, enters, inside, live, resolved, threshold_of
from worker.pacing.state import DeviationLife

PERCENT = NANOS


def thresholds(
    under: tuple[int, int] = (10, 25), over: tuple[int, int] = (10, 25), exit_ratio: str = "0.8", **ticks: int
) -> Thresholds:
    """Warning and critical in percent, for each side."""
    return msgspec.structs.replace(
        THRESHOLDS,
        underpacing_warning_pct=under[0] * PERCENT,
        underpacing_critical_pct=under[1] * PERCENT,
        overpacing_warning_pct=over[0] * PERCENT,
        overpacing_critical_pct=over[1] * PERCENT,
        exit_ratio=int(Fraction(exit_ratio) * NANOS),
        **ticks,
    )


BASE = 100_000


def gap(percent: str) -> int:
    """The gap to a base of 100,000 of a percentage with up to three decimals."""
    exact = Fraction(percent) * 1000
    assert exact.denominator == 1
    return int(exact)


def told(percents: str, settings: Thresholds, closed: str = "") -> str:
    """
    What is told of deviations of these percentages, tick by tick; ticks in *closed* (from 0) may open nothing.

    A transition is written as its initials: `+w` opened as underpacing warning is `u+w`; escalated `^`, de-escalated
    `v`, resolved `-`.
    """
    life: DeviationLife | None = None
    words = []
    for number, percent in enumerate(percents.split()):
        life, steps = live(
            life or DeviationLife(),
            gap(percent),
            BASE,
            settings,
            may_open=str(number) not in closed.split(),
            new_id=lambda number=number: f"alert-{number}",  # type: ignore[misc]
        )
        words.append("".join(map(in_short, steps)) or ".")
    return " ".join(words)


def in_short(step: Step) -> str:
    sign = {"opened": "+", "escalated": "^", "deescalated": "v", "resolved": "-"}[step.transition]
    return f"{step.direction[0]}{sign}{step.level[0]}"


@pytest.mark.parametrize(
    ("settings", "closed", "percents", "expected"),
    [
        pytest.param(thresholds(), "", "0 -10 -10.001", ". . u+w", id="exactly at the warning threshold is not beyond"),
        pytest.param(thresholds(), "", "10 10.001", ". o+w", id="nor on the other side"),
        pytest.param(thresholds(), "", "-25 -25.001", "u+w u^c", id="exactly at the critical threshold is a warning"),
        pytest.param(thresholds(), "", "25.001", "o+c", id="beyond both at once opens as critical"),
        pytest.param(thresholds(), "", "-11 -8 -7.999", "u+w . u-w", id="left strictly inside 0.8 x 10"),
        pytest.param(thresholds(), "", "-11 8 7.999", "u+w . u-w", id="|deviation| counts, also on the other side"),
        pytest.param(thresholds(), "", "-26 -20 -19.999 -8 -7", "u+c . uvw . u-w", id="critical falls back to a warning"),
        pytest.param(thresholds(), "", "-26 -7.999", "u+c u-c", id="critical ends at once inside the warning's exit"),
        pytest.param(thresholds(), "", "-26 -8", "u+c uvw", id="exactly at the warning's exit it is a warning"),
        pytest.param(thresholds(), "", "-26 -15 -26", "u+c uvw u^c", id="and escalates again"),
        pytest.param(thresholds(), "", "-26 15 26 -26", "u+c u-co+w o^c o-cu+c", id="beyond the other side: both in one tick"),
        pytest.param(thresholds(), "", "-26 10 7", "u+c uvw u-w", id="at the other side's threshold it is still the first"),
        pytest.param(thresholds(exit_ratio="1"), "", "-11 -10 -9.999", "u+w . u-w", id="exit ratio 1: left under the threshold"),
        pytest.param(thresholds((5, 50), (20, 30)), "", "-6 -21 19 21 31", "u+w . . u-wo+w o^c", id="each side has its own"),
        pytest.param(thresholds((30, 60), (5, 9)), "", "-31 23 6 4", "u+w u-wo+c ovw .", id="a wide side leaves into a narrow one"),
        pytest.param(thresholds(enter_ticks=3), "", "-11 -11 -11 -11", ". . u+w .", id="three ticks to open"),
        pytest.param(thresholds(enter_ticks=3), "", "-11 -11 -10 -11 -11 -11", ". . . . . u+w", id="three in a row"),
        pytest.param(thresholds(enter_ticks=3), "", "-11 -11 11 11 11", ". . . . o+w", id="on one side"),
        pytest.param(thresholds(enter_ticks=2), "", "-11 -26 -26", ". u+w u^c", id="critical takes its own ticks"),
        pytest.param(thresholds(enter_ticks=2), "", "-26 -26", ". u+c", id="which may be the same"),
        pytest.param(thresholds(enter_ticks=2), "", "-26 -11 -26 -26", ". u+w . u^c", id="in a row as well"),
        pytest.param(thresholds(enter_ticks=2), "", "-11 -11 11 11 5", ". u+w . u-wo+w o-w", id="turning takes them too"),
        pytest.param(thresholds(enter_ticks=2), "", "-11 -11 11 -11 11 11", ". u+w . . . u-wo+w", id="in a row again"),
        pytest.param(thresholds(exit_ticks=2), "", "-11 -7 -7 -7", "u+w . u-w .", id="two ticks to leave"),
        pytest.param(thresholds(exit_ticks=3), "", "-11 -7 -7 -7", "u+w . . u-w", id="three ticks to leave"),
        pytest.param(thresholds(exit_ticks=2), "", "-11 -7 -8 -7 -7", "u+w . . . u-w", id="in a row"),
        pytest.param(thresholds(exit_ticks=2), "", "-26 -15 -15 -7 -7", "u+c . uvw . u-w", id="each level takes its own"),
        pytest.param(thresholds(exit_ticks=2), "", "-26 -15 -7", "u+c . u-c", id="but ends where it has come to"),
        pytest.param(thresholds(exit_ticks=2), "", "-26 -19 -26 -19 -19", "u+c . . . uvw", id="a lapse starts over"),
        pytest.param(thresholds(exit_ticks=2), "", "-11 -7 -26 -7 -7", "u+w . u^c . u-c", id="escalating starts over"),
        pytest.param(thresholds(exit_ticks=2), "", "-11 -7 11 7 7", "u+w . u-wo+w . o-w", id="so does turning"),
        pytest.param(thresholds((10, 25), (5, 25), enter_ticks=2), "", "-11 -11 6 6", ". u+w u-w o+w", id="leaving keeps what the other side has counted"),
        pytest.param(thresholds(), "0 1", "-11 -26 -11", ". . u+w", id="while it may not open, none opens"),
        pytest.param(thresholds(), "1", "-11 -26 -26", "u+w . u^c", id="nor escalates"),
        pytest.param(thresholds(), "1", "-11 11 11", "u+w . u-wo+w", id="nor turns"),
        pytest.param(thresholds(), "1 2", "-26 -15 -7", "u+c uvw u-w", id="but it may leave"),
        pytest.param(thresholds(enter_ticks=2), "0", "-11 -11 -11", ". . u+w", id="such ticks do not count"),
        pytest.param(thresholds(enter_ticks=2), "1", "-11 -11 -11 -11", ". . . u+w", id="and break the row"),
        pytest.param(thresholds((0, 0), (0, 0)), "", "0 0.001 0.001 0", ". o+c . o-c", id="a threshold of 0 is left on plan"),
    ],
)  # fmt: skip
def test_a_life(settings: Thresholds, closed: str, percents: str, expected: str) -> None:
    assert told(percents, settings, closed) == expected


def test_an_alert_keeps_its_id_until_it_is_resolved() -> None:
    life, opened = live(DeviationLife(), gap("-11"), BASE, thresholds(), may_open=True, new_id=lambda: "first")
    assert life is not None
    life, escalated = live(life, gap("-26"), BASE, thresholds(), may_open=True, new_id=lambda: "second")
    assert life is not None
    life, turned = live(life, gap("11"), BASE, thresholds(), may_open=True, new_id=lambda: "third")
    assert [step.alert_id for step in (*opened, *escalated, *turned)] == ["first", "first", "first", "third"]
    assert [step.reason for step in turned] == ["recovered", None]


def test_no_id_is_made_where_nothing_opens() -> None:
    def never() -> str:
        raise AssertionError("an id was asked for")

    settings = thresholds(enter_ticks=2)
    life, _ = live(DeviationLife(), gap("-11"), BASE, settings, may_open=True, new_id=never)
    assert life is not None
    life, _ = live(life, gap("-9"), BASE, settings, may_open=True, new_id=never)
    assert life is None


def test_a_steady_deviation_changes_nothing() -> None:
    settings = thresholds(enter_ticks=3)
    life: DeviationLife | None = DeviationLife()
    for _ in range(5):
        assert life is not None
        life, _ = live(life, gap("-26"), BASE, settings, may_open=True, new_id=lambda: "a")
    assert life == DeviationLife("a", "underpacing", "critical", "underpacing", 3, 3, 0)
    for _ in range(5):
        again, _ = live(life, gap("-26"), BASE, settings, may_open=True, new_id=lambda: "b")
        assert again == life


def test_without_expected_spend_none_opens_and_an_open_one_is_left() -> None:
    life, steps = live(DeviationLife(), 5, 0, thresholds(), may_open=True, new_id=lambda: "a")
    assert (life, steps) == (None, ())
    opened, _ = live(DeviationLife(), gap("-11"), BASE, thresholds(), may_open=True, new_id=lambda: "a")
    assert opened is not None
    life, steps = live(opened, 5, 0, thresholds(), may_open=True, new_id=lambda: "b")
    assert (life, [step.transition for step in steps]) == (None, ["resolved"])


def test_what_is_not_open_has_nothing_to_resolve() -> None:
    assert resolved(None, "flight_ended") == ()
    assert resolved(DeviationLife(warning_ticks=1), "flight_ended") == ()
    assert resolved(DeviationLife("a", "overpacing", "critical"), "flight_ended") == (
        Step("resolved", "overpacing", "critical", "a", "flight_ended"),
    )


def test_thresholds_by_side_and_level() -> None:
    settings = thresholds((1, 2), (3, 4))
    found = [
        threshold_of(settings, direction, level) // PERCENT
        for direction in ("underpacing", "overpacing")
        for level in ("warning", "critical")
    ]
    assert found == [1, 2, 3, 4]


GAP = st.integers(-(10**40), 10**40)
POSITIVE = st.integers(1, 10**40)
SETTING = st.integers(0, 200 * NANOS)


@given(gap=GAP, base=POSITIVE, threshold=SETTING)
def test_beyond_is_strict_and_exact(gap: int, base: int, threshold: int) -> None:
    assert beyond(gap, base, threshold) == (Fraction(gap, base) * 100 > Fraction(threshold, NANOS))


@given(base=POSITIVE, threshold=SETTING)
def test_at_the_threshold_is_not_beyond_it_and_not_inside_it(base: int, threshold: int) -> None:
    """With a base of 100 NANOS the gap meets the threshold exactly."""
    scaled = base * 100 * NANOS
    assert not beyond(threshold * base, scaled, threshold)
    assert beyond(threshold * base + 1, scaled, threshold)
    for sign in (-1, 1):
        assert inside(sign * threshold * base, scaled, threshold, NANOS) == (threshold == 0)


@given(gap=GAP, base=POSITIVE, threshold=SETTING, ratio=st.integers(1, NANOS))
def test_inside_is_strict_and_exact(gap: int, base: int, threshold: int, ratio: int) -> None:
    size = abs(Fraction(gap, base)) * 100
    assert inside(gap, base, threshold, ratio) == (
        size == 0 or size < Fraction(threshold, NANOS) * Fraction(ratio, NANOS)
    )


@pytest.mark.parametrize(("gap", "base"), [(5, 0), (-5, 0), (0, 0)])
def test_where_nothing_is_expected_nothing_deviates(gap: int, base: int) -> None:
    assert not beyond(gap, base, 0)
    assert not enters(gap, base, thresholds((0, 0), (0, 0)))
    assert inside(gap, base, 10 * NANOS, NANOS)


@given(gap=GAP, base=st.integers(0, 10**40), under=SETTING, over=SETTING)
def test_it_enters_beyond_the_warning_of_its_side(gap: int, base: int, under: int, over: int) -> None:
    settings = msgspec.structs.replace(THRESHOLDS, underpacing_warning_pct=under, overpacing_warning_pct=over)
    assert enters(gap, base, settings) == beyond(abs(gap), base, over if gap > 0 else under)


PERCENTS = st.lists(st.sampled_from([-30, -25, -20, -11, -8, -7, 0, 7, 8, 11, 20, 25, 30]), max_size=30)
TICKS = st.integers(1, 3)


@given(percents=PERCENTS, enter=TICKS, leave=TICKS, closed=st.sets(st.integers(0, 29)))
def test_opened_and_resolved_alternate(percents: list[int], enter: int, leave: int, closed: set[int]) -> None:
    settings = thresholds(enter_ticks=enter, exit_ticks=leave)
    life: DeviationLife | None = None
    steps: list[Step] = []
    for number, percent in enumerate(percents):
        life, told_now = live(
            life or DeviationLife(), percent * 1000, BASE, settings,
            may_open=number not in closed, new_id=lambda number=number: str(number),  # type: ignore[misc]
        )  # fmt: skip
        assert not any(step.transition in ("opened", "escalated") for step in told_now) or number not in closed
        steps += told_now
    ends = [step for step in steps if step.transition in ("opened", "resolved")]
    assert [step.transition for step in ends[::2]] == ["opened"] * len(ends[::2])
    assert all(
        after.transition == "resolved" and after.alert_id == before.alert_id and after.direction == before.direction
        for before, after in zip(ends[::2], ends[1::2], strict=False)
    )
    assert (life is not None and life.alert_id is not None) == (len(ends) % 2 == 1)


@given(percents=PERCENTS)
def test_levels_only_change_between_neighbours(percents: list[int]) -> None:
    """Escalated only from a warning, de-escalated only from critical."""
    life: DeviationLife | None = None
    level = None
    for percent in percents:
        life, steps = live(
            life or DeviationLife(), percent * 1000, BASE, thresholds(), may_open=True, new_id=lambda: "a"
        )
        for step in steps:
            before = {"escalated": "warning", "deescalated": "critical", "opened": None}
            assert level == before.get(step.transition, step.level)
            level = None if step.transition == "resolved" else step.level
