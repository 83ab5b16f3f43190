"""
What the worker tells whoever watches it: ``/metrics``, ``/healthz`` and ``/readyz``.

``/healthz`` says whether to restart the process, ``/readyz`` whether it does its job. Both answer 200 or 503 with
the reasons in JSON, computed when asked: an answer that somebody must remember to update would lie when it matters.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.metrics import Metrics
    from worker.ownership import Ownership
    from worker.settings import Settings

# A checkpoint is late when it is this many intervals old, and its time box besides.
LATE_INTERVALS = 2


class SinkState(Protocol):
    """What the PostgreSQL sink tells about itself."""

    def health(self) -> Mapping[str, object]:
        """Its lag and state, JSON-ready; the sink's trouble never makes the worker unready."""


class Health(NamedTuple):
    """One answer: all of *checks* must hold."""

    checks: Mapping[str, bool]
    facts: Mapping[str, object]

    @property
    def is_well(self) -> bool:
        """Whether every check holds."""
        return all(self.checks.values())

    def response(self) -> web.Response:
        """200 or 503, with what holds and what does not."""
        body = {"ok": self.is_well, "checks": dict(self.checks), **self.facts}
        return web.json_response(body, status=200 if self.is_well else 503)


class HealthChecks:
    """Answers from the worker's parts as they are now."""

    def __init__(
        self, ownership: Ownership, settings: Settings, sink: Callable[[], Mapping[str, object]] | None
    ) -> None:
        self._ownership = ownership
        self._sink = sink
        self._late_seconds = LATE_INTERVALS * settings.checkpoint_seconds + settings.checkpoint_timeout_seconds

    def healthy(self) -> Health:
        """Whether the process works: what it owns and restored is saved in time."""
        age = self._checkpoint_age_seconds()
        return Health({"checkpoints_in_time": age <= self._late_seconds}, {"checkpoint_age_seconds": round(age, 3)})

    def ready(self) -> Health:
        """Whether it does its job: it was given its partitions, has restored all of them, and saves them."""
        ownership = self._ownership
        checks = {
            "assigned": ownership.was_assigned,
            "restored": ownership.was_assigned and not ownership.restoring and ownership.all_open,
            **self.healthy().checks,
        }
        facts = {
            "partitions": sorted(ownership.held),
            "restoring": ownership.restoring,
            "checkpoint_age_seconds": round(self._checkpoint_age_seconds(), 3),
            "sink": dict(self._sink()) if self._sink is not None else None,
        }
        return Health(checks, facts)

    def _checkpoint_age_seconds(self) -> float:
        """The age of the oldest partition's last checkpoint; one with nothing to save counts as saved."""
        saved_at = [held.saver.saved_at for held in self._ownership.held.values()]
        return max(0.0, time.time() - min(saved_at)) if saved_at else 0.0


def create_web(checks: HealthChecks, metrics: Metrics) -> web.Application:
    """The web application."""
    site = web.Application()

    async def expose(request: web.Request) -> web.Response:
        body, content_type = metrics.expose(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def healthz(_: web.Request) -> web.Response:
        return checks.healthy().response()

    async def readyz(_: web.Request) -> web.Response:
        return checks.ready().response()

    site.router.add_get("/metrics", expose)
    site.router.add_get("/healthz", healthz)
    site.router.add_get("/readyz", readyz)
    return site


async def serve(site: web.Application, host: str, port: int) -> web.AppRunner:
    """Serve *site*; ``runner.addresses`` tells the port that a 0 became."""
    runner = web.AppRunner(site, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
