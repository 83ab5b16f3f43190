"""
The ledger of one partition, pure: no Kafka, no clock, no disk.

Read `batches` (what goes in and out), `limits` (how much it may hold), `records` (how it is written down), then
`ledger`, which puts the parts together.
"""

from worker.ledger.batches import Folded, RecordBatch, Refused
from worker.ledger.ledger import CampaignEvent, Change, Ledger, LedgerStatistics, TickSlice
from worker.ledger.limits import LedgerLimits

__all__ = [
    "CampaignEvent",
    "Change",
    "Folded",
    "Ledger",
    "LedgerLimits",
    "LedgerStatistics",
    "RecordBatch",
    "Refused",
    "TickSlice",
]
