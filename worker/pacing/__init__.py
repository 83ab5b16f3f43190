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
    series        signals on the course of the spend: interruption (of activity), daily (by allowances), watch
    state         what is remembered from tick to tick
    snapshot      the figures of a tick; telling makes them and all else events (amounts prints, identity names)
    tick          one campaign's tick, all of it
    plain         campaigns of which a tick tells no more than a snapshot, many at a time; printing is compiled

    message ─▶ reading ─▶ history ─┐
    ledger ─▶ Counted ─────────────┼─▶ take_tick ─▶ events, state
    the last tick ─▶ PacingState ──┘
"""

from __future__ import annotations

from worker.pacing.density import HOUR, ordinal_at
from worker.pacing.figures import DAYS_BEFORE, FIGURES, Attribution, Case, Counted, Figures, LastDays, Totals
from worker.pacing.history import PlanHistory, PlanVersion, plan_cuts
from worker.pacing.periods import windows_until
from worker.pacing.plain import Printed, Row, print_rows, row_of
from worker.pacing.plan import Channel, Deal, Flight, Plan, Reallocation, Thresholds
from worker.pacing.reading import read_plan
from worker.pacing.state import OpenCounts, PacingState
from worker.pacing.telling import Event
from worker.pacing.tick import take_tick

__all__ = [
    "DAYS_BEFORE",
    "FIGURES",
    "HOUR",
    "Attribution",
    "Case",
    "Channel",
    "Counted",
    "Deal",
    "Event",
    "Figures",
    "Flight",
    "LastDays",
    "OpenCounts",
    "PacingState",
    "Plan",
    "PlanHistory",
    "PlanVersion",
    "Printed",
    "Reallocation",
    "Row",
    "Thresholds",
    "Totals",
    "ordinal_at",
    "plan_cuts",
    "print_rows",
    "read_plan",
    "row_of",
    "take_tick",
    "windows_until",
]
