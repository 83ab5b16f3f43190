"""What `make bench` relies on: its independent sums, its percentiles, and that a part which fails says so."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import pytest

from tests.benchmarks import bench
from tests.benchmarks.batches import batches, ledger, unpacked, written
from tests.benchmarks.commits import TickClosed
from tests.benchmarks.drains import Progress, WholeTick, _between, compare, instant, whole_ticks
from tests.benchmarks.feed import Sent
from tests.benchmarks.flow import REPEATED, Updates
from tests.benchmarks.part_latency import _percentiles
from tests.benchmarks.part_pressure import bound
from tests.benchmarks.part_sizes import _limit
from tests.benchmarks.report import OURS, Report, markdown
from tests.benchmarks.running import PLANS, SPEND
from tests.benchmarks.waiting import NoFigureError, wait_for
from tests.benchmarks.watching import Sample, thirds, verdicts
from tests.benchmarks.workload import Backlog, plans
from worker.settings import load_settings

NOW = datetime(2026, 7, 15, 12, tzinfo=UTC)


def test_the_sum_made_with_the_backlog_is_what_the_ledger_counts() -> None:
    held = ledger()
    backlog = Backlog(20_000, 50, NOW)
    for batch in batches(PLANS, plans(50, NOW)):
        held.fold_plans(batch)
    told = [held.fold_spend(batch) for batch in batches(SPEND, backlog)]
    assert not any(each.refused or each.late for each in told)
    assert sum(each.duplicates for each in told) == pytest.approx(1_000, rel=0.2)
    held.open_tick(int(NOW.timestamp()) * 10**9)
    while not held.tick_slice(100).done:
        pass
    held.close_tick()
    totals = {
        name: sum(figures[0] for figures in campaign.totals.values()) for name, campaign in held.campaigns.items()
    }
    compare(totals, backlog.exact)
    assert backlog.exact != backlog.once, "no correction was made"
    assert backlog.every != backlog.once, "no repeat was made"


def test_a_drain_that_ends_at_other_totals_has_no_figure() -> None:
    compare({"a": 1, "b": 0}, {"a": 1})
    with pytest.raises(NoFigureError, match=r"for 1 campaigns; b: 2, not 3 nanos"):
        compare({"a": 1, "b": 2}, {"a": 1, "b": 3})


def test_a_drain_ends_at_the_checkpoint_that_holds_the_last_update() -> None:
    checkpoints = [Progress(1.0, 0, 4), Progress(3.0, 1, 5), Progress(4.0, 0, 9), Progress(5.0, 1, 6)]
    assert _between(checkpoints, 2.0, 14) == (4, 4.0)
    with pytest.raises(NoFigureError, match="holds 15 of 16"):
        _between(checkpoints, 2.0, 16)


def test_a_tick_that_waited_for_the_one_before_is_timed_from_there() -> None:
    first, second = "2026-07-15T12:00:00Z", "2026-07-15T12:01:00Z"
    start = instant(first)
    closed = [
        (number, start + 70 + number, TickClosed(first, 5, complete=False, next_offsets={})) for number in range(4)
    ]
    closed += [
        (number, start + 80 + number, TickClosed(second, 5, complete=True, next_offsets={})) for number in range(4)
    ]
    assert list(whole_ticks(closed, start, 20)) == [WholeTick(second, 10.0)]
    assert not list(whole_ticks(closed, start, 21))
    assert not list(whole_ticks(closed[:-1], start, 15))
    assert not list(whole_ticks(closed, start + 60, 20))


def test_percentiles_weigh_a_batch_by_its_updates() -> None:
    sent = [Sent(0, 10.0, 0.0, 100, 98), Sent(0, 10.5, 0.0, 101, 1), Sent(1, 11.0, 0.0, 7, 1), Sent(1, 12.0, 0.0, 9, 1)]
    covered = {0: [(10.1, 100), (11.5, 200)], 1: [(11.2, 5), (13.0, 8)]}
    assert _percentiles(sent, covered) == "p50 100 ms, p99 1,000 ms"
    with pytest.raises(NoFigureError):
        _percentiles(sent[-1:], covered)


def test_a_window_that_was_exceeded_is_told_with_the_size_that_did() -> None:
    assert _limit({1_000: 0.5, 100_000: 40.0}) == (
        "150,000",
        "in proportion to the tick over 100,000 campaigns (40.0 s); no tick that was measured took longer",
    )
    assert _limit({1_000_000: 120.0})[1].endswith("the tick over 1,000,000 took longer")


def test_a_batch_made_in_memory_is_unpacked_as_it_was() -> None:
    for batch in batches(SPEND, Backlog(5_000, 10, NOW)):
        (fetched,) = unpacked(written(batch), batch.offsets[0])
        assert fetched.records is not None
        assert (fetched.records.offsets, [*fetched.records.values]) == (batch.offsets, batch.values)


def test_a_contender_that_failed_stands_in_the_table_beside_the_others(tmp_path: Path) -> None:
    report = Report(tmp_path / "rows")
    report.drain(OURS, 1_000, 2.0, "so")
    report.drain("a peer", 1_000, 8.0, "so as well")
    report.no_drain("another", "ended with 1:\nno | memory")
    report.no_figure("gap", "no tick")
    table = markdown(report.rows(), ["a note"]).splitlines()
    assert "| a peer | 1,000 | 8.00 | 125 | 4.00 times as fast | so as well |" in table
    assert "| another | | | **failed** | | ended with 1: no / memory |" in table
    assert "| gap | **failed** | no tick |" in table


def test_a_part_that_breaks_is_told_and_takes_nothing_with_it(tmp_path: Path) -> None:
    report = Report(tmp_path / "rows")
    report.figure("before", "1", "so")
    assert not bench.part_ran("stages", ["--updates", "0"], report, tmp_path)
    before, failed = report.rows()
    assert before["figure"] == "1"
    assert failed["figure"] == "**failed**"
    assert "the part ended with 2" in failed["how"]
    assert "--updates" in failed["how"]


def test_a_part_that_does_not_end_is_ended_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench.PARTS, "stages", 0.05)
    report = Report(tmp_path / "rows")
    assert not bench.part_ran("stages", [], report, tmp_path)
    assert report.rows()[0]["how"] == "the part did not end within 0.05 s"


def test_waiting_ends() -> None:
    with pytest.raises(NoFigureError, match="a tick: not reached within 0 s"):
        wait_for(lambda: False, "a tick", seconds=0.01, every=0.001)


def test_the_sum_of_a_flow_is_what_the_ledger_counts() -> None:
    held, updates = ledger(), Updates(7)
    for batch in batches(PLANS, plans(7, NOW)):
        held.fold_plans(batch)
    messages = chain.from_iterable(updates.some(size) for size in (1_000, 1, 499))
    told = [held.fold_spend(batch) for batch in batches(SPEND, messages)]
    assert sum(each.duplicates for each in told) == 1_500 // REPEATED
    held.open_tick((int(time.time()) + 60) * 10**9)
    while not held.tick_slice(100).done:
        pass
    held.close_tick()
    compare(
        {name: sum(figures[0] for figures in each.totals.values()) for name, each in held.campaigns.items()},
        updates.totals(),
    )
    assert updates.made == 1_500 - 1_500 // REPEATED


def level(**other: float) -> list[Sample]:
    """Samples of half an hour in which nothing grows but what *other* says: by so much a second."""
    of = {"worked": 1.0, "saved": 50_000.0, "resident": 0.0, "descriptors": 0.0, "sink_lag": 0.0, "disk": 0.0} | other
    least = {"resident": 1 << 30, "descriptors": 30, "disk": 1 << 30}
    return [
        Sample(at=at, waiting=400_000, **{name: int(least.get(name, 0) + grows * at) for name, grows in of.items()})
        for at in range(1_800)
    ]


@pytest.mark.parametrize(
    ("what", "other"),
    [
        (None, {}),
        ("memory", {"resident": 2.0 * 2**17}),
        ("open files", {"descriptors": 0.01}),
        ("speed", {"worked": 1.0}),
        ("events not in PostgreSQL", {"sink_lag": 10.0}),
        ("the broker's data", {"disk": 2.0**20}),
    ],
)
def test_what_grows_from_the_middle_third_to_the_last_is_found(what: str | None, other: dict[str, float]) -> None:
    samples = level(**other)
    if what == "speed":  # the same updates take more and more of the processor
        samples = [each._replace(worked=each.at**2) for each in samples]
    assert [verdict.what for verdict in verdicts(thirds(samples)) if not verdict.is_level] == ([what] if what else [])


def test_the_bound_of_memory_is_the_sum_of_what_the_settings_allow() -> None:
    settings = load_settings(env_file=None, horizon_seconds=64)
    parts = bound(settings, partitions=4, campaigns=1_000, updates_a_second=1_000)
    assert parts["ids"] == (1_000 * 68 + 4 * 2**22) * 130
    assert parts["fetched"] == (8 + 2 * 4 * 4) * 4 * 2**20 * 2
    wider = load_settings(env_file=None, horizon_seconds=64, checkpoint_records=100_000)
    assert bound(wider, 4, 1_000, 1_000)["not saved yet"] == 2 * parts["not saved yet"]
