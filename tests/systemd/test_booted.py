"""The service on a machine of its own that systemd has booted: installed, killed, frozen, restarted and reloaded while callers call.

One machine is booted for the file, and the tests walk through it in order.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.booted import SOURCE, WHEELS, Machine, booted, download_wheels, lacks

pytestmark = [pytest.mark.wide, pytest.mark.timeout(400)]

URL = "http://127.0.0.1:8000"
WORKERS = ("opuscine@1.service", "opuscine@2.service")
MOVIES = "/srv/opuscine/movies.json"
FREEZER = """
import time
from aiohttp import web

def plugin(context):
    @web.middleware
    async def middleware(request, handler):
        if "X-Freeze" in request.headers:
            time.sleep(3600)
        return await handler(request)
    return middleware
"""
PLUGIN = {
    "freezer.py": FREEZER,
    "freezer-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: freezer\nVersion: 1\n",
    "freezer-1.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "freezer-1.dist-info/entry_points.txt": "[opuscine.middlewares]\nfreezer = freezer:plugin\n",
    "freezer-1.dist-info/RECORD": "",
}
PACKAGES = "/etc/opuscine/packages.txt"
SETTINGS = {
    "MOVIES_DATA_FILE": MOVIES,
    "RATE_LIMIT_READ": "off",
    "RATE_LIMIT_RECOMMEND": "off",
    "LOG_LEVEL": "warning",
    "MIDDLEWARES": "request_context,timing,errors,auth,rate_limit,body,freezer",
}


def catalogue(title: str) -> str:
    """Write a catalogue of one film that streams somewhere."""
    film = {"tmdb_id": 496243, "title": title, "genres": ["스릴러"], "release_date": "2019-05-30", "origin_country": ["KR"]}
    return json.dumps({"movies": [{**film, "ott_links": ["https://www.netflix.com/title/81221938"]}]}, ensure_ascii=False)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Give the machine, with nothing of ours on it yet."""
    if reason := lacks():
        pytest.skip(f"no machine can be booted here: {reason}")
    folder = tmp_path_factory.mktemp("booted")
    wheels = folder / "wheels"
    wheels.mkdir()
    download_wheels(wheels)
    with zipfile.ZipFile(wheels / "freezer-1-py3-none-any.whl", "w") as wheel:
        for name, text in PLUGIN.items():
            wheel.writestr(name, text)
    with booted(folder, wheels) as started:
        yield started


@pytest.fixture(scope="module")
def key(machine: Machine) -> str:
    """Give the key that the installer made for the probe."""
    found = re.search(r"^OPUSCINE_KEY=(\S+)$", machine.run("cat", "/etc/opuscine/smoke.env"), re.MULTILINE)
    assert found is not None
    return found[1]


def install(machine: Machine, *options: str) -> str:
    """Run the installer without a network, as `pip` allows."""
    environment = ("env", "PIP_NO_INDEX=1", f"PIP_FIND_LINKS={WHEELS}")
    return machine.run(*environment, f"{SOURCE}/scripts/install", *options, limit_s=200)


def ask(machine: Machine, path: str, *options: str) -> str:
    """Call the service once, on a new connection; return the body, or nothing where the call failed."""
    process = machine.outside("curl", "--silent", "--noproxy", "*", "--max-time", "15", *options, URL + path)
    out, _ = process.communicate(timeout=20)
    return out if process.returncode == 0 else ""


@contextmanager
def under_load(machine: Machine, key: str, *, to_its_end: bool = False, **options: object) -> Iterator[Callable[[], dict[str, Any]]]:
    """Call steadily while the block runs; what is given ends the load, or waits for its end, and returns its report."""
    arguments = [f"--{name}={value}" if value is not True else f"--{name}" for name, value in options.items()]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    load = machine.outside(sys.executable, "-m", "support.steady_load", f"--url={URL}", f"--key={key}", *arguments, env=environment)

    def report() -> dict[str, Any]:
        if not to_its_end:
            load.send_signal(signal.SIGTERM)
        told: dict[str, Any] = json.loads(load.communicate(timeout=150)[0])
        return told

    try:
        yield report
    finally:
        if load.poll() is None:
            load.kill()
            load.communicate()


