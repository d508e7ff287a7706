"""The systemd units: well-formed, shut in, and in step with the environment file, the group and the times that they rely on."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from opuscine.server import CLEAN_UP_S, FAREWELL_S
from opuscine.settings import Settings
from support.environment_files import FOLDER, read

REPOSITORY = Path(__file__).resolve().parents[2]
UNITS = REPOSITORY / "deploy" / "systemd"
WORKER = "opuscine@.service"
MOST_EXPOSURE = 1.5

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian package systemd)")


def directives(name: str, unit: str = WORKER) -> list[str]:
    """Return the values of a directive in the order in which they stand there."""
    return re.findall(rf"^{name}=(.*)$", (UNITS / unit).read_text(encoding="utf-8"), re.MULTILINE)


def directive(name: str, unit: str = WORKER) -> str:
    """Return the value of a directive that stands there once."""
    (value,) = directives(name, unit)
    return value


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Give the units as they would be installed where this Python lies; systemd-analyze wants to see the commands."""
    for command in ("opuscine", "python"):
        (tmp_path / command).write_text(f"#!{sys.executable}\n")
        (tmp_path / command).chmod(0o755)
    (tmp_path / "deploy.md").touch()
    for unit in UNITS.iterdir():
        text = unit.read_text(encoding="utf-8").replace("/opt/opuscine/current/venv/bin", str(tmp_path))
        (tmp_path / unit.name).write_text(text.replace("/opt/opuscine/current/docs", str(tmp_path)), encoding="utf-8")
    return tmp_path


@pytest.mark.wide
@needs_systemd
def test_systemd_finds_nothing_to_complain_about(installed: Path) -> None:
    units = [installed / name.replace("@", "@1") for name in sorted(path.name for path in UNITS.iterdir()) if not name.endswith("sysusers")]
    (installed / "opuscine@1.service").write_bytes((installed / WORKER).read_bytes())
    verified = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (verified.returncode, [line for line in verified.stderr.splitlines() if "opuscine" in line]) == (0, [])


@pytest.mark.wide
@needs_systemd
@pytest.mark.parametrize("unit", [WORKER, "opuscine-smoke.service"])
def test_the_exposure_is_small(installed: Path, unit: str) -> None:
    command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={round(MOST_EXPOSURE * 10)}", "--no-pager"]
    judged = subprocess.run([*command, installed / unit], capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout[-2000:] + judged.stderr


def test_a_stop_has_the_time_that_it_may_take() -> None:
    values = [read(path).values for path in FOLDER.iterdir()]
    longest_s = max(float(found["DRAIN_TIMEOUT"]) + float(found.get("DRAIN_DELAY", "0")) for found in values)
    assert float(directive("TimeoutStopSec")) > longest_s + FAREWELL_S + CLEAN_UP_S
    assert directive("KillMode") == "mixed"


def test_it_is_told_when_the_service_is_ready_and_when_it_is_stuck_and_says_when_to_reload() -> None:
    assert directive("Type") == "notify"
    assert float(directive("WatchdogSec")) >= 5
    assert directive("ExecReload") == "/bin/kill -HUP $MAINPID"
    assert directive("ExecStart") == "/opt/opuscine/current/venv/bin/opuscine serve"
    assert "AF_UNIX" in directive("RestrictAddressFamilies").split()


def test_all_workers_share_one_socket_that_no_start_of_theirs_makes_block() -> None:
    assert directive("Sockets") == "opuscine.socket"
    assert directive("NonBlocking") == "yes"
    assert directive("Service", "opuscine.socket") == WORKER.replace("@", "@1")
    assert directive("StartLimitIntervalSec") == directive("TriggerLimitIntervalSec", "opuscine.socket") == "0"


def test_the_socket_listens_where_the_settings_said_and_the_probe_asks_there() -> None:
    values = read(FOLDER / "production.env").values
    address = f"{values['HOST']}:{values['PORT']}"
    assert directive("ListenStream", "opuscine.socket") == address
    assert directive("Environment", "opuscine-smoke.service") == f"OPUSCINE_URL=http://{address}"


def test_the_workers_are_one_user_with_one_cache_and_each_has_its_number() -> None:
    assert (directive("DynamicUser"), directive("User"), directive("CacheDirectory")) == ("yes", "opuscine", "opuscine")
    assert directive("Environment") == "WORKER=%i"
    assert "worker" in Settings.model_fields


def test_the_workers_share_a_folder_at_run_time_which_outlives_any_of_them() -> None:
    """Without it, the first worker to stop would take away the sockets by which all others are seen on `/metrics`."""
    names = ("RuntimeDirectory", "RuntimeDirectoryMode", "RuntimeDirectoryPreserve")
    assert tuple(map(directive, names)) == ("opuscine", "0700", "yes")


@pytest.mark.parametrize("file", ["docs/deploy.md", "docs/operations.md", "deploy/prometheus/alerts.yml", "deploy/env/production.env"])
def test_every_unit_that_an_operator_is_told_of_is_there(file: str) -> None:
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    named = set(re.findall(r"systemctl [a-z-]+ '?(opuscine[\w@*.-]*[\w*@])", text))
    assert named
    whole = {re.sub(r"@[\dN*]?(\.service)?$", "@.service", name) for name in named}
    assert whole <= {path.name for path in UNITS.iterdir()}


def test_a_reload_may_lower_the_priority_of_its_compile() -> None:
    """`@resources` is forbidden, and `setpriority` with it, unless it is allowed again after that."""
    filters = directives("SystemCallFilter")
    assert filters.index("setpriority") > filters.index("~@privileged @resources")


def test_the_keys_file_is_readable_by_the_group_that_sysusers_makes() -> None:
    made = re.findall(r"^g (\S+) -$", (UNITS / "opuscine.sysusers").read_text(encoding="utf-8"), re.MULTILINE)
    assert made == [directive("SupplementaryGroups")]


def test_its_environment_file_is_one_of_ours() -> None:
    assert Path(directive("EnvironmentFile")).name in {path.name for path in FOLDER.iterdir()}


def test_the_credentials_it_shows_are_settings_or_the_keys_file() -> None:
    shown = re.findall(r"^#?LoadCredential=(\w+):", (UNITS / WORKER).read_text(encoding="utf-8"), re.MULTILINE)
    assert set(shown) - {"keys"} == {"redis_url"} & set(Settings.model_fields)


def test_the_steps_name_what_there_is() -> None:
    """`docs/deploy.md` says only paths of the repository that exist, and the units by their names."""
    steps = (REPOSITORY / "docs" / "deploy.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:deploy|docs|scripts)/[\w./-]*\w", steps))
    assert [path for path in sorted(named) if not (REPOSITORY / path).exists()] == []
    assert {"scripts/install", "scripts/uninstall", "deploy/env/production.env"} <= named
    units = {path.name.partition(".")[0] for path in UNITS.iterdir()}
    assert set(re.findall(r"\bopuscine(?:-\w+|@)(?=\.(?:service|socket|target|slice|timer))", steps)) <= units
