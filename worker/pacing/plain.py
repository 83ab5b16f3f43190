"""
Plain campaigns: many at a time, where a tick tells a snapshot of each and nothing else.

Most campaigns are so at most ticks: a linear plan without deals that was never changed, deviations that stay as they
are, no signal raised or cleared; at a tick that is not complete nothing is judged. What of that does not depend on the
instant is looked at once, in Python, and kept as a row of integers until the state changes or the day ends; what comes
may be added to it (`worker.ledger.counting`). What does depend on it, the compiled part (`printing`) holds against the
row, and prints the snapshot. Of a campaign that is not plain neither says anything: `take_tick` takes it.

    history, state, counted ─▶ Row ─▶ printed, or None: not plain ─▶ take_tick

The law of this file: **the same bytes**. What is printed is what `take_tick` would have told, and it would have told no
more and handed back the same state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct, pack
from typing import Any, Final, NamedTuple

import msgspec

from schemas.fields import NANOS, round_half_even
from worker.pacing import rows as to
from worker.pacing.amounts import currency_of, time_text
from worker.pacing.daily import last_days, limit_today
from worker.pacing.density import HOUR, local_day, ordinal_at
from worker.pacing.deviation import stands_still
from worker.pacing.figures import IMPRESSIONS, REQUESTS, SPEND, Attribution, Counted, Totals
from worker.pacing.history import PlanHistory, PlanVersion
from worker.pacing.identity import event_id
from worker.pacing.interruption import SILENCE
from worker.pacing.period_signals import AHEAD, EXHAUSTION, USED_BEFORE
from worker.pacing.plan import EVEN, LINEAR, Plan, Policy
from worker.pacing.projection import Projection, days_before, rolling_pace
from worker.pacing.rollup import Child, child_of
from worker.pacing.snapshot import BANDS, Taken
from worker.pacing.standing import Standing
from worker.pacing.state import NOTHING_WATCHED, DeviationLife, PacingState
from worker.pacing.tick import Tick, ground_of

_encode: Final = msgspec.json.Encoder().encode
_INTEGER: Final = Struct("q")
_OF_TICK: Final = Struct("3q")
_NEVER: Final = 1 << 62
_BITS: Final = {USED_BEFORE: to.USED_BEFORE, AHEAD: to.AHEAD, EXHAUSTION: to.EXHAUSTION}
_OPS: Final = {
    "event_id": to.OP_ID, "occurred_at": to.OP_TICK, "snapshot_id": to.OP_ID, "timestamp": to.OP_TICK,
    "total_spend": to.OP_SPEND, "expected_spend": to.OP_EXPECTED, "pacing_pct": to.OP_PACING,
    "deviation_pct": to.OP_DEVIATION, "budget_used_pct": to.OP_USED, "elapsed_pct": to.OP_ELAPSED,
    "variance_pp": to.OP_VARIANCE, "band": to.OP_BAND, "remaining_budget": to.OP_REMAINING,
    "required_daily_spend": to.OP_REQUIRED, "projected_spend": to.OP_PROJECTED,
    "projected_exhaustion_at": to.OP_EXHAUSTED, "dark_days": to.OP_DARK, "data_through": to.OP_THROUGH,
    "late_spend": to.OP_LATE, "future_spend": to.OP_FUTURE, "worst_child": to.OP_WORST,
    "ledger_position": to.OP_POSITION, "projected_spend_capped": to.OP_CAPPED, "rolling_7d_pacing_pct": to.OP_ROLLING,
    "spend": to.OP_SPEND, "impressions": to.OP_IMPRESSIONS, "effective_cpm": to.OP_CPM, "fill_rate": to.OP_FILL,
    "complete": to.OP_COMPLETE,
    **dict.fromkeys(
        ("campaign_id", "account_id", "currency", "total_budget", "plan_version", "period_start", "period_end"),
        to.OP_TEXT,
    ),
    "allocated_budget": to.OP_TEXT,
}  # fmt: skip
"""What is printed in which field of a snapshot, and of its channels; the others stay what they are."""
_CHANNEL: Final = chr(to.OP_NEXT) + chr(to.OP_TEXT)
_QUOTED: Final = (to.OP_ID, to.OP_TICK)
"""What is printed within the quotes of a text, and not with them."""


class Day(NamedTuple):
    """What holds from *start* to *until*, a local day, while nothing comes that is dated before it."""

    start: int
    until: int
    """*start* and *until* in nanoseconds since 1970."""
    rolling: int
    """The pace of the last seven days in hundredths of a percent; `NONE` without one."""
    most: int
    """The most nanos that may be spent in it and be no spike; -1: any."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """What a plain campaign is judged and printed from, while its state lasts, and in its *day*, with what has come."""

    history: PlanHistory
    state: PacingState
    day: Day
    ground: Ground
    figures: bytes

    @property
    def plan(self) -> Plan:
        """The plan in force."""
        return self.ground.plan

    @property
    def spend(self) -> int:
        """What the campaign has spent, in nanos."""
        spend: int = _INTEGER.unpack_from(self.figures, 8 * (to.HEAD + to.SPEND))[0]
        return spend

    def is_of(self, history: PlanHistory, state: PacingState, as_of: int) -> bool:
        """Whether it still holds as of a tick, but for what comes."""
        return self.history is history and self.state is state and as_of < self.day.until

    def scope_of(self, name: Attribution) -> int:
        """Where in the figures the scope of an attribution begins, besides the campaign's; -1: that is none of it."""
        if name.channel is None or not self.ground.places:
            return to.HEAD
        place = self.ground.places.get(name.channel)
        return -1 if place is None else to.HEAD + place

    def with_figures(self, figures: bytes) -> Row:
        """The same with what was counted since."""
        return Row(self.history, self.state, self.day, self.ground, figures)


