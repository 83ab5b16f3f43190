"""
What the ledger counts, and how it hands its counts to the core.

Eight figures are counted alike for every attribution: money in nanos (10^-9 of the currency unit), the rest as plain
counts. They are flat lists of integers in the order of `FIGURES`, because a campaign's tick adds up thousands of them.
Source: contract, SpendUpdate and rules 7 to 9.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

import msgspec

FIGURES: Final = ("spend", "impressions", "clicks", "conversions", "bids", "wins", "requests", "conversion_value")
"""The figures of an update, in the order every `Figures` list keeps."""

SPEND: Final = 0
IMPRESSIONS: Final = 1
BIDS: Final = 4
WINS: Final = 5
REQUESTS: Final = 6

Figures = list[int]
"""One integer for each name of `FIGURES`; spend and conversion_value are nanos."""


class Attribution(NamedTuple):
    """What an update counts for besides its campaign; both may be absent."""

    channel: str | None
    deal_id: str | None


Totals = dict[Attribution, Figures]
"""
The figures of a campaign by distinct attribution; their sum is the campaign's.

A deal's spend without a channel stands here as it was reported: the core resolves it to the deal's channel when it
reads, since a later plan may name another.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """
    New cases of one kind since the last tick (conflicting_update, unmatched_correction, currency_mismatch).

    *amount* is money in nanos by currency where the kind has an amount: what stayed out of the totals.
    """

    count: int
    amount: dict[str, int] | None


@dataclass(slots=True)
class Counted:
    """
    What one campaign's ledger has counted, as the core asks for it at a tick T.

    All instants are nanoseconds since the epoch.
    """

    totals: Totals
    """Everything with event_time <= T."""

    future_spend: int
    """Nanos with event_time > T, known already."""

    late_spend: int
    """Nanos that came since the last tick with event_time at or before that tick."""

    data_through: int | None
    """The latest event_time in *totals*; None while nothing is counted."""

    before: Callable[[int], Totals]
    """Everything with event_time < the instant, for any instant of `plan_cuts` and any quarter of an hour."""

    data_through_before: Callable[[int], int | None]
    """The latest event_time < the instant, for the same: a closing snapshot's data_through."""

    new: list[tuple[int, Totals]]
    """
    What is counted since the last tick: (start of the time cell, figures).

    No cell straddles a plan cut, and each attribution is one of *totals*' too.
    """

    cases: dict[str, Case]
    """New cases since the last tick by kind; a kind without one is absent."""

    spends: Callable[[tuple[int, ...]], Sequence[int]] | None = None
    """
    What is spent from each of those quarters of an hour to the next; without it `before` is asked.

    It is the same list again only while nothing has changed in it but the last two: so one asks but whether it is.
    """

    reached: Callable[[int, int | None, int | None], int | None] | None = None
    """See `first_reached`; without it only *data_through* is known."""

    positive_hour: Callable[[str], int | None] | None = None
    """
    The start of the latest UTC hour with positive net spend in *totals*; None where there is none. It and *days* are
    given the plan's zone, and are absent where nobody counts hours and days: then no signal is read from them.
    """

    days: Callable[[str, int], LastDays] | None = None
    """What was spent in the local day of that number (`date.toordinal`) and in those before it."""

    reports: Callable[[], dict[str, int | None]] | None = None
    """The latest event_time <= T of each source that ever reported for the campaign; of all sources, where none did."""

    def spend_between(self, edges: tuple[int, ...]) -> Sequence[int]:
        """The nanos spent within [edge, next edge), for ascending quarters of an hour; less up to T where T is."""
        if self.spends is not None:
            return self.spends(edges)
        sums = [sum(figures[SPEND] for figures in self.before(edge).values()) for edge in edges]
        return [after - before for before, after in pairwise(sums)]

    def first_reached(self, spend: int, since: int | None, until: int | None) -> int | None:
        """
        When spend dated within [since, until) first came to *spend* nanos; None for a bound is none.

        The latest event_time in the quarter of an hour in which it did.
        """
        return self.data_through if self.reached is None else self.reached(spend, since, until)


DAYS_BEFORE: Final = 29
"""How many days before a day `LastDays` knows: the last 28 of the day before."""


class LastDays(msgspec.Struct, frozen=True, gc=False):
    """What a campaign spent in a local day and in those before it, in nanos."""

    today: int
    key: Any
    """Another one whenever *before* tells otherwise; two that are equal tell the same."""
    before: Callable[[], list[int]]
    """The spend of each of the `DAYS_BEFORE` days before, the latest first."""
