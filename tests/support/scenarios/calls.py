"""What schemathesis sent to the service: one line a call, written by its hooks and counted by the scenario."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

CALLS_FILE = "API_DOCUMENT_CALLS"  # the variable that names the file


class Call(NamedTuple):
    """One request that reached the service."""

    operation: str
    mode: str  # positive: by the document; negative: against it
    status: int
    digest: str  # of all that tells it from other requests

    def line(self) -> str:
        """Write the call."""
        return f"{self.operation}\t{self.mode}\t{self.status}\t{self.digest}\n"


def read_calls(path: Path) -> list[Call]:
    """Read the calls of a file."""
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return [Call(operation, mode, int(status), value) for operation, mode, status, value in rows]


def digest(*parts: object) -> str:
    """Return what two requests share only if they are the same."""
    return hashlib.blake2b(repr(parts).encode(errors="backslashreplace"), digest_size=12).hexdigest()
