"""What a replay comes to: alerts, false ones, how early the end of a budget was foreseen, and what was delivered."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pure.ledger.world import at, plan, update
from tests.pure.replay.files import Json, run
from worker.replay.backtest import Backtest

COLUMNS = ("campaign", "from", "to", "ticks", "alerts", "critical", "signals", "false", "exhausted", "lead", "error")


def hour(number: float) -> str:
    return at(minutes=60 * number)


class Story:
    """The events of one campaign, hour by hour."""

    def __init__(self) -> None:
        self.backtest = Backtest()

    def snapshot(self, tick: int, spend: str, *, final: bool = False, version: int = 1, revision: int = 0) -> None:
        window = {"period_start": hour(0), "period_end": hour(10)}
        money = {"total_budget": "100.00", "total_spend": spend}
        which = {"final": final, "revision": revision, "plan_version": version}
        self.see("snapshot_taken", tick, timestamp=hour(tick), **window, **money, **which)

    def deviation(
        self, tick: int, name: str = "d", level: str = "warning", side: str = "overpacing", **more: Any
    ) -> None:
        fields = {"alert_id": name, "alert_level": level, "direction": side, "scope": "campaign"} | more
        self.see("deviation_detected", tick, **fields)

    def resolved(self, tick: int, name: str = "d", reason: str = "recovered") -> None:
        self.see("deviation_resolved", tick, alert_id=name, reason=reason)

    def raised(self, tick: int, kind: str, scope: str = "campaign") -> None:
        self.see("alert_raised", tick, alert_id=kind, kind=kind, scope=scope, alert_level="warning")

    def cleared(self, tick: int, kind: str) -> None:
        self.see("alert_cleared", tick, alert_id=kind)

    def see(self, kind: str, tick: int, /, **fields: Any) -> None:
        self.backtest.see(kind, {"campaign_id": "c", "occurred_at": hour(tick), **fields})

    def row(self) -> dict[str, str]:
        """The campaign's line of the table, by column."""
        head, line, *_ = self.backtest.lines()
        assert tuple(head.split()) == COLUMNS
        cells = line.replace(" h", "_h").replace(" %", "_%").split()
        return dict(zip(COLUMNS, cells, strict=True))

    def sums(self) -> list[str]:
        """What stands beneath the table."""
        return list(self.backtest.lines())[3:]


def test_deviations_are_counted_as_they_open_and_critical_ones_once() -> None:
    story = Story()
    story.snapshot(1, "10.00")
    story.deviation(1)
    story.deviation(2, level="critical", transition="escalated")
    story.deviation(3, level="warning", transition="deescalated")
    story.deviation(4, level="critical", transition="escalated")
    story.deviation(4, "channel", scope="channel")
    story.raised(4, "unplanned_channel")
    row = story.row()
    assert (row["ticks"], row["alerts"], row["critical"], row["signals"]) == ("1", "2", "1", "1")


@pytest.mark.parametrize(
    ("opened", "exhausted", "lead"),
    [([2], 7, "5.0_h"), ([2, 4], 7, "5.0_h"), ([7], 7, "unwarned"), ([], 7, "unwarned")],
)
def test_the_lead_time_is_that_of_the_oldest_warning_still_open(opened: list[int], exhausted: int, lead: str) -> None:
    story = Story()
    for tick in range(1, 9):
        story.snapshot(tick, "100.00" if tick >= exhausted else "50.00")
        if tick in opened:
            story.deviation(tick, f"d{tick}")
    row = story.row()
    assert (row["exhausted"], row["lead"]) == (hour(exhausted), lead)


def test_a_false_alarm_does_not_lengthen_the_lead_time() -> None:
    story = Story()
    story.snapshot(1, "10.00")
    story.deviation(1, "early")
    story.resolved(2, "early")
    story.raised(5, "exhaustion_projected")
    story.snapshot(6, "100.00")
    row = story.row()
    assert (row["lead"], row["false"]) == ("1.0_h", "1")


