"""
Notes: what an increment or a credit said, in bytes, for as long as it may be corrected.

    flags(2) attribution(4) at(8) currency(3) spend(8) 6 counts(4 each) conversion_value(8)    57 bytes, little-endian
    and the line item; with a series or a sequence: line item NUL series NUL sequence in digits

    flags    1 a credit; 2 << n figure n is present; 1024 the wide form
    wide     after the currency a msgpack array instead: eight figures (nil: absent; past 64 bits: `pack_big`),
             line item, series, sequence

The wide form is for counts of four billion, negative counts (a credit's) and amounts of nine billion. What was said
decides the form, so equal updates have equal notes: their hash tells a repeat from a conflict. The layout is fixed so
that a compiled loop can write it (`kernel`).
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from worker.ledger.cells import COUNT
from worker.ledger.kinds import CREDIT
from worker.ledger.packing import decode, encode, pack_big, unpack_big
from worker.pacing import Figures

IS_CREDIT: Final = 1
IS_WIDE: Final = 1024
COUNTS_END: Final = 1 << 32

_HEAD: Final = Struct("<HIq3s")
_FIGURES: Final = Struct("<q6Iq")
_NO_CURRENCY: Final = b"\0\0\0"

Figure = int | None


def is_present(figure: int) -> int:
    """The flag of a figure, by its place in `FIGURES`."""
    return 2 << figure


class Note(NamedTuple):
    """What an increment or a credit said; figures None were absent."""

    kind: int
    attribution: int
    at: int
    currency: str | None
    line_item_id: str | None
    series: str | None
    sequence: int | None
    figures: tuple[Figure, ...]

    def counted(self) -> Figures:
        """Its figures, absent ones as 0."""
        return [figure or 0 for figure in self.figures]


def pack_note(note: Note) -> bytes:
    """The bytes of a note."""
    flags = sum(is_present(at) for at, figure in enumerate(note.figures) if figure is not None)
    flags |= IS_CREDIT if note.kind == CREDIT else 0
    currency = note.currency.encode() if note.currency else _NO_CURRENCY
    if not _is_narrow(note.figures):
        return _HEAD.pack(flags | IS_WIDE, note.attribution, note.at, currency) + _pack_wide(note)
    return b"".join(
        (
            _HEAD.pack(flags, note.attribution, note.at, currency),
            _FIGURES.pack(*note.counted()),
            pack_tail(note.line_item_id, note.series, note.sequence),
        )
    )


def _is_narrow(figures: tuple[Figure, ...]) -> bool:
    amounts = (figures[0], figures[-1])
    return all(amount is None or -(2**63) <= amount < 2**63 for amount in amounts) and all(
        count is None or 0 <= count < COUNTS_END for count in figures[1:-1]
    )


def pack_tail(line_item_id: str | None, series: str | None, sequence: int | None) -> bytes:
    r"""
    What is rarely there; ids hold no NUL and are not empty.

    >>> pack_tail("line-7", None, None), pack_tail(None, "jul", 3), pack_tail(None, None, None)
    (b'line-7', b'\x00jul\x003', b'')
    """
    if series is None and sequence is None:
        return (line_item_id or "").encode()
    return f"{line_item_id or ''}\0{series or ''}\0{'' if sequence is None else sequence}".encode()


def _pack_wide(note: Note) -> bytes:
    figures = [f if f is None or -(2**63) <= f < 2**63 else pack_big(f) for f in note.figures]
    return encode([*figures, note.line_item_id, note.series, note.sequence])


def unpack_note(packed: bytes) -> Note:
    """The note in *packed*."""
    flags, attribution, at, currency = _HEAD.unpack_from(packed)
    kind, stated = flags & IS_CREDIT, None if currency == _NO_CURRENCY else currency.decode()
    rest = packed[_HEAD.size :]
    if flags & IS_WIDE:
        *figures, line_item_id, series, sequence = decode(rest)
        said = tuple(None if figure is None else unpack_big(figure) for figure in figures)
        return Note(kind, attribution, at, stated, line_item_id, series, sequence, said)
    tail = rest[_FIGURES.size :].decode().split("\0")
    line_item_id, series, sequence = tail if len(tail) > 1 else (tail[0], "", "")
    read = _FIGURES.unpack_from(rest)
    said = tuple(read[place] if flags & is_present(place) else None for place in range(COUNT))
    return Note(
        kind, attribution, at, stated, line_item_id or None, series or None, int(sequence) if sequence else None, said
    )
