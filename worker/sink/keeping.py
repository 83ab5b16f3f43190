"""
Which snapshots the history keeps, and which is a campaign's newest. Pure.

With PACING_SINK_HISTORY_SECONDS = N the history holds, for each campaign, the first snapshot of every N seconds (of
ticks, counted from 1970), every final one, and every one that tells something new: another plan version, revision,
budget, band, completeness, or another set of proposals. `pacing_current` has the newest always. With 0 every snapshot
is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, cast

from schemas.fields import parse_time
from worker.sink.reading import Event, SnapshotKey

NANOS: Final = 10**9
# Before every tick there is, and in a stretch of time of its own.
NEVER: Final = -1


class Told(NamedTuple):
    """What makes a snapshot worth keeping when it differs from the one before."""

    plan_version: int
    revision: int
    total_budget: str
    band: str | None
    complete: bool
    proposals: tuple[str, ...]


class Last(NamedTuple):
    """What is known of a campaign's newest snapshot: its place in time, when one was last kept, what it told."""

    order: tuple[int, int, int]
    kept_tick: int
    told: Told | None


NOTHING: Final = Last((NEVER, NEVER, NEVER), NEVER, None)


class Verdict(NamedTuple):
    """Whether the history keeps a snapshot, and which tick of its campaign was last kept, as of it."""

    is_kept: bool
    kept_tick: int


def order_of(event: Event) -> tuple[int, int, int]:
    """What is newer: the tick, then the end of the period it is about, then the revision."""
    key = _snapshot(event)
    return event.tick, NEVER if key.period_end is None else parse_time(key.period_end), key.revision


def told_by(key: SnapshotKey) -> Told:
    """What a snapshot tells that is worth keeping."""
    proposals = tuple(sorted(key.recommendations or ()))
    return Told(key.plan_version, key.revision, key.total_budget, key.band, key.complete, proposals)


def is_kept(event: Event, last: Last, interval_nanos: int) -> bool:
    """Whether the history keeps a snapshot, given its campaign's last one. One that is not newer was judged before."""
    key = _snapshot(event)
    if key.final:
        return True
    if order_of(event) <= last.order:
        return False
    return event.tick // interval_nanos != last.kept_tick // interval_nanos or told_by(key) != last.told


def judge(events: Sequence[Event], last: Mapping[str, Last], interval_seconds: int) -> list[Verdict]:
    """The verdict on each snapshot of a batch; *last* is what PostgreSQL has of their campaigns."""
    known = dict(last)
    verdicts = []
    for event in events:
        key = _snapshot(event)
        before = known.get(key.campaign_id, NOTHING)
        kept = is_kept(event, before, interval_seconds * NANOS)
        verdict = Verdict(kept, max(before.kept_tick, event.tick) if kept else before.kept_tick)
        if (order := order_of(event)) > before.order:
            known[key.campaign_id] = Last(order, verdict.kept_tick, told_by(key))
        verdicts.append(verdict)
    return verdicts


def newest_of(events: Sequence[Event]) -> list[bool]:
    """Whether each snapshot of a batch is its campaign's newest there."""
    newest: dict[str, tuple[tuple[int, int, int], int]] = {}
    for index, event in enumerate(events):
        found = order_of(event), index
        campaign = _snapshot(event).campaign_id
        newest[campaign] = max(newest.get(campaign, found), found)
    indexes = {index for _, index in newest.values()}
    return [index in indexes for index in range(len(events))]


def _snapshot(event: Event) -> SnapshotKey:
    """The key of an event of the snapshots' topic."""
    return cast("SnapshotKey", event.key)
