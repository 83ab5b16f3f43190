"""Money, times and names against oracles: Decimal, Fraction, datetime, zoneinfo and the published list of ISO 4217."""

from __future__ import annotations

import doctest
import json
import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from zoneinfo import ZoneInfo

import iso4217
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import fields, messages, wire
from schemas.fields import (
    CURRENCIES,
    MONEY_LIMIT,
    NANOS,
    end_of,
    format_money,
    format_time,
    is_id,
    is_moment,
    local_midnight,
    minor_digits,
    parse_date,
    parse_money,
    parse_time,
    percent_number,
    ratio_number,
    round_half_even,
    round_to_minor,
    start_of,
    zone_of,
)

AMOUNTS = st.integers(1 - MONEY_LIMIT, MONEY_LIMIT - 1)
MINOR_DIGITS = st.sampled_from([0, 2, 3, 4])
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("module", [fields, wire, messages])
def test_the_examples_in_the_docstrings_hold(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert (result.attempted > 0, result.failed) == (True, 0)


# -- money ------------------------------------------------------------------------------------------------------------


@given(AMOUNTS, MINOR_DIGITS)
def test_an_amount_printed_is_read_back_exactly(nanos: int, digits: int) -> None:
    assert parse_money(format_money(nanos, digits), number=False) == nanos


@given(AMOUNTS, MINOR_DIGITS)
def test_an_amount_is_printed_with_its_minor_digits_and_more_only_where_it_needs_them(nanos: int, digits: int) -> None:
    text = format_money(nanos, digits)
    assert re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", text)
    decimals = text.partition(".")[2]
    assert len(decimals) >= digits
    assert len(decimals) == digits or not decimals.endswith("0")
    assert text not in {"-0", "-0.00"}


def oracle(text: str) -> int | None:
    """The nanos of a string by the contract's grammar and Decimal; None if it is no amount."""
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]{1,9})?", text, re.ASCII) or len(text) > 64:
        return None
    nanos = int(Decimal(text).scaleb(9))
    return nanos if abs(nanos) < MONEY_LIMIT else None


def read(text: str, *, number: bool) -> int | None:
    try:
        return parse_money(text, number=number)
    except ValueError:
        return None


NEARLY_MONEY = st.from_regex(r"-?[0-9]{0,14}\.?[0-9]{0,11}", fullmatch=True) | st.text(
    "0123456789.-+eE _\u0661\n", max_size=16
)


@given(NEARLY_MONEY | st.text(max_size=20))
@example("0" * 60 + "1.5")
@example("0" * 63 + "1.5")
@example("000000000001.5")
@example("\u0661.5")
@example("1.\u00b2")
@example("1" * 5000)
def test_a_string_is_an_amount_by_the_contracts_grammar_alone(text: str) -> None:
    assert read(text, number=False) == oracle(text)


@given(st.integers(-(10**13), 10**13), st.integers(0, 12), st.integers(-15, 15), st.sampled_from(["e", "E", "e+"]))
def test_a_number_is_read_from_its_digits_and_its_exponent(digits: int, decimals: int, exponent: int, e: str) -> None:
    mantissa = format(Decimal(digits).scaleb(-decimals), "f")
    text = f"{mantissa}{e}{exponent}" if exponent >= 0 or e != "e+" else f"{mantissa}e{exponent}"
    exact = Fraction(digits, 10**decimals) * Fraction(10) ** exponent * NANOS
    if decimals - exponent <= 9 and abs(exact) < MONEY_LIMIT:
        assert read(text, number=True) == exact
    else:
        assert read(text, number=True) is None


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e11, max_value=1e11))
def test_a_number_that_python_wrote_is_read_as_the_digits_it_wrote(number: float) -> None:
    text = json.dumps(number)
    exact = Fraction(Decimal(text)) * NANOS
    assert read(text, number=True) == (exact if exact.denominator == 1 and decimals_of(text) <= 9 else None)


def decimals_of(text: str) -> int:
    exponent = Decimal(text).as_tuple().exponent
    assert isinstance(exponent, int)
    return -exponent


@pytest.mark.parametrize(
    "text", ["", "x", "1e", "--1", "1e5e5", ".5", "0." + "1" * 70, "1e" + "0" * 70, "NaN", "1e\u0661"]
)
def test_what_no_json_reader_gives_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|decimals"):
        parse_money(text, number=True)


@given(st.integers(), st.integers(1, 10**30))
def test_rounding_is_half_even(num: int, den: int) -> None:
    assert round_half_even(num, den) == round(Fraction(num, den))


@given(st.integers(-1000, 1000), st.integers(1, 40))
def test_rounding_of_small_ratios_is_half_even(num: int, den: int) -> None:
    assert round_half_even(num, den) == round(Fraction(num, den))


@given(st.integers(-(10**24), 10**24), MINOR_DIGITS)
def test_rounding_to_the_minor_unit_is_decimals_half_even(nanos: int, digits: int) -> None:
    with localcontext(prec=60):
        expected = Decimal(nanos).scaleb(-9).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
    assert round_to_minor(nanos, 1, digits) == int(expected * NANOS)


RATIOS = st.integers(-(10**21), 10**21)


@pytest.mark.parametrize(("number", "scale", "decimals"), [(percent_number, 100, 2), (ratio_number, 1, 4)])
@given(num=RATIOS, den=st.integers(1, 10**21))
def test_a_number_out_is_rounded_once_and_prints_the_digits_it_stands_for(
    number: type, scale: int, decimals: int, num: int, den: int
) -> None:
    told = number(num, den)
    exact = round(Fraction(num * scale, den), decimals)
    printed = msgspec.json.Encoder(decimal_format="number").encode(told).decode()
    assert Fraction(Decimal(printed)) == exact
    assert decimals_of(printed) <= decimals


