"""
Bad input through the real command: every fault is named by line and field, and the good campaigns are still printed.

The messages are those of the mutation corpus: every field in every wrong state, and bytes that are no message at all.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from tests.pure.schemas.corpus import Case, broken_values, plan_cases, update_cases

TICK = "2026-07-06T00:00:00Z"
GOOD_PLAN = {
    "campaign_id": "good",
    "account_id": "acme",
    "currency": "USD",
    "total_budget": "1000.00",
    "flight_start": "2026-07-01T00:00:00Z",
    "flight_end": "2026-07-11T00:00:00Z",
}


class Done(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    events: list[dict[str, Any]]
    faults: dict[int, set[str]]
    """The fields named, by line."""
    errors: list[str]

    def spent(self, campaign: str) -> list[str]:
        """What the snapshots of a campaign say was spent."""
        kind = "pacing.snapshot_taken"
        return [e["total_spend"] for e in self.events if e["event_type"] == kind and e["campaign_id"] == campaign]


def evaluate(folder: Path, plan: bytes | None, spend: bytes | None, *, as_of: str = TICK) -> Done:
    """`pacing evaluate` over files of these bytes; None writes none."""
    for name, data in (("plan", plan), ("spend", spend)):
        if data is not None:
            (folder / name).write_bytes(data)
    command = [sys.executable, "-m", "worker.cli", "evaluate", "--plan", "plan", "--spend", "spend", "--as-of", as_of]
    done = subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False)
    errors = done.stderr.decode().splitlines()
    assert not any("Traceback" in line for line in errors), errors
    return Done(done.returncode, [json.loads(line) for line in done.stdout.splitlines()], _by_line(errors), errors)


ROOT = Path(__file__).parents[3]


def _by_line(errors: Iterable[str]) -> dict[int, set[str]]:
    faults: dict[int, set[str]] = {}
    for error in errors:
        file, number, rest = error.split(":", 2)
        assert file in ("plan", "spend"), error
        if number.isdigit():
            faults.setdefault(int(number), set()).add(rest.split(": ", 1)[0].strip())
    return faults


def good_update(number: int) -> dict[str, Any]:
    return {
        "event_id": f"good-{number}",
        "source": "gam",
        "campaign_id": "good",
        "event_time": "2026-07-02T00:00:00Z",
        "spend": "1.00",
    }


def lines(cases: Iterable[Case], good: Iterable[Any]) -> Iterator[tuple[bytes, Case | None]]:
    """Each case between good messages, a line each."""
    for case, message in zip(cases, good, strict=False):
        yield json.dumps(message).encode(), None
        yield case.value, case


def in_one_line(cases: Iterable[Case]) -> list[Case]:
    """The cases whose bytes fit one line of a file, and are no blank line."""
    return [case for case in cases if case.value.strip() and b"\n" not in case.value and b"\r" not in case.value]


def check(faults: dict[int, set[str]], cases: list[Case | None]) -> None:
    """Exactly the refused cases are told, each by its line and its field."""
    refused = {number: case for number, case in enumerate(cases, 1) if case is not None and not case.accepted}
    missed = {number: case for number, case in refused.items() if number not in faults}
    assert missed == {}
    wrong = {case: faults[at] for at, case in refused.items() if not points_at(case, faults[at])}
    assert wrong == {}
    told = [cases[number - 1] for number in faults if number not in refused]
    assert told == []


def points_at(case: Case, fields: set[str]) -> bool:
    """Whether a fault names what was spoiled; a fault of the whole message is told as `message`."""
    return any(case.is_told_by("" if field == "message" else field) for field in fields)


def test_every_bad_update_is_named_and_the_good_ones_count(tmp_path: Path) -> None:
    good = json.dumps({**good_update(0), "campaign_id": "broken"}, separators=(",", ":")).encode()
    cases = in_one_line(chain(update_cases(), broken_values(good)))
    written = list(lines(cases, map(good_update, range(len(cases)))))
    spend = b"\n".join(line for line, _ in written)
    done = evaluate(tmp_path, json.dumps(GOOD_PLAN).encode(), spend)
    assert done.code == 2
    check(done.faults, [case for _, case in written])
    assert done.spent("good") == [f"{len(cases)}.00"]


def test_every_bad_update_of_an_array_is_named_by_its_place(tmp_path: Path) -> None:
    cases = [case for case in in_one_line(update_cases()) if is_json(case.value)]
    written = list(lines(cases, map(good_update, range(len(cases)))))
    spend = b"[" + b",".join(line for line, _ in written) + b"]"
    done = evaluate(tmp_path, json.dumps(GOOD_PLAN).encode(), spend)
    assert done.code == 2
    check(done.faults, [case for _, case in written])
    assert done.spent("good") == [f"{len(cases)}.00"]


def test_every_bad_plan_is_named_and_the_good_ones_are_paced(tmp_path: Path) -> None:
    broken = broken_values(json.dumps(GOOD_PLAN, separators=(",", ":")).encode())
    cases = [case for case in in_one_line(chain(plan_cases(), broken)) if not case.accepted]
    good = [{**GOOD_PLAN, "campaign_id": f"good-{number}"} for number in range(len(cases))]
    written = list(lines(cases, good))
    done = evaluate(tmp_path, b"\n".join(line for line, _ in written), b"")
    assert done.code == 2
    check(done.faults, [case for _, case in written])
    assert list(dict.fromkeys(event["campaign_id"] for event in done.events)) == [p["campaign_id"] for p in good]


def is_json(value: bytes) -> bool:
    """Whether Python's own reader takes it; an array of what it does not take cannot be told apart item by item."""
    try:
        json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)
