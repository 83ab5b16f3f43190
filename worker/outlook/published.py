"""
A snapshot as it was published, read back exactly.

The law of this file: **what was printed is taken by its digits**. Money becomes integer nanos, times nanoseconds since
the epoch; percentages are not read at all, since each is worked out anew from the money of one or more snapshots and
rounded once. (An `expected_spend` was rounded to the minor unit when it was published: a pacing percentage worked out
from it may differ from the published one by what that half cent is of it.)
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from schemas.fields import MOST_DECIMALS, MOST_DIGITS, minor_digits, parse_time
from schemas.wire import within_sentence

SNAPSHOT: Final = "pacing.snapshot_taken"

_MONEY: Final = re.compile(r"(-?[0-9]+)(?:\.([0-9]+))?", re.ASCII)
_PLACE: Final = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<place>[^`]*)`)?", re.DOTALL)


class Part(NamedTuple):
    """The money of a campaign or channel in a snapshot, in nanos."""

    budget: int
    spend: int
    expected: int


class Snapshot(NamedTuple):
    """What a period's comparison and the next one's forecast take from a snapshot. Times in nanoseconds."""

    campaign_id: str
    account_id: str | None
    currency: str
    tick: int
    start: int
    """Of the period (or flight) the figures are of."""
    end: int
    revision: int
    complete: bool
    whole: Part
    channels: dict[str, Part]
    projected: int | None = None
    """Nanos; None where the snapshot has no projection."""
    projection_method: str | None = None

    @property
    def as_of(self) -> int:
        """The instant the figures are of: a closing snapshot, whenever it was taken, is of the period's end."""
        return min(self.tick, self.end)

    @property
    def is_ended(self) -> bool:
        """Whether the period was over."""
        return self.tick >= self.end

    @property
    def elapsed(self) -> Fraction:
        """The share of the period that had passed, in linear time, from 0 to 1."""
        return Fraction(max(0, self.as_of - self.start), self.end - self.start)

    @property
    def order(self) -> tuple[int, int, int]:
        """What is newer: the tick, then the end of the period, then the revision."""
        return self.tick, self.end, self.revision


class Fault(NamedTuple):
    """What is wrong with a line, and with which of its fields; an empty name is the whole line's."""

    field: str
    message: str


class Ask(NamedTuple):
    """One campaign's newest snapshot, taken by *tick*, of a period that began and ended by these instants."""

    campaign_id: str
    tick: int
    starts_by: int
    ends_by: int


class Source(Protocol):
    """Where published snapshots are."""

    def last_tick(self) -> int | None:
        """The newest tick there is; None without a snapshot."""

    def campaigns(self) -> Sequence[str]:
        """Every campaign there is a snapshot of."""

    def newest(self, asked: Sequence[Ask]) -> list[Snapshot]:
        """What each asks for, where there is such a snapshot."""


class Published:
    """Snapshots in memory."""

    def __init__(self, snapshots: Iterable[Snapshot]) -> None:
        self._by_campaign: dict[str, list[Snapshot]] = {}
        for snapshot in snapshots:
            self._by_campaign.setdefault(snapshot.campaign_id, []).append(snapshot)
        for found in self._by_campaign.values():
            found.sort(key=_order)

    def last_tick(self) -> int | None:
        """As the protocol says."""
        return max((found[-1].tick for found in self._by_campaign.values()), default=None)

    def campaigns(self) -> Sequence[str]:
        """As the protocol says."""
        return sorted(self._by_campaign)

    def newest(self, asked: Sequence[Ask]) -> list[Snapshot]:
        """As the protocol says."""
        return [found for ask in asked if (found := self._newest(ask)) is not None]

    def _newest(self, ask: Ask) -> Snapshot | None:
        snapshots = self._by_campaign.get(ask.campaign_id, [])
        for index in range(bisect_right(snapshots, ask.tick, key=_tick) - 1, -1, -1):
            if snapshots[index].start <= ask.starts_by and snapshots[index].end <= ask.ends_by:
                return snapshots[index]
        return None


def _order(snapshot: Snapshot) -> tuple[int, int, int]:
    return snapshot.order


def _tick(snapshot: Snapshot) -> int:
    return snapshot.tick


