"""
The compiled part of the fold: loops over a stretch of updates in the bytes they came in, at a nanosecond a byte.

    records of a batch ─▶ unpack ─▶ spans ─▶ scan ─▶ ids, names, instants, figures ─▶ place ─▶ rows ─▶ count ─▶ notes

What is in here decides nothing: it takes the updates it can read for certain (plain increments and credits, written in
ASCII without escapes, amounts below a billion) and leaves every other to `fold`, one by one, which does the same to
them. So a mistake in what it leaves can make the fold slow, and tests hold that it cannot make it wrong: whatever is
taken comes out just as `schemas.wire`, `notes` and `identity` have it.

It is Python that numba compiles. The rules of this file: positions are int64, what is hashed is uint64, and the two
never meet in one expression (numba would make floats of them); an array of bytes is followed by `PADDING` zeros, so
that eight can be read from any place; and all compiled functions are in this one file, since numba's cache on disk
looks for changes in the file of a function alone. What is imported here is compiled in: `make clean` after changing it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.fields import CURRENCIES
from worker.compiled import Bytes, Integers, compiled, integer, loop, there
from worker.ledger.batches import PADDING, Packed
from worker.ledger.cells import COUNT, DAY, NEVER, QUARTER
from worker.ledger.chains import BIN, EPOCH, HEAD, LONGEST, SINCE, UNTIL
from worker.ledger.notes import COUNTS_END, IS_CREDIT
from worker.ledger.sheet import (
    ATTRIBUTION,
    CAMPAIGN,
    FULL,
    HI,
    LATEST,
    LO,
    NAME,
    NO_ROW,
    UPDATES,
    WAITS,
    WIDTH,
    Sheet,
)

Words = NDArray[np.uint64]
Rows = NDArray[np.uint32]


def _array(data: bytes) -> Bytes:
    return np.frombuffer(data, np.uint8)


def words_of(data: Bytes) -> Words:
    """The eight bytes from each place on, as a number: a view, one word a byte."""
    return np.ndarray(len(data) - 7, np.uint64, data.data, strides=(1,))


# -- hashes: XXH3 with 64 bits, of 1 to 240 bytes ----------------------------------------------------------------------

HASHED: Final = 240
"""The longest text that is hashed here."""

_SECRET: Final = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
"""Its published constant."""
_KEYS: Final = np.array([int.from_bytes(_SECRET[at : at + 8], "little") for at in range(len(_SECRET) - 7)], np.uint64)

_HALF: Final = np.uint64(32)
_LOW: Final = np.uint64(0xFFFF_FFFF)
_PRIME: Final = np.uint64(0x9E37_79B1_85EB_CA87)
_AVALANCHE: Final = np.uint64(0x1656_6791_9E37_79F9)
_SHORT: Final = np.uint64(0x9FB2_1C65_1E98_DF25)
_TINY_1: Final = np.uint64(0xC2B2_AE3D_27D4_EB4F)
_TINY_2: Final = np.uint64(0x1656_67B1_9E37_79F9)


@compiled
def _folded(a: np.uint64, b: np.uint64) -> np.uint64:
    """The two halves of a product of 128 bits, one upon the other."""
    low, high = (a & _LOW) * (b & _LOW), (a >> _HALF) * (b >> _HALF)
    left, right = (a >> _HALF) * (b & _LOW), (a & _LOW) * (b >> _HALF)
    cross = (low >> _HALF) + (left & _LOW) + right
    return ((cross << _HALF) | (low & _LOW)) ^ (high + (left >> _HALF) + (cross >> _HALF))


@compiled
def _mix(words: Words, at: int, key: int) -> np.uint64:
    return _folded(words[at] ^ _KEYS[key], words[at + 8] ^ _KEYS[key + 8])


@compiled
def _avalanche(h: np.uint64) -> np.uint64:
    h = (h ^ (h >> np.uint64(37))) * _AVALANCHE
    return h ^ (h >> _HALF)


@compiled
def _swapped(word: np.uint64) -> np.uint64:
    """The word with its bytes in the other order."""
    swapped = np.uint64(0)
    for _ in range(8):
        swapped = (swapped << np.uint64(8)) | (word & np.uint64(255))
        word >>= np.uint64(8)
    return swapped


@compiled
def _hash_of_tiny(words: Words, at: int, size: int) -> np.uint64:
    """1 to 3 bytes."""
    byte = np.uint64(255)
    first, middle, last = words[at] & byte, words[at + (size >> 1)] & byte, words[at + size - 1] & byte
    h = (first << np.uint64(16)) | (middle << np.uint64(24)) | last | (np.uint64(size) << np.uint64(8))
    h ^= (_KEYS[0] & _LOW) ^ (_KEYS[4] & _LOW)
    h = (h ^ (h >> np.uint64(33))) * _TINY_1
    h = (h ^ (h >> np.uint64(29))) * _TINY_2
    return h ^ (h >> _HALF)


@compiled
def _hash_of_short(words: Words, at: int, size: int) -> np.uint64:
    """4 to 16 bytes."""
    if size > 8:
        low = words[at] ^ _KEYS[24] ^ _KEYS[32]
        high = words[at + size - 8] ^ _KEYS[40] ^ _KEYS[48]
        return _avalanche(np.uint64(size) + _swapped(low) + high + _folded(low, high))
    h = ((words[at + size - 4] & _LOW) + (words[at] << _HALF)) ^ (_KEYS[8] ^ _KEYS[16])
    left, right = (h << np.uint64(49)) | (h >> np.uint64(15)), (h << np.uint64(24)) | (h >> np.uint64(40))
    h = (h ^ left ^ right) * _SHORT
    h = (h ^ ((h >> np.uint64(35)) + np.uint64(size))) * _SHORT
    return h ^ (h >> np.uint64(28))


@compiled
def _hash_of_middle(words: Words, at: int, size: int) -> np.uint64:
    """17 to 128 bytes."""
    end, h = at + size, np.uint64(size) * _PRIME
    for pair in range((size - 1) // 32, -1, -1):
        h += _mix(words, at + 16 * pair, 32 * pair) + _mix(words, end - 16 * pair - 16, 32 * pair + 16)
    return _avalanche(h)


@compiled
def _hash_of_long(words: Words, at: int, size: int) -> np.uint64:
    """129 to 240 bytes."""
    h = np.uint64(size) * _PRIME
    for step in range(8):
        h += _mix(words, at + 16 * step, 16 * step)
    h = _avalanche(h)
    for step in range(8, size // 16):
        h += _mix(words, at + 16 * step, 16 * (step - 8) + 3)
    return _avalanche(h + _mix(words, at + size - 16, 119))


@compiled
def hash64(words: Words, at: int, size: int) -> np.uint64:
    """What `identity.hash64` makes of 1 to `HASHED` bytes."""
    if size > 128:
        return _hash_of_long(words, at, size)
    if size > 16:
        return _hash_of_middle(words, at, size)
    return _hash_of_short(words, at, size) if size > 3 else _hash_of_tiny(words, at, size)


@compiled
def _other_hash(words: Words, at: int, size: int) -> np.uint64:
    """64 more bits of a text that is followed by zeros, for names that are kept in memory alone."""
    h = np.uint64(size)
    for step in range(0, size, 8):
        h = (h ^ words[at + step]) * _SHORT
        h ^= h >> np.uint64(29)
    return _avalanche(h)


# -- records of a batch: lengths are zigzag varints --------------------------------------------------------------------


@compiled
def _varint(data: Bytes, at: int) -> tuple[int, int]:
    """The number, and where what follows it begins."""
    number, shift, byte = 0, 0, 128
    while byte & 128 and shift < 63:
        byte = integer(data[at])
        number |= (byte & 127) << shift
        shift += 7
        at += 1
    return (number >> 1) ^ -(number & 1), at


@loop
def _unpack(data: Bytes, stop: int, spans: Integers, offsets: Integers) -> bool:
    """False where a record does not come behind the one before, or they do not fit."""
    at, least = 0, 0
    for number in range(len(spans)):
        length, begin = _varint(data, at)
        end = begin + length
        if length < 0 or end > stop:
            return False
        _, at = _varint(data, begin + 1)
        offset, at = _varint(data, at)
        for place in (0, 2):
            size, at = _varint(data, at)
            if size > end - at:
                return False
            spans[number, place], spans[number, place + 1] = (at, at + size) if size >= 0 else (-1, -1)
            at += max(size, 0)
        if offset < least or at > end:
            return False
        offsets[number], least = offset, offset + 1
        at = end
    return at == stop


_LEAST_RECORD: Final = 7
"""Bytes of a record without a key, a value or a header."""


def unpack(body: bytes | memoryview, count: int) -> tuple[Packed, Integers] | None:
    """The *count* records in the *body* of a batch, and their offsets, from that of the batch on; None: unreadable."""
    if count * _LEAST_RECORD > len(body):
        return None
    data, spans, offsets = b"".join((body, PADDING)), np.empty((count, 4), np.int64), np.empty(count, np.int64)
    return (Packed(data, spans), offsets) if _unpack(_array(data), len(body), spans, offsets) else None


# -- JSON: where the fields of an update lie ---------------------------------------------------------------------------

FIELDS: Final = (
    *("event_id", "source", "campaign_id", "event_time", "channel", "deal_id", "line_item_id", "kind", "spend"),
    *("corrects", "sequence", "series", "currency"),
    *("impressions", "clicks", "conversions", "bids", "wins", "requests", "conversion_value"),
)
_EVENT_ID, _SOURCE, _CAMPAIGN_ID, _EVENT_TIME, _CHANNEL, _DEAL_ID, _LINE_ITEM_ID, _KIND, _SPEND = range(9)
_CORRECTS, _SEQUENCE, _SERIES, _CURRENCY, _IMPRESSIONS = range(9, 14)
_VALUE: Final = 19
_COUNT: Final = len(FIELDS)


def _word(text: str) -> int:
    return int.from_bytes(text.encode(), "little")


# A name has at most sixteen letters: its first eight and its last eight make it up.
_SIZES: Final = np.array([len(name) for name in FIELDS], np.int64)
_FIRST: Final = np.array([_word(name[:8]) for name in FIELDS], np.uint64)
_LAST: Final = np.array([_word(name[-8:]) if len(name) > 8 else 0 for name in FIELDS], np.uint64)
_MASKS: Final = np.array([(1 << 8 * min(size, 8)) - 1 for size in range(17)], np.uint64)

_ONES: Final = np.uint64(0x0101_0101_0101_0101)
_TOPS: Final = np.uint64(0x8080_8080_8080_8080)
_QUOTES: Final = np.uint64(0x2222_2222_2222_2222)
_SLASHES: Final = np.uint64(0x5C5C_5C5C_5C5C_5C5C)
_SPACES: Final = np.uint64(0x2020_2020_2020_2020)


_PLACES: Final = np.uint64(0x0001_0203_0405_0607)


@compiled
def _marks(word: np.uint64) -> np.uint64:
    """The top bits of its bytes that are a quote, a backslash, a control character or no ASCII, and of some above."""
    quote, slash = word ^ _QUOTES, word ^ _SLASHES
    found = ((quote - _ONES) & ~quote) | ((slash - _ONES) & ~slash) | ((word - _SPACES) & ~word) | word
    return found & _TOPS


@compiled
def _text_end(words: Words, at: int, stop: int) -> int:
    """Where the quote stands that ends a text; -1 if something else comes first that must be looked at."""
    while at < stop:
        marks = _marks(words[there(at)])
        if marks != np.uint64(0):
            lowest = marks & (~marks + np.uint64(1))
            at += integer(((lowest >> np.uint64(7)) * _PLACES) >> np.uint64(56))
            return at if at < stop and words[there(at)] & np.uint64(255) == np.uint64(34) else -1
        at += 8
    return -1


@compiled
def _is_digit(byte: int) -> bool:
    return 48 <= byte <= 57


@compiled
def _digits_end(data: Bytes, at: int) -> int:
    while _is_digit(data[there(at)]):
        at += 1
    return at


@compiled
def _number_end(data: Bytes, at: int) -> int:
    """Behind a number without an exponent; -1 if there is none as JSON has it."""
    begin = at + (data[there(at)] == 45)
    end = _digits_end(data, begin)
    if end == begin or (data[there(begin)] == 48 and end > begin + 1):
        return -1
    if data[there(end)] != 46:
        return end
    decimals = _digits_end(data, end + 1)
    return decimals if decimals > end + 1 else -1


_NULL: Final = np.uint64(_word("null"))
_TRUE: Final = np.uint64(_word("true"))
_FALSE: Final = np.uint64(_word("false"))


@compiled
def _scalar_end(words: Words, data: Bytes, at: int) -> int:
    """Behind null, true, false or a number; -1 if it is something else."""
    if data[there(at)] == 45 or _is_digit(data[there(at)]):
        return _number_end(data, at)
    if words[there(at)] & _LOW == _NULL or words[there(at)] & _LOW == _TRUE:
        return at + 4
    return at + 5 if words[there(at)] & _MASKS[5] == _FALSE else -1


@compiled
def _blank_end(data: Bytes, at: int) -> int:
    while data[there(at)] <= 32 and (
        data[there(at)] == 32 or data[there(at)] == 10 or data[there(at)] == 13 or data[there(at)] == 9
    ):
        at += 1
    return at


@compiled
def _is_name(words: Words, at: int, field: int) -> bool:
    """Whether a field's name stands there, and the quote behind it."""
    size = _SIZES[field]
    if words[there(at + size)] & np.uint64(255) != np.uint64(34) or words[there(at)] & _MASKS[size] != _FIRST[field]:
        return False
    return size <= 8 or words[there(at + size - 8)] == _LAST[field]


