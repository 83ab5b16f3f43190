"""
The peer that `make bench` is measured against: a plain Faust agent, one table update an event.

    python -m tests.benchmarks.plain_faust BOOTSTRAP TOPIC UPDATES DATA_DIR

Faust's own ways throughout: JSON values, one `faust.Table` of totals, its defaults for commits. Repeats are found in
a set that is not kept durable, and corrections are left out, which favours this side. Prints one JSON line: seconds
from the first event to the last, and the totals in nanos by campaign.
"""

from __future__ import annotations

import json
import os
import sys
import time
from decimal import Decimal

import faust


def main(bootstrap: str, topic: str, expected: int, data_dir: str) -> None:
    """Fold *expected* events of *topic* and say how long it took."""
    app = faust.App(
        f"plain-faust-{os.getpid()}",
        broker=f"kafka://{bootstrap}",
        datadir=data_dir,
        store="memory://",
        topic_partitions=4,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
    )
    source = app.topic(topic, key_type=bytes, key_serializer="raw", value_serializer="json")
    totals = app.Table("totals", default=int, partitions=4)
    seen: set[str] = set()
    state = {"events": 0, "started": 0.0}

    @app.agent(source)  # type: ignore[untyped-decorator]  # upstream has no types
    async def add_spend(updates: faust.StreamT) -> None:
        async for update in updates:
            if not state["events"]:
                state["started"] = time.perf_counter()
            state["events"] += 1
            if update["kind"] == "increment" and update["event_id"] not in seen:
                seen.add(update["event_id"])
                totals[update["campaign_id"]] += int(Decimal(update["spend"]) * 10**9)
            if state["events"] == expected:
                _finish(time.perf_counter() - float(state["started"]), dict(totals.items()))

    faust.Worker(app, loglevel="error", redirect_stdouts=False).execute_from_commandline()


def _finish(seconds: float, totals: dict[str, int]) -> None:
    """Print the outcome and leave at once: Faust's orderly stop is not part of the measurement."""
    os.write(1, (json.dumps({"seconds": seconds, "totals": totals}) + "\n").encode())
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
