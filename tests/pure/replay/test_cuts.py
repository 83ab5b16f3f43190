"""A worker's own cuts over recorded input: every partition's ledger is led through the same ticks again."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fields import format_time
from tests.pure.ledger.world import MINUTE, START, at, plan, update
from tests.pure.replay.files import PLANS, SPEND, Done, Json, run
from worker.events import encode_body
from worker.ledger import Ledger, LedgerLimits, RecordBatch
from worker.ledger.partitions import partition_of
from worker.tick import tick_closed

CAMPAIGNS = ("c", "d", "e", "f")
LONG = {"flight_end": at(minutes=10_000)}


class Live:
    """A worker's partitions, without the worker: what comes, when ticks are taken, and what is published."""

    def __init__(self, partitions: int) -> None:
        limits = LedgerLimits(tick_nanos=10 * MINUTE)
        self.ledgers = [Ledger(number, partitions, limits) for number in range(partitions)]
        self.records: dict[str, list[Json]] = {PLANS: [], SPEND: []}
        self.ends: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.cuts: list[Json] = []
        self.published: defaultdict[str, list[bytes]] = defaultdict(list)
        for ledger in self.ledgers:
            for topic in (SPEND, PLANS):
                ledger.advance(topic, 0)

    def comes(self, topic: str, said: Json, milliseconds: int) -> None:
        """A record."""
        key = said["campaign_id"].encode()
        partition = partition_of(key, len(self.ledgers))
        offset = self.ends[topic, partition]
        self.ends[topic, partition] += 1
        value = json.dumps(said)
        record = {"topic": topic, "partition": partition, "offset": offset, "ts": milliseconds, "key": key.decode()}
        self.records[topic].append({**record, "payload": value})
        batch = RecordBatch(topic, partition, [offset], [key], [value.encode()], milliseconds, [milliseconds])
        ledger = self.ledgers[partition]
        (ledger.fold_plans if topic == PLANS else ledger.fold_spend)(batch)

    def ticks(self, partition: int, tick: int, *, complete: bool) -> None:
        """A partition takes a tick."""
        ledger = self.ledgers[partition]
        if ledger.last_tick is not None and tick <= ledger.last_tick:
            return
        ledger.open_tick(tick, complete=complete)
        done = False
        while not done:
            events, _, done = ledger.tick_slice(1)
            for campaign, event in events:
                self.published[campaign].append(encode_body(event.body))
        self.cuts.append(json.loads(encode_body(tick_closed(ledger))))
        ledger.close_tick()


def by_campaign(done: Done) -> dict[str, list[bytes]]:
    told: defaultdict[str, list[bytes]] = defaultdict(list)
    for line in done.lines:
        told[json.loads(line)["campaign_id"]].append(line)
    return told


def values(records: list[Json]) -> list[str]:
    """The messages alone, as a recording without records has them."""
    return [record["payload"] for record in records]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("spend"), st.sampled_from(CAMPAIGNS), st.integers(0, 300), st.integers(0, 99)),
        st.tuples(st.just("spend"), st.sampled_from(CAMPAIGNS), st.integers(0, 300), st.integers(0, 99)),
        st.tuples(st.just("plan"), st.sampled_from(CAMPAIGNS), st.integers(-50, 300) | st.none(), st.integers(1, 9)),
        st.tuples(st.just("tick"), st.integers(0, 2), st.integers(1, 4), st.booleans()),
    ),
    max_size=40,
)


