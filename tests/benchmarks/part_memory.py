"""What a campaign and a remembered id take, by how much a process grows that holds many; each in one of its own."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from typing import Any

import psutil

from tests.benchmarks.asked import Asked
from tests.benchmarks.batches import batches, ledger
from tests.benchmarks.report import Report
from tests.benchmarks.running import PLANS, SPEND
from tests.benchmarks.workload import Backlog, plans
from worker.ledger.ledger import Ledger

CASE_SECONDS = 1_200.0
WARM = 500


def measure(asked: Asked, report: Report) -> None:
    """Each case in a process that has done nothing else."""
    ids = min(asked.updates, 2_000_000)
    held = min(max(asked.sizes), 100_000)
    cases: dict[str, tuple[Callable[..., tuple[str, str]], tuple[Any, ...]]] = {
        "memory of a campaign": (campaign_bytes, (held,)),
        "memory of a remembered id, correctable": (id_bytes, (ids, None)),
        "memory of a remembered id, recognisable only": (id_bytes, (ids, frozenset[str]())),
    }
    for what, (case, arguments) in cases.items():
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
            try:
                report.figure(what, *alone.submit(case, *arguments).result(CASE_SECONDS))
            except (TimeoutError, BrokenProcessPool, MemoryError) as error:
                report.no_figure(what, repr(error))


def campaign_bytes(campaigns: int) -> tuple[str, str]:
    """Bytes of a campaign with a plan and spend in three channels, judged once; its ids are not counted."""
    # What is imported and cached once is no campaign's.
    spent(planned(WARM), WARM)
    empty = resident()
    held = planned(campaigns)
    with_plans = resident()
    spent(held, campaigns)
    full = resident() - held.statistics().bytes
    how = (
        f"growth of a process that holds {campaigns:,} with 10 updates each in 3 channels, judged once and saved, its"
        f" ids not counted; with the plan alone {(with_plans - empty) / campaigns:,.0f}"
    )
    return f"{(full - empty) / campaigns:,.0f} bytes", how


def planned(campaigns: int) -> Ledger:
    """A ledger with so many plans, saved."""
    held = ledger()
    for batch in batches(PLANS, plans(campaigns, datetime.now(UTC))):
        held.fold_plans(batch)
    held.changes()
    return held


def spent(held: Ledger, campaigns: int) -> None:
    """Ten updates for each campaign, judged and saved."""
    now = datetime.now(UTC)
    for batch in batches(SPEND, Backlog(10 * campaigns, campaigns, now)):
        held.fold_spend(batch)
    held.changes()
    judge(held, now)
    held.changes()


def judge(held: Ledger, now: datetime) -> None:
    """Take a tick."""
    held.open_tick(int(now.timestamp()) * 10**9)
    while not held.tick_slice(1_000).done:
        pass
    held.close_tick()


def id_bytes(count: int, corrigible: frozenset[str] | None) -> tuple[str, str]:
    """Bytes of a remembered id; sources in *corrigible* (None: all) may be corrected."""
    held, campaigns, now = ledger(corrigible), 1_000, datetime.now(UTC)
    for batch in batches(PLANS, plans(campaigns, now)):
        held.fold_plans(batch)
    updates = iter(batches(SPEND, Backlog(count, campaigns, now, corrections=0.0)))
    held.fold_spend(next(updates))
    held.changes()
    empty, before = resident(), held.statistics().ids
    for batch in updates:
        held.fold_spend(batch)
    held.changes()
    told = held.statistics()
    how = f"growth of a process that remembers {told.ids:,}; the worker's own gauge says {told.bytes / told.ids:,.0f}"
    return f"{(resident() - empty) / (told.ids - before):,.0f} bytes", how


def resident() -> int:
    """Memory of this process, in bytes, without its garbage."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)
