"""What goes into a ledger and what comes out at once: record batches, counts and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class RecordBatch(NamedTuple):
    """
    One record batch of an input partition, as it lies in the log.

    A fold never sees half a batch, and what depends on record timestamps depends on *max_timestamp* alone, so that
    the ledger is a function of the log however it is fetched.
    """

    topic: str
    partition: int
    offsets: Sequence[int]
    """One a record, ascending; a range where none is missing. In a file: the index of the item."""
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    max_timestamp: int
    """The greatest record timestamp, in milliseconds since the epoch; -1 where there is none."""
    timestamps: Sequence[int] | None = None
    """One a record, in milliseconds: from when a plan counts that does not say. None: a file, which has none."""


class Refused(NamedTuple):
    """An input that could not be accepted; its bytes go to the dead letters untouched."""

    offset: int
    reason: str
    field: str
    """The field that is at fault; empty where it is the whole message."""
    detail: str
    """A sentence for a person."""
    key: bytes | None
    value: bytes | None


class Folded(NamedTuple):
    """
    What became of a batch: accepted + duplicates + len(refused) is the number of its records.

    *late* are corrections accepted with an earlier batch: what they correct did not come within the horizon, or has
    come and cannot be corrected. They are dead letters as well, under the offsets they had.
    """

    accepted: int
    duplicates: int
    refused: list[Refused]
    late: list[Refused]
