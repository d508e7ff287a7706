"""nginx before two machines: what passes through it, and what doesn't. `tests/faults/test_machines.py` has what befalls the machines."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path

import aiohttp
import pytest

from opuscine.settings import Settings
from support.cluster import LINKS, RECOMMEND, cluster, problem_of
from support.completions import films, streamed
from support.door import Keys
from support.llm_server import LlmServer
from support.nginx import CONFIGURATION

pytestmark = pytest.mark.wide


async def test_films_of_a_stream_pass_one_by_one(tmp_path: Path, compiled: Path) -> None:
    gate = asyncio.Event()
    answer = films(("기생충", 2019), ("올드보이", 2003))
    pieces = [answer[start : start + 7] for start in range(0, len(answer), 7)]
    async with LlmServer(answer=streamed(pieces, gate=gate)) as llm:
        settings = {"llm_server_url": llm.url, "llm_protocol": "openai", "llm_model": "any"}
        async with cluster(tmp_path, compiled, **settings) as (_, nginx, caller):
            headers = {"Accept": "text/event-stream"}
            async with caller.post(nginx.url + RECOMMEND, json={"message": "명작"}, headers=headers) as response:
                assert response.headers["Content-Type"].startswith("text/event-stream")
                async with asyncio.timeout(20):
                    while b"event: movie" not in await response.content.readline():
                        pass
                assert llm.in_flight == 1, "the model has not ended, yet a film is here"
                gate.set()
                rest = await response.content.read()
    assert rest.count(b"event: movie") == 1
    assert b"event: done" in rest


async def test_a_claimed_address_does_not_pass_and_the_true_one_does(tmp_path: Path, compiled: Path) -> None:
    """Failed attempts are counted by address: whoever claims a new one each time is still one caller, and another caller is another."""
    keys = Keys.of(tmp_path, reader="read")
    async with cluster(tmp_path, compiled, **keys.settings, auth_failures=2) as (machines, nginx, caller):
        await machines.stop(1)
        statuses = []
        for number in range(4):
            headers = {"X-Api-Key": "oc_wrong", "X-Forwarded-For": f"203.0.113.{number}", "Forwarded": f"for=203.0.113.{number}"}
            async with caller.get(nginx.url + LINKS, headers=headers) as response:
                statuses.append(response.status)
        assert statuses == [401, 401, 429, 429]
        elsewhere = aiohttp.TCPConnector(ssl=nginx.tls, local_addr=("127.0.0.1", 0))
        async with (
            aiohttp.ClientSession(connector=elsewhere) as same,
            same.get(nginx.url + LINKS, headers={"X-Api-Key": "oc_wrong"}) as response,
        ):
            assert response.status == 429
        other = aiohttp.TCPConnector(ssl=nginx.tls, local_addr=("127.0.0.2", 0))
        async with aiohttp.ClientSession(connector=other) as neighbour:
            async with neighbour.get(nginx.url + LINKS, headers={"X-Api-Key": "oc_wrong"}) as response:
                assert response.status == 401
            async with neighbour.get(nginx.url + LINKS, headers=keys["reader"]) as response:
                assert response.status == 200


async def test_what_is_for_the_inside_is_not_there_for_the_world(tmp_path: Path, compiled: Path) -> None:
    inside = ["/metrics", "/%6detrics", "//metrics", "/api/../metrics", "/api/%2e%2e/metrics", "/admin/stats", "/admin/data/reload"]
    health = ["/health", "/health/readiness", "/healthz", "/actuator/health"]
    async with cluster(tmp_path, compiled) as (_, nginx, caller):
        for path in [*inside, *health]:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(nginx.url.rsplit(":", 1)[1]), ssl=nginx.tls)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
            assert head.startswith(b"HTTP/1.1 404"), path
            assert json.loads(body)["code"] == "not_found"
        for path in ("/", "/openapi.json", "/api/movies/popular", LINKS, "/view?movieId=496243"):
            async with caller.get(nginx.url + path) as response:
                assert response.status == 200, path


async def test_a_body_that_is_too_large_is_refused_like_the_service_does(tmp_path: Path, compiled: Path) -> None:
    async with cluster(tmp_path, compiled) as (_, nginx, caller):
        async with caller.post(nginx.url + RECOMMEND, data=b"x" * 65_537, headers={"Content-Type": "application/json"}) as response:
            assert response.status == 413
            assert (await problem_of(response))["code"] == "body_too_large"
        message = json.dumps({"message": "영화", "padding": "x" * 65_000})
        async with caller.post(nginx.url + RECOMMEND, data=message, headers={"Content-Type": "application/json"}) as response:
            assert response.status == 200


async def test_ids_are_kept_or_made_and_stand_in_the_log_beside_the_machine_without_the_query(tmp_path: Path, compiled: Path) -> None:
    async with cluster(tmp_path, compiled) as (_, nginx, caller):
        async with caller.get(f"{nginx.url}{LINKS}?region=KR", headers={"X-Request-Id": "call-7"}) as response:
            assert response.headers["X-Request-Id"] == "call-7"
        async with caller.get(nginx.url + LINKS, headers={"X-Request-Id": "not <fit>"}) as response:
            assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-Id"])
            made = response.headers["X-Request-Id"]
        async with asyncio.timeout(10):
            while nginx.log.count("\n") < 2:
                await asyncio.sleep(0.05)
        lines = [json.loads(line) for line in nginx.log.splitlines()]
    assert [line["request_id"] for line in lines] == ["call-7", made]
    assert all(line["path"] == LINKS and line["machine"].startswith("127.0.0.1:") for line in lines)


async def test_tls_speaks_http_2_and_plain_http_leads_there(tmp_path: Path, compiled: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here (Debian: apt-get install curl)")
    async with cluster(tmp_path, compiled) as (_, nginx, caller):
        command = [
            "curl",
            "-sS",
            "--http2",
            "--cacert",
            str(nginx.folder / "certificate.pem"),
            "-o",
            "/dev/null",
            "-w",
            "%{http_version} %{http_code}",
        ]
        body = ["-H", "Content-Type: application/json", "-d", '{"message": "2019년 한국 스릴러"}']
        curl = await asyncio.create_subprocess_exec(*command, *body, nginx.url + RECOMMEND, stdout=asyncio.subprocess.PIPE)
        assert (await curl.communicate())[0] == b"2 200"
        async with caller.post(nginx.plain_url + RECOMMEND, allow_redirects=False) as response:
            assert response.status == 308
            assert response.headers["Location"].startswith("https://")


def test_its_numbers_are_the_services() -> None:
    text = re.sub(r"#.*", "", CONFIGURATION.read_text())
    settings = Settings(_env_file=None)

    def value(directive: str) -> str:
        found = re.findall(rf"^\s*{directive}\s+(\S+);", text, re.MULTILINE)
        assert found, directive
        return str(found[-1])

    assert value("client_max_body_size") == f"{settings.body_limit // 1024}k"
    assert value("client_body_timeout") == f"{settings.body_timeout:g}s"
    assert int(value("proxy_read_timeout").removesuffix("s")) > settings.request_timeout
    # The longest pool of Java's clients keeps an idle connection for 1200 seconds (JDK before 21).
    assert int(value("keepalive_timeout").removesuffix("s")) > 1200
    assert "non_idempotent" not in text
    assert "$proxy_add_x_forwarded_for" not in text
