"""A real browser's pages: one of an allowed origin calls with a token and reads every answer, one of another origin reads nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser

from opuscine.keys import READ_LIMIT, RECOMMEND_LIMIT
from support.browser import browsing, text_when_done
from support.door import JWT, OTT, Keys, token
from support.service import running

pytestmark = pytest.mark.wide

# The page makes the calls that its address names (after the #), one after the other, and writes what came of each into itself.
PAGE = """<!doctype html><meta charset="utf-8"><title>page</title><body><pre id="result"></pre><script>
(async () => {
  const outcomes = [];
  for (const {url, ...options} of JSON.parse(decodeURIComponent(location.hash.slice(1)))) {
    try {
      const response = await fetch(url, options);
      const headers = Object.fromEntries(response.headers);
      outcomes.push({status: response.status, headers, body: JSON.parse((await response.text()) || "{}")});
    } catch (error) {
      outcomes.push({error: String(error)});
    }
  }
  document.getElementById("result").textContent = JSON.stringify(outcomes);
  document.body.dataset.done = "yes";
})();
</script></body>"""


@asynccontextmanager
async def page_server() -> AsyncIterator[str]:
    """Serve the page on a free port; yield its origin."""

    async def show(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", show)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def outcomes(browser: Browser, origin: str, calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Open the page of an origin and return what it has written."""
    found: list[dict[str, Any]] = json.loads(await text_when_done(browser, f"{origin}/#{json.dumps(calls)}"))
    assert len(found) == len(calls)
    return found


async def test_pages_call_and_read_only_where_their_origin_is_allowed(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, backend="read recommend")
    limits = {"rate_limit_read": "1000/minute", "rate_limit_recommend": "2/hour"}
    async with AsyncExitStack() as stack:
        allowed, foreign = [await stack.enter_async_context(page_server()) for _ in range(2)]
        browser = await stack.enter_async_context(browsing())
        settings = {"environment": "production", "cors_origins": allowed, **keys.settings, **JWT, **limits}
        async with running(compiled, **settings) as service:
            signed = {"Authorization": f"Bearer {token()}"}
            wish = {
                "url": f"{service.url}/api/movies/recommend",
                "method": "POST",
                "headers": {**signed, "Content-Type": "application/json", "X-Request-Id": "from-a-page"},
                "body": json.dumps({"message": "2019년 한국 스릴러", "limit": 3}),
            }
            calls: list[dict[str, Any]] = [
                wish,
                {"url": service.url + OTT, "headers": keys["backend"]},
                {"url": service.url + OTT, "headers": {"Authorization": "Bearer wrong"}},
                {"url": f"{service.url}/admin/stats", "headers": signed},
                {"url": f"{service.url}/nothing", "headers": signed},
                {"url": f"{service.url}/health", "method": "DELETE", "headers": signed},
                {"url": f"{service.url}/api/movies/0/ott", "headers": signed},
                wish,
                wish,
                {"url": f"{service.url}/health"},
            ]
            read = await outcomes(browser, allowed, calls)
            assert [outcome.get("status") for outcome in read] == [200, 200, 401, 403, 404, 405, 422, 200, 429, 200], read
            assert len(read[0]["body"]["movies"]) == 3
            assert read[0]["headers"]["x-request-id"] == "from-a-page"
            assert read[0]["headers"]["ratelimit-policy"] == '"recommend";q=2;w=3600'
            assert read[2]["headers"]["www-authenticate"].startswith("Bearer")
            assert read[4]["body"]["code"] == "not_found"
            assert read[8]["headers"]["retry-after"] in {"1", "2"}

            before = service.app[RECOMMEND_LIMIT].info, service.app[READ_LIMIT].info
            refused = await outcomes(browser, foreign, calls)
            assert [outcome.get("error") for outcome in refused] == ["TypeError: Failed to fetch"] * len(calls)
            assert (service.app[RECOMMEND_LIMIT].info, service.app[READ_LIMIT].info) == before  # none of its calls came as far as that
