"""What is published: every field described and in the contract's order, an example of every message, nothing stale."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from schemas import generate
from schemas.campaign_plan import CampaignPlan
from schemas.dead_letter import DeadLetterHeaders, Reason
from schemas.fields import NANOS, parse_money, parse_time
from schemas.generate import MESSAGES, Described
from schemas.messages import Event, Message
from schemas.reasons import REASONS
from schemas.spend_update import FIGURES, SpendUpdate
from schemas.tick_closed import TickClosed
from schemas.wire import decode_plan, explain_plan, explain_update
from worker import settings
from worker.events import Origin, dead_letter_headers, event_headers
from worker.pacing.figures import FIGURES as COUNTED
from worker.pacing.figures import Attribution, Case, Counted, Figures
from worker.pacing.history import PlanHistory
from worker.pacing.reading import read_plan
from worker.pacing.state import PacingState
from worker.pacing.telling import Event as Told
from worker.pacing.tick import take_tick
from worker.tick import tick_closed

NAMES = [message.name for message in MESSAGES]
MODELS: dict[str, type[Message]] = {
    **{message.name: message.model for message in MESSAGES},
    "dead_letter_headers": DeadLetterHeaders,
}
EXAMPLES = Path(generate.HERE) / "examples"

# The contract's page, field by field.
PLAN = """
    campaign_id account_id name currency timezone total_budget flight_start flight_end period rollover curve
    weekday_weights hour_weights blackouts channels deals thresholds signals reallocation daily_budget platform
    automation budget_change_policy status partial_period effective_at projection
"""
UPDATE = """
    event_id source campaign_id channel deal_id line_item_id event_time kind spend corrects sequence series currency
    impressions clicks conversions bids wins requests conversion_value
"""
HEAD = "event_id event_type occurred_at campaign_id account_id currency"
SNAPSHOT = """
    snapshot_id timestamp total_budget total_spend expected_spend pacing_pct deviation_pct budget_used_pct elapsed_pct
    variance_pp band remaining_budget required_daily_spend projected_spend projection_method projected_exhaustion_at
    dark_days data_through late_spend plan_version revision final complete future_spend period_start period_end
    worst_child channel_snapshots deal_snapshots recommendations ledger_position budget_change_policy
    projected_spend_capped projection_reason rolling_7d_pacing_pct
"""
DEVIATION = """
    alert_id snapshot_id scope scope_id transition alert_level direction deviation_pct threshold_pct spend
    expected_spend message
"""
REALLOCATION = """
    recommendation_id snapshot_id type source_channel target_channel amount reason mode confidence status expires_at
    supersedes
"""
ALERT = "alert_id kind scope scope_id alert_level message evidence"
ACCOUNT_HEAD = "event_id event_type occurred_at account_id currency snapshot_id timestamp"
ACCOUNT = (
    "complete campaigns total_budget children_budget total_spend expected_spend pacing_pct deviation_pct"
    " budget_used_pct elapsed_pct variance_pp band projected_spend projected_exhaustion_at dark_days worst_child"
    " cap cap_difference closed_spend spendable period_start period_end exact"
)
FIELDS = {
    "campaign_plan": PLAN,
    "spend_update": UPDATE,
    "snapshot_taken": HEAD + SNAPSHOT,
    "deviation_detected": HEAD + DEVIATION,
    "deviation_resolved": HEAD + DEVIATION + "reason",
    "reallocation_recommended": HEAD + REALLOCATION,
    "alert_raised": f"{HEAD} {ALERT}",
    "alert_cleared": f"{HEAD} {ALERT}",
    "tick_closed": "event_id event_type occurred_at partition tick campaigns complete next_offsets",
    "account_plan": "account_id currency timezone total_budget flight_start flight_end period thresholds signals",
    "account_snapshot_taken": f"{ACCOUNT_HEAD} {ACCOUNT}",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_message_has_the_contracts_fields_in_its_order(name: str) -> None:
    assert list(MODELS[name].model_fields) == FIELDS[name].split()


def objects(schema: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The schema's objects with fields, each with its name."""
    yield name, schema
    yield from schema.get("$defs", {}).items()


@pytest.mark.parametrize("name", MODELS)
def test_every_field_at_every_depth_is_described(name: str) -> None:
    for owner, described in objects(dict(generate.json_schemas())[name], name):
        assert described.get("description"), owner
        for field, schema in described["properties"].items():
            assert schema.get("description", "").strip().endswith("."), f"{owner}.{field}"


@pytest.mark.parametrize(
    "message", [message for message in MESSAGES if message.direction == "out"], ids=lambda m: m.name
)
def test_every_field_of_an_event_is_always_there(message: Described) -> None:
    for owner, described in objects(dict(generate.json_schemas())[message.name], message.name):
        assert described["required"] == list(described["properties"]), owner


