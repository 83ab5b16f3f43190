"""What a PromQL query asks for, and whether there is such a thing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import promql_parser
from prometheus_client import Histogram, Info

from worker.metrics import declarations

# What Prometheus and the client library add by themselves.
STANDARD: Final = {
    "up": frozenset[str](),
    "process_start_time_seconds": frozenset[str](),
    "process_cpu_seconds_total": frozenset[str](),
    "process_resident_memory_bytes": frozenset[str](),
}
TARGET_LABELS: Final = frozenset({"job", "instance"})


def exposed() -> dict[str, frozenset[str]]:
    """The label names of every series that a worker exposes, by the series' name."""
    series = dict(STANDARD)
    for _, declared in declarations():
        labels = frozenset(declared.labels)
        if declared.kind is Histogram:
            series |= {f"{declared.name}_bucket": labels | {"le"}}
            series |= {f"{declared.name}_{part}": labels for part in ("sum", "count")}
        elif declared.kind is Info:
            series[f"{declared.name}_info"] = labels
        else:
            series[declared.name] = labels
    return series


def faults(query: str) -> Iterator[str]:
    """What is wrong with a query: it does not parse, or names a series or label that nobody exposes."""
    try:
        parsed = promql_parser.parse(without_grafana(query))
    except ValueError as error:
        yield f"{query}: {error}"
        return
    known = exposed()
    for labels, below in groupings(parsed):
        there = TARGET_LABELS.union(*(known.get(selector.name, frozenset()) for selector in below))
        yield from (f"{query}: nothing below has the label {label}" for label in sorted(set(labels) - there))
    for selector in selectors(parsed):
        if selector.name not in known:
            yield f"{query}: no metric is called {selector.name}"
        else:
            asked = {matcher.name for matcher in selector.matchers.matchers}
            yield from (
                f"{query}: {selector.name} has no label {label}"
                for label in sorted(asked - known[selector.name] - TARGET_LABELS)
            )


def without_grafana(query: str) -> str:
    """The query with Grafana's variables filled in."""
    return re.sub(r"\$__rate_interval", "5m", query).replace("$instance", ".*").replace("$campaign", "c1")


def groupings(node: Any) -> Iterator[tuple[list[str], list[Any]]]:
    """The labels of every `by (...)` with the selectors that it groups."""
    for inner in walk(node):
        modifier = getattr(inner, "modifier", None)
        if isinstance(inner, promql_parser.AggregateExpr) and modifier is not None:
            yield modifier.labels, list(selectors(inner))


def selectors(node: Any) -> Iterator[Any]:
    """Every vector selector of a parsed query."""
    return (inner for inner in walk(node) if isinstance(inner, promql_parser.VectorSelector))


def walk(node: Any) -> Iterator[Any]:
    """A parsed query and every part of it."""
    yield node
    for part in ("expr", "lhs", "rhs", "param", "vector_selector"):
        if (child := getattr(node, part, None)) is not None:
            yield from walk(child)
    for child in getattr(node, "args", None) or ():
        yield from walk(child)
