"""
Good and bad messages by the thousand, each with its verdict: for every test of a place that reads input.

    update_cases(), plan_cases()        every field x (absent, null, wrong type, out of range, wrong form), made from
                                        the published JSON Schema, so that a new field is tried without being named here
    broken_values()                     bytes that are no message of any kind, and odd ones that are

What the schema cannot say (what makes a decimal, a time, a currency, the rules of an update's kind) is listed here by
hand. The verdicts are written down, not computed by the code under test.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

SCHEMAS: Final = Path(__file__).parents[3] / "schemas" / "json"
EXAMPLES: Final = Path(__file__).parents[3] / "schemas" / "examples"

Json = Any
Place = tuple[str | int, ...]


class Case(NamedTuple):
    """A value and its verdict; *field* is where a refusal must point ("" for the whole message, None if accepted)."""

    name: str
    value: bytes
    accepted: bool
    field: str | None

    def __str__(self) -> str:
        return self.name

    def is_told_by(self, field: str) -> bool:
        """Whether a fault at *field* tells of this one: it is the same, holds it, or is in it."""
        if not self.field:
            return field == self.field
        return bool(field) and (field.startswith(self.field) or self.field.startswith(field))


class Literal:
    """A JSON literal that must be written as it is: 1e3, 1.0, a number of a hundred digits."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class NotJson(Literal):
    """What is no JSON literal, so that the whole message is none."""


class Base(NamedTuple):
    """A good message with every field that it may have, and how its rules narrow what the schema says of a field."""

    name: str
    message: Json
    narrower: Mapping[str, Json] = MappingProxyType({})
    required: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()
    """Optional fields that may not be there."""
    decisive: frozenset[str] = frozenset()
    """Fields without which it is another kind of message; that is judged apart."""
    only: str = ""
    """Where the path of the fields begins that are spoiled in this message; the others are in another one."""


def update_cases() -> Iterator[Case]:
    """Spend updates of each kind, each field spoiled in every way."""
    schema = _schema("spend_update")
    for base in _update_bases():
        yield Case(base.name, write(base.message), accepted=True, field=None)
        yield from _spoiled(base, schema)
    yield from _rules_of_kinds()


def plan_cases() -> Iterator[Case]:
    """Plans, each field at every depth spoiled in every way."""
    schema = _schema("campaign_plan")
    for base in _plan_bases():
        yield Case(base.name, write(base.message), accepted=True, field=None)
        yield from _spoiled(base, schema)
    for name, segment in (("neither", {}), ("both", {"amount": 1, "pct": 1})):
        curve = {"kind": "custom", "segments": [{"start": "2026-07-01", **segment}]}
        value = write({**_PLAN, "curve": curve})
        yield Case(f"a segment with {name}", value, accepted=False, field="curve.segments[0]")


# -- good messages ----------------------------------------------------------------------------------------------------

_UPDATE: Final = {
    "event_id": "e-1",
    "source": "gam",
    "campaign_id": "c-1",
    "channel": "CTV",
    "deal_id": "prime",
    "line_item_id": "li-1",
    "event_time": "2026-07-01T12:00:00.5+02:00",
    "sequence": 3,
    "series": "2026-07-01",
    "currency": "EUR",
    "impressions": 5,
    "clicks": 4,
    "conversions": 3,
    "bids": 2,
    "wins": 1,
    "requests": 0,
    "conversion_value": "0.5",
}
_COUNTS: Final = ("impressions", "clicks", "conversions", "bids", "wins", "requests")
_COUNTED_UP: Final = {name: {"minimum": 0} for name in _COUNTS}
_NOT_NEGATIVE: Final = {"spend": {"minimum": 0}, "conversion_value": {"minimum": 0}, **_COUNTED_UP}
_BELOW_0: Final = {"spend": {"maximum": 0}}
_SPEND: Final = frozenset({"spend"})
_CORRECTS: Final = frozenset({"corrects"})
_KIND: Final = frozenset({"kind"})


