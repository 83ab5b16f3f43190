"""
A record of the ledger as a line of JSON that a person can read, and back to the very same bytes.

    key, value ─▶ {"kind": "campaign", "campaign_id": "summer", "currency": "EUR", "totals": [...], "check": "..."}

Money is a decimal string, an instant an RFC 3339 time, a day a date, a hash 16 hexadecimal digits; figures that are
zero (in a report or a correction: not said) are left out. Amounts within a plan and in the pacing state are nanos, and
the columns of an id segment base64, as they are of use to nobody by themselves. *check* is a hash of key and value: a
line that was changed, even in a digit, is refused.

A record that does not come back as the same bytes is exported as it is, in base64 (*packed*): one with fields that a
later version added, or an instant before 1970.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from schemas.fields import NANOS, format_money, format_time, parse_time
from worker.ledger import kinds
from worker.ledger.cells import DAY, NEVER, QUARTER
from worker.ledger.identity import hash64
from worker.ledger.journal import COLUMNS, FIELDS, Rows, as_column, packed, unpacked
from worker.ledger.kinds import CREDIT, INCREMENT
from worker.ledger.notes import Note, pack_note, unpack_note
from worker.ledger.packing import (
    decode,
    encode,
    pack_amount,
    pack_big,
    pack_figures,
    unpack_amount,
    unpack_big,
    unpack_figures,
)
from worker.ledger.records import HASH, NUMBER, VERSION
from worker.ledger.sheet import TICKED, WAITS, currency_of, label_of
from worker.pacing import FIGURES

Json = dict[str, Any]

MONEY: Final = ("spend", "conversion_value")
_EPOCH: Final = date(1970, 1, 1)
_MONEY: Final = re.compile(r"(-?)([0-9]{1,40})(?:\.([0-9]{1,9}))?")


class LineError(ValueError):
    """What is wrong with a line, and in which field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


class Shape(NamedTuple):
    """How a part of a record is shown, and read back."""

    show: Callable[[Any], Any]
    read: Callable[[Any], Any]


# -- parts -------------------------------------------------------------------------------------------------------------


def _same(part: Any) -> Any:
    return part


def _money(nanos: int) -> str:
    return format_money(nanos, 2)


def _nanos(text: Any) -> int:
    """The nanos of an amount that `_money` wrote; sums may pass what one amount may be."""
    match = _MONEY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an amount")
    sign, whole, decimals = match.groups()
    return int(sign + "1") * int(f"{whole}{decimals or '':0<9}")


def _show_day(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


def _read_day(text: str) -> int:
    return (date.fromisoformat(text) - _EPOCH).days


def _listed(shape: Shape) -> Shape:
    return Shape(lambda parts: [shape.show(part) for part in parts], lambda parts: [shape.read(part) for part in parts])


def _or_none(shape: Shape) -> Shape:
    return Shape(
        lambda part: None if part is None else shape.show(part), lambda part: None if part is None else shape.read(part)
    )


def _named(least: int | None = None, **shapes: Shape) -> Shape:
    """An array whose places have names; those after the first *least* (None: all) an older record lacks."""
    needed = list(shapes)[:least]

    def show(parts: Sequence[Any]) -> Json:
        if not len(needed) <= len(parts) <= len(shapes):
            raise ValueError(f"{len(parts)} fields are not {len(shapes)}")
        return {name: shape.show(part) for (name, shape), part in zip(shapes.items(), parts, strict=False)}

    def read(said: Json) -> list[Any]:
        return [_read_field(said, name, shape) for name, shape in shapes.items() if name in needed or name in said]

    return Shape(show, read)


def _read_field(said: Any, name: str, shape: Shape) -> Any:
    """A field of an object; a LineError tells its whole path."""
    if not isinstance(said, dict):
        raise LineError("", "it must be an object")
    if name not in said:
        raise LineError(name, "it is missing")
    try:
        return shape.read(said[name])
    except LineError as error:
        raise LineError(f"{name}.{error.field}" if error.field else name, error.message) from None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, IndexError) as error:
        raise LineError(name, f"it cannot be read: {error}") from None


