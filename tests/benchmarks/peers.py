"""
The peers: each a process on the worker's core that drains the same topic and says how long that took.

Quix Streams needs other versions than this project pins, so it gets an environment of its own under `.cache/`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks.drains import compare
from tests.benchmarks.machine import WORKER_CORE, on_every_core, pinned
from tests.benchmarks.waiting import NoFigureError
from tests.kafka.broker import ROOT

QUIX = "quixstreams==3.28.1"
QUIX_HOME = ROOT / ".cache" / QUIX
INSTALL_SECONDS = 600


def faust_seconds(bootstrap: str, topic: str, count: int, home: Path, expected: Mapping[str, int]) -> float:
    """A plain Faust agent."""
    command = [sys.executable, "-m", "tests.benchmarks.plain_faust", bootstrap, topic, str(count), str(home)]
    return _seconds(command, 120 + count / 500, expected)


def quix_seconds(bootstrap: str, topic: str, count: int, home: Path, expected: Mapping[str, int]) -> float:
    """Quix Streams, stateful."""
    script = str(Path(__file__).with_name("plain_quix.py"))
    return _seconds([_quix_python(), script, bootstrap, topic, str(count), str(home)], 120 + count / 5_000, expected)


def raw_seconds(bootstrap: str, topic: str, count: int, way: str, expected: Mapping[str, int]) -> float:
    """aiokafka and msgspec alone."""
    command = [sys.executable, "-m", "tests.benchmarks.raw_loop", bootstrap, topic, str(count), way]
    return _seconds(command, 60 + count / 20_000, expected)


def _seconds(command: Sequence[str], deadline: float, expected: Mapping[str, int]) -> float:
    """What a peer says it took, if it ends in time at the *expected* totals."""
    done = _run(pinned(WORKER_CORE, command), deadline, {**os.environ, "PYTHONPATH": str(ROOT)})
    outcome = json.loads(done.strip().splitlines()[-1])
    compare(outcome["totals"], expected)
    return float(outcome["seconds"])


def _run(command: Sequence[str], deadline: float, environment: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=deadline, check=False, env=environment, cwd=ROOT
        )
    except subprocess.TimeoutExpired:
        raise NoFigureError(f"did not end within {deadline:.0f} s") from None
    if done.returncode or not done.stdout.strip():
        raise NoFigureError(f"ended with {done.returncode}: {done.stderr[-600:]}")
    return done.stdout


def _quix_python() -> str:
    """The interpreter that has Quix Streams; installed the first time."""
    python = QUIX_HOME / "bin" / "python"
    installed = QUIX_HOME / "installed"
    if not installed.exists():
        with on_every_core():
            venv.create(QUIX_HOME, clear=True, with_pip=True)
            command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", QUIX]
            _installed(command)
        installed.touch()
    return str(python)


def _installed(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if done.returncode:
        raise NoFigureError(f"{QUIX} could not be installed: {done.stderr}")
