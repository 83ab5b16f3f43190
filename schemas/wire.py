"""
The two inputs as the worker reads them: msgspec Structs, a record batch at a time, exact from the literal digits.

    values ─▶ decode_updates ─▶ SpendUpdate ─▶ check_update ─▶ (event_time, spend, conversion_value) in integers
    value  ─▶ decode_plan ────▶ CampaignPlan, its amounts already in nanos
    value refused ─▶ explain_update, explain_plan ─▶ every fault, by name

The pydantic models are the contract; these Structs are derived from them and accept exactly what they accept, which
a generated corpus of good and bad messages holds them to. Refusing takes no reason here: reasons are made by the
models, imported when the first one is needed.

How decimals were made fast and exact (decode of a 330-byte update 0.9 µs, one core): a field of type `Decimal`
costs 0.4 µs more each and cannot tell the string "1e3", which is refused, from the number 1e3; a float has lost its
digits; `msgspec.Raw` costs as much as `Any` and then a copy. So the money of an update is `Any`, and a number with a
point or an exponent arrives as the bytes of its literal (`float_hook=str.encode`), which no JSON value can be
mistaken for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

import msgspec

from schemas import fields
from schemas.fields import CURRENCIES, NANOS, NESTING, minor_digits, nanos_of, parse_money, parse_time

if TYPE_CHECKING:
    from schemas.messages import Message

Kind = Literal["increment", "cumulative", "correction", "credit"]


class Fault(NamedTuple):
    """What is wrong with a message: the field (empty for the whole of it, as when it is no JSON) and a sentence."""

    field: str
    message: str


def within_sentence(text: str) -> str:
    """
    A library's message as the rest of a sentence; an abbreviation at its start keeps its capitals.

    >>> within_sentence("Expected `int`"), within_sentence("JSON is malformed")
    ('expected `int`', 'JSON is malformed')
    """
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


# -- spend updates ---------------------------------------------------------------------------------------------------

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=fields.ID_LENGTH)]
_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class SpendUpdate(msgspec.Struct, gc=False):
    """
    A spend update as it came, types checked; `check_update` checks the rest and gives its figures.

    None is absent. *kind* None is an increment. The order is that in which producers send the fields, since msgspec
    looks for the next one first.
    """

    event_id: _Id
    source: _Id
    campaign_id: _Id
    event_time: str
    channel: _Id | None = None
    deal_id: _Id | None = None
    line_item_id: _Id | None = None
    kind: Kind | None = None
    spend: Any = None
    """str, int, or bytes (the literal of another number); anything else is refused by `check_update`."""
    corrects: _Id | None = None
    sequence: _Int64 | None = None
    series: _Id | None = None
    currency: str | None = None
    impressions: _Int64 | None = None
    clicks: _Int64 | None = None
    conversions: _Int64 | None = None
    bids: _Int64 | None = None
    wins: _Int64 | None = None
    requests: _Int64 | None = None
    conversion_value: Any = None
    """As *spend*."""


Checked = tuple[int, int | None, int | None]
"""What an update comes to: event_time in nanoseconds since the epoch, spend and conversion_value in nanos."""

_UPDATE: Final = msgspec.json.Decoder(SpendUpdate, float_hook=str.encode)
_ANYTHING: Final = msgspec.json.Decoder(Any, float_hook=str.encode)
# Every way the decoder says no: its own errors and UnicodeDecodeError are ValueErrors; nesting ends in the other.
_UNREADABLE: Final = (ValueError, RecursionError)


def decode_updates(values: Sequence[bytes | None]) -> list[SpendUpdate | None]:
    """
    One entry for each value, in order: the update, or None where the value is none by its bytes or types.

    All are decoded in one call where that is certain to tell them apart; where it is not, or one of them is bad, one
    by one.
    """
    lines = _lines(values)
    if lines is not None:
        try:
            updates: list[SpendUpdate | None] = _UPDATE.decode_lines(lines)  # type: ignore[assignment]  # list is invariant
        except _UNREADABLE:
            updates = []
        if len(updates) == len(values):
            return updates
    return [decode_update(value) for value in values]


def _lines(values: Sequence[bytes | None]) -> bytes | None:
    """
    The values as lines the decoder may take in one call, None if some value needs a closer look.

    The decoder reads on over a newline and takes two objects in one line: a value cut in half and another with two
    objects in it would come out as the right number of wrong updates. `}` newline `{` is valid JSON only between two
    whole objects: if every value begins and ends so, each is at least one object, and the number of results tells
    that none is two.
    """
    try:
        lines = b"\n".join(values)  # type: ignore[arg-type]  # a None cannot be joined
    except TypeError:
        return None
    return lines if _are_objects(values, lines) and _is_utf8(lines) else None  # type: ignore[arg-type]  # no None is left


def _are_objects(values: Sequence[bytes], lines: bytes) -> bool:
    """Whether each value begins and ends as an object, and nothing in it is to be looked at closely."""
    edges = all(value[:1] == b"{" and value[-1:] == b"}" for value in values)
    return edges and _is_plain(lines, lines.count(b"{"), len(values))


def _is_plain(lines: bytes, objects: int, count: int) -> bool:
    """Whether no id can hold a NUL and no value can nest too deep, *objects* being begun."""
    if b"\\" in lines and b"\\u0000" in lines:
        return False
    return objects + (lines.count(b"[") if b"[" in lines else 0) < count + NESTING


def _is_utf8(data: bytes) -> bool:
    """Whether all of it is: the decoder does not look into the fields it skips."""
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            return False
    return True


def decode_update(value: bytes | None) -> SpendUpdate | None:
    """The update in *value*, None where it is none by its bytes or types."""
    try:
        update = _UPDATE.decode(_json(value))
    except _UNREADABLE:
        return None
    return update if all(map(_is_clean, _texts(update))) else None


def _texts(update: SpendUpdate) -> tuple[str | None, ...]:
    return (
        update.event_id,
        update.source,
        update.campaign_id,
        update.channel,
        update.deal_id,
        update.line_item_id,
        update.corrects,
        update.series,
    )


def _is_clean(text: str | None) -> bool:
    return text is None or "\0" not in text


def check_update(update: SpendUpdate) -> Checked | None:
    """
    The instant and the amounts of *update* where it keeps the rules of its kind, else None.

    An increment has spend and no negative figure, a credit spend that is not positive, a cumulative report spend and
    no negative count, a correction something to correct and at least one figure. Nobody else corrects.
    """
    spend, value = update.spend, update.conversion_value
    try:
        at = parse_time(update.event_time)
        if spend is not None and (spend := _amounts.get(given := spend)) is None:
            spend = nanos(given)
        if value is not None and (value := _amounts.get(given := value)) is None:
            value = nanos(given)
    except (ValueError, TypeError):  # TypeError: an array or object cannot be looked up
        return None
    currency = update.currency
    if currency is not None and currency not in CURRENCIES:
        return None
    kind = update.kind
    if kind is None or kind == "increment":
        kept = spend is not None and spend >= 0 and (value is None or value >= 0) and _counts_up(update)
    elif kind == "correction":
        return (at, spend, value) if update.corrects is not None and _has_figure(update) else None
    elif kind == "cumulative":
        kept = spend is not None and _counts_up(update)
    else:
        kept = spend is not None and spend <= 0
    return (at, spend, value) if kept and update.corrects is None else None


def _counts_up(update: SpendUpdate) -> bool:
    """Whether no count is negative; written out, since every increment passes here."""
    if (impressions := update.impressions) is not None and impressions < 0:
        return False
    if (clicks := update.clicks) is not None and clicks < 0:
        return False
    if (conversions := update.conversions) is not None and conversions < 0:
        return False
    if (bids := update.bids) is not None and bids < 0:
        return False
    if (wins := update.wins) is not None and wins < 0:
        return False
    return (requests := update.requests) is None or requests >= 0


def _has_figure(update: SpendUpdate) -> bool:
    figures = (
        update.spend,
        update.impressions,
        update.clicks,
        update.conversions,
        update.bids,
        update.wins,
        update.requests,
        update.conversion_value,
    )
    return any(figure is not None for figure in figures)


# Amounts of a few digits repeat: remembering them takes a third of the time of reading them. Longer ones do not, and
# would only push the others out of the processor's caches. When full, it stays as it is.
_MEMORY: Final = 16_384
_MEMORABLE: Final = 6
_amounts: dict[str, int] = {}
_literals: dict[bytes, int] = {}


def nanos(amount: object) -> int:
    """
    The nanos of an update's money as the decoder left it: str, int, or bytes for another number.

    >>> nanos("1.50"), nanos(2), nanos(b"1e-3")
    (1500000000, 2000000000, 1000000)

    Raises ValueError with a sentence for a person.
    """
    if type(amount) is str:
        found = parse_money(amount, number=False)
        if len(amount) <= _MEMORABLE and len(_amounts) < _MEMORY:
            _amounts[amount] = found
        return found
    if type(amount) is bytes and len(amount) <= _MEMORABLE:
        if amount not in _literals and len(_literals) < _MEMORY:
            _literals[amount] = nanos_of(amount)
        return _literals.get(amount) or nanos_of(amount)
    return nanos_of(amount)


# -- plans -----------------------------------------------------------------------------------------------------------


class Id(str):
    """1 to 256 characters that can be stored."""

    __slots__ = ()


class Text(str):
    """Free text that can be stored."""

    __slots__ = ()


class Currency(str):
    """A code of ISO 4217 with a minor unit."""

    __slots__ = ()


class Zone(str):
    """A name of the IANA time zone database."""

    __slots__ = ()


class Moment(str):
    """An RFC 3339 time or a date; `fields.start_of` and `fields.end_of` make it an instant in the plan's zone."""

    __slots__ = ()


