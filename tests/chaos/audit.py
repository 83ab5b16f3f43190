"""
The audit after the faults: what came out, against what must come out of what went in; one partition after another.

What is said here is said of what a read-committed consumer sees, of the ledger as a restart would load it, and of
PostgreSQL's rows:

1. every event once, by its id; a campaign's snapshots each of a later tick than the one before, and no event of a
   campaign older than the one before it in its topic; ticks of a partition in order, each with as many snapshots as it
   says: so none was taken twice or by halves;
2. every snapshot counts exactly the updates before the position it names that are dated up to its tick, by campaign
   and channel: so state, position and events became visible together;
3. the ledger holds, campaign by campaign and figure by figure, the oracle's sums, and the dead letters exactly what
   the oracle refuses, each once;
4. every account snapshot is single, of a tick that every partition has closed, and the sum of the campaign snapshots of
   that tick; none lacks;
5. PostgreSQL holds the rows of exactly these events.
"""

from __future__ import annotations

import heapq
import json
import time
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from tests.chaos.oracle import Count, PartitionOracle, add, instant, nanos
from tests.kafka.stage import Stage
from tests.postgres.running import ask
from worker.ledger import Ledger
from worker.limits import ledger_limits
from worker.restore import load

READ_SECONDS: Final = 30.0
# A chunk is waited for until it is full or the time is over, also at the end of the log.
CHUNK_RECORDS: Final = 10_000
CHUNK_SECONDS: Final = 0.05

# The kinds of events by the table that holds them, and what its rows are told apart by.
TABLES: Final = {
    "snapshot_taken": ("pacing_snapshots", "snapshot_id"),
    "deviation_detected": ("pacing_deviations", "event_id"),
    "deviation_resolved": ("pacing_deviations", "event_id"),
    "reallocation_recommended": ("pacing_reallocations", "recommendation_id"),
    "account_snapshot_taken": ("pacing_account_snapshots", "snapshot_id"),
    "alert_raised": ("pacing_signals", "event_id"),
    "alert_cleared": ("pacing_signals", "event_id"),
}

Json = dict[str, Any]


@dataclass
class Found:
    """What an audit saw; *difference_nanos* is over all figures of all campaigns, and must be 0."""

    records: int = 0
    accepted: int = 0
    repeats: int = 0
    refused: int = 0
    campaigns: int = 0
    snapshots: int = 0
    incomplete: int = 0
    ticks: int = 0
    accounts: int = 0
    """Account snapshots."""
    aborted: int = 0
    rows: int = 0
    events: Counter[str] = field(default_factory=Counter)
    difference_nanos: int = 0


