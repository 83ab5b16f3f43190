"""
How a well-formed plan becomes one that holds, or every fault of meaning is named at once.

Form is `schemas.wire`'s business: types, ranges, currency and zone names. Here dates become instants of the plan's
zone, amounts that do not add up are refused, and so is what is not built yet: a plan is never paced by a guess.
Curves and what makes a density are `shaping`'s.

What the contract leaves open: deals that name a channel while the plan lists none are accepted (the channel is then
only what their spend is reported under); a deal may name one end of its own flight, the other is the campaign's; a
deal's flight may reach beyond the campaign's. `daily_budget` and `platform` are data that no built rule reads, and a
name in `signals` that is none yet switches nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from schemas import wire
from schemas.fields import NANOS, end_of, format_money, minor_digits, start_of
from schemas.wire import Fault
from worker.pacing.amounts import DAY
from worker.pacing.plan import LINEAR, Automation, Channel, Deal, Flight, Plan, Reallocation, Recurrence, Thresholds
from worker.pacing.shaping import calendar_of, curve_of, shape_mistakes

NOT_BUILT: Final = "not supported yet: "
"""How the message of a fault begins that is no mistake of the plan's."""

_MINUTE: Final = 60 * NANOS
_AUTOMATION: Final[dict[str, Automation]] = {"insight_only": "insight_only", "recommendations": "recommendations"}


def read_plan(message: wire.CampaignPlan) -> Plan | tuple[Fault, ...]:
    """The plan in a well-formed message, or every fault of its meaning."""
    plan = _plan(message)
    return (*_mistakes(plan), *shape_mistakes(message, plan), *_not_built(message)) or plan


# -- the plan --------------------------------------------------------------------------------------------------------


def _plan(message: wire.CampaignPlan) -> Plan:
    """The message in instants and nanos, right or wrong."""
    zone = ZoneInfo(message.timezone)
    flight = Flight(start_of(message.flight_start, zone), end_of(message.flight_end, zone))
    return Plan(
        campaign_id=str(message.campaign_id),
        account_id=str(message.account_id),
        name=None if message.name is None else str(message.name),
        currency=str(message.currency),
        minor_digits=minor_digits(message.currency) or 0,
        timezone=str(message.timezone),
        total_budget=int(message.total_budget),
        flight=flight,
        channels=tuple(_channel(channel, zone) for channel in message.channels),
        deals=tuple(_deal(deal, flight, zone) for deal in message.deals),
        thresholds=_thresholds(message.thresholds),
        reallocation=Reallocation(int(message.reallocation.min_amount), int(message.reallocation.max_pct)),
        automation=_AUTOMATION.get(message.automation, "insight_only"),
        budget_change_policy=message.budget_change_policy,
        status=message.status,
        silenced=tuple(sorted(kind for kind, wanted in message.signals.items() if not wanted)),
        effective_at=None if message.effective_at is None else int(message.effective_at),
        curve=curve_of(message.curve, zone) or LINEAR,
        calendar=calendar_of(message, zone),
        recurrence=_recurrence(message),
        projection=message.projection,
    )


def _channel(channel: wire.Channel, zone: ZoneInfo) -> Channel:
    curve = curve_of(channel.curve, zone)
    return Channel(str(channel.channel), int(channel.allocated_budget), int(channel.min_budget or 0), curve)


def _deal(deal: wire.Deal, campaign: Flight, zone: ZoneInfo) -> Deal:
    """A deal; it has a flight of its own where it names an end of one."""
    start, end = deal.flight_start, deal.flight_end
    flight = None
    if start is not None or end is not None:
        flight = Flight(
            campaign.start if start is None else start_of(start, zone),
            campaign.end if end is None else end_of(end, zone),
        )
    return Deal(
        str(deal.deal_id), None if deal.channel is None else str(deal.channel), int(deal.allocated_budget), flight
    )


def _recurrence(message: wire.CampaignPlan) -> Recurrence | None:
    """How the budget recurs; of a flight there is nothing to carry and no part."""
    if message.period == "flight":
        return None
    carries, is_prorated = message.rollover == "carry_underspend", message.partial_period == "prorated"
    return Recurrence(message.period, carries, is_prorated)


