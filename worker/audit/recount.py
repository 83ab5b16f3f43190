"""
The ledger's sums, worked out another way: every update that counts is kept, and added up when it is asked for.

It is there to find the ledger's mistakes, so it shares nothing with it but the reading of a message (`schemas.wire`)
and the hash by which an id is remembered in a ledger's records. No cells, no running differences: one list, one sum.
Source: contract, "SpendUpdate" and rules 7 to 9.

    an id             counts once; a repeat, or another body under it, does not
    ... remembered    for the horizon, in sixteenths of it by record time; a repeat beyond counts again, and is listed
    a correction      replaces the figures it carries of its original, at the original's time and attribution; of
                      several the greatest by (sequence, event time, event_id), if it came within the horizon
    cumulative        by day and figure: the newest total by the end of the day, less that of the day before
    ... of equals     that is of one id, which came again beyond the horizon, the first
    a currency        other than the plan's stays out; without a plan each stated one is summed by itself

What the ledger refused because it was full, or too far back to be placed, is known from the dead letters only: these
records are left out by their offsets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, NamedTuple

import xxhash

from schemas.fields import NANOS
from schemas.wire import Checked, SpendUpdate, check_update, decode_update

COUNT: Final = 8
DAY: Final = 86_400 * NANOS
SIXTEENTHS: Final = 16
BEFORE: Final = -1
"""The greatest offset of what was there at the beginning: there they only tell what came before what."""

_OFFSET: Final = attrgetter("offset")

Said = tuple[int | None, ...]
"""Eight figures in the order of the contract; None is not said."""

Rank = tuple[bool, int, int, str]


class Key(NamedTuple):
    """What is summed by itself: attribution, stated currency (None: the plan's, or none stated), UTC day."""

    channel: str | None
    deal_id: str | None
    currency: str | None
    day: int


Sums = dict[Key, list[int]]


class Cut(NamedTuple):
    """What a sum covers: records before *offset* (None: all), dated by *as_of* (None: whenever)."""

    offset: int | None = None
    as_of: int | None = None

    def has(self, offset: int, at: int) -> bool:
        """Whether it covers what came at *offset* and is dated *at*."""
        return (self.offset is None or offset < self.offset) and (self.as_of is None or at <= self.as_of)


class Spent(NamedTuple):
    """An increment or a credit that was accepted."""

    offset: int
    bucket: int
    at: int
    key: Key
    figures: Said


class Corrected(NamedTuple):
    """A correction that was accepted; *original* is the hash of the id it names."""

    offset: int
    bucket: int
    original: int
    rank: Rank
    currency: str | None
    figures: Said


class Reported(NamedTuple):
    """A cumulative report that was accepted."""

    offset: int
    at: int
    rank: Rank
    figures: Said


class Total(NamedTuple):
    """What a running total is of, within a campaign."""

    source: str
    channel: str | None
    deal_id: str | None
    line_item_id: str | None
    series: str | None
    currency: str | None


class Known(NamedTuple):
    """An id that was accepted: when, in record time, and what it said (None: a report or a correction)."""

    bucket: int
    spent: Spent | None


class Again(NamedTuple):
    """A repeat beyond the horizon, which counts again."""

    offset: int
    campaign_id: str
    source: str
    event_id: str
    spend: int


@dataclass
class Campaign:
    """All that was accepted of a campaign since the beginning."""

    spent: list[Spent] = field(default_factory=list)
    originals: dict[int, list[Spent]] = field(default_factory=dict)
    """The same by the hash of the id; more than one where it came again beyond the horizon."""
    corrections: list[Corrected] = field(default_factory=list)
    reports: dict[Total, list[Reported]] = field(default_factory=dict)


@dataclass
class Base:
    """What there was at the beginning, of an exported ledger; empty where the input is there from its first record."""

    known: dict[int, Known] = field(default_factory=dict)
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    """Originals, the corrections that count or wait, and reports; their effect is in *sums* already."""
    sums: dict[str, Callable[[int | None], Sums]] = field(default_factory=dict)
    """By campaign: the sums of what is dated by an instant (None: whenever)."""
    standing: dict[tuple[str, int], Corrected] = field(default_factory=dict)
    """By campaign and original: the correction that is in the sums."""
    watermark: int = 0


class Rules(NamedTuple):
    """What the contract leaves to the settings, and what is known of the partition."""

    horizon_ms: int
    corrigible: AbstractSet[str] | None
    belongs: Callable[[str, bytes | None], bool]
    """Whether a campaign's record may lie under this key here."""
    currency_of: Callable[[str], str | None]
    """The currency of a campaign with a plan; None without one."""
    left_out: AbstractSet[int] = frozenset()
    """Offsets of what the ledger refused because it was full, or because it was too old to be placed."""


@dataclass
class Tally:
    """What became of the records."""

    read: int = 0
    counted: int = 0
    repeats: int = 0
    refused: int = 0
    left_out: int = 0


class Recount:
    """The sums of one partition, from a beginning on."""

    def __init__(self, rules: Rules, base: Base | None = None) -> None:
        self.rules = rules
        self.base = base or Base()
        self.known: dict[int, Known] = dict(self.base.known)
        self.campaigns: dict[str, Campaign] = self.base.campaigns
        self.tally = Tally()
        self.again: list[Again] = []
        self.uncertain: dict[str, int] = {}
        """Campaigns with ids of which an earlier use was refused for what the plan, or the order, made of it."""
        self._refused: set[int] = set()
        self._keys: dict[Key, Key] = {}
        self._watermark = self.base.watermark
        self._width = max(1, rules.horizon_ms // SIXTEENTHS)

    # -- reading

    def take_batch(self, max_timestamp: int, records: Iterable[tuple[int, bytes | None, bytes | None]]) -> None:
        """Take a record batch: (offset, key, value) of each, *max_timestamp* being the greatest record timestamp."""
        self._watermark = max(self._watermark, max_timestamp)
        for offset, key, value in records:
            self.tally.read += 1
            self._take(offset, key, value)

    @property
    def _bucket(self) -> int:
        return self._watermark - self._watermark % self._width

    def _is_remembered(self, bucket: int) -> bool:
        return bucket >= self._bucket - self.rules.horizon_ms

    def _take(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        update = decode_update(value)
        checked = None if update is None else check_update(update)
        if update is None or checked is None or not self.rules.belongs(update.campaign_id, key):
            self.tally.refused += 1
        elif offset in self.rules.left_out:
            self.tally.left_out += 1
        else:
            self._take_update(offset, update, checked)

    def _take_update(self, offset: int, update: SpendUpdate, checked: Checked) -> None:
        hashed = id_of(update.campaign_id, update.source, update.event_id)
        known = self.known.get(hashed)
        if known is not None and self._is_remembered(known.bucket):
            self.tally.repeats += 1
            return
        if not self._is_welcome(update, hashed):
            self.tally.refused += 1
            self._refused.add(hashed)
            return
        if hashed in self._refused:
            self.uncertain[update.campaign_id] = self.uncertain.get(update.campaign_id, 0) + 1
        if known is not None and (known.spent is not None or update.kind in (None, "increment", "credit")):
            spend = checked[1] or 0
            self.again.append(Again(offset, update.campaign_id, update.source, update.event_id, spend))
        self._count(offset, update, checked, hashed)

    def _is_welcome(self, update: SpendUpdate, hashed: int) -> bool:
        """Whether what it is in, and what it corrects, let it count."""
        currency = self.rules.currency_of(update.campaign_id)
        if currency is not None and update.currency not in (None, currency):
            return False
        if update.corrects is None:
            return True
        original = id_of(update.campaign_id, update.source, update.corrects)
        known = self.known.get(original)
        if original == hashed:
            return False
        if known is None or not self._is_remembered(known.bucket):
            return True
        return known.spent is not None and self._is_corrigible(update.source)

    def _is_corrigible(self, source: str) -> bool:
        return self.rules.corrigible is None or source in self.rules.corrigible

    def _count(self, offset: int, update: SpendUpdate, checked: Checked, hashed: int) -> None:
        self.tally.counted += 1
        campaign = self.campaigns.setdefault(update.campaign_id, Campaign())
        at, figures, spent = checked[0], figures_of(update, checked), None
        if update.kind == "cumulative":
            total = Total(
                update.source, update.channel, update.deal_id, update.line_item_id, update.series, update.currency
            )
            campaign.reports.setdefault(total, []).append(Reported(offset, at, _rank(update, at), figures))
        elif update.corrects is not None:
            if self._is_corrigible(update.source):
                original = id_of(update.campaign_id, update.source, update.corrects)
                rank = _rank(update, at)
                campaign.corrections.append(Corrected(offset, self._bucket, original, rank, update.currency, figures))
        else:
            spent = Spent(offset, self._bucket, at, self._key(update, at), figures)
            campaign.spent.append(spent)
            campaign.originals.setdefault(hashed, []).append(spent)
        self.known[hashed] = Known(self._bucket, spent)

    def _key(self, update: SpendUpdate, at: int) -> Key:
        """One object for each key: millions of updates share a few."""
        key = Key(update.channel, update.deal_id, update.currency, at // DAY)
        return self._keys.setdefault(key, key)

    # -- adding up

    def names(self) -> set[str]:
        """Every campaign of which anything was accepted."""
        return {*self.campaigns, *self.base.sums}

    def sums(self, campaign_id: str, cut: Cut) -> Sums:
        """What a campaign's ledger must hold of what *cut* covers, zeros left out."""
        currency = self.rules.currency_of(campaign_id)
        sums: Sums = {}
        figures: Sequence[int]
        before = self.base.sums.get(campaign_id)
        if before is not None:
            for key, figures in before(cut.as_of).items():
                _add(sums, key, figures)
        campaign = self.campaigns.get(campaign_id)
        if campaign is not None:
            for key, figures in self._since(campaign_id, campaign, cut):
                _add(sums, key, figures)
        return in_currency(sums, currency)

    def _since(self, campaign_id: str, campaign: Campaign, cut: Cut) -> Iterator[tuple[Key, Sequence[int]]]:
        """What was counted since the beginning, piece by piece."""
        for spent in campaign.spent:
            if cut.has(spent.offset, spent.at):
                yield spent.key, _zeroed(spent.figures)
        yield from self._corrected(campaign_id, campaign, cut)
        yield from self._reported(campaign_id, campaign, cut)

    def _corrected(self, campaign_id: str, campaign: Campaign, cut: Cut) -> Iterator[tuple[Key, Sequence[int]]]:
        currency = self.rules.currency_of(campaign_id)
        if currency is None:
            return
        best: dict[tuple[int, int], tuple[Spent, Corrected]] = {}
        for correction in campaign.corrections:
            if cut.offset is not None and correction.offset >= cut.offset:
                continue
            original = self._original(campaign, correction)
            if original is None or not cut.has(original.offset, original.at):
                continue
            if original.key.currency in (None, currency) and correction.currency in (None, currency):
                use = (correction.original, original.offset)
                _, standing = best.get(use, (original, correction))
                best[use] = (original, max(standing, correction, key=lambda each: each.rank))
        for original, correction in best.values():
            counted = self.base.standing.get((campaign_id, correction.original))
            was = None if original.offset > BEFORE or counted is None else counted.figures
            yield original.key, _minus(_replaced(original, correction.figures), _replaced(original, was))

    def _original(self, campaign: Campaign, correction: Corrected) -> Spent | None:
        """What it corrects: what was remembered when it came, else what came next within the horizon."""
        horizon = self.rules.horizon_ms
        uses = campaign.originals.get(correction.original, ())
        before = [use for use in uses if use.offset <= correction.offset]
        if before and before[-1].bucket >= correction.bucket - horizon:
            return before[-1]
        after = [use for use in uses if use.offset > correction.offset]
        return after[0] if after and correction.bucket >= after[0].bucket - horizon else None

    def _reported(self, campaign_id: str, campaign: Campaign, cut: Cut) -> Iterator[tuple[Key, Sequence[int]]]:
        currency = self.rules.currency_of(campaign_id)
        totals: dict[Total, list[Reported]] = {}
        for total, reports in campaign.reports.items():
            was = [report for report in reports if report.offset <= BEFORE]
            for key, figures in _by_day(total, was, cut):
                yield key, [-figure for figure in figures]
            if currency is None:
                totals[total] = reports
            elif total.currency in (None, currency):
                # Now that there is a plan, its currency stated or not is one running total.
                totals.setdefault(total._replace(currency=None), []).extend(reports)
        for total, reports in totals.items():
            yield from _by_day(total, sorted(reports, key=_OFFSET), cut)


# -- arithmetic --------------------------------------------------------------------------------------------------------


def id_of(campaign_id: str, source: str, event_id: str) -> int:
    """The 64 bits by which a ledger's records name an update."""
    return xxhash.xxh3_64_intdigest(f"{campaign_id}\0{source}\0{event_id}".encode())


def figures_of(update: SpendUpdate, checked: Checked) -> Said:
    """The figures an update carries."""
    _, spend, value = checked
    u = update
    return (spend, u.impressions, u.clicks, u.conversions, u.bids, u.wins, u.requests, value)


def _rank(update: SpendUpdate, at: int) -> Rank:
    return (update.sequence is not None, update.sequence or 0, at, update.event_id)


def _zeroed(figures: Said) -> list[int]:
    return [figure or 0 for figure in figures]


def _replaced(spent: Spent, figures: Said | None) -> list[int]:
    """The figures of *spent* where a correction carries none, else the correction's."""
    said = _zeroed(spent.figures)
    return said if figures is None else [old if new is None else new for old, new in zip(said, figures, strict=True)]


def _minus(these: Sequence[int], those: Sequence[int]) -> list[int]:
    return [this - that for this, that in zip(these, those, strict=True)]


def _add(sums: Sums, key: Key, figures: Sequence[int]) -> None:
    into = sums.setdefault(key, [0] * COUNT)
    for place, figure in enumerate(figures):
        into[place] += figure


def in_currency(sums: Mapping[Key, Sequence[int]], currency: str | None) -> Sums:
    """*sums* as a plan in *currency* counts them, zeros left out; None: there is no plan."""
    kept: Sums = {}
    for key, figures in sums.items():
        if currency is None:
            _add(kept, key, figures)
        elif key.currency in (None, currency):
            _add(kept, key._replace(currency=None), figures)
    return {key: figures for key, figures in kept.items() if any(figures)}


def _by_day(total: Total, reports: Iterable[Reported], cut: Cut) -> Iterator[tuple[Key, Sequence[int]]]:
    """What a running total grew by on each day, each figure by itself."""
    days: dict[int, list[Reported]] = {}
    for report in reports:
        if cut.has(report.offset, report.at):
            days.setdefault(report.at // DAY, []).append(report)
    newest: list[Reported | None] = [None] * COUNT
    for day in sorted(days):
        grown = [0] * COUNT
        for place in range(COUNT):
            said = [report for report in days[day] if report.figures[place] is not None]
            last = newest[place]
            best = max([*said, *([] if last is None else [last])], key=lambda report: report.rank, default=None)
            grown[place] = _value(best, place) - _value(last, place)
            newest[place] = best
        yield Key(total.channel, total.deal_id, total.currency, day), grown


def _value(report: Reported | None, place: int) -> int:
    return 0 if report is None else report.figures[place] or 0
