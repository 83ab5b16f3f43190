"""
The bodies of what is told: the contract's fields in the contract's order, ready to be written as JSON.

Every event begins with the same head. Its id is made of its type, campaign, tick and what tells two of them apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from schemas.fields import NANOS
from worker.pacing.amounts import currency_of, percent, time_text
from worker.pacing.deviation import Reason, Step, threshold_of
from worker.pacing.identity import event_id
from worker.pacing.plan import Plan
from worker.pacing.projection import Projection
from worker.pacing.reallocation import Move
from worker.pacing.rollup import Child, child_of
from worker.pacing.signals import Signal, scope_name
from worker.pacing.snapshot import Body, Taken, pacing_of, snapshot_fields
from worker.pacing.standing import Standing
from worker.pacing.state import Proposal, Raised


class Event(msgspec.Struct, frozen=True, gc=False):
    """
    An event to be sent.

    *kind* is its type without `pacing.` (snapshot_taken, deviation_detected, deviation_resolved,
    reallocation_recommended, alert_raised, alert_cleared); *body* has the contract's fields in its order, JSON-ready.
    """

    kind: str
    body: Body
    child: Child | None = None
    """Of a snapshot that is no revision: what the campaign adds to its account."""


class Teller:
    """Makes the events of one campaign's tick; *tick* is its instant as text, *period_end* the end of its window."""

    __slots__ = ("period_end", "plan", "tick")

    def __init__(self, plan: Plan, as_of: int, period_end: int) -> None:
        self.plan = plan
        self.period_end = period_end
        self.tick = time_text(as_of)

    def id(self, kind: str, *parts: str) -> str:
        """The id of what is told at this tick."""
        return event_id(kind, self.plan.campaign_id, self.tick, *parts)

    def _head(self, kind: str, identity: str) -> Body:
        plan = self.plan
        return {
            "event_id": identity,
            "event_type": f"pacing.{kind}",
            "occurred_at": self.tick,
            "campaign_id": plan.campaign_id,
            "account_id": plan.account_id,
            "currency": plan.currency,
        }

    def snapshot(self, snapshot_id: str, scopes: Sequence[Standing], taken: Taken, projection: Projection) -> Event:
        """A snapshot of the scopes; its id is the event's."""
        body = {
            **self._head("snapshot_taken", snapshot_id),
            "snapshot_id": snapshot_id,
            "timestamp": self.tick,
            **snapshot_fields(self.plan, scopes, taken, projection),
        }
        child = None if taken.revision else child_of(self.plan, scopes[0], projection.spend, is_final=taken.final)
        return Event("snapshot_taken", body, child)

    def deviation(self, step: Step, standing: Standing, snapshot_id: str | None) -> Event:
        """One transition of a deviation; *standing* compares spend with what was expected when the feed ended."""
        kind = "deviation_resolved" if step.transition == "resolved" else "deviation_detected"
        identity = self.id(f"pacing.{kind}", standing.scope, standing.scope_id, step.alert_id, step.transition)
        currency = currency_of(self.plan.minor_digits)
        body = {
            **self._head(kind, identity),
            "alert_id": step.alert_id,
            "snapshot_id": snapshot_id,
            "scope": standing.scope,
            "scope_id": standing.scope_id,
            "transition": step.transition,
            "alert_level": step.level,
            "direction": step.direction,
            "deviation_pct": pacing_of(standing)[1],
            "threshold_pct": percent(threshold_of(self.plan.thresholds, step.direction, step.level), 100 * NANOS),
            "spend": currency.carried(standing.figures[0]),
            "expected_spend": currency.derived(*standing.expected),
        }
        body["message"] = _deviation_sentence(body, step.reason)
        if step.reason is not None:
            body["reason"] = step.reason
        return Event(kind, body)

    def recommended(self, move: Move, proposal: Proposal, snapshot_id: str, supersedes: str | None) -> Event:
        """A proposal, new or changed; its id is the event's. It expires with the flight or period."""
        kind = "reallocation_recommended"
        currency = currency_of(self.plan.minor_digits)
        body = {
            **self._head(kind, proposal.recommendation_id),
            "recommendation_id": proposal.recommendation_id,
            "snapshot_id": snapshot_id,
            "type": "REALLOCATE",
            "source_channel": move.source.scope_id,
            "target_channel": move.target.scope_id,
            "amount": currency.carried(move.amount),
            "reason": _move_sentence(move, self.plan),
            "mode": "to_date",
            "confidence": None,
            "status": "PENDING",
            "expires_at": time_text(self.period_end),
            "supersedes": supersedes,
        }
        return Event(kind, body)

    def raised(self, signal: Signal, alert: Raised) -> Event:
        """A signal that is new."""
        return self._alert("alert_raised", alert, *signal.tell())

    def cleared(self, alert: Raised) -> Event:
        """A signal that is over; there is no figure to show for it."""
        message = f"{scope_name(alert.scope, alert.scope_id)}: {alert.kind} is over."
        return self._alert("alert_cleared", alert, message, {})

    def _alert(self, kind: str, alert: Raised, message: str, evidence: Body) -> Event:
        identity = self.id(f"pacing.{kind}", alert.alert_id)
        body = {
            **self._head(kind, identity),
            "alert_id": alert.alert_id,
            "kind": alert.kind,
            "scope": alert.scope,
            "scope_id": alert.scope_id,
            "alert_level": alert.alert_level,
            "message": message,
            "evidence": evidence,
        }
        return Event(kind, body)


