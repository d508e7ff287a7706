"""Whole processes: how they start, share, reload and stop."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from opuscine.middlewares import registry
from support.llm_server import LlmServer
from support.process import environment, serving


async def run(home: Path, *arguments: str, **settings: object) -> tuple[int, str, str]:
    """Run a command of `opuscine` in an empty folder and return its status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "opuscine", *arguments),
        cwd=home,
        env=environment(home, settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_it_starts_in_an_empty_folder_and_logs_one_line_a_request(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        async with service.caller.post(f"{service.url}/recommend", json={"message": "비밀스러운 문장"}) as response:
            assert response.status == 200
        line = await service.logged("request")
    assert (line["method"], line["route"], line["status"], line["source"]) == ("POST", "/recommend", 200, "catalogue")
    assert line["ms"] > 0
    assert set(line["phases"]) == {"body", "catalogue", "ott"}
    assert len(line["trace_id"]) == 32
    assert "비밀" not in str(service.log)
    assert service.process.returncode == 0
    assert (tmp_path / ".cache" / "opuscine").stat().st_mode & 0o777 == 0o700


async def test_two_processes_that_start_at_once_compile_once(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    async with asyncio.TaskGroup() as group:
        release = asyncio.Event()

        async def one() -> int:
            async with serving(tmp_path, cache_dir=cache) as service:
                await release.wait()
                return sum(line["event"] == "catalogue_compiled" for line in service.log)

        tasks = [group.create_task(one()) for _ in range(2)]
        await asyncio.sleep(0)
        release.set()
    assert sum(task.result() for task in tasks) == 1
    async with serving(tmp_path, cache_dir=cache) as service:
        assert not [line for line in service.log if line["event"] == "catalogue_compiled"]


async def test_a_reload_under_load_loses_nothing(tmp_path: Path) -> None:
    """At 200 requests a second the sources change and are reloaded by SIGHUP and by the administrator; every answer is whole."""
    movies = tmp_path / "movies.json"
    record = {"tmdb_id": 1, "title": "하나", "genres": ["드라마"], "release_date": "2001-01-01"}
    movies.write_text(json.dumps({"movies": [record]}))
    async with serving(tmp_path, movies_data_file=movies) as service:
        statuses: list[int] = []

        async def call(number: int) -> None:
            path, body = ("/recommend", {"message": "드라마 영화"}) if number % 4 == 0 else ("/api/movies/1/ott", None)
            async with service.caller.request("POST" if body else "GET", service.url + path, json=body) as response:
                await response.read()
                statuses.append(response.status)

        async with asyncio.TaskGroup() as group:
            begun = time.monotonic()
            for number in range(600):
                group.create_task(call(number))
                if number in {100, 350}:
                    movies.write_text(json.dumps({"movies": [record, {**record, "tmdb_id": number, "title": f"새 영화 {number}"}]}))
                    if number == 100:
                        service.process.send_signal(signal.SIGHUP)
                    else:
                        group.create_task(_reload(service.url, service.caller))
                await asyncio.sleep(max(0.0, begun + number / 200 - time.monotonic()))
        async with asyncio.timeout(30):
            while await _popular(service.url, service.caller) != {1, 350}:
                await asyncio.sleep(0.05)
    assert statuses == [200] * 600
    assert not [line for line in service.log if line.get("level") in {"error", "critical"}]


async def _popular(url: str, caller: aiohttp.ClientSession) -> set[int]:
    async with caller.get(f"{url}/api/movies/popular") as response:
        return {movie["id"] for movie in (await response.json())["movies"]}


async def _reload(url: str, caller: aiohttp.ClientSession) -> None:
    async with caller.post(f"{url}/admin/data/reload") as response:
        assert response.status == 202


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"port": "x"}, "PORT: found 'x'; valid: 0 to 65535"),
        ({"llm_timeot": "1"}, "did you mean LLM_TIMEOUT?"),
        ({"movies_data_file": "/nowhere/films.json"}, "MOVIES_DATA_FILE"),
        ({"middlewares": "errors"}, "MIDDLEWARES"),
        ({"cache_dir": "/proc/none"}, "CACHE_DIR"),
        ({"environment": "production"}, "AUTH: on, but nothing to check callers by"),
        ({"environment": "production", "auth": "off", "cors_origins": "*"}, "CORS_ORIGINS: found '*'"),
        ({"environment": "production", "auth": "off", "middlewares": "request_context,errors,body"}, "auth, rate_limit must be named"),
        ({"rate_limit_read": "often"}, "RATE_LIMIT_READ: found 'often'"),
        ({"auth_keys_file": "/nowhere/keys", "auth": "on"}, "/nowhere/keys"),
        ({"redis_url": "http://user:secret@x"}, "REDIS_URL"),
        ({"llm_server_url": "ftp://user:secret@x"}, "LLM_SERVER_URL: found 'ftp://x'"),
        ({"trusted_proxies": "here"}, "TRUSTED_PROXIES"),
        ({"cors_origins": "https://a.example/path"}, "CORS_ORIGINS"),
    ],
)
async def test_a_wrong_setting_stops_the_start_with_one_line(tmp_path: Path, settings: dict[str, str], named: str) -> None:
    status, _, err = await run(tmp_path, "serve", **{"port": "0", **settings})
    assert status == 1
    assert named in err
    assert "secret" not in err
    assert err.startswith("opuscine: ")
    assert err.count("\n") == 1


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        status, _, err = await run(tmp_path, "serve", port=taken.getsockname()[1])
    assert status == 1
    assert err.startswith("opuscine: HOST, PORT: cannot listen on 127.0.0.1:")
    assert err.count("\n") == 1


