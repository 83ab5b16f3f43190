"""What is foreseen of plain campaigns is what counting finds: the same events, byte for byte, and the same ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fields import format_time
from tests.pure.ledger.world import MINUTE, START, World, plan
from worker.events import encode_event
from worker.ledger import LedgerLimits, fold, ticking
from worker.ledger.campaign import Campaign
from worker.ledger.cells import COUNT
from worker.ledger.chains import LONGEST
from worker.ledger.chains import TICKED as TICKED_CHAIN
from worker.pacing import Printed

Json = dict[str, Any]
CAMPAIGNS = ("c", "d", "e")
CHANNELS = [{"channel": name, "allocated_budget": "40"} for name in ("CTV", "DISPLAY")]
DAY_MINUTES = 1440

STEADY: Json = {
    "total_budget": "900000",
    "flight_end": format_time(START + 45 * DAY_MINUTES * MINUTE),
    "thresholds": {
        f"{side}_{level}_pct": "100000" for side in ("underpacing", "overpacing") for level in ("warning", "critical")
    },
}
"""Of such a plan nothing is told but snapshots."""
PLANS = st.fixed_dictionaries(
    {name: st.just(value) for name, value in STEADY.items()},
    optional={
        "channels": st.just(CHANNELS),
        "timezone": st.sampled_from(["America/New_York", "Asia/Kathmandu"]),
        "flight_start": st.sampled_from([START - 60 * MINUTE, START + 7 * MINUTE + 10**9]).map(format_time),
        "automation": st.just("insight_only"),
    },
) | st.fixed_dictionaries(
    {"total_budget": st.sampled_from(["90", "5000"]), "channels": st.just(CHANNELS)},
    optional={"flight_end": st.just(format_time(START + 1000 * MINUTE))},
)
UPDATES = st.lists(
    st.fixed_dictionaries(
        {
            "campaign_id": st.sampled_from(CAMPAIGNS),
            # Before the tick to come; some late, some ahead, some of the day before.
            "ago": st.sampled_from([0.01, 0.5, 0.5, 0.5, 0.5, 0.5, 1.2, 3, 20, 70, -0.5, -3, DAY_MINUTES]),
            "spend": st.sampled_from(["0", "0.01", "1", "1", "1", "2.5", "33.333333333", "-1"]),
        },
        optional={
            "channel": st.sampled_from(["CTV", "DISPLAY", "RADIO"]),
            "deal_id": st.just("D"),
            "currency": st.just("EUR"),
            "impressions": st.sampled_from([1, 1000]),
            "requests": st.sampled_from([5, 5, 2**61]),
        },
    ),
    max_size=5,
)
LIVES = st.lists(
    st.tuples(
        st.sampled_from([1, 1, 1, 1, 2, 15, 60, 600]), st.sampled_from([True, True, True, False]), UPDATES, UPDATES
    ),
    min_size=5,
    max_size=14,
)


class Told(World):
    """A ledger that foresees, or one that counts whatever comes."""

    def __init__(self, *, foresees: bool) -> None:
        super().__init__(LedgerLimits(tick_nanos=MINUTE))
        self.foresees = foresees
        self.foreseen = 0

    def patched(self) -> ExitStack:
        """Everything in it is as small as can be; who does not foresee has nothing printed either."""
        stack = ExitStack()
        stack.enter_context(mock.patch.multiple(fold, BULK_FROM=1, LOADED_FROM=1))
        stack.enter_context(mock.patch.object(ticking, "PRINTED_FROM", 1 if self.foresees else 1000))
        return stack

    def feed(self, said: Sequence[Json]) -> None:
        values = [json.dumps(each).encode() for each in said]
        self.fold(*values, keys=[each["campaign_id"].encode() for each in said])

    def take(self, tick: int, waits: Sequence[Json], *, complete: bool, restarts: bool = False) -> list[bytes]:
        """What a tick tells, some updates coming in the midst of it, and perhaps a restart."""
        self.ledger.open_tick(tick, complete=complete)
        events, done = [], False
        while not done:
            before = self._ticked()
            part = self.ledger.tick_slice(2)
            self.foreseen += self._ticked() > before
            events += part.events
            done = part.done
            if waits:
                self.feed(waits)
                waits = ()
            if restarts:
                self.restart()
        self.ledger.close_tick()
        return [b"%s %s" % (each.campaign_id.encode(), encode_event(each.event)) for each in events]

    def _ticked(self) -> int:
        return sum(len(self._chain(campaign.row)) for campaign in self.ledger._book.campaigns.values())

    def _chain(self, row: int) -> list[int]:
        return self.ledger._book.sheet.chains.rows(row, TICKED_CHAIN)


def counted(campaign: Campaign) -> tuple[object, ...]:
    """What is counted, wherever it is kept."""
    campaign.settle()
    cells: dict[tuple[object, ...], list[int]] = {}
    for cell in campaign.counted(-(1 << 40), 1 << 40):
        for key, said in cell.held.items():
            known = cells.setdefault((cell.lo, *key), [0] * COUNT)
            known[:] = map(sum, zip(known, said[:COUNT], strict=True))
    assert campaign.history is not None
    assert campaign.history.latest is not None
    # It is asked for by whoever may read a signal from it: not at every tick.
    rhythm = campaign._rhythm_in(campaign.history.latest.timezone)
    days, hour = rhythm.days(rhythm.day), campaign._positive_hour(rhythm.zone)
    return campaign.totals, campaign.latest, cells, campaign.state, days.today, days.before(), hour


def said_of(updates: Sequence[Json], tick: int, start: int) -> list[Json]:
    said = []
    for number, each in enumerate(updates, start):
        event_time = format_time(int(tick - each["ago"] * MINUTE))
        more = {"event_id": f"e{number}", "source": "s", "event_time": event_time}
        kind = {"kind": "credit"} if each["spend"].startswith("-") else {}
        said.append({**{name: value for name, value in each.items() if name != "ago"}, **more, **kind})
    return said


def check_both_ways(plans: Sequence[Json], life: Sequence[Any], restart: int = -1, *, changes: bool = False) -> int:
    """Take a life's ticks both ways, and compare what is told and counted; in how many slices some was foreseen."""
    ways, number, tick = (Told(foresees=True), Told(foresees=False)), 0, START
    for world in ways:
        world.ledger.expect_tick(START + MINUTE)
        assert not world.plan(*(plan(name, **more) for name, more in zip(CAMPAIGNS, plans, strict=True))).refused
    for place, (minutes, complete, updates, waits) in enumerate(life):
        tick += minutes * MINUTE
        now, then = said_of(updates, tick, number), said_of(waits, tick, number + len(updates))
        number += len(updates) + len(waits)
        told = []
        for world in ways:
            with world.patched():
                if place == restart and changes:
                    world.plan(plan("c", total_budget="777", budget_change_policy="rebase"))
                world.feed(now)
                told.append(world.take(tick, then, complete=complete, restarts=place == restart - 1))
                world.checkpoint()
                if place == restart:
                    world.restart(saved=False)
                world.ledger.expect_tick(tick + MINUTE)
        assert told[0] == told[1]
    for name in CAMPAIGNS:
        one, other = (world.ledger._book.campaign(name) for world in ways)
        assert one is not None
        assert other is not None
        assert counted(one) == counted(other)
    return ways[0].foreseen


