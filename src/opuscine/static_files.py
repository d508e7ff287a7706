"""What browsers are given: the files of the page, and the viewer of the API document that another package brings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

OWN_FOLDER = Path(__file__).resolve().parent / "page"
# Swagger UI, which flask-swagger-ui carries; it is found and not imported, since only its files are wanted and Flask is not.
VIEWER_PACKAGE = "flask_swagger_ui"
VIEWER_FILES = ("swagger-ui.css", "swagger-ui-bundle.js")
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it is sent; the tag names its content, so that an upgrade is noticed whatever the file's time says."""

    body: bytes
    content_type: str
    etag: str


@cache
def static_files() -> Mapping[str, StaticFile]:
    """Read every file by its name, once a process (about 2 MB, most of it the viewer)."""
    return {path.name: read(path) for path in (*OWN_FOLDER.iterdir(), *viewer_files()) if path.suffix in CONTENT_TYPES}


def viewer_files() -> Iterator[Path]:
    """Find the files of the viewer; none where its package is not installed."""
    spec = find_spec(VIEWER_PACKAGE)
    if spec is not None and spec.origin is not None:
        for name in VIEWER_FILES:
            yield Path(spec.origin).parent / "dist" / name


def read(path: Path) -> StaticFile:
    """Read one file."""
    body = path.read_bytes()
    return StaticFile(body, CONTENT_TYPES[path.suffix], f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"')
