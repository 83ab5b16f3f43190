"""
What the demo prints: a live table on a terminal, plain lines anywhere else.

Both are told the same things: the rows read back from PostgreSQL, what happened since the last look, and where a person
can look further.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from schemas.fields import NANOS, minor_digits, parse_money, round_to_minor
from worker.demo.feed import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import JustifyMethod

    from worker.demo.view import Happening, Places, Row, Seen

FEED: Final = "feed"
MARKS: Final = {
    FEED: ("~", "dim"),
    "opened": ("!", "yellow"),
    "escalated": ("!!", "red"),
    "deescalated": ("!", "yellow"),
    "resolved": ("ok", "green"),
    "proposed": ("->", "cyan"),
    "raised": ("!", "magenta"),
    "cleared": ("ok", "green"),
    "closed": ("=", "bold"),
}
"""How each kind of happening is marked, and its colour."""

BAND_COLOURS: Final = {"on_pace": "green", "drift": "green", "mild": "yellow", "strong": "red", "sharp": "bold red"}

FEWEST_HAPPENINGS: Final = 3

WIDE: Final = 110
"""From this width on there is room for the last event in a campaign's row, and for where to look further."""

WIDER: Final = 160
"""From this width on there is room for what a campaign's story is."""

STATUS_SECONDS: Final = 20
"""How often the plain lines say how everybody stands."""


class Screen(Protocol):
    """Somewhere to show the demo."""

    def say(self, text: str) -> None:
        """Say one thing that is not about a campaign."""

    def update(self, rows: Sequence[Row], happenings: Sequence[Happening], seen: Seen) -> None:
        """Show how everybody stands, and what happened since the last update."""

    def close(self) -> None:
        """Leave the terminal as it was found, with the last of what was shown still there."""


def open_screen(places: Places) -> Screen:
    """A live table where there is a terminal, else plain lines."""
    console = Console()
    if console.is_terminal and not console.is_dumb_terminal:
        return TableScreen(console, places)
    return LineScreen(places)


def grouped(amount: str, currency: str) -> str:
    """
    A money string as people write it: rounded to the currency's minor unit, in groups of three digits.

    >>> grouped("68000.004999", "USD"), grouped("3000000", "JPY"), grouped("-0.5", "USD")
    ('68,000.00', '3,000,000', '-0.50')
    """
    digits = minor_digits(currency) or 0
    nanos = round_to_minor(parse_money(amount, number=False), 1, digits)
    units, rest = divmod(abs(nanos), NANOS)
    decimals = f".{rest:09d}"[: digits + 1] if digits else ""
    return f"{'-' if nanos < 0 else ''}{units:,}{decimals}"


def clock(at: int) -> str:
    """The local time of an instant, as a person at this terminal reads it."""
    return f"{datetime.fromtimestamp(at / NANOS, UTC).astimezone():%H:%M:%S}"


# -- lines -----------------------------------------------------------------------------------------------------------


