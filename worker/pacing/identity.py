"""
The ids of events: UUIDv5 of what they mean, so that the same input always gives the same id.

Source: contract, Events out; RFC 9562, section 5.5.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final

NAMESPACE: Final = bytes.fromhex("0d7ef3a12f1b5a5c9d0bb1a5f6f0c2e4")
"""Of every id this project makes. Changing it would give every event of a replay another id."""

_OF_NAMESPACE: Final = sha1(NAMESPACE, usedforsecurity=False)
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The digit that tells the variant of RFC 9562: two bits of it stay as they were hashed."""


def event_id(kind: str, campaign_id: str, tick: str, *parts: str) -> str:
    """
    The id of what is told about a campaign at a tick; *parts* tell two of a kind apart.

    They are joined by NUL, which no id holds, so that no two meanings share a name. Made by hand, since uuid.uuid5
    takes three times as long and every snapshot needs one.

    >>> event_id("pacing.snapshot_taken", "summer-26", "2026-07-01T00:00:00Z")
    '34f442ca-93cb-527b-a25d-52cdf5d4550d'
    """
    name = _OF_NAMESPACE.copy()
    name.update("\0".join((kind, campaign_id, tick, *parts)).encode())
    digits = name.hexdigest()
    variant = _VARIANT[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
