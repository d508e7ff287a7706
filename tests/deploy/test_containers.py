"""The image's recipe and the composition, as far as they can be read without an engine (`scripts/prove_image` runs the image)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from opuscine.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "deploy" / "docker"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name in SERVICES if name.startswith("opuscine-")]


def test_the_image_is_made_in_two_stages_of_a_pinned_base_and_runs_as_nobody_in_particular() -> None:
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert stages == ["${BASE}", "${BASE}"]
    base = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert base is not None
    assert ":" in base[1]
    assert not base[1].endswith(":latest")
    assert re.search(r"^USER 65532:65532$", DOCKERFILE.split("FROM ")[-1], re.MULTILINE)
    assert "--require-hashes" in DOCKERFILE
    assert not re.search(r"^(ENV|ARG) .*(PASSWORD|SECRET|TOKEN|API_KEY)", DOCKERFILE, re.MULTILINE)


def test_nothing_goes_into_the_image_but_what_is_named() -> None:
    lines = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    copied = [source for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for source in line.split()[:-1]]
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert set(copied) <= allowed
    assert {source for source in copied if not (REPOSITORY / source).exists()} == set()


def test_its_health_check_is_python_that_fails_where_nobody_answers() -> None:
    [command] = re.findall(r"^    CMD (\[\"python\", \"-c\".*\])$", DOCKERFILE, re.MULTILINE)
    code = json.loads(command)[2]
    done = subprocess.run([sys.executable, "-c", code], env={"PORT": "1"}, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "URLError" in done.stderr


def test_two_services_stand_where_nginx_looks_for_them_and_trust_it_alone() -> None:
    assert len(OURS) == 2
    conf = (REPOSITORY / "deploy" / "nginx" / "opuscine.conf").read_text()
    named = set(re.findall(r"^    server (10\.[\d.]+):8000", conf, re.MULTILINE))
    assert {SERVICES[name]["networks"]["inside"]["ipv4_address"] for name in OURS} == named
    for name in OURS:
        given = SERVICES[name]["environment"]
        assert given["TRUSTED_PROXIES"] == SERVICES["nginx"]["networks"]["inside"]["ipv4_address"]
        assert {setting.lower() for setting in given} <= set(Settings.model_fields)
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= int(given["DRAIN_TIMEOUT"]) + 6


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_a_pinned_image_a_read_only_root_and_no_port_for_the_world(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"\S+:(local|v?\d+\.\d+[\w.-]*)", service["image"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] if not source.startswith(".") else (FOLDER / source).is_file(), volume


def test_the_certificate_is_one_that_nginx_finds(tmp_path: Path) -> None:
    name = SERVICES["certificate"]["command"][0]
    for _ in range(2):
        subprocess.run([sys.executable, FOLDER / "certificate.py", tmp_path, name], check=True, timeout=30)
    conf = (REPOSITORY / "deploy" / "nginx" / "opuscine.conf").read_text()
    assert {Path(path).name for path in re.findall(r"ssl_certificate(?:_key)?\s+(\S+);", conf)} == {
        path.name for path in tmp_path.iterdir()
    }
    assert (tmp_path / f"{name}.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.wide
def test_prometheus_reads_its_configuration() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool here (Debian: apt-get install prometheus)")
    command = ["promtool", "check", "config", "--syntax-only", str(FOLDER / "prometheus.yml")]
    assert subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
