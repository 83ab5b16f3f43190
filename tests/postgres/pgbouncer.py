"""
A real pgbouncer in transaction mode, as unkind as it can be set: a server connection lives for one transaction.

With ``server_lifetime = 0`` every transaction gets a server connection that nobody has used and nobody will use again,
so whatever a client keeps in a session is gone with the next BEGIN. It is found on PATH, or in Debian's package.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from tests.debian import unpacked
from tests.kafka.broker import free_ports
from tests.postgres.feed import wait_until

SERVER_CONNECTIONS: Final = 2


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
    root = unpacked("pgbouncer", with_libraries=True)
    libraries = {str(found.parent) for found in root.rglob("*.so*")}
    return str(root / "usr/sbin/pgbouncer"), {**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(libraries))}
