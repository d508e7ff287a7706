"""The child process that compiles, as its parent sees it."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from opuscine.catalogue.job import Done, Job
from opuscine.codec import loads
from opuscine.errors import CatalogueError

# The longest line is the report with its named skips.
_LINE_BYTES = 1 << 20
_STDERR_BYTES = 1 << 16


async def run_compiler(job: Job, *, on_target: Callable[[str], None], limit_s: float) -> Done:
    """Compile in a child process, or wait there until another process has; `on_target` hears the generation's name early.

    A cancelled call kills its child.

    Raises:
        CatalogueError: a source or the cache folder can't be used, or the child crashed or took longer than `limit_s`.
    """
    try:
        # -P: a file of the working directory must not pass for one of our modules.
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "opuscine.catalogue.compile"), stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=_LINE_BYTES
        )
    except OSError as error:
        raise CatalogueError(f"the catalogue's compiler {sys.executable} cannot be started ({error.strerror})") from error
    try:
        async with asyncio.timeout(limit_s):
            answer, complaint = await asyncio.gather(_converse(child, job, on_target), _tail(child.stderr))
            status = await child.wait()
    except TimeoutError:
        raise CatalogueError(
            f"the catalogue's compiler took longer than {limit_s:g} s and was stopped; is {job.cache_dir} on a slow disk?"
        ) from None
    finally:
        with suppress(ProcessLookupError):
            if child.returncode is None:
                child.kill()
        await child.wait()
    if "done" in answer:
        return Done.from_json(answer["done"])
    raise CatalogueError(str(answer["error"]) if "error" in answer else _crash(status, complaint))


async def _converse(child: asyncio.subprocess.Process, job: Job, on_target: Callable[[str], None]) -> dict[str, Any]:
    """Give the job and read the answers; returns the last one."""
    if child.stdin is None or child.stdout is None:  # pragma: no cover  both are pipes
        return {}
    with suppress(ConnectionError):  # it died already; its status says more
        child.stdin.write(job.to_json())
        await child.stdin.drain()
    child.stdin.close()
    answer: dict[str, Any] = {}
    async for line in child.stdout:
        try:
            answer = loads(line)
        except ValueError:  # cut off by a crash
            break
        if "target" in answer:
            on_target(answer["target"])
    return answer


async def _tail(stream: asyncio.StreamReader | None) -> str:
    """Read a stream to its end and keep the last of it."""
    kept = b""
    while stream is not None and (chunk := await stream.read(_STDERR_BYTES)):
        kept = (kept + chunk)[-_STDERR_BYTES:]
    return kept.decode("utf-8", "replace")


def _crash(status: int, complaint: str) -> str:
    if status < 0:
        return f"the catalogue's compiler was killed by signal {-status}; if it was short of memory, give the service more"
    last = next((line.strip() for line in reversed(complaint.splitlines()) if line.strip()), "it said nothing")
    return f"the catalogue's compiler ended with status {status}: {last[:300]}"
