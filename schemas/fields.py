"""
What a field of a message may hold: money, percentages, times, names; read exactly and printed once.

The law of this file: **no float is ever read**. A number is taken from its literal digits to an integer of
10^-9 (nanos), a time to an integer of nanoseconds since the epoch, and what is derived from them is rounded
exactly once, half-even, when it is printed.

Only the standard library is imported, so that the fast path and the command line start without pydantic.
Sources: contract "General rules", rules 6 and 13; RFC 3339; ISO 4217.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

NANOS: Final = 10**9
"""Nanos in one unit (of a currency, of a percent, of a second). Amounts reach 10^21 nanos: past 64 bits."""

MONEY_LIMIT: Final = 10**12 * NANOS
"""Every amount is strictly between -10^12 and 10^12 units."""

MOST_DECIMALS: Final = 9
MOST_DIGITS: Final = 64
"""The longest literal read at all: keeps one field from costing more than a field may."""

ID_LENGTH: Final = 256
"""Characters in an id. Two of them, at four bytes each, still fit one PostgreSQL index row (2704 bytes)."""

TEXT_LENGTH: Final = 1024
"""Characters in a free text such as a campaign's name."""

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2261
"""Nanoseconds since the epoch fit 64 bits until April 2262."""

NESTING: Final = 64
"""The deepest nesting of arrays and objects read, known fields or not."""

MOST_TICKS: Final = 10_000
"""The most ticks a deviation may be asked to last before it opens or closes."""

MOST_DAYS: Final = 3_660
"""The longest grace: ten years of days."""

MOST_MINUTES: Final = 527_040
"""The longest lag of a feed: a year of minutes."""

MOST_PIECES: Final = 1_000
"""The most segments of a curve, and the most blackouts of a plan: each is looked through when a plan is first paced."""

_POWERS: Final[tuple[int, ...]] = tuple(10**n for n in range(23))
_MONEY: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?", re.ASCII)
_NUMBER: Final = re.compile(r"(-?[0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?", re.ASCII)


# -- money, percentages, weights -------------------------------------------------------------------------------------


def parse_money(text: str, *, number: bool) -> int:
    """
    The nanos in a decimal's literal digits; *number* says they were a JSON number, which may carry an exponent.

    At most nine decimals are read, trailing zeros included, and less than 10^12 units. Percentages, weights and
    factors are read by the same rule.

    >>> parse_money("0.00237", number=False), parse_money("-12", number=False), parse_money("1.5e-3", number=True)
    (2370000, -12000000000, 1500000)

    Raises ValueError with a sentence for a person.
    """
    whole, _, decimals = text.partition(".")
    digits = whole + decimals
    # The commonest form by far, `digits.digits`, without a regular expression; all else is read or refused below.
    # A number comes from a JSON reader, so that leading zeros are its business.
    if digits.isdigit() and digits.isascii() and decimals and 0 < len(whole) < 12 and len(decimals) <= MOST_DECIMALS:
        return int(digits) * _POWERS[MOST_DECIMALS - len(decimals)]
    return _parse_number(text) if number else _parse_plainly(text)


def _parse_plainly(text: str) -> int:
    """What is not `digits.digits` of the usual length: a sign, no decimals, leading zeros, or a fault."""
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number is read up to {MOST_DIGITS} characters, this has {len(text)}")
    if not _MONEY.fullmatch(text):
        raise ValueError(f"{text!r} is not a decimal number (digits, a point, digits; no plus, exponent or spaces)")
    whole, _, decimals = text.partition(".")
    return _scaled(int(whole + decimals), MOST_DECIMALS - len(decimals))


def _parse_number(text: str) -> int:
    """The nanos of a JSON number literal; the exponent moves the point and is never computed out of range."""
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number is read up to {MOST_DIGITS} characters, this has {len(text)}")
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a JSON number")
    whole, decimals, exponent = match.group(1), match.group(2) or "", match.group(3)
    places = MOST_DECIMALS - len(decimals) + int(exponent or 0)
    return _scaled(int(whole + decimals), places)


def _scaled(digits: int, places: int) -> int:
    """*digits* moved *places* to the left of nanos, if that is in range."""
    if places < 0:
        raise ValueError(f"more than {MOST_DECIMALS} decimals")
    # 22 places put even the digit 1 past the limit, so a huge exponent is never raised to a power.
    nanos = digits * _POWERS[min(places, 22)]
    if not -MONEY_LIMIT < nanos < MONEY_LIMIT:
        raise ValueError("not below 10^12")
    return nanos


