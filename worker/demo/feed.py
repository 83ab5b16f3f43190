"""The whole cast played on one clock: what is due to be sent, and what is due to be said, at an instant."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeVar

from worker.demo.cast import CAST
from worker.demo.stories import Message, Note, flight_end, messages, notes

NAMES: Final = {story.campaign_id: story.name for story in CAST}
"""The name of every campaign, in the order of the cast."""


Timed = TypeVar("Timed", Message, Note)


class Due(NamedTuple):
    """What has become due since the last look."""

    messages: list[Message]
    notes: list[Note]


class Feed:
    """Every ad server and planner of the demo that starts at *start* (nanoseconds since the epoch)."""

    def __init__(self, start: int) -> None:
        self._messages = sorted((m for story in CAST for m in messages(story, start)), key=lambda m: m.at, reverse=True)
        self._notes = sorted((n for story in CAST for n in notes(story, start)), key=lambda n: n.at, reverse=True)
        self.ends_at = max(flight_end(story, start) for story in CAST)

    def due(self, now: int) -> Due:
        """What is due by *now* and was not due before; the oldest first."""
        return Due(_taken(self._messages, now), _taken(self._notes, now))


def _taken(queue: list[Timed], now: int) -> list[Timed]:
    """The items at the end of *queue* (the oldest) that are due by *now*, removed from it."""
    due = []
    while queue and queue[-1].at <= now:
        due.append(queue.pop())
    return due
