"""A short chaos run; `make chaos` is the long one, with every fault, several times, under millions of updates."""

from __future__ import annotations

import os

import pytest

from tests.chaos.run import Plan, a_folder, run
from tests.kafka.broker import BrokerUnavailableError, why_unavailable
from tests.kafka.conftest import no_kafka

UPDATES = 100_000
SEED = 20_260_701


@pytest.mark.timeout(900)  # two and a half minutes on two idle cores
def test_after_faults_in_any_order_every_figure_is_exact_and_every_event_single() -> None:
    if (reason := why_unavailable()) is not None:
        no_kafka(reason)
    seed = int(os.environ.get("PACING_TEST_SEED", SEED))
    try:
        with a_folder() as folder:
            outcome = run(Plan(seed, UPDATES, times=lambda fault: fault.times_short), folder)
    except BrokerUnavailableError as error:
        no_kafka(str(error))
        return
    print("\n".join(outcome.lines()))
    assert outcome.found.difference_nanos == 0
    assert outcome.found.aborted > 0, "no aborted record: the kills missed every transaction"
    assert outcome.found.records >= UPDATES
