"""
The sink between a Kafka and a PostgreSQL that fail: every committed event is in PostgreSQL once, whatever happens.

The tests that ask for `feed` run on librdkafka's embedded cluster and on a real Kafka. Those that ask for `kafka_feed`
run on the latter alone: where the embedded one cannot show it (it keeps no second member in a group and hides nothing
that was aborted), or where PostgreSQL is what is tested.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from tests.postgres.conftest import Victim
from tests.postgres.events import MINUTE, NOON, Body, deviation, encoded, one_of_each, snapshot
from tests.postgres.feed import DEADLINE_SECONDS, PARTITIONS, Feed, wait_until
from tests.postgres.running import RunningSink, SinkProcess, ask, running_sink
from worker.metrics import Metrics
from worker.sink.migrate import migrate
from worker.sink.reading import KINDS
from worker.sink.sink import Sink
from worker.sink.thread import SinkThread

ALL_IDS: Final = """
    SELECT snapshot_id::text FROM pacing_snapshots
    UNION ALL SELECT event_id::text FROM pacing_deviations
    UNION ALL SELECT event_id::text FROM pacing_signals
    UNION ALL SELECT recommendation_id::text FROM pacing_reallocations
    UNION ALL SELECT snapshot_id::text FROM pacing_account_snapshots
