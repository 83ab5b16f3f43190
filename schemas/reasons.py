"""
Why an input is refused: the reasons in a dead letter's headers, each with what an operator should know.

The list is closed and in one place, because alerts, counters and dead letters are read by these words. It imports
nothing: the ledger names reasons too.
"""

from __future__ import annotations

from typing import Final

MALFORMED_JSON: Final = "malformed_json"
INVALID_FIELD: Final = "invalid_field"
WRONG_PARTITION: Final = "wrong_partition"
CONFLICTING_UPDATE: Final = "conflicting_update"
UNMATCHED_CORRECTION: Final = "unmatched_correction"
NOT_CORRECTABLE: Final = "not_correctable"
CURRENCY_MISMATCH: Final = "currency_mismatch"
INVALID_PLAN: Final = "invalid_plan"
UNSUPPORTED_PLAN: Final = "unsupported_plan"
BEYOND_HORIZON: Final = "beyond_horizon"
SERIES_LIMIT: Final = "series_limit"

REASONS: Final = {
    MALFORMED_JSON: "The value is not one UTF-8 JSON object, or nests too deep.",
    INVALID_FIELD: "A field of a spend update is missing, of the wrong type, out of range, or breaks its kind's rules.",
    WRONG_PARTITION: "The record's key or partition is not its campaign's or account's: it would meet no plan.",
    CONFLICTING_UPDATE: "The id is known with another body; the first one stands.",
    UNMATCHED_CORRECTION: "What it corrects has not come within the horizon.",
    NOT_CORRECTABLE: "It corrects a correction or a cumulative report.",
    CURRENCY_MISMATCH: "Its currency is not the campaign's.",
    INVALID_PLAN: "The plan is not well formed or cannot hold; the last good plan stays in force.",
    UNSUPPORTED_PLAN: "The plan asks for what this version does not do; the last good plan stays in force.",
    BEYOND_HORIZON: "It is older than what the ledger can still place exactly.",
    SERIES_LIMIT: "The ledger is full: of campaigns, or for one of series, channels, uncounted time or corrections.",
}
