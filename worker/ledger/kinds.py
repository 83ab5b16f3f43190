"""The kinds of records in the changelog: the first byte of a key. What is in them: `records`."""

from __future__ import annotations

from typing import Final

CAMPAIGN: Final = b"c"
HISTORY: Final = b"h"
PENDING: Final = b"p"
COUNTED: Final = b"d"
SERIES: Final = b"s"
REPORTS: Final = b"r"
CORRECTION: Final = b"x"
WAITING: Final = b"w"
IDS: Final = b"i"
MARKER: Final = b"m"

OF_A_CAMPAIGN: Final = frozenset((CAMPAIGN, HISTORY, PENDING, COUNTED, SERIES, REPORTS, CORRECTION))
