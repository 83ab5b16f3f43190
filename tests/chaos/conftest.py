"""The place that the tests of single faults share: a broker behind a proxy, and a PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.faults import Place
from tests.chaos.run import a_place
from tests.kafka.broker import why_unavailable
from tests.kafka.conftest import no_kafka


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place whose parts may be killed, one test after another."""
    if (reason := why_unavailable()) is not None:
        no_kafka(reason)
    folder = tmp_path_factory.mktemp("place")
    for above in (folder, folder.parent, folder.parent.parent):
        above.chmod(0o755)  # PostgreSQL does not run as root
    with a_place(folder, 100_000) as found:
        yield found
