"""What the demo shows: figures as they were read back from PostgreSQL, and what happened."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A campaign as of its newest snapshot; money is the text of the exact amount."""

    campaign_id: str
    currency: str
    budget: str
    spend: str
    expected: str
    pacing_pct: str
    band: str
    is_final: bool
    warnings: int
    criticals: int


class Happening(NamedTuple):
    """Something that happened to a campaign *at* an instant: an event out of PostgreSQL, or what its feed did."""

    at: int
    campaign_id: str
    mark: str
    """One of MARKS."""
    text: str


class Seen(NamedTuple):
    """How much of what has reached PostgreSQL since the demo began."""

    snapshots: int = 0
    campaigns: int = 0
    opened: int = 0
    resolved: int = 0
    proposals: int = 0
    alerts: int = 0

    def missing(self, campaigns: int) -> list[str]:
        """Which of the things the demo is there to show have not been there, for so many *campaigns*."""
        found = {
            f"snapshots of all {campaigns} campaigns": self.snapshots > 0 and self.campaigns == campaigns,
            "a deviation that opened": self.opened,
            "a deviation that was resolved": self.resolved,
            "a proposal": self.proposals,
        }
        return [what for what, is_there in found.items() if not is_there]


class Places(NamedTuple):
    """Where a person can look further."""

    web: str
    broker: str
    postgres: str
    log: str