def _update_bases() -> tuple[Base, ...]:
    increment = {**_UPDATE, "kind": "increment", "spend": "1.25"}
    return (
        Base("increment", increment, _NOT_NEGATIVE, _SPEND, _CORRECTS),
        Base("cumulative", {**_UPDATE, "kind": "cumulative", "spend": "1.25"}, _COUNTED_UP, _SPEND, _CORRECTS),
        Base("credit", {**_UPDATE, "kind": "credit", "spend": "-1.25"}, _BELOW_0, _SPEND, _CORRECTS, _KIND),
        Base(
            "correction",
            {**_UPDATE, "kind": "correction", "spend": "1", "corrects": "e-0"},
            required=_CORRECTS,
            decisive=_KIND,
        ),
    )


def _rules_of_kinds() -> Iterator[Case]:
    """Rules over several fields: contract, SpendUpdate."""
    bare = {name: _UPDATE[name] for name in ("event_id", "source", "campaign_id", "event_time")}
    corrects = {**bare, "kind": "correction", "corrects": "e-0"}
    rows: tuple[tuple[str, Json, str | None], ...] = (
        ("nothing but an amount", {**bare, "spend": 1}, None),
        ("no amount", bare, "spend"),
        ("a null kind is an increment", {**bare, "kind": None, "spend": "-1"}, "spend"),
        ("an increment of 0", {**bare, "spend": "0"}, None),
        ("an increment of -0", {**bare, "spend": "-0.00"}, None),
        ("an increment that corrects", {**bare, "spend": 1, "corrects": "e-0"}, "corrects"),
        ("a credit that corrects", {**bare, "kind": "credit", "spend": -1, "corrects": "e-0"}, "corrects"),
        ("a total that corrects", {**bare, "kind": "cumulative", "spend": 1, "corrects": "e-0"}, "corrects"),
        ("a credit of 0", {**bare, "kind": "credit", "spend": "0"}, None),
        ("a credit takes counts back", {**bare, "kind": "credit", "spend": 0, "clicks": -7}, None),
        ("a total that fell below 0", {**bare, "kind": "cumulative", "spend": "-3"}, None),
        ("a correction of nothing", corrects, "spend"),
        ("a correction to less than nothing", {**corrects, "spend": "-1"}, None),
        ("a correction of what was not", {**bare, "kind": "correction", "spend": 1}, "corrects"),
        *((f"a correction of {name} alone", {**corrects, name: -1}, None) for name in (*_COUNTS, "conversion_value")),
    )
    for name, message, field in rows:
        yield Case(name, write(message), field is None, field)


_CURVES: Final = (
    {"kind": "linear"},
    {"kind": "front_loaded", "factor": "0.5"},
    {"kind": "back_loaded", "factor": 1},
    {"kind": "finish_early", "full_spend_at_pct": 90},
    {
        "kind": "custom",
        "segments": [{"start": "2026-07-01", "pct": 100}, {"start": "2026-07-02T00:00:00Z", "amount": "1"}],
    },
)
_PLAN: Final = {
    "campaign_id": "c-1",
    "account_id": "a-1",
    "name": "A name",
    "currency": "EUR",
    "timezone": "Europe/Berlin",
    "total_budget": "1000.00",
    "flight_start": "2026-07-01",
    "flight_end": "2026-07-31T00:00:00Z",
    "period": "flight",
    "rollover": "none",
    "curve": {"kind": "linear"},
    "weekday_weights": [1, "1.5", 0, 1, 1, 1, 1],
    "hour_weights": [1] * 24,
    "blackouts": [{"start": "2026-07-04", "end": "2026-07-05T12:00:00Z"}],
    "channels": [{"channel": "CTV", "allocated_budget": 100, "min_budget": "1", "curve": _CURVES[-1]}],
    "deals": [
        {
            "deal_id": "d-1",
            "channel": "CTV",
            "allocated_budget": 5,
            "flight_start": "2026-07-01",
            "flight_end": "2026-07-02",
        }
    ],
    "thresholds": {
        "underpacing_warning_pct": 10,
        "underpacing_critical_pct": "25",
        "overpacing_warning_pct": 10,
        "overpacing_critical_pct": 25,
        "exit_ratio": "0.8",
        "enter_ticks": 2,
        "exit_ticks": 2,
        "grace_days": 3,
        "min_expected": "5",
        "feed_lag_minutes": 90,
    },
    "signals": {"over_budget": False, "spend_spike": True},
    "reallocation": {"min_amount": 100, "max_pct": 30, "mode": "to_date", "receive": "overpacing"},
    "daily_budget": "40",
    "platform": "google",
    "automation": "recommendations",
    "budget_change_policy": "forward",
    "status": "active",
    "partial_period": "full",
    "effective_at": "2026-07-01T00:00:00Z",
    "projection": "seasonal",
}