def until(condition: Callable[[], bool], what: str, limit_s: float = 30.0) -> float:
    """Wait for something and return the seconds that it took."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > limit_s:
            raise AssertionError(f"not within {limit_s:g} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - begun


def is_replaced(machine: Machine, unit: str, process: str) -> bool:
    """Say whether a unit runs as another process than this one."""
    return machine.property(unit, "ActiveState") == "active" and machine.property(unit, "MainPID") not in {"0", process}


def test_installing_ends_with_an_answer(machine: Machine) -> None:
    machine.write(MOVIES, catalogue("기생충"))
    assert "nothing was changed" in install(machine, "--workers=2", "--dry-run")
    assert machine.run("ls", "/etc/systemd/system", "/opt").count("opuscine") == 0
    machine.run("mkdir", "/etc/opuscine")
    machine.write(PACKAGES, "freezer\n")
    install(machine, "--workers=2", "--no-start")
    settings = machine.run("cat", "/etc/opuscine/production.env")
    for name, value in SETTINGS.items():
        settings = re.sub(rf"^#?{name}=.*$", "", settings, flags=re.MULTILINE) + f"\n{name}={value}"
    machine.write("/etc/opuscine/production.env", settings + "\n")
    install(machine)
    assert "UP" in ask(machine, "/health/readiness")
    assert [machine.property(unit, "ActiveState") for unit in WORKERS] == ["active"] * 2


def test_installing_again_changes_nothing(machine: Machine) -> None:
    before = [machine.property(unit, "MainPID") for unit in WORKERS]
    assert install(machine).splitlines() == ["nothing to do"]
    assert [machine.property(unit, "MainPID") for unit in WORKERS] == before


def test_the_probe_passes(machine: Machine) -> None:
    machine.run("systemctl", "start", "opuscine-smoke.service")
    assert "5 of 5 probes passed" in machine.journal("--unit=opuscine-smoke.service")
    assert machine.property("opuscine-smoke.timer", "ActiveState") == "active"


def test_the_metrics_of_all_workers_are_seen_at_any_whichever_of_them_restarts(machine: Machine) -> None:
    """Each has the number of its unit, and the folder in which they meet is there again after all of them had stopped."""
    made = ("opuscine", "keys", "new", "prometheus", "--scopes=metrics", "--file=/etc/opuscine/keys")
    header = f"X-Api-Key: {machine.run(*made).strip()}"

    def both() -> bool:
        return sorted(re.findall(r'^opuscine_worker_up\{worker="(\d+)"\} 1\.0$', ask(machine, "/metrics", "-H", header), re.MULTILINE)) == [
            "1",
            "2",
        ]

    until(both, "both workers on one page")
    for restarted in (WORKERS[0], WORKERS[1], "opuscine.target"):
        machine.run("systemctl", "restart", restarted)
        until(both, f"both workers on one page after a restart of {restarted}")


def test_the_workers_are_shut_in(machine: Machine) -> None:
    """They run as another user than root, without capabilities or a way to get any, behind a filter of system calls."""
    process = machine.property(WORKERS[0], "MainPID")
    status = machine.run("cat", f"/proc/{process}/status")
    assert re.search(r"^Uid:\s+0\b", status, re.MULTILINE) is None
    assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)


def test_a_worker_that_is_killed_is_back_within_two_seconds_and_no_connection_is_refused(machine: Machine, key: str) -> None:
    """Two seconds on a machine that does nothing else; as much longer as others use its cores."""
    process = machine.property(WORKERS[0], "MainPID")
    with under_load(machine, key, rate=100, requests=6000, connections=4, fresh=True) as report:
        time.sleep(1)
        machine.run("kill", "-KILL", process)
        took_s = until(lambda: is_replaced(machine, WORKERS[0], process), "a new worker")
        time.sleep(1)
        told = report()
    print(f"back after {took_s:.2f} s: {told}")
    assert took_s < 2 * patience()
    assert told["answered"] > 100
    assert "ConnectionRefusedError" not in told["failed"]
    assert sum(told["failed"].values()) <= 4  # what was in its hands: one a caller at most


def patience() -> float:
    """Return how much slower than alone this machine may be now, from its load."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def test_a_frozen_event_loop_is_ended_and_costs_only_what_it_had_in_hands(machine: Machine, key: str) -> None:
    before = {unit: machine.property(unit, "MainPID") for unit in WORKERS}
    frozen = machine.outside("curl", "--silent", "--max-time", "60", "--header", "X-Freeze: 1", "--header", f"X-Api-Key: {key}", f"{URL}/")
    with under_load(machine, key, rate=50, requests=6000, connections=4, fresh=True) as report:
        until(lambda: any(is_replaced(machine, unit, before[unit]) for unit in WORKERS), "the watchdog's restart", 45)
        time.sleep(1)
        told = report()
    frozen.communicate(timeout=30)
    print(told)
    assert frozen.returncode != 0
    assert "ConnectionRefusedError" not in told["failed"]
    assert sum(told["failed"].values()) <= 4
    assert told["answered"] > 100
    journal = machine.journal("--lines=400")
    assert "Watchdog timeout" in journal
    assert "freezer.py" in journal  # where it was stuck
    assert sum(is_replaced(machine, unit, before[unit]) for unit in WORKERS) == 1


