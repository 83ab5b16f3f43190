"""Prometheus's own checker: on PATH, or from Debian's package `prometheus`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from tests.debian import unpacked

ROOT: Final = Path(__file__).parents[2]


def find_promtool() -> Path:
    """The path of a promtool that runs; PackageUnavailableError where there is none."""
    installed = shutil.which("promtool")
    return Path(installed) if installed is not None else unpacked("prometheus") / "usr" / "bin" / "promtool"
