"""
How a message's curves, weights and blackouts become a plan's, or their faults are named.

What the contract leaves open: the segments of a curve are all amounts or all percentages; amounts are taken for the
shares they are, so that the same course is the same curve however it is told; blackouts may overlap, and may lie
outside the flight. No plan, and no deal with a flight of its own, may be without any active time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from math import gcd
from typing import Final
from zoneinfo import ZoneInfo

from schemas import wire
from schemas.fields import NANOS, end_of, format_money, format_time, start_of
from schemas.wire import Fault
from worker.pacing.curves import Elapse
from worker.pacing.density import density_of
from worker.pacing.plan import EVEN, LINEAR, Calendar, Curve, Flight, Plan, Segment

_WHOLE: Final = 100 * NANOS
"""What percentages add up to, in nanos of one percent."""


# -- curves ----------------------------------------------------------------------------------------------------------


def curve_of(curve: wire.Curve | None, zone: ZoneInfo) -> Curve | None:
    """The curve of a message; None where it says nothing."""
    match curve:
        case wire.LinearCurve():
            return LINEAR
        case wire.FrontLoadedCurve(factor):
            return Curve("loaded", int(factor))
        case wire.BackLoadedCurve(factor):
            return Curve("loaded", -int(factor))
        case wire.FinishEarlyCurve(full_spend_at_pct):
            return LINEAR if full_spend_at_pct == _WHOLE else Curve("finish_early", int(full_spend_at_pct))
        case wire.CustomCurve(segments):
            return Curve("custom", segments=tuple(_segments(segments, zone)))
    return None


def _segments(segments: Sequence[wire.Segment], zone: ZoneInfo) -> Iterator[Segment]:
    shares = lowest_terms([_share(segment) for segment in segments])
    for segment, share in zip(segments, shares, strict=True):
        yield Segment(start_of(segment.start, zone), share)


def _share(segment: wire.Segment) -> int:
    return int(segment.pct or 0) if segment.amount is None else int(segment.amount)


def lowest_terms(weights: Iterable[int]) -> tuple[int, ...]:
    """
    The same weights as small as they go: only what one is to another matters.

    >>> lowest_terms([20, 30, 0]), lowest_terms([0, 0])
    ((2, 3, 0), (0, 0))
    """
    weights = tuple(map(int, weights))
    common = reduce(gcd, weights, 0) or 1
    return tuple(weight // common for weight in weights)


# -- weights and blackouts -------------------------------------------------------------------------------------------


def calendar_of(message: wire.CampaignPlan, zone: ZoneInfo) -> Calendar:
    """What makes the plan's density; without weights no zone, since then nothing depends on it."""
    weekdays, hours = (lowest_terms(weights or ()) for weights in (message.weekday_weights, message.hour_weights))
    return Calendar(
        timezone=str(message.timezone) if weekdays or hours else EVEN.timezone,
        weekday_weights=weekdays,
        hour_weights=hours,
        blackouts=tuple(_apart(_interval(blackout, zone) for blackout in message.blackouts)),
    )


def _interval(blackout: wire.Blackout, zone: ZoneInfo) -> Flight:
    return Flight(start_of(blackout.start, zone), end_of(blackout.end, zone))


def _apart(intervals: Iterable[Flight]) -> Iterator[Flight]:
    """The intervals in order, those that meet or overlap made one."""
    held: Flight | None = None
    for interval in sorted(intervals, key=lambda each: each.start):
        if held is not None and interval.start > held.end:
            yield held
            held = None
        held = interval if held is None else Flight(held.start, max(held.end, interval.end))
    if held is not None:
        yield held


# -- mistakes --------------------------------------------------------------------------------------------------------


def shape_mistakes(message: wire.CampaignPlan, plan: Plan) -> Iterator[Fault]:
    """What cannot hold of curves, weights and blackouts, in the order of the contract's fields."""
    zone = ZoneInfo(message.timezone)
    weightless, reversed_ = list(_weightless(plan.calendar)), list(_reversed(message, zone))
    has_density = plan.flight.start < plan.flight.end and not weightless and not reversed_
    dark = list(_without_time(plan)) if has_density else []
    # Without a density there is nothing to divide among segments.
    curves = list(_curves_mistakes(message, plan, zone)) if has_density and not dark else []
    yield from (fault for fault in curves if fault.field.startswith("curve"))
    yield from (*weightless, *reversed_, *dark)
    yield from (fault for fault in curves if not fault.field.startswith("curve"))


