"""
What a partition's ticks find, in counts: campaigns by state and by band, what is open, how much the ledger holds.

    snapshots of the tick ─▶ saw()   ─▶ bands, and the figures of single campaigns
    the whole ledger      ─▶ count() ─▶ states, open deviations, signals and proposals, once the tick is committed

Counting what is open from the ledger, and not from the events that open and resolve, is right after a restart too.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import islice, product
from typing import TYPE_CHECKING, Any, Final, Protocol

from worker.metrics import BANDS, CAMPAIGN_STATES, DIRECTIONS, LEVELS, SCOPES, SIGNALS

if TYPE_CHECKING:
    from prometheus_client import Gauge

    from worker.ledger import LedgerStatistics
    from worker.metrics import Metrics
    from worker.pacing import OpenCounts, PlanHistory, Printed

# Campaigns counted between two turns of the event loop: about two milliseconds.
TURN_CAMPAIGNS: Final = 1000

# How a plan's status reads in the counts once it says more than the flight does.
BY_STATUS: Final = {"paused": "paused", "completed": "closed", "canceled": "closed"}


class Counted(Protocol):
    """What is looked at of a campaign of the ledger."""

    @property
    def history(self) -> PlanHistory | None:
        """Its plan's versions; None while only spend is known."""

    @property
    def open_counts(self) -> OpenCounts:
        """What is open."""


class Book(Protocol):
    """What is looked at of a ledger."""

    @property
    def campaigns(self) -> Mapping[str, Counted]:
        """Its campaigns."""

    def statistics(self) -> LedgerStatistics:
        """How much it holds."""


class Found:
    """What was counted so far."""

    def __init__(self) -> None:
        self.states = Counter[tuple[str, ...]]()
        self.open: Counter[OpenCounts] = Counter()

    def add(self, campaign: Counted, tick: int) -> None:
        """Count one campaign as of *tick*."""
        self.states[state_of(campaign, tick),] += 1
        self.open[campaign.open_counts] += 1

    @property
    def deviations(self) -> Counter[tuple[str, ...]]:
        """Those that are open, by scope, level and direction."""
        return self._each(lambda counts: counts.deviations)

    @property
    def signals(self) -> Counter[tuple[str, ...]]:
        """Those that are up, by kind."""
        return self._each(lambda counts: ((kind,) for kind in counts.signals))

    @property
    def proposals(self) -> int:
        """Those that stand."""
        return sum(counts.proposals * campaigns for counts, campaigns in self.open.items())

    def _each(self, what: Callable[[OpenCounts], Iterable[tuple[str, ...]]]) -> Counter[tuple[str, ...]]:
        found = Counter[tuple[str, ...]]()
        for counts, campaigns in self.open.items():
            for labels in what(counts):
                found[labels] += campaigns
        return found


class Census:
    """The counts of one partition."""

    def __init__(self, partition: int, metrics: Metrics) -> None:
        self._partition = partition
        self._label = str(partition)
        self._metrics = metrics
        self._band_of: dict[str, str] = {}

    def saw(self, snapshot: Mapping[str, Any]) -> None:
        """Take note of a snapshot of the tick that is being taken."""
        # A period that has ended is told before the tick's own: of a campaign's snapshots the last one counts.
        self._band_of[snapshot["campaign_id"]] = snapshot["band"]
        self._metrics.campaign_figures.show(self._partition, snapshot)

    def saw_printed(self, snapshot: Printed) -> None:
        """The same of one that is bytes already: it is read only where its figures are shown."""
        self._band_of[snapshot.campaign_id] = snapshot.band
        if self._metrics.campaign_figures.shows(snapshot.campaign_id):
            self._metrics.campaign_figures.show(self._partition, snapshot.body)

    async def count(self, ledger: Book, tick: int) -> None:
        """Count the ledger as of *tick* (nanoseconds) and show it, letting others have their turn."""
        found = Found()
        campaigns = iter(list(ledger.campaigns.values()))
        while some := list(islice(campaigns, TURN_CAMPAIGNS)):
            for campaign in some:
                found.add(campaign, tick)
            await asyncio.sleep(0)
        self._show(found)
        self._show_size(ledger.statistics())

    def _show(self, found: Found) -> None:
        metrics, bands = self._metrics, Counter[tuple[str, ...]]((band,) for band in self._band_of.values())
        self._band_of = {}
        self._set(metrics.campaigns, found.states, CAMPAIGN_STATES)
        self._set(metrics.campaigns_in_band, bands, BANDS)
        self._set(metrics.open_deviations, found.deviations, SCOPES, LEVELS, DIRECTIONS)
        self._set(metrics.open_alerts, found.signals, SIGNALS)
        metrics.open_proposals.labels(self._label).set(found.proposals)

    def _set(self, gauge: Gauge, counts: Counter[tuple[str, ...]], *every: Iterable[str]) -> None:
        """Show a count for each label set there can be: what is no longer found falls to 0."""
        for labels in product(*every):
            gauge.labels(self._label, *labels).set(counts[labels])

    def _show_size(self, size: LedgerStatistics) -> None:
        self._metrics.ids_remembered.labels(self._label).set(size.ids)
        self._metrics.ids_forgotten_early.labels(self._label).set(size.forgotten_early)
        self._metrics.ledger_bytes.labels(self._label).set(size.bytes)
        self._metrics.corrections_pending.labels(self._label).set(size.pending_corrections)
        self._metrics.series.labels(self._label).set(size.series)


def state_of(campaign: Counted, tick: int) -> str:
    """What a campaign is doing as of *tick*: one of `worker.metrics.CAMPAIGN_STATES`."""
    history = campaign.history
    if history is None:
        return "unplanned"
    version = history.in_force(tick)
    if version is None:
        return "scheduled"
    if history.ended or tick >= version.plan.flight.end:
        return "closed"
    if version.plan.status != "active":
        return BY_STATUS[version.plan.status]
    return "scheduled" if tick < version.plan.flight.start else "active"
