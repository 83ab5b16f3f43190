"""How much a ledger may hold. Everything in it has a bound, and every bound has a reason."""

from __future__ import annotations

import sys
from dataclasses import dataclass

SECOND_MS = 1_000
DAY_MS = 86_400 * SECOND_MS
A_DAY = 98
"""The quarters of an hour of a day, and the two that stay when it is over."""


@dataclass(frozen=True, slots=True)
class LedgerLimits:
    """The bounds of one partition's ledger; what goes beyond one is refused by name, never dropped."""

    horizon_ms: int = 7 * DAY_MS
    """How long an id is remembered, in record timestamps: duplicates and originals are found within it."""

    corrigible_sources: frozenset[str] | None = None
    """Sources whose updates may be corrected, so that the ledger keeps what they said; None: all."""

    tick_nanos: int = 60 * 10**9
    """Time between ticks; they fall on its multiples. Spend dated ahead is kept apart where a tick will cut it."""

    ids: int = 20_000_000
    """Ids remembered: at 120 bytes each 2.4 GB. Beyond it the oldest segment is forgotten before its time."""

    campaigns: int = 2_000_000
    """Campaigns, planned or not: a feed that makes ids up must not fill the memory."""

    series: int = 10_000
    """Running totals (series of cumulative reports) of a campaign."""

    attributions: int = 10_000
    """Distinct channels and deals of a campaign: each is in every record of its totals."""

    cells: int = 50_000
    """Time cells of a campaign that no tick has counted: more than a year before its plan comes."""

    corrections: int = 10_000
    """Corrections of a campaign that wait for their original."""

    recent: int = 6
    """Counted cells of a campaign beside its totals, before they move to their days: a day's record is written about
    once an hour."""

    sources: int = 100
    """Sources told apart by when they last reported: those beyond are taken for one. Each costs a byte a campaign."""

    versions: int = 1_000
    """Versions of a campaign's plan: each bends the expected curve of those after it."""

    @classmethod
    def unbounded(cls, *, tick_nanos: int, recent: int = A_DAY) -> LedgerLimits:
        """
        For files, which are read whole and end: everything is remembered.

        No record is written of a day, so counted cells move there a day at a time, once it is over.
        """
        most = sys.maxsize
        return cls(
            tick_nanos=tick_nanos,
            horizon_ms=most,
            ids=most,
            campaigns=most,
            series=most,
            attributions=most,
            cells=most,
            corrections=most,
            recent=recent,
            versions=most,
            sources=most,
        )
