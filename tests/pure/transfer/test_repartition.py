"""Ledgers parted anew go on as if their campaigns had been in these partitions ever since."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pure.audit.test_recount import as_json
from tests.pure.ledger.world import PLANS, SPEND, START, TICK, Json, plan, update
from worker.ledger import Ledger, LedgerLimits, RecordBatch
from worker.ledger.partitions import partition_of
from worker.ledger.repartition import NotSettledError, repartition

LIMITS = LedgerLimits(tick_nanos=TICK)
CAMPAIGNS = [f"campaign-{number}" for number in range(12)]
ANEW = {"plans.2": 5, "spend.2": 9}


class Cluster:
    """The ledgers of an application's partitions, and their changelogs."""

    def __init__(self, partitions: int) -> None:
        self.ledgers = [Ledger(number, partitions, LIMITS) for number in range(partitions)]
        self.logs: list[dict[bytes, bytes]] = [{} for _ in range(partitions)]
        self.topics = {SPEND: SPEND, PLANS: PLANS}
        for ledger in self.ledgers:
            ledger.advance(SPEND, 0)
            ledger.advance(PLANS, 0)

    def feed(self, topic: str, *messages: Json, timestamp: int = 0) -> list[str]:
        """Fold messages, each where it belongs; what they were refused for."""
        reasons = []
        for said in messages:
            key = said["campaign_id"].encode()
            ledger = self.ledgers[partition_of(key, len(self.ledgers))]
            offset = ledger.positions[self.topics[topic]]
            batch = RecordBatch(self.topics[topic], 0, [offset], [key], [as_json(said)], timestamp, [timestamp])
            folded = (ledger.fold_spend if topic == SPEND else ledger.fold_plans)(batch)
            reasons += [refused.reason for refused in folded.refused]
        return reasons

    def tick(self, tick: int) -> dict[str, Json]:
        """The snapshots of a tick over all partitions, without what names the partition."""
        snapshots = {}
        for ledger in self.ledgers:
            ledger.open_tick(tick)
            for name, event in ledger.tick_slice(1000).events:
                if event.kind == "snapshot_taken":
                    snapshots[name] = {k: v for k, v in event.body.items() if k != "ledger_position"}
            ledger.close_tick()
        return snapshots

    def save(self) -> list[dict[bytes, bytes]]:
        for ledger, log in zip(self.ledgers, self.logs, strict=True):
            for key, value in ledger.changes():
                if value is None:
                    log.pop(key, None)
                else:
                    log[key] = value
        return self.logs

    def parted(self, partitions: int) -> Cluster:
        """The same application in other partitions."""
        new = Cluster(partitions)
        new.logs = repartition(self.save(), partitions, [ANEW] * partitions, LIMITS)
        new.topics = {SPEND: "spend.2", PLANS: "plans.2"}
        new.ledgers = [Ledger(number, partitions, LIMITS) for number in range(partitions)]
        for ledger, log in zip(new.ledgers, new.logs, strict=True):
            assert ledger.load(log)
            assert ledger.positions == ANEW
        return new


def updates_of(name: str, at: int) -> list[Json]:
    """Increments, a report, a correction of the first, and one of an update still to come."""
    told: dict[str, Any] = {"campaign_id": name}
    return [
        update(f"i{at}", at, "1.50", channel="CTV", **told),
        update(f"j{at}", at, "2.00", impressions=3, **told),
        update(f"t{at}", at, str(at), kind="cumulative", sequence=at, **told),
        update(f"x{at}", at, "1.00", kind="correction", corrects=f"i{at}", **told),
        update(f"y{at}", at, "7.00", kind="correction", corrects=f"z{at}", **told),
        update(f"a{at}", at + 600, "4.00", **told),
    ]


