"""
Where a key belongs: Kafka's default partitioner.

Producers put a keyed record into the partition that its key hashes to. A campaign's plan and its spend meet only if
all of them do, so a record that lies elsewhere is refused instead of being counted for a campaign nobody paces.
Source: contract, general rules; org.apache.kafka.common.utils.Utils.murmur2.
"""

from __future__ import annotations

from typing import Final

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_R: Final = 24
_MASK: Final = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """
    The 32-bit murmur2 hash of *data*, as Kafka's Java client computes it.

    >>> murmur2(b"21"), murmur2(b"foobar")
    (3321034988, 3504634814)
    """
    whole = len(data) & ~3
    h = _SEED ^ len(data)
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _MASK
        k = (k ^ k >> _R) * _M & _MASK
        h = h * _M & _MASK ^ k
    if len(data) > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """
    The partition a record with *key* belongs to, of *partitions*.

    The sign bit is cleared, not negated: that is what `Utils.toPositive` does.
    """
    return (murmur2(key) & 0x7FFFFFFF) % partitions