class Form(NamedTuple):
    """What a plan's snapshots are printed from: the *template* of its shape, and its own *texts*."""

    template: bytes
    texts: bytes


class Ground(NamedTuple):
    """What a plan gives to every row of it: its figures *before* and *after* those of the tick, and its scopes."""

    plan: Plan
    form: Form
    before: tuple[int, ...]
    after: tuple[int, ...]
    scopes: tuple[int, ...]
    """Without anything spent, the campaign first."""
    places: dict[str, int]
    """Where the scope of each channel begins."""
    names: tuple[str, ...]
    """The scopes as the state knows them, in their order."""


class Printed(msgspec.Struct, frozen=True, gc=False):
    """The snapshot of a plain campaign: its JSON, what it adds to its account, and what its headers and counts show."""

    campaign_id: str
    event_id: str
    tick: str
    band: str
    text: bytes
    child: Child

    @property
    def kind(self) -> str:
        """As of any event."""
        return "snapshot_taken"

    @property
    def body(self) -> dict[str, Any]:
        """The same as an object."""
        body: dict[str, Any] = msgspec.json.decode(self.text)
        return body


def row_of(known: Row | None, history: PlanHistory, state: PacingState, counted: Counted, as_of: int) -> Row | None:
    """The row of a campaign as of a tick, the *known* one where it still holds; None where it is not plain."""
    day = None
    if known is not None and known.history is history and as_of < known.day.until:
        if _holds(known, state, counted):
            return known
        if all(at >= known.day.start for at, _ in counted.new):
            day = known.day
    if len(history.versions) != 1 or history.roots or history.ended or counted.cases or not _is_lasting(state):
        return None
    version = history.in_force(as_of)
    ground = None if version is None else _ground_of(history, version)
    if version is None or ground is None or not version.plan.flight.start < as_of < version.plan.flight.end:
        return None
    day = day or _day_of(Tick(history, version, state, counted, as_of, complete=True, position=None))
    return None if day is None else _made(history, ground, state, counted, day, as_of)


def _holds(row: Row, state: PacingState, counted: Counted) -> bool:
    """Whether nothing has come and nothing has changed since a row was made."""
    through = to.NONE if counted.data_through is None else counted.data_through
    told = counted.late_spend, counted.future_spend, through
    return (
        row.state is state
        and not counted.new
        and not counted.cases
        and told == _OF_TICK.unpack_from(row.figures, 8 * to.LATE)
    )


def print_rows(
    rows: Sequence[Row | None], as_of: int, position: dict[str, Any] | None, *, complete: bool
) -> list[Printed | None]:
    """The snapshots as of a tick of the campaigns that are plain then; None for every other."""
    plain = [row for row in rows if row is not None]
    if not plain or as_of % NANOS:
        return [None] * len(rows)
    from worker.pacing.printing import print_snapshots  # loading the compiled loop takes half a second

    tick = time_text(as_of)
    ids = [event_id("pacing.snapshot_taken", row.plan.campaign_id, tick) for row in plain]
    told = [(identity, *row.ground.form, row.figures) for identity, row in zip(ids, plain, strict=True)]
    printed = print_snapshots(told, as_of, tick, _encode(position), complete=complete)
    texts = zip(plain, ids, printed, strict=True)
    made = (
        Printed(row.plan.campaign_id, identity, tick, BANDS[band], text, _child(row, as_of)) if text else None
        for row, identity, (text, band) in texts
    )
    return [None if row is None else next(made) for row in rows]


def _child(row: Row, as_of: int) -> Child:
    """What the campaign adds to its account, at its pace to date."""
    plan, spend = row.plan, row.spend
    flight, budget = plan.flight, plan.total_budget
    gone, length = as_of - flight.start, flight.end - flight.start
    base, projected = budget * gone, (spend * length, gone) if spend else (0, 1)
    standing = Standing("campaign", plan.campaign_id, budget, flight, [spend], (base, length), spend * length - base)
    return child_of(plan, standing, projected, is_final=False)


