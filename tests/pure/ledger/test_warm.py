"""Every compiled loop is ready before the first update: none is compiled in the midst of a fold or a tick."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own: in this one other tests may have called a loop.
LOOPS = """
from numba.core.caching import NullCache
from numba.core.dispatcher import Dispatcher
from worker.ledger import counting, kernel, newest
from worker.ledger.warm import warm
from worker.pacing import printing

warm()
for module in (counting, kernel, newest, printing):
    for name, found in vars(module).items():
        # What is compiled within a loop is not kept by itself.
        if isinstance(found, Dispatcher) and not isinstance(found._cache, NullCache):
            print(name, len(found.signatures))
"""


def test_every_loop_has_run_once_when_all_is_made_ready() -> None:
    ran = subprocess.run([sys.executable, "-c", LOOPS], capture_output=True, text=True, check=True)
    loops = dict(line.split() for line in ran.stdout.splitlines())
    assert {"_unpack", "_scan", "_open_rows", "_foresee", "_leave", "_count_rows", "_print"} <= loops.keys()
    # For one kind of arguments each.
    assert {name for name, signatures in loops.items() if signatures != "1"} == set()
