"""
Parts: what a partition's campaigns add up to for an account, on its way to the account's partition.

A partition tells, in the transactions of its tick, parts that add up to its campaigns, each account's in the account's
own partition, and with the last of them a closing part in every partition. So whether a tick is whole is a function of
what was written: it is when every source has closed it. A part is JSON; integers may pass 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from worker.ledger.partitions import partition_of
from worker.ledger.records import UnreadableLedgerError
from worker.pacing.rollup import AccountKey, Sums

FORMAT: Final = 1


class Part(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What *source* says of *tick*: the sums of an account, or that it has closed it and how."""

    format: int = FORMAT
    source: int
    tick: int
    account_id: str | None = None
    currency: str | None = None
    sums: Sums | None = None
    complete: bool | None = None
    """Of a closing part: whether the source had read all input there was."""


class Addressed(msgspec.Struct, frozen=True):
    """A part as it is written: to which partition, under which key."""

    partition: int
    key: bytes
    value: bytes


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Part).decode


def parts_of(source: int, partitions: int, tick: int, sums: Mapping[AccountKey, Sums]) -> Iterator[Addressed]:
    """A part for each account in *sums*, for the partition its key belongs to."""
    for (account_id, currency), each in sorted(sums.items()):
        key = account_id.encode()
        part = Part(source=source, tick=tick, account_id=account_id, currency=currency, sums=each)
        yield Addressed(partition_of(key, partitions), key, _encode(part))


def closing_parts(source: int, partitions: int, tick: int, *, complete: bool) -> Iterator[Addressed]:
    """What tells every partition that *source* has nothing more to say of *tick*."""
    value = _encode(Part(source=source, tick=tick, complete=complete))
    for partition in range(partitions):
        yield Addressed(partition, str(source).encode(), value)


def read_part(value: bytes | None) -> Part:
    """The part in a record. Raises UnreadableLedgerError for anything else: nobody else writes here."""
    try:
        part = _decode(value or b"")
    except msgspec.DecodeError as error:
        raise UnreadableLedgerError(f"a record of the account parts is none: {error}") from None
    if part.format != FORMAT:
        raise UnreadableLedgerError(f"a part of format {part.format}; this version reads format {FORMAT}")
    return part
