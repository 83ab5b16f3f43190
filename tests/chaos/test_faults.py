"""Each fault by itself (`make faults`). The seed of a test is its fault's place in the list."""

from __future__ import annotations

import pytest

from tests.chaos.faults import FAULTS, Fault, Place, fill_disk
from tests.chaos.run import Plan, a_world, carry_out

UPDATES = 8_000


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_fault_by_itself_changes_no_figure(fault: Fault, place: Place) -> None:
    if fault.act is fill_disk and place.disk is None:
        pytest.skip(place.why_no_disk)
    seed = FAULTS.index(fault)
    with a_world(place, seed) as world:
        outcome = carry_out(Plan(seed, UPDATES, times=lambda each: int(each is fault)), world)
    assert outcome.found.difference_nanos == 0
    assert outcome.times[fault.name] == 1
    if fault.name.endswith(("a checkpoint: send", "a checkpoint: acks")):
        assert outcome.found.aborted > 0, "no aborted record: the kill missed the transaction"
