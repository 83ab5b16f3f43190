"""
A campaign that stands still: no delivery over 48 hours in which there was to be some.

    silence   from the end of the last UTC hour with positive net spend (else from the start of the flight or period)
              to the tick; a signal is up once 48 h of it are active plan time

    cap_reached            the budget is used up: that is what stopped it
    source_stale           none of the sources that report for the campaign has sent anything for any campaign of the
                           partition in the last 48 h: the feed is silent, not the campaign
    delivery_interrupted   there is money left, and a source still reports

One of the three at most is up at a time. Source: contract, rule 16; field definition 13. What the contract leaves open:

- what a source has sent is told by event time: what is dated at or before the tick counts, whenever it came, so that
  the same input gives the same signals;
- a campaign for which no source ever reported is judged by all of them; where there is none at all, nothing is told
  but cap_reached: a feed that was never there is not stale;
- where a feed is known to lag, the silence is judged as of that long ago;
- the time in which a plan is paused is no active time, and a plan that is not active has none of these signals;
- with a recurring budget the silence begins with the period at the earliest: a campaign that had used the last one's
  budget up could not have spent before.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from worker.pacing.activity import active_until
from worker.pacing.amounts import currency_of, time_text
from worker.pacing.density import HOUR
from worker.pacing.signals import Signal, Words, scope_name

if TYPE_CHECKING:
    from worker.pacing.standing import Standing
    from worker.pacing.tick import Tick

SILENT_HOURS: Final = 48
SILENCE: Final = SILENT_HOURS * HOUR


def interruption(tick: Tick, campaign: Standing) -> Iterator[Signal]:
    """The signal of a campaign that stands still as of a tick of its flight, if it does."""
    positive_hour = tick.counted.positive_hour
    if positive_hour is None or tick.plan.status != "active":
        return
    at = tick.as_of - tick.plan.thresholds.feed_lag
    hour = positive_hour(tick.plan.timezone)
    since = max(tick.pace.window.flight.start, tick.watch.resumed_at or 0, 0 if hour is None else hour + HOUR)
    # Most campaigns have spent lately: they are passed over with one comparison.
    if at - since >= SILENCE and _is_silent(tick, since, at):
        yield from _signal(tick, campaign, since, at)


def _is_silent(tick: Tick, since: int, at: int) -> bool:
    calendar, end = tick.plan.calendar, tick.plan.flight.end
    key = tick.version.version, since
    due: int | None = tick.history.kept("silent", key, lambda: active_until(calendar, since, SILENCE, end))
    return due is not None and at >= due


def _signal(tick: Tick, campaign: Standing, since: int, at: int) -> Iterator[Signal]:
    """Which of the three it is, with its figures."""
    currency = currency_of(tick.plan.minor_digits)
    spend, budget, scale = campaign.figures[0], campaign.budget, campaign.scale
    left = budget - spend * scale
    evidence = {
        "silent_since": time_text(since),
        "silent_hours": SILENT_HOURS,
        "spend": currency.carried(spend),
        "budget": currency.budget_of(budget, scale),
    }
    if left <= 0:
        yield _told(tick, "cap_reached", evidence, "its budget is used up")
        return
    evidence["remaining_budget"] = currency.difference(left, scale)
    reports = tick.counted.reports() if tick.counted.reports else {}
    evidence["last_reports"] = {
        source: None if last is None else time_text(last) for source, last in sorted(reports.items())
    }
    if any(last is not None and last >= at - SILENCE for last in reports.values()):
        yield _told(tick, "delivery_interrupted", evidence, "there is budget left, and its source still reports")
    elif reports:
        yield _told(tick, "source_stale", evidence, f"its source has reported nothing at all for {SILENT_HOURS} h")


def _told(tick: Tick, kind: str, evidence: dict[str, object], why: str) -> Signal:
    return Signal(kind, "campaign", tick.plan.campaign_id, partial(_words, tick, evidence, why))


def _words(tick: Tick, evidence: dict[str, object], why: str) -> Words:
    name, since = scope_name("campaign", tick.plan.campaign_id), evidence["silent_since"]
    return f"{name} has spent nothing in {SILENT_HOURS} h of active time since {since}: {why}.", evidence
