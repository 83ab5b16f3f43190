"""
A tick over a partition: one cut of the input, then campaign by campaign in the order of their ids, in slices.

    open_tick ─▶ positions are fixed; what comes now waits, for each campaign until it is judged
    tick_slice ─▶ pending becomes totals ─▶ worker.pacing judges ─▶ what waited becomes pending
              └─▶ of plain campaigns it stays on the sheet as it is, and they are printed from their row
    close_tick ─▶ the next tick may come

Slices may lie in different checkpoints: which campaign was last is part of the ledger, so that a crash resumes inside
the tick. A tick over many campaigns therefore never stalls intake.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any, Final, NamedTuple

from worker.ledger.book import Book
from worker.ledger.campaign import Campaign, Plain
from worker.ledger.cells import NEVER
from worker.ledger.uncounted import Due, take_through
from worker.pacing import Counted, Event, PacingState, PlanHistory, Printed, Row, print_rows, row_of, take_tick

CELLS_A_CAMPAIGN: Final = 20
"""A slice ends early at so many counted cells for each campaign it may judge: after a backlog one has thousands."""


PRINTED_FROM: Final = 10
"""Of so many campaigns the plain ones of a slice are judged and printed together; for fewer no loop need be loaded."""


class CampaignEvent(NamedTuple):
    """An event a tick led to, and the campaign it is about: the key it is produced under."""

    campaign_id: str
    event: Event | Printed


class Turn(NamedTuple):
    """A campaign that is counted: what the tick counts of it; None of one that is at rest."""

    campaign: Campaign
    history: PlanHistory
    counted: Counted | None


Planned = tuple[Campaign, PlanHistory]
"""A campaign of a slice, and its plan's versions."""


class TickSlice(NamedTuple):
    """A part of a tick: what it led to, how many campaigns it judged, and whether it was the last part."""

    events: list[CampaignEvent]
    campaigns: int
    done: bool


def expect_tick(book: Book, tick: int) -> None:
    """No tick before *tick* will be taken."""
    if book.tick is None and tick != book.ticks.next:
        book.move_ticks(book.ticks.last, tick)


def open_tick(book: Book, tick: int, *, complete: bool, first: bool) -> None:
    """Fix the cut of the input that *tick* counts."""
    if book.tick is not None or (book.last_tick is not None and tick <= book.last_tick):
        raise ValueError(f"tick {tick} is not after {book.tick or book.last_tick}")
    book.tick = tick
    book.tick_positions = dict(book.positions)
    book.tick_complete = complete
    book.tick_first = first
    book.tick_done = None
    book.tick_campaigns = 0
    # Where nobody asks for accounts, the last tick's sums are still there.
    book.rollup.take()
    book.tick_ordinal = book.memory.end
    book.sources.cut(tick)
    book.move_ticks(tick, tick + book.ticks.every)
    book.moved = True


def tick_slice(book: Book, most: int) -> TickSlice:
    """Judge the next campaigns, *most* at the most."""
    if book.tick is None:
        raise ValueError("no tick is open")
    planned, start = book.planned_after(book.tick_done)
    due: list[Planned] = []
    stop, cells = start, 0
    while stop < min(start + most, len(planned)) and cells < CELLS_A_CAMPAIGN * most:
        campaign = book.campaign(planned[stop])
        if campaign is not None and campaign.history is not None:
            due.append((campaign, campaign.history))
            cells += campaign.pending.in_days
        book.tick_done = planned[stop]
        stop += 1
    events = _judge(book, due, book.tick, together=len(planned) >= PRINTED_FROM and not book.tick_first)
    book.tick_campaigns += stop - start
    book.moved = True
    return TickSlice(events, stop - start, stop == len(planned))


def close_tick(book: Book) -> None:
    """All slices are done."""
    book.last_tick = book.tick
    book.tick = book.tick_done = None
    book.moved = True
    book.epoch += 1


def _position(book: Book) -> dict[str, Any] | None:
    """The input the tick's numbers cover; None in a file."""
    if not book.partitions:
        return None
    return {"partition": book.partition, "next_offsets": book.tick_positions}


def _judge(book: Book, planned: Sequence[Planned], tick: int, *, together: bool) -> list[CampaignEvent]:
    """Let the core tell what it finds: of plain campaigns all at once, if *together*, of every other by itself."""
    position, events = _position(book), list[CampaignEvent]()
    tried = _foreseen(book, planned, tick, position) if together else {campaign.row: None for campaign, _ in planned}
    left = [(campaign, history) for campaign, history in planned if tried.get(campaign.row) is None]
    others = _counted_and_told(book, left, tick, position, tried)
    for campaign, history in planned:
        printed = tried.get(campaign.row)
        told: Sequence[Event | Printed] = next(others) if printed is None else (printed,)
        _add_up(book, campaign, history, tick, told)
        events += [CampaignEvent(campaign.campaign_id, event) for event in told]
    return events


# -- what is due is foreseen -------------------------------------------------------------------------------------------


