"""The files for Prometheus and Grafana are right, and speak of metrics that there are."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.api_server import FilmServer
from support.door import OTT
from support.llm_server import LlmServer
from support.metrics_page import Page, scrape
from support.process import serving
from support.redis_server import RedisServer
from support.service import running

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
CONFIG = DEPLOY / "prometheus" / "prometheus.yml"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "opuscine.json").read_text())
BY_PROMETHEUS = {"up"}  # what Prometheus itself says of a target
WORDS = {"by", "without", "and", "or", "unless", "on", "ignoring", "group_left", "group_right", "bool", "offset"}


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} here: it comes with Debian's package prometheus")
    return found


def metrics_of(expression: str) -> set[str]:
    """Return the names of metrics in a PromQL expression: what is no function, keyword, label or duration."""
    bare = re.sub(r'"(?:\\.|[^"\\])*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring)\s*\([^)]*\)", " ", bare)
    return set(re.findall(r"(?<![\w:.])[a-zA-Z_:][\w:]*\b(?!\s*\()", bare)) - WORDS


def alert_expressions() -> dict[str, str]:
    """Return the expression of each alert; the file has a plain form, so that no YAML parser is needed."""
    found: dict[str, str] = {}
    for block in RULES.read_text().split("- alert: ")[1:]:
        name, _, rest = block.partition("\n")
        expression = re.search(r"expr: (?:\|\n(.*?)|(.*?))\n        (?:for|labels):", rest, re.DOTALL)
        assert expression is not None, name
        found[name.strip()] = expression[1] or expression[2]
    return found


def queries() -> dict[str, str]:
    """Return every query of the dashboard by the panel's title."""
    return {f"{panel['title']} {target['refId']}": target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])}


async def everything_counted(compiled: Path, redis_url: str) -> Page:
    """Run a service with all that it can have, and traffic for each of it."""
    async with LlmServer() as llm, FilmServer() as api:
        settings = {"llm_server_url": llm.url, "api_server_url": api.url, "redis_url": redis_url, "rate_limit_read": "1000/minute"}
        async with running(compiled, **settings) as service:
            await service.recommend("잔잔한 영화")
            await service.get(OTT)
            await service.get("/api/movies/999999999/ott")
            await service.get("/nowhere", status=404)
            async with asyncio.timeout(20):
                while True:
                    page = await scrape(service.caller, service.url, {"X-Api-Key": "oc_nonsense"})
                    if {"opuscine_event_loop_lag_seconds_bucket", "opuscine_upstream_up"} <= page.names:
                        return page
                    await asyncio.sleep(0.05)


