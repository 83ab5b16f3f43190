"""
One tick, offline: plans and spend from files in, the events of that tick out.

The ledger and the core are the worker's own. What differs is what a file lacks: there is no partition to check, no
horizon (everything is remembered), no tick before (nothing is late, nothing closes), and a plan that does not say
from when it counts does so from the start of its flight. Source: contract, rules 1, 14, 20 and 21.

    plan file  ─┐
    spend file ─┴─▶ items, by the chunk ─▶ ledger ─▶ tick ─▶ events, in the order of the plan file
    cap file   ───▶ ..., where accounts are asked for ─────▶ theirs, by account and currency, after those
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from schemas import wire
from schemas.fields import parse_time
from worker.events import encode_body
from worker.files import STDIN, Chunk, UnreadableError, open_file, read_chunks
from worker.intake import Unreadable, account_plan_of, plan_of
from worker.ledger import Ledger, LedgerLimits, RecordBatch, Refused
from worker.ledger.accounts import AccountLedger
from worker.progress_bar import watch

BAD_INPUT: Final = 2
SLICE_CAMPAIGNS: Final = 10_000

NOT_BAD_INPUT: Final = frozenset({"conflicting_update"})
"""Refusals that are nobody's fault: the first update stands, and an alert tells of the second."""

WHOLE_ITEM: Final = "message"
"""What stands in the place of the field where a fault is the whole item's."""


class Fault(NamedTuple):
    """Something wrong with an input: `file:line: field: what is wrong`; without a number it is the file's."""

    file: str
    number: int | None
    field: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.number is None else f"{self.file}:{self.number}: {self.field or WHOLE_ITEM}"
        return _one_line(f"{place}: {self.message}")


