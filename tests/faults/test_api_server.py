"""Whatever the API server does, look-ups are answered from what else is known, and popular films come from the catalogue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.api_server import FilmServer
from support.door import OTT
from support.fault_wall import fault
from support.llm_server import Behaviour, cut, drip, drop, garbage, hang, huge, raw_reply, redirect, slow, status
from support.service import Service, running
from support.within import within

UNKNOWN = "/api/movies/900000001/ott"  # a film that only the API server could know
POPULAR = "/api/movies/popular?limit=3"
TIMEOUT_S = 0.3
ANSWERED = "200: the catalogue's popular films, the links that other sources have, else an empty list with a sentence in `error`"
TOLD = (
    "`/health` ▸ `components.api_server`; log `ott_tier_failed`, once, and `popular films come from the catalogue`; "
    "log `request` with `degraded: api_server`; metrics `opuscine_upstream_up`, `opuscine_ott_failures_total`"
)


@pytest.fixture
async def api() -> AsyncIterator[FilmServer]:
    """Run an API server."""
    async with FilmServer() as server:
        yield server


@pytest.fixture
async def service(compiled: Path, api: FilmServer) -> AsyncIterator[Service]:
    """Run the service in front of it."""
    async with running(compiled, api_server_url=api.url, api_server_timeout=TIMEOUT_S) as started:
        yield started


def row(what: str, behaviour: Behaviour, *, name: str, within: str = "the time the server takes") -> Any:
    """Give one way to fail as a parameter with its place on the wall."""
    mark = fault("API server", what, caller_gets=ANSWERED, within=within, told_by=TOLD)
    return pytest.param(behaviour, id=name, marks=mark)


BOUND = "`API_SERVER_TIMEOUT`"
FAULTS = [
    row("It never answers", hang(), name="silent", within=BOUND),
    row("It answers after its time is up", slow(5), name="slow", within=BOUND),
    row("It answers a byte now and then", drip(0.1), name="drip", within=BOUND),
    row("It resets connections", drop(reset=True), name="resets"),
    row("It answers 500", status(500), name="500"),
    row("It answers with an HTML page", garbage(), name="HTML"),
    row("It answers with JSON of another kind", raw_reply(b'[null, {"movie": 5}]'), name="other JSON"),
    row("It breaks off midway", cut(), name="cut"),
    row("Its answer is too large", huge(20_000_000), name="oversized"),
]


async def check(service: Service) -> None:
    """Ask in every way that may lead to the API server, and check that the catalogue answers."""
    usual = await service.get(OTT)
    assert usual["source"] == "local"
    async with within(TIMEOUT_S):
        unknown = await service.get(UNKNOWN)
    assert (unknown["ott_links"], unknown["source"]) == ([], "none")
    assert unknown["error"]
    async with within(TIMEOUT_S):
        assert len((await service.get(POPULAR))["movies"]) == 3


@pytest.mark.parametrize("behaviour", FAULTS)
async def test_a_fault_is_answered_from_what_else_is_known(service: Service, api: FilmServer, behaviour: Behaviour) -> None:
    api.answer = behaviour
    await check(service)
    assert api.asked


@fault("API server", "Nothing listens at its address", caller_gets=ANSWERED, within="a few milliseconds", told_by=TOLD)
async def test_a_server_that_is_not_there(service: Service, api: FilmServer) -> None:
    await api.stop()
    await check(service)


@fault(
    "API server",
    "It answers with a redirect to another server",
    caller_gets=f"{ANSWERED}; nobody asks the other server",
    within="the time the server takes",
    told_by=TOLD,
)
async def test_a_redirect_elsewhere_is_not_followed(service: Service, api: FilmServer) -> None:
    async with FilmServer() as elsewhere:
        api.answer = redirect(elsewhere.url + "/movie/1")
        await check(service)
        assert elsewhere.requests == []


@fault(
    "API server",
    "It fails repeatedly and is well again later",
    caller_gets=f"{ANSWERED}; its links again after one trial call",
    within="a few milliseconds while its breaker is open",
    told_by="`/health` ▸ `components.api_server: DOWN`; log `breaker changed state`",
)
async def test_an_open_breaker_leaves_it_alone(service: Service, api: FilmServer) -> None:
    api.answer = status(500)
    for number in range(10):
        await service.get(f"/api/movies/{900000100 + number}/ott")
    asked = len(api.asked)
    async with within(0.1):
        await service.get("/api/movies/900000200/ott")
        await service.get(POPULAR)
    assert len(api.asked) == asked
    health = await service.get("/health")
    assert (health["status"], health["components"]["api_server"]["status"]) == ("UP", "DOWN")


@fault(
    "API server",
    "It sends links that lead elsewhere than to http or https",
    caller_gets="200 without those links",
    within="the time the server takes",
    told_by="nothing, as they are passed over",
)
async def test_links_that_are_no_web_addresses_never_pass(service: Service, api: FilmServer) -> None:
    links = ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//evil.example/x", "https://www.netflix.com/title/1"]
    api.titles["/movie/900000001"] = {"movie": {"ott_links": links}}
    found = (await service.get(UNKNOWN))["ott_links"]
    assert [link["link"] for link in found] == ["https://www.netflix.com/title/1"]
