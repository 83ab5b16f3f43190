"""The image and the composed try: valid, without root, and in step with the project they pack."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from tests.deploy.conftest import read_yaml
from tests.deploy.promtool import ROOT
from tests.kafka.broker import KAFKA_VERSION
from worker.settings import PREFIX, Settings

DOCKERFILE = "deploy/Dockerfile"
COMPOSE = "docker-compose.yml"
RUNS_ONCE = {"prepare"}


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of the environment that runs these tests."""
    command = [str(Path(sys.executable).with_name(name)), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def dockerfile() -> list[str]:
    """The instructions of the Dockerfile, one a line."""
    text = (ROOT / DOCKERFILE).read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """The services of the compose file."""
    read: dict[str, dict[str, Any]] = read_yaml(COMPOSE)["services"]
    return read


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    judged = tool("hadolint", "--failure-threshold", "style", DOCKERFILE)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_the_compose_file_follows_the_compose_specification() -> None:
    judged = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_the_image_runs_as_a_numbered_user_that_is_not_root(dockerfile: list[str]) -> None:
    last_stage = dockerfile[max(i for i, line in enumerate(dockerfile) if line.startswith("FROM ")) :]
    (user,) = [line.split()[1] for line in last_stage if line.startswith("USER ")]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_what_the_image_copies_is_there_and_is_sent_to_the_builder(dockerfile: list[str]) -> None:
    copied = [
        source
        for line in dockerfile
        if line.startswith("COPY ") and "--from=" not in line
        for source in line.split()[1:-1]
    ]
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    assert copied
    assert all((ROOT / source).exists() for source in copied)
    assert set(copied) == sent


def test_the_image_runs_the_python_that_the_tests_ran_on(dockerfile: list[str]) -> None:
    # On a developer's machine that may be another; the image then still holds what CI tested.
    versions = {line.split()[1] for line in dockerfile if line.startswith("FROM ")}
    assert versions == {"python:3.11-slim-bookworm"}


def test_every_image_has_a_version(services: dict[str, dict[str, Any]]) -> None:
    foreign = [service["image"] for service in services.values() if "build" not in service]
    assert foreign
    assert all(re.search(r":v?\d", image) for image in foreign)


def test_the_composed_kafka_is_the_one_that_the_tests_run(services: dict[str, dict[str, Any]]) -> None:
    assert services["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def test_every_service_that_goes_on_is_checked_and_started_again(services: dict[str, dict[str, Any]]) -> None:
    for name in services.keys() - RUNS_ONCE:
        assert "test" in services[name]["healthcheck"], name
        assert services[name]["restart"] == "unless-stopped", name


def test_nothing_is_reachable_from_another_machine(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_worker_waits_for_topics_and_tables(services: dict[str, dict[str, Any]]) -> None:
    assert services["worker"]["depends_on"]["prepare"]["condition"] == "service_completed_successfully"
    assert services["prepare"]["command"] == ["pacing topics apply && pacing migrate"]


def test_the_worker_is_given_time_to_stop(services: dict[str, dict[str, Any]]) -> None:
    grace = float(services["worker"]["stop_grace_period"].removesuffix("s"))
    assert grace > Settings.model_fields["stop_timeout_seconds"].default


def test_every_variable_given_to_the_worker_is_a_setting(
    services: dict[str, dict[str, Any]], dockerfile: list[str]
) -> None:
    settings = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    in_image = set(re.findall(rf"\b({PREFIX}[A-Z_]+)=", "\n".join(dockerfile)))
    assert in_image
    assert in_image | services["worker"]["environment"].keys() <= settings


def test_every_file_that_is_mounted_is_there(services: dict[str, dict[str, Any]]) -> None:
    mounted = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])]
    ours = [path for path in mounted if path.startswith("./")]
    assert ours
    assert all((ROOT / path).exists() for path in ours)


def test_every_volume_is_declared(services: dict[str, dict[str, Any]]) -> None:
    named = {
        volume.split(":")[0]
        for service in services.values()
        for volume in service.get("volumes", [])
        if volume[0] not in "./"
    }
    assert named == read_yaml(COMPOSE)["volumes"].keys()


def test_prometheus_asks_the_port_on_which_the_worker_answers(services: dict[str, dict[str, Any]]) -> None:
    (job, _) = read_yaml("deploy/prometheus/prometheus.yml")["scrape_configs"]
    (discovery,) = job["dns_sd_configs"]
    assert discovery["names"] == ["worker"]
    assert discovery["port"] == Settings.model_fields["web_port"].default
    assert all(port.endswith(f":{discovery['port']}") for port in services["worker"]["ports"])


def test_the_wheel_that_the_image_installs_holds_every_file_of_the_product(tmp_path: Path) -> None:
    built = tool("hatchling", "build", "--target", "wheel", "--directory", str(tmp_path))
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tracked = subprocess.run(
        ["git", "ls-files", "schemas", "worker"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(tracked.stdout.split()) <= packed
    assert all(name.startswith(("schemas/", "worker/")) for name in packed)