async def test_check_finds_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    async with LlmServer() as llm:
        status, out, _ = await run(tmp_path, "check", "--json", llm_server_url=llm.url)
        report = json.loads(out)
        assert (status, report["ok"]) == (0, True)
        assert report["checks"]["llm"]["ok"] is True
        assert report["checks"]["data"]["detail"].startswith("267 films")
        assert report["checks"]["redis"]["detail"] == "not configured"
        url = llm.url
    status, out, _ = await run(tmp_path, "check", llm_server_url=url)
    assert status == 1
    assert [line.split()[:2] for line in out.splitlines() if "FAILED" in line] == [["llm", "FAILED"]]


async def test_check_says_which_setting_is_wrong(tmp_path: Path) -> None:
    status, out, _ = await run(tmp_path, "check", port="x")
    assert status == 1
    assert "PORT: found 'x'" in out


async def test_the_catalogue_is_built_and_described_from_the_command_line(tmp_path: Path) -> None:
    status, out, _ = await run(tmp_path, "catalogue", "build")
    assert status == 0
    assert "movie_count" in out
    status, out, _ = await run(tmp_path, "catalogue", "info", "--json")
    assert json.loads(out)["tv_count"] == 63


async def test_the_middlewares_are_listed_in_order(tmp_path: Path) -> None:
    status, out, _ = await run(tmp_path, "plugins")
    assert status == 0
    assert [line.split()[1] for line in out.splitlines()] == list(registry.DEFAULT_ORDER)


async def test_a_misunderstood_command_explains_itself(tmp_path: Path) -> None:
    status, _, err = await run(tmp_path, "fly")
    assert status == 2
    assert "invalid choice" in err


async def test_check_asks_each_llm_server_and_names_them_without_credentials(tmp_path: Path) -> None:
    async with LlmServer() as first, LlmServer() as second:
        await second.stop()
        urls = f"{first.url.replace('http://', 'http://user:hidden@')},{second.url}"
        status, out, _ = await run(tmp_path, "check", "--json", llm_server_url=urls)
    checks = json.loads(out)["checks"]
    assert status == 1
    assert (checks["llm-1"]["ok"], checks["llm-1"]["detail"]) == (True, f"{first.url} answers with status 200")
    assert (checks["llm-2"]["ok"], checks["llm-2"]["detail"]) == (False, f"{second.url}: llm unavailable")
    assert "hidden" not in out
