"""
`pacing.account_snapshot_taken`, out: what an account's campaigns come to at a tick, one for each currency.

Source: contract, Events out; field definitions 14, 17 and 18. Its deviations and signals are those of `deviation` and
`alert`, with the scope `account`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.messages import Currency, EventId, Id, Message, MoneyOut, Part, PercentOut, TimeOut, Whole
from schemas.snapshot import Band


class WorstCampaign(Part):
    """The campaign that is furthest from its plan, which an account on plan may hide."""

    scope: Literal["campaign"] = Field(description="What it is.")
    scope_id: Id = Field(description="Its campaign_id.")
    deviation_pct: PercentOut = Field(description="Its deviation, in percent.")


class AccountSnapshotTaken(Message):
    """
    Where an account stands in one currency at a tick, once every partition has closed it.

    What is of the campaigns is added up unrounded and rounded once, here: the sum of what their snapshots print may
    differ by half a minor unit each.
    """

    event_id: EventId = Field(description="UUIDv5 of type, account, tick and currency: the same input, the same id.")
    event_type: Literal["pacing.account_snapshot_taken"] = Field(description="Which event it is.")
    occurred_at: TimeOut = Field(description="The tick it belongs to.")
    account_id: Id = Field(description="The account; also the record's key, as UTF-8 bytes.")
    currency: Currency = Field(description="ISO 4217; all money of the event is in it, and only campaigns in it count.")
    snapshot_id: EventId = Field(description="The same as event_id.")
    timestamp: TimeOut = Field(description="The tick.")
    complete: bool = Field(description="Whether every partition had read all input there was at the tick.")
    campaigns: Whole = Field(description="Campaigns whose snapshots of the tick are added up.")
    total_budget: MoneyOut = Field(description="The cap of the account's window; without one the campaigns' budgets.")
    children_budget: MoneyOut = Field(description="The campaigns' budgets, added up.")
    total_spend: MoneyOut = Field(description="The campaigns' spend, added up, and closed_spend.")
    expected_spend: MoneyOut = Field(
        description="What the cap has reached, linear over its window; without one what the campaigns have, added up."
    )
    pacing_pct: PercentOut | None = Field(description="total_spend / expected_spend x 100; null: nothing is expected.")
    deviation_pct: PercentOut | None = Field(description="pacing_pct - 100.")
    budget_used_pct: PercentOut | None = Field(description="total_spend / total_budget x 100; null without a budget.")
    elapsed_pct: PercentOut = Field(description="The elapsed share of period_start to period_end.")
    variance_pp: PercentOut | None = Field(description="budget_used_pct - expected_spend / total_budget x 100.")
    band: Band | None = Field(description="By |variance_pp|, exact; null without a budget.")
    projected_spend: MoneyOut | None = Field(
        description="The campaigns' projections, added up, and closed_spend; null where a campaign has none."
    )
    projected_exhaustion_at: TimeOut | None = Field(
        description="When the even line from total_spend at the tick to projected_spend at period_end reaches the cap,"
        " before that end; once total_spend has reached it, the tick that saw that first. Null: it lasts, there is no"
        " projection, or no cap."
    )
    dark_days: Annotated[float, Field(ge=0)] | None = Field(
        description="Days of 24 h from projected_exhaustion_at to period_end, 4 decimals; null with it."
    )
    worst_child: WorstCampaign | None = Field(description="The campaign furthest from its plan; null without any.")
    cap: MoneyOut | None = Field(description="The account's own budget for its window; null where none is in force.")
    cap_difference: MoneyOut | None = Field(description="cap - children_budget; null without a cap.")
    closed_spend: MoneyOut = Field(
        description="What campaigns that are told no more have spent of the cap: those whose flights share time with"
        " its window; 0 without a cap."
    )
    spendable: MoneyOut = Field(
        description="The lowest wins: what the cap leaves, or what the campaigns may still spend; never negative."
    )
    period_start: TimeOut = Field(description="Where the cap's window begins, else the first of the campaigns'.")
    period_end: TimeOut = Field(description="Where it ends, else the last of the campaigns'.")
    exact: bool = Field(
        description="Whether it was: false where so many flights have so little in common that fractions of a nano were"
        " rounded, half of one a campaign at the most."
    )