def lead(live: Live, taken: list[Any]) -> None:
    """Let the steps happen, a minute after each other."""
    for campaign in CAMPAIGNS[:3]:
        live.comes(PLANS, plan(campaign), START // 10**6)
    now = START
    for number, (what, who, when, how) in enumerate(taken):
        now += MINUTE
        if what == "spend":
            live.comes(SPEND, update(f"e{number}", when, f"{how}.00", campaign_id=who), now // 10**6)
        elif what == "plan":
            since = {} if when is None else {"effective_at": at(minutes=when)}
            live.comes(PLANS, plan(who, total_budget=f"{how}00.00", **since), now // 10**6)
        else:
            now += when * 10 * MINUTE
            live.ticks(who % len(live.ledgers), now - now % (10 * MINUTE), complete=how)
    for partition in range(len(live.ledgers)):
        live.ticks(partition, START + 1_000 * MINUTE, complete=True)


@given(steps, st.integers(1, 3))
@settings(max_examples=80, deadline=None)
def test_the_events_of_any_life_come_out_again_byte_for_byte(taken: list[Any], partitions: int) -> None:
    live = Live(partitions)
    lead(live, taken)
    done = run(live.records[PLANS], live.records[SPEND], live.cuts, tick=None)
    assert (done.code, done.faults) == (0, [])
    assert by_campaign(done) == live.published


@given(steps.map(lambda taken: [step for step in taken if step[0] != "plan" or step[2] is not None]), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_messages_in_the_order_of_their_offsets_do_where_plans_say_from_when_they_count(
    taken: list[Any], partitions: int
) -> None:
    live = Live(partitions)
    lead(live, taken)
    done = run(values(live.records[PLANS]), values(live.records[SPEND]), live.cuts, tick=None)
    assert (done.code, done.faults) == (0, [])
    assert by_campaign(done) == live.published


# --- alignment -------------------------------------------------------------------------------------------------------


def cut(tick: int, plans: int, spend: int, partition: int = 0, **other: Any) -> Json:
    """A cut, so many minutes after the start."""
    name = format_time(START + tick * MINUTE)
    return {
        "partition": partition,
        "tick": name,
        "complete": True,
        "next_offsets": {SPEND: spend, PLANS: plans},
    } | other


def record(offset: int, said: Json | None, partition: int = 0, **other: Any) -> Json:
    payload = None if said is None else json.dumps(said)
    return {"partition": partition, "offset": offset, "key": "c", "ts": -1, "payload": payload} | other


FED = [update("a", 10), update("b", 70), update("c", 20), update("d", 30)]


def test_a_tick_counts_what_its_cut_covers_and_says_so() -> None:
    done = run([plan(**LONG)], list(FED), [cut(60, 1, 3), cut(120, 1, 4, complete=False)])
    assert done.told("snapshot_taken", "total_spend", "future_spend", "late_spend", "complete") == [
        ("2.00", "1.00", "0.00", True),
        ("4.00", "0.00", "1.00", False),
    ]
    positions = [row[0] for row in done.told("snapshot_taken", "ledger_position")]
    assert positions == [{"partition": 0, "next_offsets": {SPEND: spend, PLANS: 1}} for spend in (3, 4)]
    assert list(positions[0]["next_offsets"]) == [SPEND, PLANS]


def test_from_and_to_say_which_of_the_ticks_are_told_and_the_others_are_taken() -> None:
    cuts: list[Json | str] = [cut(60, 1, 1), cut(120, 1, 2), cut(180, 1, 4)]
    done = run([plan(**LONG)], list(FED), cuts, since=at(minutes=120), until=at(minutes=120))
    assert done.told("snapshot_taken", "timestamp", "total_spend") == [(at(minutes=120), "2.00")]


def test_a_tombstone_ends_the_plan_before_the_tick_that_covers_it() -> None:
    plans = [record(0, plan(**LONG)), record(1, None)]
    done = run(plans, [record(0, FED[0])], [cut(60, 1, 1), cut(120, 2, 1)])
    assert (done.code, len(done.told("snapshot_taken"))) == (0, 1)


def test_offsets_that_only_control_records_have_are_passed_over() -> None:
    spend = [record(0, FED[0]), record(2, FED[1])]
    done = run([record(0, plan(**LONG))], spend, [cut(60, 1, 2), cut(120, 1, 4)])
    assert (done.code, done.faults) == (0, [])
    assert done.told("snapshot_taken", "total_spend") == [("1.00",), ("2.00",)]


def test_records_of_a_partition_without_cuts_are_left_out() -> None:
    spend = [record(0, update("x", 5, campaign_id="d"), partition=7, key="d"), record(0, FED[0])]
    done = run([record(0, plan(**LONG))], spend, [cut(60, 1, 1)])
    assert (done.code, done.told("snapshot_taken", "total_spend")) == (0, [("1.00",)])


def test_a_record_under_another_key_is_refused_as_it_was_live() -> None:
    done = run([record(0, plan(**LONG))], [record(0, FED[0], key="other")], [cut(60, 1, 1)])
    assert done.faults == ["spend:1: campaign_id: its key or partition is not its campaign's"]
    assert done.told("snapshot_taken", "total_spend") == [("0.00",)]


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cuts", "fault"),
    [
        ([], "cuts:1: message: there is no cut in the file"),
        (["{"], "cuts:1: message: malformed JSON: "),
        ([{"partition": 0}], "cuts:1: message: no cut to go by: "),
        ([cut(60, 1, 1) | {"tick": "today"}], "cuts:1: message: no cut to go by: "),
        ([cut(60, 1, 1, next_offsets={SPEND: 1})], "cuts:1: message: no cut to go by: its next_offsets do not name"),
        ([cut(60, 1, 1), cut(60, 1, 1)], "cuts:2: message: no cut to go by: its tick is not after that of item 1"),
        ([cut(60, 1, 2), cut(70, 1, 1)], "cuts:2: message: no cut to go by: it covers less than item 1"),
    ],
)
def test_cuts_that_no_worker_made_are_told_and_nothing_is_replayed(cuts: list[Json | str], fault: str) -> None:
    done = run([plan(**LONG)], list(FED), cuts)
    assert (done.code, done.lines, len(done.faults)) == (2, [], 1)
    assert done.faults[0].startswith(fault)


@pytest.mark.parametrize(
    ("plans", "spend", "fault"),
    [
        (1, 5, f"cuts:2: next_offsets: it covers {SPEND}-0 up to offset 5, but spend ends at 4"),
        (2, 4, f"cuts:2: next_offsets: it covers {PLANS}-0 up to offset 2, but plan ends at 1"),
    ],
)
def test_a_cut_over_input_that_was_not_recorded_is_told_and_the_ticks_before_it_stand(
    plans: int, spend: int, fault: str
) -> None:
    done = run([plan(**LONG)], list(FED), [cut(60, 1, 2), cut(120, plans, spend), cut(180, plans, spend)])
    assert (done.code, done.faults) == (2, [fault])
    assert done.told("snapshot_taken", "total_spend") == [("1.00",)]


def test_a_message_that_may_have_lain_anywhere_is_told() -> None:
    cuts = [cut(60, 1, 1), cut(60, 0, 0, partition=1)]
    assert partition_of(b"c", 2) == 0
    done = run([plan(**LONG)], ["{", *FED], cuts)
    place = "no campaign_id, so which of 2 partitions it lay in can be told only by a record"
    assert done.faults == [f"spend:1: message: {place}"]
    assert done.told("snapshot_taken", "total_spend") == [("1.00",)]


def test_a_message_that_cannot_be_read_has_its_offset_where_there_is_one_partition() -> None:
    done = run([plan(**LONG)], [FED[0], "{", FED[2]], [cut(60, 1, 2), cut(120, 1, 3)])
    assert len(done.faults) == 1
    assert done.faults[0].startswith("spend:2: message: ")
    assert done.told("snapshot_taken", "total_spend") == [("1.00",), ("2.00",)]


def test_records_out_of_order_and_a_beginning_that_is_missing_are_told() -> None:
    spend = [record(3, FED[0]), record(2, FED[1]), record(4, FED[2])]
    done = run([record(5, plan(**LONG))], spend, [cut(60, 6, 5)])
    assert done.faults == [
        "spend:1: offset: partition 0 begins with offset 3: what was before it is missing",
        "spend:2: offset: offset 2 of partition 0 comes after 3",
    ]
    assert done.told("snapshot_taken", "total_spend") == [("2.00",)]


def test_a_correction_refused_late_is_told_by_its_own_line() -> None:
    fix = update("fix", 5, "2.00", kind="correction", corrects="r")
    report = update("r", 6, "9.00", kind="cumulative")
    done = run([plan(**LONG)], [FED[0], fix, FED[1], report], [cut(60, 1, 3), cut(120, 1, 4)])
    assert [fault.partition(": ")[0] for fault in done.faults] == ["spend:2"]
