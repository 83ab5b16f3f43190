"""Rows that compiled loops open: the same cells as one by one, and after a tick nothing is looked up one by one."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import pytest

from tests.pure.ledger.world import MINUTE, START, TICK, plan, update
from worker.ledger import LedgerLimits, RecordBatch, fold
from worker.ledger.cells import DAY
from worker.ledger.chains import LONGEST
from worker.ledger.ledger import Ledger

Json = dict[str, Any]
Instants = list[float]
"""Minutes from the start."""

TO_MIDNIGHT = (DAY - START % DAY) / MINUTE


class Feed:
    """A ledger with one plan, fed by compiled loops or one by one."""

    def __init__(self, bulk_from: int) -> None:
        self.ledger = Ledger(0, 1, LedgerLimits(tick_nanos=TICK))
        self.ledger.expect_tick(START + TICK)
        self.ledger.fold_plans(RecordBatch("plans", 0, [0], [b"c"], [json.dumps(plan()).encode()], 0, [0]))
        self.bulk_from = bulk_from
        self.offset = 0

    def feed(self, minutes: Instants, channels: int = 1) -> None:
        values = [
            json.dumps(update(str(self.offset + n), each, channel=f"ch{n % channels}")).encode()
            for n, each in enumerate(minutes)
        ]
        offsets = range(self.offset, self.offset + len(values))
        self.offset += len(values)
        with mock.patch.multiple(fold, BULK_FROM=self.bulk_from, LOADED_FROM=0):
            told = self.ledger.fold_spend(RecordBatch("spend", 0, offsets, [b"c"] * len(values), values, 0))
        assert told.accepted == len(values)

    def take(self, tick: int) -> None:
        self.ledger.open_tick(tick)
        self.feed([0.5, 1.5, 2.5])
        self.ledger.tick_slice(9)
        self.ledger.close_tick()
        self.ledger.expect_tick(tick + TICK)

    def held(self) -> Any:
        campaign = self.ledger._book.campaigns["c"]
        cells = {(cell.lo, cell.hi): cell.held for cell in map(campaign.pending.value, campaign.pending.all())}
        return campaign.totals, campaign.latest, cells, campaign.cells


@pytest.mark.parametrize(
    ("minutes", "channels"),
    [
        ([0.1, 0.2, 0.3], 1),
        ([0.1, 14.9, 15.0, 15.1, 29.9, 0.1], 2),
        ([float(n) for n in range(LONGEST + 5)], 1),
        ([0.1] * (LONGEST + 5), LONGEST + 5),
        ([TO_MIDNIGHT - 1, TO_MIDNIGHT, TO_MIDNIGHT + 1], 1),
    ],
    ids=["one cell", "quarters", "more cells than a chain has", "more channels than a chain has", "two days"],
)
def test_rows_are_in_the_same_cells_as_one_by_one(minutes: Instants, channels: int) -> None:
    compiled, singly = Feed(1), Feed(10_000)
    for feed in (compiled, singly):
        feed.feed(minutes, channels)
        feed.take(START + TICK)
        feed.feed(minutes, channels)
        feed.feed(minutes[:1])
    assert compiled.ledger._book.campaigns["c"].cells == singly.ledger._book.campaigns["c"].cells
    assert compiled.held() == singly.held()


def test_after_a_tick_no_row_of_a_known_name_is_looked_up_one_by_one() -> None:
    feed = Feed(1)
    feed.feed([0.1, 0.2], 2)
    for tick in (START + TICK, START + 2 * TICK):
        with mock.patch.object(fold.Stretch, "_row", side_effect=AssertionError):
            feed.feed([0.3, 1.3], 2)
        feed.ledger.open_tick(tick)
        feed.ledger.tick_slice(9)
        feed.ledger.close_tick()
        feed.ledger.expect_tick(tick + TICK)
    assert feed.held()[0].keys() == {("ch0", None), ("ch1", None)}
