"""
The clock, held against the brokers'.

Ticks are taken by the clock of the machine, and a tick that was taken cannot be taken back: one that is an hour early
judges every campaign by an hour without spend, and no other is taken until that hour is over. So the broker is asked,
by each checkpoint: it stamps the ledger's records when it appends them, after the clock was read here. Whatever that
took makes the broker's time later, never earlier; a clock that is ahead of it by more than a tick is surely wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker.exits import Exit, leave

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NANOS = 10**9
NANOS_A_MS = 10**6
LOG_APPEND_TIME = 1


class Clock:
    """The time in nanoseconds since 1970, by *now*; it may be *most_ahead* nanoseconds ahead of the brokers'."""

    def __init__(self, now: Callable[[], int], most_ahead: int) -> None:
        self.now = now
        self._most_ahead = most_ahead

    def hold_against(self, appended: Iterable[Any], told: int) -> None:
        """
        End the process if *told*, a time that was past by our clock, is yet to come by the broker's.

        *appended* are aiokafka's answers to writes made after that; a topic without the broker's time tells nothing.
        """
        stamps = [each.timestamp for each in appended if each.timestamp_type == LOG_APPEND_TIME]
        ahead = told - min(stamps) * NANOS_A_MS if stamps else 0
        if ahead > self._most_ahead:
            leave(
                Exit.CLOCK_AHEAD,
                f"the clock is {ahead / NANOS:.1f} s ahead of the broker's, more than a tick"
                f" ({self._most_ahead / NANOS:g} s): a tick must not be taken before its time",
            )
