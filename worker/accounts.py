"""
The account stage of one partition: parts of a tick out, parts in, account snapshots out.

    tick of partition p ─▶ sums by account ─▶ account parts, in each account's own partition ─┐  the transaction of the
                           and, at its close, a closing part in every partition               ┘  tick's own checkpoint
    account parts ─▶ AccountLedger ─▶ a tick that every partition has closed ─▶ account_snapshot_taken, deviation_*, ...

It has no transaction of its own: what it holds, the positions it covers and what it tells ride in its partition's
checkpoint, beside the campaigns' ledger. So there is one exactness story (`worker.checkpoint`).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from worker.checkpoint import Written
from worker.ledger.batches import Folded
from worker.ledger.parts import closing_parts, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from worker.ledger import Ledger, RecordBatch
    from worker.ledger.accounts import AccountLedger
    from worker.ledger.parts import Addressed
    from worker.metrics import Metrics
    from worker.pacing import Event


# Accounts judged in one go, between two turns of the event loop: about ten milliseconds.
TURN_ACCOUNTS = 100


class AccountStage:
    """What a partition does for accounts; *plans* and *parts* are its inputs, *changelog* where its records go."""

    def __init__(
        self, ledger: AccountLedger, partitions: int, *, plans: str, parts: str, changelog: str, metrics: Metrics
    ) -> None:
        self.ledger = ledger
        self.plans = plans
        self.parts = parts
        self.changelog = changelog
        self._partitions = partitions
        self._metrics = metrics
        self._waiting: defaultdict[int, list[Written]] = defaultdict(list)
        self._skipped = 0

    @property
    def topics(self) -> tuple[str, str]:
        """Its inputs."""
        return (self.plans, self.parts)

    # -- as a source

    def add_up(self, campaigns: Ledger, tick: int) -> None:
        """Take what the campaigns judged so far in *tick* add up to; in one go with the cut, or the close, it is of."""
        self._address(parts_of(campaigns.partition, self._partitions, tick, campaigns.take_rollup()))

    def close(self, campaigns: Ledger, tick: int) -> None:
        """All campaigns of *tick* are judged: tell every partition."""
        self.add_up(campaigns, tick)
        complete = campaigns.tick_complete
        self._address(closing_parts(campaigns.partition, self._partitions, tick, complete=complete))

    def _address(self, parts: Iterable[Addressed]) -> None:
        for part in parts:
            self._waiting[part.partition].append(Written(part.key, part.value))

    def drain(self) -> dict[int, Sequence[Written]]:
        """The parts that wait, by the partition they go to; the next checkpoint writes them."""
        drained: dict[int, Sequence[Written]] = dict(self._waiting)
        self._waiting.clear()
        return drained

    # -- as the stage

    def fold(self, records: RecordBatch) -> Folded:
        """Take a batch of caps or parts."""
        if records.topic == self.plans:
            return self.ledger.fold_plans(records)
        self.ledger.fold_parts(records)
        self._metrics.account_ticks_skipped.inc(self.ledger.skipped - self._skipped)
        self._skipped = self.ledger.skipped
        return Folded(len(records.values), 0, [], [])

    def judge_some(self) -> list[Event] | None:
        """What is told of the next accounts of a tick that is due; None where none is."""
        part = self.ledger.judge_some(TURN_ACCOUNTS)
        if part is None:
            return None
        if part.done:
            self._metrics.account_ticks.labels(str(part.complete).lower()).inc()
        return part.events

    def changes(self) -> list[Written]:
        """Its changed records; none where nothing did."""
        return [Written(key, value) for key, value in self.ledger.changes()]
