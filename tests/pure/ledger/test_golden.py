"""
The bytes of every kind of record, as this format's first version wrote them, and as they are written today.

A worker reads what older ones wrote, and a ledger lives for years: so the golden bytes are only ever added to. What is
written today was written by `written()`; running this file prints it. The first version wrote what is pending by the
day, and no rows.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.pure.ledger.world import HOUR, START, TICK, World, plan, update
from worker.ledger import Ledger, LedgerLimits, UnreadableLedgerError, kinds
from worker.ledger.journal import packed, unpacked
from worker.ledger.ledger import Ledger as Opened
from worker.ledger.packing import decode, encode

FIRST: Final = Path(__file__).with_name("golden.json")
TODAY: Final = Path(__file__).with_name("golden_rows.json")
KINDS: Final = {value for name, value in vars(kinds).items() if name.isupper() and isinstance(value, bytes)}


def written() -> World:
    """What the first version wrote down of, after a day that has become quiet, and more than a row holds."""
    world = World()
    world.spend(update("q", 0, "4", campaign_id="quiet"))
    world.checkpoint()
    world.spend(*(update(f"b{n}", 86_400, "999999999999", campaign_id="quiet", currency="USD") for n in range(20)))
    return first(world)


def first(world: World) -> World:
    """A ledger with every kind of record, and in each whatever it may hold."""
    deals = {"deals": [{"deal_id": "D1", "channel": "CTV", "allocated_budget": "100"}]}
    world.plan(plan("c", channels=[{"channel": "CTV", "allocated_budget": "500"}], **deals), plan("other"))
    world.plan(plan("c", total_budget="2000", budget_change_policy="rebase", flight_end="2026-07-01T04:00:01.5Z"))
    for number in range(12):
        at = number * 10
        world.spend(
            update(f"i{number}", at, "1.005", channel="CTV", deal_id="D1", impressions=number, requests=2**31),
            update(f"w{number}", at, "2.00", conversion_value="9000000000.000000001", clicks=2**40),
            update(f"t{number}", at, str(number), kind="cumulative", sequence=number, line_item_id="L", bids=number),
        )
        world.tick(START + number * TICK)
    world.spend(
        update("fix", 130, "0.50", kind="correction", corrects="i3", sequence=7),
        update("early", 130, "0.25", kind="correction", corrects="never"),
        update("back", 5, "-0.000000001", kind="credit", channel="DISPLAY", impressions=-3, series="s", sequence=2),
        update("i1", 130, "9"),
        update("later", 1500, "3"),
        update("u1", 1, campaign_id="unplanned", currency="USD"),
        update("u2", 1, campaign_id="unplanned"),
        update("u3", 2, "5", campaign_id="unplanned", kind="cumulative", currency="USD", series="day"),
    )
    world.plan(None, key=b"other")
    world.ledger.open_tick(START + 13 * TICK)
    world.spend(update("waits", 140, "7", channel="CTV"))
    world.checkpoint()
    return world


def golden(file: Path = TODAY) -> dict[bytes, bytes]:
    return {b64decode(key): b64decode(value) for key, value in json.loads(file.read_text()).items()}


def loaded(records: dict[bytes, bytes]) -> Ledger:
    ledger = Ledger(0, 1, LedgerLimits(tick_nanos=TICK))
    assert ledger.load(records)
    return ledger


def written_again(ledger: Opened) -> dict[bytes, bytes | None]:
    """Every record of a ledger that was read, from what was made of it."""
    book, changelog = ledger._book, ledger._changelog
    for name in list(ledger.campaigns):
        campaign = book.reopen(name)
        for bin_ in filter(None, (campaign.pending, campaign.waiting)):
            book.sheet.repacked |= {(campaign.row, day) for day in bin_.days if bin_.data(day)}
        marks: list[tuple[bytes, Any]] = [
            (kinds.CAMPAIGN, None),
            (kinds.HISTORY, None),
            *((kinds.COUNTED, day) for day in campaign.days),
        ]
        marks += [(kinds.CORRECTION, original) for original in campaign.corrections]
        marks += [(kinds.LOCAL_DAYS, None)]
        marks += [(kinds.SERIES, identity) for identity in campaign.series]
        for kind, which in marks:
            campaign.mark(kind, which)
        for series in campaign.series.values():
            series.head_changed = True
            series.changed_days = {report.at // (24 * HOUR) for report in series.reports}
    for source in book.sources:
        source.changed = True
    # No day has been quiet then.
    book.sheet.dirty = bytearray(b"\1") * len(book.sheet.dirty)
    book.changed_waiting = {(waiting.campaign_id, waiting.id) for waiting in book.waiting.values()}
    changelog._segments, changelog._written, book.moved = [], book.memory.first, True
    return but_rows(dict(ledger.changes()))


def but_rows(records: Mapping[bytes, bytes | None]) -> dict[bytes, bytes | None]:
    """Without the rows and where they are: how they lie in records depends on the checkpoints there were."""
    marker = {name: said for name, said in decode(records[kinds.MARKER] or b"").items() if not name.endswith("_rows")}
    rest = {key: value for key, value in records.items() if key[:1] not in (kinds.ROWS, kinds.MARKER)}
    return {**rest, kinds.MARKER: encode(marker)}


def test_the_golden_bytes_hold_every_kind_of_record() -> None:
    assert {key[:1] for key in golden()} == KINDS
    assert {key[:1] for key in golden(FIRST)} == KINDS - {kinds.ROWS}


def test_what_is_written_today_is_what_was_written_before() -> None:
    assert written().log == golden()


@pytest.mark.parametrize("file", [FIRST, TODAY])
def test_a_record_that_was_read_is_written_as_the_same_bytes(file: Path) -> None:
    assert written_again(loaded(golden(file))) == but_rows(golden(file))


def test_rows_that_were_read_are_written_as_the_same_bytes() -> None:
    for key, value in golden().items():
        if key[:1] == kinds.ROWS:
            version, *fields = decode(value)
            assert encode([version, *packed(unpacked(fields))]) == value


def test_a_sheet_that_was_read_is_the_sheet_that_was_written() -> None:
    before, after = written().ledger._book.sheet, loaded(golden())._book.sheet
    rows = [row for row, label in enumerate(before.labels) if label]
    assert rows == [row for row, label in enumerate(after.labels) if label]
    assert [before.labels[row] for row in rows] == [after.labels[row] for row in rows]
    assert [before.holding(row) for row in rows] == [after.holding(row) for row in rows]
    assert before.big == after.big != {}


def test_days_of_the_first_format_become_rows_when_they_are_folded_into() -> None:
    world = first(World())
    world.log, world.ledger = golden(FIRST), loaded(golden(FIRST))
    world.spend(update("u9", 3, "1", campaign_id="unplanned"))
    records = dict(world.checkpoint())
    assert [value for key, value in records.items() if key.startswith(kinds.PENDING + b"unplanned")] == [None]
    world.restart(saved=False)
    assert spent(world.ledger, "unplanned") == spent(loaded(golden(FIRST)), "unplanned") + 10**9


def spent(ledger: Opened, campaign_id: str) -> int:
    campaign = ledger._book.campaign(campaign_id)
    return campaign.pending.spend() if campaign else 0


@pytest.mark.parametrize("file", [FIRST, TODAY])
def test_an_old_ledger_goes_on_where_it_stood(file: Path) -> None:
    world = first(World())
    world.ledger = loaded(golden(file))
    world.spend(update("i1", 10, "1.005", channel="CTV", deal_id="D1", impressions=1, requests=2**31))
    events = world.finish()
    spent = [event.body["total_spend"] for event in events if event.kind == "snapshot_taken"]
    # 12 x 1.005, 12 x 2, the last total of 11, 0.50 in place of 1.005, and the credit
    assert spent[0] == "46.554999999"


@pytest.mark.parametrize("kind", sorted(KINDS - {kinds.MARKER}))
def test_fields_that_a_later_version_added_at_the_end_are_left_out(kind: bytes) -> None:
    longer = {k: encode([*decode(v), {"later": [1]}]) if k[:1] == kind else v for k, v in golden().items()}
    assert longer != golden()
    assert written_again(loaded(longer)) == but_rows(golden())


def test_a_field_that_a_later_version_added_to_the_marker_is_left_out() -> None:
    longer = golden()
    longer[kinds.MARKER] = encode({**decode(longer[kinds.MARKER]), "later": 1})
    assert written_again(loaded(longer)) == but_rows(golden())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_record_of_a_later_format_is_refused_with_both_numbers(kind: bytes) -> None:
    def later(value: bytes) -> bytes:
        said = decode(value)
        return encode({**said, "version": 2} if isinstance(said, dict) else [2, *said[1:]])

    records = {key: later(value) if key[:1] == kind else value for key, value in golden().items()}
    with pytest.raises(UnreadableLedgerError, match="of format 2; this version reads format 1"):
        written_again(loaded(records))


if __name__ == "__main__":
    log = {b64encode(k).decode(): b64encode(v).decode() for k, v in sorted(written().log.items())}
    TODAY.write_text(json.dumps(log, indent=0) + "\n")
