"""
How the parts of a record are written: amounts, figures, cells. All of it is msgpack.

    amount    an integer of hundredths, where the nanos are a whole number of them; else the nanos as bytes, signed
              big-endian, at least one. Amounts pass 64 bits, and most are cents: 1 to 5 bytes for 9.
    instant   in a day: the quarter of an hour it begins (0 to 95), where it begins one; else -1 - nanoseconds
    lapse     whole seconds, where they are whole; else -1 - nanoseconds
    figures   [amount, impressions, clicks, conversions, bids, wins, requests, amount], zeros at the end left out
    holding   [attribution, *figures]; with a stated currency [[attribution, currency, updates, lapse], *figures]
    cell      [instant, lapse until the latest event time without a stated currency (nil: none), holding ...]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from schemas.fields import NANOS
from worker.ledger.cells import ATTRIBUTION, COUNT, DAY, LATEST, NEVER, QUARTER, UPDATES, Cell
from worker.pacing import Attribution, Figures

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode

HUNDREDTH: Final = NANOS // 100
VALUE: Final = 7
"""Where conversion_value stands: with spend (0) the figures that are money."""

Pair = Attribution | tuple[str | None, str | None]
"""(channel, deal_id) of an attribution."""


def pack_big(number: int) -> bytes:
    r"""An integer of any size as signed big-endian bytes.

    >>> pack_big(1), pack_big(-1), pack_big(128)
    (b'\x01', b'\xff', b'\x00\x80')
    """
    return number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)


def unpack_big(packed: int | bytes) -> int:
    """The integer, which may have been small enough to stand for itself."""
    return packed if isinstance(packed, int) else int.from_bytes(packed, "big", signed=True)


def without_big(part: Any) -> Any:
    """Plain data with the integers that pass 64 bits as bytes: a budget of ten billion is one, in nanos."""
    if isinstance(part, dict):
        return {name: without_big(each) for name, each in part.items()}
    if isinstance(part, list | tuple):
        return [without_big(each) for each in part]
    is_big = isinstance(part, int) and not -(2**63) <= part < 2**63
    return pack_big(part) if is_big else part


def with_big(part: Any) -> Any:
    """
    What `without_big` was given.

    >>> with_big(without_big({"budget": [1, 10**19]}))
    {'budget': [1, 10000000000000000000]}
    """
    if isinstance(part, dict):
        return {name: with_big(each) for name, each in part.items()}
    if isinstance(part, list):
        return [with_big(each) for each in part]
    return unpack_big(part) if isinstance(part, bytes) else part


def pack_amount(nanos: int) -> int | bytes:
    r"""
    Money, for a record.

    >>> pack_amount(1_500_000_000), pack_amount(1)
    (150, b'\x01')
    """
    hundredths, rest = divmod(nanos, HUNDREDTH)
    return pack_big(nanos) if rest or not -(2**63) <= hundredths < 2**63 else hundredths


def unpack_amount(packed: int | bytes) -> int:
    """The nanos that `pack_amount` wrote."""
    return packed * HUNDREDTH if isinstance(packed, int) else unpack_big(packed)


def pack_figures(figures: Sequence[int]) -> list[int | bytes]:
    """Eight figures, without the zeros at the end; counts past 64 bits, the sums of many, as bytes."""
    packed: list[int | bytes] = list(figures)
    while packed and not packed[-1]:
        packed.pop()
    if packed:
        packed[0] = pack_amount(figures[0])
        if len(packed) > VALUE:
            packed[VALUE] = pack_amount(figures[VALUE])
        if max(figures) >= 2**63 or min(figures) < -(2**63):
            packed[1:VALUE] = [count if -(2**63) <= count < 2**63 else pack_big(count) for count in figures[1:VALUE]]
    return packed


def unpack_figures(packed: Sequence[int | bytes]) -> Figures:
    """The eight figures that `pack_figures` wrote."""
    figures = [unpack_big(figure) for figure in packed]
    figures += [0] * (COUNT - len(figures))
    if packed:
        figures[0] = unpack_amount(packed[0])
        if len(packed) > VALUE:
            figures[VALUE] = unpack_amount(packed[VALUE])
    return figures


def _pack_whole(nanos: int, unit: int) -> int:
    whole, rest = divmod(nanos, unit)
    return -1 - nanos if rest else whole


def _unpack_whole(packed: int, unit: int) -> int:
    return -1 - packed if packed < 0 else packed * unit


def pack_cell(cell: Cell) -> list[Any]:
    """A cell of a day."""
    plain = [held[LATEST] for key, held in cell.held.items() if key[2] is None]
    holdings = [_pack_holding(cell.lo, key[2], held) for key, held in cell.held.items()]
    return [_pack_whole(cell.lo % DAY, QUARTER), _pack_lapse(cell.lo, max(plain, default=NEVER)), *holdings]


def _pack_holding(lo: int, currency: str | None, held: Sequence[int]) -> list[Any]:
    name: Any = held[ATTRIBUTION]
    if currency is not None:
        name = [name, currency, held[UPDATES], _pack_lapse(lo, held[LATEST])]
    return [name, *pack_figures(held[:COUNT])]


def _pack_lapse(lo: int, latest: int) -> int | None:
    return None if latest == NEVER else _pack_whole(latest - lo, NANOS)


def _unpack_lapse(lo: int, packed: int | None) -> int:
    return NEVER if packed is None else lo + _unpack_whole(packed, NANOS)


def unpack_cell(day: int, packed: Sequence[Any], pairs: Sequence[Pair]) -> Cell:
    """The cell of that UTC day which `pack_cell` wrote; its end is not known."""
    instant, lapse, *holdings = packed
    lo = day * DAY + _unpack_whole(instant, QUARTER)
    cell = Cell(lo, lo)
    for name, *figures in holdings:
        attribution, currency, updates, own = (name, None, 0, lapse) if isinstance(name, int) else name
        held = [*unpack_figures(figures), attribution, updates, _unpack_lapse(lo, own)]
        cell.held[(*pairs[attribution], currency)] = held
    return cell


def unpack_spend(day: int, packed: Sequence[Any]) -> tuple[int, int, int]:
    """The start of the cell of that UTC day, the latest event time in it, and its spend: without making the cell."""
    instant, lapse, *holdings = packed
    lo = day * DAY + _unpack_whole(instant, QUARTER)
    latest, spend = _unpack_lapse(lo, lapse), 0
    for name, *figures in holdings:
        if figures:
            spend += unpack_amount(figures[0])
        if not isinstance(name, int):
            latest = max(latest, _unpack_lapse(lo, name[3]))
    return lo, latest, spend


def packed_cell(cell: Cell) -> msgspec.Raw:
    """The same as bytes, kept until the cell changes: of a campaign's recent cells a tick changes one."""
    if cell.packed is None:
        cell.packed = msgspec.Raw(encode(pack_cell(cell)))
    packed: msgspec.Raw = cell.packed
    return packed


def pack_cells(cells: Iterable[Cell]) -> list[list[Any]]:
    """Cells of a day, in order of time."""
    return [pack_cell(cell) for cell in sorted(cells, key=lambda cell: cell.lo)]
