"""
The snapshot: every figure of a campaign at a tick, in the contract's fields and order.

The law of this file: **rounded once, last**. Figures come as exact integers and ratios; each is derived from them
alone and rounded where it is printed. What is undefined is null, never 0: before anything is expected there is no
pacing percentage, without impressions no CPM.

Source: contract, Events out and rules 10, 12 and 13; field definitions 7 and 20. What the contract leaves open: the
planned percentage that `variance_pp` compares with is expected / total budget, so that a plan changed in flight has
one plan, not two; without a change that is C(t). Of a closing snapshot, `future_spend` is all that is dated at or
after the end. A rate whose denominator is not positive is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from worker.pacing.amounts import DAY, Currency, Number, currency_of, percent, percent_and_deviation, share, time_text
from worker.pacing.curves import elapsed
from worker.pacing.density import Ratio, dark_time
from worker.pacing.figures import BIDS, IMPRESSIONS, REQUESTS, WINS
from worker.pacing.plan import Deal, Flight, Plan
from worker.pacing.projection import Projection, capped
from worker.pacing.standing import Standing

Body = dict[str, Any]

BANDS: Final = ("on_pace", "drift", "mild", "strong", "sharp")
BAND_ENDS: Final = (5, 10, 20, 30)
"""Upper ends of |variance_pp|, each inside its band."""


class Taken(msgspec.Struct, frozen=True, gc=False):
    """What a snapshot says of itself, besides the figures of its scopes. Money in nanos, times in nanoseconds."""

    as_of: int
    data_through: int | None
    late_spend: int
    future_spend: int
    plan_version: int
    revision: int
    final: bool
    complete: bool
    recommendations: list[str]
    ledger_position: dict[str, Any] | None


def snapshot_fields(plan: Plan, standings: Sequence[Standing], taken: Taken, projection: Projection) -> Body:
    """
    The fields of `pacing.snapshot_taken` after its `timestamp`.

    *standings* are the campaign's, its channels' and its deals', in the plan's order.
    """
    currency = currency_of(plan.minor_digits)
    carried = currency.carried
    campaign, deals_from, as_of = standings[0], 1 + len(plan.channels), taken.as_of
    budget, scale, spend, flight = campaign.budget, campaign.scale, campaign.figures[0], campaign.flight
    num, den = campaign.expected
    used, planned, ahead = spend * scale, budget * den, campaign.gap * scale
    pacing, deviation = pacing_of(campaign)
    channels = [_channel(child, currency) for child in standings[1:deals_from]]
    deals = [_deal(deal, child, currency) for deal, child in zip(plan.deals, standings[deals_from:], strict=True)]
    final, exhausted_at = projection.spend, projection.exhausted_at
    projected = None if final is None else currency.derived(*final)
    remaining, left = budget - used, _active_left(plan, flight, as_of)
    return {
        "total_budget": currency.budget_of(budget, scale),
        "total_spend": carried(spend),
        "expected_spend": currency.derived(num, den),
        "pacing_pct": pacing,
        "deviation_pct": deviation,
        "budget_used_pct": percent(used, budget),
        "elapsed_pct": percent(elapsed(flight, as_of), flight.end - flight.start),
        "variance_pp": percent(ahead, planned),
        "band": band(ahead, planned),
        "remaining_budget": currency.difference(remaining, scale),
        "required_daily_spend": _required_daily_spend(remaining, left * scale, currency),
        "projected_spend": projected,
        "projection_method": projection.method,
        "projected_exhaustion_at": None if exhausted_at is None else time_text(exhausted_at),
        "dark_days": None if exhausted_at is None else share(flight.end - exhausted_at, DAY),
        "data_through": None if taken.data_through is None else time_text(taken.data_through),
        "late_spend": carried(taken.late_spend),
        "plan_version": taken.plan_version,
        "revision": taken.revision,
        "final": taken.final,
        "complete": taken.complete,
        "future_spend": carried(taken.future_spend),
        "period_start": time_text(flight.start),
        "period_end": time_text(flight.end),
        "worst_child": worst_child(standings[1:]),
        "channel_snapshots": channels,
        "deal_snapshots": deals,
        "recommendations": taken.recommendations,
        "ledger_position": taken.ledger_position,
        "budget_change_policy": plan.budget_change_policy,
        "projected_spend_capped": _capped(final, projected, campaign, currency),
        "projection_reason": projection.reason,
        "rolling_7d_pacing_pct": None if projection.rolling is None else percent(*projection.rolling),
    }


def _capped(final: Ratio | None, projected: str | None, campaign: Standing, currency: Currency) -> str | None:
    """The projected spend under a hard cap; *projected* is how it is printed without one."""
    if final is None:
        return None
    under_cap = capped(final, campaign)
    return projected if under_cap is final else currency.derived(*under_cap)


def pacing_of(standing: Standing) -> tuple[Number | None, Number | None]:
    """pacing_pct = spend / expected x 100, and deviation_pct, 100 less; both null where nothing is expected."""
    num, den = standing.expected
    return percent_and_deviation(standing.figures[0] * den, num) if num else (None, None)


def band(gap: int, whole: int) -> str:
    """
    The band of |gap / whole| in percentage points; its ends belong to it.

    >>> band(5, 100), band(-5, 99), band(31, 100)
    ('on_pace', 'drift', 'sharp')
    """
    size = abs(gap) * 100
    for most, name in zip(BAND_ENDS, BANDS, strict=False):
        if size <= most * whole:
            return name
    return BANDS[-1]


def _active_left(plan: Plan, flight: Flight, as_of: int) -> int:
    """The nanoseconds left of the flight, without blackouts."""
    start, blackouts = max(as_of, flight.start), plan.calendar.blackouts
    return flight.end - start - (dark_time(blackouts, start, flight.end) if blackouts else 0)


def _required_daily_spend(remaining: int, left: int, currency: Currency) -> str | None:
    """What is left of the budget over what is left of the flight, a day of 24 h; null when no time is left."""
    return currency.derived(max(0, remaining) * DAY, left) if left > 0 else None


def worst_child(children: Sequence[Standing]) -> Body | None:
    """The channel or deal with the largest |deviation|, compared exactly, then the first name; null without one."""
    worst, size, base = None, 0, 0
    for child in children:
        gap, of = abs(child.gap), child.expected[0]
        if of:
            this, other = gap * base, size * of
            if worst is None or this > other or (this == other and child.scope_id < worst.scope_id):
                worst, size, base = child, gap, of
    if worst is None:
        return None
    return {"scope": worst.scope, "scope_id": worst.scope_id, "deviation_pct": pacing_of(worst)[1]}


def _channel(standing: Standing, currency: Currency) -> Body:
    """What is told of a channel: what it and a deal have in common, after what names them."""
    figures, (num, den) = standing.figures, standing.expected
    spend, impressions = figures[0], figures[IMPRESSIONS]
    pacing, deviation = percent_and_deviation(spend * den, num) if num else (None, None)
    return {
        "channel": standing.scope_id,
        "allocated_budget": currency.budget_of(standing.budget, standing.scale),
        "spend": currency.carried(spend),
        "expected_spend": currency.derived(num, den),
        "pacing_pct": pacing,
        "deviation_pct": deviation,
        "impressions": impressions,
        "effective_cpm": currency.derived(spend * 1000, impressions) if impressions > 0 else None,
        "fill_rate": share(impressions, figures[REQUESTS]),
    }


def _deal(deal: Deal, standing: Standing, currency: Currency) -> Body:
    win_rate = share(standing.figures[WINS], standing.figures[BIDS])
    return {"deal_id": deal.deal_id} | _channel(standing, currency) | {"channel": deal.channel, "win_rate": win_rate}