Alerts = dict[str, Raised]
"""The signals that are up, by their keys."""


def changed(
    teller: Teller, before: Alerts, over: Sequence[str], now: Mapping[str, Signal]
) -> tuple[Alerts, list[Event]]:
    """The alerts without those that are *over*, with those of *now* that were not up before, and what is told of it."""
    if not over and now.keys() <= before.keys():
        return before, []
    after = {key: alert for key, alert in before.items() if key not in over}
    events = [teller.cleared(before[key]) for key in over]
    for key, signal in now.items():
        if key not in before:
            part = (signal.part,) if signal.part else ()
            identity = teller.id("alert", signal.kind, signal.scope, signal.scope_id, *part)
            after[key] = Raised(identity, signal.kind, signal.scope, signal.scope_id, signal.level)
            events.append(teller.raised(signal, after[key]))
    return after, events


_ENDS = {
    "recovered": "is no longer {direction}",
    "flight_ended": "has ended its flight",
    "period_ended": "has ended its period",
    "plan_ended": "is no longer planned",
}
_VERBS = {"opened": "is", "escalated": "is now", "deescalated": "is still"}


def _deviation_sentence(body: Body, reason: Reason | None) -> str:
    """The transition with its figures, for a person."""
    name = scope_name(body["scope"], body["scope_id"])
    figures = f"{body['spend']} of {body['expected_spend']} {body['currency']} expected"
    deviation = body["deviation_pct"]
    if deviation is not None:
        figures += f", {deviation:+.2f} %"
    if reason is not None:
        return f"{name} {_ENDS[reason].format(direction=body['direction'])}: {figures}."
    verb = _VERBS[body["transition"]]
    return f"{name} {verb} {body['direction']} ({body['alert_level']}, beyond {body['threshold_pct']} %): {figures}."


def _move_sentence(move: Move, plan: Plan) -> str:
    """Why the money should move: how far each of the two is from its plan."""
    source, target = (_off_plan(standing, plan) for standing in (move.source, move.target))
    return f"{source}; {target}."


def _off_plan(standing: Standing, plan: Plan) -> str:
    currency = currency_of(plan.minor_digits)
    deviation = pacing_of(standing)[1]
    spend, expected = currency.carried(standing.figures[0]), currency.derived(*standing.expected)
    return f"{standing.scope_id} has spent {spend} of {expected} {plan.currency} expected ({deviation:+.2f} %)"
