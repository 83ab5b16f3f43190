"""
`pacing.deviation_detected` and `pacing.deviation_resolved`, out: the life of a deviation, told at its transitions.

Source: contract, Events out, and rules 14 and 15.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.messages import EventId, Id, Level, MoneyOut, PercentOut, Scope, ScopedEvent

Direction = Literal["underpacing", "overpacing"]


class DeviationDetected(ScopedEvent):
    """A scope is off its plan by more than a threshold: it opened, escalated or de-escalated."""

    event_type: Literal["pacing.deviation_detected"] = Field(description="Which event it is.")
    alert_id: EventId = Field(description="The deviation's id, the same from opening to resolution.")
    snapshot_id: EventId | None = Field(description="The snapshot it was judged in.")
    scope: Scope = Field(description="What is off its plan.")
    scope_id: Id = Field(description="Its name: the campaign_id, the channel, the deal_id, the account_id.")
    transition: Literal["opened", "escalated", "deescalated"] = Field(description="What happened to the deviation.")
    alert_level: Level = Field(description="The level it has now.")
    direction: Direction = Field(description="Below plan or above it.")
    deviation_pct: PercentOut = Field(description="spend / expected_spend x 100 - 100.")
    threshold_pct: PercentOut = Field(description="The configured threshold of the level and side; positive.")
    spend: MoneyOut = Field(description="What the scope has spent.")
    expected_spend: MoneyOut = Field(description="What it was expected to have spent when its feed ended.")
    message: str = Field(description="A sentence for a person, with the figures.")


class DeviationResolved(ScopedEvent):
    """A deviation ended."""

    event_type: Literal["pacing.deviation_resolved"] = Field(description="Which event it is.")
    alert_id: EventId = Field(description="The deviation's id, the same from opening to resolution.")
    snapshot_id: EventId | None = Field(description="The snapshot it was judged in; null where the plan was removed.")
    scope: Scope = Field(description="What was off its plan.")
    scope_id: Id = Field(description="Its name: the campaign_id, the channel, the deal_id, the account_id.")
    transition: Literal["resolved"] = Field(description="What happened to the deviation.")
    alert_level: Level = Field(description="The level it had.")
    direction: Direction = Field(description="The side it was on.")
    deviation_pct: PercentOut | None = Field(description="What it is now; null while nothing is expected.")
    threshold_pct: PercentOut = Field(description="The configured threshold of the level and side; positive.")
    spend: MoneyOut = Field(description="What the scope has spent.")
    expected_spend: MoneyOut = Field(description="What it was expected to have spent when its feed ended.")
    message: str = Field(description="A sentence for a person, with the figures.")
    reason: Literal["recovered", "period_ended", "flight_ended", "plan_ended"] = Field(description="Why it ended.")
