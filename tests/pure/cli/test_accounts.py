"""`pacing evaluate --accounts`: the accounts of a file are the sums of its campaigns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "tests" / "examples"
NAMES = sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir())
CAP = {
    "account_id": "acme",
    "currency": "USD",
    "total_budget": "1000",
    "flight_start": "2020-01-01",
    "flight_end": "2030-12-31",
}
Json = dict[str, Any]


def evaluate(folder: Path, *options: str, piped: str = "") -> tuple[int, list[Json], list[str]]:
    """The exit code, the events and the faults for an example."""
    as_of = (EXAMPLES / folder / "as_of").read_text().strip()
    files = ("--plan", EXAMPLES / folder / "plan.json", "--spend", EXAMPLES / folder / "spend.ndjson")
    command = [sys.executable, "-m", "worker.cli", "evaluate", *map(str, files), "--as-of", as_of, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, input=piped, check=False, timeout=60)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_an_account_is_the_sum_of_the_snapshots_printed_before_it(name: str) -> None:
    alone = evaluate(Path(name))
    code, events, faults = evaluate(Path(name), "--accounts")
    assert (code, faults) == (0, [])
    assert events[: len(alone[1])] == alone[1], "the campaigns' events stay as they are, and come first"
    sums: defaultdict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 4)
    for event in alone[1]:
        if event["event_type"] == "pacing.snapshot_taken":
            told = [Decimal(1), *(Decimal(event[field]) for field in ("total_budget", "total_spend", "expected_spend"))]
            key = event["account_id"], event["currency"]
            sums[key] = [one + other for one, other in zip(sums[key], told, strict=True)]
    accounts = [event for event in events if event["event_type"] == "pacing.account_snapshot_taken"]
    assert {(event["account_id"], event["currency"]) for event in accounts} == set(sums)
    for event in accounts:
        campaigns, budget, spend, expected = sums[event["account_id"], event["currency"]]
        assert (event["campaigns"], event["exact"]) == (campaigns, True)
        assert (Decimal(event["total_budget"]), Decimal(event["total_spend"])) == (budget, spend)
        # The account's is rounded once, those of the campaigns each.
        assert abs(Decimal(event["expected_spend"]) - expected) <= (campaigns + 1) * Decimal("0.005")
    assert all(event["scope"] == "account" for event in events[len(alone[1]) :] if "scope" in event)


def test_a_cap_on_standard_input_counts_from_the_first_tick_on() -> None:
    code, events, _ = evaluate(Path("adroll"), "--accounts", "-", piped=json.dumps(cap_of("adroll", enter_ticks=5)))
    assert code == 0
    (account,) = [event for event in events if event["event_type"] == "pacing.account_snapshot_taken"]
    assert (account["cap"], account["total_budget"]) == ("1000.00", "1000.00")
    assert [event["transition"] for event in events if event.get("scope") == "account" and "transition" in event] == [
        "opened"
    ]


def test_a_bad_cap_is_named_by_its_line_and_the_rest_is_printed(tmp_path: Path) -> None:
    bad = {**cap_of("adroll"), "total_budget": "-1"}
    (tmp_path / "caps").write_text(f"{json.dumps(cap_of('adroll'))}\n{json.dumps(bad)}\n")
    code, events, faults = evaluate(Path("adroll"), "--accounts", str(tmp_path / "caps"))
    assert code == 2
    (fault,) = faults
    assert fault.startswith(f"{tmp_path / 'caps'}:2: total_budget: ")
    assert "pacing.account_snapshot_taken" in {event["event_type"] for event in events}


def test_standard_input_is_read_once() -> None:
    code, events, faults = evaluate(Path("adroll"), "--accounts", "-", "--plan", "-")
    assert (code, events) == (2, [])
    assert faults == ["--accounts: standard input is the plan already"]


def cap_of(name: str, **thresholds: int) -> Json:
    """A cap on the account of an example's first plan."""
    first = evaluate(Path(name))[1][0]
    return {**CAP, "account_id": first["account_id"], "currency": first["currency"], "thresholds": thresholds}
