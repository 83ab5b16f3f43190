"""A ledger becomes lines that a person can read, and again the very same bytes; or the fault is told by its place."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from tests.pure.audit.test_recount import STEPS, Audited, do
from tests.pure.ledger.test_golden import golden
from tests.pure.ledger.world import START, TICK, World, plan, update
from worker.ledger import kinds
from worker.ledger.packing import decode, encode
from worker.transfer.moving import NotMovedError, _check_room, _output, _transactions
from worker.transfer.sections import FileFault, Section, Sections, lines_of


def text_of(*sections: Section) -> str:
    return "".join(line for section in sections for line in lines_of(section))


def read(text: str) -> Sections:
    sections = Sections()
    sections.read(io.BytesIO(text.encode()))
    return sections


def faults(text: str) -> list[FileFault]:
    return read(text).faults


@pytest.fixture
def lines() -> list[str]:
    """The lines of the golden ledger."""
    return text_of(Section("app", 0, 1, golden())).splitlines(keepends=True)


def test_every_kind_of_record_comes_back_as_the_same_bytes(lines: list[str]) -> None:
    back = read("".join(lines))
    assert back.faults == []
    assert back.sections == [Section("app", 0, 1, golden())]
    assert not any('"packed"' in line for line in lines)


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_whatever_a_ledger_holds_comes_back_as_the_same_bytes(steps: list[Any]) -> None:
    world = Audited()
    do(world, steps)
    world.ledger.advance("pacing.spend_updates", world.offset + 1)
    world.checkpoint()
    section = Section("app", 0, 1, world.log)
    assert read(text_of(section)).sections == [section]


def test_a_campaign_is_found_by_its_name_with_its_totals_in_money() -> None:
    world = World()
    world.plan(plan("summer-26"))
    world.spend(update("1", 1, "12.005", campaign_id="summer-26", channel="CTV", impressions=7))
    world.tick(START + TICK)
    world.checkpoint()
    found = [
        line for line in text_of(Section("a", 0, 1, world.log)).splitlines() if '"campaign_id":"summer-26"' in line
    ]
    said = json.loads(found[0])
    assert said["kind"] == "campaign"
    assert said["totals"] == [
        {"attribution": 0, "channel": "CTV", "deal_id": None, "spend": "12.005", "impressions": 7}
    ]
    assert said["data_through"] == "2026-07-01T00:01:00Z"


def test_what_a_later_version_added_is_carried_as_it_is() -> None:
    records = {k: encode([*decode(v), "later"]) if k[:1] == kinds.CAMPAIGN else v for k, v in golden().items()}
    section = Section("app", 0, 1, records)
    assert text_of(section).count('"packed"') == 4
    assert read(text_of(section)).sections == [section]


def test_an_instant_before_1970_is_carried_as_it_is() -> None:
    world = World()
    world.fold(json.dumps(update("1") | {"event_time": "1970-01-01T00:00:00+02:00"}).encode())
    world.checkpoint()
    section = Section("app", 0, 1, world.log)
    assert read(text_of(section)).sections == [section]


# -- faults ------------------------------------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], object]

CHANGES: dict[str, tuple[str, Change, str, str]] = {
    "a digit of a total": ("campaign", lambda line: line["totals"][0].update(spend="1.00"), "check", "was changed"),
    "the name beside a total": (
        "campaign",
        lambda line: line["totals"][0].update(channel="other"),
        "totals",
        "not as it was exported",
    ),
    "money that is none": (
        "campaign",
        lambda line: line["totals"][0].update(spend="1,00"),
        "totals",
        "'1,00' is not an amount",
    ),
    "a missing field": ("series", lambda line: line.pop("channel"), "channel", "it is missing"),
    "a deeper missing field": ("reports", lambda line: line["reports"][0].pop("at"), "reports.at", "it is missing"),
    "a broken time": ("correction", lambda line: line.update(at="noon"), "at", "it cannot be read"),
    "a broken day": ("pending_day", lambda line: line.update(day="2026-13-01"), "day", "it cannot be read"),
    "broken base64": ("ids", lambda line: line.update(ids="%"), "ids", "it cannot be read"),
    "an unknown kind": ("series", lambda line: line.update(kind="serie"), "kind", "'serie' is no kind of record"),
    "another campaign": ("series", lambda line: line.update(campaign_id="x"), "check", "was changed"),
    "a later format": ("series", lambda line: line.update(version=2), "version", "format 2; this version reads"),
    "a field too many": ("series", lambda line: line.update(more=1), "more", "not as it was exported"),
    "a position": ("marker", lambda line: line["positions"].update(x=1), "check", "was changed"),
    "the file's format": ("ledger", lambda line: line.update(format=2), "format", "this version reads format 1"),
    "a partition beyond": ("ledger", lambda line: line.update(partition=1), "partition", "no partition 1 of 1"),
    "no app id": ("ledger", lambda line: line.pop("app_id"), "app_id", "must be a string"),
    "the count at the end": ("end", lambda line: line.update(records=1), "records", "where the section begins"),
}


@pytest.mark.parametrize(("kind", "change", "field", "words"), CHANGES.values(), ids=CHANGES)
def test_a_changed_line_is_told_with_its_number_and_the_field(
    kind: str, change: Change, field: str, words: str, lines: list[str]
) -> None:
    said = list(map(json.loads, lines))
    place = next(place for place, line in enumerate(said) if line["kind"] == kind)
    change(said[place])
    told = faults("".join(json.dumps(line) + "\n" for line in said))
    assert (told[0].line, told[0].field) == (place + 1, field)
    assert words in told[0].message


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (lambda lines: lines[:-1], -1, "cut short"),
        (lambda lines: [*lines[:3], *lines[4:]], -1, "of 21 records"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], 4, "was there before"),
        (lambda lines: [*lines[:3], lines[3][:40] + "\n", *lines[4:]], 4, "not JSON"),
        (lambda lines: lines[1:], 1, "a section begins with"),
        (lambda lines: [*lines[:-1], *lines], -1, "begins within another"),
        (lambda lines: [*lines, *lines], -1, "partition 0 is there twice"),
        (lambda _: ["[1]\n"], 1, "must be an object"),
        (lambda _: ['{"campaign_id": "c"}\n'], 1, "a section begins with"),
        (lambda _: [], 1, "no ledger in the file"),
    ],
)
def test_a_garbled_file_is_told(
    change: Callable[[list[str]], list[str]], line: int, words: str, lines: list[str]
) -> None:
    told = faults("".join(change(lines)))
    assert any(words in fault.message for fault in told), told
    if line > 0:
        assert told[0].line == line


def test_a_file_of_something_else_is_not_told_line_by_line_for_ever() -> None:
    assert len(faults("{}\n" * 10_000)) == 20


def test_a_failed_export_leaves_an_older_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "ledger.ndjson"
    with _output(str(file)) as out:
        out.write("whole")
    with pytest.raises(TypeError), _output(str(file)) as out:
        out.writelines(["half", 1])  # type: ignore[list-item]  # what fails
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("ledger.ndjson", "whole")]


def test_a_large_ledger_is_written_in_several_transactions_with_the_marker_last() -> None:
    records = golden()
    parts = list(_transactions(records, most_bytes=500))
    assert len(parts) > 3
    assert dict(record for part in parts for record in part) == records
    assert parts[-1][-1][0] == kinds.MARKER


def test_a_changelog_takes_the_same_ledger_again_or_the_rest_of_it_and_no_other() -> None:
    records = golden()
    beginning = {key: value for key, value in list(records.items())[:5] if key != kinds.MARKER}
    for there in ({}, records, beginning):
        _check_room(0, there, records)
    for there in ({**records, b"cnew": b"1"}, {**beginning, b"cc": b"1"}, {kinds.MARKER: records[kinds.MARKER]}):
        with pytest.raises(NotMovedError, match="partition 0 holds another ledger already"):
            _check_room(0, there, records)
