"""The commands as a person types them: help, exit codes, and no traceback whatever happens to the files."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CRITEO = ROOT / "tests" / "examples" / "criteo"
AS_OF = "2026-04-18T22:00:00Z"
COMMANDS = "evaluate replay compare forecast worker demo topics migrate doctor ledger audit".split()

# Nothing that a small command waits for may load these.
SLOW = ("pydantic", "numpy", "rich", "typer", "aiokafka", "faust", "asyncpg", "asyncio")


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Relative names are the test's own, and no setting of the machine gets in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in list(os.environ):
        if name.startswith("PACING_"):
            monkeypatch.delenv(name)


def pacing(*arguments: str, given: bytes = b"") -> tuple[int, str, str]:
    """The exit code, standard output and standard error of a command that reads *given*."""
    command = [sys.executable, "-m", "worker.cli", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=60)
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def evaluate(plan: object, spend: object, given: bytes = b"") -> tuple[int, str, str]:
    return pacing("evaluate", "--plan", str(plan), "--spend", str(spend), "--as-of", AS_OF, given=given)


def events(output: str) -> list[str]:
    return [json.loads(line)["event_type"].removeprefix("pacing.") for line in output.splitlines()]


TOLD = ["snapshot_taken", "deviation_detected", "deviation_detected", "reallocation_recommended", "alert_raised"]


def test_help_names_every_command() -> None:
    code, told, _ = pacing("--help")
    assert code == 0
    assert all(f"\n    {command} " in told for command in COMMANDS)


@pytest.mark.parametrize("command", [*COMMANDS, "topics apply", "topics check", "ledger export", "ledger import"])
def test_every_command_has_help(command: str) -> None:
    code, told, faults = pacing(*command.split(), "--help")
    assert (code, faults) == (0, "")
    assert told.startswith(f"usage: pacing {command}")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "COMMAND"),
        (("paces",), "'paces'"),
        (("topics",), "ACTION"),
        (("evaluate", "--plan", "p", "--as-of", AS_OF), "--spend"),
        (("evaluate", "--plan", "p", "--spend", "s", "--as", AS_OF), "--as"),
        (("doctor", "now"), "now"),
        (("replay", "--plan", "p", "--tick", "1h"), "--spend"),
        (("ledger",), "ACTION"),
        (("ledger", "import"), "FILE"),
        (("audit", "--partition", "all"), "'all'"),
        (("compare", "--snapshots", "s", "--dsn", "d"), "--dsn"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(arguments: tuple[str, ...], named: str) -> None:
    code, told, faults = pacing(*arguments)
    assert (code, told, faults.count("\n")) == (2, "", 1)
    assert named in faults


@pytest.mark.parametrize("command", ["topics", "ledger", "doctor"])
def test_help_says_what_the_list_of_commands_says_with_its_names_as_they_are_written(command: str) -> None:
    told = pacing("--help")[1]
    (line,) = [line for line in told.splitlines() if line.split()[:1] == [command]]
    said = line.split(maxsplit=1)[1]
    assert f"{said[0].upper()}{said[1:]}." in pacing(command, "--help")[1]


def imported(*arguments: str) -> set[str]:
    """The modules a command imports, their packages alone."""
    command = [sys.executable, "-X", "importtime", "-m", "worker.cli", *arguments]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr.splitlines()
    return {line.rsplit("|", 1)[1].strip().partition(".")[0] for line in lines if line.startswith("import time:")}


def test_help_imports_nothing_slow() -> None:
    assert not imported("--help") & {*SLOW, "msgspec"}


def test_a_small_evaluate_imports_nothing_slow() -> None:
    names = ("--plan", CRITEO / "plan.json", "--spend", CRITEO / "spend.ndjson", "--as-of", AS_OF)
    assert not imported("evaluate", *map(str, names)) & set(SLOW)


# --- files -----------------------------------------------------------------------------------------------------------


def test_either_file_may_be_standard_input() -> None:
    plan, spend = CRITEO / "plan.json", CRITEO / "spend.ndjson"
    for code, told, faults in (evaluate("-", spend, plan.read_bytes()), evaluate(plan, "-", spend.read_bytes())):
        assert (code, faults) == (0, "")
        assert events(told) == TOLD


def test_both_files_may_not() -> None:
    assert evaluate("-", "-") == (2, "", "--spend: standard input is the plan already\n")


@pytest.mark.parametrize(("name", "why"), [("none", "no such file or directory"), (".", "is a directory")])
def test_a_file_that_cannot_be_read_is_told_and_nothing_is_printed(name: str, why: str) -> None:
    assert evaluate(name, CRITEO / "spend.ndjson") == (2, "", f"{name}: {why}\n")
    assert evaluate(CRITEO / "plan.json", name) == (2, "", f"{name}: {why}\n")


def test_a_file_in_another_encoding_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "spend").write_bytes((CRITEO / "spend.ndjson").read_text().encode("utf-16"))
    assert evaluate(CRITEO / "plan.json", "spend") == (2, "", "spend: it is UTF-16, not JSON in UTF-8\n")


@pytest.mark.parametrize("data", [b"", b"\n \n", b"[]", b"\xef\xbb\xbf"])
def test_an_empty_plan_file_is_a_fault_and_an_empty_spend_file_is_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "empty").write_bytes(data)
    code, told, faults = evaluate("empty", CRITEO / "spend.ndjson")
    assert (code, told) == (2, "")
    assert faults == "empty:1: message: there is no plan in the file\n"
    code, told, faults = evaluate(CRITEO / "plan.json", "empty")
    assert (code, faults) == (0, "")
    assert json.loads(told.splitlines()[0])["total_spend"] == "0.00"


def test_a_fault_is_one_line_whatever_the_input_has_in_it(tmp_path: Path) -> None:
    (tmp_path / "spend").write_text(json.dumps({"kind": "x\n\x1b[2J", "spend": "1\r\n\u2028"}) + "\n")
    _, _, faults = evaluate(CRITEO / "plan.json", "spend")
    assert all(line.startswith("spend:1: ") for line in faults.splitlines())
    assert faults.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "as_of", ["now", "2026-04-18", "2026-04-18T22:00:00", "2026-04-18 22:00:00Z", "2026-02-30T00:00:00Z", ""]
)
def test_a_tick_that_is_no_time_with_an_offset_is_told_in_one_line(as_of: str) -> None:
    code, told, faults = pacing("evaluate", "--plan", "p", "--spend", "s", "--as-of", as_of)
    assert (code, told, faults.count("\n")) == (2, "", 1)
    assert faults.startswith("--as-of: ")


def test_campaigns_are_printed_in_the_order_of_the_plan_file(tmp_path: Path) -> None:
    plan = json.loads((CRITEO / "plan.json").read_text())
    names = ["zebra", "\u00e4pfel", "apple", "Zebra", "0"]
    (tmp_path / "plan").write_text(json.dumps([{**plan, "campaign_id": name} for name in [*names, "apple"]]))
    _, told, _ = evaluate("plan", os.devnull)
    assert list(dict.fromkeys(json.loads(line)["campaign_id"] for line in told.splitlines())) == names


def test_a_plan_that_counts_later_paces_nothing_yet_and_an_earlier_one_does(tmp_path: Path) -> None:
    plan = json.loads((CRITEO / "plan.json").read_text())
    later = {**plan, "campaign_id": "later", "effective_at": "2026-04-18T22:00:00.000000001Z"}
    now = {**plan, "campaign_id": "now", "effective_at": "2026-04-18T22:00:00Z"}
    both = [{**later, "campaign_id": "both"}, {**plan, "campaign_id": "both"}]
    (tmp_path / "plan").write_text(json.dumps([later, now, *both]))
    code, told, faults = evaluate("plan", os.devnull)
    assert (code, faults) == (0, "")
    snapshots = [event for event in map(json.loads, told.splitlines()) if "plan_version" in event]
    assert [(event["campaign_id"], event["plan_version"]) for event in snapshots] == [("now", 1), ("both", 1)]


# --- replay ----------------------------------------------------------------------------------------------------------


def replay(plan: object, spend: object, *more: object, given: bytes = b"") -> tuple[int, str, str]:
    return pacing("replay", "--plan", str(plan), "--spend", str(spend), *map(str, more), given=given)


DAYS = ("--tick", "1d", "--from", "2026-04-16T22:00:00Z", "--to", AS_OF)


def test_either_file_of_a_replay_may_be_standard_input_and_may_be_an_array_with_a_bom() -> None:
    plan, spend = CRITEO / "plan.json", CRITEO / "spend.ndjson"
    array = b"\xef\xbb\xbf[" + b",".join(spend.read_bytes().splitlines()) + b"]"
    told = replay(plan, spend, *DAYS)
    assert told[0::2] == (0, "")
    assert replay("-", spend, *DAYS, given=plan.read_bytes()) == told
    assert replay(plan, "-", *DAYS, given=array) == told


def test_the_last_tick_of_a_replay_tells_the_figures_that_evaluate_tells() -> None:
    plan, spend = CRITEO / "plan.json", CRITEO / "spend.ndjson"
    (alone, *_) = evaluate(plan, spend)[1].splitlines()
    last = [line for line in replay(plan, spend, *DAYS)[1].splitlines() if "pacing.snapshot_taken" in line][-1]
    taken_alone = ("late_spend", "recommendations", "event_id", "snapshot_id")
    one, other = ({k: v for k, v in json.loads(line).items() if k not in taken_alone} for line in (alone, last))
    assert one == other


def test_a_replay_by_cuts_finds_its_topics_by_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = {"partition": 0, "tick": AS_OF, "complete": True, "next_offsets": {"my.plans": 1, "pacing.spend_updates": 1}}
    (tmp_path / "cuts").write_text(json.dumps(cut))
    options = (CRITEO / "plan.json", CRITEO / "spend.ndjson", "--cuts", "cuts")
    code, told, faults = replay(*options)
    assert (code, told, faults.count("\n")) == (2, "", 1)
    assert "pacing.campaign_plans" in faults
    monkeypatch.setenv("PACING_TOPIC_CAMPAIGN_PLANS", "my.plans")
    code, told, faults = replay(*options)
    assert (code, faults) == (0, "")
    position = json.loads(told.splitlines()[0])["ledger_position"]
    assert position == {"partition": 0, "next_offsets": cut["next_offsets"]}


def test_a_replay_sums_up_on_request() -> None:
    code, told, faults = replay(CRITEO / "plan.json", CRITEO / "spend.ndjson", *DAYS, "--summary")
    assert (code, faults) == (0, "")
    assert told.startswith("campaign ")
    assert told.splitlines()[-1].startswith("flights and periods delivered: 0 of 1")


def test_files_of_a_replay_that_cannot_be_used_are_told_and_nothing_is_printed() -> None:
    plan, spend = CRITEO / "plan.json", CRITEO / "spend.ndjson"
    gone = "none: no such file or directory\n"
    assert replay("none", spend, *DAYS) == (2, "", gone)
    assert replay(plan, "none", *DAYS) == (2, "", gone)
    assert replay(plan, "none", *DAYS, "--summary") == (2, "", gone)
    assert replay(plan, spend, "--cuts", "none") == (2, "", gone)
    assert replay(plan, "-", "--cuts", "-") == (2, "", "--cuts: standard input is the spend already\n")
    assert replay(os.devnull, spend, *DAYS) == (2, "", f"{os.devnull}:1: message: there is no plan in the file\n")


def test_a_small_replay_imports_nothing_slow() -> None:
    names = ("--plan", CRITEO / "plan.json", "--spend", CRITEO / "spend.ndjson", *DAYS)
    assert not imported("replay", *map(str, names)) & set(SLOW)


# --- ends ------------------------------------------------------------------------------------------------------------


def started(spend: object, stdout: int) -> subprocess.Popen[bytes]:
    """An evaluation under way."""
    options = ("--plan", CRITEO / "plan.json", "--spend", spend, "--as-of", AS_OF)
    command = [sys.executable, "-m", "worker.cli", "evaluate", *map(str, options)]
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE)


class Unending(threading.Thread):
    """A spend file that never ends: a pipe that is written to until nobody reads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.is_read = threading.Event()
        os.mkfifo(path)
        self.start()

    def run(self) -> None:
        """Write; opening waits for the reader."""
        with contextlib.suppress(BrokenPipeError), self.path.open("wb") as pipe:
            self.is_read.set()
            while True:
                pipe.write((CRITEO / "spend.ndjson").read_bytes())


