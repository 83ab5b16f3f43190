"""One batch into a real PostgreSQL: what stands there afterwards, whatever the batch holds and whoever else writes."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.postgres.events import (
    MINUTE,
    NOON,
    Body,
    account_snapshot,
    deviation,
    encoded,
    one_of_each,
    proposal,
    signal,
    snapshot,
)
from tests.pure.sink.test_reading import FakeRecord
from worker.sink.database import transaction
from worker.sink.positions import Gap, Log, Place, positions_of, step_over
from worker.sink.reading import KINDS, Record
from worker.sink.writing import FencedError, Move, Written, move, read_batch, write_batch

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
TOPIC = "pacing.snapshot_taken"
PLACE = Place(TOPIC, 3)


def records(bodies: Sequence[Body | bytes]) -> list[Record]:
    values = [body if isinstance(body, bytes) else encoded([body])[0] for body in bodies]
    return [FakeRecord(value, offset=offset) for offset, value in enumerate(values)]


async def write(
    connection: Any,
    events: Mapping[str, Sequence[Body | bytes]],
    moves: Sequence[Move] = (),
    history_seconds: int = 0,
) -> Written:
    batch = read_batch(moves, {kind: records(bodies) for kind, bodies in events.items()})
    return await write_batch(connection, "test", batch, history_seconds)


async def write_snapshots(connection: Any, *bodies: Body | bytes, history_seconds: int = 0) -> Written:
    return await write(connection, {"snapshot_taken": bodies}, history_seconds=history_seconds)


async def stored(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.fetch(sql)]


# --- what a row says -------------------------------------------------------------------------------------------------


def as_stored(column: str, value: Any, kind: str) -> Any:
    """A field of an event as its column must give it back."""
    if value is None:
        return None
    if kind == "numeric":
        return Decimal(str(value))
    if kind == "timestamp with time zone":
        return datetime.fromisoformat(value)
    if kind == "uuid":
        return UUID(value)
    return value


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("snapshot_taken", "pacing_snapshots"),
        ("deviation_detected", "pacing_deviations"),
        ("deviation_resolved", "pacing_deviations"),
        ("reallocation_recommended", "pacing_reallocations"),
        ("alert_raised", "pacing_signals"),
        ("alert_cleared", "pacing_signals"),
        ("account_snapshot_taken", "pacing_account_snapshots"),
    ],
)
async def test_every_field_of_an_event_has_a_column_that_gives_it_back_exactly(
    connection: Any, kind: str, table: str
) -> None:
    (body,) = one_of_each("campaign-1", NOON)[kind]
    await write(connection, {kind: [body]})

    columns = await connection.fetch(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = $1", table
    )
    types = {name: kind_of_column for name, kind_of_column in columns}  # noqa: C416  # a Record is no pair to dict()
    row = await connection.fetchrow(f"SELECT * FROM {table}")  # noqa: S608  # a name of the list above
    found = {name: json.loads(value) if types[name] == "jsonb" and value else value for name, value in row.items()}

    assert found == {name: as_stored(name, body.get(name), types[name]) for name in types}
    # timestamp is occurred_at again; an event's own id is its snapshot_id or recommendation_id.
    assert body.keys() - types.keys() <= {"event_id", "event_type", "timestamp"}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_published_example_of_every_event_is_written(connection: Any, kind: str) -> None:
    written = await write(connection, {kind: [(EXAMPLES / f"{kind}.json").read_bytes()]})
    assert written.refused == []
    assert sum(written.new.values()) == 1


@pytest.mark.parametrize("money", ["0.000000001", "-999999999999.999999999", "0.00", "1", "1.10"])
async def test_money_keeps_every_digit(connection: Any, money: str) -> None:
    await write_snapshots(connection, snapshot(total_spend=money))
    assert await stored(connection, "SELECT total_spend::text FROM pacing_snapshots") == [(money,)]


async def test_a_percentage_beyond_a_binary_float_keeps_every_digit(connection: Any) -> None:
    literal = b"99999999999999999999999.99"
    body = encoded([snapshot()])[0].replace(b"67.44", literal)
    await write_snapshots(connection, body)
    assert await stored(connection, "SELECT pacing_pct::text FROM pacing_snapshots") == [(literal.decode(),)]


async def test_a_field_that_a_later_version_adds_does_no_harm(connection: Any) -> None:
    await write_snapshots(connection, snapshot() | {"invented_later": {"a": [1, 2]}})
    assert await stored(connection, "SELECT campaign_id FROM pacing_snapshots") == [("campaign-1",)]


async def test_a_column_that_a_later_migration_adds_is_filled_without_a_change_here(connection: Any) -> None:
    await connection.execute("ALTER TABLE pacing_snapshots ADD COLUMN invented_later jsonb")
    await connection.execute("ALTER TABLE pacing_current_snapshots ADD COLUMN invented_later jsonb")
    await write_snapshots(connection, snapshot() | {"invented_later": [1, 2]})
    assert await stored(connection, "SELECT invented_later FROM pacing_snapshots") == [("[1, 2]",)]


# --- once, and the newest --------------------------------------------------------------------------------------------


async def test_events_written_twice_are_there_once_and_counted(connection: Any) -> None:
    events = one_of_each("campaign-1", NOON)
    first = await write(connection, events)
    again = await write(connection, events)
    assert sum(first.new.values()) == sum(first.given.values()) == len(KINDS)
    assert (sum(again.new.values()), sum(again.given.values())) == (0, len(KINDS))
    assert await stored(connection, "SELECT count(*) FROM pacing_snapshots") == [(1,)]
    assert await stored(connection, "SELECT count(*) FROM pacing_deviations") == [(2,)]


async def test_an_event_twice_in_a_batch_is_there_once(connection: Any) -> None:
    events = {kind: bodies * 2 for kind, bodies in one_of_each("campaign-1", NOON).items()}
    written = await write(connection, events)
    assert (sum(written.new.values()), sum(written.given.values())) == (len(KINDS), 2 * len(KINDS))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("together", [True, False])
async def test_the_current_row_of_an_account_is_the_newest_of_its_currency(
    connection: Any, order: tuple[int, ...], together: bool
) -> None:
    bodies = [account_snapshot(tick=NOON + n * MINUTE, total_spend=str(n)) for n in order]
    other = account_snapshot(currency="USD", total_spend="7")
    for batch in [[*bodies, other]] if together else [[body] for body in (*bodies, other)]:
        await write(connection, {"account_snapshot_taken": batch})
    statement = "SELECT currency, total_spend::text FROM pacing_current_accounts ORDER BY currency"
    assert await stored(connection, statement) == [("EUR", "2"), ("USD", "7")]
    assert await stored(connection, "SELECT count(*) FROM pacing_account_snapshots") == [(4,)]


async def test_the_current_row_is_the_newest_whatever_the_order(connection: Any) -> None:
    bodies = [snapshot(tick=NOON + n * MINUTE, total_spend=f"{n}.00") for n in range(5)]
    for body in (bodies[2], bodies[0], bodies[4], bodies[3], bodies[1]):
        await write_snapshots(connection, body)
    assert await stored(connection, "SELECT total_spend::text FROM pacing_current") == [("4.00",)]
    assert await stored(connection, "SELECT count(*) FROM pacing_snapshots") == [(5,)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
async def test_at_one_tick_the_later_period_and_then_the_later_revision_is_current(
    connection: Any, order: tuple[int, ...]
) -> None:
    bodies = [
        snapshot(period_end="2026-03-15T12:00:00Z", final=True),
        snapshot(period_end="2026-04-15T12:00:00Z"),
        snapshot(period_end="2026-04-15T12:00:00Z", revision=1),
    ]
    for index in order:
        await write_snapshots(connection, bodies[index])
    assert await stored(connection, "SELECT revision, final FROM pacing_current") == [(1, False)]


async def test_current_replaces_every_column_but_the_campaign(connection: Any) -> None:
    await write_snapshots(connection, snapshot())
    later = snapshot(
        tick=NOON + MINUTE,
        account_id="account-2",
        currency="USD",
        projected_spend="1.00",
        projection_method="run_rate",
        projected_exhaustion_at="2026-03-20T00:00:00Z",
        dark_days=11.5,
        worst_child=None,
        channel_snapshots=[],
        deal_snapshots=[],
        recommendations=["0a0a0a0a-0000-5000-8000-000000000000"],
        ledger_position=None,
    ) | {name: "7.00" for name in snapshot() if name.endswith(("_budget", "_spend"))}
    later |= {name: 7.5 for name in snapshot() if name.endswith(("_pct", "_pp"))}
    later |= {"band": "sharp", "plan_version": 7, "revision": 7, "final": True, "complete": False}
    later |= dict.fromkeys(("period_start", "period_end", "data_through"), "2026-05-01T00:00:00Z")
    await write_snapshots(connection, later)
    columns = "SELECT * FROM pacing_snapshots WHERE revision = 7"
    (kept,) = await connection.fetch(columns)
    (current,) = await connection.fetch("SELECT * FROM pacing_current_snapshots")
    assert dict(current) == {"kept_at": kept["occurred_at"], **dict(kept)}


# --- alerts: what is open --------------------------------------------------------------------------------------------


def life(campaign: str) -> list[tuple[str, Body]]:
    """A deviation from its opening to its end, a minute apart."""
    return [
        ("deviation_detected", deviation("opened", campaign, NOON, deviation_pct=-11)),
        ("deviation_detected", deviation("escalated", campaign, NOON + MINUTE, deviation_pct=-26)),
        ("deviation_detected", deviation("deescalated", campaign, NOON + 2 * MINUTE, deviation_pct=-19)),
        ("deviation_resolved", deviation("resolved", campaign, NOON + 3 * MINUTE, deviation_pct=-1)),
    ]


async def check_life(connection: Any, campaign: str) -> None:
    """The row of that deviation is what its events say together."""
    row = await connection.fetchrow("SELECT * FROM pacing_alerts WHERE campaign_id = $1", campaign)
    told = [row[name] for name in ("kind", "direction", "alert_level", "deviation_pct", "reason", "is_open")]
    assert told == ["deviation", "underpacing", "warning", Decimal(-19), "recovered", False]
    assert [row[name].minute for name in ("opened_at", "changed_at", "ended_at")] == [0, 2, 3]


async def test_a_deviations_row_does_not_depend_on_the_order_of_its_events(connection: Any) -> None:
    for order in itertools.permutations(range(4)):
        campaign = f"campaign-{order}"
        for kind, body in (life(campaign)[index] for index in order):
            await write(connection, {kind: [body]})
        await check_life(connection, campaign)


async def test_all_of_a_deviations_life_in_one_batch_is_the_same(connection: Any) -> None:
    shuffled = random.Random(7).sample(life("campaign-1"), 4)
    await write(connection, {kind: [body for each, body in shuffled if each == kind] for kind in dict(shuffled)})
    await check_life(connection, "campaign-1")


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))), ids=str)
async def test_a_signal_ends_in_either_order(connection: Any, order: tuple[int, ...]) -> None:
    events = [signal("alert_raised"), signal("alert_cleared", tick=NOON + MINUTE)]
    for index in order:
        await write(connection, {("alert_raised", "alert_cleared")[index]: [events[index]]})
    (row,) = await connection.fetch("SELECT * FROM pacing_alerts")
    assert (row["kind"], row["is_open"]) == ("over_budget", False)
    assert (row["opened_at"].minute, row["ended_at"].minute) == (0, 1)


async def test_what_is_raised_again_under_its_old_id_is_open_again(connection: Any) -> None:
    for minute, kind in enumerate(("alert_raised", "alert_cleared", "alert_raised")):
        await write(connection, {kind: [signal(kind, tick=NOON + minute * MINUTE)]})
    assert await stored(connection, "SELECT is_open FROM pacing_alerts") == [(True,)]


async def test_current_counts_what_is_open_also_when_it_came_before_the_first_snapshot(connection: Any) -> None:
    counts = "SELECT open_deviations, open_signals, open_warnings, open_criticals FROM pacing_current"
    await write(connection, {"deviation_detected": [deviation("opened")], "alert_raised": [signal("alert_raised")]})
    await write(connection, {"alert_raised": [signal("alert_raised", "another-campaign")]})
    await write_snapshots(connection, snapshot())
    assert await stored(connection, counts) == [(1, 1, 1, 1)]

    await write(connection, {"deviation_detected": [deviation("escalated", tick=NOON + MINUTE)]})
    assert await stored(connection, counts) == [(1, 1, 0, 2)]

    ends = {
        "deviation_resolved": [deviation("resolved", tick=NOON + 2 * MINUTE)],
        "alert_cleared": [signal("alert_cleared", tick=NOON + 2 * MINUTE)],
    }
    await write(connection, ends)
    assert await stored(connection, counts) == [(0, 0, 0, 0)]


# --- positions -------------------------------------------------------------------------------------------------------


async def test_a_partition_nobody_has_read_begins_where_its_log_begins_and_stays_there(connection: Any) -> None:
    assert await positions_of(connection, "test", {PLACE: Log(40, 90)}) == {PLACE: 40}
    assert await positions_of(connection, "test", {PLACE: Log(50, 90)}) == {PLACE: 40}


async def test_positions_of_two_applications_are_their_own(connection: Any) -> None:
    await positions_of(connection, "one", {PLACE: Log(40, 90)})
    assert await positions_of(connection, "two", {PLACE: Log(50, 90)}) == {PLACE: 50}


async def test_rows_and_position_come_together(connection: Any) -> None:
    await positions_of(connection, "test", {PLACE: Log(0, 90)})
    await write(connection, {"snapshot_taken": [snapshot()]}, [Move(*PLACE, 0, 1)])
    assert await positions_of(connection, "test", {PLACE: Log(0, 90)}) == {PLACE: 1}


async def test_whoever_is_not_where_the_position_stands_writes_nothing(connection: Any) -> None:
    await positions_of(connection, "test", {PLACE: Log(0, 90)})
    await write(connection, {"snapshot_taken": [snapshot("winner")]}, [Move(*PLACE, 0, 5)])
    with pytest.raises(FencedError):
        await write(connection, {"snapshot_taken": [snapshot("zombie")]}, [Move(*PLACE, 0, 3)])
    assert await stored(connection, "SELECT campaign_id FROM pacing_snapshots") == [("winner",)]


async def test_one_wrong_position_of_several_holds_back_all(connection: Any) -> None:
    other = Place("pacing.alert_raised", 3)
    await positions_of(connection, "test", {PLACE: Log(0, 90), other: Log(0, 90)})
    with pytest.raises(FencedError, match="1 of 2"):
        await write(connection, {"snapshot_taken": [snapshot()]}, [Move(*PLACE, 0, 1), Move(*other, 7, 8)])
    assert await stored(connection, "SELECT max(next_offset) FROM pacing_sink_positions") == [(0,)]


async def test_of_two_that_write_the_same_stretch_at_once_exactly_one_does(connection: Any, database: str) -> None:
    await positions_of(connection, "test", {PLACE: Log(0, 90)})
    connections = [await asyncpg.connect(database, statement_cache_size=0) for _ in range(4)]
    bodies = [snapshot(f"campaign-{n}") for n in range(50)]
    results = await asyncio.gather(
        *(write(each, {"snapshot_taken": bodies}, [Move(*PLACE, 0, 50)]) for each in connections),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["FencedError"] * 3 + ["Written"]
    assert sum(result.new["pacing_snapshots"] for result in results if isinstance(result, Written)) == 50
    for each in connections:
        await each.close()


async def test_whoever_falls_silent_in_a_transaction_does_not_hold_up_its_successor(
    connection: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.sink.database.SILENCE", "SET LOCAL idle_in_transaction_session_timeout = '200ms'")
    await positions_of(connection, "test", {PLACE: Log(0, 90)})
    frozen = await asyncpg.connect(database, statement_cache_size=0)
    locked, woken = asyncio.Event(), asyncio.Event()

    async def fall_silent() -> None:
        async with transaction(frozen):
            await move(frozen, "test", [Move(*PLACE, 0, 1)])
            locked.set()
            await woken.wait()

    silent = asyncio.create_task(fall_silent())
    await locked.wait()
    await asyncio.wait_for(write(connection, {"snapshot_taken": [snapshot()]}, [Move(*PLACE, 0, 50)]), 20)
    woken.set()
    with pytest.raises(asyncpg.InterfaceError, match="closed"):
        await silent
    assert await positions_of(connection, "test", {PLACE: Log(0, 90)}) == {PLACE: 50}


async def test_a_gap_is_written_down_once_with_the_step_over_it(connection: Any) -> None:
    await positions_of(connection, "test", {PLACE: Log(0, 90)})
    gap = Gap(PLACE, 0, 40, "retention")
    await step_over(connection, "test", gap)
    with pytest.raises(FencedError):
        await step_over(connection, "test", gap)
    assert await positions_of(connection, "test", {PLACE: Log(40, 90)}) == {PLACE: 40}
    assert await stored(
        connection, "SELECT topic, partition, from_offset, to_offset, reason FROM pacing_sink_gaps"
    ) == [(TOPIC, 3, 0, 40, "retention")]


# --- what cannot be written ------------------------------------------------------------------------------------------

POISON = [
    pytest.param(encoded([snapshot("nul", band="mi\0ld")])[0], "\\u0000", id="NUL in a text"),
    pytest.param(
        encoded([snapshot("nul", channel_snapshots=[{"channel": "\0"}])])[0], "\\u0000", id="NUL inside JSONB"
    ),
    pytest.param(snapshot("version", plan_version=2**40), "out of range", id="a number out of range"),
    pytest.param(snapshot("id", snapshot_id="not-a-uuid"), "uuid", id="what is no uuid"),
    pytest.param(snapshot("time", period_start="2026-02-30T00:00:00Z"), "out of range", id="a day that is none"),
    pytest.param(snapshot("money", total_spend="many"), "numeric", id="what is no number"),
    pytest.param(snapshot("null", currency=None), "null value", id="null where there must be a value"),
    pytest.param(snapshot(campaign=random.Random(1).randbytes(4000).hex()), "exceeds", id="an id no index can hold"),
    pytest.param(b"[1, 2]", "object", id="no object"),
    pytest.param(b"\xff", "utf-8", id="no text"),
]


@pytest.mark.parametrize(("poison", "reason"), POISON)
async def test_what_cannot_be_written_is_kept_with_its_reason_and_all_around_it_is_written(
    connection: Any, poison: Body | bytes, reason: str
) -> None:
    good = [snapshot(f"campaign-{n}") for n in range(9)]
    written = await write_snapshots(connection, *good[:4], poison, *good[4:])
    assert await stored(connection, "SELECT count(*) FROM pacing_snapshots") == [(9,)]
    assert await stored(connection, "SELECT count(*) FROM pacing_current") == [(9,)]
    assert written.new["pacing_snapshots"] == written.given["pacing_snapshots"] == 9

    (refused,) = await connection.fetch("SELECT * FROM pacing_sink_refused")
    assert (refused["topic"], refused["partition"], refused["record_offset"]) == (TOPIC, 3, 4)
    assert refused["record_value"] == (poison if isinstance(poison, bytes) else encoded([poison])[0])
    assert reason in refused["reason"]


async def test_many_bad_events_among_many_good_ones_are_all_found(connection: Any) -> None:
    bodies: list[Body | bytes] = [snapshot(f"campaign-{n}") for n in range(200)]
    bad = random.Random(3).sample(range(200), 12)
    for index in bad:
        bodies[index] = snapshot(f"campaign-{index}", plan_version=2**31)
    await write_snapshots(connection, *bodies)
    refused = await stored(connection, "SELECT record_offset FROM pacing_sink_refused ORDER BY 1")
    assert refused == [(index,) for index in sorted(bad)]
    assert await stored(connection, "SELECT count(*) FROM pacing_snapshots") == [(188,)]


async def test_a_bad_newest_snapshot_leaves_the_one_before_it_current(connection: Any) -> None:
    bodies = [snapshot(tick=NOON + n * MINUTE, plan_version=2**40 if n == 3 else 1) for n in range(4)]
    await write_snapshots(connection, *bodies)
    (row,) = await connection.fetch("SELECT occurred_at FROM pacing_current")
    assert row["occurred_at"].minute == 2


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        ("deviation_detected", deviation("opened", "bad", scope=None)),
        ("deviation_resolved", deviation("resolved", "bad", alert_level=None)),
        ("alert_raised", signal("alert_raised", "bad", message="\0")),
        ("alert_cleared", signal("alert_cleared", "bad") | {"kind": None}),
        ("reallocation_recommended", proposal("bad", amount="1e400000")),
    ],
)
async def test_events_of_every_kind_are_isolated(connection: Any, kind: str, bad: Body) -> None:
    (good,) = one_of_each("campaign-1", NOON)[kind]
    written = await write(connection, {kind: [bad, good]})
    assert sum(written.new.values()) == 1
    assert await stored(connection, "SELECT record_offset FROM pacing_sink_refused") == [(0,)]


async def test_what_is_missing_in_the_database_is_not_blamed_on_the_events(connection: Any) -> None:
    await connection.execute("DROP TABLE pacing_signals")
    with pytest.raises(asyncpg.UndefinedObjectError):
        await write(connection, {"alert_raised": [signal("alert_raised")]})
    assert await stored(connection, "SELECT count(*) FROM pacing_sink_refused") == [(0,)]


# --- the history interval --------------------------------------------------------------------------------------------


async def test_an_interval_thins_the_history_and_never_what_is_current(connection: Any) -> None:
    thinned = 0
    for minute in range(0, 130, 5):
        tick = snapshot(tick=NOON + minute * MINUTE), snapshot("campaign-2", tick=NOON + minute * MINUTE)
        thinned += (await write_snapshots(connection, *tick, history_seconds=3600)).thinned
        (row,) = await connection.fetch("SELECT occurred_at FROM pacing_current WHERE campaign_id = 'campaign-1'")
        assert (row["occurred_at"].hour, row["occurred_at"].minute) == (12 + minute // 60, minute % 60)
    kept = await stored(connection, "SELECT campaign_id, occurred_at FROM pacing_snapshots ORDER BY 1, 2")
    hours = [datetime(2026, 3, 15, hour, tzinfo=UTC) for hour in (12, 13, 14)]
    assert kept == [(campaign, hour) for campaign in ("campaign-1", "campaign-2") for hour in hours]
    assert thinned == 2 * 26 - len(kept)


async def test_an_interval_keeps_what_tells_something_new_across_batches(connection: Any) -> None:
    changed: list[dict[str, Any]] = [
        {},
        {"band": "strong"},
        {"band": "strong"},
        {"band": "strong", "recommendations": [proposal()["event_id"]]},
        {"band": "strong", "recommendations": [proposal()["event_id"]]},
        {"band": "strong", "recommendations": [proposal()["event_id"]], "final": True},
    ]
    for minute, more in enumerate(changed):
        await write_snapshots(connection, snapshot(tick=NOON + minute * MINUTE, **more), history_seconds=3600)
    kept = await stored(connection, "SELECT occurred_at FROM pacing_snapshots ORDER BY 1")
    assert [moment.minute for (moment,) in kept] == [0, 1, 3, 5]