@settings(max_examples=250, deadline=None)
@given(st.tuples(*[PLANS] * 3), LIVES, st.integers(0, 14), st.booleans())
def test_what_is_foreseen_is_what_counting_finds(
    plans: Sequence[Json], life: list[Any], restart: int, changes: bool
) -> None:
    check_both_ways(plans, life, restart, changes=changes)


def each(spend: str, ago: float = 0.5) -> list[Json]:
    """The same spend for each of the campaigns, so many minutes before the tick."""
    return [{"campaign_id": name, "ago": ago, "spend": spend} for name in CAMPAIGNS]


DAYS: list[Any] = [(DAY_MINUTES, True, each("2.5"), [])] * 30
MINUTES: list[Any] = [(1, True, each("0.01"), [])] * 4


@pytest.mark.parametrize(
    ("life", "kind"),
    [
        ([*DAYS, *MINUTES, *[(1, True, each("1"), [])] * 12, *MINUTES], b"spend_spike"),
        ([*DAYS, *MINUTES, (1, True, each("2", DAY_MINUTES), []), *MINUTES], b"rolling"),
        ([(60, True, each("10"), [])] * 3 + [(60, True, [], [])] * 90, b"silent_hours"),
        (
            [(60, True, each("10"), [])] * 3
            + [(60, True, [], [])] * 3
            + [(20, True, each("-5"), []), (10, True, each("1"), []), (10, True, each("1"), [])]
            + [(60, True, [], [])] * 60,
            b"silent_hours",
        ),
    ],
    ids=[
        "today is a spike once it has come to more than the days before allow",
        "yesterday's spend changes the rolling pace",
        "silence is counted from the last hour with spend",
        "an hour that came to less than nothing is none with spend: -5 + 1 + 1",
    ],
)
def test_what_is_foreseen_of_a_day_and_an_hour_is_what_counting_finds(life: list[Any], kind: bytes) -> None:
    with mock.patch("tests.pure.ledger.test_foreseen.encode_event", side_effect=encode_event) as encode:
        assert check_both_ways([STEADY] * 3, life) > 0
    told = b" ".join(encode_event(call.args[0]) for call in encode.call_args_list)
    assert kind in told


