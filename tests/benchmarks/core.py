"""
What one campaign's tick costs in the core alone: `python -m tests.benchmarks.core`.

A campaign with three channels, spending; on plan (only its snapshot is told), with two deviations and a proposal
open, bent twice by new budgets, and with a curve, weights of weekdays and hours and blackouts in a zone with two
changes of its clocks; last with a weekly budget as well, what 27 weeks have left carried to the next. The best of many
short slices is told, beside a uuid5 of the same moment, since the machine may be shared.
"""

from __future__ import annotations

import gc
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from schemas.fields import NANOS, parse_time
from schemas.wire import decode_plan
from worker.pacing import Attribution, Counted, PacingState, Plan, PlanHistory, Totals, read_plan, take_tick

CALLS = 50
SLICES = 400

PLAN: dict[str, Any] = {
    "campaign_id": "summer-26",
    "account_id": "acme",
    "currency": "USD",
    "total_budget": "150000.00",
    "flight_start": "2026-07-01T00:00:00Z",
    "flight_end": "2026-09-30T00:00:00Z",
    "channels": [
        {"channel": "CTV", "allocated_budget": "75000.00"},
        {"channel": "DISPLAY", "allocated_budget": "45000.00"},
        {"channel": "AUDIO", "allocated_budget": "30000.00"},
    ],
}
TICK = parse_time("2026-08-15T00:00:00Z")
MINUTE = 60 * NANOS
EARLIER: Totals = {
    Attribution(channel, None): [10 * NANOS, 1, 1, 1, 0, 0, 2, 0] for channel in ("CTV", "DISPLAY", "AUDIO")
}
"""What was counted by the start of any window."""
DAILY = [1640 * NANOS + 7_770_000_000 * (day % 7) for day in range(60)]


def totals(**spend: str) -> Totals:
    """Spend in units and a few other figures by channel."""
    return {
        Attribution(channel, None): [int(float(amount) * NANOS), 1_200_000, 900, 30, 0, 0, 2_500_000, 0]
        for channel, amount in spend.items()
    }


def counted(spent: Totals, new: Totals) -> Counted:
    """What the ledger hands over when updates came in two quarter-hours."""
    return Counted(
        totals=spent,
        future_spend=0,
        late_spend=0,
        data_through=TICK - 5 * NANOS,
        before=lambda _: EARLIER,
        data_through_before=lambda _: None,
        new=[(TICK - 15 * MINUTE, new), (TICK, new)],
        cases={},
        spends=spends,
        reached=lambda *_: TICK - 15 * MINUTE,
    )


def spends(edges: tuple[int, ...]) -> list[int]:
    """What the ledger keeps of days: some 1,640 a day, the last two still to come."""
    return DAILY[: len(edges) - 1]


SHAPED: dict[str, Any] = {
    "timezone": "America/New_York",
    "flight_start": "2026-02-01",
    "flight_end": "2026-12-31",
    "curve": {"kind": "front_loaded", "factor": "0.5"},
    "weekday_weights": ["1.3", 1, 1, "1.1", "1.4", "0.35", "0.25"],
    "hour_weights": [1, 1, 1, 1, 1, 2, 4, 6, 8, 9, 9, 10, 11, 10, 9, 9, 10, 12, 16, 20, 22, 18, 8, 3],
    "blackouts": [{"start": f"2026-{month:02d}-03", "end": f"2026-{month:02d}-04"} for month in range(3, 13)],
}


def history(*budgets: str, **changes: object) -> PlanHistory:
    """The plan, and a version of it a day for each other budget."""
    made = PlanHistory()
    for number, budget in enumerate(budgets):
        wire = decode_plan(json.dumps({**PLAN, **changes, "total_budget": budget}).encode())
        plan = None if wire is None else read_plan(wire)
        assert isinstance(plan, Plan)
        made = made.with_version(plan, TICK - 86_400 * NANOS * (10 - number))
    return made


def best_micros(call: Callable[[], object]) -> float:
    """Microseconds a call, in the best of many slices."""
    best = float("inf")
    for _ in range(SLICES):
        began = time.perf_counter_ns()
        for _ in range(CALLS):
            call()
        best = min(best, (time.perf_counter_ns() - began) / CALLS / 1000)
    return best


def tick_micros(made: PlanHistory, **spend: str) -> float:
    """Microseconds of a tick at which nothing changes."""
    counts = counted(totals(**spend), totals(**dict.fromkeys(spend, "1.23")))
    _, state = take_tick(made, PacingState(), counts, as_of=TICK - MINUTE)
    # A milestone that was told at the first tick is over at the second.
    _, state = take_tick(made, state, counts, as_of=TICK)
    _, again = take_tick(made, state, counts, as_of=TICK + MINUTE)
    assert again is state
    return best_micros(lambda: take_tick(made, state, counts, as_of=TICK + MINUTE))


def main() -> None:
    """Print one line a case."""
    gc.disable()
    on_plan = {"CTV": "37000.55", "DISPLAY": "22000.10", "AUDIO": "14900.00"}
    off_plan = {"CTV": "30000.55", "DISPLAY": "28000.10", "AUDIO": "14900.00"}
    cases = {
        "a uuid5, to compare": best_micros(lambda: uuid.uuid5(uuid.NAMESPACE_DNS, "pacing.snapshot_taken|summer-26")),
        "a tick on plan": tick_micros(history("150000"), **on_plan),
        "a tick with deviations and a proposal open": tick_micros(history("150000"), **off_plan),
        "a tick of a plan bent twice": tick_micros(history("150000", "151000", "150000"), **on_plan),
        "a tick of a shaped plan": tick_micros(history("150000", **SHAPED), **on_plan),
        "a tick of a shaped plan bent twice, off plan": tick_micros(
            history("150000", "151000", "150000", **SHAPED), **off_plan
        ),
        "a tick of a shaped weekly budget, carried and bent twice, off plan": tick_micros(
            history("150000", "151000", "150000", **SHAPED, period="weekly", rollover="carry_underspend"), **off_plan
        ),
    }
    for name, micros in cases.items():
        print(f"{micros:7.1f} us  {name}")


if __name__ == "__main__":
    main()
