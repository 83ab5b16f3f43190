"""Events as the worker sends them, made by hand: every field of the contract, so that every column is met."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID, uuid5

from schemas.fields import format_time, parse_time

NAMESPACE: Final = UUID("5b2f6f0a-6f53-4d5e-9a60-3f1f9d8f0c11")
MINUTE: Final = 60 * 10**9
NOON: Final = parse_time("2026-03-15T12:00:00Z")

Body = dict[str, Any]


def encoded(bodies: Iterable[Body]) -> list[bytes]:
    """As they lie in Kafka."""
    return [json.dumps(body, separators=(",", ":")).encode() for body in bodies]


def event(kind: str, campaign: str, tick: int, *more: object) -> Body:
    """What every event has; *more* tells two of a tick apart."""
    event_id = uuid5(NAMESPACE, "|".join(map(str, (kind, campaign, tick, *more))))
    return {
        "event_id": str(event_id),
        "event_type": f"pacing.{kind}",
        "occurred_at": format_time(tick),
        "campaign_id": campaign,
        "account_id": "account-1",
        "currency": "EUR",
    }


def snapshot(campaign: str = "campaign-1", tick: int = NOON, **changed: Any) -> Body:
    """A snapshot of a campaign of two channels and a deal; *changed* fields win."""
    body = event("snapshot_taken", campaign, tick, changed.get("period_end"), changed.get("revision"))
    body |= {
        "snapshot_id": body["event_id"],
        "timestamp": body["occurred_at"],
        "total_budget": "150000.00",
        "total_spend": "50025.123456789",
        "expected_spend": "74175.82",
        "pacing_pct": 67.44,
        "deviation_pct": -32.56,
        "budget_used_pct": 33.35,
        "elapsed_pct": 49.45,
        "variance_pp": -16.1,
        "band": "mild",
        "remaining_budget": "99974.876543211",
        "required_daily_spend": "2173.37",
        "projected_spend": None,
        "projection_method": None,
        "projected_exhaustion_at": None,
        "dark_days": None,
        "data_through": body["occurred_at"],
        "late_spend": "0.00",
        "plan_version": 1,
        "revision": 0,
        "final": False,
        "complete": True,
        "future_spend": "0.00",
        "period_start": "2026-01-01T00:00:00Z",
        "period_end": "2026-04-01T00:00:00Z",
        "worst_child": {"scope": "channel", "scope_id": "DISPLAY", "deviation_pct": -40.1},
        "channel_snapshots": [channel("DISPLAY"), channel("VIDEO")],
        "deal_snapshots": [deal("deal-1", "VIDEO")],
        "recommendations": [],
        "ledger_position": {"partition": 3, "next_offsets": {"pacing.spend_updates": 12345678}},
        "budget_change_policy": "forward",
        "projected_spend_capped": None,
        "projection_reason": None,
        "rolling_7d_pacing_pct": None,
    }
    return body | changed


def channel(name: str) -> Body:
    """A channel of a snapshot."""
    return {
        "channel": name,
        "allocated_budget": "75000.00",
        "spend": "25000.5",
        "expected_spend": "37087.91",
        "pacing_pct": 67.41,
        "deviation_pct": -32.59,
        "impressions": 1234567,
        "effective_cpm": "20.25",
        "fill_rate": 0.8123,
    }


def deal(name: str, of_channel: str) -> Body:
    """A deal of a snapshot."""
    return {"deal_id": name, **channel(of_channel), "fill_rate": None, "win_rate": 0.25}


def deviation(transition: str, campaign: str = "campaign-1", tick: int = NOON, **changed: Any) -> Body:
    """A transition of a campaign's one deviation."""
    kind = "deviation_resolved" if transition == "resolved" else "deviation_detected"
    body = event(kind, campaign, tick, transition)
    body |= {
        "alert_id": str(uuid5(NAMESPACE, f"deviation|{campaign}")),
        "snapshot_id": str(uuid5(NAMESPACE, f"snapshot|{campaign}|{tick}")),
        "scope": "campaign",
        "scope_id": campaign,
        "transition": transition,
        "alert_level": "critical" if transition == "escalated" else "warning",
        "direction": "underpacing",
        "deviation_pct": -12.5,
        "threshold_pct": 10,
        "spend": "50025.123456789",
        "expected_spend": "57171.57",
        "message": f"{campaign} is 12.5 % behind its plan: {transition}",
    }
    if transition == "resolved":
        body["reason"] = "recovered"
    return body | changed