"""


def snapshots(campaigns: int, ticks: Sequence[int]) -> list[Body]:
    return [snapshot(f"campaign-{n}", NOON + tick * MINUTE) for tick in ticks for n in range(campaigns)]


def ids(dsn: str) -> list[str]:
    return sorted(event_id for (event_id,) in ask(dsn, ALL_IDS))


def ids_of(*bodies: Sequence[Body]) -> list[str]:
    return sorted(body["event_id"] for each in bodies for body in each)


def count(dsn: str) -> int:
    return len(ids(dsn))


def wait_for(sink: RunningSink, dsn: str, bodies: Sequence[Body]) -> None:
    """Wait until exactly these events are there, and the sink says that nothing is left."""
    wait_until(lambda: ids(dsn) == ids_of(bodies), f"{len(bodies)} events in PostgreSQL")
    wait_until(lambda: sink.is_level, "the sink has nothing left")


def written_once(*sinks: RunningSink) -> bool:
    """Whether no sink has given PostgreSQL an event that was there: the positions alone kept them apart."""
    return all(sink.total("pacing_sink_rows_total", result="duplicate") == 0 for sink in sinks)


# --- in order --------------------------------------------------------------------------------------------------------


def test_every_committed_event_of_every_kind_is_in_postgresql_once(feed: Feed, database: str) -> None:
    events = [one_of_each(f"campaign-{n}", NOON) for n in range(20)]
    sent = [body for each in events for bodies in each.values() for body in bodies]
    for kind in events[0]:
        feed.send(kind, [each[kind][0] for each in events])
    with running_sink(feed.settings(database)) as sink:
        wait_for(sink, database, sent)
        assert written_once(sink)
        assert sink.total("pacing_sink_rows_total", result="written") == len(sent) == 20 * len(KINDS)
        assert sink.metric("pacing_sink_up") == 1
    assert ask(database, "SELECT count(*), sum(open_warnings + open_criticals)::int FROM pacing_current") == [(20, 0)]


def test_a_sink_that_starts_again_goes_on_where_it_stopped(feed: Feed, database: str) -> None:
    first, second = snapshots(50, [0]), snapshots(50, [1])
    feed.send("snapshot_taken", first)
    with running_sink(feed.settings(database)) as sink:
        wait_for(sink, database, first)
    feed.send("snapshot_taken", second)
    with running_sink(feed.settings(database)) as again:
        wait_for(again, database, first + second)
        assert again.total("pacing_sink_rows_total", result="written") == 50
        assert written_once(again)


def test_the_position_passes_what_kafka_keeps_for_itself(kafka_feed: Feed, database: str) -> None:
    kafka_feed.send("snapshot_taken", snapshots(1, range(5)))
    with running_sink(kafka_feed.settings(database)) as sink:
        wait_until(lambda: sink.is_level, "the sink has nothing left")
        wait_for_position(database, 5 + 1)  # the marker of their commit


def test_a_sink_stops_within_its_time(feed: Feed, database: str) -> None:
    with running_sink(feed.settings(database)) as sink:
        wait_until(lambda: sink.thread.status()["healthy"] is True, "the sink runs")
        began = time.monotonic()
        assert sink.thread.stop(10)
        assert time.monotonic() - began < 5
        assert sink.thread.status()["healthy"] is False


# --- PostgreSQL fails ------------------------------------------------------------------------------------------------


def test_a_database_without_tables_is_waited_for(kafka_feed: Feed, empty_database: str) -> None:
    sent = snapshots(10, [0])
    kafka_feed.send("snapshot_taken", sent)
    with running_sink(kafka_feed.settings(empty_database)) as sink:
        wait_until(lambda: "pacing migrate" in str(sink.thread.status()["error"]), "the sink says what is missing")
        assert sink.metric("pacing_sink_up") == 0
        asyncio.run(migrate(empty_database))
        wait_for(sink, empty_database, sent)


def test_a_postgresql_that_is_down_at_the_start_is_waited_for(kafka_feed: Feed, victim: Victim) -> None:
    victim.server.stop()
    sent = snapshots(10, [0])
    kafka_feed.send("snapshot_taken", sent)
    with running_sink(kafka_feed.settings(victim.dsn)) as sink:
        wait_until(lambda: sink.metric("pacing_sink_retries_total") >= 3, "the sink tries again and again")
        assert sink.thread.status()["healthy"] is False
        victim.server.start()
        wait_for(sink, victim.dsn, sent)


def test_a_postgresql_killed_again_and_again_ends_with_the_exact_rows(feed: Feed, victim: Victim) -> None:
    sent = snapshots(60, range(40))
    settings = feed.settings(victim.dsn, sink_batch_rows=40)
    with sending(feed, sent), running_sink(settings) as sink:
        for rows in (1, 700, 1500):
            wait_until(lambda rows=rows: count(victim.dsn) >= rows, f"{rows} rows")  # type: ignore[misc]
            victim.server.kill()
            wait_until(lambda: sink.metric("pacing_sink_up") == 0, "the sink notices")
            victim.server.start()
        wait_for(sink, victim.dsn, sent)
        assert written_once(sink)


def test_a_postgresql_that_hangs_does_not_hold_up_the_stop(kafka_feed: Feed, victim: Victim) -> None:
    with running_sink(kafka_feed.settings(victim.dsn)) as sink:
        wait_until(lambda: sink.thread.status()["healthy"] is True, "the sink runs")
        victim.server.pause()
        kafka_feed.send("snapshot_taken", snapshots(10, [0]))
        began = time.monotonic()
        assert sink.thread.stop(15)
        assert time.monotonic() - began < 10
    victim.server.resume()


def test_sessions_ended_at_any_moment_lose_and_double_nothing(kafka_feed: Feed, database: str) -> None:
    """Also between a commit and its answer: then only the position that is read anew tells what was written."""
    sent = snapshots(50, range(30))
    with (
        sending(kafka_feed, sent),
        running_sink(kafka_feed.settings(database, sink_batch_rows=25)) as sink,
        ending(database),
    ):
        wait_for(sink, database, sent)
        assert sink.metric("pacing_sink_retries_total") > 0
        assert written_once(sink)


# --- the sink fails --------------------------------------------------------------------------------------------------


def test_a_sink_killed_again_and_again_ends_with_the_exact_rows(kafka_feed: Feed, database: str) -> None:
    sent = snapshots(50, range(30))
    settings = kafka_feed.settings(database, sink_batch_rows=20)
    with sending(kafka_feed, sent):
        for rows in (1, 500):
            process = SinkProcess(settings)
            wait_until(lambda rows=rows: count(database) >= rows, f"{rows} rows")  # type: ignore[misc]
            process.kill()
        with running_sink(settings) as sink:
            wait_for(sink, database, sent)
            assert written_once(sink)


def test_two_sinks_share_the_partitions_and_each_event_is_written_once(kafka_feed: Feed, database: str) -> None:
    sent = snapshots(50, range(40))
    settings = kafka_feed.settings(database, sink_batch_rows=25)
    with sending(kafka_feed, sent), running_sink(settings) as one:
        wait_until(lambda: count(database) > 0, "the first writes")
        with running_sink(settings) as two:
            wait_until(lambda: two.total("pacing_sink_rows_total") > 0 or one.is_level, "the second writes")
            everything = len(KINDS) * PARTITIONS
            wait_until(lambda: partitions(one) + partitions(two) == everything, "the partitions are shared")
        wait_for(one, database, sent)
        assert written_once(one, two)
    assert partitions(two) < len(KINDS) * PARTITIONS


def test_a_sink_that_was_frozen_while_another_took_over_writes_nothing_twice(kafka_feed: Feed, database: str) -> None:
    first, second = snapshots(50, range(10)), snapshots(50, range(10, 20))
    settings = kafka_feed.settings(database, sink_batch_rows=20)
    kafka_feed.send("snapshot_taken", first)
    zombie = SinkProcess(settings)
    try:
        wait_until(lambda: count(database) >= 100, "the first sink writes")
        zombie.freeze()
        with running_sink(settings) as sink:
            wait_for(sink, database, first)
            kafka_feed.send("snapshot_taken", second)
            zombie.wake()
            wait_for(sink, database, first + second)
            assert written_once(sink)
    finally:
        zombie.kill()


def test_a_defect_in_the_sink_is_told_and_the_sink_started_anew(
    kafka_feed: Feed, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.sink.thread.RESTART_SECONDS", 0.2)
    defects = iter([ZeroDivisionError("a defect"), None])

    class Defective(Sink):
        async def run(self, stop: Any) -> None:
            if (defect := next(defects)) is not None:
                raise defect
            await super().run(stop)

    sink = RunningSink(kafka_feed.settings(database))
    sink.thread = SinkThread(lambda: Defective(kafka_feed.settings(database), Metrics(CollectorRegistry())))
    sink.thread.start()
    try:
        wait_until(lambda: sink.thread.status()["error"] == "ZeroDivisionError: a defect", "the defect is told")
        sent = snapshots(5, [0])
        kafka_feed.send("snapshot_taken", sent)
        wait_for(sink, database, sent)
    finally:
        assert sink.thread.stop(20)


# --- the input fails -------------------------------------------------------------------------------------------------


def test_a_poisoned_event_does_not_block_those_behind_it(feed: Feed, database: str) -> None:
    good = snapshots(30, [0, 1])
    poison = [
        (b"campaign-1", b"nonsense"),
        (b"campaign-1", encoded([snapshot("nul", band="\0")])[0]),
        (b"campaign-2", None),
    ]
    feed.send("snapshot_taken", good[:30])
    feed.send_raw("snapshot_taken", poison)
    feed.send("snapshot_taken", good[30:])
    with running_sink(feed.settings(database)) as sink:
        wait_for(sink, database, good)
        assert sink.metric("pacing_sink_refused_total", topic=feed.topics["snapshot_taken"]) == 3
    refused = ask(database, "SELECT record_key, record_value FROM pacing_sink_refused")
    assert sorted(refused, key=str) == sorted(poison, key=str)


def test_events_of_an_aborted_transaction_are_not_written(kafka_feed: Feed, database: str) -> None:
    kept, dropped = snapshots(20, [0]), snapshots(20, [1])
    kafka_feed.send("snapshot_taken", kept)
    values = zip((body["campaign_id"].encode() for body in dropped), encoded(dropped), strict=True)
    kafka_feed.send_raw("snapshot_taken", values, abort=True)
    with running_sink(kafka_feed.settings(database)) as sink:
        wait_for(sink, database, kept)
    assert ids(database) == ids_of(kept)


def test_what_retention_took_before_it_was_read_is_told_and_the_rest_is_read(feed: Feed, database: str) -> None:
    first = [snapshot("campaign-1", NOON)]
    feed.send("snapshot_taken", first)
    with running_sink(feed.settings(database)):
        wait_for_position(database, 1 + 1)
    lost = lose_records(feed)
    last = [snapshot("campaign-1", NOON + 10_000 * MINUTE)]
    feed.send("snapshot_taken", last)

    with running_sink(feed.settings(database)) as again:
        wait_until(lambda: set(ids_of(last)) <= set(ids(database)), "what came after the gap")
        gaps = ask(database, "SELECT topic, from_offset, to_offset, reason FROM pacing_sink_gaps")
        assert gaps == [(feed.topics["snapshot_taken"], 2, lost, "retention")]
        assert again.metric("pacing_sink_gaps_total", topic=feed.topics["snapshot_taken"]) == lost - 2
    with running_sink(feed.settings(database)) as third:
        wait_until(lambda: third.is_level, "the sink has nothing left")
    assert len(ask(database, "SELECT * FROM pacing_sink_gaps")) == 1


def test_what_retention_takes_from_a_running_sink_is_told_too(feed: Feed, victim: Victim) -> None:
    first = [snapshot("campaign-1", NOON)]
    feed.send("snapshot_taken", first)
    with running_sink(feed.settings(victim.dsn)):
        wait_for_position(victim.dsn, 1 + 1)
        victim.server.stop()
        lost = lose_records(feed)
        last = [snapshot("campaign-1", NOON + 10_000 * MINUTE)]
        feed.send("snapshot_taken", last)
        victim.server.start()
        wait_until(lambda: set(ids_of(last)) <= set(ids(victim.dsn)), "what came after the gap")
        gaps = ask(victim.dsn, "SELECT to_offset, reason FROM pacing_sink_gaps")
        assert gaps == [(lost, "retention")]


def test_topics_made_anew_are_read_from_their_start_and_that_is_told(kafka_feed: Feed, database: str) -> None:
    sent = snapshots(5, [0])
    kafka_feed.send("snapshot_taken", sent)
    places = "SELECT $1::text, $2::text, n, 1000000 FROM generate_series(0, 3) n"
    statement = f"INSERT INTO pacing_sink_positions (sink, topic, partition, next_offset) {places} RETURNING 1"
    ask(database, statement, kafka_feed.app_id, kafka_feed.topics["snapshot_taken"])
    with running_sink(kafka_feed.settings(database)) as sink:
        wait_for(sink, database, sent)
    assert set(ask(database, "SELECT from_offset, to_offset, reason FROM pacing_sink_gaps")) == {
        (1_000_000, 0, "truncated")
    }


def test_events_of_many_months_find_their_partitions_in_any_order(kafka_feed: Feed, database: str) -> None:
    days = random.Random(5).sample(range(700), 40)
    sent = [snapshot(f"campaign-{day}", NOON - day * 24 * 60 * MINUTE) for day in days]
    months = {body["occurred_at"][:7] for body in sent}
    kafka_feed.send("snapshot_taken", sent)
    with running_sink(kafka_feed.settings(database)) as sink:
        wait_for(sink, database, sent)
    assert ask(database, "SELECT count(*) FROM pacing_snapshots_default") == [(0,)]
    assert ask(database, "SELECT count(DISTINCT tableoid) FROM pacing_snapshots") == [(len(months),)]


def test_what_is_older_than_the_retention_is_dropped_while_the_sink_runs(kafka_feed: Feed, database: str) -> None:
    old, young = [deviation("opened", "old", NOON - 400 * 24 * 60 * MINUTE)], [deviation("opened", "young", NOON)]
    kafka_feed.send("deviation_detected", old + young)
    with running_sink(kafka_feed.settings(database)) as sink:
        wait_for(sink, database, old + young)
    with running_sink(kafka_feed.settings(database, sink_retention_months=12)) as sink:
        wait_until(lambda: ids(database) == ids_of(young), "the old month is gone")
        wait_until(lambda: sink.is_level, "the sink has nothing left")


# --- what the tests do behind the sink's back ------------------------------------------------------------------------


def partitions(sink: RunningSink) -> int:
    """How many partitions a sink reads."""
    found = sink.thread.status().get("partitions")
    return found if isinstance(found, int) else 0


@contextmanager
def sending(feed: Feed, bodies: Sequence[Body], pieces: int = 20) -> Iterator[None]:
    """Send snapshots piece by piece, in a thread, while the body goes on; all are sent when it ends."""
    size = -(-len(bodies) // pieces)

    def send() -> None:
        for start in range(0, len(bodies), size):
            feed.send("snapshot_taken", bodies[start : start + size])

    with in_thread(send):
        yield


@contextmanager
def ending(dsn: str, sessions: int = 25) -> Iterator[None]:
    """End so many of the sink's sessions, each as soon as it is seen."""
    statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pacing-sink'"

    def end() -> None:
        ended = 0
        deadline = time.monotonic() + DEADLINE_SECONDS
        while ended < sessions and time.monotonic() < deadline:
            ended += len(ask(dsn, statement))

    with in_thread(end):
        yield