class LineScreen:
    """One line for each thing that happened, and now and then one for each campaign."""

    def __init__(self, places: Places, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._status_at = -math.inf
        for text in _where(places):
            self.say(text)

    def say(self, text: str) -> None:
        """Print one line."""
        _print(text)

    def update(self, rows: Sequence[Row], happenings: Sequence[Happening], seen: Seen) -> None:
        """Print what happened, and from time to time how everybody stands."""
        for happening in happenings:
            _print(_happened(happening))
        now = self._seconds()
        if len(rows) == len(NAMES) and now - self._status_at >= STATUS_SECONDS:
            self._status_at = now
            for line in (*map(_standing, rows), _counts(seen)):
                _print(line)

    def close(self) -> None:
        """Nothing to put back."""


class Summary:
    """For a bounded demo: says nothing until the end, and then what it saw, in a few lines."""

    def __init__(self) -> None:
        _print("the worker starts; this ends when everything was seen ...")
        self._seen: Seen | None = None
        self._examples: dict[str, Happening] = {}

    def say(self, text: str) -> None:
        """Print one line."""
        _print(text)

    def update(self, rows: Sequence[Row], happenings: Sequence[Happening], seen: Seen) -> None:  # noqa: ARG002
        """Keep the first of each kind of happening."""
        self._seen = seen
        for happening in happenings:
            self._examples.setdefault(happening.mark, happening)

    def close(self) -> None:
        """Print what was seen."""
        if self._seen is not None:
            _print(_counts(self._seen))
            for mark, happening in self._examples.items():
                if mark != FEED:
                    _print(_happened(happening))
        self._seen = None


def _happened(happening: Happening) -> str:
    return f"{clock(happening.at)}  {happening.mark:<11}  {happening.campaign_id:<16}  {happening.text}"


def _print(text: str) -> None:
    """Print one line at once, whoever reads it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _standing(row: Row) -> str:
    spend, budget, expected = (grouped(amount, row.currency) for amount in (row.spend, row.budget, row.expected))
    money = f"{spend:>12} of {budget:>12} {row.currency}, {expected:>12} expected"
    return f"          {'now':<11}  {row.campaign_id:<16}  {money}  {row.pacing_pct:>7} %  {row.band}"


def _counts(seen: Seen) -> str:
    return (
        f"PostgreSQL: {seen.snapshots} snapshots, {seen.opened} deviations, {seen.resolved} resolved, "
        f"{seen.proposals} proposals, {seen.alerts} signals"
    )


def _where(places: Places) -> list[str]:
    return [
        f"metrics   {places.web}/metrics    health {places.web}/healthz  {places.web}/readyz",
        f"database  psql '{places.postgres}'",
        f"broker    {places.broker} (in this process: it shows the way of the data, it proves nothing about exactness)",
        f"log       {places.log}",
    ]


# -- table -----------------------------------------------------------------------------------------------------------


class TableScreen:
    """A table that stays where it is, with the last things that happened under it."""

    def __init__(self, console: Console, places: Places) -> None:
        self._console = console
        self._places = places
        self._happenings: deque[Happening] = deque(maxlen=100)
        self._last: dict[str, Happening] = {}
        for text in _where(places):
            self.say(text)
        self._live = Live(Text("the worker starts ..."), console=console, auto_refresh=False)
        self._live.start(refresh=True)

    def say(self, text: str) -> None:
        """Print one line above the table, as it is: what is to be copied is not to be folded."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def update(self, rows: Sequence[Row], happenings: Sequence[Happening], seen: Seen) -> None:
        """Draw the table anew; until the first snapshot there is none."""
        if not rows:
            return
        self._happenings.extend(happenings)
        self._last.update({happening.campaign_id: happening for happening in happenings if happening.mark != FEED})
        footer = self._footer(seen)
        # The title, the headings and the empty line make three; one line is left to the cursor.
        room = self._console.height - len(rows) - len(footer) - 4
        self._live.update(Group(self._table(rows), Text(), *self._recently(room), *footer), refresh=True)

    def close(self) -> None:
        """Stop drawing; the last table stays."""
        self._live.stop()

    def _table(self, rows: Sequence[Row]) -> Table:
        table = Table(box=None, expand=True, pad_edge=False, header_style="bold underline")
        table.title_justify, table.padding = "left", (0, 1 if self._console.width < WIDE else 2, 0, 0)
        table.title = Text("budget pacing, read back from PostgreSQL; a day of the plan lasts twenty seconds", "dim")
        columns = _columns(self._console.width)
        for column in columns:
            table.add_column(column.heading, justify=column.justify, ratio=column.ratio, no_wrap=True)
        for row in rows:
            table.add_row(*(column.cell(row, self._last.get(row.campaign_id)) for column in columns))
        return table

    def _recently(self, room: int) -> list[Text]:
        """As many of the last happenings as there is room for; always as many lines, so that nothing jumps."""
        lines = max(FEWEST_HAPPENINGS, room)
        recent = list(self._happenings)[-lines:]
        return [_line(happening) for happening in recent] + [Text()] * (lines - len(recent))

    def _footer(self, seen: Seen) -> list[Text]:
        where = [f"metrics {self._places.web}/metrics  /healthz  /readyz      Ctrl-C ends it"]
        if self._console.width >= WIDE:
            where = [*_where(self._places), "Ctrl-C ends it"]
        lines = [Text(_counts(seen), "bold"), *(Text(text, "dim") for text in where)]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return lines


class Column(NamedTuple):
    """A column of the table: its heading, which side it keeps to, and what it says of a campaign."""

    heading: str
    cell: Callable[[Row, Happening | None], Text]
    justify: JustifyMethod = "left"
    ratio: int | None = None


def _columns(width: int) -> list[Column]:
    """The columns there is room for; eighty characters hold the figures."""
    columns = [
        Column("campaign", lambda row, _: _dimmed(row, row.campaign_id)),
        Column("budget", lambda row, _: _dimmed(row, f"{_whole(row.budget, row.currency)} {row.currency}"), "right"),
        Column("spend", lambda row, _: _dimmed(row, grouped(row.spend, row.currency)), "right"),
        Column("expected", lambda row, _: _dimmed(row, grouped(row.expected, row.currency)), "right"),
        Column("pacing %", lambda row, _: _dimmed(row, row.pacing_pct), "right"),
        Column("band", lambda row, _: _band(row)),
        Column("alerts", lambda row, _: _alerts(row, *(("c", "w") if width < WIDE else (" critical", " warning")))),
    ]
    if width >= WIDER:
        columns.insert(1, Column("story", lambda row, _: Text(NAMES.get(row.campaign_id, ""), "dim")))
    if width >= WIDE:
        columns.append(Column("last event", lambda _, last: _last_event(last), ratio=1))
    return columns


def _dimmed(row: Row, text: str) -> Text:
    """What is over is shown dimmed."""
    return Text(text, "dim" if row.is_final else "")


def _whole(amount: str, currency: str) -> str:
    """A budget without the decimals that are zero."""
    return grouped(amount, currency).removesuffix(".00")


def _band(row: Row) -> Text:
    return Text("ended", "dim") if row.is_final else Text(row.band, BAND_COLOURS.get(row.band, ""))


def _alerts(row: Row, critical: str, warning: str) -> Text:
    """How many alerts are open, the grave ones first."""
    grave = Text(f"{row.criticals}{critical} ", "red") if row.criticals else Text()
    return grave + (Text(f"{row.warnings}{warning}", "yellow") if row.warnings else Text())


def _last_event(last: Happening | None) -> Text:
    text = Text(overflow="ellipsis")
    return text if last is None else text.append(f"{last.mark}: {last.text}", MARKS[last.mark][1])


def _line(happening: Happening) -> Text:
    sign, colour = MARKS[happening.mark]
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{clock(happening.at)} ", "dim")
    text.append(f"{sign:<2} {happening.mark:<11} ", colour)
    text.append(f"{happening.campaign_id:<17}", "bold")
    return text.append(happening.text, "dim" if happening.mark == FEED else "")
