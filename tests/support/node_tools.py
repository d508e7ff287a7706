"""Tools of the npm registry that the tests run: Spectral for the API document, axe-core for the pages."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PINNED = Path(__file__).resolve().parent / "node"
MODULES = REPOSITORY / ".node" / "node_modules"


def node_tool(path: str) -> Path:
    """Return the path of an installed file; skip the test where it or node itself is missing."""
    if shutil.which("node") is None or not (MODULES / path).exists():
        pytest.skip(f"no {path} here: install nodejs and npm, then `bash .ci/run` installs it into .node")
    return MODULES / path
