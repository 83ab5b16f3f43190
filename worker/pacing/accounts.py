"""
An account's tick: what its campaigns add up to, what its cap makes of that, and what is told.

A cap is a plan of an account's own, above its campaigns: a budget in one currency over a flight, or for each calendar
period of it. It is read as a campaign's plan is (linear, nothing carried) and so is a `Plan` here, whose campaign_id is
the account's. Source: contract, Topics and Events out; field definitions 14, 17, 19. What the contract leaves open:

- a cap is in force within its flight and for its own currency; before, after and for other currencies the account is
  the sum of its campaigns;
- under a cap, `expected_spend` is the cap's own: linear over its window; `total_spend` is that of its campaigns and,
  in `closed_spend`, of those told no more whose flights share time with the window;
- the lowest wins: `spendable` is the least of what the cap leaves and what its campaigns may still spend;
- `projected_spend` is the campaigns', added up, and null where one has none;
- a cap runs out where the even line from what is spent at the tick to `projected_spend` at the window's end reaches it;
  a cap that is used up ran out at the tick that saw it first (a partition's parts tell no event times), until credits
  or a higher cap leave something of it again. Without a cap the sum of budgets is no limit, and nothing runs out;
- the signals of `period_signals` are told of an account under a cap, by the same rules, unless its `signals` switch
  them off, `over_budget` as well. Apart from `over_budget` the
  others are about single updates, feeds or days, and are told of their campaigns;
- without a cap an account has no flight: `elapsed_pct` is of the time that holds its campaigns' windows;
- an account is judged by its cap's thresholds, else by a plan's defaults; while no campaign is active no deviation
  opens, and as of a paused plan no signal but `over_budget` and milestones comes up;
- what is open when the window ends resolves: with `period_ended` where the next one follows, `flight_ended` after the
  last, `plan_ended` where a cap came, changed its window or was taken away, or no campaign is left.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from schemas import wire
from schemas.fields import minor_digits
from schemas.wire import Fault
from worker.pacing.amounts import DAY, currency_of, percent, share, time_text
from worker.pacing.curves import elapsed
from worker.pacing.density import Ratio
from worker.pacing.deviation import Reason, live, resolved
from worker.pacing.expected import planned
from worker.pacing.identity import event_id
from worker.pacing.period_signals import MILESTONE, Before, milestones_reached, signals_of
from worker.pacing.periods import window_at
from worker.pacing.plan import Flight, Plan
from worker.pacing.projection import Projection
from worker.pacing.reading import read_plan
from worker.pacing.rollup import AccountKey, Sums
from worker.pacing.signals import OVER_BUDGET, by_key, over_budget
from worker.pacing.snapshot import Body, band, pacing_of
from worker.pacing.standing import Standing
from worker.pacing.state import DeviationLife, Raised
from worker.pacing.telling import Alerts, Event, Teller, changed

SNAPSHOT: Final = "account_snapshot_taken"
_NEVER: Final = Flight(0, 1)


# -- plans -----------------------------------------------------------------------------------------------------------


def read_account_plan(message: wire.AccountPlan) -> Plan | tuple[Fault, ...]:
    """The cap in a well-formed message, or every fault of its meaning."""
    return read_plan(
        wire.CampaignPlan(
            campaign_id=message.account_id,
            account_id=message.account_id,
            currency=message.currency,
            total_budget=message.total_budget,
            flight_start=message.flight_start,
            flight_end=message.flight_end,
            timezone=message.timezone,
            period=message.period,
            thresholds=message.thresholds,
            signals=message.signals,
        )
    )


@lru_cache(maxsize=4096)
def _uncapped(key: AccountKey) -> Plan:
    """An account without a cap: a plan's defaults, and nothing of its own."""
    account_id, currency = key
    message = wire.AccountPlan(
        account_id=wire.Id(account_id),
        currency=wire.Currency(currency),
        total_budget=wire.Budget(1),
        flight_start=wire.Moment("1970-01-01"),
        flight_end=wire.Moment("1970-01-01"),
    )
    plan = read_account_plan(message)
    assert isinstance(plan, Plan)  # noqa: S101  # nothing in it can be wrong
    return plan


