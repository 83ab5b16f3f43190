"""Settings: where they come from, and what refuses to start."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from worker.exits import Exit
from worker.settings import PREFIX, Settings, SettingsError, load_settings, settings_table, unknown_variables, variable


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable, `.env` or secret of the machine gets into a test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PACING_SECRETS_DIR", str(tmp_path))


def refused(**variables: str) -> str:
    """The one sentence these variables are refused with."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with pytest.raises(SettingsError) as error:
            load_settings()
    assert len(error.value.faults) == 1
    return error.value.faults[0]


def test_the_contract_s_defaults_hold() -> None:
    settings = load_settings()
    assert settings.app_id == "pacing-worker"
    assert (settings.tick_seconds, settings.tick_wait, settings.checkpoint_seconds) == (60, 60.0, 0.5)
    assert settings.session_timeout_seconds == 10
    assert (settings.web_host, settings.web_port) == ("127.0.0.1", 6066)
    assert settings.postgres_dsn.get_secret_value() == ""
    assert settings.topic_spend_updates == "pacing.spend_updates"


def test_the_environment_wins_over_the_env_file_and_that_over_a_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pacing_postgres_dsn").write_text("postgresql://secret/a\n")
    assert load_settings().postgres_dsn.get_secret_value() == "postgresql://secret/a"
    (tmp_path / ".env").write_text("PACING_POSTGRES_DSN=postgresql://file/a\n")
    assert load_settings().postgres_dsn.get_secret_value() == "postgresql://file/a"
    monkeypatch.setenv("PACING_POSTGRES_DSN", "postgresql://environment/a")
    assert load_settings().postgres_dsn.get_secret_value() == "postgresql://environment/a"


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("PACING_TICK_SECONDS", "0", "greater than or equal to 1"),
        ("PACING_TICK_SECONDS", "60.5", "integer"),
        ("PACING_TICK_SECONDS", "", "integer"),
        ("PACING_CHECKPOINT_SECONDS", "nan", "less than or equal to 30"),
        ("PACING_WEB_PORT", "65536", "less than or equal to 65535"),
        ("PACING_KAFKA_BOOTSTRAP", "kafka", "host:port"),
        ("PACING_KAFKA_BOOTSTRAP", "kafka:9092,", "host:port"),
        ("PACING_KAFKA_BOOTSTRAP", "kafka:0", "host:port"),
        ("PACING_APP_ID", "my app", "letters"),
        ("PACING_TOPIC_SPEND_UPDATES", "spend updates", "letters"),
        ("PACING_POSTGRES_DSN", "mysql://host/db", "postgresql://"),
        ("PACING_LOG_LEVEL", "loud", "'debug'"),
        ("PACING_EMBEDDED_BROKER", "perhaps", "boolean"),
        ("PACING_KAFKA_TLS_CA_FILE", "nowhere.pem", "no such file"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_sentence_that_names_it(name: str, value: str, why: str) -> None:
    sentence = refused(**{name: value})
    assert sentence.startswith(f"{name} is ")
    assert why in sentence
    assert sentence.count("\n") == 0
    assert sentence.endswith(".")


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACING_TICK_SECONDS", "0")
    monkeypatch.setenv("PACING_WEB_PORT", "x")
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert [fault.split()[0] for fault in error.value.faults] == ["PACING_TICK_SECONDS", "PACING_WEB_PORT"]


def test_a_secret_is_never_shown() -> None:
    assert "hunter2" not in refused(PACING_POSTGRES_DSN="mysql://me:hunter2@host/db")
    assert "hunter2" not in repr(load_settings(kafka_sasl_password="hunter2"))  # noqa: S106


def test_a_password_in_clear_text_refuses_to_start_unless_allowed() -> None:
    given = {"PACING_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "PACING_KAFKA_SASL_USERNAME": "me"}
    sentence = refused(**given)
    assert "clear text" in sentence
    assert "PACING_KAFKA_SASL_WITHOUT_TLS" in sentence
    settings = load_settings(
        kafka_security_protocol="SASL_PLAINTEXT", kafka_sasl_username="me", kafka_sasl_without_tls=True
    )
    assert settings.ssl_context() is None


def test_sasl_over_tls_checks_the_brokers_certificates() -> None:
    given = {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_username": "me", "kafka_sasl_password": "a b"}
    options = load_settings(**given).kafka_options()
    assert options["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert options["ssl_context"].check_hostname is True
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("me", "a b")


@pytest.mark.parametrize(
    "given",
    [
        {"PACING_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"},
        {"PACING_KAFKA_SASL_USERNAME": "me"},
        {"PACING_TOPIC_ALERT_RAISED": "pacing.alert_cleared"},
        {"PACING_TOPIC_ALERT_RAISED": "pacing-worker-ledger"},
    ],
)
def test_settings_that_do_not_go_together_are_refused_by_name(given: dict[str, str]) -> None:
    assert next(iter(given)) in refused(**given)


def test_an_unknown_name_in_the_env_file_is_a_typing_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PACING_TICK_SECOND=5\nOTHER=1\n")
    assert refused() == "PACING_TICK_SECOND in .env is not a setting; PACING_TICK_SECONDS is."


def test_an_unreadable_env_file_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PACING_APP_ID=\xff\xfe\n")
    assert ".env cannot be read" in refused()


def test_a_secrets_directory_that_is_none_is_told(tmp_path: Path) -> None:
    assert refused(PACING_SECRETS_DIR=str(tmp_path / "none")).startswith("PACING_SECRETS_DIR is ")


def test_unknown_variables_of_the_environment_are_only_found() -> None:
    found = unknown_variables(["PACING_WORKER_SERVICE_HOST", "PACING_TICK_SECOND", "PACING_TICK_SECONDS", "HOME"])
    assert found == {"PACING_WORKER_SERVICE_HOST": None, "PACING_TICK_SECOND": "PACING_TICK_SECONDS"}


def test_sources_that_may_be_corrected_are_a_list() -> None:
    assert load_settings().is_corrigible("any")
    settings = load_settings(corrigible_sources="dv360, ttd")
    assert settings.is_corrigible("ttd")
    assert not settings.is_corrigible("meta")
    assert not load_settings(corrigible_sources="").is_corrigible("meta")


def test_every_setting_says_what_it_means() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description is not None
        assert field.description.endswith("."), name
        assert f"`{variable(name)}`" in settings_table()
    assert variable("tick_seconds") == PREFIX + "TICK_SECONDS"


def test_a_worker_tells_of_a_variable_that_is_almost_a_setting(tmp_path: Path) -> None:
    """Kubernetes sets others of our prefix for its services, so that a strange one cannot be refused."""
    environment = {
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "PACING_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "PACING_TICK_SECOND": "5",
        "PACING_WORKER_SERVICE_HOST": "10.0.0.1",
    }
    command = [sys.executable, "-m", "worker.cli", "worker"]
    ended = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == Exit.INPUT_STALLED
    assert "PACING_TICK_SECOND is set and is no setting; PACING_TICK_SECONDS is" in ended.stdout + ended.stderr
    assert "SERVICE_HOST" not in ended.stdout + ended.stderr