PLAIN: Final = Shape(_same, _same)
TIME: Final = Shape(format_time, parse_time)
BINARY: Final = Shape(lambda data: b64encode(data).decode(), lambda text: b64decode(text, validate=True))
TEXT: Final = Shape(bytes.decode, str.encode)
HEX: Final = Shape(lambda number: f"{number:016x}", lambda text: int(text, 16))
AMOUNT: Final = Shape(lambda packed: _money(unpack_amount(packed)), lambda text: pack_amount(_nanos(text)))

# -- figures -----------------------------------------------------------------------------------------------------------


def _shown(figures: Sequence[int | None]) -> Json:
    named = zip(FIGURES, figures, strict=True)
    return {name: _money(f) if name in MONEY else f for name, f in named if f is not None}


def _said(said: Json) -> list[int | None]:
    """The eight figures, None where nothing is said."""
    return [None if (f := said.get(name)) is None else _nanos(f) if name in MONEY else int(f) for name in FIGURES]


def _show_sums(packed: Sequence[Any]) -> Json:
    return _shown_sums(unpack_figures(packed))


def _read_sums(said: Json) -> list[Any]:
    return list(pack_figures(_read_figures(said)))


def _as_said(packed: Sequence[Any]) -> Json:
    return _shown([None if figure is None else unpack_big(figure) for figure in packed])


def _pack_said(said: Json) -> list[Any]:
    return [f if f is None or -(2**63) <= f < 2**63 else pack_big(f) for f in _said(said)]


SAID: Final = Shape(_as_said, _pack_said)
"""Figures as they were said: what is absent was not."""


def _show_note(packed: bytes) -> Json | None:
    if not packed:
        return None
    note = unpack_note(packed)
    shown = {**note._asdict(), "kind": "credit" if note.kind == CREDIT else "increment", "at": format_time(note.at)}
    return {**shown, "figures": _shown(note.figures)}


def _read_note(said: Json | None) -> bytes:
    if said is None:
        return b""
    kind = CREDIT if said["kind"] == "credit" else INCREMENT
    note = {**said, "kind": kind, "at": parse_time(said["at"]), "figures": tuple(_said(said["figures"]))}
    return pack_note(Note(**note))


NOTE: Final = Shape(_show_note, _read_note)


# -- cells -------------------------------------------------------------------------------------------------------------


def _whole(packed: int, unit: int) -> int:
    return -1 - packed if packed < 0 else packed * unit


def _packed(nanos: int, unit: int) -> int:
    whole, rest = divmod(nanos, unit)
    return -1 - nanos if rest else whole


def _time_after(lo: int, lapse: int | None) -> str | None:
    return None if lapse is None else format_time(lo + _whole(lapse, NANOS))


def _lapse(lo: int, text: str | None) -> int | None:
    return None if text is None else _packed(parse_time(text) - lo, NANOS)


def _cell_of(day: int) -> Shape:
    """A time cell of a UTC day."""

    def show(packed: Sequence[Any]) -> Json:
        lo = day * DAY + _whole(packed[0], QUARTER)
        held = [_show_holding(lo, holding) for holding in packed[2:]]
        return {"from": format_time(lo), "data_through": _time_after(lo, packed[1]), "held": held}

    def read(said: Json) -> list[Any]:
        lo = parse_time(said["from"])
        held = [_read_holding(lo, holding) for holding in said["held"]]
        return [_packed(lo - day * DAY, QUARTER), _lapse(lo, said["data_through"]), *held]

    return Shape(show, read)


def _show_holding(lo: int, packed: Sequence[Any]) -> Json:
    name, *figures = packed
    if isinstance(name, int):
        return {"attribution": name, **_show_sums(figures)}
    attribution, currency, updates, lapse = name
    stated = {"currency": currency, "updates": updates, "data_through": _time_after(lo, lapse)}
    return {"attribution": attribution, **stated, **_show_sums(figures)}


def _read_holding(lo: int, said: Json) -> list[Any]:
    name = said["attribution"]
    if "currency" in said:
        name = [name, said["currency"], said["updates"], _lapse(lo, said["data_through"])]
    return [name, *_read_sums(said)]


def _cells_of(day: int) -> Shape:
    return _listed(_cell_of(day))


