"""The list of metrics: what it shows, what it forgets and what bounds it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from schemas.alert import AlertKind
from schemas.deviation import Direction
from schemas.messages import Level
from schemas.reasons import REASONS
from schemas.snapshot import Band
from worker import metrics
from worker.metrics import Metrics, declarations, table

WORKER = Path(metrics.__file__).parent


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def listed(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


def snapshot(campaign_id: str = "c1", *, final: bool = False, pacing_pct: float | None = 90.0) -> dict[str, object]:
    return {
        "campaign_id": campaign_id,
        "currency": "EUR",
        "final": final,
        "pacing_pct": pacing_pct,
        "deviation_pct": None if pacing_pct is None else pacing_pct - 100,
        "total_spend": "450.00",
        "expected_spend": "500.00",
        "total_budget": "1000.00",
    }


def test_every_name_begins_with_the_projects_own_and_says_its_type_by_its_form() -> None:
    for _, declared in declarations():
        assert declared.name.startswith("pacing_")
        assert declared.name.endswith("_total") == (declared.kind.__name__ == "Counter")
        assert declared.meaning.endswith(".")


def test_two_workers_in_one_process_do_not_share_figures() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    Metrics(first).rebalances.inc()
    Metrics(second)
    assert first.get_sample_value("pacing_rebalances_total") == 1
    assert second.get_sample_value("pacing_rebalances_total") == 0


def test_a_closed_set_of_values_is_shown_at_0_before_the_first_event(registry: CollectorRegistry) -> None:
    Metrics(registry)
    assert registry.get_sample_value("pacing_ticks_total", {"complete": "false"}) == 0


def test_results_and_reasons_are_shown_at_0_once_the_topics_are_known(
    listed: Metrics, registry: CollectorRegistry
) -> None:
    listed.expect_inputs(["spend"], list(REASONS))
    for result in metrics.RESULTS:
        assert registry.get_sample_value("pacing_inputs_total", {"topic": "spend", "result": result}) == 0
    labels = {"topic": "spend", "reason": "malformed_json"}
    assert registry.get_sample_value("pacing_dead_letters_total", labels) == 0


def test_what_the_sink_may_miss_is_shown_at_0_before_it_misses_any(
    listed: Metrics, registry: CollectorRegistry
) -> None:
    listed.expect_outputs(["snapshots"])
    assert registry.get_sample_value("pacing_sink_gaps_total", {"topic": "snapshots"}) == 0
    assert registry.get_sample_value("pacing_sink_refused_total", {"topic": "snapshots"}) == 0


def test_a_partition_that_leaves_takes_its_figures_along_and_no_others(
    listed: Metrics, registry: CollectorRegistry
) -> None:
    for partition in ("1", "11"):
        listed.campaigns.labels(partition, "active").set(3)
        listed.sink_lag.labels("snapshots", partition).set(5)
    listed.forget_partition(1)
    assert registry.get_sample_value("pacing_campaigns", {"partition": "1", "state": "active"}) is None
    assert registry.get_sample_value("pacing_campaigns", {"partition": "11", "state": "active"}) == 3
    assert registry.get_sample_value("pacing_sink_lag_records", {"topic": "snapshots", "partition": "1"}) == 5


def test_openmetrics_is_spoken_where_it_is_asked_for(listed: Metrics) -> None:
    body, content_type = listed.expose("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert b"_created" not in body


def test_the_text_form_holds_everything_on_the_list(listed: Metrics) -> None:
    body, _ = listed.expose()
    families = {family.name for family in text_string_to_metric_families(body.decode())}
    for _, declared in declarations():
        assert {declared.name, declared.name.removesuffix("_total"), f"{declared.name}_info"} & families


def test_a_campaigns_figures_are_shown_as_ratios_and_amounts(listed: Metrics, registry: CollectorRegistry) -> None:
    listed.campaign_figures.show(0, snapshot())
    assert registry.get_sample_value("pacing_campaign_pacing_ratio", {"campaign_id": "c1"}) == pytest.approx(0.9)
    assert registry.get_sample_value("pacing_campaign_deviation_ratio", {"campaign_id": "c1"}) == pytest.approx(-0.1)
    assert registry.get_sample_value("pacing_campaign_spend", {"campaign_id": "c1", "currency": "EUR"}) == 450


def test_a_figure_that_becomes_undefined_is_absent_and_never_0(listed: Metrics, registry: CollectorRegistry) -> None:
    listed.campaign_figures.show(0, snapshot())
    listed.campaign_figures.show(0, snapshot(pacing_pct=None))
    assert registry.get_sample_value("pacing_campaign_pacing_ratio", {"campaign_id": "c1"}) is None


def shown(registry: CollectorRegistry) -> set[str]:
    return {
        sample.labels["campaign_id"]
        for family in registry.collect()
        for sample in family.samples
        if "campaign_id" in sample.labels
    }


def test_no_more_campaigns_than_the_setting_allows_have_figures(registry: CollectorRegistry) -> None:
    gauges = Metrics(registry, shown_campaigns=2).campaign_figures
    for campaign_id in ("c1", "c2", "c3", "c1"):
        gauges.show(0, snapshot(campaign_id))
    assert shown(registry) == {"c1", "c2"}
    assert registry.get_sample_value("pacing_campaigns_shown") == 2


def test_a_final_snapshot_makes_room_for_the_next_campaign(registry: CollectorRegistry) -> None:
    gauges = Metrics(registry, shown_campaigns=1).campaign_figures
    gauges.show(0, snapshot("c1"))
    gauges.show(0, snapshot("c1", final=True))
    gauges.show(0, snapshot("c2"))
    assert shown(registry) == {"c2"}


def test_campaigns_of_a_partition_that_leaves_are_forgotten(listed: Metrics, registry: CollectorRegistry) -> None:
    listed.campaign_figures.show(0, snapshot("c1"))
    listed.campaign_figures.show(1, snapshot("c2"))
    listed.forget_partition(0)
    assert shown(registry) == {"c2"}


def test_the_table_for_the_readme_has_a_row_for_each_metric() -> None:
    assert len(list(table())) == len(list(declarations())) + 2


def test_no_other_module_makes_a_metric() -> None:
    for path in WORKER.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "prometheus_client"
            for alias in node.names
        }
        called = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not imported & called - {"CollectorRegistry"} or path.name == "metrics.py", path


@pytest.mark.parametrize(
    ("closed_set", "contract"),
    [
        (metrics.BANDS, get_args(Band)),
        (metrics.LEVELS, get_args(Level)),
        (metrics.DIRECTIONS, get_args(Direction)),
    ],
)
def test_label_values_are_the_contracts(closed_set: tuple[str, ...], contract: tuple[str, ...]) -> None:
    assert closed_set == contract


def test_signals_that_are_counted_are_kinds_of_the_contract() -> None:
    assert set(metrics.SIGNALS) <= set(get_args(AlertKind))


def test_every_metric_on_the_list_is_set_somewhere() -> None:
    reached = {
        node.attr
        for path in WORKER.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and owner(node.value) in {"metrics", "_metrics"}
    }
    assert {attribute for attribute, _ in declarations()} - {"build"} <= reached


def owner(node: ast.expr) -> str:
    """The name that an attribute is taken from: metrics in `self.metrics.inputs`."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
