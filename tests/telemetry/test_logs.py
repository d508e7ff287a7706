"""Lines for people have colours where there are people to see them, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ESCAPE = b"\x1b["
SAYS = """
import structlog
from opuscine.telemetry.logs import configure_logs

configure_logs(level="info", readable={readable})
structlog.get_logger().info("listening", address="x")
"""


def written(to: int, *, readable: bool) -> None:
    """Have a process write one line there."""
    subprocess.run([sys.executable, "-c", SAYS.format(readable=readable)], stdout=to, check=True, timeout=30)


def through(read_end: int, write_end: int, *, readable: bool) -> bytes:
    """Return the line as it arrives at the other end."""
    try:
        written(write_end, readable=readable)
        return os.read(read_end, 4096)
    finally:
        os.close(write_end)
        os.close(read_end)


@pytest.mark.parametrize("readable", [True, False])
def test_only_readable_lines_at_a_terminal_are_coloured(*, readable: bool) -> None:
    line = through(*os.openpty(), readable=readable)
    assert b"listening" in line
    assert (ESCAPE in line) == readable


def test_readable_lines_in_a_pipe_are_plain() -> None:
    line = through(*os.pipe(), readable=True)
    assert b"listening" in line
    assert ESCAPE not in line
