"""Densities and curves: local days of 23 and 25 hours, weights, blackouts, and the laws they all keep."""

# ruff: noqa: E501  # a row of a table is one line

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fields import NANOS, local_midnight, parse_time, zone_of
from tests.pure import oracle
from worker.pacing.amounts import DAY
from worker.pacing.curves import Elapse, Shape, Track
from worker.pacing.density import HOUR, Density, Ratio, dark_time, local_day, ordinal_at, vanished_days
from worker.pacing.plan import Calendar, Curve, Flight, Segment

Json = dict[str, Any]

ODD_ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Africa/Casablanca", "America/Havana", "America/Nuuk",
    "America/St_Johns", "Asia/Beirut", "Asia/Gaza", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia",
]  # fmt: skip
BERLIN = "Europe/Berlin"


def midnight(zone: str, day: date) -> int:
    tz = zone_of(zone)
    assert tz is not None
    return local_midnight(day, tz)


def between(density: Density, start: int, end: int) -> Fraction:
    return Fraction(*density.reached(end)) - Fraction(*density.reached(start))


def of_day(calendar: Calendar, day: date) -> Fraction:
    """What a local day of the calendar's zone carries."""
    ends = (midnight(calendar.timezone, each) for each in (day, day + timedelta(days=1)))
    return between(Density(calendar), *ends)


# -- local days --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "day", "hours", "length"),
    [
        pytest.param(BERLIN, date(2026, 7, 1), [], 24, id="a plain day is not taken apart"),
        pytest.param(BERLIN, date(2026, 3, 29), [0, 1, *range(3, 24)], 23, id="23 hours: no 2 o'clock"),
        pytest.param(BERLIN, date(2026, 10, 25), [0, 1, 2, *range(2, 24)], 25, id="25 hours: 2 o'clock twice"),
        pytest.param("Africa/Cairo", date(2026, 4, 24), list(range(1, 24)), 23, id="the day begins at 1 o'clock"),
        pytest.param("America/Havana", date(2026, 11, 1), [0, *range(24)], 25, id="midnight twice"),
        pytest.param("Australia/Lord_Howe", date(2026, 4, 5), [0, 1, 1, *range(2, 24)], 24.5, id="half an hour more"),
        pytest.param("Australia/Lord_Howe", date(2026, 10, 4), [*range(24)], 23.5, id="half an hour less"),
        pytest.param("America/St_Johns", date(2010, 11, 7), [0, 23, *range(24)], 25, id="back over midnight by a minute"),
    ],
)  # fmt: skip
def test_a_day_has_the_hours_its_clocks_show(zone: str, day: date, hours: list[int], length: float) -> None:
    found = local_day(zone, day.toordinal())
    assert [hour for *_, hour in found.hours] == hours
    assert found.end - found.start == length * HOUR
    ends = [found.start, *(end for _, end, _ in found.hours)]
    assert not hours or (ends[-1] == found.end and [start for start, *_ in found.hours] == ends[:-1])


