"""
Deviations: how far spend is from what is expected, and the life of what is told about it.

The law of this file: **every comparison is made on exact, unrounded integers**, and a threshold is passed only
strictly. -10.00002 % alerts at 10 %, -10 % does not. A deviation, (spend - expected) / expected, is gap / base, both in
the same tiny unit; base is 0 where nothing is expected. Its percentage is pacing_pct - 100.

A scope's deviation opens after `enter_ticks` ticks in a row beyond a side's warning threshold, and is left after
`exit_ticks` in a row at |deviation| < exit_ratio x threshold of its level. Source: contract, rules 14 and 15; field
definition 19. Where the contract is silent:

- it opens as critical when the critical threshold, too, was passed that often in a row; else as a warning, which
  escalates when it was;
- a critical one that is left falls back to a warning, or ends if it is inside the warning's exit as well;
- ticks at which opening is not allowed (paused, grace, too little expected) do not count towards opening, nor
  towards escalating or turning to the other side;
- without expected spend there is nothing to deviate from: none opens, and an open one is being left;
- a tick that is not complete is no tick to a deviation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from msgspec.structs import replace as _with

from schemas.fields import NANOS
from worker.pacing.plan import Thresholds
from worker.pacing.state import DeviationLife, Direction, Level

Transition = Literal["opened", "escalated", "deescalated", "resolved"]
Reason = Literal["recovered", "period_ended", "flight_ended", "plan_ended"]

_PERCENT: Final = 100 * NANOS
"""A whole, in the nanos of a percent that settings are read in."""


class Step(NamedTuple):
    """One transition of a scope's deviation."""

    transition: Transition
    direction: Direction
    level: Level
    alert_id: str
    reason: Reason | None = None
    """Why it was resolved."""


def beyond(excess: int, base: int, threshold_pct: int) -> bool:
    """
    Whether excess / base is strictly more than the threshold; never where nothing is expected.

    *excess* is the gap on the side that is asked for: the gap itself if it is overpacing, less it if underpacing.

    >>> beyond(10, 100, 10 * NANOS), beyond(11, 100, 10 * NANOS), beyond(-11, 100, 10 * NANOS), beyond(5, 0, NANOS)
    (False, True, False, False)
    """
    return base > 0 and excess * _PERCENT > threshold_pct * base


def inside(gap: int, base: int, threshold_pct: int, exit_ratio: int) -> bool:
    """
    Whether |gap / base| is strictly less than exit_ratio x threshold, or there is no deviation at all.

    >>> inside(8, 100, 10 * NANOS, 800_000_000), inside(7, 100, 10 * NANOS, 800_000_000), inside(0, 100, 0, NANOS)
    (False, True, True)
    """
    if base == 0 or gap == 0:
        return True
    return abs(gap) * _PERCENT * NANOS < exit_ratio * threshold_pct * base


def threshold_of(thresholds: Thresholds, direction: Direction, level: Level) -> int:
    """The configured threshold, a positive percentage in nanos."""
    if direction == "underpacing":
        return thresholds.underpacing_warning_pct if level == "warning" else thresholds.underpacing_critical_pct
    return thresholds.overpacing_warning_pct if level == "warning" else thresholds.overpacing_critical_pct


def enters(gap: int, base: int, thresholds: Thresholds) -> bool:
    """Whether a deviation is beyond the warning threshold of its side."""
    if gap > 0:  # no mutant: a gap of 0 is beyond nothing
        return beyond(gap, base, thresholds.overpacing_warning_pct)
    return beyond(-gap, base, thresholds.underpacing_warning_pct)


def is_steady(life: DeviationLife, gap: int, base: int, thresholds: Thresholds) -> bool:
    """
    Whether a tick at which opening is allowed finds an open deviation just as it was: then nothing is to be told.

    It saves the steps of `live` for what most ticks find of an open one, and is not needed for anything else.
    """
    if not stands_still(life, thresholds.enter_ticks):
        return False
    is_over = life.direction == "overpacing"
    excess = gap if is_over else -gap
    critical = thresholds.overpacing_critical_pct if is_over else thresholds.underpacing_critical_pct
    if life.level == "critical":
        return beyond(excess, base, critical)
    warning = thresholds.overpacing_warning_pct if is_over else thresholds.underpacing_warning_pct
    return beyond(excess, base, warning) and not beyond(excess, base, critical)


