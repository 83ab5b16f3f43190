"""The sink in a thread and an event loop of its own, so that nothing about PostgreSQL holds up pacing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from worker.sink.sink import Sink

RESTART_SECONDS: Final = 5.0
STOP_SECONDS: Final = 10.0

log = logging.getLogger(__name__)


class SinkThread:
    """
    Runs the sink that *make* makes until it is stopped.

    A defect in the sink is logged and the sink started anew after a pause: PostgreSQL gets what it missed from Kafka,
    and the worker is none the wiser. `start`, `stop` and `status` may be called from any thread.
    """

    def __init__(self, make: Callable[[], Sink]) -> None:
        self._make = make
        self._sink: Sink | None = None
        self._crash: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._main, name="sink", daemon=True)
        self._ready = threading.Event()

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()
        self._ready.wait()

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> bool:
        """
        Ask the sink to end and wait for it; false if it has not ended in time.

        Whatever it leaves undone it does again after the next start.
        """
        self.ask_to_stop()
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def ask_to_stop(self) -> None:
        """Ask the sink to end, without waiting."""
        if self._loop is not None and self._stop is not None:
            # The loop is closed when the thread has ended already.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)

    @property
    def is_running(self) -> bool:
        """Whether the thread lives."""
        return self._thread.is_alive()

    def status(self) -> Mapping[str, object]:
        """What the sink tells about itself, JSON-ready."""
        sink = self._sink
        told = dict(sink.status()) if sink is not None else {"healthy": False, "lag": None, "error": "not started"}
        if self._crash is not None:
            told |= {"healthy": False, "error": self._crash}
        if not self._thread.is_alive():
            told |= {"healthy": False, "error": told["error"] or "ended"}
        return told

    def _main(self) -> None:
        asyncio.run(self._supervise())

    async def _supervise(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        while not self._stop.is_set():
            self._sink = self._make()
            self._crash = None
            task = asyncio.create_task(self._sink.run(self._stop))
            await asyncio.wait({task})
            if (defect := task.exception()) is not None:
                self._crash = f"{type(defect).__name__}: {defect}"
                log.error("the sink failed and is started anew in %g s", RESTART_SECONDS, exc_info=defect)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), RESTART_SECONDS)
