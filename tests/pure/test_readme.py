"""README's tables are those of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.metrics import table
from worker.settings import settings_table

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.parametrize("wanted", [settings_table(), "\n".join(table())], ids=["settings", "metrics"])
def test_the_readme_lists_every_one_with_its_meaning(wanted: str) -> None:
    assert wanted.strip() in README
