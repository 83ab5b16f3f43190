"""
How the core prints: money, percentages and times of an event, each rounded once where it is derived.

The same strings and numbers as `schemas.fields` gives, for less: a campaign's snapshot prints some thirty of them, and
a big tick is bound by that.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Final

from schemas.fields import NANOS, format_money, format_time, round_half_even

Number = float | Decimal

DAY: Final = 86_400 * NANOS
"""A day of 24 h, in nanoseconds."""

_EXACT: Final = 10**15


class Currency:
    """Prints money of one currency; amounts are nanos."""

    __slots__ = ("_decimals", "_scale", "_zero", "minor_digits", "minor_unit")

    def __init__(self, minor_digits: int) -> None:
        self.minor_digits = minor_digits
        self.minor_unit = 10 ** (9 - minor_digits)
        self._scale = 10**minor_digits
        self._decimals = f"0{minor_digits}d"
        self._zero = format_money(0, minor_digits)

    def carried(self, nanos: int) -> str:
        """An amount that was fed, exactly: more decimals than the currency has where it needs them."""
        minor, rest = divmod(nanos, self.minor_unit)
        if rest or minor < 0 or not self.minor_digits:
            return format_money(nanos, self.minor_digits)
        return self._minor(minor)

    def derived(self, num: int, den: int) -> str:
        """The amount num / den, rounded once, half-even, to the minor unit."""
        minor = round_half_even(num, den * self.minor_unit)
        if minor < 0 or not self.minor_digits:
            return format_money(minor * self.minor_unit, self.minor_digits)
        return self._minor(minor)

    def _minor(self, minor: int) -> str:
        if minor == 0:
            return self._zero
        units, decimals = divmod(minor, self._scale)
        return f"{units}.{decimals:{self._decimals}}"


@lru_cache(maxsize=8)
def currency_of(minor_digits: int) -> Currency:
    """The printer for currencies of that many decimals: there are five."""
    return Currency(minor_digits)


def percent(num: int, den: int) -> Number:
    """num / den as a percentage with two decimals; *den* is positive. Rule: percentages are rounded once, half-even."""
    return hundredths(round_half_even(num * 10_000, den))


def hundredths(count: int) -> Number:
    """A count of hundredths as a JSON number that prints exactly them."""
    return count / 100 if -_EXACT < count < _EXACT else Decimal(count).scaleb(-2)


def share(num: int, den: int) -> Number | None:
    """num / den with four decimals; None where *den* is not positive: nothing was asked for, or it was taken back."""
    if den <= 0:
        return None
    count = round_half_even(num * 10_000, den)
    return count / 10_000 if -_EXACT < count < _EXACT else Decimal(count).scaleb(-4)


def time_text(nanos: int) -> str:
    """
    The instant in UTC with `Z`, as `schemas.fields.format_time` prints it.

    >>> time_text(1_500_000_000)
    '1970-01-01T00:00:01.5Z'
    """
    day, rest = divmod(nanos, DAY)
    seconds, fraction = divmod(rest, NANOS)
    if fraction:
        return format_time(nanos)
    minutes, second = divmod(seconds, 60)
    return f"{_day_text(day)}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}Z"


@lru_cache(maxsize=1024)
def _day_text(day: int) -> str:
    return format_time(day * DAY)[:10]
