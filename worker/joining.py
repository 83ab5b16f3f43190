"""
Small record batches joined before they are folded: what a fold costs once is then shared by more updates.

A feed that lingers little writes batches of a few dozen records, and a fold's own price, a lookup of all ids at once
for instance, is that of hundreds. Joining changes no figure: what depends on record timestamps (when an id is
forgotten) looks at the width of time the greatest one falls in, and only batches of the same width are joined. So
the ledger stays a function of the log, however it was fetched.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from worker.lane import Fetched
from worker.ledger import RecordBatch
from worker.ledger.batches import joined as packs_joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from worker.ledger.batches import Packed

# Beyond it nothing is gained, and one fold takes longer than others should wait.
ENOUGH_RECORDS = 2_048


def joined(batches: Iterable[Fetched], width_ms: int, enough: int = ENOUGH_RECORDS) -> Iterator[Fetched]:
    """
    The same records, in fewer batches: those that continue each other within *width_ms*, until there are *enough*.

    Control records and aborted batches have none and part nothing; a break in the chain does.
    """
    group: list[Fetched] = []
    size = 0
    for batch in batches:
        if group and (size >= enough or not _continues(group, batch, width_ms)):
            yield _join(group)
            group, size = [], 0
        group.append(batch)
        size += len(batch.records.values) if batch.records is not None else 0
    if group:
        yield _join(group)


def _continues(group: Sequence[Fetched], batch: Fetched, width_ms: int) -> bool:
    """Whether *batch* may be folded together with *group*."""
    if batch.start != group[-1].end:
        return False
    if batch.records is None:
        return True
    before = next((each.records for each in reversed(group) if each.records is not None), None)
    return before is None or before.max_timestamp // width_ms == batch.records.max_timestamp // width_ms


def _join(group: Sequence[Fetched]) -> Fetched:
    parts = [each.records for each in group if each.records is not None]
    if len(group) == 1 or not parts:
        return Fetched(group[0].start, group[-1].end, parts[0] if parts else None)
    first, newest = parts[0], max(part.max_timestamp for part in parts)
    keys, values, packed = _texts(parts)
    records = RecordBatch(
        first.topic, first.partition, _offsets(parts), keys, values, newest, _timestamps(parts), packed
    )
    return Fetched(group[0].start, group[-1].end, records)


def _texts(parts: Sequence[RecordBatch]) -> tuple[Sequence[bytes | None], Sequence[bytes | None], Packed | None]:
    """Keys and values, in the bytes they came in where all parts have them."""
    packed = [part.packed for part in parts if part.packed is not None]
    if len(packed) == len(parts):
        whole = packs_joined(packed)
        return whole.keys, whole.values, whole
    keys, values = (part.keys for part in parts), (part.values for part in parts)
    return list(chain.from_iterable(keys)), list(chain.from_iterable(values)), None


def _offsets(parts: Sequence[RecordBatch]) -> Sequence[int]:
    """A range where no offset is missing, within and between the parts."""
    filled = [part.offsets for part in parts if part.offsets]
    if filled and all(isinstance(each, range) for each in filled):
        whole = range(filled[0][0], filled[-1][-1] + 1)
        if len(whole) == sum(map(len, filled)):
            return whole
    offsets = list(chain.from_iterable(part.offsets for part in parts))
    if offsets and offsets[-1] - offsets[0] + 1 == len(offsets):
        return range(offsets[0], offsets[-1] + 1)
    return offsets


def _timestamps(parts: Sequence[RecordBatch]) -> list[int] | None:
    if parts[0].timestamps is None:
        return None
    return list(chain.from_iterable(part.timestamps or () for part in parts))
