"""
How the sink talks to PostgreSQL: so that it works behind pgbouncer in transaction mode.

There a server connection is ours from BEGIN to COMMIT only, so nothing may outlive a transaction: no prepared
statements (``statement_cache_size=0``), no SET without LOCAL, no session advisory locks, no temporary tables, no
LISTEN; and every statement with arguments runs inside a transaction, because it takes two round trips.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import Any, Final

import asyncpg

CONNECT_SECONDS: Final = 10.0
COMMAND_SECONDS: Final = 60.0
APPLICATION: Final = "pacing-sink"
# A process that is frozen inside a transaction (a paused machine) keeps its locks, and so its successor waiting:
# PostgreSQL ends the session of one that has said nothing for so long.
SILENCE: Final = "SET LOCAL idle_in_transaction_session_timeout = '10s'"

# Class 22: a value that PostgreSQL cannot take (a NUL, a number out of range, what is no uuid). Class 54: beyond a
# limit of its own (an index row, a nesting). 23502: null where the contract has a value.
DATA_ERROR_CLASSES: Final = ("22", "54")
NOT_NULL_VIOLATION: Final = "23502"


async def connect(dsn: str, *, command_seconds: float | None = COMMAND_SECONDS) -> Any:
    """One connection that keeps to the rule above."""
    return await asyncpg.connect(dsn, **_options(command_seconds))


def connection_pool(dsn: str, most: int) -> Any:
    """Up to *most* such connections, each made when it is first needed; use it with `async with`."""
    return asyncpg.create_pool(dsn, min_size=0, max_size=most, reset=_leave_as_it_is, **_options(COMMAND_SECONDS))


def _options(command_seconds: float | None) -> dict[str, Any]:
    return {
        "statement_cache_size": 0,
        "timeout": CONNECT_SECONDS,
        "command_timeout": command_seconds,
        "server_settings": {"application_name": APPLICATION},
    }


async def _leave_as_it_is(_connection: Any) -> None:
    """Nothing of a session was changed, so nothing is to be reset (asyncpg's own reset is a statement by itself)."""


@asynccontextmanager
async def transaction(connection: Any) -> AsyncIterator[None]:
    """A transaction whose locks do not outlast our silence."""
    async with connection.transaction():
        await connection.execute(SILENCE)
        yield


@cache
def query(name: str) -> str:
    """The text of `queries/<name>.sql`."""
    return files(__package__).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")


def is_about_data(error: asyncpg.PostgresError) -> bool:
    """Whether a statement failed for what it was given, so that trying again is of no use."""
    state = str(error.sqlstate or "")
    return state.startswith(DATA_ERROR_CLASSES) or state == NOT_NULL_VIOLATION
