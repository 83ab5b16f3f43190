"""
`make bench`: how fast the worker is, as ratios measured in one run on a real Kafka, and how that grows.

    make bench BENCH_ARGS="--only compare --updates 1000000"

Broker and worker get one core each. Every part runs in a process of its own under a deadline: one that fails, hangs
or is killed says so in the table, and takes nothing with it. The tables are printed and written to .cache/.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.benchmarks import machine
from tests.benchmarks.asked import add_options, asked_of
from tests.benchmarks.report import Report, markdown, one_line, speed_of_ours
from tests.kafka.broker import ROOT

# Seconds that a part may take on five million updates; fewer may take as long.
PARTS: Final[dict[str, float]] = {
    "compare": 2_400,
    "workers": 1_200,
    "sizes": 5_400,
    "latency": 1_200,
    "gap": 1_200,
    "pressure": 2_400,
    "soak": 2_400,
    "memory": 3_600,
    "stages": 900,
    "tick": 900,
}
TOP_PART = "latency"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for, print the tables and keep them."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench", description=main.__doc__)
    add_options(parser)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; may be given several times")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.part:
        return run_part(options)
    return run(options.only or list(PARTS), arguments)


def run(parts: Sequence[str], arguments: Sequence[str]) -> int:
    """Every part in a process of its own; 1 if one of them failed."""
    begun, load = datetime.now(UTC), machine.load()
    # SIGTERM as Ctrl-C: what was started is ended, and what was found is told.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failed = False
    with tempfile.TemporaryDirectory(prefix="pacing-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # PostgreSQL does not run as root, and lies below
        report = Report(Path(folder, "rows"))
        try:
            for part in parts:
                print(f"{datetime.now(UTC):%H:%M:%S} {part} ...", file=sys.stderr, flush=True)
                failed |= not part_ran(part, [*arguments, *top_known(part, report)], report, Path(folder))
        except KeyboardInterrupt:
            failed = True
            print("interrupted; this is what was found until now", file=sys.stderr)
        rows = report.rows()
    notes = [f"Measured {begun:%Y-%m-%d %H:%M} UTC on {machine.described()}; load before {load}."]
    table = markdown(rows, notes)
    print(table)
    print(f"kept in {keep(table, begun)}", file=sys.stderr)
    return int(failed or any("**failed**" in line for line in table.splitlines()))


def top_known(part: str, report: Report) -> list[str]:
    """For the part that needs the worker's speed: what this run has measured, if it has."""
    speed = speed_of_ours(report.rows()) if part == TOP_PART else None
    return [f"--top={speed}"] if speed else []


def part_ran(part: str, arguments: Sequence[str], report: Report, folder: Path) -> bool:
    """Run a part to its end or its deadline; whether it came to its own end. Nothing it started is left."""
    home = folder / part
    home.mkdir()
    hidden = ["--part", part, "--rows", str(folder / "rows"), "--home", str(home)]
    with (home / "errors").open("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.bench", *arguments, *hidden],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(home)},
            stderr=errors,
            stdout=errors,
            start_new_session=True,
        )
        try:
            code = process.wait(PARTS[part])
        except subprocess.TimeoutExpired:
            code = None
        finally:
            end_all(process)
        if code:
            errors.seek(0)
            report.no_figure(part, f"the part ended with {code}: {one_line(errors.read(), 240)}")
    if code is None:
        report.no_figure(part, f"the part did not end within {PARTS[part]} s")
    return code == 0


def end_all(process: subprocess.Popen[bytes]) -> None:
    """End a part's processes; its broker, which has a session of its own, ends with whoever started it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_part(options: argparse.Namespace) -> int:
    """In the part's own process: measure."""
    machine.leave_the_workers_core()
    part = importlib.import_module(f"tests.benchmarks.part_{options.part}")
    part.measure(asked_of(options, options.home), Report(options.rows))
    return 0


def keep(table: str, begun: datetime) -> Path:
    """Write the tables down beside the caches."""
    path = ROOT / ".cache" / f"bench-{begun:%Y%m%d-%H%M%S}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(table, encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())
