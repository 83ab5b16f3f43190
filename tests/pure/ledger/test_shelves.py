"""The records of campaigns lie as they were read until somebody asks for one."""

from __future__ import annotations

from worker.ledger.kinds import CAMPAIGN, CORRECTION, COUNTED, HISTORY, LOCAL_DAYS
from worker.ledger.records import Shelves, day_bytes, hash_bytes, key_of

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
    return Shelves(OF_AB | LEFT | OF_A)


def test_a_campaign_has_all_its_records_and_no_other_s() -> None:
    assert {name: shelf.records for name, shelf in shelves().items()} == {"ab": OF_AB, "a": OF_A}


def test_what_is_left_of_a_campaign_without_a_record_of_its_own_is_no_campaign() -> None:
    held = shelves()
    assert "gone" not in held
    assert held.pop("gone") is None
    assert (set(held.planned()), held.corrected()) == ({"ab"}, {"a"})


def test_what_is_handed_out_is_held_no_longer() -> None:
    held = shelves()
    shelf = held.pop("ab")
    assert shelf is not None
    assert shelf.records == OF_AB
    assert held.pop("ab") is None
    assert (list(held), len(held), list(held.planned()), held.corrected()) == (["a"], 1, [], {"a"})
