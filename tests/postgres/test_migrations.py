"""The tables come by numbered SQL files, each once, whoever else migrates at the same time."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from worker.sink import migrate as module
from worker.sink.migrate import Migration, MigrationError, migrate, migrations, pending

ROOT = Path(__file__).parents[2]
NAMES = [migration.name for migration in migrations()]
MIGRATE = "import asyncio, sys; from worker.sink.migrate import migrate; print(*asyncio.run(migrate(sys.argv[1])))"


async def rows(dsn: str, sql: str) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


def with_another(monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    """Let this version have one migration more."""
    known = (*migrations(), Migration(9999, "9999_another", sql))
    monkeypatch.setattr(module, "migrations", lambda: known)


def test_migrations_are_numbered_from_one_without_a_hole() -> None:
    assert [migration.number for migration in migrations()] == list(range(1, len(NAMES) + 1))


async def test_every_migration_is_pending_then_applied_then_nothing_is_left(empty_database: str) -> None:
    assert await pending(empty_database) == NAMES
    assert await migrate(empty_database) == NAMES
    assert await pending(empty_database) == []
    assert await migrate(empty_database) == []


async def test_asking_what_is_pending_changes_nothing(empty_database: str) -> None:
    await pending(empty_database)
    assert await rows(empty_database, "SELECT relname FROM pg_class WHERE relname LIKE 'pacing%'") == []


async def test_five_processes_that_migrate_at_once_apply_each_migration_once(empty_database: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", MIGRATE, empty_database, cwd=ROOT, stdout=PIPE)
        for _ in range(5)
    ]
    told = [(await asyncio.wait_for(process.communicate(), 60))[0].decode().split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 5
    assert sorted(name for names in told for name in names) == NAMES
    assert await rows(empty_database, "SELECT name FROM pacing_migrations ORDER BY number") == [
        (name,) for name in NAMES
    ]


async def test_many_that_migrate_at_once_on_one_loop_do_not_wait_for_each_other_for_ever(empty_database: str) -> None:
    applied = await asyncio.wait_for(asyncio.gather(*(migrate(empty_database) for _ in range(5))), 60)
    assert sorted(name for names in applied for name in names) == NAMES


async def test_a_migration_that_fails_leaves_nothing_and_those_before_it_stay(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_another(monkeypatch, "CREATE TABLE pacing_half (id int); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_database)
    assert await rows(empty_database, "SELECT to_regclass('pacing_half')") == [(None,)]
    assert await pending(empty_database) == ["9999_another"]


async def test_a_new_version_applies_only_what_it_adds(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await migrate(empty_database)
    with_another(monkeypatch, "CREATE TABLE pacing_more (id int);")
    assert await pending(empty_database) == ["9999_another"]
    assert await migrate(empty_database) == ["9999_another"]


async def test_an_old_version_refuses_a_database_that_a_newer_one_migrated(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        with_another(newer, "CREATE TABLE pacing_more (id int);")
        await migrate(empty_database)
    with pytest.raises(MigrationError, match="newer version: it has 9999_another"):
        await migrate(empty_database)
    # An old worker beside new ones goes on, while they are replaced one by one.
    assert await pending(empty_database) == []


async def test_a_file_that_was_edited_after_it_was_applied_is_refused(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(empty_database)
    edited = migrations()[0]._replace(sql=migrations()[0].sql + "\n-- a second thought")
    changed = (edited, *migrations()[1:])
    monkeypatch.setattr(module, "migrations", lambda: changed)
    with pytest.raises(MigrationError, match="0001_positions is not what was applied"):
        await migrate(empty_database)


def test_line_ends_do_not_change_a_checksum() -> None:
    unix = Migration(1, "0001_a", "SELECT 1;\nSELECT 2;\n")
    assert unix.checksum == Migration(1, "0001_a", "SELECT 1;\r\nSELECT 2;\r\n").checksum
    assert unix.checksum != Migration(1, "0001_a", "SELECT 1;\nSELECT 3;\n").checksum
