"""The command over files of a test's own, in this process: what it prints and what it has to say against them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from worker.replay.command import Options, replay
from worker.replay.cuts import Topics

Json = dict[str, Any]
PLANS, SPEND = "plans-in", "spend-in"
TOPICS = Topics(PLANS, SPEND)


class Done(NamedTuple):
    """How the command ended, its lines, and its faults."""

    code: int
    lines: list[bytes]
    faults: list[str]

    @property
    def events(self) -> list[Json]:
        """The bodies of its events."""
        return [json.loads(line) for line in self.lines]

    def told(self, kind: str, *fields: str) -> list[tuple[Any, ...]]:
        """Those fields of each event of a kind."""
        return [tuple(e[field] for field in fields) for e in self.events if e["event_type"] == f"pacing.{kind}"]


class Screen(io.TextIOWrapper):
    """Standard output that somebody watches."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def text(items: Iterable[Json | str]) -> str:
    """A file with a line for each item; texts are taken as they are."""
    return "".join(f"{item if isinstance(item, str) else json.dumps(item)}\n" for item in items)


@contextlib.contextmanager
def inside(folder: str) -> Iterator[None]:
    """Relative names are of *folder* (pytest's monkeypatch lasts too long for an example of Hypothesis)."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run(
    plans: Sequence[Json | str],
    spend: Sequence[Json | str],
    cuts: Sequence[Json | str] | None = None,
    *,
    tick: str | None = "1h",
    since: str | None = None,
    until: str | None = None,
    summary: bool = False,
    caps: Sequence[Json | str] | None = None,
    out: type[io.TextIOWrapper] = io.TextIOWrapper,
) -> Done:
    """Replay files of these lines: `plan`, `spend`, `cuts` and `caps` (None: no accounts)."""
    with tempfile.TemporaryDirectory() as folder, inside(folder):
        for name, items in (("plan", plans), ("spend", spend), ("cuts", cuts or ()), ("caps", caps or ())):
            Path(name).write_text(text(items))
        data, faults = io.BytesIO(), io.StringIO()
        printed = out(data, encoding="utf-8")
        options = Options(
            "plan",
            "spend",
            tick,
            since,
            until,
            None if cuts is None else "cuts",
            summary,
            None if caps is None else "caps",
        )
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(faults):
            code = replay(options, TOPICS)
        printed.flush()
        return Done(code, data.getvalue().splitlines(), faults.getvalue().splitlines())
