"""
From the models to what other languages read: `json/*.json` (JSON Schema 2020-12) and `asyncapi.yaml` (AsyncAPI 3.1).

    python -m schemas.generate          writes both
    python -m schemas.generate --check  writes nothing; exits 1 and names the files that are not as the models say

Both are committed, so that a reader needs no Python; the check keeps them true. What is said here besides the models
is what a model cannot say: which topic, which way, which key, which headers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from schemas.account import AccountSnapshotTaken
from schemas.account_plan import AccountPlan
from schemas.alert import AlertCleared, AlertRaised
from schemas.campaign_plan import CampaignPlan
from schemas.dead_letter import DeadLetterHeaders
from schemas.deviation import DeviationDetected, DeviationResolved
from schemas.messages import Message
from schemas.reallocation import ReallocationRecommended
from schemas.reasons import REASONS
from schemas.snapshot import SnapshotTaken
from schemas.spend_update import SpendUpdate
from schemas.tick_closed import TickClosed

HERE: Final = Path(__file__).parent
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
Json = dict[str, Any]


class Described(NamedTuple):
    """A message: the file its schema is in, which way it goes, seen from the worker, and what its key is."""

    name: str
    model: type[Message]
    direction: Literal["in", "out"]
    key: str = "campaign_id"

    @property
    def topic(self) -> str:
        """The default name of its topic."""
        return f"pacing.{self.name}s" if self.direction == "in" else f"pacing.{self.name}"


MESSAGES: Final = (
    Described("campaign_plan", CampaignPlan, "in"),
    Described("spend_update", SpendUpdate, "in"),
    Described("account_plan", AccountPlan, "in", "account_id"),
    Described("snapshot_taken", SnapshotTaken, "out"),
    Described("deviation_detected", DeviationDetected, "out"),
    Described("deviation_resolved", DeviationResolved, "out"),
    Described("reallocation_recommended", ReallocationRecommended, "out"),
    Described("alert_raised", AlertRaised, "out"),
    Described("alert_cleared", AlertCleared, "out"),
    Described("tick_closed", TickClosed, "out", "partition"),
    Described("account_snapshot_taken", AccountSnapshotTaken, "out", "account_id"),
)


def main(arguments: list[str]) -> int:
    """Write the files, or with --check compare them; the exit code."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m schemas.generate [--check]\n")
        return 2
    stale = [path for path, text in generated() if not path.exists() or path.read_text("utf-8") != text]
    if arguments:
        for path in stale:
            sys.stderr.write(
                f"{path.relative_to(HERE.parent)} is not what the models say: run python -m schemas.generate\n"
            )
        return 1 if stale else 0
    write()
    return 0


def write() -> None:
    """Write every generated file."""
    for path, text in generated():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


def generated() -> Iterator[tuple[Path, str]]:
    """Every generated file and what belongs in it."""
    for name, schema in json_schemas():
        yield HERE / "json" / f"{name}.json", json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    yield HERE / "asyncapi.yaml", _yaml(asyncapi())


# -- JSON Schema ------------------------------------------------------------------------------------------------------


class _Schema(GenerateJsonSchema):
    """Pydantic's, without a title for every field: they repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # the signature is upstream's
        """Whether a field gets a title: none does."""
        return False


def json_schemas() -> Iterator[tuple[str, Json]]:
    """The name and the schema of every message, and of the headers of a dead letter."""
    for message in MESSAGES:
        yield message.name, _standing_alone(message.name, message.model, _mode(message))
    yield "dead_letter_headers", _standing_alone("dead_letter_headers", DeadLetterHeaders, "serialization")


def _mode(message: Described) -> JsonSchemaMode:
    """What is accepted of an input, what is written of an event."""
    return "validation" if message.direction == "in" else "serialization"


def _standing_alone(name: str, model: type[Message], mode: JsonSchemaMode) -> Json:
    schema = model.model_json_schema(schema_generator=_Schema, mode=mode)
    return {"$schema": DIALECT, "$id": f"urn:pacing:1:{name}", **_tidy(schema)}


def _tidy(schema: Any) -> Any:
    """Without `discriminator`, OpenAPI's word: each kind of curve says its `kind` itself."""
    if isinstance(schema, dict):
        return {word: _tidy(part) for word, part in schema.items() if not _is_discriminator(word, part)}
    return [_tidy(part) for part in schema] if isinstance(schema, list) else schema


def _is_discriminator(word: str, part: Any) -> bool:
    return word == "discriminator" and isinstance(part, dict) and "propertyName" in part


# -- AsyncAPI ---------------------------------------------------------------------------------------------------------

_KEYS: Final[dict[str, Json]] = {
    "campaign_id": {"type": "string", "description": "The campaign_id, as UTF-8 bytes, without quotes."},
    "account_id": {"type": "string", "description": "The account_id, as UTF-8 bytes, without quotes."},
    "partition": {"type": "string", "description": "The partition's number, as decimal digits."},
}

_PARTITIONING: Final[Json] = {
    "partitioner": "murmur2 of the key, the default of Java producers; librdkafka: murmur2_random",
    "partitions": "the same number for every topic, so that a campaign's plan, spend and events share a partition",
    "otherwise": "a record under another key or in another partition goes to the dead letters as wrong_partition",
}

