"""The tables are run before the oracle: what is wrong is then told in a second, and by name."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order these tests among themselves; those of other folders stay where they are."""
    places = [place for place, item in enumerate(items) if "pure/pacing/" in item.path.as_posix()]
    ours = sorted((items[place] for place in places), key=lambda item: item.path.stem == "test_against_the_oracle")
    for place, item in zip(places, ours, strict=True):
        items[place] = item
