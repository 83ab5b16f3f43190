"""
Plain campaigns: many at a time, where a tick tells a snapshot of each and nothing else.

Most campaigns are so at most ticks: a linear plan without deals, deviations that stay as they are, no signal raised or
cleared. What of that does not depend on the instant is looked at once, in Python, by the very functions of the tick,
and kept as a row of integers until spend comes, the state changes or the day ends. What does, the compiled part
(`printing`) holds against the row, and prints the snapshot. Of a campaign that is not plain neither says anything:
`take_tick` takes it.

    history, state, counted ─▶ Row ─▶ printed, or None: not plain ─▶ take_tick

The law of this file: **the same bytes**. What is printed is what `take_tick` would have told, and it would have told no
more and handed back the same state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from schemas.fields import round_half_even
from worker.pacing import printing as to
from worker.pacing.amounts import time_text
from worker.pacing.daily import last_days, spikes
from worker.pacing.density import HOUR, local_day, ordinal_at
from worker.pacing.deviation import stands_still
from worker.pacing.figures import IMPRESSIONS, REQUESTS, SPEND, Counted
from worker.pacing.history import PlanHistory, PlanVersion
from worker.pacing.identity import event_id
from worker.pacing.interruption import SILENCE
from worker.pacing.period_signals import AHEAD, EXHAUSTION, USED_BEFORE
from worker.pacing.plan import EVEN, LINEAR, Plan
from worker.pacing.projection import Projection, days_before, rolling_pace
from worker.pacing.rollup import Child, Worst
from worker.pacing.signals import newly_counted
from worker.pacing.snapshot import BANDS, Taken
from worker.pacing.standing import NO_FIGURES
from worker.pacing.state import NOTHING_WATCHED, PacingState
from worker.pacing.tick import Tick, ground_of

_encode: Final = msgspec.json.Encoder().encode
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
}  # fmt: skip
"""What is printed in which field of a snapshot, and of its channels; the others stay what they are."""
_QUOTED: Final = (to.OP_ID, to.OP_TICK)
"""What is printed within the quotes of a text, and not with them."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """What a plain campaign is judged and printed from, while nothing comes, its state lasts, and before *until*."""

    history: PlanHistory
    state: PacingState
    future: int
    until: int
    template: bytes
    figures: bytes
    plan: Plan
    spend: int


class _Ground(NamedTuple):
    """What a plan gives to every row of it; *figures* begin one."""

    template: bytes
    figures: tuple[int, ...]
    names: tuple[str, ...]
    ranks: tuple[int, ...]
    budgets: tuple[int, ...]
    keys: frozenset[str]
    """The scopes, as the state knows them."""


class Printed(msgspec.Struct, frozen=True, gc=False):
    """The snapshot of a plain campaign: its JSON, what it adds to its account, and what its headers and counts show."""

    campaign_id: str
    event_id: str
    tick: str
    band: str
    text: bytes
    child: Child | None

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
    """The row of a campaign as of a complete tick, the *known* one where it still holds; None where it is not plain."""
    if (
        known is not None
        and known.state is state
        and known.history is history
        and as_of < known.until
        and not counted.new
        and not counted.cases
        and counted.late_spend == 0
        and counted.future_spend == known.future
    ):
        return known
    if len(history.versions) != 1 or history.ended or counted.cases or not _is_lasting(state):
        return None
    version = history.in_force(as_of)
    ground = None if version is None else _ground_of(history, version)
    if version is None or ground is None:
        return None
    return _made(Tick(history, version, state, counted, as_of, complete=True, position=None), ground)


def print_rows(rows: Sequence[Row | None], as_of: int, position: dict[str, Any] | None) -> list[Printed | None]:
    """The snapshots as of a complete tick of the campaigns that are plain then; None for every other."""
    plain = [row for row in rows if row is not None]
    if not plain or as_of % to.NANOS:
        return [None] * len(rows)
    tick, where = time_text(as_of), _encode(position)
    ids = [event_id("pacing.snapshot_taken", row.plan.campaign_id, tick) for row in plain]
    templates, figures = [row.template for row in plain], [row.figures for row in plain]
    widest = (
        len(where)
        + to.FIGURE_BYTES * 24
        + max(len(row.template) + to.FIGURE_BYTES * len(row.figures) // 8 for row in plain)
    )
    out = np.empty(widest * len(plain), np.uint8)
    ends, bands = np.empty(len(plain), np.int64), np.empty(len(plain), np.int64)
    to.print_plain(
        out,
        np.frombuffer(b"".join(templates), np.uint8),
        np.cumsum(list(map(len, templates))),
        np.frombuffer(b"".join(figures), np.int64),
        np.cumsum([len(each) // 8 for each in figures]),
        as_of,
        np.frombuffer("".join(ids).encode(), np.uint8),
        np.frombuffer(tick.encode(), np.uint8),
        np.frombuffer(where, np.uint8),
        ends,
        bands,
    )
    text, made, begin = out[: ends[-1]].tobytes(), [], 0
    for row, identity, end, band in zip(plain, ids, ends.tolist(), bands.tolist(), strict=True):
        printed = None
        if end != begin:
            child = _child(row, as_of)
            printed = Printed(row.plan.campaign_id, identity, tick, BANDS[band], text[begin:end], child)
        made.append(printed)
        begin = end
    if len(plain) == len(rows):
        return made
    each = iter(made)
    return [None if row is None else next(each) for row in rows]


def _child(row: Row, as_of: int) -> Child:
    """What the campaign adds to its account: see `rollup.child_of`."""
    plan, spend = row.plan, row.spend
    flight, budget = plan.flight, plan.total_budget
    gone, length = as_of - flight.start, flight.end - flight.start
    base = budget * gone
    worst = Worst(plan.campaign_id, spend * length - base, base)
    projected = (spend * length, gone) if spend else (0, 1)
    return Child(plan.account_id, plan.currency, True, (budget, 1), spend, (base, length), flight, projected, worst)


# -- what a plan gives -------------------------------------------------------------------------------------------------


def _ground_of(history: PlanHistory, version: PlanVersion) -> _Ground | None:
    made: _Ground | None = history.kept(
        "plain", version.version, lambda: _ground(history, version) if _is_plain(version.plan) else None
    )
    return made


def _is_plain(plan: Plan) -> bool:
    """Whether what the compiled part knows of plans is enough."""
    flight, thresholds = plan.flight, plan.thresholds
    budgets = [plan.total_budget, *(channel.allocated_budget for channel in plan.channels)]
    names = [plan.campaign_id, plan.account_id, *(channel.channel for channel in plan.channels)]
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
        and flight.start % to.NANOS == 0 == flight.end % to.NANOS
        and 0 <= flight.start < flight.end < flight.start + to.LONGEST * to.NANOS
        and all(min(name, default="x") >= " " for name in names)
    )


def _ground(history: PlanHistory, version: PlanVersion) -> _Ground:
    plan = version.plan
    flight, thresholds = plan.flight, plan.thresholds
    names = tuple(channel.channel for channel in plan.channels)
    ordered = sorted(names)
    figures = [0] * to.HEAD
    figures[to.START], figures[to.END] = flight.start // to.NANOS, flight.end // to.NANOS
    figures[to.SCOPES], figures[to.DIGITS] = 1 + len(names), plan.minor_digits
    figures[to.OPEN], figures[to.LEAST] = flight.start + thresholds.grace, thresholds.min_expected
    figures[to.UNDER_WARNING] = thresholds.underpacing_warning_pct
    figures[to.UNDER_CRITICAL] = thresholds.underpacing_critical_pct
    figures[to.OVER_WARNING] = thresholds.overpacing_warning_pct
    figures[to.OVER_CRITICAL] = thresholds.overpacing_critical_pct
    figures[to.MOVES] = plan.automation != "insight_only"
    return _Ground(
        _template(history, version),
        tuple(figures),
        names,
        (0, *map(ordered.index, names)),
        tuple(scope.budget for scope in history.scopes(version)),
        frozenset(f"{scope.scope}\0{scope.scope_id}" for scope in history.scopes(version)),
    )


def _template(history: PlanHistory, version: PlanVersion) -> bytes:
    """A snapshot as `tick` tells it, with an op for each figure; then the names of the channels for the worst."""
    counted = Counted({}, 0, 0, None, lambda _: {}, lambda _: None, [], {})
    plan = version.plan
    tick = Tick(history, version, PacingState(), counted, plan.flight.start, complete=True, position=None)
    taken = Taken(tick.as_of, None, 0, 0, version.version, 0, False, True, [], None)
    scopes = tick.standings().at(tick.as_of)
    body = tick.teller.snapshot("", scopes, taken, Projection("run_rate")).body
    channels = [
        {**_with_ops(channel), "channel": chr(to.OP_NEXT) + channel["channel"]} for channel in body["channel_snapshots"]
    ]
    body = {**_with_ops(body), "channel_snapshots": channels}
    if not channels:
        body["worst_child"] = None
    text = _encode(body)
    for op in range(1, to.OPS):
        mark, quote = bytes([op]), b'"' if op in _QUOTED else b""
        text = text.replace(_encode(chr(op)), quote + mark + quote)
    text = text.replace(_encode(chr(to.OP_NEXT))[1:-1], bytes([to.OP_NEXT]))
    worst = [_encode({"scope": "channel", "scope_id": c.channel, "deviation_pct": 0})[:-2] for c in plan.channels]
    return b"".join(part + bytes([to.OP_END]) for part in (text, *worst))


def _with_ops(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: chr(_OPS[name]) if name in _OPS else value for name, value in fields.items()}


# -- what a campaign gives ---------------------------------------------------------------------------------------------


def _is_lasting(state: PacingState) -> bool:
    """Whether nothing is remembered but deviations, signals and milestones."""
    return not (state.proposals or state.closing or state.period) and state.watch == NOTHING_WATCHED


def _made(tick: Tick, ground: _Ground) -> Row | None:
    """The row of a campaign as of a complete tick within its flight; None where more is told than a snapshot."""
    plan, counted, state, as_of = tick.plan, tick.counted, tick.state, tick.as_of
    if tick.is_over or as_of <= plan.flight.start or not state.deviations.keys() <= ground.keys:
        return None
    sums, (spend,) = tick.tally.channels, tick.tally.by_scope["campaign"][plan.campaign_id]
    scopes = [ground.budgets[0], spend, 0, 0, _life(tick, "campaign", plan.campaign_id), 0]
    for name, budget, rank in zip(ground.names, ground.budgets[1:], ground.ranks[1:], strict=True):
        held = sums.get(name, NO_FIGURES)
        scopes += budget, held[SPEND], held[IMPRESSIONS], held[REQUESTS], _life(tick, "channel", name), rank
    up = _up(state)
    if (
        min(scopes) < 0
        or max(scopes) >= to.LARGEST
        or up < 0
        or not 0 <= counted.late_spend < to.LARGEST
        or not 0 <= counted.future_spend < to.LARGEST
        or (counted.new and next(newly_counted(plan, counted.new, tick.tally), None) is not None)
    ):
        return None
    last = last_days(tick)
    if last is not None and next(spikes(tick, last), None) is not None:
        return None
    standings = tick.standings()
    campaign, rests = standings.at(as_of)[0], ground_of(tick, standings)
    rolling = rolling_pace(rests, days_before(rests, campaign, as_of), campaign)
    head = [*ground.figures]
    head[to.LATE], head[to.FUTURE] = counted.late_spend, counted.future_spend
    head[to.THROUGH] = to.NONE if counted.data_through is None else counted.data_through
    head[to.ROLLING] = to.NONE if rolling is None else round_half_even(10_000 * rolling[0], rolling[1])
    head[to.SILENT], head[to.UP], head[to.TOLD] = _silent_from(tick), up, state.milestones
    if not -to.FURTHEST < (0 if rolling is None else head[to.ROLLING]) < to.FURTHEST:
        return None
    until = local_day(plan.timezone, ordinal_at(plan.timezone, as_of)).end
    figures = np.array([*head, *scopes], np.int64).tobytes()
    return Row(tick.history, state, counted.future_spend, until, ground.template, figures, plan, spend)


def _silent_from(tick: Tick) -> int:
    """The first instant at which the campaign's silence may be a signal."""
    counted = tick.counted
    if counted.positive_hour is None:
        return _NEVER
    hour = counted.positive_hour(tick.plan.timezone)
    return max(tick.plan.flight.start, 0 if hour is None else hour + HOUR) + SILENCE


def _up(state: PacingState) -> int:
    """The signals that are up; -1 where one of them is not of those that the compiled part knows."""
    up = 0
    for alert in state.alerts.values():
        if alert.kind not in _BITS:
            return -1
        up |= _BITS[alert.kind]
    return up


def _life(tick: Tick, scope: str, scope_id: str) -> int:
    """The deviation that is open of a scope, -1 for one that is not steady."""
    life = tick.state.deviations.get(f"{scope}\0{scope_id}")
    if life is None:
        return to.NOT_OPEN
    if not stands_still(life, tick.plan.thresholds.enter_ticks):
        return -1
    return (to.IS_UNDER if life.direction == "underpacing" else to.IS_OVER) + (life.level == "critical")
