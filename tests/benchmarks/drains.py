"""
How long this worker takes for a backlog, and whether it ends where an independent sum does.

The clock runs from the moment the last partition is open to the commit that saves the last update: Faust's start is
not in it, fetching, ticks and checkpoints are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from schemas.fields import parse_time
from tests.benchmarks.commits import TickClosed, commits, marker, snapshot_of, tick_closed
from tests.benchmarks.machine import WORKER_CORE
from tests.benchmarks.running import PARTITIONS, PLANS, App, WorkerProcess, alive
from tests.benchmarks.waiting import NoFigureError, wait_for

NANOS = 10**9


# Plans wait while a tick is taken: with one a day they are folded sooner.
A_DAY = "86400"


def fold_plans(app: App, campaigns: int) -> None:
    """
    Have the plans folded by a worker of its own, and the day's tick over them closed, so that a drain is one of spend.

    A tick that was open when that worker ended would be gone on with while the backlog is drained.
    """
    with app.running(WORKER_CORE, PACING_TICK_SECONDS=A_DAY) as workers:
        app.wait_folded(workers, PLANS, campaigns, 120 + campaigns / 500)
        wait_whole_tick(app, workers, 0, campaigns, 120 + campaigns / 200)
        workers[0].kill()


class Drained(NamedTuple):
    """A backlog that was folded and saved."""

    updates: int
    seconds: float
    judged: int
    """Campaigns that ticks judged meanwhile."""
    end: float
    """When the last update was saved, in seconds since 1970."""

    @property
    def per_second(self) -> float:
        """Updates a second."""
        return self.updates / self.seconds


def drained(app: App, workers: Sequence[WorkerProcess], topic: str, count: int, seconds: float) -> Drained:
    """Wait until *workers* have folded and saved *count* records of *topic*; how that went."""
    app.wait_folded(workers, topic, count, seconds)
    begun = max(opened.at for worker in workers for opened in worker.opened())
    before, end = _between(progress(app, topic), begun, count)
    if end <= begun:
        raise NoFigureError(f"{count:,} updates are too few to measure")
    return Drained(count - before, end - begun, _judged(app, begun, end), end)


class Progress(NamedTuple):
    """A checkpoint: when it was committed, of which partition, and where that stood."""

    at: float
    partition: int
    position: int


def progress(app: App, topic: str) -> list[Progress]:
    """Every checkpoint there was."""
    found = commits(app.bootstrap, app.ledger, PARTITIONS, marker)
    return [Progress(each.at, each.partition, each.kept[-1]["positions"].get(topic, 0)) for each in found]


def _between(checkpoints: Sequence[Progress], begun: float, count: int) -> tuple[int, float]:
    """How many records were saved when it *begun*, and when *count* were."""
    stood: dict[int, int] = {}
    before = 0
    for at, partition, position in checkpoints:
        stood[partition] = position
        if at <= begun:
            before = sum(stood.values())
        if sum(stood.values()) >= count:
            return before, at
    raise NoFigureError(f"the last checkpoint holds {sum(stood.values()):,} of {count:,} updates")


def _judged(app: App, begun: float, end: float) -> int:
    """Campaigns of the ticks that closed in this time."""
    return sum(tick.campaigns for _, at, tick in closed_ticks(app) if begun <= at <= end)


def closed_ticks(app: App) -> list[tuple[int, float, TickClosed]]:
    """Every tick of every partition, and when its last event was committed."""
    found = commits(app.bootstrap, app.output("tick_closed"), PARTITIONS, tick_closed)
    return [(each.partition, each.at, tick) for each in found for tick in each.kept]


class WholeTick(NamedTuple):
    """A tick that every partition closed with all its input."""

    tick: str
    seconds: float
    """From its time, or from where the partition closed the tick before if that was later, to its last commit."""


def wait_whole_tick(
    app: App, workers: Sequence[WorkerProcess], after: float, campaigns: int, seconds: float
) -> WholeTick:
    """Wait for a complete tick over all *campaigns* whose time is *after*."""
    what = f"a complete tick over {campaigns:,} campaigns"
    found = alive(workers, lambda: next(whole_ticks(closed_ticks(app), after, campaigns), None))
    return wait_for(found, what, seconds=seconds, every=2)


def whole_ticks(closed: Sequence[tuple[int, float, TickClosed]], after: float, campaigns: int) -> Iterator[WholeTick]:
    """The complete ticks over all *campaigns* whose time is *after*, of those that were *closed*, in their order."""
    parts: dict[str, list[TickClosed]] = {}
    seconds: dict[str, float] = {}
    stood: dict[int, float] = {}
    for partition, at, tick in closed:
        begun = max(instant(tick.tick), stood.get(partition, 0.0))
        stood[partition] = at
        if tick.complete and instant(tick.tick) > after:
            parts.setdefault(tick.tick, []).append(tick)
            seconds[tick.tick] = max(seconds.get(tick.tick, 0.0), at - begun)
    for name, ticks in sorted(parts.items()):
        if len(ticks) == PARTITIONS and sum(tick.campaigns for tick in ticks) == campaigns:
            yield WholeTick(name, seconds[name])


def instant(tick: str) -> float:
    """A tick's time, in seconds since 1970."""
    return parse_time(tick) / NANOS


def check_totals(app: App, whole: WholeTick, expected: Mapping[str, int]) -> None:
    """NoFigureError unless the snapshots of a tick say what the independent sum does, campaign by campaign."""
    found = commits(app.bootstrap, app.output("snapshot_taken"), PARTITIONS, snapshot_of(whole.tick))
    totals = {
        snapshot.campaign_id: int(Decimal(snapshot.total_spend) * NANOS) for each in found for snapshot in each.kept
    }
    compare(totals, expected)


def compare(totals: Mapping[str, int], expected: Mapping[str, int]) -> None:
    """NoFigureError unless both are the same; campaigns without spend may be left out of either."""
    wrong = [name for name in totals.keys() | expected.keys() if totals.get(name, 0) != expected.get(name, 0)]
    if wrong:
        name = min(wrong)
        raise NoFigureError(
            f"ended at other totals than the independent sum for {len(wrong):,} campaigns;"
            f" {name}: {totals.get(name, 0)}, not {expected.get(name, 0)} nanos"
        )
