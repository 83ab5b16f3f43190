"""What is restored at the same time opens together, and what came back waits for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry

from worker import ownership as ownership_module
from worker.exits import Watchdog
from worker.metrics import Metrics
from worker.ownership import Ownership
from worker.settings import load_settings

TICKED, BESIDE = ("plans", "spend"), ("caps", "parts")


async def nothing(*_: Any) -> None:
    """What is done elsewhere."""


class FakeLedger:
    """As much of a ledger as is restored: one without a history."""

    partition = 0

    def __init__(self) -> None:
        self.positions: dict[str, int] = {}

    def load(self, newest: Mapping[bytes, bytes | None]) -> bool:
        return bool(newest)

    def advance(self, topic: str, offset: int) -> None:
        self.positions[topic] = offset


class FakeCheckpoints:
    """Transactions that fence nobody."""

    start = stop = staticmethod(nothing)


class FakeParts:
    """Partitions whose changelog is read when *readable* says so."""

    def __init__(self) -> None:
        self.readable = [asyncio.Event() for _ in range(3)]

    def checkpoints(self, _: int) -> Any:
        return FakeCheckpoints()

    def changelog(self, number: int) -> Any:
        async def read() -> dict[bytes, bytes]:
            await self.readable[number].wait()
            return {}

        return SimpleNamespace(read=read, records_read=0)

    account_changelog = changelog

    def partition(self, number: int) -> Any:
        accounts = SimpleNamespace(ledger=FakeLedger(), topics=BESIDE)
        return SimpleNamespace(number=number, ledger=FakeLedger(), accounts=accounts, is_open=False)

    def saver(self, *_: Any) -> Any:
        return SimpleNamespace(run=nothing, stop=lambda: None, saved={})

    def ticks(self, *_: Any) -> Any:
        return SimpleNamespace(run=nothing, expect=lambda: None)


class FakeConsumer:
    """A consumer of empty inputs; *let* is what it was asked to read."""

    def __init__(self) -> None:
        self.let: list[set[TP]] = []
        self.lane_thread = SimpleNamespace(
            begin_offsets=self._offsets, end_offsets=self._offsets, committed=nothing, tell_lag_tools=nothing
        )

    async def _offsets(self, tps: list[TP]) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    async def let_in(self, tps: list[TP]) -> None:
        self.let.append(set(tps))


@pytest.fixture
def parts() -> FakeParts:
    return FakeParts()


@pytest.fixture
def ownership(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> Ownership:
    # What pytest holds is not to be frozen.
    monkeypatch.setattr(ownership_module, "collect_and_freeze", lambda: None)
    settings = load_settings(env_file=None)
    made = Ownership(settings, TICKED, BESIDE, parts, Watchdog(), Metrics(CollectorRegistry()))
    made.consumer = FakeConsumer()  # type: ignore[assignment]
    return made


def inputs(*numbers: int) -> set[TP]:
    return {TP(topic, number) for topic in (*TICKED, *BESIDE) for number in numbers}


def opened(ownership: Ownership) -> set[int]:
    return {number for number, held in ownership.held.items() if held.partition.is_open}


async def settled() -> None:
    """Let every task go on as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_partitions_that_are_restored_at_the_same_time_open_together(
    ownership: Ownership, parts: FakeParts
) -> None:
    await ownership.assigned(inputs(0, 1))
    parts.readable[0].set()
    await settled()
    assert (set(ownership.held), opened(ownership), ownership.restoring) == ({0}, set(), 1)
    parts.readable[1].set()
    await settled()
    assert (opened(ownership), ownership.restoring) == ({0, 1}, 0)
    assert ownership.consumer.let == [inputs(0, 1)]


async def test_what_came_back_is_open_while_another_is_restored(ownership: Ownership, parts: FakeParts) -> None:
    parts.readable[0].set()
    await ownership.assigned(inputs(0))
    await settled()
    await ownership.revoked()
    assert opened(ownership) == set()
    await ownership.assigned(inputs(0, 1))
    await settled()
    assert opened(ownership) == {0}
    parts.readable[1].set()
    await settled()
    assert opened(ownership) == {0, 1}


async def test_what_was_restored_and_not_opened_is_opened_when_it_comes_back_alone(
    ownership: Ownership, parts: FakeParts
) -> None:
    await ownership.assigned(inputs(0, 1))
    parts.readable[0].set()
    await settled()
    await ownership.revoked()
    await ownership.assigned(inputs(0))
    assert (opened(ownership), ownership.restoring) == ({0}, 0)
