"""What a tick counts stays on the sheet until it is much: a campaign is its record and the rows it counted since."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise
from unittest import mock

import pytest

from tests.pure.ledger.world import MINUTE, START, TICK, World, plan, update
from worker.ledger import LedgerLimits, fold, kinds
from worker.ledger.campaign import UNWRITTEN, Campaign
from worker.ledger.chains import SPREAD
from worker.ledger.packing import decode
from worker.ledger.sheet import TICKED

OWN = kinds.CAMPAIGN + b"c"
TOTALS = 5
"""Where a campaign's record has them."""


@pytest.fixture(autouse=True)
def _compiled() -> Iterator[None]:
    """All rows are opened by the compiled loops."""
    with mock.patch.multiple(fold, BULK_FROM=1, LOADED_FROM=1):
        yield


def world_of(recent: int = 100) -> World:
    world = World(LedgerLimits(tick_nanos=TICK, recent=recent))
    world.ledger.expect_tick(START + TICK)
    world.plan(plan())
    return world


def news(world: World, number: int) -> int:
    """A tick that counts two channels; its instant."""
    tick = START + number * TICK
    minute = (tick - START) / MINUTE - 0.5
    world.spend(*(update(f"{channel}{number}", minute, "1.5", channel=channel) for channel in ("CTV", "DISPLAY")))
    world.tick(tick)
    world.ledger.expect_tick(tick + TICK)
    return tick


def campaign_of(world: World) -> Campaign:
    campaign = world.ledger._book.campaign("c")
    assert campaign is not None
    return campaign


def held(campaign: Campaign) -> tuple[object, ...]:
    """A copy of all that counting changes, what lies on the sheet being settled."""
    campaign.settle()
    rhythm = campaign.rhythm
    days = {number: campaign.counted_day(number) for number in campaign.days}
    known = None if rhythm is None else (rhythm.hour, rhythm.net, rhythm.day, rhythm.spend, rhythm.past)
    counted = copy.deepcopy((campaign.totals, campaign.recent))
    return counted, campaign.latest, days, known, campaign.state, campaign.is_ticked


def counted_rows(world: World) -> int:
    return sum(bool(label & TICKED) for label in world.ledger._book.sheet.labels)


def test_a_tick_writes_a_campaigns_record_at_first_and_then_only_when_its_rows_are_many() -> None:
    world, written = world_of(), []
    for number in range(1, 25):
        news(world, number)
        written.append(OWN in dict(world.checkpoint()))
    wrote = [number for number, is_written in enumerate(written) if is_written]
    assert wrote[0] == 0
    assert (
        max(after - before for before, after in pairwise(wrote))
        == 1 + (UNWRITTEN - campaign_of(world).row % SPREAD) // 2
    )


@pytest.mark.parametrize("recent", [3, 100], ids=["days are stored", "none is"])
def test_what_is_read_is_what_was_held_after_every_tick(recent: int) -> None:
    world, seen = world_of(recent), 0
    for number in range(1, 25):
        news(world, number)
        world.checkpoint()
        seen = max(seen, counted_rows(world))
        before = held(campaign_of(world))
        world.restart(saved=False)
        assert held(campaign_of(world)) == before
    assert seen > 0


def test_a_tick_that_was_not_saved_has_counted_nothing() -> None:
    world = world_of()
    news(world, 1)
    world.checkpoint()
    before = held(campaign_of(world))
    news(world, 2)
    world.restart(saved=False)
    assert held(campaign_of(world)) == before


def test_a_record_that_is_written_takes_the_rows_in() -> None:
    world = world_of()
    for number in range(1, 5):
        news(world, number)
        world.checkpoint()
    assert counted_rows(world) > 0
    # Whatever makes the record be written.
    campaign = campaign_of(world)
    campaign.mark(kinds.CAMPAIGN)
    world.ledger._book.use(campaign)
    world.checkpoint()
    assert counted_rows(world) == 0
    totals = decode(world.log[OWN])[TOTALS]
    assert [figures[1] for figures in totals] == [600, 600]
    assert held(campaign_of(world)) == held(world.restored()._book.campaign("c") or campaign)


def test_rows_that_a_new_plan_cuts_elsewhere_are_taken_in_before() -> None:
    world = world_of()
    for number in range(1, 5):
        news(world, number)
        world.checkpoint()
    world.plan(plan(total_budget="2000.00", flight_end="2026-07-01T04:07:01Z"))
    world.checkpoint()
    assert counted_rows(world) == 0


def test_in_a_file_whose_records_nobody_writes_rows_are_given_back() -> None:
    world = world_of()
    for number in range(1, 60):
        news(world, number)
    assert counted_rows(world) <= UNWRITTEN
