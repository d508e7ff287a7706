"""The environment files of `deploy/env/`, read the way that systemd, Docker, shells and python-dotenv agree on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "env"
# Nothing that one of the readers would take for a quote, a comment, an escape or an expansion.
LINE = re.compile(r"(?P<off>#?)(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>[^\s\"'`$\\#;&|<>()]*)")
COMMENT = re.compile(r"#( .*)?")


@dataclass
class EnvironmentFile:
    """What a file sets, what it shows as examples, and the lines that are neither of these nor comments."""

    values: dict[str, str] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)
    uncommented: list[str] = field(default_factory=list)


def read(path: Path) -> EnvironmentFile:
    """Read a file line by line; `uncommented` are names that stand below no comment."""
    found = EnvironmentFile()
    explained = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line:
            explained = False
        elif match := LINE.fullmatch(line):
            (found.examples if match["off"] else found.values)[match["name"]] = match["value"]
            if not explained:
                found.uncommented.append(match["name"])
        elif COMMENT.fullmatch(line):
            explained = True
        else:
            found.strange.append(line)
    return found