def test_an_interrupt_ends_it_without_a_word(tmp_path: Path) -> None:
    spend = Unending(tmp_path / "unending")
    running = started(spend.path, subprocess.PIPE)
    assert spend.is_read.wait(30)
    running.send_signal(signal.SIGINT)
    told, faults = running.communicate(timeout=30)
    assert (running.returncode, told, faults) == (130, b"", b"")
    spend.join(30)


def test_a_reader_that_goes_away_ends_it_without_a_word() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    running = started(os.devnull, writer)
    os.close(writer)
    _, faults = running.communicate(timeout=30)
    assert (running.returncode, faults) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("wb") as full:
        running = started(os.devnull, full.fileno())
        _, faults = running.communicate(timeout=30)
    assert (running.returncode, faults.count(b"\n")) == (1, 1)
    assert b"No space left" in faults


@pytest.mark.parametrize(("closed", "code"), [(">&-", 1), ("2>&-", 0), ("<&-", 0)])
def test_closed_standard_streams_cause_no_traceback(closed: str, code: int) -> None:
    options = f"--plan {CRITEO / 'plan.json'} --spend {os.devnull} --as-of {AS_OF}"
    command = ["sh", "-c", f"exec {sys.executable} -m worker.cli evaluate {options} {closed}"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == code
    assert done.stderr == (b"pacing: standard output is closed\n" if code else b"")


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["worker", "topics apply", "topics check", "migrate"])
def test_wrong_settings_refuse_to_start_in_one_sentence(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACING_TICK_SECONDS", "often")
    code, told, faults = pacing(*command.split())
    assert (code, told, faults.count("\n")) == (2, "", 1)
    assert faults.startswith("pacing: PACING_TICK_SECONDS is 'often'")


def test_the_doctor_tells_wrong_settings_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACING_WEB_PORT", "70000")
    code, told, _ = pacing("doctor")
    assert code == 2
    assert told.startswith("FAIL  settings      PACING_WEB_PORT is '70000'")


def test_to_migrate_nothing_is_a_wrong_setting() -> None:
    code, _, faults = pacing("migrate")
    assert code == 2
    assert "PACING_POSTGRES_DSN" in faults


def test_a_broker_and_a_database_that_are_away_are_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACING_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("PACING_POSTGRES_DSN", "postgresql://127.0.0.1:1/pacing")
    for command in ("topics check", "topics apply", "migrate"):
        code, told, faults = pacing(*command.split())
        assert (code, told, faults.count("\n")) == (1, "", 1), command
