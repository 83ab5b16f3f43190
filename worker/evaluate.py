"""
One tick, offline: plans and spend from files in, the events of that tick out.

The ledger and the core are the worker's own. What differs is what a file lacks: there is no partition to check, no
horizon (everything is remembered), no tick before (nothing is late, nothing closes), and a plan that does not say
from when it counts does so from the start of its flight. Source: contract, rules 1, 14, 20 and 21.

    plan file  ─┐
    spend file ─┴─▶ items, by the chunk ─▶ ledger ─▶ tick ─▶ events, in the order of the plan file
    cap file   ───▶ ..., where accounts are asked for ─────▶ theirs, by account and currency, after those
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain
from typing import Final

from worker.faults import Faults
from worker.ledger import Ledger, LedgerLimits
from worker.offline import account_lines, fold_plans, fold_spend, lines, read_caps, take_tick
from worker.recorded import read

NO_OTHER_TICK: Final = 1 << 62
"""So long after the one tick that spend dated after it is parted by none (nanoseconds; 146 years)."""


def evaluate(plan: str, spend: str, as_of: str, accounts: str | None = None) -> int:
    """
    Print the events as of *as_of* for the files called *plan* and *spend*; faults go to standard error.

    With *accounts* those of the accounts come after them; it is the file of their caps, or `NO_CAPS`. Returns the exit
    code: 0, or 2 if there was a fault. What is good in the files is evaluated in either case.
    """
    faults = Faults()
    tick = faults.time("--as-of", as_of)
    faults.one_standard_input(plan=plan, spend=spend, accounts=accounts)
    if tick is not None and not faults.found:
        sys.stdout.buffer.writelines(_events(plan, spend, accounts, tick, faults))
        sys.stdout.buffer.flush()
    return faults.code


def _events(plan: str, spend: str, accounts: str | None, tick: int, faults: Faults) -> Iterator[bytes]:
    """
    The lines of the tick: campaigns in the order of the plan file, each with its snapshot first; then the accounts.

    None where a file could not be read: a campaign without its spend is no good campaign.
    """
    # With no tick to come, nothing is parted by one, and what is counted need not be put away.
    ledger = Ledger(0, 0, LedgerLimits.unbounded(tick_nanos=NO_OTHER_TICK, recent=sys.maxsize))
    ledger.expect_tick(tick)
    fold_plans(ledger, plan, faults)
    for items in read(spend, faults):
        fold_spend(ledger, spend, items, faults)
    caps = None if accounts is None else read_caps(accounts, faults)
    if faults.a_file_is_unread:
        return iter(())
    told = lines(ledger, take_tick(ledger, tick, first=True))
    return told if caps is None else chain(told, account_lines(ledger, caps, tick, first=True))
