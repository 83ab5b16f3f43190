"""
From the cast to messages: each ad server is a pure function of the time in its flight.

The law of this file: **the same start gives the same bytes**. No clock is read and nothing is drawn at random; the
unevenness of the reports comes from a checksum of their names, so two runs of the demo differ in their dates alone.

An ad server reports each second (one of running totals every four), half a second early: the report that brings its
total to where the table says it is at second s is dated and sent at s - 0.5, so that the tick at s has it. Until the
demo begins every server has reported every four seconds: the backlog that a worker finds in the middle of a month.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

from schemas.fields import NANOS, format_money, format_time, parse_money

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.demo.cast import Incident, Line, Story

MS: Final = 10**6
"""Nanoseconds in a millisecond."""

BACKLOG_REPORT_MS: Final = 4_000
EARLY_MS: Final = 500
MICROS: Final = 1_000
"""Nanos in a millionth: reported amounts have at most six decimals, as prices by the impression do."""

REPEATED_ONE_IN: Final = 20
"""Of the live reports one in twenty is sent twice, as real servers do after a timeout."""


class Message(NamedTuple):
    """What an ad server or a planner sends at the instant *at* (nanoseconds since the epoch)."""

    at: int
    is_plan: bool
    key: bytes
    value: bytes


class Note(NamedTuple):
    """What a person at the ad server would say at the instant *at*."""

    at: int
    campaign_id: str
    text: str


class Report(NamedTuple):
    """The instant of the flight up to which a report tells the spend, and the instant the report before it told."""

    until_ms: int
    since_ms: int
    live: bool


# -- time ------------------------------------------------------------------------------------------------------------


def flight_start(story: Story, start: int) -> int:
    """The instant the flight began, if the demo starts at *start* on the story's day `today`."""
    return start - _day_ms(story, story.today) * MS


def flight_end(story: Story, start: int) -> int:
    """The first instant after the flight."""
    return flight_start(story, start) + story.days * story.day_ms * MS


def instant_of_day(story: Story, start: int, day: float) -> int:
    """The instant that ends the *day*-th day of the flight."""
    return flight_start(story, start) + _day_ms(story, day) * MS


def _day_ms(story: Story, day: float) -> int:
    """Milliseconds of the flight until the end of *day*; days are told to the hundredth."""
    return round(day * story.day_ms)


def reports(story: Story) -> Iterator[Report]:
    """Every report of one line over the whole flight, in order."""
    begun_ms, ended_ms = max(0, _day_ms(story, story.today)), story.days * story.day_ms
    live = range(begun_ms + story.report_ms, ended_ms + story.report_ms, story.report_ms)
    since_ms = 0
    for until_ms in (*range(BACKLOG_REPORT_MS, begun_ms, BACKLOG_REPORT_MS), begun_ms, *live):
        if until_ms > since_ms:
            yield Report(min(until_ms, ended_ms), since_ms, live=until_ms > begun_ms)
            since_ms = until_ms


# -- figures ---------------------------------------------------------------------------------------------------------


def spent(story: Story, line: Line, at_ms: int) -> int:
    """
    What the *line* has spent *at_ms* into the flight, in nanos, to the millionth below: straight between its days.

    >>> from worker.demo.cast import CRITEO
    >>> spent(CRITEO, CRITEO.lines[0], 18 * 20_000)
    11200000000000
    """
    since_ms, since = 0, 0
    for day, amount in line.spent_by:
        until_ms, until = _day_ms(story, day), parse_money(amount, number=False)
        if at_ms <= until_ms:
            between = (until - since) * (at_ms - since_ms) // (until_ms - since_ms)
            return (since + between) // MICROS * MICROS
        since_ms, since = until_ms, until
    return since


def reported(story: Story, line: Line, report: Report) -> int:
    """
    The line's total that the *report* tells, in nanos: a little ahead of the table, exactly on it where a day ends.

    It runs ahead by up to half of what the next report brings, so that the amounts differ from report to report and
    the total still never falls unless the table does.
    """
    if report.until_ms >= story.days * story.day_ms or report.until_ms % story.day_ms == 0:
        return spent(story, line, report.until_ms)
    told, soon = (spent(story, line, ms) for ms in (report.until_ms, report.until_ms + story.report_ms))
    ahead = (soon - told) * _unevenness(story, line, report) // 2048
    return (told + ahead) // MICROS * MICROS


def _unevenness(story: Story, line: Line, report: Report) -> int:
    """A number below 1024 that looks drawn at random and is always the same for the same report."""
    return crc32(_report_id(story, line, report).encode()) % 1024


def _report_id(story: Story, line: Line, report: Report) -> str:
    return f"{story.campaign_id}/{line.deal_id or line.channel}/{report.until_ms}".lower().replace(" ", "-")


def impressions(line: Line, nanos: int) -> int:
    """The impressions that *nanos* of spend have bought at the line's price, to the nearest one."""
    price = parse_money(line.cpm, number=False)
    return (2 * 1000 * nanos + price) // (2 * price)


