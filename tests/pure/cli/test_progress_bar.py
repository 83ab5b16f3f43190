"""The bar: only for whom watches, only where it takes long, and never in the way of what is read."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from worker import files, progress_bar
from worker.progress_bar import watch

NAME = "in[/odd]/place.ndjson"


class Terminal(io.StringIO):
    """Standard error that somebody watches."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture
def spend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of some chunks, which counts as long."""
    monkeypatch.setattr(files, "CHUNK_BYTES", 64)
    monkeypatch.setattr(progress_bar, "LONG_BYTES", 100)
    monkeypatch.setenv("TERM", "xterm")
    path = tmp_path / "spend"
    path.write_bytes(b'{"event_id": "something"}\n' * 100)
    return path


def watched(path: Path) -> int:
    """How many items come out."""
    with path.open("rb") as file:
        count = 0
        for number, chunk in enumerate(watch(files.read_chunks(file), file, NAME)):
            count += len(chunk.values)
            if number == 20:
                sys.stderr.write("a fault in the middle\n")
    return count


def test_a_long_file_is_watched_to_its_end(spend: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert watched(spend) == 100
    assert NAME in terminal.getvalue()
    assert "100%" in terminal.getvalue()
    assert "a fault in the middle\n" in terminal.getvalue()


def test_nothing_is_shown_where_nobody_watches(spend: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    assert watched(spend) == 100
    assert pipe.getvalue() == "a fault in the middle\n"


def test_a_short_file_is_not_worth_a_bar(spend: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bar, "LONG_BYTES", 1_000_000)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert watched(spend) == 100
    assert terminal.getvalue() == "a fault in the middle\n"
