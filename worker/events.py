"""
Events on their way out: which topic, which bytes, which headers.

A body is a flat JSON object with the contract's fields in the contract's order; the pacing core makes it, this module
only writes it down. Headers carry the CloudEvents 1.0 binary binding for Kafka, so that a consumer can route without
reading the body. Everything here is a function of the event, so a replay writes the same bytes.

A snapshot takes 5 to 10 microseconds here, so that a big tick is bound by the core and not by its ink.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from worker.pacing import Printed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.pacing import Event

Header = tuple[str, bytes]
Body = dict[str, Any]

CONTENT_TYPE: Final[Header] = ("content-type", b"application/json")
SPEC_VERSION: Final[Header] = ("ce_specversion", b"1.0")
TYPE_PREFIX: Final = "pacing."

# A number too large for a binary float to print exactly comes as Decimal; it is a number in JSON as well.
_encoder = msgspec.json.Encoder(decimal_format="number")


class Message(msgspec.Struct, frozen=True, gc=False):
    """What is produced to Kafka for one event."""

    topic: str
    key: bytes
    value: bytes
    headers: list[Header]


def encode_body(body: Body) -> bytes:
    """
    The JSON of an event's body, compact, in UTF-8.

    >>> encode_body({"campaign_id": "c-1", "pacing_pct": 92.2, "worst_child": None})
    b'{"campaign_id":"c-1","pacing_pct":92.2,"worst_child":null}'
    """
    return _encoder.encode(body)


def encode_event(event: Event | Printed) -> bytes:
    """The same of an event of the pacing core."""
    return event.text if isinstance(event, Printed) else encode_body(event.body)


def event_headers(body: Body, source: str) -> list[Header]:
    """
    The CloudEvents 1.0 attributes of an event as Kafka headers; *source* names the application.

    The subject is the campaign; the account where an event is about none; else the partition (``tick_closed``).
    """
    subject = body.get("campaign_id") or body.get("account_id") or str(body["partition"])
    return _headers(source, body["event_type"], body["event_id"], body["occurred_at"], subject)


def _headers(source: str, type_: str, event_id: str, occurred_at: str, subject: str) -> list[Header]:
    return [
        SPEC_VERSION,
        ("ce_id", event_id.encode()),
        _header("ce_source", source),
        _header("ce_type", type_),
        _header("ce_time", occurred_at),
        ("ce_subject", subject.encode()),
        CONTENT_TYPE,
    ]


@lru_cache(maxsize=64)
def _header(name: str, value: str) -> Header:
    """One that the events of a tick share."""
    return name, value.encode()


class EventWriter:
    """Turns the bodies of events into Kafka messages; *topics* is ``worker.topics.output_topics(settings)``."""

    def __init__(self, topics: Mapping[str, str], source: str) -> None:
        self._topics = {TYPE_PREFIX + kind: topic for kind, topic in topics.items()}
        self._source = source

    def message(self, body: Body) -> Message:
        """The message of one event, keyed by its campaign (else its account, else its partition)."""
        headers = event_headers(body, self._source)
        # The subject is the sixth header and, for every event, also the key.
        return Message(self._topics[body["event_type"]], headers[5][1], encode_body(body), headers)

    def printed(self, event: Printed) -> Message:
        """The message of a snapshot that is bytes already."""
        type_ = TYPE_PREFIX + event.kind
        headers = _headers(self._source, type_, event.event_id, event.tick, event.campaign_id)
        return Message(self._topics[type_], headers[5][1], event.text, headers)


class Origin(NamedTuple):
    """Where a refused message was read."""

    topic: str
    partition: int
    offset: int


def dead_letter_headers(origin: Origin, *, reason: str, field: str, detail: str) -> list[Header]:
    """
    Why a message was refused and where it was read; its key and value travel beside them, untouched.

    *field* is empty where the fault is not one field's.
    """
    return [
        ("dlq_reason", reason.encode()),
        ("dlq_field", field.encode("utf-8", "replace")),
        ("dlq_detail", detail.encode("utf-8", "replace")),
        ("dlq_topic", origin.topic.encode()),
        ("dlq_partition", str(origin.partition).encode()),
        ("dlq_offset", str(origin.offset).encode()),
    ]
