"""A ledger in its world: an input it folds, a changelog it is restored from, and what the core was told, looked at."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

from schemas.fields import format_time, parse_time
from tests.pure.ledger.naive import NaiveCampaign
from worker.ledger import Folded, Ledger, LedgerLimits, RecordBatch, ticking
from worker.ledger.batches import packed
from worker.ledger.newest import Newest
from worker.ledger.records import Record
from worker.pacing import Counted, Event, PacingState, PlanHistory, Printed, plan_cuts, take_tick

Json = dict[str, Any]

SPEND = "pacing.spend_updates"
PLANS = "pacing.campaign_plans"
START = parse_time("2026-07-01T00:00:00Z")
SECOND = 10**9
MINUTE = 60 * SECOND
TICK = 10 * MINUTE
HOUR = 60 * MINUTE
NANO = 1
QUARTERS = (START + 15 * MINUTE, START + 30 * MINUTE)
"""Instants that may be asked for though no plan names them, as the start of a period."""
EDGES = (START - 60 * MINUTE, START, *QUARTERS, START + 60 * MINUTE, START + 24 * HOUR)
"""Between them the spend is asked for, as if they were midnights."""
ASKED: tuple[tuple[int, int | None, int | None], ...] = (
    (NANO, None, None),
    (3 * 10**9, None, None),
    (2 * 10**9, QUARTERS[0], START + 45 * MINUTE),
)
"""(nanos, since, until): when the spend dated within came to so much."""


def at(*, minutes: float = 0, nanos: int = 0) -> str:
    """A time so long after the start."""
    return format_time(START + int(minutes * MINUTE) + nanos)


def update(event_id: str, minutes: float = 0, spend: str | None = "1.00", **fields: Any) -> Json:
    """A spend update of campaign `c`."""
    said = {"event_id": event_id, "source": "s", "campaign_id": "c", "event_time": at(minutes=minutes)} | fields
    return said if spend is None else {**said, "spend": spend}


def plan(campaign_id: str = "c", **fields: Any) -> Json:
    """A plan over four hours."""
    said = {
        "campaign_id": campaign_id,
        "account_id": "a",
        "currency": "EUR",
        "total_budget": "1000.00",
        "flight_start": at(),
        "flight_end": at(minutes=240),
    }
    return said | fields


class Told(NamedTuple):
    """What the core was told of a campaign at a tick."""

    campaign_id: str
    tick: int
    counted: Counted
    before: dict[int, tuple[dict[Any, list[int]], int | None]]
    """Totals and latest event time before each cut of the plan."""
    spends: list[int]
    """The spend between `EDGES`."""
    reached: dict[tuple[int, int | None, int | None], int | None]
    """When spend came to some amounts."""


def _firsts_first(updates: Sequence[Json]) -> Iterator[tuple[int, Json]]:
    """A batch with its places, in the order it is dealt with: of one id the first, and after all firsts the others."""
    ids = [(u["campaign_id"], u.get("source"), u.get("event_id")) for u in updates]
    first = {identity: place for place, identity in reversed(list(enumerate(ids)))}
    yield from ((place, u) for place, u in enumerate(updates) if first[ids[place]] == place)
    yield from ((place, u) for place, u in enumerate(updates) if first[ids[place]] != place)


@contextmanager
def listening(cuts_of: Any = None) -> Iterator[list[Told]]:
    """Collect what the core is told."""
    told: list[Told] = []

    def take(
        history: PlanHistory, state: PacingState, counted: Counted, **more: Any
    ) -> tuple[list[Event], PacingState]:
        cuts = {*plan_cuts(history), *QUARTERS} if cuts_of is None else cuts_of
        before = {cut: (copy.deepcopy(counted.before(cut)), counted.data_through_before(cut)) for cut in cuts}
        assert history.latest is not None
        # Sometimes for fewer, as where a day has passed: the rest is kept, the new is added up.
        edges = EDGES if more["as_of"] % (2 * TICK) else EDGES[1:-1]
        spends = list(counted.spend_between(edges))
        reached = {asked: counted.first_reached(*asked) for asked in (*ASKED, ASKED[0])}
        name = history.latest.campaign_id
        told.append(Told(name, more["as_of"], copy.deepcopy(_plain(counted)), before, spends, reached))
        return take_tick(history, state, counted, **more)

    with mock.patch.object(ticking, "take_tick", take):
        yield told


def _plain(counted: Counted) -> Counted:
    """Without the functions, which would be asked too late."""
    return Counted(
        counted.totals,
        counted.future_spend,
        counted.late_spend,
        counted.data_through,
        dict,  # type: ignore[arg-type]
        dict,  # type: ignore[arg-type]
        counted.new,
        counted.cases,
    )


class World:
    """A ledger, its input so far, and its changelog."""

    def __init__(self, limits: LedgerLimits | None = None) -> None:
        self.limits = limits or LedgerLimits(tick_nanos=TICK)
        self.ledger = Ledger(0, 1, self.limits)
        self.log: dict[bytes, bytes] = {}
        self.offset = 0
        self.plans = 0
        self.naive: dict[str, NaiveCampaign] = {}
        self.cut = 0
        """The first offset that the open tick does not count."""

    # -- input

    def spend(self, *updates: Json, timestamp: int = 0) -> Folded:
        """Fold updates as one batch, and hold what becomes of them to the naive ledger."""
        values = [json.dumps(said).encode() for said in updates]
        folded = self.ledger.fold_spend(self._batch(SPEND, [u["campaign_id"] for u in updates], values, timestamp))
        wanted = Counter(
            self.naive.setdefault(said["campaign_id"], NaiveCampaign()).take(said, self.offset + n)
            for n, said in _firsts_first(updates)
        )
        told = Counter(refused.reason for refused in folded.refused)
        told += Counter(accepted=folded.accepted, duplicate=folded.duplicates)
        assert told == wanted
        self.offset += len(updates)
        return folded

    def fold(self, *values: bytes, keys: Sequence[bytes | None] | None = None, timestamp: int = 0) -> Folded:
        """Fold raw values as one batch, under the key of campaign `c`; the naive ledger does not hear of them."""
        keys = [b"c"] * len(values) if keys is None else keys
        batch = RecordBatch(SPEND, 0, range(self.offset, self.offset + len(values)), keys, values, timestamp)
        self.offset += len(values)
        return self.ledger.fold_spend(batch)

    def plan(self, *plans: Json | None, key: bytes = b"c", timestamp: int = 0) -> Folded:
        """Fold plans as one batch; None is a tombstone of *key*."""
        offsets = range(self.plans, self.plans + len(plans))
        keys = [key if said is None else said["campaign_id"].encode() for said in plans]
        values = [None if said is None else json.dumps(said).encode() for said in plans]
        self.plans += len(plans)
        batch = RecordBatch(PLANS, 0, offsets, keys, values, timestamp, [timestamp] * len(plans))
        folded = self.ledger.fold_plans(batch)
        refused = {refusal.offset for refusal in folded.refused}
        for offset, said in zip(offsets, plans, strict=True):
            if said is not None and offset not in refused:
                self._planned(said)
        return folded

    def _planned(self, said: Json) -> None:
        naive = self.naive.setdefault(said["campaign_id"], NaiveCampaign())
        if naive.currency is None:
            naive.currency = said["currency"]
            naive.held_until = self.offset

    def _batch(self, topic: str, campaigns: Iterable[str], values: list[bytes], timestamp: int) -> RecordBatch:
        keys = [campaign.encode() for campaign in campaigns]
        return RecordBatch(topic, 0, range(self.offset, self.offset + len(values)), keys, values, timestamp)

    # -- ticks

    def tick(self, tick: int, most: int = 1000) -> list[Event | Printed]:
        """Take a whole tick."""
        self.ledger.open_tick(tick)
        return self.finish(most)

    def finish(self, most: int = 1000) -> list[Event | Printed]:
        """Judge whoever is left, and close the tick."""
        events: list[Event | Printed] = []
        done = False
        while not done:
            told, _, done = self.ledger.tick_slice(most)
            events += [event for _, event in told]
        self.ledger.close_tick()
        return events

    # -- changelog

    def checkpoint(self) -> list[Record]:
        """Write what changed."""
        records = self.ledger.changes()
        for key, value in records:
            if value is None:
                self.log.pop(key, None)
            else:
                self.log[key] = value
        return records

    def restart(self, *, saved: bool = True) -> None:
        """A new ledger from the changelog; what was not written is written first, unless it is to be lost."""
        if saved:
            self.checkpoint()
        self.ledger = self.restored()

    def restored(self) -> Ledger:
        """A ledger from the changelog as it stands."""
        ledger, newest = Ledger(0, 1, self.limits), Newest()
        newest.take(packed([*self.log], [*self.log.values()]))
        ledger.load(newest)
        return ledger
