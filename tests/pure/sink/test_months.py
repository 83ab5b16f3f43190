"""Which months have partitions of their own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from worker.sink.months import Month, Span, month_of

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("moment", "month"),
    [
        ("2026-02-28T23:59:59.999999+00:00", Month(2026, 2)),
        ("2026-03-01T00:00:00+00:00", Month(2026, 3)),
        ("2026-03-01T00:30:00+02:00", Month(2026, 2)),
        ("2024-02-29T12:00:00+00:00", Month(2024, 2)),
    ],
)
def test_a_month_is_one_of_utc(moment: str, month: Month) -> None:
    assert month_of(datetime.fromisoformat(moment).timestamp()) == month


def test_the_retention_keeps_whole_months_before_the_current_one() -> None:
    span = Span.at(NOW, retention_months=13)
    assert (span.oldest, span.newest) == (Month(2025, 2), Month(2026, 6))


def test_the_current_month_and_three_more_are_made_ahead() -> None:
    ahead = Span.at(NOW, retention_months=1).ahead(NOW)
    assert ahead == {Month(2026, 3), Month(2026, 4), Month(2026, 5), Month(2026, 6)}


def test_ticks_outside_the_span_get_no_partition_of_their_own() -> None:
    months = [datetime(year, month, 1, tzinfo=UTC) for year, month in ((2025, 12), (2026, 1), (2026, 6), (2026, 7))]
    ticks = [int(start.timestamp()) * 10**9 for start in months]
    assert Span.at(NOW, retention_months=2).within(ticks) == {Month(2026, 1), Month(2026, 6)}


def test_a_month_starts_at_its_first_instant() -> None:
    assert Month(2026, 3).start == datetime(2026, 3, 1, tzinfo=UTC)
