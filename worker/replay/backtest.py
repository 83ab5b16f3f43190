"""
What a replay told, summed up by campaign and flight (or period): a backtest of plans and thresholds.

    alerts         deviations opened, in any scope, and of them those that became critical; and signals raised
    warning        an overpacing deviation of the campaign, or a signal of it that foresees the end of its budget
    exhausted      the first tick at which the budget was spent, before the end
    lead time      from the opening of the oldest warning that was still open when the budget was exhausted, until then;
                   none where there was none: the usual measure of an early warning, which a false alarm cannot lengthen
    false alarm    a deviation that recovered, or a warning signal that cleared, though no other version of the plan had
                   come into force and the budget was not exhausted while it was open
    delivery error (spent - budget) / budget, in percent, of the last closing or revised snapshot: over is positive

A tick is as fine as time is told. Amounts are those of the snapshots, exact; percentages are rounded half-even.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from statistics import median
from typing import Any, Final

from schemas.fields import NANOS, parse_time

FORESEEING: Final = frozenset({"exhaustion_projected", "ahead_of_period", "budget_used_before_period"})
"""Signals that warn of a budget that will not last."""

HOUR: Final = 3_600 * NANOS
_CENT: Final = Decimal("0.01")

Body = dict[str, Any]


@dataclass(slots=True)
class Alert:
    """A deviation or a signal that is open."""

    window: Window
    opened: int
    plan_version: int
    is_judged: bool
    """Whether it can be a false alarm."""
    is_warning: bool
    came_true: bool = False


@dataclass(slots=True)
class Window:
    """A campaign's flight, or one period of its budget."""

    campaign_id: str
    start: str
    end: str
    ticks: int = 0
    opened: int = 0
    critical: set[str] = field(default_factory=set)
    """The ids of the deviations that were critical."""
    signals: int = 0
    judged: int = 0
    """Alerts that have ended, or came true, and may have been false."""
    false_alarms: int = 0
    exhausted: str | None = None
    lead: int | None = None
    """Nanoseconds; None where nothing had warned."""
    error_pct: Decimal | None = None
    """None until the window is closed."""


class Campaign:
    """What is open in a campaign, and in which window and under which version of its plan it is."""

    def __init__(self) -> None:
        self.window: Window | None = None
        self.plan_version = 0
        self.alerts: dict[str, Alert] = {}


class Backtest:
    """Takes the events of a replay, in order, and sums them up."""

    def __init__(self) -> None:
        self._campaigns: dict[str, Campaign] = {}
        self._windows: dict[tuple[str, str, str], Window] = {}

    def see(self, kind: str, body: Body) -> None:
        """Take the *body* of an event of a *kind*."""
        campaign = self._campaigns.setdefault(body["campaign_id"], Campaign())
        if kind == "snapshot_taken":
            self._snapshot(campaign, body)
        elif kind in ("deviation_detected", "alert_raised"):
            _opened(campaign, kind, body)
        elif kind in ("deviation_resolved", "alert_cleared"):
            _ended(campaign, kind, body)

    def _snapshot(self, campaign: Campaign, body: Body) -> None:
        window = self._window(body)
        campaign.window = window
        campaign.plan_version = body["plan_version"]
        window.ticks += 1
        spent, budget = Decimal(body["total_spend"]), Decimal(body["total_budget"])
        if body["final"] or body["revision"]:
            window.error_pct = ((spent - budget) / budget * 100).quantize(_CENT, ROUND_HALF_EVEN)
        elif spent >= budget and window.exhausted is None:
            _exhaust(campaign, window, body["timestamp"])

    def _window(self, body: Body) -> Window:
        key = body["campaign_id"], body["period_start"], body["period_end"]
        return self._windows.setdefault(key, Window(*key))

    def lines(self) -> Iterator[str]:
        """A table of the windows in the order they were met, and the sums beneath it."""
        windows = list(self._windows.values())
        yield from _table([_HEAD, *map(_row, windows)])
        yield ""
        yield from _sums(windows)


