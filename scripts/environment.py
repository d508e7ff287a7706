"""Keep the repository's `.venv` equal to its lock file. Run by `scripts/bootstrap`; needs the standard library only."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

RUNTIME_LOCK = "requirements.lock"
DEVELOPMENT_LOCK = "requirements-dev.lock"
STAMP = "opuscine-environment.json"


class BootstrapError(Exception):
    """Say why the environment can't be made, in words that tell the reader what to do."""


class Environment:
    """The virtual environment in `.venv` of the repository at `root`, and the stamp that says what was installed in it.

    The stamp is written last and taken away first, so that a run which was killed half-way is noticed and begun anew.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = self.folder / "bin" / "python"
        self._stamp = self.folder / STAMP

    def update(self, lock: str, *, this_python: bool) -> None:
        """Create or update the environment unless it already holds what `lock` and `pyproject.toml` ask for.

        Two runs at once are safe: one does the work, the other waits for it. With `this_python` an environment of another
        Python version than the running one is rebuilt. Raises BootstrapError.
        """
        wanted = {name: self._digest(name) for name in ("pyproject.toml", RUNTIME_LOCK, lock)}
        if self._is_current(wanted, this_python=this_python):
            return
        with self._alone():
            if not self._is_current(wanted, this_python=this_python):
                self._synchronise(lock, wanted, this_python=this_python)

    def _is_current(self, wanted: Mapping[str, str], *, this_python: bool) -> bool:
        stamp = self._read_stamp() or {}
        version = _version_of(self.python)
        return (
            all(stamp.get(name) == digest for name, digest in wanted.items())
            and stamp.get("folder") == str(self.folder)
            and stamp.get("python") == version
            and not (this_python and _minor(version) != _minor(platform.python_version()))
        )

    def _synchronise(self, lock: str, wanted: Mapping[str, str], *, this_python: bool) -> None:
        before = self._read_stamp()
        reason = self._reason_to_build(before, this_python=this_python)
        if reason:
            _say(f"creating .venv with Python {platform.python_version()} ({reason}); this may take a minute")
            pip = self._build()
        else:
            _say(f"updating .venv from {lock}")
            pip = [str(self.python), "-I", "-m", "pip"]
            self._write_stamp({"unfinished": True})
        options = ["install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
        try:
            _run([*pip, *options, "--require-hashes", "--requirement", str(self.root / lock)])
            _run([*pip, *options, "--no-build-isolation", "--editable", str(self.root)])
        except subprocess.CalledProcessError as error:
            # pip undoes what it began, so an environment that was there before is whole still.
            if not reason and before is None:
                self._stamp.unlink()
            elif not reason and before is not None:
                self._write_stamp(before)
            raise BootstrapError(
                f"pip could not install what {lock} asks for; its own lines above say why. If a package index can't be reached"
                " from here, set PIP_INDEX_URL or PIP_PROXY; if a hash differs, the lock file needs `scripts/lock`."
            ) from error
        # The development lock holds the whole of the runtime lock in the same versions, so it stands for both.
        self._write_stamp({"folder": str(self.folder), "python": _version_of(self.python), **wanted})

    def _reason_to_build(self, stamp: Mapping[str, object] | None, *, this_python: bool) -> str:
        if not self.folder.exists():
            return "there was none"
        if stamp is not None and "unfinished" in stamp:
            return "an earlier run did not finish"
        if stamp is not None and stamp.get("folder") != str(self.folder):
            return "the repository was moved or copied"
        if this_python and _minor(_version_of(self.python)) != _minor(platform.python_version()):
            return "PYTHON names another version"
        if not _succeeds([str(self.python), "-I", "-m", "pip", "--version"]):
            return "its Python or its pip does not run"
        return ""

    def _build(self) -> list[str]:
        """Make an empty environment and return the command that is its pip; where ensurepip lacks, this Python's own pip."""
        create = [sys.executable, "-I", "-m", "venv", "--clear"]
        outer_pip = [sys.executable, "-I", "-m", "pip", "--python", str(self.python)]
        with_pip = _succeeds([sys.executable, "-I", "-m", "ensurepip", "--version"])
        if not with_pip and not _succeeds([sys.executable, "-I", "-m", "pip", "--version"]):
            raise BootstrapError(
                f"{sys.executable} can't make virtual environments: it has neither ensurepip nor pip."
                " On Debian or Ubuntu: apt-get install python3-venv"
            )
        try:
            _run([*create, *([] if with_pip else ["--without-pip"]), str(self.folder)])
        except subprocess.CalledProcessError as error:
            raise BootstrapError(
                f"{sys.executable} -m venv failed; its own lines above say why. On Debian or Ubuntu: apt-get install python3-venv"
            ) from error
        self._write_stamp({"unfinished": True})
        return [str(self.python), "-I", "-m", "pip"] if with_pip else outer_pip

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # The folder itself is what is locked: it needs no file of its own, and the system frees it when the holder dies.
        handle = os.open(self.root, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _say("waiting for another run that is preparing .venv")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _digest(self, name: str) -> str:
        try:
            return hashlib.sha256((self.root / name).read_bytes()).hexdigest()
        except FileNotFoundError as error:
            raise BootstrapError(f"{name} is missing from {self.root}; restore it, or make the lock files with `scripts/lock`.") from error

    def _read_stamp(self) -> dict[str, object] | None:
        try:
            stamp = json.loads(self._stamp.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return {"unfinished": True}
        return stamp if isinstance(stamp, dict) else {"unfinished": True}

    def _write_stamp(self, stamp: Mapping[str, object]) -> None:
        draft = self._stamp.with_suffix(".draft")
        draft.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
        draft.replace(self._stamp)


def _version_of(python: Path) -> str:
    """Return the version that an interpreter says it has, as `3.11.2`, or nothing when it does not run."""
    try:
        told = subprocess.run(
            [python, "-I", "-S", "-c", "import platform; print(platform.python_version())"],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.strip()


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _run(command: Sequence[str]) -> None:
    # Standard output belongs to what is started afterwards.
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
    except OSError:
        return False


def _say(text: str) -> None:
    print(f"bootstrap: {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="scripts/bootstrap", description=__doc__, allow_abbrev=False)
    parser.add_argument("--dev", action="store_true", help="install the tools for development and tests as well")
    parser.add_argument("--this-python", action="store_true", help="rebuild an environment of another Python version")
    options = parser.parse_args(arguments)
    environment = Environment(Path(__file__).resolve().parents[1])
    try:
        environment.update(DEVELOPMENT_LOCK if options.dev else RUNTIME_LOCK, this_python=options.this_python)
    except BootstrapError as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(main(sys.argv[1:]))
