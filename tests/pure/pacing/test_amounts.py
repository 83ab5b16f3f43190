"""What the core prints is what schemas.fields prints."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.fields import format_money, format_time, percent_number, ratio_number, round_to_minor
from worker.pacing.amounts import DAY, currency_of, percent, percent_and_deviation, share, time_text
from worker.pacing.identity import NAMESPACE, event_id

NANOS = st.integers(-(10**22), 10**22) | st.integers(-(10**10), 10**10)
NUMERATOR = st.integers(-(10**40), 10**40) | st.integers(-1000, 1000)
DENOMINATOR = st.integers(1, 10**30) | st.integers(1, 1000)
DIGITS = st.sampled_from([0, 2, 3, 4])


@given(nanos=NANOS, digits=DIGITS)
@example(nanos=0, digits=2)
@example(nanos=999_999_999, digits=2)
@example(nanos=990_000_000, digits=2)
@example(nanos=10**9, digits=2)
@example(nanos=10**9, digits=0)
@example(nanos=7 * 10**9, digits=0)
def test_a_carried_amount_is_printed_exactly(nanos: int, digits: int) -> None:
    currency = currency_of(digits)
    assert currency.carried(nanos) == currency.budget(nanos) == format_money(nanos, digits)


@given(num=NUMERATOR, den=DENOMINATOR, digits=DIGITS)
@example(num=5_000_000, den=1, digits=2)
@example(num=15_000_000, den=1, digits=2)
@example(num=10**9 + 5_000_000, den=1, digits=2)
@example(num=-5_000_000, den=1, digits=2)
@example(num=5 * 10**9, den=2, digits=0)
@example(num=7 * 10**9, den=2, digits=0)
def test_a_derived_amount_is_rounded_once_half_even(num: int, den: int, digits: int) -> None:
    assert currency_of(digits).derived(num, den) == format_money(round_to_minor(num, den, digits), digits)


@given(num=NUMERATOR, den=DENOMINATOR)
@example(num=1, den=20_000)
@example(num=3, den=20_000)
@example(num=-1, den=20_000)
@example(num=10**15 - 10_000, den=10_000)
@example(num=10_000 - 10**15, den=10_000)
def test_a_percentage_is_printed_to_the_hundredth(num: int, den: int) -> None:
    digits = printed(percent(num, den))
    assert digits == Decimal(f"{round(Fraction(num, den) * 10_000)}e-2")
    assert abs(digits) > 10**20 or digits == printed(percent_number(num, den))
    pacing, deviation = percent_and_deviation(num, den)
    assert printed(pacing) == digits
    assert printed(deviation) == printed(percent(num - den, den))


@given(num=NUMERATOR, den=DENOMINATOR)
@example(num=1, den=20_000)
@example(num=3, den=20_000)
def test_a_share_is_printed_to_the_ten_thousandth(num: int, den: int) -> None:
    digits = printed(share(num, den))
    assert digits == Decimal(f"{round(Fraction(num, den) * 10_000)}e-4")
    assert abs(digits) > 10**20 or digits == printed(ratio_number(num, den))


def printed(number: float | Decimal | None) -> Decimal:
    """The digits that stand in the JSON."""
    text = msgspec.json.Encoder(decimal_format="number").encode(number)
    return Decimal(json.loads(text, parse_float=str, parse_int=str))


@pytest.mark.parametrize("den", [0, -1])
def test_a_share_of_nothing_is_null(den: int) -> None:
    assert share(5, den) is None


@pytest.mark.parametrize(
    ("count", "kind"),
    [(10**15 - 10_001, float), (10**15 - 10_000, Decimal), (10_001 - 10**15, float), (10_000 - 10**15, Decimal)],
)
def test_a_number_too_long_for_a_float_is_a_decimal(count: int, kind: type) -> None:
    assert type(percent(count, 10_000)) is kind
    assert {type(number) for number in percent_and_deviation(count, 10_000)} == {kind}
    assert type(share(count, 10_000)) is kind


@given(nanos=st.integers(-DAY, 10**10 * 10**9 - 1) | st.integers(0, 10**6).map(lambda seconds: seconds * 10**9))
def test_a_time_is_printed_as_everywhere(nanos: int) -> None:
    assert time_text(nanos) == format_time(nanos)


@given(parts=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=3))
def test_an_id_is_the_uuid5_of_its_meaning(parts: list[str]) -> None:
    kind, campaign, tick, *rest = parts
    expected = uuid.uuid5(uuid.UUID(bytes=NAMESPACE), "\0".join(parts))
    assert event_id(kind, campaign, tick, *rest) == str(expected)


def test_two_meanings_never_share_a_name() -> None:
    assert event_id("a", "b|c", "d") != event_id("a", "b", "c|d")
