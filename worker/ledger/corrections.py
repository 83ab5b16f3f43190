"""
Corrections: what replaces the figures of an update, whichever of the two comes first.

    original known, campaign planned     counts at once: the difference, where and when the original counts
    original not known                   waits for it, up to the horizon
    no plan yet                          waits for the plan, since only then is it known what is in its currency

Of several corrections of an update the greatest by (sequence, event time, event_id) counts, each against the original
as it was reported: the effect is a function of the set. Source: contract, rule 7.

An id that comes again beyond the horizon is another update. So what waits for a plan may have to share its id with a
newer correction, and the id of its original with a newer original: each counts for the one it was of.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas import reasons
from schemas.wire import Checked, SpendUpdate, check_update, decode_update
from worker.ledger.batches import Refused
from worker.ledger.book import Book, Special, Waiting, Why, carried
from worker.ledger.campaign import Campaign, Correction, effective, in_currency
from worker.ledger.identity import SPECIAL, UNKNOWN
from worker.ledger.kinds import CAMPAIGN, CORRECTION
from worker.ledger.notes import unpack_note
from worker.ledger.records import UnreadableLedgerError

NOT_CORRECTABLE = "what it corrects is a correction or a cumulative report, or of a source that is not corrigible"


def apply(campaign: Campaign, original: int, correction: Correction) -> None:
    """Let *correction* count for the update with the id hash *original*, unless a greater one does."""
    standing = campaign.correction_of(original, correction.ordinal)
    if standing is not None and standing.rank() >= correction.rank():
        return
    note = unpack_note(correction.note)
    said = note.counted()
    before = effective(said, standing.figures if standing else None)
    after = effective(said, correction.figures)
    name = campaign.names[note.attribution]
    difference = [new - old for new, old in zip(after, before, strict=True)]
    campaign.add(note.at, (name.channel, name.deal_id, note.currency), difference)
    campaign.corrections[original] = correction
    campaign.mark(CORRECTION, original)


def take(book: Book, special: Special, ordinal: int, waiting: Waiting) -> Why | None:
    """
    Take a correction, whose original has *ordinal* if it is known; or why not.

    It counts at once, or waits as *waiting*.
    """
    campaign, update = special.campaign, special.update
    is_planned = campaign.history is not None
    if is_planned and not in_currency(campaign, update.currency):
        detail = f"the campaign is in {campaign.currency}, this in {update.currency}"
        return Why(reasons.CURRENCY_MISMATCH, "currency", detail)
    if ordinal == UNKNOWN:
        return _wait(book, waiting)
    note = b"" if ordinal == SPECIAL else book.memory.note(ordinal)
    if not note:
        return Why(reasons.NOT_CORRECTABLE, "corrects", NOT_CORRECTABLE)
    if not is_planned:
        return _wait(book, waiting._replace(note=note, ordinal=ordinal))
    stated = unpack_note(note).currency
    if not in_currency(campaign, stated):
        detail = f"the campaign is in {campaign.currency}, what this corrects in {stated}"
        return Why(reasons.CURRENCY_MISMATCH, "corrects", detail)
    _apply(book, special, note, ordinal)
    return None


def _wait(book: Book, waiting: Waiting) -> Why | None:
    if len(book.waiting_of.get(waiting.campaign_id, ())) >= book.limits.corrections:
        return Why(
            reasons.SERIES_LIMIT, "corrects", "the ledger holds as many waiting corrections of the campaign as it may"
        )
    book.wait_for(waiting)
    # Nothing else may ever be written of its campaign, which a restart would then not know.
    book.reopen(waiting.campaign_id).mark(CAMPAIGN)
    return None


def _apply(book: Book, special: Special, note: bytes, ordinal: int) -> None:
    update = special.update
    correction = Correction(ordinal, note, update.sequence, special.at, update.event_id, special.figures)
    apply(special.campaign, special.original, correction)
    book.corrected.add(special.campaign.campaign_id)


def counts(book: Book, campaign: Campaign, waiting: Waiting) -> None:
    """Let a correction that waited count; its original's note is known, and the campaign's plan is."""
    update, (at, spend, value) = _read(waiting)
    if not in_currency(campaign, unpack_note(waiting.note).currency):
        return
    if not in_currency(campaign, update.currency):
        campaign.tell(reasons.CURRENCY_MISMATCH, {update.currency: spend or 0})
        return
    figures = carried(update, spend, value)
    correction = Correction(waiting.ordinal, waiting.note, update.sequence, at, update.event_id, figures)
    apply(campaign, waiting.original, correction)
    book.corrected.add(campaign.campaign_id)


def _read(waiting: Waiting) -> tuple[SpendUpdate, Checked]:
    """A correction that waits, read once more."""
    update = decode_update(waiting.value)
    checked = None if update is None else check_update(update)
    if update is None or checked is None:
        raise UnreadableLedgerError(f"a waiting correction of {waiting.campaign_id} is not readable")
    return update, checked


def meet(book: Book, ids: Iterable[int]) -> list[Refused]:
    """Give originals that have just been remembered to the corrections that wait for them; who waited in vain."""
    refused: list[Refused] = []
    for original in book.wanted.keys() & set(ids):
        ordinal = book.memory.find_one(original)
        note = book.memory.note(ordinal)
        for waiting in _in_turn(book, book.wanted[original]):
            refused += _meet(book, waiting, note, ordinal)
    return refused


def _meet(book: Book, waiting: Waiting, note: bytes, ordinal: int) -> list[Refused]:
    book.release(waiting)
    if not note:
        return [refusal(waiting, reasons.NOT_CORRECTABLE, NOT_CORRECTABLE)]
    campaign = book.reopen(waiting.campaign_id)
    known = waiting._replace(note=note, ordinal=ordinal)
    if campaign.history is None:
        book.wait_for(known)
    else:
        counts(book, campaign, known)
    return []


def plan_came(book: Book, campaign: Campaign) -> None:
    """Let the corrections count that waited for the campaign's plan only."""
    for waiting in _in_turn(book, book.waiting_of.get(campaign.campaign_id, ())):
        if waiting.note:
            book.release(waiting)
            counts(book, campaign, waiting)


