"""
What every model of a message shares: its base, the types of its fields, and how its faults are told.

An input drops null members before it looks (null is absent), ignores fields it does not know, and reads numbers from
their literal digits, also in `model_validate_json`. An event has every field of its message, null where it is
undefined.

The checks themselves are those of `fields`, which the fast Structs of `wire` use too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from schemas import fields
from schemas.fields import NANOS, Range
from schemas.wire import Fault, read_json

CURVES: Final = ("linear", "front_loaded", "back_loaded", "finish_early", "custom")


# -- ids and texts ----------------------------------------------------------------------------------------------------


def _checked(is_good: Callable[[str], bool], sentence: str) -> AfterValidator:
    def check(text: str) -> str:
        if not is_good(text):
            raise ValueError(sentence)
        return text

    return AfterValidator(check)


_NO_NUL: Final = {"pattern": "^[^\\u0000]*$"}

Id = Annotated[
    str,
    StringConstraints(min_length=1, max_length=fields.ID_LENGTH),
    _checked(fields.is_id, "must not hold a NUL character or half a surrogate pair"),
    Field(json_schema_extra=_NO_NUL),
]
Text = Annotated[
    str,
    StringConstraints(max_length=fields.TEXT_LENGTH),
    _checked(fields.is_text, "must not hold a NUL character or half a surrogate pair"),
    Field(json_schema_extra=_NO_NUL),
]
Currency = Annotated[
    str,
    _checked(lambda code: fields.minor_digits(code) is not None, "must be a currency of ISO 4217, such as EUR"),
    Field(json_schema_extra={"pattern": "^[A-Z]{3}$"}),
]
Zone = Annotated[
    str,
    _checked(lambda name: fields.zone_of(name) is not None, "must be an IANA time zone, such as Europe/Berlin"),
]
EventId = Annotated[str, Field(json_schema_extra={"format": "uuid"})]

Count = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
"""A number of things; negative where an update takes some back."""

Whole = Annotated[int, Field(ge=0, le=2**63 - 1)]


# -- times ------------------------------------------------------------------------------------------------------------


def _time(text: str) -> str:
    fields.parse_time(text)
    return text


def _moment(text: str) -> str:
    if fields.is_date(text):
        fields.parse_date(text)
    else:
        fields.parse_time(text)
    return text


_TIME_PATTERN: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)
_TIME_SCHEMA: Final = {"type": "string", "format": "date-time", "pattern": _TIME_PATTERN}

TimeIn = Annotated[str, AfterValidator(_time), WithJsonSchema(_TIME_SCHEMA)]
"""An RFC 3339 time with an offset, kept as it came."""

MomentIn = Annotated[
    str,
    AfterValidator(_moment),
    WithJsonSchema({"anyOf": [_TIME_SCHEMA, {"type": "string", "format": "date", "pattern": "^[0-9-]{10}$"}]}),
]
"""An RFC 3339 time with an offset, or a date in the plan's time zone, kept as it came."""

TimeOut = Annotated[
    str,
    AfterValidator(_time),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$",
        }
    ),
]
"""A time in UTC, ending in Z."""


# -- decimals ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exact:
    """A decimal read from its literal digits, within a range: what JSON holds, or a Decimal from Python."""

    within: Range

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read the value whole: no validator of pydantic's own has seen it."""
        plain = core_schema.plain_serializer_function_ser_schema(_plain, return_schema=core_schema.str_schema())
        return core_schema.no_info_plain_validator_function(self._read, serialization=plain)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A string of digits, or a number: JSON Schema can say the range of the number alone."""
        sign = "-?" if self.within.least < 0 else ""
        pattern = rf"^{sign}0*[0-9]{{1,12}}(\.[0-9]{{1,9}})?$"
        return {"anyOf": [{"type": "string", "pattern": pattern}, {"type": "number", **_bounds(self.within)}]}

    def _read(self, value: object) -> Decimal:
        literal = str(value).encode() if isinstance(value, Decimal) else value
        return Decimal(fields.read_decimal(literal, self.within)).scaleb(-fields.MOST_DECIMALS)


def _plain(amount: Decimal) -> str:
    return fields.format_money(int(amount.scaleb(fields.MOST_DECIMALS)), 0)


def _bounds(within: Range) -> JsonSchemaValue:
    """The range as whole numbers where it has whole ends; one nano off a whole number is "exclusive"."""
    low = within.least // NANOS
    bounds: JsonSchemaValue = {"minimum": low} if within.least % NANOS == 0 else {"exclusiveMinimum": low}
    high = -(-within.most // NANOS)
    bounds["maximum" if within.most % NANOS == 0 else "exclusiveMaximum"] = high
    return bounds


MoneyIn = Annotated[Decimal, Exact(fields.MONEY)]
AmountIn = Annotated[Decimal, Exact(fields.AMOUNT)]
BudgetIn = Annotated[Decimal, Exact(fields.BUDGET)]
PercentIn = Annotated[Decimal, Exact(fields.PERCENT)]
PartIn = Annotated[Decimal, Exact(fields.PART)]
FactorIn = Annotated[Decimal, Exact(fields.FACTOR)]


MoneyOut = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]{1,9})?$")]
"""
An amount as a decimal string, no exponent, at least the currency's minor digits.