def money_of_int(units: int) -> int:
    """The nanos of a JSON integer, which stands for whole units."""
    return _scaled(units, MOST_DECIMALS)


class Range(NamedTuple):
    """The decimals a field takes, in nanos, both ends included; *words* end the sentence "must be ..."."""

    least: int
    most: int
    words: str


MONEY: Final = Range(1 - MONEY_LIMIT, MONEY_LIMIT - 1, "below 10^12")
AMOUNT: Final = Range(0, MONEY_LIMIT - 1, "at least 0")
BUDGET: Final = Range(1, MONEY_LIMIT - 1, "greater than 0")
PERCENT: Final = Range(0, 100 * NANOS, "from 0 to 100")
PART: Final = Range(1, 100 * NANOS, "greater than 0 and at most 100")
FACTOR: Final = Range(1, NANOS, "greater than 0 and at most 1")


def read_decimal(value: object, within: Range) -> int:
    """
    The nanos of a field as JSON holds it: a string, an int, or the literal digits of any other number as bytes.

    Raises ValueError with a sentence for a person.
    """
    nanos = nanos_of(value)
    if not within.least <= nanos <= within.most:
        raise ValueError(f"must be {within.words}")
    return nanos


def nanos_of(value: object) -> int:
    """
    The nanos of a decimal as `read_decimal` takes it, within the limits of money.

    Raises ValueError with a sentence for a person.
    """
    if type(value) is str:
        return parse_money(value, number=False)
    if type(value) is bytes:
        return parse_money(value.decode(), number=True)
    if type(value) is int:
        return money_of_int(value)
    raise ValueError("must be a decimal string or a number")


def format_money(nanos: int, minor_digits: int) -> str:
    """
    The amount as a decimal string: at least *minor_digits* decimals, more only where the exact amount needs them.

    >>> format_money(1_500_000_000, 2), format_money(2_370_000, 2), format_money(-7 * NANOS, 0), format_money(0, 2)
    ('1.50', '0.00237', '-7', '0.00')
    """
    units, rest = divmod(abs(nanos), NANOS)
    decimals = f"{rest:09d}".rstrip("0").ljust(minor_digits, "0")
    sign = "-" if nanos < 0 else ""
    return f"{sign}{units}.{decimals}" if decimals else f"{sign}{units}"


def round_half_even(num: int, den: int) -> int:
    """
    *num* / *den* to the nearest integer, a tie to the even one; *den* is positive.

    >>> round_half_even(5, 2), round_half_even(7, 2), round_half_even(-5, 2), round_half_even(2, 3)
    (2, 4, -2, 1)
    """
    quotient, rest = divmod(num, den)
    twice = rest * 2
    return quotient + (twice > den or (twice == den and quotient & 1))


def round_to_minor(num: int, den: int, minor_digits: int) -> int:
    """
    *num* / *den* nanos rounded once, half-even, to the currency's minor unit; in nanos again.

    >>> round_to_minor(2_345_000_000, 1, 2), round_to_minor(10 * NANOS, 3, 0)
    (2340000000, 3000000000)
    """
    unit = _POWERS[MOST_DECIMALS - minor_digits]
    return round_half_even(num, den * unit) * unit


def percent_number(num: int, den: int) -> float | Decimal | None:
    """
    *num* / *den* as a percentage with two decimals, rounded once, half-even; None where *den* is 0.

    >>> percent_number(1, 3), percent_number(-1, 8), percent_number(1, 0)
    (33.33, -12.5, None)
    """
    return None if den == 0 else _number(round_half_even(num * 10_000, den), 2)


def ratio_number(num: int, den: int) -> float | Decimal | None:
    """
    *num* / *den* with four decimals, rounded once, half-even; None where *den* is 0.

    >>> ratio_number(2, 3), ratio_number(0, 5), ratio_number(5, 0)
    (0.6667, 0.0, None)
    """
    return None if den == 0 else _number(round_half_even(num * 10_000, den), 4)


def _number(scaled: int, decimals: int) -> float | Decimal:
    """
    *scaled* / 10^*decimals* as a JSON number that prints exactly those digits.

    A float prints back any decimal of at most 15 digits; a longer one (a campaign with a budget of a cent) goes
    out as a Decimal.
    """
    if -(10**15) < scaled < 10**15:
        return scaled / _POWERS[decimals]
    return Decimal(scaled).scaleb(-decimals)


