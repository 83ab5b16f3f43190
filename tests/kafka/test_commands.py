"""`pacing topics` and `pacing doctor` against a real broker, as a person types them."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.kafka.broker import Broker
from worker.settings import Settings, variable

pytestmark = pytest.mark.kafka


@pytest.fixture
def app_id() -> str:
    return f"commands-{uuid.uuid4().hex[:8]}"


def pacing(*arguments: str, bootstrap: str, app_id: str, folder: Path, **variables: str) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of a command with topics of its own."""
    topics = [field for field in Settings.model_fields if field.startswith("topic_")]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PACING_")},
        **{variable(topic): f"{app_id}.{topic.removeprefix('topic_')}" for topic in topics},
        "PACING_KAFKA_BOOTSTRAP": bootstrap,
        "PACING_APP_ID": app_id,
        "PACING_REPLICATION_FACTOR": "1",
        "PACING_WEB_PORT": "0",
        **variables,
    }
    command = [sys.executable, "-m", "worker.cli", *arguments]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


def test_topics_are_missed_created_and_then_as_declared(kafka: str, app_id: str, tmp_path: Path) -> None:
    def topics(action: str, **variables: str) -> tuple[int, str, str]:
        return pacing("topics", action, bootstrap=kafka, app_id=app_id, folder=tmp_path, **variables)

    code, _, faults = topics("check")
    assert (code, len(faults.splitlines())) == (1, 17)
    code, told, faults = topics("apply")
    assert (code, told.count(": created\n"), faults) == (0, 17, "")
    assert topics("check") == (0, "every topic is as declared\n", "")
    assert topics("apply") == (0, "every topic is as declared\n", "")

    code, _, faults = topics("check", PACING_OUTPUT_RETENTION_HOURS="24")
    assert code == 1
    assert f"{app_id}.tick_closed: its retention.ms is 604800000, not 86400000\n" in faults


def test_nothing_is_created_beside_topics_with_another_number_of_partitions(
    kafka: str, app_id: str, tmp_path: Path
) -> None:
    given = {"bootstrap": kafka, "app_id": app_id, "folder": tmp_path}
    assert pacing("topics", "apply", **given)[0] == 0  # type: ignore[arg-type]
    other = f"{app_id}.moved"
    code, told, faults = pacing(
        "topics",
        "apply",
        **given,  # type: ignore[arg-type]
        PACING_PARTITIONS="4",
        PACING_TOPIC_TICK_CLOSED=other,
    )
    assert (code, told) == (1, "")
    assert f"{other}: it does not exist\n" in faults
    assert f"{app_id}-ledger: it has 8 partitions, not 4\n" in faults


def test_too_few_brokers_for_the_copies_are_told_with_what_to_set(kafka: str, app_id: str, tmp_path: Path) -> None:
    code, _, faults = pacing(
        "topics", "apply", bootstrap=kafka, app_id=app_id, folder=tmp_path, PACING_REPLICATION_FACTOR="9"
    )
    assert code == 1
    assert all("PACING_REPLICATION_FACTOR" in line for line in faults.splitlines())


def test_the_doctor_finds_a_broker_without_topics_and_then_nothing_wrong(
    kafka: str, app_id: str, tmp_path: Path
) -> None:
    given = {"bootstrap": kafka, "app_id": app_id, "folder": tmp_path}
    code, told, _ = pacing("doctor", **given)  # type: ignore[arg-type]
    assert code == 1
    assert [line.split()[1] for line in told.splitlines() if line.startswith("FAIL")] == ["topics", "ledger"]
    pacing("topics", "apply", **given)  # type: ignore[arg-type]
    code, told, faults = pacing("doctor", **given)  # type: ignore[arg-type]
    assert (code, faults) == (0, "")
    assert {line.split()[0] for line in told.splitlines()} == {"ok"}
    names = ["settings", "web", "data", "broker", "topics", "ledger", "transactions", "clock", "PostgreSQL"]
    assert [line.split()[1] for line in told.splitlines()] == names


def test_the_doctor_leaves_no_topic_behind(own_kafka: Broker, app_id: str, tmp_path: Path) -> None:
    from confluent_kafka.admin import AdminClient

    pacing("doctor", bootstrap=own_kafka.bootstrap, app_id=app_id, folder=tmp_path)
    admin = AdminClient({"bootstrap.servers": own_kafka.bootstrap})
    assert not [name for name in admin.list_topics(timeout=30).topics if app_id in name]