def _opened(campaign: Campaign, kind: str, body: Body) -> None:
    window, identity = campaign.window, body["alert_id"]
    if window is None:
        return
    if kind == "deviation_detected" and body["alert_level"] == "critical":
        window.critical.add(identity)
    if identity in campaign.alerts:
        return
    if kind == "deviation_detected":
        window.opened += 1
    else:
        window.signals += 1
    foresees = body["direction"] == "overpacing" if kind == "deviation_detected" else body["kind"] in FORESEEING
    campaign.alerts[identity] = Alert(
        window,
        parse_time(body["occurred_at"]),
        campaign.plan_version,
        is_judged=kind == "deviation_detected" or foresees,
        is_warning=foresees and body["scope"] == "campaign",
    )


def _ended(campaign: Campaign, kind: str, body: Body) -> None:
    alert = campaign.alerts.pop(body["alert_id"], None)
    if alert is None or not alert.is_judged:
        return
    alert.window.judged += 1
    recovered = kind == "alert_cleared" or body["reason"] == "recovered"
    if recovered and not alert.came_true and alert.plan_version == campaign.plan_version:
        alert.window.false_alarms += 1


def _exhaust(campaign: Campaign, window: Window, tick: str) -> None:
    window.exhausted = tick
    warnings = [alert for alert in campaign.alerts.values() if alert.is_warning]
    for alert in warnings:
        alert.came_true = True
    if warnings:
        window.lead = parse_time(tick) - min(alert.opened for alert in warnings)


# --- in words --------------------------------------------------------------------------------------------------------

_HEAD: Final = (
    "campaign",
    "from",
    "to",
    "ticks",
    "alerts",
    "critical",
    "signals",
    "false",
    "exhausted",
    "lead",
    "error",
)
_TEXTS: Final = 3
"""Columns of text, which stand to the left."""
_NONE: Final = "-"


def _row(window: Window) -> tuple[str, ...]:
    w = window
    counts = (w.ticks, w.opened, len(w.critical), w.signals, w.false_alarms)
    lead = _NONE if w.exhausted is None else "unwarned" if w.lead is None else _hours(w.lead)
    error = _NONE if w.error_pct is None else f"{w.error_pct:+} %"
    return (w.campaign_id, w.start, w.end, *map(str, counts), w.exhausted or _NONE, lead, error)


def _hours(nanos: int) -> str:
    return f"{(Decimal(nanos) / HOUR).quantize(Decimal('0.1'), ROUND_HALF_EVEN)} h"


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        yield "  ".join(c.ljust(w) if at < _TEXTS else c.rjust(w) for at, (c, w) in enumerate(cells)).rstrip()


def _sums(windows: list[Window]) -> Iterator[str]:
    critical = sum(len(window.critical) for window in windows)
    yield (
        f"alerts: {sum(w.opened for w in windows)} deviations, {critical} of them critical,"
        f" and {sum(w.signals for w in windows)} signals"
    )
    false, judged = sum(w.false_alarms for w in windows), sum(w.judged for w in windows)
    yield f"false alarms: {false} of {judged} that have ended{_share(false, judged)}"
    early = [window for window in windows if window.exhausted is not None]
    leads = [window.lead for window in early if window.lead is not None]
    told = f", the median {_hours(int(median(leads)))} ahead" if leads else ""
    yield f"budgets exhausted before their end: {len(early)}; warned of: {len(leads)}{told}"
    errors = [window.error_pct for window in windows if window.error_pct is not None]
    mean = f", {(sum(map(abs, errors), Decimal(0)) / len(errors)).quantize(_CENT)} % off on average" if errors else ""
    yield f"flights and periods delivered: {len(errors)} of {len(windows)}{mean}"


def _share(part: int, whole: int) -> str:
    return f" ({(Decimal(100 * part) / whole).quantize(_CENT, ROUND_HALF_EVEN)} %)" if whole else ""
