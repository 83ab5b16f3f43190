"""A plan that holds, and every fault of one that does not."""

# ruff: noqa: E501  # a row of a table is one line

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from schemas.fields import NANOS, format_time, local_midnight, zone_of
from schemas.wire import Fault, decode_plan
from tests.pure import oracle
from worker.pacing import Channel, Deal, Flight, Plan, Reallocation, Thresholds, read_plan
from worker.pacing.amounts import DAY
from worker.pacing.plan import EVEN, LINEAR, Calendar, Curve, Recurrence, Segment
from worker.pacing.reading import NOT_BUILT

Json = dict[str, Any]

LEAST: Json = {
    "campaign_id": "c-1",
    "account_id": "a-1",
    "currency": "EUR",
    "total_budget": "1000.50",
    "flight_start": "2026-07-01",
    "flight_end": "2026-07-31",
}


def read(**changes: Any) -> Plan | tuple[Fault, ...]:
    wire = decode_plan(json.dumps({**LEAST, **changes}).encode())
    assert wire is not None, changes
    return read_plan(wire)


def good(**changes: Any) -> Plan:
    plan = read(**changes)
    assert isinstance(plan, Plan), plan
    return plan


def faults(**changes: Any) -> dict[str, str]:
    """The faults by field; every field has at most one here."""
    found = read(**changes)
    assert not isinstance(found, Plan)
    assert len({fault.field for fault in found}) == len(found)
    return dict(found)


def test_the_least_plan_has_the_contracts_defaults() -> None:
    assert good() == Plan(
        campaign_id="c-1",
        account_id="a-1",
        name=None,
        currency="EUR",
        minor_digits=2,
        timezone="UTC",
        total_budget=1_000_500_000_000,
        flight=Flight(1_782_864_000 * NANOS, (1_782_864_000 + 31 * 86_400) * NANOS),
        channels=(),
        deals=(),
        thresholds=Thresholds(
            underpacing_warning_pct=10 * NANOS,
            underpacing_critical_pct=25 * NANOS,
            overpacing_warning_pct=10 * NANOS,
            overpacing_critical_pct=25 * NANOS,
            exit_ratio=800_000_000,
            enter_ticks=1,
            exit_ticks=1,
            grace=0,
            min_expected=0,
            feed_lag=0,
        ),
        reallocation=Reallocation(100 * NANOS, 30 * NANOS),
        automation="recommendations",
        budget_change_policy="forward",
        status="active",
        silenced=(),
        effective_at=None,
    )


