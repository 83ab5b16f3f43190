"""Waiting for events and tasks, with an end to it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any


async def wait_at_most(event: asyncio.Event, seconds: float) -> None:
    """Wait for *event*, at most *seconds*."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def cancelled(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel *tasks* and wait until they have ended."""
    ending = [task for task in tasks if task is not None]
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


async def first_of(*things: Any) -> None:
    """Wait until one of *things* has happened."""
    tasks = [asyncio.ensure_future(thing) for thing in things]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await cancelled(*tasks)
