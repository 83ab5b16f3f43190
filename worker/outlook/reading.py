"""Snapshots from a file of events, as `pacing evaluate` prints them; events of other kinds are passed over."""

from __future__ import annotations

from collections.abc import Iterator

from worker.faults import Fault, Faults
from worker.files import UnreadableError, open_file, read_chunks
from worker.outlook.recorded import Recorded, Snapshot, read_snapshot
from worker.progress_bar import watch


def read_file(name: str, account: str | None, faults: Faults) -> Recorded:
    """The snapshots of an account, or of all, in the file called *name*, kept in memory; what is wrong is told."""
    found = _snapshots(name, faults)
    return Recorded(snapshot for snapshot in found if account is None or snapshot.account_id == account)


def _snapshots(name: str, faults: Faults) -> Iterator[Snapshot]:
    try:
        with open_file(name) as file:
            for chunk in watch(read_chunks(file), file, name):
                for number, value in zip(chunk.numbers, chunk.values, strict=True):
                    found = read_snapshot(value)
                    if isinstance(found, Snapshot):
                        yield found
                    elif found is not None:
                        faults.tell(Fault(name, number, *found))
                for number, message in chunk.misshapen:
                    faults.tell(Fault(name, number, "", message))
    except UnreadableError as error:
        faults.tell(Fault(name, None, "", str(error)))