def _curves_mistakes(message: wire.CampaignPlan, plan: Plan, zone: ZoneInfo) -> Iterator[Fault]:
    """The faults of the campaign's curve and of its channels' own."""
    yield from _curve_mistakes("curve", message.curve, plan, plan.total_budget, zone)
    for place, channel in enumerate(message.channels):
        field, budget = f"channels[{place}].curve", int(channel.allocated_budget)
        yield from _curve_mistakes(field, channel.curve, plan, budget, zone)


def _weightless(calendar: Calendar) -> Iterator[Fault]:
    for field in ("weekday_weights", "hour_weights"):
        weights = getattr(calendar, field)
        if weights and not any(weights):
            yield Fault(field, "all weights are 0: nothing could ever be spent")


def _reversed(message: wire.CampaignPlan, zone: ZoneInfo) -> Iterator[Fault]:
    for place, blackout in enumerate(message.blackouts):
        interval = _interval(blackout, zone)
        if interval.end <= interval.start:
            yield Fault(f"blackouts[{place}].end", "the blackout ends before it starts: the end must be after start")


def _without_time(plan: Plan) -> Iterator[Fault]:
    """The flights in which weights and blackouts leave no time to spend."""
    calendar = plan.calendar
    fields = {"blackouts": calendar.blackouts, "weekday_weights": calendar.weekday_weights, "hour_weights": True}
    field = next(name for name, value in fields.items() if value)
    if _is_dark(plan, plan.flight):
        yield Fault(field, "no active time is left in the flight")
        return
    for place, deal in enumerate(plan.deals):
        flight = deal.flight
        if flight is not None and flight.start < flight.end and _is_dark(plan, flight):
            yield Fault(f"deals[{place}].flight_start", f"no active time is left in the deal's flight by {field}")


def _is_dark(plan: Plan, flight: Flight) -> bool:
    return _elapse(plan, flight).is_nothing


def _elapse(plan: Plan, flight: Flight) -> Elapse:
    return Elapse(flight, None if plan.calendar == EVEN else density_of(plan.calendar))


def _curve_mistakes(field: str, curve: wire.Curve | None, plan: Plan, budget: int, zone: ZoneInfo) -> Iterator[Fault]:
    """What is wrong with a custom curve of *budget* nanos; the other curves always hold."""
    if not isinstance(curve, wire.CustomCurve):
        return
    if plan.recurrence is not None:
        yield Fault(field, "a custom curve needs the period flight: its segments are divided once")
        return
    starts = [start_of(segment.start, zone) for segment in curve.segments]
    misplaced = list(_misplaced(field, starts, plan.flight))
    yield from misplaced
    yield from _sum_mistakes(field, curve, plan, budget)
    if not misplaced:
        yield from _money_without_time(field, curve, plan, [*starts, plan.flight.end])


def _misplaced(field: str, starts: Sequence[int], flight: Flight) -> Iterator[Fault]:
    """Segments that do not begin with the flight, one after another, within it."""
    if starts[0] != flight.start:
        start = format_time(flight.start)
        yield Fault(f"{field}.segments[0].start", f"the first segment must start with the flight, at {start}")
    for place in range(1, len(starts)):
        if starts[place] <= starts[place - 1]:
            yield Fault(f"{field}.segments[{place}].start", "must be after the start of the segment before")
        elif starts[place] >= flight.end:
            yield Fault(f"{field}.segments[{place}].start", "must be before the end of the flight")


def _sum_mistakes(field: str, curve: wire.CustomCurve, plan: Plan, budget: int) -> Iterator[Fault]:
    """Segments that do not add up, exactly, to the budget or to 100 percent."""
    total = sum(map(_share, curve.segments))
    in_pct = {segment.amount is None for segment in curve.segments}
    if len(in_pct) > 1:
        yield Fault(f"{field}.segments", "the segments must be all amounts or all percentages")
    elif in_pct == {True} and total != _WHOLE:
        yield Fault(f"{field}.segments", f"the percentages add up to {format_money(total, 0)}, not to 100")
    elif total == 0:
        yield Fault(f"{field}.segments", "the amounts are all 0: nothing could ever be spent")
    elif in_pct == {False} and total != budget:
        amounts = (format_money(amount, plan.minor_digits) for amount in (total, budget))
        sum_, whole = (f"{amount} {plan.currency}" for amount in amounts)
        yield Fault(f"{field}.segments", f"the amounts add up to {sum_}, not to the budget, {whole}")


def _money_without_time(field: str, curve: wire.CustomCurve, plan: Plan, edges: Sequence[int]) -> Iterator[Fault]:
    for place, segment in enumerate(curve.segments):
        if _share(segment) and _is_dark(plan, Flight(edges[place], edges[place + 1])):
            yield Fault(f"{field}.segments[{place}]", "there is money in the segment, but no active time")
