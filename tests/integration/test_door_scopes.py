"""Who may do what: every operation wants its scope, and a refusal says nothing that would help to guess."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opuscine.app import OPERATIONS
from opuscine.identity.keys_editor import new_key, revoke_key
from opuscine.identity.scopes import Scope
from opuscine.operations import Operation
from support.door import FILM, JWT, OTT, Keys, bearer, raw, token
from support.process import serving
from support.service import Service, running

OPEN = {"/", "/openapi.json", "/docs", "/health", "/actuator/health", "/health/liveness", "/health/readiness", "/healthz"}
FILES = "/page/{file}"  # of the page; open too
SCOPES = {
    "/api/movies/recommend": "recommend",
    "/recommend": "recommend",
    "/api/movies/{id}/ott": "read",
    "/api/tv/{id}/ott": "read",
    "/api/movies/ott": "read",
    "/api/movies/popular": "read",
    "/view": "read",
    "/metrics": "metrics",
    "/admin/data/reload": "admin",
    "/admin/stats": "admin",
}
QUERIES = {"/api/movies/ott": {"ids": str(FILM)}, "/view": {"movieId": str(FILM)}}
GUARDED = [operation for operation in OPERATIONS if operation.scope is not None]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    everything = " ".join(Scope)
    return Keys.of(tmp_path, all=everything, **{f"not_{scope}": everything.replace(scope, "") for scope in Scope})


@pytest.fixture
async def guarded(compiled: Path, keys: Keys) -> AsyncIterator[Service]:
    async with running(compiled, **keys.settings, **JWT) as started:
        yield started


async def call(
    service: Service, operation: Operation, headers: Mapping[str, str], method: str = ""
) -> tuple[int, Mapping[str, str], dict[str, Any]]:
    path = operation.path.replace("{id}", str(FILM))
    body = {"message": "영화", "limit": 1} if operation.body is not None else None
    async with service.caller.request(
        method or operation.method, service.url + path, params=QUERIES.get(operation.path), json=body, headers=headers
    ) as response:
        text = await response.read()
        return (
            response.status,
            response.headers,
            await response.json(content_type=None) if text and response.content_type.endswith("json") else {},
        )


def test_every_operation_has_the_scope_that_was_agreed() -> None:
    assert {operation.path: operation.scope for operation in GUARDED}.items() <= SCOPES.items()
    assert {operation.path for operation in OPERATIONS if operation.scope is None} <= OPEN | {FILES}


@pytest.mark.parametrize("operation", GUARDED, ids=lambda operation: operation.operation_id)
async def test_an_operation_wants_its_scope(guarded: Service, keys: Keys, operation: Operation) -> None:
    """Nobody gets 401 and how to say who it is, whoever may do all else 403, and who may do it an answer; HEAD is no way around."""
    for method in ("GET", "HEAD") if operation.method == "GET" else (operation.method,):
        status, headers, problem = await call(guarded, operation, {}, method)
        assert status == 401
        assert headers["WWW-Authenticate"].startswith("Bearer ")
        assert headers["Content-Type"].startswith("application/problem+json")
        assert headers["Cache-Control"] == "no-store"
        assert problem.get("code", "") == ("unauthenticated" if method != "HEAD" else "")

        status, headers, problem = await call(guarded, operation, keys[f"not_{operation.scope}"], method)
        assert status == 403
        assert headers["Content-Type"].startswith("application/problem+json")
        assert problem.get("detail", "") == (f"This needs the scope {operation.scope}." if method != "HEAD" else "")

        status, _, _ = await call(guarded, operation, keys["all"], method)
        assert status in {200, 202}


@pytest.mark.parametrize("path", sorted({operation.path for operation in OPERATIONS} & OPEN))
async def test_what_is_open_is_open_to_everyone_even_with_wrong_credentials(guarded: Service, path: str) -> None:
    for headers in ({}, {"X-Api-Key": "wrong"}, bearer("wrong"), {"Authorization": "Basic dXNlcjpwYXNz"}):
        async with guarded.caller.get(guarded.url + path, headers=headers) as response:
            assert response.status == 200


async def test_an_address_that_is_none_says_so_to_everyone(guarded: Service, keys: Keys) -> None:
    """The addresses are no secret, /openapi.json lists them; so a slip in one is told from missing credentials."""
    await guarded.get("/nothing", status=404)
    await guarded.get("/api/movies/recommend", status=405)
    await guarded.get("/nothing", status=404, headers=keys["all"])


async def test_health_shows_details_only_to_those_who_may_read(guarded: Service, keys: Keys) -> None:
    async def details(headers: Mapping[str, str]) -> bool:
        health = await guarded.get("/health", headers=headers)
        assert health["status"] == "UP"
        assert health["movie_count"] > 0
        shown = {name: component["details"] for name, component in health["components"].items()}
        assert any(shown.values()) == all(shown.values())
        return any(shown.values())

    assert await details(keys["all"])
    assert await details(bearer(keys.named["all"]))
    assert await details(bearer(token(scope="read")))  # the first time that this token is seen
    assert not await details({})
    assert not await details(keys["not_read"])
    assert not await details(bearer(token(scope="recommend admin")))
    assert not await details({"X-Api-Key": keys.named["all"][:-1]})
    assert not await details(bearer(token(scope="read", exp=1)))


async def test_a_header_that_stands_there_twice_counts_for_nothing(guarded: Service, keys: Keys) -> None:
    key = keys.named["all"]
    for name, first, second in [
        ("Authorization", f"Bearer {key}", f"Bearer {key}"),
        ("Authorization", f"Bearer {key}", "Bearer wrong"),
        ("X-Api-Key", key, key),
        ("X-Api-Key", key, "wrong"),
    ]:
        twice = f"Host: x\n{name}: {first}\n{name}: {second}\nConnection: close\n\n"
        status, headers, _ = await raw(guarded.port, f"GET {OTT} HTTP/1.1\n{twice}")
        assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="opuscine"')
        status, _, body = await raw(guarded.port, f"GET /health HTTP/1.1\n{twice}")
        assert status == 200
        assert b'"generation"' not in body


async def test_huge_headers_are_refused_and_leave_the_service_well(guarded: Service, keys: Keys) -> None:
    for size in (1_000, 7_000, 20_000, 300_000):
        for name in ("Authorization: Bearer ", "X-Api-Key: ", "X-Forwarded-For: "):
            try:
                status, _, _ = await raw(guarded.port, f"GET {OTT} HTTP/1.1\nHost: x\n{name}{'a' * size}\nConnection: close\n\n")
            except ConnectionResetError:  # it was closed while we still wrote
                assert size > 100_000
                continue
            assert status in ({401} if size < 8_000 else {400, 431})
    await guarded.get(OTT, headers=keys["all"])


async def test_every_kind_of_wrong_credentials_is_answered_alike(compiled: Path, tmp_path: Path) -> None:
    """To the byte, but for the request's id: nobody learns whether a key exists, has expired, or only its secret was wrong."""
    now = datetime.now(UTC)
    keys = Keys.of(tmp_path, good="read")
    key = keys.named["good"]
    expired = new_key(keys.path, "old", ["read"], now - timedelta(days=2), now - timedelta(days=1)).key
    early = new_key(keys.path, "new", ["read"], now + timedelta(days=1)).key
    revoked = new_key(keys.path, "gone", ["read"])
    revoke_key(keys.path, revoked.id)
    wrong: list[dict[str, str]] = [
        {},
        {"X-Api-Key": ""},
        {"X-Api-Key": "wrong"},
        {"X-Api-Key": "oc_aaaaaaaa_" + "a" * 43},
        {"X-Api-Key": key[:-1] + ("a" if key[-1] != "a" else "b")},
        {"X-Api-Key": expired},
        {"X-Api-Key": early},
        {"X-Api-Key": revoked.key},
        {"X-Api-Key": token()},
        bearer(key[:-1] + ("a" if key[-1] != "a" else "b")),
        bearer(expired),
        {"X-Api-Key": key, **bearer(token())},
        {"X-Api-Key": key, **bearer(revoked.key)},
        {"Authorization": key},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {key}"},
        bearer("a.b.c"),
        bearer(token(exp=1)),
        bearer(token(exp=None)),
        bearer(token(iss="https://elsewhere.example")),
        bearer(token(aud="others")),
        bearer(token(key="another secret that is long enough, is it not?")),
        bearer(token("")),
    ]
    async with running(compiled, **keys.settings, **JWT, auth_failures=10_000) as service:
        answers = set()
        for headers in wrong:
            async with service.caller.get(service.url + OTT, headers={**headers, "X-Request-Id": "same"}) as response:
                kept = {name: value for name, value in response.headers.items() if name not in {"Date", "Server-Timing"}}
                answers.add((response.status, tuple(sorted(kept.items())), await response.text()))
        twice = f"X-Request-Id: same\nX-Api-Key: {key}\nX-Api-Key: {key}\nConnection: close\n\n"
        status, _, body = await raw(service.port, f"GET {OTT} HTTP/1.1\nHost: x\n{twice}")
        assert len(answers) == 1
        [(answered, _, text)] = answers
        assert (status, body.decode()) == (answered, text)
        assert answered == 401
        await service.get(OTT, headers=keys["good"])
        await service.get(OTT, headers={**keys["good"], **bearer(key)})


