"""A partition folds what continues where it stands, and nothing else."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from worker import partition as partition_module
from worker.accounts import AccountStage
from worker.events import EventWriter
from worker.exits import Exit
from worker.lane import Fetched, Take
from worker.ledger import Ledger, LedgerLimits, RecordBatch
from worker.ledger.accounts import AccountLedger
from worker.metrics import Metrics
from worker.partition import Outbox, Partition
from worker.settings import load_settings
from worker.topics import output_topics

PLANS, SPEND, CAPS, PARTS = "plans", "spend", "caps", "parts"
TICK = 1_767_225_600 * 10**9


@pytest.fixture
def partition() -> Partition:
    """Partition 0 of 1, open, at the beginning of both inputs."""
    ledger = Ledger(0, 1, LedgerLimits())
    for topic in (PLANS, SPEND):
        ledger.advance(topic, 0)
    outbox = Outbox(0, EventWriter(output_topics(load_settings(env_file=None)), "/test"))
    metrics = Metrics(CollectorRegistry())
    made = Partition(
        ledger,
        outbox,
        inputs=(PLANS, SPEND),
        accounts=accounts_of_one(metrics),
        metrics=metrics,
        most_unsaved=1_000,
        width_ms=60_000,
    )
    made.is_open = True
    return made


def accounts_of_one(metrics: Metrics) -> AccountStage:
    """The account stage of a partition that is the only one, at the beginning of its inputs."""
    ledger = AccountLedger(0, 1, plans=CAPS, parts=PARTS)
    for topic in (CAPS, PARTS):
        ledger.advance(topic, 0)
    return AccountStage(ledger, 1, plans=CAPS, parts=PARTS, changelog="account-ledger", metrics=metrics)


def update(number: int) -> bytes:
    fields = {"event_id": str(number), "source": "ads", "campaign_id": "c", "spend": "1"}
    return json.dumps({**fields, "event_time": "2025-12-31T00:00:00Z"}).encode()


def spend(*numbers: int, start: int = 0, end: int | None = None) -> Fetched:
    """A batch of updates that begins at *start*."""
    end = start + len(numbers) if end is None else end
    offsets: Sequence[int] = range(start, start + len(numbers))
    return Fetched(
        start,
        end,
        RecordBatch(SPEND, 0, offsets, [b"c"] * len(numbers), [update(n) for n in numbers], 1_767_000_000_000),
    )


def take(topic: str, *batches: Fetched) -> Take:
    return Take(topic, 0, 0, batches)


def plans(start: int) -> Fetched:
    fields = {"campaign_id": "c", "account_id": "a", "currency": "USD", "total_budget": "100"}
    body = json.dumps({**fields, "flight_start": "2025-12-01", "flight_end": "2026-01-31"}).encode()
    batch = RecordBatch(PLANS, 0, range(start, start + 1), [b"c"], [body], 1_767_000_000_000, [1_767_000_000_000])
    return Fetched(start, start + 1, batch)


async def test_what_continues_the_chain_is_folded(partition: Partition) -> None:
    assert await partition.fold(take(SPEND, spend(1, 2), spend(3, start=2)))
    assert partition.position(SPEND) == 3


async def test_control_records_move_the_position_and_fold_nothing(partition: Partition) -> None:
    assert await partition.fold(take(SPEND, spend(1), Fetched(1, 2, None), spend(2, start=2)))
    assert partition.position(SPEND) == 3


@pytest.mark.parametrize("start", [1, 5], ids=["a gap", "a longer gap"])
async def test_a_gap_breaks_the_chain_and_nothing_is_folded(partition: Partition, start: int) -> None:
    assert not await partition.fold(take(SPEND, spend(1, start=start)))
    assert partition.position(SPEND) == 0


async def test_a_batch_that_was_folded_before_breaks_the_chain(partition: Partition) -> None:
    await partition.fold(take(SPEND, spend(1, 2)))
    assert not await partition.fold(take(SPEND, spend(1, 2)))
    assert partition.position(SPEND) == 2


async def test_a_closed_partition_folds_nothing(partition: Partition) -> None:
    partition.is_open = False
    assert await partition.fold(take(SPEND, spend(1)))
    assert partition.ledger.positions[SPEND] == 0
    assert partition.position(SPEND) is None


async def test_plans_wait_while_a_tick_is_open_and_spend_does_not(partition: Partition) -> None:
    await partition.fold(take(PLANS, plans(0)))
    partition.ledger.open_tick(TICK)
    assert partition.position(PLANS) is None
    assert await partition.fold(take(PLANS, plans(1)))
    assert partition.ledger.positions[PLANS] == 1
    assert await partition.fold(take(SPEND, spend(1)))
    assert partition.position(SPEND) == 1


async def test_a_hole_in_spend_ends_the_worker(partition: Partition, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Exit] = []
    monkeypatch.setattr(partition_module, "leave", lambda code, _: said.append(code))
    await partition.fold(take(SPEND, spend(1, 2, end=5)))
    assert said == [Exit.INPUT_LOST]


async def test_a_hole_in_plans_is_compaction(partition: Partition) -> None:
    assert await partition.fold(take(PLANS, plans(0)._replace(end=9)))
    assert partition.position(PLANS) == 9


async def test_a_cut_holds_everything_since_the_last_and_its_marker_comes_last(partition: Partition) -> None:
    bad = RecordBatch(SPEND, 0, range(1, 2), [b"c"], [b"{"], 1_767_000_000_000)
    await partition.fold(take(SPEND, spend(1), Fetched(1, 2, bad)))
    cut = partition.cut()
    assert cut is not None
    assert cut.positions == {PLANS: 0, SPEND: 2, CAPS: 0, PARTS: 0}
    accounts = cut.outputs.pop("account-ledger")  # type: ignore[attr-defined]  # a dict, here
    assert [record.key for record in accounts] == [b"m"]
    ((topic, letters),) = cut.outputs.items()
    assert (topic, [letter.value for letter in letters]) == ("spend.dlq", [b"{"])
    again = Ledger(0, 1, LedgerLimits())
    assert not again.load(dict(cut.ledger[:-1])), "a marker before the end"
    assert partition.cut() is None


async def test_many_unsaved_updates_ask_for_a_checkpoint_and_then_for_a_pause(partition: Partition) -> None:
    await partition.fold(take(SPEND, spend(*range(999))))
    assert not partition.checkpoint_wanted.is_set()
    await partition.fold(take(SPEND, spend(999, start=999)))
    assert partition.checkpoint_wanted.is_set()
    assert not full(partition)
    await partition.fold(take(SPEND, spend(*range(1_000, 4_000), start=1_000)))
    assert full(partition)
    partition.cut()
    assert not full(partition)


async def test_a_few_large_dead_letters_ask_for_a_checkpoint_and_then_for_a_pause(
    partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_module, "OUTBOX_BYTES", 1_000)
    await partition.fold(take(SPEND, garbage(999)))
    assert not partition.checkpoint_wanted.is_set()
    await partition.fold(take(SPEND, garbage(1, start=1)))
    assert partition.checkpoint_wanted.is_set()
    assert not full(partition)
    await partition.fold(take(SPEND, garbage(3_000, start=2)))
    assert full(partition)
    partition.cut()
    assert not full(partition)


def garbage(size: int, start: int = 0) -> Fetched:
    """A batch of one record that is no update, of so many bytes."""
    batch = RecordBatch(SPEND, 0, range(start, start + 1), [b"c"], [b"x" * size], 1_767_000_000_000)
    return Fetched(start, start + 1, batch)


def full(partition: Partition) -> bool:
    """Whether fetching pauses for this partition."""
    return partition.is_full


async def test_reading_up_to_the_ends_waits_for_every_input(partition: Partition) -> None:
    waiting = asyncio.create_task(partition.read_up_to({PLANS: 1, SPEND: 2}, time.monotonic() + 10))
    await partition.fold(take(SPEND, spend(1, 2)))
    await asyncio.sleep(0)
    assert not waiting.done()
    await partition.fold(take(PLANS, plans(0)))
    assert await waiting


async def test_reading_up_to_the_ends_gives_up_at_the_deadline(partition: Partition) -> None:
    assert not await partition.read_up_to({SPEND: 1}, time.monotonic() + 0.01)


# -- accounts ---------------------------------------------------------------------------------------------------------


def parts(partition: Partition) -> list[bytes | None]:
    """The values of the account parts that the next checkpoint writes."""
    cut = partition.cut()
    assert cut is not None
    assert set(cut.parts) <= {(PARTS, 0)}
    return [record.value for records in cut.parts.values() for record in records]


async def told(partition: Partition, *values: bytes | None) -> list[str]:
    """The types of the events that reading these parts leads to."""
    start = partition.positions[PARTS]
    end = start + len(values)
    batch = RecordBatch(PARTS, 0, range(start, end), [None] * len(values), list(values), 1_767_000_000_000)
    assert await partition.fold(take(PARTS, Fetched(start, end, batch)))
    cut = partition.cut()
    if cut is None:
        return []
    topics = output_topics(load_settings(env_file=None)).values()
    return [topic for topic in topics for _ in cut.outputs.get(topic, ())]


async def test_what_a_slice_adds_up_is_written_with_it_and_the_close_with_the_last(partition: Partition) -> None:
    await partition.fold(take(PLANS, plans(0)))
    partition.ledger.open_tick(TICK)
    partition.cut()
    partition.ledger.tick_slice(1)
    (part,) = parts(partition)
    assert part is not None
    assert json.loads(part)["sums"]["campaigns"] == 1
    partition.accounts.close(partition.ledger, TICK)
    partition.ledger.close_tick()
    (closing,) = parts(partition)
    assert closing is not None
    assert json.loads(closing) == {"source": 0, "tick": TICK, "complete": True}
    assert await told(partition, part) == []
    assert await told(partition, closing) == ["pacing.deviation_detected", "pacing.account_snapshot_taken"]


async def test_until_a_tick_is_judged_a_restart_would_read_its_parts_again(partition: Partition) -> None:
    await told(partition, b'{"source":0,"tick":7,"account_id":"a","currency":"USD","sums":{}}')
    assert (partition.positions[PARTS], partition.saved_positions[PARTS]) == (1, 0)
    await told(partition, b'{"source":0,"tick":7,"complete":true}')
    assert (partition.positions[PARTS], partition.saved_positions[PARTS]) == (2, 2)


async def test_accounts_that_a_rebalance_left_over_are_judged_with_the_next_parts(partition: Partition) -> None:
    tick = [b'{"source":0,"tick":7,"account_id":"a","currency":"USD","sums":{"campaigns":1,"start":0,"end":9}}']
    await told(partition, *tick)
    closing = RecordBatch(PARTS, 0, range(1, 2), [None], [b'{"source":0,"tick":7,"complete":true}'], 1)
    partition.accounts.fold(closing)  # as if the partition had been closed right after it
    partition.accounts.ledger.advance(PARTS, 2)
    assert partition.saved_positions[PARTS] == 0
    assert await told(partition, b'{"source":0,"tick":8,"complete":true}') == ["pacing.account_snapshot_taken"]


async def test_a_cap_that_cannot_hold_is_a_dead_letter(partition: Partition) -> None:
    batch = RecordBatch(CAPS, 0, range(1), [b"a"], [b"{"], 1_767_000_000_000)
    await partition.fold(take(CAPS, Fetched(0, 1, batch)))
    cut = partition.cut()
    assert cut is not None
    assert [record.value for record in cut.outputs[f"{CAPS}.dlq"]] == [b"{"]
