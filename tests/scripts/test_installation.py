"""`scripts/install` and `scripts/uninstall` on the files of a system that does not run; `tests/systemd/` has the running one."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from support.environment_files import FOLDER

REPOSITORY = Path(__file__).resolve().parents[2]
UNITS = "etc/systemd/system"

pytestmark = [
    pytest.mark.wide,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("systemctl") is None, reason="needs root and systemctl (Debian package systemd)"),
]


def script(name: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one of the scripts as an operator does."""
    return subprocess.run([REPOSITORY / "scripts" / name, *options], capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a system with a release that is whole already, so that no package has to be installed."""
    system = tmp_path / "system"
    planned = script("install", "--dry-run", "--root", system).stdout
    (release,) = {line.split()[-1] for line in planned.splitlines() if line.startswith("would link /opt/opuscine/current")}
    place = system / release.removeprefix("/")
    (place / "venv/bin").mkdir(parents=True)
    (place / "venv/bin/opuscine").write_text(f'#!/bin/sh\ncd {REPOSITORY} && exec {sys.executable} -m opuscine "$@"\n')
    (place / "venv/bin/opuscine").chmod(0o755)
    (place / "complete").touch()
    (system / "etc").mkdir()
    (system / "etc/group").write_text("root:x:0:\n")
    (system / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    return system


def tree(root: Path) -> dict[str, str]:
    """Return every file and link below a folder."""
    return {
        str(path.relative_to(root)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_a_dry_run_says_what_it_would_do_and_does_nothing(root: Path) -> None:
    before = tree(root)
    told = script("install", "--dry-run", "--root", root, "--workers=3")
    assert (told.returncode, told.stderr) == (0, "")
    assert "would write /etc/systemd/system/opuscine@.service" in told.stdout
    assert "opuscine@3.service" in told.stdout
    assert told.stdout.splitlines()[-1] == "nothing was changed"
    assert tree(root) == before


def test_it_installs_once_and_a_second_run_has_nothing_to_do(root: Path) -> None:
    first = script("install", "--root", root, "--workers=2")
    assert first.returncode == 0, first.stderr
    installed = tree(root)
    assert (root / "opt/opuscine/current").is_symlink()
    assert {name.rpartition("/")[2] for name in installed if "opuscine.target.wants/" in name} == {
        "opuscine@1.service",
        "opuscine@2.service",
    }
    assert f"{UNITS}/sockets.target.wants/opuscine.socket" in installed
    assert f"{UNITS}/timers.target.wants/opuscine-smoke.timer" in installed
    keys, probe = root / "etc/opuscine/keys", root / "etc/opuscine/smoke.env"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o640
    assert f"opuscine-keys:x:{keys.stat().st_gid}:" in (root / "etc/group").read_text()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (probe, root / "etc/opuscine/production.env")] == [0o600, 0o600]
    assert probe.read_text().startswith("OPUSCINE_KEY=oc_")
    again = script("install", "--root", root)
    assert (again.returncode, again.stdout) == (0, "nothing to do\n")
    assert tree(root) == installed


def test_packages_that_the_operator_wants_beside_it_go_into_each_release(root: Path) -> None:
    """They make a release of their own, so that a changed list counts at the next run, and an upgrade does not lose them."""
    before = script("install", "--dry-run", "--root", root).stdout
    wanted = root / "etc/opuscine/packages.txt"
    wanted.parent.mkdir()
    wanted.write_text("opuscine[otel]\n")
    told = script("install", "--dry-run", "--root", root).stdout
    (install,) = (line for line in told.splitlines() if line.endswith(f"--requirement {wanted}"))
    assert "--no-deps" not in install
    link = "would link /opt/opuscine/current to "
    first, second = (text.partition(link)[2].partition("\n")[0] for text in (before, told))
    assert first != second


def test_fewer_workers_can_be_asked_for_later(root: Path) -> None:
    assert script("install", "--root", root, "--workers=3").returncode == 0
    assert script("install", "--root", root, "--workers=1").returncode == 0
    assert [path.name for path in (root / UNITS / "opuscine.target.wants").iterdir()] == ["opuscine@1.service"]


def test_the_former_unit_is_replaced_and_its_settings_and_address_stay(root: Path) -> None:
    settings = (FOLDER / "production.env").read_text().replace("HOST=127.0.0.1", "HOST=0.0.0.0").replace("PORT=8000", "PORT=8080")
    (root / "etc/opuscine").mkdir()
    (root / "etc/opuscine/production.env").write_text(settings)
    (root / UNITS / "multi-user.target.wants").mkdir(parents=True)
    (root / UNITS / "opuscine.service").write_text("[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n")
    (root / UNITS / "multi-user.target.wants/opuscine.service").symlink_to("/etc/systemd/system/opuscine.service")
    done = script("install", "--root", root)
    assert done.returncode == 0, done.stderr
    installed = tree(root)
    assert not [name for name in installed if name.endswith("/opuscine.service")]
    assert installed["etc/opuscine/production.env"] == settings
    assert installed[f"{UNITS}/opuscine.socket.d/address.conf"] == "[Socket]\nListenStream=\nListenStream=0.0.0.0:8080\n"


def test_uninstalling_keeps_settings_and_keys_unless_they_are_to_be_purged(root: Path) -> None:
    before = {name for name in tree(root) if not name.startswith("opt/")}
    assert script("install", "--root", root, "--workers=2").returncode == 0
    assert script("uninstall", "--root", root).returncode == 0
    kept = set(tree(root)) - before
    assert {name for name in kept if "opuscine" in name} == {f"etc/opuscine/{name}" for name in ("keys", "production.env", "smoke.env")}
    assert script("uninstall", "--root", root, "--purge").returncode == 0
    assert not [name for name in tree(root) if "opuscine" in name]
    assert "opuscine" not in (root / "etc/group").read_text()
    assert script("uninstall", "--root", root).stdout == "nothing to do\n"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--prefix=/home/opuscine"], "the service's sandbox hides"),
        (["--python=/bin/false"], "is no Python 3.11 or newer"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_changed(root: Path, options: list[str], why: str) -> None:
    before = tree(root)
    refused = script("install", "--root", root, *options)
    assert refused.returncode == 1
    assert why in refused.stderr
    assert tree(root) == before
