"""
The signals read from the course of a campaign's spend: its silence, its days.

    delivery_interrupted, cap_reached, source_stale     `interruption`
    daily_budget_exceeded, spend_spike                  `daily`

They are judged on complete ticks of the flight, and of the campaign alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from worker.pacing.daily import last_days, the_last_two
from worker.pacing.interruption import interruption
from worker.pacing.signals import Signal

if TYPE_CHECKING:
    from worker.pacing.standing import Standing
    from worker.pacing.tick import Tick


def on_the_series(tick: Tick, campaign: Standing) -> Iterator[Signal]:
    """The signals that are up as of a complete tick of the flight."""
    yield from interruption(tick, campaign)
    last = last_days(tick)
    if last is not None:
        yield from the_last_two(tick, last)
