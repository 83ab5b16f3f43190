"""A clock ahead of the broker's is found out by the broker's answers, and a slow answer is not taken for it."""

from __future__ import annotations

from typing import NamedTuple, NoReturn

import pytest

from worker import clock
from worker.clock import Clock
from worker.exits import Exit

MS = 10**6
SECOND = 10**9
NOON_MS = 1_767_268_800_000
NOON = NOON_MS * MS


class Left(Exception):  # noqa: N818  it is not an error here
    """The process would have ended."""


@pytest.fixture(autouse=True)
def left(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Exit, str]]:
    """What was said on the way out."""
    said: list[tuple[Exit, str]] = []

    def leave(code: Exit, sentence: str) -> NoReturn:
        said.append((code, sentence))
        raise Left

    monkeypatch.setattr(clock, "leave", leave)
    return said


class Answer(NamedTuple):
    """As much of aiokafka's RecordMetadata as is looked at."""

    timestamp: int
    timestamp_type: int = 1


MINUTES = Clock(lambda: NOON, 60 * SECOND)


def test_more_than_a_tick_ahead_ends_the_process(left: list[tuple[Exit, str]]) -> None:
    with pytest.raises(Left):
        MINUTES.hold_against([Answer(-1, 0), Answer(NOON_MS)], NOON + 60 * SECOND + 1)
    sentence = (
        "the clock is 60.0 s ahead of the broker's, more than a tick (60 s): a tick must not be taken before its time"
    )
    assert left == [(Exit.CLOCK_AHEAD, sentence)]


def test_the_earliest_of_several_answers_decides() -> None:
    with pytest.raises(Left):
        MINUTES.hold_against([Answer(NOON_MS + 90_000), Answer(NOON_MS)], NOON + 61 * SECOND)


@pytest.mark.parametrize("answered_later_ms", [0, 1, 3_600_000])
def test_a_tick_ahead_a_slow_answer_and_a_clock_behind_are_well(answered_later_ms: int) -> None:
    MINUTES.hold_against([Answer(NOON_MS + answered_later_ms)], NOON + 60 * SECOND)


def test_a_topic_without_the_broker_s_time_tells_nothing() -> None:
    MINUTES.hold_against([Answer(-1, 0), Answer(1, 0)], NOON + 3_600 * SECOND)
    MINUTES.hold_against([], NOON)
