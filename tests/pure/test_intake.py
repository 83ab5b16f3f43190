"""Every fault of a plan is named at once: of form and of meaning, so that whoever mends it need not come back."""

from __future__ import annotations

import json

import pytest

from worker.intake import Unreadable, plan_of

GOOD = {
    "campaign_id": "c",
    "account_id": "a",
    "currency": "USD",
    "total_budget": "100",
    "flight_start": "2026-01-01T00:00:00Z",
    "flight_end": "2026-01-11T00:00:00Z",
}
OVER_ALLOCATED = {"channels": [{"channel": "CTV", "allocated_budget": "101"}]}
REVERSED_WARNING = {"thresholds": {"overpacing_warning_pct": 30}}


def faulty_fields(**changes: object) -> set[str]:
    found = plan_of(json.dumps(GOOD | changes).encode())
    assert isinstance(found, Unreadable)
    return {fault.field for fault in found.faults}


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"currency": "EURO"}, "currency"),
        ({"account_id": 7}, "account_id"),
        ({"status": "sleeping"}, "status"),
    ],
)
def test_a_fault_of_form_hides_no_fault_of_meaning(form: dict[str, object], field: str) -> None:
    found = faulty_fields(**form, **OVER_ALLOCATED, **REVERSED_WARNING)
    assert field in found
    assert any(name.startswith("channels") for name in found)
    assert any(name.startswith("thresholds") for name in found)


def test_a_plan_without_a_budget_is_not_said_to_allocate_too_much() -> None:
    assert not any(name.startswith("channels") for name in faulty_fields(total_budget="much", **OVER_ALLOCATED))


def test_a_deal_is_not_blamed_for_a_channel_that_cannot_be_read() -> None:
    changes = {"channels": [{"channel": 5, "allocated_budget": "1"}], "deals": [{"deal_id": "d", "channel": "CTV"}]}
    assert not any(name == "deals[0].channel" for name in faulty_fields(**changes))


def test_a_plan_without_a_flight_is_judged_by_its_form_alone() -> None:
    assert faulty_fields(flight_start="soon", **OVER_ALLOCATED) == {"flight_start"}