# -- time ------------------------------------------------------------------------------------------------------------

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_NANOS: Final = 3600 * NANOS
_DAY_NANOS: Final = 24 * _HOUR_NANOS
_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)
_CLOCK: Final = re.compile(r"(?:[01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])", re.ASCII)
_OFFSET: Final = re.compile(r"[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_ZONE: Final = re.compile(
    r"(?!right/|posix|localtime|Factory)[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,2}", re.ASCII
)

# A text is read as three slices, day and hour, minute and second, the rest; each is remembered, since updates come in
# by the thousand within the same hours. The memories change no result; they are cleared when full, so that no feed can
# make them grow.
_MEMORY: Final = 4096
_hours: dict[str, int] = {}
_clocks: dict[str, int] = {}
_tails: dict[str, int] = {}
_offsets: dict[str, int] = {}


def parse_time(text: str) -> int:
    """
    The instant an RFC 3339 time names, in nanoseconds since 1970-01-01T00:00:00Z.

    An offset is required, up to nine decimals of a second are exact, the year is 1970 to 2261. A leap second
    (`:60`) is refused, since no instant of its own would be left to count it at.

    >>> parse_time("1970-01-01T00:00:01.5Z"), parse_time("1970-01-01T01:00:00+01:00")
    (1500000000, 0)

    Raises ValueError with a sentence for a person.
    """
    try:
        whole = _hours[text[:13]] + _clocks[text[13:19]]
    except KeyError:
        whole = _parse_whole_seconds(text)
    tail = _tails.get(text[19:])
    return whole + (_parse_tail(text) if tail is None else tail)


def _parse_whole_seconds(text: str) -> int:
    """Nanoseconds from the epoch to `YYYY-MM-DDTHH:MM:SS` read as UTC."""
    match = _CLOCK.fullmatch(text[11:19])
    if match is None or text[10] not in "Tt":
        raise _not_a_time(text)
    days = (parse_date(text[:10]) - _EPOCH.date()).days
    hour = _remember(_hours, text[:13], days * _DAY_NANOS + int(text[11:13]) * _HOUR_NANOS)
    minute, second = match.groups()
    return hour + _remember(_clocks, text[13:19], (int(minute) * 60 + int(second)) * NANOS)


def _parse_tail(text: str) -> int:
    """What the fraction adds and the offset takes away, in nanoseconds. Up to milliseconds it is remembered."""
    zone = text[-1] if text[-1] in "Zz" else text[-6:]
    fraction = text[19 : len(text) - len(zone)]
    offset = _offsets.get(zone)
    if offset is None:
        offset = _remember(_offsets, zone, _parse_offset(zone, text))
    nanos = _parse_fraction(fraction, text) - offset
    return _remember(_tails, text[19:], nanos) if len(fraction) <= 4 else nanos


def _parse_offset(zone: str, text: str) -> int:
    """The nanoseconds a zone is ahead of UTC."""
    match = _OFFSET.fullmatch(zone)
    if match is None:
        raise _not_a_time(text)
    sign, hours, minutes = match.groups()
    ahead = int(hours or 0) * _HOUR_NANOS + int(minutes or 0) * 60 * NANOS
    return -ahead if sign == "-" else ahead


def _parse_fraction(fraction: str, text: str) -> int:
    """The nanoseconds in `.digits`, up to nine of them, or in nothing."""
    if not fraction:
        return 0
    decimals = fraction[1:]
    if fraction[0] != "." or len(decimals) > 9 or not (decimals.isdigit() and decimals.isascii()):
        raise _not_a_time(text)
    return int(decimals) * _POWERS[9 - len(decimals)]


def _remember(memory: dict[str, int], key: str, value: int) -> int:
    if len(memory) >= _MEMORY:
        memory.clear()
    memory[key] = value
    return value


def _not_a_time(text: str) -> ValueError:
    """Why *text* is no time: the commonest reason is a missing offset, and it is named."""
    shown = repr(text[:40])
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]{8,}", text, re.ASCII):
        return ValueError(f"{shown} is not an RFC 3339 time with an offset and at most 9 decimals (end it with Z?)")
    return ValueError(f"{shown} is not an RFC 3339 time with an offset, such as 2026-07-01T00:00:00Z")


