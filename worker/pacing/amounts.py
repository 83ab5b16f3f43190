"""
How the core prints: money, percentages and times of an event, each rounded once where it is derived.

The same strings and numbers as `schemas.fields` gives, for less: a campaign's snapshot prints some thirty of them, and
a big tick is bound by that. So the rounding stands where it is used: half-even is divmod(2 num + den, 2 den), less one
where that is a tie (no rest) and odd; of amounts, whose numbers are large, divmod(num, den), one more where twice the
rest is more than den, or is den and the quotient odd.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from math import inf
from typing import Final

from schemas.fields import NANOS, format_money, format_time

Number = float | Decimal

DAY: Final = 86_400 * NANOS
"""A day of 24 h, in nanoseconds."""

_EXACT: Final = 10**15 - 10_000
"""A float prints back any decimal of at most 15 digits; a longer one goes out as a Decimal."""


class Currency:
    """Prints money of one currency; amounts are nanos."""

    __slots__ = ("_one", "_zero", "budget", "minor_digits", "minor_unit")

    def __init__(self, minor_digits: int) -> None:
        self.minor_digits = minor_digits
        self.minor_unit: int = 10 ** (9 - minor_digits)
        # From one whole unit on, an amount is its digits with a point put in; none is where there are no decimals.
        self._one = 10**minor_digits if minor_digits else inf
        self._zero = format_money(0, minor_digits)
        self.budget = lru_cache(maxsize=4096)(self.carried)
        """The same as `carried` for amounts that are printed at every tick."""

    def carried(self, nanos: int) -> str:
        """An amount that was fed, exactly: more decimals than the currency has where it needs them."""
        if nanos == 0:
            return self._zero
        minor, rest = divmod(nanos, self.minor_unit)
        if minor < self._one:
            return format_money(nanos, self.minor_digits)
        if rest:
            text = str(nanos)
            return f"{text[:-9]}.{text[-9:]}".rstrip("0")
        text, digits = str(minor), self.minor_digits
        return f"{text[:-digits]}.{text[-digits:]}"

    def budget_of(self, budget: int, scale: int) -> str:
        """A budget of *budget* / *scale* nanos: as it was fed, whose scale is 1, else derived."""
        return self.budget(budget) if scale == 1 else self.derived(budget, scale)

    def difference(self, num: int, den: int) -> str:
        """What is left of a budget: num / den nanos, exactly where it is a whole number of them, else derived."""
        nanos, rest = divmod(num, den)
        return self.derived(num, den) if rest else self.carried(nanos)

    def derived(self, num: int, den: int) -> str:
        """The amount num / den, rounded once, half-even, to the minor unit; *den* is positive."""
        unit = den * self.minor_unit
        minor, rest = divmod(num, unit)
        rest += rest
        if rest > unit or (rest == unit and minor & 1):
            minor += 1
        if minor < self._one:
            return format_money(minor * self.minor_unit, self.minor_digits)
        text, digits = str(minor), self.minor_digits
        return f"{text[:-digits]}.{text[-digits:]}"


@lru_cache(maxsize=8)
def currency_of(minor_digits: int) -> Currency:
    """The printer for currencies of that many decimals: there are five."""
    return Currency(minor_digits)


def percent(num: int, den: int) -> Number:
    """
    num / den as a percentage with two decimals, rounded once, half-even; *den* is positive.

    >>> percent(1, 3), percent(-1, 8), percent(1, 20_000), percent(3, 20_000)
    (33.33, -12.5, 0.0, 0.02)
    """
    count, rest = divmod(20_000 * num + den, 2 * den)
    if rest == 0:
        count -= count & 1
    return count / 100 if -_EXACT < count < _EXACT else Decimal(f"{count}e-2")


def percent_and_deviation(num: int, den: int) -> tuple[Number, Number]:
    """
    The same, and 100 less: rounding once serves both, since 100 does not move a tie.

    >>> percent_and_deviation(1, 3)
    (33.33, -66.67)
    """
    count, rest = divmod(20_000 * num + den, 2 * den)
    if rest == 0:
        count -= count & 1
    if -_EXACT < count < _EXACT:
        return count / 100, (count - 10_000) / 100
    return Decimal(f"{count}e-2"), Decimal(f"{count - 10_000}e-2")


def share(num: int, den: int) -> Number | None:
    """
    num / den with four decimals; None where *den* is not positive: nothing was asked for, or it was taken back.

    >>> share(2, 3), share(1, 20_000), share(0, 0)
    (0.6667, 0.0, None)
    """
    if den <= 0:
        return None
    count, rest = divmod(20_000 * num + den, 2 * den)
    if rest == 0:
        count -= count & 1
    return count / 10_000 if -_EXACT < count < _EXACT else Decimal(f"{count}e-4")


@lru_cache(maxsize=4096)
def time_text(nanos: int) -> str:
    """
    The instant in UTC with `Z`, as `schemas.fields.format_time` prints it.

    >>> time_text(1_500_000_000)
    '1970-01-01T00:00:01.5Z'
    """
    day, rest = divmod(nanos, DAY)
    seconds, fraction = divmod(rest, NANOS)
    minutes, second = divmod(seconds, 60)
    part = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{_day_text(day)}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}{part}Z"


@lru_cache(maxsize=1024)
def _day_text(day: int) -> str:
    return format_time(day * DAY)[:10]
