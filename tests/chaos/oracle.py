"""
The fast oracle: what the ledger of a partition must hold, in integers, worked out from the raw records of its input.

It shares no code with the product. It reads a partition's records in the order of their offsets and turns each
accepted update into *counts*: so many nanos (and impressions, ...) more, dated then, under this channel and deal, known
from that offset on. A correction counts the difference to what stood, where and when the original counts; a cumulative
report counts the difference to its neighbours by sequence. So for every offset and every instant the exact figures are
one sum over counts, whatever came in between; millions of them take seconds.

It asks of its input (`tests.chaos.feed` keeps to it): every campaign has its plan, all is in one currency and within
the horizon, the reports of a series all have a sequence that grows with their event time, and each carries the same
figures. `tests/pure/test_chaos_oracle.py` holds it to the slow oracle, which asks for none of that.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

FIGURES: Final = ("spend", "impressions", "clicks", "conversions", "bids", "wins", "requests", "conversion_value")
MONEY: Final = ("spend", "conversion_value")
KINDS: Final = ("increment", "credit", "cumulative", "correction")
NAMES: Final = ("campaign_id", "source", "event_id")
TOLD: Final = ("channel", "deal_id", "line_item_id", "series", "corrects", "sequence", "currency", "kind")

AMOUNT: Final = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9}))?")
TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")

Json = dict[str, Any]
Place = tuple[str | None, str | None]
"""Channel and deal."""
Figures = tuple[int | None, ...]


class Count(NamedTuple):
    """So much more of each figure, dated *at*, known from *offset* on."""

    offset: int
    at: int
    place: Place
    figures: tuple[int, ...]


class Said(NamedTuple):
    """What an accepted update said."""

    body: int
    """A hash of all of it, to tell a repeat from a conflict."""
    at: int
    place: Place
    kind: str
    figures: Figures


class Report(NamedTuple):
    """One report of a series."""

    sequence: int
    at: int
    figures: tuple[int, ...]


@dataclass
class Original:
    """An update that is corrected, or will be: what it said, and the corrections of it, each with its rank."""

    said: Said | None = None
    standing: tuple[Any, ...] = ()
    figures: tuple[int, ...] = ()
    waiting: list[tuple[tuple[Any, ...], Figures]] = field(default_factory=list)


def nanos(text: object) -> int | None:
    """The nanos of an amount; None where it is none."""
    match = AMOUNT.fullmatch(str(text))
    if match is None:
        return None
    sign, whole, part = match.groups()
    return int(f"{sign}{whole}{(part or '').ljust(9, '0')}")


def instant(text: object) -> int | None:
    """Nanoseconds since 1970 of a time with an offset; None where it is none."""
    match = TIME.fullmatch(str(text))
    if match is None:
        return None
    whole, part, offset = match.groups()
    seconds = datetime.fromisoformat(whole + ("+00:00" if offset == "Z" else offset)).timestamp()
    return int(seconds) * 10**9 + int((part or "").ljust(9, "0"))


def read(key: bytes | None, value: bytes | None) -> Json | None:
    """The update in a record; None where there is none."""
    try:
        body = json.loads(value or b"")
    except ValueError:
        return None
    if not isinstance(body, dict) or not all(isinstance(body.get(name), str) for name in NAMES):
        return None
    body["kind"] = body.get("kind") or "increment"
    body["at"] = instant(body.get("event_time"))
    body["figures"] = tuple(_figure(body, name) for name in FIGURES)
    is_good = body["at"] is not None and key == body["campaign_id"].encode() and body["kind"] in KINDS
    return body if is_good and _carries_its_kind(body) else None


def _figure(body: Json, name: str) -> int | None:
    value = body.get(name)
    return value if value is None or name not in MONEY else nanos(value)


def _carries_its_kind(body: Json) -> bool:
    spend = body["figures"][0]
    if spend is None:
        return False
    if body["kind"] in ("increment", "cumulative"):
        return bool(spend >= 0)
    return bool(body["kind"] == "correction" or spend <= 0)


class PartitionOracle:
    """What comes of the records of one partition of the spend topic."""

    def __init__(self) -> None:
        self.accepted = self.repeats = 0
        self.refused: set[int] = set()
        """The offsets that must be in the dead letters."""
        self.counts: defaultdict[str, list[Count]] = defaultdict(list)
        """By campaign, in the order of their offsets."""
        self._said: dict[tuple[str, str, str], Said] = {}
        self._originals: defaultdict[tuple[str, str, str], Original] = defaultdict(Original)
        self._series: defaultdict[tuple[Any, ...], list[Report]] = defaultdict(list)

    def take(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        """One record, in order."""
        body = read(key, value)
        if body is None:
            self.refused.add(offset)
            return
        name = (body["campaign_id"], body["source"], body["event_id"])
        digest = hash((body["at"], body["figures"], *(body.get(told) for told in TOLD)))
        known = self._said.get(name)
        if known is not None:
            self.repeats += known.body == digest
            if known.body != digest:
                self.refused.add(offset)
            return
        self.accepted += 1
        place = (body.get("channel"), body.get("deal_id"))
        said = self._said[name] = Said(digest, body["at"], place, body["kind"], body["figures"])
        if said.kind == "correction":
            self._correct(offset, (name[0], name[1], body["corrects"]), body)
        elif said.kind == "cumulative":
            self._report(offset, body, said)
        else:
            self._single(offset, name, said)

    def _count(self, offset: int, campaign: str, at: int, place: Place, figures: Iterable[int]) -> None:
        self.counts[campaign].append(Count(offset, at, place, tuple(figures)))

    def _single(self, offset: int, name: tuple[str, str, str], said: Said) -> None:
        figures = tuple(figure or 0 for figure in said.figures)
        self._count(offset, name[0], said.at, said.place, figures)
        if name in self._originals:
            original = self._originals[name]
            original.said, original.figures = said, figures
            for rank, corrected in original.waiting:
                self._apply(offset, name[0], original, rank, corrected)
            original.waiting.clear()

    def _correct(self, offset: int, name: tuple[str, str, str], body: Json) -> None:
        original = self._originals[name]
        rank = (body.get("sequence") is not None, body.get("sequence") or 0, body["at"], body["event_id"])
        if original.said is None and name in self._said:
            original.said = self._said[name]
            original.figures = tuple(figure or 0 for figure in original.said.figures)
        if original.said is None:
            original.waiting.append((rank, body["figures"]))
        else:
            self._apply(offset, name[0], original, rank, body["figures"])

    def _apply(self, offset: int, campaign: str, original: Original, rank: tuple[Any, ...], figures: Figures) -> None:
        if original.said is None or (original.standing and original.standing > rank):
            return
        said = tuple(figure or 0 for figure in original.said.figures)
        after = tuple(old if new is None else new for new, old in zip(figures, said, strict=True))
        difference = (new - old for new, old in zip(after, original.figures, strict=True))
        self._count(offset, campaign, original.said.at, original.said.place, difference)
        original.standing, original.figures = rank, after

    def _report(self, offset: int, body: Json, said: Said) -> None:
        series = self._series[
            body["campaign_id"], body["source"], *said.place, body.get("line_item_id"), body.get("series")
        ]
        report = Report(body["sequence"], said.at, tuple(figure or 0 for figure in said.figures))
        place = bisect_left(series, report)
        before = series[place - 1].figures if place else (0,) * len(FIGURES)
        self._count(offset, body["campaign_id"], said.at, said.place, _minus(report.figures, before))
        if place < len(series):
            self._count(offset, body["campaign_id"], series[place].at, said.place, _minus(before, report.figures))
        series.insert(place, report)

    def totals(self, campaign: str, before: int | None = None, as_of: int | None = None) -> dict[Place, list[int]]:
        """The figures of a campaign by channel and deal: known before an offset, dated up to an instant."""
        totals: dict[Place, list[int]] = {}
        for count in self.counts.get(campaign, ()):
            if (before is None or count.offset < before) and (as_of is None or count.at <= as_of):
                add(totals, count)
        return totals


def add(totals: dict[Place, list[int]], count: Count) -> None:
    """One count more."""
    held = totals.setdefault(count.place, [0] * len(FIGURES))
    for number, figure in enumerate(count.figures):
        held[number] += figure


def _minus(these: Iterable[int], those: Iterable[int]) -> tuple[int, ...]:
    return tuple(this - that for this, that in zip(these, those, strict=True))