def parse_date(text: str) -> date:
    """
    A calendar day, `YYYY-MM-DD`, of the years 1970 to 2261.

    Raises ValueError with a sentence for a person.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a date, such as 2026-07-01")
    year, month, day = map(int, match.groups())
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise ValueError(f"the year {year:04d} is outside {FIRST_YEAR} to {LAST_YEAR}")
    try:
        return date(year, month, day)
    except ValueError:
        raise ValueError(f"{text!r} is not a day of the calendar") from None


def is_date(text: str) -> bool:
    """Whether the text has the form of a date, and so means a local day and not an instant."""
    return len(text) == 10


def is_moment(text: str) -> bool:
    """Whether the text is an RFC 3339 time or a date."""
    try:
        parse_date(text) if is_date(text) else parse_time(text)
    except ValueError:
        return False
    return True


def start_of(text: str, zone: ZoneInfo) -> int:
    """
    The instant a time or a date names as a start, in nanoseconds: a date begins at its local midnight.

    Raises ValueError with a sentence for a person.
    """
    return local_midnight(parse_date(text), zone) if is_date(text) else parse_time(text)


def end_of(text: str, zone: ZoneInfo) -> int:
    """
    The instant a time or a date names as an end, in nanoseconds: a date includes its day, to the next midnight.

    Raises ValueError with a sentence for a person.
    """
    return local_midnight(parse_date(text) + timedelta(days=1), zone) if is_date(text) else parse_time(text)


def local_midnight(day: date, zone: ZoneInfo) -> int:
    """
    The instant *day* begins in *zone*, in nanoseconds: its first instant, also where midnight is skipped or repeated.

    >>> local_midnight(date(1970, 1, 2), ZoneInfo("Europe/Berlin")) == 23 * 3600 * NANOS
    True
    """
    # fold=0 names the first of a repeated midnight, and in a gap the offset before it: both are the day's start.
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return (midnight.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1000


def format_time(nanos: int) -> str:
    """
    The instant in UTC with `Z` and as many decimals as it needs.

    >>> format_time(0), format_time(1_500_000_000), format_time(1)
    ('1970-01-01T00:00:00Z', '1970-01-01T00:00:01.5Z', '1970-01-01T00:00:00.000000001Z')
    """
    seconds, rest = divmod(nanos, NANOS)
    whole = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    decimals = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{whole}{decimals}Z"


def zone_of(name: str) -> ZoneInfo | None:
    """
    The IANA time zone of that name, or None.

    Paths are no zones, nor are the names that mean another thing on each machine (`localtime`) or count leap
    seconds (`right/...`).
    """
    if not _ZONE.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


# -- names -----------------------------------------------------------------------------------------------------------


def is_id(text: str) -> bool:
    r"""
    Whether the text may name a thing: 1 to 256 characters, no NUL (PostgreSQL cannot hold it), no lone surrogate.

    >>> is_id("summer-26"), is_id(""), is_id("a\0b"), is_id("\ud800")
    (True, False, False, False)
    """
    return 0 < len(text) <= ID_LENGTH and is_text(text)


def is_text(text: str) -> bool:
    """Whether the text can be stored and sent: no NUL, no lone surrogate, at most 1024 characters."""
    if len(text) > TEXT_LENGTH or "\0" in text:
        return False
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


# -- ISO 4217 --------------------------------------------------------------------------------------------------------

# The list of 2026-01-01, by minor digits; codes without a minor unit (gold, special drawing rights, tests) cannot
# carry a budget and are left out. Checked in a test against the published list.
_MINOR_DIGITS: Final = {
    code: digits
    for digits, codes in {
        0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
        2: (
            "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF "
            "CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL "
            "HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU "
            "MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR "
            "SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED "
            "VES WST XAD XCD XCG YER ZAR ZMW ZWG"
        ),
        3: "BHD IQD JOD KWD LYD OMR TND",
        4: "CLF UYW",
    }.items()
    for code in codes.split()
}


CURRENCIES: Final = frozenset(_MINOR_DIGITS)
"""The codes a budget may be in."""


def minor_digits(currency: str) -> int | None:
    """
    The decimals of the currency's minor unit (ISO 4217), None for what is no currency.

    >>> minor_digits("EUR"), minor_digits("JPY"), minor_digits("KWD"), minor_digits("eur")
    (2, 0, 3, None)
    """
    return _MINOR_DIGITS.get(currency)