def _plan_bases() -> tuple[Base, ...]:
    least = {name: _PLAN[name] for name in _schema("campaign_plan")["required"]}
    return (
        Base("a plan with every field", _PLAN),
        Base("a plan with what it must have", least, only="total_budget"),
        *(Base(f"a {curve['kind']} plan", {**least, "curve": curve}, only="curve.") for curve in _CURVES),
    )


# -- spoiling ---------------------------------------------------------------------------------------------------------


class Field(NamedTuple):
    """A place in a message, what the schema says may be there, and whether something must be."""

    place: Place
    choices: list[Json]
    required: bool

    @property
    def path(self) -> str:
        return _path(self.place)

    def types(self) -> set[str]:
        return {choice["type"] for choice in self.choices if "type" in choice} | (
            {"object"} if self.is_object() else set()
        )

    def is_object(self) -> bool:
        return any("properties" in choice or "oneOf" in choice for choice in self.choices)


def _spoiled(base: Base, schema: Json) -> Iterator[Case]:
    for field in _fields(schema, schema, base.message, ()):
        if not field.path.startswith(base.only):
            continue
        for name, value, is_good in _values(field, base):
            label = f"{base.name}: {field.path} {name}"
            at = "" if isinstance(value, NotJson) else field.path
            yield Case(label, write(base.message, field.place, value), is_good, None if is_good else at)


_ABSENT: Final = object()
_SAMPLES: Final[tuple[tuple[str, Json], ...]] = (
    ("string", "text"),
    ("integer", 5),
    ("number", Literal("1.5")),
    ("number", Literal("1.0")),
    ("boolean", True),
    ("boolean", False),
    ("array", []),
    ("array", [1]),
    ("object", {}),
)


def _values(field: Field, base: Base) -> Iterator[tuple[str, Json, bool]]:
    """What to put in the field: a name, the value, and whether it is good."""
    name = str(field.place[-1])
    must = field.required or name in base.required
    if name not in base.decisive:
        yield "absent", _ABSENT, not must
        yield "null", None, not must
    types = field.types()
    for kind, sample in _SAMPLES:
        if kind not in types and not (kind == "integer" and "number" in types):
            yield f"of type {kind} ({sample!r})", sample, False
    for choice in field.choices:
        for label, value, is_good in _forms(name, {**choice, **base.narrower.get(name, {})}):
            yield label, value, is_good and name not in base.left_out


def _forms(name: str, choice: Json) -> Iterator[tuple[str, Json, bool]]:
    """Values of the right type: at the edge, beyond it, and of the wrong form."""
    match choice:
        case {"type": "number"}:
            return _decimals(choice)
        case {"type": "integer"}:
            return _integers(choice)
        case {"type": "array"}:
            return _arrays(choice)
        case {"type": "string"}:
            return _strings(name, choice)
    return iter(())


def _strings(name: str, choice: Json) -> Iterator[tuple[str, Json, bool]]:
    match choice:
        case {"enum": [first, *_]} | {"const": first}:
            return _marked((), ("no_such", first.upper(), f" {first}", ""))
        case {"format": "date-time"}:
            return _marked(_GOOD_TIMES, _BAD_TIMES)
        case {"format": "date"}:
            return _marked(_GOOD_DATES, _BAD_DATES)
        case {"maxLength": most}:
            return _texts(choice.get("minLength", 0), most)
    return _marked(*_NAMED.get(name, ((), ())))


def _marked(good: tuple[Json, ...], bad: tuple[Json, ...]) -> Iterator[tuple[str, Json, bool]]:
    for value in good:
        yield f"{value!r}", value, True
    for value in bad:
        yield f"{value!r}", value, False


def _texts(least: int, most: int) -> Iterator[tuple[str, Json, bool]]:
    yield "empty", "", least == 0
    yield "longest", "x" * most, True
    yield "longest, beyond ASCII", "\N{GRINNING FACE}" * most, True
    yield "too long", "x" * (most + 1), False
    yield "with a NUL", "a\0b", False
    yield "with a quote and a newline", '"\n\\', True
    yield "with half a surrogate pair", NotJson('"\\ud800"'), False
    yield "a space", " ", True


