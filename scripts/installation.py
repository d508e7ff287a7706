"""Put OpusCine on a machine as a systemd service, and take it away again. Run by `scripts/install` and `scripts/uninstall`.

What lies where: `/opt/opuscine/releases/ID` holds one version each with its own virtual environment, `/opt/opuscine/current` points to the
one that runs, `/etc/opuscine` holds settings and keys, `/etc/systemd/system` the units. Needs the standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
PREFIX = Path("/opt/opuscine")
GROUP = "opuscine-keys"
ENVIRONMENT = "production.env"
PACKAGES = Path("/etc/opuscine/packages.txt")  # what the operator wants beside the service: plugins, extras
# What a release is made of, and is told apart by.
INGREDIENTS = ("src", "data", "tests/contract", "deploy", "docs", "scripts/smoke.py", "requirements.lock", "pyproject.toml", "README.md")
KEPT = ("deploy", "docs", "scripts/smoke.py")
UNITS = ("opuscine.socket", "opuscine@.service", "opuscine.target", "opuscine.slice", "opuscine-smoke.service", "opuscine-smoke.timer")
ENABLED = ("opuscine.socket", "opuscine.target", "opuscine-smoke.timer")
FORMER_UNIT = "opuscine.service"
UNSEEN = ("/home/", "/root/", "/tmp/", "/var/tmp/")  # noqa: S108  what the sandbox hides from the service
OLD_RELEASES = 1  # kept beside the current one, to go back to


class InstallationError(Exception):
    """Say why it can't go on, in words that tell the reader what to do."""


@dataclass
class Machine:
    """The machine that is changed: the running one, or one whose files lie below `root` and which does not run."""

    root: Path = Path("/")
    dry_run: bool = False
    changes: int = 0

    @property
    def running(self) -> bool:
        """Say whether systemd runs there."""
        return self.root == Path("/") and Path("/run/systemd/system").is_dir()

    def path(self, path: Path | str) -> Path:
        """Return where a file of that machine lies for us."""
        return self.root / str(path).lstrip("/")

    def say(self, text: str) -> None:
        """Report a change."""
        self.changes += 1
        print(f"{'would ' if self.dry_run else ''}{text}", flush=True)

    def sum_up(self) -> None:
        """Report the end."""
        print("nothing to do" if not self.changes else "nothing was changed" if self.dry_run else "done", flush=True)

    def run(self, command: Sequence[str | Path]) -> None:
        """Run a command. Raises InstallationError."""
        shown = shlex.join(map(str, command))
        self.say(f"run {shown}")
        if self.dry_run:
            return
        try:
            subprocess.run(list(map(str, command)), check=True, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            raise InstallationError(
                f"`{shown}` failed ({error}); its own lines above say why. Run this again once that is mended."
            ) from None

    def systemctl(self, *arguments: str) -> None:
        """Run systemctl on the running system, or on the files of one that does not run."""
        here = [] if self.root == Path("/") else [f"--root={self.root}"]
        self.run(["systemctl", "--quiet", *here, *arguments])

    def write(self, path: Path | str, text: str, mode: int = 0o644) -> bool:
        """Write a file unless it reads so already; return whether it was written."""
        target = self.path(path)
        if target.is_file() and not target.is_symlink() and target.read_text(encoding="utf-8") == text:
            return False
        self.say(f"write {path}")
        if not self.dry_run:
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".{target.name}.draft")
            draft.touch(mode=mode)
            draft.write_text(text, encoding="utf-8")
            draft.chmod(mode)
            draft.replace(target)
        return True

    def link(self, path: Path | str, target: Path) -> bool:
        """Make a symbolic link, replacing another in one step; return whether it was made."""
        place = self.path(path)
        if place.is_symlink() and place.readlink() == target:
            return False
        self.say(f"link {path} to {target}")
        if not self.dry_run:
            place.parent.mkdir(parents=True, exist_ok=True)
            draft = place.with_name(f".{place.name}.draft")
            draft.unlink(missing_ok=True)
            draft.symlink_to(target)
            draft.replace(place)
        return True

    def remove(self, path: Path | str) -> None:
        """Remove a file or a folder, if there is one."""
        target = self.path(path)
        if target.is_symlink() or target.exists():
            self.say(f"remove {path}")
            if not self.dry_run:
                shutil.rmtree(target) if target.is_dir() and not target.is_symlink() else target.unlink()