def _show_recent(packed: Sequence[Any]) -> Json:
    day, cells = packed
    return {"day": _show_day(day), "cells": _cells_of(day).show(cells)}


def _read_recent(said: Json) -> list[Any]:
    day = _read_day(said["day"])
    return [day, _cells_of(day).read(said["cells"])]


# -- rows --------------------------------------------------------------------------------------------------------------


def _show_rows(fields: Sequence[Any]) -> Json:
    """The rows of the journal one by one."""
    if len(fields) != FIELDS:
        raise ValueError(f"{len(fields)} fields are not {FIELDS}")
    rows = unpacked(fields)
    lines = zip(rows.rows.tolist(), *(column.tolist() for column in rows.columns), strict=True)
    beyond = [{"row": row, **_shown_sums(figures)} for row, figures in rows.big.items()]
    return {"given_back": rows.freed.tolist(), "rows": [_show_row(*line) for line in lines], "beyond": beyond}


def _show_row(row: int, campaign: int, label: int, attribution: int, lo: int, latest: int, *figures: int) -> Json:
    stated = {"currency": currency_of(label), "waits": bool(label & WAITS)}
    if label & TICKED:
        stated["ticked"] = True
    data_through = None if latest == NEVER else format_time(latest)
    held = {"from": format_time(lo), "data_through": data_through, "updates": figures[0], **_shown_sums(figures[1:])}
    return {"row": row, "campaign": campaign, "attribution": attribution, **stated, **held}


def _read_rows(said: Json) -> list[Any]:
    lines = [_read_row(line) for line in said["rows"]]
    columns = list(zip(*lines, strict=True)) or [()] * (1 + len(COLUMNS))
    rows, *others = (as_column(column) for column in columns)
    big = {line["row"]: _read_figures(line) for line in said["beyond"]}
    return packed(Rows(as_column(said["given_back"]), rows, others, big))


def _read_row(said: Json) -> tuple[int, ...]:
    latest = NEVER if said["data_through"] is None else parse_time(said["data_through"])
    label = label_of(said["currency"], waits=said["waits"], ticked=said.get("ticked", False))
    held = (parse_time(said["from"]), latest, said["updates"], *_read_figures(said))
    return (said["row"], said["campaign"], label, said["attribution"], *held)


def _shown_sums(figures: Sequence[int]) -> Json:
    return _shown([figure or None for figure in figures])


def _read_figures(said: Json) -> list[int]:
    return [figure or 0 for figure in _said(said)]


# -- values ------------------------------------------------------------------------------------------------------------

_CASES: Final = _listed(_named(kind=PLAIN, count=PLAIN, amounts=_listed(_named(currency=PLAIN, amount=AMOUNT))))
_TOTALS: Final = Shape(
    lambda packed: {"attribution": packed[0], **_show_sums(packed[1:])},
    lambda said: [said["attribution"], *_read_sums(said)],
)
_RHYTHM: Final = _named(hour=PLAIN, net=AMOUNT, positive_hour=PLAIN, spend=AMOUNT)
_CAMPAIGN: Final = _named(
    11,
    row=PLAIN,
    currency=PLAIN,
    is_ticked=PLAIN,
    attributions=_listed(_named(channel=PLAIN, deal_id=PLAIN)),
    totals=_listed(_TOTALS),
    data_through=_or_none(TIME),
    next_series=PLAIN,
    recent=_listed(Shape(_show_recent, _read_recent)),
    cases=_CASES,
    waiting_cases=_CASES,
    state=PLAIN,
    rhythm=_or_none(_RHYTHM),
    sources=_named(counted=PLAIN, waiting=PLAIN),
)
_ORDINAL_DAY: Final = Shape(
    lambda day: date.fromordinal(day).isoformat() if day else None,
    lambda text: date.fromisoformat(text).toordinal() if text else 0,
)
_LOCAL_DAYS: Final = _named(timezone=PLAIN, day=_ORDINAL_DAY, before=_listed(AMOUNT))
_SOURCE: Final = _named(
    data_through=_or_none(TIME),
    as_of_tick=_or_none(TIME),
    ahead=_listed(_named(minute=PLAIN, earliest=TIME, latest=TIME)),
)
_SERIES: Final = _named(
    source=PLAIN,
    channel=PLAIN,
    deal_id=PLAIN,
    line_item_id=PLAIN,
    series=PLAIN,
    currency=PLAIN,
    base_at=_or_none(TIME),
    blurred_until=_or_none(TIME),
)
_REPORTS: Final = _named(reports=_listed(_named(at=TIME, sequence=PLAIN, event_id=PLAIN, bucket=PLAIN, figures=SAID)))
_CORRECTION: Final = _named(ordinal=PLAIN, note=NOTE, sequence=PLAIN, at=TIME, event_id=PLAIN, figures=SAID)
_WAITING: Final = _named(
    original=HEX, bucket=PLAIN, offset=PLAIN, key=_or_none(TEXT), value=TEXT, note=NOTE, ordinal=PLAIN
)
_IDS: Final = _named(
    bucket=PLAIN, part=PLAIN, ids=BINARY, bodies=BINARY, rows=BINARY, note_lengths=BINARY, notes=BINARY
)
_TICKS: Final = ("last_tick", "next_tick", "tick")