def _arrays(choice: Json) -> Iterator[tuple[str, Json, bool]]:
    for count in {choice.get("minItems", 0) - 1, choice.get("maxItems", -2) + 1} - {-1}:
        yield f"of {count} items", [1] * count, False
    yield "with a null", [None] * choice.get("minItems", 1), False
    yield "with an array", [[]] * choice.get("minItems", 1), False


def _integers(choice: Json) -> Iterator[tuple[str, Json, bool]]:
    least, most = choice["minimum"], choice["maximum"]
    yield from _marked((least, most), (least - 1, most + 1))
    yield from _marked((), ("5", Literal("5e0"), Literal("5" * 400), Literal("-" + "5" * 5000), NotJson("NaN")))


_GOOD_DECIMALS: Final = (
    "0.5",
    "0.123456789",
    "00.5",
    Literal("0.5"),
    Literal("5e-1"),
    Literal("5E-1"),
    Literal("0.5e+0"),
)
_BAD_DECIMALS: Final = (
    *("", " ", "text", "1e0", "0x1", "+1", " 1", "1 ", "1.", ".5", "1,5", "1_0", "--1", "1.0.0", "\u0661", "\uff11"),
    *("NaN", "Infinity", "-Infinity", "nan", "0.1234567891", "0.5000000000", "1\0", "1\n", "1" * 70, "0" * 5000),
    *map(
        Literal,
        ("1e999", "1e999999999", "1e-999999999", "0.1234567891", "0.5000000000", "5e-10", "1" * 400, "1" * 5000),
    ),
    *map(NotJson, ("NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "0x1", "1e", "1_0")),
)


def _decimals(choice: Json) -> Iterator[tuple[str, Json, bool]]:
    """As a string and as a number, at both ends of the range; a fraction of a nano is no decimal."""
    least, most = choice.get("minimum"), choice.get("maximum")
    above, below = choice.get("exclusiveMinimum"), choice.get("exclusiveMaximum")
    takes_half = (most is None or most > 0) and (least is None or least <= 0)
    yield from ((f"{value!r}", value, takes_half) for value in _GOOD_DECIMALS)
    yield from _marked((), _BAD_DECIMALS)
    if least is not None:
        yield from _end(f"{least}", f"{'-' if least <= 0 else ''}{abs(least)}.000000001", inside=True)
    else:
        yield from _end(f"{above}", f"{above}.000000001" if above == 0 else f"{above + 1}.999999999", inside=False)
    if most is not None:
        yield from _end(f"{most}", f"{most}.000000001", inside=True)
    else:
        yield from _end(f"{below}", f"{below - 1}.999999999", inside=False)


def _end(end: str, beside: str, *, inside: bool) -> Iterator[tuple[str, Json, bool]]:
    """An end of a range and what is beside it; *inside* says which of the two is in the range."""
    for text, is_good in ((end, inside), (beside, not inside)):
        yield f"{text!r}", text, is_good
        yield f"{text}", Literal(text), is_good


_GOOD_TIMES: Final = (
    "1970-01-01T00:00:00Z",
    "2261-12-31T23:59:59.999999999Z",
    "2024-02-29T00:00:00-23:59",
    "2026-07-01t00:00:00z",
    "2026-07-01T00:00:00-00:00",
    "2026-07-01T00:00:00.1+14:00",
)
_BAD_TIMES: Final = (
    *("", "text", "2026-07-01T00:00:00", "2026-07-01T00:00:00 ", "2026-07-01 00:00:00Z", "2026-07-01T00:00Z", "0"),
    *("2026-07-01T00:00:00.Z", "2026-07-01T00:00:00.1234567891Z", "2026-07-01T00:00:00,5Z", "2026-07-01T00:00:00+2:00"),
    *("2026-07-01T00:00:00+0200", "2026-07-01T00:00:00+24:00", "2026-07-01T00:00:00+01:60", "2026-07-01T24:00:00Z"),
    *(
        "2026-07-01T00:60:00Z",
        "2026-06-30T23:59:60Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "20260701T000000Z",
    ),
    *(
        "2026-00-10T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2262-01-01T00:00:00Z",
        "9999-12-31T00:00:00Z",
        "2026-W27-1T00:00:00Z",
    ),
    *("2026-07-01T00:00:00Z\n", " 2026-07-01T00:00:00Z", "2026-07-01T00:00:00ZZ", "2026-07-01T00:00:00Z[UTC]", "now"),
    *(
        "\u0662026-07-01T00:00:00Z",
        "2026-07-01T0\u0660:00:00Z",
        "2026-07-01T00:00:00.\u0661Z",
        "-026-07-01T00:00:00Z",
        "Z",
    ),
    "2026-07-01T00:00:00." + "0" * 5000 + "Z",
)
_GOOD_DATES: Final = ("1970-01-01", "2261-12-31", "2024-02-29")
_BAD_DATES: Final = (
    "2026-02-29",
    "2026-07-32",
    "2026-7-1",
    "1969-12-31",
    "2262-01-01",
    "01/07/2026",
    "2026-07-0\u0661",
)
_NAMED: Final = {
    "currency": (
        ("JPY", "KWD", "CLF"),
        ("", "eur", "EURO", "EU", "QQQ", "XXX", "XAU", "EUR ", "\u20ac", "EUR\0"),
    ),
    "timezone": (
        ("UTC", "Asia/Kathmandu", "America/Argentina/Ushuaia", "Etc/GMT+5"),
        *(
            (
                "",
                "Mars/Base",
                "europe/berlinn",
                "../etc/passwd",
                "/etc/localtime",
                "Europe",
                "UTC ",
                "+02:00",
                "localtime",
            ),
        ),
    ),
}


# -- walking ----------------------------------------------------------------------------------------------------------


def _fields(root: Json, schema: Json, message: Json, place: Place) -> Iterator[Field]:
    """Every field the schema knows of an object, and of the objects and arrays that the message has in it."""
    required = schema.get("required", [])
    one_of_these = {name for option in schema.get("oneOf", []) for name in option["required"]}
    for name, described in schema["properties"].items():
        choices = list(_choices(root, described))
        if name in one_of_these and name not in message:
            continue
        yield Field((*place, name), choices, name in required or name in one_of_these)
        yield from _inside(root, choices, message.get(name), (*place, name))


def _inside(root: Json, choices: list[Json], value: Json, place: Place) -> Iterator[Field]:
    if isinstance(value, list):
        for at, item in enumerate(value):
            for choice in choices:
                yield from _inside(root, list(_choices(root, choice.get("items", {}))), item, (*place, at))
    elif isinstance(value, dict):
        for choice in choices:
            if _is_of(choice, value):
                yield from _fields(root, choice, value, place)


def _is_of(choice: Json, value: Json) -> bool:
    """Whether an object is of this schema, by the kind it says it is."""
    kind = choice.get("properties", {}).get("kind", {})
    return "properties" in choice and ("const" not in kind or kind["const"] == value.get("kind"))


def _choices(root: Json, schema: Json) -> Iterator[Json]:
    """What a value may be, without null and with references followed."""
    if "$ref" in schema:
        yield from _choices(root, root["$defs"][schema["$ref"].rpartition("/")[2]])
    elif "anyOf" in schema or ("oneOf" in schema and "properties" not in schema):
        for choice in schema.get("anyOf") or schema["oneOf"]:
            yield from _choices(root, choice)
    elif schema.get("type") != "null":
        yield schema


def _path(place: Place) -> str:
    path = ""
    for part in place:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _schema(name: str) -> Json:
    return json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))


