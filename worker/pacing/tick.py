"""
One campaign's tick: what is told about it as of T, and what is remembered for the next.

Source: contract, rules 4 to 6, 14, 15, 18 and "A snapshot as of tick T". The periods of a recurring budget that have
ended since the last tick are closed first (`closing` has that). Then the state of affairs decides which of five things
a tick is:

    ended       a tombstone ended the plan: what is open resolves, nothing else is told
    first       nothing before it (`evaluate`): one snapshot as of T, and what opens at once
    running     before the flight's end: a snapshot, deviations, proposals, signals
    closing     the first tick at or after the flight's end, or with the plan completed or canceled: the closing
                snapshot, as of the end or of this tick, and everything open resolves with it
    closed      after it: a revised snapshot where spend has changed (never again once the plan is completed)

Where the contract is silent:

- a tick that is not complete changes no deviation, proposal or lasting signal; a closing that was not complete is
  told as that, and what is open resolves at the next complete tick;
- the one closing snapshot of a plan that is completed or canceled waits for a tick that is complete, since no
  revision could set it right;
- a period is closed under the version in force at its last instant, by all that is known now and dated before its
  end; only a flight's closing is ever revised, but what a late credit leaves is carried on;
- of what is open at the end of a period the same holds: on a tick that is not complete its closing snapshot is told,
  and the rest resolves at the next complete one; its proposals have expired;
- `late_spend` is of the whole campaign, whichever window it falls into, or it would not be seen at all;
- spend known at the closing but dated in [end, T] shows in a revision at the next tick;
- a deviation's scope that the plan drops resolves with `plan_ended`, a deal whose own flight is over with
  `flight_ended`; after it none opens;
- a flight that is extended after its closing runs again, and is closed again at its new end;
- at T at or after the end a first tick opens nothing, as no later one would.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, Final

from msgspec.structs import replace

from worker.pacing.amounts import time_text
from worker.pacing.daily import new_days_over_allowance
from worker.pacing.density import ordinal_at
from worker.pacing.deviation import Reason, Step, enters, is_steady, live, resolved
from worker.pacing.figures import Attribution, Counted, Totals
from worker.pacing.history import PlanHistory, PlanVersion
from worker.pacing.pace import ended_periods, pace_at
from worker.pacing.period_signals import MILESTONE, Before, milestones_reached, signals_of
from worker.pacing.plan import Thresholds
from worker.pacing.projection import Ground, Projection, project
from worker.pacing.reallocation import Move, propose
from worker.pacing.series import on_the_series
from worker.pacing.signals import Signal, by_key, cases, newly_counted, over_budget
from worker.pacing.snapshot import Taken
from worker.pacing.standing import NO_FIGURES, Standing, Standings, Tally, without
from worker.pacing.state import Closing, DeviationLife, PacingState, PeriodEnd, Proposal
from worker.pacing.telling import Alerts, Event, Teller, changed
from worker.pacing.watch import watched


class Tick:
    """What one campaign's tick is made from; nothing of it changes. *version* is the plan version in force."""

    __slots__ = (
        "as_of", "complete", "counted", "history", "is_first", "is_over", "pace", "plan", "position", "state", "tally",
        "teller", "today", "version", "watch",
    )  # fmt: skip

    def __init__(  # what take_tick is given
        self,
        history: PlanHistory,
        version: PlanVersion,
        state: PacingState,
        counted: Counted,
        as_of: int,
        *,
        complete: bool,
        position: dict[str, Any] | None,
    ) -> None:
        self.history = history
        self.state = state
        self.counted = counted
        self.as_of = as_of
        self.complete = complete
        self.position = position
        self.is_first = False
        self.watch = watched(history, version, state.watch, as_of)
        self._look_at(version, as_of)

    def _look_at(self, version: PlanVersion, within: int) -> None:
        """Make it one of the window of *version* that holds *within*."""
        self.version = version
        self.plan = version.plan
        self.is_over = self.as_of >= version.plan.flight.end
        """Whether the flight has ended."""
        self.today = ordinal_at(version.plan.timezone, self.as_of)
        """The number of the tick's local day."""
        self.pace = pace_at(self.history, version, within, self.counted.before)
        self.tally = self.tallied(self.counted.totals)
        self.teller = Teller(version.plan, self.as_of, self.pace.window.end)

    def closing(self, version: PlanVersion, end: int) -> Tick:
        """The same of the period that ended at *end*, under the version of its last instant."""
        at_end = copy.copy(self)
        at_end._look_at(version, end - 1)  # noqa: SLF001  # a copy of this very object
        return at_end

    def after(self, state: PacingState) -> Tick:
        """The same with another state before it."""
        after = copy.copy(self)
        after.state = state
        return after

    def standings(self, tally: Tally | None = None) -> Standings:
        """The plan's scopes with what is spent by the tick, or by *tally*."""
        return Standings(self.plan, self.pace, tally or self.tally, self._before)

    def tallied(self, totals: Totals) -> Tally:
        """What of *totals* is of the window, by scope."""
        origin = self.pace.origin
        return Tally(self.plan, totals if origin is None else without(totals, self.counted.before(origin)))

    def through(self, latest: int | None) -> int | None:
        """The latest event time, unless it lies before the window."""
        origin = self.pace.origin
        return None if latest is None or (origin is not None and latest < origin) else latest

    def _before(self, instant: int) -> Totals:
        """The totals of the window that are dated before *instant*, which is in it."""
        totals, origin = self.counted.before(instant), self.pace.origin
        return totals if origin is None else without(totals, self.counted.before(origin))


