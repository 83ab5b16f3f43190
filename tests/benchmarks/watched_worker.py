"""
The real worker, which notes when it folded and when it ticked: `PACING_BENCH_NOTES` names the file they go to.

A fold and a tick are noted at their ends, in seconds since 1970; nothing else is changed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from worker.app import run
from worker.partition import Partition
from worker.settings import load_settings
from worker.tick import Ticks

NOTES = "PACING_BENCH_NOTES"


def watch() -> dict[str, list[Any]]:
    """Note every fold of spend as (partition, time), every tick as (tick in seconds, begin, end)."""
    notes: dict[str, list[Any]] = {"folds": [], "ticks": []}
    fold, finish = Partition._fold_batch, Ticks._finish

    def fold_noted(self: Partition, topic: str, fetched: Any) -> None:
        fold(self, topic, fetched)
        if topic == self.topics[1]:
            notes["folds"].append((self.number, time.time()))

    async def finish_noted(self: Ticks, tick: int) -> None:
        begun = time.time()
        await finish(self, tick)
        notes["ticks"].append((tick / 10**9, begun, time.time()))

    Partition._fold_batch = fold_noted  # type: ignore[method-assign]
    Ticks._finish = finish_noted  # type: ignore[method-assign]
    return notes


def main() -> int:
    """Run the worker until SIGTERM, then write the notes down."""
    path = Path(os.environ.pop(NOTES))
    notes = watch()
    code = run(load_settings(env_file=None))
    path.write_text(json.dumps(notes), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
