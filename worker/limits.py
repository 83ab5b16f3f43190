"""How much a partition's ledger may hold, as the settings say."""

from __future__ import annotations

from worker.ledger import LedgerLimits
from worker.settings import Settings


def ledger_limits(settings: Settings) -> LedgerLimits:
    """The bounds of one partition's ledger."""
    sources = settings.corrigible_sources
    return LedgerLimits(
        horizon_ms=settings.horizon_seconds * 1000,
        corrigible_sources=None if "*" in sources else frozenset(sources),
        tick_nanos=settings.tick_nanos,
        series=settings.series_limit,
    )
