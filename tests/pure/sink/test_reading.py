"""Records of the output topics as they are read: an event, or a reason why not."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from pydantic import BaseModel

from schemas.account import AccountSnapshotTaken
from schemas.alert import AlertCleared, AlertRaised
from schemas.deviation import DeviationDetected, DeviationResolved
from schemas.reallocation import ReallocationRecommended
from schemas.snapshot import SnapshotTaken
from tests.postgres.events import NOON, encoded, one_of_each, snapshot
from worker.sink.reading import KINDS, Event, Refused, SnapshotKey, read_event, read_events

MODELS: dict[str, type[BaseModel]] = {
    "snapshot_taken": SnapshotTaken,
    "deviation_detected": DeviationDetected,
    "deviation_resolved": DeviationResolved,
    "reallocation_recommended": ReallocationRecommended,
    "alert_raised": AlertRaised,
    "alert_cleared": AlertCleared,
    "account_snapshot_taken": AccountSnapshotTaken,
}


class FakeRecord(NamedTuple):
    """What Kafka would give."""

    value: bytes | None
    topic: str = "pacing.snapshot_taken"
    partition: int = 3
    offset: int = 17
    key: bytes | None = b"campaign-1"


@pytest.mark.parametrize("kind", KINDS)
def test_the_events_these_tests_are_made_of_are_those_of_the_contract(kind: str) -> None:
    (body,) = one_of_each("campaign-1", NOON)[kind]
    MODELS[kind].model_validate_json(encoded([body])[0])
    assert list(body) == list(MODELS[kind].model_fields)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_of_every_kind_is_read_with_its_id_and_tick(kind: str) -> None:
    (body,) = one_of_each("campaign-1", NOON)[kind]
    read = read_event(kind, FakeRecord(encoded([body])[0]))
    assert isinstance(read, Event)
    assert (read.key.event_id, read.key.occurred_at) == (body["event_id"], body["occurred_at"])
    assert read.body.encode() == encoded([body])[0]


def test_a_snapshot_is_also_read_for_what_decides_about_it() -> None:
    read = read_event("snapshot_taken", FakeRecord(encoded([snapshot(revision=2, final=True)])[0]))
    assert isinstance(read, Event)
    assert isinstance(read.key, SnapshotKey)
    assert (read.tick, read.key.revision, read.key.final) == (NOON, 2, True)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(None, "no value", id="a tombstone"),
        pytest.param(b"", "truncated", id="nothing"),
        pytest.param(b'{"event_id":', "truncated", id="half an object"),
        pytest.param(b"\xff\xfe", "utf-8", id="no UTF-8"),
        pytest.param(b"[]", "Expected `object`", id="no object"),
        pytest.param(b'{"event_id":"a"}', "missing required field", id="no tick"),
        pytest.param(encoded([snapshot(occurred_at="yesterday")])[0], "yesterday", id="no time"),
        pytest.param(encoded([snapshot(revision="1")])[0], "Expected `int`", id="a wrong type"),
    ],
)
def test_what_is_no_event_is_refused_with_the_reason(value: bytes | None, reason: str) -> None:
    record = FakeRecord(value)
    read = read_event("snapshot_taken", record)
    assert isinstance(read, Refused)
    assert read.record is record
    assert reason in read.reason


def test_of_events_with_one_id_the_first_stays_and_bad_ones_do_not_hide_good_ones() -> None:
    first, second = snapshot("campaign-1"), snapshot("campaign-2")
    values = [*encoded([first]), b"nonsense", *encoded([second, first])]
    read = read_events("snapshot_taken", [FakeRecord(value, offset=n) for n, value in enumerate(values)])
    assert [(event.key.event_id, event.record.offset) for event in read.events] == [
        (first["event_id"], 0),
        (second["event_id"], 2),
    ]
    assert [each.record.offset for each in read.refused] == [1]
    assert read.repeats == 1
