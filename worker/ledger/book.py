"""
All that one partition's ledger holds, and who may be looked up in it.

The parts around it work on a `Book`: `fold` and `corrections` put spend in, `plans` plans, `ticking` judges, and
`changelog` writes down what changed and reads it back.

A campaign that is about to change is taken up by `use`, which tells it whether ticks have moved since. Those used are
all that has to be looked at for the next checkpoint, beside the rows of the sheet that changed.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, NamedTuple

from schemas.wire import SpendUpdate
from worker.ledger.campaign import Campaign
from worker.ledger.cells import NEVER, TickCuts
from worker.ledger.chains import LONGEST
from worker.ledger.identity import BUCKETS, HASHES, IdMemory
from worker.ledger.limits import LedgerLimits
from worker.ledger.lookup import Lookup, Names
from worker.ledger.partitions import partition_of
from worker.ledger.records import Shelves
from worker.ledger.sheet import Sheet
from worker.ledger.sources import Sources
from worker.ledger.splitting import Past, cut_at_tick, straddles_tick
from worker.pacing.rollup import Rollup


class Waiting(NamedTuple):
    """A correction that waits: for its original (*note* is empty), or for the campaign's plan."""

    campaign_id: str
    id: int
    """The hash of its own id; the next that is free where one whose id the horizon has passed still waits under it."""
    original: int
    """The hash of the id it corrects."""
    bucket: int
    """When it came, in record time."""
    offset: int
    key: bytes | None
    value: bytes
    note: bytes = b""
    """What its original said."""
    ordinal: int = -1
    """The original's."""

    def turn(self) -> tuple[int, int, int]:
        """Who goes first: whose original came first, then who came first."""
        return (self.ordinal, self.bucket, self.offset)


class Why(NamedTuple):
    """Why an update that can be read is refused: the reason, the field, a sentence."""

    reason: str
    field: str
    detail: str


class Special(NamedTuple):
    """A cumulative report or a correction that is well formed and lies where it belongs."""

    place: int
    update: SpendUpdate
    campaign: Campaign
    at: int
    figures: tuple[int | None, ...]
    original: int
    """The hash of the id it corrects, else 0."""


def carried(update: SpendUpdate, spend: int | None, value: int | None) -> tuple[int | None, ...]:
    """The figures an update carries, None where it says nothing."""
    u = update
    return (spend, u.impressions, u.clicks, u.conversions, u.bids, u.wins, u.requests, value)


class Counts:
    """What became of the input so far."""

    __slots__ = ("accepted", "duplicates", "forgotten_early", "refused")

    def __init__(self, accepted: int = 0, duplicates: int = 0, refused: int = 0, forgotten_early: int = 0) -> None:
        self.accepted = accepted
        self.duplicates = duplicates
        self.refused = refused
        self.forgotten_early = forgotten_early
        """Ids forgotten before the horizon because there were too many."""

    def add(self, accepted: int, duplicates: int, refused: int) -> None:
        """Count a batch."""
        self.accepted += accepted
        self.duplicates += duplicates
        self.refused += refused


