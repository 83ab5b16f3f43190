"""A progress bar on standard error while a long file is read; nothing where nobody watches or the file is short."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from typing import BinaryIO, Final

from worker.files import Chunk

LONG_BYTES: Final = 16 * 1024 * 1024
"""Read so far when the bar appears: about a tenth of a second, less than rich takes to import."""


def watch(chunks: Iterator[Chunk], file: BinaryIO, name: str) -> Iterator[Chunk]:
    """*chunks* as they are, with a bar that follows them once they turn out to be many."""
    read = 0
    for chunk in chunks:
        yield chunk
        read += chunk.size
        if read >= LONG_BYTES and sys.stderr.isatty():
            yield from _with_bar(chunks, name, read, _size(file))


def _with_bar(chunks: Iterator[Chunk], name: str, read: int, size: int | None) -> Iterator[Chunk]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(name), total=size, completed=read)
        for chunk in chunks:
            yield chunk
            bar.advance(task, chunk.size)


def _size(file: BinaryIO) -> int | None:
    """The length of a file, if it is one: a pipe has none."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None
