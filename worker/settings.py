"""
Every setting of the worker, in one list.

A setting ``tick_seconds`` is read from the environment as ``PACING_TICK_SECONDS``, else from ``.env`` in the current
directory, else from a file ``pacing_tick_seconds`` in the secrets directory (``PACING_SECRETS_DIR``, by default
``/run/secrets`` where it exists). Units stand last in the names. What is out of bounds refuses to start, in one
sentence that names the variable: a worker that guessed would pace money by the guess.

``python -m worker.settings`` prints the list as the table of the README.
"""

from __future__ import annotations

import os
import re
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSettings

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator, Mapping

PREFIX = "PACING_"
SECRETS_DIR_VARIABLE = "PACING_SECRETS_DIR"
USUAL_SECRETS_DIR = "/run/secrets"
NANOS = 10**9

# Kafka's own rule for topic names, less the four characters that ".dlq" takes.
TOPIC_NAME = r"^[a-zA-Z0-9._-]{1,245}$"
# An application id becomes part of topic names and transactional ids.
APP_ID = r"^[a-zA-Z0-9._-]{1,200}$"
DECADE_SECONDS = 3_653 * 86_400

TopicName = Annotated[str, Field(pattern=TOPIC_NAME)]


class SettingsError(Exception):
    """The settings are wrong; ``faults`` holds one sentence for each fault, each naming its variable."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__(" ".join(self.faults))


class Settings(BaseSettings):
    """What an operator can set. See the module's text for where values come from."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, validate_default=True)

    # --- Kafka -------------------------------------------------------------------------------------------------------
    kafka_bootstrap: str = Field(
        "localhost:9092", description="Brokers to ask first: `host:port`, several separated by commas."
    )
    app_id: str = Field(
        "pacing-worker",
        pattern=APP_ID,
        description="Name of this application: the consumer group, the ledger's topic and the transactional ids are"
        " made of it.",
    )
    group_instance_id: str | None = Field(
        None,
        pattern=APP_ID,
        description="Static member id of this process, one for each (a pod's name): a restart gets its partitions"
        " back at once"
        " instead of waiting out the session timeout. Empty: none.",
    )
    session_timeout_seconds: float = Field(
        10, ge=1, le=1800, description="Silence after which the group gives a member's partitions away, in seconds."
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to talk to the brokers."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism, where the protocol has SASL."
    )
    kafka_sasl_username: str = Field("", description="SASL user name.")
    kafka_sasl_password: SecretStr = Field(SecretStr(""), description="SASL password; best from a secrets file.")
    kafka_sasl_without_tls: bool = Field(
        False, description="Allow `SASL_PLAINTEXT`, which sends the password over the network in clear text."
    )
    kafka_tls_ca_file: Path | None = Field(
        None, description="PEM file of the authorities that sign the brokers' certificates. Empty: the system's."
    )
    kafka_tls_cert_file: Path | None = Field(None, description="PEM file of the client's certificate, for mutual TLS.")
    kafka_tls_key_file: Path | None = Field(None, description="PEM file of the client's key, for mutual TLS.")
    kafka_tls_key_password: SecretStr = Field(SecretStr(""), description="Password of the client's key.")
    embedded_broker: bool = Field(
        False,
        description="The brokers are librdkafka's in-process cluster: its control records carry bad checksums, so"
        " none are"
        " checked, and it makes no exactness promise. For the demo only.",
    )

    # --- topics ------------------------------------------------------------------------------------------------------
    topic_campaign_plans: TopicName = Field("pacing.campaign_plans", description="Input: plans, compacted.")
    topic_spend_updates: TopicName = Field("pacing.spend_updates", description="Input: spend.")
    topic_account_plans: TopicName = Field("pacing.account_plans", description="Input: caps of accounts, compacted.")
    topic_snapshot_taken: TopicName = Field("pacing.snapshot_taken", description="Output: snapshots.")
    topic_deviation_detected: TopicName = Field("pacing.deviation_detected", description="Output: deviations opened.")
    topic_deviation_resolved: TopicName = Field("pacing.deviation_resolved", description="Output: deviations ended.")
    topic_reallocation_recommended: TopicName = Field(
        "pacing.reallocation_recommended", description="Output: proposals."
    )
    topic_alert_raised: TopicName = Field("pacing.alert_raised", description="Output: other signals raised.")
    topic_alert_cleared: TopicName = Field("pacing.alert_cleared", description="Output: other signals cleared.")
    topic_tick_closed: TopicName = Field("pacing.tick_closed", description="Output: one for each partition and tick.")
    topic_account_snapshot_taken: TopicName = Field(
        "pacing.account_snapshot_taken", description="Output: roll-ups of accounts."
    )
    partitions: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Partitions of every topic. They must all have the same number, and it must not change while the"
        " ledger lives: a campaign's spend, plan and ledger meet in one partition. 0: as many as the topics that exist"
        " have, else 8.",
    )
    replication_factor: int = Field(
        0,
        ge=0,
        le=15,
        description="Copies of every topic that `pacing topics apply` creates; one less must be in sync for a write"
        " (at least one). 0: three, or as many as there are brokers.",
    )
    spend_retention_hours: int = Field(
        168,
        ge=1,
        le=876_000,
        description="How long spend is kept in its topic, in hours; longer than the worker is ever down.",
    )
    output_retention_hours: int = Field(
        168, ge=1, le=876_000, description="How long events are kept, in hours; longer than PostgreSQL is ever down."
    )
    dead_letter_retention_hours: int = Field(
        720, ge=1, le=876_000, description="How long dead letters are kept, in hours."
    )

    # --- ledger ------------------------------------------------------------------------------------------------------
    horizon_seconds: int = Field(
        604_800,
        ge=60,
        le=DECADE_SECONDS,
        description="How far back duplicates are found and originals can be corrected, in seconds of the"
        " partition's record"
        " timestamps. Each id costs memory for so long.",
    )
    corrigible_sources: Annotated[tuple[str, ...], NoDecode] = Field(
        ("*",),
        description="Sources whose updates may be corrected, separated by commas; `*` is all, empty is none. An id"
        " of another"
        " source costs a third of the memory.",
    )
    series_limit: int = Field(
        10_000,
        ge=1,
        le=10_000_000,
        description="Most running totals (series of cumulative reports) a campaign may have.",
    )

    # --- ticks and checkpoints ---------------------------------------------------------------------------------------
    tick_seconds: int = Field(
        60,
        ge=1,
        le=86_400,
        description="Time between ticks, in seconds; ticks are whole multiples of it since 1970 UTC.",
    )
    tick_wait_seconds: float | None = Field(
        None,
        ge=0,
        le=86_400,
        description="How long a tick waits for the input that was there at its time, in seconds; then it is taken"
        " as not"
        " `complete`. Empty: one tick.",
    )
    tick_slice_campaigns: int = Field(
        2_000,
        ge=1,
        le=1_000_000,
        description="Most campaigns of a tick in one transaction: a big tick never stalls intake.",
    )
    checkpoint_seconds: float = Field(
        0.5, ge=0.01, le=30, description="Time between checkpoints, in seconds: how much is folded again after a crash."
    )
    checkpoint_records: int = Field(
        50_000,
        ge=100,
        le=10_000_000,
        description="Most ledger records waiting for a checkpoint before it is taken early.",
    )
    checkpoint_timeout_seconds: float = Field(
        30, ge=1, le=600, description="A checkpoint that takes longer ends the process, in seconds; a restart recovers."
    )
    stop_timeout_seconds: float = Field(
        20, ge=1, le=600, description="A stop that takes longer ends the process, in seconds; a restart recovers."
    )
    fetch_bytes: int = Field(
        4 * 1024 * 1024, ge=65_536, le=64 * 1024 * 1024, description="Most bytes fetched of one partition at a time."
    )
    fetch_batches: int = Field(40, ge=1, le=10_000, description="Most record batches handed on as one message.")
    unfolded_messages: int = Field(
        8, ge=1, le=1_000, description="Most messages of record batches waiting to be folded before fetching pauses."
    )

    # --- PostgreSQL --------------------------------------------------------------------------------------------------
    postgres_dsn: SecretStr = Field(
        SecretStr(""),
        description="`postgresql://user:password@host:port/database`; best from a secrets file. Empty: no sink.",
    )
    sink_retention_months: int = Field(
        13, ge=1, le=1_200, description="Whole months of events kept in PostgreSQL; older partitions are dropped."
    )
    sink_history_seconds: int = Field(
        0,
        ge=0,
        le=2_678_400,
        description="Keep one snapshot a campaign for each so many seconds in the history (`pacing_current` always"
        " has the"
        " newest). 0: keep every one.",
    )
    sink_batch_rows: int = Field(5_000, ge=1, le=100_000, description="Most rows written in one transaction.")
    sink_pool_size: int = Field(4, ge=1, le=100, description="Most connections to PostgreSQL.")

    # --- web, metrics, logs ------------------------------------------------------------------------------------------
    web_host: str = Field("127.0.0.1", min_length=1, description="Address to serve health and metrics on.")
    web_port: int = Field(6066, ge=0, le=65_535, description="Port to serve health and metrics on; 0 takes a free one.")
    campaign_gauges: int = Field(
        1_000,
        ge=0,
        le=1_000_000,
        description="Most campaigns with gauges of their own in `/metrics`, first come, until they end; counts by"
        " state are"
        " always complete.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe that is logged."
    )
    log_format: Literal["console", "json"] = Field("console", description="How log lines look.")
    data_dir: Path = Field(
        Path(".pacing"), description="Directory for what is kept on this machine (demo, embedded parts)."
    )

    # --- derived -----------------------------------------------------------------------------------------------------
    @property
    def tick_nanos(self) -> int:
        """Time between ticks, in nanoseconds."""
        return self.tick_seconds * NANOS

    @property
    def tick_wait(self) -> float:
        """How long a tick waits for its input, in seconds: the setting, else one tick."""
        return float(self.tick_seconds) if self.tick_wait_seconds is None else self.tick_wait_seconds

    @property
    def horizon_nanos(self) -> int:
        """How far back identity reaches, in nanoseconds."""
        return self.horizon_seconds * NANOS

    @property
    def event_source(self) -> str:
        """``ce_source`` of every event: a URI reference that names the application."""
        return f"/{self.app_id}"

    @property
    def brokers(self) -> list[str]:
        """The brokers to ask first, as ``host:port`` each."""
        return [broker.strip() for broker in self.kafka_bootstrap.split(",")]

    def is_corrigible(self, source: str) -> bool:
        """Whether updates of *source* may be corrected, so that the ledger keeps what they said."""
        return "*" in self.corrigible_sources or source in self.corrigible_sources

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS side of a connection to the brokers; None where the protocol has none."""
        if not self.kafka_security_protocol.endswith("SSL"):
            return None
        import ssl

        context = ssl.create_default_context(cafile=self.kafka_tls_ca_file)
        if self.kafka_tls_cert_file is not None:
            password = self.kafka_tls_key_password.get_secret_value() or None
            context.load_cert_chain(self.kafka_tls_cert_file, self.kafka_tls_key_file, password)
        return context

    def kafka_options(self) -> dict[str, Any]:
        """The arguments every aiokafka client of ours takes: where the brokers are and how to talk to them."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.brokers,
            "security_protocol": self.kafka_security_protocol,
            "ssl_context": self.ssl_context(),
        }
        if self.kafka_security_protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": self.kafka_sasl_mechanism,
                "sasl_plain_username": self.kafka_sasl_username,
                "sasl_plain_password": self.kafka_sasl_password.get_secret_value(),
            }
        return options

    # --- what one field cannot say -----------------------------------------------------------------------------------
    @field_validator(
        "group_instance_id",
        "tick_wait_seconds",
        "kafka_tls_ca_file",
        "kafka_tls_cert_file",
        "kafka_tls_key_file",
        mode="before",
    )
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("kafka_bootstrap")
    @classmethod
    def _brokers_have_ports(cls, value: str) -> str:
        for broker in value.split(","):
            _check_broker(broker.strip())
        return value

    @field_validator("corrigible_sources", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("postgres_dsn")
    @classmethod
    def _dsn_is_a_postgres_url(cls, value: SecretStr) -> SecretStr:
        dsn = value.get_secret_value()
        if dsn and not dsn.startswith(("postgres://", "postgresql://")):
            raise ValueError("it must look like postgresql://user:password@host:port/database")
        return value

    @field_validator("kafka_tls_ca_file", "kafka_tls_cert_file", "kafka_tls_key_file")
    @classmethod
    def _file_is_there(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("there is no such file")
        return value

    @model_validator(mode="after")
    def _hold_together(self) -> Settings:
        fault = next(_faults_between(self), None)
        if fault is not None:
            raise ValueError(fault)
        return self


def _check_broker(broker: str) -> None:
    host, colon, port = broker.rpartition(":")
    if not (host and colon and re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65_536):
        raise ValueError(f"each broker must be host:port, and {broker!r} is not")


def _faults_between(settings: Settings) -> Iterator[str]:
    """What is wrong between settings that are each right, in sentences that name the variables."""
    protocol = settings.kafka_security_protocol
    if protocol == "SASL_PLAINTEXT" and not settings.kafka_sasl_without_tls:
        yield (
            "PACING_KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT, which sends the password in clear text:"
            " use SASL_SSL, or allow it with PACING_KAFKA_SASL_WITHOUT_TLS=true."
        )
    if protocol.startswith("SASL") and not settings.kafka_sasl_username:
        yield f"PACING_KAFKA_SASL_USERNAME is empty, and PACING_KAFKA_SECURITY_PROTOCOL={protocol} needs it."
    if settings.kafka_sasl_username and not protocol.startswith("SASL"):
        yield f"PACING_KAFKA_SASL_USERNAME is set, but PACING_KAFKA_SECURITY_PROTOCOL={protocol} does not use it."
    if (settings.kafka_tls_cert_file is None) != (settings.kafka_tls_key_file is None):
        yield "PACING_KAFKA_TLS_CERT_FILE and PACING_KAFKA_TLS_KEY_FILE go together, and one of them is empty."
    yield from _same_names(settings)


def _same_names(settings: Settings) -> Iterator[str]:
    variables: dict[str, str] = {f"{settings.app_id}-ledger": "PACING_APP_ID"}
    for field in Settings.model_fields:
        if field.startswith("topic_"):
            name = getattr(settings, field)
            other = variables.setdefault(name, variable(field))
            if other != variable(field):
                yield f"{variable(field)} and {other} both name the topic {name}."


def variable(field: str) -> str:
    """The environment variable of a setting: ``tick_seconds`` is read from ``PACING_TICK_SECONDS``."""
    return PREFIX + field.upper()


def load_settings(env_file: str | Path | None = ".env", **given: Any) -> Settings:
    """
    The settings of this process; *given* ones win over the environment, which wins over *env_file* and secrets.

    Raises SettingsError, with a sentence for each fault.
    """
    typos = _typos(env_file)
    if typos:
        raise SettingsError(typos)
    try:
        return Settings(_env_file=env_file, _secrets_dir=_secrets_dir(), **given)  # type: ignore[call-arg]
    except ValidationError as error:
        raise SettingsError(_sentence(fault) for fault in error.errors(include_url=False)) from None
    except (UnreadableSettings, OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"The settings ({env_file}, secrets) cannot be read: {error}."]) from None


def _secrets_dir() -> str | None:
    named = os.environ.get(SECRETS_DIR_VARIABLE)
    if named and not Path(named).is_dir():
        raise SettingsError([f"{SECRETS_DIR_VARIABLE} is {named!r}, which is not a directory."])
    return named or (USUAL_SECRETS_DIR if Path(USUAL_SECRETS_DIR).is_dir() else None)


def unknown_variables(names: Iterable[str]) -> dict[str, str | None]:
    """
    Variables that carry our prefix and are no setting, each with the setting it looks like.

    Some are honest: Kubernetes adds ``PACING_..._SERVICE_HOST`` for a service named ``pacing-...``.
    """
    known = [variable(field) for field in Settings.model_fields] + [SECRETS_DIR_VARIABLE]
    strange = [name for name in names if name.upper().startswith(PREFIX) and name.upper() not in known]
    return {name: next(iter(get_close_matches(name.upper(), known, 1, 0.85)), None) for name in strange}


def _typos(env_file: str | Path | None) -> list[str]:
    """Unknown variables of the ``.env`` file: nobody but the operator writes there, so each is a mistake."""
    if env_file is None or not Path(env_file).is_file():
        return []
    from dotenv import dotenv_values

    try:
        names = list(dotenv_values(env_file))
    except (OSError, UnicodeDecodeError) as error:
        return [f"{env_file} cannot be read: {error}."]
    return [
        f"{name} in {env_file} is not a setting" + (f"; {near} is." if near else ".")
        for name, near in unknown_variables(names).items()
    ]


def _sentence(fault: Mapping[str, Any]) -> str:
    """One sentence for one pydantic fault; values of secrets are never shown."""
    if not fault["loc"]:
        return str(fault["ctx"]["error"])
    field = str(fault["loc"][0])
    secret = "SecretStr" in str(Settings.model_fields[field].annotation)
    value = "set" if secret else repr(str(fault["input"]))
    return f"{variable(field)} is {value}: {_reason(fault)}."


def _reason(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    if fault["type"] == "string_pattern_mismatch":
        return "it must be letters, digits, '.', '_' and '-' only, and not too many"
    return str(fault["msg"]).replace("Input should", "it must")


def settings_table() -> str:
    """Every setting as a Markdown table, for the README: variable, default, bounds and meaning."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `{variable(name)}` | {_shown_default(field.default)} | {field.description}{_bounds(field)} |")
    return "\n".join(rows) + "\n"


def _shown_default(default: object) -> str:
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if isinstance(default, tuple):
        default = ",".join(default)
    if isinstance(default, bool):
        default = str(default).lower()
    return "" if default in (None, "") else f"`{default}`"


def _bounds(field: Any) -> str:
    least = next((m.ge for m in field.metadata if hasattr(m, "ge")), None)
    most = next((m.le for m in field.metadata if hasattr(m, "le")), None)
    return "" if least is None else f" {least} to {most}."


if __name__ == "__main__":
    sys.stdout.write(settings_table())
