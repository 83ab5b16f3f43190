"""Metrics, scrape configuration and alert rules, judged by Prometheus's own tool; and what it cannot see."""

from __future__ import annotations

import re
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.deploy.conftest import Promtool, read_yaml
from tests.deploy.promtool import ROOT
from tests.deploy.queries import faults
from worker.metrics import Metrics

RULES = "deploy/prometheus/rules/pacing.yml"
CASES = "deploy/prometheus/tests/pacing_test.yml"
RUNBOOKS = ROOT / "deploy" / "runbooks"


def everything_exposed() -> str:
    """The text of /metrics with a value in every metric that has labels of the deployment."""
    metrics = Metrics(CollectorRegistry())
    metrics.expect_inputs(["pacing.spend_updates"], ["malformed_json"])
    metrics.expect_outputs(["pacing.snapshot_taken"])
    metrics.fold_seconds.labels("pacing.spend_updates").observe(0.001)
    figures = {"pacing_pct": 90.0, "deviation_pct": -10.0, "total_spend": "9", "expected_spend": "10"}
    snapshot = {"campaign_id": "c1", "currency": "EUR", "final": False, "total_budget": "20", **figures}
    metrics.campaign_figures.show(0, snapshot)
    return metrics.expose()[0].decode()


def test_metric_names_pass_promtool(promtool: Promtool) -> None:
    judged = promtool("check", "metrics", given=everything_exposed())
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")


def test_a_bad_metric_name_would_not_pass_promtool(promtool: Promtool) -> None:
    judged = promtool(
        "check", "metrics", given="# HELP a_milliseconds A.\n# TYPE a_milliseconds gauge\na_milliseconds 1\n"
    )
    assert judged.returncode != 0


def test_the_scrape_configuration_is_valid(promtool: Promtool) -> None:
    judged = promtool("check", "config", "deploy/prometheus/prometheus.yml")
    assert judged.returncode == 0, judged.stderr


def test_the_alert_rules_are_valid(promtool: Promtool) -> None:
    judged = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_the_alerts_fire_and_stay_silent_as_their_cases_say(promtool: Promtool) -> None:
    judged = promtool("test", "rules", CASES)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_each_alert_asks_only_for_metrics_and_labels_that_exist(rules: dict[str, dict[str, Any]]) -> None:
    wrong = [fault for rule in rules.values() for fault in faults(rule["expr"])]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("pacing_input_total", "no metric"),
        ('pacing_ticks_total{whole="true"}', "no label whole"),
        ("sum(", "sum("),
        ("sum by (whole) (pacing_ticks_total)", "label whole"),
    ],
)
def test_a_query_for_what_does_not_exist_is_told(query: str, word: str) -> None:
    assert any(word in fault for fault in faults(query))


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(rules: dict[str, dict[str, Any]]) -> None:
    cases = [case for group in read_yaml(CASES)["tests"] for case in group.get("alert_rule_test", [])]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == rules.keys()
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == rules.keys()


def test_each_alert_names_its_own_runbook_and_each_runbook_has_an_alert(rules: dict[str, dict[str, Any]]) -> None:
    for name, rule in rules.items():
        assert rule["annotations"]["runbook"] == f"deploy/runbooks/{name}.md"
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8").startswith(f"# {name}\n")
    assert {path.stem for path in RUNBOOKS.glob("Pacing*.md")} == rules.keys()


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_a_runbook_asks_only_for_metrics_that_exist_and_links_to_pages_that_do(path: Any) -> None:
    text = path.read_text(encoding="utf-8")
    queries = [
        quoted for quoted in re.findall(r"`([^`]+)`", text) if re.search(r"\bpacing_[a-z]+_[a-z]|_seconds", quoted)
    ]
    assert not [fault for query in queries for fault in faults(query)]
    assert all((RUNBOOKS / target).exists() for target in re.findall(r"\]\(([^)]+)\)", text))
