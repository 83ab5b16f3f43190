"""
The scopes of a plan: the campaign, its channels and its deals, each with its budget, flight and curve.

A channel without a curve follows the campaign's; a deal its channel's, else the campaign's, over its own flight if it
has one. All of them share the campaign's calendar. Source: contract, rule 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from worker.pacing.curves import Shape, Track, shape_of, track_of
from worker.pacing.expected import Course
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


class Scope(NamedTuple):
    """
    A scope ready to be paced: its curve integrated, where it is not even and linear.

    Its budget is *budget* / *scale* nanos: a part of a period's, or what is carried, need be no whole number of them.
    Where changes of the plan bend what is expected, the *course* has it.
    """

    scope: str
    scope_id: str
    budget: int
    flight: Flight
    track: Track | None
    scale: int = 1
    course: Course | None = None


def scopes_of(plan: Plan, window: Flight | None = None) -> Iterator[ScopePlan]:
    """
    Every scope of a plan: the campaign first, then channels and deals in the plan's order.

    Over the plan's flight, or over a *window* of it.
    """
    flight, calendar = window or plan.flight, plan.calendar
    shape = shape_of(calendar, plan.curve, flight)
    yield ScopePlan("campaign", plan.campaign_id, plan.total_budget, flight, shape)
    shapes = {}
    for channel in plan.channels:
        own = shape if channel.curve is None else shape_of(calendar, channel.curve, flight)
        shapes[channel.channel] = own
        yield ScopePlan("channel", channel.channel, channel.allocated_budget, flight, own)
    for deal in plan.deals:
        own = shapes.get(deal.channel or "", shape)
        over = deal.flight or flight
        yield ScopePlan(
            "deal", deal.deal_id, deal.allocated_budget, over if window is None else _cut(over, window), own
        )


def _cut(flight: Flight, window: Flight) -> Flight:
    """What of a flight lies in a window; where nothing does, an empty one at the end that it lies beyond."""
    return Flight(*(min(max(instant, window.start), window.end) for instant in (flight.start, flight.end)))


def compiled(scopes: Iterable[ScopePlan]) -> tuple[Scope, ...]:
    """The scopes of a plan, ready to be paced."""
    return tuple(Scope(*plan[:4], None if _is_plain(plan) else track_of(plan.flight, plan.shape)) for plan in scopes)


def _is_plain(scope: ScopePlan) -> bool:
    """Whether no more than the length of the flight is needed."""
    return scope.shape is None and scope.flight.start < scope.flight.end


def flights_of(plan: Plan) -> Iterator[Flight]:
    """The campaign's flight, and those of deals that have their own."""
    yield plan.flight
    yield from (deal.flight for deal in plan.deals if deal.flight is not None)
