"""
The compiled part of a tick's count: what was folded into the chains of a slice's campaigns, since the tick before.

    foresee ─▶ the figures of plain campaigns as they are with what is due     printed from? ─▶ leave: it is ticked
    count_rows ─▶ what is due of every other, for Python to count                              where it lies

Of a plain campaign (see `worker.pacing.plain`) a tick wants nothing but a few sums, and they are all in rows of the
sheet. So the rows stay there, as *ticked* ones, a quarter of an hour and attribution in one: that is what the campaign
has been counted for besides what its totals say, in memory and in its record alike. `Campaign.settle` adds them to the
totals when somebody wants these. What is in here decides nothing: whatever is not as simple as that it leaves alone,
and then it is counted as ever.

The rules of `kernel` hold: all compiled functions a loop calls are in this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from schemas.fields import NANOS
from worker.compiled import Integers, compiled, integer, loop
from worker.ledger import cells
from worker.ledger import sheet as on
from worker.ledger.cells import COUNT, QUARTER
from worker.ledger.chains import HEAD, LONGEST, PENDING, SINCE, SPREAD, TICKED, UNTIL
from worker.ledger.kernel import Open, opened
from worker.ledger.sheet import NO_ROW, TAKEN, WIDTH, Sheet
from worker.pacing import rows as to
from worker.pacing.figures import IMPRESSIONS, REQUESTS, SPEND


class Foreseen(NamedTuple):
    """
    Plain campaigns as of the last tick.

    Their rows on the sheet; the figures `worker.pacing.rows` describes, one campaign's behind the other's, and where
    each ends; likewise where the scope of each attribution begins in them (-1: nowhere).
    """

    campaigns: Integers
    figures: Integers
    ends: Integers
    scopes: Integers
    scope_ends: Integers


# -- what is foreseen --------------------------------------------------------------------------------------------------


@compiled
def _adds_to(figures: Integers, scope: int, line: Integers) -> bool:
    """Add a row to a scope; False where that is more than it can tell of."""
    figures[scope + to.SPEND] += line[SPEND]
    figures[scope + to.IMPRESSIONS] += line[IMPRESSIONS]
    figures[scope + to.REQUESTS] += line[REQUESTS]
    return bool(
        line[SPEND] >= 0
        and figures[scope + to.SPEND] < to.LARGEST
        and 0 <= figures[scope + to.IMPRESSIONS] < to.LARGEST
        and 0 <= figures[scope + to.REQUESTS] < to.LARGEST
    )


@compiled
def _foresees_row(figures: Integers, scopes: Integers, line: Integers, last: int) -> bool:
    """Add a row that is due; False where it is not as simple as that."""
    lo, spend, attribution = line[on.LO], line[SPEND], line[on.ATTRIBUTION]
    if attribution >= len(scopes) or scopes[attribution] < 0:
        return False
    if lo < figures[to.DAY_START] or not figures[to.START] * NANOS <= lo < figures[to.END] * NANOS:
        return False
    scope = scopes[attribution]
    if scope > to.HEAD and not _adds_to(figures, scope, line):
        return False
    figures[to.HEAD + to.SPEND] += spend
    figures[to.TODAY] += spend
    figures[to.THROUGH] = max(figures[to.THROUGH], line[on.LATEST])
    if lo <= last:
        figures[to.LATE] += spend
    return bool(spend >= 0 and figures[to.HEAD + to.SPEND] < to.LARGEST)


@compiled
def _foresees(into: Open, head: int, instant: int, last: int, figures: Integers, scopes: Integers) -> bool:
    """Have figures say what is due of a chain, and what is still to come; False where it is not as simple as that."""
    figures[to.LATE] = figures[to.FUTURE] = 0
    row = head
    while row != NO_ROW:
        line = into.cells[row * WIDTH : (row + 1) * WIDTH]
        if line[on.LO] > instant:
            figures[to.FUTURE] += line[SPEND]
        elif line[on.LATEST] > instant or not _foresees_row(figures, scopes, line, last):
            return False
        row = integer(into.next[row])
    # From when silence may be a signal stays as it was: spend can but put it off, and then the row is made anew.
    is_spike = 0 <= figures[to.MOST] < figures[to.TODAY]
    return bool(not is_spike and 0 <= figures[to.FUTURE] < to.LARGEST and figures[to.LATE] < to.LARGEST)


@compiled
def _length(into: Open, row: int) -> int:
    count = 0
    while row != NO_ROW:
        row = integer(into.next[row])
        count += 1
    return count


@loop
def _foresee(into: Open, plain: Foreseen, instant: int, last: int, fine: Integers) -> None:
    begin = scopes = 0
    for place in range(len(plain.campaigns)):
        campaign, end, scope_end = plain.campaigns[place], plain.ends[place], plain.scope_ends[place]
        stand = into.stands[campaign]
        ticked = _length(into, stand[HEAD + TICKED])
        if ticked <= LONGEST - campaign % SPREAD and _foresees(
            into, stand[HEAD + PENDING], instant, last, plain.figures[begin:end], plain.scopes[scopes:scope_end]
        ):
            fine[place] = 1
        begin, scopes = end, scope_end


def foresee(
    sheet: Sheet, campaigns: Sequence[tuple[int, bytes, Sequence[int]]], instant: int, last: int
) -> list[bytes | None]:
    """
    The figures of plain campaigns with what is due of them by an instant; None of those that are left to Python.

    Of each campaign its row, its figures, and where the scope of each of its attributions begins in them; *last* is the
    tick before, which those with a row of the sheet have all been counted at.
    """
    rows, figures, scopes = zip(*campaigns, strict=True)
    sizes = np.array([len(each) for each in figures], np.int64) // 8
    plain = Foreseen(
        np.array(rows, np.int64),
        np.frombuffer(bytearray().join(figures), np.int64),
        sizes.cumsum(),
        np.array([scope for each in scopes for scope in each], np.int64),
        np.array([len(each) for each in scopes], np.int64).cumsum(),
    )
    fine = np.zeros(len(rows), np.int64)
    sheet.chains.reach(max(rows))
    _foresee(opened(sheet), plain, instant, last, fine)
    data, ends = plain.figures.tobytes(), (plain.ends * 8).tolist()
    spans = zip([0, *ends], ends, fine.tolist(), strict=False)
    return [data[begin:end] if is_fine else None for begin, end, is_fine in spans]


# -- what is due leaves its chain --------------------------------------------------------------------------------------


@compiled
def _close_gap(into: Open, stand: Integers, before: int, following: int) -> None:
    """Take what lies between two rows out of the chain of what is pending; NO_ROW is before the first."""
    if before == NO_ROW:
        stand[HEAD + PENDING] = following
    else:
        into.next[before] = following


# -- what is left where it lies ----------------------------------------------------------------------------------------


@compiled
def _ticked(into: Open, head: int, lo: int, line: Integers) -> int:
    """The ticked row a row of the quarter of an hour from *lo* can be added to; NO_ROW where there is none."""
    row = head
    while row != NO_ROW:
        held = into.cells[row * WIDTH : (row + 1) * WIDTH]
        if held[on.LO] == lo and held[on.ATTRIBUTION] == line[on.ATTRIBUTION]:
            for place in range(COUNT):
                if not -on.FULL < held[place] + line[place] < on.FULL:
                    return NO_ROW
            return row
        row = integer(into.next[row])
    return NO_ROW


@compiled
def _leave_row(into: Open, stand: Integers, row: int) -> bool:
    """Have a row that is in no chain be ticked; whether it is free, another holding what it held."""
    line = into.cells[row * WIDTH : (row + 1) * WIDTH]
    lo, found = line[on.LO] - line[on.LO] % QUARTER, NO_ROW
    if stand[SINCE] <= lo and lo + QUARTER <= stand[UNTIL]:
        found, line[on.LO] = _ticked(into, stand[HEAD + TICKED], lo, line), lo
    line[on.NAME], line[on.NAME + 1], into.dirty[row] = 0, 0, 1
    if found == NO_ROW:
        into.labels[row] = on.OPEN | on.TICKED
        into.next[row] = stand[HEAD + TICKED]
        stand[HEAD + TICKED] = row
        return False
    held = into.cells[found * WIDTH : (found + 1) * WIDTH]
    for place in range(COUNT):
        held[place] += line[place]
    held[on.LATEST], into.dirty[found] = max(held[on.LATEST], line[on.LATEST]), 1
    line[:] = 0
    into.labels[row] = 0
    return True


@loop
def _leave(into: Open, campaigns: Integers, instant: int, freed: Integers) -> int:
    count = 0
    for campaign in campaigns:
        stand, before = into.stands[campaign], NO_ROW
        row = stand[HEAD + PENDING]
        while row != NO_ROW:
            following = integer(into.next[row])
            if into.cells[row * WIDTH + on.LO] > instant:
                before = row
            else:
                _close_gap(into, stand, before, following)
                if _leave_row(into, stand, row):
                    freed[count] = row
                    count += 1
            row = following
    return count


def leave(sheet: Sheet, campaigns: Sequence[int], instant: int) -> None:
    """
    Have the pending rows that begin by an instant be ticked, those in the chains of *campaigns*.

    Rows of one quarter of an hour and attribution become one, where the plan does not part it.
    """
    freed = np.empty(LONGEST * len(campaigns), np.int64)
    count = _leave(opened(sheet), np.array(campaigns, np.int64), instant, freed)
    sheet.give_back(freed[:count].tolist())


# -- what Python counts ------------------------------------------------------------------------------------------------


@compiled
def _count_row(into: Open, row: int, line: Integers) -> None:
    """Copy a row, which is ticked now and known by no name."""
    base = row * WIDTH
    line[:COUNT] = into.cells[base : base + COUNT]
    line[cells.ATTRIBUTION], line[cells.UPDATES] = into.cells[base + on.ATTRIBUTION], into.cells[base + on.UPDATES]
    line[cells.LATEST], line[on.TAKEN_LO] = into.cells[base + on.LATEST], into.cells[base + on.LO]
    line[on.TAKEN_HI], line[on.TAKEN_LABEL], line[on.TAKEN_ROW] = into.cells[base + on.HI], into.labels[row], row
    into.cells[base + on.NAME], into.cells[base + on.NAME + 1] = 0, 0
    into.labels[row], into.dirty[row] = into.labels[row] | on.TICKED, 1


@loop
def _count_rows(into: Open, campaigns: Integers, instant: int, lines: Integers, ends: Integers) -> None:
    count = 0
    for place in range(len(campaigns)):
        first, before = count, NO_ROW
        stand = into.stands[campaigns[place]]
        row = stand[HEAD + PENDING]
        while row != NO_ROW:
            lo, following = into.cells[row * WIDTH + on.LO], integer(into.next[row])
            if lo > instant:
                before = row
            else:
                _close_gap(into, stand, before, following)
                spot = count
                while spot > first and lines[spot - 1, on.TAKEN_LO] >= lo:
                    lines[spot] = lines[spot - 1]
                    spot -= 1
                _count_row(into, row, lines[spot])
                count += 1
            row = following
        ends[place] = count


def count_rows(sheet: Sheet, campaigns: Sequence[int], instant: int) -> tuple[list[list[int]], list[int]]:
    """
    Take the pending rows that begin by an instant out of the chains of *campaigns*: they are ticked ones now.

    What they say, in columns as `sheet` has it, campaign by campaign, in order of time and of how they were opened;
    and where those of each campaign end.
    """
    ends = np.empty(len(campaigns), np.int64)
    lines = np.empty((LONGEST * len(campaigns), TAKEN), np.int64)
    _count_rows(opened(sheet), np.array(campaigns, np.int64), instant, lines, ends)
    return lines[: ends[-1]].tolist(), ends.tolist()
