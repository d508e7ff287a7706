"""What a caller sees when the LLM server fails, in every way that one was seen to fail."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.fault_wall import fault
from support.llm_server import LlmServer, hang
from support.service import Service, running

DEADLINE_S = 1.0
TOLERANCE_S = 0.25  # the answer leaves 0.1 s before that on an idle machine; tests share theirs


@pytest.fixture
async def llm() -> AsyncIterator[LlmServer]:
    """Run an LLM server."""
    async with LlmServer() as server:
        yield server


@pytest.fixture
async def guarded(llm: LlmServer, compiled: Path) -> AsyncIterator[Service]:
    """Run the service in front of it."""
    async with running(
        compiled, llm_server_url=llm.url, request_timeout=DEADLINE_S, llm_breaker_failures=3, llm_breaker_open=0.3
    ) as service:
        yield service


@fault(
    "LLM",
    "The LLM server accepts the call and never answers",
    caller_gets="200 from the catalogue, `degraded_reason: llm_timeout`",
    within="the caller's deadline",
    told_by="`/admin/stats` ▸ `breakers.llm`, `recommend.fallbacks`",
)
async def test_silent(guarded: Service, llm: LlmServer) -> None:
    llm.answer = hang()
    begun = time.monotonic()
    answer = await guarded.recommend()
    assert time.monotonic() - begun < DEADLINE_S + TOLERANCE_S
    assert answer["data"]["degraded_reason"] == "llm_timeout"
    assert answer["movies"]
