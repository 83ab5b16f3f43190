"""The records of campaigns lie as they were read until somebody asks for one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.ledger.batches import packed
from worker.ledger.kinds import CAMPAIGN, CORRECTION, COUNTED, HISTORY, LOCAL_DAYS
from worker.ledger.newest import Newest
from worker.ledger.records import Records, Shelves, day_bytes, hash_bytes, key_of, parted, standing

OF_AB = {
    key_of(COUNTED, "ab", day_bytes(9)): b"day 9",
    key_of(CAMPAIGN, "ab"): b"own",
    key_of(HISTORY, "ab"): b"plan",
    key_of(LOCAL_DAYS, "ab"): b"days",
    key_of(COUNTED, "ab", day_bytes(10)): b"day 10",
}
OF_A = {key_of(CAMPAIGN, "a"): b"own", key_of(CORRECTION, "a", hash_bytes(7)): b"correction"}
LEFT = {key_of(HISTORY, "gone"): b"plan", key_of(CORRECTION, "gone", hash_bytes(8)): b"correction"}


def shelves() -> Shelves:
    return parted(OF_AB | LEFT | OF_A)[1]


def held(found: tuple[Records, Shelves]) -> tuple[object, ...]:
    """All that can be seen of records that were parted."""
    beside, campaigns = found
    records = {name: shelf.records for name, shelf in campaigns.items()}
    return beside, records, set(campaigns.planned()), campaigns.corrected()


def test_a_campaign_has_all_its_records_by_their_kind_and_numbers_and_no_other_s() -> None:
    of_ab = {
        COUNTED + day_bytes(9): b"day 9",
        CAMPAIGN: b"own",
        HISTORY: b"plan",
        LOCAL_DAYS: b"days",
        COUNTED + day_bytes(10): b"day 10",
    }
    of_a = {CAMPAIGN: b"own", CORRECTION + hash_bytes(7): b"correction"}
    assert {name: shelf.records for name, shelf in shelves().items()} == {"ab": of_ab, "a": of_a}


def test_what_is_left_of_a_campaign_without_a_record_of_its_own_is_no_campaign() -> None:
    shelved = shelves()
    assert "gone" not in shelved
    assert shelved.pop("gone") is None
    assert (set(shelved.planned()), shelved.corrected()) == ({"ab"}, {"a"})


def test_what_is_handed_out_is_held_no_longer() -> None:
    shelved = shelves()
    shelf = shelved.pop("ab")
    assert shelf is not None
    assert shelf.only(HISTORY) == b"plan"
    assert shelf.of(COUNTED) == {day_bytes(9): b"day 9", day_bytes(10): b"day 10"}
    assert shelved.pop("ab") is None
    assert (list(shelved), len(shelved), list(shelved.planned()), shelved.corrected()) == (["a"], 1, [], {"a"})


NAMES = st.sampled_from(["a", "ab", "b", "a-name-of-more-than-eight-bytes", "ä"])
OF_ONE = st.builds(key_of, st.sampled_from([CAMPAIGN, HISTORY, LOCAL_DAYS]), NAMES)
OF_MANY = st.builds(
    key_of, st.sampled_from([COUNTED, CORRECTION]), NAMES, st.sampled_from([day_bytes(0), day_bytes(1)])
)
BESIDE = st.sampled_from([b"", b"m", b"i" + hash_bytes(1), b"osource", b"?unheard-of"])
VALUES = st.none() | st.binary(max_size=20) | st.sampled_from([bytes(300), b"x" * 70_000])
BATCHES = st.lists(st.lists(st.tuples(OF_ONE | OF_MANY | BESIDE, VALUES), min_size=1, max_size=12), max_size=8)


@given(batches=BATCHES, keeps=st.sampled_from([0, 100, 1 << 26]))
def test_the_newest_of_each_key_is_the_same_read_in_batches_or_one_by_one(
    batches: list[list[tuple[bytes, bytes | None]]], keeps: int
) -> None:
    read = Newest(keeps)
    one_by_one: dict[bytes, bytes | None] = {}
    for batch in batches:
        read.take(packed([key for key, _ in batch], [value for _, value in batch]))
        one_by_one |= dict(batch)
    assert len(read) == len(one_by_one)
    assert read.standing() == standing(one_by_one)
    assert held(read.parted()) == held(parted(one_by_one))


def test_values_that_later_ones_took_the_place_of_are_let_go() -> None:
    read = Newest(keeps=1000)
    for number in range(100):
        read.take(packed([b"m"], [bytes([number]) * 400]))
        assert read.size_bytes < 2500
    assert read.standing() == {b"m": bytes([99]) * 400}
