"""
The ledger as records of its changelog: kinds, keys, values. Final from the start; a test holds them to golden bytes.

A key is one byte for the kind, the campaign's id in UTF-8, and where a campaign has several, a NUL (which no id
holds) and numbers, big-endian. A value is a msgpack array that begins with the version of its kind's format, which is
1; fields are only ever added at the end. The marker is a msgpack map. Parts of values are described in `packing`.

| kind | record             | key after the kind       | value after the version                                |
|------|--------------------|--------------------------|--------------------------------------------------------|
| `c`  | campaign           | id                       | row, currency, is_ticked, attributions, totals, latest,|
|      |                    |                          | next series number, recent cells, cases, waiting cases,|
|      |                    |                          | pacing state, rhythm, [sources, waiting sources]       |
| `l`  | local days         | id                       | zone, day, spend of each of the days before it         |
| `h`  | plan history       | id                       | what `PlanHistory.pack` gives                          |
| `p`  | pending day        | id NUL day(4)            | pending cells, waiting cells                           |
| `d`  | counted day        | id NUL day(4)            | cells                                                  |
| `s`  | series             | id NUL number(4)         | source, channel, deal, line item, series, currency,    |
|      |                    |                          | base_at, blurred_until                                 |
| `r`  | reports of a day   | id NUL number(4) day(4)  | [at, sequence, event_id, bucket, figures] of each      |
| `x`  | correction         | id NUL original(8)       | ordinal, note, sequence, at, event_id, figures         |
| `w`  | waiting correction | id NUL `Waiting.id`(8)   | original, bucket, offset, key, value, note, ordinal    |
| `u`  | rows               | ordinal(8)               | see `journal`                                          |
| `i`  | id segment         | first ordinal(8)         | bucket, part, ids, bodies, rows, lengths of notes,     |
|      |                    |                          | notes                                                  |
| `o`  | source             | name                     | latest event time, the same as of the tick,            |
|      |                    |                          | [minute, earliest, latest] of each to come             |
| `m`  | marker             |                          | see `changelog.Marker`; last in every checkpoint       |

*rhythm* is [hour, net, positive hour, spend of the latest day], nil where no tick has asked for it; see `rhythm`.
*attributions* are [channel, deal_id] in the order of their numbers; *totals* [attribution, *figures]; *recent cells*
[UTC day, cells]; *cases* [kind, how many, [currency, amount] of each]. Ids, bodies, rows and lengths are columns of
little-endian integers of 8, 8, 4 and 4 bytes. Hashes and ordinals are those of `identity`, days are UTC days since
1970. What comes in, and what a tick counts of it, is written as rows alone, until they are many: a campaign is what its
record says and what its ticked rows hold. A counted day is written once an hour; a pending day is one that was packed,
as nobody folds into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec

from worker.ledger.campaign import Campaign, Cases, Correction
from worker.ledger.cells import NEVER, Cell
from worker.ledger.kinds import (
    CAMPAIGN,
    CORRECTION,
    COUNTED,
    HISTORY,
    LOCAL_DAYS,
    NUMBERED,
    OF_A_CAMPAIGN,
    PENDING,
    REPORTS,
    SERIES,
    SOURCE,
)
from worker.ledger.packing import (
    decode,
    encode,
    pack_amount,
    pack_big,
    pack_figures,
    packed_cell,
    unpack_amount,
    unpack_big,
    unpack_cell,
    unpack_figures,
    with_big,
    without_big,
)
from worker.ledger.rhythm import Rhythm
from worker.ledger.series import Identity, Report, Series
from worker.ledger.sheet import Sheet
from worker.ledger.sources import Source
from worker.pacing import Attribution, PacingState, PlanHistory

VERSION: Final = 1

_BY_START: Final = attrgetter("lo")

NO_CELLS: Final = encode([])
NO_COURSE: Final = (None, ((), ()))
"""What the records of before there were rhythms and sources know of them."""

NUMBER: Final = 4
HASH: Final = 8

Record = tuple[bytes, bytes | None]
Records = Mapping[bytes, bytes | None]
"""By key, the newest of each; None where that deletes it."""


class UnreadableLedgerError(ValueError):
    """A record that this version does not read, or records that do not fit together."""


def standing(records: Records) -> dict[bytes, bytes]:
    """Those of *records* that are not deleted."""
    return {key: value for key, value in records.items() if value is not None}


# -- keys ----------------------------------------------------------------------------------------------------------


def key_of(kind: bytes, campaign_id: str, *numbers: bytes) -> bytes:
    """The key of a campaign's record."""
    return b"".join((kind, campaign_id.encode(), b"\0" if numbers else b"", *numbers))


