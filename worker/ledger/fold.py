"""
The fold: a batch of spend updates into the ledger, at a few microseconds each.

    values ─▶ decode ─▶ ids, hashed ─▶ found in memory?
                                        │ no, and an increment or credit ─▶ plain: counted, noted, remembered
                                        │ no, and cumulative, correction ─▶ special, after the plain ones
                                        └ yes, or twice in this stretch  ─▶ repeat: ignored, or a conflict

What is accepted does not depend on the order within a stretch, but for repeats: of one id the lowest offset is dealt
with first, and the others are compared with it after all else.

Here updates are folded one by one. Of a large stretch `bulk` does first what is plain, by compiled loops and to the
same effect; what it leaves comes here.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from schemas import reasons
from schemas.wire import Checked, SpendUpdate, check_update, decode_updates
from worker.intake import why_not_update
from worker.ledger import corrections, reports
from worker.ledger.batches import Folded, RecordBatch, Refused, picked
from worker.ledger.batches import packed as pack
from worker.ledger.book import Book, Special, Waiting, Why, carried
from worker.ledger.campaign import Campaign, in_currency
from worker.ledger.hearing import hear
from worker.ledger.identity import SPECIAL, UNKNOWN, Entries, hash64, id_hash
from worker.ledger.kinds import CORRECTION_OF, CUMULATIVE, PLAIN
from worker.ledger.notes import Note, pack_note
from worker.ledger.packing import encode, pack_big
from worker.ledger.sheet import ATTRIBUTION, CAMPAIGN, NO_ROW, label_of
from worker.ledger.uncounted import NOWHERE, OpenCell

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

STRETCH: Final = 8192
"""Updates folded at a time: enough to make a lookup's fixed cost small, few enough to hold them decoded."""

BULK_FROM: Final = 64
"""Updates from which on the compiled loops are faster; fewer are folded one by one."""
LOADED_FROM: Final = 4096
"""Updates from which on they are worth being loaded, these and those before; that takes the better part of a second."""

_PLACE: Final = operator.itemgetter(0)

_FULL: Final = "the ledger holds as many {} as it may"


Placed = tuple[int, SpendUpdate]
"""An update, and its place in the stretch."""


def _is_bulk(count: int, before: int) -> bool:
    """Whether so many updates are folded by the compiled loops; that changes how long it takes, and nothing else."""
    return count >= BULK_FROM and ("worker.ledger.kernel" in sys.modules or before + count >= LOADED_FROM)


def _hashes(placed: Iterable[Placed]) -> dict[int, int]:
    """The hashes of the ids, by place."""
    return {place: id_hash(u.campaign_id, u.source, u.event_id) for place, u in placed}


class Repeat(NamedTuple):
    """An update whose id is known: its place, and the hash of what the known one said (None: it is in the stretch)."""

    place: int
    update: SpendUpdate
    standing: int | None


