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
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import compress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import astuple

from schemas.fields import CURRENCIES, parse_time
from schemas.wire import SpendUpdate, nanos

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Mask = NDArray[np.bool_]

INCREMENT: Final = 0
CREDIT: Final = 1
PLAIN: Final = {None: INCREMENT, "increment": INCREMENT, "credit": CREDIT}
"""Kinds that count by themselves, as their notes say it."""

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
    kinds: list[int]
    figures: Integers
    """Eight rows, in the order of `FIGURES`."""
    spend: Sequence[int]
    value: Sequence[int | None]
    """conversion_value, None where it is absent."""

    def only(self, mask: Mask) -> Read:
        """Those where *mask* says so."""
        chosen = mask.tolist()
        columns = Columns(*(tuple(compress(column, chosen)) for column in self.columns))
        kinds, spend = (list(compress(column, chosen)) for column in (self.kinds, self.spend))
        value = list(compress(self.value, chosen))
        return Read(columns, self.at[mask], kinds, self.figures[:, mask], spend, value)


def transpose(updates: Iterable[SpendUpdate]) -> Columns:
    """The columns of *updates*, of which there are some."""
    return Columns(*zip(*map(astuple, updates), strict=True))


def read(updates: Sequence[SpendUpdate]) -> tuple[Read, Mask]:
    """What the fields of *updates* come to, and which of the updates may be counted so."""
    import numpy as np

    columns = transpose(updates)
    at, fine = _times(columns.event_time)
    kinds = [PLAIN.get(kind, -1) for kind in columns.kind]
    spend, is_spend = _amounts(columns.spend)
    value, is_value = _amounts(columns.conversion_value)
    has_none = [value is None for value in columns.conversion_value]
    figures = np.array([spend, *map(_filled, columns.counts()), value], np.int64)
    kind = np.array(kinds)
    fine &= is_spend & (is_value | np.array(has_none)) & _keeps_rules(kind, figures) & _is_small(figures)
    fine &= _holds_all(columns)
    values = [None if absent else amount for absent, amount in zip(has_none, value.tolist(), strict=True)]
    return Read(columns, at, kinds, figures, spend.tolist(), values), fine


def _keeps_rules(kinds: Integers, figures: Integers) -> Mask:
    """Whether an increment has no negative figure, a credit no positive spend; other kinds are not plain."""
    increments: Mask = (kinds == INCREMENT) & (figures >= 0).all(axis=0)
    credit: Mask = (kinds == CREDIT) & (figures[0] <= 0)
    return increments | credit


def _is_small(figures: Integers) -> Mask:
    import numpy as np

    most = MOST // max(figures.shape[1], 1)
    small: Mask = ((figures < most) & (figures > -most)).all(axis=0)
    return np.asarray(small)


def _holds_all(columns: Columns) -> Any:
    """Whether the fields that are not read are as they should be; for all at once where that is so."""
    import numpy as np

    if set(columns.currency) <= _CURRENCIES and not any(columns.corrects):
        return True
    rows = zip(columns.currency, columns.corrects, strict=True)
    return np.array([currency in _CURRENCIES and corrects is None for currency, corrects in rows])


_CURRENCIES: Final = frozenset((None, *CURRENCIES))


def _filled(column: Sequence[int | None]) -> Sequence[int]:
    """A column of counts, absent ones as 0."""
    return [count or 0 for count in column] if None in column else column  # type: ignore[return-value]


# -- instants ----------------------------------------------------------------------------------------------------------


def _times(texts: Sequence[str]) -> tuple[Integers, Mask]:
    """The instants, and which of them are such."""
    import numpy as np

    at = _alike_times(texts)
    if at is not None:
        return at, np.ones(len(texts), np.bool_)
    return _one_by_one(texts, parse_time)


def _alike_times(texts: Sequence[str]) -> Integers | None:
    """The instants of times in UTC, of one day, written alike; None if they are not."""
    import numpy as np

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
    import numpy as np

    decimals = digits.shape[1] - len(_CLOCK)
    greatest = [most for _, _, most in _CLOCK] + [9] * decimals
    if (digits > np.array(greatest, np.uint8)).any() or (digits[:, 0] * 10 + digits[:, 1] > 23).any():
        return None
    worth = [seconds * _NANOS for _, seconds, _ in _CLOCK] + [10 ** (8 - place) for place in range(decimals)]
    at: Integers = digits.astype(np.int64) @ np.array(worth, np.int64)
    return at + parse_time(first[:_DAY] + "00:00:00Z")


# -- amounts -----------------------------------------------------------------------------------------------------------


def _amounts(texts: Sequence[Any]) -> tuple[Integers, Mask]:
    """The nanos, and which of them are amounts; a column without any is 0."""
    import numpy as np

    kinds = set(map(type, texts))
    if kinds == {type(None)}:
        return np.zeros(len(texts), np.int64), np.zeros(len(texts), np.bool_)
    if kinds == {str, type(None)}:
        texts = [text or "0.0" for text in texts]
    if kinds <= {str, type(None)}:
        amounts = _alike_amounts(texts)
        if amounts is not None:
            return amounts, np.ones(len(texts), np.bool_)
    return _one_by_one(texts, nanos)


def _alike_amounts(texts: Sequence[str]) -> Integers | None:
    """The nanos of decimals with a point, of at most nine digits before it and nine after; None if one is not."""
    import numpy as np

    line = ",".join(texts) + ","
    plain = line.replace(".", "")
    if not (line.isascii() and line.count(",") == len(texts) and plain.replace(",", "").replace("-", "").isdigit()):
        return None
    letters = np.frombuffer(line.encode(), np.uint8)
    ends, points = np.flatnonzero(letters == ord(",")), np.flatnonzero(letters == ord("."))
    if len(points) != len(ends):
        return None
    begins = np.concatenate(([0], ends[:-1] + 1))
    signs = letters[begins] == ord("-")
    whole, decimals = points - begins - signs, ends - points - 1
    if min(whole.min(), decimals.min()) < 1 or max(whole.max(), decimals.max()) > 9 or line.count("-") != signs.sum():
        return None
    amounts: Integers = np.fromstring(plain[:-1], np.int64, sep=",") * _powers()[9 - decimals]
    return amounts


@cache
def _powers() -> Any:
    import numpy as np

    return np.array([10**power for power in range(10)], np.int64)


def _one_by_one(texts: Sequence[Any], parse: Any) -> tuple[Integers, Mask]:
    """What *parse* makes of each, and where it could."""
    import numpy as np

    read = [_parsed(text, parse) for text in texts]
    fine = np.array([number is not None and abs(number) < MOST for number in read], np.bool_)
    return np.array([number if good else 0 for number, good in zip(read, fine, strict=True)], np.int64), fine


def _parsed(text: Any, parse: Any) -> int | None:
    try:
        number: int = parse(text)
    except (ValueError, TypeError):
        return None
    return number
