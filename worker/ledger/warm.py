"""
The compiled loops, made ready: compiled where this machine has not done so yet, which takes half a minute, else loaded.

    python -m worker.ledger.warm        what `make setup` does last
"""

from __future__ import annotations

from worker.ledger.batches import RecordBatch, packed
from worker.ledger.chains import PENDING
from worker.ledger.counting import foresee, leave
from worker.ledger.fold import LOADED_FROM
from worker.ledger.kernel import unpack
from worker.ledger.ledger import Ledger
from worker.ledger.limits import LedgerLimits
from worker.ledger.newest import Newest
from worker.ledger.sheet import Sheet
from worker.ledger.ticking import PRINTED_FROM
from worker.pacing.rows import HEAD, SCOPE

_PLAN = (
    b'{"campaign_id":"c%d","account_id":"a","currency":"USD","total_budget":"9","flight_start":"2026-07-01T00:00:00Z",'
    b'"flight_end":"2026-08-01T00:00:00Z"}'
)
_TICK = 1_783_000_000 * 10**9
_UPDATE = b'{"event_id":"%d","source":"s","campaign_id":"c%d","event_time":"2026-07-01T00:00:00Z","spend":"0.5"}'


def warm() -> None:
    """
    Fold a few updates, take a tick and read what is written then, so that every loop has run once.

    A loop that is compiled in the midst of a fold or a tick holds it up for seconds, and what it was called with may be
    kept alive by the compiler for a while: an array that is lent to it cannot grow.
    """
    unpack(b"", 0)
    ledger = Ledger(0, 1, LedgerLimits())
    campaigns, updates = range(PRINTED_FROM), range(LOADED_FROM)
    keys, plans = [b"c%d" % number for number in campaigns], [_PLAN % number for number in campaigns]
    ledger.fold_plans(RecordBatch("", 0, campaigns, keys, plans, 0))
    named = [number % PRINTED_FROM for number in updates]
    values = [_UPDATE % (number, campaign) for number, campaign in zip(updates, named, strict=True)]
    ledger.fold_spend(RecordBatch("", 0, updates, [keys[campaign] for campaign in named], values, 0))
    ledger.open_tick(_TICK)
    ledger.tick_slice(PRINTED_FROM)
    ledger.close_tick()
    sheet = Sheet()
    sheet.chains.link(0, (), PENDING)
    foresee(sheet, [(0, bytes(8 * (HEAD + SCOPE)), (HEAD,))], _TICK, _TICK)
    leave(sheet, (0,), _TICK)
    newest = Newest(keeps=0)
    newest.take(packed(*zip(*ledger.changes(), strict=True)))
    newest.parted()


if __name__ == "__main__":
    warm()
