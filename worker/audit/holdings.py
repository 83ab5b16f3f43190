"""What a ledger's records say it holds: of the live one for comparing, of an exported one as the beginning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from schemas.wire import check_update, decode_update
from worker.audit.recount import (
    BEFORE,
    DAY,
    Base,
    Campaign,
    Corrected,
    Key,
    Known,
    Reported,
    Spent,
    Sums,
    Total,
    figures_of,
)
from worker.ledger.campaign import Campaign as Held
from worker.ledger.cells import COUNT, Cell
from worker.ledger.changelog import Marker, read_marker
from worker.ledger.journal import sheet_of
from worker.ledger.kinds import CAMPAIGN, IDS, MARKER, WAITING
from worker.ledger.notes import Note, unpack_note
from worker.ledger.records import fields_of, key_of, parted, parts_of

Records = Mapping[bytes, bytes]
ByAttribution = dict[tuple[str | None, str | None, str | None], list[int]]
"""Figures by channel, deal and stated currency."""


class Holding(NamedTuple):
    """One campaign as a ledger holds it."""

    currency: str | None
    """The plan's; None without one."""
    is_ticked: bool
    totals: ByAttribution
    """What ticks have counted, as it is kept ready."""
    cells: list[tuple[Key, int, list[int]]]
    """Every cell, counted or not: key, the instant it begins, figures."""

    def by_day(self) -> Sums:
        """All of it by attribution and day."""
        sums: Sums = {}
        for key, _, figures in self.cells:
            into = sums.setdefault(key, [0] * COUNT)
            into[:] = [a + b for a, b in zip(into, figures, strict=True)]
        return sums

    def by(self, as_of: int | None) -> Sums:
        """What is dated by an instant, a cell counting with its beginning."""
        return self._replace(cells=[c for c in self.cells if as_of is None or c[1] <= as_of]).by_day()


