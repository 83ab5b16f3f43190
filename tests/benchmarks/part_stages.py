"""
What an update costs at each stage of the worker, in one process without a broker.

The very functions of the lane and the ledger are timed while they fold a backlog: processor time, read twice a batch.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from tests.benchmarks.asked import Asked
from tests.benchmarks.batches import batches, ledger, unpacked, written
from tests.benchmarks.report import Report
from tests.benchmarks.running import PLANS, SPEND
from tests.benchmarks.workload import Backlog, plans
from worker import joining
from worker.app import GC_THRESHOLDS
from worker.ledger import bulk, fold, kernel
from worker.ledger.ledger import Ledger
from worker.ownership import collect_and_freeze

MOST_UPDATES = 1_000_000
# As often as checkpoints are taken at full speed: every so many updates of a partition.
CHECKPOINT_UPDATES = 50_000
WIDTH_MS = 1 << 40
MINUTE = timedelta(minutes=1)
UNPACK = "unpack"
REST = "rest"

# The functions by the stage they make; the outermost one that is timed counts.
STAGES: dict[str, list[tuple[Any, str]]] = {
    "join": [(joining, "_join")],
    "scan": [(bulk, "scan")],
    "identity": [(bulk, "_identify")],
    "rows": [(bulk, "_rows")],
    "count": [(kernel, "take")],
    "memory": [(bulk, "_remember")],
    "one by one": [(fold.Stretch, "_fold_singly"), (fold.Stretch, "_read")],
    "checkpoint": [(Ledger, "changes")],
}
MEANINGS = {
    UNPACK: "record batches from the bytes of a fetch, checksums included (without the network)",
    "join": "small batches joined",
    "scan": "JSON to ids, names, instants and figures",
    "identity": "ids looked up",
    "rows": "rows found, or made",
    "count": "figures added up; what was said packed and hashed, for corrections and conflicts; repeats compared",
    "memory": "ids and notes remembered, sources heard",
    "one by one": "what is no plain update: corrections here",
    "checkpoint": "the records of a checkpoint made (without sending)",
    REST: "what lies between",
}


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._busy = False

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """*function*, its time added to *stage* unless another stage called it."""

        def called(*arguments: Any, **named: Any) -> Any:
            if self._busy:
                return function(*arguments, **named)
            self._busy, begun = True, time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds[stage] += time.thread_time() - begun
                self._busy = False

        return called


def measure(asked: Asked, report: Report) -> None:
    """Fold a backlog with every stage timed."""
    count = min(asked.updates, MOST_UPDATES)
    now = datetime.now(UTC)
    held = ledger()
    held.expect_tick(int((now + MINUTE).timestamp()) * 10**9)
    for batch in batches(PLANS, plans(asked.campaigns, now)):
        held.fold_plans(batch)
    held.changes()
    log = [(batch.offsets[0], written(batch)) for batch in batches(SPEND, Backlog(count, asked.campaigns, now))]
    # As the worker does with a restored ledger.
    gc.set_threshold(*GC_THRESHOLDS)
    collect_and_freeze()
    clock, begun = Clock(), time.thread_time()
    with _timed(clock):
        _fold(held, log, clock)
    whole = time.thread_time() - begun
    clock.seconds[REST] = whole - sum(clock.seconds.values())
    for stage, meaning in MEANINGS.items():
        report.figure(f"an update's cost: {stage}", f"{clock.seconds[stage] / count * 1e6:.2f} µs", meaning)
    report.figure(
        "an update's cost: all of it", f"{whole / count * 1e6:.2f} µs", f"{count:,} updates folded in one process"
    )


def _fold(held: Ledger, log: list[tuple[int, bytes]], clock: Clock) -> None:
    unpack = clock.timed(UNPACK, unpacked)
    saved = 0
    for start, data in log:
        for fetched in joining.joined(unpack(data, start), WIDTH_MS):
            if fetched.records is not None:
                held.fold_spend(fetched.records)
        if held.positions[SPEND] - saved >= CHECKPOINT_UPDATES:
            saved = held.positions[SPEND]
            held.changes()


@contextlib.contextmanager
def _timed(clock: Clock) -> Iterator[None]:
    """Every function of every stage, timed."""
    with contextlib.ExitStack() as undo:
        for stage, functions in STAGES.items():
            for place, name in functions:
                undo.enter_context(mock.patch.object(place, name, clock.timed(stage, getattr(place, name))))
        yield
