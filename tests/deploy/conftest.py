"""What the checks of the deployment files share."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.debian import PackageUnavailableError
from tests.deploy.promtool import ROOT, find_promtool

Promtool = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    """promtool as a function of its arguments; skipped, or failed in CI, where there is none."""
    try:
        path = find_promtool()
    except PackageUnavailableError as error:
        pytest.skip(f"the checks by promtool did not run: {error}")

    def run(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run([path, *arguments], cwd=ROOT, input=given, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def rules() -> dict[str, dict[str, Any]]:
    """The alert rules by their names."""
    groups = read_yaml("deploy/prometheus/rules/pacing.yml")["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


@pytest.fixture(scope="session")
def dashboard() -> dict[str, Any]:
    """The Grafana dashboard."""
    read: dict[str, Any] = json.loads((ROOT / "deploy/grafana/dashboards/pacing.json").read_text(encoding="utf-8"))
    return read


def read_yaml(path: str) -> Any:
    """A YAML file of the project."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
