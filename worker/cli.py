"""
The commands a person types. Each imports what it needs when it runs, so that `pacing --help` and a small `evaluate`
answer in a fraction of a second.

Exit codes: 0 success, 2 bad input or settings (one line on standard error for each fault), 1 what else went wrong;
`pacing worker` has more, which `worker.exits` explains. Ctrl-C ends with 130, as a shell expects.

argparse, not typer: typer 0.29 imports pydantic to read any option at all, which alone takes longer than a small
`evaluate` may (rule 23).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

if TYPE_CHECKING:
    from worker.outlook.command import From
    from worker.settings import Settings
    from worker.topics import Difference

T = TypeVar("T")

FAILED: Final = 1
BAD_INPUT: Final = 2
INTERRUPTED: Final = 130

DESCRIPTION: Final = (
    "Budget pacing for ad campaigns: what each should have spent by now, what it did, and what to do about it."
)
EVALUATE: Final = """
Take one tick offline, by the worker's own core, and print its events as NDJSON.

A FILE is one JSON object, a JSON array or NDJSON; '-' is standard input. Faults go to standard error as
`file:line: field: what is wrong`; the good campaigns are still printed, and the exit code is 2.
"""
REPLAY: Final = """
Take every tick of a recorded stream offline, by the worker's own core, and print their events as NDJSON.

