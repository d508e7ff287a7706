"""Someone who opens the page: a browser's tab that writes down what it asks for and what goes wrong in it."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, Route

from support.node_tools import REPOSITORY, node_tool

IMAGE_HOST = "image.tmdb.org"
SCREENSHOTS = REPOSITORY / "build" / "screenshots"
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")
PHONE, DESKTOP = 390, 1440
HEIGHTS = {PHONE: 844, DESKTOP: 1000}
Scheme = Literal["light", "dark"]
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@dataclass
class Visitor:
    """A tab at the service; `hosts`, `violations` and `errors` say what it did."""

    page: Page
    url: str
    hosts: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)  # of the Content-Security-Policy
    errors: list[str] = field(default_factory=list)  # thrown by the page's script

    @property
    def cards(self) -> Locator:
        """Return the films that are shown, without those that are still waited for."""
        return self.page.locator("#films > .card:not(.skeleton)")

    async def open(self, path: str = "/") -> None:
        """Open an address of the service."""
        await self.page.goto(self.url + path)

    async def wish(self, text: str, *, finished: bool = True) -> None:
        """Write a wish and send it; wait until its films are there."""
        await self.page.fill("#wish", text)
        await self.page.keyboard.press("Enter")
        if finished:
            await self.page.wait_for_selector("#films[aria-busy=false]", state="attached")

    async def text(self, selector: str) -> str:
        """Return the text that a part shows."""
        return await self.page.locator(selector).inner_text()

    async def answer_with(self, events: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Have the next wishes answered with these events instead of the service's."""
        body = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)

        async def answer(route: Route) -> None:
            await route.fulfill(body=body, content_type="text/event-stream; charset=utf-8")

        await self.page.route("**/api/movies/recommend", answer)

    async def faults(self, *, leaving_out: str = "") -> list[str]:
        """Return what axe-core finds serious or critical, as rule and place."""
        await self.page.evaluate(node_tool("axe-core/axe.min.js").read_text("utf-8"))
        context = {"exclude": [[leaving_out]]} if leaving_out else {}
        options = {"runOnly": {"type": "tag", "values": WCAG}, "resultTypes": ["violations"]}
        found = await self.page.evaluate(
            "([context, options]) => axe.run(context.exclude ? context : document, options)", [context, options]
        )
        serious = [fault for fault in found["violations"] if fault["impact"] in {"serious", "critical"}]
        return [f"{fault['id']}: {node['target']} {node['failureSummary']}" for fault in serious for node in fault["nodes"]]

    async def photograph(self, name: str) -> Path:
        """Save what is seen, for people to look at; the folder is no part of the repository."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        await self.page.screenshot(path=path, animations="disabled")
        return path


@asynccontextmanager
async def visiting(
    browser: Browser, url: str, *, width: int = DESKTOP, scheme: Scheme = "light", locale: str = "ko-KR", images: bool = False
) -> AsyncIterator[Visitor]:
    """Open a tab of its own; fail at the end if it asked another host, broke the policy, or its script threw.

    TMDB's image host answers with one grey point if `images`, else not at all; it is never really asked.
    """
    context = await browser.new_context(
        viewport={"width": width, "height": HEIGHTS[width]}, color_scheme=scheme, locale=locale, reduced_motion="reduce"
    )
    visitor = Visitor(await context.new_page(), url)

    async def image(route: Route) -> None:
        await (route.fulfill(body=PIXEL, content_type="image/png") if images else route.abort())

    async def elsewhere(route: Route) -> None:
        await route.abort()

    def asked(request: Request) -> None:
        if request.url.startswith(("http:", "https:", "ws:", "wss:")):
            visitor.hosts.add(urlsplit(request.url).netloc)

    def said(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            visitor.violations.append(message.text)

    await context.route(lambda address: not address.startswith(url), elsewhere)
    await context.route(f"https://{IMAGE_HOST}/**", image)
    context.on("request", asked)
    context.on("console", said)
    context.on("weberror", lambda error: visitor.errors.append(str(error.error)))
    try:
        yield visitor
        assert visitor.hosts <= {urlsplit(url).netloc, IMAGE_HOST}
        assert visitor.violations == []
        assert visitor.errors == []
    finally:
        await context.close()
