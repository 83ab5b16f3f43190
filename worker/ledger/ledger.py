"""
The ledger of one partition: what was accepted, what it adds up to, and where the input stands.

It is a function of the log: of what was accepted, not of its order, its batches, its repeats, nor of when it was
saved and loaded. It reads no clock; ticks are told to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from worker.ledger import fold, plans, ticking
from worker.ledger.batches import Folded, RecordBatch
from worker.ledger.book import Book
from worker.ledger.campaign import Campaign
from worker.ledger.changelog import Changelog
from worker.ledger.limits import LedgerLimits
from worker.ledger.records import Record, Records
from worker.ledger.ticking import TickSlice
from worker.pacing import OpenCounts, PacingState, PlanHistory, Totals
from worker.pacing.rollup import AccountKey, Sums

if TYPE_CHECKING:
    from worker.ledger.newest import Newest


class LedgerStatistics(NamedTuple):
    """How much a ledger holds."""

    planned: int
    unplanned: int
    ids: int
    pending_corrections: int
    series: int
    bytes: int
    """Memory of what grows with the input, estimated."""
    forgotten_early: int
    """Ids forgotten before the horizon because there were too many."""


class CampaignView(NamedTuple):
    """What a ledger knows of a campaign, for reading."""

    campaign: Campaign

    @property
    def campaign_id(self) -> str:
        """Its id."""
        return self.campaign.campaign_id

    @property
    def currency(self) -> str | None:
        """Its plan's currency."""
        return self.campaign.currency

    @property
    def history(self) -> PlanHistory | None:
        """Its plan's versions; None while only spend is known."""
        return self.campaign.history

    @property
    def state(self) -> PacingState:
        """What is open."""
        return self.campaign.state

    @property
    def open_counts(self) -> OpenCounts:
        """What is open, in counts: kept, since a census asks for it at every tick and few states change."""
        campaign = self.campaign
        if campaign.open_counts is None:
            campaign.open_counts = campaign.state.open_counts
        return campaign.open_counts

    @property
    def totals(self) -> Totals:
        """What ticks have counted."""
        return self.campaign.all_totals()


class Campaigns(Mapping[str, CampaignView]):
    """The campaigns of a ledger, for reading."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def __getitem__(self, campaign_id: str) -> CampaignView:
        campaign = self._book.campaign(campaign_id)
        if campaign is None:
            raise KeyError(campaign_id)
        return CampaignView(campaign)

    def __iter__(self) -> Iterator[str]:
        return iter([*self._book.campaigns, *self._book.shelves])

    def __len__(self) -> int:
        return len(self._book.campaigns) + len(self._book.shelves)


class Ledger:
    """The ledger of one partition of *partitions*; 0 of them is a file: nothing is asked of keys."""

    def __init__(self, partition: int, partitions: int, limits: LedgerLimits) -> None:
        self.partition = partition
        self._book = Book(partition, partitions, limits)
        self._changelog = Changelog(self._book)
        self.campaigns: Mapping[str, CampaignView] = Campaigns(self._book)

    # -- input

    @property
    def positions(self) -> dict[str, int]:
        """The next offset of each input topic."""
        return self._book.positions

    def fold_spend(self, batch: RecordBatch) -> Folded:
        """Fold a batch of spend updates; the position becomes the offset behind its last record."""
        return fold.fold_spend(self._book, batch)

    def fold_plans(self, batch: RecordBatch) -> Folded:
        """Fold a batch of plans and tombstones. Not while a tick is open: the caller holds them back."""
        return plans.fold_plans(self._book, batch)

    def advance(self, topic: str, offset: int) -> None:
        """The input is read up to *offset*, though no record is left before it (control records, compaction)."""
        self._book.advance(topic, offset)

    # -- ticks

    @property
    def last_tick(self) -> int | None:
        """The last tick taken, in nanoseconds."""
        return self._book.last_tick

    @property
    def tick(self) -> int | None:
        """The tick being taken (its slices are not all done), else None; after a restore it is to be resumed."""
        return self._book.tick

    @property
    def tick_positions(self) -> dict[str, int]:
        """The next offsets the open tick, else the last one, covers."""
        return self._book.tick_positions

    @property
    def tick_complete(self) -> bool:
        """Whether the open tick, else the last one, had read all input there was at its time."""
        return self._book.tick_complete

    @property
    def tick_campaigns(self) -> int:
        """Campaigns judged so far by the open tick, else by the last one."""
        return self._book.tick_campaigns

    def expect_tick(self, tick: int) -> None:
        """
        No tick before *tick* will be taken: said at the start, when the clock is known, and before a file is folded.

        It changes no figure. Spend is kept apart where a tick cuts it, and a backlog is held coarser if it is known
        that no tick falls into it.
        """
        ticking.expect_tick(self._book, tick)

    def open_tick(self, tick: int, *, complete: bool = True, first: bool = False) -> None:
        """Fix the cut: the tick counts what is folded by now. *first*: nothing closes (evaluate)."""
        ticking.open_tick(self._book, tick, complete=complete, first=first)

    def tick_slice(self, most: int) -> TickSlice:
        """Judge the next campaigns, *most* at the most, in the order of their ids."""
        return ticking.tick_slice(self._book, most)

    def close_tick(self) -> None:
        """After the last slice; belongs into the same checkpoint."""
        ticking.close_tick(self._book)

    def take_rollup(self) -> dict[AccountKey, Sums]:
        """Drain what the campaigns judged since the last call add up to; belongs into the same checkpoint."""
        return self._book.rollup.take()

    # -- changelog

    def changes(self) -> list[Record]:
        """Drain the records that changed since the last call; None deletes; the marker is last. Empty: nothing did."""
        return self._changelog.changes()

    def load(self, newest: Records | Newest) -> bool:
        """
        Take the changelog, the *newest* record of each key; whether there was a marker, that is a state at all.

        Raises UnreadableLedgerError for records of another partition, format, or with holes.
        """
        return self._changelog.load(newest)

    # -- reading

    def statistics(self) -> LedgerStatistics:
        """Count what is held."""
        book = self._book
        planned = len(book.planned())
        return LedgerStatistics(
            planned=planned,
            unplanned=len(self.campaigns) - planned,
            ids=len(book.memory),
            pending_corrections=len(book.waiting),
            series=sum(len(campaign.series) for campaign in book.campaigns.values()),
            bytes=book.memory.memory(),
            forgotten_early=book.counts.forgotten_early,
        )
