"""Random lives of a ledger against a naive one: all kinds of updates, plans, ticks in slices, restarts, crashes."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from schemas.fields import format_time
from tests.pure.ledger.naive import NaiveCampaign, minus, spend
from tests.pure.ledger.world import EDGES as DAYS
from tests.pure.ledger.world import MINUTE, START, TICK, Told, World, listening, plan
from worker.ledger import LedgerLimits, fold
from worker.ledger.cells import NEVER

Json = dict[str, Any]

# Few of everything, so that they meet; times on, before and behind every edge there is.
CAMPAIGNS = ("c", "d", "e")
EDGES = [START, *(START + n * TICK for n in (1, 2, 3)), START + 15 * MINUTE, START + 7 * MINUTE + 33 * 10**9]
instants = st.one_of(
    st.builds(lambda edge, off: edge + off, st.sampled_from(EDGES), st.sampled_from([-1, 0, 1, 10**9])),
    st.integers(-2, 45).map(lambda minutes: START + minutes * MINUTE),
)
times = instants.map(format_time)
amounts = st.sampled_from(["0", "1", "1.0", "0.000000001", "12.34", "999999999999", "3"])
few = st.sampled_from([None, None, 0, 1, 7])
figures = st.fixed_dictionaries(
    {},
    optional={
        "impressions": few,
        "clicks": few,
        "requests": st.sampled_from([2**62, 5]),
        "conversion_value": amounts,
    },
)
common = st.fixed_dictionaries(
    {
        "event_id": st.sampled_from([f"e{n}" for n in range(8)]),
        "source": st.sampled_from(["s", "s", "t"]),
        "campaign_id": st.sampled_from(CAMPAIGNS),
        "event_time": times,
    },
    optional={
        "channel": st.sampled_from([None, "ctv"]),
        "deal_id": st.sampled_from([None, "deal"]),
        "line_item_id": st.just("line"),
        "currency": st.sampled_from([None, "EUR", "EUR", "USD"]),
    },
)
numbered = st.fixed_dictionaries({}, optional={"sequence": st.sampled_from([1, 2, 3])})


def joined(*parts: Any) -> Any:
    return st.tuples(*parts).map(lambda dicts: {key: value for part in dicts for key, value in part.items()})


increments = joined(common, figures, st.fixed_dictionaries({"spend": amounts}))
credited = joined(
    common, figures, st.fixed_dictionaries({"kind": st.just("credit"), "spend": amounts.map(lambda a: "-" + a)})
)
reports = joined(
    common,
    figures,
    numbered,
    st.fixed_dictionaries({"kind": st.just("cumulative"), "spend": amounts}),
    st.fixed_dictionaries({}, optional={"series": st.sampled_from(["x", "y"])}),
)
corrections = joined(
    common,
    numbered,
    st.fixed_dictionaries(
        {
            "kind": st.just("correction"),
            "corrects": st.sampled_from([f"e{n}" for n in range(8)]),
            "impressions": st.sampled_from([0, 9]),
        },
        optional={"spend": amounts, "clicks": st.just(4)},
    ),
)
updates = st.one_of(increments, increments, credited, reports, reports, corrections)

plans = st.fixed_dictionaries(
    {
        "flight_start": st.sampled_from(EDGES[:2] + EDGES[-1:]).map(format_time),
        "flight_end": st.sampled_from([START + 20 * MINUTE, START + 33 * MINUTE + 17, START + 240 * MINUTE]).map(
            format_time
        ),
        "total_budget": st.sampled_from(["1000", "2000"]),
        "budget_change_policy": st.sampled_from(["forward", "rebase"]),
    }
)


class Life(RuleBasedStateMachine):
    """A ledger's life; whatever the core is told is what the naive ledger says."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = 0

    # As few recent cells as there can be beside those that stay, so that cells move to their days all the time; or so
    # many that none does, and what was counted stays on the sheet.
    @initialize(told=st.booleans(), bulk_from=st.sampled_from([1, 1000]), recent=st.sampled_from([3, 100]))
    def begin(self, told: bool, bulk_from: int, recent: int) -> None:
        self.world = World(LedgerLimits(tick_nanos=TICK, recent=recent))
        # The compiled loops are loaded for a batch of one as well.
        self.bulk = mock.patch.multiple(fold, BULK_FROM=bulk_from, LOADED_FROM=bulk_from)
        self.bulk.start()
        if told:
            self.world.ledger.expect_tick(START + TICK)

    def teardown(self) -> None:
        self.bulk.stop()

    @rule(batch=st.lists(updates, min_size=1, max_size=6))
    def spend(self, batch: list[Json]) -> None:
        self.world.spend(*batch)

    @rule(batch=st.lists(updates, min_size=1, max_size=6))
    def spend_twice(self, batch: list[Json]) -> None:
        self.world.spend(*batch)
        self.world.spend(*batch, *batch)

    @precondition(lambda self: self.world.ledger.tick is None)
    @rule(campaign=st.sampled_from(CAMPAIGNS), fields=plans)
    def plan(self, campaign: str, fields: Json) -> None:
        self.world.plan(plan(campaign, **fields))

    @precondition(lambda self: self.world.ledger.tick is None)
    @rule(campaign=st.sampled_from(CAMPAIGNS))
    def end_plan(self, campaign: str) -> None:
        self.world.plan(None, key=campaign.encode())

    @precondition(lambda self: self.world.ledger.tick is None)
    @rule(ticks=st.integers(1, 3))
    def open_tick(self, ticks: int) -> None:
        tick = (self.world.ledger.last_tick or START) + ticks * TICK
        self.world.ledger.open_tick(tick)
        self.cut = self.world.offset

    @precondition(lambda self: self.world.ledger.tick is not None)
    @rule()
    def slice(self) -> None:
        ledger = self.world.ledger
        with listening() as told:
            done = ledger.tick_slice(1).done
        for heard in told:
            check(self.world.naive[heard.campaign_id], heard, self.cut)
        if done:
            ledger.close_tick()

    @rule()
    def checkpoint(self) -> None:
        self.world.checkpoint()

    @rule()
    def restart(self) -> None:
        self.world.restart()


