"""One campaign's tick: what is told about it as of T, and what is remembered for the next."""

from __future__ import annotations

from typing import Any, NamedTuple

from worker.pacing.figures import Counted
from worker.pacing.history import PlanHistory
from worker.pacing.state import PacingState


class Event(NamedTuple):
    """
    An event to be sent.

    *kind* is its type without `pacing.` (snapshot_taken, deviation_detected, deviation_resolved,
    reallocation_recommended, alert_raised, alert_cleared); *body* has the contract's fields in its order, JSON-ready.
    """

    kind: str
    body: dict[str, Any]


def take_tick(  # noqa: PLR0913  # a tick is made of these; all but three are named
    history: PlanHistory,
    state: PacingState,
    counted: Counted,
    *,
    as_of: int,
    complete: bool = True,
    first: bool = False,
    position: dict[str, Any] | None = None,
) -> tuple[list[Event], PacingState]:
    """
    The events of one campaign at tick *as_of*, and its state after it.

    *complete* is False for a tick taken before the partition had read everything of it; *first* True for a tick with
    nothing before it (`evaluate`); *position* the `ledger_position` of the snapshot. Nothing given is changed.
    """
    del history, counted, as_of, complete, first, position
    return [], state
