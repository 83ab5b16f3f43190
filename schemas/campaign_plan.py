"""
`pacing.campaign_plans`, in, compacted: what a campaign may spend, when and where.

These models hold the form of a plan: names, types, ranges. Whether a plan can hold (allocations within the budget, a
flight that ends after it starts) and whether this version can pace it is judged by `worker.pacing.read_plan`.
Source: contract, CampaignPlan, and rules 1 to 6.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, WithJsonSchema, model_validator

from schemas import fields
from schemas.messages import (
    AmountIn,
    BrokenRulesError,
    BudgetIn,
    Currency,
    FactorIn,
    Id,
    Input,
    MomentIn,
    PartIn,
    PercentIn,
    Text,
    TimeIn,
    Zone,
)
from schemas.wire import Fault

# -- curves -----------------------------------------------------------------------------------------------------------


class Segment(Input):
    """A piece of a custom curve, until the next one starts or the flight ends; linear inside."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"properties": {field: {"type": ["string", "number"]}}, "required": [field]}
                for field in ("amount", "pct")
            ]
        }
    )

    start: MomentIn = Field(description="When it starts; a date means local midnight. The first: the flight's start.")
    amount: AmountIn | None = Field(default=None, description="Money spent in it. Amounts add up to the budget.")
    pct: PercentIn | None = Field(default=None, description="Percent of the budget spent in it. They add up to 100.")

    @model_validator(mode="after")
    def _is_one_of_the_two(self) -> Self:
        if (self.amount is None) == (self.pct is None):
            raise BrokenRulesError([Fault("", "a segment has either an amount or a pct")])
        return self


class LinearCurve(Input):
    """Even over the flight."""

    kind: Literal["linear"] = Field(description="An even pace: C(u) = u.")


class FrontLoadedCurve(Input):
    """More at first."""

    kind: Literal["front_loaded"] = Field(description="More at first: C(u) = u + f·u·(1-u).")
    factor: FactorIn = Field(description="f: how strongly. The first half carries 0.5 + f/4.")


class BackLoadedCurve(Input):
    """More towards the end."""

    kind: Literal["back_loaded"] = Field(description="More towards the end: C(u) = u - f·u·(1-u).")
    factor: FactorIn = Field(description="f: how strongly. The first half carries 0.5 - f/4.")


class FinishEarlyCurve(Input):
    """Even, and over before the flight is."""

    kind: Literal["finish_early"] = Field(description="All is spent before the end: C(min(u/p, 1)).")
    full_spend_at_pct: PartIn = Field(description="p: the percentage of the flight after which all is spent.")


class CustomCurve(Input):
    """As its segments say."""

    kind: Literal["custom"] = Field(description="Segments with an amount or a percentage each.")
    segments: Annotated[list[Segment], Field(min_length=1, max_length=fields.MOST_PIECES)] = Field(
        description="The pieces, by start."
    )


Curve = Annotated[
    LinearCurve | FrontLoadedCurve | BackLoadedCurve | FinishEarlyCurve | CustomCurve, Field(discriminator="kind")
]


# -- parts ------------------------------------------------------------------------------------------------------------


class Blackout(Input):
    """A time [start, end) in which no spend is planned."""

    start: MomentIn = Field(description="When it begins; a date means local midnight.")
    end: MomentIn = Field(description="When it ends; a date includes that day.")


class Channel(Input):
    """A channel's share of the budget."""

    channel: Id = Field(description="Its name, as spend updates give it.")
    allocated_budget: AmountIn = Field(description="Money of the total budget that is the channel's.")
    min_budget: AmountIn | None = Field(default=None, description="What a reallocation leaves it at least.")
    curve: Curve | None = Field(default=None, description="Its own curve; default the campaign's.")


class Deal(Input):
    """A deal's share of the budget, of its channel's where it names one."""

    deal_id: Id = Field(description="Its id, as spend updates give it.")
    channel: Id | None = Field(default=None, description="The channel it belongs to; its spend counts there.")
    allocated_budget: AmountIn = Field(description="Money of the channel's budget (else the total) that is the deal's.")
    flight_start: MomentIn | None = Field(default=None, description="Its own start; default the campaign's.")
    flight_end: MomentIn | None = Field(default=None, description="Its own end; default the campaign's.")


class Thresholds(Input):
    """When a deviation opens and when it is left. A deviation strictly beyond its threshold alerts."""

    underpacing_warning_pct: AmountIn = Field(default=Decimal(10), description="Percent below plan that warn.")
    underpacing_critical_pct: AmountIn = Field(default=Decimal(25), description="Percent below plan that are critical.")
    overpacing_warning_pct: AmountIn = Field(default=Decimal(10), description="Percent above plan that warn.")
    overpacing_critical_pct: AmountIn = Field(default=Decimal(25), description="Percent above plan that are critical.")
    exit_ratio: FactorIn = Field(
        default=Decimal("0.8"), description="A level is left when the deviation is below this part of its threshold."
    )
    enter_ticks: Annotated[int, Field(ge=1, le=fields.MOST_TICKS)] = Field(
        default=1, description="Ticks in a row a deviation lasts before it opens."
    )
    exit_ticks: Annotated[int, Field(ge=1, le=fields.MOST_TICKS)] = Field(
        default=1, description="Ticks in a row it must be inside before it is left."
    )
    grace_days: Annotated[int, Field(ge=0, le=fields.MOST_DAYS)] = Field(
        default=0, description="Days of 24 h from the start of the flight or period in which none opens."
    )
    min_expected: AmountIn = Field(default=Decimal(0), description="Money: below it of expected spend none opens.")
    feed_lag_minutes: Annotated[int, Field(ge=0, le=fields.MOST_MINUTES)] = Field(
        default=0, description="How far the feed is known to lag: deviations compare with the expected spend of then."
    )


