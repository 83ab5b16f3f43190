"""`pacing compare` and `pacing forecast`: recorded snapshots in, a line of JSON for each account and campaign out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from schemas.fields import AMOUNT, NANOS, Range, parse_time, read_decimal
from worker.events import encode_body
from worker.faults import BAD_INPUT, Fault, Faults
from worker.outlook.comparison import comparison
from worker.outlook.forecast import forecast
from worker.outlook.recorded import Source
from worker.outlook.windows import current_snapshots, pairs
from worker.pacing.amounts import time_text

Body = dict[str, Any]

INFLATION: Final = Range(1 - 100 * NANOS, 1_000 * NANOS, "above -100 and at most 1000 (percent)")


class From(NamedTuple):
    """Which snapshots are asked: a file's, or else PostgreSQL's; of one account or all; as of a time or the newest."""

    snapshots: str | None
    dsn: str
    account: str | None
    as_of: str | None


def compare(origin: From) -> int:
    """Print this period beside the one before; the exit code."""
    return _tell(origin, Faults(), lambda source, as_of: comparison(pairs(source, as_of)))


def forecast_next(origin: From, bursts: Sequence[str], inflations: Sequence[str]) -> int:
    """Print what the next period takes; the exit code."""
    faults = Faults()
    planned = _bursts(bursts, faults)
    rates = [_read(text, INFLATION, "--inflation", faults) for text in inflations or ["0"]]

    def lines(source: Source, as_of: int) -> Iterable[Body]:
        current = current_snapshots(source, as_of)[0]
        strangers = sorted(planned.keys() - {snapshot.campaign_id for snapshot in current})
        for name in strangers:
            faults.tell(Fault("--burst", None, "", f"no campaign {name!r} has a period at {time_text(as_of)}"))
        return () if strangers else forecast(current, planned, rates)

    return _tell(origin, faults, lines)


def _tell(origin: From, faults: Faults, lines: Callable[[Source, int], Iterable[Body]]) -> int:
    """Print *lines* of the snapshots asked for; every fault is told, and none but good snapshots count."""
    as_of = _as_of(origin, faults)
    if not faults.found:
        with _source(origin, faults) as source:
            _print(origin, faults, lines, source, source.last_tick() if as_of is None else as_of)
    return BAD_INPUT if faults.found else 0


def _print(
    origin: From, faults: Faults, lines: Callable[[Source, int], Iterable[Body]], source: Source, at: int | None
) -> None:
    told = [] if at is None else [encode_body(body) + b"\n" for body in lines(source, at)]
    if not told and not faults.found:
        faults.tell(Fault(origin.snapshots or "PostgreSQL", None, "", _nothing(origin, at)))
    sys.stdout.buffer.writelines(told)
    sys.stdout.buffer.flush()


def _nothing(origin: From, at: int | None) -> str:
    whose = "" if origin.account is None else f" of the account {origin.account!r}"
    return f"there is no snapshot{whose}" if at is None else f"no campaign{whose} has a period at {time_text(at)}"


@contextmanager
def _source(origin: From, faults: Faults) -> Iterator[Source]:
    if origin.snapshots is None:
        from worker.outlook.store import open_store

        with open_store(origin.dsn, origin.account) as store:
            yield store
    else:
        from worker.outlook.reading import read_file

        yield read_file(origin.snapshots, origin.account, faults)


# --- options ---------------------------------------------------------------------------------------------------------


def _as_of(origin: From, faults: Faults) -> int | None:
    if origin.as_of is None:
        return None
    try:
        return parse_time(origin.as_of)
    except ValueError as error:
        faults.tell(Fault("--as-of", None, "", str(error)))
        return None


def _bursts(texts: Sequence[str], faults: Faults) -> dict[str, int]:
    """The nanos planned for each campaign; several of a campaign add up."""
    planned: dict[str, int] = {}
    for text in texts:
        campaign, equals, amount = text.rpartition("=")
        if not (campaign and equals):
            faults.tell(Fault("--burst", None, "", f"{text!r} is not CAMPAIGN=AMOUNT"))
        else:
            planned[campaign] = planned.get(campaign, 0) + _read(amount, AMOUNT, "--burst", faults)
    return planned


def _read(text: str, within: Range, option: str, faults: Faults) -> int:
    try:
        return read_decimal(text, within)
    except ValueError as error:
        faults.tell(Fault(option, None, "", str(error)))
        return 0
