"""
Signals read from the figures of a campaign, or of an account with a cap, over its flight or period.

    budget_used_before_period  used > 90 % while elapsed < 80 %
    ahead_of_period            used - elapsed > 10 percentage points
    exhaustion_projected       the budget is projected to be used up more than one day before the end, or was
    milestone_reached          50, 80, 90 and 100 % used, each once a flight or period

Used is spend / budget, elapsed linear time. All are compared unrounded, and strictly but for the milestones. Source:
contract, Events out and rules 15 and 16; field definition 9. What they leave open:

- they are of the campaign, and of an account over the window of its cap: channels and deals have deviations, and
  over_budget, and an account without a cap has no budget or time of its own;
- the first three last while what they say holds, a milestone until the next complete tick;
- a paused plan, and an account without an active campaign, raises none of the first three (what is up stays while it
  holds); a milestone is a fact and is told;
- exhaustion is projected from a day of the flight or period on: less is no history. A budget that is used up is none;
- a plan that means to finish early is told of as any other: its dark days are real, and the signal can be switched off;
- a milestone that was told stays told, whatever is credited or added to the budget in that flight or period.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from functools import partial
from typing import Final

import msgspec

from schemas.fields import NANOS
from worker.pacing.amounts import DAY, currency_of, percent, share, time_text
from worker.pacing.curves import elapsed
from worker.pacing.plan import Plan
from worker.pacing.projection import Projection
from worker.pacing.signals import Signal, Words, alert_key, scope_name
from worker.pacing.snapshot import Body
from worker.pacing.standing import Standing

MILESTONE: Final = "milestone_reached"
MILESTONES_PCT: Final = (50, 80, 90, 100)

USED_BEFORE: Final = "budget_used_before_period"
AHEAD: Final = "ahead_of_period"
EXHAUSTION: Final = "exhaustion_projected"

USED_PCT, ELAPSED_PCT, AHEAD_PP = 90, 80, 10

Told = tuple[str, Body]
"""How the sentence of a signal goes on after the name of its scope, and the evidence."""


class Before(msgspec.Struct, frozen=True, gc=False):
    """What the ticks before have told: the keys of the signals that are *up*, and how many milestones."""

    up: Container[str]
    milestones: int


def signals_of(
    plan: Plan, standing: Standing, projection: Projection, as_of: int, before: Before, *, is_paused: bool
) -> Iterator[Signal]:
    """Those that are up after this; one that *is_paused* goes on with what is up and raises no more but milestones."""
    for signal in period_signals(plan, standing, projection, as_of):
        is_up = alert_key(signal) in before.up
        if is_up or (not is_paused and may_be_raised(plan, standing, signal, as_of)):
            yield signal
    if milestones_reached(standing, before.milestones) > before.milestones:
        yield from milestones(plan, standing, before.milestones)


def period_signals(plan: Plan, standing: Standing, projection: Projection, as_of: int) -> Iterator[Signal]:
    """Whatever holds of a scope that stands so, but for its milestones."""
    used, budget, flight = standing.figures[0] * standing.scale, standing.budget, standing.flight
    gone, length = elapsed(flight, as_of), flight.end - flight.start
    if 100 * used > USED_PCT * budget and 100 * gone < ELAPSED_PCT * length:
        yield _signal(standing, USED_BEFORE, partial(_used_before, used, budget, gone, length))
    if 100 * used * length > budget * (100 * gone + AHEAD_PP * length):
        yield _signal(standing, AHEAD, partial(_ahead, used, budget, gone, length))
    if projection.exhausted_at is not None and standing.flight.end - projection.exhausted_at > DAY:
        yield _signal(standing, EXHAUSTION, partial(_exhaustion, plan, standing, projection, projection.exhausted_at))


def _used_before(used: int, budget: int, gone: int, length: int) -> Told:
    shares = _shares(used, budget, gone, length)
    words = f"has used {shares['budget_used_pct']:.2f} % of its budget by {shares['elapsed_pct']:.2f} % of the time"
    return words, shares


def _ahead(used: int, budget: int, gone: int, length: int) -> Told:
    ahead_pp = percent(used * length - gone * budget, budget * length)
    words = f"has used {ahead_pp:.2f} percentage points more of its budget than of its time"
    return words, {**_shares(used, budget, gone, length), "ahead_pp": ahead_pp}


def may_be_raised(plan: Plan, standing: Standing, signal: Signal, as_of: int) -> bool:
    """Whether a signal of `period_signals` may come up at this time: not in grace, nor from no history."""
    if signal.kind == EXHAUSTION:
        is_spent = standing.figures[0] * standing.scale >= standing.budget
        return is_spent or as_of >= standing.flight.start + DAY
    return as_of >= standing.flight.start + plan.thresholds.grace


def milestones_reached(standing: Standing, told: int) -> int:
    """How many of the milestones are reached; not less than were *told*, since what was told stays."""
    used, budget = 100 * standing.figures[0] * standing.scale, standing.budget
    reached = told
    while reached < len(MILESTONES_PCT) and used >= MILESTONES_PCT[reached] * budget:
        reached += 1
    return reached


def milestones(plan: Plan, standing: Standing, told: int) -> Iterator[Signal]:
    """Those that are reached beyond the first *told*."""
    for pct in MILESTONES_PCT[told : milestones_reached(standing, told)]:
        yield _signal(standing, MILESTONE, partial(_milestone, plan, standing, pct), str(pct))


def _milestone(plan: Plan, standing: Standing, pct: int) -> Told:
    currency = currency_of(plan.minor_digits)
    spend, budget = currency.carried(standing.figures[0]), currency.budget_of(standing.budget, standing.scale)
    words = f"has reached {pct} % of its budget: {spend} of {budget} {plan.currency}"
    return words, {"milestone_pct": pct, "spend": spend, "budget": budget}


def _shares(used: int, budget: int, gone: int, length: int) -> Body:
    return {"budget_used_pct": percent(used, budget), "elapsed_pct": percent(gone, length)}


def _exhaustion(plan: Plan, standing: Standing, projection: Projection, at: int) -> Told:
    dark_days = share(standing.flight.end - at, DAY)
    projected = projection.spend
    evidence = {
        "projected_exhaustion_at": time_text(at),
        "dark_days": dark_days,
        "projected_spend": None if projected is None else currency_of(plan.minor_digits).derived(*projected),
        "projection_method": projection.method,
    }
    is_spent = standing.figures[0] * standing.scale >= standing.budget
    words = "has used up its budget" if is_spent else "is projected to use up its budget"
    return f"{words} at {time_text(at - at % NANOS)}, {dark_days} days before the end", evidence


def _signal(standing: Standing, kind: str, tell: Callable[[], Told], part: str = "") -> Signal:
    return Signal(kind, standing.scope, standing.scope_id, partial(_words, standing, tell), part)


def _words(standing: Standing, tell: Callable[[], Told]) -> Words:
    words, evidence = tell()
    return f"{scope_name(standing.scope, standing.scope_id)} {words}.", evidence