# -- state -----------------------------------------------------------------------------------------------------------


class AccountState(msgspec.Struct, frozen=True):
    """
    What is remembered of an account in one currency from tick to tick; the empty one is none.

    Fields are only added at the end, with a default, so that an older record still reads.
    """

    life: DeviationLife | None = None
    raised: Raised | None = None
    """`over_budget`, while it is up."""
    window: Flight | None = None
    """The cap's window they are of; None: there was no cap."""
    alerts: Alerts = {}
    """The other signals that are up, by kind, scope, scope_id and which of them."""
    milestones: int = 0
    """How many milestones of the cap were told in the window."""
    spent_at: int | None = None
    """The tick that saw the cap used up first; None: something of it is left."""

    @property
    def up(self) -> Alerts:
        """All signals that are up."""
        over = self.raised
        return self.alerts if over is None else {f"{over.kind}\0{over.scope}\0{over.scope_id}": over, **self.alerts}

    @property
    def is_kept(self) -> bool:
        """Whether anything is remembered; the window alone is the cap's to say."""
        return replace(self, window=None) != _NOTHING


_NOTHING: Final = AccountState()


# -- the tick --------------------------------------------------------------------------------------------------------


class Tick(NamedTuple):
    """One account's tick: *cap* is the plan in force, *plan* that or an account's defaults."""

    key: AccountKey
    sums: Sums
    cap: Plan | None
    plan: Plan
    window: Flight
    as_of: int
    complete: bool
    teller: Teller

    def standing(self, as_of: int) -> Standing:
        """Where the account stands, with what is expected by *as_of*."""
        sums, cap = self.sums, self.cap
        if cap is None:
            (budget, scale), expected = sums.budgets, sums.expects
        else:
            budget, scale, expected = cap.total_budget, 1, planned(cap.total_budget, self.window, None, as_of)
        spend, (num, den) = sums.spend + self.closed_spend, expected
        return Standing("account", self.key[0], budget, self.window, [spend], expected, spend * den - num, scale)

    @property
    def closed_spend(self) -> int:
        """What campaigns have spent that are told no more and use up the cap."""
        return 0 if self.cap is None else self.sums.closed_in(self.window)

    @property
    def is_gone(self) -> bool:
        """Whether there is nothing to tell of it: no cap and no campaign."""
        return self.cap is None and not self.sums.campaigns


class _Teller(Teller):
    """Tells of an account in one currency: no event is a campaign's, and two currencies' ids differ."""

    __slots__ = ()

    def id(self, kind: str, *parts: str) -> str:
        """The id of what is told at this tick."""
        return event_id(kind, self.plan.account_id, self.tick, *parts, self.plan.currency)

    def _head(self, kind: str, identity: str) -> Body:
        return {**super()._head(kind, identity), "campaign_id": None}


def take_account_tick(
    key: AccountKey,
    sums: Sums,
    cap: Plan | None,
    state: AccountState,
    *,
    as_of: int,
    complete: bool,
    first: bool = False,
) -> tuple[list[Event], AccountState]:
    """
    The events of one account at tick *as_of*, and its state after it.

    *sums* are its campaigns'; *cap* its plan, whether in force or not. A tick is *complete* where all its parts are;
    a *first* one has nothing before it (`evaluate`), so what is beyond a threshold opens at once.
    """
    if first and cap is not None:
        cap = replace(cap, thresholds=replace(cap.thresholds, enter_ticks=1))
    tick = _tick(key, sums, cap, as_of, complete=complete)
    if tick.is_gone:
        return _over(tick, state, "plan_ended")
    window = None if tick.cap is None else tick.window
    closing: list[Event] = []
    if complete and state.window != window:
        closing, state = _over(tick, state, _why_over(tick, cap, state.window))
        state = replace(state, window=window)
    standing = tick.standing(as_of)
    projection = _projection(tick, standing, state)
    identity = tick.teller.id(f"pacing.{SNAPSHOT}")
    snapshot = Event(SNAPSHOT, _snapshot(tick, standing, projection, identity))
    if not complete:
        # Half a tick shows what it has and changes nothing that lasts.
        return [snapshot], state
    deviations, life = _deviations(tick, state, identity)
    signals, state = _signals(tick, standing, projection, state)
    return [*closing, snapshot, *deviations, *signals], replace(state, life=life)


