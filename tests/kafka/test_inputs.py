"""What comes in: garbage and strangers go to the dead letters untouched, and the good messages around them count."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Message, Producer

from tests.kafka.stage import PARTITIONER, Feed, Oracle, Stage, audit, settle
from worker.ledger.partitions import partition_of

Staging = Callable[..., Stage]


def headers(message: Message) -> dict[str, str]:
    """A message's headers as text."""
    return {name: (value or b"").decode() for name, value in message.headers() or []}


def test_bad_spend_is_dead_lettered_and_good_spend_around_it_counts(stage: Staging) -> None:
    here = stage()
    feed = Feed(here, 10)
    feed.plan_all()
    feed.spend(500)
    campaign = feed.campaigns[0]
    bad: list[tuple[str | None, bytes, dict[str, Any], str]] = [
        (campaign, b'{"event_id":', {}, "malformed_json"),
        (campaign, b"\xff\xfe\x00", {}, "malformed_json"),
        (campaign, b"", {}, "malformed_json"),
        (campaign, b'{"event_id": "x", "source": "ads", "campaign_id": "%s"}' % campaign.encode(), {}, "invalid_field"),
        ("another-key", spent(campaign), {}, "wrong_partition"),
        (None, spent(campaign), {"partition": 0}, "wrong_partition"),
    ]
    for key, value, more, _ in bad:
        feed.write(here.spend, key, value, **more)
    wrong = Producer({"bootstrap.servers": here.bootstrap, "partitioner": "consistent"})  # CRC32, not murmur2
    delivered: list[Message] = []
    for name in feed.campaigns:
        wrong.produce(here.spend, spent(name), name.encode(), on_delivery=lambda _, message: delivered.append(message))
    assert wrong.flush(10) == 0
    # Where they came to is asked, not worked out: a producer that has just met a topic may not know all its partitions.
    strangers = [message for message in delivered if message.partition() != partition_of(message.key() or b"", 2)]
    assert len(delivered) == len(feed.campaigns)
    assert strangers
    feed.spend(500)
    worker = here.worker()
    worker.wait_ready()
    settle(here, worker)

    letters = here.committed(f"{here.spend}.dlq")
    assert len(letters) == len(bad) + len(strangers)
    found = {(message.key(), message.value()): headers(message) for message in letters}
    for key, value, _, reason in bad:
        header = found[key.encode() if key else None, value]
        assert header["dlq_reason"] == reason
        assert header["dlq_topic"] == here.spend
    origins = {(int(h["dlq_partition"]), int(h["dlq_offset"])) for h in found.values()}
    sources = {(m.partition(), m.offset()): (m.key(), m.value()) for m in here.committed(here.spend)}
    assert {sources[origin] for origin in origins} == set(found)
    assert worker.process.poll() is None


def spent(campaign: str) -> bytes:
    """A good update."""
    return json.dumps(
        {
            "event_id": f"lone-{campaign}",
            "source": "ads",
            "campaign_id": campaign,
            "event_time": "2026-01-01T00:00:00Z",
            "spend": "1",
        }
    ).encode()


def test_a_bad_plan_is_dead_lettered_and_the_last_good_one_stays_in_force(stage: Staging) -> None:
    here = stage()
    feed = Feed(here, 3)
    feed.plan_all()
    feed.spend(100)
    campaign = feed.campaigns[0]
    feed.write(here.plans, campaign, b'{"campaign_id": "%s", "total_budget": "-1"}' % campaign.encode())
    feed.flush()
    worker = here.worker()
    worker.wait_ready()
    settle(here, worker)
    letters = here.committed(f"{here.plans}.dlq")
    assert [message.key() for message in letters] == [campaign.encode()]
    assert headers(letters[0])["dlq_reason"] in ("invalid_plan", "invalid_field")
    last = {snapshot["campaign_id"]: snapshot for snapshot in here.events("snapshot_taken")}
    assert (last[campaign]["plan_version"], last[campaign]["total_budget"]) == (1, "1000000.00")


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_input_counts(codec: str, stage: Staging) -> None:
    here = stage(partitions=1)
    feed = Feed(here, 5)
    feed.plan_all()
    feed.use(codec=codec)
    feed.spend(2_000)
    worker = here.worker()
    worker.wait_ready(1)
    settle(here, worker)
    audit(here)
    assert Oracle(here).total() != 0


def test_only_committed_transactions_of_a_feed_count(stage: Staging) -> None:
    here = stage(partitions=1)
    feed = Feed(here, 5)
    feed.plan_all()
    producer = Producer(
        {"bootstrap.servers": here.bootstrap, "partitioner": PARTITIONER, "transactional.id": f"feed-{here.name}"}
    )
    producer.init_transactions(20)
    worker = here.worker()
    worker.wait_ready(1)
    for number in range(6):
        producer.begin_transaction()
        for each in range(50):
            body = json.loads(spent(feed.campaigns[each % 5])) | {"event_id": f"{number}-{each}"}
            producer.produce(here.spend, json.dumps(body).encode(), feed.campaigns[each % 5].encode())
        producer.flush(10)
        if number % 2:
            producer.abort_transaction(10)
        else:
            producer.commit_transaction(10)
    settle(here, worker)
    audit(here)
    last = {snapshot["campaign_id"]: snapshot["total_spend"] for snapshot in here.events("snapshot_taken")}
    assert {float(total) for total in last.values()} == {30.0}
