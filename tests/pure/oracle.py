"""
The oracle: what the worker must tell, worked out again from the raw messages with fractions.

It shares no code with the product. It takes plans and spend updates as the plain dicts that JSON gives (numbers read
with `parse_float=Decimal` where they matter), keeps every update it was ever given, and at each tick recomputes
everything from the whole of them: which are accepted, what counts when, what was expected, which deviations are open.
So it is slow, and as close to the contract's sentences as code gets.

    oracle = Oracle("summer-26")
    oracle.plan({...}, counts_from=None)          # a version; None: the first one
    oracle.feed({...}, {...})                     # updates, in the order of their offsets
    events = oracle.tick("2026-07-02T00:00:00Z")  # [(kind, figures), ...]

An event's figures are its body without what is not a figure: ids, sentences, the position. `figures_of(body)` takes
the same from an event of the product, so that the two compare with `==`.

Rules in brackets are the contract's.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from tests.pure import oracle_series as series

Json = dict[str, Any]
Told = tuple[str, Json]

ZERO = Fraction(0)
DAY = Fraction(86_400)
FIGURES = ("spend", "impressions", "clicks", "conversions", "bids", "wins", "requests", "conversion_value")
NOT_FIGURES = {
    "event_id",
    "event_type",
    "snapshot_id",
    "alert_id",
    "recommendation_id",
    "supersedes",
    "recommendations",
    "message",
    "ledger_position",
}
NOT_EVIDENCE = {"rule", "rule_read"}  # fmt: skip
DECIMALS = {"JPY": 0, "KWD": 3, "BHD": 3}

Totals = dict[tuple[str | None, str | None], dict[str, Fraction]]
Added = tuple[Fraction, Fraction, Fraction, Fraction | None]


def figures_of(body: Json) -> Json:
    """The figures in an event of the product: what the oracle can know of it."""
    figures = {name: value for name, value in body.items() if name not in NOT_FIGURES}
    if body["event_type"] == "pacing.reallocation_recommended":
        del figures["reason"]
        figures["superseded"] = body["supersedes"] is not None
    if body["event_type"] == "pacing.snapshot_taken":
        figures["proposals"] = len(body["recommendations"])
        figures["falls_back"] = figures.pop("projection_reason") is not None
    if "evidence" in figures:
        figures["evidence"] = {name: value for name, value in figures["evidence"].items() if name not in NOT_EVIDENCE}
    return figures


# -- reading ----------------------------------------------------------------------------------------------------------


def exact(value: object) -> Fraction:
    """A money or a number as JSON gives it."""
    return Fraction(str(value))


@lru_cache(maxsize=100_000)
def instant(text: str) -> Fraction:
    """Seconds since the epoch of an RFC 3339 time, exact to any number of decimals."""
    match = re.fullmatch(r"(.{10})[Tt](.{8})(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text)
    assert match, text
    day, clock, fraction, offset = match.groups()
    whole = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if offset in 'Zz' else offset}")
    return Fraction(int(whole.timestamp())) + (Fraction("0" + fraction) if fraction else 0)


def text_of(at: Fraction) -> str:
    """The time in UTC, with the decimals it needs."""
    whole = at.numerator // at.denominator
    nanos = round((at - whole) * 10**9)
    day = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=whole)  # noqa: UP017  # the oracle's own way
    return day.strftime("%Y-%m-%dT%H:%M:%S") + (f".{nanos:09d}".rstrip("0") if nanos else "") + "Z"


@lru_cache(maxsize=10_000)
def day_begins(day: date, zone: str) -> Fraction:
    """The first instant at which the local calendar shows the day, or a later one; found by looking, to the second."""
    tz = ZoneInfo(zone)

    def has_begun(second: int) -> bool:
        return datetime.fromtimestamp(second, tz).date() >= day

    late = int(datetime(day.year, day.month, day.day, tzinfo=timezone.utc).timestamp()) - 16 * 3600  # noqa: UP017
    while not has_begun(late):
        late += 60
    early = late - 60
    while late - early > 1:
        middle = (early + late) // 2
        early, late = (early, middle) if has_begun(middle) else (middle, late)
    return Fraction(late)


def edge(text: str, zone: str, *, is_end: bool) -> Fraction:
    """A flight's start or end: a date means local midnight, and as an end includes its day."""
    if "T" in text.upper():
        return instant(text)
    day = date.fromisoformat(text)
    return day_begins(day + timedelta(days=1) if is_end else day, zone)


def get(message: Json, name: str, default: Any) -> Any:
    """A field; null is absent."""
    value = message.get(name)
    return default if value is None else value


# -- printing ---------------------------------------------------------------------------------------------------------


def money(value: Fraction, currency: str) -> str:
    """An amount that was fed: exact, with at least the currency's decimals."""
    decimals = DECIMALS.get(currency, 2)
    while (value * 10**decimals).denominator != 1:
        decimals += 1
    return f"{Decimal(int(value * 10**decimals)).scaleb(-decimals):.{decimals}f}"


def derived(value: Fraction, currency: str) -> str:
    """A derived amount, rounded half-even to the minor unit (round() of a Fraction is half-even)."""
    decimals = DECIMALS.get(currency, 2)
    return money(Fraction(round(value * 10**decimals), 10**decimals), currency)


def amount(value: Fraction, currency: str) -> str:
    """A budget, or what is left of one: exact where it is a whole number of nanos, else derived."""
    return money(value, currency) if (value * 10**9).denominator == 1 else derived(value, currency)


def number(value: Fraction, decimals: int) -> float | Decimal:
    """Rounded half-even; a Decimal where a float would not print every digit."""
    count = round(value * 10**decimals)
    return count / 10**decimals if abs(count) < 10**14 else Decimal(count).scaleb(-decimals)


def pct(value: Fraction | None) -> float | Decimal | None:
    return None if value is None else number(value * 100, 2)


def four(num: Fraction, den: Fraction) -> float | Decimal | None:
    return number(num / den, 4) if den > 0 else None


# -- plans ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scope:
    """A campaign, a channel or a deal as one version of the plan has it."""

    scope: str
    scope_id: str
    budget: Fraction
    start: Fraction
    end: Fraction
    channel: str | None = None
    minimum: Fraction = ZERO
    curve: Curve = ("linear",)
    is_fed: bool = True
    """Whether its budget is one of the plan, with what was carried, and no part of it."""

    def told_budget(self, currency: str) -> str:
        """As it was fed, else derived."""
        return (amount if self.is_fed else derived)(self.budget, currency)


Curve = tuple[Any, ...]
"""A curve as what it means: its kind, then f, p, or the instants and shares of its segments."""


def curve_of(raw: Json | None, zone: str, start: Fraction, end: Fraction) -> Curve | None:
    """The curve of a message, the same for the same course however it is told."""
    match raw:
        case None:
            return None
        case {"kind": "front_loaded" | "back_loaded" as kind, "factor": factor}:
            return "loaded", exact(factor) * (1 if kind == "front_loaded" else -1)
        case {"kind": "finish_early", "full_spend_at_pct": part}:
            return ("finish_early", exact(part) / 100) if exact(part) < 100 else ("linear",)
        case {"kind": "custom", "segments": segments}:
            money = [exact(get(segment, "pct", None) or get(segment, "amount", 0)) for segment in segments]
            starts = [edge(segment["start"], zone, is_end=False) for segment in segments]
            return "custom", start, end, tuple(starts), tuple(amount / sum(money) for amount in money)
    return ("linear",)


