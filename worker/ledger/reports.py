"""Cumulative reports: into their series, and what that changes into the cells."""

from __future__ import annotations

from schemas import reasons
from worker.ledger.book import Book, Special, Why
from worker.ledger.campaign import Campaign, in_currency
from worker.ledger.cells import COUNT, NEVER, lasting
from worker.ledger.kinds import SERIES
from worker.ledger.series import Identity, Report, Series, merge
from worker.ledger.uncounted import NOWHERE

_ZEROS = (0,) * COUNT


def take(book: Book, special: Special) -> Why | None:
    """Count a cumulative report, or why not."""
    campaign, update, at = special.campaign, special.update, special.at
    if campaign.history is not None and not in_currency(campaign, update.currency):
        detail = f"the campaign is in {campaign.currency}, this in {update.currency}"
        return Why(reasons.CURRENCY_MISMATCH, "currency", detail)
    series = _series(book, special)
    if series is None:
        return Why(reasons.SERIES_LIMIT, "series", "the ledger holds as many series of the campaign as it may")
    series.collapse(book.oldest_bucket())
    if at < series.base_at:
        return Why(reasons.BEYOND_HORIZON, "event_time", "dated before the oldest total of its series that is kept")
    if campaign.seek(at, book.limits.cells) is NOWHERE:
        detail = "the ledger holds as many uncounted time cells of the campaign as it may"
        return Why(reasons.SERIES_LIMIT, "event_time", detail)
    report = Report(at, update.sequence, update.event_id, book.bucket(), special.figures)
    _count(book, campaign, series, report)
    return None


def _series(book: Book, special: Special) -> Series | None:
    """The series of a report, a new one if it has none; None when there are too many."""
    campaign, u = special.campaign, special.update
    currency = u.currency if campaign.history is None else None
    identity = Identity(u.source, u.channel, u.deal_id, u.line_item_id, u.series, currency)
    series = campaign.series.get(identity)
    if series is None:
        if len(campaign.series) >= book.limits.series:
            return None
        series = campaign.series[identity] = Series(campaign.new_series(), identity)
        series.head_changed = True
    campaign.mark(SERIES, identity)
    return series


def _count(book: Book, campaign: Campaign, series: Series, report: Report) -> None:
    identity = series.identity
    key = (identity.channel, identity.deal_id, identity.currency)
    # Counted with nothing first: a report's time counts for data_through and its attribution is known, beaten or not.
    campaign.add(report.at, key, _ZEROS, updates=1)
    for at, counts in series.add(report):
        campaign.add(at, key, counts)
    series.thin(lambda at: lasting(at, campaign.cuts)[0], counted_until(book, campaign))


def counted_until(book: Book, campaign: Campaign) -> int:
    """The last tick that has counted the campaign."""
    if not campaign.is_ticked:
        return NEVER
    is_judged = book.tick is not None and not book.waits(campaign)
    last = book.tick if is_judged else book.last_tick
    return NEVER if last is None else last


def plan_came(campaign: Campaign) -> None:
    """
    Join the series whose currency was stated with those where it was not, now that the plan tells they are one.

    Series in another currency are dropped: their spend stays out of the totals.
    """
    if all(identity.currency is None for identity in campaign.series):
        return
    parts: dict[Identity, list[Series]] = {}
    for identity, series in campaign.series.items():
        if in_currency(campaign, identity.currency):
            parts.setdefault(identity._replace(currency=None), []).append(series)
    campaign.dropped_series += campaign.series.values()
    campaign.series = {}
    campaign.changed = {change: None for change in campaign.changed if change[0] != SERIES}
    for identity, several in parts.items():
        merged, changes = merge(campaign.new_series(), identity, several)
        campaign.series[identity] = merged
        campaign.mark(SERIES, identity)
        for at, counts in changes:
            campaign.add(at, (identity.channel, identity.deal_id, None), counts)
