"""
The pacing core: what a campaign's plan expects, what was spent, what is off, what to do about it.

Pure and exact: integers inside, one rounding at the end, no clock, no network, no log. Read in this order:

    figures      what the ledger hands in
    plan         a plan that holds        reading   how a message becomes one, or every fault is named
    history      its versions             expected  the spend it expects by an instant
    deviation    thresholds, the life of a deviation
    reallocation signals                  the other things worth telling
    snapshot     the figures of a tick    tick      one campaign's tick, all of it
"""

from __future__ import annotations

from worker.pacing.figures import FIGURES, Attribution, Case, Counted, Figures, Totals
from worker.pacing.history import PlanHistory, PlanVersion, plan_cuts
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
]
