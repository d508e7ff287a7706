"""Whom an answer belongs to: a token's subject, or the user that a trusted server names; nobody is given what another asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.door import JWT, Keys, bearer, token
from support.llm_server import LlmServer
from support.service import Service, running


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.of(tmp_path, server="recommend act_as", other_server="recommend act_as", script="recommend", other_script="recommend")


@pytest.fixture
async def llm() -> AsyncIterator[LlmServer]:
    async with LlmServer() as started:
        yield started


@pytest.fixture
async def guarded(compiled: Path, keys: Keys, llm: LlmServer) -> AsyncIterator[Service]:
    async with running(compiled, **keys.settings, **JWT, llm_server_url=llm.url) as started:
        yield started


async def test_the_model_is_told_of_the_right_user(guarded: Service, keys: Keys, llm: LlmServer) -> None:
    """What a body says counts only where the caller may act for users."""
    alice = bearer(token("alice"))
    told: list[tuple[Mapping[str, str], str | None, str]] = [
        (alice, None, "alice"),
        (alice, "bob", "alice"),
        (bearer(token("carol", "recommend act_as")), "bob", "carol"),
        (keys["server"], "bob", "bob"),
        (keys["server"], None, "anonymous"),
        (keys["script"], "bob", "anonymous"),
        (keys["script"], None, "anonymous"),
    ]
    for number, (headers, named, expected) in enumerate(told):
        fields: dict[str, Any] = {"user_id": named} if named else {}
        await guarded.recommend(f"영화 {number}", headers=headers, **fields)
        assert llm.requests[-1].json["user_id"] == expected


async def test_a_kept_list_is_never_anothers(guarded: Service, keys: Keys, llm: LlmServer) -> None:
    """Every pair of caller and user asks the model for itself, once; asking again is answered from what was kept for this pair."""
    askers: list[tuple[Mapping[str, str], dict[str, Any]]] = [
        (bearer(token("alice")), {}),
        (bearer(token("bob")), {}),
        (keys["server"], {}),
        (keys["server"], {"user_id": "alice"}),
        (keys["server"], {"user_id": "bob"}),
        (keys["other_server"], {"user_id": "alice"}),
        (keys["script"], {}),
        (keys["other_script"], {}),
        (bearer(token("server")), {}),
        (bearer(token("key:server")), {}),
        (bearer(token("anonymous")), {}),
    ]
    for number, (headers, fields) in enumerate(askers, start=1):
        body = await guarded.recommend("비 오는 날", headers=headers, **fields)
        assert (body["data"]["source"], len(llm.requests)) == ("llm", number)
    for headers, fields in askers:
        body = await guarded.recommend("비 오는 날", headers=headers, **fields)
        assert body["data"]["source"] == "cache"
    assert len(llm.requests) == len(askers)


async def test_a_new_token_of_the_same_user_finds_what_was_kept(guarded: Service, llm: LlmServer) -> None:
    await guarded.recommend(headers=bearer(token("alice")))
    body = await guarded.recommend(headers=bearer(token("alice", jti="another")), user_id="ignored")
    assert body["data"]["source"] == "cache"


async def test_with_authentication_off_a_body_names_its_user(compiled: Path, llm: LlmServer) -> None:
    async with running(compiled, llm_server_url=llm.url) as service:
        await service.recommend("영화", user_id="bob")
        assert llm.requests[-1].json["user_id"] == "bob"
        body = await service.recommend("영화", user_id="eve")
        assert body["data"]["source"] == "llm"


async def test_credentials_are_handed_on_to_nobody(guarded: Service, keys: Keys, llm: LlmServer) -> None:
    for headers in (keys["script"], bearer(token("alice"))):
        await guarded.recommend(headers=headers)
        [secret] = headers.values()
        assert secret.removeprefix("Bearer ") not in str(llm.requests[-1].headers) + str(llm.requests[-1].body)