# -- what a plan gives -------------------------------------------------------------------------------------------------


def _ground_of(history: PlanHistory, version: PlanVersion) -> Ground | None:
    made: Ground | None = history.kept(
        "plain", version.version, lambda: _ground(history, version) if _is_plain(version.plan) else None
    )
    return made


def _is_plain(plan: Plan) -> bool:
    """Whether what the compiled part knows of plans is enough."""
    flight, thresholds = plan.flight, plan.thresholds
    budgets = [plan.total_budget, *(channel.allocated_budget for channel in plan.channels)]
    limits = (
        thresholds.underpacing_critical_pct, thresholds.overpacing_critical_pct, thresholds.min_expected, *budgets
    )  # fmt: skip
    return (
        plan.status == "active"
        and plan.recurrence is None
        and plan.curve == LINEAR
        and plan.calendar == EVEN
        and not plan.deals
        and all(channel.curve is None for channel in plan.channels)
        and plan.projection == "run_rate"
        and plan.daily_budget is None
        and thresholds.feed_lag == 0
        and all(budget > 0 for budget in budgets)
        and all(limit < to.LARGEST for limit in limits)
        and flight.start % NANOS == 0 == flight.end % NANOS
        and 0 <= flight.start < flight.end < flight.start + to.LONGEST * NANOS
    )


