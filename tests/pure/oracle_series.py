"""
The oracle of the signals on the course of the spend: silence and days, worked out again from all updates.

It shares no code with the product. Everything is recomputed at each tick: the hours and days are added up anew from
the accepted updates, active time by looking at every quarter of an hour [16, 17; field definitions 13 and 14].
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import tests.pure.oracle as o

if TYPE_CHECKING:
    from tests.pure.oracle import Accepted, Taking, Version

Json = dict[str, Any]
Key = tuple[str, ...]
Found = Iterator[tuple[Key, Json]]

HOUR = Fraction(3600)
SILENCE = 48 * HOUR
FACTORS = {"adroll": Fraction("1.2"), "meta": Fraction("1.75"), "google": Fraction(2)}
PERIODS = {"adroll": (Fraction("30.4"), "month"), "meta": (Fraction(7), "week"), "google": (Fraction("30.4"), "month")}


def day_of(at: Fraction, zone: str) -> date:
    return datetime.fromtimestamp(int(at // 1), ZoneInfo(zone)).date()


def spent(accepted: Accepted, start: Fraction, end: Fraction, at: Fraction) -> Fraction:
    """Net spend dated in [start, end) and counted at a tick."""
    until = o.total_spend(accepted.by(at) if at < end else accepted.by(end, inclusive=False))
    return until - o.total_spend(accepted.by(start, inclusive=False) if start <= at else accepted.by(at))


def on(taking: Taking, accepted: Accepted, day: date, at: Fraction) -> Fraction:
    """What was spent on a local day."""
    zone = taking.version.get("timezone", "UTC")
    return spent(accepted, o.day_begins(day, zone), o.day_begins(day + timedelta(days=1), zone), at)


def lasting(taking: Taking) -> Found:
    """What is up as of a complete tick of the flight."""
    yield from silence(taking)
    yield from over_allowance(taking)
    yield from spikes(taking)


# -- silence ---------------------------------------------------------------------------------------------------------


def silence(taking: Taking) -> Found:
    version, campaign = taking.version, taking.campaign
    at = taking.at - version.threshold("feed_lag_minutes") * 60
    positive = [hour for hour in hours(taking) if spent(taking.accepted, hour, hour + HOUR, taking.at) > 0]
    since = max([taking.window[0], *([max(positive) + HOUR] if positive else []), *resumed(taking)])
    if version.get("status", "active") != "active" or at - since < SILENCE or active(version, since, at) < SILENCE:
        return
    spend = o.figures_for(taking.totals, version, "campaign", campaign.scope_id)["spend"]
    evidence = {
        "silent_since": o.text_of(since),
        "silent_hours": 48,
        "spend": o.money(spend, version.currency),
        "budget": campaign.told_budget(version.currency),
    }
    if spend >= campaign.budget:
        yield ("cap_reached", "campaign", campaign.scope_id), evidence
        return
    reports = last_reports(taking)
    evidence["remaining_budget"] = o.amount(campaign.budget - spend, version.currency)
    evidence["last_reports"] = {name: None if last is None else o.text_of(last) for name, last in reports.items()}
    heard = any(last is not None and last >= at - SILENCE for last in reports.values())
    if reports:
        yield ("delivery_interrupted" if heard else "source_stale", "campaign", campaign.scope_id), evidence


def covered(stretches: list[tuple[Fraction, Fraction]]) -> Fraction:
    """How much of time the stretches cover, in order of their starts."""
    total, reached = Fraction(0), None
    for start, end in stretches:
        since = start if reached is None else max(start, reached)
        if end > since:
            total, reached = total + end - since, end
    return total


def hours(taking: Taking) -> set[Fraction]:
    """The UTC hours that anything is dated in."""
    return {update["event_time"] // 3600 * HOUR for update in taking.accepted.updates}


def active(version: Version, start: Fraction, end: Fraction) -> Fraction:
    """The time in [start, end) with any density, by its quarters of an hour."""
    density = version.density
    if density.weekdays is None and density.hours is None:
        dark = sorted((max(start, begins), min(end, ends)) for begins, ends in density.dark)
        return end - start - covered(dark)
    edges = {start, end, *(instant for pair in density.dark for instant in pair if start < instant < end)}
    edges |= {Fraction(quarter) for quarter in range(int(start // 900 * 900), int(end) + 900, 900)}
    inside = sorted(edge for edge in edges if start <= edge <= end)
    return sum((right - left for left, right in pairwise(inside) if density.at(left) > 0), Fraction(0))


def last_reports(taking: Taking) -> dict[str, Fraction | None]:
    """When each source last reported anything: those of the campaign, or all."""
    own = [(update["source"], update["event_time"]) for update in taking.accepted.updates]
    anywhere = [*own, *taking.oracle.elsewhere]
    names = {name for name, _ in own} or {name for name, _ in anywhere}
    return {
        name: max((time for source, time in anywhere if source == name and time <= taking.at), default=None)
        for name in sorted(names)
    }


# -- days ------------------------------------------------------------------------------------------------------------


def resumed(taking: Taking) -> list[Fraction]:
    """When a version became active again."""
    led = in_force(taking)
    return [after.begins() for before, after in pairwise(led) if before.get("status", "active") != "active"]


def in_force(taking: Taking) -> list[Version]:
    """The versions that ever were in force by the tick, in order."""
    return [version for version in taking.everything if version.since is None or version.since <= taking.at]


def caps_between(led: list[Version], start: Fraction, end: Fraction) -> set[tuple[Fraction | None, str | None]]:
    ends = [*(version.begins() for version in led[1:]), end]
    return {
        cap_by(version)
        for version, until in zip(led, ends, strict=True)
        if version.begins() < end and until > start and version.begins() < until
    }


def cap_by(version: Version) -> tuple[Fraction | None, str | None]:
    budget = version.get("daily_budget", None)
    return None if budget is None else o.exact(budget), version.get("platform", None)


def allowance(cap: tuple[Fraction | None, str | None]) -> Fraction:
    return Fraction(-1) if cap[0] is None else cap[0] * FACTORS.get(cap[1] or "", Fraction(1))


def cap_on(taking: Taking, day: date) -> tuple[Fraction | None, str | None]:
    zone = taking.version.get("timezone", "UTC")
    if not taking.first and day < day_of(taking.at, zone) - timedelta(days=1):
        return cap_by(taking.version)
    led = in_force(taking)
    start, end = o.day_begins(day, zone), o.day_begins(day + timedelta(days=1), zone)
    return max(caps_between(led, start, end) or {cap_by(led[0])}, key=allowance)


def over_allowance(taking: Taking) -> Found:
    """Today and yesterday."""
    for day in recent(taking):
        served, cap = on(taking, taking.accepted, day, taking.at), cap_on(taking, day)
        if cap[0] is not None and served > allowance(cap):
            yield of_day("daily_budget_exceeded", taking, day), credit(taking, day, served, cap)


def newly_over_allowance(taking: Taking) -> Found:
    """The days that what came since the last tick has taken over their allowance."""
    zone = taking.version.get("timezone", "UTC")
    dated = [update["event_time"] for update in taking.accepted.updates if update["kind"] != "correction"]
    days = {day_of(time, zone) for time in dated if time <= taking.at}
    taken = None if taking.first else taking.oracle.taken
    for day in sorted(days):
        served, cap = on(taking, taking.accepted, day, taking.at), cap_on(taking, day)
        before = Fraction(0) if taken is None else on(taking, taking.before, day, taken)
        if cap[0] is not None and before <= allowance(cap) < served:
            yield of_day("daily_budget_exceeded", taking, day), credit(taking, day, served, cap)


def recent(taking: Taking) -> Iterator[date]:
    zone = taking.version.get("timezone", "UTC")
    today = day_of(taking.at, zone)
    for day in (today - timedelta(days=1), today):
        if o.day_begins(day + timedelta(days=1), zone) > taking.window[0]:
            yield day


def of_day(kind: str, taking: Taking, day: date) -> Key:
    return kind, "campaign", taking.campaign.scope_id, day.isoformat()


def credit(taking: Taking, day: date, served: Fraction, cap: tuple[Fraction | None, str | None]) -> Json:
    currency, (budget, platform) = taking.version.currency, cap
    assert budget is not None
    factor = FACTORS.get(platform or "", Fraction(1))
    parts = told(served, budget * factor, currency)
    period = None
    if platform in PERIODS:
        multiple, span = PERIODS[platform]
        first, last = span_of(span, day)
        total = sum((on(taking, taking.accepted, each, taking.at) for each in days_between(first, last)), Fraction(0))
        period = {
            "first_day": first.isoformat(),
            "last_day": last.isoformat(),
            "multiple_pct": int(multiple * 100),
            **told(total, budget * multiple, currency),
        }
    return {
        "day": day.isoformat(),
        "daily_budget": o.money(budget, currency),
        "platform": platform,
        "day_factor_pct": int(factor * 100),
        **parts,
        "allowance": o.derived(budget * factor, currency),
        "period": period,
    }


def told(served: Fraction, allowed: Fraction, currency: str) -> Json:
    return {
        "allowance": o.derived(allowed, currency),
        "served": o.money(served, currency),
        "billable": o.derived(min(served, allowed), currency),
        "expected_credit": o.derived(max(Fraction(0), served - allowed), currency),
    }


def span_of(span: str, day: date) -> tuple[date, date]:
    if span == "week":
        sunday = day - timedelta(days=day.isoweekday() % 7)
        return sunday, sunday + timedelta(days=6)
    following = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
    return day.replace(day=1), following - timedelta(days=1)


def days_between(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


# -- spikes ----------------------------------------------------------------------------------------------------------


def spikes(taking: Taking) -> Found:
    """Today and yesterday against the usable ones of the 28 days before."""
    currency = taking.version.currency
    for day in recent(taking):
        if o.day_begins(day - timedelta(days=14), taking.version.get("timezone", "UTC")) < taking.flight.start:
            continue
        before = [day - timedelta(days=age) for age in range(1, 29)]
        history = [on(taking, taking.accepted, each, taking.at) for each in before if is_usable(taking, each)]
        if len(history) < 14 or median(history) <= 0:
            continue
        middle = Fraction(median(history))
        mad = max(Fraction(median(abs(each - middle) for each in history)), middle / 20)
        spend = on(taking, taking.accepted, day, taking.at)
        z = (spend - middle) / (Fraction("1.4826") * mad)
        if z > 4:
            yield (
                of_day("spend_spike", taking, day),
                {
                    "day": day.isoformat(),
                    "spend": o.money(spend, currency),
                    "days": len(history),
                    "median": o.derived(middle, currency),
                    "mad": o.derived(mad, currency),
                    "z": float(round(z * 100)) / 100,
                    "limit_z": 4,
                },
            )


def is_usable(taking: Taking, day: date) -> bool:
    zone = taking.version.get("timezone", "UTC")
    start, end = o.day_begins(day, zone), o.day_begins(day + timedelta(days=1), zone)
    flight = taking.flight
    if not flight.start <= start < end <= flight.end:
        return False
    return taking.version.density.until(end) > taking.version.density.until(start)