# --- reading ---------------------------------------------------------------------------------------------------------


class _Kind(msgspec.Struct, gc=False):
    event_type: str


class _Channel(msgspec.Struct, gc=False):
    channel: str
    allocated_budget: str
    spend: str
    expected_spend: str


class _Body(msgspec.Struct, gc=False):
    campaign_id: str
    account_id: str | None
    currency: str
    occurred_at: str
    period_start: str
    period_end: str
    revision: int
    complete: bool
    total_budget: str
    total_spend: str
    expected_spend: str
    channel_snapshots: list[_Channel]
    projected_spend: str | None
    projection_method: str | None


_read_kind = msgspec.json.Decoder(_Kind)
_read_body = msgspec.json.Decoder(_Body)
_read_channels = msgspec.json.Decoder(list[_Channel])


def read_snapshot(line: bytes) -> Snapshot | Fault | None:
    """The snapshot in a line of events; None for an event of another kind, and what is wrong with what is no event."""
    try:
        if _read_kind.decode(line).event_type != SNAPSHOT:
            return None
        body = _read_body.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _fault(error)
    return snapshot_of(body)


def _fault(error: Exception) -> Fault:
    """msgspec's sentence, its field in front."""
    match = _PLACE.fullmatch(str(error))
    if not isinstance(error, msgspec.DecodeError) or match is None:
        return Fault("", "malformed JSON")
    missing = re.search(r"missing required field `(\w+)`", match["what"])
    if missing is not None:
        return Fault(".".join(filter(None, (match["place"], missing.group(1)))), "is missing")
    return Fault(match["place"] or "", within_sentence(match["what"].replace("`", "")))


def snapshot_of(body: Any) -> Snapshot | Fault:
    """
    The snapshot that a record has the contract's fields of: a decoded line, or a row of PostgreSQL as text.

    Returns the first fault there is.
    """
    fields = _Fields(body)
    start, end = fields.time("period_start"), fields.time("period_end")
    if minor_digits(body.currency) is None:
        fields.complain("currency", f"{body.currency!r} is no currency of ISO 4217")
    elif not start < end:
        fields.complain("period_end", "must be after period_start")
    snapshot = Snapshot(
        campaign_id=body.campaign_id,
        account_id=body.account_id,
        currency=body.currency,
        tick=fields.time("occurred_at"),
        start=start,
        end=end,
        revision=body.revision,
        complete=body.complete,
        whole=Part(fields.money("total_budget"), fields.money("total_spend"), fields.money("expected_spend")),
        channels={each.channel: fields.channel(each) for each in body.channel_snapshots},
        projected=None if body.projected_spend is None else fields.money("projected_spend"),
        projection_method=body.projection_method,
    )
    return fields.faults[0] if fields.faults else snapshot


def channels_of(text: str | None) -> list[_Channel]:
    """The channels of a row, which PostgreSQL keeps as JSON."""
    return _read_channels.decode(text) if text else []


class _Fields:
    """Reads the texts of a record; what cannot be read is a fault, and 0 in its place."""

    def __init__(self, record: object) -> None:
        self._record = record
        self.faults: list[Fault] = []

    def complain(self, field: str, message: str) -> int:
        self.faults.append(Fault(field, message))
        return 0

    def time(self, field: str) -> int:
        try:
            return parse_time(getattr(self._record, field))
        except ValueError as error:
            return self.complain(field, str(error))

    def money(self, field: str) -> int:
        return self._money(self._record, field, field)

    def channel(self, channel: _Channel) -> Part:
        names = ("allocated_budget", "spend", "expected_spend")
        return Part(*(self._money(channel, name, f"channel_snapshots.{name}") for name in names))

    def _money(self, record: object, field: str, place: str) -> int:
        """The nanos of a published amount: a sum may be beyond what one update may carry, so it has no limit here."""
        text = str(getattr(record, field))
        match = _MONEY.fullmatch(text) if len(text) <= MOST_DIGITS else None
        if match is None or len(match[2] or "") > MOST_DECIMALS:
            return self.complain(
                place, f"{text[:MOST_DIGITS]!r} is not an amount with at most {MOST_DECIMALS} decimals"
            )
        return int(match[1] + (match[2] or "").ljust(MOST_DECIMALS, "0"))
