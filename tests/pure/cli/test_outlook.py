"""`pacing compare` and `pacing forecast` over files, as a person types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "tests" / "examples"
PUBLISHED = json.loads((ROOT / "schemas" / "examples" / "snapshot_taken.json").read_text())
COMPARED = sorted(folder.name for folder in EXAMPLES.iterdir() if (folder / "compare.ndjson").exists())
SLOW = {"pydantic", "numpy", "rich", "aiokafka", "faust", "asyncpg", "asyncio"}


def pacing(folder: Path, *arguments: str, given: bytes = b"") -> tuple[int, list[dict[str, Any]], list[str]]:
    """The exit code, the lines on standard output and the faults."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PACING_")}
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli", *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT)},
        input=given,
        capture_output=True,
        check=False,
        timeout=60,
    )
    faults = done.stderr.decode().splitlines()
    assert not any("Traceback" in line for line in faults), faults
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], faults


def evaluated(example: str) -> bytes:
    """The events of an example's ticks, one after the other, as `pacing evaluate` prints them."""
    folder = EXAMPLES / example
    ticks = [*(folder / "ticks").read_text().split(), (folder / "as_of").read_text().strip()]
    files = ("--plan", str(folder / "plan.json"), "--spend", str(folder / "spend.ndjson"))
    command = [sys.executable, "-m", "worker.cli", "evaluate", *files, "--as-of"]
    return b"".join(
        subprocess.run([*command, tick], cwd=ROOT, capture_output=True, check=True).stdout for tick in ticks
    )


def snapshot(campaign: str, tick: str, **changed: Any) -> dict[str, Any]:
    """A snapshot of April 2026, as it is published."""
    april = {"period_start": "2026-04-01T00:00:00Z", "period_end": "2026-05-01T00:00:00Z"}
    unprojected = {"projected_spend": None, "projection_method": None}
    body: dict[str, Any] = PUBLISHED | april | unprojected | {"campaign_id": campaign, "occurred_at": tick}
    return body | {"timestamp": tick} | changed


def written(folder: Path, *bodies: object, name: str = "snapshots") -> str:
    (folder / name).write_text("".join(f"{body if isinstance(body, str) else json.dumps(body)}\n" for body in bodies))
    return name


MID_APRIL = snapshot("c", "2026-04-16T00:00:00Z", total_spend="600.00", total_budget="1000.00")


@pytest.mark.parametrize("name", COMPARED)
def test_an_example_compares_as_worked_out_by_hand(name: str, tmp_path: Path) -> None:
    wanted = [json.loads(line) for line in (EXAMPLES / name / "compare.ndjson").read_text().splitlines()]
    code, told, faults = pacing(tmp_path, "compare", "--snapshots", "-", given=evaluated(name))
    assert (code, faults) == (0, [])
    assert [{field: line[field] for field in want} for line, want in zip(told, wanted, strict=True)] == wanted


def test_a_forecast_has_a_line_for_each_inflation_asked_for(tmp_path: Path) -> None:
    options = ("--burst", "c=150", "--burst", "c=50.00", "--inflation", "10", "--inflation", "12.5")
    code, told, faults = pacing(tmp_path, "forecast", "--snapshots", written(tmp_path, MID_APRIL), *options)
    assert (code, faults) == (0, [])
    # (600 / 0.5 + 200) x 1.1 and x 1.125
    figures = [(line["scope"], line["burst_spend"], line["inflation_pct"], line["forecast_spend"]) for line in told]
    assert figures == [
        ("account", "200.00", 10, "1540.00"),
        ("account", "200.00", 12.5, "1575.00"),
        ("campaign", "200.00", 10, "1540.00"),
        ("campaign", "200.00", 12.5, "1575.00"),
    ]


def test_without_options_nothing_is_added(tmp_path: Path) -> None:
    _, told, _ = pacing(tmp_path, "forecast", "--snapshots", written(tmp_path, MID_APRIL))
    assert [(line["forecast_spend"], line["inflation_pct"]) for line in told] == [("1200.00", 0)] * 2


