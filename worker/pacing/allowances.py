"""
What platforms may spend over a daily budget: their published rules, as a table.

A platform spreads its daily budget over days as it sees fit: on a good day it spends more, and what it serves beyond
its allowance it does not bill, or credits afterwards.

    allowance of a local day = daily budget x the day factor          billable = min(served, allowance)
    allowance of a period    = daily budget x the period's multiple   expected credit = served - billable

A local day carries the full allowance whether it has 23, 24 or 25 hours. Of several daily budgets in one day the one
with the highest allowance counts: 10, 50 and 5 on a platform that may double it give 100. Source: contract, rule 17;
field definition 14. A platform that is not listed may not overspend.

What the contract leaves open: Google's rule is the usual one (a campaign that pays for conversions may spend more in a
day); the multiple of a period is of the daily budget that counted on the day that is told of.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final, Literal, NamedTuple

Span = Literal["month", "week"]


class Rule(NamedTuple):
    """
    What a platform may spend, as percentages of the daily budget.

    *span* is the calendar month, or the week from Sunday to Saturday. *source* is who says so, and where; *read* when.
    """

    day_pct: int
    period_pct: int | None = None
    span: Span | None = None
    source: str = ""
    read: str = ""


RULES: Final[dict[str, Rule]] = {
    "adroll": Rule(
        120,
        3040,
        "month",
        "AdRoll Help Center, 'Discrepancies between Daily Spend and Daily Budget',"
        " https://help.adroll.com/hc/en-us/articles/115001778031",
        "2026-11-22",
    ),
    "google": Rule(
        200,
        3040,
        "month",
        "Google Ads Help, 'About spending limits', https://support.google.com/google-ads/answer/10486637",
        "2026-11-22",
    ),
    "meta": Rule(
        175,
        700,
        "week",
        "Meta Business Help Center, 'About daily budgets', https://www.facebook.com/business/help/190490051321426",
        "2026-11-22",
    ),
}

NO_RULE: Final = Rule(100)


def rule_of(platform: str | None) -> Rule:
    """The rule of a platform; of none, or of one that is not listed, that there is nothing over the budget."""
    return RULES.get(platform or "", NO_RULE)


def is_over(served: int, daily_budget: int, pct: int) -> bool:
    """
    Whether *served* is strictly more than the percentage of the budget; nanos, compared exactly.

    >>> is_over(120, 100, 120), is_over(121, 100, 120)
    (False, True)
    """
    return served * 100 > daily_budget * pct


def span_of(span: Span, day: int) -> tuple[int, int]:
    """
    The first day of the span that holds a day, and the first after it; days are numbers (`date.toordinal`).

    >>> [date.fromordinal(day).isoformat() for day in span_of("week", date(2026, 7, 4).toordinal())]
    ['2026-06-28', '2026-07-05']
    >>> [date.fromordinal(day).isoformat() for day in span_of("month", date(2026, 12, 31).toordinal())]
    ['2026-12-01', '2027-01-01']
    """
    if span == "week":
        sunday = day - day % 7
        return sunday, sunday + 7
    first = date.fromordinal(day).replace(day=1)
    return first.toordinal(), (first + timedelta(days=31)).replace(day=1).toordinal()
