"""A page of another origin, step by step as a browser does it: the preflight without credentials, then the call with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from opuscine.app import create_app
from opuscine.cors import READABLE
from opuscine.errors import SettingsError
from opuscine.keys import LIFECYCLE
from opuscine.settings import Settings
from support.door import FOREIGN, JWT, ORIGIN, OTT, Keys, bearer, token
from support.service import Service, running

RECOMMEND = "/api/movies/recommend"
JSON = {"Content-Type": "application/json"}
Answer = tuple[int, Mapping[str, str], dict[str, Any]]


@pytest.fixture
async def guarded(compiled: Path, tmp_path: Path) -> AsyncIterator[Service]:
    settings = {**Keys.of(tmp_path, backend="read").settings, **JWT, "auth_failures": 10_000}
    async with running(compiled, environment="production", cors_origins=f"https://first.example,{ORIGIN}", **settings) as started:
        yield started


async def send(
    service: Service, method: str, path: str, *, origin: str, headers: Mapping[str, str] | None = None, body: Any = None
) -> Answer:
    sent = {"Origin": origin, "Referer": f"{origin}/", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "cross-site", **(headers or {})}
    async with service.caller.request(method, service.url + path, headers=sent, json=body) as response:
        text = await response.read()
        return response.status, response.headers, await response.json(content_type=None) if text else {}


async def preflight(service: Service, path: str, *, origin: str, method: str, headers: str) -> tuple[int, Mapping[str, str]]:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    status, answered, _ = await send(service, "OPTIONS", path, origin=origin, headers=asked)
    return status, answered


async def test_a_page_of_an_allowed_origin_calls_with_a_token(guarded: Service) -> None:
    status, headers = await preflight(guarded, RECOMMEND, origin=ORIGIN, method="POST", headers="authorization,content-type")
    assert status == 200
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert headers["Access-Control-Allow-Methods"] == "POST"
    assert {"authorization", "content-type"} == set(headers["Access-Control-Allow-Headers"].lower().split(","))
    assert "Origin" in headers["Vary"].split(", ")

    status, headers, body = await send(
        guarded, "POST", RECOMMEND, origin=ORIGIN, headers=bearer(token()), body={"message": "영화", "limit": 2}
    )
    assert status == 200
    assert body["success"] is True
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Origin" in headers["Vary"].split(", ")
    assert set(READABLE) == set(headers["Access-Control-Expose-Headers"].split(","))
    assert "Access-Control-Allow-Credentials" not in headers


async def test_a_page_reads_an_answer_that_comes_piece_by_piece(guarded: Service) -> None:
    for origin, named in ((ORIGIN, ORIGIN), (FOREIGN, None)):
        headers = {**bearer(token()), "Accept": "text/event-stream", "Origin": origin}
        async with guarded.caller.post(guarded.url + RECOMMEND, headers=headers, json={"message": "영화", "limit": 2}) as response:
            assert (response.status, response.content_type) == (200, "text/event-stream")
            assert response.headers.get("Access-Control-Allow-Origin") == named
            assert response.headers["Vary"] == "Origin"  # no cache keeps a stream
            assert all(name in response.headers for name in ("RateLimit", "RateLimit-Policy", "X-Request-Id"))
            assert (await response.text()).count("event: movie") == 2


async def test_a_page_of_a_foreign_origin_gets_no_leave_and_reads_nothing(guarded: Service) -> None:
    for origin in (FOREIGN, "null", ORIGIN.replace("https", "http"), ORIGIN + ".evil.example", ORIGIN + ":8443"):
        status, headers = await preflight(guarded, RECOMMEND, origin=origin, method="POST", headers="authorization,content-type")
        assert status == 403
        assert not [name for name in headers if name.lower().startswith("access-control-")]
        status, headers, _ = await send(guarded, "POST", RECOMMEND, origin=origin, headers=bearer(token()), body={"message": "영화"})
        assert status == 200  # a browser would not have come so far, and does not show it to the page
        assert not [name for name in headers if name.lower().startswith("access-control-")]
        assert "Origin" in headers["Vary"].split(", ")


async def failing(service: Service, origin: str, status: int) -> Answer:
    """Make a call that fails with this status."""
    good = bearer(token())
    match status:
        case 401:
            return await send(service, "GET", OTT, origin=origin, headers=bearer("wrong"))
        case 403:
            return await send(service, "GET", OTT, origin=origin, headers=bearer(token(scope="recommend")))
        case 404:
            return await send(service, "GET", "/nothing", origin=origin, headers=good)
        case 405:
            return await send(service, "PUT", RECOMMEND, origin=origin, headers=good)
        case 415:
            return await send(service, "POST", RECOMMEND, origin=origin, headers={**good, "Content-Encoding": "gzip"}, body={})
        case 422:
            return await send(service, "POST", RECOMMEND, origin=origin, headers=good, body={"message": ""})
    raise AssertionError(status)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 415, 422])
async def test_a_page_reads_why_it_failed(guarded: Service, status: int) -> None:
    for origin, named in ((ORIGIN, ORIGIN), (FOREIGN, None)):
        answered, headers, problem = await failing(guarded, origin, status)
        assert (answered, problem["status"]) == (status, status)
        assert headers.get("Access-Control-Allow-Origin") == named
        assert "Origin" in headers["Vary"].split(", ")


async def test_a_page_reads_that_it_is_limited_and_that_the_service_drains(compiled: Path) -> None:
    settings = {"cors_origins": ORIGIN, "rate_limit_read": "1/minute", "rate_limit_recommend": "1/minute"}
    async with running(compiled, **settings) as service:
        await service.get(OTT)
        await service.recommend()
        for origin, named in ((ORIGIN, ORIGIN), (FOREIGN, None)):
            for method, path, body in (("GET", OTT, None), ("POST", RECOMMEND, {"message": "영화"})):
                status, headers, _ = await send(service, method, path, origin=origin, body=body)
                assert (status, headers.get("Access-Control-Allow-Origin")) == (429, named)
                assert {"Retry-After", "RateLimit", "RateLimit-Policy"} <= set(headers)
        service.app[LIFECYCLE].draining = True
        for origin, named in ((ORIGIN, ORIGIN), (FOREIGN, None)):
            status, headers, _ = await send(service, "GET", "/health", origin=origin)
            assert (status, headers.get("Access-Control-Allow-Origin")) == (503, named)


async def test_a_page_reads_that_the_model_is_away(compiled: Path) -> None:
    async with running(
        compiled, cors_origins=ORIGIN, fallback="off", llm_server_url="http://127.0.0.1:9", llm_breaker_failures=1
    ) as service:
        for expected in (502, 503):  # unreachable, then the breaker is open
            status, headers, _ = await send(service, "POST", RECOMMEND, origin=ORIGIN, body={"message": "영화"})
            assert (status, headers.get("Access-Control-Allow-Origin")) == (expected, ORIGIN)


async def test_a_preflight_passes_authentication_and_limits(compiled: Path, tmp_path: Path) -> None:
    """It is counted against nobody, also while its address has neither attempts nor requests left."""
    settings = {**Keys.of(tmp_path, backend="read").settings, **JWT, "auth_failures": 1, "rate_limit_read": "1/hour"}
    async with running(compiled, cors_origins=ORIGIN, **settings) as service:
        await service.get(OTT, status=401, headers=bearer("wrong"))
        await service.get(OTT, status=429, headers=bearer("wrong"))
        for _ in range(5):
            for path, method in ((OTT, "GET"), (RECOMMEND, "POST"), ("/admin/stats", "GET"), ("/nothing", "GET")):
                status, headers = await preflight(service, path, origin=ORIGIN, method=method, headers="authorization")
                assert (status, headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
                assert "RateLimit" not in headers


async def test_what_only_looks_like_a_preflight_opens_nothing(guarded: Service) -> None:
    """The headers of a preflight on another method are no way past the door."""
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    for method, path in (("GET", OTT), ("HEAD", OTT), ("POST", RECOMMEND), ("GET", "/admin/stats")):
        status, _, _ = await send(guarded, method, path, origin=ORIGIN, headers=asked)
        assert status == 401
    _, _, body = await send(guarded, "OPTIONS", "/admin/stats", origin=ORIGIN, headers=asked)
    assert body == {}


@pytest.mark.parametrize("origins", ["*", f"{ORIGIN},*"])
def test_a_star_in_production_stops_the_start(origins: str) -> None:
    with pytest.raises(SettingsError, match=r"CORS_ORIGINS: found '\*'"):
        create_app(Settings(_env_file=None, environment="production", auth="off", cors_origins=origins))
