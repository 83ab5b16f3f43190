"""
The fast reader and the published models are two readings of one contract: over a corpus of good and bad messages, and
over whatever Hypothesis makes of a good one, they give the same verdict and the same figures, and nothing else escapes.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from decimal import Decimal
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import wire
from schemas.campaign_plan import CampaignPlan
from schemas.fields import parse_time
from schemas.generate import json_schemas
from schemas.messages import Input
from schemas.spend_update import COUNTS, SpendUpdate
from schemas.wire import check_update, decode_plan, decode_update, decode_updates, explain_plan, explain_update
from tests.pure.schemas.corpus import Case, broken_values, plan_cases, update_cases

UPDATES = tuple(update_cases())
PLANS = tuple(plan_cases())
GOOD_UPDATE, GOOD_PLAN = UPDATES[0].value, PLANS[0].value
BROKEN_UPDATES = (*UPDATES, *broken_values(GOOD_UPDATE))
BROKEN_PLANS = (*PLANS, *broken_values(GOOD_PLAN))
SCHEMAS = dict(json_schemas())


def accepts_update(value: bytes) -> bool:
    update = decode_update(value)
    return update is not None and check_update(update) is not None


def model_of(model: type[Input], value: bytes) -> Any:
    """The model of *value*, None if it is refused; a refusal is a ValueError, always."""
    try:
        return model.model_validate_json(value)
    except ValueError:
        return None


def disagreements(cases: tuple[Case, ...], accepts: Any) -> list[str]:
    return [case.name for case in cases if accepts(case.value) != case.accepted]


# -- verdicts ---------------------------------------------------------------------------------------------------------


def test_the_corpus_is_large_and_of_both_verdicts() -> None:
    for cases, at_least in ((BROKEN_UPDATES, 2000), (BROKEN_PLANS, 1500)):
        assert len(cases) > at_least
        assert 0.05 < sum(case.accepted for case in cases) / len(cases) < 0.5
    assert {case.field for case in UPDATES} - {None, ""} == set(SpendUpdate.model_fields)
    assert set(CampaignPlan.model_fields) <= {case.field for case in PLANS}


def test_the_fast_reader_of_updates_gives_every_verdict_of_the_corpus() -> None:
    assert disagreements(BROKEN_UPDATES, accepts_update) == []


def test_the_model_of_updates_gives_every_verdict_of_the_corpus() -> None:
    assert disagreements(BROKEN_UPDATES, lambda value: model_of(SpendUpdate, value) is not None) == []


def test_the_fast_reader_of_plans_gives_every_verdict_of_the_corpus() -> None:
    assert disagreements(BROKEN_PLANS, lambda value: decode_plan(value) is not None) == []


def test_the_model_of_plans_gives_every_verdict_of_the_corpus() -> None:
    assert disagreements(BROKEN_PLANS, lambda value: model_of(CampaignPlan, value) is not None) == []


@pytest.mark.parametrize(("cases", "explain"), [(BROKEN_UPDATES, explain_update), (BROKEN_PLANS, explain_plan)])
def test_every_refusal_names_the_field_at_fault_and_nothing_is_said_against_a_good_message(
    cases: tuple[Case, ...], explain: Any
) -> None:
    for case in cases:
        faults = explain(case.value)
        if case.accepted:
            assert faults == (), case.name
        else:
            assert any(case.is_told_by(fault.field) for fault in faults), (case.name, faults)
            assert all(fault.message for fault in faults), case.name


@pytest.mark.parametrize(("cases", "name"), [(BROKEN_UPDATES, "spend_update"), (BROKEN_PLANS, "campaign_plan")])
def test_what_is_accepted_is_valid_by_the_published_schema(cases: tuple[Case, ...], name: str) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMAS[name], format_checker=jsonschema.FormatChecker())
    for case in cases:
        if case.accepted:
            errors = [error.message for error in validator.iter_errors(as_schemas_see_it(case.value))]
            assert errors == [], case.name


def as_schemas_see_it(value: bytes) -> Any:
    """JSON with exact numbers; an integer too long for Python to make is a Decimal, which is a number too."""
    return json.loads(
        value, parse_float=Decimal, parse_int=lambda text: int(text) if len(text) < 400 else Decimal(text)
    )


def test_every_fault_is_named_not_only_the_first() -> None:
    faults = explain_update(b'{"event_id":"","source":5,"kind":"gift","spend":"1e3","wins":1.0}')
    assert [fault.field for fault in faults] == [
        "event_id",
        "source",
        "campaign_id",
        "event_time",
        "kind",
        "spend",
        "wins",
    ]
    two = b'{"event_id":"e","source":"s","campaign_id":"c","event_time":"2026-07-01T00:00:00Z","clicks":-1,"bids":-1}'
    assert [fault.field for fault in explain_update(two)] == ["spend", "clicks", "bids"]


def test_a_fault_deep_in_a_plan_is_named_by_its_place() -> None:
    plan = json.loads(GOOD_PLAN)
    plan["channels"][0]["curve"]["segments"][1]["amount"] = "-1"
    plan["thresholds"]["exit_ratio"] = 2
    faults = explain_plan(json.dumps(plan).encode())
    assert [fault.field for fault in faults] == ["channels[0].curve.segments[1].amount", "thresholds.exit_ratio"]


@pytest.mark.parametrize("value", [b'"event_id":5,"event_id":"e-1",', b'"clicks":null,"clicks":"x","clicks":1,'])
def test_a_member_that_is_there_twice_and_once_wrong_is_refused_with_words(value: bytes) -> None:
    twice = GOOD_UPDATE.replace(b'"event_id":"e-1",', value)
    assert not accepts_update(twice)
    assert [fault.field for fault in explain_update(twice)]


# -- figures ----------------------------------------------------------------------------------------------------------


def test_both_readings_of_an_accepted_update_have_the_same_figures() -> None:
    for case in UPDATES:
        if case.accepted:
            assert_same_update(case.value)


def assert_same_update(value: bytes) -> None:
    update, model = decode_update(value), SpendUpdate.model_validate_json(value)
    assert update is not None
    money = [None if amount is None else int(amount.scaleb(9)) for amount in (model.spend, model.conversion_value)]
    assert check_update(update) == (parse_time(model.event_time), *money)
    same = ("event_id", "source", "campaign_id", "channel", "deal_id", "line_item_id", "corrects", "sequence", "series")
    for name in (*same, "currency", "event_time", *COUNTS):
        assert getattr(update, name) == getattr(model, name), name
    assert (update.kind or "increment") == model.kind


def test_both_readings_of_an_accepted_plan_have_the_same_figures() -> None:
    for case in PLANS:
        plan = decode_plan(case.value)
        if plan is not None:
            model = CampaignPlan.model_validate_json(case.value)
            assert in_nanos(model) == as_builtins(plan), case.name


def as_builtins(plan: wire.CampaignPlan) -> Any:
    return msgspec.to_builtins(plan, enc_hook=lambda value: int(value) if isinstance(value, int) else str(value))


def in_nanos(value: Any) -> Any:
    """What the model holds as the Struct does: amounts in nanos, effective_at an instant, nothing where it is None."""
    if isinstance(value, Input):
        fields = {name: in_nanos(getattr(value, name)) for name in type(value).model_fields}
        if fields.get("effective_at") is not None:
            fields["effective_at"] = parse_time(fields["effective_at"])
        return fields
    if isinstance(value, list):
        return [in_nanos(item) for item in value]
    return int(value.scaleb(9)) if isinstance(value, Decimal) else value


# -- many at once -----------------------------------------------------------------------------------------------------


def one_by_one(values: list[bytes]) -> list[wire.SpendUpdate | None]:
    return [decode_update(value) for value in values]


def test_many_values_are_read_as_each_alone() -> None:
    values = [case.value for case in BROKEN_UPDATES]
    random.Random(5).shuffle(values)
    for size in (1, 7, 500):
        for at in range(0, len(values), size):
            batch = values[at : at + size]
            assert decode_updates(batch) == one_by_one(batch)


def test_many_good_values_take_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [case.value for case in UPDATES if case.accepted]
    expected = one_by_one(values)
    monkeypatch.setattr(wire, "decode_update", None)
    assert decode_updates(values) == expected


WHOLE = GOOD_UPDATE
TWO = WHOLE + b" " + WHOLE
HALVES = (WHOLE[:-1], b"}")


@pytest.mark.parametrize(
    "values",
    [
        [WHOLE[: len(WHOLE) // 2], WHOLE[len(WHOLE) // 2 :], TWO],
        [TWO, *HALVES],
        [*HALVES, TWO, WHOLE],
        [b'{"unknown":[{}', b'{}],"event_id":"x"}', TWO],
        [b'{"unknown":{}', b'{"x":{}}', TWO],
        [WHOLE, b"", TWO],
        [WHOLE, b"\n", TWO],
        [WHOLE, WHOLE + b"\n" + WHOLE, b""],
        [WHOLE, None, TWO],
        [None],
        [],
    ],
)
def test_a_value_cut_in_half_is_never_made_whole_by_its_neighbours(values: list[bytes | None]) -> None:
    assert decode_updates(values) == [decode_update(value) for value in values]


@given(st.lists(st.sampled_from([WHOLE, TWO, *HALVES, b"", b"{}", b"[", b"]", WHOLE + b"\n", b"\n", b"{", b"}"])))
def test_no_mixture_of_wholes_and_halves_is_read_otherwise_than_each_alone(values: list[bytes]) -> None:
    assert decode_updates(values) == one_by_one(values)


# -- whatever else may come -------------------------------------------------------------------------------------------


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """A good message with some bytes replaced, put in or taken out."""
    value = bytearray(good)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(value)))
        piece = draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"{", b"}", b",", b"null", b"\\", b"1e5", b"-", b"9"])
        )
        value[at : at + draw(st.integers(0, 3))] = piece
    return bytes(value)


@given(damaged(GOOD_UPDATE))
def test_a_damaged_update_gets_the_same_verdict_from_both(value: bytes) -> None:
    accepted = accepts_update(value)
    assert bool(explain_update(value)) is not accepted
    if accepted:
        assert_same_update(value)


@given(damaged(GOOD_PLAN))
def test_a_damaged_plan_gets_the_same_verdict_from_both(value: bytes) -> None:
    accepted = decode_plan(value) is not None
    assert (model_of(CampaignPlan, value) is not None) is accepted
    assert bool(explain_plan(value)) is not accepted


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["1.5", "2026-07-01", "EUR"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(SpendUpdate.model_fields)), JSON)
def test_any_json_in_a_field_gets_the_same_verdict_from_both(field: str, json_value: Any) -> None:
    value = json.dumps({**json.loads(GOOD_UPDATE), field: json_value}).encode()
    assert (model_of(SpendUpdate, value) is not None) is accepts_update(value)


@given(st.sampled_from(sorted(CampaignPlan.model_fields)), JSON)
def test_any_json_in_a_plan_gets_the_same_verdict_from_both(field: str, json_value: Any) -> None:
    value = json.dumps({**json.loads(GOOD_PLAN), field: json_value}).encode()
    assert (model_of(CampaignPlan, value) is not None) is (decode_plan(value) is not None)


def test_reading_imports_no_pydantic() -> None:
    code = "import schemas.fields, schemas.wire, sys; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_amount_is_read_alike_however_often_it_comes() -> None:
    good = decode_update(GOOD_UPDATE)
    assert good is not None
    for amount in ("1.50", "1.50", b"1.50", b"1.50", 2, 2, "123456.789", "123456.789", b"1e-3", b"1e-3", "0", b"0e5"):
        update = msgspec.structs.replace(good, spend=amount)
        once, again = check_update(update), check_update(update)
        assert once is not None
        assert once == again


def test_memories_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from schemas import fields

    monkeypatch.setattr(wire, "_MEMORY", 10)
    monkeypatch.setattr(wire, "_amounts", {})
    monkeypatch.setattr(wire, "_literals", {})
    monkeypatch.setattr(fields, "_MEMORY", 10)
    for at in range(100):
        assert wire.nanos(str(at)) == at * 10**9
        assert wire.nanos(f"{at}.5".encode()) == at * 10**9 + 5 * 10**8
        assert parse_time(f"1970-01-01T00:00:01.{at:03d}Z") == 10**9 + at * 10**6
    assert len(wire._amounts) == len(wire._literals) == 10
    assert len(fields._tails) <= 10
