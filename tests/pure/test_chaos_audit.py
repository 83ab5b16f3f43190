"""The audit of the chaos runs finds what it is there to find."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.audit import Accounts, check_order, check_snapshots, check_ticks, difference
from tests.chaos.oracle import Count, instant

Json = dict[str, Any]
TICKS = ["2026-07-01T00:00:00Z", "2026-07-01T00:01:00Z", "2026-07-01T00:02:00Z"]


def snapshot(number: int, spend: str = "3", future: str = "0", *, covers: int = 2, campaign: str = "c") -> Json:
    """A campaign's snapshot at a tick."""
    return {
        "event_id": f"{campaign}-{number}",
        "campaign_id": campaign,
        "occurred_at": TICKS[number],
        "timestamp": TICKS[number],
        "total_spend": spend,
        "future_spend": future,
        "channel_snapshots": [{"channel": "CTV", "spend": spend, "impressions": 3}],
        "ledger_position": {"next_offsets": {"spend": covers}},
    }


def closed(number: int, campaigns: int = 1, covers: int = 2) -> Json:
    """The end of a tick."""
    return {
        "event_id": f"tick-{number}",
        "occurred_at": TICKS[number],
        "tick": TICKS[number],
        "campaigns": campaigns,
        "next_offsets": {"spend": covers},
    }


def at(number: int, nanos_later: int = 0) -> int:
    """A tick, in nanoseconds."""
    return (instant(TICKS[number]) or 0) + nanos_later


def count(offset: int, dated: int, nanos: int, impressions: int) -> Count:
    """So much spend and so many impressions more, under CTV."""
    return Count(offset, dated, ("CTV", None), (nanos, impressions, 0, 0, 0, 0, 0, 0))


COUNTS = [count(0, at(0), 10**9, 1), count(1, at(0, 1), 2 * 10**9, 2), count(5, at(0), 7, 0)]


def test_what_is_right_is_found_right() -> None:
    check_order({"snapshot_taken": [snapshot(0), snapshot(1), snapshot(1, campaign="d")]})
    check_ticks([closed(0), closed(1, campaigns=2)], [snapshot(0), snapshot(1), snapshot(1, campaign="d"), snapshot(2)])
    first = snapshot(0, "1", "2") | {"channel_snapshots": [{"channel": "CTV", "spend": "1.0", "impressions": 1}]}
    check_snapshots(COUNTS, [first, snapshot(1), snapshot(2, "3.000000007", covers=6)], "spend")


@pytest.mark.parametrize(
    "snapshots",
    [
        [snapshot(0), snapshot(0)],  # the same event twice
        [snapshot(0), snapshot(0) | {"event_id": "other"}],  # the same tick twice
        [snapshot(1), snapshot(0)],  # an older tick after a newer one
    ],
)
def test_events_that_are_double_or_out_of_order_are_found(snapshots: list[Json]) -> None:
    with pytest.raises(AssertionError):
        check_order({"snapshot_taken": snapshots})


def test_an_older_event_of_another_kind_is_found() -> None:
    with pytest.raises(AssertionError):
        check_order({"alert_raised": [snapshot(1), snapshot(0)]})


@pytest.mark.parametrize(
    "snapshots",
    [
        [snapshot(0)],  # one is missing
        [snapshot(0), snapshot(0, campaign="d"), snapshot(0, campaign="e")],  # one is too many
        [snapshot(0), snapshot(0, covers=3, campaign="d")],  # another cut of the input
    ],
)
def test_a_tick_that_is_not_whole_is_found(snapshots: list[Json]) -> None:
    with pytest.raises(AssertionError):
        check_ticks([closed(0, campaigns=2)], snapshots)


@pytest.mark.parametrize(
    "wrong",
    [
        snapshot(1, "3.000000001"),  # a nano too much
        snapshot(1, "3", "0.000000001"),
        snapshot(1, covers=1),  # counts what it does not cover
        snapshot(2, "3", covers=6),  # covers what it does not count
        snapshot(1) | {"channel_snapshots": [{"channel": "CTV", "spend": "3", "impressions": 4}]},
    ],
)
def test_a_snapshot_that_is_a_nano_off_is_found(wrong: Json) -> None:
    with pytest.raises(AssertionError):
        check_snapshots(COUNTS, [wrong], "spend")


def test_a_difference_is_counted_over_all_places_and_figures() -> None:
    held = {("CTV", None): [1, 2, 0, 0, 0, 0, 0, 0]}
    assert difference(held, held) == 0
    assert difference(held, {("CTV", None): [1, 1, 0, 0, 0, 0, 0, 0], (None, None): [5, 0, 0, 0, 0, 0, 0, 0]}) == 6


# --- accounts --------------------------------------------------------------------------------------------------------


def rolled_up(*, spend: str = "7.50", times: int = 1, complete: bool = True, closed: int = 2) -> Accounts:
    """Two partitions' campaigns of one tick, and what was told of their account."""
    tick = "2026-07-01T00:00:00Z"
    about: Json = {"timestamp": tick, "account_id": "acme", "currency": "EUR"}
    figures: Json = {"total_budget": "10.00", "expected_spend": "5.00", "revision": 0}
    account = {**about, "campaigns": 2, "complete": complete, "cap": None, "closed_spend": "0.00"}
    account |= {"children_budget": "20.00", "total_spend": spend, "expected_spend": "10.00"}
    accounts = Accounts()
    for partition, total in enumerate(("3.00", "4.50")):
        snapshot = {**about, **figures, "campaign_id": str(partition), "total_spend": total}
        ticks = [{"tick": tick, "complete": True}] if partition < closed else []
        told = [account] * times if partition == 0 else []
        accounts.take({"snapshot_taken": [snapshot], "tick_closed": ticks, "account_snapshot_taken": told})
    return accounts


def test_an_account_that_is_the_sum_of_its_campaigns_is_right() -> None:
    assert rolled_up().check(2) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"spend": "7.51"}, {"times": 2}, {"complete": False}, {"closed": 1}],
    ids=["another sum", "told twice", "not complete where all is", "told before every partition has closed"],
)
def test_an_account_that_is_not_is_found(wrong: Any) -> None:
    with pytest.raises(AssertionError):
        rolled_up(**wrong).check(2)


def test_an_account_that_is_not_told_at_all_is_found() -> None:
    accounts = rolled_up()
    late: Json = {"timestamp": "2026-07-02T00:00:00Z", "account_id": "acme", "currency": "EUR", "complete": True}
    late |= {"campaigns": 0, "cap": "1.00", "closed_spend": "0.00", "children_budget": "0.00", "total_spend": "0.00"}
    missing: Json = {"timestamp": "2026-07-01T12:00:00Z", "account_id": "acme", "currency": "EUR", "campaign_id": "1"}
    missing |= {"total_budget": "1.00", "total_spend": "1.00", "expected_spend": "1.00", "revision": 0}
    ticks = [{"tick": each["timestamp"], "complete": True} for each in (late, missing) for _ in range(2)]
    accounts.take({"snapshot_taken": [missing], "tick_closed": ticks, "account_snapshot_taken": [late]})
    with pytest.raises(AssertionError):
        accounts.check(2)
