"""
The lane overrides methods of Faust and aiokafka and leans on others. Here stands what each looked like.

When a test here fails, upstream changed a method we depend on. Read the change, judge the override named beside it,
run the suites on a real Kafka (tests/kafka), and only then put the new hash here, which the failure prints.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import aiokafka
import aiokafka.producer.message_accumulator as accumulator
import faust.app.base as app
import faust.transport.drivers.aiokafka as driver
import pytest
from aiokafka.consumer import fetcher
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faust.tables import recovery
from faust.transport import conductor, consumer

UPSTREAM: list[tuple[Callable[..., Any], str, str]] = [
    # What is overridden.
    (
        fetcher.PartitionRecords._unpack_records,
        "lane.WholeBatches: control records, aborted transactions",
        "d97a7a25fb9a",
    ),
    (fetcher.PartitionRecords.__init__, "lane.WholeBatches: the token comes as key_deserializer", "ae4593f6280e"),
    (driver.AIOKafkaConsumerThread._create_worker_consumer, "lane.LaneThread: what is set after it", "e154ebdfecb5"),
    (driver.AIOKafkaConsumerThread._fetch_records, "lane.LaneThread: one Take a partition", "75048a2cb7da"),
    (driver.Consumer._to_message, "lane.LaneConsumer: a message of a Take", "b68886661fc3"),
    (consumer.Consumer.perform_seek, "lane.LaneConsumer: positions come from the ledger", "cdb1c23be724"),
    (consumer.Consumer.resume_partitions, "lane.LaneConsumer: what is not open stays paused", "561da4a47c59"),
    (consumer.ThreadDelegateConsumer._getmany, "lane.LaneConsumer: back-pressure", "4d54988be08f"),
    (consumer.Consumer._wait_next_records, "lane.LaneConsumer: no sleep of a second", "a6c00c6be070"),
    (driver.Consumer.verify_event_path, "lane.LaneConsumer: silenced", "cac9905ae91e"),
    (app.App.on_first_start, "app.PacingApp: makes no directories", "b2c6b20bff32"),
    # What they lean on.
    (aiokafka.AIOKafkaConsumer.start, "the attributes LaneThread sets are read here", "07cf7a1190d2"),
    (fetcher.Fetcher._proc_fetch_request, "builds both kinds of records by the module's names", "796408eaa5aa"),
    (fetcher.Fetcher.fetched_records, "an empty set of partitions means all; no await after taking", "153bb2a375ab"),
    (fetcher.FetchResult.getall, "max_records counts batches; the position follows next_fetch_offset", "5c3427bd3056"),
    (fetcher.Fetcher.seek_to, "drops what was fetched", "0a9f9fa5503e"),
    (consumer.Consumer._drain_messages, "drops messages below _read_offset", "ecf99f00b97c"),
    (consumer.Consumer.getmany, "passes active_partitions and timeout by name", "598a94bfa3bd"),
    (consumer.Consumer.on_partitions_assigned, "active partitions", "db4ffa25c222"),
    (consumer.Consumer.on_partitions_revoked, "active partitions", "d2ebd500a6b2"),
    (recovery.Recovery._resume_streams, "resumes and seeks when there are no tables", "9f724c9270bd"),
    (app.App._on_partitions_assigned, "when the signal comes", "95763e1e6e9b"),
    (app.App._on_partitions_revoked, "when the signal comes", "646f5749f596"),
    (app.App.on_stop, "on_before_shutdown comes while the partitions are still ours", "1c75557f2828"),
    (conductor.Conductor._subscriber.fun, "one subscription, to our topics", "8531190a3524"),
    (RangePartitionAssignor.assign, "the same partitions of every topic", "6b3e859e97ed"),
    (accumulator.BatchBuilder.append, "None when full; the first record always fits", "76ef55ded670"),
    (aiokafka.AIOKafkaProducer.send_batch, "the future fails, the transaction does not", "f1d53700401f"),
    (aiokafka.AIOKafkaProducer.commit_transaction, "does not look at failed batches", "187b2c052052"),
]


def source_hash(method: Callable[..., Any]) -> str:
    """A short hash of a method's source, blind to its indentation."""
    lines = [line.strip() for line in inspect.getsource(method).splitlines()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


@pytest.mark.parametrize(
    ("method", "concerns", "known"), UPSTREAM, ids=[method.__qualname__ for method, _, _ in UPSTREAM]
)
def test_upstream_is_as_it_was_when_the_lane_was_written(method: Callable[..., Any], concerns: str, known: str) -> None:
    now = source_hash(method)
    assert now == known, f"{method.__module__}.{method.__qualname__} changed; it concerns {concerns}; now {now}"
