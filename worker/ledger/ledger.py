"""
The ledger of one partition: what was accepted, what it adds up to, and where the input stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from worker.ledger.batches import Folded, RecordBatch
from worker.ledger.limits import LedgerLimits

Change = tuple[bytes, bytes | None]


class CampaignEvent(NamedTuple):
    """An event a tick led to, and the campaign it is about: the key it is produced under."""

    campaign_id: str
    event: Any  # worker.pacing.Event: (kind, body)


class TickSlice(NamedTuple):
    """A part of a tick: what it led to, how many campaigns it judged, and whether it was the last part."""

    events: list[CampaignEvent]
    campaigns: int
    done: bool


class LedgerStatistics(NamedTuple):
    """How much a ledger holds."""

    planned: int
    unplanned: int
    ids: int
    pending_corrections: int
    series: int
    bytes: int
    """Memory, estimated."""


class Ledger:
    """The ledger of one partition. *partitions* 0 does not check where a key belongs (a file)."""

    partition: int
    positions: dict[str, int]
    """The next offset of each input topic."""
    last_tick: int | None
    """The last tick taken, in nanoseconds."""
    tick: int | None
    """The tick being taken (its slices are not all done), else None; after a restore it is to be resumed."""
    tick_positions: dict[str, int]
    """The next offsets the open tick, else the last one, covers."""
    tick_complete: bool
    """Whether the open tick, else the last one, had read all input there was at its time."""
    tick_campaigns: int
    """Campaigns judged so far by the open tick, else by the last one."""
    campaigns: Mapping[str, Any]

    def __init__(self, partition: int, partitions: int, limits: LedgerLimits) -> None:
        """Make an empty one."""

    # -- input
    def fold_spend(self, batch: RecordBatch) -> Folded:
        """Fold a batch of spend updates; positions[topic] becomes the offset behind its last record."""
        raise NotImplementedError

    def fold_plans(self, batch: RecordBatch) -> Folded:
        """Fold a batch of plans and tombstones. Not while a tick is open: the caller holds them back."""
        raise NotImplementedError

    def advance(self, topic: str, offset: int) -> None:
        """The input is read up to *offset*, though no record is left before it (control records, compaction)."""
        raise NotImplementedError

    # -- ticks
    def expect_tick(self, tick: int) -> None:
        """
        No tick before *tick* will be taken: said at the start, when the clock is known, and before a file is folded.

        It changes no figure. Spend is kept apart where a tick cuts it, and a backlog is held coarser if it is known
        that no tick falls into it.
        """
        raise NotImplementedError

    def open_tick(self, tick: int, *, complete: bool = True, first: bool = False) -> None:
        """Fix the cut: the tick counts what is folded by now. *first*: nothing closes (evaluate)."""
        raise NotImplementedError

    def tick_slice(self, most: int) -> TickSlice:
        """Judge the next *most* campaigns, in the order of their keys."""
        raise NotImplementedError

    def close_tick(self) -> None:
        """After the last slice; belongs into the same checkpoint."""
        raise NotImplementedError

    # -- changelog
    def changes(self) -> list[Change]:
        """Drain the records that changed since the last call; None deletes; the marker is last. Empty: nothing did."""
        raise NotImplementedError

    def load(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the changelog, in log order, old versions included."""
        raise NotImplementedError

    def loaded(self) -> bool:
        """All records are in; say whether there was a marker, that is whether there is a state at all."""
        raise NotImplementedError

    # -- reading
    def statistics(self) -> LedgerStatistics:
        """Count what is held."""
        raise NotImplementedError
