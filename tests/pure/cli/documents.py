"""
Where the documents' worked figures err: what they print, what holds, and why.

Each row names where a command prints the figure, so that a test can ask for it; both READMEs print the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple


class Row(NamedTuple):
    """One figure: the document, what it is of, as printed there, as it is, the reason; and where to find it."""

    document: str
    of: str
    printed: str
    holds: str
    why: str
    example: str
    line: str
    """The event's type, or the scope of a comparison; then the campaign or account."""
    field: str
    is_in_short: bool = False
    """Whether README has it, as one of its kind; tests/examples/README.md has all."""


ROUNDED: Final = "rounded before it was subtracted"

ROWS: Final = (
    Row("IAB", "expected on 15 August", "73,770", "74,175.82", "45 of 91 days of 150,000, as its own formula has it",
        "iab-times", "snapshot_taken campaign-abc", "expected_spend", is_in_short=True),
    Row("IAB", "elapsed on 15 August", "49.2 %", "49.45 %", "45 of 91 days",
        "iab-times", "snapshot_taken campaign-abc", "elapsed_pct"),
    Row("IAB", "pacing of 68,000", "92.2 %", "91.67 %", "of 74,175.82",
        "iab-times", "snapshot_taken campaign-abc", "pacing_pct"),
    Row("IAB", "deviation of 68,000", "-7.8 %", "-8.33 %", "of 74,175.82",
        "iab-times", "snapshot_taken campaign-abc", "deviation_pct"),
    Row("IAB", "deviation of 50,000", "-32.2 %", "-32.59 %", "of 74,175.82",
        "iab-alerts", "deviation_detected critical", "deviation_pct"),
    Row("IAB", "its alert", "warning", "critical", "beyond 25 %, as its own message says",
        "iab-alerts", "deviation_detected critical", "alert_level", is_in_short=True),
    Row("IAB", "moved to DISPLAY", "10,582.41 by its rule", "5,747.25", "it gives each of two sources the whole gap",
        "iab-times", "reallocation_recommended campaign-abc", "amount", is_in_short=True),
    Row("StackAdapt", "account, points ahead", "13", "13.33", ROUNDED,
        "stackadapt-account", "snapshot_taken stackadapt-april", "variance_pp"),
    Row("StackAdapt", "CTV, points ahead", "23", "22.73", ROUNDED,
        "stackadapt", "snapshot_taken ctv-awareness", "variance_pp"),
    Row("StackAdapt", "native, status", "on pace", "drift", "7.5 points ahead, and the card's healthy ends at 5",
        "stackadapt", "snapshot_taken native-articles", "band", is_in_short=True),
    Row("StackAdapt", "points over the month before", "73 less 62", "11.33", "73.33 less 62; 5.89 without the new CTV",
        "stackadapt-prior", "account stackadapt", "budget_used_pct", is_in_short=True),
    Row("AdRoll", "account, points ahead", "3", "2.17", "75.5 less 73.33, not 76 less 73",
        "adroll", "snapshot_taken adroll-april", "variance_pp", is_in_short=True),
    Row("AdRoll", "site retargeting", "14", "13.33", ROUNDED,
        "adroll-line-items", "snapshot_taken site-retargeting", "variance_pp"),
    Row("AdRoll", "lookalike prospecting", "-8", "-8.72", ROUNDED,
        "adroll-line-items", "snapshot_taken lookalike-prospecting", "variance_pp"),
    Row("AdRoll", "cart abandoners", "7", "6.67", ROUNDED,
        "adroll-line-items", "snapshot_taken cart-abandoners", "variance_pp"),
    Row("AdRoll", "contextual prospecting", "-26", "-26.67", ROUNDED,
        "adroll-line-items", "snapshot_taken contextual-prospecting", "variance_pp", is_in_short=True),
    Row("Criteo", "account, points behind", "-1", "-1.33", ROUNDED,
        "criteo", "snapshot_taken criteo-april", "variance_pp"),
    Row("Criteo", "95 % on day 22, by the end", "~129 %", "129.55 %", "95 / 22 x 30: pacing is the same figure",
        "criteo-faq", "snapshot_taken 95-pct-on-day-22", "pacing_pct", is_in_short=True),
    Row("AdRoll", "92 % on day 22, by the end", "~125 %", "125.45 %", "92 / 22 x 30: pacing is the same figure",
        "adroll-faq", "snapshot_taken 92-pct-on-day-22", "pacing_pct"),
)  # fmt: skip


def table(rows: Iterable[Row]) -> list[str]:
    """The rows as a README prints them."""
    head = ["| document | figure | prints | holds | because | example |", "|---|---|---|---|---|---|"]
    return head + [
        f"| {row.document} | {row.of} | {row.printed} | {row.holds} | {row.why} | `{row.example}` |" for row in rows
    ]