class Instant(int):
    """An RFC 3339 time, in nanoseconds since the epoch."""


class Budget(int):
    """Money greater than 0, in nanos."""


class Amount(int):
    """Money or another decimal of at least 0, in nanos."""


class Percent(int):
    """A percentage from 0 to 100, in nanos of one percent."""


class Part(int):
    """A percentage greater than 0, up to 100, in nanos of one percent."""


class Factor(int):
    """A factor greater than 0, up to 1, in nanos."""


_Ticks = Annotated[int, msgspec.Meta(ge=1, le=fields.MOST_TICKS)]
_Days = Annotated[int, msgspec.Meta(ge=0, le=fields.MOST_DAYS)]
_Minutes = Annotated[int, msgspec.Meta(ge=0, le=fields.MOST_MINUTES)]


class Segment(msgspec.Struct):
    """A piece of a custom curve, from *start* to the next one's: an amount or a percentage, one of the two."""

    start: Moment
    amount: Amount | None = None
    pct: Percent | None = None

    def __post_init__(self) -> None:
        """Refuse both and neither."""
        if (self.amount is None) == (self.pct is None):
            raise ValueError("a segment has either an amount or a pct")


class LinearCurve(msgspec.Struct, tag_field="kind", tag="linear"):
    """Even over the flight."""


