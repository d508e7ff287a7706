"""The child process that compiles, as its parent sees it."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress
from typing import Any

from opuscine.catalogue.job import Done, Job
from opuscine.codec import loads
from opuscine.errors import CatalogueError

# -P: a file of the working directory must not pass for one of our modules.
_COMMAND = (sys.executable, "-P", "-m", "opuscine.catalogue.compile")


async def run_compiler(job: Job, *, limit_s: float) -> Done:
    """Compile in a child process, or wait there until another process has. A cancelled call kills its child.

    Raises:
        CatalogueError: a source or the cache folder can't be used, or the child crashed or took longer than `limit_s`.
    """
    # Large sorts of SQLite belong where there is room for the result, not in /tmp.
    environment = {**os.environ, "SQLITE_TMPDIR": str(job.cache_dir)}
    try:
        child = await asyncio.create_subprocess_exec(*_COMMAND, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment)
    except OSError as error:
        raise CatalogueError(f"the catalogue's compiler {sys.executable} cannot be started ({error.strerror})") from error
    try:
        async with asyncio.timeout(limit_s):
            said, complaint = await child.communicate(job.to_json())
    except RuntimeError:  # what uvloop raises for a child that is gone before it was told anything
        said, complaint = b"", b""
    except TimeoutError:
        raise CatalogueError(
            f"the catalogue's compiler took longer than {limit_s:g} s and was stopped; is {job.cache_dir} on a slow disk?"
        ) from None
    finally:
        with suppress(ProcessLookupError):
            if child.returncode is None:
                child.kill()
        await child.wait()
    answer = _read(said)
    if "done" in answer:
        return Done.from_json(answer["done"])
    raise CatalogueError(str(answer["error"]) if "error" in answer else _crash(child.returncode or 0, complaint))


def _read(said: bytes) -> dict[str, Any]:
    try:
        answer = loads(said)
    except ValueError:  # cut off by a crash
        return {}
    return answer if isinstance(answer, dict) else {}


def _crash(status: int, complaint: bytes) -> str:
    if status < 0:
        return f"the catalogue's compiler was killed by signal {-status}; if it was short of memory, give the service more"
    lines = complaint.decode("utf-8", "replace").splitlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    return f"the catalogue's compiler ended with status {status}: {last[:300]}"