Told = tuple[list[Event], PacingState]


def take_tick(
    history: PlanHistory,
    state: PacingState,
    counted: Counted,
    *,
    as_of: int,
    complete: bool = True,
    first: bool = False,
    position: dict[str, Any] | None = None,
) -> Told:
    """
    The events of one campaign at tick *as_of*, and its state after it: the same object where nothing changed.

    *complete* is False for a tick taken before the partition had read everything of it; *first* True for a tick with
    nothing before it (`evaluate`); *position* is the `ledger_position` of the snapshot. Nothing given is changed.
    """
    version = history.in_force(as_of)
    if version is None:
        return [], state
    tick = Tick(history, version, state, counted, as_of, complete=complete, position=position)
    if history.ended:
        return _ended(tick)
    if first:
        return _first(tick)
    if not (history.recurs or state.is_period_open):
        told, after = _judge(tick)
        return told, _watching(tick, after)
    closed, tick = _close_periods(tick)
    told, after = _judge(tick)
    return [*closed, *told], _watching(tick, after)


def _watching(tick: Tick, after: PacingState) -> PacingState:
    """The state with what its signals remember of forgotten plans."""
    return after if after.watch == tick.watch else replace(after, watch=tick.watch)


def _judge(tick: Tick) -> Told:
    """What the tick itself tells, the periods before its own being closed."""
    version, state = tick.version, tick.state
    if version.plan.status in {"completed", "canceled"}:
        return _canceled(tick, state.closing)
    return _over(tick, state.closing) if tick.is_over else _running(tick)


# -- the five kinds of tick ------------------------------------------------------------------------------------------


def _ended(tick: Tick) -> Told:
    """After a tombstone: what is open resolves, complete or not, since no later news could keep it open."""
    if tick.state == PacingState():
        return [], tick.state
    standings = tick.standings()
    told = _resolve_all(tick, standings, tick.state.deviations, tick.as_of, None, "plan_ended")
    return [*told, *map(tick.teller.cleared, tick.state.alerts.values())], PacingState()


def _first(tick: Tick) -> Told:
    """A tick with nothing before it: every threshold passed opens now, and nothing is late."""
    plan = replace(tick.plan, thresholds=replace(tick.plan.thresholds, enter_ticks=1))
    counted = dataclasses.replace(tick.counted, late_spend=0)
    version = tick.version._replace(plan=plan)
    alone = Tick(
        tick.history, version, PacingState(), counted, tick.as_of, complete=tick.complete, position=tick.position
    )
    alone.is_first = True
    return _running(alone)


