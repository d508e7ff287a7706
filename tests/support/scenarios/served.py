"""The service as a process that is measured: it writes its log to a file, and its memory is read from /proc."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from support.hygiene import HYGIENE
from support.process import environment

START_S = 60.0
OPEN_DOOR = {"auth": "off", "rate_limit_read": "off", "rate_limit_recommend": "off", "environment": "staging", "host": "127.0.0.1"}


@dataclass
class Served:
    """A process that serves: where, as which process, and where its log lies."""

    url: str
    process: asyncio.subprocess.Process
    log_file: Path
    caller: aiohttp.ClientSession

    @property
    def port(self) -> int:
        """Return the port."""
        return int(self.url.rpartition(":")[2])

    def rss_kib(self) -> int:
        """Return the memory that the process holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))

    def cpu_s(self) -> float:
        """Return the seconds of CPU that the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log(self) -> Iterator[dict[str, Any]]:
        """Read the lines logged so far; what is no JSON is an event "text" of level "error"."""
        with self.log_file.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    yield json.loads(line)
                except ValueError:
                    yield {"event": "text", "level": "error", "text": line}

    def complaints(self) -> list[dict[str, Any]]:
        """Return what was logged as an error: what nobody had foreseen."""
        return [line for line in self.log() if line.get("level") in {"error", "critical"} or "exception" in line]

    async def stats(self) -> dict[str, Any]:
        """Ask for the inner state."""
        async with self.caller.get(f"{self.url}/admin/stats") as response:
            body: dict[str, Any] = await response.json()
            return body


@asynccontextmanager
async def served(folder: Path, **settings: object) -> AsyncIterator[Served]:
    """Run `opuscine serve` on a free port, open to everyone unless the settings say otherwise, until the block ends."""
    log_file = _log_in(folder)
    HYGIENE.confide_settings(settings)
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "opuscine", "serve"),
            cwd=folder,
            env=environment(folder, {"port": 0, "cache_dir": folder.parent / "cache", **OPEN_DOOR, **settings}),
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
        )
    connector = aiohttp.TCPConnector(limit=0)  # as many callers as a scenario has
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as caller:
        service = Served("", process, log_file, caller)
        try:
            async with asyncio.timeout(START_S):
                while not (found := [line["address"] for line in service.log() if line["event"] == "listening"]):
                    if process.returncode is not None:
                        raise AssertionError(f"it ended at its start: {log_file.read_text(errors='replace')}")
                    await asyncio.sleep(0.05)
            service.url = found[0]
            yield service
        finally:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(START_S):
                await process.wait()
            HYGIENE.wrote("the log of a scenario", log_file.read_text(errors="replace"))


def _log_in(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "service.log"
