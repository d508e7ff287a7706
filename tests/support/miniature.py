"""A tiny project with the repository's scripts around it, so that what they do can be tested in seconds and without an index."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""

# A build backend without dependencies: an editable wheel is a .pth file and a console script.
BACKEND = """
import pathlib, zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    info = "opuscine-1.0.dist-info"
    name = "opuscine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as wheel:
        wheel.writestr("opuscine.pth", str(pathlib.Path("src").resolve()))
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: opuscine\\nVersion: 1.0\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\\nopuscine = opuscine:main\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""

PROGRAM = """\
import json, os, sys

def main():
    print(json.dumps({"arguments": sys.argv[1:], "folder": os.getcwd(), "process": os.getpid()}))
"""


@dataclass(frozen=True)
class Ended:
    """Hold how a script ended and what it printed."""

    status: int
    out: str
    err: str


class Miniature:
    """A copy of `scripts/` around a project of one file, in the folder `root`, and a PATH of its own in `tools`.

    What `wheelhouse` holds is the only index that its pip knows.
    """

    def __init__(self, root: Path, tools: Path) -> None:
        self.root = root
        self.tools = tools
        self.wheelhouse = tools.parent / "wheelhouse"

    @classmethod
    def create(cls, folder: Path) -> Miniature:
        """Lay out a miniature below `folder`; its paths have blanks and Korean in them."""
        small = cls(folder / "a 작은 project", folder / "tools")
        (small.root / "src" / "opuscine").mkdir(parents=True)
        (small.root / "src" / "opuscine" / "__init__.py").write_text(PROGRAM, encoding="utf-8")
        (small.root / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
        (small.root / "backend.py").write_text(BACKEND, encoding="utf-8")
        (small.root / "requirements.lock").write_text("# nothing\n", encoding="utf-8")
        (small.root / "requirements-dev.lock").write_text("# nothing\n", encoding="utf-8")
        shutil.copytree(REPOSITORY / "scripts", small.root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        small.tools.mkdir()
        small.wheelhouse.mkdir()
        for tool in ("sh", "dirname", "readlink", "sed"):
            (small.tools / tool).symlink_to(shutil.which(tool) or tool)
        small.add_python("python3")
        return small

    def add_python(self, name: str) -> None:
        """Put the Python that runs the tests on the PATH under a name."""
        python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
        self.add_tool(name, f'exec "{python}" "$@"')

    def add_tool(self, name: str, commands: str) -> None:
        """Put a shell script on the PATH under a name."""
        tool = self.tools / name
        tool.write_text(f"#!/bin/sh\n{commands}\n", encoding="utf-8")
        tool.chmod(0o755)

    def add_wheel(self, name: str) -> str:
        """Put a package of one module into the wheelhouse and return the line that locks it."""
        info, wheel = f"{name}-1.0.dist-info", self.wheelhouse / f"{name}-1.0-py3-none-any.whl"
        files = {
            f"{name}.py": "",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{path},sha256={_short(text)},{len(text)}\n" for path, text in files.items()) + f"{info}/RECORD,,\n"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, text in {**files, f"{info}/RECORD": record}.items():
                archive.writestr(path, text)
        return f"{name}==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"

    def start(self, script: str, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a script of the miniature from another folder, with a home that does not exist."""
        return subprocess.Popen(
            [self.root / "scripts" / script, *arguments],
            cwd=self.tools,
            env={
                "PATH": str(self.tools),
                "HOME": str(self.root / "no home"),
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(self.wheelhouse),
                **(env or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        """Run a script of the miniature to its end."""
        return ended(self.start(script, *arguments, env=env))

    @property
    def stamp(self) -> Path:
        """Return the file that says what was installed."""
        return self.root / ".venv" / "opuscine-environment.json"

    def has(self, module: str) -> bool:
        """Tell whether the environment can import a module."""
        python = self.root / ".venv" / "bin" / "python"
        return subprocess.run([python, "-I", "-c", f"import {module}"], check=False, capture_output=True).returncode == 0


def ended(process: subprocess.Popen[str]) -> Ended:
    """Wait for a started script and return how it ended."""
    out, err = process.communicate(timeout=100)
    return Ended(process.returncode, out, err)


def _short(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
