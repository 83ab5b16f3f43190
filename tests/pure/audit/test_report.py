"""What an audit says at the end, and what a row of PostgreSQL is compared as."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.fields import parse_time
from worker.audit.command import Report
from worker.audit.compare import Difference
from worker.audit.snapshots import Snapshot, snapshot_of

END = datetime(2026, 7, 31, 22, tzinfo=UTC)
DIFFERENCE = Difference("c", "spend", "", "the ledger", 2 * 10**9, 10**9, tuple((day, 1) for day in range(5)))


def test_an_audit_without_a_difference_is_clean_only_if_it_looked_at_everything() -> None:
    report = Report()
    assert (report.is_clean, list(report.lines())) == (True, ["the difference is zero"])
    report.not_covered("partition 1: there is no ledger")
    assert not report.is_clean
    assert list(report.lines()) == [
        "not covered: partition 1: there is no ledger",
        "no difference was found in what was covered",
    ]


def test_differences_are_counted_by_campaign_and_cut_short() -> None:
    report = Report()
    for _ in range(120):
        report.differ(3, DIFFERENCE)
    lines = list(report.lines())
    assert not report.is_clean
    assert len(lines) == 102
    assert lines[0] == (
        "difference: partition 3: c: spend: the ledger has 2.00, the input adds up to 1.00 (difference 1.00);"
        " by day 1970-01-01 0.000000001, 1970-01-02 0.000000001, 1970-01-03 0.000000001 and 2 days more"
    )
    assert lines[-2:] == ["difference: and 20 more", "120 differences in 1 campaigns"]


@pytest.mark.parametrize(
    ("changed", "as_of"),
    [
        ({"occurred_at": datetime(2026, 7, 20, tzinfo=UTC)}, "2026-07-20T00:00:00Z"),
        ({"final": True}, "2026-07-31T21:59:59.999999999Z"),
        ({"final": True, "revision": 1}, "2026-07-31T22:00:00Z"),
        ({"final": True, "period_end": datetime(2026, 8, 31, tzinfo=UTC)}, "2026-07-31T22:00:00Z"),
    ],
    ids=["a tick", "the closing one", "a revised one", "of a plan that was canceled"],
)
def test_a_closing_snapshot_counts_what_is_dated_before_the_end(changed: dict[str, Any], as_of: str) -> None:
    row = {
        "campaign_id": "c",
        "occurred_at": END,
        "period_end": END,
        "revision": 0,
        "final": False,
        "total_spend": "12.000000001",
        "ledger_position": '{"partition": 2, "next_offsets": {"spend": 7}}',
    }
    wanted = Snapshot("c", 2, {"spend": 7}, parse_time(as_of), 12_000_000_001)
    assert snapshot_of({**row, **changed}) == wanted
