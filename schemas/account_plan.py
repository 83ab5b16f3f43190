"""
`pacing.account_plans`, in, compacted: an account's own cap, above the budgets of its campaigns.

Source: contract, Topics; field definitions 14 and 17. Whether a cap can hold is judged by
`worker.pacing.accounts.read_account_plan`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.campaign_plan import Signals, Thresholds
from schemas.messages import BudgetIn, Currency, Id, Input, MomentIn, Zone


class AccountPlan(Input):
    """An account's cap, or what takes its place. A tombstone (a record without a value) ends it."""

    account_id: Id = Field(description="The account; also the record's key, as UTF-8 bytes.")
    currency: Currency = Field(description="ISO 4217; it caps the account's campaigns in this currency.")
    timezone: Zone = Field(default="UTC", description="IANA time zone in which dates and calendar periods are made.")
    total_budget: BudgetIn = Field(description="Money the account may spend over the flight, or per calendar period.")
    flight_start: MomentIn = Field(description="When it begins; a date means local midnight.")
    flight_end: MomentIn = Field(description="When it ends, itself not included; a date includes that day.")
    period: Literal["flight", "weekly", "monthly", "quarterly"] = Field(
        default="flight", description="What the budget is for: the flight, or each calendar period of it."
    )
    thresholds: Thresholds = Field(default=Thresholds(), description="When a deviation opens and when it is left.")
    signals: Signals = Field(default={}, description="Kinds of alert_raised of the account; false switches one off.")
