"""What a ledger holds against what its input adds up to, campaign by campaign and figure by figure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from schemas.fields import format_money, format_time
from worker.audit.holdings import ByAttribution, Holding, Holdings
from worker.audit.recount import COUNT, DAY, Cut, Key, Recount, Sums, in_currency
from worker.pacing import FIGURES

MONEY = ("spend", "conversion_value")
DAYS_SHOWN = 3


class Name(NamedTuple):
    """What is summed by itself, on all days together."""

    channel: str | None
    deal_id: str | None
    currency: str | None


Sum = Mapping[Name, Sequence[int]]


class Difference(NamedTuple):
    """One figure of a campaign that is not what the input adds up to; *where* is the other side of the comparison."""

    campaign_id: str
    figure: str
    what: str
    """Whose figure: the attribution."""
    where: str
    held: int
    counted: int
    days: tuple[tuple[int, int], ...] = ()
    """The days on which it is off, and by how much."""

    def __str__(self) -> str:
        show = _money if self.figure in MONEY else str
        told = (
            f"{self.campaign_id}: {self.figure}{self.what}: {self.where} has {show(self.held)},"
            f" the input adds up to {show(self.counted)} (difference {show(self.held - self.counted)})"
        )
        days = ", ".join(f"{_date(day)} {show(off)}" for day, off in self.days[:DAYS_SHOWN])
        more = f" and {len(self.days) - DAYS_SHOWN} days more" if len(self.days) > DAYS_SHOWN else ""
        return f"{told}; by day {days}{more}" if days else told


class Sides(NamedTuple):
    """What is compared: the live ledger, and the recount of its input, which began with *before* or from nothing."""

    live: Holdings
    before: Holdings | None
    recount: Recount
    topic: str
    """Of spend."""


def _money(nanos: int) -> str:
    return format_money(nanos, 2)


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * DAY // 10**9, UTC).date().isoformat()


def differences(campaign_id: str, sides: Sides) -> Iterator[Difference]:
    """
    Everything in which a campaign's ledger is not what its input adds up to.

    By day, counted or not; and what ticks have counted, unless one is open: then some campaigns are at it already.
    """
    live, recount = sides.live, sides.recount
    held, marker = live[campaign_id], live.marker
    yield from of_days(campaign_id, held, recount.sums(campaign_id, Cut()), live.currency_of(campaign_id))
    if held is not None and marker.tick is None and marker.last_tick is not None:
        counted = _counted(campaign_id, held, sides, marker.last_tick)
        yield from of_totals(campaign_id, _by_name(held.totals), counted, marker.last_tick)


def _counted(campaign_id: str, held: Holding, sides: Sides, tick: int) -> Sum:
    """What the last tick must have counted."""
    before = sides.before
    if not held.is_ticked:
        return {}
    if before is not None and before.marker.last_tick == tick:
        was = before[campaign_id]
        return {} if was is None else _by_name(was.totals)
    cut = Cut(sides.live.marker.tick_positions[sides.topic], tick)
    return collapsed(sides.recount.sums(campaign_id, cut))


def _by_name(totals: ByAttribution) -> Sum:
    return {Name(*key): figures for key, figures in totals.items()}


def of_days(campaign_id: str, held: Holding | None, counted: Sums, currency: str | None) -> Iterator[Difference]:
    """Where what is held, counted by ticks or not, is not the input's sum by attribution and day."""
    there = {} if held is None else in_currency(held.by_day(), currency)
    for name in _names(there, counted):
        days = sorted({key.day for key in (*there, *counted) if key[:3] == name})
        for place, figure in enumerate(FIGURES):
            ours = [there.get(Key(*name, day), [0] * COUNT)[place] for day in days]
            theirs = [counted.get(Key(*name, day), [0] * COUNT)[place] for day in days]
            off = tuple((day, a - b) for day, a, b in zip(days, ours, theirs, strict=True) if a != b)
            if off:
                yield Difference(campaign_id, figure, _whose(name), "the ledger", sum(ours), sum(theirs), off)


def of_totals(campaign_id: str, held: Sum, counted: Sum, tick: int) -> Iterator[Difference]:
    """Where the totals that ticks have counted are not the input's sum at the last one."""
    for name in _names(held, counted):
        for place, figure in enumerate(FIGURES):
            ours, theirs = (each.get(name, [0] * COUNT)[place] for each in (held, counted))
            if ours != theirs:
                where = f"what is counted at {format_time(tick)}"
                yield Difference(campaign_id, figure, _whose(name), where, ours, theirs)


def collapsed(sums: Mapping[Key, Sequence[int]]) -> Sum:
    """Sums of all days together."""
    totals: dict[Name, list[int]] = {}
    for key, figures in sums.items():
        into = totals.setdefault(Name(*key[:3]), [0] * COUNT)
        into[:] = [a + b for a, b in zip(into, figures, strict=True)]
    return totals


def spend(sums: Mapping[Key, Sequence[int]]) -> int:
    """Nanos of it, under any attribution."""
    return sum(figures[0] for figures in sums.values())


def _names(*sides: Iterable[Key | Name]) -> list[Name]:
    names = {Name(*key[:3]) for side in sides for key in side}
    return sorted(names, key=lambda name: tuple(part or "" for part in name))


def _whose(name: Name) -> str:
    parts = (("channel", name.channel), ("deal", name.deal_id), ("stated in", name.currency))
    told = ", ".join(f"{what} {said}" for what, said in parts if said is not None)
    return f" of {told}" if told else ""
