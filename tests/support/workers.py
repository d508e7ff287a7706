"""What is seen of several workers behind one parent, from the parent's log."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path

from support.notified import Unit

# Two of them on a free port, open to everyone, with log lines in JSON.
SETTINGS: dict[str, object] = {
    "environment": "staging",
    "host": "127.0.0.1",
    "port": 0,
    "workers": 2,
    "auth": "off",
    "rate_limit_read": "off",
    "rate_limit_recommend": "off",
}


def lines(service: Unit, event: str) -> list[dict[str, object]]:
    """Return the log lines of an event."""
    found = [json.loads(line) for line in service.log if line.startswith("{")]
    return [line for line in found if line["event"] == event]


async def until_logged(service: Unit, event: str, times: int) -> list[dict[str, object]]:
    """Wait for so many lines of an event."""
    async with asyncio.timeout(40):
        while len(found := lines(service, event)) < times:
            await asyncio.sleep(0.02)
    return found


def processes(service: Unit) -> dict[int, int]:
    """Return the process ids of the workers that were started last, by their numbers."""
    return {int(str(line["number"])): int(str(line["process"])) for line in lines(service, "worker started")}


def is_running(pid: int) -> bool:
    """Say whether there is such a process that has not ended."""
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