def _tick(key: AccountKey, sums: Sums, cap: Plan | None, as_of: int, *, complete: bool) -> Tick:
    is_capped = cap is not None and cap.currency == key[1] and cap.flight.start <= as_of < cap.flight.end
    in_force = cap if is_capped else None
    if in_force is not None:
        window = window_at(in_force, as_of).flight
    else:
        window = _NEVER if sums.start is None or sums.end is None else Flight(sums.start, sums.end)
    plan = in_force or _uncapped(key)
    return Tick(key, sums, in_force, plan, window, as_of, complete, _Teller(plan, as_of, window.end))


def _why_over(tick: Tick, cap: Plan | None, before: Flight | None) -> Reason:
    """Why what was open in the window *before* is over."""
    if before is None or cap is None or before.end > tick.as_of:
        return "plan_ended"
    return "flight_ended" if tick.cap is None else "period_ended"


def _over(tick: Tick, state: AccountState, reason: Reason) -> tuple[list[Event], AccountState]:
    """What is open resolves."""
    standing = tick.standing(tick.as_of)
    events = [tick.teller.deviation(step, standing, None) for step in resolved(state.life, reason)]
    events += [tick.teller.cleared(alert) for alert in state.up.values()]
    return events, _NOTHING


def _deviations(tick: Tick, state: AccountState, snapshot_id: str) -> tuple[list[Event], DeviationLife | None]:
    """The account's deviation, compared with what was expected when its feed ended."""
    thresholds = tick.plan.thresholds
    standing = tick.standing(tick.as_of - thresholds.feed_lag)
    num, den = standing.expected
    may_open = (
        tick.sums.active > 0
        and tick.as_of >= tick.window.start + thresholds.grace
        and num >= thresholds.min_expected * den
    )
    life, steps = live(
        state.life or DeviationLife(),
        standing.gap,
        num,
        thresholds,
        may_open=may_open,
        new_id=lambda: tick.teller.id("deviation", "account", tick.key[0]),
    )
    return [tick.teller.deviation(step, standing, snapshot_id) for step in steps], life


def _signals(
    tick: Tick, standing: Standing, projection: Projection, before: AccountState
) -> tuple[list[Event], AccountState]:
    """What is raised and cleared, and what is remembered with it."""
    now, silenced = [*over_budget(tick.plan, [standing])], tick.plan.silenced
    milestones, spent_at = 0, None
    if tick.cap is not None:
        told = Before(before.alerts, before.milestones)
        now += signals_of(tick.plan, standing, projection, tick.as_of, told, is_paused=not tick.sums.active)
        is_silenced = MILESTONE in silenced
        milestones = before.milestones if is_silenced else milestones_reached(standing, before.milestones)
        spent_at = projection.exhausted_at if _is_spent(standing) else None
    now = [signal for signal in now if signal.kind not in silenced]
    up = by_key(now)
    alerts, events = changed(tick.teller, before.up, [key for key in before.up if key not in up], up)
    others = {key: alert for key, alert in alerts.items() if alert.kind != OVER_BUDGET}
    over = next((alert for alert in alerts.values() if alert.kind == OVER_BUDGET), None)
    return events, replace(before, raised=over, alerts=others, milestones=milestones, spent_at=spent_at)


# -- the projection --------------------------------------------------------------------------------------------------


