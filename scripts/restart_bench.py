#!/usr/bin/env python3
"""Count what restarts cost callers, for three ways to put several workers behind one address.

    .venv/bin/python scripts/restart_bench.py [--requests 3000] [--rate 300]

`shared`: one socket that outlives the workers, as `deploy/systemd/` has it (this program holds it in systemd's place). `reuseport`: a
socket with SO_REUSEPORT for each worker. `parent`: `opuscine serve --workers`. Each is restarted all at once and one worker after
another, twice, under a steady load of connections that are kept alive. Needs `scripts/bootstrap`; loopback only, two minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))
from support.steady_load import Load, Report  # noqa: E402

WORKERS = 2
SETTINGS = {"ENVIRONMENT": "staging", "HOST": "127.0.0.1", "AUTH": "off", "RATE_LIMIT_READ": "off", "RATE_LIMIT_RECOMMEND": "off"}
# Takes the socket's descriptor to where systemd hands sockets over, and becomes the service.
START = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[2], sys.argv[2:])"


class Layout:
    """Workers behind one address; how each is started is what the layouts differ in."""

    def __init__(self, folder: Path, *, reuse_port: bool) -> None:
        """Listen on a free port; with `reuse_port` only to keep it for the workers' own sockets."""
        self._environment = {**os.environ, **SETTINGS, "LOG_LEVEL": "error", "CACHE_DIR": str(folder), "LISTEN_FDS": "1"}
        self._reuse_port = reuse_port
        self._held = self._bind(0)
        self.port = self._held.getsockname()[1]
        if not reuse_port:
            self._held.listen(1024)
        self._workers: list[asyncio.subprocess.Process] = []

    def _bind(self, port: int) -> socket.socket:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(self._reuse_port))
        made.bind(("127.0.0.1", port))
        return made

    async def start(self) -> None:
        """Start all workers and wait until they are ready."""
        self._workers = list(await asyncio.gather(*(self._start_one() for _ in range(WORKERS))))

    async def _start_one(self) -> asyncio.subprocess.Process:
        own = self._bind(self.port) if self._reuse_port else self._held
        own.listen(1024)
        command = ["-c", START, str(own.fileno()), sys.executable, "-m", "opuscine", "serve"]
        worker = await self._ready(command, {}, [own.fileno()])
        if self._reuse_port:
            own.close()
        return worker

    async def _ready(self, command: list[str], settings: dict[str, str], descriptors: list[int]) -> asyncio.subprocess.Process:
        """Start a process and wait until it says that it is ready."""
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.bind(f"{folder}/notify")
            told.setblocking(False)
            environment = {**self._environment, **settings, "NOTIFY_SOCKET": f"{folder}/notify"}
            process = await asyncio.create_subprocess_exec(sys.executable, *command, env=environment, pass_fds=descriptors)
            async with asyncio.timeout(60):
                while b"READY=1" not in await asyncio.get_running_loop().sock_recv(told, 4096):
                    pass
        return process

    async def stop(self) -> None:
        """Stop all workers."""
        for worker in self._workers:
            worker.terminate()
        await asyncio.gather(*(worker.wait() for worker in self._workers))

    async def at_once(self) -> None:
        """Restart all workers at the same time."""
        await self.stop()
        await self.start()

    async def rolling(self) -> None:
        """Restart one worker after another."""
        for place, worker in enumerate(self._workers):
            worker.terminate()
            await worker.wait()
            self._workers[place] = await self._start_one()


class Parent(Layout):
    """Workers behind a parent of their own."""

    async def start(self) -> None:
        """Start the parent and wait until all workers are ready."""
        self._held.close()
        settings = {"PORT": str(self.port), "WORKERS": str(WORKERS)}
        self._workers = [await self._ready(["-m", "opuscine", "serve"], settings, [])]

    async def rolling(self) -> None:
        """Have the parent replace its workers, and wait until none of them is left."""
        parent = self._workers[0]
        before = children_of(parent.pid)
        parent.send_signal(signal.SIGUSR2)
        for _ in range(600):
            await asyncio.sleep(0.1)
            now = children_of(parent.pid)
            if not before & now and len(now) == WORKERS:
                return
        raise TimeoutError("the workers were not replaced within a minute")


def children_of(pid: int) -> set[str]:
    """Return the processes that a process started."""
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


LAYOUTS: dict[str, tuple[type[Layout], bool]] = {"shared": (Layout, False), "reuseport": (Layout, True), "parent": (Parent, True)}


async def measure(layout: Layout, restart: Callable[[], Awaitable[None]], *, rate: float, requests: int) -> Report:
    """Restart twice under a load; return what came of it."""
    load = Load(f"http://127.0.0.1:{layout.port}", rate=rate, requests=requests)
    calling = asyncio.create_task(load.run())
    for _ in range(2):
        await asyncio.sleep(1)
        await restart()
    return await calling


async def main() -> None:
    """Measure all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=3000, help="for each restart of each layout (3000)")
    parser.add_argument("--rate", type=float, default=300.0, help="requests a second (300)")
    parser.add_argument("--layouts", default=",".join(LAYOUTS), help=f"which of {','.join(LAYOUTS)} (all)")
    given = parser.parse_args()
    print("| layout | restart | failed | of | longest answer |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in given.layouts.split(","):
            kind, reuse_port = LAYOUTS[name]
            layout = kind(Path(folder), reuse_port=reuse_port)
            await layout.start()
            for how, restart in (("all at once", layout.at_once), ("one by one", layout.rolling)):
                report = await measure(layout, restart, rate=given.rate, requests=given.requests)
                print(f"| {name} | {how} | {report.failed.total()} | {report.sent} | {report.longest_s:.1f} s |", flush=True)
            await layout.stop()


if __name__ == "__main__":
    asyncio.run(main())