class Audit:
    """The audit of a stage whose workers have settled. *dsn* is where its rows are."""

    def __init__(self, stage: Stage, dsn: str) -> None:
        self._stage = stage
        self._dsn = dsn
        self._ids: dict[str, set[str]] = defaultdict(set)
        """What each table must hold."""
        self._spend: dict[str, int] = {}
        """What each snapshot's row must say."""
        self._accounts = Accounts()
        self.found = Found()

    def run(self) -> Found:
        """All of it; AssertionError tells the first thing that is not right."""
        for partition in range(self._stage.settings.partitions):
            self._check_partition(partition)
        self.found.accounts = self._accounts.check(self._stage.settings.partitions)
        self._check_rows()
        self._count_aborted()
        return self.found

    def _check_partition(self, partition: int) -> None:
        oracle = self._ask_oracle(partition)
        events = {kind: self._events(kind, partition) for kind in self._stage.outputs}
        snapshots = events["snapshot_taken"]
        check_order(events)
        self._accounts.take(events)
        check_ticks(events["tick_closed"], snapshots)
        self._check_snapshots(oracle, snapshots)
        self._check_ledger(oracle, partition)
        self._check_dead_letters(oracle, partition)
        self.found.ticks += len(events["tick_closed"])
        for kind, bodies in events.items():
            self._expect_rows(kind, bodies)

    # --- what came out of Kafka --------------------------------------------------------------------------------------

    def _ask_oracle(self, partition: int) -> PartitionOracle:
        oracle = PartitionOracle()
        for message in records(self._stage, self._stage.spend, partition):
            oracle.take(message.offset(), message.key(), message.value())
            self.found.records += 1
        self.found.accepted += oracle.accepted
        self.found.repeats += oracle.repeats
        self.found.refused += len(oracle.refused)
        return oracle

    def _events(self, kind: str, partition: int) -> list[Json]:
        bodies = [json.loads(m.value()) for m in records(self._stage, self._stage.outputs[kind], partition)]
        self.found.events[kind] += len(bodies)
        return bodies

    def _check_snapshots(self, oracle: PartitionOracle, snapshots: list[Json]) -> None:
        of_campaign: defaultdict[str, list[Json]] = defaultdict(list)
        for snapshot in snapshots:
            of_campaign[snapshot["campaign_id"]].append(snapshot)
            self.found.incomplete += not snapshot["complete"]
        for campaign, theirs in of_campaign.items():
            check_snapshots(oracle.counts[campaign], theirs, self._stage.spend)
        self.found.snapshots += len(snapshots)

    def _check_ledger(self, oracle: PartitionOracle, partition: int) -> None:
        """The ledger as a restart would load it, but for the place of its end."""
        settings = self._stage.settings
        ledger = Ledger(partition, settings.partitions, ledger_limits(settings))
        newest: dict[bytes, bytes | None] = {}
        for message in records(self._stage, self._stage.ledger, partition):
            newest.pop(message.key(), None)  # keys in the order of their last record
            newest[message.key()] = message.value()
        assert load(ledger, newest)
        campaigns = set(ledger.campaigns)
        assert oracle.counts.keys() <= campaigns, oracle.counts.keys() - campaigns
        for campaign in campaigns:
            held = {tuple(place): figures for place, figures in ledger.campaigns[campaign].totals.items()}
            exact = oracle.totals(campaign)
            self.found.difference_nanos += difference(held, exact)
            assert {p: f for p, f in held.items() if any(f)} == {p: f for p, f in exact.items() if any(f)}, campaign
        self.found.campaigns += len(campaigns)

    def _check_dead_letters(self, oracle: PartitionOracle, partition: int) -> None:
        offsets = []
        for message in records(self._stage, f"{self._stage.spend}.dlq", partition):
            headers = dict(message.headers() or [])
            assert headers["dlq_partition"] == str(partition).encode()
            offsets.append(int(headers["dlq_offset"]))
        assert len(offsets) == len(set(offsets)), "a dead letter was written twice"
        assert set(offsets) == oracle.refused, set(offsets) ^ oracle.refused

    def _count_aborted(self) -> None:
        """Records that were written and never became visible: that the kills met open transactions."""
        for topic in (self._stage.ledger, *self._stage.outputs.values()):
            for partition in range(self._stage.settings.partitions):
                written = sum(1 for _ in records(self._stage, topic, partition, isolation="read_uncommitted"))
                self.found.aborted += written - sum(1 for _ in records(self._stage, topic, partition))

    # --- what is in PostgreSQL ---------------------------------------------------------------------------------------

    def _expect_rows(self, kind: str, bodies: list[Json]) -> None:
        if kind in TABLES:
            table, name = TABLES[kind]
            ids = {body[name] for body in bodies}
            assert len(ids) == len(bodies), f"two events of {kind} have one {name}"
            assert not ids & self._ids[table]
            self._ids[table] |= ids
        if kind == "snapshot_taken":
            self._spend |= {body["snapshot_id"]: nanos(body["total_spend"]) or 0 for body in bodies}

    def _check_rows(self) -> None:
        for table, name in set(TABLES.values()):
            rows = [str(row[0]) for row in ask(self._dsn, f"SELECT {name} FROM {table}")]  # noqa: S608  our own names
            assert len(rows) == len(set(rows)), f"{table} holds a row twice"
            assert set(rows) == self._ids[table], f"{table}: {len(set(rows) ^ self._ids[table])} rows differ"
            self.found.rows += len(rows)
        spent = ask(self._dsn, "SELECT snapshot_id, total_spend FROM pacing_snapshots")
        assert {str(row): int(spend * 10**9) for row, spend in spent} == self._spend
        for table in ("pacing_sink_gaps", "pacing_sink_refused"):
            assert ask(self._dsn, f"SELECT * FROM {table}") == []  # noqa: S608  our own names