def _projection(tick: Tick, standing: Standing, state: AccountState) -> Projection:
    """
    What the campaigns are projected to spend and the closed ones have, and when that uses up the cap.

    It has no method: each campaign has its own.
    """
    final, closed = tick.sums.projects, tick.closed_spend
    if final is not None:
        final = final[0] + closed * final[1], final[1]
    return Projection(None, final, _exhausted_at(tick, standing, final, state))


def _exhausted_at(tick: Tick, standing: Standing, final: Ratio | None, state: AccountState) -> int | None:
    """The first nanosecond at which the even line to *final* reaches the cap, strictly before the window's end."""
    if tick.cap is None:
        return None
    if _is_spent(standing):
        is_remembered = state.window == tick.window and state.spent_at is not None
        return state.spent_at if is_remembered else tick.as_of
    budget, spend, end = standing.budget, standing.figures[0], tick.window.end
    if final is None or final[0] <= budget * final[1]:
        return None
    num, den = final
    # Rounded up: the line is below the cap at any earlier nanosecond.
    at = tick.as_of - (budget - spend) * (end - tick.as_of) * den // (spend * den - num)
    return at if at < end else None


def _is_spent(standing: Standing) -> bool:
    """Whether a cap is used up, which is a whole number of nanos."""
    return standing.figures[0] >= standing.budget


# -- the snapshot ----------------------------------------------------------------------------------------------------


def _snapshot(tick: Tick, standing: Standing, projection: Projection, identity: str) -> Body:
    """The contract's fields in its order, then what it leaves room for."""
    sums, cap, window = tick.sums, tick.cap, tick.window
    currency = currency_of(minor_digits(tick.key[1]) or 0)
    budget, scale, spend, (num, den) = standing.budget, standing.scale, standing.figures[0], standing.expected
    children, of = sums.budgets
    pacing, deviation = pacing_of(standing)
    final, exhausted_at = projection.spend, projection.exhausted_at
    head: dict[str, Any] = {
        "event_id": identity,
        "event_type": f"pacing.{SNAPSHOT}",
        "occurred_at": tick.teller.tick,
        "account_id": tick.key[0],
        "currency": tick.key[1],
        "snapshot_id": identity,
        "timestamp": tick.teller.tick,
        "complete": tick.complete,
        "campaigns": sums.campaigns,
    }
    return head | {
        "total_budget": currency.budget_of(budget, scale),
        "children_budget": currency.budget_of(children, of),
        "total_spend": currency.carried(spend),
        "expected_spend": currency.derived(num, den),
        "pacing_pct": pacing,
        "deviation_pct": deviation,
        "budget_used_pct": percent(spend * scale, budget) if budget else None,
        "elapsed_pct": percent(elapsed(window, tick.as_of), window.end - window.start),
        "variance_pp": percent(standing.gap * scale, budget * den) if budget else None,
        "band": band(standing.gap * scale, budget * den) if budget else None,
        "projected_spend": None if final is None else currency.derived(*final),
        "projected_exhaustion_at": None if exhausted_at is None else time_text(exhausted_at),
        "dark_days": None if exhausted_at is None else share(window.end - exhausted_at, DAY),
        "worst_child": _worst_child(sums),
        "cap": None if cap is None else currency.carried(budget),
        "cap_difference": None if cap is None else currency.difference(budget * of - children, of),
        "closed_spend": currency.carried(tick.closed_spend),
        "spendable": currency.difference(*_spendable(tick, spend)),
        "period_start": time_text(window.start),
        "period_end": time_text(window.end),
        "exact": sums.is_exact,
    }


def _spendable(tick: Tick, spend: int) -> Ratio:
    """The lowest wins: what the cap leaves, or what the campaigns may still spend."""
    left, of = tick.sums.leaves
    return (left, of) if tick.cap is None else (max(0, min((tick.cap.total_budget - spend) * of, left)), of)


def _worst_child(sums: Sums) -> Body | None:
    worst = sums.worst
    if worst is None:
        return None
    return {"scope": "campaign", "scope_id": worst.campaign_id, "deviation_pct": percent(worst.gap, worst.base)}