def test_a_full_plan_is_read_whole() -> None:
    plan = good(
        name="Summer",
        currency="JPY",
        timezone="Asia/Tokyo",
        total_budget=1000,
        flight_start="2026-07-01T00:00:00+09:00",
        flight_end="2026-07-02T00:00:00+09:00",
        channels=[
            {"channel": "ctv", "allocated_budget": 600, "min_budget": 100},
            {"channel": "audio", "allocated_budget": 400, "curve": {"kind": "linear"}},
        ],
        deals=[
            {"deal_id": "d-1", "channel": "ctv", "allocated_budget": 300, "flight_end": "2026-07-01"},
            {"deal_id": "d-2", "allocated_budget": 1, "flight_start": "2026-07-01T12:00:00+09:00"},
            {"deal_id": "d-3", "allocated_budget": 2},
        ],
        thresholds={
            "underpacing_warning_pct": 1,
            "underpacing_critical_pct": 2,
            "overpacing_warning_pct": 3,
            "overpacing_critical_pct": 4,
            "exit_ratio": "0.5",
            "enter_ticks": 6,
            "exit_ticks": 7,
            "grace_days": 8,
            "min_expected": "9.5",
            "feed_lag_minutes": 10,
        },
        reallocation={"min_amount": 11, "max_pct": 12},
        automation="insight_only",
        budget_change_policy="rebase",
        status="paused",
        signals={"over_budget": False, "unplanned_channel": True, "conflicting_update": False},
        effective_at="2026-06-01T00:00:00Z",
        projection="seasonal",
        daily_budget=40,
        platform="google",
    )
    start = 1_782_831_600 * NANOS
    assert plan == Plan(
        campaign_id="c-1",
        account_id="a-1",
        name="Summer",
        currency="JPY",
        minor_digits=0,
        timezone="Asia/Tokyo",
        total_budget=1000 * NANOS,
        flight=Flight(start, start + DAY),
        channels=(Channel("ctv", 600 * NANOS, 100 * NANOS), Channel("audio", 400 * NANOS, 0, LINEAR)),
        deals=(
            Deal("d-1", "ctv", 300 * NANOS, Flight(start, start + DAY)),
            Deal("d-2", None, NANOS, Flight(start + DAY // 2, start + DAY)),
            Deal("d-3", None, 2 * NANOS, None),
        ),
        thresholds=Thresholds(
            underpacing_warning_pct=1 * NANOS,
            underpacing_critical_pct=2 * NANOS,
            overpacing_warning_pct=3 * NANOS,
            overpacing_critical_pct=4 * NANOS,
            exit_ratio=500_000_000,
            enter_ticks=6,
            exit_ticks=7,
            grace=8 * DAY,
            min_expected=9_500_000_000,
            feed_lag=600 * NANOS,
        ),
        reallocation=Reallocation(11 * NANOS, 12 * NANOS),
        automation="insight_only",
        budget_change_policy="rebase",
        status="paused",
        silenced=("conflicting_update", "over_budget"),
        effective_at=1_780_272_000 * NANOS,
        projection="seasonal",
    )
    assert {type(plan.total_budget), type(plan.campaign_id), type(plan.channels[0].allocated_budget)} == {int, str}


def test_null_is_absent() -> None:
    optional = ["name", "timezone", "channels", "deals", "thresholds", "signals", "reallocation", "status", "curve"]
    assert good(**dict.fromkeys(optional)) == good()


def test_a_deal_may_name_one_end_of_its_flight() -> None:
    plan = good(deals=[{"deal_id": "d", "allocated_budget": 1, "flight_start": "2026-07-05"}])
    assert plan.deals[0].flight == Flight(plan.flight.start + 4 * DAY, plan.flight.end)


CTV = {"channel": "ctv", "allocated_budget": 600}
AUDIO = {"channel": "audio", "allocated_budget": 400}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"flight_end": "2026-06-30"},
            {"flight_end": "the flight ends before it starts: the end must be after flight_start"},
            id="a flight that ends as it starts",
        ),
        pytest.param(
            {"channels": [CTV, {**AUDIO, "allocated_budget": "400.51"}]},
            {"channels": "1000.51 EUR is more than the total budget, 1000.50 EUR"},
            id="channels above the budget",
        ),
        pytest.param(
            {"channels": [CTV, {"channel": "ctv", "allocated_budget": 1}]},
            {"channels[1].channel": "'ctv' is listed twice"},
            id="a channel twice",
        ),
        pytest.param(
            {"channels": [AUDIO, {**CTV, "min_budget": "600.01"}]},
            {"channels[1].min_budget": "600.01 EUR is more than the allocated budget, 600.00 EUR"},
            id="a minimum above the allocation",
        ),
        pytest.param(
            {"channels": [CTV], "deals": [{"deal_id": "d", "channel": "radio", "allocated_budget": 1}]},
            {"deals[0].channel": "the plan has no channel 'radio'"},
            id="a deal of an unknown channel",
        ),
        pytest.param(
            {
                "channels": [AUDIO, CTV],
                "deals": [
                    {"deal_id": "d", "channel": "ctv", "allocated_budget": 300},
                    {"deal_id": "e", "channel": "ctv", "allocated_budget": 301},
                    {"deal_id": "f", "channel": "audio", "allocated_budget": 1},
                ],
            },
            {"deals": "601.00 EUR is more than the budget of their channel 'ctv', 600.00 EUR"},
            id="deals above their channel's budget",
        ),
        pytest.param(
            {"deals": [{"deal_id": "d", "allocated_budget": 1000}, {"deal_id": "e", "allocated_budget": 1}]},
            {"deals": "1001.00 EUR is more than the total budget, 1000.50 EUR"},
            id="deals above the budget",
        ),
        pytest.param(
            {"deals": [{"deal_id": "d", "allocated_budget": 1}, {"deal_id": "d", "allocated_budget": 1}]},
            {"deals[1].deal_id": "'d' is listed twice"},
            id="a deal twice",
        ),
        pytest.param(
            {"deals": [{"deal_id": "d", "allocated_budget": 1, "flight_start": "2026-07-05", "flight_end": "2026-07-04"}]},
            {"deals[0].flight_end": "the deal's flight ends before it starts"},
            id="a deal's flight reversed",
        ),
        pytest.param(
            {"thresholds": {"underpacing_warning_pct": "25.1", "overpacing_critical_pct": "9.9"}},
            {
                "thresholds.underpacing_warning_pct": "is above underpacing_critical_pct",
                "thresholds.overpacing_warning_pct": "is above overpacing_critical_pct",
            },
            id="warning above critical, on both sides",
        ),
        pytest.param(
            {"reallocation": {"mode": "forward", "receive": "efficiency"}},
            {"reallocation.mode": NOT_BUILT + "forward", "reallocation.receive": NOT_BUILT + "efficiency"},
            id="reallocation",
        ),
        pytest.param({"automation": "fully_automated"}, {"automation": NOT_BUILT + "fully_automated"}, id="automation"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_hold_is_refused(changes: Json, expected: dict[str, str]) -> None:
    assert faults(**changes) == expected


def test_every_fault_is_named_at_once() -> None:
    found = faults(
        flight_end="2026-06-01",
        channels=[CTV, {**CTV, "min_budget": 601}],
        deals=[{"deal_id": "d", "channel": "radio", "allocated_budget": 2000, "flight_end": "2026-05-01"}],
        thresholds={"overpacing_warning_pct": 26},
        automation="semi_automated",
    )
    assert list(found) == [
        "flight_end",
        "channels[1].channel",
        "channels[1].min_budget",
        "channels",
        "deals[0].channel",
        "deals[0].flight_end",
        "deals",
        "thresholds.overpacing_warning_pct",
        "automation",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"channels": [CTV, {**AUDIO, "allocated_budget": "400.5"}]}, id="channels that use the whole budget"),
        pytest.param({"channels": [CTV], "deals": [{"deal_id": "d", "channel": "ctv", "allocated_budget": 600}]}, id="a deal that is its channel"),
        pytest.param({"channels": [{**CTV, "min_budget": 600}]}, id="a minimum that is the allocation"),
        pytest.param({"deals": [{"deal_id": "d", "channel": "radio", "allocated_budget": 1}]}, id="a deal's channel where none is listed"),
        pytest.param({"thresholds": {"underpacing_warning_pct": 25, "overpacing_warning_pct": 25}}, id="warning at critical"),
        pytest.param({"flight_end": "2026-07-01T00:00:00.000000001Z"}, id="a flight of a nanosecond"),
        pytest.param({"deals": [{"deal_id": "d", "allocated_budget": 1, "flight_start": "2026-01-01", "flight_end": "2026-12-31"}]}, id="a deal longer than the flight"),
        pytest.param({"channels": [CTV, {**CTV, "channel": "Ctv", "allocated_budget": 0}]}, id="names differ by case"),
        pytest.param({"signals": {"no_such_signal": False}}, id="an unknown signal"),
    ],
)  # fmt: skip
def test_a_plan_at_the_limit_holds(changes: Json) -> None:
    good(**changes)


