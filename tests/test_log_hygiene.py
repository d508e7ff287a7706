"""Nothing that callers confide is ever written: not in logs, not in errors, not in metrics."""

from __future__ import annotations

import io
import json
import logging
import sqlite3
from pathlib import Path

import pytest
import structlog

from opuscine.telemetry.logs import configure_logs
from opuscine.telemetry.tracebacks import traceback_text
from support.door import JWT, OTT, Keys, bearer, token
from support.hygiene import HYGIENE, Hygiene, watched_session
from support.llm_server import LlmServer, drop, garbage, raw_reply, status
from support.notified import unit

SECRET = '속삭인 문장 "7f3a-91c4" 끝'
WHOLE_RUN = 1_000  # tests; with so many there must have been something to search
MOST_SHOWN = 5


@pytest.mark.last
def test_nothing_confided_was_written_in_the_whole_run(request: pytest.FixtureRequest) -> None:
    found = HYGIENE.leaks()
    shown = "\n".join(f"{leak.kind} {leak.value!r} in {leak.where}: …{leak.line}…" for leak in found[:MOST_SHOWN])
    assert not found, f"{len(found)} leaks, such as\n{shown}"
    if request.session.testscollected >= WHOLE_RUN:
        assert {"message", "user_id", "API key", "token", "user"} <= set(HYGIENE.confided.values())
        assert sum(len(texts) for texts in HYGIENE.written.values()) > WHOLE_RUN
        assert any(where.startswith("the answer to") for where in HYGIENE.written)


@pytest.mark.parametrize(
    "written",
    [
        f"message={SECRET}",
        json.dumps({"message": SECRET}),
        json.dumps({"message": SECRET}, ensure_ascii=False),
        f"ValueError({SECRET!r})",
        f"body={SECRET.encode()!r}",
        "/view?message=%EC%86%8D%EC%82%AD%EC%9D%B8%20%EB%AC%B8%EC%9E%A5%20%227f3a-91c4%22%20%EB%81%9D",
    ],
)
def test_the_search_finds_what_was_confided_in_any_form(written: str) -> None:
    hygiene = Hygiene()
    hygiene.confide_body(json.dumps({"message": SECRET, "user_id": "short"}).encode())
    hygiene.wrote("a log", "all is well here")
    assert hygiene.leaks() == []
    hygiene.wrote("a log", f"some words before {written} and after")
    [leak, *_] = hygiene.leaks()
    assert (leak.kind, leak.value, leak.where) == ("message", SECRET, "a log")


def test_what_is_confided_is_known_by_its_place() -> None:
    hygiene = Hygiene()
    hygiene.confide_headers({"X-Api-Key": "oc_0123456789", "Authorization": f"Bearer {token('user-of-a-token')}"})
    hygiene.confide_settings({"redis_url": "redis://:pass%2Fword-1@127.0.0.1", "llm_api_key": "key-of-the-model", "port": 8000})
    assert set(hygiene.confided.values()) == {"API key", "token", "user", "credentials of redis_url", "llm_api_key"}
    assert {"user-of-a-token", "pass/word-1", "pass%2Fword-1"} <= set(hygiene.confided)


def fail(text: str) -> None:
    """Fail as a part might that repeats what it was given."""
    try:
        sqlite3.connect(":memory:").execute(text)
    except sqlite3.Error as error:
        raise LookupError(text) from error


@pytest.mark.parametrize("readable", [True, False])
def test_a_traceback_in_the_log_says_where_and_what_but_repeats_nothing(readable: bool) -> None:
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    try:
        configure_logs(level="debug", readable=readable, stream=stream)
        for log in (structlog.get_logger("ours"), logging.getLogger("a library")):
            try:
                fail(SECRET)
            except LookupError:
                log.exception("it failed")
    finally:
        structlog.configure(**before)
        root.handlers[:] = handlers
        root.setLevel(level)
    text = stream.getvalue()
    assert SECRET not in text
    assert "7f3a" not in text
    assert "in fail" in text
    assert text.count("which led to:") == 2
    assert text.count("sqlite3.OperationalError") == 2


def test_a_traceback_ends_though_exceptions_lead_to_each_other() -> None:
    first, second = ValueError("a"), OSError(28, "a")
    first.__context__, second.__context__ = second, first
    both = ExceptionGroup("a", [first, second])
    text = traceback_text((type(both), both, None))
    assert "OSError: No space left on device" in text
    assert text.count("ValueError") == 1


@pytest.mark.parametrize("environment", ["development", "staging"])
async def test_at_the_lowest_level_a_service_in_trouble_writes_nothing_confided(tmp_path: Path, environment: str) -> None:
    """All that a caller says stands in each request, and the model repeats it in every reply that it breaks."""
    keys = Keys.of(tmp_path, backend="read recommend act_as admin")
    echo = f"{SECRET} hygiene-user-5d21".encode()
    troubles = [
        status(500),
        garbage(),
        raw_reply(echo),
        raw_reply(b'{"success": false, "error": "' + SECRET.replace('"', "'").encode() + b'"}'),
        raw_reply(json.dumps({"success": True, "movies": [{"id": "x", "title": SECRET}]}).encode()),
        drop(after=b"HTTP/9.9 " + echo + b"\r\n\r\n"),
        drop(after=b"HTTP/1.1 200 OK\r\nX: " + echo.replace(b" ", b"\x00") + b"\r\n\r\n"),
        drop(reset=True),
    ]
    settings = {
        **keys.settings,
        **JWT,
        "environment": environment,
        "host": "127.0.0.1",
        "port": 0,
        "log_level": "debug",
        "redis_url": "redis://:hygiene-password-88@127.0.0.1:1",
        "api_server_url": "http://reader:hygiene-credential-12@127.0.0.1:1",
        "rate_limit_recommend": "12/hour",
        "llm_breaker_failures": 100,
    }
    HYGIENE.confide_settings(settings)
    async with LlmServer() as llm, unit(tmp_path, {**settings, "llm_server_url": llm.url}) as service, watched_session() as caller:
        url = await service.url()

        async def call(path: str, body: object = None, **headers: str) -> int:
            method = "GET" if body is None else "POST"
            async with caller.request(method, url + path, json=body, headers=headers or keys["backend"]) as response:
                await response.read()
                return response.status

        statuses = set()
        wish = {"message": SECRET, "user_id": "hygiene-user-5d21"}
        for trouble in troubles:
            llm.next_answers = [trouble] * 3
            statuses.add(await call("/api/movies/recommend", wish))
        for broken in (
            {**wish, "limit": "nine"},
            {**wish, "region": SECRET},
            {**wish, "page": SECRET},
            {"message": SECRET * 200},
            [SECRET],
            SECRET,
        ):
            statuses.add(await call("/api/movies/recommend", broken))
        statuses |= {await call("/api/movies/recommend", wish) for _ in range(12)}
        statuses.add(await call(OTT, **{"X-Api-Key": "oc_hygiene-key-that-nobody-has"}))
        statuses.add(await call(OTT, **bearer(token("hygiene-token-user-77", scope="recommend"))))
        statuses.add(await call(OTT, **bearer(token("hygiene-token-user-77", exp=1))))
        for page in (OTT, "/api/movies/popular", "/health", "/admin/stats", "/metrics", "/nowhere", "/admin/data/reload"):
            await call(page)
        assert {200, 401, 403, 422, 429} <= statuses
        assert 500 not in statuses
    own = Hygiene(confided={**HYGIENE.confided, "7f3a-91c4": "a part of the message"}, written=HYGIENE.written)
    assert own.leaks() == []
