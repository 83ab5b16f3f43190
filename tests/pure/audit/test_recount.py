"""The recount and the ledger agree on everything that is fed; and where the ledger is wrong, the audit says so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pure.ledger.world import SPEND, START, TICK, Json, World, plan, update
from worker.audit.command import KNOWN_FROM_DEAD_LETTERS
from worker.audit.compare import Difference, Sides, differences, spend
from worker.audit.holdings import Holdings
from worker.audit.recount import Cut, Recount, Rules
from worker.ledger import LedgerLimits, RecordBatch, kinds
from worker.ledger.campaign import Correction
from worker.ledger.identity import IdMemory
from worker.ledger.series import Series

HORIZON_MS = 16_000


class Audited(World):
    """A ledger, the log of its input, and an audit of it."""

    def __init__(self, limits: LedgerLimits | None = None) -> None:
        super().__init__(limits)
        self.batches: list[RecordBatch] = []
        self.before: Holdings | None = None
        self.begin = 0
        self.left_out: set[int] = set()
        self.ledger.advance(SPEND, 0)

    def feed(self, *updates: Json, timestamp: int = 0) -> None:
        """Fold updates as one batch; what the ledger has no room or no place for is left out of the recount."""
        keys = [said["campaign_id"].encode() for said in updates]
        offsets = range(self.offset, self.offset + len(updates))
        self.batches.append(RecordBatch(SPEND, 0, offsets, keys, list(map(as_json, updates)), timestamp))
        self.offset += len(updates)
        refused = self.ledger.fold_spend(self.batches[-1]).refused
        self.left_out |= {each.offset for each in refused if each.reason in KNOWN_FROM_DEAD_LETTERS}

    def export(self) -> None:
        """From here on the audit begins with the ledger as it is now."""
        self.ledger.advance(SPEND, self.offset)
        self.checkpoint()
        self.before, self.begin = Holdings(dict(self.log)), self.offset

    def sides(self) -> Sides:
        self.ledger.advance(SPEND, self.offset)
        self.checkpoint()
        live = Holdings(dict(self.log))
        rules = Rules(self.limits.horizon_ms, self.limits.corrigible_sources, belongs, live.currency_of, self.left_out)
        recount = Recount(rules, self.before.base(self.limits.corrigible_sources) if self.before else None)
        for batch in self.batches:
            if batch.offsets and batch.offsets[0] >= self.begin:
                recount.take_batch(batch.max_timestamp, zip(batch.offsets, batch.keys, batch.values, strict=True))
        return Sides(live, self.before, recount, SPEND)

    def audit(self) -> list[Difference]:
        sides = self.sides()
        names = {*sides.live.names(), *sides.recount.names()} - sides.recount.uncertain.keys()
        return [difference for name in sorted(names) for difference in differences(name, sides)]


def as_json(said: Json) -> bytes:
    return json.dumps(said).encode()


def belongs(campaign_id: str, key: bytes | None) -> bool:
    return key == campaign_id.encode()


# -- whatever is fed ---------------------------------------------------------------------------------------------------

IDS = st.sampled_from([f"e{n}" for n in range(8)])
AMOUNTS = st.sampled_from(["0", "1", "2.50", "0.000000001", "7"])
COMMON = {
    "minutes": st.sampled_from([0, 3, 15, 31, 59, 60, 1439, 1440, 1500]),
    "campaign_id": st.sampled_from(["c", "d"]),
    "channel": st.sampled_from([None, "CTV"]),
    "deal_id": st.sampled_from([None, None, "D"]),
    "currency": st.sampled_from([None, None, None, "EUR", "USD"]),
    "impressions": st.sampled_from([None, 0, 3]),
}
INCREMENTS = st.builds(update, IDS, spend=AMOUNTS, **COMMON)
CREDITS = st.builds(update, IDS, spend=AMOUNTS.map(lambda a: f"-{a}"), kind=st.just("credit"), **COMMON)
CORRECTIONS = st.builds(
    update,
    st.sampled_from([f"x{n}" for n in range(4)]),
    spend=AMOUNTS,
    kind=st.just("correction"),
    corrects=IDS,
    sequence=st.sampled_from([None, 1, 2]),
    **COMMON,
)
REPORTS = st.builds(
    update,
    st.sampled_from([f"t{n}" for n in range(6)]),
    spend=AMOUNTS,
    kind=st.just("cumulative"),
    sequence=st.sampled_from([None, 1, 2, 3]),
    series=st.sampled_from([None, "a"]),
    **COMMON,
)
UPDATES = st.one_of(INCREMENTS, INCREMENTS, CREDITS, CORRECTIONS, REPORTS)
STEPS = st.lists(
    st.one_of(
        st.lists(UPDATES, min_size=1, max_size=6),
        st.lists(UPDATES, min_size=1, max_size=6),
        st.sampled_from(["plan c", "plan d", "tick", "export", "restart"]),
    ),
    max_size=14,
)


def drop_absent(said: Json) -> Json:
    return {name: value for name, value in said.items() if value is not None}


def do(world: Audited, steps: list[Any], *, first: int = 0, every_ms: int = 0) -> None:
    """Carry *steps* out, numbered from *first* on, record time going on by *every_ms* with each."""
    ticks = 0
    for number, step in enumerate(steps, first):
        if isinstance(step, list):
            world.feed(*map(drop_absent, step), timestamp=number * every_ms)
        elif step.startswith("plan"):
            world.plan(plan(step[-1]), key=step[-1].encode())
        elif step == "tick":
            ticks += 1
            world.tick(START + ticks * 6 * TICK)
        elif step == "export":
            world.export()
        else:
            world.restart()


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_the_difference_is_zero_whatever_is_fed(steps: list[Any]) -> None:
    world = Audited()
    do(world, steps)
    assert world.audit() == []


@given(STEPS, st.sampled_from([500, 3_000, 9_000, 20_000]))
@settings(max_examples=150, deadline=None)
def test_the_difference_is_zero_however_far_the_horizon_has_passed(steps: list[Any], every_ms: int) -> None:
    world = Audited(LedgerLimits(horizon_ms=HORIZON_MS, tick_nanos=TICK))
    do(world, steps, every_ms=every_ms)
    assert world.audit() == []


def correction(event_id: str, spend: str, corrects: str, **fields: Any) -> Json:
    return update(event_id, 0, spend, kind="correction", corrects=corrects, **fields)


def report(event_id: str, minutes: int, spend: str, **fields: Any) -> Json:
    return update(event_id, minutes, spend, kind="cumulative", **fields)


# With 9 s a step, what came two steps before is forgotten; dollars of campaign `c`.
FORGOTTEN: dict[str, tuple[list[Any], int]] = {
    "the id of a correction comes again: 5 + 7": (
        [[update("a"), correction("x", "5", "a")], "restart", [update("b"), correction("x", "7", "b")], "plan c"],
        5 + 7,
    ),
    "... for an original that never comes: 5": (
        [[update("a"), correction("x", "5", "a")], "restart", [correction("x", "7", "never")], "restart", "plan c"],
        5,
    ),
    "an original comes again: 5 + 3": (
        [
            [update("e"), correction("x", "5", "e", sequence=2), correction("z", "4", "e")],
            "restart",
            [update("e"), correction("y", "3", "e", sequence=1)],
            "plan c",
        ],
        5 + 3,
    ),
    "an original comes a third time: 5 + 3 + 2": (
        [
            [update("e"), correction("x", "5", "e", sequence=2), correction("z", "4", "e")],
            "restart",
            [update("e"), correction("y", "3", "e", sequence=1)],
            "restart",
            [update("e"), correction("w", "2", "e")],
            "plan c",
        ],
        5 + 3 + 2,
    ),
    "corrections of one rank: the first, 5": (
        [[correction("x", "5", "e")], [update("e")], [correction("x", "7", "e")], "plan c"],
        5,
    ),
    "reports of one rank: the first, 5, and 9 in all": (
        [[report("t", 2, "5")], [report("later", 3, "9")], [report("t", 2, "7")], "plan c"],
        9,
    ),
    "... in a currency and in none: the first, 5": (
        [
            [report("another", 1, "1"), report("t", 2, "5", currency="EUR")],
            "restart",
            [report("t", 2, "7")],
            "plan c",
        ],
        5,
    ),
}


@pytest.mark.parametrize("export_at", range(6))
@pytest.mark.parametrize("story", FORGOTTEN)
def test_what_comes_again_is_counted_alike_wherever_the_audit_begins(story: str, export_at: int) -> None:
    steps, dollars = FORGOTTEN[story]
    world = Audited(LedgerLimits(horizon_ms=HORIZON_MS, tick_nanos=TICK))
    do(world, steps[:export_at], every_ms=9_000)
    world.export()
    do(world, steps[export_at:], first=export_at, every_ms=9_000)
    assert world.audit() == []
    assert spend(world.sides().recount.sums("c", Cut())) == dollars * 10**9


def test_a_correction_of_what_is_forgotten_is_not_taken_for_one_of_the_original_that_came_again() -> None:
    world = Audited(LedgerLimits(horizon_ms=HORIZON_MS, tick_nanos=TICK))
    world.feed(update("e"), correction("x", "5", "e", sequence=2))
    world.feed(update("e"), timestamp=18_000)
    world.plan(plan())
    world.export()
    world.feed(correction("y", "3", "e", sequence=1), timestamp=18_000)
    assert world.audit() == []
    assert spend(world.sides().recount.sums("c", Cut())) == (5 + 3) * 10**9


def test_a_correction_is_of_the_original_to_come_where_another_waits_with_one_that_is_forgotten() -> None:
    world = Audited(LedgerLimits(horizon_ms=HORIZON_MS, tick_nanos=TICK))
    world.feed(update("e"))
    world.feed(correction("x", "5", "e"), timestamp=15_000)
    world.feed(update("another", spend="0"), timestamp=18_000)
    world.export()
    world.feed(correction("y", "3", "e"), timestamp=18_000)
    world.feed(update("e"), timestamp=20_000)
    world.plan(plan())
    assert world.audit() == []
    assert spend(world.sides().recount.sums("c", Cut())) == (5 + 3) * 10**9


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_the_difference_is_zero_where_few_sources_may_be_corrected(steps: list[Any]) -> None:
    world = Audited(LedgerLimits(corrigible_sources=frozenset({"another"}), tick_nanos=TICK))
    do(world, steps)
    assert world.audit() == []


# -- what the ledger has wrong -----------------------------------------------------------------------------------------


def settled() -> Audited:
    """Two campaigns, counted at a tick."""
    world = Audited()
    world.plan(plan("c"), plan("d"))
    world.feed(update("1", 1, "10", channel="CTV"), update("2", 2, "5"), update("3", 1450, "2"))
    world.feed(update("4", 3, "7", campaign_id="d"))
    world.tick(START + TICK)
    assert world.audit() == []
    return world


def said(differences: list[Difference]) -> list[str]:
    return list(map(str, differences))


def test_a_total_that_is_off_is_told_with_both_figures_and_the_attribution() -> None:
    world = settled()
    campaign = world.ledger._book.reopen("c")
    campaign.totals[campaign.names[0]][0] += 1
    campaign.mark(kinds.CAMPAIGN)
    (told,) = said(world.audit())
    assert told == (
        "c: spend of channel CTV: what is counted at 2026-07-01T00:10:00Z has 10.000000001, the input adds up to 10.00"
        " (difference 0.000000001)"
    )


def test_a_cell_that_is_off_is_told_with_its_day() -> None:
    world = settled()
    campaign = world.ledger._book.reopen("c")
    campaign.add(START + 1500 * 60 * 10**9, (None, None, None), (10**9, 4, 0, 0, 0, 0, 0, 0))
    assert said(world.audit()) == [
        "c: spend: the ledger has 8.00, the input adds up to 7.00 (difference 1.00); by day 2026-07-02 1.00",
        "c: impressions: the ledger has 4, the input adds up to 0 (difference 4); by day 2026-07-02 4",
    ]


def test_an_update_that_the_ledger_never_saw_is_missed() -> None:
    world = settled()
    world.batches.append(RecordBatch(SPEND, 0, [world.offset], [b"d"], [as_json(update("9", 4, campaign_id="d"))], 0))
    assert "d: spend: the ledger has 7.00, the input adds up to 8.00 (difference -1.00)" in said(world.audit())[0]


def test_a_campaign_that_the_ledger_does_not_know_is_told() -> None:
    world = settled()
    world.batches.append(RecordBatch(SPEND, 0, [world.offset], [b"new"], [as_json(update("9", campaign_id="new"))], 0))
    assert [(each.campaign_id, each.held) for each in world.audit()] == [("new", 0)]


def test_a_repeat_beyond_the_horizon_counts_again_and_is_listed() -> None:
    world = Audited(LedgerLimits(horizon_ms=HORIZON_MS, tick_nanos=TICK))
    world.feed(update("1", 1, "10"), timestamp=0)
    world.feed(update("1", 1, "10"), timestamp=HORIZON_MS)
    world.feed(update("1", 1, "10"), timestamp=3 * HORIZON_MS)
    sides = world.sides()
    assert list(differences("c", sides)) == []
    assert [(each.offset, each.event_id, each.spend) for each in sides.recount.again] == [(2, "1", 10 * 10**9)]
    assert sides.recount.tally.repeats == 1


def test_an_id_that_was_refused_for_its_currency_and_used_again_is_not_judged() -> None:
    world = settled()
    world.feed(update("1", 1, currency="USD", campaign_id="d"), update("1", 1, campaign_id="d"))
    assert world.sides().recount.uncertain == {"d": 1}
    assert world.audit() == []


def test_a_ledger_is_told_from_a_snapshot_at_its_own_place_in_the_input() -> None:
    world = settled()
    world.feed(update("5", 5, "100"), update("6", 25, "1"))
    recount = world.sides().recount
    spent = {offset: spend(recount.sums("c", Cut(offset, START + TICK))) for offset in (1, 2, 4, 5)}
    assert spent == {1: 10 * 10**9, 2: 15 * 10**9, 4: 15 * 10**9, 5: 115 * 10**9}


def test_a_fold_that_lets_the_first_correction_win_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Correction, "rank", lambda _: (False, 0, 0, ""))
    world = settled()
    world.feed(update("x", kind="correction", corrects="1", sequence=1, spend="4"))
    world.feed(update("y", kind="correction", corrects="1", sequence=2, spend="3"))
    assert [(each.held, each.counted) for each in world.audit()] == [(4 * 10**9, 3 * 10**9)]


def test_a_fold_that_takes_a_running_total_for_spend_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Series, "add", lambda _, report: [(report.at, [f or 0 for f in report.figures])])
    world = settled()
    world.feed(*(update(f"t{n}", n, str(n), kind="cumulative", sequence=n, channel="CTV") for n in (1, 2, 3)))
    assert [(each.held, each.counted) for each in world.audit()] == [(16 * 10**9, 13 * 10**9)]


def test_a_fold_that_forgets_ids_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    world = settled()
    monkeypatch.setattr(IdMemory, "find", lambda *_: {})
    world.feed(update("4", 3, "7", campaign_id="d"))
    assert [(each.campaign_id, each.held, each.counted) for each in world.audit()] == [("d", 14 * 10**9, 7 * 10**9)]
