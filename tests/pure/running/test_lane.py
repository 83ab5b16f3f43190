"""Record batches come out whole, in a chain without gaps, and hide what a committed reader may not see."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.structs import ConsumerRecord

from tests.pure.running.batches import ABORT, COMMIT, FIRST_TIMESTAMP, INPUT, batch, control, fetched, response
from worker.lane import Fetched, Whole


def values(found: list[Fetched]) -> list[bytes | None]:
    return [value for each in found if each.records is not None for value in each.records.values]


def is_chain(found: list[Fetched]) -> bool:
    return all(one.end == other.start for one, other in pairwise(found))


def test_a_batch_comes_out_as_one_object_with_its_keys_values_and_greatest_timestamp() -> None:
    (only,) = fetched(batch(0, [b"a", b"b", b"c"]))
    assert (only.start, only.end) == (0, 3)
    assert only.records is not None
    assert (only.records.topic, only.records.partition) == INPUT
    assert only.records.offsets == range(3)
    assert list(only.records.keys) == [b"key-0", b"key-1", b"key-2"]
    assert list(only.records.values) == [b"a", b"b", b"c"]
    assert only.records.max_timestamp == FIRST_TIMESTAMP + 2
    assert only.records.timestamps is None


def test_timestamps_of_single_records_are_read_only_where_asked_for() -> None:
    (only,) = fetched(batch(0, [b"a", b"b"]), token=Whole(frozenset({INPUT.topic})))
    assert only.records is not None
    assert only.records.timestamps == [FIRST_TIMESTAMP, FIRST_TIMESTAMP + 1]


def test_offsets_that_compaction_took_away_show_as_a_list() -> None:
    (only,) = fetched(batch(0, [b"a", b"d"], offsets=[0, 3]))
    assert only.records is not None
    assert only.records.offsets == [0, 3]
    assert (only.start, only.end) == (0, 4)
    assert only.records.packed is not None, "the records stay in the bytes they came in"


@pytest.mark.parametrize(
    ("position", "left"), [(0, [b"a", b"d", b"f"]), (1, [b"d", b"f"]), (3, [b"d", b"f"]), (5, [b"f"])]
)
def test_a_seek_into_a_compacted_batch_leaves_out_what_lies_before(position: int, left: list[bytes]) -> None:
    (only,) = fetched(batch(0, [b"a", b"d", b"f"], offsets=[0, 3, 5]), position=position)
    assert values([only]) == left
    assert (only.start, only.end) == (position, 6)


def test_a_seek_into_a_batch_leaves_out_what_lies_before() -> None:
    found = fetched(batch(0, [b"a", b"b", b"c"]), batch(3, [b"d"]), position=2)
    assert values(found) == [b"c", b"d"]
    assert (found[0].start, found[0].end) == (2, 3)
    assert is_chain(found)


def test_an_aborted_transaction_is_hidden_and_the_chain_still_whole() -> None:
    found = fetched(
        batch(0, [b"a"]),
        batch(1, [b"x", b"y"], producer=7),
        batch(3, [b"b"]),
        control(4, ABORT, 7),
        batch(5, [b"c"], producer=7),
        control(6, COMMIT, 7),
        aborted=[(7, 1)],
    )
    assert values(found) == [b"a", b"b", b"c"]
    assert [(each.start, each.end) for each in found] == [(0, 1), (1, 3), (3, 4), (4, 5), (5, 6), (6, 7)]


def test_a_position_taken_at_any_point_is_where_the_next_batch_begins() -> None:
    records = response(batch(0, [b"a", b"b"]), control(2, COMMIT, 7), batch(3, [b"c"]))
    for each in records:
        assert records.next_fetch_offset == each.end


def test_a_corrupt_batch_is_not_handed_out() -> None:
    broken = bytearray(batch(0, [b"spend"]))
    broken[-3] ^= 1
    with pytest.raises(CorruptRecordException):
        fetched(bytes(broken), check_crcs=True)


def test_other_consumers_of_the_process_get_records_as_ever() -> None:
    def as_is(key: Any) -> Any:
        return key

    found: list[Any] = list(response(batch(0, [b"a", b"b"]), token=as_is))
    assert [type(each) for each in found] == [ConsumerRecord, ConsumerRecord]
    assert [each.value for each in found] == [b"a", b"b"]
