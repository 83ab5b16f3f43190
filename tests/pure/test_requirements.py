"""The locked requirements: hashed, without the place they were found at, and in step with pyproject.toml."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]

# Which file locks what of pyproject.toml.
LOCKED = {
    "requirements.txt": [*PROJECT["dependencies"], *EXTRAS["demo"], *EXTRAS["build"]],
    "requirements-dev.txt": [*PROJECT["dependencies"], *EXTRAS["demo"], *EXTRAS["build"], *EXTRAS["dev"]],
    "deploy/requirements.txt": PROJECT["dependencies"],
}


class Pin(NamedTuple):
    """One locked release."""

    name: str
    version: Version
    hashes: int


def pins(path: str) -> list[Pin]:
    """The releases that a file locks; a package may have one for each range of Python versions."""
    text = (ROOT / path).read_text(encoding="utf-8").replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        fitting = re.match(r"([A-Za-z0-9._-]+)==(\S+)", line)
        assert fitting is not None, f"{path}: not a pinned release: {line}"
        found.append(Pin(canonicalize_name(fitting[1]), Version(fitting[2]), line.count("--hash=sha256:")))
    return found


@pytest.mark.parametrize("path", LOCKED)
def test_every_release_has_hashes(path: str) -> None:
    assert pins(path)
    assert all(pin.hashes > 0 for pin in pins(path))


@pytest.mark.parametrize("path", LOCKED)
def test_no_file_says_where_releases_are_found(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text)


@pytest.mark.parametrize("path", LOCKED)
def test_what_pyproject_asks_for_is_locked_in_a_version_that_it_allows(path: str) -> None:
    locked = pins(path)
    for text in LOCKED[path]:
        asked = Requirement(text)
        versions = [pin.version for pin in locked if pin.name == canonicalize_name(asked.name)]
        assert versions, f"{path} lacks {asked.name}: make lock"
        assert all(version in asked.specifier for version in versions), f"{path}: {asked.name} {versions}: make lock"


@pytest.mark.parametrize("path", LOCKED)
def test_the_lock_is_whole_since_it_is_installed_without_resolving(path: str) -> None:
    locked = {pin.name: pin.version for pin in pins(path)}
    for name in locked:
        try:
            asked = [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:  # locked for another system or Python
            continue
        for each in asked:
            if each.marker is None or each.marker.evaluate({"extra": ""}):
                found = locked.get(canonicalize_name(each.name))
                assert found is not None, f"{path}: {name} needs {each}: make lock"
                assert found in each.specifier, f"{path}: {name} needs {each}, not {found}: make lock"


def imported(*folders: str) -> set[str]:
    """The third-party modules that the code in *folders* imports."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for name in folders for path in (ROOT / name).rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    parts = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module is not None}
    first = {name.split(".")[0] for name in plain | parts}
    return first - sys.stdlib_module_names - {"schemas", "worker", "tests"}


@pytest.mark.parametrize(
    ("folders", "declared"),
    [
        (("worker",), [*PROJECT["dependencies"], *EXTRAS["demo"]]),
        (("schemas", "tests"), LOCKED["requirements-dev.txt"]),
    ],
)
def test_what_is_imported_is_declared_and_not_there_by_chance(folders: tuple[str, ...], declared: list[str]) -> None:
    names = {canonicalize_name(Requirement(text).name) for text in declared}
    providers = packages_distributions()
    missing = {
        module
        for module in imported(*folders) - PART_OF_ANOTHER - BROUGHT_BY_A_BENCHMARK
        if not names & {canonicalize_name(provider) for provider in providers.get(module, [module])}
    }
    assert not missing


# pydantic's errors are raised from its other half.
PART_OF_ANOTHER = {"pydantic_core"}
# A peer of `make bench` runs in an environment of its own, made by the benchmark: it needs other versions than ours.
BROUGHT_BY_A_BENCHMARK = {"quixstreams"}


def test_what_is_tested_is_what_is_shipped() -> None:
    tested = {(pin.name, pin.version) for pin in pins("requirements-dev.txt")}
    for path in ("requirements.txt", "deploy/requirements.txt"):
        assert {(pin.name, pin.version) for pin in pins(path)} <= tested
