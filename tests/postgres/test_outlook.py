"""`pacing compare` and `pacing forecast` over a real PostgreSQL: what they answer over a file of the same events."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from schemas.fields import NANOS, parse_time
from tests.postgres.events import Body, encoded, snapshot
from tests.postgres.test_writing import write_snapshots

pytestmark = pytest.mark.postgres

HOUR: Final = 3600 * NANOS
DAY: Final = 24 * HOUR
MARCH: Final = ("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z")
APRIL: Final = ("2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z")


async def pacing(dsn: str, folder: Path, *arguments: str, by_setting: bool = False) -> tuple[int, list[Body], str]:
    """The exit code, the lines on standard output and standard error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PACING_")}
    settings, options = ({"PACING_POSTGRES_DSN": dsn}, ()) if by_setting else ({}, ("--dsn", dsn))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker.cli", *arguments, *options),
        cwd=folder,
        env=environment | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, faults = await process.communicate()
    assert process.returncode is not None
    return process.returncode, [json.loads(line) for line in told.splitlines()], faults.decode()


async def over_a_file(bodies: Sequence[Body], folder: Path, *arguments: str) -> tuple[int, list[Body], str]:
    """The same command over a file of these events."""
    (folder / "snapshots").write_bytes(b"\n".join(encoded(bodies)))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker.cli", *arguments, "--snapshots", "snapshots"),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, [json.loads(line) for line in told.splitlines()], ""


def taken(campaign: str, at: int, period: tuple[str, str], **changed: Any) -> Body:
    start, end = period
    spent = {"total_spend": f"{at // HOUR % 10_000}.123456789"}
    return snapshot(
        campaign, at, period_start=start, period_end=end, **spent | {"final": at >= parse_time(end)} | changed
    )


def two_months(campaign: str, late: int = 0, **changed: Any) -> list[Body]:
    """Every six hours of March and half of April, March closed *late* nanoseconds after its end."""
    march, april = parse_time(MARCH[0]), parse_time(APRIL[0])
    found = [taken(campaign, march + n * 6 * HOUR, MARCH, **changed) for n in range(31 * 4)]
    found.append(taken(campaign, april + late, MARCH, **changed))
    return found + [taken(campaign, april + late + n * 6 * HOUR, APRIL, **changed) for n in range(18 * 4 + 1)]


BODIES: Final = [
    *two_months("prompt"),
    *two_months("late", late=5 * HOUR),
    *two_months("projected", projected_spend="4321.10", projection_method="seasonal", total_budget="3000.5"),
    *two_months("elsewhere", account_id="account-2", currency="JPY", channel_snapshots=[]),
    *[taken("launched", parse_time(MARCH[1]) - n * DAY, ("2026-03-28T00:00:00Z", MARCH[1])) for n in range(3, -1, -1)],
    *[taken("launched", parse_time(APRIL[0]) + n * DAY, APRIL) for n in range(19)],
    *[taken("gone", parse_time(MARCH[0]) + n * DAY, MARCH) for n in range(32)],
]

ASKED: Final = [
    pytest.param(("compare",), id="now"),
    pytest.param(("compare", "--as-of", "2026-04-10T07:00:00Z"), id="between two ticks"),
    pytest.param(("compare", "--as-of", "2026-04-01T00:00:00Z"), id="at the end of March"),
    pytest.param(("compare", "--account", "account-2"), id="one account"),
    pytest.param(("forecast", "--burst", "late=12.5", "--inflation", "15"), id="the next period"),
    pytest.param(("forecast", "--as-of", "2026-04-01T00:00:00Z"), id="the one after March"),
]


@pytest.mark.parametrize("arguments", ASKED)
async def test_postgresql_answers_as_a_file_of_the_same_events(
    database: str, connection: Any, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    await write_snapshots(connection, *BODIES)
    told = await pacing(database, tmp_path, *arguments)
    assert told == await over_a_file(BODIES, tmp_path, *arguments)
    assert told[0] == 0
    assert len(told[1]) >= 2


async def test_a_thinned_history_answers_with_the_last_snapshot_kept_and_the_newest_there_is(
    database: str, connection: Any, tmp_path: Path
) -> None:
    await write_snapshots(connection, *two_months("prompt"), history_seconds=86_400)
    _, told, _ = await pacing(database, tmp_path, "compare", by_setting=True)
    # 18 days of 30 are 18.6 of 31: 19 March 14:24.
    assert (told[0]["as_of"], told[0]["prior_as_of"]) == ("2026-04-19T00:00:00Z", "2026-03-19T00:00:00Z")
    await write_snapshots(
        connection, taken("prompt", parse_time(APRIL[0]) + 18 * DAY + HOUR, APRIL), history_seconds=86_400
    )
    _, told, _ = await pacing(database, tmp_path, "compare", by_setting=True)
    assert told[0]["as_of"] == "2026-04-19T01:00:00Z"


async def test_an_empty_database_has_no_snapshot(database: str, tmp_path: Path) -> None:
    assert await pacing(database, tmp_path, "forecast") == (2, [], "PostgreSQL: there is no snapshot\n")


async def test_a_database_without_tables_is_told_in_one_line(empty_database: str, tmp_path: Path) -> None:
    code, told, faults = await pacing(empty_database, tmp_path, "compare")
    assert (code, told) == (1, [])
    assert faults == 'pacing: PostgreSQL: relation "pacing_current_snapshots" does not exist\n'


async def test_a_row_that_is_no_snapshot_is_told_in_one_line(database: str, connection: Any, tmp_path: Path) -> None:
    await write_snapshots(connection, *two_months("c"))
    await connection.execute("UPDATE pacing_snapshots SET currency = 'EURO'")
    code, _, faults = await pacing(database, tmp_path, "compare", "--as-of", "2026-04-30T00:00:00Z")
    assert (code, faults.count("\n")) == (1, 1)
    assert "currency: 'EURO' is no currency of ISO 4217" in faults
