"""
The database's tables: plain SQL files, numbered, each applied once and in one transaction.

Several workers may start at once: whoever holds the advisory lock applies the next file, the others then find it
applied. The lock is the transaction's, so it works behind pgbouncer and is gone with whoever dies. What was applied is
in ``pacing_migrations``, with a checksum: a file that was edited after it was applied is an error, never a surprise.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from worker.sink.database import connect, transaction

# Any number will do, as long as nobody else's program locks the same one in this database.
MIGRATION_LOCK: Final = 0x70616369_6E670001

LEDGER_TABLE: Final = """
CREATE TABLE IF NOT EXISTS pacing_migrations (
    number     integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(Exception):
    """The database is not what this version's migrations lead to; the message says in what."""


class Migration(NamedTuple):
    """One file of `migrations/`."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text; line ends do not count, since a checkout may change them."""
        return hashlib.sha256("\n".join(self.sql.splitlines()).encode()).hexdigest()


@cache
def migrations() -> tuple[Migration, ...]:
    """Every migration of this version, in order; `0002_months.sql` is number 2."""
    found = [file for file in files(__package__).joinpath("migrations").iterdir() if file.name.endswith(".sql")]
    return tuple(
        Migration(int(file.name[:4]), file.name.removesuffix(".sql"), file.read_text(encoding="utf-8"))
        for file in sorted(found, key=lambda file: file.name)
    )


async def migrate(dsn: str) -> list[str]:
    """
    Bring the database to this version; the names of the migrations that this call applied.

    Raises MigrationError, asyncpg.PostgresError or OSError; what was applied before stays applied.
    """
    connection = await connect(dsn, command_seconds=None)
    try:
        applied = []
        while (name := await _apply_next(connection)) is not None:
            applied.append(name)
        return applied
    finally:
        await connection.close()


async def pending(dsn: str) -> list[str]:
    """The names of the migrations that this database has not had; reads only."""
    connection = await connect(dsn)
    try:
        return await pending_of(connection)
    finally:
        await connection.close()


async def pending_of(connection: Any) -> list[str]:
    """As `pending`, on a connection that is there."""
    async with connection.transaction(readonly=True):
        if await connection.fetchval("SELECT to_regclass('pacing_migrations')") is None:
            return [migration.name for migration in migrations()]
        applied = await connection.fetch("SELECT number FROM pacing_migrations")
    numbers = {row["number"] for row in applied}
    return [migration.name for migration in migrations() if migration.number not in numbers]


async def _apply_next(connection: Any) -> str | None:
    """Apply the first migration that is missing, if any; its name."""
    async with transaction(connection):
        await connection.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK)
        await connection.execute(LEDGER_TABLE)
        applied = await connection.fetch("SELECT number, name, checksum FROM pacing_migrations ORDER BY number")
        migration = _first_missing({row["number"]: (row["name"], row["checksum"]) for row in applied})
        if migration is None:
            return None
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO pacing_migrations (number, name, checksum) VALUES ($1, $2, $3)",
            migration.number,
            migration.name,
            migration.checksum,
        )
        return migration.name


def _first_missing(applied: dict[int, tuple[str, str]]) -> Migration | None:
    """The next migration to apply to a database that has had *applied* (number: name, checksum)."""
    known = {migration.number: migration for migration in migrations()}
    for number, (name, checksum) in applied.items():
        if number not in known:
            raise MigrationError(f"this database was migrated by a newer version: it has {name}, unknown here")
        if known[number].checksum != checksum:
            raise MigrationError(f"{name} is not what was applied to this database: its text has changed since")
    return next((migration for migration in migrations() if migration.number not in applied), None)