# -- curves, weights, blackouts ------------------------------------------------------------------------------------------

JULY = 1_782_864_000 * NANOS
"""The start of LEAST's flight."""


def custom(*segments: tuple[str, object], as_: str = "pct") -> Json:
    return {"kind": "custom", "segments": [{"start": start, as_: share} for start, share in segments]}


@pytest.mark.parametrize(
    ("curve", "read_as"),
    [
        pytest.param(None, LINEAR, id="none"),
        pytest.param({"kind": "linear"}, LINEAR, id="linear"),
        pytest.param({"kind": "front_loaded", "factor": "0.5"}, Curve("loaded", 500_000_000), id="front"),
        pytest.param({"kind": "back_loaded", "factor": 1}, Curve("loaded", -NANOS), id="back"),
        pytest.param({"kind": "finish_early", "full_spend_at_pct": "99.9"}, Curve("finish_early", 99_900_000_000), id="early"),
        pytest.param({"kind": "finish_early", "full_spend_at_pct": 100}, LINEAR, id="early at the end is linear"),
        pytest.param(
            custom(("2026-07-01", 20), ("2026-07-04", "80")),
            Curve("custom", segments=(Segment(JULY, 1), Segment(JULY + 3 * DAY, 4))),
            id="20 % and 80 % are 1 to 4",
        ),
        pytest.param(
            custom(("2026-07-01T00:00:00Z", "200.1"), ("2026-07-04", "800.4"), as_="amount"),
            Curve("custom", segments=(Segment(JULY, 1), Segment(JULY + 3 * DAY, 4))),
            id="amounts are the shares they are",
        ),
    ],
)  # fmt: skip
def test_a_curve_is_read_as_what_it_means(curve: Json | None, read_as: Curve) -> None:
    assert good(curve=curve).curve == read_as
    budget = {"channel": "ctv", "allocated_budget": "1000.5"}
    assert good(channels=[{**budget, "curve": curve}]).channels[0].curve == (None if curve is None else read_as)


