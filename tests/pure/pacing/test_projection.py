"""Projections: by each method, capped or not, when the budget is used up; worked tables, laws, and the oracle."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from schemas.fields import NANOS, parse_time
from tests.pure import oracle as o
from tests.pure.pacing.feeding import QUIET, Paced, compare
from tests.pure.pacing.test_against_the_oracle import THOROUGH
from tests.pure.pacing.test_snapshot import APRIL, spent
from worker.pacing.plan import Flight
from worker.pacing.projection import exhausted_evenly, first_reaching
from worker.pacing.standing import Standing

Json = dict[str, Any]


def april(day: int, clock: str = "00:00") -> str:
    """An instant of April 2026; day 31 is the first of May."""
    return f"2026-05-01T{clock}:00Z" if day == 31 else f"2026-04-{day:02d}T{clock}:00Z"


def daily(amount: object, first: int, last: int) -> list[Json]:
    """The same amount at noon of each of those days of April."""
    return [spent(amount, april(day, "12:00")) for day in range(first, last + 1)]


def projected(plan: Json, at: str, *updates: Json) -> Json:
    """The snapshot's body of one tick, which is the oracle's as well."""
    paced = Paced()
    paced.plan({**APRIL, **plan})
    paced.feed(*updates)
    events, told = paced.tick(at)
    compare(events, told)
    return [event.body for event in events if event.kind == "snapshot_taken"][-1]


def in_short(body: Json) -> tuple[Any, ...]:
    names = ("projected_spend", "projected_spend_capped", "projected_exhaustion_at", "dark_days", "projection_method")
    return tuple(body[name] for name in names)


def days_and(days: int, clock: str) -> str:
    return april(1 + days, clock)


# -- run rate --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "spend", "over", "found"),
    [
        pytest.param(
            20_000, 12_000, 18, ("20000.00", "20000.00", None, None), id="12,000 / (18/30) = 20,000: just at the end"
        ),
        pytest.param(
            16_000,
            11_200,
            18,
            ("18666.67", "16000.00", "2026-04-26T17:08:34.285714286Z", 4.2857),
            id="Criteo, retargeting: 16,000 / (11,200 / 18) = 25.714 days, 4.286 dark; the card says day 24, 6 days",
        ),
        pytest.param(
            9_000,
            7_800,
            22,
            ("10636.36", "9000.00", "2026-04-26T09:13:50.76923077Z", 4.6154),
            id="AdRoll, retargeting: 9,000 / (7,800 / 22) = 25.385 days, 4.615 dark; the card says day 25, 5 days",
        ),
        pytest.param(
            60_000,
            44_000,
            18,
            ("73333.33", "60000.00", "2026-04-25T13:05:27.272727273Z", 5.4545),
            id="StackAdapt: 60,000 / (44,000 / 18) = 24.545 days, 5.455 dark; the card says the 23rd, 7 days",
        ),
        pytest.param(100, 95, 22, ("129.55", "100.00", "2026-04-24T03:47:22.105263158Z", 6.8421), id="95 % on day 22"),
        pytest.param(100, 50, 20, ("75.00", "75.00", None, None), id="50 / (20/30) = 75: not used up"),
    ],
)
def test_the_pace_to_date_goes_on(budget: int, spend: int, over: int, found: tuple[Any, ...]) -> None:
    body = projected({"total_budget": budget}, april(1 + over), spent(spend))
    assert in_short(body) == (*found, "run_rate")


def test_before_anything_is_expected_there_is_no_projection_and_a_reason() -> None:
    body = projected({}, april(1), spent(10, "2026-03-31T12:00:00Z"))
    assert in_short(body) == (None, None, None, None, None)
    assert body["projection_reason"] == "nothing is expected to be spent yet"


def test_after_the_end_what_is_projected_is_what_was_spent() -> None:
    body = projected({}, april(31), spent(19_000))
    assert in_short(body) == ("19000.00", "19000.00", None, None, "run_rate")


def test_a_run_rate_follows_the_curve() -> None:
    """Front-loaded by a half, C(15/30) = 0.625: 12,500 by then is on plan."""
    curve = {"kind": "front_loaded", "factor": "0.5"}
    assert in_short(projected({"curve": curve}, april(16), spent(12_500)))[:3] == ("20000.00", "20000.00", None)


def test_a_run_rate_is_of_the_plan_as_it_was_bent() -> None:
    """20,000 doubled halfway: 10,000 by then is on the bent plan, which ends at 40,000."""
    paced = Paced()
    paced.plan(APRIL)
    paced.feed(spent(10_000))
    paced.plan({**APRIL, "total_budget": 40_000}, april(16))
    events, told = paced.tick(april(16))
    compare(events, told)
    assert in_short(events[0].body)[:3] == ("40000.00", "40000.00", None)


def test_a_plan_that_finishes_early_on_plan_uses_its_budget_up_where_it_means_to() -> None:
    curve = {"kind": "finish_early", "full_spend_at_pct": 90}
    body = projected({"curve": curve}, april(10), *daily("740.740740740", 1, 9), spent("6666.66666667"))
    assert body["projected_exhaustion_at"] < april(28)
    exactly = projected({"curve": curve, "total_budget": 27_000}, april(10), *daily(1_000, 1, 9))
    assert in_short(exactly) == ("27000.00", "27000.00", april(28), 3.0, "run_rate")


def test_after_credits_a_negative_total_is_projected_to_stay() -> None:
    assert in_short(projected({}, april(11), spent(-30))) == ("-30.00", "-30.00", None, None, "run_rate")


# -- the budget used up ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("updates", "at", "dark_days"),
    [
        pytest.param([("19999", "03T10:00:00Z"), ("1", "07T18:00:00Z")], "07T18:00:00Z", 23.25, id="24.0 - 0.75 days"),
        pytest.param(
            [("20000", "07T18:01:00Z"), ("5", "07T18:14:59Z"), ("5", "07T18:15:00Z")],
            "07T18:14:59Z",
            23.2396,
            id="the latest of its quarter of an hour",
        ),
        pytest.param(
            [("20000", "05T00:00:00Z"), ("-500", "06T00:00:00Z"), ("500", "07T00:00:00Z")],
            "05T00:00:00Z",
            26.0,
            id="the first time, though a credit undid it for a day",
        ),
        pytest.param(
            [("-500", "04T00:00:00Z"), ("20000", "05T00:00:00Z"), ("500", "07T00:00:00Z")],
            "07T00:00:00Z",
            24.0,
            id="a credit dated before counts against it",
        ),
    ],
)
def test_a_budget_that_is_spent_was_used_up_when_it_was_seen(
    updates: list[tuple[str, str]], at: str, dark_days: float
) -> None:
    body = projected({}, april(11), *(spent(amount, f"2026-04-{time}") for amount, time in updates))
    assert (body["projected_exhaustion_at"], body["dark_days"]) == (f"2026-04-{at}", dark_days)
    assert body["projected_spend_capped"] == body["total_spend"]


def test_a_budget_used_up_at_the_end_leaves_no_dark_days() -> None:
    paced = Paced()
    paced.plan(APRIL)
    paced.feed(spent(19_999), spent(1, april(31)))
    paced.tick(april(31))
    events, told = paced.tick(april(31, "01:00"))
    compare(events, told)
    assert (events[0].body["total_spend"], events[0].body["projected_exhaustion_at"]) == ("20000.00", None)


def test_a_budget_used_up_before_the_flight_has_begun_was_used_up_all_the_same() -> None:
    body = projected({}, april(1), spent(20_000, "2026-03-31T12:00:00Z"))
    assert in_short(body) == (None, None, "2026-03-31T12:00:00Z", 30.5, None)


def test_in_a_later_window_only_its_own_spend_uses_its_budget_up() -> None:
    plan = {"period": "weekly", "total_budget": 700, "flight_start": "2026-04-06", "flight_end": "2026-05-03"}
    body = projected(
        plan, april(16), *daily(500, 6, 12), spent(600, april(13, "06:00")), spent(100, april(14, "18:00"))
    )
    assert (body["total_budget"], body["total_spend"]) == ("700.00", "700.00")
    assert in_short(body)[2:4] == (april(14, "18:00"), 5.25)


# -- trailing ---------------------------------------------------------------------------------------------------------


TRAILING: Json = {"projection": "trailing_7d"}


@pytest.mark.parametrize(
    ("plan", "at", "fed", "found"),
    [
        pytest.param(
            {}, april(11), daily(700, 1, 10), ("21000.00", "2026-04-29T13:42:51.428571429Z"), id="7,000 + 700 x 20 days"
        ),
        pytest.param(
            {},
            april(11),
            [*daily(0, 1, 3), *daily(100, 4, 10)],
            ("2700.00", None),
            id="700 + 100 x 20: the first three days are not among the last seven",
        ),
        pytest.param(
            {},
            april(11, "18:00"),
            [*daily(100, 1, 10), spent(5_000, april(11, "06:00"))],
            ("7925.00", None),
            id="6,000 + 100 x 19.25: today, however much was spent on it, is no day yet",
        ),
        pytest.param(
            {"blackouts": [{"start": "2026-04-08", "end": "2026-04-09"}, {"start": "2026-04-20", "end": "2026-04-29"}]},
            april(11),
            [*daily(100, 1, 7), *daily(9_000, 8, 9)[:1], *daily(240, 10, 10)],
            ("11140.00", None),
            id="940 - 100 is 840 of 7 active days = 120 a day, x 10 days left; what was spent in the dark counts once",
        ),
        pytest.param(
            {"blackouts": [{"start": april(10, "12:00"), "end": "2026-04-10"}]},
            april(11),
            daily(130, 1, 10),
            ("4100.00", None),
            id="7 x 130 in 6.5 active days is 140 a day: 1,300 + 140 x 20",
        ),
        pytest.param(
            {"weekday_weights": [1, 1, 1, 1, 1, 0, 0]},
            april(11),
            daily(100, 1, 10),
            ("2400.00", None),
            id="1,000 + 100 x 14 weekdays left, of the seven since the 2nd",
        ),
        pytest.param({}, april(11), [*daily(100, 1, 3), *daily(-10, 4, 10)], ("230.00", None), id="no rate below zero"),
    ],
)
def test_the_last_seven_active_days_go_on(plan: Json, at: str, fed: list[Json], found: tuple[Any, ...]) -> None:
    body = projected({**TRAILING, **plan}, at, *fed)
    assert (body["projected_spend"], body["projected_exhaustion_at"]) == found
    assert (body["projection_method"], body["projection_reason"]) == ("trailing_7d", None)


def test_with_six_days_the_run_rate_is_used_and_the_reason_told() -> None:
    body = projected(TRAILING, april(7, "23:00"), *daily(100, 1, 6))
    assert body["projection_method"] == "run_rate"
    assert body["projection_reason"] == "trailing_7d needs 7 active days of the last 28"
    assert projected(TRAILING, april(8), *daily(100, 1, 6))["projection_method"] == "trailing_7d"


def test_a_first_day_cut_by_the_flight_is_no_whole_day() -> None:
    from_noon = {**TRAILING, "flight_start": april(1, "12:00")}
    assert projected(from_noon, april(8))["projection_method"] == "run_rate"
    assert projected(from_noon, april(9))["projection_method"] == "trailing_7d"


def test_in_a_window_only_its_own_days_are_seen() -> None:
    plan = {**TRAILING, "period": "monthly", "flight_start": "2026-03-01"}
    assert projected(plan, april(7), *daily(100, 1, 6))["projection_method"] == "run_rate"


def test_an_active_day_too_long_ago_is_not_among_the_last() -> None:
    """Seven active days, the first of them 29 days ago."""
    dark = [{"start": "2026-04-02", "end": "2026-04-23"}]
    assert projected({**TRAILING, "blackouts": dark}, april(30))["projection_method"] == "run_rate"
    light = [{"start": "2026-04-03", "end": "2026-04-23"}]
    assert projected({**TRAILING, "blackouts": light}, april(30))["projection_method"] == "trailing_7d"


def test_days_that_do_not_begin_on_a_quarter_of_an_hour_are_not_counted() -> None:
    """Liberia was 44 minutes and 30 seconds behind UTC until 1972."""
    plan = {**TRAILING, "timezone": "Africa/Monrovia", "flight_start": "1971-04-01", "flight_end": "1971-04-30"}
    paced = Paced()
    paced.plan({**APRIL, **plan})
    paced.feed(spent(100, "1971-04-05T00:00:00Z"))
    body = paced.tick("1971-04-16T00:00:00Z")[0][0].body
    assert (body["projection_method"], body["rolling_7d_pacing_pct"]) == ("run_rate", None)
    assert body["projection_reason"] == "the days of Africa/Monrovia do not begin on quarters of an hour"


# -- seasonal --------------------------------------------------------------------------------------------------------


SEASONAL: Json = {"projection": "seasonal", "total_budget": 100_000}


def test_every_weekday_goes_on_as_it_was() -> None:
    """
    28 days, 100 on weekdays and 800 on weekends, so m = 300; the weights of a weekday's four days are 8, 7, 6 and 5.

    A weekday's mean is (26 x 100 + 8 x 300) / 34 = 147.06, a weekend day's (26 x 800 + 8 x 300) / 34 = 682.35. April
    29 and 30 are a Wednesday and a Thursday: 28 x 300 + 2 x 147.06 = 8,694.12.
    """
    fed = [spent(800 if date(2026, 4, day).weekday() > 4 else 100, april(day, "12:00")) for day in range(1, 29)]
    body = projected(SEASONAL, april(29), *fed)
    assert (body["projected_spend"], body["projection_method"], body["projection_reason"]) == (
        "8694.12", "seasonal", None,
    )  # fmt: skip


def test_the_rest_of_today_follows_the_hours() -> None:
    """20 days of 100 each, so every mean is 100; of the 21st three quarters of the weight are left at 18:00."""
    hours = [1] * 18 + [9] * 6
    body = projected({**SEASONAL, "hour_weights": hours}, april(21, "18:00"), *daily(100, 1, 20))
    assert body["projected_spend"] == "2975.00"
    flat = projected(SEASONAL, april(21, "18:00"), *daily(100, 1, 20))
    assert flat["projected_spend"] == "2925.00"


@pytest.mark.parametrize(
    ("plan", "over", "method", "reason"),
    [
        pytest.param({}, 20, "seasonal", None, id="20 days"),
        pytest.param({}, 19, "trailing_7d", "there are 19", id="19 days"),
        pytest.param({}, 6, "run_rate", "there are 6", id="6 days"),
        pytest.param(
            {"blackouts": [{"start": "2026-04-05", "end": "2026-04-05"}, {"start": "2026-04-19", "end": "2026-04-19"}]},
            23,
            "trailing_7d",
            "there are 21",
            id="21 days with one Sunday",
        ),
        pytest.param({"weekday_weights": [1, 1, 1, 1, 1, 1, 0]}, 25, "seasonal", None, id="no Sunday is planned"),
    ],
)
def test_seasons_need_twenty_active_days_and_two_weekends(
    plan: Json, over: int, method: str, reason: str | None
) -> None:
    body = projected({**SEASONAL, **plan}, april(1 + over), *daily(100, 1, over))
    assert body["projection_method"] == method
    assert reason is None or body["projection_reason"].endswith(reason)
    assert (reason is None) == (body["projection_reason"] is None)


def test_days_of_no_spend_at_all_go_on_so() -> None:
    assert projected(SEASONAL, april(25))["projected_spend"] == "0.00"


# -- the rolling pace ------------------------------------------------------------------------------------------------


def test_the_rolling_pace_is_of_the_last_seven_whole_days() -> None:
    """7 x 500 of 7/30 of 20,000 is 75 %, though all of it is 100 x 3 + 500 x 7 of 6,666.67, 57 %."""
    body = projected({}, april(11, "06:00"), *daily(100, 1, 3), *daily(500, 4, 10), spent(9_999, april(11, "01:00")))
    assert body["rolling_7d_pacing_pct"] == 75.0
    assert projected({}, april(7, "23:00"), *daily(100, 1, 6))["rolling_7d_pacing_pct"] is None


def test_there_is_no_rolling_pace_where_nothing_was_expected() -> None:
    dark = [{"start": "2026-04-03", "end": "2026-04-12"}]
    assert projected({"blackouts": dark}, april(12), *daily(100, 1, 10))["rolling_7d_pacing_pct"] is None


# -- where a path reaches an amount ----------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=12),
    st.integers(1, 10**6),
    st.integers(0, 12_000),
    st.integers(1, 7),
)
@settings(max_examples=300 * THOROUGH, deadline=None)
def test_the_first_instant_at_which_a_path_has_reached_an_amount(
    rises: list[int], width: int, amount: int, unit: int
) -> None:
    end = len(rises) * width

    def path(instant: int) -> tuple[int, int]:
        piece, rest = divmod(instant, width)
        return sum(rises[:piece]) * width + (rises[piece] * rest if rest else 0), width

    if not path(0)[0] * unit < amount * width <= path(end)[0] * unit:
        return
    found = first_reaching(path, (amount, unit), 0, end)
    at = end if found is None else found
    assert path(at)[0] * unit >= amount * width > path(at - 1)[0] * unit
    assert found is None or found < end


# -- any plan over many weeks ----------------------------------------------------------------------------------------

START = date(2026, 2, 16)
HOURS = [1, 1, 1, 0, 0, 0, 2, 4, 6, 8, 9, 9, 10, 11, 10, 9, 9, 10, 12, 16, 20, 22, 18, 8]
DAY_COUNT = st.integers(10, 75)
AMOUNTS = st.lists(st.sampled_from(["0", "10", "33.335", "50", "100", "250", "-20"]), min_size=5, max_size=20)
WEIGHTS = st.sampled_from([None, None, [1, 1, 1, 1, 1, 0, 0], ["1.3", 1, 1, 0, "1.4", "0.35", "0.25"]])
CURVE = st.sampled_from([None, None, {"kind": "front_loaded", "factor": "0.7"}])
ZONE = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"])
METHOD = st.sampled_from(["run_rate", "trailing_7d", "seasonal", "seasonal"])
DARK = st.lists(st.tuples(st.integers(0, 70), st.integers(0, 40), st.sampled_from([0, 1])), max_size=3)
TIMES = st.sampled_from([Decimal(times) for times in ("0.9", "1", "1.1", "2", "5")])
PERIOD = st.sampled_from(["flight", "flight", "flight", "monthly", "quarterly"])


@st.composite
def long_flights(draw: DrawFn) -> tuple[Json, list[Json], str]:
    days, amounts = draw(DAY_COUNT), draw(AMOUNTS)
    until = draw(st.integers(0, days))
    spends = [amounts[day % len(amounts)] for day in range(until)]
    whole = sum(map(Decimal, spends), Decimal()) or Decimal(1)
    plan = {
        **APRIL,
        "timezone": draw(ZONE),
        "flight_start": START.isoformat(),
        "flight_end": (START + timedelta(days=days - 1)).isoformat(),
        "total_budget": str(max(Decimal(1), whole * draw(TIMES))),
        "weekday_weights": draw(WEIGHTS),
        "hour_weights": draw(st.sampled_from([None, None, HOURS])),
        "curve": draw(CURVE),
        "period": draw(PERIOD),
        "projection": draw(METHOD),
        "blackouts": [
            {"start": moment(day, 6, nano), "end": moment(day + hours // 24, 7 + hours % 16)}
            for day, hours, nano in draw(DARK)
        ],
        "signals": draw(st.sampled_from([QUIET, {}])),
    }
    updates = [spent(amount, moment(day, 5 + day % 17)) for day, amount in enumerate(spends)]
    return plan, updates, moment(until, draw(st.integers(0, 23)))


def moment(day: int, hour: int, nano: int = 0) -> str:
    fraction = f".{nano:09d}" if nano else ""
    return f"{(START + timedelta(days=day)).isoformat()}T{hour:02d}:00:00{fraction}Z"


@given(long_flights())
@settings(max_examples=25 * THOROUGH, deadline=None)
def test_a_projection_over_many_weeks_is_the_oracles(flight: tuple[Json, list[Json], str]) -> None:
    plan, updates, at = flight
    paced = Paced()
    version = o.Version(plan, 1, None)
    campaign = version.scopes[0]
    if version.density.until(campaign.start) == version.density.until(campaign.end):
        return
    paced.plan(plan)
    paced.feed(*updates)
    events, told = paced.tick(at)
    compare(events, told)
    for event in events:
        if event.kind == "snapshot_taken":
            lawful(event.body)


def lawful(body: Json) -> None:
    """What holds of any projection."""
    if body["projected_spend"] is None:
        assert body["projection_reason"]
        assert body["projection_method"] is None
        return
    spend, budget, final = (Fraction(body[name]) for name in ("total_spend", "total_budget", "projected_spend"))
    assert final >= spend - Fraction(1, 100)
    assert Fraction(body["projected_spend_capped"]) <= max(spend, budget) + Fraction(1, 100)
    if body["projected_exhaustion_at"] is not None:
        at, end = parse_time(body["projected_exhaustion_at"]), parse_time(body["period_end"])
        assert at < end
        assert body["dark_days"] == pytest.approx((end - at) / NANOS / 86_400, abs=0.0001)
        assert spend >= budget or at > parse_time(body["timestamp"])


@given(length=st.integers(2, 10**6), gone=st.integers(1, 10**6), budget=st.integers(2, 10**9), spent=st.integers(1))
def test_on_an_even_course_the_formula_finds_what_the_search_finds(
    length: int, gone: int, budget: int, spent: int
) -> None:
    flight, gone, spent = Flight(7, 7 + length), 1 + gone % (length - 1), 1 + spent % (budget - 1)
    campaign = Standing("campaign", "c", budget, flight, [spent], (budget * gone, length), 0)
    found = exhausted_evenly(campaign, flight.start + gone)
    if spent * length < budget * gone:
        assert found is None
    else:
        path = lambda instant: (spent * (instant - flight.start), gone)  # noqa: E731  # as the search asks for it
        assert found == first_reaching(path, (budget, 1), flight.start + gone, flight.end)
