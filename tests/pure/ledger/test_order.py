"""What becomes of an update does not hang on where in its batch it stands."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.pure.ledger.world import Json, World, plan, update

ITSELF = update("5", corrects="5", kind="correction")
REPORT = update("5", corrects="0", kind="correction")
REPORTED = update("0", kind="cumulative")
# Of one id the first stands, so the order of these two is kept.
ORDERS = [batch for batch in permutations((ITSELF, REPORT, REPORTED)) if batch.index(ITSELF) < batch.index(REPORT)]


def _names(batch: tuple[Json, ...]) -> str:
    return " ".join(f"{said['event_id']}-{said.get('corrects', said['kind'])}" for said in batch)


@pytest.mark.parametrize("batch", ORDERS, ids=_names)
def test_a_correction_of_itself_or_of_a_report_is_refused_in_any_order(batch: tuple[Json, ...]) -> None:
    world = World()
    world.plan(plan())
    folded = world.spend(*batch)
    reasons = [refused.reason for refused in (*folded.refused, *folded.late)]
    assert (folded.accepted - len(folded.late), reasons) == (1, ["not_correctable", "not_correctable"])
