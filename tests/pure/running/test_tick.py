"""Which tick is taken when, and that its parts come in an order a crash may cut anywhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from worker import tick as tick_module
from worker.metrics import Metrics
from worker.tick import Schedule, Ticks, tick_closed

SECOND = 10**9
MINUTES = Schedule(60 * SECOND, 1.0)


@pytest.fixture(autouse=True)
def _turns_of_a_round_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tick_module, "TURN_CAMPAIGNS", 100)


@pytest.mark.parametrize(
    ("last", "now", "due"),
    [
        (None, 179, 120),  # a new partition: the newest
        (120, 179, 180),  # taken already: the one after
        (120, 180, 180),
        (120, 1_000, 960),  # away for long: the newest only
        (120, 60, 180),  # the clock was set back: never again
    ],
)
def test_the_next_tick_is_the_newest_that_was_not_taken(last: int | None, now: int, due: int) -> None:
    taken = None if last is None else last * SECOND
    assert MINUTES.next_after(taken, now * SECOND) == due * SECOND


@pytest.mark.parametrize(("last", "tick", "missed"), [(None, 960, 0), (120, 180, 0), (120, 960, 13)])
def test_ticks_nobody_took_are_counted(last: int | None, tick: int, missed: int) -> None:
    assert MINUTES.missed(None if last is None else last * SECOND, tick * SECOND) == missed


class FakeLedger:
    """As much of a ledger as a tick needs: *campaigns* are judged so many at a time; every call is noted."""

    partition = 0

    def __init__(self, campaigns: int, notes: list[Any]) -> None:
        self.left = campaigns
        self.notes = notes
        self.last_tick: int | None = None
        self.tick: int | None = None
        self.tick_positions: dict[str, int] = {}
        self.tick_complete = True
        self.tick_campaigns = 0
        self.campaigns: dict[str, Any] = {}

    def expect_tick(self, tick: int) -> None:
        self.notes.append(("expect", tick))

    def open_tick(self, tick: int, *, complete: bool) -> None:
        self.tick, self.tick_complete = tick, complete
        self.notes.append(("open", tick, complete))

    def tick_slice(self, most: int) -> Any:
        judged = min(most, self.left)
        self.left -= judged
        self.tick_campaigns += judged
        self.notes.append(("slice", judged))
        return _Part(judged, done=self.left == 0)

    def close_tick(self) -> None:
        self.last_tick, self.tick = self.tick, None
        self.notes.append("close")

    def statistics(self) -> Any:
        raise LookupError("the census is another test's")


class _Part:
    events: tuple[Any, ...] = ()

    def __init__(self, campaigns: int, *, done: bool) -> None:
        self.campaigns = campaigns
        self.done = done


class FakePartition:
    """A partition that has read everything, or nothing."""

    number = 0

    def __init__(self, ledger: FakeLedger, *, has_read: bool) -> None:
        self.ledger = ledger
        self.outbox = self.accounts = self
        self._has_read = has_read

    async def read_up_to(self, ends: dict[str, int], _: float) -> bool:
        self.ledger.notes.append(("wait", ends))
        return self._has_read

    def tell(self, events: list[Any]) -> None:
        assert not events, "nothing is found"

    def event(self, body: dict[str, Any]) -> None:
        self.ledger.notes.append(body["event_type"])

    def close(self, ledger: FakeLedger, tick: int) -> None:
        assert ledger.tick == tick, "the parts are told before the tick is closed"
        ledger.notes.append("parts")


class FakeSaver:
    def __init__(self, notes: list[Any]) -> None:
        self.notes = notes

    async def cut_now(self) -> None:
        self.notes.append("cut")

    async def save_now(self) -> None:
        self.notes.append("save")


class FakeInputs:
    def __init__(self, notes: list[Any]) -> None:
        self.notes = notes

    async def ends(self, _: int) -> dict[str, int]:
        return {"spend": 7}

    async def reopen_plans(self, _: int) -> None:
        self.notes.append("plans")
        raise asyncio.CancelledError  # the test has seen enough


def ticks(campaigns: int, *, has_read: bool = True, in_transaction: int = 1_000, now: int = 60 * SECOND) -> Any:
    """Ticks over fakes, and the list they note what happens in."""
    notes: list[Any] = []
    ledger = FakeLedger(campaigns, notes)
    partition: Any = FakePartition(ledger, has_read=has_read)
    saver: Any = FakeSaver(notes)
    made = Ticks(
        partition,
        saver,
        MINUTES,
        transaction_campaigns=in_transaction,
        clock=lambda: now,
        inputs=FakeInputs(notes),
        metrics=Metrics(CollectorRegistry()),
    )
    return made, ledger, notes


async def run(made: Ticks) -> None:
    made.expect()
    with pytest.raises(asyncio.CancelledError):
        await made.run()


async def test_a_tick_waits_opens_judges_closes_and_saves_in_this_order() -> None:
    made, _, notes = ticks(150)
    await run(made)
    assert notes == [
        ("expect", 60 * SECOND),
        ("wait", {"spend": 7}),
        ("open", 60 * SECOND, True),
        ("slice", 100),
        ("slice", 50),
        "pacing.tick_closed",
        "parts",
        "close",
        ("expect", 120 * SECOND),
        "save",
        "plans",
    ]


async def test_a_tick_that_waited_in_vain_is_not_complete() -> None:
    made, _, notes = ticks(1, has_read=False)
    await run(made)
    assert ("open", 60 * SECOND, False) in notes


async def test_a_tick_over_many_campaigns_takes_a_checkpoint_each_so_many() -> None:
    made, _, notes = ticks(450, in_transaction=200)
    await run(made)
    assert [note for note in notes if note in ("cut", "save") or note[0] == "slice"] == [
        ("slice", 100),
        ("slice", 100),
        "cut",
        ("slice", 100),
        ("slice", 100),
        "cut",
        ("slice", 50),
        "save",
    ]


async def test_a_tick_that_was_interrupted_is_finished_first() -> None:
    made, ledger, notes = ticks(50)
    ledger.tick = 0
    await run(made)
    assert notes[1:] == [
        ("slice", 50),
        "pacing.tick_closed",
        "parts",
        "close",
        ("expect", 60 * SECOND),
        "save",
        "plans",
    ]


def test_the_closing_event_is_the_same_whenever_it_is_made() -> None:
    ledger: Any = FakeLedger(3, [])
    ledger.tick, ledger.tick_positions = 60 * SECOND, {"plans": 1, "spend": 7}
    body = tick_closed(ledger)
    assert body == tick_closed(ledger)
    assert body["tick"] == body["occurred_at"] == "1970-01-01T00:01:00Z"
    assert body["next_offsets"] == {"plans": 1, "spend": 7}
