"""
Prometheus's own checker, from Debian's package `prometheus`, unpacked into .cache/ and not installed.

promtool on PATH is used where there is one. Else `apt-get download` fetches the package, with package lists of our own
where the system has none: neither needs root, and nothing of the system changes.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
UNPACKED: Final = ROOT / ".cache" / "prometheus"
FETCH_DEADLINE_SECONDS: Final = 300.0


class PromtoolUnavailableError(RuntimeError):
    """There is no promtool here and none could be fetched; the message says why."""


def ensure_promtool() -> Path:
    """The path of a promtool that runs."""
    if (installed := shutil.which("promtool")) is not None:
        return Path(installed)
    unpacked = UNPACKED / "usr" / "bin" / "promtool"
    if not unpacked.exists():
        _fetch()
    return unpacked


def _fetch() -> None:
    """Download and unpack beside its place, then rename: a broken fetch leaves nothing that looks whole."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise PromtoolUnavailableError("promtool is not installed: it is part of Prometheus")
    UNPACKED.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=UNPACKED.parent, prefix="prometheus-fetch-") as place:
        package = _download(Path(place))
        _run(["dpkg", "-x", str(package), f"{place}/unpacked"], Path(place))
        if not UNPACKED.exists():
            Path(place, "unpacked").rename(UNPACKED)


def _download(place: Path) -> Path:
    """The package as a file in *place*; with fresh lists of our own where the system's do not know it."""
    try:
        _run(["apt-get", "download", "prometheus"], place)
    except PromtoolUnavailableError:
        for folder in ("lists/partial", "cache/archives/partial"):
            (place / folder).mkdir(parents=True, exist_ok=True)
        own = ["-o", f"Dir::State::Lists={place}/lists", "-o", f"Dir::Cache={place}/cache"]
        _run(["apt-get", *own, "update"], place)
        _run(["apt-get", *own, "download", "prometheus"], place)
    return next(place.glob("prometheus_*.deb"))


def _run(command: list[str], place: Path) -> None:
    done = subprocess.run(
        command, cwd=place, capture_output=True, text=True, timeout=FETCH_DEADLINE_SECONDS, check=False
    )
    if done.returncode != 0:
        raise PromtoolUnavailableError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
