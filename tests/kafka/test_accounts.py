"""Whatever ends a worker, and wherever: every account snapshot is single, and the sum of the campaigns' of its tick."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos.audit import Accounts
from tests.kafka.broker import wait_until
from tests.kafka.killable import KILL
from tests.kafka.stage import SETTLED_SECONDS, Feed, Stage, WorkerProcess, plan
from worker.ledger.partitions import partition_of

Staging = Callable[..., Stage]
Event = dict[str, Any]

ACCOUNTS = ("acme", "beta", "gamma")


def plan_all(feed: Feed) -> None:
    """Plans of three accounts over both partitions; of the last one in two currencies."""
    for number, campaign in enumerate(feed.campaigns):
        currency = "EUR" if number % 6 == 5 else "USD"
        feed.write(feed.stage.plans, campaign, plan(campaign, account_id=ACCOUNTS[number % 3], currency=currency))
    feed.flush()


def cap(feed: Feed, account: str, **other: Any) -> None:
    """A cap on what the account spends."""
    fields = json.loads(plan("any", account_id=account))
    names = ("account_id", "currency", "total_budget", "flight_start", "flight_end")
    body = {**{name: fields[name] for name in names}, **other}
    feed.write(feed.stage.settings.topic_account_plans, account, json.dumps(body).encode())
    feed.flush()


def audit(stage: Stage) -> list[Event]:
    """Hold every account snapshot to the campaign snapshots of its tick; the account snapshots."""
    accounts = Accounts()
    events = {kind: stage.events(kind) for kind in ("snapshot_taken", "tick_closed", "account_snapshot_taken")}
    accounts.take(events)
    assert accounts.check(stage.settings.partitions) > 0
    return events["account_snapshot_taken"]


def settle(stage: Stage, worker: WorkerProcess) -> None:
    """Wait until a tick begun from now on is told of the accounts, and every whole one before it."""
    latest = max((event["timestamp"] for event in stage.events("account_snapshot_taken")), default="")

    def is_settled() -> bool:
        assert worker.process.poll() is None, worker.tail()
        told = {event["timestamp"] for event in stage.events("account_snapshot_taken")}
        return len([tick for tick in told if tick > latest]) >= 2

    wait_until(is_settled, SETTLED_SECONDS, what="the accounts", otherwise=worker.tail)
    assert worker.terminate()[0] == 0


def test_campaigns_of_two_partitions_are_added_up_by_account_and_currency(stage: Staging) -> None:
    here = stage()
    feed = Feed(here, 30)
    plan_all(feed)
    feed.spend(3_000)
    cap(feed, "acme", total_budget="4000000.00")
    worker = here.worker()
    with feed.flowing(1_000):
        worker.wait_ready()
        settle(here, worker)
    told = audit(here)
    assert {(event["account_id"], event["currency"]) for event in told} >= {("acme", "USD"), ("gamma", "EUR")}
    assert {event["cap"] for event in told if event["account_id"] == "acme"} == {"4000000.00"}
    for message in here.committed(here.outputs["account_snapshot_taken"]):
        account = json.loads(message.value())["account_id"].encode()
        assert (message.key(), message.partition()) == (account, partition_of(account, 2))
        assert dict(message.headers() or ())["ce_subject"] == account


@pytest.mark.parametrize("point", ["begin", "send", "acks", "flight", "commit"])
def test_a_worker_killed_in_any_checkpoint_tells_every_account_snapshot_once(point: str, stage: Staging) -> None:
    here = stage()
    feed = Feed(here, 30)
    plan_all(feed)
    cap(feed, "beta", total_budget="100")
    with feed.flowing(1_000):
        for topic in ("account_snapshot_taken", "account-parts", "account-ledger"):
            only = f":{topic}" if point == "send" else ""
            here.worker(**{KILL: f"{point}:{3 if only else 9}{only}"}).wait_killed()
        last = here.worker()
        last.wait_ready()
        settle(here, last)
    told = audit(here)
    assert len({event["timestamp"] for event in told}) >= 2


@pytest.mark.parametrize("point", ["send", "acks", "commit"])
def test_a_worker_killed_inside_a_tick_adds_its_halves_up_once(point: str, stage: Staging) -> None:
    here = stage(tick_slice_campaigns=100, tick_seconds=2)
    feed = Feed(here, 900)
    plan_all(feed)
    feed.spend(2_000)
    here.worker(**{KILL: f"{point}:3:snapshot_taken"}).wait_killed()
    assert here.events("account_snapshot_taken") == []
    assert here.committed(f"{here.name}-account-parts"), "the kill was not inside a tick"
    worker = here.worker()
    worker.wait_ready()
    settle(here, worker)
    audit(here)


def test_two_workers_add_up_each_others_campaigns_though_one_is_killed(stage: Staging) -> None:
    here = stage()
    feed = Feed(here, 30)
    plan_all(feed)
    with feed.flowing(1_000):
        one, two = here.worker("w1"), here.worker("w2")
        one.wait_owning(60)
        two.wait_owning(60)
        wait_until(
            lambda: bool(here.events("account_snapshot_taken")), SETTLED_SECONDS, what="accounts", otherwise=one.tail
        )
        two.kill()
        one.wait_ready()
        settle(here, one)
    audit(here)


def test_a_cap_that_cannot_hold_is_a_dead_letter_and_a_tombstone_ends_one(stage: Staging) -> None:
    here = stage(partitions=1)
    feed = Feed(here, 6)
    plan_all(feed)
    feed.spend(500)
    cap(feed, "acme", total_budget="10.00")
    cap(feed, "acme", flight_end="2020-01-01", total_budget="20.00")
    worker = here.worker()
    worker.wait_ready(1)

    def latest() -> Event:
        told = [event for event in here.events("account_snapshot_taken") if event["account_id"] == "acme"]
        return told[-1] if told else {}

    wait_until(lambda: latest().get("cap") == "10.00", SETTLED_SECONDS, what="the cap", otherwise=worker.tail)
    (letter,) = here.committed(f"{here.settings.topic_account_plans}.dlq")
    headers = dict(letter.headers() or ())
    assert (headers["dlq_reason"], headers["dlq_field"]) == (b"invalid_plan", b"flight_end")
    feed.write(here.settings.topic_account_plans, "acme", None)
    feed.flush()
    wait_until(lambda: latest()["cap"] is None, SETTLED_SECONDS, what="the end of the cap", otherwise=worker.tail)
    settle(here, worker)
    audit(here)
    raised = [event for event in here.events("alert_raised") if event["scope"] == "account"]
    cleared = [event for event in here.events("alert_cleared") if event["scope"] == "account"]
    assert {(event["scope_id"], event["campaign_id"]) for event in raised} == {("acme", None)}
    kinds = Counter(event["kind"] for event in raised)
    assert (kinds["over_budget"], kinds["ahead_of_period"], kinds["milestone_reached"]) == (1, 1, 4)
    assert sorted(event["alert_id"] for event in cleared) == sorted(event["alert_id"] for event in raised)
    deviations = [event for event in here.events("deviation_detected") if event["scope"] == "account"]
    assert {(event["direction"], event["alert_level"]) for event in deviations if event["scope_id"] == "acme"} >= {
        ("overpacing", "critical")
    }