def _thresholds(thresholds: wire.Thresholds) -> Thresholds:
    return Thresholds(
        underpacing_warning_pct=int(thresholds.underpacing_warning_pct),
        underpacing_critical_pct=int(thresholds.underpacing_critical_pct),
        overpacing_warning_pct=int(thresholds.overpacing_warning_pct),
        overpacing_critical_pct=int(thresholds.overpacing_critical_pct),
        exit_ratio=int(thresholds.exit_ratio),
        enter_ticks=thresholds.enter_ticks,
        exit_ticks=thresholds.exit_ticks,
        grace=thresholds.grace_days * DAY,
        min_expected=int(thresholds.min_expected),
        feed_lag=thresholds.feed_lag_minutes * _MINUTE,
    )


# -- mistakes --------------------------------------------------------------------------------------------------------


def _mistakes(plan: Plan) -> Iterator[Fault]:
    """What cannot hold, in the order of the contract's fields."""
    if plan.flight.end <= plan.flight.start:
        yield Fault("flight_end", "the flight ends before it starts: the end must be after flight_start")
    yield from _channel_mistakes(plan)
    yield from _deal_mistakes(plan)
    yield from _threshold_mistakes(plan.thresholds)


def _channel_mistakes(plan: Plan) -> Iterator[Fault]:
    yield from _repeated("channels", "channel", [channel.channel for channel in plan.channels])
    for place, channel in enumerate(plan.channels):
        if channel.min_budget > channel.allocated_budget:
            words = _more(plan, channel.min_budget, "the allocated budget", channel.allocated_budget)
            yield Fault(_item("channels", place, "min_budget"), words)
    allocated = sum(channel.allocated_budget for channel in plan.channels)
    if allocated > plan.total_budget:
        yield Fault("channels", _more(plan, allocated, "the total budget", plan.total_budget))


def _deal_mistakes(plan: Plan) -> Iterator[Fault]:
    yield from _repeated("deals", "deal_id", [deal.deal_id for deal in plan.deals])
    channels = {channel.channel: channel.allocated_budget for channel in plan.channels}
    for place, deal in enumerate(plan.deals):
        if deal.channel is not None and channels and deal.channel not in channels:
            yield Fault(_item("deals", place, "channel"), f"the plan has no channel {deal.channel!r}")
        if deal.flight is not None and deal.flight.end <= deal.flight.start:
            words = "the deal's flight ends before it starts"
            yield Fault(_item("deals", place, "flight_end"), words)
    for channel, budget in channels.items():
        of_channel = sum(deal.allocated_budget for deal in plan.deals if deal.channel == channel)
        if of_channel > budget:
            yield Fault("deals", _more(plan, of_channel, f"the budget of their channel {channel!r}", budget))
    allocated = sum(deal.allocated_budget for deal in plan.deals)
    if allocated > plan.total_budget:
        yield Fault("deals", _more(plan, allocated, "the total budget", plan.total_budget))


def _threshold_mistakes(thresholds: Thresholds) -> Iterator[Fault]:
    if thresholds.underpacing_warning_pct > thresholds.underpacing_critical_pct:
        yield Fault("thresholds.underpacing_warning_pct", "is above underpacing_critical_pct")
    if thresholds.overpacing_warning_pct > thresholds.overpacing_critical_pct:
        yield Fault("thresholds.overpacing_warning_pct", "is above overpacing_critical_pct")


def _repeated(items: str, field: str, names: list[str]) -> Iterator[Fault]:
    """Every item whose name an earlier one has."""
    seen: set[str] = set()
    for place, name in enumerate(names):
        if name in seen:
            yield Fault(_item(items, place, field), f"{name!r} is listed twice")
        seen.add(name)


def _more(plan: Plan, amount: int, limit: str, most: int) -> str:
    amounts = format_money(amount, plan.minor_digits), format_money(most, plan.minor_digits)
    return f"{amounts[0]} {plan.currency} is more than {limit}, {amounts[1]} {plan.currency}"


def _item(items: str, place: int, field: str) -> str:
    """The name of a field of an item, as the models name it."""
    return f"{items}[{place}].{field}"


# -- what is not built -----------------------------------------------------------------------------------------------


def _not_built(message: wire.CampaignPlan) -> Iterator[Fault]:
    """What is asked for and not built yet, in the order of the contract's fields."""
    for field, wanted in _wants(message):
        yield Fault(field, NOT_BUILT + wanted)


def _wants(message: wire.CampaignPlan) -> Iterator[tuple[str, str]]:
    yield from _other_than("reallocation.mode", message.reallocation.mode, "to_date")
    yield from _other_than("reallocation.receive", message.reallocation.receive, "overpacing")
    if message.automation not in _AUTOMATION:
        yield "automation", message.automation


def _other_than(field: str, value: str, built: str) -> Iterator[tuple[str, str]]:
    if value != built:
        yield field, value