class Book:
    """One partition's ledger, without what is done with it."""

    def __init__(self, partition: int, partitions: int, limits: LedgerLimits) -> None:
        self.partition = partition
        self.partitions = partitions
        self.limits = limits
        self.positions: dict[str, int] = {}
        self.counts = Counts()
        self.watermark = 0
        """The greatest record timestamp of spend so far, in milliseconds: what the horizon is counted from."""
        self.sources = Sources(limits.sources)
        # -- ticks
        self.ticks = TickCuts(limits.tick_nanos)
        self.early = TickCuts(limits.tick_nanos)
        """The same for campaigns without a plan: no tick counts them, so what is past is parted by none."""
        self.last_tick: int | None = None
        self.tick: int | None = None
        self.tick_positions: dict[str, int] = {}
        self.tick_complete = True
        self.tick_first = False
        self.tick_done: str | None = None
        """The last campaign the open tick has judged."""
        self.tick_campaigns = 0
        self.tick_ordinal = 0
        """The first entry of *memory* that the open tick, else the last one, did not count."""
        self.rollup = Rollup()
        """What the open tick's campaigns add up to, since it was last taken; never stored."""
        # -- campaigns
        self.campaigns: dict[str, Campaign] = {}
        self.shelves = Shelves({})
        """Campaigns that were read from the changelog and not looked at since."""
        self.rows = 0
        self.by_row: dict[int, Campaign] = {}
        self.sheet = Sheet()
        self.lookup = Lookup(self.sheet)
        self.names = Names()
        self.used: dict[str, Campaign] = {}
        """Campaigns that were about to change since the last checkpoint."""
        self.epoch = 0
        self._planned: list[str] | None = None
        # -- identity
        self.memory = IdMemory(limits.ids)
        self.waiting: dict[int, Waiting] = {}
        """Corrections that wait, by `Waiting.id`."""
        self.wanted: dict[int, set[int]] = {}
        """The corrections that wait for an original, by the hash of its id."""
        self.waiting_of: dict[str, set[int]] = {}
        """The corrections that wait, by campaign."""
        self.corrected: set[str] = set()
        """Campaigns with corrections that count."""
        self.changed_waiting: set[tuple[str, int]] = set()
        self.moved = False
        """Whether a position has moved since the last checkpoint."""

    def advance(self, topic: str, offset: int) -> None:
        """The input of *topic* is dealt with up to *offset*."""
        if self.positions.get(topic, -1) < offset:
            self.positions[topic] = offset
            self.moved = True

    # -- campaigns

    def campaign(self, campaign_id: str) -> Campaign | None:
        """The campaign, where there is one."""
        campaign = self.campaigns.get(campaign_id)
        if campaign is None and (shelf := self.shelves.pop(campaign_id)) is not None:
            campaign = shelf.unpack(campaign_id, self._key_of(campaign_id), self.sheet)
            self._know(campaign)
        return campaign

    def _know(self, campaign: Campaign) -> None:
        self.campaigns[campaign.campaign_id] = campaign
        self.by_row[campaign.row] = campaign

    def _key_of(self, campaign_id: str) -> bytes | None:
        return campaign_id.encode() if self.partitions else None

    def use(self, campaign: Campaign) -> Campaign:
        """*campaign*, about to change; before anything waits for an open tick, its cells are cut there."""
        if campaign.epoch != self.epoch:
            ticks, waits = self.early if campaign.history is None else self.ticks, self.waits(campaign)
            campaign.refresh(self.epoch, ticks, waits=waits)
            if self.tick is not None and waits:
                self._cut_at_tick(campaign, self.tick)
        self.used[campaign.campaign_id] = campaign
        return campaign

    def stand_open(self, campaign: Campaign, at: int) -> bool:
        """Take *campaign* up, and let the compiled loops open rows for it around an instant; whether they can."""
        self.use(campaign)
        chains = self.sheet.chains
        if not chains.stands_open(campaign.row, at, self.epoch):
            # Each row of a chain may be a cell.
            if not campaign.bin.is_chained or campaign.cells_in_days + 2 * LONGEST >= self.limits.cells:
                return False
            chains.open(campaign.row, *campaign.between_cuts(at), self.epoch, campaign.bin.waits)
        return True

    def use_at_tick(self, campaign: Campaign, tick: int) -> None:
        """*campaign*, about to be judged by the open tick: the same, but nothing is going to wait for that."""
        is_new = campaign.epoch != self.epoch
        self.use_whole(campaign)
        if is_new:
            self._cut_at_tick(campaign, tick)

    def use_whole(self, campaign: Campaign) -> None:
        """*campaign*, which the open tick has judged, and nothing of which lies on both sides of it."""
        if campaign.epoch != self.epoch:
            campaign.refresh(self.epoch, self.ticks, waits=False)
        self.used[campaign.campaign_id] = campaign

    def _cut_at_tick(self, campaign: Campaign, tick: int) -> None:
        if straddles_tick(campaign, tick):
            cut_at_tick(self.past_of(campaign), campaign, tick)

    def past_of(self, campaign: Campaign) -> Past:
        """What is remembered of a campaign's updates."""
        last = self.last_tick if campaign.is_ticked else None
        return Past(self.memory, NEVER if last is None else last, self.tick_ordinal)

    def open(self, campaign_id: str) -> Campaign | None:
        """The campaign, a new one where there is none; None when there are too many."""
        campaign = self.campaign(campaign_id)
        if campaign is None:
            if len(self.campaigns) + len(self.shelves) >= self.limits.campaigns:
                return None
            campaign = Campaign(campaign_id, self._key_of(campaign_id), self.rows, self.sheet)
            self._know(campaign)
            self.rows += 1
        return self.use(campaign)

    def reopen(self, campaign_id: str) -> Campaign:
        """A campaign that is certain to be known, about to change."""
        campaign = self.campaign(campaign_id)
        if campaign is None:
            raise KeyError(campaign_id)
        return self.use(campaign)

    def belongs_here(self, campaign_id: str, key: bytes | None) -> bool:
        """Whether a record of the campaign may lie under *key* in this partition."""
        if not self.partitions:
            return True
        return key == campaign_id.encode() and partition_of(key, self.partitions) == self.partition

    def waits(self, campaign: Campaign) -> bool:
        """Whether an open tick has still to judge *campaign*."""
        if self.tick is None or campaign.history is None:
            return False
        return self.tick_done is None or campaign.campaign_id > self.tick_done

    def move_ticks(self, last: int | None, coming: int | None) -> None:
        """*last* is the last tick, *coming* the next; every campaign looks its cells up anew."""
        self.ticks.last = last
        self.ticks.next = self.early.next = coming
        self.epoch += 1
        self.lookup.forget()

    def planned(self) -> list[str]:
        """The campaigns that have, or had, a plan, in order."""
        if self._planned is None:
            live = (name for name, campaign in self.campaigns.items() if campaign.history is not None)
            self._planned = sorted([*live, *self.shelves.planned()])
        return self._planned

    def plan_came(self, campaign: Campaign) -> None:
        """*campaign* has its first plan: ticks count it from now on."""
        self._planned = None
        campaign.refresh(self.epoch, self.ticks, waits=False)

    def planned_after(self, campaign_id: str | None) -> tuple[list[str], int]:
        """All planned campaigns, and where those after *campaign_id* begin."""
        planned = self.planned()
        return planned, 0 if campaign_id is None else bisect_right(planned, campaign_id)

    # -- the horizon

    def bucket(self) -> int:
        """The current bucket: the start, in milliseconds, of the sixteenth of a horizon the watermark is in."""
        width = max(1, self.limits.horizon_ms // BUCKETS)
        return self.watermark - self.watermark % width

    def oldest_bucket(self) -> int:
        """Buckets before this one are forgotten."""
        return self.bucket() - self.limits.horizon_ms

    # -- corrections that wait

    def wait_for(self, waiting: Waiting) -> None:
        """Keep a correction until what it waits for comes."""
        while waiting.id in self.waiting:
            waiting = waiting._replace(id=(waiting.id + 1) % HASHES)
        self.waiting[waiting.id] = waiting
        self.waiting_of.setdefault(waiting.campaign_id, set()).add(waiting.id)
        if not waiting.note:
            self.wanted.setdefault(waiting.original, set()).add(waiting.id)
        self.changed_waiting.add((waiting.campaign_id, waiting.id))

    def release(self, waiting: Waiting) -> None:
        """It waits no more."""
        del self.waiting[waiting.id]
        self.changed_waiting.add((waiting.campaign_id, waiting.id))
        _discard(self.waiting_of, waiting.campaign_id, waiting.id)
        if not waiting.note:
            _discard(self.wanted, waiting.original, waiting.id)


def _discard(sets: dict[Any, set[int]], name: str | int, member: int) -> None:
    """Take *member* out of a set, and an empty set away."""
    sets[name].discard(member)
    if not sets[name]:
        del sets[name]
