"""
Stories of campaigns, as tables: what was spent before each tick, and what was told at it.

They read as documentation of what a user will see. Each runs in the core and in the oracle. A campaign of 1,000 USD
over ten days (July 1 to 11) is on plan with 100 a day, its channels ctv and display with 50 each. On the left what
was spent in the minute before the tick (`@07-05` dates it otherwise, a negative amount is a credit); on the right
every event but an ordinary snapshot:

    ctv opened warning underpacing -15.00     a deviation of a channel; `campaign` is the campaign's own
    ctv resolved recovered                    its end and the reason
    propose ctv>display 40.00                 a proposal; `instead` where it supersedes an older one
    raised over_budget ctv, cleared ...       another signal
    final 900.00 of 1000.00, revision 1 ...   a closing or revised snapshot: its spend of its expected spend
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pure.pacing.feeding import QUIET, Paced, compare
from worker.pacing import Event

Json = dict[str, Any]

STORIES = (Path(__file__).parent / "stories.txt").read_text(encoding="utf-8")

PLAN: Json = {
    "campaign_id": "c-1",
    "account_id": "a-1",
    "currency": "USD",
    "total_budget": 1000,
    "flight_start": "2026-07-01",
    "flight_end": "2026-07-10",
    "channels": [
        {"channel": "ctv", "allocated_budget": 500},
        {"channel": "display", "allocated_budget": 500},
    ],
    "signals": QUIET,
}


def stories() -> Iterator[Any]:
    for text in STORIES.split("\n== ")[1:]:
        title, *lines = text.splitlines()
        yield pytest.param([line for line in lines if line.strip() and not line.startswith("#")], id=title)


@pytest.mark.parametrize("lines", list(stories()))
def test_a_story_is_told_as_written(lines: list[str]) -> None:
    teller = Telling()
    for line in lines:
        told = teller.line(line)
        assert told is None or told == line.split("|")[2].strip(), line


class Telling:
    """Plays the lines of a story."""

    def __init__(self) -> None:
        self.paced = Paced()
        self.raw = PLAN
        self.count = 0

    def line(self, line: str) -> str | None:
        """What is told at a tick; None for a line that is none."""
        what, _, rest = line.partition(" ")
        if what == "plan" or what.startswith("plan@"):
            self.raw = {**self.raw, **json.loads(rest or "{}")}
            self.paced.plan(self.raw, instant(what[5:]) if what != "plan" else None)
        elif what == "tombstone":
            self.paced.end_plan()
        else:
            return self.tick(*(cell.strip() for cell in line.split("|")[:2]))
        return None

    def tick(self, at: str, spent: str) -> str:
        at, *flags = at.split()
        for entry in filter(None, (entry.strip() for entry in spent.split(","))):
            self.paced.feed(self.update(at, *entry.split()))
        events, told = self.paced.tick(instant(at), complete="incomplete" not in flags)
        compare(events, told)
        return "; ".join(filter(None, map(in_short, events)))

    def update(self, at: str, *words: str) -> Json:
        """`ctv 45`, `45` of the campaign alone, `ctv 45 @07-03`."""
        self.count += 1
        dated = next((instant(word[1:]) for word in words if word.startswith("@")), a_minute_before(at))
        channel, amount = words[:2] if len(words) > 1 and not words[1].startswith("@") else (None, words[0])
        return {
            "campaign_id": "c-1",
            "event_id": f"e-{self.count}",
            "source": "dsp",
            "event_time": dated,
            "channel": channel,
            "kind": "credit" if amount.startswith("-") else "increment",
            "spend": amount,
        }


def instant(short: str) -> str:
    """`07-03` or `07-03T12:00` of 2026, in UTC."""
    return f"2026-{short}{'' if 'T' in short else 'T00:00'}:00Z"


def a_minute_before(at: str) -> str:
    day, _, clock = at.partition("T")
    minutes = int(day[3:]) * 1440 + (int(clock[:2]) * 60 + int(clock[3:]) if clock else 0) - 1
    return f"2026-{day[:2]}-{minutes // 1440:02d}T{minutes % 1440 // 60:02d}:{minutes % 60:02d}:00Z"


def in_short(event: Event) -> str:
    """An event in a few words; an ordinary snapshot in none."""
    body = event.body
    scope = body.get("scope_id") if body.get("scope") != "campaign" else "campaign"
    match event.kind:
        case "snapshot_taken" if body["final"]:
            name = f"revision {body['revision']}" if body["revision"] else "final"
            return f"{name} {body['total_spend']} of {body['expected_spend']}"
        case "deviation_detected":
            return (
                f"{scope} {body['transition']} {body['alert_level']} {body['direction']} {body['deviation_pct']:+.2f}"
            )
        case "deviation_resolved":
            return f"{scope} resolved {body['reason']}"
        case "reallocation_recommended":
            again = " instead" if body["supersedes"] else ""
            return f"propose {body['source_channel']}>{body['target_channel']} {body['amount']}{again}"
        case "alert_raised" | "alert_cleared":
            return f"{event.kind[6:]} {body['kind']} {scope}"
    return ""