class Density:
    """
    The density of a version's calendar, by adding up quarters of an hour over a stretch of time.

    Clocks are changed on quarters of an hour (a test's zones and years are chosen so), blackouts cut them further.
    """

    def __init__(self, version: Version, start: Fraction, end: Fraction) -> None:
        self.zone = version.get("timezone", "UTC")
        self.weekdays = version.get("weekday_weights", None)
        self.hours = version.get("hour_weights", None)
        self.dark = [
            (edge(raw["start"], self.zone, is_end=False), edge(raw["end"], self.zone, is_end=True))
            for raw in version.get("blackouts", [])
        ]
        edges = {instant for pair in self.dark for instant in pair if start < instant < end} | {start, end}
        if self.weekdays is not None or self.hours is not None:
            edges |= {max(start, Fraction(quarter)) for quarter in range(int(start // 900 * 900), ceil(end), 900)}
        self.edges = sorted(edges)
        self.sums = [ZERO]
        for left, right in pairwise(self.edges):
            self.sums.append(self.sums[-1] + self.at(left) * (right - left))

    def at(self, instant: Fraction) -> Fraction:
        """w(t), the same until the next quarter of an hour or edge of a blackout."""
        if any(begins <= instant < ends for begins, ends in self.dark):
            return ZERO
        if self.weekdays is None and self.hours is None:
            return Fraction(1)
        day = self.day_of(instant)
        weekday = exact((self.weekdays or [1] * 7)[day.weekday()])
        whole = self.whole(day)
        if whole == 0:
            return weekday / (day_begins(day + timedelta(days=1), self.zone) - day_begins(day, self.zone))
        return weekday * self.weight_of(instant) / whole

    def day_of(self, instant: Fraction) -> date:
        shown = datetime.fromtimestamp(int(instant // 1), ZoneInfo(self.zone)).date()
        following = shown + timedelta(days=1)
        return following if day_begins(following, self.zone) <= instant else shown

    def weight_of(self, instant: Fraction) -> Fraction:
        return exact((self.hours or [1] * 24)[datetime.fromtimestamp(int(instant // 1), ZoneInfo(self.zone)).hour])

    def whole(self, day: date) -> Fraction:
        """The weights of a local day's hours, each as often as the day has it."""
        if day not in self.wholes:
            at, end = day_begins(day, self.zone), day_begins(day + timedelta(days=1), self.zone)
            whole = ZERO
            while at < end:
                until = min(end, Fraction(at // 900 * 900 + 900))
                whole, at = whole + self.weight_of(at) * (until - at), until
            self.wholes[day] = whole
        return self.wholes[day]

    @cached_property
    def wholes(self) -> dict[date, Fraction]:
        return {}

    def until(self, instant: Fraction) -> Fraction:
        """The integral from the start of the stretch."""
        place = bisect_right(self.edges, instant) - 1
        if place < 0:
            return ZERO
        if place == len(self.edges) - 1:
            return self.sums[-1]
        return self.sums[place] + self.at(self.edges[place]) * (instant - self.edges[place])

    def meaning(self) -> tuple[Any, ...]:
        """The same for the same density."""
        weights = tuple(
            None if each is None else tuple(exact(weight) / sum(map(exact, each)) for weight in each)
            for each in (self.weekdays, self.hours)
        )
        instants = sorted({instant for pair in self.dark for instant in pair})
        merged: list[tuple[Fraction, Fraction]] = []
        for left, right in pairwise(instants):
            if any(begins <= left and right <= ends for begins, ends in self.dark):
                begins = merged.pop()[0] if merged and merged[-1][1] == left else left
                merged.append((begins, right))
        return (self.zone if weights != (None, None) else None, weights, tuple(merged))


@dataclass(frozen=True)
class Version:
    """One accepted version of the plan."""

    raw: Json
    number: int
    since: Fraction | None

    def get(self, name: str, default: Any) -> Any:
        return get(self.raw, name, default)

    @property
    def currency(self) -> str:
        return str(self.raw["currency"])

    @cached_property
    def scopes(self) -> list[Scope]:
        """The campaign, its channels and its deals."""
        zone = self.get("timezone", "UTC")
        start = edge(self.raw["flight_start"], zone, is_end=False)
        end = edge(self.raw["flight_end"], zone, is_end=True)
        curve = curve_of(self.get("curve", None), zone, start, end) or ("linear",)
        scopes = [Scope("campaign", self.raw["campaign_id"], exact(self.raw["total_budget"]), start, end, curve=curve)]
        curves = {}
        for raw in self.get("channels", []):
            minimum = exact(get(raw, "min_budget", 0))
            budget = exact(raw["allocated_budget"])
            own = curves[raw["channel"]] = curve_of(get(raw, "curve", None), zone, start, end) or curve
            scopes.append(Scope("channel", raw["channel"], budget, start, end, minimum=minimum, curve=own))
        for raw in self.get("deals", []):
            own_start, own_end = get(raw, "flight_start", None), get(raw, "flight_end", None)
            scopes.append(
                Scope(
                    "deal",
                    raw["deal_id"],
                    exact(raw["allocated_budget"]),
                    start if own_start is None else edge(own_start, zone, is_end=False),
                    end if own_end is None else edge(own_end, zone, is_end=True),
                    get(raw, "channel", None),
                    curve=curves.get(get(raw, "channel", None), curve),
                )
            )
        return scopes

    @cached_property
    def density(self) -> Density:
        flights = [(scope.start, scope.end) for scope in self.scopes]
        return Density(self, min(start for start, _ in flights), max(end for _, end in flights))

    @cached_property
    def activity(self) -> dict[bool, Density]:
        """The density that gives each local day with planned time the weight 1, without its hours and with them."""
        weekdays = [int(exact(weight) > 0) for weight in self.get("weekday_weights", [1] * 7)]
        start, end = self.density.edges[0], self.density.edges[-1]
        plain = {**self.raw, "weekday_weights": weekdays, "hour_weights": None}
        shaped = {**plain, "hour_weights": self.get("hour_weights", None)}
        return {
            by_hour: Density(Version(raw, 0, None), start, end) for by_hour, raw in ((False, plain), (True, shaped))
        }

    @property
    def recurs(self) -> str | None:
        """The period of a recurring budget."""
        period: str = self.get("period", "flight")
        return None if period == "flight" else period

    @cached_property
    def edges(self) -> list[Fraction]:
        """Where calendar periods begin, from the one that holds the flight's start to the one after its end [4]."""
        zone, flight = self.get("timezone", "UTC"), self.scopes[0]
        day = datetime.fromtimestamp(int(flight.start), ZoneInfo(zone)).date() - timedelta(days=100)
        edges: list[Fraction] = []
        while not edges or edges[-1] < flight.end:
            starts = {
                "weekly": day.isoweekday() == 1,
                "monthly": day.day == 1,
                "quarterly": (day.month, day.day) in {(1, 1), (4, 1), (7, 1), (10, 1)},
            }
            if starts[self.recurs or "monthly"]:
                edges.append(day_begins(day, zone))
            day += timedelta(days=1)
        return [
            *[edge for edge in edges if edge <= flight.start][-1:],
            *[edge for edge in edges if edge > flight.start],
        ]

    def window(self, at: Fraction) -> tuple[Fraction, Fraction, Fraction]:
        """The window that holds an instant: its start, its end, and what part of the period's budget it has."""
        flight = self.scopes[0]
        if self.recurs is None:
            return flight.start, flight.end, Fraction(1)
        periods = [(left, right) for left, right in pairwise(self.edges) if left < flight.end]
        left, right = next(((left, right) for left, right in periods if at < right), periods[-1])
        start, end = max(left, flight.start), min(right, flight.end)
        is_prorated = self.get("partial_period", "full") == "prorated"
        return start, end, (end - start) / (right - left) if is_prorated else Fraction(1)

    def carries(self) -> bool:
        return self.recurs is not None and bool(self.get("rollover", "none") == "carry_underspend")

    def budgeted(self, window: tuple[Fraction, Fraction, Fraction], carried: Fraction) -> list[Scope]:
        """The scopes with their flights cut by the window, and their budgets scaled as the campaign's is."""
        if self.recurs is None:
            return self.scopes
        start, end, share = window
        factor = share + (carried / self.scopes[0].budget if self.carries() else 0)
        return [
            replace(
                scope,
                budget=scope.budget * factor,
                is_fed=share == 1,
                minimum=scope.minimum * factor,
                start=min(max(scope.start, start), end),
                end=min(max(scope.end, start), end),
            )
            for scope in self.scopes
        ]

    def share(self, scope: Scope, at: Fraction) -> Fraction:
        """C(t) of a scope: the curve bends u, the elapsed share of the density over the scope's flight [2, 3]."""
        return bent(scope.curve, self.density, self.elapsed(scope.start, scope.end, at))

    def elapsed(self, start: Fraction, end: Fraction, at: Fraction) -> Fraction:
        past, from_, to = (self.density.until(max(start, min(end, instant))) for instant in (at, start, end))
        return (past - from_) / (to - from_) if to > from_ else ZERO

    def course(self, scope: Scope) -> tuple[Any, ...]:
        """What bends the expected curve when it changes."""
        return scope.budget, scope.start, scope.end, scope.curve, self.density.meaning()

    def threshold(self, name: str) -> Fraction:
        defaults = {
            "underpacing_warning_pct": 10, "underpacing_critical_pct": 25, "overpacing_warning_pct": 10,
            "overpacing_critical_pct": 25, "exit_ratio": "0.8", "enter_ticks": 1, "exit_ticks": 1, "grace_days": 0,
            "min_expected": 0, "feed_lag_minutes": 0,
        }  # fmt: skip
        return exact(get(self.get("thresholds", {}), name, defaults[name]))

    def begins(self) -> Fraction:
        """From when it counts; the first from what it says, else from ever."""
        says = self.get("effective_at", None)
        if self.since is not None:
            return self.since
        return Fraction(-(10**12)) if says is None else instant(says)

    def wants(self, kind: str) -> bool:
        return bool(get(self.get("signals", {}), kind, True))


def bent(curve: Curve, density: Density, u: Fraction) -> Fraction:
    """C(u)."""
    match curve:
        case ("loaded", Fraction() as f):
            return u + f * u * (1 - u)
        case ("finish_early", Fraction() as p):
            return min(u / p, Fraction(1))
        case ("custom", start, end, starts, shares):
            first, whole = density.until(start), density.until(end) - density.until(start)
            marks = [(density.until(at) - first) / whole for at in (*starts, end)]
            reached = ZERO
            for left, right, share in zip(marks, marks[1:], shares, strict=False):
                if u >= right:
                    reached += share
                elif u > left:
                    reached += share * (u - left) / (right - left)
            return reached
    return u


# -- the ledger, by rules 7 to 9 ---------------------------------------------------------------------------------------


def identity(update: Json) -> tuple[str, str]:
    return update["source"], update["event_id"]


NAMES = ("event_id", "source", "campaign_id", "channel", "deal_id", "line_item_id", "corrects", "series", "currency")
COUNTS = ("sequence", "impressions", "clicks", "conversions", "bids", "wins", "requests")


def meaning(update: Json) -> Json:
    """The known fields after parsing: "1.0" and 1 are the same."""
    parsed: Json = {name: update[name] for name in NAMES + COUNTS if update.get(name) is not None}
    parsed["event_time"] = instant(update["event_time"])
    parsed["kind"] = get(update, "kind", "increment")
    for name in ("spend", "conversion_value"):
        if update.get(name) is not None:
            parsed[name] = exact(update[name])
    return parsed


@dataclass(frozen=True)
class Fed:
    """An update as it came; *held*: before any plan of its campaign."""

    update: Json
    held: bool


@dataclass
class Accepted:
    """What of the updates is accepted, and the cases of the others."""

    updates: list[Json] = field(default_factory=list)
    conflicts: int = 0
    foreign: list[Json] = field(default_factory=list)
    memory: dict[tuple[Fraction, bool], Totals] = field(default_factory=dict)

    def by(self, as_of: Fraction, *, inclusive: bool = True) -> Totals:
        """The totals of what is dated up to *as_of* (before it, if not *inclusive*)."""
        key = as_of, inclusive
        if key not in self.memory:
            self.memory[key] = by(self.updates, as_of, inclusive=inclusive)
        return self.memory[key]


def accept(fed: Iterable[Fed], currency: str) -> Accepted:
    """
    Each identity once: the first stands, the same again is ignored, another body is a conflict.

    Under a plan another currency is refused; what was held before it came keeps its identity and stays out.
    """
    seen: dict[tuple[str, str], Json] = {}
    accepted = Accepted()
    for one in fed:
        parsed = meaning(one.update)
        foreign = parsed.get("currency", currency) != currency
        if foreign and not one.held:
            continue
        first = seen.setdefault(identity(parsed), parsed)
        if first is not parsed:
            accepted.conflicts += first != parsed
        elif foreign:
            accepted.foreign.append(parsed)
        else:
            accepted.updates.append(parsed)
    return accepted


def newest(report: Json) -> tuple[bool, int, Fraction, str]:
    """Which of several reports or corrections wins: those with a sequence, the highest, the latest, the greater id."""
    sequence = report.get("sequence")
    return sequence is not None, sequence or 0, report["event_time"], report["event_id"]


def by(updates: list[Json], as_of: Fraction, *, inclusive: bool = True) -> Totals:
    """The totals by attribution of what is dated up to *as_of* (before it, if not *inclusive*)."""

    def counts(update: Json) -> bool:
        at: Fraction = update["event_time"]
        return at <= as_of if inclusive else at < as_of

    totals: Totals = {}
    for update, name, value in (*single_figures(updates, counts), *series_figures(updates, counts)):
        key = update.get("channel"), update.get("deal_id")
        totals.setdefault(key, dict.fromkeys(FIGURES, ZERO))[name] += exact(value)
    return totals


Counts = Callable[[Json], bool]
Figure = tuple[Json, str, Any]


def single_figures(updates: list[Json], counts: Counts) -> Iterator[Figure]:
    """What increments and credits count, as corrected."""
    for update in updates:
        if update["kind"] in ("increment", "credit") and counts(update):
            yield from ((update, name, value) for name, value in corrected(update, updates).items())


def series_figures(updates: list[Json], counts: Counts) -> Iterator[Figure]:
    """What cumulative reports count: of each figure the newest report that tells it."""
    for reports in series_of(updates):
        for name in FIGURES:
            told = [report for report in reports if name in report and counts(report)]
            if told:
                winner = max(told, key=newest)
                yield winner, name, winner[name]


def corrected(update: Json, updates: list[Json]) -> Json:
    """The figures of an update with its winning correction's in their place [7]."""
    corrections = [
        other
        for other in updates
        if other["kind"] == "correction" and (other["source"], other["corrects"]) == identity(update)
    ]
    figures = {name: update[name] for name in FIGURES if name in update}
    if corrections:
        winner = max(corrections, key=newest)
        figures |= {name: winner[name] for name in FIGURES if name in winner}
    return figures


def series_of(updates: list[Json]) -> list[list[Json]]:
    """The cumulative reports by what they are a running total of [8]."""
    series: dict[tuple[Any, ...], list[Json]] = {}
    for update in updates:
        if update["kind"] == "cumulative":
            key = tuple(update.get(name) for name in ("source", "channel", "deal_id", "line_item_id", "series"))
            series.setdefault(key, []).append(update)
    return list(series.values())


def figures_for(totals: Totals, version: Version, scope: str, scope_id: str) -> dict[str, Fraction]:
    """The figures of one scope; a deal's spend without a channel counts for the deal's channel [9]."""
    homes = {deal["deal_id"]: get(deal, "channel", None) for deal in version.get("deals", [])}
    total = dict.fromkeys(FIGURES, ZERO)
    for (channel, deal_id), figures in totals.items():
        home = homes.get(deal_id) if channel is None else channel
        if scope == "campaign" or scope_id == {"channel": home, "deal": deal_id}[scope]:
            for name in FIGURES:
                total[name] += figures[name]
    return total


# -- one campaign, tick by tick ----------------------------------------------------------------------------------------


@dataclass
class Judged:
    """What one complete tick saw of a scope's deviation; *value* None where nothing was expected."""

    value: Fraction | None
    may_open: bool
    version: Version


@dataclass
class Life:
    """The ticks of one scope since it was first judged, and what is open of it."""

    ticks: list[Judged] = field(default_factory=list)
    direction: str | None = None
    level: str = "warning"
    since: int = 0
    """How many ticks there were when the level was entered."""


class Oracle:
    """Everything known of one campaign. Times are RFC 3339 texts."""

    def __init__(self, campaign_id: str, *, series: bool = True) -> None:
        self.campaign_id = campaign_id
        self.series = series
        """Whether hours and days are looked at."""
        self.versions: list[Version] = []
        self.accepted = 0
        self.ended = False
        self.updates: list[Fed] = []
        self.known = 0
        """How many of the updates the last tick knew."""
        self.taken: Fraction | None = None
        self.lives: dict[tuple[str, str], Life] = {}
        self.alerts: set[tuple[str, ...]] = set()
        self.elsewhere: list[tuple[str, Fraction]] = []
        """The source and event time of what was accepted of other campaigns of the partition."""
        self.proposals: dict[tuple[str, str], Fraction] = {}
        self.closed: tuple[Fraction, int] | None = None
        """The end a closing snapshot was told as of, and its revision."""
        self.period: Fraction | None = None
        """The end of the last period that was closed."""
        self.unresolved = False
        """Whether what was open in it still is, since no tick was complete."""
        self.milestones: set[int] = set()
        """Those told in this flight or period."""
        self.told: Totals = {}
        """What the last closing or revised snapshot counted."""
        self.adds: Added | None = None
        """Budget, spend, expected and projected spend of the last snapshot that is no revision, unrounded."""

    # -- input
    def plan(self, raw: Json, counts_from: str | None = None) -> None:
        """A new version of the plan; after a tombstone, or as the first, it counts from ever."""
        self.accepted += 1
        if self.ended or not self.versions:
            self.versions, self.ended = [Version(raw, self.accepted, None)], False
            return
        assert counts_from is not None
        since = instant(counts_from)
        at = sum(version.since is None or version.since <= since for version in self.versions)
        self.versions.insert(at, Version(raw, self.accepted, since))

    def hear(self, source: str, event_time: str) -> None:
        """An update of another campaign of the partition."""
        self.elsewhere.append((source, instant(event_time)))

    def end_plan(self) -> None:
        """A tombstone."""
        self.ended = True

    def feed(self, *updates: Json) -> None:
        """Updates, in the order of their offsets."""
        self.updates += [Fed(update, held=not self.versions) for update in updates]

    # -- one tick
    def tick(self, as_of: str, *, complete: bool = True, first: bool = False) -> list[Told]:
        """What is told at the tick, in order; nothing before a first version that says from when it counts."""
        begins = get(self.versions[0].raw, "effective_at", None)
        in_time = any(version.since is not None and version.since <= instant(as_of) for version in self.versions)
        if begins is not None and instant(begins) > instant(as_of) and not (in_time or self.ended):
            return []
        taking = Taking(self, instant(as_of), complete=complete, first=first)
        told = [] if first or self.ended else list(self.periods(instant(as_of), complete=complete))
        told += taking.events()
        self.known, self.taken = len(self.updates), taking.at
        head = {
            "occurred_at": text_of(taking.at),
            "campaign_id": self.campaign_id,
            "account_id": taking.version.raw["account_id"],
            "currency": taking.version.currency,
        }
        return [(kind, {**head, **figures}) for kind, figures in told]

    def periods(self, at: Fraction, *, complete: bool) -> Iterator[Told]:
        """The closings of the periods that have ended, the oldest first [5]."""
        if self.unresolved and complete:
            assert self.period is not None
            yield from Taking(self, at, complete=complete, first=False, ended=self.period).resolve_period()
        ends = sorted({edge for version in self.versions if version.recurs for edge in version.edges if edge <= at})
        for end in ends:
            version = next((v for v in reversed(self.versions) if v.begins() < end), None)
            if version is None or version.recurs is None or version.get("status", "") in ("completed", "canceled"):
                continue
            flight = version.scopes[0]
            if not flight.start < end < flight.end or end not in version.edges:
                continue
            if self.period is None or end > self.period:
                yield from Taking(self, at, complete=complete, first=False, ended=end).close_period()


class Taking:
    """One tick of one campaign; or, of one, what is told of a period that has *ended*."""

    def __init__(  # a tick's flags
        self, oracle: Oracle, at: Fraction, *, complete: bool, first: bool, ended: Fraction | None = None
    ) -> None:
        self.oracle = oracle
        self.at = at
        self.complete = complete
        self.first = first
        self.chain = [
            version
            for version, after in zip(oracle.versions, [*oracle.versions[1:], None], strict=True)
            if after is None or after.since != version.since
        ]
        self.everything = self.chain
        self.ended = ended
        in_force = [v for v in self.chain if v.since is None or (v.since <= at if ended is None else v.since < ended)]
        self.version = in_force[-1]
        self.accepted = accept(oracle.updates, self.version.currency)
        self.before = accept(oracle.updates[: oracle.known], self.version.currency)
        self.flight = self.version.scopes[0]
        self.over = at >= self.flight.end
        self.window = self.version.window(at if ended is None else ended - Fraction(1, 10**9))
        self.lower = None if self.window[0] == self.flight.start or not self.version.recurs else self.window[0]
        carried = self.carried(in_force)
        self.scopes = self.version.budgeted(self.window, carried)
        self.campaign = self.scopes[0]
        self.chain = self.led_to(in_force)
        self.links = [v.budgeted(v.window(max(self.window[0], v.begins())), carried) for v in self.chain]
        self.totals = self.within(self.accepted.by(at))

    def within(self, totals: Totals) -> Totals:
        """What of the totals is of the window: the first has all that is dated before it."""
        return totals if self.lower is None else minus(totals, self.accepted.by(self.lower, inclusive=False))

    def led_to(self, versions: list[Version]) -> list[Version]:
        """The versions that bend the window's course, after the one that it begins under."""
        led = [versions[-1]]
        for version in reversed(versions[:-1]):
            if version.recurs != self.version.recurs:
                break
            if self.version.recurs and led[0].begins() <= self.window[0]:
                break
            led.insert(0, version)
        return led

    def carried(self, versions: list[Version]) -> Fraction:
        """What the windows before have left, by all that is known [4]."""
        left = ZERO
        same = [versions[-1]]
        for version in reversed(versions[:-1]):
            if version.recurs != self.version.recurs:
                break
            same.append(version)
        for start, end in pairwise([self.flight.start, *[e for e in self.version.edges if e > self.flight.start]]):
            if not self.version.carries() or end > self.window[0]:
                break
            then = next((v for v in same if v.begins() < end), None)
            if then is None:
                left = ZERO
                continue
            budget = then.budgeted(then.window(end - Fraction(1, 10**9)), left)[0].budget
            spent = total_spend(self.accepted.by(end, inclusive=False))
            if start != self.flight.start:
                spent -= total_spend(self.accepted.by(start, inclusive=False))
            left = max(ZERO, budget - spent)
        return left

    def events(self) -> Iterator[Told]:
        oracle, is_over = self.oracle, self.version.get("status", "active") in ("completed", "canceled")
        if oracle.ended:
            yield from self.end_everything(self.totals, self.at, "plan_ended", clear=True)
            oracle.lives, oracle.alerts, oracle.proposals, oracle.closed = {}, set(), {}, None
            oracle.period, oracle.unresolved, oracle.milestones = None, False, set()
        elif self.first or not (self.over or is_over):
            yield from self.running()
        elif is_over and (oracle.closed or self.complete):
            yield from self.completed()
        elif is_over:
            yield from self.running()
        elif oracle.closed is None or oracle.closed[0] != self.flight.end:
            yield from self.closing(self.flight.end, self.accepted.by(self.flight.end, inclusive=False))
        else:
            yield from self.closed()

    # -- expected spend [1, 3]
    def expected(  # noqa: C901, PLR0911  # the rule with its cases, side by side
        self, scope: str, scope_id: str, at: Fraction, depth: int | None = None
    ) -> Fraction:
        """The expected spend of a scope by an instant, under the version in force."""
        depth = len(self.chain) - 1 if depth is None else depth
        version = self.chain[depth]
        now = scope_in(self.links[depth], scope, scope_id)
        if now is None:
            return ZERO

        def share(t: Fraction) -> Fraction:
            return version.share(now, t)

        if depth == 0:
            return now.budget * share(at)
        before = scope_in(self.links[depth - 1], scope, scope_id)
        if before is not None and self.chain[depth - 1].course(before) == version.course(now):
            return self.expected(scope, scope_id, at, depth - 1)
        if before is None and now.budget == 0:
            return ZERO
        policy, since = version.get("budget_change_policy", "forward"), version.since
        assert since is not None
        if policy == "reflow":
            return now.budget * share(at)
        if at < since:
            return self.expected(scope, scope_id, at, depth - 1)
        if share(since) == 1:
            return now.budget
        if policy == "rebase":
            anchor = figures_for(self.within(self.accepted.by(since)), self.version, scope, scope_id)["spend"]
        else:
            anchor = self.expected(scope, scope_id, since, depth - 1)
        bent = anchor + (now.budget - anchor) * (share(at) - share(since)) / (1 - share(since))
        return max(ZERO, min(now.budget, bent))

    def deviation(self, scope: Scope, totals: Totals, at: Fraction) -> Fraction | None:
        expected = self.expected(scope.scope, scope.scope_id, at)
        spend = figures_for(totals, self.version, scope.scope, scope.scope_id)["spend"]
        return None if expected == 0 else spend / expected - 1

    # -- the kinds of tick
    def running(self) -> Iterator[Told]:
        oracle = self.oracle
        proposals = list(self.proposals())
        oracle.closed = None
        yield self.snapshot(self.totals, self.at, revision=0, final=False)
        yield from self.deviations()
        yield from proposals
        yield from self.signals(over_budget=True)

    def closing(self, end: Fraction, totals: Totals) -> Iterator[Told]:
        oracle = self.oracle
        oracle.proposals, oracle.closed, oracle.told = {}, (end, 0), totals
        totals = self.within(totals)
        yield self.snapshot(totals, end, revision=0, final=True, before_end=True)
        yield from self.end_everything(totals, end, "flight_ended", clear=False)
        yield from self.closing_signals()

    def close_period(self) -> Iterator[Told]:
        """The closing snapshot of a period, and all that is open resolves with it."""
        oracle, end = self.oracle, self.ended
        assert end is not None
        oracle.period, oracle.unresolved, oracle.proposals = end, True, {}
        totals = self.within(self.accepted.by(end, inclusive=False))
        yield self.snapshot(totals, end, revision=0, final=True, before_end=True)
        if self.complete:
            yield from self.resolve_period()

    def resolve_period(self) -> Iterator[Told]:
        oracle, end = self.oracle, self.ended
        assert end is not None
        oracle.unresolved, oracle.proposals, oracle.milestones = False, {}, set()
        totals = self.within(self.accepted.by(end, inclusive=False))
        yield from self.end_everything(totals, end, "period_ended", clear=True)

    def completed(self) -> Iterator[Told]:
        oracle = self.oracle
        if oracle.closed is None:
            oracle.proposals, oracle.closed, oracle.told = {}, (self.at, 0), self.accepted.by(self.at)
            yield self.snapshot(self.totals, self.at, revision=0, final=True)
            yield from self.end_everything(self.totals, self.at, "plan_ended", clear=False)
            yield from self.closing_signals()
        else:
            oracle.proposals = {}
            yield from self.end_everything(self.totals, oracle.closed[0], "plan_ended", clear=False)
            yield from self.signals(over_budget=False)

    def closed(self) -> Iterator[Told]:
        oracle = self.oracle
        assert oracle.closed
        end, revision = oracle.closed
        if spends(self.accepted.by(self.at)) != spends(oracle.told):
            oracle.closed, oracle.told = (end, revision + 1), self.accepted.by(self.at)
            yield self.snapshot(self.totals, self.at, revision=revision + 1, final=True)
        yield from self.end_everything(self.totals, end, "flight_ended", clear=False)
        yield from self.signals(over_budget=False)

    # -- the snapshot
    def snapshot(self, totals: Totals, at: Fraction, *, revision: int, final: bool, before_end: bool = False) -> Told:
        campaign, currency = self.campaign, self.version.currency
        spend = figures_for(totals, self.version, "campaign", campaign.scope_id)["spend"]
        expected = self.expected("campaign", campaign.scope_id, at)
        variance = spend / campaign.budget - expected / campaign.budget
        left = self.active(max(at, campaign.start), campaign.end)
        elapsed = max(ZERO, min(Fraction(1), (at - campaign.start) / (campaign.end - campaign.start)))
        everything = self.accepted.by(Fraction(10**12))
        future = total_spend(everything) - total_spend(self.accepted.by(at, inclusive=not before_end))
        counted = [
            update["event_time"]
            for update in self.accepted.updates
            if update["kind"] != "correction"
            and (update["event_time"] < at if before_end else update["event_time"] <= at)
            and (self.lower is None or update["event_time"] >= self.lower)
        ]
        if not revision:
            final_spend = self.final(spend, expected, at)[2]
            self.oracle.adds = (campaign.budget, spend, expected, final_spend)
        figures = {
            "timestamp": text_of(self.at),
            "total_budget": campaign.told_budget(currency),
            "total_spend": money(spend, currency),
            "expected_spend": derived(expected, currency),
            "pacing_pct": pct(spend / expected) if expected else None,
            "deviation_pct": pct(spend / expected - 1) if expected else None,
            "budget_used_pct": pct(spend / campaign.budget),
            "elapsed_pct": pct(elapsed),
            "variance_pp": pct(variance),
            "band": band(abs(variance) * 100),
            "remaining_budget": amount(campaign.budget - spend, currency),
            "required_daily_spend": derived(max(ZERO, campaign.budget - spend) / (left / DAY), currency)
            if left > 0
            else None,
            **self.projection(spend, at, before_end=before_end),
            "data_through": text_of(max(counted)) if counted else None,
            "late_spend": money(self.late(), currency),
            "plan_version": self.version.number,
            "budget_change_policy": self.version.get("budget_change_policy", "forward"),
            "revision": revision,
            "final": final,
            "complete": self.complete,
            "future_spend": money(future, currency),
            "period_start": text_of(campaign.start),
            "period_end": text_of(campaign.end),
            "worst_child": self.worst_child(totals, at),
            "channel_snapshots": [self.child(s, totals, at) for s in self.scopes if s.scope == "channel"],
            "deal_snapshots": [self.child(s, totals, at) for s in self.scopes if s.scope == "deal"],
            "proposals": len(self.oracle.proposals),
        }
        return "snapshot_taken", figures

    # -- projection [11]
    def final(
        self, spend: Fraction, expected: Fraction, at: Fraction
    ) -> tuple[str | None, Callable[[Fraction], Fraction] | None, Fraction | None]:
        """The method, its path, and what will be spent by the end."""
        if expected == 0:
            return None, None, None
        method, path = self.projected_by(spend, expected, at)
        # At the end nothing is still to come.
        return method, path, spend if at >= self.campaign.end else path(self.campaign.end)

    def projection(self, spend: Fraction, at: Fraction, *, before_end: bool = False) -> Json:
        """What is projected of a campaign that has spent so much by *at*."""
        campaign, currency = self.campaign, self.version.currency
        expected = self.expected("campaign", campaign.scope_id, at)
        at_most = max(campaign.budget, spend)
        method, path, final = self.final(spend, expected, at)
        exhausted = None
        if spend >= campaign.budget:
            exhausted = self.observed(before_end=before_end)
        elif path is not None and at < campaign.end and path(campaign.end) >= campaign.budget:
            exhausted = first_nanosecond(lambda instant: path(instant) >= campaign.budget, at, campaign.end)
        if exhausted is not None and exhausted >= campaign.end:
            exhausted = None
        return {
            "projected_spend": None if final is None else derived(final, currency),
            "projected_spend_capped": None if final is None else derived(max(spend, min(final, at_most)), currency),
            "projection_method": method,
            "falls_back": method != self.version.get("projection", "run_rate"),
            "projected_exhaustion_at": None if exhausted is None else text_of(exhausted),
            "dark_days": None if exhausted is None else number((campaign.end - exhausted) / DAY, 4),
            "rolling_7d_pacing_pct": pct(self.rolling(at)),
        }

    def projected_by(
        self, spend: Fraction, expected: Fraction, at: Fraction
    ) -> tuple[str, Callable[[Fraction], Fraction]]:
        """The method that there is history for, and its path."""
        campaign = self.campaign
        now = min(max(at, campaign.start), campaign.end)
        wanted = self.version.get("projection", "run_rate")
        means = self.weekday_means(now) if wanted == "seasonal" else None
        if means is not None:
            return "seasonal", lambda instant: spend + self.over_days(means, now, instant, by_hour=True)
        mean = self.trailing_mean(now) if wanted != "run_rate" else None
        if mean is not None:
            return "trailing_7d", lambda instant: spend + self.over_days([mean] * 7, now, instant, by_hour=False)
        rate = max(ZERO, spend) / expected
        return "run_rate", lambda instant: min(ZERO, spend) + rate * self.expected(*scope_key(campaign), instant)

    def whole_days(self, at: Fraction, most: int) -> list[tuple[date, Fraction, Fraction, Fraction]]:
        """The last whole local days of the window before *at*, the latest first: date, start, end, spend."""
        zone, days = self.version.get("timezone", "UTC"), []
        today = self.version.density.day_of(at)
        for back in range(1, most + 1):
            day = today - timedelta(days=back)
            start, end = day_begins(day, zone), day_begins(day + timedelta(days=1), zone)
            if start < self.campaign.start:
                break
            spends = [total_spend(self.accepted.by(instant, inclusive=False)) for instant in (start, end)]
            days.append((day, start, end, spends[1] - spends[0]))
        return days

    def rolling(self, at: Fraction) -> Fraction | None:
        days = self.whole_days(min(max(at, self.campaign.start), self.campaign.end), 7)
        if len(days) < 7:
            return None
        last, first = (
            self.expected("campaign", self.campaign.scope_id, instant) for instant in (days[0][2], days[-1][1])
        )
        return sum((spend for *_, spend in days), ZERO) / (last - first) if last > first else None

    def lit(self, start: Fraction, end: Fraction, *, by_hour: bool) -> Fraction:
        """The active days in [start, end)."""
        activity = self.version.activity[by_hour]
        return activity.until(end) - activity.until(start)

    def trailing_mean(self, at: Fraction) -> Fraction | None:
        """The mean of the last seven active days of the last 28."""
        active = [
            (spend, lit)
            for _, start, end, spend in self.whole_days(at, 28)
            if (lit := self.lit(start, end, by_hour=False)) > 0
        ][:7]
        if len(active) < 7:
            return None
        return max(ZERO, sum((spend for spend, _ in active), ZERO) / sum(lit for _, lit in active))

    def weekday_means(self, at: Fraction) -> list[Fraction] | None:
        """The seasonal mean of each weekday; None with fewer than 20 active days or two of a weekend day."""
        days = [
            (day.weekday(), Fraction(8 - place // 7), spend, lit)
            for place, (day, start, end, spend) in enumerate(self.whole_days(at, 56))
            if (lit := self.lit(start, end, by_hour=True)) > 0
        ]
        weights = self.version.get("weekday_weights", [1] * 7)
        weekends = [sum(day[0] == k for day in days) for k in (5, 6) if exact(weights[k]) > 0]
        if len(days) < 20 or min(weekends, default=2) < 2:
            return None
        spent_in_all = sum((weight * spend for _, weight, spend, _ in days), ZERO)
        mean = spent_in_all / sum((weight * lit for _, weight, _, lit in days), ZERO)
        means: list[Fraction] = []
        for k in range(7):
            of_k = [day for day in days if day[0] == k]
            spent = sum((weight * spend for _, weight, spend, _ in of_k), ZERO)
            lit = sum((weight * lit for _, weight, _, lit in of_k), ZERO)
            means.append(max(ZERO, (spent + 8 * mean) / (lit + 8)))
        return means

    def over_days(self, means: list[Fraction], start: Fraction, end: Fraction, *, by_hour: bool) -> Fraction:
        """The sum of the days' means over [start, end), each day by what of it is active there."""
        total, zone = ZERO, self.version.get("timezone", "UTC")
        day = self.version.density.day_of(start)
        while (begins := day_begins(day, zone)) < end:
            until = day_begins(day + timedelta(days=1), zone)
            total += means[day.weekday()] * self.lit(max(begins, start), min(until, end), by_hour=by_hour)
            day += timedelta(days=1)
        return total

    def observed(self, *, before_end: bool) -> Fraction | None:
        """The latest event time in the quarter of an hour in which spend reached the budget."""
        end = self.campaign.end if before_end else None
        times = sorted(
            update["event_time"]
            for update in self.accepted.updates
            if update["kind"] != "correction"
            and (update["event_time"] < end if end is not None else update["event_time"] <= self.at)
            and (self.lower is None or update["event_time"] >= self.lower)
        )
        for quarter in sorted({time // 900 for time in times}):
            last = max(time for time in times if time // 900 == quarter)
            if total_spend(self.within(self.accepted.by(last))) >= self.campaign.budget:
                return Fraction(last)
        return None

    def active(self, start: Fraction, end: Fraction) -> Fraction:
        """The seconds of [start, end) that are not blacked out; negative after the end."""
        dark = self.version.density.dark
        edges = sorted({start, end, *(at for pair in dark for at in pair if start < at < end)})
        lit = [right - left for left, right in pairwise(edges) if not any(b <= left < e for b, e in dark)]
        return sum(lit, ZERO) if end >= start else ZERO

    def late(self) -> Fraction:
        """What has become known since the last tick of what is dated by then."""
        taken = self.oracle.taken
        if self.first or taken is None:
            return ZERO
        now, then = (accepted.by(taken) for accepted in (self.accepted, self.before))
        return sum((f["spend"] for f in now.values()), ZERO) - sum((f["spend"] for f in then.values()), ZERO)

    def child(self, scope: Scope, totals: Totals, at: Fraction) -> Json:
        currency = self.version.currency
        figures = figures_for(totals, self.version, scope.scope, scope.scope_id)
        deviation = self.deviation(scope, totals, at)
        name: Json = {"channel": scope.scope_id}
        if scope.scope == "deal":
            name = {
                "deal_id": scope.scope_id,
                "channel": scope.channel,
                "win_rate": four(figures["wins"], figures["bids"]),
            }
        shown = figures["impressions"]
        return {
            **name,
            "allocated_budget": scope.told_budget(currency),
            "spend": money(figures["spend"], currency),
            "expected_spend": derived(self.expected(scope.scope, scope.scope_id, at), currency),
            "pacing_pct": None if deviation is None else pct(deviation + 1),
            "deviation_pct": pct(deviation),
            "impressions": int(shown),
            "effective_cpm": derived(figures["spend"] / shown * 1000, currency) if shown > 0 else None,
            "fill_rate": four(shown, figures["requests"]),
        }

    def worst_child(self, totals: Totals, at: Fraction) -> Json | None:
        """The largest |deviation|, then the first name [12]."""
        children = [
            (-abs(deviation), scope.scope_id, place, scope, deviation)
            for place, scope in enumerate(self.scopes)
            if scope.scope != "campaign" and (deviation := self.deviation(scope, totals, at)) is not None
        ]
        if not children:
            return None
        *_, scope, deviation = min(children, key=lambda child: child[:3])
        return {"scope": scope.scope, "scope_id": scope.scope_id, "deviation_pct": pct(deviation)}

    # -- deviations [14, 15]
    def deviations(self) -> Iterator[Told]:
        if not self.complete:
            return
        lives, lag = self.oracle.lives, self.version.threshold("feed_lag_minutes") * 60
        scopes = self.scopes
        for scope in scopes:
            key = scope.scope, scope.scope_id
            if self.at >= scope.end:
                if key in lives:
                    yield from self.resolve(key, lives.pop(key), self.totals, self.at, "flight_ended")
                continue
            life = lives.setdefault(key, Life())
            expected = self.expected(*key, self.at - lag)
            may_open = (
                self.version.get("status", "active") == "active"
                and not self.over
                and self.at >= scope.start + self.version.threshold("grace_days") * DAY
                and expected >= self.version.threshold("min_expected")
            )
            life.ticks.append(Judged(self.deviation(scope, self.totals, self.at - lag), may_open, self.version))
            for transition, reason in self.moves(life):
                yield self.transition(key, life, transition, self.totals, self.at, reason)
                if transition == "resolved":
                    life.direction = None
        for key in sorted(lives.keys() - {(scope.scope, scope.scope_id) for scope in scopes}):
            yield from self.resolve(key, lives.pop(key), self.totals, self.at, "plan_ended")

    def moves(self, life: Life) -> Iterator[tuple[str, str | None]]:  # noqa: C901  # the rule, from top to bottom
        """The transitions the newest tick leads to; *life* is brought to each before it is told."""
        enter = 1 if self.first else int(self.version.threshold("enter_ticks"))

        def row(direction: str, level: str) -> int:
            return trailing(tick.may_open and is_beyond(tick, direction, level) for tick in life.ticks)

        def enter_level(direction: str, level: str) -> None:
            life.direction, life.level, life.since = direction, level, len(life.ticks)

        for direction in ("underpacing", "overpacing"):
            if direction != life.direction and row(direction, "warning") >= enter:
                if life.direction is not None:
                    yield "resolved", "recovered"
                enter_level(direction, "critical" if row(direction, "critical") >= enter else "warning")
                yield "opened", None
                return
        if life.direction is None:
            return
        if life.level == "warning" and row(life.direction, "critical") >= enter:
            enter_level(life.direction, "critical")
            yield "escalated", None
            return
        inside = trailing(is_inside(tick, life.direction, life.level) for tick in life.ticks[life.since :])
        if inside >= self.version.threshold("exit_ticks"):
            if life.level == "critical" and not is_inside(life.ticks[-1], life.direction, "warning"):
                enter_level(life.direction, "warning")
                yield "deescalated", None
            else:
                yield "resolved", "recovered"

    def resolve(self, key: tuple[str, str], life: Life, totals: Totals, at: Fraction, reason: str) -> Iterator[Told]:
        if life.direction is not None:
            yield self.transition(key, life, "resolved", totals, at, reason)

    def transition(
        self, key: tuple[str, str], life: Life, transition: str, totals: Totals, at: Fraction, reason: str | None
    ) -> Told:
        """The event, with what was expected when the feed ended."""
        lagged = at - self.version.threshold("feed_lag_minutes") * 60
        expected = self.expected(*key, lagged)
        spend = figures_for(totals, self.version, *key)["spend"]
        event = {
            "scope": key[0],
            "scope_id": key[1],
            "transition": transition,
            "alert_level": life.level,
            "direction": life.direction,
            "deviation_pct": pct(spend / expected - 1) if expected else None,
            "threshold_pct": pct(self.version.threshold(f"{life.direction}_{life.level}_pct") / 100),
            "spend": money(spend, self.version.currency),
            "expected_spend": derived(expected, self.version.currency),
        }
        if reason is None:
            return "deviation_detected", event
        return "deviation_resolved", {**event, "reason": reason}

    def end_everything(self, totals: Totals, at: Fraction, reason: str, *, clear: bool) -> Iterator[Told]:
        """Every open deviation resolves; at a tombstone every signal clears as well."""
        if not (self.complete or clear):
            return
        lives = self.oracle.lives
        planned = [(scope.scope, scope.scope_id) for scope in self.scopes]
        for key in (*planned, *sorted(lives.keys() - set(planned))):
            if key in lives:
                yield from self.resolve(key, lives[key], totals, at, reason)
        self.oracle.lives = {}
        if clear:
            yield from self.cleared(self.oracle.alerts)

    # -- proposals [18]
    def proposals(self) -> Iterator[Told]:
        oracle, version = self.oracle, self.version
        if not self.complete:
            return
        before, oracle.proposals = oracle.proposals, {}
        if version.get("status", "active") != "active" or version.get("automation", "") == "insight_only" or self.over:
            return
        least = exact(get(version.get("reallocation", {}), "min_amount", 100))
        for source, target, amount in self.moved():
            old = before.get((source, target))
            if old is not None and (old == amount or abs(old - amount) < least):
                oracle.proposals[source, target] = old
                continue
            oracle.proposals[source, target] = amount
            yield (
                "reallocation_recommended",
                {
                    "type": "REALLOCATE",
                    "source_channel": source,
                    "target_channel": target,
                    "amount": money(amount, version.currency),
                    "mode": "to_date",
                    "confidence": None,
                    "status": "PENDING",
                    "expires_at": text_of(self.campaign.end),
                    "superseded": old is not None,
                },
            )

    def moved(self) -> Iterator[tuple[str, str, Fraction]]:
        """Who gives whom how much."""
        version = self.version
        settings = version.get("reallocation", {})
        least, unit = exact(get(settings, "min_amount", 100)), Fraction(1, 10 ** DECIMALS.get(version.currency, 2))
        room = self.campaign.budget * exact(get(settings, "max_pct", 30)) / 100
        give: dict[str, Fraction] = {}
        need: dict[str, Fraction] = {}
        for scope in self.scopes:
            deviation = self.deviation(scope, self.totals, self.at)
            if scope.scope != "channel" or deviation is None:
                continue
            spend = figures_for(self.totals, version, "channel", scope.scope_id)["spend"]
            gap = abs(spend - self.expected("channel", scope.scope_id, self.at))
            if deviation * 100 < -version.threshold("underpacing_warning_pct"):
                give[scope.scope_id] = min(gap, scope.budget - max(spend, scope.minimum))
            elif deviation * 100 > version.threshold("overpacing_warning_pct"):
                need[scope.scope_id] = gap
        for source in sorted(give, key=lambda name: (-give[name], name)):
            for target in sorted(need, key=lambda name: (-need[name], name)):
                amount = min(give[source], need[target], room) // unit * unit
                if amount > 0 and amount >= least:
                    give[source], need[target], room = give[source] - amount, need[target] - amount, room - amount
                    yield source, target, amount

    # -- signals [9]
    def signals(self, *, over_budget: bool) -> Iterator[Told]:
        oracle = self.oracle
        now: dict[tuple[str, ...], Json] = dict(self.news())
        if over_budget and self.complete and not self.over:
            now |= self.over_budget() | dict(self.period_signals()) | dict(self.milestones())
            for key, evidence in series.lasting(self) if oracle.series else ():
                if self.may_raise(key):
                    now[key] = evidence
        if self.complete:
            yield from self.cleared(oracle.alerts - now.keys())
        yield from self.raised(now)

    def closing_signals(self) -> Iterator[Told]:
        oracle = self.oracle
        up = set(oracle.alerts)
        if self.complete:
            yield from self.cleared(up)
        yield from self.raised({key: evidence for key, evidence in self.news() if key not in up})

    def cleared(self, keys: set[tuple[str, ...]]) -> Iterator[Told]:
        for key in sorted(keys):
            self.oracle.alerts = self.oracle.alerts - {key}
            yield "alert_cleared", alert(key, {})

    def raised(self, now: dict[tuple[str, ...], Json]) -> Iterator[Told]:
        for key in sorted(now.keys() - self.oracle.alerts):
            self.oracle.alerts = self.oracle.alerts | {key}
            yield "alert_raised", alert(key, now[key])

    def over_budget(self) -> dict[tuple[str, ...], Json]:
        found: dict[tuple[str, ...], Json] = {}
        for scope in self.scopes:
            spend = figures_for(self.totals, self.version, scope.scope, scope.scope_id)["spend"]
            if spend > scope.budget and self.version.wants("over_budget"):
                found["over_budget", scope.scope, scope.scope_id] = {
                    "spend": money(spend, self.version.currency),
                    "budget": scope.told_budget(self.version.currency),
                    "over_by": amount(spend - scope.budget, self.version.currency),
                }
        return found

    def period_signals(self) -> Iterator[tuple[tuple[str, ...], Json]]:
        """What the figures of the flight or period tell [15, 16]."""
        campaign, key = self.campaign, ("campaign", self.campaign.scope_id)
        spend = total_spend(self.totals)
        used = spend / campaign.budget
        gone = max(ZERO, (self.at - campaign.start) / (campaign.end - campaign.start))
        projection = self.projection(spend, self.at)
        shares = {"budget_used_pct": pct(used), "elapsed_pct": pct(gone)}
        found: dict[tuple[str, ...], Json] = {}
        if used > Fraction(9, 10) and gone < Fraction(8, 10):
            found["budget_used_before_period", *key] = shares
        if used - gone > Fraction(1, 10):
            found["ahead_of_period", *key] = {**shares, "ahead_pp": pct(used - gone)}
        exhausted = projection["projected_exhaustion_at"]
        if exhausted is not None and campaign.end - instant(exhausted) > DAY:
            names = ("projected_exhaustion_at", "dark_days", "projected_spend", "projection_method")
            found["exhaustion_projected", *key] = {name: projection[name] for name in names}
        for name, evidence in found.items():
            is_projected = name[0] == "exhaustion_projected"
            grace = DAY if is_projected else self.version.threshold("grace_days") * DAY
            # A budget that is used up is no projection, even before the flight.
            in_time = self.at >= campaign.start + grace or (is_projected and used >= 1)
            may_open = self.version.get("status", "active") == "active" and in_time
            if self.version.wants(name[0]) and (may_open or name in self.oracle.alerts):
                yield name, evidence

    def milestones(self) -> Iterator[tuple[tuple[str, ...], Json]]:
        """Those that are reached and were not told in this flight or period."""
        campaign, spend = self.campaign, total_spend(self.totals)
        if not self.version.wants("milestone_reached"):
            return
        highest = max((set() if self.first else self.oracle.milestones) | {0})
        for pct_ in (50, 80, 90, 100):
            if spend * 100 >= pct_ * campaign.budget and pct_ > highest:
                self.oracle.milestones = self.oracle.milestones | {pct_}
                told = money(spend, self.version.currency), campaign.told_budget(self.version.currency)
                evidence = {"milestone_pct": pct_, "spend": told[0], "budget": told[1]}
                yield ("milestone_reached", "campaign", campaign.scope_id, str(pct_)), evidence

    def news(self) -> Iterator[tuple[tuple[str, ...], Json]]:
        """The signals about single updates that have a new case."""
        for key, evidence in (*self.outside(), *self.unplanned(), *self.cases()):
            if self.version.wants(key[0]):
                yield key, evidence
        yield from ((key, evidence) for key, evidence in series.newly_over_allowance(self) if self.may_raise(key))

    def may_raise(self, key: tuple[str, ...]) -> bool:
        """Whether a signal on the series may be up: wanted, and not new while the plan is not active."""
        is_active = self.version.get("status", "active") == "active"
        return self.version.wants(key[0]) and (is_active or key in self.oracle.alerts)

    def newly(self, *, before: Fraction | None = None, since: Fraction | None = None) -> Totals:
        """What is counted now and was not at the last tick; only what is dated *before*, or *since*, an instant."""
        taken = None if self.first else self.oracle.taken

        def dated(accepted: Accepted, by_then: Fraction) -> Totals:
            all_of_it = accepted.by(by_then)
            if before is not None:
                return all_of_it if by_then < before else accepted.by(before, inclusive=False)
            if since is not None:
                return minus(all_of_it, accepted.by(since, inclusive=False)) if by_then >= since else {}
            return all_of_it

        return minus(dated(self.accepted, self.at), {} if taken is None else dated(self.before, taken))

    def outside(self) -> Iterator[tuple[tuple[str, ...], Json]]:
        for scope in self.version.scopes:
            own = self.version.raw if scope.scope == "campaign" else None
            if scope.scope == "deal":
                raw = next(deal for deal in self.version.get("deals", []) if deal["deal_id"] == scope.scope_id)
                own = raw if get(raw, "flight_start", None) or get(raw, "flight_end", None) else None
            if own is None:
                continue
            new = [*self.newly(before=scope.start).items(), *self.newly(since=scope.end).items()]
            spent: dict[Any, Fraction] = {}
            for key, figures in new:
                if scope.scope == "campaign" or key[1] == scope.scope_id:
                    spent[key] = spent.get(key, ZERO) + figures["spend"]
            if any(spent.values()):
                yield (
                    ("spend_outside_flight", scope.scope, scope.scope_id),
                    {
                        "spend": money(sum(spent.values(), ZERO), self.version.currency),
                        "flight_start": text_of(scope.start),
                        "flight_end": text_of(scope.end),
                    },
                )

    def unplanned(self) -> Iterator[tuple[tuple[str, ...], Json]]:
        planned = {channel["channel"] for channel in self.version.get("channels", [])}
        homes = {deal["deal_id"]: get(deal, "channel", None) for deal in self.version.get("deals", [])}
        found: dict[str, dict[str, Fraction]] = {}
        for (channel, deal_id), figures in self.newly().items():
            home = homes.get(deal_id) if channel is None else channel
            if planned and home is not None and home not in planned:
                into = found.setdefault(home, dict.fromkeys(FIGURES, ZERO))
                for name in FIGURES:
                    into[name] += figures[name]
        for channel, figures in found.items():
            if any(figures.values()):
                spend = money(figures["spend"], self.version.currency)
                yield ("unplanned_channel", "channel", channel), {"spend": spend}

    def cases(self) -> Iterator[tuple[tuple[str, ...], Json]]:
        """Conflicts and foreign currency among what has come since the last tick."""
        conflicts = self.accepted.conflicts - (0 if self.first else self.before.conflicts)
        if conflicts:
            yield ("conflicting_update", "campaign", self.oracle.campaign_id), {"count": conflicts, "amounts": {}}
        foreign = self.accepted.foreign[0 if self.first else len(self.before.foreign) :]
        if foreign:
            amounts: dict[str, Fraction] = {}
            for update in foreign:
                amounts[update["currency"]] = amounts.get(update["currency"], ZERO) + update.get("spend", ZERO)
            told = {currency: money(amount, currency) for currency, amount in sorted(amounts.items())}
            key = ("currency_mismatch", "campaign", self.oracle.campaign_id)
            yield key, {"count": len(foreign), "amounts": told}


def first_nanosecond(holds: Callable[[Fraction], bool], after: Fraction, by: Fraction) -> Fraction:
    """The first nanosecond after *after* at which it *holds*, as it does *by* then, and from then on."""
    low, high = ceil(after * 10**9), ceil(by * 10**9)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(Fraction(middle, 10**9)) else (middle, high)
    return Fraction(high, 10**9)


def alert(key: tuple[str, ...], evidence: Json) -> Json:
    kind, scope, scope_id = key[:3]
    level = "critical" if kind in ("over_budget", "currency_mismatch") else "warning"
    return {"kind": kind, "scope": scope, "scope_id": scope_id, "alert_level": level, "evidence": evidence}


def scope_key(scope: Scope) -> tuple[str, str]:
    return scope.scope, scope.scope_id


def scope_in(scopes: list[Scope], scope: str, scope_id: str) -> Scope | None:
    return next((s for s in scopes if (s.scope, s.scope_id) == (scope, scope_id)), None)


def total_spend(totals: Totals) -> Fraction:
    return sum((figures["spend"] for figures in totals.values()), ZERO)


def spends(totals: Totals) -> dict[Any, Fraction]:
    return {key: figures["spend"] for key, figures in totals.items() if figures["spend"]}


def minus(now: Totals, then: Totals) -> Totals:
    return {
        key: {
            name: now.get(key, dict.fromkeys(FIGURES, ZERO))[name] - then.get(key, dict.fromkeys(FIGURES, ZERO))[name]
            for name in FIGURES
        }
        for key in {**now, **then}
    }


def trailing(marks: Iterable[bool]) -> int:
    """How many of the last ones are true in a row."""
    row = 0
    for mark in marks:
        row = row + 1 if mark else 0
    return row


def is_beyond(tick: Judged, direction: str, level: str) -> bool:
    """Strictly beyond the threshold of that side and level."""
    if tick.value is None:
        return False
    towards = -tick.value if direction == "underpacing" else tick.value
    return towards > 0 and towards * 100 > tick.version.threshold(f"{direction}_{level}_pct")


def is_inside(tick: Judged, direction: str, level: str) -> bool:
    """Strictly inside the exit of that side and level."""
    if not tick.value:
        return True
    threshold = tick.version.threshold(f"{direction}_{level}_pct")
    return abs(tick.value) * 100 < tick.version.threshold("exit_ratio") * threshold


def band(size: Fraction) -> str:
    """By |variance_pp|; each band holds its upper end [12]."""
    for name, most in (("on_pace", 5), ("drift", 10), ("mild", 20), ("strong", 30)):
        if size <= most:
            return name
    return "sharp"


# -- whole files ------------------------------------------------------------------------------------------------------


def evaluate(plans: Iterable[Json], updates: Iterable[Json], as_of: str) -> dict[str, list[Told]]:
    """What `pacing evaluate` must tell of each campaign."""
    told = {name: oracle.tick(as_of, first=True) for name, oracle in oracles_of(plans, updates).items()}
    return {name: events for name, events in told.items() if events}


def accounts(plans: Iterable[Json], updates: Iterable[Json], as_of: str) -> dict[tuple[str, str], Json]:
    """The figures of each account and currency without a cap: sums of what is exact, each printed once [General]."""
    added: dict[tuple[str, str], list[Added]] = {}
    for oracle in oracles_of(plans, updates).values():
        for _, head in oracle.tick(as_of, first=True)[:1]:
            assert oracle.adds is not None
            added.setdefault((head["account_id"], head["currency"]), []).append(oracle.adds)
    return {key: account_of(children, key[1]) for key, children in added.items()}


def account_of(children: list[Added], currency: str) -> Json:
    """What campaigns of one currency come to."""
    budget, spend, expected = (sum(column, ZERO) for column in list(zip(*children, strict=True))[:3])
    finals = [child[3] for child in children if child[3] is not None]
    variance = spend / budget - expected / budget
    return {
        "campaigns": len(children),
        "total_budget": amount(budget, currency),
        "children_budget": amount(budget, currency),
        "total_spend": money(spend, currency),
        "expected_spend": derived(expected, currency),
        "pacing_pct": pct(spend / expected) if expected else None,
        "deviation_pct": pct(spend / expected - 1) if expected else None,
        "budget_used_pct": pct(spend / budget),
        "variance_pp": pct(variance),
        "band": band(abs(variance) * 100),
        "projected_spend": derived(sum(finals, ZERO), currency) if len(finals) == len(children) else None,
        "spendable": amount(sum((max(ZERO, child[0] - child[1]) for child in children), ZERO), currency),
        "exact": True,
    }


def oracles_of(plans: Iterable[Json], updates: Iterable[Json]) -> dict[str, Oracle]:
    """
    An oracle for each campaign of two files.

    Versions count by `effective_at`, by default from the start of their flight [1]; of equals the later in the file.
    """
    oracles: dict[str, Oracle] = {}

    def since(plan: Json) -> Fraction:
        at = get(plan, "effective_at", None)
        return Version(plan, 0, None).scopes[0].start if at is None else instant(at)

    for plan in sorted(plans, key=since):
        name = plan["campaign_id"]
        oracles.setdefault(name, Oracle(name)).plan(plan, text_of(since(plan)))
    for update in updates:
        if update["campaign_id"] in oracles:
            oracles[update["campaign_id"]].feed(update)
    for name, accepted in everything_accepted(updates, plans).items():
        for other, oracle in oracles.items():
            if other != name:
                oracle.elsewhere += accepted
    return oracles


def everything_accepted(updates: Iterable[Json], plans: Iterable[Json]) -> dict[str, list[tuple[str, Fraction]]]:
    """The source and event time of each accepted update, by campaign; those without a plan are accepted as they are."""
    currencies = {plan["campaign_id"]: str(plan["currency"]) for plan in plans}
    fed: dict[str, list[Fed]] = {}
    for update in updates:
        planned = update["campaign_id"] in currencies
        fed.setdefault(update["campaign_id"], []).append(
            Fed(update if planned else {**update, "currency": None}, False)
        )
    accepted = {name: accept(of_it, currencies.get(name, "")) for name, of_it in fed.items()}
    return {name: [(u["source"], u["event_time"]) for u in each.updates] for name, each in accepted.items()}


def read_lines(text: str) -> list[Json]:
    """NDJSON with its numbers exact."""
    return [json.loads(line, parse_float=Decimal) for line in text.splitlines() if line.strip()]
