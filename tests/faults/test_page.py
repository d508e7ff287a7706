"""What a viewer sees when texts that come from elsewhere are hostile to the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.async_api import expect

from support.browser import browsing
from support.completions import completion, films
from support.fault_wall import fault
from support.llm_server import LlmServer
from support.service import running
from support.visitor import visiting

ATTACK = '<img src=x onerror="window.hacked=1">'
HOSTILE = {
    "tmdb_id": 1,
    "title": f"Trap {ATTACK}",
    "overview": f"<script>window.hacked=1</script>{ATTACK}",
    "release_date": "2019-05-30",
    "genres": ["스릴러"],
    "poster_path": f"/x.png{ATTACK}",
    "ott_links": ["javascript:window.hacked=1", "https://www.netflix.com/title/81221938"],
}


@pytest.mark.wide
@fault(
    "Hostile input",
    "A catalogue and a model whose texts are markup, and whose links are scripts",
    caller_gets="the page with the texts as text; only http and https addresses are links; nothing runs and no other host is asked",
    within="the time of an ordinary answer",
    told_by="the browser's console, if the Content-Security-Policy ever had to step in",
)
async def test_markup_stays_text_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "movies.json").write_text(json.dumps({"movies": [HOSTILE]}))
    async with LlmServer() as llm, browsing() as browser:
        llm.answer = completion(films((str(HOSTILE["title"]), 2019), explanation=f"Because {ATTACK}"))
        model = {"llm_server_url": llm.url, "llm_protocol": "openai", "llm_model": "test"}
        async with (
            running(tmp_path, movies_data_file=tmp_path / "movies.json", **model) as service,
            visiting(browser, service.url) as visitor,
        ):
            await visitor.open()
            await visitor.wish("2019년 스릴러")
            await expect(visitor.cards.locator("h3")).to_contain_text("Trap")
            links = visitor.page.locator(".card a")
            await expect(links).to_have_count(1)
            await expect(links).to_have_attribute("href", "https://www.netflix.com/title/81221938")
            assert await visitor.page.evaluate("window.hacked") is None
            assert await visitor.page.locator("main script, main [onerror], .card .poster img").count() == 0
