"""A published snapshot read back: every amount by its digits, every fault named by its field."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import NANOS, format_money, parse_time
from tests.pure.outlook.making import APRIL, DAY, taken
from worker.outlook.recorded import Ask, Fault, Part, Recorded, Snapshot, read_snapshot

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples"
PUBLISHED: dict[str, Any] = json.loads((EXAMPLES / "snapshot_taken.json").read_text())


def read(**changed: Any) -> Snapshot | Fault | None:
    return read_snapshot(json.dumps(PUBLISHED | changed).encode())


def snapshot(**changed: Any) -> Snapshot:
    found = read(**changed)
    assert isinstance(found, Snapshot)
    return found


def test_the_published_example_is_read_whole() -> None:
    found = snapshot()
    assert found.campaign_id == PUBLISHED["campaign_id"]
    assert found.tick == parse_time(PUBLISHED["occurred_at"])
    assert (found.start, found.end) == (parse_time(PUBLISHED["period_start"]), parse_time(PUBLISHED["period_end"]))
    assert list(found.channels) == [channel["channel"] for channel in PUBLISHED["channel_snapshots"]]
    assert format_money(found.whole.spend, 2) == PUBLISHED["total_spend"]


@given(nanos=st.integers(-(10**24), 10**24), minor=st.sampled_from([0, 2, 3, 4]))
def test_money_comes_back_as_it_was_printed_however_much(nanos: int, minor: int) -> None:
    assert snapshot(total_spend=format_money(nanos, minor)).whole.spend == nanos


def test_a_projection_is_read_where_there_is_one() -> None:
    found = snapshot(projected_spend="149863.01", projection_method="seasonal")
    assert (found.projected, found.projection_method) == (149_863_010_000_000, "seasonal")
    assert snapshot(projected_spend=None, projection_method=None).projected is None


@pytest.mark.parametrize("kind", ["pacing.deviation_detected", "pacing.account_snapshot_taken", "another"])
def test_events_of_another_kind_are_passed_over(kind: str) -> None:
    assert read_snapshot(json.dumps({"event_type": kind}).encode()) is None


BROKEN = [
    ({"total_spend": "1e3"}, "total_spend", "'1e3' is not an amount with at most 9 decimals"),
    ({"total_spend": "0.0000000001"}, "total_spend", "'0.0000000001' is not an amount with at most 9 decimals"),
    ({"total_spend": "1" * 65}, "total_spend", f"'{'1' * 64}' is not an amount with at most 9 decimals"),
    ({"total_spend": 12}, "total_spend", "expected str, got int"),
    ({"projected_spend": "much"}, "projected_spend", "'much' is not an amount with at most 9 decimals"),
    ({"currency": "EURO"}, "currency", "'EURO' is no currency of ISO 4217"),
    ({"period_end": PUBLISHED["period_start"]}, "period_end", "must be after period_start"),
    ({"occurred_at": "2026-04-01"}, "occurred_at", "'2026-04-01' is not an RFC 3339 time"),
    ({"channel_snapshots": [{"channel": "a"}]}, "channel_snapshots[0].allocated_budget", "is missing"),
    (
        {"channel_snapshots": [{"channel": "a", "allocated_budget": "1", "spend": "x", "expected_spend": "0"}]},
        "channel_snapshots.spend",
        "'x' is not an amount",
    ),
]


@pytest.mark.parametrize(("changed", "field", "message"), BROKEN)
def test_what_is_wrong_with_a_snapshot_is_named(changed: dict[str, Any], field: str, message: str) -> None:
    found = read(**changed)
    assert isinstance(found, Fault)
    assert (found.field, found.message[: len(message)]) == (field, message)


@pytest.mark.parametrize(
    ("line", "field", "message"),
    [
        (b"{}", "event_type", "is missing"),
        (b'{"event_type":"pacing.snapshot_taken"}', "campaign_id", "is missing"),
        (b"[1]", "", "expected object, got array"),
        (b"{", "", "input data was truncated"),
        (b'{"event_type":"\xff"}', "", "malformed JSON"),
        (b'{"a":' * 5_000, "", "malformed JSON"),
    ],
)
def test_what_is_no_event_is_named(line: bytes, field: str, message: str) -> None:
    assert read_snapshot(line) == Fault(field, message)


# --- finding them ----------------------------------------------------------------------------------------------------


@given(
    days=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2)), max_size=12),
    tick=st.integers(0, 60),
    starts_by=st.integers(0, 60),
    ends_by=st.integers(0, 90),
)
def test_the_newest_that_fits_is_found(days: list[tuple[int, int]], tick: int, starts_by: int, ends_by: int) -> None:
    snapshots = [
        taken(at=APRIL + at * DAY, start=APRIL + 30 * n * DAY, end=APRIL + 30 * (n + 1) * DAY, revision=at % 3)
        for at, n in days
    ]
    ask = Ask("c", *(APRIL + day * DAY for day in (tick, starts_by, ends_by)))
    fitting = [s for s in snapshots if s.tick <= ask.tick and s.start <= ask.starts_by and s.end <= ask.ends_by]
    wanted = max(fitting, key=lambda s: (s.tick, s.end, s.revision), default=None)
    assert Recorded(snapshots).newest([ask, ask._replace(campaign_id="none")]) == [wanted] * (wanted is not None)


def test_a_closing_snapshot_is_of_the_periods_end_whenever_it_was_taken() -> None:
    closing = taken(at=APRIL + 31 * DAY, spend=1)
    assert (closing.as_of, closing.is_ended, closing.elapsed) == (APRIL + 30 * DAY, True, Fraction(1))


def test_before_a_period_nothing_of_it_has_elapsed() -> None:
    assert taken(at=APRIL - DAY).elapsed == 0


def test_amounts_are_nanos() -> None:
    assert snapshot(total_budget="1", total_spend="-0.5", expected_spend="0.000000001").whole == Part(
        NANOS, -NANOS // 2, 1
    )