def committed_rows(stage: Stage) -> int:
    """How many rows the committed events make."""
    topics = (stage.outputs[kind] for kind in TABLES)
    return sum(1 for topic in topics for n in range(stage.settings.partitions) for _ in records(stage, topic, n))


def rows(dsn: str) -> int:
    """How many rows there are."""
    tables = sorted({table for table, _ in TABLES.values()})
    return sum(ask(dsn, f"SELECT count(*) FROM {table}")[0][0] for table in tables)  # noqa: S608  our own names


ADDED: Final = ("total_budget", "total_spend", "expected_spend")
CENT: Final = 10**7
"""Nanos of the minor unit of every currency here."""


class Accounts:
    """What account snapshots must be: the sums of what campaigns were told, over all partitions."""

    def __init__(self) -> None:
        self._sums: defaultdict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0] * (1 + len(ADDED)))
        self._closed: defaultdict[str, list[bool]] = defaultdict(list)
        self._told: list[Json] = []

    def take(self, events: dict[str, list[Json]]) -> None:
        """The events of a partition."""
        # Of the snapshots of a tick, periods that closed with it first, the last one is added up, unless it revises.
        children = {(s["timestamp"], s["campaign_id"]): s for s in events["snapshot_taken"] if not s["revision"]}
        for child in children.values():
            sums = self._sums[child["timestamp"], child["account_id"], child["currency"]]
            for place, figure in enumerate([1, *(nanos(child[name]) or 0 for name in ADDED)]):
                sums[place] += figure
        for event in events["tick_closed"]:
            self._closed[event["tick"]].append(event["complete"])
        self._told += events["account_snapshot_taken"]

    def check(self, partitions: int) -> int:
        """Hold them to it; how many there are."""
        last: dict[str, str] = {}
        told: set[tuple[str, str, str]] = set()
        for event in self._told:
            tick = event["timestamp"]
            closed = self._closed[tick]
            assert len(closed) == partitions, event
            assert event["complete"] == all(closed), event
            key = (tick, event["account_id"], event["currency"])
            assert key not in told, ("told twice", event)
            told.add(key)
            # A cap is told of before there is any campaign, too.
            self._compare(event, self._sums.pop(key, [0] * (1 + len(ADDED))))
            last[event["account_id"]] = max(tick, last.get(event["account_id"], ""))
        self._check_none_lacks(partitions, min(last.values(), default=""))
        return len(self._told)

    def _compare(self, event: Json, sums: list[int]) -> None:
        names = ("children_budget", "total_spend", *(() if event["cap"] else ("expected_spend",)))
        told = [event["campaigns"], *((nanos(event[name]) or 0) for name in names)]
        assert told[:2] == sums[:2], (sums, event)
        assert told[2] - (nanos(event["closed_spend"]) or 0) == sums[2], (sums, event)
        for expected in told[3:]:
            # The account's is rounded once, those of the campaigns each, half a minor unit at the most.
            assert abs(expected - sums[3]) * 2 <= (sums[0] + 1) * CENT, (sums, event)

    def _check_none_lacks(self, partitions: int, last: str) -> None:
        """Up to the last tick told of every account: the parts of later ones may be written and not read yet."""
        whole = {tick for tick, closed in self._closed.items() if len(closed) == partitions and tick <= last}
        assert {key for key in self._sums if key[0] in whole} == set()


