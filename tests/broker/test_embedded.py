"""
The real worker on the demo's embedded cluster: spend in, figures out, a stop, a start, a kill.

No claim of exactness under a kill is made here: librdkafka's cluster neither fences nor rolls back. Those tests stand
in tests/kafka.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka.stage import Feed, Stage, audit, environment, settings_of, settle
from worker.demo.broker import PARTITIONS, running_broker
from worker.exits import Exit
from worker.topics import every_topic


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Stage]:
    """A stage on a cluster inside this process."""
    own: dict[str, object] = {"embedded_broker": True, "partitions": PARTITIONS}
    declared = every_topic(settings_of(environment("nowhere:1", "embedded", **own)))
    with running_broker([topic.name for topic in declared]) as broker:
        here = Stage(broker.bootstrap, "embedded", tmp_path, **own)
        yield here
        here.end()


def test_spend_goes_in_and_exact_snapshots_come_out(embedded: Stage) -> None:
    feed = Feed(embedded, 20)
    feed.plan_all()
    feed.spend(2_000)
    worker = embedded.worker()
    worker.wait_ready(PARTITIONS)
    settle(embedded, worker)
    assert audit(embedded) >= 20
    assert worker.terminate()[0] == Exit.STOPPED


def test_a_stopped_worker_goes_on_where_it_was(embedded: Stage) -> None:
    feed = Feed(embedded, 20)
    feed.plan_all()
    feed.spend(1_000)
    worker = embedded.worker()
    worker.wait_ready(PARTITIONS)
    settle(embedded, worker)
    assert worker.terminate()[0] == Exit.STOPPED
    feed.spend(1_000)
    worker = embedded.worker()
    worker.wait_ready(PARTITIONS)
    settle(embedded, worker)
    audit(embedded)


def test_a_worker_killed_when_idle_goes_on_where_it_was(embedded: Stage) -> None:
    feed = Feed(embedded, 20)
    feed.plan_all()
    feed.spend(1_000)
    worker = embedded.worker(PACING_TICK_SECONDS="3600")
    worker.wait_ready(PARTITIONS)
    settle(embedded, worker)
    worker.kill()
    feed.spend(1_000)
    worker = embedded.worker()
    worker.wait_ready(PARTITIONS)
    settle(embedded, worker)
    audit(embedded)