def test_a_ratio_to_nothing_is_undefined() -> None:
    assert percent_number(5, 0) is None
    assert ratio_number(0, 0) is None


# -- times ------------------------------------------------------------------------------------------------------------

INSTANTS = st.integers(0, parse_time("2261-12-31T23:59:59.999999999Z"))
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59)


@given(INSTANTS)
def test_a_time_printed_is_read_back_exactly(nanos: int) -> None:
    text = format_time(nanos)
    assert parse_time(text) == nanos
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z", text)


@given(st.datetimes(datetime(1970, 1, 3), datetime(2261, 12, 29)), OFFSETS, st.integers(0, 9))  # noqa: DTZ001
def test_a_time_is_the_instant_datetime_says(naive: datetime, offset: int, decimals: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=offset)))
    fraction = f"{moment.microsecond:06d}"[:decimals].ljust(min(decimals, 6), "0") + "7" * max(0, decimals - 6)
    sign, minutes = "-" if offset < 0 else "+", abs(offset)
    zone = f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    text = f"{moment:%Y-%m-%dT%H:%M:%S}{'.' if fraction else ''}{fraction}{zone}"
    seconds = (moment.replace(microsecond=0) - EPOCH) // timedelta(seconds=1)
    assert parse_time(text) == seconds * NANOS + int(fraction.ljust(9, "0"))


RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)


def is_time(text: str) -> bool:
    """By the grammar of RFC 3339, datetime's calendar, and the years that are read."""
    match = RFC_3339.fullmatch(text)
    if match is None:
        return False
    year, month, day = (int(part) for part in match.group(1, 2, 3))
    try:
        return 1970 <= date(year, month, day).year <= 2261
    except ValueError:
        return False


@given(
    st.from_regex(
        r"[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-9]{2}:[0-9]{2}(\.[0-9]{0,10})?([Zz]|[+-][0-9:]{4,5})?"
    )
)
@example("2026-07-01T00:00:00.\u0661Z")
@example("2026-07-01T00:00:00.1234Z ")
@example("2026-07-01T00:00:00.123\u0664Z")
def test_a_text_is_a_time_by_the_grammar_alone(text: str) -> None:
    try:
        parse_time(text)
    except ValueError:
        assert not is_time(text)
    else:
        assert is_time(text)


@given(st.text(max_size=40))
def test_no_text_makes_reading_fail_otherwise_than_by_saying_no(text: str) -> None:
    for refuses in (parse_time, parse_date):
        try:
            refuses(text)
        except ValueError:
            continue
    assert is_moment(text) in {True, False}
    zone_of(text)
    is_id(text)
    minor_digits(text)


ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "Africa/Cairo",
    "Pacific/Apia",
    "Australia/Lord_Howe",
)
DAYS = st.dates(date(1970, 1, 2), date(2060, 1, 1))


@given(DAYS, st.sampled_from(ZONES))
@example(date(2018, 11, 4), "America/Sao_Paulo")  # midnight is skipped
@example(date(2018, 2, 18), "America/Sao_Paulo")  # the hour before midnight comes twice
@example(date(2023, 10, 29), "Asia/Beirut")  # midnight comes twice
@example(date(2011, 12, 30), "Pacific/Apia")  # the day is skipped
def test_a_day_begins_at_its_first_instant(day: date, name: str) -> None:
    zone = ZoneInfo(name)
    start = local_midnight(day, zone)
    assert local_day(start - 1000, zone) < day <= local_day(start, zone)


def local_day(nanos: int, zone: ZoneInfo) -> date:
    return (EPOCH + timedelta(microseconds=nanos // 1000)).astimezone(zone).date()


@given(DAYS, st.sampled_from(ZONES))
def test_a_date_as_an_end_includes_the_day(day: date, name: str) -> None:
    zone = ZoneInfo(name)
    assert start_of(day.isoformat(), zone) == local_midnight(day, zone)
    assert end_of(day.isoformat(), zone) == local_midnight(day + timedelta(days=1), zone)


def test_a_time_is_the_same_as_a_start_and_as_an_end() -> None:
    text = "2026-07-01T00:00:00+02:00"
    assert start_of(text, ZoneInfo("Asia/Tokyo")) == end_of(text, ZoneInfo("UTC")) == parse_time(text)


# -- names ------------------------------------------------------------------------------------------------------------


def test_the_minor_digits_are_those_of_the_published_list() -> None:
    published = {currency.code: currency.exponent for currency in iso4217.Currency if currency.exponent is not None}
    assert {code: minor_digits(code) for code in CURRENCIES} == published


def test_every_zone_of_the_database_is_one_and_nothing_else_is() -> None:
    import zoneinfo

    others = {
        name for name in zoneinfo.available_timezones() if name.startswith(("right/", "posix", "localtime", "Factory"))
    }
    assert all(zone_of(name) for name in zoneinfo.available_timezones() - others)
    for name in {*others, "", "Europe", "../UTC", "/etc/localtime", "Europe/../UTC", "zone.tab", "a" * 300, "UTC\0"}:
        assert zone_of(name) is None, name


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("a", True),
        ("x" * 256, True),
        ("\U0001f600", True),
        ("", False),
        ("x" * 257, False),
        ("a\0", False),
        ("\udc00", False),
    ],
)
def test_an_id_is_1_to_256_characters_that_can_be_stored(text: str, is_one: bool) -> None:
    assert is_id(text) is is_one
