"""
`pacing.snapshot_taken`, out: where a campaign stands at a tick, one for each campaign and tick.

Source: contract, Events out, and rules 5 and 10 to 13.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.messages import Count, Event, EventId, Id, MoneyOut, Part, PercentOut, RatioOut, TimeOut, Whole

Band = Literal["on_pace", "drift", "mild", "strong", "sharp"]


class WorstChild(Part):
    """The channel or deal that is furthest from its plan, which a campaign on plan may hide."""

    scope: Literal["channel", "deal"] = Field(description="What it is.")
    scope_id: Id = Field(description="Its name.")
    deviation_pct: PercentOut = Field(description="Its deviation, in percent.")


class LedgerPosition(Part):
    """The input that the numbers cover."""

    partition: Whole = Field(description="The partition, the same of every topic.")
    next_offsets: dict[str, Whole] = Field(description="By input topic, the offset behind the last record covered.")


class ChannelSnapshot(Part):
    """A channel of the plan at the tick."""

    channel: Id = Field(description="Its name in the plan.")
    allocated_budget: MoneyOut = Field(description="Its share of the budget.")
    spend: MoneyOut = Field(description="What counts for it, with event times up to the tick.")
    expected_spend: MoneyOut = Field(description="What its curve has reached by the tick.")
    pacing_pct: PercentOut | None = Field(description="spend / expected_spend x 100; null while nothing is expected.")
    deviation_pct: PercentOut | None = Field(description="pacing_pct - 100.")
    impressions: Count = Field(description="Ads shown.")
    effective_cpm: MoneyOut | None = Field(description="spend / impressions x 1000; null without impressions.")
    fill_rate: RatioOut | None = Field(description="impressions / requests, 0 to 1; null without requests.")


class DealSnapshot(Part):
    """A deal of the plan at the tick."""

    deal_id: Id = Field(description="Its id in the plan.")
    channel: Id | None = Field(description="The channel it belongs to.")
    allocated_budget: MoneyOut = Field(description="Its share of the budget.")
    spend: MoneyOut = Field(description="What counts for it, with event times up to the tick.")
    expected_spend: MoneyOut = Field(description="What its curve has reached by the tick.")
    pacing_pct: PercentOut | None = Field(description="spend / expected_spend x 100; null while nothing is expected.")
    deviation_pct: PercentOut | None = Field(description="pacing_pct - 100.")
    impressions: Count = Field(description="Ads shown.")
    effective_cpm: MoneyOut | None = Field(description="spend / impressions x 1000; null without impressions.")
    fill_rate: RatioOut | None = Field(description="impressions / requests, 0 to 1; null without requests.")
    win_rate: RatioOut | None = Field(description="wins / bids, 0 to 1; null without bids.")


class SnapshotTaken(Event):
    """Where a campaign stands at a tick, by the accepted updates with event_time <= tick known when it was taken."""

    event_type: Literal["pacing.snapshot_taken"] = Field(description="Which event it is.")
    snapshot_id: EventId = Field(description="The snapshot's id: the event's.")
    timestamp: TimeOut = Field(description="The tick.")
    total_budget: MoneyOut = Field(description="What may be spent over the flight or period.")
    total_spend: MoneyOut = Field(description="What was spent up to the tick, exactly as fed.")
    expected_spend: MoneyOut = Field(description="What an on-plan campaign has spent by the tick.")
    pacing_pct: PercentOut | None = Field(
        description="total_spend / expected_spend x 100; null while nothing is expected."
    )
    deviation_pct: PercentOut | None = Field(description="pacing_pct - 100.")
    budget_used_pct: PercentOut = Field(description="total_spend / total_budget x 100.")
    elapsed_pct: PercentOut = Field(description="Elapsed part of the flight or period, in linear time: 0 to 100.")
    variance_pp: PercentOut = Field(description="Percentage points: budget_used_pct less the planned percentage.")
    band: Band = Field(
        description="By |variance_pp|, exact: `on_pace` up to 5, `drift` up to 10, `mild` up to 20, `strong` up to 30, "
        "`sharp` beyond."
    )
    remaining_budget: MoneyOut = Field(description="total_budget - total_spend, exact; negative when overspent.")
    required_daily_spend: MoneyOut | None = Field(
        description="What is left of the budget, at least 0, over the days of 24 h left; null when no time is left."
    )
    projected_spend: MoneyOut | None = Field(
        description="Spend projected to the end of the flight or period, uncapped; null while nothing is expected."
    )
    projection_method: Literal["run_rate", "trailing_7d", "seasonal"] | None = Field(
        description="How it was projected: by the pace to date, the mean of the last seven active days, or the mean of "
        "each weekday; null while nothing is expected."
    )
    projected_exhaustion_at: TimeOut | None = Field(
        description="First instant the projected path reaches the budget before the end, the observed one where it is "
        "spent; null if it does not."
    )
    dark_days: Annotated[float, Field(ge=0)] | None = Field(
        description="Days of 24 h from that instant to the end; null if it does not."
    )
    data_through: TimeOut | None = Field(description="Latest event time counted; null while nothing is.")
    late_spend: MoneyOut = Field(description="What arrived since the last tick but belongs before it.")
    plan_version: Annotated[int, Field(ge=1)] = Field(description="The campaign's accepted plan versions, from 1.")
    revision: Whole = Field(description="0; after the end of a flight, 1 more for each snapshot that restates it.")
    final: bool = Field(description="Whether it closes a flight or period.")
    complete: bool = Field(
        description="Whether all input there was at the tick had been read; if not, nothing opens or clears on it."
    )
    future_spend: MoneyOut = Field(description="What is known and dated after the tick; not in any other figure.")
    period_start: TimeOut = Field(description="Start of the flight or period the figures are of.")
    period_end: TimeOut = Field(description="Its end, not included.")
    worst_child: WorstChild | None = Field(description="The channel or deal furthest from plan; null without any.")
    channel_snapshots: list[ChannelSnapshot] = Field(description="The plan's channels, in its order.")
    deal_snapshots: list[DealSnapshot] = Field(description="The plan's deals, in its order.")
    recommendations: list[EventId] = Field(description="Ids of the proposals that stand.")
    ledger_position: LedgerPosition | None = Field(description="The input the numbers cover; null for a file.")
    budget_change_policy: Literal["forward", "reflow", "rebase"] = Field(
        description="The version's policy: how a change of the plan in flight bends expected_spend."
    )
    projected_spend_capped: MoneyOut | None = Field(
        description="projected_spend where the budget is a hard cap: at most the budget, at least what is spent."
    )
    projection_reason: str | None = Field(
        description="Why a simpler method was used than the plan asks for, or none at all; null if it is the plan's."
    )
    rolling_7d_pacing_pct: PercentOut | None = Field(
        description="Spend of the last seven whole local days / what was expected in them x 100; null with fewer."
    )
