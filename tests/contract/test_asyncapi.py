"""
The AsyncAPI document, judged by the reference parser of AsyncAPI.

It needs node and npm: without them it is skipped, and in CI that is a failure. By hand:

    cd tests/contract/asyncapi && npm ci --ignore-scripts && node check.mjs ../../../schemas/asyncapi.yaml
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "asyncapi"
DOCUMENT = Path(__file__).parents[2] / "schemas" / "asyncapi.yaml"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False, timeout=300)


def cannot(why: str) -> None:
    """Skip, or fail where a skipped check is one: in CI."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(f"{why}; see the head of this file")


@pytest.fixture(scope="session")
def parser() -> None:
    """The parser as package-lock.json has it, installed beside it; `npm ci` compares before it is trusted again."""
    if not (shutil.which("node") and shutil.which("npm")):
        cannot("node and npm are not there")
    lock, installed = HERE / "package-lock.json", HERE / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    # Its dependencies' install scripts only report to their makers.
    outcome = run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    if outcome.returncode:
        cannot(f"npm ci: {outcome.stderr.strip()[-500:]}")


@pytest.mark.usefixtures("parser")
def test_the_document_is_valid_without_a_warning() -> None:
    outcome = run("node", "check.mjs", str(DOCUMENT))
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.startswith("3.1.0: 14 channels, 14 operations")


@pytest.mark.usefixtures("parser")
def test_the_check_finds_a_fault(tmp_path: Path) -> None:
    broken = tmp_path / "asyncapi.yaml"
    broken.write_text(DOCUMENT.read_text("utf-8").replace("action: receive", "action: hope", 1), "utf-8")
    outcome = run("node", "check.mjs", str(broken))
    assert outcome.returncode == 1
    assert "operations" in outcome.stderr
