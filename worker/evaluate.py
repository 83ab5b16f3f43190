"""
One tick, offline: plans and spend from files in, the events of that tick out.

The ledger and the core are the worker's own. What differs is what a file lacks: there is no partition to check, no
horizon (everything is remembered), no tick before (nothing is late, nothing closes), and a plan that does not say
from when it counts does so from the start of its flight. Source: contract, rules 1, 14, 20 and 21.

    plan file ─▶ versions in the order they count ─┐
    spend file ─▶ chunks ──────────────────────────┴─▶ ledger ─▶ tick ─▶ events, in the order of the plan file
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from schemas import wire
from schemas.fields import parse_time
from worker.events import encode_body
from worker.files import STDIN, Chunk, UnreadableError, open_file, read_chunks
from worker.ledger import Ledger, LedgerLimits, RecordBatch, Refused
from worker.pacing.plan import Plan
from worker.pacing.reading import read_plan
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


class Faults:
    """Tells each fault on standard error as it is found, and remembers that there was one."""

    def __init__(self) -> None:
        self.found = False

    def tell(self, fault: Fault) -> None:
        """Write one line."""
        self.found = True
        sys.stderr.write(f"{fault}\n")


def evaluate(plan: str, spend: str, as_of: str) -> int:
    """
    Print the events as of *as_of* for the files called *plan* and *spend*; faults go to standard error.

    Returns the exit code: 0, or 2 if there was a fault. Good campaigns are printed in either case.
    """
    faults = Faults()
    tick = _tick(as_of, faults)
    if plan == spend == STDIN:
        faults.tell(Fault("--spend", None, "", "standard input is the plan already"))
    if tick is not None and not faults.found:
        events = _events(plan, spend, tick, faults)
        sys.stdout.buffer.writelines(events)
        sys.stdout.buffer.flush()
    return BAD_INPUT if faults.found else 0


def _tick(as_of: str, faults: Faults) -> int | None:
    try:
        return parse_time(as_of)
    except ValueError as error:
        faults.tell(Fault("--as-of", None, "", str(error)))
        return None


def _events(plan: str, spend: str, tick: int, faults: Faults) -> Iterator[bytes]:
    """The lines of the tick: campaigns in the order of the plan file, each with its snapshot first."""
    ledger = Ledger(0, 0, LedgerLimits.unbounded())
    ledger.expect_tick(tick)
    campaigns = _fold_plans(ledger, plan, tick, faults)
    _fold_spend(ledger, spend, faults)
    return _take_tick(ledger, campaigns, tick)


# --- plans -----------------------------------------------------------------------------------------------------------


class Version(NamedTuple):
    """A version of a plan as it stands in the file."""

    number: int
    value: bytes
    plan: Plan

    @property
    def counts_from(self) -> int:
        """When it begins to count: what it says, else the start of its flight."""
        return self.plan.flight.start if self.plan.effective_at is None else self.plan.effective_at


def _fold_plans(ledger: Ledger, name: str, tick: int, faults: Faults) -> list[str]:
    """Fold the plan file; the campaigns that have a plan in force at *tick*, in the order of the file."""
    versions = list(_good_versions(name, faults))
    if not versions and not faults.found:
        faults.tell(Fault(name, 1, "", "there is no plan in the file"))
    # A sort keeps the order of equals: of two versions that count from the same time the later one in the file wins.
    ordered = sorted(versions, key=lambda version: version.counts_from)
    folded = ledger.fold_plans(_batch(name, range(len(ordered)), [version.value for version in ordered]))
    for refused in folded.refused:
        faults.tell(Fault(name, ordered[refused.offset].number, refused.field, refused.detail))
    planned = {version.plan.campaign_id for version in versions if _counts_at(version, tick)}
    return [campaign for campaign in dict.fromkeys(v.plan.campaign_id for v in versions) if campaign in planned]


def _counts_at(version: Version, tick: int) -> bool:
    """Whether a version is in force at *tick* or earlier; one that says nothing of it is a plan at any time."""
    return version.plan.effective_at is None or version.plan.effective_at <= tick


def _good_versions(name: str, faults: Faults) -> Iterator[Version]:
    """The plans of the file that hold; the faults of the others are told."""
    for chunk in _chunks(name, faults):
        for number, value in zip(chunk.numbers, chunk.values, strict=True):
            plan = _read_plan(value)
            if isinstance(plan, Plan):
                yield Version(number, value, plan)
                continue
            for field, message in plan:
                faults.tell(Fault(name, number, field, message))


def _read_plan(value: bytes) -> Plan | tuple[wire.Fault, ...]:
    """The plan in *value*, or every fault of it."""
    decoded = wire.decode_plan(value)
    return wire.explain_plan(value) if decoded is None else read_plan(decoded)


# --- spend -----------------------------------------------------------------------------------------------------------


def _fold_spend(ledger: Ledger, name: str, faults: Faults) -> None:
    """Fold the spend file, chunk by chunk."""
    for chunk in _chunks(name, faults):
        folded = ledger.fold_spend(_batch(name, chunk.numbers, chunk.values))
        for refused in folded.refused:
            if refused.reason not in NOT_BAD_INPUT:
                for fault in _faults_of_update(name, refused):
                    faults.tell(fault)


def _faults_of_update(name: str, refused: Refused) -> Iterator[Fault]:
    """Every fault of form of an update, else what the ledger has against it."""
    for field, message in wire.explain_update(refused.value) or [(refused.field, refused.detail)]:
        yield Fault(name, refused.offset, field, message)


def _chunks(name: str, faults: Faults) -> Iterator[Chunk]:
    """The items of the file called *name*; what is wrong with the file itself is told."""
    try:
        with open_file(name) as file:
            for chunk in watch(read_chunks(file), file, name):
                yield chunk
                for number, message in chunk.misshapen:
                    faults.tell(Fault(name, number, "", message))
    except UnreadableError as error:
        faults.tell(Fault(name, None, "", str(error)))


def _batch(topic: str, numbers: Sequence[int], values: Sequence[bytes]) -> RecordBatch:
    """Items of a file as a ledger takes them: what is an offset in a topic is the item's number here."""
    return RecordBatch(topic, 0, numbers, [None] * len(values), values, max_timestamp=-1)


# --- the tick --------------------------------------------------------------------------------------------------------


def _take_tick(ledger: Ledger, campaigns: Iterable[str], tick: int) -> Iterator[bytes]:
    lines: dict[str, list[bytes]] = {}
    ledger.open_tick(tick, complete=True, first=True)
    done = False
    while not done:
        events, _, done = ledger.tick_slice(SLICE_CAMPAIGNS)
        for campaign, event in events:
            lines.setdefault(campaign, []).append(encode_body(event.body) + b"\n")
    for campaign in campaigns:
        yield from lines.get(campaign, ())