def stands_still(life: DeviationLife, enter_ticks: int) -> bool:
    """Whether a deviation is open and what it counts is as far as it goes for its level."""
    if life.alert_id is None or life.entering != life.direction or life.leaving_ticks:
        return False
    return life.warning_ticks == enter_ticks and life.critical_ticks == (enter_ticks if life.level == "critical" else 0)


def live(
    life: DeviationLife, gap: int, base: int, thresholds: Thresholds, *, may_open: bool, new_id: Callable[[], str]
) -> tuple[DeviationLife | None, tuple[Step, ...]]:
    """
    One tick in a scope's deviation gap / base: its life after it, and what is to be told.

    A scope without a life has an empty one; None comes back where nothing is open and nothing counted. *new_id*
    makes the alert_id of a deviation opened at this tick.
    """
    life = _entering(life, gap, base, thresholds, may_open=may_open)
    enter_ticks = thresholds.enter_ticks
    if life.alert_id is None:
        return _open(life, enter_ticks, new_id(), ()) if life.warning_ticks >= enter_ticks else (_kept(life), ())
    if life.entering != life.direction and life.warning_ticks >= enter_ticks:
        return _open(life, enter_ticks, new_id(), resolved(life, "recovered"))
    if life.level == "warning" and life.entering == life.direction and life.critical_ticks >= enter_ticks:
        escalated = _with(life, level="critical", leaving_ticks=0)
        return escalated, (_step("escalated", escalated),)
    return _leaving(life, gap, base, thresholds)


def _entering(life: DeviationLife, gap: int, base: int, thresholds: Thresholds, *, may_open: bool) -> DeviationLife:
    """The ticks in a row beyond a side's thresholds, this one included."""
    if not (may_open and enters(gap, base, thresholds)):
        return _with(life, warning_ticks=0, critical_ticks=0)
    is_over = gap > 0  # no mutant: it is not 0 here
    side: Direction = "overpacing" if is_over else "underpacing"
    warning, critical = (life.warning_ticks, life.critical_ticks) if life.entering == side else (0, 0)
    most = thresholds.enter_ticks
    warning = min(most, warning + 1)
    limit = threshold_of(thresholds, side, "critical")  # no mutant: what is no warning is critical
    critical = min(most, critical + 1) if beyond(abs(gap), base, limit) else 0
    return _with(life, entering=side, warning_ticks=warning, critical_ticks=critical)


def _open(
    life: DeviationLife, enter_ticks: int, new_id: str, before: tuple[Step, ...]
) -> tuple[DeviationLife, tuple[Step, ...]]:
    """A deviation opened on the side that was entered, after what is told *before* it."""
    level: Level = "critical" if life.critical_ticks >= enter_ticks else "warning"
    opened = _with(life, alert_id=new_id, direction=life.entering, level=level, leaving_ticks=0)
    return opened, (*before, _step("opened", opened))


def _leaving(
    life: DeviationLife, gap: int, base: int, thresholds: Thresholds
) -> tuple[DeviationLife | None, tuple[Step, ...]]:
    """An open deviation that neither escalates nor turns: kept, taken down a level, or resolved."""
    if not inside(gap, base, threshold_of(thresholds, life.direction, life.level), thresholds.exit_ratio):
        return _with(life, leaving_ticks=0), ()
    if life.leaving_ticks + 1 < thresholds.exit_ticks:
        return _with(life, leaving_ticks=life.leaving_ticks + 1), ()
    warning = threshold_of(thresholds, life.direction, "warning")
    if life.level == "critical" and not inside(gap, base, warning, thresholds.exit_ratio):
        lowered = _with(life, level="warning", leaving_ticks=0)
        return lowered, (_step("deescalated", lowered),)
    ended = _with(life, alert_id=None, leaving_ticks=0)  # no mutant: opening sets it anew
    return _kept(ended), resolved(life, "recovered")


def resolved(life: DeviationLife | None, reason: Reason) -> tuple[Step, ...]:
    """What is told when a deviation ends; nothing of one that was not open."""
    if life is None or life.alert_id is None:
        return ()
    return (Step("resolved", life.direction, life.level, life.alert_id, reason),)


def _kept(life: DeviationLife) -> DeviationLife | None:
    """A life that is neither open nor counting is none."""
    return life if life.alert_id is not None or life.warning_ticks else None


def _step(transition: Transition, life: DeviationLife) -> Step:
    return Step(transition, life.direction, life.level, life.alert_id or "")  # no mutant: an open one has an id
