"""
Log lines of the worker: one format for our own and for the libraries', on standard error.

``console`` is for people, ``json`` for machines. Faust and aiokafka tell at "info" what only their authors want to
know, so they are heard from "warning" on, unless everything is asked for.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from worker.settings import Settings

TALKATIVE = ("faust", "mode", "aiokafka", "kafka", "aiohttp")


def configure(settings: Settings) -> None:
    """Send every log line to standard error, in the format and from the level that are set."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(json=settings.log_format == "json", colors=sys.stderr.isatty()))
    level = settings.log_level.upper()
    logging.basicConfig(handlers=[handler], level=level, force=True)
    if level != "DEBUG":
        for name in TALKATIVE:
            logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def formatter(*, json: bool, colors: bool) -> logging.Formatter:
    """How one line is written."""
    timestamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    before: list[Any] = [structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, timestamp]
    if json:
        last: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        last = [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
