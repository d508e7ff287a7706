"""Where the files live that travel with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

SOURCE_TREE = Path(__file__).resolve().parents[2]
IN_SOURCE_TREE = {"contract": SOURCE_TREE / "tests" / "contract"}  # the golden bodies are the examples of the API document


def packaged_file(name: str) -> Path:
    """Return the path of a packaged file: in the installed wheel `opuscine/data/`, in the source tree `data/`."""
    installed = Path(str(files("opuscine"))) / "data" / name
    if installed.exists():
        return installed
    folder, _, rest = name.partition("/")
    return IN_SOURCE_TREE[folder] / rest if folder in IN_SOURCE_TREE else SOURCE_TREE / "data" / name
