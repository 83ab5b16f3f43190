"""The rhythm of a campaign and the reports of its sources: functions of what was accepted, across restarts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fields import NANOS, format_time
from tests.pure.ledger.test_golden import golden, loaded
from tests.pure.ledger.world import HOUR, MINUTE, START, TICK, World, plan, update
from worker.ledger import LedgerLimits, kinds
from worker.ledger.cells import NEVER
from worker.ledger.packing import decode, encode
from worker.ledger.rhythm import Rhythm
from worker.ledger.sources import AHEAD, Source, Sources

DAY = 24 * HOUR
CELLS = st.lists(st.tuples(st.integers(0, 40 * 96), st.sampled_from([-300, -100, 0, 100, 100, 10**12])), max_size=40)


def ordinal(at: int, zone: str) -> int:
    return datetime.fromtimestamp(at // NANOS, UTC).astimezone(ZoneInfo(zone)).toordinal()


@given(cells=CELLS, zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"]), later=st.integers(0, 40))
@settings(max_examples=200, deadline=None)
def test_a_rhythm_is_a_function_of_what_is_counted(cells: list[tuple[int, int]], zone: str, later: int) -> None:
    rhythm = Rhythm(zone)
    hours: dict[int, int] = {}
    days: dict[int, int] = {}
    for quarter, spend in cells:
        at = START + quarter * 15 * MINUTE
        rhythm.count(at, spend)
        hours[at // HOUR] = hours.get(at // HOUR, 0) + spend
        days[ordinal(at, zone)] = days.get(ordinal(at, zone), 0) + spend
        positive = [hour for hour, net in hours.items() if net > 0]

        def before(hour: int) -> int:
            return max((each for each, net in hours.items() if net > 0 and each < hour), default=NEVER)

        assert rhythm.positive_hour(before) == (max(positive) * HOUR if positive else None)
    today = max(days, default=ordinal(START, zone)) + later
    found = rhythm.days(today)
    assert [found.today, *found.before()] == [days.get(today - age, 0) for age in range(30)]


def positive_hour(world: World) -> int | None:
    campaign = world.ledger._book.campaign("c")
    assert campaign is not None
    return campaign._rhythm_in("UTC").positive_hour(campaign._positive_before)


@pytest.mark.parametrize("restarts", [False, True])
def test_the_last_positive_hour_is_found_again_in_the_cells_when_credits_take_one_back(restarts: bool) -> None:
    world = World()
    world.plan(plan(flight_end="2026-07-09T00:00:00Z"))
    for hour in range(30):
        world.spend(update(f"u{hour}", 60 * hour, "1"))
    world.tick(START + 30 * HOUR)
    assert positive_hour(world) == START + 29 * HOUR
    if restarts:
        world.restart()
    for hour in range(5, 30):
        world.spend(update(f"back{hour}", 60 * hour + 1, "-1", kind="credit"))
    world.tick(START + 31 * HOUR)
    if restarts:
        world.restart()
    assert positive_hour(world) == START + 4 * HOUR
    world.spend(update("late", 60 * 8, "1"))
    world.tick(START + 32 * HOUR)
    assert positive_hour(world) == START + 8 * HOUR


def test_days_are_the_same_after_a_restart_and_in_another_zone() -> None:
    world = World()
    world.plan(plan(flight_end="2026-08-09T00:00:00Z"))
    for day in range(9):
        world.spend(update(f"u{day}", 1440 * day + 1400, str(day + 1)))
    world.tick(START + 9 * DAY)
    today = ordinal(START + 9 * DAY, "UTC")

    def days(zone: str) -> list[int]:
        campaign = world.ledger._book.campaign("c")
        assert campaign is not None
        found = campaign._rhythm_in(zone).days(today)
        return [amount // NANOS for amount in (found.today, *found.before())][:10]

    assert days("UTC") == [0, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    world.restart()
    assert days("UTC") == [0, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert days("Europe/Berlin") == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    world.restart()
    assert days("Europe/Berlin") == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


def test_a_ledger_of_before_there_were_rhythms_and_sources_is_read() -> None:
    old = {key: value for key, value in golden().items() if key[:1] not in (kinds.LOCAL_DAYS, kinds.SOURCE)}
    old = {key: encode(decode(value)[:12]) if key[:1] == kinds.CAMPAIGN else value for key, value in old.items()}
    ledger = loaded(old)
    campaign = ledger._book.campaign("c")
    assert campaign is not None
    assert (campaign.rhythm, campaign.sources) == (None, ())
    now = loaded(golden())._book.campaign("c")
    assert now is not None
    day = ordinal(START, "UTC") + 1
    assert campaign._rhythm_in("UTC").days(day).before() == now._rhythm_in("UTC").days(day).before()


# -- sources -----------------------------------------------------------------------------------------------------------


def reports(world: World) -> dict[str, int | None]:
    campaign = world.ledger._book.campaign("c")
    assert campaign is not None
    return world.ledger._book.sources.reports(campaign.sources)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_tick_knows_what_sources_sent_by_its_time_and_before_its_cut(restarts: bool) -> None:
    world = World()
    world.plan(plan("c"), plan("d"))
    world.ledger.expect_tick(START + TICK)
    world.spend(update("1", 1), update("2", 8, campaign_id="d"), update("ahead", 11), update("3", 2, source="t"))
    world.ledger.open_tick(START + TICK)
    world.spend(update("4", 9), update("5", 9, source="behind the cut"))
    if restarts:
        world.restart()
    assert reports(world) == {"s": START + 8 * MINUTE, "t": START + 2 * MINUTE}
    world.finish()
    world.tick(START + 2 * TICK)
    if restarts:
        world.restart()
    assert reports(world) == {"behind the cut": START + 9 * MINUTE, "s": START + 11 * MINUTE, "t": START + 2 * MINUTE}


def test_a_campaign_that_no_source_ever_reported_for_is_judged_by_all() -> None:
    world = World()
    world.plan(plan("c"))
    world.spend(update("1", 1, campaign_id="unplanned"))
    world.tick(START + TICK)
    assert reports(world) == {"s": START + MINUTE}


@pytest.mark.parametrize("size", [3, 300], ids=["one by one", "by column"])
def test_sources_are_known_alike_however_updates_are_folded(size: int) -> None:
    world = World()
    world.plan(plan("c", flight_end="2026-07-09T00:00:00Z"))
    world.ledger.expect_tick(START + 5 * HOUR)
    batch = [update(f"e{n}", n, source="st"[n % 2], campaign_id="cd"[n // 2 % 2]) for n in range(size)]
    world.spend(*batch)
    world.tick(START + 5 * HOUR)
    latest = {name: START + max(n for n in range(size) if "st"[n % 2] == name) * MINUTE for name in "st"}
    assert reports(world) == latest


def test_refused_and_repeated_updates_are_no_reports() -> None:
    world = World()
    world.plan(plan("c"))
    world.spend(update("1", 1))
    world.spend(update("1", 1), update("2", 2, currency="USD"), update("1", 3, "9"))
    world.tick(START + TICK)
    assert reports(world) == {"s": START + MINUTE}


EVENTS = st.lists(st.integers(-30, 200).map(lambda minutes: minutes * MINUTE // 4), max_size=12)


@given(times=EVENTS, ticks=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_a_source_is_known_to_have_sent_the_latest_by_each_tick(times: list[int], ticks: list[int]) -> None:
    source, tick = Source("s"), 0
    for at in times:
        source.hear(at, 10 * MINUTE)
    for step in ticks:
        tick += step * 10 * MINUTE
        source.cut(tick)
        assert source.at_tick == max((at for at in times if at <= tick), default=NEVER)


def test_of_minutes_to_come_the_nearest_are_remembered() -> None:
    source = Source("s")
    for minute in reversed(range(1, AHEAD + 50)):
        source.hear(minute * MINUTE, 0)
    assert sorted(source.ahead) == list(range(1, AHEAD + 1))


def test_sources_beyond_the_limit_are_one() -> None:
    sources = Sources(2)
    assert [sources.of(name).name for name in ("a", "b", "c", "d", "a")] == ["a", "b", "", "", "a"]


@pytest.mark.parametrize("first", [True, False])
def test_an_interruption_is_raised_once_across_restarts_and_cleared_once(first: bool) -> None:
    world = World(LedgerLimits(tick_nanos=HOUR))
    day = {"flight_start": format_time(START), "flight_end": format_time(START + 9 * DAY)}
    world.plan(plan("c", **day), plan("d", **day))
    world.spend(update("1", 1))
    told: list[Any] = []
    for hour in range(1, 60):
        world.spend(update(f"d{hour}", 60 * hour - 1, campaign_id="d"))
        if hour == 57:
            world.spend(update("2", 60 * hour - 1))
        told += [(hour, e.kind, e.body["kind"]) for e in world.tick(START + hour * HOUR) if e.kind[:5] == "alert"]
        if first or hour % 2:
            world.restart()
    assert told == [(49, "alert_raised", "delivery_interrupted"), (57, "alert_cleared", "delivery_interrupted")]


def test_a_cell_counts_once_whatever_currency_its_updates_state() -> None:
    world = World()
    world.plan(plan())
    world.tick(START + TICK)
    world.spend(update("1", 11, "5", currency="EUR"), update("2", 12, "7"))
    world.tick(START + 2 * TICK)
    campaign = world.ledger._book.campaign("c")
    assert campaign is not None
    assert campaign._rhythm_in("UTC").days(ordinal(START, "UTC")).today == 12 * NANOS