@compiled
def _field(words: Words, at: int, guess: int) -> int:
    """Which field's name stands there, the guess looked at first; -1: none."""
    if _is_name(words, at, guess):
        return guess
    for number in range(_COUNT):
        if _is_name(words, at, number):
            return number
    return -1


@compiled
def _value_end(data: Bytes, words: Words, at: int, stop: int) -> int:
    """Behind the value that begins at *at*; -1 if it is an object, an array, or must be looked at."""
    if data[there(at)] != 34:
        return _scalar_end(words, data, at)
    end = _text_end(words, at + 1, stop)
    return end + 1 if end >= 0 else -1


@compiled
def _value_begin(data: Bytes, at: int) -> int:
    """Behind the colon that follows *at*; -1 if there is none."""
    at = _blank_end(data, at)
    return _blank_end(data, at + 1) if data[there(at)] == 58 else -1


@compiled
def _keep(data: Bytes, found: Integers, field: int, begin: int, end: int) -> bool:
    """Note where a value lies; False where the field is there twice."""
    if found[there(field), 1] != 0:
        return False
    is_text = data[there(begin)] == 34
    found[there(field), 0] = begin + is_text
    found[there(field), 1] = -1 if data[there(begin)] == 110 else end - is_text
    return True


@compiled
def _find_fields(data: Bytes, words: Words, at: int, stop: int, found: Integers, follows: Integers) -> bool:
    """
    Where the values lie in the object [at, stop): in *found*, [begin, end) a field, texts without their quotes.

    A field that is not there has the end 0, one that is null -1. *follows* remembers which field came after which.
    False where the object must be looked at more closely.
    """
    found[:, 1] = 0
    last = _COUNT
    if data[there(at)] != 123:
        return False
    while True:
        name = _blank_end(data, at + 1) + 1
        if data[there(name - 1)] != 34:
            return False
        field = _field(words, name, follows[there(last)])
        end = name + _SIZES[field] if field >= 0 else _text_end(words, name, stop)
        begin = _value_begin(data, end + 1) if end >= 0 else -1
        at = _value_end(data, words, begin, stop) if begin >= 0 else -1
        if at < 0:
            return False
        if field >= 0:
            follows[there(last)] = last = field
            if not _keep(data, found, field, begin, at):
                return False
        at = _blank_end(data, at)
        if data[there(at)] != 44:
            return data[there(at)] == 125 and at < stop <= _blank_end(data, at + 1)


