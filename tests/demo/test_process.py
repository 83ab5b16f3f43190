"""The worker as a process of the demo's own: its settings, its log, its end."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from tests.kafka.broker import wait_until
from worker.demo.process import WorkerProcess, running_worker

REFUSED = {"PACING_TICK_SECONDS": "0"}
UNREACHABLE = {"PACING_KAFKA_BOOTSTRAP": "127.0.0.1:1", "PACING_WEB_PORT": "0"}


def wait_for_its_end(worker: WorkerProcess) -> None:
    wait_until(lambda: not worker.is_running, 60, what="the end of the worker")


def test_a_worker_that_refuses_to_start_says_why(tmp_path: Path) -> None:
    with running_worker(REFUSED, tmp_path, tmp_path / "worker.log") as worker:
        wait_for_its_end(worker)
        assert worker.how_it_ended() == "ended by itself with exit code 2"
        assert "PACING_TICK_SECONDS" in "".join(worker.last_words())


def test_settings_of_the_person_do_not_reach_the_demos_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACING_KAFKA_BOOTSTRAP", "production:9092")
    with running_worker(UNREACHABLE, tmp_path, tmp_path / "worker.log") as worker:
        environment = psutil.Process(worker.pid).environ()
    given = {name: value for name, value in environment.items() if name.startswith("PACING_")}
    assert given == UNREACHABLE


def test_a_killed_worker_is_told_from_one_that_gave_up(tmp_path: Path) -> None:
    with running_worker(UNREACHABLE, tmp_path, tmp_path / "worker.log") as worker:
        psutil.Process(worker.pid).send_signal(signal.SIGKILL)
        wait_for_its_end(worker)
        assert worker.how_it_ended() == "was ended by SIGKILL"


def test_a_worker_is_gone_when_the_demo_leaves_it(tmp_path: Path) -> None:
    with running_worker(UNREACHABLE, tmp_path, tmp_path / "worker.log") as worker:
        assert psutil.pid_exists(worker.pid)
    assert not psutil.pid_exists(worker.pid)