A sum or a projection may be beyond what one update may carry, so it has no limit.
"""


def _number_out(decimals: int) -> PlainValidator:
    def read(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise ValueError("must be a number")  # noqa: TRY004  # pydantic reports ValueErrors
        exponent = Decimal(str(value)).as_tuple().exponent
        if not isinstance(exponent, int) or exponent < -decimals:
            raise ValueError(f"must be rounded to {decimals} decimals")
        return value

    return PlainValidator(read)


PercentOut = Annotated[float | Decimal, _number_out(2), WithJsonSchema({"type": "number"})]
"""A percentage or percentage points, rounded once, half-even, to 2 decimals; a JSON number."""

RatioOut = Annotated[float | Decimal, _number_out(4), WithJsonSchema({"type": "number"})]
"""A ratio with 4 decimals; a JSON number."""


Scope = Literal["campaign", "channel", "deal", "account"]
Level = Literal["warning", "critical"]


# -- bases ------------------------------------------------------------------------------------------------------------


class Message(BaseModel):
    """A JSON object in or out. Unknown fields are ignored, types are not coerced."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class Part(Message):
    """An object inside an event: every field is there, null where it is undefined."""


class Event(Message):
    """A message that goes out about a campaign or an account: every field is there, null where it is undefined."""

    event_id: EventId = Field(
        description="UUIDv5 of type, campaign, tick and what tells two apart: the same input gives the same id."
    )
    event_type: str = Field(description="The name of the event, which by default is its topic's.")
    occurred_at: TimeOut = Field(description="The tick it belongs to.")
    campaign_id: Id = Field(description="The campaign it is about; also the record's key, as UTF-8 bytes.")
    account_id: Id = Field(description="The account the campaign belongs to.")
    currency: Currency = Field(description="ISO 4217; all money of the event is in it.")


class ScopedEvent(Event):
    """An event that may be about an account, and so about no campaign."""

    campaign_id: Id | None = Field(  # type: ignore[assignment]  # wider than an event of a campaign alone
        description="The campaign it is about, and the record's key; null of an account, whose id is the key then."
    )
    account_id: Id = Field(description="The account it is about, or the campaign belongs to.")


class Input(Message):
    """A message that comes in: null is absent, and numbers are read from their literal digits."""

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, message: Any) -> Any:
        if not isinstance(message, dict):
            return message
        return {name: value for name, value in message.items() if value is not None}

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **_: Any) -> Self:
        """
        The message in *json_data*; a number's literal digits are read, never a binary float.

        Raises ValueError for what is not JSON, pydantic's ValidationError (which is one) for what is not the message.
        """
        data = json_data.encode() if isinstance(json_data, str) else bytes(json_data)
        return cls.model_validate(read_json(data))

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Say of every optional field that it may be null."""
        reference = handler(core_schema)
        schema = handler.resolve_ref_schema(reference)
        required = schema.get("required", [])
        for name, field in schema["properties"].items():
            if name not in required:
                _allow_null(field)
        return reference


def _allow_null(field: JsonSchemaValue) -> None:
    """Put null beside what the field may be, leaving its description and default where they are."""
    outside = {"description", "default", "examples"}
    inside = {word: value for word, value in field.items() if word not in outside}
    choices = inside.pop("anyOf", None) or [inside.copy()]
    for word in inside:
        field.pop(word)
    field["anyOf"] = choices if {"type": "null"} in choices else [*choices, {"type": "null"}]


# -- rules over several fields ----------------------------------------------------------------------------------------


class BrokenRulesError(ValueError):
    """The rules its fields break together, each with the field to be changed (empty: any of several)."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{field}: {sentence}" for field, sentence in faults))
        self.faults = faults


def faults_of(model: type[Message], message: object) -> Iterator[Fault]:
    """Every fault of *message*, as read by `wire.read_json`, in the order of the model's fields."""
    if not isinstance(message, dict):
        yield Fault("", "must be one JSON object")
        return
    try:
        model.model_validate(message)
    except ValidationError as refusal:
        for error in refusal.errors(include_url=False, include_input=False):
            yield from _faults(error["loc"], error["msg"], error.get("ctx", {}).get("error"))


def _faults(place: tuple[int | str, ...], sentence: str, error: object) -> list[Fault]:
    if isinstance(error, BrokenRulesError):
        return [Fault(_path((*place, field) if field else place), words) for field, words in error.faults]
    return [Fault(_path(place), str(error) if isinstance(error, ValueError) else sentence)]


def _path(place: tuple[int | str, ...]) -> str:
    """
    A place as a person writes it. The kind of a curve, which pydantic puts after it, is no part of it.

    >>> _path(("channels", 0, "curve", "custom", "segments", 1, "pct"))
    'channels[0].curve.segments[1].pct'
    """
    path = ""
    for before, part in zip(("", *place), place, strict=False):
        if isinstance(part, int):
            path += f"[{part}]"
        elif not (before == "curve" and part in CURVES):
            path += f".{part}" if path else part
    return path
