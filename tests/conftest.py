"""
What every test has: a marker from its folder, and no silent skip.

A folder says what its tests need (tests/kafka: a real Kafka). A run prints how many of each suite ran; where CI is
set, a skip in one of these suites is a failure, since a promise that nobody tested is none.

`make test` runs two processes side by side. The tests of a file stay together, and what both processes need (Kafka's
jars, a package) is fetched under a lock or renamed into its place. The longest folders come first, so that both
processes end at about the same time.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import Phase, settings

# How long an example takes is no test's subject: others run beside it. In CI Hypothesis takes a profile that says so.
if not os.environ.get("CI"):
    settings.register_profile("beside others", deadline=None)
    settings.load_profile("beside others")
# For tests/mutants.py: the same examples each time, and no search for the smallest one.
settings.register_profile("mutants", derandomize=True, database=None, phases=(Phase.explicit, Phase.generate))

SUITES: Final = ("kafka", "postgres", "contract", "deploy")
IN_SUITE: Final = {"chaos": "kafka"}
"""Folders with the needs of another."""
LONGEST_FIRST: Final = ("kafka", "postgres", "demo")
"""Folders in the order of the time they take; then all others."""
HERE: Final = Path(__file__).parent


def folder_of(path: Path) -> str:
    """The folder of a test file, by its needs; empty for one beside this file."""
    parts = path.relative_to(HERE).parts[:-1] if path.is_relative_to(HERE) else ()
    return IN_SUITE.get(parts[0], parts[0]) if parts else ""


def suite_of(path: Path) -> str | None:
    """The suite with needs of its own that a test file belongs to."""
    folder = folder_of(path)
    return folder if folder in SUITES else None


class Ran:
    """What ran of each suite, by what is told of each test: also by the processes that ran it for this one."""

    def __init__(self) -> None:
        self._ran: Counter[tuple[str, str]] = Counter()
        self._why_skipped: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        suite = suite_of(HERE.parent / report.location[0])
        if suite is None:
            return
        if report.skipped:
            self._why_skipped.setdefault(suite, _why(report))
        if report.when == "call" or not report.passed:
            self._ran[suite, report.outcome] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One line a suite, with what to do where it was skipped; .ci/run reads them."""
        for suite in SUITES:
            passed, failed, skipped = (self._ran[suite, outcome] for outcome in ("passed", "failed", "skipped"))
            if passed or failed or skipped:
                why = f": {self._why_skipped[suite]}" if skipped else ""
                terminalreporter.write_line(f"suite {suite}: {passed} passed, {failed} failed, {skipped} skipped{why}")


def _why(report: pytest.TestReport) -> str:
    """The reason of a skip: the last of (file, line, reason)."""
    told = report.longrepr[-1] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return told.removeprefix("Skipped: ")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Ran())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: turn_of(folder_of(item.path)))
    for item in items:
        folder = folder_of(item.path)
        if folder in SUITES:
            item.add_marker(folder)


def turn_of(folder: str) -> int:
    """When a folder's tests come."""
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a suite's skip is a failure."""
    report = yield
    if report.skipped and os.environ.get("CI") and suite_of(item.path) is not None:
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
    return report