def test_a_campaigns_name_may_have_an_equals_sign(tmp_path: Path) -> None:
    file = written(tmp_path, MID_APRIL | {"campaign_id": "a=b"})
    _, told, _ = pacing(tmp_path, "forecast", "--snapshots", file, "--burst", "a=b=1")
    assert told[1]["burst_spend"] == "1.00"


def test_a_file_may_hold_the_records_of_a_topic(tmp_path: Path) -> None:
    records = [
        {"partition": 0, "offset": 7, "key": "c", "payload": json.dumps(MID_APRIL)},
        {"partition": 0, "offset": 8, "key": "c", "payload": None},
    ]
    code, told, faults = pacing(tmp_path, "forecast", "--snapshots", written(tmp_path, *records))
    assert (code, faults, [line["forecast_spend"] for line in told]) == (0, [], ["1200.00"] * 2)


def test_a_replay_closes_the_period_before(tmp_path: Path) -> None:
    plan = {"campaign_id": "c", "account_id": "a", "currency": "USD", "total_budget": "100", "period": "monthly"}
    plan |= {"flight_start": "2026-03-01", "flight_end": "2026-05-31"}
    spend = [
        {"event_id": day, "source": "s", "campaign_id": "c", "event_time": f"2026-{day}T12:00:00Z", "spend": "30"}
        for day in ("03-10", "03-20", "04-10")
    ]
    files = ("--plan", written(tmp_path, plan, name="plan"), "--spend", written(tmp_path, *spend, name="spend"))
    command = [sys.executable, "-m", "worker.cli", "replay", *files, "--tick", "6h", "--to", "2026-04-16T00:00:00Z"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    events = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True).stdout
    _, told, _ = pacing(tmp_path, "compare", "--snapshots", "-", given=events)
    assert (told[1]["prior_as_of"], told[1]["prior_period_spend"]) == ("2026-03-16T12:00:00Z", "60.00")
    assert told[1]["total_spend"] == {"current": "30.00", "prior": "30.00", "change": "0.00", "change_pct": 0.0}
    _, told, _ = pacing(tmp_path, "forecast", "--snapshots", "-", "--as-of", "2026-04-01T00:00:00Z", given=events)
    assert (told[1]["baseline_method"], told[1]["baseline_spend"]) == ("actual", "60.00")


def test_the_time_asked_for_decides_which_period_is_this_one(tmp_path: Path) -> None:
    march = {"period_start": "2026-03-01T00:00:00Z", "period_end": "2026-04-01T00:00:00Z"}
    closing = snapshot("c", "2026-04-01T00:00:00Z", total_spend="900.00", final=True, **march)
    file = written(tmp_path, closing, MID_APRIL)
    for as_of, baseline, method in (
        ("2026-04-01T00:00:00Z", "900.00", "actual"),
        ("2026-04-20T00:00:00Z", "1200.00", "run_rate"),
    ):
        _, told, _ = pacing(tmp_path, "forecast", "--snapshots", file, "--as-of", as_of)
        assert (told[1]["baseline_spend"], told[1]["baseline_method"]) == (baseline, method)


def test_one_account_may_be_asked_for(tmp_path: Path) -> None:
    file = written(tmp_path, MID_APRIL, snapshot("d", "2026-04-16T00:00:00Z", account_id="other"))
    _, told, _ = pacing(tmp_path, "compare", "--snapshots", file, "--account", "other")
    assert {line["account_id"] for line in told} == {"other"}


def test_a_small_comparison_imports_nothing_slow(tmp_path: Path) -> None:
    for command in ("compare", "forecast"):
        arguments = ["-X", "importtime", "-m", "worker.cli", command, "--snapshots", written(tmp_path, MID_APRIL)]
        told = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        lines = [line for line in told.stderr.splitlines() if line.startswith("import time:")]
        assert not {line.rsplit("|", 1)[1].strip().partition(".")[0] for line in lines} & SLOW


# --- faults ----------------------------------------------------------------------------------------------------------