@contextmanager
def in_thread(body: Callable[[], None]) -> Iterator[None]:
    """Run *body* in a thread beside; its errors come out here."""
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(body)
        yield
        running.result()


def lose_records(feed: Feed) -> int:
    """Let Kafka delete what lies in campaign-1's partition of the snapshots; its first offset afterwards."""
    topic = feed.topics["snapshot_taken"]
    if feed.embedded:
        padded = [snapshot("campaign-1", NOON + n * MINUTE, padding="x" * 100_000) for n in range(1, 70)]
        for body in padded:
            feed.send("snapshot_taken", [body])
    else:
        feed.send("snapshot_taken", [snapshot("campaign-1", NOON + n * MINUTE) for n in range(1, 30)])
        place = TopicPartition(topic, *[number for number, (_, end) in enumerate(watermarks(feed)) if end])
        place.offset = watermarks(feed)[place.partition][1]
        admin = AdminClient({"bootstrap.servers": feed.bootstrap})  # its answers end with it
        admin.delete_records([place])[place].result(DEADLINE_SECONDS)
    wait_until(lambda: max(watermarks(feed))[0] > 2, "records are gone")
    return max(watermarks(feed))[0]


def watermarks(feed: Feed) -> list[tuple[int, int]]:
    """The first offset and the end of each partition of the snapshots."""
    consumer = Consumer({"bootstrap.servers": feed.bootstrap, "group.id": "watermarks", "log_level": 0})
    places = [TopicPartition(feed.topics["snapshot_taken"], number) for number in range(PARTITIONS)]
    try:
        return [consumer.get_watermark_offsets(place, timeout=10) for place in places]
    finally:
        consumer.close()


def wait_for_position(dsn: str, position: int) -> None:
    """Wait until the one partition that has been read stands there."""
    farthest = "SELECT max(next_offset) FROM pacing_sink_positions"
    wait_until(lambda: ask(dsn, farthest) == [(position,)], f"position {position}")