class FrontLoadedCurve(msgspec.Struct, tag_field="kind", tag="front_loaded"):
    """C(u) = u + f·u·(1-u)."""

    factor: Factor


class BackLoadedCurve(msgspec.Struct, tag_field="kind", tag="back_loaded"):
    """C(u) = u - f·u·(1-u)."""

    factor: Factor


class FinishEarlyCurve(msgspec.Struct, tag_field="kind", tag="finish_early"):
    """All is spent when this percentage of the flight has elapsed."""

    full_spend_at_pct: Part


class CustomCurve(msgspec.Struct, tag_field="kind", tag="custom"):
    """Linear within each segment."""

    segments: Annotated[list[Segment], msgspec.Meta(min_length=1, max_length=fields.MOST_PIECES)]


Curve = LinearCurve | FrontLoadedCurve | BackLoadedCurve | FinishEarlyCurve | CustomCurve


class Blackout(msgspec.Struct):
    """[start, end) in which no spend is planned; a date as its end includes the day."""

    start: Moment
    end: Moment


class Channel(msgspec.Struct):
    """A channel's share of the budget."""

    channel: Id
    allocated_budget: Amount
    min_budget: Amount | None = None
    curve: Curve | None = None


class Deal(msgspec.Struct):
    """A deal's share, of its channel's budget where it names one."""

    deal_id: Id
    allocated_budget: Amount
    channel: Id | None = None
    flight_start: Moment | None = None
    flight_end: Moment | None = None


