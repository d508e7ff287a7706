"""A machine of its own: systemd booted in a container made from this machine's root, over an overlay that is gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = "/usr/src/opuscine"
WHEELS = "/usr/src/wheels"
BOOT_S = 60.0
PROGRAMS = ("systemd-nspawn", "nsenter", "unshare", "setpriv", "systemctl")
# In a namespace of mounts of its own, so that nothing is left mounted whatever happens. The overlay's upper part lies in memory.
BOOT = """
set -eu
mount -t tmpfs -o size=2g machine "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mkdir -p "$1/root$3" "$1/root$5"
rm -f "$1/root/etc/machine-id"
exec setpriv --pdeathsig TERM systemd-nspawn --quiet --boot --keep-unit --register=no --private-network --console=pipe --link-journal=no \\
    --machine=opuscine-test --directory="$1/root" --bind-ro="$2:$3" --bind-ro="$4:$5" --kill-signal=SIGRTMIN+4 -- --unit=basic.target
"""


@dataclass
class Machine:
    """A booted machine; `leader` is its first process as seen from here."""

    leader: int

    def run(self, *command: str, check: bool = True, limit_s: float = 60.0) -> str:
        """Run a command in the machine and return what it printed."""
        inside = [
            "nsenter",
            f"--target={self.leader}",
            "--all",
            "env",
            "-i",
            "PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin",
            "LC_ALL=C.UTF-8",
        ]
        ended = subprocess.run([*inside, *command], capture_output=True, text=True, check=False, timeout=limit_s, stdin=subprocess.DEVNULL)
        if check and ended.returncode:
            raise AssertionError(f"{' '.join(command)}: {ended.returncode}\n{ended.stdout}{ended.stderr}\n{self.journal()}")
        return ended.stdout

    def write(self, path: str, text: str) -> None:
        """Write a file in the machine."""
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1"', "sh", path, text)

    def journal(self, *options: str) -> str:
        """Return the last lines of the machine's log."""
        return self.run("journalctl", "--no-pager", "--output=cat", *(options or ("--lines=60",)), check=False)

    def property(self, unit: str, name: str) -> str:
        """Return what systemd knows of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def outside(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Start a program of this machine on the network of that one."""
        return subprocess.Popen(
            ["nsenter", f"--target={self.leader}", "--net", *command],
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            **options,
        )


def lacks() -> str:
    """Say why no machine can be booted here, or nothing where that was not found."""
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        return f"lacks {', '.join(missing)} (Debian package systemd-container)"
    if os.geteuid() != 0:
        return "needs root"
    tried = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], check=False, capture_output=True, text=True)
    return f"may not mount: {tried.stderr.strip()}" if tried.returncode else ""


@contextmanager
def booted(folder: Path, wheels: Path) -> Iterator[Machine]:
    """Boot a machine with the repository in `SOURCE` and the wheels in `WHEELS`, until the block ends."""
    place = folder / "machine"
    place.mkdir()
    log = folder / "console"
    command = [
        "unshare",
        "--mount",
        "--propagation=private",
        "sh",
        "-c",
        BOOT,
        "sh",
        str(place),
        str(REPOSITORY),
        SOURCE,
        str(wheels),
        WHEELS,
    ]
    with log.open("wb") as console:
        container = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
    try:
        machine = Machine(_leader(container, log))
        _until_up(machine, container, log)
        yield machine
    finally:
        container.terminate()
        try:
            container.wait(15)
        except subprocess.TimeoutExpired:
            container.kill()
            container.wait(15)


def _leader(container: subprocess.Popen[bytes], log: Path) -> int:
    until = time.monotonic() + BOOT_S
    while time.monotonic() < until and container.poll() is None:
        children = Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text().split()
        for child in children:
            if (
                Path(f"/proc/{child}/cmdline")
                .read_bytes()
                .startswith((b"/usr/lib/systemd/systemd\0", b"/sbin/init\0", b"/lib/systemd/systemd\0"))
            ):
                return int(child)
        time.sleep(0.05)
    raise AssertionError(f"no machine came up: {log.read_text(errors='replace')[-2000:]}")


def _until_up(machine: Machine, container: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + BOOT_S
    while time.monotonic() < until and container.poll() is None:
        if machine.run("systemctl", "is-system-running", check=False).strip() in {"running", "degraded"}:
            return
        time.sleep(0.2)
    raise AssertionError(f"systemd did not come up: {log.read_text(errors='replace')[-2000:]}")


def download_wheels(folder: Path, python: str = "/usr/bin/python3") -> None:
    """Fetch what the installer asks pip for, since the machine has no network; only that Python knows which of it it needs."""
    command = ["download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "--disable-pip-version-check"]
    lock = ["--requirement", str(REPOSITORY / "requirements.lock"), "--dest", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *command, *lock], check=True, capture_output=True, timeout=300)
