"""Whatever the compiled loops take comes out just as the fold of one by one has it; and what is plain, they take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from unittest import mock

import numpy as np
import pytest
import xxhash
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fields import parse_time
from schemas.wire import SpendUpdate
from tests.pure.ledger.world import START, TICK
from tests.pure.schemas import corpus
from worker.ledger import LedgerLimits, RecordBatch, fold, kernel
from worker.ledger.batches import PADDING, Packed, joined, packed
from worker.ledger.book import Book
from worker.ledger.ledger import Ledger

Json = dict[str, Any]

PLAIN: Json = {
    "event_id": "evt-1",
    "source": "adserver",
    "campaign_id": "c",
    "channel": "CTV",
    "deal_id": "deal-1",
    "line_item_id": "line-7",
    "event_time": "2026-07-01T12:34:56.789Z",
    "kind": "increment",
    "spend": "12.345678901",
    "currency": "USD",
    "impressions": 1_200,
    "clicks": 3,
    "conversions": 0,
    "bids": 4_294_967_295,
    "wins": 1_300,
    "requests": 9_000,
    "conversion_value": "7.5",
}
LEAST: Json = {name: PLAIN[name] for name in ("event_id", "source", "campaign_id", "event_time", "spend")}


def as_json(said: Json) -> bytes:
    return json.dumps(said).encode()


def folded(values: Sequence[bytes], bulk_from: int, limits: LedgerLimits | None = None) -> tuple[Any, ...]:
    """What becomes of *values*, folded twice, and what the ledger remembers and counts after it."""
    ledger = Ledger(0, 1, limits or LedgerLimits(tick_nanos=TICK))
    ledger.expect_tick(START + TICK)
    count = len(values)
    with mock.patch.object(fold, "BULK_FROM", bulk_from):
        told = [
            ledger.fold_spend(RecordBatch("spend", 0, range(at, at + count), [b"c"] * count, values, 0))
            for at in (0, count)
        ]
    return *told, remembered(ledger._book), counted(ledger._book), heard(ledger._book)


def heard(book: Book) -> list[Any]:
    """What is known of each source."""
    return [(source.name, source.packed(), bytes(source.rows).strip(b"\0")) for source in book.sources.changed()]


def remembered(book: Book) -> dict[int, tuple[int, bytes]]:
    """What is kept of each id."""
    entries = (entry for row in book.by_row for entry in book.memory.notes_of(row))
    return {hashed: (book.memory.body(ordinal), note) for ordinal, hashed, note in entries}


def counted(book: Book) -> dict[Any, list[int]]:
    """What each attribution has in each cell."""
    return {
        (campaign.campaign_id, cell.lo, cell.hi, key): holding
        for campaign in book.campaigns.values()
        for cell in map(campaign.pending.value, campaign.pending.all())
        for key, holding in cell.held.items()
    }


def test_the_fields_are_those_of_an_update() -> None:
    assert set(kernel.FIELDS) == set(SpendUpdate.__struct_fields__)


@settings(deadline=None, max_examples=20)
@given(st.binary(min_size=kernel.HASHED + 7, max_size=kernel.HASHED + 7), st.integers(0, 7))
def test_a_hash_is_the_librarys_at_every_length(text: bytes, at: int) -> None:
    words = kernel.words_of(np.frombuffer(text + PADDING, np.uint8))
    for size in range(1, kernel.HASHED + 1):
        assert int(kernel.hash64(words, at, size)) == xxhash.xxh3_64_intdigest(text[at : at + size])


def test_every_form_of_an_update_and_every_broken_one_is_folded_as_one_by_one() -> None:
    before, after = as_json(LEAST), as_json({**LEAST, "event_id": "after"})
    for case in (*corpus.update_cases(), *corpus.broken_values(as_json(PLAIN))):
        values = [before, case.value, after]
        assert folded(values, 1) == folded(values, 1_000), case.name


def test_nothing_bad_is_taken() -> None:
    for case in corpus.update_cases():
        whole = packed([b"c"], [case.value])
        assert case.accepted or not kernel.scan(whole.data, whole.spans, is_keyed=False).fine.any(), case.name


TAKEN: tuple[tuple[str, bytes], ...] = (
    ("all fields", as_json(PLAIN)),
    ("the fewest fields", as_json(LEAST)),
    ("nothing between the tokens", json.dumps(PLAIN, separators=(",", ":")).encode()),
    ("a line each", json.dumps(PLAIN, indent=1).encode()),
    ("null is absent", as_json({**LEAST, "channel": None, "currency": None, "kind": None, "bids": None})),
    ("a credit", as_json({**LEAST, "kind": "credit", "spend": "-5.00"})),
    ("numbers for money", as_json({**LEAST, "spend": 12.5, "conversion_value": 3})),
    ("an offset", as_json({**LEAST, "event_time": "2026-07-01T12:34:56+02:30"})),
    ("a leap day", as_json({**LEAST, "event_time": "2028-02-29T23:59:59.999999999Z"})),
    ("fields nobody knows", as_json({**LEAST, "note": "text", "score": -1.25, "fresh": True, "stale": False})),
    ("the longest ids", as_json({**LEAST, "event_id": "e" * 100, "channel": "h" * 100})),
)


@pytest.mark.parametrize("value", [value for _, value in TAKEN], ids=[name for name, _ in TAKEN])
def test_what_is_plain_is_taken(value: bytes) -> None:
    whole = packed([b"c"], [value])
    assert kernel.scan(whole.data, whole.spans, is_keyed=True).fine.tolist() == [True]
    assert folded([value], 1) == folded([value], 1_000)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 400), st.integers(0, 3), st.binary(max_size=3) | st.sampled_from([b'"', b"\\", b"{", b"0", b","]))
def test_a_spoiled_update_is_folded_as_one_by_one(at: int, gone: int, come: bytes) -> None:
    good = as_json(PLAIN)
    values = [good[:at] + come + good[at + gone :], good]
    assert folded(values, 1) == folded(values, 1_000)


EDGES = ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00+00:01", "2000-02-29T00:00:00Z", "2100-03-01T00:00:00Z")


@settings(deadline=None)
@given(st.datetimes().map(lambda at: at.isoformat() + "Z") | st.sampled_from(EDGES))
def test_an_instant_is_that_of_the_contract(text: str) -> None:
    whole = packed([b"c"], [as_json({**LEAST, "event_time": text})])
    scanned = kernel.scan(whole.data, whole.spans, is_keyed=True)
    if scanned.fine[0]:
        assert scanned.at[0] == parse_time(text)


def test_a_full_row_goes_on_counting() -> None:
    values = [as_json({**LEAST, "event_id": str(n), "spend": "999999999.999999999"}) for n in range(9)]
    assert folded(values, 1) == folded(values, 1_000)


def test_notes_of_sources_that_are_not_corrigible_are_not_kept() -> None:
    limits = LedgerLimits(tick_nanos=TICK, corrigible_sources=frozenset({"b"}))
    values = [as_json({**LEAST, "event_id": str(n), "source": "abc"[n % 3]}) for n in range(9)]
    assert folded(values, 1, limits) == folded(values, 1_000, limits)


def test_of_one_id_the_lowest_offset_stands_whoever_reads_it() -> None:
    plain, odd = as_json(LEAST), as_json({**LEAST, "spend": "1e3"}).replace(b'"1e3"', b"1e3")
    for values in ([plain, odd, plain], [odd, plain, odd], [odd, as_json({**LEAST, "spend": "1000"})]):
        assert folded(values, 1) == folded(values, 1_000)


def test_more_sources_than_are_told_apart_at_once_are_all_counted() -> None:
    count = kernel.SOURCES + 3
    values = [as_json({**LEAST, "source": f"s{n}"}) for n in range(count)]
    told = folded(values, 1)[0]
    assert (told.accepted, told.duplicates) == (count, 0)


# -- records -----------------------------------------------------------------------------------------------------------


def body(records: Sequence[tuple[bytes | None, bytes | None]]) -> bytes:
    """The records of a batch, as the library writes them."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    for at, (key, value) in enumerate(records):
        builder.append(at, timestamp=1_000 + at % 3, key=key, value=value, headers=[("h", b"v")] * (at % 2))
    return bytes(builder.build())[61:]


