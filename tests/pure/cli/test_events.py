"""Events on the wire, held against the CloudEvents library."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from worker.events import EventWriter, Origin, dead_letter_headers, encode_body, event_headers
from worker.settings import Settings
from worker.topics import output_topics

SNAPSHOT = {
    "event_id": "0b5c1f6e-8a47-5d0e-9a56-0c6a1c3f8b11",
    "event_type": "pacing.snapshot_taken",
    "occurred_at": "2026-08-15T00:00:00Z",
    "campaign_id": "campaign-abc",
    "account_id": "acme",
    "currency": "USD",
    "pacing_pct": 92.2,
    "worst_child": None,
}
TICK_CLOSED = {
    "event_id": "5a0f8a0e-53a5-5a4e-8f5f-7f5f5b1de1a0",
    "event_type": "pacing.tick_closed",
    "occurred_at": "2026-08-15T00:00:00Z",
    "partition": 3,
    "tick": "2026-08-15T00:00:00Z",
}


def writer(**names: str) -> EventWriter:
    settings = Settings(**{f"topic_{kind}": name for kind, name in names.items()})  # type: ignore[arg-type]
    return EventWriter(output_topics(settings), settings.event_source)


def read_back(body: dict[str, Any]) -> CloudEvent:
    """The event as the CloudEvents library reads our message."""
    message = writer().message(body)
    read = from_binary(KafkaMessage(dict(message.headers), None, message.value), JSONFormat())
    assert isinstance(read, CloudEvent)
    return read


def test_the_cloudevents_library_reads_what_is_written() -> None:
    read = read_back(SNAPSHOT)
    assert read.get_id() == SNAPSHOT["event_id"]
    assert read.get_source() == "/pacing-worker"
    assert read.get_type() == "pacing.snapshot_taken"
    assert read.get_specversion() == "1.0"
    assert read.get_subject() == "campaign-abc"
    assert read.get_datacontenttype() == "application/json"
    assert read.get_data() == SNAPSHOT


def test_the_cloudevents_library_writes_the_same_headers() -> None:
    message = to_binary(read_back(SNAPSHOT), JSONFormat())
    assert message.headers == dict(event_headers(SNAPSHOT, "/pacing-worker"))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_campaign_id_survives_headers_key_and_body(campaign_id: str) -> None:
    body = {**SNAPSHOT, "campaign_id": campaign_id}
    message = writer().message(body)
    assert message.key.decode() == campaign_id
    assert read_back(body).get_subject() == campaign_id
    assert json.loads(message.value)["campaign_id"] == campaign_id


def test_a_closed_tick_is_about_its_partition() -> None:
    message = writer().message(TICK_CLOSED)
    assert message.key == b"3"
    assert read_back(TICK_CLOSED).get_subject() == "3"


def test_an_event_goes_to_the_topic_its_setting_names() -> None:
    assert writer(snapshot_taken="eu.snapshots").message(SNAPSHOT).topic == "eu.snapshots"
    assert writer().message(TICK_CLOSED).topic == "pacing.tick_closed"


def test_a_number_past_binary_floats_is_written_with_all_its_digits() -> None:
    assert encode_body({"pacing_pct": Decimal("123456789012345678.91")}) == b'{"pacing_pct":123456789012345678.91}'


def test_a_dead_letter_says_why_and_from_where() -> None:
    headers = dead_letter_headers(
        Origin("pacing.spend_updates", 3, 17), reason="invalid_field", field="spend", detail="'x' is not money"
    )
    assert dict(headers) == {
        "dlq_reason": b"invalid_field",
        "dlq_field": b"spend",
        "dlq_detail": b"'x' is not money",
        "dlq_topic": b"pacing.spend_updates",
        "dlq_partition": b"3",
        "dlq_offset": b"17",
    }