async def test_an_answer_that_a_browser_keeps_is_not_for_its_next_user(guarded: Service, keys: Keys) -> None:
    for headers, status in ((keys["all"], 200), ({**keys["all"], "If-None-Match": "*"}, 304)):
        async with guarded.caller.get(guarded.url + OTT, headers=headers) as response:
            assert response.status == status
            assert "private" in response.headers["Cache-Control"]
            assert response.headers["Vary"] == "Authorization, X-Api-Key"


async def test_failures_are_budgeted_by_address_and_good_credentials_go_on(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, good="read")
    seen = token(scope="read")
    async with running(compiled, **keys.settings, **JWT, auth_failures=3) as service:
        await service.get(OTT, headers=bearer(seen))
        for _ in range(10):
            await service.get(OTT, status=401)  # to show nothing is no attempt
        for number in range(3):
            await service.get(OTT, status=401, headers=bearer(f"guess-{number}"))
        async with service.caller.get(service.url + OTT, headers=bearer("guess-3")) as response:
            assert response.status == 429
            assert 1 <= int(response.headers["Retry-After"]) <= 2
            assert (await response.json(content_type=None))["code"] == "too_many_failures"
        await service.get(OTT, status=429, headers={"X-Api-Key": "guess-4"})
        await service.get(OTT, headers=keys["good"])
        await service.get(OTT, headers=bearer(seen))
        await service.get("/health/liveness", headers=bearer("guess-5"))
        # An address of its own choice helps nobody: this service trusts no proxy.
        await service.get(OTT, status=429, headers={**bearer("guess-6"), "X-Forwarded-For": "192.0.2.1"})


