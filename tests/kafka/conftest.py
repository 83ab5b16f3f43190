"""
What the tests on a real Kafka share: the broker itself.

Without Java and Maven, and without a Kafka of somebody else's in PACING_TEST_KAFKA_BOOTSTRAP, these
tests are skipped with the reason; where CI is set, that is a failure: a promise nobody tested is none.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kafka.broker import Broker, BrokerUnavailableError, outside_bootstrap, running_broker, why_unavailable
from tests.kafka.stage import Stage

pytestmark = pytest.mark.kafka


def no_kafka(reason: str) -> None:
    """Skip with *reason*, or fail where nothing may be skipped."""
    told = f"the suite on a real Kafka did not run: {reason}"
    if os.environ.get("CI"):
        pytest.fail(told, pytrace=False)
    pytest.skip(told)


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The bootstrap address of a Kafka that all tests share and none may stop: name topics and app ids apart."""
    if (outside := outside_bootstrap()) is not None:
        yield outside
    else:
        yield from (broker.bootstrap for broker in started())


@pytest.fixture
def own_kafka() -> Iterator[Broker]:
    """A broker of the test's own, to be killed, frozen and restarted."""
    yield from started()


def started() -> Iterator[Broker]:
    """A running broker until the caller is done with it."""
    if (reason := why_unavailable()) is not None:
        no_kafka(reason)
    try:
        with running_broker() as broker:
            yield broker
    except BrokerUnavailableError as error:
        no_kafka(str(error))


@pytest.fixture
def stage(kafka: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Stage]]:
    """Makes stages: topics and settings of the test's own, and an end to every worker it started."""
    stages: list[Stage] = []

    def make(**settings: object) -> Stage:
        name = f"{request.node.name[:40]}-{uuid.uuid4().hex[:8]}".replace("[", "-").replace("]", "")
        stages.append(Stage(kafka, name, tmp_path, **settings))
        return stages[-1]

    yield make
    for each in stages:
        each.end()