# -- writing ----------------------------------------------------------------------------------------------------------


def write(message: Json, place: Place = (), value: Json = _ABSENT) -> bytes:
    """The message as JSON, with the value put, or nothing left, at the place."""
    if place:
        message = copy.deepcopy(message)
        at = message
        for part in place[:-1]:
            at = at[part]
        if value is _ABSENT:
            at.pop(place[-1], None)
        else:
            at[place[-1]] = value
    return _dump(message).encode("utf-8", "surrogatepass")


def _dump(value: Json) -> str:
    match value:
        case Literal():
            return value.text
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{_dump(member)}" for name, member in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_dump, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


# -- broken bytes -----------------------------------------------------------------------------------------------------


def broken_values(good: bytes) -> Iterator[Case]:
    """What bytes may do to *good*, a compact message of whatever kind that is accepted."""
    yield from (Case(name, value, accepted=False, field="") for name, value in _no_messages(good))
    yield from (Case(name, value, accepted=True, field=None) for name, value in _odd_messages(good))


def _no_messages(good: bytes) -> Iterator[tuple[str, bytes]]:
    yield "an empty value", b""
    yield from (
        (f"nothing but {value!r}", value) for value in (b" ", b"\n", b"null", b"true", b"5", b'"x"', b"[]", b"\0")
    )
    yield "an array of it", b"[" + good + b"]"
    yield "it as a string", json.dumps(good.decode()).encode()
    yield "two of it", good + good
    yield "two of it in two lines", good + b"\n" + good
    yield "a byte order mark", b"\xef\xbb\xbf" + good
    yield "UTF-16", good.decode().encode("utf-16")
    yield "an avro header", b"\0\0\0\0\1" + good
    yield from ((f"cut after {at} bytes", good[:at]) for at in (1, 2, 12, len(good) // 2, len(good) - 1))
    yield "a comma at the end", good[:-1] + b",}"
    yield "a comment", good[:-1] + b"/* */}"
    yield "single quotes", good.replace(b'"', b"'")
    yield from ((f"an unknown field of {value!r}", _with(good, value)) for value in _NO_VALUES)
    yield "an unknown field with bad UTF-8 in its name", good[:-1] + b',"\xff":1}'
    yield "an unknown field with half a surrogate pair in its name", good[:-1] + b',"\\udc00":1}'
    yield "nested 65 deep", _with(good, b"[" * 64 + b"]" * 64)
    yield "nested 1,000 deep", _with(good, b"[" * 1000 + b"]" * 1000)
    yield "objects nested 100,000 deep", _with(good, b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    yield "nested without an end", _with(good, b"[" * 100_000)


_NO_VALUES: Final = (
    *(
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"nan",
        b"undefined",
        b"True",
        b"01",
        b"1.",
        b".5",
        b"+1",
        b"1e",
        b"-",
        b"0x1",
    ),
    *(
        b'"\xff"',
        b'"\xc3"',
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        b'"\\ud800"',
        b'"\\x41"',
        b'"\n"',
        b'"\x00"',
        b'"a',
        b"'a'",
        b"",
    ),
)


def _odd_messages(good: bytes) -> Iterator[tuple[str, bytes]]:
    yield "spaces around it", b" \t\r\n" + good + b" \t\r\n"
    yield "over several lines", json.dumps(json.loads(good), indent=2).encode()
    yield "escaped throughout", _escaped(good)
    yield "an unknown field", _with(good, b"1")
    yield "an unknown field with a NUL", _with(good, b'"\\u0000"')
    yield "an unknown field beyond ASCII", _with(good, '"\u00e9\U0001f600"'.encode())
    yield "an unknown field with an unlikely name", good[:-1] + b',"__class__":1,"":2,"constructor":{}}'
    yield "an unknown number of 10,000 digits", _with(good, b"9" * 10_000)
    yield "an unknown number of 10,000 decimals", _with(good, b"0." + b"9" * 10_000)
    yield "an unknown number out of every range", _with(good, b"-1e999999999")
    yield "nested 64 deep", _with(good, b"[" * 63 + b"]" * 63)
    yield "1,000 brackets in a string", _with(good, b'"' + b"[{" * 500 + b'"')
    yield "1,000 brackets beside each other", _with(good, b"[" + b",".join([b"{}"] * 1000) + b"]")
    yield "every field twice", good[:-1] + b"," + good[1:]
    yield "100,000 bytes more", _with(good, b'"' + b"x" * 100_000 + b'"')


def _with(good: bytes, value: bytes) -> bytes:
    """The message with an unknown field of that value."""
    return good[:-1] + b',"unknown":' + value + b"}"


def _escaped(good: bytes) -> bytes:
    """Every letter of every string escaped, names of fields too."""
    out = bytearray()
    inside = False
    for byte in good:
        character = bytes([byte])
        if character == b'"':
            inside = not inside
        out += b"\\u%04x" % byte if inside and character != b'"' else character
    return bytes(out)
