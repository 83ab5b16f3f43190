"""The accounts of a partition: ticks that wait for every source, exact through restarts anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fields import NANOS
from worker.ledger import RecordBatch, UnreadableLedgerError
from worker.ledger.accounts import MOST_OPEN_TICKS, AccountLedger, AccountSlice
from worker.ledger.partitions import partition_of
from worker.ledger.parts import closing_parts, parts_of, read_part
from worker.pacing.plan import Flight
from worker.pacing.rollup import Child, Sums

CAPS, PARTS = "caps", "parts"
SOURCES = 2
HERE = partition_of(b"acme", SOURCES)
NEIGHBOURS = [name for name in ("acme", *map(str, range(20))) if partition_of(name.encode(), SOURCES) == HERE][:3]
MINUTE = 60 * NANOS
DAY = 86_400 * NANOS


def ledger() -> AccountLedger:
    """The accounts of the partition that holds acme, at the beginning of both inputs."""
    made = AccountLedger(HERE, SOURCES, plans=CAPS, parts=PARTS)
    for topic in (CAPS, PARTS):
        made.advance(topic, 0)
    return made


def part(source: int, tick: int, spend: int = 1, account: str = "acme") -> bytes:
    """What *source* says of an account."""
    sums = Sums()
    sums.add(Child(account, "EUR", True, (100 * NANOS, 1), spend * NANOS, (10 * NANOS, 1), Flight(0, DAY), None, None))
    (addressed,) = parts_of(source, SOURCES, tick * MINUTE, {(account, "EUR"): sums})
    assert addressed.partition == partition_of(account.encode(), SOURCES)
    return addressed.value


def close(source: int, tick: int, *, complete: bool = True) -> bytes:
    """That it has no more to say."""
    closing = list(closing_parts(source, SOURCES, tick * MINUTE, complete=complete))
    assert [each.partition for each in closing] == list(range(SOURCES))
    return closing[HERE].value


def fold(into: AccountLedger, values: Sequence[bytes], *, at_once: bool = True) -> list[AccountSlice]:
    """Take them as one batch that continues where it stands, and judge what is due, unless that is to wait."""
    start = into.positions[PARTS]
    batch = RecordBatch(PARTS, HERE, range(start, start + len(values)), [None] * len(values), list(values), 0)
    into.fold_parts(batch)
    into.advance(PARTS, start + len(values))
    return judge(into) if at_once else []


def judge(accounts: AccountLedger, most: int = 1000) -> list[AccountSlice]:
    """Judge what is due, so many accounts at a time."""
    return list(iter(lambda: accounts.judge_some(most), None))


def plans(into: AccountLedger, *records: tuple[bytes, bytes | None]) -> list[str]:
    """Caps and tombstones; the reasons of those refused."""
    keys, values = [key for key, _ in records], [value for _, value in records]
    folded = into.fold_plans(RecordBatch(CAPS, HERE, range(len(keys)), keys, values, 0))
    assert folded.accepted + len(folded.refused) == len(records)
    return [refused.reason for refused in folded.refused]


def cap(account: str = "acme", budget: object = "1000") -> bytes:
    body = {"account_id": account, "currency": "EUR", "total_budget": budget}
    return json.dumps({**body, "flight_start": "1970-01-01", "flight_end": "1970-01-10"}).encode()


def told(judged: Iterable[AccountSlice]) -> list[tuple[int, str, str, bool]]:
    """The ticks with what each account had spent."""
    return [
        (tick.tick // MINUTE, event.body["account_id"], event.body["total_spend"], tick.complete)
        for tick in judged
        for event in tick.events
        if event.kind == "account_snapshot_taken"
    ]


def restored(from_: Iterable[tuple[bytes, bytes | None]]) -> AccountLedger:
    """What the records of its changelog make."""
    made = AccountLedger(HERE, SOURCES, plans=CAPS, parts=PARTS)
    assert made.load(dict(from_))
    return made


# -- ticks -----------------------------------------------------------------------------------------------------------


def test_a_tick_waits_for_every_source_and_is_told_once() -> None:
    accounts = ledger()
    assert fold(accounts, [part(0, 1, 2), close(0, 1), part(1, 1, 3)]) == []
    assert told(fold(accounts, [part(1, 1, 4), close(1, 1)])) == [(1, "acme", "9.00", True)]
    assert fold(accounts, [part(0, 1, 2), close(0, 1)]) == [], "it is dealt with"


def test_a_tick_is_complete_if_all_its_parts_are() -> None:
    assert told(fold(ledger(), [part(0, 1), close(0, 1, complete=False), close(1, 1)])) == [(1, "acme", "1.00", False)]


def test_a_source_that_is_behind_holds_the_later_ticks_as_well() -> None:
    accounts = ledger()
    ahead = [record for tick in (1, 2, 3) for record in (part(0, tick, tick), close(0, tick))]
    assert fold(accounts, ahead) == []
    behind = [close(1, tick) for tick in (1, 2, 3)]
    assert told(fold(accounts, behind)) == [
        (1, "acme", "1.00", True),
        (2, "acme", "2.00", True),
        (3, "acme", "3.00", True),
    ]


def test_a_tick_that_a_source_passes_over_is_never_told() -> None:
    accounts = ledger()
    assert fold(accounts, [part(0, 1), close(0, 1), part(0, 2), close(0, 2)]) == []
    assert told(fold(accounts, [close(1, 2)])) == [(2, "acme", "1.00", True)]
    assert accounts.skipped == 1
    fold(accounts, [close(1, 5)])
    assert fold(accounts, [part(0, 4), close(0, 4)]) == [], "the other source is past it"
    assert told(fold(accounts, [part(0, 5), close(0, 5)])) == [(5, "acme", "1.00", True)]


def test_so_many_ticks_wait_and_the_oldest_of_more_is_given_up() -> None:
    accounts = ledger()
    for tick in range(1, MOST_OPEN_TICKS + 2):
        fold(accounts, [part(0, tick), close(0, tick)])
    assert (accounts.skipped, accounts.last_tick) == (1, MINUTE)
    again = restored(accounts.changes())
    assert again.last_tick == MINUTE
    assert told(fold(accounts, [close(1, tick) for tick in (1, 2)])) == [(2, "acme", "1.00", True)]


def test_a_record_that_is_no_part_is_not_guessed_at() -> None:
    for value in (None, b"{", b'{"source":1}', b'{"format":2,"source":1,"tick":1}'):
        with pytest.raises(UnreadableLedgerError):
            read_part(value)


# -- caps ------------------------------------------------------------------------------------------------------------


def test_caps_are_taken_refused_and_ended() -> None:
    accounts = ledger()
    elsewhere = next(name for name in map(str, range(9)) if partition_of(name.encode(), SOURCES) != HERE)
    assert plans(
        accounts,
        (b"acme", cap()),
        (b"acme", b"{"),
        (b"other", cap()),
        (elsewhere.encode(), cap(elsewhere)),
        (elsewhere.encode(), None),
        (b"acme", cap(budget="0")),
    ) == ["malformed_json", "wrong_partition", "wrong_partition", "wrong_partition", "invalid_plan"]
    assert list(accounts.caps) == ["acme"]
    (tick,) = fold(accounts, [close(0, 1), close(1, 1)])
    assert tick.events[0].body["cap"] == "1000.00", "a cap is told without any campaign"
    assert plans(accounts, (b"acme", None), (b"acme", None)) == []
    (tick,) = fold(accounts, [close(0, 2), close(1, 2)])
    assert tick.events == []


# -- restarts --------------------------------------------------------------------------------------------------------


def test_what_is_open_is_read_again_and_what_is_remembered_is_not() -> None:
    accounts = ledger()
    plans(accounts, (b"acme", cap()))
    log = [part(0, 1, 900), close(0, 1), close(1, 1), part(0, 2, 900)]
    (first,) = fold(accounts, log)
    kinds = [event.kind for event in first.events]
    # 90 % at the first minute of ten days: 90 points ahead, and the milestones 50, 80 and 90.
    assert kinds == ["account_snapshot_taken", "deviation_detected", *["alert_raised"] * 4]
    records = accounts.changes()
    assert accounts.changes() == [], "nothing has changed since"
    again = restored(records)
    assert again.positions == {CAPS: 0, PARTS: 3}, "from the first part of what is open"
    (second,) = fold(again, [*log[3:], close(0, 2), close(1, 2)])
    assert [event.kind for event in second.events] == ["account_snapshot_taken", *["alert_cleared"] * 3]
    assert {event.body["kind"] for event in second.events[1:]} == {"milestone_reached"}, "they are told once"
    assert second.events[0].body["total_spend"] == "900.00"


def test_a_tick_that_is_judged_in_part_goes_on_behind_the_last_account() -> None:
    accounts = ledger()
    log = [*(part(0, 1, 900, name) for name in NEIGHBOURS), close(0, 1), close(1, 1)]
    fold(accounts, log, at_once=False)
    first = accounts.judge_some(2)
    assert first is not None
    assert not first.done
    again = restored(accounts.changes())
    assert (again.positions[PARTS], again.last_tick) == (0, None)
    rest = fold(again, log)
    assert [name for _, name, _, _ in told([first, *rest])] == sorted(NEIGHBOURS)
    assert [each.done for each in rest] == [True]
    assert again.last_tick == MINUTE


def test_an_ended_cap_and_an_ended_alert_are_taken_off_the_changelog() -> None:
    accounts = ledger()
    fold(accounts, [part(0, 1, 900), close(0, 1), close(1, 1)])
    plans(accounts, (b"acme", cap()))
    records: dict[bytes, bytes | None] = dict(accounts.changes())
    assert {key[:1] for key in records} == {b"a", b"s", b"m"}
    plans(accounts, (b"acme", None))
    fold(accounts, [close(0, 2), close(1, 2)])
    ended = dict(accounts.changes())
    assert [key[:1] for key, value in ended.items() if value is None] == [b"a", b"s"]
    assert restored({**records, **ended}.items()).caps == {}


@pytest.mark.parametrize(
    "records",
    [
        {b"m": b"{"},
        {b"m": b'{"format":2,"partition":0,"partitions":2,"positions":{},"last_tick":null}'},
        {b"m": b'{"partition":7,"partitions":9,"positions":{},"last_tick":null}'},
        {b"z1": b"{}"},
        {b"a1": b"{"},
    ],
    ids=["no JSON", "another format", "another partition", "an unknown kind", "a broken cap"],
)
def test_records_that_do_not_belong_are_refused(records: dict[bytes, bytes]) -> None:
    marker = dict(ledger().changes() or [])
    accounts = AccountLedger(HERE, SOURCES, plans=CAPS, parts=PARTS)
    fold(started := ledger(), [close(0, 1)])
    with pytest.raises(UnreadableLedgerError):
        accounts.load({**marker, **dict(started.changes()), **records})


def test_without_a_marker_there_is_no_state() -> None:
    assert not AccountLedger(HERE, SOURCES, plans=CAPS, parts=PARTS).load({})


# Each source's stream: its ticks ascending, some passed over, each in up to three parts and a closing one.
streams = st.lists(
    st.tuples(st.integers(1, 3), st.lists(st.integers(0, 50), max_size=3), st.booleans()), min_size=1, max_size=6
)


def written(source: int, stream: Sequence[tuple[int, list[int], bool]]) -> list[bytes]:
    records, tick = [], 0
    for step, spends, complete in stream:
        tick += step
        records += [part(source, tick, spend, NEIGHBOURS[spend % 3]) for spend in spends]
        records.append(close(source, tick, complete=complete))
    return records


@settings(deadline=None)
@given(streams, streams, st.data())
def test_ticks_come_out_the_same_wherever_it_is_killed(one: list[Any], two: list[Any], data: st.DataObject) -> None:
    sources = [written(0, one), written(1, two)]
    log: list[bytes] = []
    while any(sources):
        which = data.draw(st.sampled_from([each for each in sources if each]))
        log.append(which.pop(0))
    whole = told(fold(ledger(), log))

    accounts, changelog, committed = ledger(), dict[bytes, bytes | None](), list[tuple[int, str, str, bool]]()
    waiting: list[tuple[int, str, str, bool]] = []
    while accounts.positions[PARTS] < len(log):
        at = accounts.positions[PARTS]
        fold(accounts, log[at : at + data.draw(st.integers(1, 4))], at_once=False)
        for _ in range(data.draw(st.integers(0, 4))):
            part = accounts.judge_some(1)
            waiting += [] if part is None else told([part])
        match data.draw(st.sampled_from(["go on", "save", "kill"])):
            case "save":
                changelog.update(accounts.changes())
                committed, waiting = [*committed, *waiting], []
            case "kill":
                accounts, waiting = restored(changelog.items()) if changelog else ledger(), []
    assert [*committed, *waiting, *told(judge(accounts, 1))] == whole
    assert told(_by_the_book(one, two)) == whole


def _by_the_book(one: Sequence[Any], two: Sequence[Any]) -> list[AccountSlice]:
    """The oracle: ticks that both sources have taken, in order, from what each says of them, read tick by tick."""
    by_tick: list[dict[int, tuple[list[int], bool]]] = []
    for stream in (one, two):
        taken, tick = {}, 0
        for step, spends, complete in stream:
            tick += step
            taken[tick] = (spends, complete)
        by_tick.append(taken)
    accounts = ledger()
    judged: list[AccountSlice] = []
    for tick in sorted(by_tick[0].keys() & by_tick[1].keys()):
        records = [
            part(source, tick, spend, NEIGHBOURS[spend % 3]) for source in (0, 1) for spend in by_tick[source][tick][0]
        ]
        closing = [close(source, tick, complete=by_tick[source][tick][1]) for source in (0, 1)]
        judged += fold(accounts, [*records, *closing])
    return judged
