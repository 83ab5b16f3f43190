"""
Reallocation to date: money proposed from channels behind their plan to channels ahead of it.

The law of this file: **money is conserved**. What a source gives a target receives, both gaps are drawn down, no
source goes below what it has spent or its minimum, and all of a snapshot's proposals stay under the cap. Gaps are
exact rationals; a proposed amount is rounded down to the currency's minor unit.

Source: contract, rule 18; field definition 21. Where it is silent: after each draw the targets are ordered by the gap
that is left; a proposal is as small as it is once rounded, so one rounded below `min_amount` is dropped, and so is one
of nothing; what is dropped draws nothing down. Grace and `min_expected` hold back deviations, not proposals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import lcm
from typing import NamedTuple

from schemas.fields import NANOS
from worker.pacing.amounts import currency_of
from worker.pacing.density import Ratio
from worker.pacing.deviation import beyond
from worker.pacing.plan import Channel, Plan
from worker.pacing.standing import Standing


class Move(NamedTuple):
    """Nanos proposed from one channel to another."""

    source: Standing
    target: Standing
    amount: int


class _Gap:
    """What is left of a channel's gap, as left / den nanos."""

    __slots__ = ("den", "left", "standing")

    def __init__(self, standing: Standing, left: int, den: int) -> None:
        self.standing = standing
        self.left = left
        self.den = den

    def draw(self, nanos: int) -> None:
        self.left -= nanos * self.den


def propose(plan: Plan, channels: Sequence[Standing], budget: Ratio) -> list[Move]:
    """The moves that rule 18 proposes between the plan's *channels*, given in its order, under its *budget* now."""
    least = plan.thresholds.underpacing_warning_pct
    sources = [
        _giving(channel, standing)
        for channel, standing in zip(plan.channels, channels, strict=True)  # no mutant: both are of one plan
        if beyond(-standing.gap, standing.expected[0], least)
    ]
    if not sources:  # no mutant: it only saves the rest
        return []
    least = plan.thresholds.overpacing_warning_pct
    targets = [
        _Gap(standing, standing.gap, standing.expected[1])
        for standing in channels
        if beyond(standing.gap, standing.expected[0], least)
    ]
    return list(_moves(plan, sources, targets, budget))


def _giving(channel: Channel, standing: Standing) -> _Gap:
    """What a source can give: its gap, less what it must keep; it may be nothing, or less."""
    num, den = standing.budget, standing.scale
    # What it keeps at least is the same part of its budget as in the plan.
    least, of = (channel.min_budget * num, channel.allocated_budget * den) if channel.min_budget else (0, 1)
    spent = standing.figures[0]
    keeps, by = (spent, 1) if spent * of >= least else (least, of)
    free, common = num * by - keeps * den, den * by
    of = standing.expected[1]
    return _Gap(standing, min(-standing.gap * common, free * of), of * common)


def _moves(plan: Plan, sources: list[_Gap], targets: list[_Gap], budget: Ratio) -> Iterator[Move]:
    """Each source in turn gives to the targets in turn, largest first, until the cap is reached."""
    cap, minor_unit = _cap(plan, budget), currency_of(plan.minor_digits).minor_unit
    for source in _largest_first(sources):
        for target in _largest_first(targets):
            amount = min(source.left // source.den, target.left // target.den, cap) // minor_unit * minor_unit
            if amount < max(plan.reallocation.min_amount, minor_unit):
                continue
            cap -= amount
            source.draw(amount)
            target.draw(amount)
            yield Move(source.standing, target.standing, amount)


def _cap(plan: Plan, budget: Ratio) -> int:
    """Whole nanos of max_pct of the budget."""
    num, den = budget
    return num * plan.reallocation.max_pct // (100 * NANOS * den)


def _largest_first(gaps: list[_Gap]) -> list[_Gap]:
    """By what is left, largest first, then by name; brought to one denominator to be compared exactly."""
    common = lcm(*(gap.den for gap in gaps))
    return sorted(gaps, key=lambda gap: (-gap.left * (common // gap.den), gap.standing.scope_id))