class Reallocation(Input):
    """What a proposal to move money between channels may do."""

    min_amount: AmountIn = Field(
        default=Decimal(100), description="Smaller moves are not proposed, nor smaller changes told."
    )
    max_pct: PercentIn = Field(
        default=Decimal(30), description="Percent of the total budget one snapshot's moves add up to."
    )
    mode: Literal["to_date", "forward"] = Field(
        default="to_date", description="Judged by the gaps so far, or by what the channels are projected to spend."
    )
    receive: Literal["overpacing", "efficiency", "projected_need"] = Field(
        default="overpacing", description="Who receives: channels ahead of plan, the more efficient, or those in need."
    )


Signals = Annotated[
    dict[str, bool],
    WithJsonSchema(
        {"type": "object", "additionalProperties": {"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "default": {}}
    ),
]


# -- the plan ---------------------------------------------------------------------------------------------------------


class CampaignPlan(Input):
    """A campaign's plan, or a new version of it. A tombstone (a record without a value) ends it."""

    campaign_id: Id = Field(description="The campaign; also the record's key, as UTF-8 bytes.")
    account_id: Id = Field(description="The account it belongs to.")
    name: Text | None = Field(default=None, description="What people call it.")
    currency: Currency = Field(description="ISO 4217; all spend of the campaign is in it. It never changes.")
    timezone: Zone = Field(default="UTC", description="IANA time zone in which dates and calendar days are made.")
    total_budget: BudgetIn = Field(description="Money to spend over the flight, or per calendar period.")
    flight_start: MomentIn = Field(description="When it begins; a date means local midnight.")
    flight_end: MomentIn = Field(description="When it ends, itself not included; a date includes that day.")
    period: Literal["flight", "weekly", "monthly", "quarterly"] = Field(
        default="flight", description="What the budget is for: the flight, or each calendar period of it."
    )
    rollover: Literal["none", "carry_underspend"] = Field(
        default="none", description="What happens to money left at the end of a period."
    )
    curve: Curve = Field(default=LinearCurve(kind="linear"), description="How spend is meant to grow over the flight.")
    weekday_weights: Annotated[list[AmountIn], Field(min_length=7, max_length=7)] | None = Field(
        default=None, description="The weight of a full local day, Monday first; default all alike."
    )
    hour_weights: Annotated[list[AmountIn], Field(min_length=24, max_length=24)] | None = Field(
        default=None, description="How a local day is shared by its hours, from midnight; default all alike."
    )
    blackouts: Annotated[list[Blackout], Field(max_length=fields.MOST_PIECES)] = Field(
        default=[], description="When no spend is planned."
    )
    channels: list[Channel] = Field(default=[], description="How the budget is shared by channels, each named once.")
    deals: list[Deal] = Field(default=[], description="How it is shared by deals, each named once.")
    thresholds: Thresholds = Field(default=Thresholds(), description="When a deviation opens and when it is left.")
    signals: Signals = Field(default={}, description="Kinds of alert_raised; false switches one off.")
    reallocation: Reallocation = Field(default=Reallocation(), description="What a proposal may move.")
    daily_budget: BudgetIn | None = Field(default=None, description="Money the platform is told to spend a local day.")
    platform: Id | None = Field(default=None, description="The platform, for what it may spend over a daily budget.")
    automation: Literal["insight_only", "recommendations", "semi_automated", "fully_automated"] = Field(
        default="recommendations", description="Whether proposals are made, and who decides on them."
    )
    budget_change_policy: Literal["forward", "reflow", "rebase"] = Field(
        default="forward", description="How the expected curve bends when the budget changes in flight."
    )
    status: Literal["active", "paused", "completed", "canceled"] = Field(
        default="active",
        description="`paused`: snapshots only. `completed`, `canceled`: one closing snapshot, then none.",
    )
    partial_period: Literal["full", "prorated"] = Field(
        default="full", description="What a first or last calendar period cut by the flight carries."
    )
    effective_at: TimeIn | None = Field(
        default=None,
        description="From when this version counts; default the record's timestamp, in a file the start of the flight.",
    )
    projection: Literal["run_rate", "trailing_7d", "seasonal"] = Field(
        default="run_rate",
        description="How the spend to come is projected: by the pace to date, the mean of the last seven active days, "
        "or the mean of each weekday. With too little history the next simpler one is used, and the snapshot says so.",
    )