def check_order(events: dict[str, list[Json]]) -> None:
    """Every event once by its id, and no campaign's events of a kind older than the one before."""
    ids = [body["event_id"] for bodies in events.values() for body in bodies]
    assert len(ids) == len(set(ids)), [each for each, times in Counter(ids).items() if times > 1][:3]
    for kind, bodies in events.items():
        last: dict[str, int] = {}
        for body in bodies:
            subject, tick = body.get("campaign_id", ""), when(body["occurred_at"])
            is_single = kind in ("snapshot_taken", "tick_closed")
            before = last.get(subject, -1)
            assert before < tick or (before == tick and not is_single), (kind, subject, before, body)
            last[subject] = tick


def check_ticks(closed: list[Json], snapshots: list[Json]) -> None:
    """Each tick has as many snapshots as it says, at its positions; but for the one that the end cut through."""
    covered = {event["tick"]: event["next_offsets"] for event in closed}
    last = max(map(when, covered), default=0)
    whole = [snapshot for snapshot in snapshots if when(snapshot["timestamp"]) <= last]
    taken = Counter(snapshot["timestamp"] for snapshot in whole)
    assert {event["tick"]: event["campaigns"] for event in closed if event["campaigns"]} == taken
    assert all(s["ledger_position"]["next_offsets"] == covered[s["timestamp"]] for s in whole)


def when(text: str) -> int:
    """A time that is one."""
    at = instant(text)
    assert at is not None, text
    return at


def check_snapshots(counts: Sequence[Count], snapshots: list[Json], spend_topic: str) -> None:
    """A campaign's snapshots, in order: each the sum of the counts known by its position and dated up to its tick."""
    known = 0
    totals: dict[Any, list[int]] = {}
    ahead: list[tuple[int, int]] = []
    for snapshot in snapshots:
        covered, tick = snapshot["ledger_position"]["next_offsets"][spend_topic], when(snapshot["timestamp"])
        while known < len(counts) and counts[known].offset < covered:
            heapq.heappush(ahead, (counts[known].at, known))
            known += 1
        while ahead and ahead[0][0] <= tick:
            add(totals, counts[heapq.heappop(ahead)[1]])
        check_snapshot(snapshot, totals, sum(counts[each].figures[0] for _, each in ahead))


def check_snapshot(snapshot: Json, totals: dict[Any, list[int]], future: int) -> None:
    """One snapshot's spend, its channels' spend and impressions, and what is dated after it."""
    exact = (sum(figures[0] for figures in totals.values()), future)
    told = (nanos(snapshot["total_spend"]), nanos(snapshot["future_spend"]))
    assert told == exact, (told, exact, snapshot)
    for channel in snapshot["channel_snapshots"]:
        figures = totals.get((channel["channel"], None), [0, 0])
        assert nanos(channel["spend"]) == figures[0], (channel, snapshot)
        assert channel["impressions"] == figures[1], (channel, snapshot)


def difference(held: dict[Any, list[int]], exact: dict[Any, list[int]]) -> int:
    """By how much two sets of totals differ, over all figures."""
    nothing = [0] * 8
    return sum(
        abs(this - that)
        for place in held.keys() | exact.keys()
        for this, that in zip(held.get(place, nothing), exact.get(place, nothing), strict=True)
    )


def records(stage: Stage, topic: str, partition: int, *, isolation: str = "read_committed") -> Iterator[Message]:
    """The records of a partition up to its end as it is now, one after another."""
    consumer = Consumer(
        {
            "bootstrap.servers": stage.bootstrap,
            "group.id": "nobody",
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, 0)])
        deadline = time.monotonic() + READ_SECONDS
        while time.monotonic() < deadline:
            messages = consumer.consume(CHUNK_RECORDS, CHUNK_SECONDS)
            deadline = time.monotonic() + READ_SECONDS if messages else deadline
            ended = yield from _good(messages)
            if ended:
                return
        raise AssertionError(f"no end of {topic}-{partition} was told")
    finally:
        consumer.close()


def _good(messages: Iterable[Message]) -> Generator[Message, None, bool]:
    for message in messages:
        if message.error() is None:
            yield message
        elif message.error().code() == KafkaError._PARTITION_EOF:
            return True
        else:
            raise AssertionError(message.error())
    return False
