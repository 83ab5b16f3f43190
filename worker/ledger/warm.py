"""
The compiled loops, made ready: compiled where this machine has not done so yet, which takes half a minute, else loaded.

    python -m worker.ledger.warm        what `make setup` does last
"""

from __future__ import annotations

from worker.ledger.batches import RecordBatch
from worker.ledger.fold import LOADED_FROM
from worker.ledger.kernel import unpack
from worker.ledger.ledger import Ledger
from worker.ledger.limits import LedgerLimits

_UPDATE = b'{"event_id":"%d","source":"s","campaign_id":"c","event_time":"2026-07-01T00:00:00Z","spend":"1.5"}'


def warm() -> None:
    """Fold a few updates, so that every loop has run once."""
    unpack(b"", 0)
    values = [_UPDATE % number for number in range(LOADED_FROM)]
    ledger = Ledger(0, 1, LedgerLimits())
    ledger.fold_spend(RecordBatch("", 0, range(LOADED_FROM), [b"c"] * LOADED_FROM, values, 0))


if __name__ == "__main__":
    warm()
