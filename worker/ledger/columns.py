"""
A batch of updates as columns: read and checked a column at a time.

`schemas.wire.check_update` says what an update must be. What is taken here is a part of what it accepts: increments
and credits in the forms that feeds use, with amounts that cannot overflow. The rest is left for the loop that looks at
one update at a time, so a mistake of this file can make the fold slow, and a test over every form there is holds that
it cannot make it wrong: whatever is taken comes out just as `check_update` reads it.

It is an interpreter's work that is saved. A step over a column is one call, whether it is numpy's or that of `map` over
a method; a loop costs 30 to 50 ns for each thing it does.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from schemas.fields import CURRENCIES, parse_time
from schemas.wire import SpendUpdate, nanos
from worker.ledger.cells import COUNT
from worker.ledger.kinds import PLAIN
from worker.ledger.notes import COUNTS_END, IS_CREDIT, is_present

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]
Flags = NDArray[np.uint16]

MOST: Final = 1 << 61
"""The figures of a batch add up to less than this."""

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z", re.ASCII)
_DAY: Final = len("2026-07-01T")
_CLOCK: Final = ((11, 36_000, 2), (12, 3600, 9), (14, 600, 5), (15, 60, 9), (17, 10, 5), (18, 1, 9))
"""Where the digits of a time of day stand, the seconds each is worth, and the greatest there can be."""
_FRACTION: Final = 20
_NANOS: Final = 10**9


class Columns(NamedTuple):
    """Updates by field, as `SpendUpdate` has them."""

    event_id: Sequence[str]
    source: Sequence[str]
    campaign_id: Sequence[str]
    event_time: Sequence[str]
    channel: Sequence[str | None]
    deal_id: Sequence[str | None]
    line_item_id: Sequence[str | None]
    kind: Sequence[str | None]
    spend: Sequence[Any]
    corrects: Sequence[str | None]
    sequence: Sequence[int | None]
    series: Sequence[str | None]
    currency: Sequence[str | None]
    impressions: Sequence[int | None]
    clicks: Sequence[int | None]
    conversions: Sequence[int | None]
    bids: Sequence[int | None]
    wins: Sequence[int | None]
    requests: Sequence[int | None]
    conversion_value: Sequence[Any]

    def counts(self) -> tuple[Sequence[int | None], ...]:
        """The figures that are counts."""
        return (self.impressions, self.clicks, self.conversions, self.bids, self.wins, self.requests)


class Read(NamedTuple):
    """Columns with their instants and amounts read."""

    columns: Columns
    at: Integers
    flags: Flags
    """As `notes` has them."""
    figures: Integers
    """Eight rows, in the order of `FIGURES`."""


def transpose(updates: Iterable[SpendUpdate]) -> Columns:
    """The columns of *updates*, of which there are some."""
    flat, width = list(chain.from_iterable(map(astuple, updates))), len(Columns._fields)
    return Columns(*(flat[field::width] for field in range(width)))


def read(columns: Columns) -> tuple[Read, Mask]:
    """What the fields come to, and which of the updates may be counted so."""
    at, fine = _times(columns.event_time)
    flags = _flags(columns.kind)
    figures = np.zeros((COUNT, len(flags)), np.int64)
    figures[0], is_spend = _amounts(columns.spend)
    for place, column in enumerate(columns.counts(), 1):
        figures[place] = _integers(column, flags, is_present(place))
    figures[-1], is_value = _optional_amounts(columns.conversion_value, flags)
    fine &= is_spend & is_value & _keeps_rules(flags, figures)
    if None in columns.spend:
        fine &= np.array([spend is not None for spend in columns.spend])
    if not (set(columns.kind) <= PLAIN.keys() and set(columns.currency) <= _CURRENCIES and not any(columns.corrects)):
        fine &= _are_as_they_should(columns)
    return Read(columns, at, flags, figures), fine


def _flags(kinds: Sequence[str | None]) -> Flags:
    """The flags of notes with spend: whether it is a credit."""
    flags = np.full(len(kinds), is_present(0), np.uint16)
    if not set(kinds) <= {None, "increment"}:
        flags[[kind == "credit" for kind in kinds]] |= IS_CREDIT
    return flags


def _optional_amounts(texts: Sequence[Any], flags: Flags) -> tuple[Integers | int, Mask | bool]:
    """The nanos, and which of them are amounts or absent; what is present is flagged."""
    if not any(texts) and set(texts) == {None}:
        return 0, True
    amounts, fine = _amounts(texts)
    present = np.array([text is not None for text in texts])
    flags |= present * np.uint16(is_present(COUNT - 1))
    return amounts, fine | ~present


def _keeps_rules(flags: Flags, figures: Integers) -> Mask:
    """
    Whether the figures keep the rules of their kind, and are of the usual size.

    An increment has no negative figure, a credit no positive spend. Counts fit a narrow note, and the amounts of the
    batch add up to what is far from overflowing.
    """
    most = MOST // max(figures.shape[1], 1)
    counts = figures[1:-1]
    credit = flags & IS_CREDIT != 0
    rules = np.where(credit, figures[0] <= 0, (figures[0] >= 0) & (figures[-1] >= 0))
    usual = (counts.min(axis=0) >= 0) & (counts.max(axis=0) < min(COUNTS_END, most))
    kept: Mask = rules & usual & (np.abs(figures[0]) < most) & (np.abs(figures[-1]) < most)
    return kept


def _are_as_they_should(columns: Columns) -> Mask:
    """Whether an update is of a plain kind, its currency is one, and it corrects nothing."""
    rows = zip(columns.kind, columns.currency, columns.corrects, strict=True)
    return np.array([k in PLAIN and currency in _CURRENCIES and corrects is None for k, currency, corrects in rows])


_CURRENCIES: Final = frozenset((None, *CURRENCIES))


def _integers(column: Sequence[int | None], flags: Flags, flag: int) -> Integers:
    """
    A column of counts, absent ones as 0; what is present is flagged.

    `struct` reads the integers of a tuple six times as fast as numpy does.
    """
    form = f"<{len(column)}q"
    try:
        packed = struct.pack(form, *column)
        flags |= np.uint16(flag)
    except struct.error:
        packed = struct.pack(form, *[count or 0 for count in column])
        flags[[count is not None for count in column]] |= np.uint16(flag)
    return np.frombuffer(packed, np.int64)


# -- instants ----------------------------------------------------------------------------------------------------------


def _times(texts: Sequence[str]) -> tuple[Integers, Mask]:
    """The instants, and which of them are such."""
    at = _alike_times(texts)
    if at is not None:
        return at, np.ones(len(texts), np.bool_)
    return _one_by_one(texts, parse_time)


def _alike_times(texts: Sequence[str]) -> Integers | None:
    """The instants of times in UTC, of one day, written alike; None if they are not."""
    first = texts[0]
    lines = "".join(texts)
    if not lines.isascii() or set(map(len, texts)) != {len(first)} or not _TIME.fullmatch(first):
        return None
    letters = np.frombuffer(lines.encode(), np.uint8).reshape(len(texts), len(first))
    digits = [place for place, _, _ in _CLOCK] + list(range(_FRACTION, len(first) - 1))
    same = [place for place in range(len(first)) if place not in digits]
    if (letters[:, same] != letters[0, same]).any():
        return None
    return _within_day(letters[:, digits] - np.uint8(ord("0")), first)


def _within_day(digits: Any, first: str) -> Integers | None:
    """The instants from the digits of the time of day; *first* names the day."""
    decimals = digits.shape[1] - len(_CLOCK)
    greatest = [most for _, _, most in _CLOCK] + [9] * decimals
    if (digits > np.array(greatest, np.uint8)).any() or (digits[:, 0] * 10 + digits[:, 1] > 23).any():
        return None
    worth = [seconds * _NANOS for _, seconds, _ in _CLOCK] + [10 ** (8 - place) for place in range(decimals)]
    at: Integers = digits.astype(np.int64) @ np.array(worth, np.int64)
    return at + parse_time(first[:_DAY] + "00:00:00Z")


# -- amounts -----------------------------------------------------------------------------------------------------------


def _amounts(texts: Sequence[Any]) -> tuple[Integers, Mask]:
    """The nanos, and which of them are amounts; what is absent is 0."""
    kinds = set(map(type, texts))
    if kinds <= {str, type(None)}:
        texts = [text or "0.0" for text in texts] if None in texts else texts
        amounts = _alike_amounts(texts)
        if amounts is not None:
            return amounts, np.ones(len(texts), np.bool_)
    return _one_by_one(texts, nanos)


def _alike_amounts(texts: Sequence[str]) -> Integers | None:
    """The nanos of decimals with a point, of at most nine digits before it and nine after; None if one is not."""
    line = ",".join(texts) + ","
    letters = np.frombuffer(line.encode(), np.uint8)
    ends, points = np.flatnonzero(letters == ord(",")), np.flatnonzero(letters == ord("."))
    if not _IN_AMOUNTS[letters].all() or not len(points) == len(ends) == len(texts):
        return None
    begins = np.concatenate(([0], ends[:-1] + 1))
    signs = letters[begins] == ord("-")
    whole, decimals = points - begins - signs, ends - points - 1
    if min(whole.min(), decimals.min()) < 1 or max(whole.max(), decimals.max()) > 9 or line.count("-") != signs.sum():
        return None
    amounts: Integers = np.fromstring(line.replace(".", "")[:-1], np.int64, sep=",") * _POWERS[9 - decimals]
    return amounts


_POWERS: Final = np.array([10**power for power in range(10)], np.int64)
_IN_AMOUNTS: Final = np.isin(np.arange(256), list(b"0123456789.,-"))


def _one_by_one(texts: Sequence[Any], parse: Any) -> tuple[Integers, Mask]:
    """What *parse* makes of each, and where it could."""
    read = [_parsed(text, parse) for text in texts]
    fine = np.array([number is not None and abs(number) < MOST for number in read], np.bool_)
    return np.array([number if good else 0 for number, good in zip(read, fine, strict=True)], np.int64), fine


def _parsed(text: Any, parse: Any) -> int | None:
    try:
        number: int = parse(text)
    except (ValueError, TypeError):
        return None
    return number
