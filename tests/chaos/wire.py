"""
The network between the workers and the broker: a TCP proxy that can fall silent and cut every connection.

    broker, proxy = Broker behind it          workers ─▶ proxy.port ─▶ the broker's second listener
    proxy.stall(); proxy.flow()               connections stay open, nothing passes; and on again
    proxy.reset()                             every connection is cut (RST); new ones pass

The broker advertises the proxy's address on that listener, else clients would go round it. The test's own clients use
the first listener. `python -m tests.chaos.wire LISTEN UPSTREAM` is the proxy: its orders come as lines on stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.kafka.broker import ROOT, Broker, free_ports

CHUNK_BYTES: Final = 256 * 1024
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class ProxiedBroker(Broker):
    """A broker with a second listener that is reached through a proxy."""

    def __init__(self, data_dir: Path, **more: Any) -> None:
        self.behind_port, self.proxy_port = free_ports(2)
        super().__init__(data_dir, **more)

    @property
    def proxied_bootstrap(self) -> str:
        """What the workers are given as their bootstrap servers."""
        return f"127.0.0.1:{self.proxy_port}"

    def _server_properties(self, overrides: Mapping[str, str]) -> str:
        inner = f"PLAINTEXT://127.0.0.1:{self.port}"
        lines = {
            "listeners": f"{inner},PROXIED://127.0.0.1:{self.behind_port},"
            f"CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"{inner},PROXIED://{self.proxied_bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        }
        return super()._server_properties({**overrides, **lines})


class Proxy:
    """The proxy as a process of its own, so that what passes through it costs the test nothing."""

    def __init__(self, listen: int, upstream: int) -> None:
        self._command = [sys.executable, "-m", __name__, str(listen), str(upstream)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._answer()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def stall(self) -> None:
        """Let nothing pass."""
        self._order("stall")

    def flow(self) -> None:
        """Let everything pass."""
        self._order("flow")

    def reset(self) -> None:
        """Cut every connection there is."""
        self._order("reset")

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """Nothing passes while the block lasts."""
        self.stall()
        try:
            yield
        finally:
            self.flow()

    def _order(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._answer()

    def _answer(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "done\n", "the proxy has ended"


class Wires:
    """The connections, in the proxy's process."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._ends: set[asyncio.StreamWriter] = set()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until either side ends."""
        await self._flowing.wait()
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:  # the broker is away, and so are we
            writer.close()
            return
        ends = {writer, back}
        self._ends |= ends
        pumps = [asyncio.create_task(self._pump(*way)) for way in ((reader, back), (there, writer))]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        self._ends -= ends
        for end in ends:
            end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await self._flowing.wait()
                writer.write(chunk)
                await writer.drain()

    def obey(self, word: str) -> None:
        """One order."""
        if word == "stall":
            self._flowing.clear()
        elif word == "flow":
            self._flowing.set()
        else:
            for end in self._ends:
                end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                end.transport.abort()


async def serve(listen: int, upstream: int) -> None:
    """Pass everything on and obey, until stdin ends."""
    wires = Wires(upstream)
    server = await asyncio.start_server(wires.connect, "127.0.0.1", listen)
    print("done", flush=True)
    async with server:
        while word := await asyncio.to_thread(sys.stdin.readline):
            wires.obey(word.strip())
            print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(serve(*map(int, sys.argv[1:])))