def _running(tick: Tick) -> Told:
    """A snapshot as of the tick, and whatever has changed since the last one."""
    plan, counted = tick.plan, tick.counted
    standings = tick.standings()
    scopes = standings.at(tick.as_of)
    snapshot_id = tick.teller.id("pacing.snapshot_taken")
    proposals, recommended = _proposals(tick, scopes[0], scopes[1 : 1 + len(plan.channels)], snapshot_id)
    deviations, told = _deviations(tick, standings, scopes, snapshot_id)
    projection = _projection(tick, standings, scopes[0], tick.as_of)
    alerts, signals = _alerts(tick, scopes, projection)
    taken = Taken(
        as_of=tick.as_of,
        data_through=tick.through(counted.data_through),
        late_spend=counted.late_spend,
        future_spend=counted.future_spend,
        plan_version=tick.version.version,
        revision=0,
        final=False,
        complete=tick.complete,
        recommendations=[proposal.recommendation_id for proposal in proposals.values()],
        ledger_position=tick.position,
    )
    snapshot = tick.teller.snapshot(snapshot_id, scopes, taken, projection)
    after = _state(tick.state, deviations, alerts, proposals, None)
    return [snapshot, *told, *recommended, *signals], _remembering(tick, after, scopes[0])


def _canceled(tick: Tick, closing: Closing | None) -> Told:
    """The plan is completed or canceled: closed already, or to be closed once, from all of the input."""
    if closing:
        return _closed(tick, closing, "plan_ended")
    return _close_by_plan(tick) if tick.complete else _running(tick)


def _over(tick: Tick, closing: Closing | None) -> Told:
    """At or after the flight's end: closed already, as of this very end, or to be closed."""
    if closing and closing.end == tick.plan.flight.end:
        return _closed(tick, closing, "flight_ended")
    return _close_flight(tick)


def _close_flight(tick: Tick) -> Told:
    """The closing snapshot as of the flight's end, from what is dated before it."""
    end, counted = tick.plan.flight.end, tick.counted
    totals = counted.before(end)
    closing = Closing(end, _closing_id(tick, end, 0), behind=_differ(counted.totals, totals))
    return _close(tick, closing, _taken_before(tick, closing, totals), totals, "flight_ended")


def _taken_before(tick: Tick, closing: Closing, totals: Totals) -> Taken:
    """What a closing snapshot says that counts what is dated before its end, and no more: *totals*."""
    counted = tick.counted
    return replace(
        _closing_taken(tick, closing.end, closing),
        data_through=tick.through(counted.data_through_before(closing.end)),
        future_spend=counted.future_spend + _spend(counted.totals) - _spend(totals),
    )


def _close_by_plan(tick: Tick) -> Told:
    """The closing snapshot of a plan that is completed or canceled, as of this tick."""
    closing = Closing(tick.as_of, _closing_id(tick, tick.as_of, 0))
    return _close(tick, closing, _closing_taken(tick, tick.as_of, closing), tick.counted.totals, "plan_ended")


def _close(tick: Tick, closing: Closing, taken: Taken, totals: Totals, reason: Reason) -> Told:
    """A closing snapshot from *totals*, and everything open resolves with it."""
    standings = tick.standings(tick.tallied(totals))
    snapshot = _closing_snapshot(tick, standings, closing, taken)
    deviations, told = _end_deviations(tick, standings, closing, reason)
    alerts, signals = _alerts_at_closing(tick)
    return [snapshot, *told, *signals], _state(tick.state, deviations, alerts, {}, closing)


def _closed(tick: Tick, closing: Closing, reason: Reason) -> Told:
    """After the closing: a revised snapshot where the spend has changed, and what is still to resolve."""
    standings = tick.standings()
    revised = reason == "flight_ended" and (closing.behind or _spend_changed(tick.counted))
    events = []
    if revised:
        revision = closing.revision + 1
        closing = Closing(closing.end, _closing_id(tick, closing.end, revision), revision)
        taken = _closing_taken(tick, tick.as_of, closing)
        scopes = standings.at(tick.as_of)
        projection = _projection(tick, standings, scopes[0], tick.as_of)
        events.append(tick.teller.snapshot(closing.snapshot_id, scopes, taken, projection))
    deviations, told = _end_deviations(tick, standings, closing, reason)
    alerts, signals = _alerts(tick, [], None)
    return [*events, *told, *signals], _state(tick.state, deviations, alerts, {}, closing)


