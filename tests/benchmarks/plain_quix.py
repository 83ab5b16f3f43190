"""
A peer: Quix Streams, stateful, on its defaults.

    PYTHON plain_quix.py BOOTSTRAP TOPIC UPDATES DATA_DIR

It runs in an environment of its own (see `peers`), so it imports nothing of this project. Its state is the total of a
campaign, kept in RocksDB and in a changelog as Quix does by itself; repeats are not found and corrections left out,
which favours this side. Prints one JSON line: seconds from the first event to the last, and the totals in nanos.
"""

from __future__ import annotations

import json
import os
import sys
import time
from decimal import Decimal
from typing import Any

from quixstreams import Application


def main(bootstrap: str, topic: str, expected: int, data_dir: str) -> None:
    """Fold *expected* events of *topic* and say how long it took."""
    app = Application(
        broker_address=bootstrap,
        consumer_group=f"plain-quix-{os.getpid()}",
        auto_offset_reset="earliest",
        state_dir=data_dir,
        loglevel="ERROR",
    )
    totals: dict[str, int] = {}
    progress = {"events": 0, "started": 0.0}

    def add_spend(update: dict[str, Any], state: Any) -> None:
        if not progress["events"]:
            progress["started"] = time.perf_counter()
        progress["events"] += 1
        if update["kind"] == "increment":
            total = state.get("total", 0) + int(Decimal(update["spend"]) * 10**9)
            state.set("total", total)
            totals[update["campaign_id"]] = total
        if progress["events"] == expected:
            _finish(time.perf_counter() - progress["started"], totals)

    app.dataframe(app.topic(topic, value_deserializer="json")).update(add_spend, stateful=True)
    app.run()


def _finish(seconds: float, totals: dict[str, int]) -> None:
    """Print the outcome and leave at once: an orderly stop is not part of the measurement."""
    os.write(1, (json.dumps({"seconds": seconds, "totals": totals}) + "\n").encode())
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
