"""
Plans into the ledger: versions of a campaign's plan, tombstones, and what the first plan settles.

A version counts from the later of what it says (else its record's timestamp) and the last tick taken, so no tick that
was told changes afterwards. In a file, where there are no records and no ticks before, it counts from what it says,
else from the start of its flight, and a campaign's versions are put in that order. Source: contract, rule 1.

The first plan settles the campaign's currency. Spend that was kept under another stays out of the totals and is told
as a case; the corrections and series that waited to know are counted.
"""

from __future__ import annotations

from typing import Final

from schemas import reasons
from worker.intake import Unreadable, plan_of
from worker.ledger import corrections, reports
from worker.ledger.batches import Folded, RecordBatch, Refused
from worker.ledger.book import Book, Why
from worker.ledger.campaign import Campaign, in_currency
from worker.ledger.cells import awkward
from worker.ledger.kinds import CAMPAIGN
from worker.ledger.sheet import UPDATES
from worker.ledger.splitting import cut_for_ever
from worker.ledger.uncounted import OpenCell
from worker.pacing import Plan, PlanHistory, plan_cuts, windows_until

MS: Final = 1_000_000
"""Nanoseconds in a millisecond."""

_MISPLACED: Final = Why(reasons.WRONG_PARTITION, "campaign_id", "its key or partition is not its campaign's")


def fold_plans(book: Book, batch: RecordBatch) -> Folded:
    """Fold a record batch of plans and tombstones into *book*; no tick is open."""
    refused: list[Refused] = []
    for place, (offset, key, value) in enumerate(zip(batch.offsets, batch.keys, batch.values, strict=True)):
        timestamp = None if batch.timestamps is None else batch.timestamps[place] * MS
        why = _end(book, key) if value is None else _fold(book, key, value, timestamp)
        if why is not None:
            refused.append(Refused(offset, *why, key, value))
    if batch.offsets:
        book.advance(batch.topic, batch.offsets[-1] + 1)
    accepted = len(batch.values) - len(refused)
    return Folded(accepted, 0, refused, [])


def _end(book: Book, key: bytes | None) -> Why | None:
    """A tombstone: the plan has ended. One of a campaign that has no plan changes nothing."""
    campaign_id = (key or b"").decode(errors="replace")
    if not book.belongs_here(campaign_id, key):
        return _MISPLACED
    campaign = book.campaign(campaign_id)
    if campaign is not None and campaign.history is not None and not campaign.history.ended:
        book.use(campaign)
        campaign.succeed(campaign.history.as_ended())
    return None


def _fold(book: Book, key: bytes | None, value: bytes, timestamp: int | None) -> Why | None:
    """Accept a version of a plan, or why not."""
    plan = plan_of(value)
    if isinstance(plan, Unreadable):
        return Why(plan.reason, plan.field, plan.detail)
    if not book.belongs_here(plan.campaign_id, key):
        return _MISPLACED
    campaign = book.open(plan.campaign_id)
    if campaign is None:
        return Why(reasons.SERIES_LIMIT, "campaign_id", "the ledger holds as many campaigns as it may")
    return _why_not(book, campaign, plan) or _accept(book, campaign, plan, timestamp)


def _why_not(book: Book, campaign: Campaign, plan: Plan) -> Why | None:
    if campaign.currency not in (None, plan.currency):
        detail = f"the campaign is in {campaign.currency} since its first plan, this version in {plan.currency}"
        return Why(reasons.INVALID_PLAN, "currency", detail)
    if campaign.history is not None and len(campaign.history.versions) >= book.limits.versions:
        detail = f"{book.limits.versions} versions are kept or wait for their time: end the plan and send it anew"
        return Why(reasons.INVALID_PLAN, "effective_at", detail)
    if campaign.history is not None and campaign.history.changes >= book.limits.versions:
        detail = f"its budget or flight was changed {book.limits.versions} times: end the plan and send it anew"
        return Why(reasons.INVALID_PLAN, "total_budget", detail)
    return None


def _accept(book: Book, campaign: Campaign, plan: Plan, timestamp: int | None) -> Why | None:
    is_of_file = timestamp is None and not book.partitions
    history = _in_order(campaign, plan) if is_of_file else _next(book, campaign, plan, timestamp)
    added = [cut for cut in awkward(plan_cuts(history)) if cut not in campaign.cuts]
    impossible = cut_for_ever(book.past_of(campaign), campaign, added)
    if impossible is not None:
        return Why(reasons.INVALID_PLAN, _field_of(plan, impossible), _UNCUT)
    if campaign.history is None:
        _settle_currency(campaign, plan.currency)
        campaign.succeed(history)
        book.plan_came(campaign)
        reports.plan_came(campaign)
        corrections.plan_came(book, campaign)
    campaign.succeed(history)
    return None


_UNCUT: Final = (
    "spend within that quarter of an hour came too long ago to be divided there; an instant on a quarter of an hour"
    " can be counted from"
)


def _field_of(plan: Plan, cut: int) -> str:
    """The field of the plan that asks about *cut*."""
    if cut == plan.flight.start:
        return "flight_start"
    if cut == plan.flight.end:
        return "flight_end"
    if any(cut == window.end for window in windows_until(plan, plan.flight.start, plan.flight.end)):
        return "period"
    deals = (flight for deal in plan.deals if (flight := deal.flight) is not None)
    return "deals" if any(cut in (flight.start, flight.end) for flight in deals) else "effective_at"


def _next(book: Book, campaign: Campaign, plan: Plan, timestamp: int | None) -> PlanHistory:
    """The history with a version that comes by the log, or by a recording of it that may lack timestamps."""
    says = _counts_from(plan) if plan.effective_at is not None or timestamp is None else timestamp
    counts_from = says if book.last_tick is None else max(says, book.last_tick)
    return (campaign.history or PlanHistory()).with_version(plan, counts_from)


def _in_order(campaign: Campaign, plan: Plan) -> PlanHistory:
    """The history with a version of a file: all its versions in the order they count."""
    history = campaign.history or PlanHistory()
    plans = [version.plan for version in history.versions]
    history = PlanHistory()
    # A sort keeps the order of equals: of two versions that count from the same time the later one in the file wins.
    for version in sorted([*plans, plan], key=_counts_from):
        history = history.with_version(version, _counts_from(version))
    return history


def _counts_from(plan: Plan) -> int:
    return plan.flight.start if plan.effective_at is None else plan.effective_at


def _settle_currency(campaign: Campaign, currency: str) -> None:
    """Fix the campaign's currency; what is held under another stays out."""
    campaign.currency = currency
    campaign.mark(CAMPAIGN)
    out: dict[str | None, int] = {}
    updates = sum(_leave_out(campaign, cell, out) for cell in campaign.pending.all())
    if out:
        campaign.tell(reasons.CURRENCY_MISMATCH, out, updates)


def _leave_out(campaign: Campaign, cell: OpenCell, out: dict[str | None, int]) -> int:
    """Take what is in another currency out of a cell, into *out*; how many updates."""
    updates, sheet = 0, campaign.pending.sheet
    for key in [key for key in cell.held if not in_currency(campaign, key[2])]:
        row = cell.held.pop(key)
        out[key[2]] = out.get(key[2], 0) + sheet.spend(row)
        updates += sheet.get(row, UPDATES)
        sheet.close(row)
    return updates
