"""
A real pgbouncer in transaction mode, as unkind as it can be set: a server connection lives for one transaction.

With ``server_lifetime = 0`` every transaction gets a server connection that nobody has used and nobody will use again,
so whatever a client keeps in a session is gone with the next BEGIN. It is found on PATH, or fetched by apt from the
machine's own package sources into .cache/ and unpacked there: nothing is installed and no root is needed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from tests.kafka.broker import free_ports
from tests.postgres.feed import wait_until

ROOT: Final = Path(__file__).resolve().parents[2]
CACHE: Final = ROOT / ".cache" / "pgbouncer"
FETCH_SECONDS: Final = 300
SERVER_CONNECTIONS: Final = 2


class PgbouncerUnavailableError(RuntimeError):
    """No pgbouncer can be had here; the message says why and what to do about it."""


@contextlib.contextmanager
def running_pgbouncer(dsn: str) -> Iterator[str]:
    """The DSN of a pgbouncer in front of the database at *dsn*."""
    program, environment = find_pgbouncer()
    with tempfile.TemporaryDirectory(prefix="pacing-pgbouncer-") as folder:
        Path(folder).chmod(0o755)
        (port,) = free_ports(1)
        config = Path(folder) / "pgbouncer.ini"
        config.write_text(configuration(dsn, port))
        log = Path(folder) / "log"
        with log.open("wb") as out:
            process = subprocess.Popen([program, config], env=environment, stdout=out, stderr=out)
        try:
            wait_until(lambda: "process up" in log.read_text() or process.poll() is not None, "pgbouncer starts", 20)
            assert process.poll() is None, log.read_text()
            yield f"postgresql://anybody@127.0.0.1:{port}/{urlsplit(dsn).path[1:]}"
        finally:
            process.terminate()
            process.wait(20)


def configuration(dsn: str, port: int) -> str:
    """Its file: transaction mode, two server connections for everybody, each for one transaction."""
    server = urlsplit(dsn)
    password = unquote(server.password or "")
    lines = [
        "[databases]",
        f"* = host={server.hostname} port={server.port} user={server.username} password={password}",
        "[pgbouncer]",
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =",
        "auth_type = any\npool_mode = transaction\nmax_client_conn = 100",
        f"default_pool_size = {SERVER_CONNECTIONS}\nserver_lifetime = 0",
    ]
    if os.geteuid() == 0:
        lines.append("user = nobody")  # it refuses to run as root
    return "\n".join(lines) + "\n"


def find_pgbouncer() -> tuple[str, dict[str, str]]:
    """The program and the environment it runs in."""
    installed = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if installed is not None:
        return installed, dict(os.environ)
    unpacked = CACHE / "root"
    if not unpacked.exists():
        _fetch(unpacked)
    libraries = {str(found.parent) for found in unpacked.rglob("*.so*")}
    return str(unpacked / "usr/sbin/pgbouncer"), {**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(libraries))}


def _fetch(unpacked: Path) -> None:
    """Fetch pgbouncer and the libraries it lacks here, and unpack them side by side."""
    if shutil.which("apt-get") is None:
        raise PgbouncerUnavailableError("there is neither pgbouncer nor apt-get here: install pgbouncer")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        work = Path(folder)
        _apt(work, "update")
        wanted = re.findall(r"^Inst (\S+)", _apt(work, "install", "--simulate", "pgbouncer"), re.MULTILINE)
        _apt(work, "download", *wanted)
        for package in work.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, work / "root"], check=True)
        with contextlib.suppress(OSError):  # another run was faster
            (work / "root").rename(unpacked)


def _apt(work: Path, *arguments: str) -> str:
    """apt-get with lists and caches of its own, so that it changes nothing on this machine and needs no root."""
    for folder in ("lists/partial", "archives/partial"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work,
        "Dir::Cache::archives": work / "archives",
        "APT::Install-Recommends": "false",
        "Debug::NoLocking": "true",
    }
    if os.geteuid() == 0:
        options["APT::Sandbox::User"] = "root"
    command = ["apt-get", "--quiet=2", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]
    done = subprocess.run(
        [*command, *arguments], cwd=work, capture_output=True, text=True, check=False, timeout=FETCH_SECONDS
    )
    if done.returncode != 0:
        raise PgbouncerUnavailableError(f"apt-get {arguments[0]} failed, so install pgbouncer: {done.stderr.strip()}")
    return done.stdout
