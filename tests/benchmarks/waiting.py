"""Waiting with an end to it, and the one error by which a part says that it has no figure."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NoFigureError(RuntimeError):
    """Something could not be measured; the message goes into the table."""


def wait_for(condition: Callable[[], T | None], what: str, *, seconds: float, every: float = 0.25) -> T:
    """Poll until *condition* gives something true, and return that; NoFigureError at the deadline."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise NoFigureError(f"{what}: not reached within {seconds:.0f} s")
        time.sleep(every)
    return found