def _one_line(text: str) -> str:
    """*text* without line breaks and whatever else would move a terminal's cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


Explain = Callable[[bytes | None], tuple[wire.Fault, ...]]


class Faults:
    """Tells each fault on standard error as it is found, and remembers that there was one."""

    def __init__(self) -> None:
        self.found = False
        self.a_file_is_unread = False

    def tell(self, fault: Fault) -> None:
        """Write one line."""
        self.found = True
        sys.stderr.write(f"{fault}\n")

    def tell_each(self, file: str, refused: Refused, explain: Explain) -> None:
        """Write a line for every fault of form or meaning of an item, else for what the ledger has against it."""
        for field, message in explain(refused.value) or [(refused.field, refused.detail)]:
            self.tell(Fault(file, refused.offset, field, message))


NO_CAPS: Final = ""
"""Accounts are asked for, and none has a cap."""


def evaluate(plan: str, spend: str, as_of: str, accounts: str | None = None) -> int:
    """
    Print the events as of *as_of* for the files called *plan* and *spend*; faults go to standard error.

    With *accounts* those of the accounts come after them; it is the file of their caps, or `NO_CAPS`. Returns the exit
    code: 0, or 2 if there was a fault. What is good in the files is evaluated in either case.
    """
    faults = Faults()
    tick = _tick(as_of, faults)
    for option, name, earlier in (("--spend", spend, [plan]), ("--accounts", accounts, [plan, spend])):
        if name == STDIN and STDIN in earlier:
            words = "the plan" if plan == STDIN else "the spend"
            faults.tell(Fault(option, None, "", f"standard input is {words} already"))
    if tick is not None and not faults.found:
        sys.stdout.buffer.writelines(_events(plan, spend, accounts, tick, faults))
        sys.stdout.buffer.flush()
    return BAD_INPUT if faults.found else 0


def _tick(as_of: str, faults: Faults) -> int | None:
    try:
        return parse_time(as_of)
    except ValueError as error:
        faults.tell(Fault("--as-of", None, "", str(error)))
        return None


def _events(plan: str, spend: str, accounts: str | None, tick: int, faults: Faults) -> Iterator[bytes]:
    """
    The lines of the tick: campaigns in the order of the plan file, each with its snapshot first; then the accounts.

    None where a file could not be read: a campaign without its spend is no good campaign.
    """
    ledger = Ledger(0, 0, LedgerLimits.unbounded())
    ledger.expect_tick(tick)
    campaigns = _fold_plans(ledger, plan, tick, faults)
    _fold_spend(ledger, spend, faults)
    caps = None if accounts is None else _fold_caps(accounts, faults)
    return iter(()) if faults.a_file_is_unread else _take_tick(ledger, campaigns, caps, tick)


# --- plans -----------------------------------------------------------------------------------------------------------


def _fold_plans(ledger: Ledger, name: str, tick: int, faults: Faults) -> list[str]:
    """Fold the plan file; the campaigns that are paced at *tick*, in the order of the file."""
    for chunk in _chunks(name, faults):
        for refused in ledger.fold_plans(_batch(name, chunk)).refused:
            faults.tell_each(name, refused, _faults_of_plan)
    if not faults.found and not ledger.campaigns:
        faults.tell(Fault(name, 1, "", "there is no plan in the file"))
    views = ledger.campaigns.values()
    return [view.campaign_id for view in views if view.history is not None and view.history.in_force(tick)]


def _faults_of_plan(value: bytes | None) -> tuple[wire.Fault, ...]:
    """Every fault of a plan: of its form, or if that is good of its meaning."""
    plan = plan_of(value)
    return plan.faults if isinstance(plan, Unreadable) else ()


# --- caps ------------------------------------------------------------------------------------------------------------


def _fold_caps(name: str, faults: Faults) -> AccountLedger:
    """The accounts with the caps of a file; of two of one account the later wins."""
    ledger = AccountLedger(0, 0, plans=name, parts="")
    for chunk in _chunks(name, faults) if name != NO_CAPS else ():
        for refused in ledger.fold_plans(_batch(name, chunk)).refused:
            faults.tell_each(name, refused, _faults_of_cap)
    return ledger


def _faults_of_cap(value: bytes | None) -> tuple[wire.Fault, ...]:
    """Every fault of a cap."""
    plan = account_plan_of(value)
    return plan.faults if isinstance(plan, Unreadable) else ()


# --- spend -----------------------------------------------------------------------------------------------------------


def _fold_spend(ledger: Ledger, name: str, faults: Faults) -> None:
    """Fold the spend file, chunk by chunk."""
    for chunk in _chunks(name, faults):
        folded = ledger.fold_spend(_batch(name, chunk))
        # Late are corrections of earlier chunks whose original has come by now and cannot be corrected.
        for refused in sorted((*folded.refused, *folded.late), key=_number):
            if refused.reason not in NOT_BAD_INPUT:
                faults.tell_each(name, refused, wire.explain_update)


def _number(refused: Refused) -> int:
    return refused.offset


def _chunks(name: str, faults: Faults) -> Iterator[Chunk]:
    """The items of the file called *name*; what is wrong with the file itself is told."""
    try:
        with open_file(name) as file:
            for chunk in watch(read_chunks(file), file, name):
                yield chunk
                for number, message in chunk.misshapen:
                    faults.tell(Fault(name, number, "", message))
    except UnreadableError as error:
        faults.a_file_is_unread = True
        faults.tell(Fault(name, None, "", str(error)))


def _batch(topic: str, items: Chunk) -> RecordBatch:
    """Items of a file as a ledger takes them: what is an offset in a topic is the item's number here."""
    return RecordBatch(topic, 0, items.numbers, [None] * len(items.values), items.values, max_timestamp=-1)


# --- the tick --------------------------------------------------------------------------------------------------------


def _take_tick(ledger: Ledger, campaigns: Iterable[str], accounts: AccountLedger | None, tick: int) -> Iterator[bytes]:
    lines: dict[str, list[bytes]] = {}
    ledger.open_tick(tick, complete=True, first=True)
    done = False
    while not done:
        events, _, done = ledger.tick_slice(SLICE_CAMPAIGNS)
        for campaign, event in events:
            lines.setdefault(campaign, []).append(encode_body(event.body) + b"\n")
    for campaign in campaigns:
        yield from lines.get(campaign, ())
    if accounts is not None:
        yield from (encode_body(event.body) + b"\n" for event in accounts.judge_all(tick, ledger.take_rollup()))