def test_weights_are_read_in_lowest_terms_with_their_zone() -> None:
    calendar = good(
        timezone="Europe/Berlin", weekday_weights=[1, "1.5", 0, 1, 1, 1, 2], hour_weights=[30] * 24
    ).calendar
    assert calendar == Calendar("Europe/Berlin", (2, 3, 0, 2, 2, 2, 4), (1,) * 24)


def test_without_weights_the_zone_makes_no_density() -> None:
    assert good(timezone="Europe/Berlin").calendar == EVEN


def test_blackouts_are_put_in_order_and_joined() -> None:
    days = [("06", "07"), ("03", "04"), ("04", "05"), ("04", "04"), ("20", "20")]
    blackouts = [{"start": f"2026-07-{start}", "end": f"2026-07-{end}"} for start, end in days]
    assert good(blackouts=blackouts).calendar.blackouts == (
        Flight(JULY + 2 * DAY, JULY + 7 * DAY),
        Flight(JULY + 19 * DAY, JULY + 20 * DAY),
    )


def test_a_blackout_inside_another_adds_nothing() -> None:
    days = [("03", "10"), ("04", "05")]
    blackouts = [{"start": f"2026-07-{start}", "end": f"2026-07-{end}"} for start, end in days]
    assert good(blackouts=blackouts).calendar.blackouts == (Flight(JULY + 2 * DAY, JULY + 10 * DAY),)