def day_bytes(number: int) -> bytes:
    """A day or a series' number in a key; in some zones 1970 began on the day before."""
    return number.to_bytes(NUMBER, "big", signed=True)


def day_of(packed: bytes) -> int:
    """The day or the number that `day_bytes` wrote."""
    return int.from_bytes(packed, "big", signed=True)


def hash_bytes(number: int) -> bytes:
    """A hash or an ordinal in a key."""
    return number.to_bytes(HASH, "big")


def parts_of(key: bytes) -> tuple[str, bytes]:
    """The campaign's id and the numbers in the key of a campaign's record."""
    campaign_id, _, numbers = key[1:].partition(b"\0")
    return campaign_id.decode(), numbers


def fields_of(value: bytes, known: int) -> list[Any]:
    """
    The *known* fields of a value, its version looked at and taken off.

    What follows them a later version of the worker has added; a worker that goes back to this one leaves it out.
    """
    version: int
    fields: list[Any]
    version, *fields = decode(value)
    if version != VERSION:
        raise UnreadableLedgerError(f"a record of format {version}; this version reads format {VERSION}")
    return fields[:known]


# -- campaigns -------------------------------------------------------------------------------------------------------


def pack_campaign(campaign: Campaign) -> bytes:
    """The value of a campaign's record."""
    recent: dict[int, list[Cell]] = {}
    for cell in campaign.recent.values():
        recent.setdefault(cell.day, []).append(cell)
    fields = [
        VERSION,
        campaign.row,
        campaign.currency,
        campaign.is_ticked,
        campaign.names,
        [[campaign.numbers[name], *pack_figures(figures)] for name, figures in campaign.totals.items()],
        None if campaign.latest == NEVER else campaign.latest,
        campaign.next_series,
        [[day, [*map(packed_cell, sorted(cells, key=_BY_START))]] for day, cells in recent.items()],
        _pack_cases(campaign.cases),
        _pack_cases(campaign.waiting_cases),
    ]
    try:
        return encode([*fields, campaign.state, *_pack_course(campaign)])
    except OverflowError:
        state = without_big(msgspec.to_builtins(campaign.state))
        return encode([*fields, state, *_pack_course(campaign)])


def _pack_course(campaign: Campaign) -> list[Any]:
    """The rhythm but for its days, and the sources."""
    rhythm, sources = campaign.rhythm, [campaign.sources, campaign.waiting_sources]
    if rhythm is None:
        return [None, sources]
    return [[rhythm.hour, pack_amount(rhythm.net), rhythm.positive, pack_amount(rhythm.spend)], sources]


def pack_local_days(rhythm: Rhythm) -> bytes:
    """The value of the record of a campaign's local days."""
    return encode([VERSION, rhythm.zone, rhythm.day, msgspec.Raw(rhythm.past)])


def _unpack_rhythm(head: Any, value: bytes | None) -> Rhythm | None:
    """The rhythm of a campaign's record and that of its local days."""
    if head is None or value is None:
        return None
    zone, day, past = fields_of(value, 3)
    hour, net, positive, spend = head
    rhythm = Rhythm(zone)
    rhythm.hour, rhythm.net, rhythm.positive = hour, unpack_amount(net), positive
    rhythm.day, rhythm.spend, rhythm.past = day, unpack_amount(spend), encode(past)
    return rhythm


def unpack_campaign(
    campaign_id: str, key: bytes | None, value: bytes, local_days: bytes | None, sheet: Sheet
) -> Campaign:
    """The campaign of a record and that of its local days; its other records are put in by `Shelf`."""
    row, currency, is_ticked, names, totals, latest, next_series, recent, cases, waiting, state, *course = fields_of(
        value, 13
    )
    campaign = Campaign(campaign_id, key, row, sheet)
    campaign.currency = currency
    campaign.is_ticked = is_ticked
    campaign.names += (Attribution(*name) for name in names)
    campaign.numbers = {name: number for number, name in enumerate(campaign.names)}
    campaign.totals = {campaign.names[number]: unpack_figures(figures) for number, *figures in totals}
    campaign.latest = NEVER if latest is None else latest
    campaign.next_series = next_series
    cells = (unpack_cell(day, cell, campaign.names) for day, packed in recent for cell in packed)
    campaign.recent = {cell.lo: cell for cell in cells}
    campaign.cases = _unpack_cases(cases)
    campaign.waiting_cases = _unpack_cases(waiting)
    campaign.state = _unpack_state(state)
    rhythm, (sources, waiting_sources) = course or NO_COURSE
    campaign.rhythm = _unpack_rhythm(rhythm, local_days)
    campaign.sources, campaign.waiting_sources = tuple(sources), tuple(waiting_sources)
    return campaign


