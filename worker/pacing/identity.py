"""
The ids of events: UUIDv5 of what they mean, so that the same input always gives the same id.

Source: contract, Events out; RFC 9562, section 5.5.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final

NAMESPACE: Final = bytes.fromhex("0d7ef3a12f1b5a5c9d0bb1a5f6f0c2e4")
"""Of every id this project makes. Changing it would give every event of a replay another id."""


def event_id(kind: str, campaign_id: str, tick: str, *parts: str) -> str:
    """
    The id of what is told about a campaign at a tick; *parts* tell two of a kind apart.

    They are joined by NUL, which no id holds, so that no two meanings share a name. Made by hand, since uuid.uuid5
    takes four times as long and every snapshot needs one.

    >>> event_id("pacing.snapshot_taken", "summer-26", "2026-07-01T00:00:00Z")
    '34f442ca-93cb-527b-a25d-52cdf5d4550d'
    """
    name = "\0".join((kind, campaign_id, tick, *parts)).encode()
    digest = bytearray(sha1(NAMESPACE + name, usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50  # version 5
    digest[8] = digest[8] & 0x3F | 0x80  # the variant of RFC 9562
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
