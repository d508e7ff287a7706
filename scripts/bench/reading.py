"""The yardstick of a compile: `python -m bench.reading FILE` goes through a source with `ijson` alone, and imports nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import ijson


def read(file: Path) -> int:
    """Count the records. Raises RuntimeError without the quick backend."""
    if ijson.backend != "yajl2_c":
        raise RuntimeError(f"ijson runs on its {ijson.backend} backend")
    with file.open("rb") as source:
        return sum(1 for _ in ijson.items(source, "movies.item"))


if __name__ == "__main__":
    print(read(Path(sys.argv[1])))