def check(naive: NaiveCampaign, told: Told, cut: int) -> None:
    """Whether the core was told the truth, and remember when."""
    tick, counted = told.tick, told.counted
    assert nonzero(counted.totals) == nonzero(naive.totals(cut, tick + 1))
    assert counted.future_spend == naive.future(cut, tick)
    assert counted.late_spend == naive.late(cut)
    assert counted.data_through == naive.latest(cut, tick + 1)
    for at, (totals, latest) in told.before.items():
        assert nonzero(totals) == nonzero(naive.totals(cut, min(at, tick + 1)))
        assert latest == naive.latest(cut, min(at, tick + 1))
        if at in naive.cuts or at > naive.last_tick() or not naive.has_differences(cut):
            assert nonzero(summed(counted.new, at)) == nonzero(naive.new(cut, tick, at))
    assert nonzero(summed(counted.new, tick + 1)) == nonzero(naive.new(cut, tick, tick + 1))
    edges = DAYS if len(told.spends) == len(DAYS) - 1 else DAYS[1:-1]
    spent_by = cache(lambda before: spend(naive.totals(cut, min(before, tick + 1))))
    assert told.spends == [spent_by(end) - spent_by(start) for start, end in pairwise(edges)]
    for (amount, since, until), reached in told.reached.items():
        times = naive.times(cut, NEVER if since is None else since, min(until or tick + 1, tick + 1))
        before = spent_by(NEVER if since is None else since)
        assert reached == next((time for time in times if spent_by(time + 1) - before >= amount), None)
    conflicts = counted.cases.get("conflicting_update")
    told_cases = {} if conflicts is None else {"conflicting_update": (conflicts.count, conflicts.amount)}
    assert told_cases == naive.cases(cut)
    naive.last = (tick, cut)
    naive.cuts = set(told.before)


def summed(new: list[Any], before: int) -> dict[Any, list[int]]:
    sums: dict[Any, list[int]] = {}
    for start, totals in new:
        if start < before:
            sums = minus(sums, minus({}, totals))
    return sums


def nonzero(totals: Any) -> Any:
    return {key: figures for key, figures in totals.items() if any(figures)}


Life.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
test_the_core_is_told_what_the_naive_ledger_says = Life.TestCase
