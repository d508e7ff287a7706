"""A program of the tests' own in a process of its own, so that what it does delays nobody else in the test."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
START_S = END_S = 30.0


@dataclass(frozen=True, slots=True)
class Program:
    """A running program; what it writes to its standard error goes to that of the test."""

    process: asyncio.subprocess.Process

    async def line(self) -> str:
        """Wait for the next line that it prints."""
        assert self.process.stdout is not None
        async with asyncio.timeout(START_S):
            line = await self.process.stdout.readline()
        assert line, "the program ended before its first line; its standard error says why"
        return line.decode()

    async def rest(self, told: str = "", *, within_s: float = END_S) -> str:
        """Tell it this and no more on its standard input, and return all that it prints until it ends."""
        async with asyncio.timeout(within_s):
            printed, _ = await self.process.communicate(told.encode())
        assert self.process.returncode == 0, "the program failed; its standard error says why"
        return printed.decode()


@asynccontextmanager
async def program(module: str, *arguments: object) -> AsyncIterator[Program]:
    """Run a module of the tests, such as `support.callers`, at most until the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", module, *map(str, arguments)),
        cwd=TESTS,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**26,
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
