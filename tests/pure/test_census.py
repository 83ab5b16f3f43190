"""What a partition's ticks find, in counts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from schemas import wire
from schemas.fields import parse_time
from worker.census import Census, state_of
from worker.ledger import LedgerStatistics
from worker.metrics import Metrics
from worker.pacing import PacingState, Plan, PlanHistory, read_plan
from worker.pacing.state import DeviationLife, OpenCounts, Proposal, Raised

EXAMPLE = Path(__file__).parents[2] / "schemas" / "examples" / "campaign_plan.json"
BEFORE, DURING, AFTER = (parse_time(f"2026-{month}-15T12:00:00Z") for month in ("06", "08", "11"))


@dataclass
class Campaign:
    """What the census looks at of a campaign."""

    history: PlanHistory | None
    state: PacingState = field(default_factory=PacingState)

    @property
    def open_counts(self) -> OpenCounts:
        return self.state.open_counts


@dataclass
class Book:
    """What the census looks at of a ledger."""

    campaigns: Mapping[str, Campaign]

    def statistics(self) -> LedgerStatistics:
        return LedgerStatistics(
            planned=1, unplanned=0, ids=700, pending_corrections=2, series=3, bytes=40_000, forgotten_early=5
        )


def history(status: str = "active") -> PlanHistory:
    """A plan whose flight is July to September."""
    text = EXAMPLE.read_text(encoding="utf-8").replace('"name"', f'"status": "{status}", "name"')
    message = wire.decode_plan(text.encode())
    assert isinstance(message, wire.CampaignPlan)
    plan = read_plan(message)
    assert isinstance(plan, Plan)
    return PlanHistory().with_version(plan, 0)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def census(registry: CollectorRegistry) -> Census:
    return Census(3, Metrics(registry))


def snapshot(campaign_id: str, band: str) -> dict[str, Any]:
    amounts = {"total_spend": "1", "expected_spend": "1", "total_budget": "2"}
    figures = {"pacing_pct": 100.0, "deviation_pct": 0.0, "band": band, "final": False}
    return {"campaign_id": campaign_id, "currency": "EUR", **figures, **amounts}


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, {"partition": "3", **labels})


@pytest.mark.parametrize(
    ("status", "tick", "state"),
    [
        ("active", BEFORE, "scheduled"),
        ("active", DURING, "active"),
        ("active", AFTER, "closed"),
        ("paused", DURING, "paused"),
        ("paused", AFTER, "closed"),
        ("completed", DURING, "closed"),
        ("canceled", DURING, "closed"),
    ],
)
def test_a_campaigns_state_is_its_plans_status_until_its_flight_ends(status: str, tick: int, state: str) -> None:
    assert state_of(Campaign(history(status)), tick) == state


def test_a_campaign_whose_plan_was_taken_back_is_closed() -> None:
    assert state_of(Campaign(history().as_ended()), DURING) == "closed"


def test_a_campaign_of_which_only_spend_is_known_is_unplanned() -> None:
    assert state_of(Campaign(None), DURING) == "unplanned"


def test_every_campaign_is_counted_in_one_state(census: Census, registry: CollectorRegistry) -> None:
    active = {f"c{i}": Campaign(history()) for i in range(2)}
    asyncio.run(census.count(Book({**active, "c2": Campaign(None)}), DURING))
    assert value(registry, "pacing_campaigns", state="active") == 2
    assert value(registry, "pacing_campaigns", state="unplanned") == 1
    assert value(registry, "pacing_campaigns", state="paused") == 0


def test_what_is_open_is_counted_and_what_only_counts_ticks_is_not(census: Census, registry: CollectorRegistry) -> None:
    deviations = {
        "campaign\0c1": DeviationLife("a", "overpacing", "critical"),
        "channel\0CTV": DeviationLife(None, "overpacing", "warning", warning_ticks=1),
    }
    alerts = {"over_budget\0campaign\0c1": Raised("b", "over_budget", "campaign", "c1", "critical")}
    proposals = {"CTV\0AUDIO": Proposal("r", 5)}
    asyncio.run(census.count(Book({"c1": Campaign(history(), PacingState(deviations, alerts, proposals))}), DURING))
    opened = {"level": "critical", "direction": "overpacing", "scope": "campaign"}
    assert value(registry, "pacing_open_deviations", **opened) == 1
    assert value(registry, "pacing_open_deviations", level="warning", direction="overpacing", scope="channel") == 0
    assert value(registry, "pacing_open_alerts", kind="over_budget") == 1
    assert value(registry, "pacing_open_proposals") == 1


def test_what_is_no_longer_found_falls_to_0(census: Census, registry: CollectorRegistry) -> None:
    asyncio.run(census.count(Book({"c1": Campaign(history())}), DURING))
    asyncio.run(census.count(Book({"c1": Campaign(history())}), AFTER))
    assert value(registry, "pacing_campaigns", state="active") == 0
    assert value(registry, "pacing_campaigns", state="closed") == 1


def test_bands_are_those_of_the_last_tick_alone(census: Census, registry: CollectorRegistry) -> None:
    for campaign_id, band in (("c1", "sharp"), ("c2", "on_pace")):
        census.saw(snapshot(campaign_id, band))
    asyncio.run(census.count(Book({}), DURING))
    assert value(registry, "pacing_campaigns_in_band", band="sharp") == 1
    census.saw(snapshot("c1", "on_pace"))
    asyncio.run(census.count(Book({}), AFTER))
    assert value(registry, "pacing_campaigns_in_band", band="sharp") == 0
    assert value(registry, "pacing_campaigns_in_band", band="on_pace") == 1


def test_the_ledgers_size_is_shown(census: Census, registry: CollectorRegistry) -> None:
    asyncio.run(census.count(Book({}), DURING))
    names = ("ids_remembered", "ids_forgotten_early", "corrections_pending", "series", "ledger_bytes")
    assert [value(registry, f"pacing_{name}") for name in names] == [700, 5, 2, 3, 40_000]


def test_a_snapshots_figures_are_shown(census: Census, registry: CollectorRegistry) -> None:
    census.saw(snapshot("c1", "sharp"))
    assert registry.get_sample_value("pacing_campaign_pacing_ratio", {"campaign_id": "c1"}) == 1