class Stretch:
    """Updates folded together, and what becomes of them."""

    def __init__(self, book: Book, batch: RecordBatch, start: int, stop: int) -> None:
        self.book = book
        self.offsets = batch.offsets[start:stop]
        self.keys = batch.keys[start:stop]
        self.values = batch.values[start:stop]
        self.packed = batch.packed and batch.packed.cut(start, stop)
        self.accepted = 0
        self.duplicates = 0
        self.refused: list[Refused] = []
        self.late: list[Refused] = []
        self.hashes: dict[int, int] = {}
        """Of the ids, by place."""
        # -- accepted, and not in the memory yet
        self.ids: list[int] = []
        self.rows: list[int] = []
        self.notes: list[bytes] = []
        self.mute: list[int] = []
        """Which of the notes are not kept: their source is not corrigible."""
        # -- accepted, and remembered
        self.fresh: dict[int, int] = {}
        """The hash of what each said, by the hash of its id; filled only where a repeat may ask."""

    def fold(self) -> None:
        """Fold it all."""
        accepted = self._fold_bulk() if _is_bulk(len(self.values), self.book.counts.accepted) else self._fold_few()
        if self.book.wanted:
            self.late += corrections.meet(self.book, accepted)

    def _read(self, places: Sequence[int]) -> list[Placed]:
        """The updates at *places* that can be read; the others are refused."""
        placed: list[Placed] = []
        for place, update in zip(places, decode_updates(picked(self.values, places)), strict=True):
            if update is None:
                self._refuse_by_form(place)
            else:
                placed.append((place, update))
        return placed

    def _fold_bulk(self) -> list[int]:
        """Fold what is plain by compiled loops, and one by one what is left; the ids this accepts."""
        from worker.ledger import bulk

        packed = self.packed or pack(self.keys, self.values)
        scanned = bulk.scan(self.book, packed)
        apart = self._read((~scanned.fine).nonzero()[0].tolist())
        self.hashes = _hashes(apart)
        done = bulk.fold(self.book, packed, scanned, self, self.hashes.values())
        self.accepted += done.accepted
        self.duplicates += done.duplicates
        self.fresh = done.bodies
        known = self._known(self.hashes) | done.known
        self.hashes |= done.hashes
        return [*done.accepted_ids, *self._fold_singly(sorted([*apart, *self._read(done.others)], key=_PLACE), known)]

    def rows_of(self, places: list[int]) -> Callable[[int, int], int]:
        """What looks up the rows of the updates at *places*, which can be read."""
        updates = dict(self._read(places))
        return lambda place, at: self._row(place, updates[place], at)

    def meant(self, places: list[int], instants: Integers) -> Iterator[tuple[int, int, int] | None]:
        """Whom the names of the updates at *places* mean, which can be read and lie where they belong."""
        for (_, update), at in zip(self._read(places), instants[places].tolist(), strict=True):
            yield self._meant(update, at)

    def _meant(self, update: SpendUpdate, at: int) -> tuple[int, int, int] | None:
        """Campaign, attribution and label; None where there is no plan yet, or the update may be refused."""
        campaign = self.book.campaign(update.campaign_id)
        if campaign is None or campaign.history is None:
            return None
        # A new attribution is numbered where it is certain that a row of it is opened.
        is_open = self.book.stand_open(campaign, at)
        is_met = (update.channel, update.deal_id) in campaign.numbers
        if not (is_open or is_met) or self._why_not_name(campaign, update) is not None:
            return None
        label = label_of(update.currency, waits=False)
        return campaign.row, campaign.number(update.channel, update.deal_id), label

    def _known(self, hashes: Mapping[int, int]) -> dict[int, int]:
        """The ordinals of those that are remembered, by place."""
        places = list(hashes)
        return {places[at]: ordinal for at, ordinal in self.book.memory.find([*hashes.values()]).items()}

    def _fold_few(self) -> list[int]:
        """Fold the updates one by one; the ids this accepts."""
        placed = self._read(range(len(self.values)))
        self.hashes = _hashes(placed)
        return self._fold_singly(placed, self._known(self.hashes))

    def _fold_singly(self, placed: list[Placed], known: Mapping[int, int]) -> list[int]:
        """Fold *placed* one by one, *known* being the ordinals of those that are remembered; the ids this accepts."""
        if not placed:
            return []
        plain: list[Placed] = []
        special: list[Placed] = []
        repeats: list[Repeat] = []
        seen = set(self.fresh)
        for place, update in placed:
            hashed = self.hashes[place]
            if place in known:
                repeats.append(Repeat(place, update, self.book.memory.body(known[place])))
            elif hashed in seen:
                self.fresh.setdefault(hashed, UNKNOWN)
                repeats.append(Repeat(place, update, None))
            else:
                (plain if update.kind in PLAIN else special).append((place, update))
            seen.add(hashed)
        accepted = [*self._fold_plain(plain), *self._fold_specials(special)]
        for repeat in repeats:
            accepted += self._fold_repeat(repeat)
        return accepted

    # -- repeats

    def _fold_repeat(self, repeat: Repeat) -> list[int]:
        """Ignore a repeat, or refuse a conflict; fold it where what it repeats was refused. The ids this accepts."""
        place, update, standing = repeat
        if standing is None:
            standing = self.fresh[self.hashes[place]]
            if standing == UNKNOWN:
                return (self._fold_plain if update.kind in PLAIN else self._fold_specials)([(place, update)])
        checked = check_update(update)
        if checked is None:
            self._refuse_by_form(place)
            return []
        campaign = self._find(update.campaign_id, place)
        if campaign is None:
            return []
        if _body(campaign, update, *checked) == standing:
            self.duplicates += 1
        else:
            self._refuse(place, reasons.CONFLICTING_UPDATE, "event_id", "known with another body; the first stands")
            campaign.tell(reasons.CONFLICTING_UPDATE, {})
        return []

    # -- increments and credits

    def _fold_plain(self, updates: Iterable[Placed]) -> list[int]:
        """Fold *updates*, increments and credits; the ids this accepts."""
        for place, update in updates:
            checked = check_update(update)
            if checked is None:
                self._refuse_by_form(place)
                continue
            row = self._row(place, update, checked[0])
            if row != NO_ROW:
                self._fold_one(update, place, row, checked)
        return self._remember()

    def _fold_one(self, update: SpendUpdate, place: int, row: int, checked: Checked) -> None:
        at, spend, value = checked
        sheet, figures = self.book.sheet, carried(update, spend, value)
        sheet.add(row, [figure or 0 for figure in figures], at, updates=1)
        note = _note(update, sheet.get(row, ATTRIBUTION), at, figures)
        corrigible = self.book.limits.corrigible_sources
        if corrigible is not None and update.source not in corrigible:
            self.mute.append(len(self.notes))
        self.notes.append(note)
        self.rows.append(sheet.get(row, CAMPAIGN))
        hear(self.book, update.source, self.book.by_row[self.rows[-1]], at)
        self.ids.append(self.hashes[place])

    def _row(self, place: int, update: SpendUpdate, at: int) -> int:
        """The row of the sheet for an update, made if there is none; NO_ROW where it is refused."""
        campaign = self._find(update.campaign_id, place)
        if campaign is None:
            return NO_ROW
        cell = campaign.cell
        if not cell.lo <= at < cell.hi:
            cell = campaign.seek(at, self.book.limits.cells)
        row = cell.held.get((update.channel, update.deal_id, update.currency))
        return self._hold(campaign, cell, update, place) if row is None else row

    def _find(self, campaign_id: str, place: int) -> Campaign | None:
        """The campaign of an update, made if it is new; None where the update does not belong here or is too much."""
        book, key = self.book, self.keys[place]
        campaign = book.campaigns.get(campaign_id)
        if campaign is not None and campaign.key == key:
            return book.use(campaign)
        if not book.belongs_here(campaign_id, key):
            self._refuse(place, reasons.WRONG_PARTITION, "campaign_id", "its key or partition is not its campaign's")
            return None
        campaign = book.open(campaign_id)
        if campaign is None:
            self._refuse(place, reasons.SERIES_LIMIT, "campaign_id", _FULL.format("campaigns"))
        return campaign

    def _hold(self, campaign: Campaign, cell: OpenCell, update: SpendUpdate, place: int) -> int:
        """A row for an attribution that is new in the cell; NO_ROW where there can be none."""
        why = self._why_not_hold(campaign, cell, update)
        if why is not None:
            self._refuse(place, *why)
            return NO_ROW
        number = campaign.number(update.channel, update.deal_id)
        name = campaign.names[number]
        return campaign.bin.hold(cell, (name.channel, name.deal_id, update.currency), number)

    def _why_not_hold(self, campaign: Campaign, cell: OpenCell, update: SpendUpdate) -> Why | None:
        """Why the campaign cannot take an update of that time, currency and attribution."""
        if cell is NOWHERE:
            return Why(reasons.SERIES_LIMIT, "event_time", _FULL.format("uncounted time cells of the campaign"))
        return self._why_not_name(campaign, update)

    def _why_not_name(self, campaign: Campaign, update: SpendUpdate) -> Why | None:
        """Why the campaign cannot take an update of that currency and attribution, at any time."""
        if campaign.history is not None and not in_currency(campaign, update.currency):
            detail = f"the campaign is in {campaign.currency}, this in {update.currency}"
            return Why(reasons.CURRENCY_MISMATCH, "currency", detail)
        is_new = (update.channel, update.deal_id) not in campaign.numbers
        if is_new and len(campaign.names) >= self.book.limits.attributions:
            return Why(reasons.SERIES_LIMIT, "channel", _FULL.format("channels and deals of the campaign"))
        return None

    def _remember(self) -> list[int]:
        """Put what was accepted into the memory; the ids."""
        ids, rows, notes = self.ids, self.rows, self.notes
        self.ids, self.rows, self.notes = [], [], []
        bodies = [hash64(note) for note in notes]
        for muted in self.mute:
            notes[muted] = b""
        self.mute = []
        self._put(Entries(ids, bodies, rows, notes))
        return ids

    def _put(self, entries: Entries) -> None:
        self.book.memory.append(self.book.bucket(), entries)
        self.accepted += len(entries.ids)
        if self.fresh:
            self.fresh.update(zip(entries.ids, entries.bodies, strict=True))

    # -- cumulative reports and corrections

    def _fold_specials(self, updates: Sequence[Placed]) -> list[int]:
        """Fold *updates*, which are of other kinds; the ids this accepts."""
        specials = [special for place, update in updates if (special := self._special(place, update)) is not None]
        if not specials:
            return []
        known = self.book.memory.find([special.original for special in specials])
        accepted = Remembered()
        for at, special in enumerate(specials):
            self._fold_special(special, known.get(at, UNKNOWN), accepted)
        self._put(accepted.entries())
        return accepted.ids

    def _special(self, place: int, update: SpendUpdate) -> Special | None:
        """A cumulative report or correction that is well formed and belongs here."""
        checked = check_update(update)
        if checked is None:
            self._refuse_by_form(place)
            return None
        campaign = self._find(update.campaign_id, place)
        if campaign is None:
            return None
        at, spend, value = checked
        original = 0 if update.corrects is None else id_hash(update.campaign_id, update.source, update.corrects)
        return Special(place, update, campaign, at, carried(update, spend, value), original)

    def _fold_special(self, special: Special, ordinal: int, accepted: Remembered) -> None:
        """Count a report or a correction, whose original has *ordinal*; or refuse it."""
        hashed = self.hashes[special.place]
        if special.update.kind == "cumulative":
            why = reports.take(self.book, special)
        else:
            is_special = special.original in (hashed, *accepted.ids)
            why = corrections.take(self.book, special, SPECIAL if is_special else ordinal, self._waiting(special))
        if why is not None:
            self._refuse(special.place, *why)
            return
        accepted.ids.append(hashed)
        accepted.bodies.append(_special_body(special.update, special.at, special.figures))
        accepted.rows.append(special.campaign.row)
        hear(self.book, special.update.source, special.campaign, special.at)

    def _waiting(self, special: Special) -> Waiting:
        """A correction, as it waits."""
        place = special.place
        return Waiting(
            special.campaign.campaign_id,
            self.hashes[place],
            special.original,
            self.book.bucket(),
            self.offsets[place],
            self.keys[place],
            self.values[place] or b"",
        )

    # -- refusals

    def _refuse_by_form(self, place: int) -> None:
        why = why_not_update(self.values[place])
        self._refuse(place, why.reason, why.field, why.detail)

    def _refuse(self, place: int, reason: str, field: str, detail: str) -> None:
        self.refused.append(Refused(self.offsets[place], reason, field, detail, self.keys[place], self.values[place]))


