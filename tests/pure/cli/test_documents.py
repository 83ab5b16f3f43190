"""The figures that differ from the documents': as the commands print them, and as README lists them."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.pure.cli.documents import ROWS, Row, table
from tests.pure.cli.test_examples import EXAMPLES, evaluate
from tests.pure.cli.test_outlook import evaluated, pacing

README = (Path(__file__).parents[3] / "README.md").read_text()


@cache
def events(example: str) -> list[dict[str, Any]]:
    return evaluate(EXAMPLES / example)


@cache
def compared(example: str) -> list[dict[str, Any]]:
    return pacing(EXAMPLES, "compare", "--snapshots", "-", given=evaluated(example))[1]


def figure(row: Row) -> Any:
    """What a command says of it."""
    kind, name = row.line.split()
    if kind == "account":
        (line,) = [line for line in compared(row.example) if (line["scope"], line["scope_id"]) == (kind, name)]
        return line[row.field]["change_pp"]
    found = [e for e in events(row.example) if (e["event_type"], e["campaign_id"]) == (f"pacing.{kind}", name)]
    return found[0][row.field]


def as_number(text: str) -> Decimal | str:
    """A printed figure without its unit; a word stays one."""
    digits = text.removesuffix(" %").replace(",", "")
    return Decimal(digits) if digits.lstrip("-").replace(".", "").isdigit() else text


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.document}: {row.of}: {row.printed} is {row.holds}" for row in ROWS])
def test_the_figure_that_holds_is_printed_and_not_the_documents(row: Row) -> None:
    found = figure(row)
    told = found if isinstance(found, str) and not found[-1].isdigit() else Decimal(str(found))
    assert told == as_number(row.holds)
    assert told != as_number(row.printed)


def test_the_examples_readme_lists_every_one_and_the_readme_one_of_each_kind() -> None:
    assert "\n".join(table(ROWS)) in (EXAMPLES / "README.md").read_text()
    assert "\n".join(table(row for row in ROWS if row.is_in_short)) in README
