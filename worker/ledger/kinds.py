"""The kinds of updates as notes say them, and of records in the changelog."""

from __future__ import annotations

from typing import Final

INCREMENT: Final = 0
CREDIT: Final = 1
PLAIN: Final = {None: INCREMENT, "increment": INCREMENT, "credit": CREDIT}
"""Kinds that count by themselves."""
CUMULATIVE: Final = 2
CORRECTION_OF: Final = 3

# -- records: the first byte of a key; what is in them: `records`
CAMPAIGN: Final = b"c"
HISTORY: Final = b"h"
PENDING: Final = b"p"
COUNTED: Final = b"d"
SERIES: Final = b"s"
REPORTS: Final = b"r"
CORRECTION: Final = b"x"
LOCAL_DAYS: Final = b"l"
WAITING: Final = b"w"
ROWS: Final = b"u"
IDS: Final = b"i"
SOURCE: Final = b"o"
MARKER: Final = b"m"

ONE_A_CAMPAIGN: Final = frozenset((CAMPAIGN, HISTORY, LOCAL_DAYS))
NUMBERED: Final = frozenset((PENDING, COUNTED, SERIES, REPORTS, CORRECTION))
OF_A_CAMPAIGN: Final = ONE_A_CAMPAIGN | NUMBERED
