"""The worker ends at once, with a code of its own and a sentence."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, NoReturn

import pytest

from worker import exits
from worker.exits import Exit, Watchdog, or_leave


class Left(Exception):  # noqa: N818  it is not an error here
    """The process would have ended."""


def test_codes_are_distinct_and_every_one_is_explained() -> None:
    explained = [line.split()[0] for line in (exits.__doc__ or "").splitlines() if line[:1].isdigit()]
    assert explained == [str(code.value) for code in Exit]


def test_leaving_ends_the_process_with_the_code_and_one_line() -> None:
    script = "from worker.exits import Exit, leave\nleave(Exit.CHECKPOINT, 'fenced')"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == Exit.CHECKPOINT
    assert ended.stderr == "pacing worker: fenced (exit 71)\n"


def test_a_process_that_hangs_is_ended_by_the_watchdog() -> None:
    script = (
        "import time\n"
        "from worker.exits import Exit, Watchdog\n"
        "watchdog = Watchdog()\n"
        "watchdog.start()\n"
        "watchdog.promise('x', 0.1, Exit.STOP_STALLED, 'it hangs')\n"
        "time.sleep(60)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert (ended.returncode, ended.stderr) == (Exit.STOP_STALLED, "pacing worker: it hangs (exit 76)\n")


def watched() -> tuple[Watchdog, list[Exit]]:
    """A watchdog that notes instead of ending."""
    ended: list[Exit] = []

    def note(code: Exit, _: str) -> NoReturn:
        ended.append(code)
        raise Left

    return Watchdog(note), ended


def test_a_promise_kept_in_time_is_forgotten() -> None:
    watchdog, ended = watched()
    with watchdog.limit("checkpoint", 10, Exit.CHECKPOINT, "late"):
        watchdog.check(0)
    watchdog.check(float("inf"))
    assert ended == []


def test_a_broken_promise_ends_the_process() -> None:
    watchdog, ended = watched()
    watchdog.promise("restore", 10, Exit.RESTORE_FAILED, "late")
    with pytest.raises(Left):
        watchdog.check(float("inf"))
    assert ended == [Exit.RESTORE_FAILED]


async def test_an_exception_nobody_expected_becomes_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[Exit, str]] = []

    def leave(code: Exit, sentence: str) -> NoReturn:
        said.append((code, sentence))
        raise Left

    async def work() -> Any:
        raise ValueError("what nobody expected")

    monkeypatch.setattr(exits, "leave", leave)
    with pytest.raises(Left):
        await or_leave(Exit.DEFECT, "folding", work())
    assert said == [(Exit.DEFECT, "folding: ValueError: what nobody expected")]
