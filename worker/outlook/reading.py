"""Snapshots from a file of events, as `pacing evaluate` prints them; events of other kinds are passed over."""

from __future__ import annotations

from collections.abc import Iterator

from worker.faults import Fault, Faults
from worker.outlook.recorded import Recorded, Snapshot, read_snapshot
from worker.recorded import read


def read_file(name: str, account: str | None, faults: Faults) -> Recorded:
    """The snapshots of an account, or of all, in the file called *name*, kept in memory; what is wrong is told."""
    found = _snapshots(name, faults)
    return Recorded(snapshot for snapshot in found if account is None or snapshot.account_id == account)


def _snapshots(name: str, faults: Faults) -> Iterator[Snapshot]:
    for items in read(name, faults):
        for number, value in zip(items.numbers, items.values, strict=True):
            found = read_snapshot(value or b"")
            if isinstance(found, Snapshot):
                yield found
            elif found is not None:
                faults.tell(Fault(name, number, *found))
