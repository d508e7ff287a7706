"""The API document in a real browser: all of it from this service, under the same policy as the page."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from opuscine.app import OPERATIONS
from support.service import Service
from support.visitor import Scheme, visiting

pytestmark = [pytest.mark.wide, pytest.mark.asyncio(loop_scope="module")]


async def test_every_operation_is_shown_and_can_be_tried(browser: Browser, service: Service) -> None:
    async with visiting(browser, service.url) as visitor:
        page = visitor.page
        await visitor.open("/docs")
        documented = {operation.path for operation in OPERATIONS if operation.documented}
        await expect(page.locator(".opblock")).to_have_count(len([operation for operation in OPERATIONS if operation.documented]))
        shown = {(await path.inner_text()).replace("\u200b", "") for path in await page.locator(".opblock-summary-path").all()}
        assert shown == documented
        await page.locator("#operations-recommend-recommendMovies .opblock-summary-control").click()
        await page.get_by_role("button", name="Try it out").click()
        await page.get_by_role("button", name="Execute").click()
        await expect(page.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
        schemes: tuple[Scheme, ...] = ("light", "dark")
        for scheme in schemes:
            await page.emulate_media(color_scheme=scheme)
            await expect(page.locator("html.dark-mode")).to_have_count(int(scheme == "dark"))
            await visitor.photograph(f"docs-{scheme}")
            assert await visitor.faults(leaving_out=".swagger-ui") == []


async def test_without_the_viewers_package_it_says_what_to_install(browser: Browser, service: Service) -> None:
    async with visiting(browser, service.url) as visitor:
        await visitor.page.route("**/page/swagger-ui*", lambda route: route.fulfill(status=404))
        await visitor.open("/docs")
        await expect(visitor.page.locator("main")).to_contain_text("pip install 'opuscine[docs]'")
        await expect(visitor.page.locator("main a")).to_have_attribute("href", "openapi.json")