_CLOUD_EVENTS: Final = {
    "ce_specversion": "Always 1.0.",
    "ce_id": "The event_id.",
    "ce_source": "The worker's PACING_APP_ID.",
    "ce_type": "The event_type.",
    "ce_time": "The tick, RFC 3339 in UTC.",
    "ce_subject": "The campaign_id, or the partition's number for tick_closed.",
    "content-type": "Always application/json.",
}

_ABOUT: Final = """\
Event-driven budget pacing for ad campaigns: plans and spend in, pacing out, one tick per window aligned to the clock.

Values are UTF-8 JSON, one object a message. Money goes in as a decimal string or a number read from its literal
digits, at most 9 decimals and below 10^12, and out as a decimal string. Times are RFC 3339 with an offset, out in UTC.
Percentages out are JSON numbers rounded once, half-even, to 2 decimals. Undefined is null, never 0. Unknown fields
are ignored on input; fields may be added to events, never renamed or retyped.

Events are written in Kafka transactions: read them with isolation.level=read_committed. Their ids are UUIDv5 of what
they mean, so a repeat can be told. Topic names are settings; these are the defaults.
"""


def asyncapi() -> Json:
    """The whole document; operations are seen from the worker: it receives plans and spend, and sends events."""
    return {
        "asyncapi": "3.1.0",
        "id": "urn:pacing:worker",
        "info": {
            "title": "pacing-worker",
            "version": "1.0.0",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": "localhost:9092", "protocol": "kafka", "description": "PACING_KAFKA_BOOTSTRAP."}},
        "channels": dict(_channels()),
        "operations": dict(_operations()),
        "components": {
            "messages": {**{message.name: _message(message) for message in MESSAGES}, "dead_letter": _dead_letter()},
            "messageTraits": {"cloud_event": {"headers": _headers(_CLOUD_EVENTS)}},
            "schemas": _shared_schemas(),
        },
    }


def _channels() -> Iterator[tuple[str, Json]]:
    for message in MESSAGES:
        yield message.name, _channel(message.topic, message.name, _first_line(message.model), _topic(message))
    for message in _inputs():
        about = f"What could not be accepted of {message.topic}: bytes untouched, the reason in headers."
        yield f"{message.name}_dead_letter", _channel(f"{message.topic}.dlq", "dead_letter", about, {})


def _channel(address: str, message: str, about: str, more: Json) -> Json:
    return {
        "address": address,
        "description": about,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        **more,
    }


def _topic(message: Described) -> Json:
    """How a producer finds a plan's or an update's partition, and how the topic is kept."""
    kept: Json = {"kafka": {"topicConfiguration": {"cleanup.policy": ["compact"]}}}
    more: Json = {"bindings": kept} if message.model in (CampaignPlan, AccountPlan) else {}
    partitioning = {"key": f"{message.key} as UTF-8 bytes", **_PARTITIONING}
    return more if message.key == "partition" else {**more, "x-partitioning": partitioning}


def _operations() -> Iterator[tuple[str, Json]]:
    for message in MESSAGES:
        action = "receive" if message.direction == "in" else "send"
        yield f"{action}_{message.name}", _operation(action, message.name, message.name)
    for message in _inputs():
        yield f"send_{message.name}_dead_letter", _operation("send", f"{message.name}_dead_letter", "dead_letter")


def _operation(action: str, channel: str, message: str) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
    }


def _inputs() -> Iterator[Described]:
    return (message for message in MESSAGES if message.direction == "in")


def _message(message: Described) -> Json:
    described: Json = {
        "name": message.name if message.direction == "in" else f"pacing.{message.name}",
        "title": message.model.__name__,
        "summary": _first_line(message.model),
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{message.model.__name__}"},
        "bindings": {"kafka": {"key": _KEYS[message.key]}},
        "examples": [{"name": message.name, "payload": example(message.name)}],
    }
    if message.direction == "out":
        described["traits"] = [{"$ref": "#/components/messageTraits/cloud_event"}]
    return described


def _dead_letter() -> Json:
    reasons = "\n".join(f"- `{reason}`: {meaning}" for reason, meaning in REASONS.items())
    return {
        "name": "dead_letter",
        "title": "DeadLetter",
        "summary": "What could not be accepted; its key and value are the input's bytes.",
        "description": f"The reasons:\n\n{reasons}\n",
        "contentType": "application/octet-stream",
        "headers": {"$ref": "#/components/schemas/DeadLetterHeaders"},
        "payload": {"description": "The input's bytes, untouched: any bytes at all."},
        "examples": [{"name": "dead_letter", "headers": example("dead_letter_headers")}],
    }


def _headers(headers: dict[str, str]) -> Json:
    fields = {name: {"type": "string", "description": about} for name, about in headers.items()}
    return {"type": "object", "properties": fields, "required": list(headers)}


def _shared_schemas() -> Json:
    """Every model and what it is made of, once."""
    models = [(message.model, _mode(message)) for message in MESSAGES]
    _, schemas = models_json_schema(
        [*models, (DeadLetterHeaders, "serialization")],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Schema,
    )
    shared: Json = _tidy(schemas["$defs"])
    return shared


def _first_line(model: type[Message]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def example(name: str) -> Json:
    """The example of a message: `examples/<name>.json`."""
    content: Json = json.loads((HERE / "examples" / f"{name}.json").read_text("utf-8"))
    return content


def _yaml(document: Json) -> str:
    import yaml

    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return "# Generated from the models by `python -m schemas.generate`; changes belong there.\n" + text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
