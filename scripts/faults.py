#!/usr/bin/env python3
"""Write docs/faults.md, the page of what can go wrong, from the tests in tests/faults. Those are collected, not run.

With --check nothing is written; exit status 1 if the page is not what would be written. Exit status 1 also if a test carries no fault.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "faults.md"


class Collector:
    """A plugin that keeps what pytest has collected."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.items: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take the tests as they are ordered and named."""
        self.items = list(session.items)


def main(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="scripts/faults.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say whether docs/faults.md is up to date")
    asked = parser.parse_args(arguments)

    os.chdir(ROOT)
    collector = Collector()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "tests/faults"], plugins=[collector])
    if status != pytest.ExitCode.OK:
        print(f"{said.getvalue()}tests/faults can't be collected; see above.", file=sys.stderr)
        return 1

    from support.fault_wall import IncompleteFaultError, entries, page  # noqa: PLC0415  pytest has put tests/ on the path

    try:
        text = page(entries(collector.items))
    except IncompleteFaultError as error:
        print(f"faults: {error}", file=sys.stderr)
        return 1
    if asked.check:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            print("docs/faults.md is not up to date; write it with .venv/bin/python scripts/faults.py", file=sys.stderr)
            return 1
    else:
        PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
