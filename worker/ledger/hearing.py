"""Accepted updates into what is known of their sources: one, or a column of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.ledger.book import Book
from worker.ledger.campaign import Campaign
from worker.ledger.sources import Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]


def hear(book: Book, source: str, campaign: Campaign, at: int) -> None:
    """*source* has reported something dated *at* for *campaign*."""
    found = book.sources.of(source)
    found.hear(at, book.ticks.next)
    rows = found.rows
    if campaign.row >= len(rows) or not rows[campaign.row]:
        _meet(book, found, campaign)


def hear_all(book: Book, source: str, rows: Integers, at: Integers) -> None:
    """*source* has reported something dated *at* for the campaign of each of *rows*."""
    found = book.sources.of(source)
    found.hear_all(at, book.ticks.next)
    _meet_all(book, found, rows)


def _meet_all(book: Book, source: Source, rows: Integers) -> None:
    import numpy as np

    if book.rows > len(source.rows):
        source.rows += bytes(book.rows - len(source.rows) + book.rows // 8)
    known = np.frombuffer(source.rows, np.uint8)[rows]
    if not known.all():
        for row in np.unique(rows[known == 0]).tolist():
            _meet(book, source, book.by_row[row])


def _meet(book: Book, source: Source, campaign: Campaign) -> None:
    """It may be the first that the source reports for the campaign."""
    if campaign.row >= len(source.rows):
        source.rows += bytes(book.rows - len(source.rows))
    source.rows[campaign.row] = 1
    campaign.meet(source.name, waits=book.waits(campaign))