ALL_JULY = {"start": "2026-07-01", "end": "2026-07-31"}
NO_TIME = "no active time is left in the flight"
WEEKENDS = {"weekday_weights": [0, 0, 0, 0, 0, 1, 1]}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"weekday_weights": [0] * 7}, {"weekday_weights": "all weights are 0: nothing could ever be spent"}, id="weekdays of 0"),
        pytest.param({"hour_weights": [0] * 24}, {"hour_weights": "all weights are 0: nothing could ever be spent"}, id="hours of 0"),
        pytest.param(
            {"blackouts": [{"start": "2026-07-04", "end": "2026-07-04"}, {"start": "2026-07-05", "end": "2026-07-04"}]},
            {"blackouts[1].end": "the blackout ends before it starts: the end must be after start"},
            id="a blackout reversed",
        ),
        pytest.param({"blackouts": [ALL_JULY]}, {"blackouts": NO_TIME}, id="all blacked out"),
        pytest.param({**WEEKENDS, "flight_end": "2026-07-03"}, {"weekday_weights": NO_TIME}, id="weekends only, from Wednesday to Friday"),
        pytest.param({"hour_weights": [0] * 12 + [1] * 12, "flight_end": "2026-07-01T12:00:00Z"}, {"hour_weights": NO_TIME}, id="afternoons only, in a morning"),
        pytest.param(
            {**WEEKENDS, "deals": [{"deal_id": "d", "allocated_budget": 1, "flight_end": "2026-07-03"}]},
            {"deals[0].flight_start": "no active time is left in the deal's flight by weekday_weights"},
            id="no time in a deal's own flight",
        ),
        pytest.param({"curve": custom(("2026-07-02", 100))}, {"curve.segments[0].start": "the first segment must start with the flight, at 2026-07-01T00:00:00Z"}, id="a late first segment"),
        pytest.param(
            {"curve": custom(("2026-07-01", 50), ("2026-07-01", 50))},
            {"curve.segments[1].start": "must be after the start of the segment before"},
            id="segments out of order",
        ),
        pytest.param(
            {"curve": custom(("2026-07-01", 50), ("2026-08-01", 50))},
            {"curve.segments[1].start": "must be before the end of the flight"},
            id="a segment after the flight",
        ),
        pytest.param({"curve": custom(("2026-07-01", 50), ("2026-07-02", "49.9"))}, {"curve.segments": "the percentages add up to 99.9, not to 100"}, id="percentages short of 100"),
        pytest.param(
            {"curve": custom(("2026-07-01", "1000.49"), ("2026-07-02", 0), as_="amount")},
            {"curve.segments": "the amounts add up to 1000.49 EUR, not to the budget, 1000.50 EUR"},
            id="amounts short of the budget",
        ),
        pytest.param(
            {"channels": [CTV, {**AUDIO, "curve": custom(("2026-07-01", 399), as_="amount")}]},
            {"channels[1].curve.segments": "the amounts add up to 399.00 EUR, not to the budget, 400.00 EUR"},
            id="amounts short of the channel's budget",
        ),
        pytest.param(
            {"channels": [{"channel": "ctv", "allocated_budget": 0, "curve": custom(("2026-07-01", 0), as_="amount")}]},
            {"channels[0].curve.segments": "the amounts are all 0: nothing could ever be spent"},
            id="amounts of nothing",
        ),
        pytest.param(
            {"curve": {"kind": "custom", "segments": [{"start": "2026-07-01", "pct": 50}, {"start": "2026-07-02", "amount": 50}]}},
            {"curve.segments": "the segments must be all amounts or all percentages"},
            id="amounts and percentages",
        ),
        pytest.param(
            {"curve": custom(("2026-07-01", 50), ("2026-07-02", 50), ("2026-07-06", 0)), "blackouts": [{"start": "2026-07-02", "end": "2026-07-05"}]},
            {"curve.segments[1]": "there is money in the segment, but no active time"},
            id="money in a blackout",
        ),
        pytest.param(
            {"blackouts": [ALL_JULY], "curve": custom(("2026-07-01", 100))}, {"blackouts": NO_TIME}, id="without a density no segment is judged"
        ),
    ],
)  # fmt: skip
def test_a_shape_that_cannot_hold_is_refused(changes: Json, expected: dict[str, str]) -> None:
    assert faults(**changes) == expected


def test_faults_of_shape_are_named_with_the_others_in_the_order_of_the_fields() -> None:
    wrong = custom(("2026-07-01", 50))
    found = faults(
        curve=wrong,
        weekday_weights=[0] * 7,
        hour_weights=[0] * 24,
        flight_end="2026-06-01",
        automation="semi_automated",
    )
    assert list(found) == ["flight_end", "weekday_weights", "hour_weights", "automation"]
    assert list(faults(channels=[{**CTV, "curve": wrong}], curve=wrong)) == [
        "curve.segments",
        "channels[0].curve.segments",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"curve": custom(("2026-07-01", 100))}, id="one segment"),
        pytest.param({"curve": custom(("2026-07-01", 0), ("2026-07-31T23:59:59.999999999Z", 100))}, id="all in the last nanosecond"),
        pytest.param(
            {"curve": custom(("2026-07-01", 50), ("2026-07-02", 0), ("2026-07-06", 50)), "blackouts": [{"start": "2026-07-02", "end": "2026-07-05"}]},
            id="no money in a blackout",
        ),
        pytest.param({"blackouts": [{"start": "2026-07-01T00:00:00.000000001Z", "end": "2026-12-31"}]}, id="all but a nanosecond blacked out"),
        pytest.param({"blackouts": [{"start": "2020-07-01", "end": "2020-12-31"}]}, id="a blackout of another year"),
    ],
)  # fmt: skip
def test_a_shape_at_the_limit_holds(changes: Json) -> None:
    good(**changes)