@pytest.mark.parametrize("warning", ["exhaustion_projected", "ahead_of_period", "budget_used_before_period"])
def test_signals_that_foresee_the_end_of_the_budget_warn_of_it(warning: str) -> None:
    story = Story()
    story.snapshot(1, "10.00")
    story.raised(1, warning)
    story.snapshot(3, "100.00")
    assert story.row()["lead"] == "2.0_h"


@pytest.mark.parametrize("open_", [{"side": "underpacing"}, {"scope": "channel"}], ids=["underpacing", "of a channel"])
def test_other_deviations_do_not(open_: Json) -> None:
    story = Story()
    story.snapshot(1, "10.00")
    story.deviation(1, **open_)
    story.raised(1, "spend_outside_flight")
    story.snapshot(3, "100.00")
    assert story.row()["lead"] == "unwarned"


def test_what_recovers_without_a_change_of_plan_was_a_false_alarm() -> None:
    story = Story()
    story.snapshot(1, "10.00")
    story.deviation(1, side="underpacing")
    story.raised(1, "ahead_of_period")
    story.raised(1, "unplanned_channel")
    story.resolved(2)
    story.cleared(2, "ahead_of_period")
    story.cleared(2, "unplanned_channel")
    assert story.row()["false"] == "2"
    assert story.sums()[1] == "false alarms: 2 of 2 that have ended (100.00 %)"


@pytest.mark.parametrize("why", ["plan", "exhausted", "ended"])
def test_what_led_to_a_change_came_true_or_lasted_was_none(why: str) -> None:
    story = Story()
    story.snapshot(1, "10.00")
    story.deviation(1)
    story.snapshot(2, "100.00" if why == "exhausted" else "10.00", version=2 if why == "plan" else 1)
    story.resolved(2, reason="flight_ended" if why == "ended" else "recovered")
    assert story.row()["false"] == "0"
    assert story.sums()[1] == "false alarms: 0 of 1 that have ended (0.00 %)"


def test_the_delivery_error_is_that_of_the_last_closing_snapshot() -> None:
    story = Story()
    story.snapshot(9, "60.00")
    assert story.row()["error"] == "-"
    story.snapshot(10, "96.505", final=True)
    assert story.row()["error"] == "-3.50_%"  # half-even: 3.495
    story.snapshot(12, "104.00", revision=1)
    assert story.row()["error"] == "+4.00_%"
    assert story.row()["exhausted"] == "-"  # not before the end


def test_sums_stand_beneath_the_table() -> None:
    story = Story()
    story.snapshot(1, "10.00")
    assert story.sums() == [
        "alerts: 0 deviations, 0 of them critical, and 0 signals",
        "false alarms: 0 of 0 that have ended",
        "budgets exhausted before their end: 0; warned of: 0",
        "flights and periods delivered: 0 of 1",
    ]


def test_a_replay_is_summed_up_by_campaign_and_period() -> None:
    weekly = plan(period="weekly", flight_start="2026-07-06T00:00:00Z", flight_end="2026-07-20T00:00:00Z")
    week = 7 * 1440
    start = 5 * 1440
    stream = [update("a", start + 60, "500.00"), update("b", start + 3 * 1440, "500.00")]
    stream += [update("c", start + week + 6 * 1440, "900.00"), update("d", start + 2 * week + 10, "0.00")]
    done = run([weekly], list(stream), tick="1d", summary=True)
    told = [line.decode() for line in done.lines]
    assert done.code == 0
    assert [line.split()[:4] for line in told[1:3]] == [
        ["c", "2026-07-06T00:00:00Z", "2026-07-13T00:00:00Z", "7"],
        ["c", "2026-07-13T00:00:00Z", "2026-07-20T00:00:00Z", "8"],
    ]
    assert [line.split("  ")[-1].strip() for line in told[1:3]] == ["+0.00 %", "-10.00 %"]
    assert "2026-07-09T00:00:00Z" in told[1]
    assert told[-1] == "flights and periods delivered: 2 of 2, 5.00 % off on average"
