"""
The worked examples of the documents this project builds on, through the real command.

Each folder of tests/examples holds plans, spend, the tick, and what is expected of it: for each event, in order, the
fields the document (as corrected by the field definitions) gives a figure for. The figures were worked out by hand.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir())


def evaluate(folder: Path) -> list[dict[str, Any]]:
    """The events `pacing evaluate` prints for an example, which has no faults."""
    as_of = (folder / "as_of").read_text().strip()
    options = ("--plan", folder / "plan.json", "--spend", folder / "spend.ndjson", "--as-of", as_of)
    command = [sys.executable, "-m", "worker.cli", "evaluate", *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_comes_out_as_worked_out_by_hand(name: str) -> None:
    events = evaluate(EXAMPLES / name)
    expected = [json.loads(line) for line in (EXAMPLES / name / "expected.ndjson").read_text().splitlines()]
    told = [{field: event[field] for field in wanted} for event, wanted in zip(events, expected, strict=False)]
    assert told == expected
    assert [event["event_type"] for event in events] == [event["event_type"] for event in expected]


@pytest.mark.parametrize("name", NAMES)
def test_the_events_of_an_example_refer_to_each_other(name: str) -> None:
    events = evaluate(EXAMPLES / name)
    snapshots = {event["campaign_id"]: event for event in events if event["event_type"] == "pacing.snapshot_taken"}
    proposed: dict[str, list[str]] = {campaign: [] for campaign in snapshots}
    for event in events:
        snapshot = snapshots[event["campaign_id"]]
        assert event.get("snapshot_id", snapshot["snapshot_id"]) == snapshot["snapshot_id"]
        if event["event_type"] == "pacing.reallocation_recommended":
            proposed[event["campaign_id"]].append(event["recommendation_id"])
    for campaign, snapshot in snapshots.items():
        assert snapshot["recommendations"] == proposed[campaign]
    assert len({event["event_id"] for event in events}) == len(events)