texts = st.none() | st.binary(max_size=200)
records = st.lists(st.tuples(texts, texts), min_size=1, max_size=20)


@settings(deadline=None)
@given(records)
def test_records_are_unpacked_as_they_were_written(written: list[tuple[bytes | None, bytes | None]]) -> None:
    found = kernel.unpack(body(written), len(written))
    assert found is not None
    unpacked, offsets = found
    assert list(zip(unpacked.keys, unpacked.values, strict=True)) == written
    assert offsets.tolist() == [*range(len(written))]
    assert kernel.unpack(body(written)[:-1], len(written)) is None
    assert kernel.unpack(body(written), len(written) + 1) is None


@settings(deadline=None)
@given(records, st.data())
def test_spoiled_records_are_never_read_beyond_their_end(
    written: list[tuple[bytes | None, bytes | None]], data: st.DataObject
) -> None:
    spoiled = bytearray(body(written))
    at = data.draw(st.integers(0, len(spoiled) - 1))
    spoiled[at : at + 10] = data.draw(st.binary(max_size=12) | st.just(b"\xff" * 8 + b"\x7f"))
    found = kernel.unpack(bytes(spoiled), len(written))
    assert found is None or (found[0].spans.min() >= -1 and found[0].spans.max() <= len(spoiled))


@settings(deadline=None)
@given(st.lists(records, min_size=1, max_size=4))
def test_packed_records_are_those_that_were_packed_also_when_joined(
    groups: list[list[tuple[bytes | None, bytes | None]]],
) -> None:
    def pack(group: list[tuple[bytes | None, bytes | None]]) -> Packed:
        return packed([key for key, _ in group], [value for _, value in group])

    whole = joined([pack(group) for group in groups])
    assert list(zip(whole.keys, whole.values, strict=True)) == [pair for group in groups for pair in group]
    assert list(whole.cut(1, len(whole.spans)).values) == list(whole.values[1:])
