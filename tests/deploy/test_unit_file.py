"""The systemd unit: well-formed, shut in, and in step with the environment file, the group and the times that it relies on."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from opuscine.server import CLEAN_UP_S
from opuscine.settings import Settings
from support.environment_files import FOLDER, read

REPOSITORY = Path(__file__).resolve().parents[2]
UNIT = REPOSITORY / "deploy" / "systemd" / "opuscine.service"
DIRECTIVES: list[tuple[str, str]] = re.findall(r"^([A-Za-z]+)=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
MOST_EXPOSURE = 1.5

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian package systemd)")


def directive(name: str) -> str:
    """Return the value of a directive that stands there once."""
    (value,) = [value for found, value in DIRECTIVES if found == name]
    return value


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Give the unit as it would be installed where this Python lies; systemd-analyze wants to see the command."""
    command = tmp_path / "opuscine"
    command.write_text(f"#!{sys.executable}\n")
    command.chmod(0o755)
    (tmp_path / "deploy.md").touch()
    here = UNIT.read_text(encoding="utf-8").replace("/opt/opuscine/.venv/bin", str(tmp_path)).replace("/opt/opuscine/docs", str(tmp_path))
    unit = tmp_path / UNIT.name
    unit.write_text(here, encoding="utf-8")
    return unit


@pytest.mark.wide
@needs_systemd
def test_systemd_finds_nothing_to_complain_about(installed: Path) -> None:
    verified = subprocess.run(["systemd-analyze", "verify", installed], capture_output=True, text=True, check=False)
    assert (verified.returncode, [line for line in verified.stderr.splitlines() if "opuscine" in line]) == (0, [])


@pytest.mark.wide
@needs_systemd
def test_its_exposure_is_small(installed: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={round(MOST_EXPOSURE * 10)}", "--no-pager"]
    judged = subprocess.run([*command, installed], capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout[-2000:] + judged.stderr


def test_a_stop_has_the_time_that_it_may_take() -> None:
    drain_timeout_s = max(float(read(path).values["DRAIN_TIMEOUT"]) for path in FOLDER.iterdir())
    assert float(directive("TimeoutStopSec")) > drain_timeout_s + CLEAN_UP_S


def test_it_is_told_when_the_service_is_ready_and_says_when_to_reload() -> None:
    assert directive("Type") == "notify"
    assert directive("ExecReload") == "/bin/kill -HUP $MAINPID"
    assert directive("ExecStart") == "/opt/opuscine/.venv/bin/opuscine serve"
    assert "AF_UNIX" in directive("RestrictAddressFamilies").split()


def test_a_reload_may_lower_the_priority_of_its_compile() -> None:
    """`@resources` is forbidden, and `setpriority` with it, unless it is allowed again after that."""
    filters = [value for name, value in DIRECTIVES if name == "SystemCallFilter"]
    assert filters.index("setpriority") > filters.index("~@privileged @resources")


def test_the_keys_file_is_readable_by_the_group_that_sysusers_makes() -> None:
    made = re.findall(r"^g (\S+) -$", (UNIT.parent / "opuscine.sysusers").read_text(encoding="utf-8"), re.MULTILINE)
    assert made == [directive("SupplementaryGroups")]


def test_its_environment_file_is_one_of_ours() -> None:
    assert Path(directive("EnvironmentFile")).name in {path.name for path in FOLDER.iterdir()}


def test_the_credentials_it_shows_are_settings_or_the_keys_file() -> None:
    shown = re.findall(r"^#?LoadCredential=(\w+):", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(shown) - {"keys"} == {"redis_url"} & set(Settings.model_fields)


def test_the_steps_name_what_there_is() -> None:
    """`docs/deploy.md` says only paths of the repository that exist, and installs the unit, the group and the environment."""
    steps = (REPOSITORY / "docs" / "deploy.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:deploy|docs|scripts)/[\w./-]*\w", steps))
    assert [path for path in sorted(named) if not (REPOSITORY / path).exists()] == []
    assert {"deploy/systemd/opuscine.service", "deploy/systemd/opuscine.sysusers", "deploy/env/production.env"} <= named
    assert f"{directive('SupplementaryGroups')} /dev/null /etc/opuscine/keys" in steps
