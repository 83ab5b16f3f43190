"""
The compiled part of `plain`: campaigns judged as of a tick, and the snapshots of those of which nothing else is told.

What is in here decides nothing that `tick` does not decide: it says of a campaign that nothing about it changes and
prints its snapshot, or that it cannot say so, and then `tick` takes it. Tests hold that what is printed here is byte
for byte what `tick` tells, and that `tick` tells nothing else.

It is Python that numba compiles. Products of money and time need up to 170 bits: they are held as words of 64 bits
without a sign, the highest first. Words and positions (int64) never meet in one expression, since numba would make
floats of them. All compiled functions of the core are in this one file: numba's cache on disk sees no other.
What is imported here is compiled in: after changing it change this file as well, since only that makes numba compile it
anew where it was compiled before, or `make clean`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np

from schemas.fields import NANOS
from worker.compiled import Bytes, Integers, compiled, integer, loop
from worker.pacing.amounts import DAY
from worker.pacing.period_signals import AHEAD_PP, ELAPSED_PCT, MILESTONES_PCT, USED_PCT
from worker.pacing.rows import (
    AHEAD,
    BUDGET,
    DIGITS,
    END,
    EXHAUSTION,
    FIGURE_BYTES,
    FURTHEST,
    FUTURE,
    HEAD,
    ID_BYTES,
    IMPRESSIONS,
    IS_OVER,
    IS_OVER_CRITICAL,
    IS_UNDER_CRITICAL,
    LATE,
    LEAST,
    LIFE,
    MOVES,
    NONE,
    NOT_OPEN,
    OP_BAND,
    OP_CAPPED,
    OP_COMPLETE,
    OP_CPM,
    OP_DARK,
    OP_DEVIATION,
    OP_ELAPSED,
    OP_END,
    OP_EXHAUSTED,
    OP_EXPECTED,
    OP_ID,
    OP_IMPRESSIONS,
    OP_LATE,
    OP_NEXT,
    OP_PACING,
    OP_POSITION,
    OP_PROJECTED,
    OP_REMAINING,
    OP_REQUIRED,
    OP_ROLLING,
    OP_SPEND,
    OP_TEXT,
    OP_THROUGH,
    OP_TICK,
    OP_USED,
    OP_VARIANCE,
    OP_WORST,
    OPEN,
    OPS,
    OVER_CRITICAL,
    OVER_WARNING,
    RANK,
    REQUESTS,
    ROLLING,
    SCOPE,
    SCOPES,
    SILENT,
    SPEND,
    START,
    TEXTS,
    TEXTS_OF_CHANNEL,
    THROUGH,
    TOLD,
    UNDER_CRITICAL,
    UNDER_WARNING,
    UP,
    USED_BEFORE,
)
from worker.pacing.snapshot import BAND_ENDS, BANDS

Wide = tuple[Any, Any]
"""A number of 128 bits."""

_WORD = np.uint64
_BANDS: Final = [f'"{band}"'.encode() for band in BANDS]
_BAND_TEXT: Final = np.frombuffer(b"".join(_BANDS), np.uint8)
_BAND_STARTS: Final = np.cumsum([0, *map(len, _BANDS)])
_BAND_ENDS: Final = np.array(BAND_ENDS, np.int64)
_MILESTONES: Final = np.array(MILESTONES_PCT, np.int64)
_NULL: Final = np.frombuffer(b"null", np.uint8)


# -- wide numbers ------------------------------------------------------------------------------------------------------


@compiled
def _times(one: Any, other: Any) -> Wide:
    """The product of two integers that are not negative."""
    half, low = _WORD(32), _WORD(0xFFFFFFFF)
    a, b = _WORD(one), _WORD(other)
    a1, a0, b1, b0 = a >> half, a & low, b >> half, b & low
    middle = a1 * b0 + (a0 * b0 >> half)
    other_middle = a0 * b1 + (middle & low)
    return a1 * b1 + (middle >> half) + (other_middle >> half), a * b


@compiled
def _wider(number: Wide, by: Any) -> tuple[Any, Any, Any]:
    """The product of a wide number and an integer that is not negative."""
    high, low = _times(number[1], by)
    top, middle = _times(number[0], by)
    total = middle + high
    return (top + _WORD(1) if total < high else top), total, low


@compiled
def _is_less(one: Wide, other: Wide) -> bool:
    return bool(one[0] < other[0] or (one[0] == other[0] and one[1] < other[1]))


@compiled
def _is_lesser(one: tuple[Any, Any, Any], other: tuple[Any, Any, Any]) -> bool:
    """The same of three words."""
    return one[0] < other[0] or (one[0] == other[0] and _is_less((one[1], one[2]), (other[1], other[2])))


@compiled
def _plus(one: Wide, other: Wide) -> Wide:
    low = one[1] + other[1]
    high = one[0] + other[0]
    return (high + _WORD(1) if low < other[1] else high), low


@compiled
def _minus(one: Wide, other: Wide) -> Wide:
    """The difference, *one* being no less."""
    high = one[0] - other[0]
    return (high - _WORD(1) if one[1] < other[1] else high), one[1] - other[1]


@compiled
def _bits(number: Wide) -> int:
    """How many bits a wide number has."""
    word, bits = number[1], integer(0)
    if number[0]:
        word, bits = number[0], integer(64)
    step = integer(32)
    while step:
        over = word >> _WORD(step)
        if over:
            word, bits = over, bits + step
        step >>= 1
    return bits + integer(word)


@compiled
def _up(number: Wide, by: int) -> Wide:
    """Shifted to the left by less than 128 bits."""
    if by == 0:
        return number
    if by >= 64:
        return number[1] << _WORD(by - 64), _WORD(0)
    return (number[0] << _WORD(by)) | (number[1] >> _WORD(64 - by)), number[1] << _WORD(by)


@compiled
def _divided(number: Wide, by: Wide) -> tuple[int, Wide]:
    """The quotient, of less than 63 bits, and the rest."""
    if not (number[0] or by[0]):
        return integer(number[1] // by[1]), (_WORD(0), number[1] % by[1])
    shift = _bits(number) - _bits(by)
    if shift < 0:
        return integer(0), number
    quotient, part = integer(0), _up(by, shift)
    for _ in range(shift + 1):
        quotient <<= 1
        if not _is_less(number, part):
            number = _minus(number, part)
            quotient |= 1
        part = part[0] >> _WORD(1), (part[1] >> _WORD(1)) | (part[0] << _WORD(63))
    return quotient, number


@compiled
def _rounded(number: Wide, by: Wide) -> int:
    """number / by, half-even."""
    quotient, rest = _divided(number, by)
    twice = _up(rest, 1)
    if _is_less(by, twice) or (twice[0] == by[0] and twice[1] == by[1] and quotient & 1):
        quotient += 1
    return quotient


@compiled
def _hundredths(number: Wide, by: Wide, parts: int) -> int:
    """number / by in *parts* of one, half-even; `FURTHEST` where that is as much or more."""
    wide = _wider(number, parts)
    if wide[0] or _bits((wide[1], wide[2])) - _bits(by) > 39:
        return FURTHEST
    return _rounded((wide[1], wide[2]), by)


# -- figures as text ---------------------------------------------------------------------------------------------------


@compiled
def _digits(out: Bytes, at: int, number: int) -> int:
    """An integer that is not negative; where it ends."""
    end, rest = at + 1, number // 10
    while rest:
        end, rest = end + 1, rest // 10
    place = end
    while place > at:
        place -= 1
        out[place] = 48 + number % 10
        number //= 10
    return end


@compiled
def _padded(out: Bytes, at: int, number: int, width: int) -> int:
    """The same with zeros before it."""
    for place in range(at + width - 1, at - 1, -1):
        out[place] = 48 + number % 10
        number //= 10
    return at + width


@compiled
def _decimals(out: Bytes, at: int, number: int, width: int, least: int) -> int:
    """A point and the decimals of a number of so many, without the zeros beyond the *least*; nothing of none."""
    while width > least and number % 10 == 0:
        number //= 10
        width -= 1
    if width == 0:
        return at
    out[at] = 46
    return _padded(out, at + 1, number, width)


@compiled
def _number(out: Bytes, at: int, count: int, parts: int, width: int) -> int:
    """A JSON number of *count* parts of one, with one decimal at least."""
    if count < 0:
        out[at] = 45
        at, count = at + 1, -count
    at = _digits(out, at, count // parts)
    return _decimals(out, at, count % parts, width, 1)


@compiled
def _money(out: Bytes, at: int, nanos: int, digits: int) -> int:
    """An amount as a JSON string, exactly."""
    out[at] = 34
    at = _digits(out, at + 1, nanos // NANOS)
    at = _decimals(out, at, nanos % NANOS, 9, digits)
    out[at] = 34
    return at + 1


@compiled
def _unit(digits: int) -> int:
    """The nanos of a currency's minor unit."""
    unit = NANOS
    for _ in range(digits):
        unit //= 10
    return unit


