"""`pacing ledger import` and `audit` read a file before they ask for a broker; what is wrong with it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pure.cli.test_cli import _elsewhere, pacing  # noqa: F401  # a fixture for every test here
from tests.pure.ledger.test_golden import golden
from worker.transfer.sections import Section, lines_of


@pytest.mark.parametrize("command", [("ledger", "import"), ("audit", "--ledger")])
def test_a_changed_figure_is_told_with_file_line_and_field(command: tuple[str, ...], tmp_path: Path) -> None:
    text = "".join(lines_of(Section("app", 0, 1, golden())))
    (tmp_path / "ledger.ndjson").write_text(text.replace('"spend":"5.00"', '"spend":"6.00"', 1))
    changed = next(n for n, line in enumerate(text.splitlines(), 1) if '"spend":"5.00"' in line)
    code, told, faults = pacing(*command, "ledger.ndjson")
    assert (code, told) == (2, "")
    assert faults == (
        f"ledger.ndjson:{changed}: check: the line is not as it was exported: something in it was changed\n"
    )


@pytest.mark.parametrize("command", [("ledger", "import"), ("audit", "--ledger")])
def test_a_file_that_is_not_there_is_told(command: tuple[str, ...]) -> None:
    code, told, faults = pacing(*command, "nowhere.ndjson")
    assert (code, told, faults) == (2, "", "nowhere.ndjson: no such file or directory\n")


def test_standard_input_is_read() -> None:
    code, _, faults = pacing("ledger", "import", "-", given=b"[]\n")
    assert (code, faults) == (2, "-:1: line: it must be an object\n")


def test_a_broker_that_is_away_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACING_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    code, _, faults = pacing("ledger", "export", "out.ndjson")
    assert code == 1
    assert faults == "pacing: no Kafka broker answers at 127.0.0.1:1\n"
    assert not Path("out.ndjson").exists()