def steady() -> Told:
    """Three campaigns that nothing is told of but snapshots, after their first ticks."""
    world = Told(foresees=True)
    world.ledger.expect_tick(START + MINUTE)
    world.plan(*(plan(name, **STEADY) for name in CAMPAIGNS))
    return world


def spend(world: Told, number: int, **more: Any) -> list[bytes]:
    """A minute's spend of each campaign, and the tick behind it."""
    tick = START + number * MINUTE
    updates = [{"campaign_id": name, "ago": 0.5, "spend": "1", **more} for name in CAMPAIGNS]
    with world.patched():
        world.feed(said_of(updates, tick, 10 * number))
        told = world.take(tick, (), complete=True)
        world.ledger.expect_tick(tick + MINUTE)
    return told


def test_a_minute_of_a_plain_campaign_is_one_row_and_none_of_its_own_record() -> None:
    world = steady()
    for number in range(1, 5):
        spend(world, number)
        world.checkpoint()
    assert world.foreseen > 0
    before = len(world._chain(0))
    for number in range(5, 8):
        assert len(spend(world, number)) == len(CAMPAIGNS)
        assert not [key for key, _ in world.checkpoint() if key[:1] in (b"c", b"d", b"l")]
    assert len(world._chain(0)) == before == 1


def test_one_of_which_more_was_told_is_foreseen_again() -> None:
    names = [f"c{number:02d}" for number in range(ticking.PRINTED_FROM)]
    world = World(LedgerLimits(tick_nanos=MINUTE))
    world.plan(*(plan(name, total_budget="100") for name in names))
    told = []
    for number in range(1, 12):
        tick = START + number * MINUTE
        world.ledger.expect_tick(tick)
        spent = {"event_time": format_time(tick - 1), "source": "s", "event_id": f"e{number}", "campaign_id": "c04"}
        world.fold(*([json.dumps({**spent, "spend": "60"}).encode()] if number == 6 else []), keys=[b"c04"])
        world.ledger.open_tick(tick, complete=True)
        events = [each for _ in range(5) for each in world.ledger.tick_slice(2).events if each.campaign_id == "c04"]
        world.ledger.close_tick()
        told.append([isinstance(each.event, Printed) for each in events])
    assert told[4] == [True]
    assert len(told[5]) > 1
    assert told[-1] == [True]


def test_a_long_chain_is_settled() -> None:
    world, lengths = steady(), []
    for number in range(1, 15 * (LONGEST + 3), 15):
        spend(world, number)
        lengths.append(len(world._chain(0)))
    assert 1 < max(lengths) <= LONGEST + 1
    assert lengths.count(0) >= 2


@pytest.mark.parametrize("spent", ["-1", "999999999", "5000"], ids=["a credit", "too much", "a spike or deviation"])
def test_what_is_not_simple_is_counted(spent: str) -> None:
    world = steady()
    for number in range(1, 5):
        spend(world, number)
    kind = {"kind": "credit"} if spent == "-1" else {}
    spend(world, 5, spend=spent, **kind)
    campaign = world.ledger._book.campaign("c")
    assert campaign is not None
    figures = {"-1": 3, "999999999": 4 + 999999999, "5000": 5004}[spent] * 10**9
    assert campaign.spent() == figures