class Thresholds(msgspec.Struct):
    """When a deviation opens and closes; percentages and the ratio in nanos."""

    underpacing_warning_pct: Amount = Amount(10 * NANOS)
    underpacing_critical_pct: Amount = Amount(25 * NANOS)
    overpacing_warning_pct: Amount = Amount(10 * NANOS)
    overpacing_critical_pct: Amount = Amount(25 * NANOS)
    exit_ratio: Factor = Factor(8 * NANOS // 10)
    enter_ticks: _Ticks = 1
    exit_ticks: _Ticks = 1
    grace_days: _Days = 0
    min_expected: Amount = Amount(0)
    feed_lag_minutes: _Minutes = 0


class Reallocation(msgspec.Struct):
    """What a proposal may move: money and percent in nanos."""

    min_amount: Amount = Amount(100 * NANOS)
    max_pct: Percent = Percent(30 * NANOS)
    mode: Literal["to_date", "forward"] = "to_date"
    receive: Literal["overpacing", "efficiency", "projected_need"] = "overpacing"


class CampaignPlan(msgspec.Struct):
    """A plan that is well formed, defaults filled in: null in a message is absent. Whether it can hold is not asked."""

    campaign_id: Id
    account_id: Id
    currency: Currency
    total_budget: Budget
    flight_start: Moment
    flight_end: Moment
    name: Text | None = None
    timezone: Zone = Zone("UTC")
    period: Literal["flight", "weekly", "monthly", "quarterly"] = "flight"
    rollover: Literal["none", "carry_underspend"] = "none"
    curve: Curve = msgspec.field(default_factory=LinearCurve)
    weekday_weights: Annotated[list[Amount], msgspec.Meta(min_length=7, max_length=7)] | None = None
    hour_weights: Annotated[list[Amount], msgspec.Meta(min_length=24, max_length=24)] | None = None
    blackouts: Annotated[list[Blackout], msgspec.Meta(max_length=fields.MOST_PIECES)] = []
    channels: list[Channel] = []
    deals: list[Deal] = []
    thresholds: Thresholds = msgspec.field(default_factory=Thresholds)
    signals: dict[str, bool] = {}
    reallocation: Reallocation = msgspec.field(default_factory=Reallocation)
    daily_budget: Budget | None = None
    platform: Id | None = None
    automation: Literal["insight_only", "recommendations", "semi_automated", "fully_automated"] = "recommendations"
    budget_change_policy: Literal["forward", "reflow", "rebase"] = "forward"
    status: Literal["active", "paused", "completed", "canceled"] = "active"
    partial_period: Literal["full", "prorated"] = "full"
    effective_at: Instant | None = None
    projection: Literal["run_rate", "trailing_7d", "seasonal"] = "run_rate"


class AccountPlan(msgspec.Struct):
    """An account's own cap that is well formed, defaults filled in."""

    account_id: Id
    currency: Currency
    total_budget: Budget
    flight_start: Moment
    flight_end: Moment
    timezone: Zone = Zone("UTC")
    period: Literal["flight", "weekly", "monthly", "quarterly"] = "flight"
    thresholds: Thresholds = msgspec.field(default_factory=Thresholds)
    signals: dict[str, bool] = {}


def decode_account_plan(value: bytes | None) -> AccountPlan | None:
    """The account plan in *value*, None where it is not well formed."""
    try:
        return msgspec.convert(read_json(value), AccountPlan, dec_hook=_read_field)
    except _UNREADABLE:
        return None


def decode_plan(value: bytes | None) -> CampaignPlan | None:
    """The plan in *value*, None where it is not well formed."""
    try:
        return msgspec.convert(read_json(value), CampaignPlan, dec_hook=_read_field)
    except _UNREADABLE:
        return None


_STAND_INS: Final = {"campaign_id": "?", "account_id": "?", "currency": "USD", "total_budget": 10**12 - 1}
"""Required fields that say nothing about the others as long as they are well formed."""


def decode_plan_without(value: bytes | None, faulty: AbstractSet[str]) -> CampaignPlan | None:
    """
    The plan in *value* as if its *faulty* top-level fields were harmless, so that the rest can be judged as well.

    None where a fault leaves nothing to judge: no JSON object, or no flight.
    """
    if not faulty or not faulty.isdisjoint(("", "flight_start", "flight_end")):
        return None
    # Deals name channels: the one is not judged without the other.
    dropped = {*faulty, "channels", "deals"} if not faulty.isdisjoint(("channels", "deals")) else set(faulty)
    try:
        message = {name: held for name, held in read_json(value).items() if name not in dropped}
        stand_ins = {name: held for name, held in _STAND_INS.items() if name in dropped}
        return msgspec.convert({**message, **stand_ins}, CampaignPlan, dec_hook=_read_field)
    except _UNREADABLE:
        return None


def _read_field(kind: type, value: object) -> object:
    return _READERS[kind](value)


def _read_id(value: object) -> Id:
    return Id(_kept(value, fields.is_id))


def _read_text(value: object) -> Text:
    return Text(_kept(value, fields.is_text))


def _read_currency(value: object) -> Currency:
    return Currency(_kept(value, lambda text: minor_digits(text) is not None))


def _read_zone(value: object) -> Zone:
    return Zone(_kept(value, lambda text: fields.zone_of(text) is not None))


def _read_moment(value: object) -> Moment:
    return Moment(_kept(value, fields.is_moment))


def _read_instant(value: object) -> Instant:
    return Instant(parse_time(_kept(value, lambda _: True)))


def _kept(value: object, is_good: Callable[[str], bool]) -> str:
    if type(value) is not str or not is_good(value):
        raise ValueError
    return value


_READERS: Final[dict[type, Callable[[object], object]]] = {
    Id: _read_id,
    Text: _read_text,
    Currency: _read_currency,
    Zone: _read_zone,
    Moment: _read_moment,
    Instant: _read_instant,
    Budget: lambda value: Budget(fields.read_decimal(value, fields.BUDGET)),
    Amount: lambda value: Amount(fields.read_decimal(value, fields.AMOUNT)),
    Percent: lambda value: Percent(fields.read_decimal(value, fields.PERCENT)),
    Part: lambda value: Part(fields.read_decimal(value, fields.PART)),
    Factor: lambda value: Factor(fields.read_decimal(value, fields.FACTOR)),
}


# -- JSON ------------------------------------------------------------------------------------------------------------

_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|([\[{])|([\]}])', re.DOTALL)
_NUMBERS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?', re.DOTALL)
_LONG_NUMBER: Final = 300


def read_json(value: bytes | None) -> Any:
    """
    What *value* holds, without its null members; a number with a point or an exponent as the bytes of its literal.

    Raises ValueError for what is not UTF-8 JSON, or nested deeper than `NESTING`.
    """
    return _without_nulls(_ANYTHING.decode(_NUMBERS.sub(_no_longer, _json(value))))


def _no_longer(token: re.Match[bytes]) -> bytes:
    """
    The token, or for a number of hundreds of digits one that is as far out of every range.

    The decoder makes no integer of thousands of digits: it would say of a whole message that it is no JSON where the
    Struct, which skips fields it does not know, finds nothing wrong.
    """
    text = token.group()
    return b"1e999" if len(text) > _LONG_NUMBER and not text.startswith(b'"') else text


def _json(value: bytes | None) -> bytes:
    """*value*, if the decoder may be trusted with it: it skips bad UTF-8 in unknown fields, and recurses."""
    if value is None:
        raise ValueError("there is no value")
    if not value.isascii():
        value.decode()
    if value.count(b"{") + value.count(b"[") > NESTING and _depth(value) > NESTING:
        raise ValueError(f"nested deeper than {NESTING}")
    return value


def _depth(value: bytes) -> int:
    """How deep the brackets outside strings nest at most."""
    deepest = depth = 0
    for match in _BRACKETS.finditer(value):
        depth += (match.group(1) is not None) - (match.group(2) is not None)
        deepest = max(deepest, depth)
    return deepest


def _without_nulls(value: Any) -> Any:
    """Null in a message is the same as absent, at every level; in an array it stays, and is refused there."""
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


# -- explanations ----------------------------------------------------------------------------------------------------


_TWICE: Final = Fault("", "a member is there twice, and not well formed each time")


def explain_update(value: bytes | None) -> tuple[Fault, ...]:
    """Every fault of form of a spend update; none if it is accepted. Imports pydantic."""
    from schemas.spend_update import SpendUpdate as Model

    update = decode_update(value)
    accepted = update is not None and check_update(update) is not None
    # The model sees the last of two members of one name, as JSON readers do; the decoder looks at both.
    return () if accepted else _explain(value, Model) or (_TWICE,)


def explain_plan(value: bytes | None) -> tuple[Fault, ...]:
    """Every fault of form of a plan; none if it is well formed. Imports pydantic."""
    from schemas.campaign_plan import CampaignPlan as Model

    return _explain(value, Model)


def explain_account_plan(value: bytes | None) -> tuple[Fault, ...]:
    """Every fault of form of an account plan; none if it is well formed. Imports pydantic."""
    from schemas.account_plan import AccountPlan as Model

    return _explain(value, Model)


def _explain(value: bytes | None, model: type[Message]) -> tuple[Fault, ...]:
    from schemas.messages import faults_of

    try:
        message = read_json(value)
    except _UNREADABLE as error:
        return (Fault("", f"not UTF-8 JSON: {error}"),)
    return tuple(faults_of(model, message))
