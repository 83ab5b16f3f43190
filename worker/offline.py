"""
What the commands over files share: items into a ledger, and a tick taken and written down.

The ledger and the core are the worker's own; here is only what stands in Kafka's place.

    file ─▶ items, by the chunk ─▶ record batch ─▶ ledger ─▶ tick ─▶ events, in the order of the plan file
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from worker.events import encode_event
from worker.faults import Fault, Faults
from worker.ledger import CampaignEvent, Ledger, RecordBatch
from worker.ledger.accounts import AccountLedger
from worker.recorded import Items, read

SLICE_CAMPAIGNS: Final = 10_000

NO_CAPS: Final = ""
"""Accounts are asked for, and none has a cap."""


# --- items -----------------------------------------------------------------------------------------------------------


def batch(topic: str, numbers: Sequence[int], values: Sequence[bytes | None]) -> RecordBatch:
    """Items of a file as a ledger takes them: what is an offset in a topic is the item's number here."""
    return RecordBatch(topic, 0, numbers, [None] * len(values), values, max_timestamp=-1)


def as_numbered(offset: int) -> int:
    """The number of an item whose offset is its number."""
    return offset


def fold_plans(ledger: Ledger, name: str, faults: Faults) -> None:
    """Fold a file of plans, all before the first tick; one without any is a fault."""
    for items in read(name, faults):
        _fold_plans(ledger, name, items, faults)
    if not faults.found and not ledger.campaigns:
        faults.tell(no_plan(name))


def no_plan(name: str) -> Fault:
    """The fault of a plan file without any."""
    return Fault(name, 1, "", "there is no plan in the file")


def _fold_plans(ledger: Ledger, name: str, items: Items, faults: Faults) -> None:
    """Fold plans; of those in records the timestamp is known, from which one counts that does not say."""
    if items.records is None:
        faults.tell_plans(name, ledger.fold_plans(batch(name, items.numbers, items.values)), as_numbered)
        return
    for number, value, record in zip(items.numbers, items.values, items.records, strict=True):
        if value is None:
            faults.tell(Fault(name, number, "payload", "a tombstone: when it ended the plan only recorded cuts tell"))
            continue
        stamped = batch(name, [number], [value])._replace(timestamps=record.timestamps)
        faults.tell_plans(name, ledger.fold_plans(stamped), as_numbered)


def fold_spend(ledger: Ledger, name: str, items: Items, faults: Faults) -> None:
    """Fold updates of a file of spend."""
    faults.tell_spend(name, ledger.fold_spend(batch(name, items.numbers, items.values)), as_numbered)


# --- ticks -----------------------------------------------------------------------------------------------------------


def take_tick(ledger: Ledger, tick: int, *, complete: bool = True, first: bool = False) -> Iterator[CampaignEvent]:
    """Take a whole tick; what it leads to, campaigns by their ids. *first*: there was none before it."""
    ledger.open_tick(tick, complete=complete, first=first)
    done = False
    while not done:
        events, _, done = ledger.tick_slice(SLICE_CAMPAIGNS)
        yield from events
    ledger.close_tick()


def lines(ledger: Ledger, events: Iterable[CampaignEvent]) -> Iterator[bytes]:
    """A tick's events as lines: campaigns in the order their plans came, each with its snapshot first."""
    told: dict[str, list[bytes]] = {}
    for campaign, event in events:
        told.setdefault(campaign, []).append(encode_event(event) + b"\n")
    for campaign in ledger.campaigns if told else ():
        yield from told.get(campaign, ())


# --- accounts --------------------------------------------------------------------------------------------------------


def read_caps(name: str, faults: Faults) -> AccountLedger:
    """The accounts with the caps of a file; of two of one account the later wins."""
    ledger = AccountLedger(0, 0, plans=name, parts="")
    for items in read(name, faults) if name != NO_CAPS else ():
        faults.tell_caps(name, ledger.fold_plans(batch(name, items.numbers, items.values)), as_numbered)
    return ledger


def account_lines(ledger: Ledger, accounts: AccountLedger, tick: int, *, first: bool = False) -> Iterator[bytes]:
    """The lines of the accounts, once the campaigns of *ledger* are judged."""
    judged = accounts.judge_all(tick, ledger.take_rollup(), first=first)
    yield from (encode_event(event) + b"\n" for event in judged)