def _counters(line: Line, nanos: int) -> dict[str, int]:
    """The running counters that go with a running total of *nanos*."""
    shown = impressions(line, max(0, nanos))
    counters = {"impressions": shown, "requests": shown * 100 // line.filled_pct}
    if line.deal_id:
        counters |= {"wins": shown, "bids": shown * 100 // line.won_pct}
    return counters


# -- messages --------------------------------------------------------------------------------------------------------


def plan_of(story: Story, start: int) -> dict[str, Any]:
    """The story's plan, in the contract's fields."""
    deals = [
        {"deal_id": line.deal_id, "channel": line.channel, "allocated_budget": line.budget}
        for line in story.lines
        if line.deal_id
    ]
    plan: dict[str, Any] = {
        "campaign_id": story.campaign_id,
        "account_id": story.account_id,
        "name": story.name,
        "currency": story.currency,
        "total_budget": story.budget,
        "flight_start": format_time(flight_start(story, start)),
        "flight_end": format_time(flight_end(story, start)),
        "channels": [
            {"channel": channel, "allocated_budget": format_money(nanos, 0)}
            for channel, nanos in _allocations(story).items()
        ],
    }
    return plan | ({"deals": deals} if deals else {}) | story.plan


def _allocations(story: Story) -> dict[str, int]:
    """The budget of each channel in nanos; the lines of one channel add up."""
    allocations: dict[str, int] = {}
    for line in story.lines:
        allocations[line.channel] = allocations.get(line.channel, 0) + parse_money(line.budget, number=False)
    return allocations


def messages(story: Story, start: int) -> list[Message]:
    """Everything the story sends over its flight, in the order it is sent; the plan comes first."""
    plan = _message(story, min(start, flight_start(story, start)), plan_of(story, start), is_plan=True)
    sent = [message for line in story.lines for message in _feed(story, line, start)]
    sent += [message for incident in story.incidents for message in _sent_by(story, incident, start)]
    return [plan, *sorted(sent, key=lambda message: message.at)]


def _feed(story: Story, line: Line, start: int) -> Iterator[Message]:
    """The reports of one line: what was spent since the one before, or, for running totals, what was spent at all."""
    told = 0
    for number, report in enumerate(reports(story)):
        total = reported(story, line, report)
        update = _running_total(line, total, number) if story.cumulative else _increment(line, total, told)
        at = flight_start(story, start) + (report.until_ms - EARLY_MS) * MS
        message = _update(story, at, at, {"event_id": _report_id(story, line, report)} | update)
        yield from [message] * (2 if _is_repeated(story, line, report) else 1)
        told = total


def _is_repeated(story: Story, line: Line, report: Report) -> bool:
    return report.live and _unevenness(story, line, report) % REPEATED_ONE_IN == 0


def _increment(line: Line, total: int, told: int) -> dict[str, Any]:
    before, after = _counters(line, told), _counters(line, total)
    return _attribution(line, total - told) | {name: after[name] - before[name] for name in after}


def _running_total(line: Line, total: int, number: int) -> dict[str, Any]:
    return {"kind": "cumulative", "sequence": number} | _attribution(line, total) | _counters(line, total)


def _attribution(line: Line, nanos: int) -> dict[str, Any]:
    deal = {"deal_id": line.deal_id} if line.deal_id else {}
    return {"channel": line.channel} | deal | {"spend": format_money(nanos, 2)}


def _sent_by(story: Story, incident: Incident, start: int) -> Iterator[Message]:
    """The message of an incident, if it has one; it is sent half a second early, as reports are."""
    at = instant_of_day(story, start, incident.day) - EARLY_MS * MS
    dated = at if incident.dated is None else instant_of_day(story, start, incident.dated) - EARLY_MS * MS
    if incident.plan is not None:
        changed = incident.plan | {"effective_at": format_time(at)}
        yield _message(story, at, plan_of(story, start) | changed, is_plan=True)
    if incident.fields is not None:
        yield _update(story, at, dated, incident.fields)
    if incident.raw is not None:
        yield Message(at, False, story.campaign_id.encode(), incident.raw)


def _update(story: Story, at: int, dated: int, fields: dict[str, Any]) -> Message:
    known = {"source": story.source, "campaign_id": story.campaign_id, "event_time": format_time(dated)}
    return _message(story, at, known | fields, is_plan=False)


def _message(story: Story, at: int, body: dict[str, Any], *, is_plan: bool) -> Message:
    return Message(at, is_plan, story.campaign_id.encode(), json.dumps(body, separators=(",", ":")).encode())


def notes(story: Story, start: int) -> list[Note]:
    """What a person would say about the story, and when."""
    return [
        Note(instant_of_day(story, start, incident.day), story.campaign_id, incident.note)
        for incident in story.incidents
    ]


def aligned(now: int, seconds: int) -> int:
    """The first whole multiple of *seconds* since the epoch that is not before *now*."""
    step = seconds * NANOS
    return -(-now // step) * step