def _ground(history: PlanHistory, version: PlanVersion) -> Ground:
    plan = version.plan
    flight, thresholds, scopes = plan.flight, plan.thresholds, history.scopes(version)
    ordered = sorted(channel.channel for channel in plan.channels)
    of_scopes: list[int] = []
    for scope in scopes:
        rank = ordered.index(scope.scope_id) if scope.scope == "channel" else 0
        of_scopes += scope.budget, 0, 0, 0, to.NOT_OPEN, rank
    names = tuple(f"{scope.scope}\0{scope.scope_id}" for scope in scopes)
    return Ground(
        plan,
        Form(_template(_Shape(len(plan.channels), plan.budget_change_policy, history, version)), _texts(version)),
        (flight.start // NANOS, flight.end // NANOS, len(scopes), plan.minor_digits),
        (
            flight.start + thresholds.grace,
            thresholds.min_expected,
            thresholds.underpacing_warning_pct,
            thresholds.underpacing_critical_pct,
            thresholds.overpacing_warning_pct,
            thresholds.overpacing_critical_pct,
            int(plan.automation != "insight_only"),
        ),
        tuple(of_scopes),
        {channel.channel: place * to.SCOPE for place, channel in enumerate(plan.channels, 1)},
        names,
    )


@dataclass(frozen=True)
class _Shape:
    """What the snapshots of several plans have in common; a plan of that shape."""

    channels: int
    policy: Policy
    history: PlanHistory = field(compare=False)
    version: PlanVersion = field(compare=False)


@lru_cache(maxsize=64)
def _template(shape: _Shape) -> bytes:
    """A snapshot as `tick` tells it, with an op for each figure and text; then what it tells of a worst channel."""
    counted = Counted({}, 0, 0, None, lambda _: {}, lambda _: None, [], {})
    start = shape.version.plan.flight.start
    tick = Tick(shape.history, shape.version, PacingState(), counted, start, complete=True, position=None)
    taken = Taken(start, None, 0, 0, 0, 0, False, True, [], None)
    body = tick.teller.snapshot("", tick.standings().at(start), taken, Projection("run_rate")).body
    channels = [{**_with_ops(channel), "channel": _CHANNEL} for channel in body["channel_snapshots"]]
    body = {**_with_ops(body), "channel_snapshots": channels}
    if not channels:
        body["worst_child"] = None
    worst = _encode({"scope": "channel", "scope_id": chr(to.OP_TEXT), "deviation_pct": 0})[:-2]
    return b"".join(_marked(part) + bytes([to.OP_END]) for part in (_encode(body), worst))


def _marked(text: bytes) -> bytes:
    """JSON with the bytes of the ops themselves."""
    text = text.replace(_encode(_CHANNEL), _CHANNEL.encode())
    for op in range(1, to.OPS):
        mark, quote = bytes([op]), b'"' if op in _QUOTED else b""
        text = text.replace(_encode(chr(op)), quote + mark + quote)
    return text


def _texts(version: PlanVersion) -> bytes:
    """The texts of a plan: those of the fields that `_OPS` says, in the order of a snapshot."""
    plan = version.plan
    flight, budget = plan.flight, currency_of(plan.minor_digits).budget
    told = [
        *(plan.campaign_id, plan.account_id, plan.currency, budget(plan.total_budget), version.version),
        *(time_text(flight.start), time_text(flight.end)),
        *(text for channel in plan.channels for text in (channel.channel, budget(channel.allocated_budget))),
    ]
    return b"".join(_encode(text) + bytes([to.OP_END]) for text in told)


def _with_ops(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: chr(_OPS[name]) if name in _OPS else value for name, value in fields.items()}


# -- what a campaign gives ---------------------------------------------------------------------------------------------


def _is_lasting(state: PacingState) -> bool:
    """Whether nothing is remembered but deviations, signals and milestones."""
    return not (state.proposals or state.closing or state.period) and state.watch == NOTHING_WATCHED


def _made(
    history: PlanHistory, ground: Ground, state: PacingState, counted: Counted, day: Day, as_of: int
) -> Row | None:
    """The row of a campaign within its flight; None where more is told than a snapshot."""
    plan, up = ground.plan, _up(state)
    start, end = plan.flight.start, plan.flight.end
    today, silent = _today(plan, counted, as_of), _silent_from(plan, counted)
    late, future, through = counted.late_spend, counted.future_spend, counted.data_through
    scopes = _scopes(ground, state, counted.totals)
    if (
        up < 0
        or scopes is None
        or not 0 <= late < to.LARGEST
        or not 0 <= future < to.LARGEST
        or not all(start <= at < end for at, _ in counted.new)
        or not -to.LARGEST < today < to.LARGEST
        or 0 <= day.most < today
    ):
        return None
    of_tick = late, future, to.NONE if through is None else through, day.rolling, silent, up, state.milestones
    of_day = day.start, today, day.most
    figures = pack(f"{to.HEAD + len(scopes)}q", *ground.before, *of_tick, *ground.after, *of_day, *scopes)
    return Row(history, state, day, ground, figures)


def _scopes(ground: Ground, state: PacingState, totals: Totals) -> list[int] | None:
    """The part of a row by scope; None where one of them is nothing that the compiled part knows of."""
    scopes, known = [*ground.scopes], 0
    for (channel, _), figures in totals.items():
        scopes[to.SPEND] += figures[SPEND]
        if channel is None or not ground.places:
            continue
        place = ground.places.get(channel)
        if place is None:
            return None
        scopes[place + to.SPEND] += figures[SPEND]
        scopes[place + to.IMPRESSIONS] += figures[IMPRESSIONS]
        scopes[place + to.REQUESTS] += figures[REQUESTS]
    for place, key in zip(range(to.LIFE, len(scopes), to.SCOPE), ground.names, strict=True):
        if (life := state.deviations.get(key)) is not None:
            scopes[place] = _life(life, ground.plan.thresholds.enter_ticks)
            known += 1
    is_known = known == len(state.deviations) and min(scopes) >= 0 and max(scopes) < to.LARGEST
    return scopes if is_known else None


def _today(plan: Plan, counted: Counted, as_of: int) -> int:
    """What was spent in the local day of an instant."""
    return 0 if counted.days is None else counted.days(plan.timezone, ordinal_at(plan.timezone, as_of)).today


def _day_of(tick: Tick) -> Day | None:
    """What the days before the tick's come to; None where more is told of them, or their pace cannot be printed."""
    as_of, last = tick.as_of, last_days(tick)
    most = -1 if last is None else limit_today(tick, last)
    standings = tick.standings()
    campaign, rests = standings.at(as_of)[0], ground_of(tick, standings)
    pace = rolling_pace(rests, days_before(rests, campaign, as_of))
    rolling = to.NONE if pace is None else round_half_even(10_000 * pace[0], pace[1])
    if most is None or not (pace is None or -to.FURTHEST < rolling < to.FURTHEST):
        return None
    start, until = local_day(tick.plan.timezone, ordinal_at(tick.plan.timezone, as_of))[:2]
    return Day(start, until, rolling, most)


def _silent_from(plan: Plan, counted: Counted) -> int:
    """The first instant at which the campaign's silence may be a signal."""
    if counted.positive_hour is None:
        return _NEVER
    hour = counted.positive_hour(plan.timezone)
    return max(plan.flight.start, 0 if hour is None else hour + HOUR) + SILENCE


def _up(state: PacingState) -> int:
    """The signals that are up; -1 where one of them is not of those that the compiled part knows."""
    up = 0
    for alert in state.alerts.values():
        if alert.kind not in _BITS:
            return -1
        up |= _BITS[alert.kind]
    return up


def _life(life: DeviationLife, enter_ticks: int) -> int:
    """The deviation that is open of a scope; -1 for one that is not steady."""
    if not stands_still(life, enter_ticks):
        return -1
    return (to.IS_UNDER if life.direction == "underpacing" else to.IS_OVER) + (life.level == "critical")
