"""The service as a unit: a process of its own that tells its service manager, which is the test, how it is."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.hygiene import HYGIENE
from support.process import environment

LIMIT_S = 30.0

Message = dict[str, str]


@dataclass
class Unit(asyncio.DatagramProtocol):
    """A process, what it told and what it logged; `on_told` hears each message the moment it comes."""

    address: str
    on_told: Callable[[Message], None]
    told: list[Message] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    process: asyncio.subprocess.Process = field(init=False)

    def datagram_received(self, data: bytes, _from: object) -> None:
        """Take a message: one `NAME=value` a line."""
        message = dict(line.split("=", 1) for line in data.decode().splitlines())
        self.told.append(message)
        self.on_told(message)

    async def tells(self, name: str, *, times: int = 1) -> Message:
        """Wait for the n-th message with this name and return it."""
        async with asyncio.timeout(LIMIT_S):
            while len(found := [message for message in self.told if name in message]) < times:
                if self.process.returncode is not None:
                    raise AssertionError(f"it ended without {name}: told {self.told}, logged {self.text}")
                await asyncio.sleep(0.005)
        return found[times - 1]

    async def url(self) -> str:
        """Wait until it serves and return where."""
        return (await self.tells("READY"))["STATUS"].rpartition(" ")[2]

    async def logs(self, text: str) -> None:
        """Wait for a text in the log."""
        async with asyncio.timeout(LIMIT_S):
            while text not in self.text:
                await asyncio.sleep(0.005)

    @property
    def text(self) -> str:
        """Return all that it logged."""
        return "".join(self.log)

    async def stopped(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal and wait for the end; return the exit status and the seconds that it took."""
        begun = time.monotonic()
        self.process.send_signal(number)
        return await self.ended(), time.monotonic() - begun

    async def ended(self) -> int:
        """Wait for the process to end and return its status."""
        async with asyncio.timeout(LIMIT_S):
            return await self.process.wait()


@asynccontextmanager
async def unit(home: Path, settings: Mapping[str, object], *, on_told: Callable[[Message], None] = lambda _: None) -> AsyncIterator[Unit]:
    """Start `opuscine serve` in a folder with nothing set but these settings, until the block ends; it need not come up."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        # In a folder of its own: a socket's path may have 107 bytes, and pytest's folders are long.
        address = os.fspath(Path(folder) / "notify")
        running = Unit(address, on_told)
        datagrams.bind(address)
        datagrams.setblocking(False)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: running, sock=datagrams)
        running.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "opuscine", "serve"),
            cwd=home,
            env=environment(home, settings) | {"NOTIFY_SOCKET": address},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        reader = asyncio.create_task(_read(running))
        try:
            yield running
        finally:
            if running.process.returncode is None:
                running.process.kill()
            await running.ended()
            await reader
            transport.close()


async def _read(running: Unit) -> None:
    assert running.process.stdout is not None
    async for line in running.process.stdout:
        running.log.append(line.decode())
        HYGIENE.wrote("a process's log", running.log[-1])