def test_restarts_of_all_workers_at_once_and_one_by_one_lose_no_request(machine: Machine, key: str) -> None:
    with under_load(machine, key, to_its_end=True, rate=300, requests=6600) as report:
        for _ in range(2):
            time.sleep(1)
            machine.run("systemctl", "restart", *WORKERS)
        for unit in WORKERS:
            machine.run("systemctl", "restart", unit)
        told = report()
    print(told)
    assert told["failed"] == {}
    assert told["answered"] >= 6000


def test_a_reload_serves_the_new_catalogue_and_loses_no_request(machine: Machine, key: str) -> None:
    def titles() -> set[str]:
        answers = [ask(machine, "/api/movies/popular?limit=1", "--header", f"X-Api-Key: {key}") for _ in range(6)]
        return {json.loads(answer)["movies"][0]["title"] for answer in answers}

    before = [machine.property(unit, "MainPID") for unit in WORKERS]
    assert titles() == {"기생충"}
    with under_load(machine, key, rate=200, requests=20_000) as report:
        machine.write(MOVIES, catalogue("기생충 2"))
        machine.run("systemctl", "reload", "opuscine.target")
        until(lambda: titles() == {"기생충 2"}, "the new catalogue from every worker")
        time.sleep(1)
        told = report()
    print(told)
    assert told["failed"] == {}
    assert [machine.property(unit, "MainPID") for unit in WORKERS] == before


def test_an_upgrade_replaces_the_workers_one_by_one_and_loses_no_request(machine: Machine, key: str) -> None:
    """The new release has the operator's packages again, the one before it stays to go back to, and the probe goes on."""
    before, processes = machine.run("readlink", "/opt/opuscine/current"), [machine.property(unit, "MainPID") for unit in WORKERS]
    machine.write(PACKAGES, "# another list is another release\nfreezer\n")
    with under_load(machine, key, rate=100, requests=20_000) as report:
        install(machine)
        told = report()
    assert told["failed"] == {}, told
    assert told["answered"] > 200
    assert all(is_replaced(machine, unit, process) for unit, process in zip(WORKERS, processes, strict=True))
    assert machine.run("readlink", "/opt/opuscine/current") != before
    assert len(machine.run("ls", "/opt/opuscine/releases").split()) == 2
    machine.run("systemctl", "start", "opuscine-smoke.service")  # fails if a probe does
    assert machine.property("opuscine-smoke.timer", "NextElapseUSecMonotonic") not in {"", "infinity"}


def test_a_wrong_setting_neither_burns_the_processor_nor_takes_the_socket_down(machine: Machine, key: str) -> None:
    """A worker that ends with an error waits five seconds, for ever again; the other one serves."""
    machine.write("/run/systemd/system/opuscine@1.service.d/wrong.conf", "[Service]\nEnvironment=LLM_MAX_TOKENS=soon\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "--no-block", WORKERS[0])
    until(lambda: "LLM_MAX_TOKENS" in machine.journal("--unit", WORKERS[0], "--lines=20"), "the reason in the log")
    time.sleep(3)
    assert int(machine.property(WORKERS[0], "NRestarts")) <= 1
    assert machine.property("opuscine.socket", "ActiveState") == "active"
    assert "UP" in ask(machine, "/health/readiness")
    machine.run("rm", "-r", "/run/systemd/system/opuscine@1.service.d")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", WORKERS[0])


def test_uninstalling_leaves_the_settings_and_with_purge_nothing(machine: Machine) -> None:
    machine.run(f"{SOURCE}/scripts/uninstall")
    assert ask(machine, "/health/liveness") == ""
    assert machine.run("ls", "/opt", "/etc/systemd/system", "/usr/local/bin").count("opuscine") == 0
    assert "production.env" in machine.run("ls", "/etc/opuscine")
    machine.run(f"{SOURCE}/scripts/uninstall", "--purge")
    assert (
        machine.run(
            "sh",
            "-c",
            "ls -d /etc/opuscine /var/lib/opuscine /var/cache/private/opuscine /run/opuscine /run/private/opuscine 2>/dev/null || true",
        )
        == ""
    )
    assert "opuscine" not in machine.run("cat", "/etc/group")
    assert machine.run(f"{SOURCE}/scripts/uninstall").splitlines() == ["nothing to do"]
