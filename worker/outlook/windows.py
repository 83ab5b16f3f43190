"""
Which snapshots a period is compared by. Pure.

    this period       the window that holds the instant asked for; at its very end it is still this one, since a card
                      counts "day 30" as of the midnight that ends it
    at this point     the window before it, at the same elapsed share of its own length: 60 % of April (18 days) beside
                      60 % of March (18.6 days), as StackAdapt compares "62 % at 60 % elapsed" with "73 %"
    its end           the last snapshot of the window before

A window is not compared with one of another kind: a campaign that was launched on 28 March has no March to speak of.
Calendar periods of a kind differ by less than a tenth (28 days to 31, 90 to 92), so two windows are alike if the
shorter is at least nine tenths of the longer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from worker.outlook.recorded import Ask, Snapshot, Source
from worker.pacing.amounts import DAY

FOREVER: Final = (1 << 63) - 1
"""After every instant there is, in nanoseconds."""

CLOSED_WITHIN: Final = DAY
"""How long after a period's end its closing snapshot is looked for: it is taken at the first tick from then on."""

Account = tuple[str | None, str]
"""An account's money in one currency; what has no account is told by campaign alone."""


class Pair(NamedTuple):
    """A campaign's period beside the one before: now, then at the same elapsed share, and at the end of then."""

    current: Snapshot | None
    prior: Snapshot | None
    closed: Snapshot | None

    @property
    def one(self) -> Snapshot:
        """Any of them, for what all have in common."""
        return next(found for found in self if found is not None)


def current_snapshots(source: Source, as_of: int) -> tuple[list[Snapshot], list[Snapshot]]:
    """Each campaign's snapshot of the period that holds *as_of*; and the last of those whose last period was over."""
    newest = source.newest([Ask(name, as_of, as_of - 1, FOREVER) for name in source.campaigns()])
    closed = closings(source, {snapshot.campaign_id: as_of for snapshot in newest if snapshot.end == as_of})
    newest = [closed.get(snapshot.campaign_id, snapshot) for snapshot in newest]
    return [s for s in newest if s.end >= as_of], [s for s in newest if s.end < as_of]


def closings(source: Source, ends: Mapping[str, int]) -> dict[str, Snapshot]:
    """By campaign, the last snapshot of its newest window that had ended by an instant."""
    asked = [Ask(name, end, end - 1, end) for name, end in ends.items()]
    found = {snapshot.campaign_id: snapshot for snapshot in source.newest(asked)}
    late = [ask._replace(tick=ask.tick + CLOSED_WITHIN) for ask in asked if not _is_closed(found.get(ask.campaign_id))]
    return found | {snapshot.campaign_id: snapshot for snapshot in source.newest(late)}


def _is_closed(snapshot: Snapshot | None) -> bool:
    return snapshot is not None and snapshot.is_ended


def pairs(source: Source, as_of: int) -> list[Pair]:
    """Every campaign with a period that holds *as_of*, or that had one before it, beside the period before."""
    current, over = current_snapshots(source, as_of)
    closed = closings(source, {snapshot.campaign_id: snapshot.start for snapshot in current})
    found = [_alike(snapshot, closed.get(snapshot.campaign_id)) for snapshot in current]
    found += _gone(current, over)
    priors = _at_the_same_point(source, found)
    return [pair._replace(prior=priors.get(pair.one.campaign_id)) for pair, _ in found]


Beside = tuple[Pair, Fraction]
"""A pair whose prior is still to be found, and the elapsed share it is wanted at."""


def _alike(current: Snapshot, closed: Snapshot | None) -> Beside:
    return Pair(current, None, closed if closed and are_alike(current, closed) else None), current.elapsed


def are_alike(one: Snapshot, other: Snapshot) -> bool:
    """Whether two windows are of a kind, by their lengths."""
    shorter, longer = sorted((one.end - one.start, other.end - other.start))
    return shorter * 10 >= longer * 9


def _gone(current: Sequence[Snapshot], over: Sequence[Snapshot]) -> list[Beside]:
    """Campaigns that had the period before and have none now: what their account has now began where they ended."""
    begun: dict[tuple[Account, int], list[Snapshot]] = {}
    for snapshot in sorted(current, key=_name):
        begun.setdefault((account_of(snapshot), snapshot.start), []).append(snapshot)
    return [
        (Pair(None, None, gone), beside[0].elapsed)
        for gone in over
        if (beside := [s for s in begun.get((account_of(gone), gone.end), ()) if are_alike(s, gone)])
    ]


def _at_the_same_point(source: Source, found: Sequence[Beside]) -> Mapping[str, Snapshot]:
    """The snapshots of the windows before at the elapsed shares wanted; the last ones at or before, in that window."""
    priors, asked = {}, []
    for (_, _, closed), elapsed in found:
        if closed is not None and elapsed == 1:
            priors[closed.campaign_id] = closed
        elif closed is not None:
            by = closed.start + int(elapsed * (closed.end - closed.start))
            asked.append(Ask(closed.campaign_id, by, closed.start, closed.end))
    starts = {closed.campaign_id: closed.start for (_, _, closed), _ in found if closed is not None}
    return priors | {s.campaign_id: s for s in source.newest(asked) if s.start == starts[s.campaign_id]}


def account_of(snapshot: Snapshot) -> Account:
    """Whose money it is, and in which currency."""
    return snapshot.account_id, snapshot.currency


def _name(snapshot: Snapshot) -> str:
    return snapshot.campaign_id