class Layout(NamedTuple):
    """The name of a kind of record, the numbers in its key, and its value, which may depend on the key's day."""

    name: str
    numbers: Mapping[str, Shape]
    value: Callable[[int], Shape]


def _number(size: int, shape: Shape, *, signed: bool = False) -> Shape:
    """A big-endian number in a key."""
    return Shape(
        lambda data: shape.show(int.from_bytes(data, "big", signed=signed)),
        lambda said: shape.read(said).to_bytes(size, "big", signed=signed),
    )


_DAY: Final = {"day": _number(NUMBER, Shape(_show_day, _read_day), signed=True)}
_SERIES_NUMBER: Final = {"number": _number(NUMBER, PLAIN, signed=True)}

LAYOUTS: Final[Mapping[bytes, Layout]] = {
    kinds.CAMPAIGN: Layout("campaign", {}, lambda _: _CAMPAIGN),
    kinds.HISTORY: Layout("plan_history", {}, lambda _: _named(history=PLAIN)),
    kinds.PENDING: Layout("pending_day", _DAY, lambda day: _named(pending=_cells_of(day), waiting=_cells_of(day))),
    kinds.COUNTED: Layout("counted_day", _DAY, lambda day: _named(cells=_cells_of(day))),
    kinds.LOCAL_DAYS: Layout("local_days", {}, lambda _: _LOCAL_DAYS),
    kinds.SERIES: Layout("series", _SERIES_NUMBER, lambda _: _SERIES),
    kinds.REPORTS: Layout("reports", {**_SERIES_NUMBER, **_DAY}, lambda _: _REPORTS),
    kinds.CORRECTION: Layout("correction", {"original": _number(HASH, HEX)}, lambda _: _CORRECTION),
    kinds.WAITING: Layout("waiting_correction", {"id": _number(HASH, HEX)}, lambda _: _WAITING),
    kinds.ROWS: Layout("uncounted_rows", {"ordinal": _number(HASH, PLAIN)}, lambda _: Shape(_show_rows, _read_rows)),
    kinds.IDS: Layout("ids", {"first": _number(HASH, PLAIN)}, lambda _: _IDS),
    kinds.SOURCE: Layout("source", {"source": TEXT}, lambda _: _SOURCE),
    kinds.MARKER: Layout("marker", {}, lambda _: PLAIN),
}
_KIND_OF: Final = {layout.name: kind for kind, layout in LAYOUTS.items()}
_OWN_SIZE: Final = {
    "day": NUMBER,
    "number": NUMBER,
    "original": HASH,
    "id": HASH,
    "first": HASH,
    "ordinal": HASH,
    "source": None,
}
"""How many bytes of the key each takes; None: the rest."""
_OF_THE_PARTITION: Final = frozenset((kinds.ROWS, kinds.IDS, kinds.SOURCE, kinds.MARKER))


# -- lines -------------------------------------------------------------------------------------------------------------


