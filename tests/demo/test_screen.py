"""What a person reads: figures whole at eighty characters, lines where there is no terminal, a summary for scripts."""

from __future__ import annotations

from contextlib import closing
from io import StringIO

import pytest
from rich.console import Console

from worker.demo import screen
from worker.demo.cast import CAST
from worker.demo.screen import FEED, MARKS, LineScreen, Summary, TableScreen, grouped, open_screen
from worker.demo.view import Happening, Places, Row, Seen

PLACES = Places(
    "http://127.0.0.1:6066", "127.0.0.1:9092", "postgresql://pacing:secret@127.0.0.1:5432/x", "/log/worker.log"
)
ROWS = [
    Row(story.campaign_id, story.currency, story.budget, "12345.678901", "1234567", "101.23", "on_pace", False, 2, 1)
    for story in CAST
]
OPENED = Happening(10**18, "iab-summer", "opened", "channel DISPLAY is overpacing")
SAID = Happening(10**18, "flash-sale", FEED, "the sale opens")
SEEN = Seen(snapshots=24, campaigns=12, opened=3, resolved=1, proposals=2, alerts=0)


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("68000", "USD", "68,000.00"),
        ("68000.004999", "USD", "68,000.00"),
        ("0.015", "USD", "0.02"),
        ("-0.5", "EUR", "-0.50"),
        ("3000000.4", "JPY", "3,000,000"),
        ("1.2345", "KWD", "1.234"),
    ],
)
def test_money_is_shown_to_the_minor_unit_in_groups(amount: str, currency: str, shown: str) -> None:
    assert grouped(amount, currency) == shown


def drawn(width: int, height: int, rows: list[Row]) -> list[str]:
    """The lines of the last table drawn on a terminal of that size."""
    paper = StringIO()
    console = Console(file=paper, width=width, height=height, force_terminal=True, color_system=None)
    with closing(TableScreen(console, PLACES)) as table:
        paper.truncate(0)
        table.update(rows, [OPENED, SAID], SEEN)
    return paper.getvalue().split("budget pacing, read back")[-1].splitlines()


def test_eighty_characters_and_twenty_four_lines_hold_every_figure() -> None:
    lines = drawn(80, 24, ROWS)
    assert len(lines) <= 24
    campaigns = lines[2:14]
    assert [line.split()[0] for line in campaigns] == [story.campaign_id for story in CAST]
    assert all("…" not in line and "1c 2w" in line for line in campaigns)
    assert "12,345.68" in campaigns[0]
    assert "150,000 USD" in campaigns[0]


def test_a_wide_terminal_also_holds_the_last_event_and_the_story() -> None:
    lines = drawn(200, 40, ROWS)
    assert "opened: channel DISPLAY is overpacing" in lines[2]
    assert "IAB: three channels" in lines[2]
    assert any("psql" in line for line in lines)


def test_what_the_feed_did_is_among_the_happenings_and_in_no_campaigns_row() -> None:
    lines = drawn(200, 40, ROWS)
    assert sum("the sale opens" in line for line in lines) == 1


def test_a_finished_campaign_has_ended_and_no_band() -> None:
    lines = drawn(80, 24, [ROWS[0]._replace(is_final=True)])
    assert "ended" in lines[2]
    assert "on_pace" not in lines[2]


def test_without_a_terminal_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    opened = open_screen(PLACES)
    assert isinstance(opened, LineScreen)
    assert PLACES.postgres in capsys.readouterr().out


def test_lines_tell_each_happening_and_now_and_then_how_everybody_stands(capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    lines = LineScreen(PLACES, lambda: now[0])
    lines.update(ROWS, [OPENED], SEEN)
    first = capsys.readouterr().out
    assert "opened" in first
    assert "channel DISPLAY is overpacing" in first
    assert first.count("expected") == len(CAST)
    now[0] += screen.STATUS_SECONDS - 1
    lines.update(ROWS, [], SEEN)
    assert capsys.readouterr().out == ""
    now[0] += 1
    lines.update(ROWS, [], SEEN)
    assert capsys.readouterr().out.count("expected") == len(CAST)


def test_a_summary_says_how_much_was_seen_and_one_example_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    summary = Summary()
    capsys.readouterr()
    summary.update(ROWS, [OPENED, OPENED._replace(text="another"), SAID], SEEN)
    assert capsys.readouterr().out == ""
    summary.close()
    told = capsys.readouterr().out
    assert "24 snapshots, 3 deviations, 1 resolved, 2 proposals" in told
    assert "channel DISPLAY is overpacing" in told
    assert "another" not in told
    assert "the sale opens" not in told


def test_every_mark_a_table_row_can_have_is_drawn() -> None:
    paper = StringIO()
    console = Console(file=paper, width=200, height=40, force_terminal=True)
    with closing(TableScreen(console, PLACES)) as table:
        table.update(ROWS, [OPENED._replace(mark=mark, text=f"text of {mark}") for mark in MARKS], SEEN)
    assert all(f"text of {mark}" in paper.getvalue() for mark in MARKS)


def test_what_is_missing_is_named() -> None:
    assert SEEN.missing(12) == []
    assert SEEN.missing(13) == ["snapshots of all 13 campaigns"]
    assert Seen().missing(12) == [
        "snapshots of all 12 campaigns",
        "a deviation that opened",
        "a deviation that was resolved",
        "a proposal",
    ]
