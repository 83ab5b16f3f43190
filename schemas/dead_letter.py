"""
`<input topic>.dlq`, out: what could not be accepted. Key and value are the input's bytes, untouched; why is in headers.

Source: contract, Topics. The reasons and what they mean are listed in `reasons`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.messages import Message

Reason = Literal[
    "malformed_json",
    "invalid_field",
    "wrong_partition",
    "conflicting_update",
    "unmatched_correction",
    "not_correctable",
    "currency_mismatch",
    "invalid_plan",
    "unsupported_plan",
    "beyond_horizon",
    "series_limit",
]


class DeadLetterHeaders(Message):
    """The headers of a dead letter. Header values are bytes: all of these are UTF-8 text."""

    dlq_reason: Reason = Field(description="Why it was refused, one of a closed list.")
    dlq_field: str = Field(description="The field at fault, such as `channels[0].min_budget`; empty for the whole.")
    dlq_detail: str = Field(description="A sentence for a person; all faults of a plan.")
    dlq_topic: str = Field(description="The topic it was read from.")
    dlq_partition: Annotated[str, Field(pattern="^[0-9]+$")] = Field(description="The partition it was read from.")
    dlq_offset: Annotated[str, Field(pattern="^[0-9]+$")] = Field(description="Its offset there.")