def to_line(key: bytes, value: bytes) -> str:
    """The line of a record, without a line break."""
    said = _shown_record(key, value)
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def from_line(said: Json) -> tuple[bytes, bytes]:
    """
    The key and value of the record that a line says, its JSON being read.

    Raises LineError where it is none, or not as it was exported.
    """
    kind = _KIND_OF.get(said.get("kind", ""))
    if kind is None:
        raise LineError("kind", f"{said.get('kind')!r} is no kind of record")
    key = _read_key(kind, said)
    value = _read_field(said, "packed", BINARY) if "packed" in said else _read_value(kind, key, said)
    if said.get("check") != _check(key, value):
        raise LineError("check", "the line is not as it was exported: something in it was changed")
    _same_line(said, _shown_record(key, value))
    return key, value


def _same_line(said: Json, again: Json) -> None:
    """Nothing in the line says otherwise than the record: what is not read must not lie either."""
    for name in {**said, **again}:
        if said.get(name) != again.get(name):
            raise LineError(name, "it is not as it was exported")


def _shown_record(key: bytes, value: bytes) -> Json:
    head = _show_key(key)
    check = _check(key, value)
    body = _show_value(key, value)
    if body is None:
        body = {"packed": BINARY.show(value)}
    return {**head, **body, "check": check}


def _check(key: bytes, value: bytes) -> str:
    return f"{hash64(len(key).to_bytes(8, 'big') + key + value):016x}"


def _show_key(key: bytes) -> Json:
    kind = key[:1]
    layout = LAYOUTS.get(kind)
    if layout is None:
        raise LineError("kind", f"a record of an unknown kind, {kind!r}")
    said: Json = {"kind": layout.name}
    rest = key[1:]
    if kind not in _OF_THE_PARTITION:
        campaign_id, _, rest = rest.partition(b"\0")
        said["campaign_id"] = campaign_id.decode()
    for name, shape in layout.numbers.items():
        size = _OWN_SIZE[name]
        said[name], rest = shape.show(rest[:size]), b"" if size is None else rest[size:]
    return said


def _read_key(kind: bytes, said: Json) -> bytes:
    layout = LAYOUTS[kind]
    numbers = [_read_field(said, name, shape) for name, shape in layout.numbers.items()]
    if kind in _OF_THE_PARTITION:
        return kind + b"".join(numbers)
    campaign_id = _read_field(said, "campaign_id", TEXT)
    return b"".join((kind, campaign_id, b"\0" if numbers else b"", *numbers))


def _day_of(key: bytes) -> int:
    """The day in a key, where there is one."""
    return int.from_bytes(key[-NUMBER:], "big", signed=True)


def _show_value(key: bytes, value: bytes) -> Json | None:
    """What a value says; None where it is not certain to be read back as the same bytes."""
    try:
        said = _show_marker(value) if key == kinds.MARKER else _show_fields(key, value)
        plain: Json = json.loads(json.dumps(said))
        return plain if _read_value(key[:1], key, plain) == value else None
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, msgspec.MsgspecError):
        return None


def _show_fields(key: bytes, value: bytes) -> Json:
    version, *fields = decode(value)
    said: Json = LAYOUTS[key[:1]].value(_day_of(key)).show(fields)
    if key[:1] == kinds.CAMPAIGN:
        _name_totals(said)
    return {"version": version, **said}


def _name_totals(said: Json) -> None:
    """Say beside each total whose it is: who looks a campaign up need not count places."""
    names = said["attributions"]
    said["totals"] = [{"attribution": t["attribution"], **names[t["attribution"]], **t} for t in said["totals"]]


def _read_value(kind: bytes, key: bytes, said: Json) -> bytes:
    if kind == kinds.MARKER:
        return _read_marker(said)
    version = _read_field(said, "version", PLAIN)
    if version != VERSION:
        raise LineError("version", f"a record of format {version}; this version reads format {VERSION}")
    fields = LAYOUTS[kind].value(_day_of(key)).read(said)
    return encode([version, *fields])


def _show_marker(value: bytes) -> Json:
    said: Json = decode(value)
    return {name: TIME.show(part) if name in _TICKS and part is not None else part for name, part in said.items()}


def _read_marker(said: Json) -> bytes:
    fields = {name: part for name, part in said.items() if name not in ("kind", "check")}
    return encode({name: _or_none(TIME).read(part) if name in _TICKS else part for name, part in fields.items()})