@pytest.mark.parametrize("name", ["campaign_plan", "spend_update", "account_plan"])
def test_every_optional_field_of_an_input_may_be_null(name: str) -> None:
    for owner, described in objects(dict(generate.json_schemas())[name], name):
        for field in set(described["properties"]) - set(described.get("required", [])):
            assert {"type": "null"} in described["properties"][field]["anyOf"], f"{owner}.{field}"


# -- examples ---------------------------------------------------------------------------------------------------------


def test_there_is_one_example_of_every_message_and_nothing_else() -> None:
    assert sorted(path.stem for path in EXAMPLES.iterdir()) == sorted(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_the_example_is_valid_by_the_model_and_by_the_published_schema(name: str) -> None:
    text = (EXAMPLES / f"{name}.json").read_text("utf-8")
    MODELS[name].model_validate_json(text)
    schema = json.loads((generate.HERE / "json" / f"{name}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(json.loads(text))


@pytest.mark.parametrize(
    "message", [message for message in MESSAGES if message.direction == "out"], ids=lambda m: m.name
)
def test_the_example_of_an_event_has_every_field_in_order(message: Described) -> None:
    assert list(generate.example(message.name)) == list(message.model.model_fields)


def test_the_examples_of_the_inputs_are_accepted() -> None:
    assert explain_update((EXAMPLES / "spend_update.json").read_bytes()) == ()
    assert explain_plan((EXAMPLES / "campaign_plan.json").read_bytes()) == ()


@pytest.mark.parametrize("name", MODELS)
def test_a_message_without_a_required_field_is_refused_by_its_model(name: str) -> None:
    content = generate.example(name)
    for field, described in MODELS[name].model_fields.items():
        if described.is_required():
            with pytest.raises(ValidationError, match=field):
                MODELS[name].model_validate({name: value for name, value in content.items() if name != field})


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("snapshot_taken", "total_spend", "1e3"),
        ("snapshot_taken", "total_spend", 5),
        ("snapshot_taken", "band", "odd"),
        ("snapshot_taken", "pacing_pct", "98.07"),
        ("snapshot_taken", "pacing_pct", 98.071),
        ("snapshot_taken", "pacing_pct", True),
        ("snapshot_taken", "variance_pp", None),
        ("snapshot_taken", "occurred_at", "2026-08-14T22:00:00"),
        ("snapshot_taken", "event_type", "pacing.tick_closed"),
        ("deviation_detected", "transition", "resolved"),
        ("deviation_resolved", "reason", None),
        ("reallocation_recommended", "status", "DONE"),
        ("alert_raised", "kind", "gut_feeling"),
        ("tick_closed", "next_offsets", {"pacing.spend_updates": -1}),
        ("dead_letter_headers", "dlq_reason", "dislike"),
    ],
)
def test_an_event_with_a_wrong_field_is_refused_by_its_model(name: str, field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        MODELS[name].model_validate({**generate.example(name), field: value})


def test_a_float_from_python_is_no_money_and_a_decimal_is() -> None:
    update = generate.example("spend_update")
    with pytest.raises(ValidationError, match="spend"):
        SpendUpdate.model_validate({**update, "spend": 2.37})
    assert SpendUpdate.model_validate({**update, "spend": Decimal("2.37")}).spend == Decimal("2.37")
    dumped = SpendUpdate.model_validate(update).model_dump(mode="json", exclude_none=True)
    assert SpendUpdate.model_validate(dumped) == SpendUpdate.model_validate(update)
    assert dumped["spend"] == "2.37"


# -- what is generated ------------------------------------------------------------------------------------------------


def test_what_is_committed_is_what_the_models_say() -> None:
    assert generate.main(["--check"]) == 0


def test_drift_is_found_and_named_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "HERE", tmp_path / "schemas")
    (tmp_path / "schemas" / "examples").mkdir(parents=True)
    for path in EXAMPLES.iterdir():
        (tmp_path / "schemas" / "examples" / path.name).write_bytes(path.read_bytes())
    assert generate.main(["--check"]) == 1
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    capsys.readouterr()
    stale = tmp_path / "schemas" / "json" / "alert_raised.json"
    stale.write_text(stale.read_text("utf-8").replace("A signal is up", "A signal was up"), "utf-8")
    assert generate.main(["--check"]) == 1
    assert (
        capsys.readouterr().err
        == "schemas/json/alert_raised.json is not what the models say: run python -m schemas.generate\n"
    )


def test_an_unknown_argument_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--force"]) == 2
    assert "usage" in capsys.readouterr().err


def test_the_document_has_a_channel_and_an_operation_for_every_topic() -> None:
    document = generate.asyncapi()
    addresses = {channel["address"] for channel in document["channels"].values()}
    defaults = settings.Settings.model_fields
    topics = {field.default for name, field in defaults.items() if name.startswith("topic_")}
    assert topics <= addresses
    inputs = ("pacing.campaign_plans", "pacing.spend_updates", "pacing.account_plans")
    assert addresses - topics == {f"{name}.dlq" for name in inputs}
    assert {operation["channel"]["$ref"] for operation in document["operations"].values()} == {
        f"#/channels/{name}" for name in document["channels"]
    }


# -- the neighbours ---------------------------------------------------------------------------------------------------


def test_the_reasons_are_one_list() -> None:
    assert list(REASONS) == list(typing.get_args(Reason))


def test_the_figures_of_an_update_are_those_the_ledger_counts() -> None:
    assert FIGURES == COUNTED


def test_a_dead_letters_headers_are_those_that_are_published() -> None:
    headers = dead_letter_headers(
        Origin("pacing.spend_updates", 3, 17), reason="invalid_field", field="spend", detail="no"
    )
    told = {name: value.decode() for name, value in headers}
    assert list(DeadLetterHeaders.model_validate(told).model_dump()) == list(told)


@pytest.mark.parametrize(
    "message", [message for message in MESSAGES if message.direction == "out"], ids=lambda m: m.name
)
def test_an_events_headers_are_those_that_are_published(message: Described) -> None:
    headers = dict(event_headers(generate.example(message.name), "pacing-worker"))
    published = generate.asyncapi()["components"]["messageTraits"]["cloud_event"]["headers"]
    assert set(headers) == set(published["required"])


def test_what_the_core_tells_is_what_is_published() -> None:
    told = list(story())
    models = {f"pacing.{message.name}": message.model for message in MESSAGES if issubclass(message.model, Event)}
    assert {event.body["event_type"] for event in told} == set(models)
    for event in told:
        model = models[event.body["event_type"]].model_validate(event.body)
        assert list(model.model_dump()) == list(event.body)


def test_the_partitions_tick_is_told_as_it_is_published() -> None:
    ledger = SimpleNamespace(tick=NANOS, partition=3, tick_campaigns=7, tick_complete=True, tick_positions={"plans": 5})
    told = tick_closed(ledger)  # type: ignore[arg-type]  # what is told of a ledger is all that is asked of it
    assert list(TickClosed.model_validate(told).model_dump()) == list(told)


def story() -> Iterator[Told]:
    """Two ticks of the example's plan: channels off plan both ways, then back, a case, spend that no plan knows."""
    message = decode_plan((EXAMPLES / "campaign_plan.json").read_bytes())
    assert message is not None
    plan = read_plan(message)
    assert not isinstance(plan, tuple)
    history, state = PlanHistory().with_version(plan, plan.flight.start), PacingState()
    cases = {"currency_mismatch": Case(2, {"USD": 5 * 10**9, "JPY": 10**9})}
    position = {"partition": 0, "next_offsets": {"pacing.spend_updates": 9}}
    for at, display, audio, case in (
        ("2026-08-15", "11900.50", "21050.00237", cases),
        ("2026-08-16", "22000", "14600", {}),
    ):
        totals = {
            Attribution("CTV", "prime-time"): figures("37000", 1000),
            Attribution("DISPLAY", None): figures(display, 0),
            Attribution("AUDIO", None): figures(audio, 7),
        }
        counted = Counted(totals, 5, 0, None, lambda _: {}, lambda _: None, [], case)
        tick = parse_time(f"{at}T00:00:00Z")
        events, state = take_tick(history, state, counted, as_of=tick, position=position)
        yield from events


def figures(spend: str, count: int) -> Figures:
    return [parse_money(spend, number=False), *[count] * 6, 0]


def test_the_plan_model_has_every_default_of_the_contract() -> None:
    least = {name: generate.example("campaign_plan")[name] for name in ("campaign_id", "account_id", "currency")}
    dates = {"total_budget": 1, "flight_start": "2026-07-01", "flight_end": "2026-07-02"}
    plan = CampaignPlan.model_validate({**least, **dates}).model_dump(mode="json", exclude_none=True)
    thresholds = {f"{side}pacing_{level}_pct": pct for side in ("under", "over") for level, pct in LEVELS}
    assert {name: plan[name] for name in DEFAULTS} == DEFAULTS
    assert plan["thresholds"] == {**thresholds, **THRESHOLDS}


LEVELS = (("warning", "10"), ("critical", "25"))
THRESHOLDS = {
    "exit_ratio": "0.8",
    "enter_ticks": 1,
    "exit_ticks": 1,
    "grace_days": 0,
    "min_expected": "0",
    "feed_lag_minutes": 0,
}
DEFAULTS = {
    "timezone": "UTC",
    "period": "flight",
    "rollover": "none",
    "curve": {"kind": "linear"},
    "reallocation": {"min_amount": "100", "max_pct": "30", "mode": "to_date", "receive": "overpacing"},
    "automation": "recommendations",
    "budget_change_policy": "forward",
    "status": "active",
    "partial_period": "full",
}
