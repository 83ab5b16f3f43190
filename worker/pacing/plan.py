"""
A campaign's plan as the core uses it: money in nanos, dates already made instants, names resolved.

A `Plan` is made by `read_plan` (in `reading`) from a message that is well formed, and holds: allocations fit the
budget, deals fit their channels, thresholds are in order. Nothing here asks again.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Final, Literal, TypeVar

import msgspec
from msgspec.structs import replace

Policy = Literal["forward", "reflow", "rebase"]
Status = Literal["active", "paused", "completed", "canceled"]
Automation = Literal["insight_only", "recommendations"]
Period = Literal["weekly", "monthly", "quarterly"]
ProjectionMethod = Literal["run_rate", "trailing_7d", "seasonal"]
CurveKind = Literal["linear", "loaded", "finish_early", "custom"]


class Flight(msgspec.Struct, frozen=True, gc=False):
    """When money is to be spent: [start, end) in nanoseconds since the epoch, never empty."""

    start: int
    end: int


class Segment(msgspec.Struct, frozen=True, gc=False):
    """A piece of a custom curve, from *start* (nanoseconds) to the next one's: its *share* of the sum of all shares."""

    start: int
    share: int


class Curve(msgspec.Struct, frozen=True):
    """
    How the planned share C grows with u, the elapsed share of the density.

        linear        u
        loaded        u + f u (1 - u), f being *factor* in nanos: front-loaded above 0, back-loaded below
        finish_early  min(u / p, 1), p being *factor* in nanos of a percent
        custom        linear within each segment; the first starts with the flight

    Source: contract, CampaignPlan; field definitions 2 and 3.
    """

    kind: CurveKind = "linear"
    factor: int = 0
    segments: tuple[Segment, ...] = ()


LINEAR: Final = Curve()


class Calendar(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    What makes a density over time: weights by weekday (Monday first) and local hour, and blackouts.

    Weights are in lowest terms; without any, *timezone* means nothing and is UTC. Blackouts are in order and apart.
    Source: contract, rule 2.
    """

    timezone: str = "UTC"
    weekday_weights: tuple[int, ...] = ()
    hour_weights: tuple[int, ...] = ()
    blackouts: tuple[Flight, ...] = ()


EVEN: Final = Calendar()
"""Every instant as much as any other."""


class Recurrence(msgspec.Struct, frozen=True, gc=False):
    """
    A budget for each calendar period: whether what is left of one is carried to the next (*carries*), and whether the
    first and the last, cut by the flight, have only a part of it (*is_prorated*). Source: contract, rule 4.
    """

    period: Period
    carries: bool
    is_prorated: bool


class Channel(msgspec.Struct, frozen=True, gc=False):
    """
    A channel's share of the budget; *min_budget* is what a reallocation leaves it at least. Nanos.

    Without a *curve* it follows the campaign's.
    """

    channel: str
    allocated_budget: int
    min_budget: int = 0
    curve: Curve | None = None


class Deal(msgspec.Struct, frozen=True, gc=False):
    """A deal's share of its channel's budget (of the campaign's, where it names no channel); its own flight if any."""

    deal_id: str
    channel: str | None
    allocated_budget: int
    flight: Flight | None = None


class Thresholds(msgspec.Struct, frozen=True, gc=False):
    """
    When a deviation opens and when it is left. Percentages and the ratio are nanos of one (10 % = 10_000_000_000).

    Source: contract, CampaignPlan and rules 14 and 15.
    """

    underpacing_warning_pct: int
    underpacing_critical_pct: int
    overpacing_warning_pct: int
    overpacing_critical_pct: int
    exit_ratio: int
    enter_ticks: int
    exit_ticks: int
    grace: int
    """From a flight's start, in nanoseconds: no deviation opens before it is over."""
    min_expected: int
    """Nanos of money: below it of expected spend no deviation opens."""
    feed_lag: int
    """Nanoseconds the feed is known to be behind: deviations compare with the expected spend of that long ago."""


class Reallocation(msgspec.Struct, frozen=True, gc=False):
    """What a proposal may move: at least *min_amount* nanos each, together at most *max_pct* of the budget."""

    min_amount: int
    max_pct: int


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    One accepted version of a campaign's plan.

    The ledger keeps it under the names of its fields: they are only ever added, at the end, with a default.
    """

    campaign_id: str
    account_id: str
    name: str | None
    currency: str
    minor_digits: int
    timezone: str
    total_budget: int
    flight: Flight
    channels: tuple[Channel, ...]
    deals: tuple[Deal, ...]
    thresholds: Thresholds
    reallocation: Reallocation
    automation: Automation
    budget_change_policy: Policy
    status: Status
    silenced: tuple[str, ...]
    """Kinds of signal that the plan switches off."""
    effective_at: int | None
    """From when this version is to count (nanoseconds); None: it does not say."""
    curve: Curve = LINEAR
    calendar: Calendar = EVEN
    recurrence: Recurrence | None = None
    """None: the budget is for the whole flight."""
    projection: ProjectionMethod = "run_rate"
    """How the spend to come is projected, as far as there is history for it."""
    daily_budget: int | None = None
    """Nanos the platform is told to spend in a local day."""
    platform: str | None = None
    """Whose rules say by how much it may be overspent."""


def sharing(plan: Plan) -> Plan:
    """
    The same plan, of what it has in common with others (thresholds, a flight, names) the one that they have.

    A campaign is judged from some hundred values in memory; those that all share stay in the processor's cache. What
    has a default stays the plan's own: a record leaves out what is that very object.
    """
    return replace(
        plan,
        currency=sys.intern(plan.currency),
        timezone=sys.intern(plan.timezone),
        flight=first_met(plan.flight),
        thresholds=first_met(plan.thresholds),
        reallocation=first_met(plan.reallocation),
    )


_Part = TypeVar("_Part")


@lru_cache(maxsize=4096)
def first_met(part: _Part) -> _Part:
    """The first of equal parts that was met lately."""
    return part
