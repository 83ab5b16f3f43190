"""
The compiled loops, made ready: compiled where this machine has not done so yet, which takes half a minute, else loaded.

    python -m worker.ledger.warm        what `make setup` does last
"""

from __future__ import annotations

from worker.ledger.batches import RecordBatch, packed
from worker.ledger.fold import LOADED_FROM
from worker.ledger.kernel import unpack
from worker.ledger.ledger import Ledger
from worker.ledger.limits import LedgerLimits
from worker.ledger.newest import Newest
from worker.ledger.ticking import PRINTED_FROM

_PLAN = (
    b'{"campaign_id":"c%d","account_id":"a","currency":"USD","total_budget":"9","flight_start":"2026-07-01T00:00:00Z",'
    b'"flight_end":"2026-08-01T00:00:00Z"}'
)
_TICK = 1_783_000_000 * 10**9
_UPDATE = b'{"event_id":"%d","source":"s","campaign_id":"c","event_time":"2026-07-01T00:00:00Z","spend":"1.5"}'


def warm() -> None:
    """Fold a few updates, take a tick and read what is written then, so that every loop has run once."""
    unpack(b"", 0)
    values = [_UPDATE % number for number in range(LOADED_FROM)]
    ledger = Ledger(0, 1, LedgerLimits())
    keys = [b"c%d" % number for number in range(PRINTED_FROM)]
    plans = [_PLAN % number for number in range(PRINTED_FROM)]
    ledger.fold_plans(RecordBatch("", 0, range(PRINTED_FROM), keys, plans, 0))
    ledger.open_tick(_TICK)
    ledger.tick_slice(PRINTED_FROM)
    ledger.close_tick()
    ledger.fold_spend(RecordBatch("", 0, range(LOADED_FROM), [b"c"] * LOADED_FROM, values, 0))
    newest = Newest(keeps=0)
    newest.take(packed(*zip(*ledger.changes(), strict=True)))
    newest.parted()


if __name__ == "__main__":
    warm()