# -- what the fields say -----------------------------------------------------------------------------------------------

_BAD: Final = -(1 << 63)
"""In the place of a number: it must be looked at more closely."""
_SECOND: Final = 10**9
_POWERS: Final = np.array([10**power for power in range(10)], np.int64)
_LONGEST_ID: Final = 256


@compiled
def _is_id(data: Bytes, found: Integers, field: int) -> bool:
    begin, end = found[there(field), 0], found[there(field), 1]
    return end > 0 and data[there(begin - 1)] == 34 and 0 < end - begin <= _LONGEST_ID


@compiled
def _is_id_or_absent(data: Bytes, found: Integers, field: int) -> bool:
    return found[there(field), 1] <= 0 or _is_id(data, found, field)


@compiled
def _number(data: Bytes, at: int, end: int) -> int:
    """The digits in [at, end) as a number, of which there are at most 18."""
    number = 0
    for place in range(at, end):
        digit = integer(data[there(place)]) - 48
        if not 0 <= digit <= 9:
            return _BAD
        number = number * 10 + digit
    return number


@compiled
def _amount(data: Bytes, at: int, end: int) -> int:
    """The nanos of an amount below a billion."""
    is_negative = data[there(at)] == 45
    at += is_negative
    point = at
    while point < end and data[there(point)] != 46:
        point += 1
    decimals = end - point - 1
    if not 0 < point - at <= 9 or decimals > 9 or decimals == 0:
        return _BAD
    units, parts = _number(data, at, point), _number(data, point + 1, end) if decimals > 0 else 0
    if units == _BAD or parts == _BAD:
        return _BAD
    nanos = units * _SECOND + parts * _POWERS[9 - max(decimals, 0)]
    return -nanos if is_negative else nanos


@compiled
def _count(data: Bytes, at: int, end: int) -> int:
    """A count below four billion."""
    if not 0 < end - at <= 10 or data[there(at - 1)] == 34:
        return _BAD
    count = _number(data, at, end)
    return count if count < COUNTS_END else _BAD


