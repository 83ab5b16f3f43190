"""
The pacing core: what a campaign's plan expects, what was spent, what is off, what to do about it.

Pure and exact: integers inside, one rounding at the end, no clock, no network, no log. Read in this order:

    figures       what the ledger hands in
    plan          a plan that holds; reading (and shaping) makes one of a message, or names every fault
    density       how much of a plan's weight lies before an instant: weekdays, hours, blackouts, local days
    curves        the share of a budget that is planned by an instant
    scopes        the campaign, its channels and deals, each with its budget, flight and curve
    expected      what is to be spent by an instant, after every change of the plan
    periods       the windows a recurring budget is for
    history       a plan's versions: which is in force, what they bend
    pace          what a version plans over one window: its budgets there, what is carried, what bends it
    standing      where the campaign, its channels and deals stand: spent, expected, the gap
    deviation     thresholds, and the life of what is told about a gap
    reallocation  money proposed to move
    projection    what will be spent by the end, and when the budget is used up
    signals       what else is worth telling; period_signals: what the figures of a flight or period tell
    state         what is remembered from tick to tick
    snapshot      the figures of a tick; telling makes them and all else events (amounts prints, identity names)
    tick          one campaign's tick, all of it

    message ─▶ reading ─▶ history ─┐
    ledger ─▶ Counted ─────────────┼─▶ take_tick ─▶ events, state
    the last tick ─▶ PacingState ──┘
"""

from __future__ import annotations

from worker.pacing.figures import FIGURES, Attribution, Case, Counted, Figures, Totals
from worker.pacing.history import PlanHistory, PlanVersion, plan_cuts
from worker.pacing.periods import windows_until
from worker.pacing.plan import Channel, Deal, Flight, Plan, Reallocation, Thresholds
from worker.pacing.reading import read_plan
from worker.pacing.state import PacingState
from worker.pacing.telling import Event
from worker.pacing.tick import take_tick

__all__ = [
    "FIGURES",
    "Attribution",
    "Case",
    "Channel",
    "Counted",
    "Deal",
    "Event",
    "Figures",
    "Flight",
    "PacingState",
    "Plan",
    "PlanHistory",
    "PlanVersion",
    "Reallocation",
    "Thresholds",
    "Totals",
    "plan_cuts",
    "read_plan",
    "take_tick",
    "windows_until",
]