# -- periods ---------------------------------------------------------------------------------------------------------


def _close_periods(tick: Tick) -> tuple[list[Event], Tick]:
    """
    The closing snapshots of the periods that have ended since the last tick, and the tick as it goes on after them.

    What was open resolves with the first of them, or, where that was not complete, at the next tick that is.
    """
    events: list[Event] = []
    period = tick.state.period
    if period is not None and tick.state.is_period_open and tick.complete:
        events, tick = _resolve_period(tick, period)
    for version, end in ended_periods(tick.history, tick.state.period, tick.as_of):
        told, tick = _close_period(tick, version, end)
        events += told
    return events, tick


def _close_period(tick: Tick, version: PlanVersion, end: int) -> tuple[list[Event], Tick]:
    """The closing snapshot of a period, and what resolves with it."""
    at_end = tick.closing(version, end)
    totals = tick.counted.before(end)
    closing = Closing(end, _closing_id(tick, end, 0))
    standings = at_end.standings(at_end.tallied(totals))
    snapshot = _closing_snapshot(at_end, standings, closing, _taken_before(at_end, closing, totals))
    period = PeriodEnd(end, closing.snapshot_id, is_open=True)
    if not tick.complete:
        return [snapshot], tick.after(replace(tick.state, period=period, proposals={}))
    told, tick = _resolve_all_of(tick, at_end, standings, period)
    return [snapshot, *told], tick


def _resolve_period(tick: Tick, period: PeriodEnd) -> tuple[list[Event], Tick]:
    """What was open when a period ended, resolved at a later tick."""
    version = tick.history.at(period.end - 1) or tick.version
    at_end = tick.closing(version, period.end)
    return _resolve_all_of(tick, at_end, at_end.standings(at_end.tallied(tick.counted.before(period.end))), period)


def _resolve_all_of(tick: Tick, at_end: Tick, standings: Standings, period: PeriodEnd) -> tuple[list[Event], Tick]:
    """Every deviation and signal resolved with a period, and the tick after it."""
    lives, alerts = tick.state.deviations, tick.state.alerts
    told = _resolve_all(at_end, standings, lives, period.end, period.snapshot_id, "period_ended")
    cleared = [*map(tick.teller.cleared, alerts.values())]
    after = PacingState(period=replace(period, is_open=False), closing=tick.state.closing, watch=tick.state.watch)
    return [*told, *cleared], tick.after(after)


def _closing_snapshot(tick: Tick, standings: Standings, closing: Closing, taken: Taken) -> Event:
    """The snapshot of what is closed, as of its end, from what is dated before it."""
    scopes = standings.at(closing.end)
    projection = _projection(tick, standings, scopes[0], closing.end, until=closing.end)
    return tick.teller.snapshot(closing.snapshot_id, scopes, taken, projection)


def _projection(
    tick: Tick, standings: Standings, campaign: Standing, as_of: int, until: int | None = None
) -> Projection:
    """What the campaign is projected to spend, from what is counted (that is dated before *until*)."""
    return project(ground_of(tick, standings, until), campaign, as_of)


def ground_of(tick: Tick, standings: Standings, until: int | None = None) -> Ground:
    """What a projection rests on."""
    pace, number = tick.pace, tick.version.version
    course = pace.scopes[0].course
    is_even = course is None and pace.scopes[0].track is None
    moves = course is not None and course.rests_on_spend
    return Ground(tick.plan, tick.history, number, standings.expected, is_even, moves, tick.counted, pace.origin, until)


def _closing_id(tick: Tick, end: int, revision: int) -> str:
    return tick.teller.id("pacing.snapshot_taken", "final", time_text(end), str(revision))


def _closing_taken(tick: Tick, as_of: int, closing: Closing) -> Taken:
    """What a closing or revised snapshot says of itself."""
    counted = tick.counted
    return Taken(
        as_of=as_of,
        data_through=tick.through(counted.data_through),
        late_spend=counted.late_spend,
        future_spend=counted.future_spend,
        plan_version=tick.version.version,
        revision=closing.revision,
        final=True,
        complete=tick.complete,
        recommendations=[],
        ledger_position=tick.position,
    )


