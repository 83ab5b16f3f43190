"""The place that the tests of single faults share: a broker behind a proxy, and a PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.faults import Place
from tests.chaos.run import a_folder, a_place
from tests.kafka.broker import why_unavailable
from tests.kafka.conftest import no_kafka


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    """A place whose parts may be killed, one test after another."""
    if (reason := why_unavailable()) is not None:
        no_kafka(reason)
    with a_folder() as folder, a_place(folder, 100_000) as found:
        yield found