class Holdings:
    """A partition's ledger by campaign."""

    def __init__(self, records: Records) -> None:
        self.marker: Marker = read_marker(records[MARKER])
        self._records = records
        _, self._shelves = parted(records)
        self._sheet = sheet_of(records)

    def names(self) -> Iterable[str]:
        """Every campaign there is."""
        return self._shelves

    def __getitem__(self, campaign_id: str) -> Holding | None:
        """What is held of a campaign; None where it is not known."""
        shelf = self._shelves.get(campaign_id)
        return None if shelf is None else _holding(shelf.unpack(campaign_id, None, self._sheet))

    def currency_of(self, campaign_id: str) -> str | None:
        """The currency of a campaign with a plan."""
        shelf = self._shelves.get(campaign_id)
        if shelf is None or not shelf.is_planned():
            return None
        currency: str | None = fields_of(self._own(campaign_id), 2)[1]
        return currency

    def is_ticked(self, campaign_id: str) -> bool:
        """Whether a tick has counted the campaign."""
        return bool(fields_of(self._own(campaign_id), 3)[2])

    def _own(self, campaign_id: str) -> bytes:
        return self._records[key_of(CAMPAIGN, campaign_id)]

    # -- as a beginning

    def base(self, corrigible: AbstractSet[str] | None) -> Base:
        """It, as what an audit begins with; *corrigible* are the sources that may be corrected (None: all)."""
        base = Base(watermark=self.marker.watermark)
        helds: dict[str, Held] = {}
        names: dict[int, str] = {}
        for campaign_id, shelf in self._shelves.items():
            held = shelf.unpack(campaign_id, None, self._sheet)
            helds[campaign_id], names[held.row] = held, campaign_id
            base.campaigns[campaign_id] = _campaign(base, held, self.marker)
            base.sums[campaign_id] = _holding(held).by
        for waits in self._waiting():
            campaign = base.campaigns.setdefault(waits.campaign_id, Campaign())
            if waits.note or corrigible is None or waits.source in corrigible:
                campaign.corrections.append(self._corrected(waits))
            if self._is_forgotten(waits):
                # The horizon has passed the original meanwhile; the correction waits for the plan alone.
                gone = _spent(helds[waits.campaign_id], unpack_note(waits.note), self._offset(waits.ordinal), LONG_AGO)
                uses = campaign.originals.setdefault(waits.said.original, [])
                uses += [] if gone in uses else [gone]
        for ordinal, hashed, row, bucket, note in self._remembered():
            held = helds[names[row]]
            spent = _spent(held, unpack_note(note), self._offset(ordinal), bucket) if note else None
            base.known[hashed] = Known(bucket, spent)
            if spent is not None:
                base.campaigns[names[row]].originals.setdefault(hashed, []).append(spent)
        return base

    def _offset(self, ordinal: int) -> int:
        return _offset(self.marker, ordinal)

    def _is_forgotten(self, waits: Waits) -> bool:
        """Whether what it corrects came, and is remembered no more."""
        return bool(waits.note) and waits.ordinal < self.marker.first_ordinal

    def _corrected(self, waits: Waits) -> Corrected:
        """What waits, as a correction that came with its original where that is known."""
        said = waits.said._replace(offset=self._offset(waits.ordinal)) if waits.note else waits.said
        return said._replace(bucket=LONG_AGO) if self._is_forgotten(waits) else said

    def _remembered(self) -> Iterator[tuple[int, int, int, int, bytes]]:
        """(ordinal, id, row, bucket, note) of every update that is remembered."""
        for key, value in sorted(self._records.items()):
            if key[:1] == IDS:
                bucket, _, ids, _, rows, lengths, notes = fields_of(value, 7)
                first, at = int.from_bytes(key[1:], "big"), 0
                for place in range(len(ids) // 8):
                    length, note = _little(lengths, place, 4), at
                    at += length
                    yield first + place, _little(ids, place, 8), _little(rows, place, 4), bucket, notes[note:at]

    def _waiting(self) -> list[Waits]:
        """The corrections that wait: by original in the order these came, of one in the order they came themselves."""
        waiting = (_waits(parts_of(key)[0], value) for key, value in self._records.items() if key[:1] == WAITING)
        return sorted(waiting, key=lambda waits: (waits.ordinal, waits.said.bucket, waits.offset))


class Waits(NamedTuple):
    """A correction that waits: for its original, or where that is known (*note*, *ordinal*) for the plan alone."""

    campaign_id: str
    source: str
    offset: int
    note: bytes
    ordinal: int
    said: Corrected


LONG_AGO: Final = -(1 << 63)
"""The bucket of what is remembered no more."""


def _offset(marker: Marker, ordinal: int) -> int:
    """The offset that an update has at the beginning."""
    return BEFORE + 1 + ordinal - marker.next_ordinal


def _little(column: bytes, place: int, size: int) -> int:
    return int.from_bytes(column[size * place : size * (place + 1)], "little")


def _holding(held: Held) -> Holding:
    uncounted = [held.pending, *([held.waiting] if held.waiting else [])]
    cells = [cell for each in uncounted for cell in each.values()]
    totals: ByAttribution = {(*name, None): figures for name, figures in held.all_totals().items()}
    currency = held.currency if held.history is not None else None
    return Holding(currency, held.is_ticked, totals, [*_cells(_counted(held)), *_cells(held.ticked()), *_cells(cells)])


def _counted(held: Held) -> Iterator[Cell]:
    return held.counted(min(held.days, default=0), max(held.days, default=0))


def _cells(cells: Iterable[Cell]) -> Iterator[tuple[Key, int, list[int]]]:
    for cell in cells:
        for key, figures in cell.held.items():
            yield Key(*key, cell.day), cell.lo, figures[:COUNT]


def _campaign(base: Base, held: Held, marker: Marker) -> Campaign:
    campaign = Campaign()
    for original, correction in held.corrections.items():
        if correction.ordinal >= marker.first_ordinal:
            offset = _offset(marker, correction.ordinal)
            standing = Corrected(offset, 0, original, correction.rank(), None, correction.figures)
            campaign.corrections.append(standing)
            base.standing[held.campaign_id, original] = standing
    for identity, series in held.series.items():
        campaign.reports[Total(*identity)] = [
            Reported(BEFORE + report.bucket - marker.watermark, report.at, report.rank(), report.figures)
            for report in series.reports
        ]
    return campaign


def _spent(held: Held, note: Note, offset: int, bucket: int) -> Spent:
    name = held.names[note.attribution]
    key = Key(name.channel, name.deal_id, note.currency, note.at // DAY)
    return Spent(offset, bucket, note.at, key, note.figures)


def _waits(campaign_id: str, value: bytes) -> Waits:
    """A correction that waits, from its record."""
    original, bucket, offset, _, message, note, ordinal = fields_of(value, 7)
    update = decode_update(message)
    checked = None if update is None else check_update(update)
    if update is None or checked is None:
        raise ValueError("a waiting correction is not readable")
    rank = (update.sequence is not None, update.sequence or 0, checked[0], update.event_id)
    said = Corrected(BEFORE, bucket, original, rank, update.currency, figures_of(update, checked))
    return Waits(campaign_id, update.source, offset, note, ordinal, said)
