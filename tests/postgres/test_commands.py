"""`pacing migrate` and `pacing doctor` against a real PostgreSQL, as a person types them."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from worker.sink.migrate import migrations

pytestmark = pytest.mark.postgres


async def pacing(command: str, dsn: str, folder: Path) -> tuple[int, list[str], str]:
    """The exit code, the lines on standard output and standard error; no broker is near."""
    settings = {"PACING_POSTGRES_DSN": dsn, "PACING_KAFKA_BOOTSTRAP": "127.0.0.1:1", "PACING_WEB_PORT": "0"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PACING_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker.cli", command),
        cwd=folder,
        env={**environment, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, faults = await process.communicate()
    assert process.returncode is not None
    return process.returncode, told.decode().splitlines(), faults.decode()


async def test_the_tables_are_made_once(empty_database: str, tmp_path: Path) -> None:
    code, told, faults = await pacing("migrate", empty_database, tmp_path)
    assert (code, faults) == (0, "")
    assert told == [*(f"{one.name}: applied" for one in migrations()), "every migration is applied"]
    assert await pacing("migrate", empty_database, tmp_path) == (0, ["every migration is applied"], "")


async def test_the_doctor_tells_what_is_to_be_migrated(empty_database: str, tmp_path: Path) -> None:
    _, told, _ = await pacing("doctor", empty_database, tmp_path)
    assert [line.split()[:2] for line in told[-2:]] == [["ok", "PostgreSQL"], ["FAIL", "migrations"]]
    assert told[-1].endswith("run `pacing migrate`")


async def test_the_doctor_finds_nothing_to_migrate_in_a_migrated_database(database: str, tmp_path: Path) -> None:
    _, told, _ = await pacing("doctor", database, tmp_path)
    assert [line.split()[:2] for line in told[-2:]] == [["ok", "PostgreSQL"], ["ok", "migrations"]]
