"""A ledger is restored from what was committed, or refused with a sentence."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from worker import restore
from worker.exits import Exit
from worker.ledger import Ledger, LedgerLimits, RecordBatch
from worker.restore import Bounds

SPEND = "spend"


class Left(Exception):  # noqa: N818  it is not an error here
    """The process would have ended."""


@pytest.fixture(autouse=True)
def left(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Exit, str]]:
    """What was said on the way out."""
    said: list[tuple[Exit, str]] = []

    def leave(code: Exit, sentence: str) -> NoReturn:
        said.append((code, sentence))
        raise Left

    monkeypatch.setattr(restore, "leave", leave)
    return said


def ledger() -> Ledger:
    return Ledger(0, 1, LedgerLimits())


def written() -> dict[bytes, bytes | None]:
    """The changelog of a ledger at 5."""
    before = ledger()
    before.advance("plans", 0)
    before.fold_spend(RecordBatch(SPEND, 0, range(1), [b"c"], [b"{}"], 1_767_000_000_000))
    before.advance(SPEND, 5)
    return dict(before.changes())


def test_what_was_written_is_loaded() -> None:
    again = ledger()
    assert restore.load(again, written())
    assert again.positions[SPEND] == 5


def test_an_empty_changelog_begins_at_the_first_record_that_is_left() -> None:
    fresh = ledger()
    assert not restore.load(fresh, {})
    restore.begin_anew(fresh, {SPEND: Bounds(begin=40, end=90, committed=None)})
    assert fresh.positions[SPEND] == 40


def test_records_without_a_marker_are_refused(left: list[tuple[Exit, str]]) -> None:
    records = written()
    records.popitem()
    records[b"\x7funheard-of"] = b"\x01"
    with pytest.raises((Left, Exception)) as raised:
        restore.load(ledger(), records)
    assert raised.type is Left or "Ledger" in raised.type.__name__
    assert all(code is Exit.LEDGER_REFUSED for code, _ in left)


@pytest.mark.parametrize(
    ("bounds", "code", "words"),
    [
        (Bounds(begin=0, end=9, committed=6), Exit.LEDGER_REFUSED, "was its changelog lost"),
        (Bounds(begin=0, end=4, committed=None), Exit.LEDGER_REFUSED, "was that topic made anew"),
        (Bounds(begin=6, end=9, committed=5), Exit.INPUT_LOST, "deleted before it was read"),
    ],
)
def test_a_position_the_input_does_not_bear_out_ends_the_worker(
    bounds: Bounds, code: Exit, words: str, left: list[tuple[Exit, str]]
) -> None:
    again = ledger()
    restore.load(again, written())
    with pytest.raises(Left):
        restore.check(again, {SPEND: bounds})
    assert left[0][0] is code
    assert words in left[0][1]


@pytest.mark.parametrize("committed", [None, 0, 5])
def test_a_position_the_input_bears_out_is_taken(committed: int | None, left: list[Any]) -> None:
    again = ledger()
    restore.load(again, written())
    restore.check(again, {SPEND: Bounds(begin=5, end=5, committed=committed)})
    assert left == []
