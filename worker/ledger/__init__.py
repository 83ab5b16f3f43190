"""
The ledger of one partition, pure: no Kafka, no clock, no disk.

    bytes ─▶ fold ─▶ cells of time, by campaign ─▶ ticking ─▶ worker.pacing
               │        ▲
               │        └ reports (cumulative), corrections, plans (and splitting, where a plan asks for a new cut)
               └ identity: what was accepted            changelog: all of it as records

Read `batches` (what goes in and out), `limits` (how much it may hold), `cells` and `campaign` (what is summed),
`identity`, then `fold` and `ticking`; `records` says how it is written down. `ledger` puts the parts together.
"""

from worker.ledger.batches import Folded, RecordBatch, Refused
from worker.ledger.ledger import CampaignView, Ledger, LedgerStatistics
from worker.ledger.limits import LedgerLimits
from worker.ledger.records import UnreadableLedgerError
from worker.ledger.ticking import CampaignEvent, TickSlice

__all__ = [
    "CampaignEvent",
    "CampaignView",
    "Folded",
    "Ledger",
    "LedgerLimits",
    "LedgerStatistics",
    "RecordBatch",
    "Refused",
    "TickSlice",
    "UnreadableLedgerError",
]