class Remembered:
    """Accepted updates that are remembered without a note."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.bodies: list[int] = []
        self.rows: list[int] = []

    def entries(self) -> Entries:
        """As the memory takes them."""
        return Entries(self.ids, self.bodies, self.rows, [b""] * len(self.ids))


def _body(campaign: Campaign, update: SpendUpdate, at: int, spend: int | None, value: int | None) -> int | None:
    """The hash of what an update says; None if nothing accepted can have said the same."""
    figures = carried(update, spend, value)
    if update.kind not in PLAIN:
        return _special_body(update, at, figures)
    number = campaign.numbers.get((update.channel, update.deal_id))
    if number is None:
        return None
    return hash64(_note(update, number, at, figures))


def _note(u: SpendUpdate, attribution: int, at: int, figures: tuple[int | None, ...]) -> bytes:
    """What an increment or a credit says."""
    return pack_note(Note(PLAIN[u.kind], attribution, at, u.currency, u.line_item_id, u.series, u.sequence, figures))


def _special_body(update: SpendUpdate, at: int, figures: tuple[int | None, ...]) -> int:
    """The hash of what a report or a correction says, which is not kept."""
    u = update
    kind = CUMULATIVE if u.kind == "cumulative" else CORRECTION_OF
    said = [kind, u.channel, u.deal_id, at, u.currency, u.line_item_id, u.series, u.sequence, u.corrects, *figures]
    return hash64(encode([f if not isinstance(f, int) or -(2**63) <= f < 2**63 else pack_big(f) for f in said]))


# -- batches -----------------------------------------------------------------------------------------------------------


def fold_spend(book: Book, batch: RecordBatch) -> Folded:
    """Fold a record batch of spend updates into *book*."""
    late = _advance(book, batch.max_timestamp)
    accepted = duplicates = 0
    refused: list[Refused] = []
    for start in range(0, len(batch.values), STRETCH):
        stretch = Stretch(book, batch, start, start + STRETCH)
        stretch.fold()
        accepted += stretch.accepted
        duplicates += stretch.duplicates
        refused += sorted(stretch.refused, key=lambda refusal: refusal.offset)
        late += stretch.late
    if batch.offsets:
        book.advance(batch.topic, batch.offsets[-1] + 1)
    book.counts.add(accepted, duplicates, len(refused))
    return Folded(accepted, duplicates, refused, late)


def _advance(book: Book, timestamp: int) -> list[Refused]:
    """Move the horizon to a batch's greatest record timestamp, before any of its updates is looked at."""
    before = book.bucket()
    book.watermark = max(book.watermark, timestamp)
    first = book.memory.first
    book.memory.forget_before(book.oldest_bucket())
    book.counts.forgotten_early += book.memory.forget_beyond(book.limits.ids)
    if book.bucket() == before and book.memory.first == first:
        return []
    return corrections.forget(book)