# -- periods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "recurrence"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"period": "flight", "rollover": "carry_underspend", "partial_period": "prorated"}, None, id="of a flight nothing is carried"),
        pytest.param({"period": "weekly"}, Recurrence("weekly", carries=False, is_prorated=False), id="weekly"),
        pytest.param({"period": "monthly", "rollover": "carry_underspend"}, Recurrence("monthly", carries=True, is_prorated=False), id="carried"),
        pytest.param({"period": "quarterly", "partial_period": "prorated"}, Recurrence("quarterly", carries=False, is_prorated=True), id="prorated"),
    ],
)  # fmt: skip
def test_a_period_is_read(changes: Json, recurrence: Recurrence | None) -> None:
    assert good(**changes).recurrence == recurrence


def test_a_custom_curve_divides_a_flight_not_a_period() -> None:
    why = "a custom curve needs the period flight: its segments are divided once"
    wrong = custom(("2026-07-01", 100))
    assert faults(period="weekly", curve=wrong, channels=[{**CTV, "curve": wrong}]) == {
        "curve": why,
        "channels[0].curve": why,
    }


# -- dates -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "start", "end", "instants"),
    [
        pytest.param("UTC", "2026-07-01", "2026-07-01", ("07-01T00:00:00Z", "07-02T00:00:00Z"), id="one day of UTC"),
        pytest.param("Europe/Berlin", "2026-03-29", "2026-03-29", ("03-28T23:00:00Z", "03-29T22:00:00Z"), id="23 hours"),
        pytest.param("Europe/Berlin", "2026-10-25", "2026-10-25", ("10-24T22:00:00Z", "10-25T23:00:00Z"), id="25 hours"),
        pytest.param("America/New_York", "2026-07-01", "2026-07-31", ("07-01T04:00:00Z", "08-01T04:00:00Z"), id="a month"),
        pytest.param("Asia/Kolkata", "2026-07-01", "2026-07-01", ("06-30T18:30:00Z", "07-01T18:30:00Z"), id="half an hour"),
        pytest.param("Africa/Cairo", "2026-04-24", "2026-04-24", ("04-23T22:00:00Z", "04-24T21:00:00Z"), id="no midnight: 00:00 to 01:00 is skipped"),
        pytest.param("America/Havana", "2026-11-01", "2026-11-01", ("11-01T04:00:00Z", "11-02T05:00:00Z"), id="midnight twice: the first"),
        pytest.param("Pacific/Kiritimati", "2026-07-01", "2026-07-01", ("06-30T10:00:00Z", "07-01T10:00:00Z"), id="14 hours ahead"),
    ],
)  # fmt: skip
def test_dates_are_days_of_the_plans_zone(zone: str, start: str, end: str, instants: tuple[str, str]) -> None:
    flight = good(timezone=zone, flight_start=start, flight_end=end).flight
    assert (format_time(flight.start), format_time(flight.end)) == tuple(f"2026-{instant}" for instant in instants)


ODD_MIDNIGHTS = [
    "Africa/Cairo", "Africa/Casablanca", "America/Asuncion", "America/Havana", "America/Nuuk", "America/St_Johns",
    "Asia/Beirut", "Asia/Gaza", "Australia/Lord_Howe", "Europe/London",
]  # fmt: skip
"""Where clocks are changed at midnight, by half an hour, or in the middle of a holy month."""


@pytest.mark.parametrize("name", ODD_MIDNIGHTS)
def test_a_day_around_a_change_of_the_clocks_begins_where_the_calendar_turns(name: str) -> None:
    zone = zone_of(name)
    assert zone is not None
    days = [date(2024, 1, 1) + timedelta(days=number) for number in range(3 * 366)]
    noons = [datetime(day.year, day.month, day.day, 12, tzinfo=zone).utcoffset() for day in days]
    changes = [place for place in range(1, len(days)) if noons[place] != noons[place - 1]]
    assert name == "America/Asuncion" or len(changes) >= 4
    for day in {days[place + by] for place in changes for by in (-1, 0, 1) if place + by < len(days)}:
        assert local_midnight(day, zone) == oracle.day_begins(day, name) * NANOS