async def test_what_is_open_is_no_place_to_guess_at(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, good="read")
    async with running(compiled, **keys.settings, auth_failures=3) as service:
        for number in range(3):
            await service.get("/health", headers={"X-Api-Key": f"guess-{number}"})
        await service.get(OTT, status=429, headers={"X-Api-Key": "guess-3"})
        await service.get("/health", headers={"X-Api-Key": "guess-4"})


async def test_behind_a_trusted_proxy_the_budget_is_each_callers_own(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, good="read")
    async with running(compiled, **keys.settings, auth_failures=2, trusted_proxies="127.0.0.0/8") as service:

        async def guess(*forwarded: str, status: int) -> None:
            headers = [("X-Api-Key", "wrong"), *(("X-Forwarded-For", value) for value in forwarded)]
            await service.get(OTT, status=status, headers=headers)

        for _ in range(2):
            await guess("192.0.2.1", status=401)
        await guess("192.0.2.1", status=429)
        await guess("192.0.2.2", status=401)
        await guess("192.0.2.2, 192.0.2.1", status=429)  # what the caller itself wrote stands to the left
        await guess("192.0.2.3", "192.0.2.1", status=429)
        await guess("192.0.2.1, 127.0.0.9", status=429)  # two proxies in a row
        # An IPv6 caller owns a whole /64.
        await guess("2001:db8::1", status=401)
        await guess("2001:db8::2", status=401)
        await guess("2001:db8::3", status=429)


async def test_production_says_at_its_start_that_authentication_is_off(tmp_path: Path) -> None:
    async with serving(tmp_path, environment="production", auth="off") as service:
        line = await service.logged("authentication is off")
        assert (line["level"], line["environment"]) == ("warning", "production")
        async with service.caller.get(service.url + OTT) as response:
            assert response.status == 200
