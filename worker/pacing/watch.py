"""
What the signals on the series remember of plans that no tick asks for any more.

When a plan became active again, and which daily budget counted on the last two local days: a plan's history forgets
the versions that were superseded, and this is kept instead. It changes only where a version does, so that a campaign
with one plan stores nothing. Source: field definitions 13 and 14.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from worker.pacing.allowances import rule_of
from worker.pacing.density import local_day, ordinal_at
from worker.pacing.history import PlanHistory, PlanVersion, begins
from worker.pacing.plan import Plan
from worker.pacing.state import NOTHING_WATCHED, DayCap, Watch


def watched(history: PlanHistory, version: PlanVersion, watch: Watch, as_of: int) -> Watch:
    """What is to be remembered as of a tick, *version* being in force; the very same where nothing has changed."""
    if len(history.versions) == 1 and watch == NOTHING_WATCHED:
        return watch
    today = ordinal_at(version.plan.timezone, as_of)
    now: Watch = history.kept(
        "watch", (version.version, today, watch), lambda: _watched(history, version, watch, today)
    )
    return watch if now == watch else now


def _watched(history: PlanHistory, version: PlanVersion, watch: Watch, today: int) -> Watch:
    plan, led = version.plan, _led_to(history, version)
    if watch.seen not in {each.version for each in led}:
        # After a tombstone a plan starts afresh.
        watch = NOTHING_WATCHED
    resumed = [at for at in (_resumed_at(led), watch.resumed_at) if at is not None]
    caps = [_cap(led, plan.timezone, watch, day) for day in (today - 1, today)]
    kept = tuple(cap for cap in caps if (cap.daily_budget, cap.platform) != (plan.daily_budget, plan.platform))
    return Watch(max(resumed, default=None), kept, version.version)


def _led_to(history: PlanHistory, version: PlanVersion) -> list[PlanVersion]:
    """The versions up to the one in force, in the order they count."""
    until = [each.version for each in history.versions].index(version.version)
    return [*history.versions[: until + 1]]


def _resumed_at(led: Sequence[PlanVersion]) -> int | None:
    """When a version last took over from one that was not active; None: none did."""
    resumed = None
    for before, after in pairwise(led):
        if before.plan.status != "active" and begins(before) < begins(after):
            resumed = begins(after)
    return resumed


def cap_of(version: PlanVersion, watch: Watch, day: int) -> DayCap:
    """What counts as the daily budget of a day, as of a tick whose *watch* is up to date: the plan's, if not said."""
    for cap in watch.caps:
        if cap.day == day:
            return cap
    return DayCap(day, version.plan.daily_budget, version.plan.platform)


def past_cap(history: PlanHistory, version: PlanVersion, day: int) -> DayCap:
    """The same of any day, by all the versions of the history."""
    return _cap(_led_to(history, version), version.plan.timezone, NOTHING_WATCHED, day)


def _cap(led: Sequence[PlanVersion], zone: str, watch: Watch, day: int) -> DayCap:
    """
    The highest allowance on a day: what was remembered of it, and of the versions since; else that of the first.

    A day of which nothing is remembered had the version that the last tick saw.
    """
    start, end = local_day(zone, day)[:2]
    found = [cap for cap in watch.caps if cap.day == day]
    since = 0
    if watch.seen:
        since = 1 + [each.version for each in led].index(watch.seen)
        if not found and (since == len(led) or begins(led[since]) > start):
            found = [_cap_by(led[since - 1].plan, day)]
    found += [_cap_by(plan, day) for plan in _in_force_on(led[since:], start, end)]
    return max(found, key=allowance, default=_cap_by(led[0].plan, day))


def _cap_by(plan: Plan, day: int) -> DayCap:
    return DayCap(day, plan.daily_budget, plan.platform)


def _in_force_on(led: Sequence[PlanVersion], start: int, end: int) -> Iterator[Plan]:
    """The plans that were in force at any time within [start, end)."""
    for version, until in zip(led, [*map(begins, led[1:]), end], strict=False):
        if begins(version) < min(until, end) and until > start:
            yield version.plan


def allowance(cap: DayCap) -> int:
    """What may be spent on the day, in hundredths of nanos; -1 where there is no daily budget."""
    return -1 if cap.daily_budget is None else cap.daily_budget * rule_of(cap.platform).day_pct
