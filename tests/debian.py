"""
Programs from Debian's packages for tests: fetched by apt from the machine's own package sources, unpacked into .cache/.

apt works on lists and caches of its own, so that nothing is installed, nothing on the machine changes and no root is
needed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

CACHE: Final = Path(__file__).parents[1] / ".cache" / "debian"
FETCH_SECONDS: Final = 300


class PackageUnavailableError(RuntimeError):
    """The package cannot be had here; the message says why."""


def unpacked(package: str, *, with_libraries: bool = False) -> Path:
    """The folder that a package is unpacked in, *with_libraries* what else it needs and this machine lacks."""
    root = CACHE / package
    if not root.exists():
        _fetch(package, root, with_libraries=with_libraries)
    return root


def _fetch(package: str, root: Path, *, with_libraries: bool) -> None:
    """Unpack beside its place and rename into it, so that a broken fetch leaves nothing that looks whole."""
    if shutil.which("apt-get") is None:
        raise PackageUnavailableError(f"{package} is not installed and there is no apt-get to fetch it")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=f"{package}-") as folder:
        work = Path(folder)
        _apt(work, "update")
        needed = _apt(work, "install", "--simulate", package) if with_libraries else f"Inst {package}"
        _apt(work, "download", *re.findall(r"^Inst (\S+)", needed, re.MULTILINE))
        for archive in work.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", archive, work / "root"], check=True)
        with contextlib.suppress(OSError):  # another run was faster
            (work / "root").rename(root)


def _apt(work: Path, *arguments: str) -> str:
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
        raise PackageUnavailableError(f"apt-get {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout
