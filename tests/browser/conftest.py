"""One browser and one service on its defaults for each file of this folder: starting them costs more than most of its tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser

from support.browser import browsing
from support.service import Service, running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Run a browser."""
    async with browsing() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service(compiled: Path) -> AsyncIterator[Service]:
    """Run the service on its embedded defaults."""
    async with running(compiled) as started:
        yield started
