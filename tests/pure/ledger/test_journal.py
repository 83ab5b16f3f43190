"""The sheet comes back from its journal as it was at the last checkpoint, and the journal is as long as the sheet."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pure.ledger.world import World, update
from worker.ledger import UnreadableLedgerError, journal, kinds
from worker.ledger.cells import NEVER, QUARTER
from worker.ledger.journal import Journal, pack_column, sheet_of, unpack_column
from worker.ledger.sheet import FULL, Line, Sheet, label_of

FIGURES = st.sampled_from([0, 1, 10_000_000, -5, FULL - 1, FULL, 1 << 70, -(1 << 66)])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.sampled_from([None, "EUR"]), st.booleans()),
        st.tuples(st.just("add"), st.integers(0, 9), FIGURES),
        st.tuples(st.just("close"), st.integers(0, 9)),
        st.just(("save",)),
        st.just(("restart",)),
    ),
    max_size=60,
)


class Life:
    """A sheet, its journal, and the log of what was written."""

    def __init__(self) -> None:
        self.log: dict[bytes, bytes] = {}
        self.start()

    def start(self) -> None:
        self.sheet = sheet_of({})
        self.journal = Journal(self.sheet)
        for key, value in self.log.items():
            self.journal.load(key, value)
        self.sheet.was_read()

    def rows(self) -> list[int]:
        return [row for row, label in enumerate(self.sheet.labels) if label]

    def save(self) -> None:
        for key, value in self.journal.changes():
            if value is None:
                del self.log[key]
            else:
                self.log[key] = value

    def do(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("open", currency, waits):
                self.sheet.open(900, 1800, 3, 7, label_of(currency, waits=waits))
            case ("add", place, figure) if place < len(self.rows()):
                self.sheet.add(self.rows()[place], (figure, 0, place, 0, 0, 0, 0, figure), 1000 + place, 1)
            case ("close", place) if place < len(self.rows()):
                self.sheet.close(self.rows()[place])
            case ("save",):
                self.save()
            case ("restart",):
                self.save()
                self.start()


def said(sheet: Sheet) -> list[tuple[int, Line]]:
    return list(zip([row for row, label in enumerate(sheet.labels) if label], sheet.lines(), strict=True))


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_a_sheet_comes_back_as_it_was_saved(steps: list[tuple[Any, ...]]) -> None:
    # So short that the oldest records are written again all the time.
    with mock.patch.multiple(journal, SHORTEST=12, RECORD=2, ROWS_A_RECORD=3):
        life = Life()
        for step in steps:
            life.do(step)
        life.save()
        assert said(sheet_of(life.log)) == said(life.sheet)
        # What is written again comes on top, and each record and its part that is not full count for two.
        assert len(life.journal) <= max(12, 2 * len(life.sheet)) + 3 * len(life.sheet) + 2


def test_a_row_that_was_given_back_does_not_come_back_with_an_older_record() -> None:
    life = Life()
    life.do(("open", None, False))
    life.save()
    life.do(("close", 0))
    life.save()
    life.start()
    assert said(life.sheet) == []
    assert life.sheet.open(0, 1, 0, 0, label_of(None, waits=False)) == 1


def test_a_row_that_came_and_went_between_two_checkpoints_is_not_written() -> None:
    life = Life()
    life.do(("open", None, False))
    life.do(("close", 0))
    life.save()
    assert life.log == {}


def test_a_row_is_written_once_however_often_it_changed() -> None:
    life = Life()
    life.do(("open", None, False))
    for _ in range(5):
        life.do(("add", 0, 1))
    life.save()
    (value,) = life.log.values()
    life.save()
    assert list(life.log.values()) == [value]
    assert said(sheet_of(life.log))[0][1].holding[0] == 5


@given(st.lists(st.integers(NEVER, -NEVER)))
def test_a_column_comes_back_as_it_was(numbers: list[int]) -> None:
    packed = pack_column(np.array(numbers, np.int64))
    assert unpack_column(packed).tolist() == numbers


@pytest.mark.parametrize(
    ("numbers", "size"),
    [
        pytest.param([5, 5, 5], 0, id="all the same: nothing"),
        pytest.param([1000, 1255], 2, id="255 apart: a byte each"),
        pytest.param([0, QUARTER, 95 * QUARTER], 3, id="quarters of an hour of a day: a byte each"),
        pytest.param([10_000_000, 20_000_000, 6_550_000_000], 6, id="hundredths up to 655: two bytes each"),
    ],
)
def test_a_column_takes_as_many_bytes_as_it_needs(numbers: list[int], size: int) -> None:
    _, _, width, entries = pack_column(np.array(numbers, np.int64))
    assert (len(entries) if width else 0) == size


def world() -> World:
    """A ledger of three checkpoints."""
    made = World()
    for number in range(3):
        made.spend(update(f"u{number}", number * 900, "1"))
        made.checkpoint()
    return made


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_journal_that_lacks_a_record_is_refused(place: int) -> None:
    lost = world()
    del lost.log[sorted(key for key in lost.log if key[:1] == kinds.ROWS)[place]]
    with pytest.raises(UnreadableLedgerError, match="uncounted rows"):
        lost.restored()
