"""A real browser without a window: the machine's Chromium, driven by Playwright, whose wheel brings none."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright, expect

PATIENCE_MS = 20_000  # how long a page may take to show what is expected: tests share their machine
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# The pages are the test's own, so there is nothing to lock in; in containers and as root the sandbox can't start.
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
)


def browser_binary() -> str:
    """Return the path of a browser: `CHROMIUM_BIN`, or the first of the usual names on the PATH; else skip the test."""
    found = os.environ.get("CHROMIUM_BIN") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no browser here: install chromium, or set CHROMIUM_BIN to its path")
    return found


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """Run a browser with an empty profile for the length of the block."""
    binary = browser_binary()
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=binary, args=OPTIONS)
        try:
            yield browser
        finally:
            await browser.close()


async def text_when_done(browser: Browser, url: str) -> str:
    """Load a page in a profile of its own, wait until it sets `document.body.dataset.done`, and return its text."""
    page = await browser.new_page()
    try:
        await page.goto(url)
        await page.wait_for_selector("body[data-done]", timeout=PATIENCE_MS)
        return await page.locator("body").inner_text()
    finally:
        await page.close()
