"""
The scopes of a plan: the campaign, its channels and its deals, each with its budget, flight and curve.

A channel without a curve follows the campaign's; a deal its channel's, else the campaign's, over its own flight if it
has one. All of them share the campaign's calendar. Source: contract, rule 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from worker.pacing.curves import Shape, Track, shape_of
from worker.pacing.plan import Flight, Plan

ScopeKey = tuple[str, str]
"""(scope, scope_id): ("campaign", campaign_id), ("channel", channel) or ("deal", deal_id)."""


class ScopePlan(NamedTuple):
    """What a plan says of a scope; *shape* None is even and linear."""

    scope: str
    scope_id: str
    budget: int
    flight: Flight
    shape: Shape | None


class Scope(msgspec.Struct, frozen=True, gc=False):
    """A scope ready to be paced: its curve integrated, where it is not even and linear."""

    scope: str
    scope_id: str
    budget: int
    flight: Flight
    track: Track | None


def scopes_of(plan: Plan) -> Iterator[ScopePlan]:
    """Every scope of a plan: the campaign first, then channels and deals in the plan's order."""
    flight, calendar = plan.flight, plan.calendar
    shape = shape_of(calendar, plan.curve, flight)
    yield ScopePlan("campaign", plan.campaign_id, plan.total_budget, flight, shape)
    shapes = {}
    for channel in plan.channels:
        own = shape if channel.curve is None else shape_of(calendar, channel.curve, flight)
        shapes[channel.channel] = own
        yield ScopePlan("channel", channel.channel, channel.allocated_budget, flight, own)
    for deal in plan.deals:
        own = shapes.get(deal.channel or "", shape)
        yield ScopePlan("deal", deal.deal_id, deal.allocated_budget, deal.flight or flight, own)


def compiled(plan: Plan) -> tuple[Scope, ...]:
    """The scopes of a plan, ready to be paced."""
    return tuple(
        Scope(scope, name, budget, flight, None if shape is None else Track(flight, shape))
        for scope, name, budget, flight, shape in scopes_of(plan)
    )


def flights_of(plan: Plan) -> Iterator[Flight]:
    """The campaign's flight, and those of deals that have their own."""
    yield plan.flight
    yield from (deal.flight for deal in plan.deals if deal.flight is not None)