@pytest.mark.wide
async def test_every_query_names_metrics_that_there_are(compiled: Path, tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        page = await everything_counted(compiled, redis.url)
    # Credentials are only refused where there are any to check by; the figure is documented all the same.
    known = page.names | BY_PROMETHEUS | {"opuscine_authentication_failures_total", "opuscine_redis_failures_total"}
    asked = queries() | alert_expressions()
    assert len(asked) > 50
    for title, expression in asked.items():
        named = metrics_of(expression)
        assert named, title
        assert named <= known, f"{title}: {named - known}"


def test_names_are_found_in_expressions() -> None:
    expression = 'sum by (le, uri) (rate(a_bucket{x="b", y=~"c d"}[5m])) / on (z) max(e:f) > 0.5 or time() - g offset 5m'
    assert metrics_of(expression) - {"m"} == {"a_bucket", "e:f", "g"}


def test_the_dashboard_has_its_rows_and_no_panel_without_a_query() -> None:
    assert [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"] == ["Overview", "LLM", "OTT", "Saturation"]
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    assert all(panel["targets"] for panel in panels)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    places = [tuple(panel["gridPos"][name] for name in "xy") for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)


def run(*command: str | Path, folder: Path) -> None:
    told = subprocess.run([*map(str, command)], cwd=folder, check=False, capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.wide
def test_promtool_finds_the_rules_right() -> None:
    run(tool("promtool"), "check", "rules", RULES, folder=RULES.parent)


@pytest.mark.wide
def test_each_alert_fires_when_it_should_and_not_when_it_should_not() -> None:
    run(tool("promtool"), "test", "rules", "alerts_test.yml", folder=RULES.parent)


def test_each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    tests = (RULES.parent / "alerts_test.yml").read_text()
    for name in alert_expressions():
        outcomes = re.findall(rf"alertname: {name}\n.*\n        exp_alerts:(.*)\n", tests)
        assert "" in outcomes, f"{name} never fires"
        assert " []" in outcomes, f"{name} is never quiet"


@pytest.mark.wide
def test_promtool_finds_the_configuration_right(tmp_path: Path) -> None:
    for path in (CONFIG, RULES):
        shutil.copy(path, tmp_path)
    (tmp_path / "opuscine.key").write_text("oc_some_key")
    run(tool("promtool"), "check", "config", "prometheus.yml", folder=tmp_path)


@pytest.mark.wide
def test_promtool_can_read_every_query_of_the_dashboard(tmp_path: Path) -> None:
    filled = (re.sub(r"\$__rate_interval", "5m", expression).replace("$instance", ".*") for expression in queries().values())
    lines = [f"  - {{record: 'a:b{number}', expr: {json.dumps(expression)}}}" for number, expression in enumerate(filled)]
    (tmp_path / "queries.yml").write_text("groups:\n- name: dashboard\n  rules:\n" + "\n".join(lines))
    run(tool("promtool"), "check", "rules", "queries.yml", folder=tmp_path)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder with a short path: a socket's may have 107 bytes."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "metrics"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.wide
async def test_a_real_prometheus_sees_two_workers_behind_one_address(tmp_path: Path, folder: Path) -> None:
    """It scrapes one of them by the shipped configuration, and answers for both."""
    settings: dict[str, object] = {"cache_dir": tmp_path / "cache", "metrics_dir": folder}
    async with serving(tmp_path, **settings) as first, serving(tmp_path, **settings) as second:
        for service, times in ((first, 3), (second, 7)):
            for _ in range(times):
                async with service.caller.get(service.url + OTT) as response:
                    assert response.status == 200
        text = CONFIG.read_text().replace("15s", "1s").replace("127.0.0.1:8000", first.url.removeprefix("http://"))
        (tmp_path / "prometheus.yml").write_text(text)
        (tmp_path / "opuscine.key").write_text("oc_not_looked_at")
        shutil.copy(RULES, tmp_path)
        address = f"127.0.0.1:{free_port()}"
        prometheus = await asyncio.create_subprocess_exec(
            tool("prometheus"),
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address={address}",
            cwd=tmp_path,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with aiohttp.ClientSession() as caller:
                counts = 'sum by (worker) (http_server_requests_seconds_count{uri="/api/movies/{id}/ott"})'
                assert await answered(caller, address, counts, {"0": 3.0, "1": 7.0})
                assert await answered(caller, address, "count by (worker) (opuscine_worker_up == 1)", {"0": 1.0, "1": 1.0})
                async with caller.get(f"http://{address}/api/v1/rules") as response:
                    rules = (await response.json())["data"]["groups"][0]["rules"]
                assert {rule["name"] for rule in rules} == set(alert_expressions())
        finally:
            prometheus.terminate()
            await prometheus.wait()


async def answered(caller: aiohttp.ClientSession, address: str, query: str, wanted: dict[str, float]) -> bool:
    """Ask until the answer is the one wanted."""
    give_up = time.monotonic() + 40
    found: dict[str, float] = {}
    while time.monotonic() < give_up:
        try:
            async with caller.get(f"http://{address}/api/v1/query", params={"query": query}) as response:
                result = (await response.json())["data"]["result"]
        except (aiohttp.ClientError, KeyError):
            result = []
        found = {item["metric"].get("worker", ""): float(item["value"][1]) for item in result}
        if found == wanted:
            return True
        await asyncio.sleep(0.3)
    pytest.fail(f"{query} is {found}, not {wanted}")