def _in_turn(book: Book, ids: Iterable[int]) -> list[Waiting]:
    return sorted((book.waiting[waits] for waits in ids), key=Waiting.turn)


def forget(book: Book) -> list[Refused]:
    """What the horizon has passed: corrections whose original never came, and originals none can correct any more."""
    for campaign_id in sorted(book.corrected):
        _forget_originals(book, campaign_id)
    oldest = book.oldest_bucket()
    vain = [waiting for waiting in book.waiting.values() if waiting.bucket < oldest and not waiting.note]
    return [_give_up(book, waiting) for waiting in sorted(vain, key=lambda waiting: waiting.offset)]


def _forget_originals(book: Book, campaign_id: str) -> None:
    campaign = book.reopen(campaign_id)
    gone = [original for original, c in campaign.corrections.items() if c.ordinal < book.memory.first]
    for original in gone:
        del campaign.corrections[original]
        campaign.mark(CORRECTION, original)
    if not campaign.corrections:
        book.corrected.discard(campaign_id)


def _give_up(book: Book, waiting: Waiting) -> Refused:
    book.release(waiting)
    update, (_, spend, _) = _read(waiting)
    amount = {} if spend is None else {update.currency: spend}
    # Of a ledger that was written before waiting corrections named their campaign it may not be known any more.
    campaign = book.open(waiting.campaign_id)
    if campaign is not None:
        campaign.tell(reasons.UNMATCHED_CORRECTION, amount)
    return refusal(waiting, reasons.UNMATCHED_CORRECTION, "what it corrects has not come within the horizon")


def refusal(waiting: Waiting, reason: str, detail: str) -> Refused:
    """A correction that was accepted and comes to nothing."""
    return Refused(waiting.offset, reason, "corrects", detail, waiting.key, waiting.value)
