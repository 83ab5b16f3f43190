"""
Two periods side by side. Pure, exact, each figure rounded once.

    total_budget, total_spend, expected_spend   money, the change of it, and the change in percent of what it was
    budget_used_pct    spend / budget                StackAdapt: "spent_to_date / budget_for_period"
    elapsed_pct        elapsed / period              AdRoll: "a target line at 100% x (days_elapsed / days_in_period)"
    pacing_pct         spend / expected              the contract's, of the sums
    variance_pp        (spend - expected) / budget   the contract's; by linear plans the cards' "Variance from target"

Changes of percentages are percentage points, of the unrounded values: the cards round before they subtract, and print
+14 for 13.33. Of an account the money is summed first; its target line is its campaigns', weighted by their budgets.

What is in one period alone is named (`new`, `gone`), as is what has no snapshot by that point of the period before
(`unmatched`); `like_for_like` has the same figures over what is in both: "the prior month had no CTV campaigns running,
so the comparison is structural, not a pacing-discipline regression" (StackAdapt).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import groupby
from typing import Any, Final, NamedTuple

from schemas.fields import minor_digits
from worker.outlook.recorded import Part, Snapshot
from worker.outlook.windows import Pair, account_of
from worker.pacing.amounts import Currency, Number, currency_of, percent, time_text

Body = dict[str, Any]
Share = Fraction | None
"""A ratio; None where there is nothing to divide by."""


class Stand(NamedTuple):
    """Where a campaign, a channel or an account stood: nanos, exact, so that they add up."""

    budget: int
    spend: int
    expected: int
    target: Fraction
    """The linear target: the budget times the elapsed share of its period."""


class Side(NamedTuple):
    """One scope now, then at the same elapsed share, and at the end of then; None where it was not."""

    current: Stand | None
    prior: Stand | None
    closed: Stand | None
    was_there: bool
    """Whether it had the period before, known at that point or not."""


MONEY: Final[Mapping[str, Callable[[Stand], int]]] = {
    "total_budget": lambda stand: stand.budget,
    "total_spend": lambda stand: stand.spend,
    "expected_spend": lambda stand: stand.expected,
}
SHARES: Final[Mapping[str, Callable[[Stand], Share]]] = {
    "budget_used_pct": lambda stand: _share(stand.spend, stand.budget),
    "elapsed_pct": lambda stand: _share(stand.target, stand.budget),
    "pacing_pct": lambda stand: _share(stand.spend, stand.expected),
    "variance_pp": lambda stand: _share(stand.spend - stand.expected, stand.budget),
}


def _share(part: Fraction | int, whole: int) -> Share:
    return Fraction(part) / whole if whole > 0 else None


def comparison(pairs: Sequence[Pair]) -> Iterator[Body]:
    """Lines for every account (by currency), each followed by its campaigns, each followed by its channels."""
    for (account_id, currency), group in groupby(sorted(pairs, key=_place), key=lambda pair: account_of(pair.one)):
        of_account = list(group)
        if account_id is not None:
            children = {pair.one.campaign_id: _side(pair) for pair in of_account}
            named: Body = {"scope": "account", "scope_id": account_id, "campaign_id": None, "account_id": account_id}
            yield named | {"currency": currency} | _times(of_account) | _told(total(children), children, currency)
        for pair in of_account:
            yield from _campaign(pair)


def _place(pair: Pair) -> tuple[str, str, str]:
    one = pair.one
    return one.account_id or "", one.currency, one.campaign_id


def _campaign(pair: Pair) -> Iterator[Body]:
    one = pair.one
    names = sorted({channel for snapshot in pair if snapshot is not None for channel in snapshot.channels})
    children = {name: _side(pair, name) for name in names}
    for scope, scope_id in (("campaign", one.campaign_id), *(("channel", name) for name in names)):
        side = children[scope_id] if scope == "channel" else _side(pair)
        of_it = {} if scope == "channel" else children
        named = {"scope": scope, "scope_id": scope_id, "campaign_id": one.campaign_id, "account_id": one.account_id}
        yield named | {"currency": one.currency} | _times([pair]) | _told(side, of_it, one.currency)


def _side(pair: Pair, channel: str | None = None) -> Side:
    """A campaign of a pair, or one of its channels."""
    current, prior, closed = (stand_of(snapshot, channel) for snapshot in pair)
    was_there = prior is not None or closed is not None
    is_ended = pair.closed is not None and pair.closed.is_ended
    return Side(current, prior, closed if is_ended else None, was_there)


def stand_of(snapshot: Snapshot | None, channel: str | None = None) -> Stand | None:
    """Where a snapshot says that the campaign, or one of its channels, stood; None where it does not say."""
    part: Part | None = None
    if snapshot is not None:
        part = snapshot.whole if channel is None else snapshot.channels.get(channel)
    if snapshot is None or part is None:
        return None
    return Stand(part.budget, part.spend, part.expected, part.budget * snapshot.elapsed)


def total(children: Mapping[str, Side]) -> Side:
    """The children's sum, period by period; the end of then only where it is known of every child that was there."""
    priors = [side for side in children.values() if side.prior is not None]
    return Side(
        _sum([side.current for side in children.values()]),
        _sum([side.prior for side in priors]),
        _sum([side.closed for side in priors]) if all(side.closed is not None for side in priors) else None,
        bool(priors),
    )


