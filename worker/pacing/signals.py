"""
Signals: what is worth telling besides deviations.

`over_budget` lasts while a scope has spent more than its budget. The others are about single updates: each is raised
on new cases and cleared at the first tick without one. Source: contract, rule 9 and Events out; field definitions 6,
7 and 15. What the contract leaves open:

- over_budget is told of every scope that has a budget, since a channel's is money promised as the campaign's is;
- spend_outside_flight is told of the campaign and of a deal that has a flight of its own, for spend that is not 0;
- unplanned_channel is told of each such channel, for any figure that is not 0;
- a signal about single updates is raised on a tick that is not complete, and after the flight, too: the case is a
  fact, and would otherwise never be told. None is cleared on a tick that is not complete;
- levels: over_budget and currency_mismatch, where money is gone or missing, are critical, the others warnings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from operator import add
from typing import Any, Final

import msgspec

from schemas.fields import format_money, minor_digits
from worker.pacing.amounts import currency_of, time_text
from worker.pacing.figures import Attribution, Case, Figures, Totals
from worker.pacing.plan import Flight, Plan
from worker.pacing.standing import NO_FIGURES, Standing, Tally
from worker.pacing.state import Level

OVER_BUDGET: Final = "over_budget"

_CASE_WORDS: Final = {
    "conflicting_update": "came again under a known id with another body; the first stands",
    "unmatched_correction": "corrected an update that never came; it counts nothing",
    "currency_mismatch": "came before the plan in another currency; it stays out of the totals",
}
_CRITICAL: Final = (OVER_BUDGET, "currency_mismatch")


Words = tuple[str, dict[str, Any]]
"""The message of a signal, and its evidence: the figures."""


class Signal(msgspec.Struct, frozen=True, gc=False):
    """A signal as of one tick, whether it is already up or not: most are, so *tell* is asked only of a new one."""

    kind: str
    scope: str
    scope_id: str
    tell: Callable[[], Words]
    part: str = ""
    """What tells two of a kind and scope apart, as a day does."""

    @property
    def level(self) -> Level:
        """How bad it is, by its kind."""
        return "critical" if self.kind in _CRITICAL else "warning"


def alert_key(signal: Signal) -> str:
    """What a signal is remembered by while it is up."""
    key = f"{signal.kind}\0{signal.scope}\0{signal.scope_id}"
    return f"{key}\0{signal.part}" if signal.part else key


def by_key(signals: Iterable[Signal]) -> dict[str, Signal]:
    """The signals by their keys; of several that are one, as of a day that is looked at twice, the first."""
    found: dict[str, Signal] = {}
    for signal in signals:
        found.setdefault(alert_key(signal), signal)
    return found


def over_budget(plan: Plan, standings: Sequence[Standing]) -> Iterator[Signal]:
    """Every scope that has spent strictly more than its budget."""
    for standing in standings:
        spend = standing.figures[0]
        if spend * standing.scale > standing.budget:
            yield Signal(OVER_BUDGET, standing.scope, standing.scope_id, partial(_over_budget, plan, standing))


def _over_budget(plan: Plan, standing: Standing) -> Words:
    currency, scale, spend = currency_of(plan.minor_digits), standing.scale, standing.figures[0]
    excess = spend * scale - standing.budget
    over = currency.difference(excess, scale)
    budget = currency.budget_of(standing.budget, scale)
    evidence = {"spend": currency.carried(spend), "budget": budget, "over_by": over}
    name = scope_name(standing.scope, standing.scope_id)
    return f"{name} has spent {evidence['spend']} {plan.currency}, {over} more than its budget {budget}.", evidence


def scope_name(scope: str, scope_id: str) -> str:
    """How a sentence begins that is about a scope."""
    return f"{scope.capitalize()} {scope_id}"


def cases(plan: Plan, counts: dict[str, Case]) -> Iterator[Signal]:
    """The cases the ledger counted since the last tick, each kind of the whole campaign."""
    for kind, case in sorted(counts.items()):
        yield Signal(kind, "campaign", plan.campaign_id, partial(_case, plan, kind, case))


def _case(plan: Plan, kind: str, case: Case) -> Words:
    amounts = _amounts(case.amount or {})
    words = f"{case.count} of its updates {_CASE_WORDS[kind]}"
    told = "".join(f", {amount} {currency}" for currency, amount in amounts)
    message = f"{scope_name('campaign', plan.campaign_id)}: {words}{told}."
    return message, {"count": case.count, "amounts": dict(amounts)}


def _amounts(amount: dict[str, int]) -> list[tuple[str, str]]:
    """Each currency with its amount, printed as money of that currency."""
    digits = {currency: minor_digits(currency) for currency in amount}
    return [(currency, format_money(amount[currency], digits[currency] or 0)) for currency in sorted(amount)]


def newly_counted(plan: Plan, new: Sequence[tuple[int, Totals]], tally: Tally) -> Iterator[Signal]:
    """
    What is odd about what was counted since the last tick: dated outside a flight, or of no planned channel.

    *tally* is of all that is counted, the new included.
    """
    for scope, scope_id, flight in _flights(plan):
        outside = [totals for start, totals in new if not flight.start <= start < flight.end]
        spent = _spend(outside, scope_id if scope == "deal" else None) if outside else {}
        if any(spent.values()):
            tell = partial(_outside_flight, plan, scope_name(scope, scope_id), flight, sum(spent.values()))
            yield Signal("spend_outside_flight", scope, scope_id, tell)
    for channel, figures in _unplanned(plan, new, tally).items():
        yield Signal("unplanned_channel", "channel", channel, partial(_unplanned_channel, plan, channel, figures))


def _flights(plan: Plan) -> Iterator[tuple[str, str, Flight]]:
    """The campaign's flight, and those of deals that have their own."""
    yield "campaign", plan.campaign_id, plan.flight
    for deal in plan.deals:
        if deal.flight is not None:
            yield "deal", deal.deal_id, deal.flight


def _spend(cells: list[Totals], deal_id: str | None) -> dict[Attribution, int]:
    """The spend in the cells by attribution, of one deal or of all."""
    spent: dict[Attribution, int] = {}
    for totals in cells:
        for attribution, figures in totals.items():
            if deal_id is None or attribution.deal_id == deal_id:
                spent[attribution] = spent.get(attribution, 0) + figures[0]
    return spent


def _outside_flight(plan: Plan, name: str, flight: Flight, spent: int) -> Words:
    spend = currency_of(plan.minor_digits).carried(spent)
    start, end = time_text(flight.start), time_text(flight.end)
    message = f"{name}: {spend} {plan.currency} is dated outside its flight, {start} to {end}."
    return message, {"spend": spend, "flight_start": start, "flight_end": end}


def _unplanned(plan: Plan, new: Sequence[tuple[int, Totals]], tally: Tally) -> dict[str, Figures]:
    """The new figures, other than 0, by channel that the plan does not list; none where it lists none at all."""
    planned = {channel.channel for channel in plan.channels}
    found: dict[str, Figures] = {}
    if planned and not tally.channels.keys() <= planned:
        for _, totals in new:
            for channel, figures in Tally(plan, totals).channels.items():
                if channel not in planned:
                    found[channel] = list(map(add, found.get(channel, NO_FIGURES), figures))
    return {channel: figures for channel, figures in found.items() if any(figures)}


def _unplanned_channel(plan: Plan, channel: str, figures: Figures) -> Words:
    spend = currency_of(plan.minor_digits).carried(figures[0])
    return f"Channel {channel} is not in the plan; {spend} {plan.currency} came under it.", {"spend": spend}