def _foreseen(
    book: Book, planned: Sequence[Planned], tick: int, position: dict[str, Any] | None
) -> dict[int, Printed | None]:
    """
    The snapshots of those as plain as at the tick before, by their row; what is due of them stays on the sheet.

    None of those that turn out to be plain no more.
    """
    simple = [(campaign, plain) for campaign, history in planned if (plain := _simple(book, campaign, history, tick))]
    if not simple:
        return {}
    from worker.ledger.counting import foresee, leave  # loaded already: chains are the compiled loops'

    told = [(campaign.row, row.figures, scopes) for campaign, (row, scopes) in simple]
    figures = foresee(book.sheet, told, tick, NEVER if book.last_tick is None else book.last_tick)
    news = zip(simple, figures, strict=True)
    fine = [(campaign, plain.with_figures(new)) for (campaign, plain), new in news if new is not None]
    texts = print_rows([plain.row for _, plain in fine], tick, position, complete=book.tick_complete)
    printed = {campaign.row: text for (campaign, _), text in zip(fine, texts, strict=True)}
    leave(book.sheet, [row for row, text in printed.items() if text is not None], tick)
    for campaign, plain in fine:
        if printed[campaign.row] is not None:
            book.use_whole(campaign)
            campaign.plain = plain
            campaign.after_tick(campaign.state, book.limits.recent)
    return printed


def _simple(book: Book, campaign: Campaign, history: PlanHistory, tick: int) -> Plain | None:
    """What a campaign that was plain is judged from; None where more may have changed of it than that some is due."""
    plain = campaign.plain
    if plain is None or book.sheet.big or not book.sheet.chains:
        return None
    if campaign.cases or not campaign.pending.is_chained:
        return None
    return plain if plain.row.is_of(history, campaign.state, tick) else None


# -- what is due is counted --------------------------------------------------------------------------------------------


def _counted_and_told(
    book: Book, planned: Sequence[Planned], tick: int, position: dict[str, Any] | None, tried: Container[int]
) -> Iterator[Sequence[Event | Printed]]:
    """What is told of each, after what is due of it was counted; none is printed of those *tried*, by their rows."""
    turns = [*_count(book, planned, tick)]
    rows = [_row(turn, tick, tried) for turn in turns]
    texts = print_rows(rows, tick, position, complete=book.tick_complete)
    for turn, printed in zip(turns, texts, strict=True):
        if printed is None:
            yield _told(book, turn, tick, position)
        else:
            turn.campaign.after_tick(turn.campaign.state, book.limits.recent)
            yield (printed,)


def _count(book: Book, planned: Sequence[Planned], tick: int) -> Iterator[Turn]:
    """Count what is due of some campaigns."""
    awake = [campaign for campaign, history in planned if not (history.ended and _is_at_rest(campaign))]
    for campaign in awake:
        book.use_at_tick(campaign, tick)
    taken = take_through([campaign.pending for campaign in awake], tick)
    for campaign, history in planned:
        due = taken.get(campaign.row)
        yield Turn(campaign, history, None if due is None else _counted(book, campaign, due))


def _counted(book: Book, campaign: Campaign, due: Due) -> Counted:
    counted = campaign.count(due, book.last_tick)
    counted.reports = lambda: book.sources.reports(campaign.sources)
    return counted


def _row(turn: Turn, tick: int, tried: Container[int]) -> Row | None:
    """What a campaign is judged from, which it keeps; None of one that is not plain."""
    campaign, history, counted = turn
    if counted is None or campaign.row in tried:
        # What is known of it lacks what this tick has counted.
        campaign.plain = None
        return None
    known = campaign.plain and campaign.plain.row
    row = row_of(known, history, campaign.state, counted, tick)
    if row is None or row is not known:
        campaign.plain = None if row is None else Plain(row, [*map(row.scope_of, campaign.names)])
    return row


def _told(book: Book, turn: Turn, tick: int, position: dict[str, Any] | None) -> list[Event]:
    """What the core tells of one campaign."""
    campaign, history, counted = turn
    if counted is None:
        return []
    events, state = take_tick(
        history,
        campaign.state,
        counted,
        as_of=tick,
        complete=book.tick_complete,
        first=book.tick_first,
        position=position,
    )
    campaign.after_tick(state, book.limits.recent)
    if not book.tick_first:
        campaign.forget_versions(tick)
    return events


def _add_up(book: Book, campaign: Campaign, history: PlanHistory, tick: int, events: Sequence[Event | Printed]) -> None:
    """Add the campaign to its account: by its last snapshot, or what it has spent where it is told no more."""
    for event in reversed(events):
        if event.child is not None:
            book.rollup.add(event.child)
            return
    version = history.in_force(tick)
    if version is not None and (spend := campaign.spent()):
        book.rollup.close(version.plan, spend)


def _is_at_rest(campaign: Campaign) -> bool:
    """Whether a tick finds nothing to tell of a plan that has ended: all was told, and nothing came."""
    if campaign.cells or campaign.cases or campaign.waiting_cases:
        return False
    return campaign.state == PacingState()