def _spend(totals: Totals) -> int:
    return sum(figures[0] for figures in totals.values())


def _differ(known: Totals, counted: Totals) -> bool:
    """Whether spend is known beyond what is counted, under any attribution."""
    return any(figures[0] != counted.get(key, NO_FIGURES)[0] for key, figures in known.items())


def _spend_changed(counted: Counted) -> bool:
    """Whether the spend under any attribution is another than at the last tick."""
    changes: dict[Attribution, int] = {}
    for _, totals in counted.new:
        for key, figures in totals.items():
            changes[key] = changes.get(key, 0) + figures[0]
    return any(changes.values())


def _state(
    state: PacingState,
    deviations: dict[str, DeviationLife],
    alerts: Alerts,
    proposals: dict[str, Proposal],
    closing: Closing | None,
) -> PacingState:
    """The state after the tick, the very same where nothing has changed: then there is nothing to store."""
    now = (deviations, alerts, proposals, closing)
    if now == (state.deviations, state.alerts, state.proposals, state.closing):
        return state
    return PacingState(*now, state.period, state.milestones, state.watch)


# -- deviations ------------------------------------------------------------------------------------------------------

Deviations = dict[str, DeviationLife]

NEVER_JUDGED: Final = DeviationLife()


def _deviations(
    tick: Tick, standings: Standings, scopes: list[Standing], snapshot_id: str
) -> tuple[Deviations, list[Event]]:
    """The deviations after the tick, each compared with what was expected when the feed ended."""
    before, tell = tick.state.deviations, tick.teller.deviation
    if not tick.complete:
        return before, []
    thresholds = tick.plan.thresholds
    lag = thresholds.feed_lag
    after: Deviations = {}
    events: list[Event] = []
    for standing in standings.at(tick.as_of - lag) if lag else scopes:
        # Most scopes have neither a life nor a reason for one: they are passed over with one comparison.
        life = before.get(standing.key) if before else None
        if life is not None or enters(standing.gap, standing.expected[0], thresholds):
            key = standing.key
            life, steps = _live(tick, life, standing, thresholds)
            if life is not None:
                after[key] = life
            if steps:
                events += [tell(step, standing, snapshot_id) for step in steps]
    if before.keys() <= after.keys():
        return after, events
    planned = {standing.key for standing in scopes}
    dropped = {key: life for key, life in before.items() if key not in planned}
    return after, [*events, *_resolve_all(tick, standings, dropped, tick.as_of, snapshot_id, "plan_ended")]


def _live(
    tick: Tick, life: DeviationLife | None, standing: Standing, thresholds: Thresholds
) -> tuple[DeviationLife | None, tuple[Step, ...]]:
    """One scope's tick; a deal whose own flight is over deviates no more."""
    if tick.as_of >= standing.flight.end:
        return None, resolved(life, "flight_ended")
    gap, base = standing.gap, standing.expected[0]
    may_open = _may_open(tick, standing, thresholds)
    if life is not None and may_open and is_steady(life, gap, base, thresholds):
        return life, ()
    return live(
        life or NEVER_JUDGED,
        gap,
        base,
        thresholds,
        may_open=may_open,
        new_id=lambda: tick.teller.id("deviation", standing.scope, standing.scope_id),
    )


def _may_open(tick: Tick, standing: Standing, thresholds: Thresholds) -> bool:
    """Whether a deviation of the scope may open or escalate: active, in its flight, past its grace, enough expected."""
    num, den = standing.expected
    return (
        tick.plan.status == "active"
        and not tick.is_over
        and tick.as_of >= standing.flight.start + thresholds.grace
        and num >= thresholds.min_expected * den
    )


def _end_deviations(
    tick: Tick, standings: Standings, closing: Closing, reason: Reason
) -> tuple[Deviations, list[Event]]:
    """Every deviation resolved with the flight or the plan, once that can be told from all of the input."""
    if not tick.complete:
        return tick.state.deviations, []
    told = _resolve_all(tick, standings, tick.state.deviations, closing.end, closing.snapshot_id, reason)
    return {}, told