@dataclass
class Installation:
    """OpusCine below `prefix` of a machine, with so many workers; 0 keeps their number, at first one a core."""

    machine: Machine
    prefix: Path = PREFIX
    workers: int = 0
    python: Path = Path("/usr/bin/python3")
    start: bool = True
    changed: bool = field(default=False, init=False)

    def install(self) -> None:
        """Bring everything up to date. Raises InstallationError."""
        self.check()
        release = self.build_release()
        self.changed |= self.machine.link(self.prefix / "current", release)
        self.machine.link("/usr/local/bin/opuscine", self.prefix / "current/venv/bin/opuscine")
        self.machine.write("/etc/sysusers.d/opuscine.conf", self.unit_text("opuscine.sysusers"))
        self.make_group()
        self.configure(release)
        self.replace_former_unit()
        self.install_units()
        self.enable()
        if self.machine.running and self.start:
            self.run_workers()
        self.forget_releases(release)
        self.machine.sum_up()

    def check(self) -> None:
        """Refuse a machine on which it can't work, before anything is changed. Raises InstallationError."""
        if os.geteuid() != 0 and not self.machine.dry_run:
            raise InstallationError("run it as root, or with --dry-run to see what it would do")
        if not all((SOURCE / name).exists() for name in INGREDIENTS):
            raise InstallationError(f"{SOURCE} is not the whole repository; run it from a clone")
        real = str(self.python.resolve())
        if any(real.startswith(place) for place in UNSEEN) or any(f"{self.prefix}/".startswith(place) for place in UNSEEN):
            raise InstallationError(f"the service's sandbox hides {real} or {self.prefix}; name others with --python and --prefix")
        probe = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))"
        if subprocess.run([self.python, "-I", "-c", probe], check=False, capture_output=True).returncode:
            raise InstallationError(
                f"{self.python} is no Python 3.11 or newer that makes environments; apt-get install python3-venv, or --python"
            )
        if self.machine.root == Path("/") and shutil.which("systemctl") is None:
            raise InstallationError("there is no systemd here; `opuscine serve --workers auto` runs without it")

    # The program

    def build_release(self) -> Path:
        """Make the folder of this version unless it is there and whole; return it."""
        name = f"{self.version()}-{self.digest()}"
        release = self.prefix / "releases" / name
        folder = self.machine.path(release)
        if (folder / "complete").is_file():
            return release
        self.machine.remove(release)
        venv = folder / "venv"
        self.machine.run([self.python, "-I", "-m", "venv", venv])
        pip: list[str | Path] = [
            venv / "bin/python",
            "-I",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--no-deps",
        ]
        self.machine.run([*pip, "--require-hashes", "--requirement", SOURCE / "requirements.lock"])
        self.machine.run([*pip, "--no-build-isolation", SOURCE])
        if self.machine.path(PACKAGES).is_file():
            self.machine.run([*(word for word in pip if word != "--no-deps"), "--requirement", self.machine.path(PACKAGES)])
        self.machine.say(f"copy {', '.join(KEPT)} to {release}")
        if not self.machine.dry_run:
            for kept in KEPT:
                (folder / kept).parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(SOURCE / kept, folder / kept) if (SOURCE / kept).is_dir() else shutil.copy2(SOURCE / kept, folder / kept)
        self.machine.write(release / "complete", f"{name}\n")
        return release

    @staticmethod
    def version() -> str:
        """Return the version that pyproject.toml names."""
        (version,) = re.findall(r'^version = "([^"]+)"$', (SOURCE / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
        return str(version)

    def digest(self) -> str:
        """Return what tells this release from others: all that it is made of, the operator's packages, and the Python that runs it."""
        told = hashlib.sha256(subprocess.run([self.python, "-I", "-VV"], check=True, capture_output=True).stdout)
        for path in ingredients():
            told.update(f"{path.relative_to(SOURCE)}\0{path.stat().st_size}\0".encode())
            told.update(path.read_bytes())
        if (packages := self.machine.path(PACKAGES)).is_file():
            told.update(packages.read_bytes())
        return told.hexdigest()[:10]

    def forget_releases(self, current: Path) -> None:
        """Remove all releases but the current one and the last before it."""
        folder = self.machine.path(self.prefix / "releases")
        others = [path for path in folder.iterdir() if path.name != current.name] if folder.is_dir() else []
        for path in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[OLD_RELEASES:]:
            self.machine.remove(self.prefix / "releases" / path.name)

    # Settings and keys

    def make_group(self) -> None:
        """Make the group that may read the callers' keys."""
        if self.group_id() is None:
            self.machine.run(["systemd-sysusers", f"--root={self.machine.root}"])

    def group_id(self) -> int | None:
        """Return the number of the group on that machine, or None where there is none yet."""
        groups = self.machine.path("/etc/group")
        found = re.search(rf"^{GROUP}:[^:]*:(\d+):", groups.read_text(encoding="utf-8"), re.MULTILINE) if groups.is_file() else None
        return int(found[1]) if found else None

    def configure(self, release: Path) -> None:
        """Write the settings, an empty file of keys, and a key for the probe; what is there already stays as it is."""
        settings = Path("/etc/opuscine") / ENVIRONMENT
        if not self.machine.path(settings).exists():
            self.machine.write(settings, (SOURCE / "deploy/env" / ENVIRONMENT).read_text(encoding="utf-8"), 0o600)
        keys = Path("/etc/opuscine/keys")
        if not self.machine.path(keys).exists():
            self.machine.write(keys, "", 0o640)
            group = self.group_id()
            if not self.machine.dry_run and group is not None:
                os.chown(self.machine.path(keys), 0, group)
        probe = Path("/etc/opuscine/smoke.env")
        if not self.machine.path(probe).exists():
            self.machine.say("make a key for the probe")
            self.machine.write(probe, f"OPUSCINE_KEY={self.new_key(release)}\nOPUSCINE_URL=http://{self.address()}\n", 0o600)

    def new_key(self, release: Path) -> str:
        """Make a key that may read and recommend. Raises InstallationError."""
        if self.machine.dry_run:
            return "…"
        command = self.machine.path(release / "venv/bin/opuscine")
        keys = self.machine.path("/etc/opuscine/keys")
        made = subprocess.run(
            [command, "keys", "new", "smoke", "--scopes", "read,recommend", "--file", keys],
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
        )
        found = re.search(r"oc_\S+", made.stdout)
        if made.returncode or found is None:
            raise InstallationError(f"no key for the probe could be made: {made.stderr.strip()}")
        return found[0]

    def address(self) -> str:
        """Return where the service listens by its settings, as the socket unit writes it. Raises InstallationError."""
        settings = self.machine.path(Path("/etc/opuscine") / ENVIRONMENT)
        text = settings.read_text(encoding="utf-8") if settings.is_file() else ""
        host, port = (re.search(rf"^{name}=(\S+)$", text, re.MULTILINE) for name in ("HOST", "PORT"))
        named = {"localhost": "127.0.0.1"}.get(host[1], host[1]) if host else "127.0.0.1"
        try:
            shown = f"[{named}]" if ip_address(named).version == 6 else named
        except ValueError:
            raise InstallationError(f"HOST={named} in {settings}: a socket unit needs an address in numbers, such as 127.0.0.1") from None
        return f"{shown}:{port[1] if port else '8000'}"

    # The units

    def unit_text(self, name: str) -> str:
        """Return a unit as it is installed here."""
        return (SOURCE / "deploy/systemd" / name).read_text(encoding="utf-8").replace(str(PREFIX), str(self.prefix))

    def replace_former_unit(self) -> None:
        """Stop and remove the single service of earlier versions, whose address the socket takes over."""
        former = Path("/etc/systemd/system") / FORMER_UNIT
        if not self.machine.path(former).is_file():
            return
        self.machine.systemctl("disable", *(["--now"] if self.machine.running else []), FORMER_UNIT)
        self.machine.remove(former)
        changes = f"{former}.d"
        if self.machine.path(changes).is_dir():
            print(f"note: {changes} counts no more; move what is still wanted to /etc/systemd/system/opuscine@.service.d", flush=True)

    def install_units(self) -> None:
        """Write the units; a socket that is new listens where the settings say."""
        units = Path("/etc/systemd/system")
        address = self.address()
        if not self.machine.path(units / "opuscine.socket").exists() and f"ListenStream={address}\n" not in self.unit_text(
            "opuscine.socket"
        ):
            self.machine.write(units / "opuscine.socket.d/address.conf", f"[Socket]\nListenStream=\nListenStream={address}\n")
        written = [name for name in UNITS if self.machine.write(units / name, self.unit_text(name))]
        self.changed |= bool(written)
        if written and self.machine.running:
            self.machine.systemctl("daemon-reload")

    def enabled_workers(self) -> list[int]:
        """Return the numbers of the workers that are started at boot."""
        wanted = self.machine.path("/etc/systemd/system/opuscine.target.wants")
        found = (re.fullmatch(r"opuscine@(\d+)\.service", path.name) for path in wanted.iterdir()) if wanted.is_dir() else iter(())
        return sorted(int(match[1]) for match in found if match)

    def enable(self) -> None:
        """Have the socket, the probe and so many workers started at boot."""
        enabled = self.enabled_workers()
        self.workers = self.workers or len(enabled) or len(os.sched_getaffinity(0))
        wanted = list(range(1, self.workers + 1))
        if more := [number for number in wanted if number not in enabled]:
            self.machine.systemctl("enable", *names(more))
        if surplus := [number for number in enabled if number not in wanted]:
            self.machine.systemctl("disable", *(["--now"] if self.machine.running else []), *names(surplus))
        links = {"opuscine.socket": "sockets", "opuscine.target": "multi-user", "opuscine-smoke.timer": "timers"}
        if not all(self.machine.path(f"/etc/systemd/system/{target}.target.wants/{unit}").is_symlink() for unit, target in links.items()):
            self.machine.systemctl("enable", *ENABLED)

    def run_workers(self) -> None:
        """Start what does not run, and replace what runs an older version, one worker after another."""
        if not is_active("opuscine.socket"):
            self.machine.systemctl("start", "opuscine.socket")
        for unit in names(range(1, self.workers + 1)):
            if not is_active(unit):
                self.machine.systemctl("start", unit)
            elif self.changed:
                self.machine.systemctl("restart", unit)
        for unit in ("opuscine.target", "opuscine-smoke.timer"):
            if not is_active(unit):
                self.machine.systemctl("start", unit)

    # The undo

    def uninstall(self, *, purge: bool) -> None:
        """Take everything away; settings, keys and data only with `purge`. Raises InstallationError."""
        if os.geteuid() != 0 and not self.machine.dry_run:
            raise InstallationError("run it as root, or with --dry-run to see what it would do")
        units = Path("/etc/systemd/system")
        there = [name for name in UNITS if self.machine.path(units / name).exists()]
        workers = names(self.enabled_workers())
        if there:
            self.machine.systemctl("disable", *workers, *(unit for unit in ENABLED if unit in there))
            if self.machine.running:  # the socket and the timer first: they would start the rest again
                self.machine.systemctl("stop", "opuscine.socket", "opuscine-smoke.timer", "opuscine.target", "opuscine@*.service")
        for name in there:
            self.machine.remove(units / name)
        if there and self.machine.running:
            self.machine.systemctl("daemon-reload")
        self.machine.remove("/etc/sysusers.d/opuscine.conf")
        command = self.machine.path("/usr/local/bin/opuscine")
        if command.is_symlink() and str(command.readlink()).startswith(f"{self.prefix}/"):
            self.machine.remove("/usr/local/bin/opuscine")
        for place in ("/run/opuscine", "/run/private/opuscine"):  # which the workers' stop leaves there for the next one
            self.machine.remove(place)
        self.machine.remove(self.prefix)
        if purge:
            for name in UNITS:
                self.machine.remove(units / f"{name}.d")
            for path in ("/etc/opuscine", *(f"/var/{kind}{private}/opuscine" for kind in ("lib", "cache") for private in ("", "/private"))):
                self.machine.remove(path)
            if self.group_id() is not None:
                elsewhere = [] if self.machine.root == Path("/") else [f"--prefix={self.machine.root}"]
                self.machine.run(["groupdel", *elsewhere, GROUP])
        self.machine.sum_up()


def ingredients() -> Iterator[Path]:
    """Give all files that a release is made of, in order."""
    for name in INGREDIENTS:
        place = SOURCE / name
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def names(numbers: Sequence[int]) -> list[str]:
    """Return the units of workers."""
    return [f"opuscine@{number}.service" for number in numbers]


def is_active(unit: str) -> bool:
    """Say whether a unit runs, or begins to."""
    return subprocess.run(["systemctl", "--quiet", "is-active", unit], check=False).returncode == 0  # noqa: S607


def workers(text: str) -> int:
    """Read a number of workers."""
    count = len(os.sched_getaffinity(0)) if text == "auto" else int(text)
    if not 1 <= count <= 256:
        raise ValueError
    return count


def absolute(text: str) -> Path:
    """Read a path from the root."""
    if not text.startswith("/"):
        raise ValueError
    return Path(os.path.normpath(text))


def main(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="scripts/install", description=__doc__, allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", required=True)
    for name in ("install", "uninstall"):
        action = actions.add_parser(name, prog=f"scripts/{name}", allow_abbrev=False)
        action.add_argument("--prefix", type=absolute, default=PREFIX, help=f"folder of the program ({PREFIX})")
        action.add_argument("--root", type=absolute, default=Path("/"), help="folder of another system, which does not run")
        action.add_argument("--dry-run", action="store_true", help="only say what would be done")
    install, uninstall = actions.choices["install"], actions.choices["uninstall"]
    install.add_argument("--workers", type=workers, default=0, help="how many, or auto: one a core (as before, at first auto)")
    install.add_argument("--python", type=absolute, default=Path("/usr/bin/python3"), help="the Python that runs it (/usr/bin/python3)")
    install.add_argument("--no-start", action="store_true", help="start and restart nothing")
    uninstall.add_argument("--purge", action="store_true", help="remove settings, keys and data too")
    given = parser.parse_args(arguments)
    machine = Machine(root=given.root, dry_run=given.dry_run)
    try:
        if given.action == "install":
            Installation(machine, given.prefix, given.workers, given.python, start=not given.no_start).install()
        else:
            Installation(machine, given.prefix).uninstall(purge=given.purge)
    except InstallationError as error:
        print(f"scripts/{given.action}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
