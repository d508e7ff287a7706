"""The API document passes Spectral's rules for OpenAPI: no error, and no warning either."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from opuscine.app import OPERATIONS
from opuscine.codec import dumps
from opuscine.openapi import document
from support.node_tools import PINNED, node_tool

pytestmark = pytest.mark.wide


def lint(path: Path) -> list[str]:
    """Return the rules that a document breaks."""
    spectral = node_tool(".bin/spectral")
    ruleset = PINNED / "spectral.yaml"
    command = [str(spectral), "lint", str(path), "--ruleset", str(ruleset), "--format", "json", "--quiet"]
    found = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert found.returncode in {0, 1}, found.stderr
    return [f"{fault['code']} at {'.'.join(map(str, fault['path']))}" for fault in json.loads(found.stdout)]


def test_spectral_finds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "openapi.json"
    path.write_bytes(dumps(document(OPERATIONS)))
    assert lint(path) == []


def test_spectral_would_find_something(tmp_path: Path) -> None:
    """An example that does not fit its schema is an error, so the rules are in force."""
    broken = document(OPERATIONS)
    broken["paths"]["/health"]["get"]["responses"]["200"]["content"]["application/json"]["example"] = {"status": "MAYBE"}
    path = tmp_path / "openapi.json"
    path.write_bytes(dumps(broken))
    assert any(fault.startswith("oas3-valid-media-example") for fault in lint(path))
