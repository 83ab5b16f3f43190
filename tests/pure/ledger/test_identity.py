"""The memory of ids is a dictionary that forgets by the bucket, and takes little room."""

from __future__ import annotations

import random
from collections.abc import Iterator
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.ledger import identity
from worker.ledger.identity import UNKNOWN, Columns, Entries, IdMemory


@pytest.fixture(autouse=True, scope="module")
def _small() -> Iterator[None]:
    """Generations and dictionaries of a few entries, so that a few entries cross their borders."""
    with mock.patch.multiple(identity, GENERATION=40, YOUNG=6):
        yield


def entries(ids: list[int]) -> Entries:
    return Entries(ids, [i ^ 0xFF for i in ids], [i % 7 for i in ids], [b"n" * (i % 5) for i in ids])


def columns(of: Entries) -> Columns:
    return Columns(
        np.array(of.ids, "<u8").tobytes(),
        np.array(of.bodies, "<u8").tobytes(),
        np.array(of.rows, "<u4").tobytes(),
        np.array([len(note) for note in of.notes], "<u4").tobytes(),
        b"".join(of.notes),
    )


# Few low bits, so that many want the same slot.
ids = st.lists(st.integers(0, 300).map(lambda i: (i << 40) | (i % 3)), max_size=30, unique=True)


@settings(deadline=None)
@given(st.lists(st.tuples(ids, st.booleans(), st.booleans(), st.booleans()), max_size=12))
def test_the_memory_is_a_dictionary_that_forgets_by_the_bucket(steps: list[tuple[list[int], bool, bool, bool]]) -> None:
    memory, model = IdMemory(10_000), dict[int, tuple[int, int]]()
    ordinal = 0
    for bucket, (wanted, by_column, forgets, looks) in enumerate(steps):
        new = [i for i in wanted if i not in model]
        if new and by_column:
            memory.append_columns(bucket, columns(entries(new)))
        else:
            memory.append(bucket, entries(new))
        model |= {i: (bucket, ordinal + at) for at, i in enumerate(new)}
        ordinal += len(new)
        if forgets:
            memory.forget_before(bucket - 1)
            model = {i: known for i, known in model.items() if known[0] >= bucket - 1}
        if looks or bucket == len(steps) - 1:
            asked = [*wanted, 5 << 41, *model]
            found = memory.find(asked)
            assert {asked[place]: at for place, at in found.items()} == {i: model[i][1] for i in asked if i in model}
            everywhere = memory.find_all(np.array(asked, np.uint64)).tolist()
            assert everywhere == [model[i][1] if i in model else UNKNOWN for i in asked]
        for i, (_, at) in model.items():
            assert (memory.body(at), memory.note(at)) == (i ^ 0xFF, b"n" * (i % 5))
        assert len(memory) == len(model)
        assert sorted(i for _, i, _ in memory.notes_of(3)) == sorted(i for i in model if i % 7 == 3)


@settings(deadline=None)
@given(st.lists(ids, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_segments_put_together_are_the_memory_again(batches: list[list[int]], chance: random.Random) -> None:
    memory, again = IdMemory(10_000), IdMemory(10_000)
    seen: set[int] = set()
    for bucket, batch in enumerate(batches):
        new = [i for i in batch if i not in seen]
        seen.update(new)
        memory.append(bucket, entries(new))
    memory.forget_before(1)
    again.begin(memory.first)
    for part, first, stop in memory.parts(memory.first):
        middle = chance.randint(first, stop)
        for low, high in ((first, middle), (middle, stop)):
            if low < high:
                again.append_segment(memory.bucket_of(low), part, memory.columns(low, high))
    assert (again.first, again.end, again.buckets) == (memory.first, memory.end, memory.buckets)
    everything = list(seen)
    assert again.find(everything) == memory.find(everything)
    assert list(again.notes_of(2)) == list(memory.notes_of(2))
    assert again.size(again.first, again.end) == memory.size(memory.first, memory.end)


def test_too_many_ids_shorten_the_memory_by_a_sixteenth() -> None:
    memory = IdMemory(160)
    for start in range(0, 400, 5):
        memory.append(0, entries(list(range(start, start + 5))))
        memory.forget_beyond(160)
    assert 150 <= len(memory) <= 160
    assert memory.find_one(399) == 399
    assert memory.find_one(0) == UNKNOWN


@pytest.mark.parametrize(("note", "most"), [(0, 40), (64, 120)], ids=["recognised", "corrigible"])
def test_an_id_takes_no_more_than_is_promised(note: int, most: int) -> None:
    with mock.patch.multiple(identity, GENERATION=1 << 22, YOUNG=4096):
        memory = IdMemory(10**9)
        chance = np.random.default_rng(1)
        for size in range(1, 120):
            count = 4096
            hashes = chance.integers(0, 2**63, count, np.uint64)
            parts = Columns(
                hashes.tobytes(),
                hashes.tobytes(),
                bytes(4 * count),
                np.full(count, note, "<u4").tobytes(),
                bytes(note * count),
            )
            memory.append_columns(0, parts)
            memory.find_all(hashes)  # who looks something up brings the index up to date
            if size > 3:
                assert memory.memory() / len(memory) <= most
