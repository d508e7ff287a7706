"""What a caller sees when somebody means harm by what he sends: a caller, a file, a Redis value, or a server that is asked."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.api_server import FilmServer
from support.attackers import HEAD, attack
from support.door import JWT, bearer, token
from support.fault_wall import fault
from support.jwks_server import JwksServer
from support.llm_server import PARASITE, LlmServer, drip, huge, redirect, reply
from support.redis_server import RedisServer
from support.service import Service, running
from support.tokens import jwk_of, rsa_key

EVIL = (
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "//evil.example/x",
    "/\\evil.example",
    "ftp://evil.example/x",
    "file:///etc/passwd",
    "https:evil.example",
    "http://",
    "https://user:secret@evil.example/",
    "https://evil.example\r\nX-Evil: 1",
)
GOOD = "https://www.netflix.com/title/81221938"
ANY_LINK = re.compile(r'"(?:link|poster_path|backdrop_path|logo_path)":\s*"([^"]*)"')


def links_in(body: object) -> list[str]:
    """Return every address in an answer."""
    return [text for text in ANY_LINK.findall(json.dumps(body, ensure_ascii=False)) if text]


def is_harmless(link: str) -> bool:
    """Say whether it is an http(s) address without credentials, or a path of an image."""
    return bool(re.fullmatch(r"https?://[\w.-]+(:\d+)?(/[^\s\\]*)?(\?[^\s\\]*)?|/(?!/)[\w./-]+", link)) and "evil" not in link


def rows(*links: str) -> list[dict[str, Any]]:
    """Return stored links, each of a provider of its own."""
    return [
        {"provider_name": f"Evil {number}", "provider_id": 9000 + number, "type": "flatrate", "region": "KR", "link": link}
        for number, link in enumerate(links)
    ]


# What callers send


@fault(
    "Hostile input",
    "A message speaks the language of the search instead of a person's",
    caller_gets="200 with films: its words are only words",
    within="as ever; a search does not become dearer by it",
    told_by="log `request` with status 200",
)
async def test_search_syntax(service: Service) -> None:
    tricks = (
        '"',
        '""',
        "'",
        "NEAR(기생충 영화, 5)",
        "title:기생충",
        "*",
        "기생충*",
        "a OR b",
        "NOT",
        "AND AND",
        "(",
        ")(",
        "^기생충",
        "{title}: x",
    )
    more = (
        "-기생충",
        "'; DROP TABLE titles; --",
        '" OR 1=1 --',
        "기생충\x00",
        "%",
        "_",
        "\\",
        "a" * 2000,
        "(" * 500,
        "OR " * 500,
        "\u202e영화",
        "🎬" * 200,
    )
    for message in (*tricks, *more):
        begun = time.monotonic()
        answer = await service.recommend(message, limit=3)
        assert answer["success"] is True, message
        assert answer["movies"], message
        assert time.monotonic() - begun < 5
    plain = await service.recommend("기생충", limit=1)
    quoted = await service.recommend('"기생충"', limit=1)
    assert quoted["movies"][0]["id"] == plain["movies"][0]["id"] == 496243


@fault(
    "Hostile input",
    "A request id, a trace or a message carries the end of a line, to put a header of its own into an answer or a line into the log",
    caller_gets="an answer with an id and a trace of ours; the message comes back as JSON and nowhere else",
    within="as ever, nothing is waited for",
    told_by="log `request` with an id of ours",
)
async def test_header_injection(service: Service) -> None:
    names = (b"X-Request-Id", b"traceparent", b"tracestate", b"X-Request-Timeout-Ms", b"Origin")
    values = (
        b"a%0d%0aX-Evil: 1",
        b"a\\r\\nX-Evil: 1",
        b"a\x85X-Evil: 1",
        "a\u2028X-Evil: 1".encode(),
        b"x" * 4000,
        b"<script>",
        b"\xff\xfe",
        b"",
    )
    for name in names:
        for value in values:
            outcome = await attack(service.port, [HEAD + b"Connection: close\r\n%s: %s\r\n\r\n" % (name, value)])
            head = outcome.answer.partition(b"\r\n\r\n")[0]
            assert outcome.status == 200, (name, value)
            assert b"evil" not in head.lower(), (name, value)
            assert re.search(rb"\r\nX-Request-Id: [A-Za-z0-9._-]{1,128}(\r\n|$)", head), head
        folded = await attack(service.port, [HEAD + b"%s: a\rX-Evil: 1\r\n\r\n" % name])
        assert folded.status == 400
    message = "영화\r\nX-Evil: 1\r\n\r\n<script>"
    async with service.caller.post(f"{service.url}/api/movies/recommend", json={"message": message}) as response:
        assert (response.status, "X-Evil" in response.headers) == (200, False)
        assert response.content_type == "application/json"
        assert (await response.json())["query_info"]["original_message"] == "영화  X-Evil: 1    <script>"


# What is handed on: only http(s) addresses


@pytest.fixture
def hostile_catalogue(tmp_path: Path) -> dict[str, Path]:
    """Write a catalogue whose first film has every evil address, and a good one."""
    film = {
        "tmdb_id": 496243,
        "title": "기생충",
        "original_title": "기생충",
        "release_date": "2019-05-30",
        "genres": ["스릴러"],
        "origin_country": ["KR"],
        "popularity": 90,
        "vote_average": 8.5,
        "vote_count": 100,
        "overview": "두 가족이 한집에서 얽힌다.",
        "poster_path": "javascript:alert(1)",
        "backdrop_path": "//evil.example/x.jpg",
        "ott_links": [*EVIL, GOOD],
        "ott_providers": rows(*EVIL),
    }
    movies, series = tmp_path / "movies.json", tmp_path / "series.json"
    movies.write_text(json.dumps({"movies": [film]}))
    series.write_text(json.dumps({"tv_series": []}))
    return {"movies_data_file": movies, "tv_data_file": series}


async def every_link(service: Service, film: int = 496243) -> list[str]:
    """Return the addresses in every answer that shows the film."""
    shown = [await service.get(f"/api/movies/{film}/ott"), await service.get(f"/api/movies/ott?ids={film}")]
    shown += [await service.recommend("기생충"), await service.get("/api/movies/popular"), await service.get(f"/view?movieId={film}")]
    return [link for body in shown for link in links_in(body)]


@fault(
    "Hostile input",
    "The catalogue's file holds addresses that are scripts, of no scheme, or with credentials",
    caller_gets="the film with its other links; no such address",
    within="as ever, they were dropped when the file was read",
    told_by="the film's links in the answer, which lack it",
)
async def test_evil_links_in_the_catalogue(compiled: Path, hostile_catalogue: dict[str, Path]) -> None:
    async with running(compiled, **hostile_catalogue) as service:
        links = await every_link(service)
        assert GOOD in links
        assert [link for link in links if not is_harmless(link)] == []


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """Run a Redis server."""
    with RedisServer(tmp_path) as server:
        yield server


@fault(
    "Hostile input",
    "A value in Redis holds addresses that are scripts, of no scheme, or with credentials",
    caller_gets="the links of the value that are addresses; no other",
    within="the 50 ms that a request has for Redis",
    told_by="`/admin/stats` ▸ `redis`",
)
async def test_evil_links_in_redis(compiled: Path, redis: RedisServer) -> None:
    redis.command("SET", "movie:7:ott_links", json.dumps([*rows(*EVIL), {**rows(GOOD)[0], "provider_name": "Netflix", "provider_id": 8}]))
    async with running(compiled, redis_url=redis.url) as service:
        body = await service.get("/api/movies/7/ott")
        assert body["source"] == "redis"
        links = links_in(body)
        assert GOOD in links
        assert [link for link in links if not is_harmless(link)] == []


@fault(
    "Hostile input",
    "The API server answers with addresses that are scripts, of no scheme, or with credentials",
    caller_gets="the links of the answer that are addresses; no other",
    within="`API_SERVER_TIMEOUT`, 2 s",
    told_by="the film's links in the answer, which lack it",
)
async def test_evil_links_of_the_api_server(compiled: Path) -> None:
    netflix = {"provider_name": "Netflix", "provider_id": 8, "type": "flatrate", "region": "KR", "link": GOOD}
    movie = {"id": 7, "poster_path": EVIL[0], "ott_links": [*rows(*EVIL), *EVIL, netflix]}
    async with FilmServer({"/movie/7": {"movie": movie}}) as api, running(compiled, api_server_url=api.url) as service:
        body = await service.get("/api/movies/7/ott")
        links = links_in(body)
        assert GOOD in links
        assert [link for link in links if not is_harmless(link)] == []
        assert api.asked == ["/movie/7"]


@fault(
    "Hostile input",
    "A model's reply holds addresses, in links, pictures and sentences",
    caller_gets="the film with the links that the catalogue has; none of the model's",
    within="as ever, nothing of it is fetched",
    told_by="`data.source: llm` and the links in the answer",
)
async def test_evil_links_of_the_model(compiled: Path) -> None:
    film = {**PARASITE, "poster_path": EVIL[0], "backdrop_path": EVIL[6], "ott_links": rows(*EVIL), "link": EVIL[0], "overview": EVIL[4]}
    unknown = {**film, "id": 999_999_999, "title": "아무도 모르는 영화", "original_title": "Nobody Knows It"}
    talk: dict[str, Any] = {"query_metadata": {"confidence": 0.9, "reasoning": f"see {EVIL[4]} and https://evil.example/x"}}
    async with LlmServer() as llm, running(compiled, llm_server_url=llm.url) as service:
        llm.answer = reply(film, unknown, **talk)
        body = await service.recommend()
        assert body["data"]["source"] == "llm"
        assert [link for link in links_in(body) if not is_harmless(link)] == []
        text = json.dumps(body["query_info"], ensure_ascii=False)
        assert "evil.example" not in text
        assert "<script" not in text


# What upstreams do


@asynccontextmanager
async def elsewhere() -> AsyncIterator[FilmServer]:
    """Run a server that nobody should ask anything."""
    async with FilmServer() as server:
        yield server
        assert server.asked == []


@fault(
    "Hostile input",
    "LLM server, API server and the issuer of tokens send us elsewhere, say to an address inside of our network",
    caller_gets="what it gets when that server is broken: films from the catalogue, no links, 401 for a token that can't be checked",
    within="at once; the other address is never asked",
    told_by="log line of that server which names the setting to mend; `/health` ▸ `components`",
)
async def test_redirects(compiled: Path) -> None:
    issuer = {**JWT, "auth_jwt_algorithm": "RS256", "auth_jwt_key": None, "auth": "on"}
    async with elsewhere() as inner, LlmServer() as llm, FilmServer() as api, JwksServer(jwk_of(rsa_key(), "k")) as jwks:
        llm.answer, api.answer = redirect(inner.url), redirect(inner.url)
        api.popular = redirect(inner.url)
        async with running(compiled, llm_server_url=llm.url, api_server_url=api.url) as service:
            assert (await service.recommend())["data"]["degraded_reason"] == "llm_error"
            assert (await service.get("/api/movies/7/ott"))["ott_links"] == []
            assert (await service.get("/api/movies/popular"))["movies"]
        assert llm.requests
        assert api.asked
        jwks.behaviour = "redirect"
        async with running(compiled, **issuer, auth_jwt_jwks_url=jwks.url) as service:
            shown = bearer(token(key=rsa_key(), algorithm="RS256", kid="k"))
            await service.get("/api/movies/7/ott", status=401, headers=shown)
            assert set(jwks.paths) == {"/keys.json"}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            drip(0.05),
            id="drip",
            marks=fault(
                "API server",
                "The API server sends its answer byte by byte",
                caller_gets="the links that the catalogue and Redis have, else none and a sentence",
                within="`API_SERVER_TIMEOUT`, 2 s, or the caller's deadline",
                told_by="`/health` ▸ `components.api_server`",
            ),
        ),
        pytest.param(
            huge(50_000_000),
            id="huge",
            marks=fault(
                "API server",
                "The API server sends an answer without an end",
                caller_gets="the links that the catalogue and Redis have, else none and a sentence",
                within="at once, when the bound on its length is reached",
                told_by="`/health` ▸ `components.api_server`",
            ),
        ),
    ],
)
async def test_answers_without_an_end(compiled: Path, answer: Any) -> None:
    async with FilmServer() as api, running(compiled, api_server_url=api.url, api_server_timeout=0.5) as service:
        api.answer = answer
        begun = time.monotonic()
        async with asyncio.timeout(10):
            body = await service.get("/api/movies/7/ott")
        assert body["ott_links"] == []
        assert body["error"]
        assert time.monotonic() - begun < 5
