"""
How a plain campaign is written down for the compiled loop: a row of integers, and the template of its snapshot.

    row        the figures of the campaign, then `SCOPE` for each of its scopes, the campaign first
    template   the snapshot's JSON with a byte below 0x20, an op, wherever a figure or a text of the plan stands
    texts      those of the plan, as JSON, in their order

`plain` writes both, `printing` reads them.
"""

from __future__ import annotations

from typing import Final

# -- a row -------------------------------------------------------------------------------------------------------------

NONE: Final = -(1 << 62)
"""What there is not, where a figure may be missing."""
LARGEST: Final = 1 << 60
"""All money is below this, in nanos: a billion. More is left to `tick`."""
LONGEST: Final = 1 << 31
"""All times of a flight are less apart than this, in seconds."""

START, END, SCOPES, DIGITS, LATE, FUTURE, THROUGH, ROLLING, SILENT, UP, TOLD, OPEN, LEAST = range(13)
"""
The flight in seconds since 1970, how many scopes, the currency's decimals; late and future spend, the latest event
time, the rolling pace in hundredths of a percent, from when the silence is a signal, the signals that are up, the
milestones that were told; the end of the grace, and the least to be expected of a scope that opens.
"""
UNDER_WARNING, UNDER_CRITICAL, OVER_WARNING, OVER_CRITICAL, MOVES = range(13, 18)
"""Thresholds in nanos of a percent, and whether money is proposed to be moved."""
DAY_START, TODAY, MOST, HEAD = range(18, 22)
"""When the local day began, the nanos spent in it, the most that may be (-1: any); and how long this part is."""

BUDGET, SPEND, IMPRESSIONS, REQUESTS, LIFE, RANK, SCOPE = range(7)
"""Of a scope: nanos, counts, the deviation that is open, its place among the names; and how long this part is."""

NOT_OPEN, IS_UNDER, IS_UNDER_CRITICAL, IS_OVER, IS_OVER_CRITICAL = range(5)
"""What may be open of a scope, steadily."""

USED_BEFORE, AHEAD, EXHAUSTION = 1, 2, 4
"""The signals that may be up."""

# -- a template --------------------------------------------------------------------------------------------------------

OP_END, OP_NEXT, OP_ID, OP_TICK, OP_POSITION = range(5)
"""
Where the snapshot ends, the next scope, and what differs by the tick. After OP_END follows what is told of the worst
channel, up to its figure, ended so as well; and so is each of the texts.
"""
OP_SPEND, OP_EXPECTED, OP_PACING, OP_DEVIATION, OP_IMPRESSIONS, OP_CPM, OP_FILL = range(5, 12)
"""Figures of the scope."""
(
    OP_USED, OP_ELAPSED, OP_VARIANCE, OP_BAND, OP_REMAINING, OP_REQUIRED, OP_PROJECTED, OP_CAPPED, OP_EXHAUSTED,
    OP_DARK, OP_THROUGH, OP_LATE, OP_FUTURE, OP_ROLLING, OP_WORST, OP_COMPLETE, OP_TEXT, OPS,
) = range(12, 30)  # fmt: skip
"""Figures of the campaign, whether the tick is complete, and the next of the texts."""

TEXTS: Final = 7
TEXTS_OF_CHANNEL: Final = 2
"""How many texts a plan has, and how many, behind them, each of its channels, its name first."""

ID_BYTES: Final = 36
FIGURE_BYTES: Final = 48
"""More than any figure takes."""

FURTHEST: Final = 10**12
"""More hundredths, or ten-thousandths, are left to `tick`."""
