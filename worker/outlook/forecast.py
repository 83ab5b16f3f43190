"""
What the next period takes: this period's spend, planned bursts, inflation. Pure, exact, rounded once.

    forecast = (baseline + bursts) x (1 + inflation)

"(1) take this period's actual spend as a baseline; (2) overlay any planned bursts (sale events, product launches);
(3) add 10 to 25 % for CPC and CPM inflation" (AdRoll; Criteo says 10 to 15 %). In that order: a burst is planned in
today's prices and bought in the next period's.

The baseline of a period that is over is its spend (`actual`). Of one under way it is the projection its snapshot
carries, else the run rate (`run_rate`), spend / elapsed share: "at 92 % on day 22, daily run-rate of (92 % / 22) x 30
projects to ~125 % of cap by day 30" (AdRoll). One period ahead and no further: "forecasts further than one period out
are unreliable" (both).

    budget_change_pct   forecast / budget - 1       AdRoll: "lift the cap by 25 %"
    reach_change_pct    1 / (1 + inflation) - 1     what the same money buys less. AdRoll calls 15 to 25 % higher unit
                                                    costs "15 to 20 % less reach"; it is 13.04 to 20

Unspent budget is not taken over: "each period's cap is fresh" (AdRoll, Criteo); a plan that carries it says so itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import Any, Final, NamedTuple

from schemas.fields import NANOS, format_money, minor_digits
from worker.outlook.recorded import Snapshot
from worker.outlook.windows import Account, account_of
from worker.pacing.amounts import currency_of, percent, time_text

Body = dict[str, Any]
HUNDRED: Final = 100 * NANOS

ACTUAL: Final = "actual"
RUN_RATE: Final = "run_rate"


class Baseline(NamedTuple):
    """What a period comes to, in nanos, and how that is known."""

    amount: Fraction
    method: str | None


class Share(NamedTuple):
    """What one campaign, or an account, brings into a forecast. Money in nanos; no baseline where nothing is known."""

    scope: str
    scope_id: str
    snapshots: Sequence[Snapshot]
    baseline: Baseline | None
    bursts: int
    without_baseline: Sequence[str] = ()


def baseline_of(snapshot: Snapshot) -> Baseline | None:
    """What the snapshot's period comes to; None where it has not begun, and so has no rate."""
    if snapshot.is_ended:
        return Baseline(Fraction(snapshot.whole.spend), ACTUAL)
    if snapshot.projected is not None:
        return Baseline(Fraction(snapshot.projected), snapshot.projection_method)
    if snapshot.elapsed == 0:
        return None
    return Baseline(snapshot.whole.spend / snapshot.elapsed, RUN_RATE)


def forecast_spend(baseline: Fraction, bursts: int, inflation: int) -> Fraction:
    """
    (baseline + bursts) x (1 + inflation), in nanos; *inflation* in nano-percent.

    >>> forecast_spend(Fraction(20_000), 5_000, 15 * NANOS)
    Fraction(28750, 1)
    """
    return (baseline + bursts) * (HUNDRED + inflation) / HUNDRED


def forecast(snapshots: Sequence[Snapshot], bursts: Mapping[str, int], inflations: Sequence[int]) -> Iterator[Body]:
    """Lines for every account (by currency), each followed by its campaigns; one for each inflation asked for."""
    for account, group in groupby(sorted(snapshots, key=_place), key=account_of):
        campaigns = [_campaign(snapshot, bursts.get(snapshot.campaign_id, 0)) for snapshot in group]
        for share in (*_account(account, campaigns), *campaigns):
            for inflation in inflations:
                yield _line(share, inflation)


def _place(snapshot: Snapshot) -> tuple[str, str, str]:
    return snapshot.account_id or "", snapshot.currency, snapshot.campaign_id


def _campaign(snapshot: Snapshot, bursts: int) -> Share:
    return Share("campaign", snapshot.campaign_id, [snapshot], baseline_of(snapshot), bursts)


def _account(account: Account, campaigns: Sequence[Share]) -> Iterator[Share]:
    """The sum of an account's campaigns; those without a baseline are named, and their bursts left out with them."""
    if account[0] is None:
        return
    known = [share for share in campaigns if share.baseline is not None]
    baselines = [share.baseline for share in campaigns if share.baseline is not None]
    methods = {baseline.method for baseline in baselines}
    amount = sum((baseline.amount for baseline in baselines), Fraction(0))
    yield Share(
        "account",
        account[0],
        [snapshot for share in known or campaigns for snapshot in share.snapshots],
        Baseline(amount, methods.pop() if len(methods) == 1 else None) if known else None,
        sum(share.bursts for share in known),
        [share.scope_id for share in campaigns if share.baseline is None],
    )


def _line(share: Share, inflation: int) -> Body:
    first = share.snapshots[0]
    printer = currency_of(minor_digits(first.currency) or 0)
    budget = sum(snapshot.whole.budget for snapshot in share.snapshots)
    baseline = share.baseline
    wanted = None if baseline is None else forecast_spend(baseline.amount, share.bursts, inflation)
    change = None if wanted is None else wanted - budget
    return {
        "scope": share.scope,
        "scope_id": share.scope_id,
        "campaign_id": first.campaign_id if share.scope == "campaign" else None,
        "account_id": first.account_id,
        "currency": first.currency,
        "as_of": _common([snapshot.as_of for snapshot in share.snapshots]),
        "period_start": _common([snapshot.start for snapshot in share.snapshots]),
        "period_end": _common([snapshot.end for snapshot in share.snapshots]),
        "next_period_start": _common([snapshot.end for snapshot in share.snapshots]),
        "complete": all(snapshot.complete for snapshot in share.snapshots),
        "total_budget": printer.carried(budget),
        "total_spend": printer.carried(sum(snapshot.whole.spend for snapshot in share.snapshots)),
        "baseline_spend": None if baseline is None else printer.derived(*baseline.amount.as_integer_ratio()),
        "baseline_method": None if baseline is None else baseline.method,
        "burst_spend": printer.carried(share.bursts),
        "inflation_pct": Decimal(format_money(inflation, 0)),
        "forecast_spend": None if wanted is None else printer.derived(*wanted.as_integer_ratio()),
        "budget_change": None if change is None else printer.derived(*change.as_integer_ratio()),
        "budget_change_pct": None if change is None or budget <= 0 else percent(*(change / budget).as_integer_ratio()),
        "reach_change_pct": percent(-inflation, HUNDRED + inflation),
        "without_baseline": list(share.without_baseline),
    }


def _common(instants: Sequence[int]) -> str | None:
    """When the figures are of; null where the campaigns differ."""
    return time_text(instants[0]) if len(set(instants)) == 1 else None
