"""`scripts/smoke.py` as an operator runs it: a process of its own against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.contract_server import FILM_ID, ContractServer, contract_server

SMOKE = Path(__file__).resolve().parents[2] / "scripts" / "smoke.py"
KEY = "oc_test_0123456789abcdef"
PROBES = ["liveness", "readiness", "health", "ott", "recommendation"]


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> dict[str, Any]:
        answer = json.loads(self.out)
        assert isinstance(answer, dict)
        return answer


async def smoke(*arguments: str, env: Mapping[str, str] | None = None) -> Ended:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-S",
        str(SMOKE),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "LANG": "C", "LC_ALL": "C", **(env or {})},
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture
async def server() -> AsyncIterator[ContractServer]:
    async with contract_server() as running:
        yield running


async def test_a_healthy_service_gets_a_line_a_probe_and_exit_status_0(server: ContractServer) -> None:
    ended = await smoke("--url", server.url)
    assert ended.status == 0, ended
    assert [line.split()[:2] for line in ended.lines[:-1]] == [["OK", name] for name in PROBES]
    assert all(" ms  " in line for line in ended.lines[:-1])
    assert ended.lines[-1] == f"{server.url}: 5 of 5 probes passed"
    assert ended.err == ""


async def test_korean_is_printed_as_utf_8_whatever_the_locale(server: ContractServer) -> None:
    ended = await smoke("--url", server.url, env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})
    assert f"기생충 (id {FILM_ID}): 1 link in KR, source local" in ended.out


async def test_it_asks_only_what_a_caller_would_ask(server: ContractServer) -> None:
    await smoke("--url", server.url)
    assert [(method, path) for method, path, _, _ in server.requests] == [
        ("GET", "/health/liveness"),
        ("GET", "/health/readiness"),
        ("GET", "/health"),
        ("GET", "/api/movies/popular?limit=1"),
        ("GET", f"/api/movies/{FILM_ID}/ott"),
        ("POST", "/api/movies/recommend"),
    ]
    _, _, headers, body = server.requests[-1]
    assert json.loads(body) == {"message": "비 오는 날 볼만한 잔잔한 영화", "limit": 5}
    assert headers["Content-Type"] == "application/json"
    assert "X-Api-Key" not in headers


async def test_a_path_below_the_host_is_kept(server: ContractServer) -> None:
    await smoke("--url", f"{server.url}/behind/")
    assert server.requests[0][1] == "/behind/health/liveness"


async def test_a_degraded_service_passes_and_is_said_to_be_degraded(server: ContractServer) -> None:
    server.degraded = True
    ended = await smoke("--url", server.url)
    assert ended.status == 0
    assert "UP, but degraded; llm DOWN, catalogue UP; 120 films, 30 series" in ended.lines[2]
    assert "source catalogue, degraded: llm_unreachable" in ended.lines[4]


async def test_json_is_one_object_with_every_probe(server: ContractServer) -> None:
    server.degraded = True
    answer = (await smoke("--url", server.url, "--json")).json
    assert (answer["url"], answer["ok"], answer["degraded"]) == (server.url, True, True)
    assert [probe["name"] for probe in answer["probes"]] == PROBES
    assert all(probe["ok"] is True and probe["elapsed_ms"] >= 0 for probe in answer["probes"])
    assert answer["probes"][2]["components"] == {"llm": "DOWN", "catalogue": "UP"}
    assert answer["probes"][4]["with_links"] == 5


async def test_json_of_a_failure_has_exit_status_1_and_says_which_probe(server: ContractServer) -> None:
    server.statuses["/health/readiness"] = 503
    ended = await smoke("--url", server.url, "--json")
    assert ended.status == 1
    assert ended.json["ok"] is False
    assert [probe["ok"] for probe in ended.json["probes"]] == [True, False, True, True, True]


async def test_a_dead_service_gets_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unheard:
        port = unheard.getsockname()[1]
    ended = await smoke("--url", f"http://127.0.0.1:{port}")
    assert ended.status == 1
    assert len(ended.lines) == 1
    assert f"could not connect to http://127.0.0.1:{port}: Connection refused" in ended.out
    assert ended.err == ""


async def test_a_host_without_an_address_gets_one_clear_line() -> None:
    ended = await smoke("--url", "http://nowhere.invalid")
    assert (ended.status, len(ended.lines), ended.err) == (1, 1, "")
    assert "could not connect to http://nowhere.invalid" in ended.out


async def test_a_service_that_is_not_ready_fails_that_probe_and_the_rest_is_still_asked(server: ContractServer) -> None:
    server.statuses = {"/health/readiness": 503, "/health": 503}
    ended = await smoke("--url", server.url)
    assert ended.status == 1
    assert [line.split()[0] for line in ended.lines[:-1]] == ["OK", "FAIL", "FAIL", "OK", "OK"]
    assert "GET /health/readiness answered 503" in ended.lines[1]
    assert "The catalogue is not there yet." in ended.lines[1]
    assert ended.lines[-1].endswith("3 of 5 probes passed")


async def test_without_a_key_a_guarded_service_says_how_to_give_one(server: ContractServer) -> None:
    server.key = KEY
    ended = await smoke("--url", server.url)
    assert ended.status == 1
    assert [line.split()[0] for line in ended.lines[:-1]] == ["OK", "OK", "OK", "FAIL", "FAIL"]
    assert "answered 401 Unauthorized (unauthorized: An API key is needed.); give a key as OPUSCINE_KEY or --key" in ended.lines[4]


@pytest.mark.parametrize("way", ["option", "environment"])
async def test_a_key_is_sent_and_never_printed(server: ContractServer, way: str) -> None:
    server.key = KEY
    server.answers["/health"] = {"status": "UP", "components": {KEY: {"status": KEY}}}
    server.answers["/api/movies/recommend"] = {"success": False, "error": f"your key {KEY} is worn"}
    arguments = ["--key", KEY] if way == "option" else []
    env = {} if way == "option" else {"OPUSCINE_KEY": KEY}
    for extra in ([], ["--json"]):
        ended = await smoke("--url", server.url, *arguments, *extra, env=env)
        assert ended.status == 1
        assert KEY not in ended.out + ended.err
        assert "your key *** is worn" in ended.out
    assert server.requests[-1][2]["X-Api-Key"] == KEY


async def test_a_wrong_key_is_told_from_a_missing_one(server: ContractServer) -> None:
    server.key = KEY
    ended = await smoke("--url", server.url, "--key", "oc_other")
    assert "the key that was given is not accepted" in ended.out
    assert "oc_other" not in ended.out


@pytest.mark.parametrize("garbage", [b"", b"<html>", b"[1,2]", b"\xff\xfe", b"[" * 100_000, b'{"status": '], ids=repr)
async def test_garbage_is_a_failed_probe_not_a_stack(server: ContractServer, garbage: bytes) -> None:
    server.raw = {"/health": garbage, "/api/movies/popular": garbage, "/api/movies/recommend": garbage}
    ended = await smoke("--url", server.url)
    assert ended.status == 1
    assert [line.split()[0] for line in ended.lines[:-1]] == ["OK", "OK", "FAIL", "FAIL", "FAIL"]
    assert "answered 200, but with no JSON object" in ended.lines[2]
    assert ended.err == ""


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        ("/health/liveness", {"status": "DOWN"}, "its status is 'DOWN', not 'UP'"),
        ("/health", {}, "its status is None, not 'UP'"),
        ("/api/movies/popular", {"movies": []}, "'movies' is empty"),
        ("/api/movies/popular", {"movies": ["기생충"]}, "'movies' is no list of films"),
        ("/api/movies/popular", {"movies": [{"id": "x"}]}, "no id that is a number"),
        (f"/api/movies/{FILM_ID}/ott", {"success": True, "movie_id": 1, "ott_links": []}, f"asked where {FILM_ID} streams"),
        (f"/api/movies/{FILM_ID}/ott", {"success": True, "movie_id": FILM_ID}, "'ott_links' is no list"),
        (f"/api/movies/{FILM_ID}/ott", {"success": True, "movie_id": FILM_ID, "ott_links": [{}]}, "lacks its 'provider_name'"),
        ("/api/movies/recommend", {"success": False, "error": "죄송합니다"}, "'success' is False, not true: 죄송합니다"),
        ("/api/movies/recommend", {"success": True, "movies": None}, "'movies' is no list of films"),
        ("/api/movies/recommend", {"success": True, "movies": [{"title": "괴물"}]}, "괴물 does not say how it was matched"),
        ("/api/movies/recommend", {"success": True, "movies": [{}] * 6}, "asked for 5 films, the answer has 6"),
        ("/api/movies/recommend", {"success": True, "movies": [{"match": {}}]}, "'ott_links' is no list"),
    ],
)
async def test_an_answer_out_of_shape_fails_with_what_is_wrong(server: ContractServer, path: str, answer: object, said: str) -> None:
    server.answers[path] = answer
    ended = await smoke("--url", server.url)
    assert ended.status == 1
    failed = [line for line in ended.lines if line.startswith("FAIL")]
    assert len(failed) == 1
    assert said in failed[0]


async def test_no_links_known_for_the_film_is_fine(server: ContractServer) -> None:
    server.answers[f"/api/movies/{FILM_ID}/ott"] = {"success": True, "movie_id": FILM_ID, "ott_links": [], "error": "정보가 없습니다."}
    ended = await smoke("--url", server.url)
    assert ended.status == 0
    assert "0 links" in ended.out


async def test_a_hanging_recommendation_fails_at_the_time_out(server: ContractServer) -> None:
    server.hanging = {"/api/movies/recommend"}
    ended = await smoke("--url", server.url, "--timeout", "0.5", "--json")
    assert ended.status == 1
    probe = ended.json["probes"][-1]
    assert "gave no answer within 0.5 s" in probe["detail"]
    assert 400 <= probe["elapsed_ms"] < 5000


async def test_a_process_that_hangs_altogether_gets_one_line(server: ContractServer) -> None:
    server.hanging = {"/health/liveness"}
    ended = await smoke("--url", server.url, "--timeout", "0.3")
    assert (ended.status, len(ended.lines)) == (1, 1)
    assert ended.lines[0].startswith("FAIL  liveness")


async def test_an_answer_that_drips_for_ever_is_cut_off_at_the_time_out(server: ContractServer) -> None:
    server.dripping = {"/health"}
    ended = await smoke("--url", server.url, "--timeout", "0.4")
    assert ended.status == 1
    assert "/health gave no answer within 0.4 s" in ended.lines[2]


async def test_redirects_are_not_followed(server: ContractServer) -> None:
    async with contract_server() as elsewhere:
        server.statuses["/api/movies/recommend"] = 307
        server.headers["/api/movies/recommend"] = {"Location": f"{elsewhere.url}/api/movies/recommend"}
        ended = await smoke("--url", server.url, "--key", KEY)
        assert ended.status == 1
        assert f"answered 307, a redirect to {elsewhere.url}/api/movies/recommend; it is not followed" in ended.lines[4]
        assert elsewhere.requests == []


async def test_an_answer_without_end_is_read_up_to_a_bound(server: ContractServer) -> None:
    server.endless = {"/health"}
    ended = await smoke("--url", server.url)
    assert ended.status == 1
    assert "answered with more than 1,048,576 bytes" in ended.lines[2]


async def test_proxies_of_the_environment_are_not_used(server: ContractServer) -> None:
    async with contract_server() as proxy:
        names = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
        ended = await smoke("--url", server.url, env=dict.fromkeys(names, proxy.url))
        assert ended.status == 0
        assert proxy.requests == []


async def test_what_a_server_says_cannot_steer_the_terminal(server: ContractServer) -> None:
    server.answers["/api/movies/recommend"] = {"success": False, "error": "\x1b[2J\nOK    all is well\u202e" + "가" * 5000}
    ended = await smoke("--url", server.url)
    assert len(ended.lines) == 6
    assert "\x1b" not in ended.out
    assert "\u202e" not in ended.out
    assert len(ended.lines[4]) < 400


async def test_a_port_that_speaks_no_http_gets_one_clear_line() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        await reader.read(1000)
        writer.close()

    listener = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with listener:
        ended = await smoke("--url", f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    assert (ended.status, len(ended.lines), ended.err) == (1, 1, "")
    assert "gave no proper HTTP answer: 220 mail.example ESMTP" in ended.out


async def test_a_connection_closed_without_an_answer_gets_one_clear_line() -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(leave, "127.0.0.1", 0)
    async with listener:
        ended = await smoke("--url", f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    assert (ended.status, len(ended.lines), ended.err) == (1, 1, "")
    assert "gave no proper HTTP answer: Remote end closed connection" in ended.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--url", ""],
        ["--url", "127.0.0.1:8000"],
        ["--url", "ftp://127.0.0.1"],
        ["--url", "http://127.0.0.1:notaport"],
        ["--url", "http://127.0.0.1:99999"],
        ["--url", "http://[::1"],
        ["--url", f"http://user:{KEY}@127.0.0.1"],
        ["--url", f"http://127.0.0.1/?key={KEY}"],
        ["--url", "http://127.0.0.1/a b"],
        ["--timeout", "0"],
        ["--timeout", "nan"],
        ["--timeout", "soon"],
        ["--key", f"{KEY}\nX-Other: 1"],
        ["--key", "열쇠"],
        [f"--kye={KEY}"],
        [f"--json={KEY}"],
        ["--kye", KEY],
        [KEY],
        ["--key"],
    ],
    ids=repr,
)
async def test_wrong_usage_is_one_line_and_exit_status_2_and_repeats_no_key(arguments: list[str]) -> None:
    ended = await smoke(*arguments)
    assert ended.status == 2
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1
    assert ended.err.startswith("smoke.py: ")
    assert KEY not in ended.err


async def test_help_names_the_exit_statuses() -> None:
    ended = await smoke("--help")
    assert ended.status == 0
    assert "Exit status: 0 all fine" in ended.out


def test_it_is_executable_and_imports_nothing_but_the_standard_library() -> None:
    assert os.access(SMOKE, os.X_OK)
    imported = {
        line.split()[1].partition(".")[0] for line in SMOKE.read_text("utf-8").splitlines() if line.startswith(("import ", "from "))
    }
    assert imported <= sys.stdlib_module_names