In the order of arrival (the file's), tick T is taken before the first line that is dated after T; a later line that
is dated before it is late. With --cuts, recorded tick_closed events, the ticks are those a live worker took, each over
the input it covered, and the events are the worker's own, byte for byte, a campaign at a time.

A FILE is one JSON object, a JSON array or NDJSON, or the records `kcat -J` writes; '-' is standard input. Faults go to
standard error as `file:line: field: what is wrong`; the good campaigns are still replayed, and the exit code is 2.
"""
COMPARE: Final = """
Print this period beside the one before it, at the same elapsed share: spend, budget used, elapsed, pacing and variance
with their changes, as NDJSON; a line for each account, campaign and channel.

A FILE holds events as `pacing evaluate` and `pacing replay` print them, of as many ticks as you like, or the records
`kcat -J` writes; '-' is standard input. Without one the snapshots are those in PostgreSQL (--dsn, else
PACING_POSTGRES_DSN).
"""
FORECAST: Final = """
Print what the next period takes, as NDJSON, a line for each account and campaign:

    (baseline + bursts) x (1 + inflation)

The baseline is what the period that holds the time asked for has spent, if it is over, else what it comes to: as its
snapshot projects, else at its rate so far. A FILE holds events as `pacing evaluate` and `pacing replay` print them, or
the records `kcat -J` writes; '-' is standard input. Without one the snapshots are those in PostgreSQL (--dsn, else
PACING_POSTGRES_DSN).
"""
SETTINGS: Final = "The settings come from the environment (PACING_...), .env and secrets files; README lists them."


class Parser(argparse.ArgumentParser):
    """A parser that tells what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Tell it and exit."""
        self.exit(BAD_INPUT, f"{self.prog}: {message} (see `{self.prog} --help`)\n")


def parser() -> Parser:
    """Every command and its options; `run` of what is parsed carries the command out."""
    pacing = Parser(prog="pacing", description=DESCRIPTION, allow_abbrev=False)
    pacing.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = pacing.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    _add_evaluate(commands)
    _add_replay(commands)
    _add_compare(commands)
    _add_forecast(commands)
    _add(commands, "worker", _worker, "run the worker")
    demo = _add(commands, "demo", _demo, "run everything here, until Ctrl-C")
    demo.add_argument("--once", action="store_true", help="stop by itself; fail if something was not seen")
    _add_topics(commands)
    _add(commands, "migrate", _migrate, "create or upgrade the tables in PostgreSQL")
    _add(commands, "doctor", _doctor, "check everything the worker needs, a line each")
    _add_ledger(commands)
    _add_audit(commands)
    return pacing


class _Version(argparse.Action):
    """`--version`, which looks the version up only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib.metadata import version

        parser.exit(message=f"pacing-worker {version('pacing-worker')}\n")


def _add(commands: Any, name: str, run: Callable[[argparse.Namespace], int], told: str) -> Parser:
    command: Parser = commands.add_parser(
        name, help=told, description=_sentence(told), epilog=SETTINGS, allow_abbrev=False
    )
    command.set_defaults(run=run)
    return command


def _sentence(told: str) -> str:
    return f"{told[0].upper()}{told[1:]}."


def _add_offline(commands: Any, name: str, run: Callable[[argparse.Namespace], int], told: str, how: str) -> Parser:
    """A command over a file of plans and one of spend."""
    command = _add_explained(commands, name, run, told, how)
    command.add_argument("--plan", required=True, metavar="FILE", help="campaign plans")
    command.add_argument("--spend", required=True, metavar="FILE", help="spend updates")
    return command


def _add_explained(commands: Any, name: str, run: Callable[[argparse.Namespace], int], told: str, how: str) -> Parser:
    """A command that needs more than a sentence."""
    command: Parser = commands.add_parser(
        name, help=told, description=how, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    command.set_defaults(run=run)
    return command


def _add_evaluate(commands: Any) -> None:
    evaluate = _add_offline(commands, "evaluate", _evaluate, "take one tick offline: files in, NDJSON out", EVALUATE)
    evaluate.add_argument("--as-of", required=True, metavar="TIME", help="the tick: an RFC 3339 time with an offset")
    _add_accounts(evaluate)


def _add_accounts(command: Parser) -> None:
    command.add_argument(
        "--accounts", nargs="?", const="", metavar="FILE", help="print the accounts as well; FILE: their caps"
    )


def _add_replay(commands: Any) -> None:
    replay = _add_offline(commands, "replay", _replay, "take every tick of a recorded stream offline", REPLAY)
    replay.add_argument("--tick", metavar="DURATION", help="between ticks: a whole number of s, m, h or d, as in 1h")
    replay.add_argument(
        "--from",
        dest="since",
        metavar="TIME",
        help="the first tick; by default the first multiple of --tick in the file",
    )
    replay.add_argument(
        "--to", dest="until", metavar="TIME", help="no tick after it; by default the first tick that counts every line"
    )
    replay.add_argument(
        "--cuts",
        metavar="FILE",
        help="tick_closed events of a worker: its own ticks; --from and --to say which are told, and PACING_TOPIC_..."
        " (from the environment or .env) how its input topics are called",
    )
    replay.add_argument(
        "--summary",
        action="store_true",
        help="print alerts, false alarms, lead times before exhaustion and delivery errors instead of events",
    )
    _add_accounts(replay)


def _add_compare(commands: Any) -> None:
    _add_outlook(commands, "compare", _compare, "this period beside the one before", COMPARE)


def _add_forecast(commands: Any) -> None:
    command = _add_outlook(commands, "forecast", _forecast, "what the next period takes", FORECAST)
    command.add_argument(
        "--burst", action="append", default=[], metavar="CAMPAIGN=AMOUNT", help="planned beside it; may be repeated"
    )
    command.add_argument(
        "--inflation",
        action="append",
        default=[],
        metavar="PCT",
        help="of unit costs, 0 by default; each has its lines",
    )


def _add_outlook(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], told: str, description: str
) -> Parser:
    command = _add_explained(commands, name, run, told, description)
    of = command.add_mutually_exclusive_group()
    of.add_argument("--snapshots", metavar="FILE", help="events with their snapshots")
    of.add_argument("--dsn", metavar="DSN", help="PostgreSQL; by default PACING_POSTGRES_DSN")
    command.add_argument("--as-of", metavar="TIME", help="an RFC 3339 time with an offset; by default the newest tick")
    command.add_argument("--account", metavar="ID", help="only this one")
    return command


def _add_topics(commands: Any) -> None:
    told = "create or check the Kafka topics"
    topics: Parser = commands.add_parser("topics", help=told, description=_sentence(told), allow_abbrev=False)
    actions = topics.add_subparsers(title="actions", metavar="ACTION", required=True, parser_class=Parser)
    _add(actions, "apply", _topics_apply, "create missing topics; report what differs in the others")
    _add(actions, "check", _topics_check, "say what is missing or differs")


def _add_ledger(commands: Any) -> None:
    told = "move the ledger to a file and back"
    ledger: Parser = commands.add_parser("ledger", help=told, description=_sentence(told), allow_abbrev=False)
    actions = ledger.add_subparsers(title="actions", metavar="ACTION", required=True, parser_class=Parser)
    export = _add(actions, "export", _ledger_export, "write the ledger as NDJSON, a line for each record")
    export.add_argument("file", nargs="?", default="-", metavar="FILE", help="where to; standard output by default")
    export.add_argument("--partition", type=int, metavar="N", help="only this one")
    import_ = _add(actions, "import", _ledger_import, "write an exported ledger into an empty changelog")
    import_.add_argument("file", metavar="FILE", help="an exported ledger; '-' is standard input")
    import_.add_argument(
        "--repartition", action="store_true", help="part it anew, for topics with another number of partitions"
    )


def _add_audit(commands: Any) -> None:
    audit = _add(commands, "audit", _audit, "recompute the ledger from its input, and print what differs")
    audit.add_argument("--ledger", metavar="FILE", help="begin with an exported ledger; '-' is standard input")
    audit.add_argument("--partition", type=int, metavar="N", help="only this one")


# --- the commands ----------------------------------------------------------------------------------------------------


def _evaluate(options: argparse.Namespace) -> int:
    from worker.evaluate import evaluate

    _look_for_garbage_seldom()
    return evaluate(options.plan, options.spend, options.as_of, options.accounts)


def _replay(options: argparse.Namespace) -> int:
    topics = None
    if options.cuts is not None:
        from worker.replay.cuts import Topics

        settings = _settings()
        topics = Topics(settings.topic_campaign_plans, settings.topic_spend_updates)
    from worker.replay.command import Options, replay

    _look_for_garbage_seldom()
    o = options
    return replay(Options(o.plan, o.spend, o.tick, o.since, o.until, o.cuts, o.summary, o.accounts), topics)


def _compare(options: argparse.Namespace) -> int:
    from worker.outlook.command import compare

    return _asked(options, compare)


def _forecast(options: argparse.Namespace) -> int:
    from worker.outlook.command import forecast_next

    return _asked(options, lambda origin: forecast_next(origin, options.burst, options.inflation))


def _asked(options: argparse.Namespace, answer: Callable[[From], int]) -> int:
    """Answer from the file of snapshots, or from PostgreSQL where there is none."""
    from worker.outlook.command import From

    if options.snapshots is not None:
        _look_for_garbage_seldom()
        return answer(From(options.snapshots, "", options.account, options.as_of))
    dsn = _settings().postgres_dsn.get_secret_value() if options.dsn is None else options.dsn
    if not dsn:
        _complain("pacing: there is nothing to ask: give --snapshots, --dsn or PACING_POSTGRES_DSN.")
        return BAD_INPUT
    import asyncpg

    from worker.outlook.store import BadDsnError, StoreError

    try:
        return answer(From(None, dsn, options.account, options.as_of))
    except BadDsnError as error:
        _complain(f"pacing: --dsn: {error}")
        return BAD_INPUT
    except (OSError, StoreError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return _failed(f"PostgreSQL: {str(error) or type(error).__name__}")


def _worker(_options: argparse.Namespace) -> int:
    settings = _settings()
    from worker.app import run

    return run(settings)


def _demo(options: argparse.Namespace) -> int:
    from worker.demo import run

    return run(once=options.once)


def _topics_apply(_options: argparse.Namespace) -> int:
    settings = _settings()
    from worker.topics import BrokerUnavailableError, apply_now

    try:
        applied = apply_now(settings)
    except BrokerUnavailableError as error:
        return _failed(error)
    for name in applied.created:
        _print(f"{name}: created")
    return _told(applied.differences)


def _topics_check(_options: argparse.Namespace) -> int:
    settings = _settings()
    from worker.topics import BrokerUnavailableError, check_now

    try:
        return _told(check_now(settings))
    except BrokerUnavailableError as error:
        return _failed(error)


def _told(differences: list[Difference]) -> int:
    """Print how the topics differ from what is declared; the exit code says whether they do."""
    for difference in differences:
        _complain(difference)
    if not differences:
        _print("every topic is as declared")
    return FAILED if differences else 0


def _migrate(_options: argparse.Namespace) -> int:
    dsn = _settings().postgres_dsn.get_secret_value()
    if not dsn:
        _complain("pacing: PACING_POSTGRES_DSN is empty: it must name the database to migrate.")
        return BAD_INPUT
    import asyncio

    import asyncpg

    from worker.sink import migrate

    try:
        applied = asyncio.run(migrate.migrate(dsn))
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, migrate.MigrationError) as error:
        return _failed(f"PostgreSQL: {str(error) or type(error).__name__}")
    for name in applied:
        _print(f"{name}: applied")
    _print("every migration is applied")
    return 0


def _doctor(_options: argparse.Namespace) -> int:
    from worker.doctor import run

    return run()


def _ledger_export(options: argparse.Namespace) -> int:
    settings = _settings()
    from worker.transfer import moving

    for line in _on_kafka(moving.export(settings, options.file, options.partition)):
        _complain(f"pacing: {line}")
    return 0


def _ledger_import(options: argparse.Namespace) -> int:
    settings = _settings()
    from worker.transfer import moving

    sections, faults = moving.read_file(options.file)
    if _complained(faults):
        return BAD_INPUT
    for line in _on_kafka(moving.import_(settings, sections, anew=options.repartition)):
        _print(line)
    return 0


def _audit(options: argparse.Namespace) -> int:
    settings = _settings()
    from worker.audit import command
    from worker.transfer import moving

    _look_for_garbage_seldom()
    sections, faults = moving.read_file(options.ledger) if options.ledger else ([], [])
    if _complained(faults):
        return BAD_INPUT
    report = _on_kafka(command.audit(settings, sections, options.partition))
    for line in report.lines():
        _print(line)
    return 0 if report.is_clean else FAILED


def _look_for_garbage_seldom() -> None:
    """What an input leads to lives until the end: looking through it for garbage as often as usual costs a fifth."""
    import gc

    gc.set_threshold(200_000, 20, 50)


def _complained(faults: Sequence[str]) -> bool:
    """Say each of *faults*; whether there was one."""
    for fault in faults:
        _complain(fault)
    return bool(faults)


def _on_kafka(work: Coroutine[Any, Any, T]) -> T:
    """Do *work* on the cluster; exits 1 with a sentence where it cannot be done."""
    import asyncio

    from aiokafka.errors import KafkaError

    from worker.topics import BrokerUnavailableError, hush
    from worker.transfer.log import LogError
    from worker.transfer.moving import NotMovedError

    hush()
    try:
        return asyncio.run(work)
    except (BrokerUnavailableError, LogError, NotMovedError) as error:
        raise SystemExit(_failed(error)) from None
    except KafkaError as error:
        raise SystemExit(_failed(f"Kafka: {type(error).__name__}: {error}")) from None


# --- ends ------------------------------------------------------------------------------------------------------------


def _settings() -> Settings:
    """The settings; exits 2 with a sentence for each fault if they are wrong."""
    from worker.settings import SettingsError, load_settings

    try:
        return load_settings()
    except SettingsError as error:
        for fault in error.faults:
            _complain(f"pacing: {fault}")
        raise SystemExit(BAD_INPUT) from None


def _print(line: object) -> None:
    sys.stdout.write(f"{line}\n")


def _complain(line: object) -> None:
    sys.stderr.write(f"{line}\n")


def _failed(why: object) -> int:
    """Say why a command could not be carried out."""
    _complain(f"pacing: {why}")
    return FAILED


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script; the exit code. What nobody expected ends here: `python -X dev -m worker.cli` shows where."""
    if sys.stderr is None:  # Closed by who called us: then nobody wants to know.
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # open to the end
    if sys.stdout is None:
        return _failed("standard output is closed")
    try:
        options = parser().parse_args(arguments)
        code: int = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Who read our output went away; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        # Whatever broke, who typed the command gets a sentence and a code.
        if sys.flags.dev_mode:
            raise
        return _failed(error if isinstance(error, OSError) else f"{type(error).__name__}: {error}")
    return code


if __name__ == "__main__":
    sys.exit(main())
