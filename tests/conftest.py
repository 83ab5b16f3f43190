"""
What every test has: a marker from its folder, and no silent skip.

A folder says what its tests need (tests/kafka: a real Kafka). A run prints how many of each suite ran; where CI is
set, a skip in one of these suites is a failure, since a promise that nobody tested is none.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import Phase, settings

# For tests/mutants.py: the same examples each time, and no search for the smallest one.
settings.register_profile("mutants", derandomize=True, database=None, phases=(Phase.explicit, Phase.generate))

SUITES: Final = ("kafka", "postgres", "contract", "deploy")
IN_SUITE: Final = {"chaos": "kafka"}
"""Folders with the needs of another."""
HERE: Final = Path(__file__).parent

RAN: Final = pytest.StashKey[Counter[tuple[str, str]]]()
WHY_SKIPPED: Final = pytest.StashKey[dict[str, str]]()


def suite_of(path: Path) -> str | None:
    """The suite with needs of its own that a test file belongs to."""
    parts = path.relative_to(HERE).parts if path.is_relative_to(HERE) else ()
    folder = IN_SUITE.get(parts[0], parts[0]) if parts else None
    return folder if folder in SUITES else None


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RAN] = Counter()
    config.stash[WHY_SKIPPED] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (suite := suite_of(item.path)) is not None:
            item.add_marker(suite)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count what ran; in CI turn a suite's skip into a failure."""
    report = yield
    suite = suite_of(item.path)
    if suite is not None and not hasattr(report, "wasxfail"):
        if report.skipped and os.environ.get("CI"):
            report.outcome = "failed"
            report.longrepr = f"skipped where nothing may be: {report.longrepr}"
        if report.skipped:
            item.config.stash[WHY_SKIPPED].setdefault(suite, str(call.excinfo and call.excinfo.value))
        if report.when == "call" or not report.passed:
            item.config.stash[RAN][suite, report.outcome] += 1
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line a suite, with what to do where it was skipped; .ci/run reads them."""
    ran = config.stash[RAN]
    for suite in SUITES:
        passed, failed, skipped = (ran[suite, outcome] for outcome in ("passed", "failed", "skipped"))
        if passed or failed or skipped:
            why = f": {config.stash[WHY_SKIPPED][suite]}" if skipped else ""
            terminalreporter.write_line(f"suite {suite}: {passed} passed, {failed} failed, {skipped} skipped{why}")
