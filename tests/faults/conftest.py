"""What the tests of the wall share: the servers that fail, and the service in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support.llm_server import LlmServer
from support.redis_server import RedisServer


@pytest.fixture
async def llm() -> AsyncIterator[LlmServer]:
    """Run an LLM server."""
    async with LlmServer() as server:
        yield server


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """Run a Redis of one's own."""
    with RedisServer(tmp_path / "redis") as server:
        yield server