def _unpack_state(packed: Any) -> PacingState:
    try:
        return msgspec.convert(packed, PacingState)
    except msgspec.ValidationError:
        return msgspec.convert(with_big(packed), PacingState)


def _pack_cases(cases: Cases) -> list[Any]:
    return [
        [kind, count, [[currency, pack_amount(amount)] for currency, amount in amounts.items()]]
        for kind, (count, amounts) in cases.items()
    ]


def _unpack_cases(packed: Iterable[Any]) -> Cases:
    return {
        kind: (count, {currency: unpack_amount(amount) for currency, amount in amounts})
        for kind, count, amounts in packed
    }


def pack_history(history: PlanHistory) -> bytes:
    """The value of a plan history's record."""
    packed = history.pack()
    try:
        return encode([VERSION, packed])
    except OverflowError:
        return encode([VERSION, without_big(packed)])


def unpack_history(value: bytes) -> PlanHistory:
    """The plan history of a record."""
    packed = fields_of(value, 1)[0]
    try:
        return PlanHistory.unpack(packed)
    except msgspec.ValidationError:
        return PlanHistory.unpack(with_big(packed))


# -- days ------------------------------------------------------------------------------------------------------------


def pack_pending(pending: bytes | None, waiting: bytes | None) -> bytes | None:
    """The value of a pending day's record; None where there is nothing."""
    if pending is None and waiting is None:
        return None
    return encode([VERSION, *(msgspec.Raw(data or NO_CELLS) for data in (pending, waiting))])


def pack_counted(data: bytes) -> bytes:
    """The value of a counted day's record."""
    return encode([VERSION, msgspec.Raw(data)])


# -- series ----------------------------------------------------------------------------------------------------------


def pack_series(series: Series) -> bytes:
    """The value of a series' record."""
    instants = (None if at == NEVER else at for at in (series.base_at, series.blurred_until))
    return encode([VERSION, *series.identity, *instants])


def pack_reports(reports: Iterable[Report]) -> bytes | None:
    """The value of the record of a day's reports; None where there is none."""
    packed = [[*report[:-1], _pack_said(report.figures)] for report in reports]
    return encode([VERSION, packed]) if packed else None


def unpack_series(number: int, head: bytes, days: Iterable[bytes]) -> Series:
    """A series from its records."""
    *identity, base_at, blurred_until = fields_of(head, 8)
    packed = (report for day in days for report in fields_of(day, 1)[0])
    reports = sorted((Report._make([*said, _unpack_said(figures)]) for *said, figures in packed), key=Report.place)
    series = Series(number, Identity(*identity), reports, NEVER if base_at is None else base_at)
    series.blurred_until = NEVER if blurred_until is None else blurred_until
    return series


def _pack_said(figures: Iterable[int | None]) -> list[int | bytes | None]:
    """Figures as they were said, None being nothing; past 64 bits as bytes."""
    return [f if f is None or -(2**63) <= f < 2**63 else pack_big(f) for f in figures]


def _unpack_said(packed: Iterable[int | bytes | None]) -> tuple[int | None, ...]:
    return tuple(None if figure is None else unpack_big(figure) for figure in packed)


# -- corrections -----------------------------------------------------------------------------------------------------


def pack_correction(correction: Correction) -> bytes:
    """The value of the record of a correction that counts."""
    return encode([VERSION, *correction[:-1], _pack_said(correction.figures)])


def unpack_correction(value: bytes) -> Correction:
    """The correction of a record."""
    *said, figures = fields_of(value, 6)
    return Correction._make([*said, _unpack_said(figures)])


# -- sources ---------------------------------------------------------------------------------------------------------


def source_key(name: str) -> bytes:
    """The key of a source's record."""
    return SOURCE + name.encode()


def pack_source(source: Source) -> bytes:
    """The value of a source's record."""
    return encode([VERSION, *source.packed()])


# -- the shelf -------------------------------------------------------------------------------------------------------


