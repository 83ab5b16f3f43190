"""
`pacing.tick_closed`, out: a partition has told everything of a tick.

It rides in the transaction of the tick's last event, so that a consumer who has read it has the whole tick. Recorded,
it tells a replay where the live worker cut its input. Source: contract, Topics and rule 22.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.messages import EventId, Message, TimeOut, Whole


class TickClosed(Message):
    """A partition's tick is told whole. It is about no campaign: its key is the partition's number."""

    event_id: EventId = Field(description="UUIDv5 of the event's type, partition and tick.")
    event_type: Literal["pacing.tick_closed"] = Field(description="Which event it is.")
    occurred_at: TimeOut = Field(description="The tick.")
    partition: Whole = Field(description="The partition, the same of every topic.")
    tick: TimeOut = Field(description="The tick.")
    campaigns: Whole = Field(description="Campaigns that were judged.")
    complete: bool = Field(description="Whether all input there was at the tick had been read.")
    next_offsets: dict[str, Whole] = Field(description="By input topic, the offset behind the last record it covers.")
