"""
What numba compiles: functions within loops, and the loops themselves, which are kept for the next process.

numba's cache on disk looks for changes in the file of a loop alone, so all that one calls is in its file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]

there = np.uint64
"""What makes an index of a position, which is never negative: numba looks for the end of an array otherwise."""

integer: Callable[[Any], int] = np.int64  # type: ignore[assignment]
"""What makes a number one of 64 bits with a sign; to those who look at types it is an int."""


def compiled(function: F) -> F:
    """*function* as machine code within that of the loop that calls it."""
    made: F = numba.njit(nogil=True)(function)
    return made


def loop(function: F) -> F:
    """*function* as machine code, kept for the next process: in NUMBA_CACHE_DIR, beside this file, or with the user."""
    made: F
    try:
        made = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # nowhere to keep it
        made = compiled(function)
    return made
