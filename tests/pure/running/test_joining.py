"""Small batches are folded together, and it makes no difference but in speed."""

from __future__ import annotations

import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.joining import joined
from worker.lane import Fetched
from worker.ledger import Ledger, LedgerLimits, RecordBatch
from worker.ledger.identity import BUCKETS

WIDTH_MS = 1_000
HORIZON = LedgerLimits(horizon_ms=WIDTH_MS * BUCKETS)


def update(number: int) -> bytes:
    fields = {"event_id": str(number % 40), "source": "ads", "campaign_id": f"c{number % 3}", "spend": str(number)}
    return json.dumps({**fields, "event_time": "2026-01-01T00:00:00Z"}).encode()


def log(seed: int) -> list[Fetched]:
    """Batches of all sizes, control records among them, repeats and conflicts near the horizon."""
    dice = random.Random(seed)
    batches, at, now = [], 0, 0
    for _ in range(30):
        now += dice.randrange(3 * WIDTH_MS)
        size = dice.randrange(5)
        records = None
        if size:
            values = [update(dice.randrange(60)) for _ in range(size)]
            keys: list[bytes | None] = [json.loads(value)["campaign_id"].encode() for value in values]
            records = RecordBatch("spend", 0, range(at, at + size), keys, list(values), now)
        batches.append(Fetched(at, at + max(size, 1), records))
        at = batches[-1].end
    return batches


def folded(batches: list[Fetched]) -> tuple[int, int, list[int], dict[bytes, bytes | None]]:
    """Everything a ledger says and writes about *batches*."""
    ledger = Ledger(0, 1, HORIZON)
    accepted = duplicates = 0
    refused = []
    for batch in batches:
        if batch.records is not None:
            found = ledger.fold_spend(batch.records)
            accepted, duplicates = accepted + found.accepted, duplicates + found.duplicates
            refused += [each.offset for each in (*found.refused, *found.late)]
        ledger.advance("spend", batch.end)
    return accepted, duplicates, refused, dict(ledger.changes())


@given(st.integers(0, 10_000), st.integers(1, 40))
@settings(deadline=None)
def test_a_ledger_is_the_same_whether_batches_were_joined_or_not(seed: int, enough: int) -> None:
    batches = log(seed)
    assert folded(list(joined(batches, WIDTH_MS, enough))) == folded(batches)


@given(st.integers(0, 10_000), st.integers(1, 40))
@settings(deadline=None)
def test_the_chain_holds_every_record_once_and_in_order(seed: int, enough: int) -> None:
    batches = log(seed)
    fewer = list(joined(batches, WIDTH_MS, enough))
    assert [batch.start for batch in fewer] == [0, *(batch.end for batch in fewer[:-1])]
    assert fewer[-1].end == batches[-1].end
    values = [value for batch in fewer if batch.records for value in batch.records.values]
    assert values == [value for batch in batches if batch.records for value in batch.records.values]


def test_batches_that_continue_each_other_become_one_with_a_range_of_offsets() -> None:
    parts = [
        Fetched(at, at + 2, RecordBatch("spend", 0, range(at, at + 2), [b"k"] * 2, [b"v"] * 2, at)) for at in (0, 2)
    ]
    (only,) = joined(parts, WIDTH_MS)
    assert (only.start, only.end) == (0, 4)
    assert only.records is not None
    assert only.records.offsets == range(4)
    assert only.records.max_timestamp == 2


def test_a_broken_chain_is_not_papered_over() -> None:
    parts = [Fetched(0, 2, None), Fetched(5, 7, None)]
    assert list(joined(parts, WIDTH_MS)) == parts
