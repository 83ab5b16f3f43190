"""The command: its options read, the ticks taken, and what they told printed, event by event or summed up."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

from schemas.fields import NANOS
from worker.faults import Faults
from worker.ledger import CampaignEvent, Ledger
from worker.ledger.accounts import AccountLedger
from worker.offline import account_lines, lines, read_caps
from worker.replay import arrival, cuts
from worker.replay.arrival import Span, Tell
from worker.replay.backtest import Backtest

UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)
LONGEST_SECONDS: Final = 366 * 86_400


class Options(NamedTuple):
    """What was asked for, as it was typed."""

    plan: str
    spend: str
    tick: str | None
    since: str | None
    until: str | None
    cuts: str | None
    summary: bool
    accounts: str | None = None
    """None: they are not asked for; else the file of their caps, or `NO_CAPS`."""


def replay(options: Options, topics: cuts.Topics | None) -> int:
    """
    Print what every tick tells; faults go to standard error. *topics* are needed where there are cuts.

    Returns the exit code: 0, or 2 if there was a fault. What is good in the files is replayed in either case.
    """
    faults = Faults()
    faults.one_standard_input(plan=options.plan, spend=options.spend, cuts=options.cuts, accounts=options.accounts)
    every = _every(options, faults)
    span = _span(options, faults)
    if options.accounts is not None and (options.summary or options.cuts is not None):
        faults.tell_option("--accounts", "not with --summary or --cuts, which are about campaigns")
    if faults.found:
        return faults.code
    caps = None if options.accounts is None else read_caps(options.accounts, faults)
    if faults.a_file_is_unread:
        return faults.code
    backtest = Backtest() if options.summary else None
    tell = _printing(span, caps) if backtest is None else _summing(span, backtest)
    bar = options.summary or not sys.stdout.isatty()
    if options.cuts is not None and topics is not None:
        cuts.replay(options.plan, options.spend, options.cuts, topics, tell, faults, bar=bar)
    else:
        arrival.replay(options.plan, options.spend, every, span, tell, faults, bar=bar)
    for line in () if backtest is None or faults.a_file_is_unread else backtest.lines():
        sys.stdout.write(f"{line}\n")
    sys.stdout.buffer.flush()
    return faults.code


def _every(options: Options, faults: Faults) -> int:
    """The nanoseconds between ticks; 0 where the cuts say when they were."""
    if options.tick is None:
        if options.cuts is None:
            faults.tell_option("--tick", "needed, as in 1h, unless --cuts says when ticks were taken")
        return 0
    match = _DURATION.fullmatch(options.tick)
    seconds = int(match[1]) * UNITS[match[2]] if match else 0
    if not 0 < seconds <= LONGEST_SECONDS:
        faults.tell_option("--tick", f"{options.tick!r} is no whole number of s, m, h or d from 1s to 366d")
    return seconds * NANOS


def _span(options: Options, faults: Faults) -> Span:
    first = None if options.since is None else faults.time("--from", options.since)
    last = None if options.until is None else faults.time("--to", options.until)
    if first is not None and last is not None and last < first:
        faults.tell_option("--to", "it is before --from")
    return Span(first, last)


def _printing(span: Span, accounts: AccountLedger | None) -> Tell:
    """Print each event of the ticks in *span*; where *accounts* are asked for, theirs after the campaigns'."""

    def tell(ledger: Ledger, tick: int, events: Iterator[CampaignEvent]) -> None:
        told = list(lines(ledger, events))
        told += () if accounts is None else account_lines(ledger, accounts, tick)
        if span.holds(tick):
            sys.stdout.buffer.writelines(told)

    return tell


def _summing(span: Span, backtest: Backtest) -> Tell:
    """Let *backtest* see each event of the ticks in *span*."""

    def tell(_ledger: Ledger, tick: int, events: Iterator[CampaignEvent]) -> None:
        for _, event in events:
            if span.holds(tick):
                backtest.see(event.kind, event.body)

    return tell