def signal(kind: str, campaign: str = "campaign-1", tick: int = NOON, **changed: Any) -> Body:
    """*kind* alert_raised or alert_cleared: a campaign that is over its budget."""
    body = event(kind, campaign, tick)
    body |= {
        "alert_id": str(uuid5(NAMESPACE, f"over_budget|{campaign}")),
        "kind": "over_budget",
        "scope": "campaign",
        "scope_id": campaign,
        "alert_level": "critical",
        "message": "150,010.00 of 150,000.00 EUR are spent",
        "evidence": {"total_spend": "150010.00"} if kind == "alert_raised" else {},
    }
    return body | changed


def proposal(campaign: str = "campaign-1", tick: int = NOON, **changed: Any) -> Body:
    """A proposal to move money."""
    body = event("reallocation_recommended", campaign, tick)
    body |= {
        "recommendation_id": body["event_id"],
        "snapshot_id": str(uuid5(NAMESPACE, f"snapshot|{campaign}|{tick}")),
        "type": "REALLOCATE",
        "source_channel": "DISPLAY",
        "target_channel": "VIDEO",
        "amount": "5747.25",
        "reason": "DISPLAY is 40.1 % behind its plan, VIDEO 12.3 % ahead",
        "mode": "to_date",
        "confidence": None,
        "status": "PENDING",
        "expires_at": "2026-04-01T00:00:00Z",
        "supersedes": None,
    }
    return body | changed


def account_snapshot(account: str = "account-1", tick: int = NOON, **changed: Any) -> Body:
    """A snapshot of an account under a cap."""
    body = event("account_snapshot_taken", account, tick, changed.get("currency", "EUR"))
    del body["campaign_id"]
    body |= {
        "account_id": account,
        "snapshot_id": body["event_id"],
        "timestamp": body["occurred_at"],
        "complete": True,
        "campaigns": 2,
        "total_budget": "400000.00",
        "children_budget": "350000.00",
        "total_spend": "192500.123456789",
        "expected_spend": "195652.17",
        "pacing_pct": 98.39,
        "deviation_pct": -1.61,
        "budget_used_pct": 48.12,
        "elapsed_pct": 48.91,
        "variance_pp": -0.79,
        "band": "on_pace",
        "projected_spend": None,
        "projected_exhaustion_at": None,
        "dark_days": None,
        "worst_child": {"scope": "campaign", "scope_id": "campaign-1", "deviation_pct": 13.24},
        "cap": "400000.00",
        "cap_difference": "50000.00",
        "closed_spend": "12500.00",
        "spendable": "170000.00",
        "period_start": "2026-01-01T00:00:00Z",
        "period_end": "2026-04-01T00:00:00Z",
        "exact": True,
    }
    return body | changed


def one_of_each(campaign: str, tick: int) -> dict[str, list[Body]]:
    """A tick of one campaign at which everything happens, by kind of event."""
    return {
        "snapshot_taken": [snapshot(campaign, tick)],
        "deviation_detected": [deviation("opened", campaign, tick)],
        "deviation_resolved": [deviation("resolved", campaign, tick + MINUTE)],
        "reallocation_recommended": [proposal(campaign, tick)],
        "alert_raised": [signal("alert_raised", campaign, tick)],
        "alert_cleared": [signal("alert_cleared", campaign, tick + MINUTE)],
        "account_snapshot_taken": [account_snapshot(f"account-of-{campaign}", tick)],
    }