def parted(records: Records) -> tuple[dict[bytes, bytes], Shelves]:
    """What of *records* is of no campaign, and the campaigns; `Newest.parted` does the same to very many."""
    beside: dict[bytes, bytes] = {}
    campaigns: dict[bytes, dict[bytes, bytes]] = {}
    for key, value in standing(records).items():
        kind = key[:1]
        if kind in OF_A_CAMPAIGN:
            name, _, numbers = key[1:].partition(b"\0") if kind in NUMBERED else (key[1:], b"", b"")
            campaigns.setdefault(name, {})[kind + numbers] = value
        else:
            beside[key] = value
    held: dict[bytes, Mapping[bytes, bytes]] = {name: of for name, of in campaigns.items() if CAMPAIGN in of}
    planned = [name for name, of in held.items() if HISTORY in of]
    corrected = [name for name, of in held.items() if any(key[:1] == CORRECTION for key in of)]
    return beside, Shelves(held, planned, corrected)


class Shelves(Mapping[str, "Shelf"]):
    """
    Campaigns by their records, which are put together by who asks for the campaign: most are not before the next tick.

    *held* are the records of each by its id: a key there is the kind, and the numbers where there are any. What is left
    of a campaign that has no record of its own is left out.
    """

    def __init__(
        self,
        held: MutableMapping[bytes, Mapping[bytes, bytes]],
        planned: Sequence[bytes] = (),
        corrected: Sequence[bytes] = (),
    ) -> None:
        self._held = held
        self._planned = planned
        self._corrected = corrected

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[str]:
        return (name.decode() for name in self._held)

    def __getitem__(self, campaign_id: str) -> Shelf:
        return Shelf(self._held[campaign_id.encode()])

    def pop(self, campaign_id: str) -> Shelf | None:
        """Hand out what there is of a campaign, and hold it no longer."""
        records = self._held.pop(campaign_id.encode(), None)
        return None if records is None else Shelf(records)

    def planned(self) -> Iterator[str]:
        """The campaigns that have, or had, a plan."""
        return (name.decode() for name in self._planned if name in self._held)

    def corrected(self) -> set[str]:
        """The campaigns with corrections that count."""
        return {name.decode() for name in self._corrected if name in self._held}


class Shelf:
    """The records of one campaign as they were read, by their kind and the numbers in their keys."""

    __slots__ = ("records",)

    def __init__(self, records: Mapping[bytes, bytes]) -> None:
        self.records = records

    def of(self, kind: bytes) -> Mapping[bytes, bytes]:
        """The records of a kind by the numbers in their keys."""
        return {key[len(kind) :]: value for key, value in self.records.items() if key[:1] == kind}

    def only(self, kind: bytes) -> bytes | None:
        """The record of a kind that a campaign has one of."""
        return self.records.get(kind)

    def is_planned(self) -> bool:
        """Whether the campaign has, or had, a plan."""
        return self.only(HISTORY) is not None

    def unpack(self, campaign_id: str, key: bytes | None, sheet: Sheet) -> Campaign:
        """The campaign they are of."""
        own, history = self.records[CAMPAIGN], self.only(HISTORY)
        campaign = unpack_campaign(campaign_id, key, own, self.only(LOCAL_DAYS), sheet)
        if history is not None:
            campaign.succeed(unpack_history(history))
        for number, value in self.of(PENDING).items():
            _keep_pending(campaign, day_of(number), value)
        for number, value in self.of(COUNTED).items():
            campaign.days[day_of(number)] = encode(fields_of(value, 1)[0])
        for original, value in self.of(CORRECTION).items():
            campaign.corrections[int.from_bytes(original, "big")] = unpack_correction(value)
        for series in self._series():
            campaign.series[series.identity] = series
        campaign.take_up(sheet.read_rows(campaign.row))
        campaign.changed.clear()
        return campaign

    def _series(self) -> Iterable[Series]:
        days: dict[bytes, list[bytes]] = {}
        for numbers, value in self.of(REPORTS).items():
            days.setdefault(numbers[:NUMBER], []).append(value)
        for number, head in sorted(self.of(SERIES).items()):
            yield unpack_series(day_of(number), head, days.get(number, []))


def _keep_pending(campaign: Campaign, number: int, value: bytes) -> None:
    pending, waiting = fields_of(value, 2)
    campaign.pending.keep(number, pending)
    if waiting:
        campaign.wait().keep(number, waiting)