def _resolve_all(
    tick: Tick, standings: Standings, lives: Deviations, as_of: int, snapshot_id: str | None, reason: Reason
) -> list[Event]:
    """The resolutions of what is open among *lives*, in the plan's order, with the figures as of *as_of*."""
    if not any(life.alert_id for life in lives.values()):
        return []
    planned = {standing.key: standing for standing in standings.at(as_of - tick.plan.thresholds.feed_lag)}
    unplanned = {key: standings.unplanned(*key.split("\0")) for key in sorted(lives.keys() - planned.keys())}
    return [
        tick.teller.deviation(step, standing, snapshot_id)
        for key, standing in (planned | unplanned).items()
        for step in resolved(lives.get(key), reason)
    ]


# -- proposals -------------------------------------------------------------------------------------------------------

Proposals = dict[str, Proposal]


def _proposals(
    tick: Tick, campaign: Standing, channels: list[Standing], snapshot_id: str
) -> tuple[Proposals, list[Event]]:
    """The proposals that stand after the tick; told is what is new or has changed by min_amount or more."""
    plan, before = tick.plan, tick.state.proposals
    if not tick.complete:
        return before, []
    if plan.status != "active" or plan.automation == "insight_only" or tick.is_over:
        return {}, []
    after: Proposals = {}
    events: list[Event] = []
    for move in propose(plan, channels, (campaign.budget, campaign.scale)):
        source, target = move.source.scope_id, move.target.scope_id
        old = before.get(key := f"{source}\0{target}")
        after[key] = proposal = _standing_or_new(tick, old, move)
        if proposal is not old:
            events.append(tick.teller.recommended(move, proposal, snapshot_id, old.recommendation_id if old else None))
    return after, events


def _standing_or_new(tick: Tick, old: Proposal | None, move: Move) -> Proposal:
    """The proposal as it was told, unless it is new or its amount has moved far enough."""
    if old is not None:
        change = abs(move.amount - old.amount)
        if change == 0 or change < tick.plan.reallocation.min_amount:
            return old
    identity = tick.teller.id("pacing.reallocation_recommended", move.source.scope_id, move.target.scope_id)
    return Proposal(identity, move.amount)


# -- signals ---------------------------------------------------------------------------------------------------------


def _alerts(tick: Tick, scopes: list[Standing], projection: Projection | None) -> tuple[Alerts, list[Event]]:
    """The signals that are up after the tick; *scopes* are those whose budget is watched, none once all is closed."""
    before, now, plan = tick.state.alerts, _news(tick), tick.plan
    if tick.complete and not tick.is_over and projection is not None:
        now += over_budget(plan, scopes)
        told = Before(before, tick.state.milestones)
        now += signals_of(plan, scopes[0], projection, tick.as_of, told, is_paused=plan.status != "active")
        now += on_the_series(tick, scopes[0])
    if not (before or now):
        return before, []
    up = by_key(_wanted(tick, now) if plan.silenced else now)
    over = [key for key in before if key not in up] if tick.complete else []
    return changed(tick.teller, before, over, up)


def _remembering(tick: Tick, state: PacingState, campaign: Standing) -> PacingState:
    """The state with the milestones that are told by now; those that the plan switches off are not."""
    if not tick.complete or tick.is_over or MILESTONE in tick.plan.silenced:
        return state
    reached = milestones_reached(campaign, state.milestones)
    return state if reached <= state.milestones else replace(state, milestones=reached)


def _alerts_at_closing(tick: Tick) -> tuple[Alerts, list[Event]]:
    """Every signal clears; news of a kind that was not up is still raised, or it would never be told."""
    before = tick.state.alerts
    return changed(tick.teller, before, list(before) if tick.complete else [], by_key(_wanted(tick, _news(tick))))


def _news(tick: Tick) -> list[Signal]:
    """The signals about single updates."""
    plan, counted = tick.plan, tick.counted
    if not (counted.new or counted.cases):
        return []
    news = [*newly_counted(plan, counted.new, tick.tally)]
    if counted.cases:
        news += cases(plan, counted.cases)
    return [*news, *new_days_over_allowance(tick)]


def _wanted(tick: Tick, signals: list[Signal]) -> list[Signal]:
    """Those that the plan does not switch off."""
    return [signal for signal in signals if signal.kind not in tick.plan.silenced]