def _sum(stands: Sequence[Stand | None]) -> Stand | None:
    found = [stand for stand in stands if stand is not None]
    if not found:
        return None
    return Stand(
        sum(stand.budget for stand in found),
        sum(stand.spend for stand in found),
        sum(stand.expected for stand in found),
        sum((stand.target for stand in found), Fraction(0)),
    )


def _times(pairs: Sequence[Pair]) -> Body:
    """When the figures are of; null where the pairs differ, or where there is no such period."""
    sides = {"": [pair.current for pair in pairs], "prior_": [pair.prior for pair in pairs]}
    times: Body = {}
    for side, snapshots in sides.items():
        found = [snapshot for snapshot in snapshots if snapshot is not None]
        times[f"{side}as_of"] = _common([snapshot.as_of for snapshot in found])
        times[f"{side}period_start"] = _common([snapshot.start for snapshot in found])
        times[f"{side}period_end"] = _common([snapshot.end for snapshot in found])
    return times | {"complete": all(found.complete for pair in pairs for found in pair if found is not None)}


def _common(instants: Sequence[int]) -> str | None:
    return time_text(instants[0]) if len(set(instants)) == 1 else None


def _told(side: Side, children: Mapping[str, Side], currency: str) -> Body:
    printer = currency_of(minor_digits(currency) or 0)
    new = [name for name, child in children.items() if not child.was_there]
    gone = [name for name, child in children.items() if child.current is None]
    unmatched = [name for name, child in children.items() if child.was_there and child.current and not child.prior]
    alike = {name: child for name, child in children.items() if child.current and child.prior}
    closed = side.closed
    return figures(side, printer) | {
        "prior_period_spend": None if closed is None else printer.carried(closed.spend),
        "prior_period_used_pct": None if closed is None else _percent(_share(closed.spend, closed.budget)),
        "new": new,
        "gone": gone,
        "unmatched": unmatched,
        "like_for_like": figures(total(alike), printer) if 0 < len(alike) < len(children) else None,
    }


def figures(side: Side, printer: Currency) -> Body:
    """Every figure of the two periods and its change; null where either is not, or is undefined."""
    told: Body = {name: _money(side, of, printer) for name, of in MONEY.items()}
    return told | {name: _points(side, of) for name, of in SHARES.items()}


def _money(side: Side, of: Callable[[Stand], int], printer: Currency) -> Body:
    current = None if side.current is None else of(side.current)
    prior = None if side.prior is None else of(side.prior)
    change = None if current is None or prior is None else current - prior
    return {
        "current": None if current is None else printer.carried(current),
        "prior": None if prior is None else printer.carried(prior),
        "change": None if change is None else printer.carried(change),
        "change_pct": None if change is None or prior is None else _percent(_share(change, prior)),
    }


def _points(side: Side, of: Callable[[Stand], Share]) -> Body:
    current = None if side.current is None else of(side.current)
    prior = None if side.prior is None else of(side.prior)
    change = None if current is None or prior is None else current - prior
    return {"current": _percent(current), "prior": _percent(prior), "change_pp": _percent(change)}


def _percent(share: Share) -> Number | None:
    return None if share is None else percent(share.numerator, share.denominator)
