"""Snapshots made by hand, in whole units of money and days of April (or another 30 days) from its first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from schemas.fields import NANOS, parse_time
from worker.outlook.recorded import Part, Snapshot

DAY: Final = 86_400 * NANOS
APRIL: Final = parse_time("2026-04-01T00:00:00Z")
MARCH: Final = parse_time("2026-03-01T00:00:00Z")
MAY: Final = parse_time("2026-05-01T00:00:00Z")


def part(budget: int, spend: int, expected: int = 0) -> Part:
    """Money in whole units."""
    return Part(budget * NANOS, spend * NANOS, expected * NANOS)


def taken(
    name: str = "c",
    *,
    at: int,
    start: int = APRIL,
    end: int = MAY,
    budget: int = 1_000,
    spend: int = 0,
    channels: Mapping[str, Part] | None = None,
    **more: Any,
) -> Snapshot:
    """A snapshot at an instant; of a linear plan, unless *more* says otherwise."""
    elapsed = min(max(at - start, 0), end - start)
    whole = Part(budget * NANOS, spend * NANOS, budget * NANOS * elapsed // (end - start))
    fields: dict[str, Any] = {
        "account_id": "acme",
        "currency": "USD",
        "revision": 0,
        "complete": True,
        "whole": whole,
    } | more
    return Snapshot(campaign_id=name, tick=at, start=start, end=end, channels=dict(channels or {}), **fields)
