"""The dashboard: its queries ask for what exists, and its panels lie side by side."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import promql_parser

from tests.deploy.conftest import read_yaml
from tests.deploy.queries import exposed, faults, selectors, without_grafana

COLUMNS = 24


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels that show something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard: dict[str, Any]) -> Iterator[str]:
    """Every query of panels, variables and annotations."""
    for panel in panels(dashboard):
        yield from (target["expr"] for target in panel["targets"])
    yield from (each["expr"] for each in dashboard["annotations"]["list"])
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"].removeprefix("label_values(").rsplit(",", 1)[0]


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    """Whether two panels lie on one another."""
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def test_each_query_asks_only_for_metrics_and_labels_that_exist(dashboard: dict[str, Any]) -> None:
    wrong = [fault for query in queries(dashboard) for fault in faults(query)]
    assert not wrong, "\n".join(wrong)


def test_each_metric_of_the_worker_is_on_the_dashboard(dashboard: dict[str, Any]) -> None:
    shown = {
        selector.name
        for query in queries(dashboard)
        for selector in selectors(promql_parser.parse(without_grafana(query)))
    }
    whole = {name.removesuffix("_bucket") for name in shown}
    parts = ("_sum", "_count", "_bucket")
    missing = {name for name in exposed() if not name.endswith(parts) and name not in whole}
    assert missing <= NOT_SHOWN, f"not on the dashboard: {sorted(missing - NOT_SHOWN)}"


# Settings, and what only alerts and runbooks ask for.
NOT_SHOWN = {
    "pacing_tick_period_seconds",
    "pacing_input_newest_record_timestamp_seconds",
    "pacing_campaigns_shown",
    "pacing_campaigns_shown_limit",
}


def test_each_query_asks_the_data_source_that_the_reader_chose(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        for asked in (panel, *panel["targets"]):
            assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


def test_the_data_source_that_is_chosen_first_is_provisioned(dashboard: dict[str, Any]) -> None:
    (provisioned,) = read_yaml("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    (variable,) = [each for each in dashboard["templating"]["list"] if each["type"] == "datasource"]
    assert (provisioned["type"], provisioned["uid"]) == (variable["query"], variable["current"]["value"])


def test_panels_have_ids_of_their_own_and_lie_side_by_side(dashboard: dict[str, Any]) -> None:
    every = dashboard["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    for panel in every:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
    for one, other in combinations(every, 2):
        assert not overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])


def test_each_panel_says_what_it_shows(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        assert panel["title"]
        assert panel["description"]
