"""
What a run found, as Markdown: one table of drains with their ratios, one of every other figure, each with how it was
measured. A part writes its rows down as it finds them, so that one that fails later loses none of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

OURS = "this worker"

Row = dict[str, Any]


class Report:
    """Where a part writes its rows: one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def drain(self, name: str, updates: int, seconds: float, how: str) -> None:
        """A backlog drained by *name*."""
        self._write({"row": "drain", "name": name, "updates": updates, "seconds": seconds, "how": how})

    def figure(self, what: str, figure: str, how: str) -> None:
        """Any other figure."""
        self._write({"row": "figure", "what": what, "figure": figure, "how": how})

    def no_drain(self, name: str, why: str) -> None:
        """A contender that has no figure, and why."""
        self._write({"row": "no drain", "name": name, "why": one_line(why)})

    def no_figure(self, what: str, why: str) -> None:
        """A figure that is missing, and why."""
        self._write({"row": "figure", "what": what, "figure": "**failed**", "how": one_line(why)})

    def _write(self, row: Row) -> None:
        with self._path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")

    def rows(self) -> list[Row]:
        """Everything written so far."""
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()]


def one_line(text: str, most: int = 300) -> str:
    """The end of *text*, which is where an error says what it is, fit for a cell."""
    line = " ".join(text.split()).replace("|", "/")
    return line if len(line) <= most else f"... {line[-most:]}"


def speed_of_ours(rows: Sequence[Row]) -> float | None:
    """Updates a second of this worker, if it was measured."""
    return next((r["updates"] / r["seconds"] for r in rows if r["row"] == "drain" and r["name"] == OURS), None)


def markdown(rows: Sequence[Row], notes: Sequence[str]) -> str:
    """Both tables, and the *notes* over them."""
    tables = [notes, list(_drains(rows)), list(_figures(rows))]
    return "\n\n".join("\n".join(lines) for lines in tables if lines) + "\n"


def _drains(rows: Sequence[Row]) -> Iterator[str]:
    ours = speed_of_ours(rows)
    drains = [row for row in rows if row["row"] in {"drain", "no drain"}]
    if drains:
        yield "| the same backlog, drained by | updates | seconds | updates/s | this worker is | how it was measured |"
        yield "|---|---:|---:|---:|---:|---|"
    for row in drains:
        if row["row"] == "no drain":
            yield f"| {row['name']} | | | **failed** | | {row['why']} |"
        else:
            speed = row["updates"] / row["seconds"]
            ratio = f"{ours / speed:.2f} times as fast" if ours and row["name"] != OURS else ""
            yield (
                f"| {row['name']} | {row['updates']:,} | {row['seconds']:.2f} | {speed:,.0f} | {ratio} | {row['how']} |"
            )


def _figures(rows: Sequence[Row]) -> Iterator[str]:
    figures = [row for row in rows if row["row"] == "figure"]
    if figures:
        yield "| what | figure | how it was measured |"
        yield "|---|---:|---|"
    for row in figures:
        yield f"| {row['what']} | {row['figure']} | {row['how']} |"
