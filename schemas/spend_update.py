"""
`pacing.spend_updates`, in: what an ad server or a feed says was spent.

Identity is (campaign_id, source, event_id). Source: contract, SpendUpdate, and rules 7 to 9.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from schemas.messages import BrokenRulesError, Count, Currency, Id, Input, MoneyIn, TimeIn
from schemas.wire import Fault

COUNTS: Final = ("impressions", "clicks", "conversions", "bids", "wins", "requests")
FIGURES: Final = ("spend", *COUNTS, "conversion_value")


_RULES: Final[JsonDict] = {
    "if": {"properties": {"kind": {"const": "correction"}}, "required": ["kind"]},
    "then": {"properties": {"corrects": {"type": "string"}}, "required": ["corrects"]},
    "else": {
        "properties": {"spend": {"type": ["string", "number"]}, "corrects": {"type": "null"}},
        "required": ["spend"],
    },
}
"""What JSON Schema can say of the rules below; the signs of amounts in strings it cannot."""


class SpendUpdate(Input):
    """Spend (and what it bought) of one campaign, as one source reports it."""

    model_config = ConfigDict(json_schema_extra=_RULES)

    event_id: Id = Field(
        description="Names this update, unique within campaign and source: a repeat with the same body is ignored, "
        "one with another body is a conflict, and the first stands."
    )
    source: Id = Field(description="The ad server or feed that reports.")
    campaign_id: Id = Field(description="The campaign it counts for; also the record's key, as UTF-8 bytes.")
    channel: Id | None = Field(default=None, description="The channel it counts for; without one, the campaign alone.")
    deal_id: Id | None = Field(default=None, description="The deal it counts for, and so for the deal's channel.")
    line_item_id: Id | None = Field(
        default=None, description="The line item it was spent on; part of a cumulative series."
    )
    event_time: TimeIn = Field(description="When it was spent.")
    kind: Literal["increment", "cumulative", "correction", "credit"] = Field(
        default="increment",
        description="`increment` adds; `cumulative` is the running total of its series, of which the ledger takes the "
        "difference; `correction` replaces the figures of `corrects` that it carries; `credit` gives back.",
    )
    spend: MoneyIn | None = Field(
        default=None,
        description="Money: at least 0 for `increment`, at most 0 for `credit` (what comes back, dated by the period "
        "it belongs to), the running total for `cumulative`; a `correction` may leave it out. Required but for a "
        "`correction`.",
    )
    corrects: Id | None = Field(
        default=None,
        description="The event_id, of the same campaign and source, that a `correction` corrects; required there, "
        "refused elsewhere. It may arrive before what it corrects.",
    )
    sequence: Count | None = Field(
        default=None,
        description="Which of several `cumulative` reports, or of several corrections of one update, is newer: the "
        "highest counts. Without it the latest event_time does.",
    )
    series: Id | None = Field(
        default=None,
        description="For `cumulative`: part of what the total is of. A report that restarts every day sends its date.",
    )
    currency: Currency | None = Field(
        default=None, description="ISO 4217; default the plan's. A different one is refused."
    )
    impressions: Count | None = Field(default=None, description="Ads shown; counted as `spend` is.")
    clicks: Count | None = Field(default=None, description="Clicks; counted as `spend` is.")
    conversions: Count | None = Field(default=None, description="Conversions; counted as `spend` is.")
    bids: Count | None = Field(default=None, description="Bids placed; counted as `spend` is.")
    wins: Count | None = Field(default=None, description="Bids won; counted as `spend` is.")
    requests: Count | None = Field(default=None, description="Requests for an ad; counted as `spend` is.")
    conversion_value: MoneyIn | None = Field(
        default=None, description="What the conversions are worth; counted as `spend` is."
    )

    @model_validator(mode="after")
    def _keeps_the_rules_of_its_kind(self) -> Self:
        faults = [Fault(field, sentence) for field, sentence in _broken_rules(self)]
        if faults:
            raise BrokenRulesError(faults)
        return self


def _broken_rules(update: SpendUpdate) -> Iterator[tuple[str, str]]:
    """Source: contract, SpendUpdate: kind, spend, corrects."""
    kind = update.kind
    if kind == "correction":
        yield from _broken_by_correction(update)
        return
    if update.corrects is not None:
        yield "corrects", f"only a correction corrects, this is {_named(kind)}"
    if update.spend is None:
        yield "spend", f"{_named(kind)} needs it"
    elif kind == "increment" and update.spend < 0:
        yield "spend", "an increment is not negative; what comes back is a credit"
    elif kind == "credit" and update.spend > 0:
        yield "spend", "a credit is what comes back, as a negative amount"
    yield from _negative_figures(update)


def _broken_by_correction(update: SpendUpdate) -> Iterator[tuple[str, str]]:
    if update.corrects is None:
        yield "corrects", "a correction says what it corrects"
    if all(getattr(update, figure) is None for figure in FIGURES):
        yield "spend", "a correction carries at least one figure"


def _negative_figures(update: SpendUpdate) -> Iterator[tuple[str, str]]:
    """A credit may take counts back; an increment and a total may not."""
    if update.kind == "credit":
        return
    for name in COUNTS:
        count = getattr(update, name)
        if count is not None and count < 0:
            yield name, f"{_named(update.kind)} counts at least 0"
    if update.kind == "increment" and update.conversion_value is not None and update.conversion_value < 0:
        yield "conversion_value", "an increment is not negative"


def _named(kind: str) -> str:
    return f"an {kind}" if kind == "increment" else f"a {kind} update"