def test_a_bad_line_is_named_and_the_good_ones_are_compared(tmp_path: Path) -> None:
    bad = MID_APRIL | {"total_spend": "much"}
    file = written(tmp_path, MID_APRIL, "", "{", bad, {"event_type": "pacing.deviation_detected"})
    code, told, faults = pacing(tmp_path, "compare", "--snapshots", file)
    assert (code, len(told)) == (2, 2 + len(PUBLISHED["channel_snapshots"]))
    assert faults == [
        "snapshots:3: message: input data was truncated",
        "snapshots:4: total_spend: 'much' is not an amount with at most 9 decimals",
    ]


@pytest.mark.parametrize("bodies", [[], [{"event_type": "pacing.tick_closed"}]], ids=["empty", "other events alone"])
@pytest.mark.parametrize("command", ["compare", "forecast"])
def test_a_file_without_a_snapshot_is_a_fault(tmp_path: Path, command: str, bodies: list[object]) -> None:
    told = pacing(tmp_path, command, "--snapshots", written(tmp_path, *bodies))
    assert told == (2, [], ["snapshots: there is no snapshot"])


def test_a_broken_array_is_told(tmp_path: Path) -> None:
    (tmp_path / "array").write_text(f"[{json.dumps(MID_APRIL)},,")
    code, told, faults = pacing(tmp_path, "forecast", "--snapshots", "array")
    assert (code, len(told)) == (2, 2)
    assert faults == ["array:2: message: there is a comma too many", "array:2: message: the array is not closed"]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    told = pacing(tmp_path, "compare", "--snapshots", "none")
    assert told == (2, [], ["none: no such file or directory"])


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("--as-of", "2026-03-01T00:00:00Z"), "snapshots: no campaign has a period at 2026-03-01T00:00:00Z"),
        (("--as-of", "2026-06-01T00:00:00Z"), "snapshots: no campaign has a period at 2026-06-01T00:00:00Z"),
        (("--account", "nobody"), "snapshots: there is no snapshot of the account 'nobody'"),
        (("--as-of", "today"), "--as-of: 'today' is not an RFC 3339 time with an offset, such as 2026-07-01T00:00:00Z"),
        (("--burst", "d=5"), "--burst: no campaign 'd' has a period at 2026-04-16T00:00:00Z"),
        (("--burst", "5"), "--burst: '5' is not CAMPAIGN=AMOUNT"),
        (("--burst", "=5"), "--burst: '=5' is not CAMPAIGN=AMOUNT"),
        (("--burst", "c=-5"), "--burst: must be at least 0"),
        (("--burst", "c=1e3"), "--burst: '1e3' is not a decimal number"),
        (("--inflation", "-100"), "--inflation: must be above -100 and at most 1000 (percent)"),
        (("--inflation", "1001"), "--inflation: must be above -100 and at most 1000 (percent)"),
        (("--inflation", "10%"), "--inflation: '10%' is not a decimal number"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(tmp_path: Path, options: tuple[str, ...], fault: str) -> None:
    # An option's value that begins with a dash needs its equals sign.
    joined = [f"{options[0]}={options[1]}"]
    code, told, faults = pacing(tmp_path, "forecast", "--snapshots", written(tmp_path, MID_APRIL), *joined)
    assert (code, told, len(faults)) == (2, [], 1)
    assert faults[0].startswith(fault)


def test_with_nothing_to_ask_the_command_says_what_it_wants(tmp_path: Path) -> None:
    wanted = "pacing: there is nothing to ask: give --snapshots, --dsn or PACING_POSTGRES_DSN."
    assert pacing(tmp_path, "compare") == (2, [], [wanted])
    assert pacing(tmp_path, "forecast", "--dsn", "") == (2, [], [wanted])


def test_a_database_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    code, told, faults = pacing(tmp_path, "compare", "--dsn", "postgresql://127.0.0.1:1/pacing")
    assert (code, told, len(faults)) == (1, [], 1)
    assert faults[0].startswith("pacing: PostgreSQL: ")


def test_a_dsn_that_names_no_database_is_bad_input(tmp_path: Path) -> None:
    code, lines, faults = pacing(tmp_path, "compare", "--dsn", "no dsn at all")
    assert (code, lines, len(faults)) == (2, [], 1)
    assert faults[0].startswith("pacing: --dsn: invalid DSN")