def fed(partitions: int) -> Cluster:
    """Two ticks over campaigns of which some have no plan, in several buckets of record time."""
    cluster = Cluster(partitions)
    cluster.feed(PLANS, *(plan(name, total_budget="900.00") for name in CAMPAIGNS[:9]))
    for turn in range(4):
        for name in CAMPAIGNS:
            cluster.feed(SPEND, *updates_of(name, turn), timestamp=turn * LIMITS.horizon_ms // 20)
        cluster.tick(START + (turn + 1) * TICK)
    return cluster


def afterwards(cluster: Cluster) -> tuple[dict[str, Json], list[str]]:
    """What the next tick tells: repeats, conflicts, late corrections, an original that came at last, a first plan."""
    reasons = cluster.feed(PLANS, *(plan(name, total_budget="900.00") for name in CAMPAIGNS[9:]))
    late = 4 * LIMITS.horizon_ms // 20
    for name in CAMPAIGNS:
        told = {"campaign_id": name}
        reasons += cluster.feed(
            SPEND,
            update("i1", 1, "1.50", channel="CTV", **told),
            update("j1", 1, "9.00", **told),
            update("z2", 2, "70.00", channel="CTV", **told),
            update("x9", 9, "0.25", kind="correction", corrects="j3", **told),
            update("t2b", 2, "1", kind="cumulative", sequence=1, **told),
            timestamp=late,
        )
    return cluster.tick(START + 5 * TICK), reasons


@pytest.mark.parametrize(("old", "new"), [(1, 3), (2, 3), (3, 2), (4, 1), (2, 2)])
def test_partitions_parted_anew_go_on_as_they_would_have(old: int, new: int) -> None:
    kept, moved = fed(old), fed(old).parted(new)
    told, reasons = afterwards(kept)
    assert len(told) == len(CAMPAIGNS)
    assert sorted(reasons) == ["conflicting_update"] * len(CAMPAIGNS)
    assert afterwards(moved) == (told, reasons)


@pytest.mark.parametrize("times", [1, 2])
def test_originals_that_are_forgotten_are_told_apart_in_new_partitions(times: int) -> None:
    cluster = Cluster(1)
    for turn, spend in enumerate(("5", "3", "2")):
        timestamp = turn * 2 * LIMITS.horizon_ms
        correction = update(f"x{turn}", spend=spend, kind="correction", corrects="e", sequence=3 - turn)
        cluster.feed(SPEND, update("e"), correction, timestamp=timestamp)
    cluster.feed(SPEND, update("later"), timestamp=6 * LIMITS.horizon_ms)
    cluster.tick(START + TICK)
    for _ in range(times):
        cluster = cluster.parted(2)
    cluster.feed(PLANS, plan())
    assert cluster.tick(START + 2 * TICK)["c"]["total_spend"] == "11.00"


def test_what_is_counted_in_all_still_adds_up() -> None:
    before, after = fed(2), fed(2).parted(3)
    counts = [[vars_of(ledger) for ledger in cluster.ledgers] for cluster in (before, after)]
    assert [sum(column) for column in zip(*counts[0], strict=True)] == [sum(c) for c in zip(*counts[1], strict=True)]
    held = [[ledger.statistics() for ledger in cluster.ledgers] for cluster in (before, after)]
    for name in ("planned", "unplanned", "ids", "pending_corrections"):
        assert sum(getattr(each, name) for each in held[0]) == sum(getattr(each, name) for each in held[1]), name


def vars_of(ledger: Ledger) -> tuple[int, int, int]:
    counts = ledger._book.counts
    return counts.accepted, counts.duplicates, counts.refused


def test_what_no_tick_has_counted_is_not_parted() -> None:
    cluster = fed(2)
    cluster.feed(SPEND, update("more", 1, campaign_id=CAMPAIGNS[0]))
    with pytest.raises(NotSettledError, match="did not count"):
        cluster.parted(3)


def test_partitions_at_different_ticks_are_not_parted() -> None:
    cluster = fed(2)
    cluster.ledgers[0].open_tick(START + 5 * TICK)
    with pytest.raises(NotSettledError, match="partition 0 stands within a tick"):
        cluster.parted(3)
    while not cluster.ledgers[0].tick_slice(1000).done:
        pass
    cluster.ledgers[0].close_tick()
    with pytest.raises(NotSettledError, match="different ticks"):
        cluster.parted(3)
