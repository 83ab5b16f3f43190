"""What the worker tells whoever watches it is computed when asked, and true."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from worker import web
from worker.metrics import Metrics
from worker.settings import load_settings


class FakeOwnership:
    """What the checks look at."""

    def __init__(self, *, assigned: bool = True, restoring: int = 0, is_open: bool = True, age: float = 0.0) -> None:
        self.was_assigned = assigned
        self.restoring = restoring
        self.all_open = is_open
        self.held = {3: type("Held", (), {"saver": type("Saver", (), {"saved_at": time.time() - age})})}


def checks(**facts: Any) -> web.HealthChecks:
    ownership: Any = FakeOwnership(**facts)
    return web.HealthChecks(ownership, load_settings(env_file=None), lambda: {"healthy": False, "lag": 12})


def test_a_worker_with_its_partitions_restored_and_saved_is_ready() -> None:
    ready = checks().ready()
    assert ready.is_well
    assert ready.facts["partitions"] == [3]


@pytest.mark.parametrize(
    ("facts", "missing"),
    [
        ({"assigned": False}, "assigned"),
        ({"restoring": 1}, "restored"),
        ({"is_open": False}, "restored"),
        ({"age": 3_600.0}, "checkpoints_in_time"),
    ],
)
def test_what_is_missing_is_named(facts: dict[str, Any], missing: str) -> None:
    ready = checks(**facts).ready()
    assert not ready.is_well
    assert not ready.checks[missing]


def test_only_late_checkpoints_are_a_reason_to_restart() -> None:
    assert checks(assigned=False, restoring=1, is_open=False).healthy().is_well
    assert not checks(age=3_600.0).healthy().is_well


def test_the_sink_s_trouble_is_told_and_makes_nothing_unready() -> None:
    ready = checks().ready()
    assert ready.facts["sink"] == {"healthy": False, "lag": 12}
    assert ready.is_well


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Pages of a worker that is healthy and not ready."""
    pages = await web.serve(web.create_web(checks(restoring=2), Metrics(CollectorRegistry())), "127.0.0.1", 0)
    host, port = pages.addresses[0][:2]
    yield f"http://{host}:{port}"
    await pages.cleanup()


async def test_the_pages_answer_with_a_status_a_probe_understands(address: str) -> None:
    async with aiohttp.ClientSession(address) as client:
        async with client.get("/healthz") as answer:
            assert (answer.status, (await answer.json())["ok"]) == (200, True)
        async with client.get("/readyz") as answer:
            assert (answer.status, (await answer.json())["restoring"]) == (503, 2)
        async with client.get("/metrics", headers={"Accept": "application/openmetrics-text"}) as answer:
            assert answer.status == 200
            assert (await answer.text()).endswith("# EOF\n")