def test_an_hour_that_clocks_skip_by_half_is_half_an_hour() -> None:
    pieces = local_day("Australia/Lord_Howe", date(2026, 10, 4).toordinal()).hours
    assert [end - start for start, end, hour in pieces if hour == 2] == [HOUR // 2]


@pytest.mark.parametrize("zone", ODD_ZONES)
@pytest.mark.parametrize("year", [2010, 2011, 2026])
def test_every_instant_is_in_the_day_it_is_looked_up_in(zone: str, year: int) -> None:
    first, last = (midnight(zone, date(each, 1, 1)) for each in (year, year + 1))
    for instant in range(first, last, 5 * HOUR + 7 * 60 * NANOS):
        day = local_day(zone, ordinal_at(zone, instant))
        assert day.start <= instant < day.end


def test_a_day_that_the_calendar_leaves_out_is_known() -> None:
    assert [date.fromordinal(day).isoformat() for day in vanished_days("Pacific/Apia")] == ["2011-12-30"]
    assert vanished_days(BERLIN) == ()


# -- weights -----------------------------------------------------------------------------------------------------------

WEEKDAYS = (1, 2, 3, 4, 5, 6, 7)
HOURS = tuple(range(1, 25))
ONLY_2 = tuple(int(hour == 2) for hour in range(24))


@pytest.mark.parametrize("hours", [(), HOURS], ids=["even hours", "weighed hours"])
@pytest.mark.parametrize("zone", ODD_ZONES)
def test_a_full_local_day_carries_its_weekdays_weight_however_long_it_is(zone: str, hours: tuple[int, ...]) -> None:
    calendar = Calendar(zone, WEEKDAYS, hours)
    day = date(2026, 1, 1)
    while day.year == 2026:
        assert of_day(calendar, day) == WEEKDAYS[day.weekday()]
        day += timedelta(days=1)


def test_a_day_that_was_left_out_carries_nothing_and_the_week_goes_on() -> None:
    calendar = Calendar("Pacific/Apia", WEEKDAYS)
    assert [of_day(calendar, date(2011, 12, day)) for day in (29, 30, 31)] == [4, 0, 6]
    ends = [midnight("Pacific/Apia", day) for day in (date(2011, 12, 26), date(2012, 1, 2))]
    assert between(Density(calendar), *ends) == sum(WEEKDAYS) - 5


@pytest.mark.parametrize(
    ("day", "at", "hours", "part"),
    [
        pytest.param("2026-07-01", "2026-07-01T02:00:00+02:00", HOURS, Fraction(1 + 2, 300), id="by 2 o'clock: 1 + 2 of 300"),
        pytest.param("2026-07-01", "2026-07-01T02:30:00+02:00", HOURS, Fraction(6 + 3, 600), id="half past two: and half of 3"),
        pytest.param("2026-03-29", "2026-03-29T03:30:00+02:00", HOURS, Fraction(3 * 2 + 4, 2 * 297), id="23 hours: 1, 2, half of 4, of 300 - 3"),
        pytest.param("2026-10-25", "2026-10-25T02:00:00+01:00", HOURS, Fraction(1 + 2 + 3, 303), id="25 hours: the first 3 of 300 + 3"),
        pytest.param("2026-10-25", "2026-10-25T03:00:00+01:00", HOURS, Fraction(1 + 2 + 3 + 3, 303), id="25 hours: both 3 of 300 + 3"),
        pytest.param("2026-10-25", "2026-10-25T02:00:00+01:00", ONLY_2, Fraction(1, 2), id="the only hour, twice: half by its first end"),
        pytest.param("2026-03-29", "2026-03-29T12:00:00+02:00", ONLY_2, Fraction(11, 23), id="the only hour is skipped: evenly, 11 of 23 hours"),
        pytest.param("2026-03-29", "2026-03-29T12:00:00+02:00", (), Fraction(11, 23), id="no hour weights: 11 of 23 hours"),
    ],
)  # fmt: skip
def test_hours_share_a_day_each_as_often_as_it_has_them(
    day: str, at: str, hours: tuple[int, ...], part: Fraction
) -> None:
    calendar = Calendar(BERLIN, (1,) * 7, hours)
    assert between(Density(calendar), midnight(BERLIN, date.fromisoformat(day)), parse_time(at)) == part


def test_without_weights_a_short_day_is_as_much_less() -> None:
    calendar = Calendar(blackouts=(Flight(0, 1),))
    ends = [midnight(BERLIN, date(2026, 3, day)) for day in (29, 30)]
    assert between(Density(calendar), *ends) == 23 * HOUR


def test_a_blackout_takes_its_part_of_a_day_away() -> None:
    start = midnight("UTC", date(2026, 7, 1))
    lunch = Flight(start + 12 * HOUR, start + 18 * HOUR)
    density = Density(Calendar("UTC", WEEKDAYS, (), (lunch, Flight(start + 20 * HOUR, start + 2 * DAY))))
    parts = [between(density, start, start + hour * HOUR) for hour in (12, 15, 18, 20, 30, 48, 72)]
    assert parts == [
        Fraction(3, 2),
        Fraction(3, 2),
        Fraction(3, 2),
        *[Fraction(3, 2) + Fraction(3, 12)] * 3,
        Fraction(7, 4) + 5,
    ]


def test_dark_time_is_that_of_the_stretch() -> None:
    assert dark_time((), 0, 100) == 0
    assert [dark_time((Flight(10, 20), Flight(30, 40)), *ends) for ends in ((0, 100), (12, 35), (20, 30), (50, 5))] == [
        20,
        13,
        0,
        0,
    ]


# -- laws --------------------------------------------------------------------------------------------------------------

WEIGHT = st.sampled_from([0, 1, 1, 2, 7])
START = st.integers(parse_time("2026-03-20T00:00:00Z") // NANOS, parse_time("2026-11-10T00:00:00Z") // NANOS)
STRETCH = st.tuples(START, st.integers(1, 40 * 86_400)).map(lambda pair: Flight(pair[0] * NANOS, sum(pair) * NANOS))
CALENDARS = st.builds(
    Calendar,
    st.sampled_from([zone for zone in ODD_ZONES if zone != "Pacific/Apia"]),
    st.just(()) | st.tuples(*[WEIGHT] * 7).filter(any),
    st.just(()) | st.tuples(*[WEIGHT] * 24).filter(any),
    st.just(()) | st.tuples(STRETCH),
)
CURVE = st.one_of(
    st.just(Curve()),
    st.integers(-NANOS, NANOS).filter(bool).map(lambda factor: Curve("loaded", factor)),
    st.integers(1, 100 * NANOS).map(lambda part: Curve("finish_early", part)),
)


@st.composite
def tracks(draw: st.DrawFn) -> tuple[Flight, Track]:
    """Any flight with any calendar that leaves it some time, and any curve; a custom one of its quarters."""
    calendar, flight, curve = draw(CALENDARS), draw(STRETCH), draw(CURVE)
    if Elapse(flight, Density(calendar)).is_nothing:
        calendar = Calendar()
    if draw(st.booleans()):
        step = (flight.end - flight.start) // 4
        quarters = [Flight(flight.start + part * step, flight.start + (part + 1) * step) for part in range(3)]
        quarters.append(Flight(quarters[-1].end, flight.end))
        is_dark = [Elapse(quarter, Density(calendar)).is_nothing for quarter in quarters]
        shares = [0 if dark else draw(st.integers(0, 5)) + 1 for dark in is_dark]
        curve = Curve("custom", 0, tuple(Segment(q.start, share) for q, share in zip(quarters, shares, strict=True)))
    return flight, Track(flight, Shape(calendar, curve, flight if curve.segments else None))


def share(track: Track, at: int) -> Fraction:
    num, den = track.share(at)
    assert den > 0
    return Fraction(num, den)


@given(drawn=tracks(), one=st.fractions(0, 1), other=st.fractions(0, 1))
@settings(max_examples=300, deadline=None)
def test_a_curve_grows_from_0_at_the_start_to_1_at_the_end_and_never_back(
    drawn: tuple[Flight, Track], one: Fraction, other: Fraction
) -> None:
    flight, track = drawn
    assert share(track, flight.start) == share(track, flight.start - 1) == 0
    assert share(track, flight.end) == share(track, flight.end + DAY) == 1
    early, late = sorted(flight.start + int(part * (flight.end - flight.start)) for part in (one, other))
    assert 0 <= share(track, early) <= share(track, late) <= 1


@given(calendar=CALENDARS, flight=STRETCH, parts=st.lists(st.fractions(0, 1), max_size=3))
@settings(max_examples=60, deadline=None)
def test_a_density_is_what_adding_up_quarters_of_an_hour_gives(
    calendar: Calendar, flight: Flight, parts: list[Fraction]
) -> None:
    """Stretches of up to forty days over both changes of the clocks, half-hours and odd midnights among them."""
    raw: Json = {"timezone": calendar.timezone, "weekday_weights": calendar.weekday_weights or None}
    raw |= {"hour_weights": calendar.hour_weights or None, "blackouts": []}
    version = oracle.Version(raw, 1, None)
    start, end = Fraction(flight.start, NANOS), Fraction(flight.end, NANOS)
    added = oracle.Density(version, start, end)
    density = Density(Calendar(calendar.timezone, calendar.weekday_weights, calendar.hour_weights))
    unit = 1 if calendar.weekday_weights or calendar.hour_weights else NANOS
    for at in (flight.end, *(flight.start + int(part * (flight.end - flight.start)) for part in parts)):
        assert between(density, flight.start, at) == added.until(Fraction(at, NANOS)) * unit


@given(calendar=CALENDARS, flight=STRETCH, share=st.fractions(0, 1).filter(bool))
@settings(max_examples=300, deadline=None)
def test_the_first_instant_with_a_weight_before_it_is_the_first(
    calendar: Calendar, flight: Flight, share: Fraction
) -> None:
    check_first(Density(calendar), flight.start, flight.end, share)


@pytest.mark.parametrize("share", [Fraction(1, 10**12), *(Fraction(part, 9) for part in range(1, 10))], ids=str)
@pytest.mark.parametrize(
    ("calendar", "first", "last"),
    [
        pytest.param(Calendar("Pacific/Apia", WEEKDAYS), date(2011, 12, 28), date(2012, 1, 2), id="a day left out"),
        pytest.param(Calendar(BERLIN, WEEKDAYS, HOURS), date(2026, 3, 28), date(2026, 3, 30), id="23 hours"),
        pytest.param(Calendar(BERLIN, (), HOURS), date(2026, 10, 24), date(2026, 10, 26), id="25 hours"),
        pytest.param(Calendar(BERLIN, (), ONLY_2), date(2026, 3, 28), date(2026, 3, 30), id="a day without its hour"),
        pytest.param(
            Calendar(BERLIN, WEEKDAYS, HOURS, (Flight(midnight(BERLIN, date(2026, 4, 2)), midnight(BERLIN, date(2026, 4, 4))),)),
            date(2026, 4, 1), date(2026, 4, 6), id="a blackout",
        ),
    ],
)  # fmt: skip
def test_the_first_instant_with_a_weight_before_it_on_odd_days(
    calendar: Calendar, first: date, last: date, share: Fraction
) -> None:
    check_first(Density(calendar), midnight(calendar.timezone, first), midnight(calendar.timezone, last), share)


def check_first(density: Density, start: int, end: int, share: Fraction) -> None:
    """What lies before the first instant with so much weight is that, and not an instant earlier."""
    whole = between(density, start, end)
    if whole:
        weight = Fraction(*density.reached(start)) + share * whole
        at = density.first_at(weight.as_integer_ratio())
        assert start < at <= end
        assert Fraction(*density.reached(at)) >= weight > Fraction(*density.reached(at - 1))


def test_where_no_weight_lies_nothing_is_ever_planned() -> None:
    dark = Calendar(blackouts=(Flight(0, 100),))
    for curve in (Curve(), Curve("loaded", NANOS), Curve("finish_early", NANOS)):
        assert [share(Track(Flight(10, 90), Shape(dark, curve)), at) for at in (0, 50, 95)] == [0, 0, 0]


# -- curves ------------------------------------------------------------------------------------------------------------

HALF = NANOS // 2
SEGMENTS = (Segment(0, 20), Segment(40, 80))
FOUR = (Segment(0, 20), Segment(20, 0), Segment(50, 80), Segment(95, 0))


@pytest.mark.parametrize(
    ("curve", "at", "expected"),
    [
        pytest.param(Curve("loaded", HALF), 50, Fraction(5, 8), id="front-loaded by 0.5: a quarter more in the first half"),
        pytest.param(Curve("loaded", NANOS), 25, Fraction(7, 16), id="front-loaded by 1: 1/4 + 1/4 x 3/4"),
        pytest.param(Curve("loaded", -NANOS), 25, Fraction(1, 16), id="back-loaded by 1: 1/4 - 1/4 x 3/4"),
        pytest.param(Curve("finish_early", 90 * NANOS), 45, Fraction(1, 2), id="full at 90 %: half by 45"),
        pytest.param(Curve("finish_early", 90 * NANOS), 89, Fraction(89, 90), id="full at 90 %: not yet by 89"),
        pytest.param(Curve("finish_early", 90 * NANOS), 91, 1, id="full at 90 %: all by 91"),
        pytest.param(Curve("custom", segments=SEGMENTS), 20, Fraction(1, 10), id="half of the first 20 of 100"),
        pytest.param(Curve("custom", segments=SEGMENTS), 40, Fraction(1, 5), id="where the second begins"),
        pytest.param(Curve("custom", segments=SEGMENTS), 70, Fraction(3, 5), id="20 and half of 80"),
        pytest.param(Curve("custom", segments=FOUR), 40, Fraction(1, 5), id="a pause without money"),
        pytest.param(Curve("custom", segments=FOUR), 97, 1, id="nothing after the last money"),
    ],
)  # fmt: skip
def test_a_curve_at_an_instant_of_100(curve: Curve, at: int, expected: Fraction) -> None:
    flight = Flight(0, 100)
    assert share(Track(flight, Shape(curve=curve, divided=flight)), at) == expected


def test_a_segment_without_time_gives_way_to_the_next() -> None:
    flight, dark = Flight(0, 100), Calendar(blackouts=(Flight(40, 60), Flight(90, 100)))
    segments = (Segment(0, 1), Segment(40, 0), Segment(60, 3), Segment(90, 0))
    track = Track(flight, Shape(dark, Curve("custom", segments=segments), flight))
    assert [share(track, at) for at in (20, 40, 60, 75, 90, 100)] == [
        Fraction(1, 8),
        *[Fraction(1, 4)] * 2,
        Fraction(5, 8),
        1,
        1,
    ]


def test_a_deal_follows_its_campaigns_curve_over_its_own_flight() -> None:
    shape = Shape(curve=Curve("custom", segments=SEGMENTS), divided=Flight(0, 100))
    assert [share(Track(Flight(50, 60), shape), at) for at in (50, 54, 57, 60)] == [
        0,
        Fraction(1, 5),
        Fraction(3, 5),
        1,
    ]


def test_the_curve_bends_the_elapsed_share_of_the_density() -> None:
    """Front-loaded by 1 over [0, 100) with [0, 50) dark: at 75 half of the active time is over, 1/2 + 1/4 is planned."""
    track = Track(Flight(0, 100), Shape(Calendar(blackouts=(Flight(0, 50),)), Curve("loaded", NANOS)))
    assert [share(track, at) for at in (50, 75)] == [0, Fraction(3, 4)]


def test_what_is_reached_does_not_depend_on_what_was_asked_before() -> None:
    density = Density(Calendar(BERLIN, WEEKDAYS, HOURS))
    instants = [parse_time(f"2026-03-{day}T10:00:00Z") for day in (27, 29, 27, 27, 28)]
    found: list[Ratio] = [density.reached(instant) for instant in instants]
    assert found[0] == found[2] == found[3] != found[1]
