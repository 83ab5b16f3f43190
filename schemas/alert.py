"""
`pacing.alert_raised` and `pacing.alert_cleared`, out: every signal besides deviations, by kind.

Source: contract, Events out, and rules 9 and 14 to 17. Kinds that this version does not raise yet are in the list, so
that a plan may switch them off and a consumer may expect them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from schemas.messages import EventId, Id, Level, Scope, ScopedEvent

AlertKind = Literal[
    "spend_outside_flight",
    "over_budget",
    "budget_used_before_period",
    "ahead_of_period",
    "exhaustion_projected",
    "delivery_interrupted",
    "cap_reached",
    "source_stale",
    "spend_spike",
    "daily_budget_exceeded",
    "milestone_reached",
    "unplanned_channel",
    "conflicting_update",
    "unmatched_correction",
    "currency_mismatch",
]


class _Alert(ScopedEvent):
    alert_id: EventId = Field(description="The signal's id, the same when it is raised and when it is cleared.")
    kind: AlertKind = Field(description="Which signal it is.")
    scope: Scope = Field(description="What it is about.")
    scope_id: Id = Field(description="Its name: the campaign_id, the channel, the deal_id, the account_id.")
    alert_level: Level = Field(description="`critical` where money is gone or missing, else `warning`.")
    message: str = Field(description="A sentence for a person, with the figures.")
    evidence: dict[str, Any] = Field(description="The figures, by kind; empty when it is cleared.")


class AlertRaised(_Alert):
    """A signal is up."""

    event_type: Literal["pacing.alert_raised"] = Field(description="Which event it is.")


class AlertCleared(_Alert):
    """A signal is over."""

    event_type: Literal["pacing.alert_cleared"] = Field(description="Which event it is.")
