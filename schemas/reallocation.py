"""
`pacing.reallocation_recommended`, out: a proposal to move money from one channel to another.

Source: contract, Events out, and rule 18.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.messages import Event, EventId, Id, MoneyOut, TimeOut


class ReallocationRecommended(Event):
    """A proposal that is new, or has changed by the plan's min_amount or more."""

    event_type: Literal["pacing.reallocation_recommended"] = Field(description="Which event it is.")
    recommendation_id: EventId = Field(description="The proposal's id: the event's.")
    snapshot_id: EventId = Field(description="The snapshot it was made from.")
    type: Literal["REALLOCATE"] = Field(description="What is proposed.")
    source_channel: Id = Field(description="The channel that gives: it is behind its plan.")
    target_channel: Id = Field(description="The channel that receives.")
    amount: MoneyOut = Field(description="How much, rounded down to the currency's minor unit.")
    reason: str = Field(description="A sentence for a person: how far each of the two is from its plan.")
    mode: Literal["to_date", "forward"] = Field(description="How it was judged.")
    confidence: Annotated[float, Field(ge=0, le=1)] | None = Field(description="0 to 1; null while not computed.")
    status: Literal["PENDING"] = Field(description="It waits for a decision.")
    expires_at: TimeOut = Field(description="When it no longer means anything: the end of the flight or period.")
    supersedes: EventId | None = Field(description="The proposal between the same channels that it replaces.")
