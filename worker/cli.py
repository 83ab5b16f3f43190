"""
The commands a person types. Each imports what it needs when it runs, so that `pacing --help` and a small `evaluate`
answer in a fraction of a second.

Exit codes: 0 success, 2 bad input or settings (one line on standard error for each fault), 1 what else went wrong;
`pacing worker` has more, which `worker.exits` explains. Ctrl-C ends with 130, as a shell expects.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from worker.settings import Settings
    from worker.topics import Difference

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130

app = typer.Typer(
    name="pacing",
    help="Budget pacing for ad campaigns: what each should have spent by now, what it did, and what to do about it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Help without rich: it takes longer to import than everything else a small command does.
    rich_markup_mode=None,
)
topics_app = typer.Typer(
    name="topics", help="Create or check the Kafka topics.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(topics_app)


@app.command()
def evaluate(
    plan: Annotated[str, typer.Option(metavar="FILE", help="Campaign plans; '-' is standard input.")],
    spend: Annotated[str, typer.Option(metavar="FILE", help="Spend updates; '-' is standard input.")],
    as_of: Annotated[str, typer.Option(metavar="TIME", help="The tick: an RFC 3339 time with an offset.")],
) -> None:
    """
    Take one tick offline: files in, NDJSON out.

    A FILE is one JSON object, a JSON array or NDJSON. Faults go to standard error as `file:line: field: what is
    wrong`; the good campaigns are still printed, and the exit code is 2.
    """

    def body() -> int:
        from worker.evaluate import evaluate as run

        return run(plan, spend, as_of)

    _exit(body)


@app.command()
def worker() -> None:
    """Run the worker, as the environment sets it."""

    def body() -> int:
        settings = _settings()
        from worker.app import run

        return run(settings)

    _exit(body)


@app.command()
def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="Stop by itself; fail if something was not seen.")] = False,
) -> None:
    """Run everything here, until Ctrl-C."""

    def body() -> int:
        from worker.demo import run

        return run(once=once)

    _exit(body)


@topics_app.command("apply")
def topics_apply() -> None:
    """Create missing topics; report what differs."""

    def body() -> int:
        settings = _settings()
        from worker.topics import BrokerUnavailableError, apply_now

        try:
            applied = apply_now(settings)
        except BrokerUnavailableError as error:
            return _failed(error)
        for name in applied.created:
            typer.echo(f"{name}: created")
        return _told(applied.differences)

    _exit(body)


@topics_app.command("check")
def topics_check() -> None:
    """Say what is missing or differs."""

    def body() -> int:
        settings = _settings()
        from worker.topics import BrokerUnavailableError, check_now

        try:
            return _told(check_now(settings))
        except BrokerUnavailableError as error:
            return _failed(error)

    _exit(body)


def _told(differences: list[Difference]) -> int:
    """Print how the topics differ from what is declared; the exit code says whether they do."""
    for difference in differences:
        typer.echo(difference, err=True)
    if not differences:
        typer.echo("every topic is as declared")
    return FAILED if differences else 0


@app.command()
def migrate() -> None:
    """Create or upgrade the tables in PostgreSQL."""

    def body() -> int:
        dsn = _settings().postgres_dsn.get_secret_value()
        if not dsn:
            typer.echo("pacing: PACING_POSTGRES_DSN is empty: it must name the database to migrate.", err=True)
            return BAD_INPUT
        return _migrate(dsn)

    _exit(body)


def _migrate(dsn: str) -> int:
    import asyncio

    import asyncpg

    from worker.sink import migrate

    try:
        applied = asyncio.run(migrate.migrate(dsn))
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, migrate.MigrationError) as error:
        return _failed(f"PostgreSQL: {error}" if str(error) else f"PostgreSQL: {type(error).__name__}")
    for name in applied:
        typer.echo(f"{name}: applied")
    typer.echo("every migration is applied")
    return 0


@app.command()
def doctor() -> None:
    """Check everything the worker needs, a line each."""

    def body() -> int:
        from worker.doctor import run

        return run()

    _exit(body)


def _failed(why: object) -> int:
    """Say why a command could not be carried out."""
    typer.echo(f"pacing: {why}", err=True)
    return FAILED


def _settings() -> Settings:
    """The settings; exits 2 with a sentence for each fault if they are wrong."""
    from worker.settings import SettingsError, load_settings

    try:
        return load_settings()
    except SettingsError as error:
        for fault in error.faults:
            typer.echo(f"pacing: {fault}", err=True)
        raise typer.Exit(BAD_INPUT) from None


def _exit(body: Callable[[], int]) -> NoReturn:
    """Run a command's *body* and end the process as it ended."""
    try:
        code = body()
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        # Who read our output went away; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    raise typer.Exit(code)


def main() -> None:
    """The console script. What nobody expected ends here, in one line; `python -X dev -m worker.cli` shows where."""
    try:
        app()
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        typer.echo(f"pacing: {type(error).__name__}: {error}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
