"""Callers as they are: Java's clients on raw sockets, and requests that are wrong in every way."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDictProxy

from support.service import Service, running

RECOMMEND = "/api/movies/recommend"
BODY = json.dumps({"message": "2019년 한국 스릴러", "limit": 3}, ensure_ascii=False).encode()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read one HTTP answer from a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    status = int(head[0].split()[1])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    return status, headers, await reader.readexactly(int(headers.get("content-length", "0"))) if status not in {100, 304} else b""


async def test_a_java_client_is_answered_twice_on_one_connection(service: Service) -> None:
    """Java's HttpClient offers h2c on every request, RestClient sends chunks, and either may wait for 100 Continue."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    try:
        for _ in range(2):
            writer.write(
                b"POST " + RECOMMEND.encode() + b" HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nContent-Type: application/json\r\n"
                b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
            )
            status, _, _ = await asyncio.wait_for(read_answer(reader), 5)
            assert status == 100
            half = len(BODY) // 2
            for chunk in (BODY[:half], BODY[half:]):
                writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            writer.write(b"0\r\n\r\n")
            status, headers, body = await asyncio.wait_for(read_answer(reader), 5)
            assert status == 200
            assert headers["content-type"].startswith("application/json")
            assert headers["keep-alive"] == "timeout=1200"
            assert len(json.loads(body)["movies"]) == 3
    finally:
        writer.close()
        await writer.wait_closed()


async def send(
    service: Service, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, Any], CIMultiDictProxy[str]]:
    """Send a request as it is and return status, body and headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with service.caller.request(method, service.url + path, data=body, headers=named) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else {}, response.headers


JSON = {"Content_Type": "application/json"}
WRONG: list[tuple[str, str, bytes | None, dict[str, str], int, str]] = [
    ("POST", RECOMMEND, b"{", JSON, 400, "malformed_json"),
    ("POST", RECOMMEND, b"", JSON, 400, "malformed_json"),
    ("POST", RECOMMEND, b"\xff\xfe", JSON, 400, "malformed_json"),
    ("POST", RECOMMEND, b"[" * 60_000, JSON, 400, "malformed_json"),
    ("POST", RECOMMEND, b'{"message": ' + b"9" * 5000 + b"}", JSON, 400, "malformed_json"),
    ("POST", RECOMMEND, b"[]", JSON, 422, "invalid_fields"),
    ("POST", RECOMMEND, b'{"message": ""}', JSON, 422, "invalid_fields"),
    ("POST", "/recommend", b'{"message": ""}', JSON, 422, "invalid_fields"),
    ("POST", RECOMMEND, b"x" * 70_000, JSON, 413, "body_too_large"),
    ("POST", RECOMMEND, BODY, {"Content_Type": "text/plain"}, 415, "unsupported_media_type"),
    ("POST", RECOMMEND, BODY, {"Content_Type": "application/json; charset=euc-kr"}, 415, "unsupported_media_type"),
    ("POST", RECOMMEND, BODY, {**JSON, "Content_Encoding": "gzip"}, 415, "unsupported_media_type"),
    ("GET", RECOMMEND, None, {}, 405, "method_not_allowed"),
    ("DELETE", "/health", None, {}, 405, "method_not_allowed"),
    ("GET", "/nothing", None, {}, 404, "not_found"),
    ("GET", "/api/movies//ott", None, {}, 404, "not_found"),
    ("GET", "/api/movies/abc/ott", None, {}, 422, "invalid_fields"),
    ("GET", "/api/movies/0/ott", None, {}, 422, "invalid_fields"),
    ("GET", "/api/movies/9223372036854775808/ott", None, {}, 422, "invalid_fields"),
    ("GET", "/api/movies/5/ott?region=KOREA", None, {}, 422, "invalid_fields"),
    ("GET", "/api/tv/-5/ott", None, {}, 422, "invalid_fields"),
    ("GET", "/api/movies/ott", None, {}, 422, "invalid_fields"),
    ("GET", "/api/movies/ott?ids=1,x", None, {}, 422, "invalid_fields"),
    ("GET", "/api/movies/ott?ids=0", None, {}, 422, "invalid_fields"),
    ("GET", "/api/movies/ott?ids=" + ",".join(map(str, range(1, 102))), None, {}, 422, "invalid_fields"),
    ("GET", "/api/movies/ott?ids=" + ",".join(["7"] * 101), None, {}, 422, "invalid_fields"),
    ("GET", "/api/movies/popular?limit=1000", None, {}, 422, "invalid_fields"),
    ("GET", "/api/movies/popular?page=x", None, {}, 422, "invalid_fields"),
    ("GET", "/view", None, {}, 422, "invalid_fields"),
]


@pytest.mark.parametrize(("method", "path", "body", "headers", "status", "code"), WRONG, ids=range(len(WRONG)))
async def test_a_wrong_request_gets_its_problem(
    service: Service, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int, code: str
) -> None:
    got, problem, answered = await send(service, method, path, body, **headers, X_Request_Id="wrong-1")
    assert (got, problem["code"]) == (status, code), problem
    assert answered["Content-Type"].startswith("application/problem+json")
    assert answered["X-Request-Id"] == problem["request_id"] == "wrong-1"
    assert answered["Cache-Control"] == "no-store"
    assert problem["status"] == status
    assert problem["success"] is False
    assert problem["error"] == problem["detail"]
    assert problem["type"].startswith("urn:opuscine:problem:")
    assert ("errors" in problem) == (status == 422)
    assert ("Allow" in answered) == (status == 405)
    assert "Traceback" not in str(problem)


async def test_a_body_that_does_not_arrive_is_answered_408(compiled: Path) -> None:
    async with running(compiled, body_timeout=0.2) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(f"POST {RECOMMEND} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
        status, headers, body = await asyncio.wait_for(read_answer(reader), 5)
        assert (status, json.loads(body)["code"], headers["connection"]) == (408, "body_timeout", "close")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_body_without_a_content_type_is_taken_for_json(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(f"POST {RECOMMEND} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
    status, _, _ = await asyncio.wait_for(read_answer(reader), 5)
    assert status == 200
    writer.close()


async def test_every_answer_carries_its_id_and_timing(service: Service) -> None:
    _, _, headers = await send(service, "GET", "/health/liveness", X_Request_Id="bad id\t!")
    assert headers["X-Request-Id"] != "bad id\t!"
    assert headers["Server-Timing"].startswith("total;dur=")
    _, _, headers = await send(service, "POST", RECOMMEND, BODY, **JSON)
    assert "catalogue;dur=" in headers["Server-Timing"]
    assert "ott;dur=" in headers["Server-Timing"]