@compiled
def _derived(out: Bytes, at: int, number: Wide, by: int, digits: int) -> int:
    """The amount number / by, rounded once, half-even, to the minor unit."""
    unit = _unit(digits)
    return _money(out, at, _rounded(number, _times(by, unit)) * unit, digits)


@compiled
def _copied(out: Bytes, at: int, text: Bytes, begin: int, end: int) -> int:
    for place in range(begin, end):
        out[at] = text[place]
        at += 1
    return at


@compiled
def _time(out: Bytes, at: int, nanos: int) -> int:
    """An instant as a JSON string; the civil date of a day by Howard Hinnant's `civil_from_days`."""
    day, rest = nanos // DAY, nanos % DAY
    shifted = day + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year_of = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of + year_of // 4 - year_of // 100)
    month = (5 * of_year + 2) // 153
    date = of_year - (153 * month + 2) // 5 + 1
    year = year_of + era * 400
    if month >= 10:
        month, year = month - 9, year + 1
    else:
        month += 3
    out[at] = 34
    at = _padded(out, at + 1, year, 4)
    out[at] = 45
    at = _padded(out, at + 1, month, 2)
    out[at] = 45
    at = _padded(out, at + 1, date, 2)
    out[at] = 84
    seconds = rest // NANOS
    at = _padded(out, at + 1, seconds // 3_600, 2)
    out[at] = 58
    at = _padded(out, at + 1, seconds // 60 % 60, 2)
    out[at] = 58
    at = _padded(out, at + 1, seconds % 60, 2)
    at = _decimals(out, at, rest % NANOS, 9, 0)
    out[at] = 90
    out[at + 1] = 34
    return at + 2


# -- where a campaign stands -------------------------------------------------------------------------------------------


@compiled
def _gap(row: Integers, scope: int, gone: int, length: int) -> tuple[bool, Wide]:
    """|spend - expected| x length, and whether more is spent than expected."""
    spent, planned = _times(row[scope + SPEND], length), _times(row[scope + BUDGET], gone)
    is_over = _is_less(planned, spent)
    return is_over, (_minus(spent, planned) if is_over else _minus(planned, spent))


@compiled
def _is_beyond(gap: Wide, base: Wide, threshold: int) -> bool:
    """Whether gap / base is strictly more than the threshold: see `deviation.beyond`."""
    return _is_lesser(_wider(base, threshold), _wider(gap, 100 * NANOS))


@compiled
def _is_steady(row: Integers, scope: int, tick: int, gone: int, length: int) -> int:
    """
    Whether the deviation of a scope is as it was, open or not; -1 where it is not.

    Else 1 where it may give, 2 where it may be given to, by the warnings' thresholds, and 0.
    """
    is_over, gap = _gap(row, scope, gone, length)
    base, life = _times(row[scope + BUDGET], gone), row[scope + LIFE]
    warning = _is_beyond(gap, base, row[OVER_WARNING] if is_over else row[UNDER_WARNING])
    side = 0
    if warning:
        side = 2 if is_over else 1
    if life == NOT_OPEN:
        return -1 if warning else 0
    if not warning or is_over != (life >= IS_OVER) or tick < row[OPEN]:
        return -1
    if _is_less(base, _times(row[LEAST], length)):
        return -1
    critical = _is_beyond(gap, base, row[OVER_CRITICAL] if is_over else row[UNDER_CRITICAL])
    return side if critical == (life in (IS_UNDER_CRITICAL, IS_OVER_CRITICAL)) else -1


@compiled
def _exhausted(row: Integers, gone: int, length: int) -> int:
    """When the budget is projected to be used up, in nanoseconds since 1970; `NONE` where not before the end."""
    budget, spend = row[HEAD + BUDGET], row[HEAD + SPEND]
    if _is_less(_times(spend, length), _times(budget, gone)):
        return NONE
    lasts, rest = _divided(_times(budget, gone * NANOS), _times(spend, 1))
    if rest[0] or rest[1]:
        lasts += 1
    return row[START] * NANOS + lasts if lasts < length * NANOS else NONE


@compiled
def _signals(row: Integers, gone: int, length: int, exhausted: int) -> int:
    """The signals read from the campaign's figures that hold: see `period_signals`."""
    budget, spend = row[HEAD + BUDGET], row[HEAD + SPEND]
    up = 0
    if _is_less(_times(budget, USED_PCT), _times(spend, 100)) and 100 * gone < ELAPSED_PCT * length:
        up |= USED_BEFORE
    if _is_less(_times(budget, 100 * gone + AHEAD_PP * length), _wide_product(spend, 100, length)):
        up |= AHEAD
    if exhausted != NONE and row[END] * NANOS - exhausted > DAY:
        up |= EXHAUSTION
    return up


@compiled
def _wide_product(one: int, small: int, other: int) -> Wide:
    """one x small x other, the last two of less than 64 bits together."""
    return _times(one, small * other)


@compiled
def _is_plain(row: Integers, tick: int, complete: bool) -> bool:  # noqa: FBT001  # a compiled function names nothing
    """Whether nothing is told of the campaign but its snapshot; a tick that is not complete judges nothing."""
    is_running = row[START] < tick // NANOS < row[END] and row[HEAD + SPEND] < row[HEAD + BUDGET]
    return bool(is_running and (not complete or _is_as_before(row, tick)))


@compiled
def _is_as_before(row: Integers, tick: int) -> bool:
    """Whether nothing that is judged of the campaign changes."""
    gone, length = tick // NANOS - row[START], row[END] - row[START]
    budget, spend = row[HEAD + BUDGET], row[HEAD + SPEND]
    if tick >= row[SILENT]:
        return False
    if row[TOLD] < len(_MILESTONES) and not _is_less(_times(spend, 100), _times(budget, _MILESTONES[row[TOLD]])):
        return False
    gives = takes = False
    for place in range(row[SCOPES]):
        scope = HEAD + place * SCOPE
        side = _is_steady(row, scope, tick, gone, length)
        if side < 0 or row[scope + SPEND] > row[scope + BUDGET]:
            return False
        gives = gives or (place > 0 and side == 1)
        takes = takes or (place > 0 and side == 2)
    if row[MOVES] and gives and takes:
        return False
    return bool(_signals(row, gone, length, _exhausted(row, gone, length)) == row[UP])


# -- the snapshot ------------------------------------------------------------------------------------------------------


@compiled
def _pacing(row: Integers, scope: int, gone: int, length: int) -> int:
    """Spend over expected spend, in hundredths of a percent."""
    return _hundredths(_times(row[scope + SPEND], length), _times(row[scope + BUDGET], gone), 10_000)


@compiled
def _fill(row: Integers, scope: int) -> int:
    """Impressions over requests, in ten-thousandths."""
    return _hundredths(_times(row[scope + IMPRESSIONS], 1), _times(row[scope + REQUESTS], 1), 10_000)


@compiled
def _is_amount(number: Wide, by: int) -> bool:
    """Whether number / by nanos can be printed here."""
    return _bits(number) - _bits(_times(by, 1)) < 61


@compiled
def _fits(row: Integers, tick: int) -> bool:
    """Whether every figure of the snapshot can be printed here."""
    gone, length, left = tick // NANOS - row[START], row[END] - row[START], row[END] - tick // NANOS
    budget, spend = row[HEAD + BUDGET], row[HEAD + SPEND]
    if not (_is_amount(_times(budget - spend, 86_400), left) and _is_amount(_times(spend, length), gone)):
        return False
    for place in range(row[SCOPES]):
        scope = HEAD + place * SCOPE
        if _pacing(row, scope, gone, length) >= FURTHEST:
            return False
        if row[scope + IMPRESSIONS] and not _is_amount(_times(row[scope + SPEND], 1_000), row[scope + IMPRESSIONS]):
            return False
        if row[scope + REQUESTS] and _fill(row, scope) >= FURTHEST:
            return False
    return True


@compiled
def _worst(row: Integers, gone: int, length: int) -> int:
    """The place of the channel that is furthest off its plan, then the first by name; 0 without one."""
    worst, most = 0, (_WORD(0), _WORD(0))
    for place in range(1, row[SCOPES]):
        scope, held = HEAD + place * SCOPE, HEAD + worst * SCOPE
        _, gap = _gap(row, scope, gone, length)
        this, other = _wider(gap, row[held + BUDGET]), _wider(most, row[scope + BUDGET])
        is_worse = _is_lesser(other, this)
        is_equal = not is_worse and not _is_lesser(this, other)
        if worst == 0 or is_worse or (is_equal and row[scope + RANK] < row[held + RANK]):
            worst, most = place, gap
    return worst


@compiled
def _behind(text: Bytes, at: int) -> int:
    """Behind the next end in a text."""
    while text[at] != OP_END:
        at += 1
    return at + 1


@compiled
def _name(texts: Bytes, place: int) -> int:
    """Where the name of the channel at a *place*, from 1 on, begins."""
    at = 0
    for _ in range(TEXTS + TEXTS_OF_CHANNEL * (place - 1)):
        at = _behind(texts, at)
    return at


@compiled
def _band(row: Integers, tick: int) -> int:
    """The place of the campaign's band among `snapshot.BANDS`."""
    gone, length = tick // NANOS - row[START], row[END] - row[START]
    whole = _times(row[HEAD + BUDGET], length)
    size, place = _wider(_gap(row, HEAD, gone, length)[1], 100), 0
    while place < len(_BAND_ENDS) and _is_lesser(_wider(whole, _BAND_ENDS[place]), size):
        place += 1
    return place


@compiled
def _of_scope(out: Bytes, at: int, op: int, row: Integers, scope: int, tick: int) -> int:  # noqa: PLR0911  # one an op
    """Print a figure of a scope; where it ends."""
    gone, length, digits = tick // NANOS - row[START], row[END] - row[START], row[DIGITS]
    if op == OP_SPEND:
        return _money(out, at, row[scope + SPEND], digits)
    if op == OP_EXPECTED:
        return _derived(out, at, _times(row[scope + BUDGET], gone), length, digits)
    if op == OP_PACING:
        return _number(out, at, _pacing(row, scope, gone, length), 100, 2)
    if op == OP_DEVIATION:
        return _number(out, at, _pacing(row, scope, gone, length) - 10_000, 100, 2)
    if op == OP_IMPRESSIONS:
        return _digits(out, at, row[scope + IMPRESSIONS])
    if row[scope + (IMPRESSIONS if op == OP_CPM else REQUESTS)] == 0:
        return _copied(out, at, _NULL, 0, 4)
    if op == OP_CPM:
        return _derived(out, at, _times(row[scope + SPEND], 1_000), row[scope + IMPRESSIONS], digits)
    return _number(out, at, _fill(row, scope), 10_000, 4)


@compiled
def _of_campaign(  # noqa: C901, PLR0911  # one return an op
    out: Bytes, at: int, op: int, row: Integers, band: int, tick: int
) -> int:
    """Print a figure of the campaign that is told of no other scope, and no projection; where it ends."""
    gone, length, digits = tick // NANOS - row[START], row[END] - row[START], row[DIGITS]
    budget, spend = row[HEAD + BUDGET], row[HEAD + SPEND]
    if op == OP_USED:
        return _number(out, at, _hundredths(_times(spend, 1), _times(budget, 1), 10_000), 100, 2)
    if op == OP_ELAPSED:
        return _number(out, at, _hundredths(_times(gone, 1), _times(length, 1), 10_000), 100, 2)
    if op == OP_BAND:
        return _copied(out, at, _BAND_TEXT, _BAND_STARTS[band], _BAND_STARTS[band + 1])
    if op == OP_VARIANCE:
        is_over, gap = _gap(row, HEAD, gone, length)
        points = _hundredths(gap, _times(budget, length), 10_000)
        return _number(out, at, points if is_over else -points, 100, 2)
    if op == OP_REMAINING:
        return _money(out, at, budget - spend, digits)
    if op == OP_REQUIRED:
        return _derived(out, at, _times(budget - spend, 86_400), row[END] - tick // NANOS, digits)
    if op == OP_THROUGH:
        return _copied(out, at, _NULL, 0, 4) if row[THROUGH] == NONE else _time(out, at, row[THROUGH])
    if op == OP_ROLLING:
        return _copied(out, at, _NULL, 0, 4) if row[ROLLING] == NONE else _number(out, at, row[ROLLING], 100, 2)
    return _money(out, at, row[LATE] if op == OP_LATE else row[FUTURE], digits)


@compiled
def _of_projection(out: Bytes, at: int, op: int, row: Integers, tick: int) -> int:
    """Print a figure of the campaign's projection, at its pace to date; where it ends."""
    gone, length, digits = tick // NANOS - row[START], row[END] - row[START], row[DIGITS]
    final = _times(row[HEAD + SPEND], length)
    if op == OP_PROJECTED:
        return _derived(out, at, final, gone, digits)
    if op == OP_CAPPED:
        budget = row[HEAD + BUDGET]
        if _is_less(_times(budget, gone), final):
            return _derived(out, at, _times(budget, 1), 1, digits)
        return _derived(out, at, final, gone, digits)
    exhausted = _exhausted(row, gone, length)
    if exhausted == NONE:
        return _copied(out, at, _NULL, 0, 4)
    if op == OP_EXHAUSTED:
        return _time(out, at, exhausted)
    left = _times(row[END] * NANOS - exhausted, 1)
    return _number(out, at, _hundredths(left, _times(DAY, 1), 10_000), 10_000, 4)


@compiled
def _worst_child(out: Bytes, at: int, template: Bytes, texts: Bytes, row: Integers, tick: int) -> int:
    """Print the channel that is furthest off its plan; where it ends."""
    gone, length = tick // NANOS - row[START], row[END] - row[START]
    worst = _worst(row, gone, length)
    place = _behind(template, 0)
    while template[place] != OP_END:
        if template[place] == OP_TEXT:
            name = _name(texts, worst)
            at = _copied(out, at, texts, name, _behind(texts, name) - 1)
        else:
            out[at] = template[place]
            at += 1
        place += 1
    at = _number(out, at, _pacing(row, HEAD + worst * SCOPE, gone, length) - 10_000, 100, 2)
    out[at] = 125
    return at + 1


class AsTold(NamedTuple):
    """What differs by the tick alone, as JSON; the tick without its quotes."""

    tick: Bytes
    position: Bytes
    complete: Bytes


@compiled
def _of_tick(out: Bytes, at: int, op: int, as_told: AsTold) -> int:
    """Print what differs by the tick alone; where it ends."""
    if op == OP_TICK:
        return _copied(out, at, as_told.tick, 0, len(as_told.tick))
    text = as_told.position if op == OP_POSITION else as_told.complete
    return _copied(out, at, text, 0, len(text))


@compiled
def _printed(  # noqa: C901, PLR0913, PLR0917  # what stands in a snapshot, one branch an op
    out: Bytes,
    at: int,
    template: Bytes,
    texts: Bytes,
    row: Integers,
    band: int,
    tick: int,
    identity: Bytes,
    as_told: AsTold,
) -> int:
    """Print a snapshot; where it ends."""
    scope, text = HEAD, 0
    for op in template:
        if op >= OPS:
            out[at] = op
            at += 1
        elif op == OP_END:
            break
        elif op == OP_NEXT:
            scope += SCOPE
        elif op == OP_ID:
            at = _copied(out, at, identity, 0, ID_BYTES)
        elif op in (OP_TICK, OP_POSITION, OP_COMPLETE):
            at = _of_tick(out, at, op, as_told)
        elif op == OP_TEXT:
            begin, text = text, _behind(texts, text)
            at = _copied(out, at, texts, begin, text - 1)
        elif op < OP_USED:
            at = _of_scope(out, at, op, row, scope, tick)
        elif op == OP_WORST:
            at = _worst_child(out, at, template, texts, row, tick)
        elif op in (OP_PROJECTED, OP_CAPPED, OP_EXHAUSTED, OP_DARK):
            at = _of_projection(out, at, op, row, tick)
        else:
            at = _of_campaign(out, at, op, row, band, tick)
    return at


class Many(NamedTuple):
    """Bytes of many, one behind the other, and where those of each end."""

    data: Any
    ends: Integers


@loop
def _print(  # noqa: PLR0913, PLR0917  # one call a slice
    out: Bytes,
    templates: Many,
    texts: Many,
    rows: Many,
    tick: int,
    complete: bool,  # noqa: FBT001  # a compiled function names nothing
    identities: Bytes,
    as_told: AsTold,
    ends: Integers,
    bands: Integers,
) -> None:
    """
    Print the snapshots of the campaigns that are plain as of *tick*, one behind the other.

    *ends* is where each ends; the same as the one before for a campaign that is left to `tick`. *bands* are theirs.
    """
    at = template_begin = text_begin = row_begin = 0
    for campaign in range(len(ends)):
        row = rows.data[row_begin : rows.ends[campaign]]
        if _is_plain(row, tick, complete) and _fits(row, tick):
            template = templates.data[template_begin : templates.ends[campaign]]
            own = texts.data[text_begin : texts.ends[campaign]]
            identity = identities[campaign * ID_BYTES : (campaign + 1) * ID_BYTES]
            bands[campaign] = _band(row, tick)
            at = _printed(out, at, template, own, row, bands[campaign], tick, identity, as_told)
        ends[campaign] = at
        template_begin, text_begin, row_begin = templates.ends[campaign], texts.ends[campaign], rows.ends[campaign]


def print_snapshots(
    told: Sequence[tuple[str, bytes, bytes, bytes]], tick: int, tick_text: str, position: bytes, *, complete: bool
) -> list[tuple[bytes, int]]:
    """
    The snapshot of each campaign, and the place of its band; an empty one of a campaign that is left to `tick`.

    *told* are their ids, templates, texts and rows, *tick* is a whole second, *position* the JSON of the ledger's.
    """
    ids, templates, texts, rows = zip(*told, strict=True)
    # The worst channel's name stands there twice.
    most = max(len(template) + 2 * len(own) + FIGURE_BYTES * len(row) // 8 for _, template, own, row in told)
    out = np.empty((most + len(position)) * len(told), np.uint8)
    ends, bands = np.empty(len(told), np.int64), np.empty(len(told), np.int64)
    _print(
        out,
        _many(templates, np.uint8),
        _many(texts, np.uint8),
        _many(rows, np.int64),
        tick,
        complete,
        _text("".join(ids).encode()),
        AsTold(_text(tick_text.encode()), _text(position), _text(b"true" if complete else b"false")),
        ends,
        bands,
    )
    text, edges = out[: ends[-1]].tobytes(), [0, *ends.tolist()]
    return [(text[begin:end], band) for (begin, end), band in zip(pairwise(edges), bands.tolist(), strict=True)]


def _many(parts: Sequence[bytes], kind: type[np.integer[Any]]) -> Many:
    data = np.frombuffer(b"".join(parts), kind)
    return Many(data, np.cumsum([len(part) for part in parts]) // data.itemsize)


def _text(text: bytes) -> Bytes:
    return np.frombuffer(text, np.uint8)
