"""What is missing between where the sink stands and what Kafka still has."""

from __future__ import annotations

import pytest

from worker.sink.positions import Gap, Log, Place, gap_of

PLACE = Place("pacing.snapshot_taken", 3)


@pytest.mark.parametrize("position", [10, 15, 20])
def test_a_position_within_the_log_misses_nothing(position: int) -> None:
    assert gap_of(PLACE, position, Log(10, 20)) is None


def test_a_position_before_the_log_misses_what_retention_took() -> None:
    gap = gap_of(PLACE, 7, Log(10, 20))
    assert gap == Gap(PLACE, 7, 10, "retention")
    assert gap.records == 3


def test_a_position_behind_the_log_means_that_the_log_is_another_and_is_read_from_its_start() -> None:
    gap = gap_of(PLACE, 21, Log(10, 20))
    assert gap == Gap(PLACE, 21, 10, "truncated")
    assert gap.records == 1