@compiled
def _is_date(year: int, month: int, day: int) -> bool:
    if not (1970 <= year <= 2260 and 1 <= month <= 12 and 1 <= day <= 31):
        return False
    if month == 2:
        return day <= 28 + (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    return day <= 30 or not (month == 4 or month == 6 or month == 9 or month == 11)


@compiled
def _days(year: int, month: int, day: int) -> int:
    """Days from 1970 to a date."""
    # Years that begin in March, so that the leap day is their last.
    year -= month <= 2
    since_march = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + since_march - 719_468


_DATE: Final = b"dddd-dd-"
_CLOCK: Final = b"ddTdd:dd"
_SECONDS: Final = b":dd"


def _form(pattern: bytes, digit: int, other: int | None) -> np.uint64:
    """A word with one byte for each digit of *pattern* and another for all else (None: what stands there)."""
    letters = (digit if letter == 100 else letter if other is None else other for letter in pattern)
    return np.uint64(int.from_bytes(bytes(letters), "little"))


_FORMS: Final = np.array(
    [
        [_form(form, 0x06, 0), _form(form, 0xF0, 0xFF), _form(form, 0x30, None)]
        for form in (_DATE, _CLOCK, _SECONDS, b"+dd:dd", b"-dd:dd")
    ],
    np.uint64,
)
"""Of each form what is added to a word to see that no digit is beyond 9, what is looked at, and what is to be seen."""


@compiled
def _has_form(word: np.uint64, form: int) -> bool:
    mask, wanted = _FORMS[form, 1], _FORMS[form, 2]
    return (word & mask) == wanted and ((word + _FORMS[form, 0]) & mask) == wanted


@compiled
def _two(word: np.uint64, place: int) -> int:
    """The number of two digits that begins at a byte of the word."""
    shifted = word >> np.uint64(8 * place)
    return integer(shifted & np.uint64(15)) * 10 + integer((shifted >> np.uint64(8)) & np.uint64(15))


@compiled
def _offset(words: Words, at: int, end: int) -> int:
    """The minutes that a time is ahead of UTC."""
    word = words[there(at)]
    if end - at == 1 and word & np.uint64(255) == np.uint64(90):
        return 0
    is_behind = _has_form(word, 4)
    if end - at != 6 or not (is_behind or _has_form(word, 3)):
        return _BAD
    hours, minutes = _two(word, 1), _two(word, 4)
    if hours > 23 or minutes > 59:
        return _BAD
    return -(hours * 60 + minutes) if is_behind else hours * 60 + minutes


@compiled
def _fraction(data: Bytes, at: int) -> tuple[int, int]:
    """The nanoseconds behind a point, and where they end; without a point there are none."""
    if data[there(at)] != 46:
        return 0, at
    end = _digits_end(data, at + 1)
    if not 1 < end - at <= 10:
        return _BAD, at
    return _number(data, at + 1, end) * _POWERS[10 - (end - at)], end


@compiled
def _instant(data: Bytes, words: Words, at: int, end: int) -> int:
    """The nanoseconds from 1970 to an RFC 3339 time."""
    date, clock, rest = words[there(at)], words[there(at + 8)], words[there(at + 16)]
    if end - at < 20 or not (_has_form(date, 0) and _has_form(clock, 1) and _has_form(rest, 2)):
        return _BAD
    year, month, day = _two(date, 0) * 100 + _two(date, 2), _two(date, 5), _two(clock, 0)
    hours, minutes, seconds = _two(clock, 3), _two(clock, 6), _two(rest, 1)
    fraction, zone = _fraction(data, at + 19)
    ahead = _offset(words, zone, end)
    if hours > 23 or minutes > 59 or seconds > 59 or fraction == _BAD or ahead == _BAD:
        return _BAD
    if not _is_date(year, month, day):
        return _BAD
    instant = (((_days(year, month, day) * 24 + hours) * 60 + minutes - ahead) * 60 + seconds) * _SECOND + fraction
    return instant if instant >= 0 else _BAD


@compiled
def _currency(data: Bytes, found: Integers, currencies: Bytes) -> int:
    """The three letters of a currency as a number, 0 where none is stated."""
    begin, end = found[there(_CURRENCY), 0], found[there(_CURRENCY), 1]
    if end <= 0:
        return 0
    if data[there(begin - 1)] != 34 or end - begin != 3:
        return _BAD
    code = 0
    for place in range(3):
        letter = integer(data[there(begin + place)]) - 65
        if not 0 <= letter < 26:
            return _BAD
        code = code * 26 + letter
    if not currencies[code]:
        return _BAD
    return integer(data[there(begin)]) | integer(data[there(begin + 1)]) << 8 | integer(data[there(begin + 2)]) << 16


_INCREMENT: Final = np.uint64(_word("incremen"))
_CREDIT: Final = np.uint64(_word("credit"))


@compiled
def _flags(data: Bytes, words: Words, found: Integers) -> int:
    """Whether it is a credit, as notes say it; -1 for other kinds."""
    begin, size = found[there(_KIND), 0], found[there(_KIND), 1] - found[there(_KIND), 0]
    if found[there(_KIND), 1] <= 0:
        return 0
    if data[there(begin - 1)] != 34:
        return -1
    if size == 9 and words[there(begin)] == _INCREMENT and data[there(begin + 8)] == 116:
        return 0
    return IS_CREDIT if size == 6 and words[there(begin)] & _MASKS[6] == _CREDIT else -1


@compiled
def _figures(data: Bytes, found: Integers, figures: Integers, at: int, is_credit: bool) -> int:
    """Read the figures; the flags of those that are there, or -1 where they are not as a plain update's."""
    flags = 0
    for place in range(COUNT):
        field = _SPEND if place == 0 else _VALUE if place == COUNT - 1 else _IMPRESSIONS + place - 1
        begin, end = found[there(field), 0], found[there(field), 1]
        figures[at, place] = 0
        if end > 0:
            is_amount = place == 0 or place == COUNT - 1
            figure = _amount(data, begin, end) if is_amount else _count(data, begin, end)
            if figure == _BAD or (figure < 0 and not is_credit):
                return -1
            figures[at, place] = figure
            flags |= 2 << place
    return -1 if flags & 2 == 0 or (is_credit and figures[at, 0] > 0) else flags


_FIXED: Final = 57
"""Bytes of a narrow note without its tail, the line item; `notes` says what is in them."""


# -- a stretch of updates ----------------------------------------------------------------------------------------------


class Scanned(NamedTuple):
    """What is read of each update of a stretch; rows of an update that is not *fine* mean nothing."""

    fine: NDArray[np.bool_]
    ids: Words
    names: Integers
    """Two halves of the hash of (campaign, channel, deal, stated currency), the first of the quarter of an hour too."""
    at: Integers
    figures: Integers
    flags: Integers
    currencies: Integers
    """The three letters, little-endian."""
    tails: Integers
    """[begin, end) of the line item."""
    sources: Integers
    """The number of its source among those of the stretch."""
    firsts: Integers
    """Where each of the sources comes first; -1 behind the last."""


class Paper(NamedTuple):
    """Bytes to write on, and the words of them."""

    bytes: Bytes
    words: Words


def paper(size: int) -> Paper:
    """Paper for *size* bytes."""
    sheet = np.empty(size + len(PADDING), np.uint8)
    return Paper(sheet, words_of(sheet))


def _room_for(count: int) -> Scanned:
    return Scanned(
        np.zeros(count, np.bool_),
        np.zeros(count, np.uint64),
        np.empty((count, 2), np.int64),
        np.empty(count, np.int64),
        np.empty((count, COUNT), np.int64),
        np.empty(count, np.int64),
        np.empty(count, np.int64),
        np.empty((count, 2), np.int64),
        np.empty(count, np.int64),
        np.full(SOURCES, -1, np.int64),
    )


SOURCES: Final = 512
"""Sources told apart in a stretch; the updates of those beyond are folded one by one."""

_QUARTER: Final = QUARTER
_SPREAD: Final = -7046029254386353131
"""2^64 / golden ratio, as a signed number: neighbouring quarters of one name lie far apart."""


@compiled
def _copy(words: Words, begin: int, end: int, into: Words, at: int) -> int:
    """Behind the copy of [begin, end), a word at a time: up to seven bytes more are written over."""
    for step in range(0, end - begin, 8):
        into[at + step] = words[there(begin + step)]
    return at + end - begin


@compiled
def _copy_field(words: Words, found: Integers, field: int, into: Words, at: int) -> int:
    """Behind the copy of a field and a NUL; the NUL alone where it is absent."""
    if found[there(field), 1] > 0:
        at = _copy(words, found[there(field), 0], found[there(field), 1], into, at)
    into[at] = np.uint64(0)
    return at + 1


@compiled
def _id(words: Words, found: Integers, scratch: Words) -> np.uint64:
    """What `identity.id_hash` makes of it; 0 where it is too long for here."""
    at = _copy_field(words, found, _CAMPAIGN_ID, scratch, 0)
    at = _copy_field(words, found, _SOURCE, scratch, at)
    at = _copy_field(words, found, _EVENT_ID, scratch, at) - 1
    return hash64(scratch, 0, at) if at <= HASHED else np.uint64(0)


@compiled
def _name(words: Words, found: Integers, currency: int, scratch: Words) -> tuple[np.uint64, np.uint64]:
    """128 bits of what an update's row is looked up by; nothing but 0 where that is too long for here."""
    at = _copy_field(words, found, _CAMPAIGN_ID, scratch, 0)
    at = _copy_field(words, found, _CHANNEL, scratch, at)
    at = _copy_field(words, found, _DEAL_ID, scratch, at)
    scratch[at] = np.uint64(currency)
    scratch[at + 8] = np.uint64(0)
    at += 3
    if at > HASHED:
        return np.uint64(0), np.uint64(0)
    return hash64(scratch, 0, at), _other_hash(scratch, 0, at)


@compiled
def _source(words: Words, found: Integers, known: Words, firsts: Integers, place: int) -> int:
    """The number of an update's source; -1 where it is too long, or one too many."""
    begin, size = found[there(_SOURCE), 0], found[there(_SOURCE), 1] - found[there(_SOURCE), 0]
    if size > HASHED:
        return -1
    hashed = hash64(words, begin, size)
    for number in range(len(known)):
        if firsts[number] < 0:
            known[number], firsts[number] = hashed, place
        if known[number] == hashed:
            return number
    return -1


@compiled
def _is_key(data: Bytes, at: int, end: int, found: Integers) -> bool:
    """Whether the record lies under its campaign's key, which is at [at, end)."""
    begin, size = found[there(_CAMPAIGN_ID), 0], found[there(_CAMPAIGN_ID), 1] - found[there(_CAMPAIGN_ID), 0]
    if end - at != size or at < 0:
        return False
    for place in range(size):
        if data[there(at + place)] != data[there(begin + place)]:
            return False
    return True


@compiled
def _is_plain(data: Bytes, found: Integers) -> bool:
    """Whether the ids are such, and nothing is there that only other kinds have."""
    if found[there(_CORRECTS), 1] > 0 or found[there(_SEQUENCE), 1] > 0 or found[there(_SERIES), 1] > 0:
        return False
    for field in (_EVENT_ID, _SOURCE, _CAMPAIGN_ID, _EVENT_TIME):
        if not _is_id(data, found, field):
            return False
    for field in (_CHANNEL, _DEAL_ID, _LINE_ITEM_ID):
        if not _is_id_or_absent(data, found, field):
            return False
    return True


@compiled
def _read(data: Bytes, words: Words, found: Integers, currencies: Bytes, out: Scanned, place: int) -> bool:
    """Read the fields of a plain update; False where it is none."""
    kind = _flags(data, words, found)
    if kind < 0 or not _is_plain(data, found):
        return False
    at = _instant(data, words, found[there(_EVENT_TIME), 0], found[there(_EVENT_TIME), 1])
    currency = _currency(data, found, currencies)
    present = _figures(data, found, out.figures, place, kind == IS_CREDIT)
    out.at[place], out.currencies[place], out.flags[place] = at, currency, present | kind
    out.tails[place, 1] = max(found[there(_LINE_ITEM_ID), 1], 0)
    out.tails[place, 0] = found[there(_LINE_ITEM_ID), 0] if out.tails[place, 1] > 0 else 0
    is_short = out.tails[place, 1] - out.tails[place, 0] <= HASHED - _FIXED
    return is_short and at != _BAD and currency != _BAD and present >= 0


@loop
def _scan(
    data: Bytes, words: Words, spans: Integers, is_keyed: bool, currencies: Bytes, scratch: Words, out: Scanned
) -> None:
    found, follows, firsts = np.zeros((_COUNT, 2), np.int64), np.zeros(_COUNT + 1, np.int64), out.firsts
    known = np.zeros(SOURCES, np.uint64)
    for place in range(len(spans)):
        begin, end = spans[place, 2], spans[place, 3]
        if begin < 0 or not _find_fields(data, words, begin, end, found, follows):
            continue
        if not _read(data, words, found, currencies, out, place) or (
            is_keyed and not _is_key(data, spans[place, 0], spans[place, 1], found)
        ):
            continue
        hashed = _id(words, found, scratch)
        first, second = _name(words, found, out.currencies[place], scratch)
        source = _source(words, found, known, firsts, place)
        out.ids[place], out.sources[place] = hashed, source
        out.names[place, 0] = integer(first) + out.at[place] // _QUARTER * _SPREAD
        out.names[place, 1] = integer(second)
        out.fine[place] = hashed != np.uint64(0) and second != np.uint64(0) and source >= 0


def _currency_flags() -> Bytes:
    """Of each three letters, in the order of the alphabet, whether they are a currency."""
    flags = np.zeros(26**3, np.uint8)
    for code in CURRENCIES:
        first, second, third = (ord(letter) - 65 for letter in code)
        flags[(first * 26 + second) * 26 + third] = 1
    return flags


_CURRENCIES: Final = _currency_flags()


def scan(data: bytes, spans: Integers, *, is_keyed: bool) -> Scanned:
    """Read the updates at *spans*; *is_keyed* asks that each lies under its campaign's key."""
    letters, out = _array(data), _room_for(len(spans))
    _scan(letters, words_of(letters), spans, is_keyed, _CURRENCIES, paper(4 * _LONGEST_ID).words, out)
    return out


# -- identity: open addressing, linear probing; 0 is a free slot; as many slots as a power of two ----------------------


@loop
def enter(table: Rows, hashes: Words, entries: Rows) -> None:
    """Put *entries* into the table, each into the first free slot from that of its hash on."""
    mask = np.uint64(len(table) - 1)
    for place in range(len(entries)):
        slot = hashes[place] & mask
        while table[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = entries[place]


@loop
def find(table: Rows, ids: Words, hashes: Words, oldest: int, base: int, found: Integers) -> None:
    """
    Put the ordinals of those of *hashes* that are among *ids* into *found*.

    A slot holds 1 + the position in *ids*; positions before *oldest* are forgotten, *base* is the ordinal of the first.
    """
    mask = np.uint64(len(table) - 1)
    for place in range(len(hashes)):
        slot = hashes[place] & mask
        while table[slot] != 0:
            position = integer(table[slot]) - 1
            if position >= oldest and ids[position] == hashes[place]:
                found[place] = base + position
                break
            slot = (slot + np.uint64(1)) & mask


class Identity(NamedTuple):
    """What is known of the ids of a stretch."""

    firsts: Integers
    """Where each id stands first in the stretch."""
    ordinals: Integers
    """In the memory, or -1."""
    bodies: Words
    """The hashes of what the remembered ones said."""
    new: NDArray[np.bool_]
    """Whether an id is not remembered, and stands here first."""


@compiled
def _enter_apart(apart: Words, slots: NDArray[np.int32], mask: np.uint64) -> None:
    for number in range(len(apart)):
        slot = apart[number] & mask
        while slots[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = -1 - number


@loop
def _find_firsts(scanned: Scanned, apart: Words, slots: NDArray[np.int32], firsts: Integers) -> None:
    """*slots* is an empty table; it holds 1 + a place, or -1 - the number of one apart."""
    mask, ids = np.uint64(len(slots) - 1), scanned.ids
    _enter_apart(apart, slots, mask)
    for place in range(len(ids)):
        firsts[place] = place
        slot = ids[place] & mask
        while scanned.fine[place]:
            other = integer(slots[slot])
            if other == 0:
                slots[slot] = place + 1
                break
            if other < 0 and apart[-1 - other] == ids[place]:
                scanned.fine[place] = False
            elif other > 0 and ids[other - 1] == ids[place]:
                firsts[place] = other - 1
                break
            slot = (slot + np.uint64(1)) & mask


def firsts_of(scanned: Scanned, apart: Words) -> Integers:
    """Where each id stands first in the stretch; what has an id of those *apart* is fine no more."""
    count = len(scanned.ids)
    firsts, slots = np.empty(count, np.int64), np.zeros(1 << (2 * (count + len(apart))).bit_length(), np.int32)
    _find_firsts(scanned, apart, slots, firsts)
    return firsts


# -- counting ----------------------------------------------------------------------------------------------------------


@loop
def _find_rows(
    scanned: Scanned, new: NDArray[np.bool_], table: Rows, cells: Integers, rows: Integers, strange: Integers
) -> int:
    mask, count = np.uint64(len(table) - 1), 0
    for place in range(len(rows)):
        rows[place] = NO_ROW
        if not scanned.fine[place]:
            continue
        slot = np.uint64(scanned.names[place, 0]) & mask
        while table[slot] != NO_ROW:
            base = integer(table[slot]) * WIDTH
            if cells[base + NAME] == scanned.names[place, 0] and cells[base + NAME + 1] == scanned.names[place, 1]:
                rows[place] = integer(table[slot])
                break
            slot = (slot + np.uint64(1)) & mask
        base = rows[place] * WIDTH
        if new[place] and not cells[base + LO] <= scanned.at[place] < cells[base + HI]:
            strange[count] = place
            count += 1
    return count


def rows_of(scanned: Scanned, identity: Identity, table: Rows, cells: Integers) -> tuple[Integers, Integers]:
    """
    The row of the sheet that each name is known to have, else none.

    And the places of new ones that are strange: of no known row, or of one whose cell does not hold their instant.
    """
    rows, strange = np.empty(len(scanned.ids), np.int64), np.empty(len(scanned.ids), np.int64)
    count = _find_rows(scanned, identity.new, table, cells, rows, strange)
    return rows, strange[:count]


@loop
def _place_rows(table: Rows, cells: Integers, rows: Integers, names: Integers) -> int:
    """Let each name mean its row, and no other row have it; how many free slots were taken."""
    mask, taken = np.uint64(len(table) - 1), 0
    for place in range(len(rows)):
        row, first, second = rows[place], names[place, 0], names[place, 1]
        if row == NO_ROW:
            continue
        at, spot = np.uint64(first) & mask, np.uint64(len(table))
        while table[at] != NO_ROW:
            known = integer(table[at])
            base = known * WIDTH + NAME
            if known == row or (cells[base] == first and cells[base + 1] == second):
                cells[base] = cells[base + 1] = 0
                spot = min(spot, at) if spot < len(table) else at
            at = (at + np.uint64(1)) & mask
        if spot == np.uint64(len(table)):
            spot = at
            taken += 1
        table[spot] = row
        cells[row * WIDTH + NAME], cells[row * WIDTH + NAME + 1] = first, second
    return taken


def place_rows(table: Rows, cells: Integers, rows: Integers, names: Integers) -> int:
    """From now on each of *names* means its row, if it is one; how many free slots of the table that took."""
    taken: int = _place_rows(table, cells, rows, names)
    return taken


def without_quarter(scanned: Scanned, places: Integers) -> Integers:
    """The names at *places* without their quarters of an hour."""
    names = scanned.names[places]
    names[:, 0] -= scanned.at[places] // _QUARTER * _SPREAD
    return names


class Ticks(NamedTuple):
    """How ticks part time, as `cells.TickCuts` has it, and the epoch in which they do."""

    last: int
    next: int
    every: int
    epoch: int


class Open(NamedTuple):
    """What rows are opened in: the arrays of the sheet and of its chains, and the rows that are free."""

    cells: Integers
    labels: NDArray[np.int32]
    dirty: Bytes
    stands: Integers
    next: NDArray[np.int32]
    free: Integers


@compiled
def _cell_of(at: int, ticks: Ticks) -> tuple[int, int]:
    """The cell of an instant, but for the cuts of its plan: what `TickCuts.around` makes of a quarter."""
    lo = at - at % _QUARTER
    hi = lo + _QUARTER
    lo, hi = (max(lo, ticks.last + 1), hi) if ticks.last < at else (lo, min(hi, ticks.last + 1))
    first = ticks.next + 1
    if at < first:
        return lo, min(hi, first)
    since = at - (at - first) % ticks.every
    return max(lo, since), min(hi, since + ticks.every)


@compiled
def _known_name(names: Integers, table: Rows, first: int, second: int) -> int:
    mask = np.uint64(len(table) - 1)
    slot = np.uint64(first) & mask
    while table[slot] != 0:
        number = integer(table[slot])
        if names[number, 0] == first and names[number, 1] == second:
            return number
        slot = (slot + np.uint64(1)) & mask
    return 0


@compiled
def _in_chain(into: Open, head: int, lo: int, hi: int, attribution: int, label: int) -> int:
    """The row of the chain for an attribution in [lo, hi); NO_ROW if there is none, -1 if none may be added."""
    found, count, row = NO_ROW, 0, head
    while row != NO_ROW:
        base = row * WIDTH
        if into.cells[base + LO] == lo:
            into.cells[base + HI] = hi
            if into.cells[base + ATTRIBUTION] == attribution and into.labels[row] == label:
                found = row
        count += 1
        row = integer(into.next[row])
    if found == NO_ROW and (count >= LONGEST or (count > 0 and into.cells[head * WIDTH + LO] // DAY != lo // DAY)):
        return -1
    return found


@compiled
def _open_row(into: Open, row: int, lo: int, hi: int, attribution: int, campaign: int, label: int) -> None:
    base = row * WIDTH
    into.cells[base + LATEST], into.cells[base + LO], into.cells[base + HI] = NEVER, lo, hi
    into.cells[base + ATTRIBUTION], into.cells[base + CAMPAIGN] = attribution, campaign
    into.labels[row], into.dirty[row] = label, 1


@loop
def _open_rows(
    scanned: Scanned,
    places: Integers,
    names: Integers,
    table: Rows,
    ticks: Ticks,
    into: Open,
    rows: Integers,
    left: Integers,
) -> tuple[int, int]:
    """How many are left, as `open_rows` says it, and how many free rows were used."""
    count = used = 0
    for number in range(len(places)):
        place = places[number]
        at = scanned.at[place]
        first = scanned.names[place, 0] - at // _QUARTER * _SPREAD
        known = _known_name(names, table, first, scanned.names[place, 1])
        campaign = names[known, 2]
        left[count, 0], left[count, 1] = place, campaign if known else -1
        if known == 0 or campaign >= len(into.stands):
            count += 1
            continue
        stand = into.stands[campaign]
        if stand[EPOCH] != ticks.epoch or not stand[SINCE] <= at < stand[UNTIL]:
            count += 1
            continue
        lo, hi = _cell_of(at, ticks)
        lo, hi = max(lo, stand[SINCE]), min(hi, stand[UNTIL])
        head, attribution, label = HEAD + stand[BIN], names[known, 3], names[known, 4] | (WAITS * stand[BIN])
        row = _in_chain(into, stand[head], lo, hi, attribution, label)
        if row < 0:
            count += 1
            continue
        if row == NO_ROW:
            row = into.free[used]
            used += 1
            _open_row(into, row, lo, hi, attribution, campaign, label)
            into.next[row] = stand[head]
            stand[head] = row
        rows[place] = row
    return count, used


def opened(sheet: Sheet, free: Sequence[int] = ()) -> Open:
    """The sheet as loops see it, with rows that are *free*; to be let go of before it grows."""
    stands, following = sheet.chains.views()
    labels, dirty = np.frombuffer(sheet.labels, np.int32), np.frombuffer(sheet.dirty, np.uint8)
    return Open(sheet.view(), labels, dirty, stands, following, np.array(free, np.int64))


def open_rows(
    scanned: Scanned, places: Integers, names: Integers, table: Rows, ticks: Ticks, sheet: Sheet, rows: Integers
) -> Integers:
    """
    Put the rows of what is at *places* into *rows*, opened where there are none.

    What cannot be opened here is left: its place, and its campaign; -1 where the name is not known.
    """
    lent = sheet.lend(len(places))
    into = opened(sheet, lent)
    left = np.empty((len(places) + 1, 2), np.int64)
    count, used = _open_rows(scanned, places, names, table, ticks, into, rows, left)
    sheet.give_back(lent[used:])
    return left[:count]


OTHER: Final = 0
"""The fate of what is to be folded one by one."""
ACCEPTED: Final = 1
REPEAT: Final = 2


class Taken(NamedTuple):
    """What becomes of a stretch: the fate of each place, and columns of what was accepted, in order."""

    fates: Bytes
    places: Integers
    ids: Words
    bodies: Words
    rows: Rows
    """Of the campaigns."""
    lengths: Rows
    """Of the notes."""
    notes: Bytes
    heavy: Integers
    """The places of those that are accepted, and still to be counted: a figure of their row is full."""


@compiled
def _write_note(data: Words, scanned: Scanned, place: int, attribution: int, words: Words, at: int) -> int:
    """Behind the note of an update. Each word is written over what the one before has written too much."""
    figures = scanned.figures
    words[at] = np.uint64(scanned.flags[place] | attribution << 16)
    words[at + 6] = np.uint64(scanned.at[place])
    words[at + 14] = np.uint64(scanned.currencies[place])
    words[at + 17] = np.uint64(figures[place, 0])
    for count in range(COUNT - 2):
        words[at + 25 + 4 * count] = np.uint64(figures[place, 1 + count])
    words[at + 49] = np.uint64(figures[place, COUNT - 1])
    return _copy(data, scanned.tails[place, 0], scanned.tails[place, 1], words, at + _FIXED)


@compiled
def _count_in(cells: Integers, base: int, figures: Integers, number: int, at: int) -> bool:
    """Add an update to a row; False where it would be too full."""
    for place in range(COUNT):
        if not -FULL < cells[base + place] + figures[number, place] < FULL:
            return False
    for place in range(COUNT):
        cells[base + place] += figures[number, place]
    cells[base + UPDATES] += 1
    cells[base + LATEST] = max(cells[base + LATEST], at)
    return True


@compiled
def _says_again(identity: Identity, taken: Taken, bodies: Words, place: int) -> bool:
    """Whether an update whose id is known says what the one says that was accepted."""
    if identity.ordinals[place] >= 0:
        return bodies[place] == identity.bodies[place]
    first = identity.firsts[place]
    return first != place and taken.fates[first] == ACCEPTED and bodies[place] == bodies[first]


@loop
def _take(
    data: Words,
    scanned: Scanned,
    identity: Identity,
    rows: Integers,
    cells: Integers,
    dirty: Bytes,
    kept: NDArray[np.bool_],
    notes: Words,
    bodies: Words,
    taken: Taken,
) -> tuple[int, int, int]:
    """How many are accepted, how many of them are heavy, and where their notes end."""
    accepted = heavy = end = 0
    for place in range(len(rows)):
        row = rows[place]
        if not scanned.fine[place] or row == NO_ROW:
            continue
        base = row * WIDTH
        behind = _write_note(data, scanned, place, cells[base + ATTRIBUTION], notes, end)
        bodies[place] = hash64(notes, end, behind - end)
        if not identity.new[place]:
            taken.fates[place] = REPEAT if _says_again(identity, taken, bodies, place) else OTHER
            continue
        if not _count_in(cells, base, scanned.figures, place, scanned.at[place]):
            taken.heavy[heavy] = place
            heavy += 1
        dirty[row] = 1
        taken.fates[place] = ACCEPTED
        taken.places[accepted] = place
        taken.ids[accepted], taken.bodies[accepted] = scanned.ids[place], bodies[place]
        taken.rows[accepted] = cells[base + CAMPAIGN]
        is_kept = kept[scanned.sources[place]]
        taken.lengths[accepted] = behind - end if is_kept else 0
        end = behind if is_kept else end
        accepted += 1
    return accepted, heavy, end


def take(
    data: bytes, scanned: Scanned, identity: Identity, rows: Integers, sheet: Sheet, kept: NDArray[np.bool_]
) -> Taken:
    """
    Count the new ones of those that have a row, and compare the others with what was said.

    *kept* says of each source whether its notes are kept.
    """
    count, long, short = len(rows), np.int64, np.uint32
    notes = paper(int((scanned.tails[scanned.fine, 1] - scanned.tails[scanned.fine, 0]).sum()) + count * _FIXED)
    taken = Taken(
        np.zeros(count, np.uint8),
        np.empty(count, long),
        np.empty(count, np.uint64),
        np.empty(count, np.uint64),
        np.empty(count, short),
        np.empty(count, short),
        notes.bytes,
        np.empty(count, long),
    )
    dirty, bodies = np.frombuffer(sheet.dirty, np.uint8), np.zeros(count, np.uint64)
    found = _take(
        words_of(_array(data)), scanned, identity, rows, sheet.view(), dirty, kept, notes.words, bodies, taken
    )
    accepted, heavy, end = found
    return Taken(
        taken.fates,
        taken.places[:accepted],
        taken.ids[:accepted],
        taken.bodies[:accepted],
        taken.rows[:accepted],
        taken.lengths[:accepted],
        notes.bytes[:end],
        taken.heavy[:heavy],
    )
