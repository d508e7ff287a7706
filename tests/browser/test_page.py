"""The page as people meet it: in a real browser, by hand and by keyboard, on a phone and at a desk, in light and dark."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from support.completions import films, streamed
from support.door import Keys
from support.llm_server import LlmServer, status
from support.service import Service, running
from support.visitor import DESKTOP, IMAGE_HOST, PHONE, Scheme, Visitor, visiting

pytestmark = [pytest.mark.wide, pytest.mark.asyncio(loop_scope="module")]

CONTRACT = Path(__file__).resolve().parents[1] / "contract"
WISH = "비 오는 날 볼만한 잔잔한 영화"
OPENAI: dict[str, Any] = {"llm_protocol": "openai", "llm_model": "test"}
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(browser: Browser, service: Service) -> AsyncIterator[Visitor]:
    """Open a tab at the service on its defaults."""
    async with visiting(browser, service.url) as opened:
        yield opened


def golden() -> dict[str, Any]:
    """Return the contract's example of an answer."""
    answer: dict[str, Any] = json.loads((CONTRACT / "RecommendAnswer.json").read_text())
    return answer


async def focused(page: Page) -> str:
    """Return the id of what has the focus, or else its text."""
    found: str = await page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
    return found


async def test_films_appear_one_after_the_other_while_the_model_still_speaks(browser: Browser, compiled: Path) -> None:
    whole = films(("기생충", 2019), ("올드보이", 2003), ("살인의 추억", 2003))
    cut = whole.index("올드보이")
    more = asyncio.Event()
    async with LlmServer() as llm:
        llm.answer = streamed([whole[:cut], whole[cut:]], gate=more)
        async with running(compiled, llm_server_url=llm.url, **OPENAI) as service, visiting(browser, service.url) as visitor:
            await visitor.open()
            await visitor.wish("한국 스릴러", finished=False)
            await expect(visitor.cards.locator("h3")).to_have_text(["기생충"])
            await expect(visitor.page.locator("#films")).to_have_attribute("aria-busy", "true")
            await expect(visitor.page.locator(".skeleton").first).to_be_visible()
            await expect(visitor.page.locator("#status")).to_contain_text("기생충")
            more.set()
            await expect(visitor.cards.locator("h3")).to_have_text(["기생충", "올드보이", "살인의 추억"])
            await expect(visitor.page.locator(".skeleton")).to_have_count(0)
            assert "이런 작품을 골랐습니다." in await visitor.text("#notes")
            assert "언어 모델이 고른 작품" in await visitor.text("#notes")
            assert await visitor.page.locator(".degraded").count() == 0
            first = await visitor.cards.first.inner_text()
            assert all(part in first for part in ("2019", "영화", "★", "제목과 연도가 맞음", "확실"))


async def test_a_search_is_stopped_and_keeps_what_had_come(browser: Browser, compiled: Path) -> None:
    whole = films(("기생충", 2019), ("올드보이", 2003))
    cut = whole.index("올드보이")
    never = asyncio.Event()
    async with LlmServer() as llm:
        llm.answer = streamed([whole[:cut], whole[cut:]], gate=never)
        async with running(compiled, llm_server_url=llm.url, **OPENAI) as service, visiting(browser, service.url) as visitor:
            await visitor.open()
            await visitor.wish("한국 스릴러", finished=False)
            await expect(visitor.cards.locator("h3")).to_have_text(["기생충"])
            await visitor.page.get_by_role("button", name="멈추기").press("Enter")
            await expect(visitor.page.locator("#films")).to_have_attribute("aria-busy", "false")
            await expect(visitor.cards).to_have_count(1)
            assert "멈춤" in await visitor.text("#count")
            assert await focused(visitor.page) == "results-title"
            never.set()


async def test_with_the_model_dead_the_page_says_so_and_shows_the_catalogues_films(browser: Browser, compiled: Path) -> None:
    async with LlmServer() as llm:
        llm.answer = status(500)
        async with running(compiled, llm_server_url=llm.url, **OPENAI) as service, visiting(browser, service.url) as visitor:
            await visitor.open()
            await visitor.wish(WISH)
            mark = await visitor.text(".degraded")
            assert mark.startswith("언어 모델 대신 카탈로그가 답했습니다.")
            assert len(mark) > len("언어 모델 대신 카탈로그가 답했습니다. "), "the reason is said in words"
            assert await visitor.cards.count() >= 6
            assert "카탈로그에서 고른 작품" in await visitor.text("#notes")
            await visitor.photograph("degraded")


async def test_text_of_a_model_stays_text(visitor: Visitor) -> None:
    """Titles, explanations, names and addresses that try to be markup or script do nothing but be read."""
    attack = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script><b>bold</b>'
    answer = golden()
    movie = answer["movies"][0] | {
        "title": attack,
        "original_title": f"{attack} original",
        "overview": attack,
        "poster_path": '/../../evil.example/x.png?"onload="window.hacked=1',
        "media_type": attack,
        "match": {"method": attack, "score": 0.5},
    }
    link = movie["ott_links"][0] | {"provider_name": attack, "type": attack}
    movie["ott_links"] = [
        link | {"link": "javascript:window.hacked=1"},
        link | {"link": "data:text/html,<script>window.hacked=1</script>"},
        link | {"link": 'https://www.netflix.com/title/1"onclick="window.hacked=1', "logo_path": "//evil.example/x.png"},
    ]
    answer["data"] |= {"source": attack, "degraded": True, "degraded_reason": attack, "region": attack}
    answer["query_info"] |= {"user_intent_analysis": attack, "follow_up_suggestions": attack}
    rest = {name: value for name, value in answer.items() if name != "movies"}
    await visitor.open()
    await visitor.answer_with([("movie", movie), ("message", {"text": attack}), ("done", rest)])
    await visitor.wish(attack)

    page = visitor.page
    await expect(visitor.cards.locator("h3")).to_have_text([attack])
    assert await visitor.text(".why p") == attack
    assert attack in await visitor.text(".degraded")
    assert attack in await visitor.text("#results-title")
    assert await page.evaluate("window.hacked") is None
    assert await page.locator("main b, main script, main [onerror], main [onclick], .card img").count() == 0
    links = await page.locator(".card a").evaluate_all("all => all.map(a => [a.protocol, a.hostname, a.target, a.rel])")
    assert links == [["https:", "www.netflix.com", "_blank", "noopener noreferrer"]]
    await page.locator(".card .badge").first.click()
    assert await page.evaluate("window.hacked") is None


async def test_the_page_is_walked_by_keyboard_alone(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.open()
    await expect(visitor.cards.first).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await page.keyboard.press("Enter")
    assert await focused(page) == "wish"
    await page.keyboard.press("Enter")
    await expect(page.locator("#wish-problem")).to_have_text("어떤 영화가 좋을지 한 문장 적어 주세요.")
    assert await focused(page) == "wish"
    await page.keyboard.type(WISH)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#films[aria-busy=false]")
    await expect(page.locator("#results-title")).to_contain_text(WISH)
    await expect(page.locator("#status")).to_contain_text("찾았습니다")
    seen: list[str] = []
    for _ in range(80):
        await page.keyboard.press("Tab")
        place = await page.evaluate(
            """() => {
              const at = document.activeElement, box = at.getBoundingClientRect(), style = getComputedStyle(at);
              const marked = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
              return {name: at.id || at.className || at.tagName, shown: box.width > 0 && box.bottom > 0 && box.top < innerHeight, marked};
            }"""
        )
        if place["name"] == "more":
            seen.append("more")
            break
        assert place["shown"], place
        assert place["marked"], place
        seen.append(place["name"])
    assert "region" in seen
    assert "badge" in seen, "links to providers are reached"
    assert seen[-1] == "more"
    before = await visitor.cards.count()
    await page.keyboard.press("Enter")
    await expect(visitor.cards.nth(before)).to_be_focused()
    await page.wait_for_selector("#films[aria-busy=false]")
    titles = await visitor.cards.locator("h3").all_inner_texts()
    assert len(titles) > before
    assert len(set(titles[before:]) & set(titles[:before])) == 0


async def test_an_example_is_one_press_away_and_leaves_the_focus_at_its_films(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.page.get_by_role("button", name="2019년 한국 스릴러").press("Enter")
    await expect(visitor.page.locator("#results-title")).to_contain_text("2019년 한국 스릴러")
    await expect(visitor.cards.first).to_contain_text("2019")
    assert await focused(visitor.page) == "results-title"
    assert await visitor.page.input_value("#wish") == "2019년 한국 스릴러"


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_no_serious_fault_and_nothing_wider_than_the_window(browser: Browser, service: Service, width: int, scheme: Scheme) -> None:
    async with visiting(browser, service.url, width=width, scheme=scheme) as visitor:
        await visitor.open()
        await expect(visitor.cards.first).to_be_visible()
        await expect(visitor.page.locator("#health .part")).to_have_count(5)
        await visitor.photograph(f"start-{width}-{scheme}")
        assert await visitor.faults() == []
        await visitor.wish(WISH)
        await visitor.photograph(f"films-{width}-{scheme}")
        assert await visitor.faults() == []
        assert await visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        ground = await visitor.page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert (sum(ground) > 600) == (scheme == "light")


async def test_posters_come_from_the_image_host_and_are_drawn_where_it_is_away(browser: Browser, service: Service) -> None:
    async with visiting(browser, service.url, images=True) as visitor:
        await visitor.open()
        await visitor.wish(WISH)
        await expect(visitor.cards.locator("img.there").first).to_be_visible()
        assert IMAGE_HOST in visitor.hosts
    async with visiting(browser, service.url) as visitor:
        await visitor.open()
        await visitor.wish(WISH)
        await expect(visitor.cards.first.locator(".poster img")).to_have_count(0)
        drawn = await visitor.cards.first.locator("svg").evaluate("svg => svg.innerHTML.replaceAll(/sky-\\d+/g, '')")
        await visitor.page.reload()
        await visitor.wish(WISH)
        assert await visitor.cards.first.locator("svg").evaluate("svg => svg.innerHTML.replaceAll(/sky-\\d+/g, '')") == drawn


async def test_it_speaks_the_browsers_language_until_another_is_chosen(browser: Browser, service: Service) -> None:
    async with visiting(browser, service.url, locale="en-GB") as visitor:
        page = visitor.page
        await visitor.open()
        await expect(page.locator("html")).to_have_attribute("lang", "en")
        assert await page.title() == "OpusCine · What shall we watch tonight?"
        await visitor.wish("Korean thrillers from 2019")
        await expect(visitor.cards.first).to_contain_text("Film")
        assert "not endorsed or certified by TMDB" in await visitor.text("footer")
        await visitor.photograph("english")
        await page.get_by_role("button", name="한국어").click()
        await expect(page.locator("html")).to_have_attribute("lang", "ko")
        await expect(visitor.cards.first).to_contain_text("영화")
        assert "JustWatch" in await visitor.text("footer")
        await page.reload()
        await expect(page.locator("html")).to_have_attribute("lang", "ko")


async def test_a_wish_goes_to_the_country_that_was_chosen(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.page.select_option("#region", "US")
    async with visitor.page.expect_request("**/api/movies/recommend") as asked:
        await visitor.wish("2019년 한국 스릴러")
    assert json.loads((await asked.value).post_data or "")["region"] == "US"
    assert "cache-control" not in await (await asked.value).all_headers(), "kept answers are welcome"
    assert "미국" in await visitor.text("#notes")
    await expect(visitor.cards.first).to_contain_text("어디에서 볼 수 있는지 아직 알려지지 않았습니다.")


async def test_where_nothing_fits_it_says_so(visitor: Visitor) -> None:
    rest = golden() | {"total_results": 0}
    del rest["movies"]
    await visitor.open()
    await visitor.answer_with([("done", rest)])
    await visitor.wish("아무도 만들지 않은 영화")
    assert "조건에 맞는 작품을 찾지 못했습니다" in await visitor.text("#empty")
    assert await visitor.page.locator("#more").is_hidden()


async def test_an_earlier_answer_in_the_models_place_is_not_called_the_catalogues(visitor: Visitor) -> None:
    rest = golden()
    rest["data"] |= {"source": "cache", "degraded": True, "degraded_reason": "llm_timeout"}
    found = rest.pop("movies")
    await visitor.open()
    await visitor.answer_with([*(("movie", film) for film in found), ("done", rest)])
    await visitor.wish(WISH)
    assert await visitor.text(".degraded") == "언어 모델 대신 전에 받은 답을 보여 드립니다. 모델이 제때 답하지 못했습니다."


async def test_a_stream_that_breaks_off_keeps_its_films_and_offers_to_try_again(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.answer_with([("movie", golden()["movies"][0])])
    await visitor.wish(WISH)
    assert "연결이 중간에 끊겼습니다" in await visitor.text("#problem")
    await expect(visitor.cards).to_have_count(1)
    await visitor.page.unroute("**/api/movies/recommend")
    await visitor.page.get_by_role("button", name="다시 시도").click()
    await expect(visitor.cards).to_have_count(12)
    assert await visitor.page.locator("#problem").is_hidden()


async def test_a_service_that_is_being_stopped_is_not_taken_for_one_out_of_reach(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.answer_with([("error", {"status": 503, "code": "unavailable", "request_id": "abc-1"})])
    await visitor.wish(WISH)
    told = await visitor.text("#problem")
    assert "지금은 답할 수 없습니다" in told
    assert "abc-1" in told


async def test_a_key_is_asked_for_and_kept_for_this_tab_only(browser: Browser, compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, backend="read recommend")
    async with (
        running(compiled, environment="production", page="on", **keys.settings) as service,
        visiting(browser, service.url) as visitor,
    ):
        page = visitor.page
        await visitor.open()
        await visitor.wish(WISH, finished=False)
        await expect(page.locator("#key")).to_be_focused()
        assert await visitor.faults() == []
        await page.keyboard.type("wrong")
        await page.keyboard.press("Enter")
        await expect(page.locator("#problem")).to_contain_text("이 키는 받아들여지지 않았습니다")
        assert await page.evaluate("sessionStorage.getItem('opuscine.key')") is None
        await page.fill("#key", keys.named["backend"])
        await page.keyboard.press("Enter")
        await expect(visitor.cards).to_have_count(12)
        assert await page.evaluate("sessionStorage.getItem('opuscine.key')") == keys.named["backend"]
        assert keys.named["backend"] not in await page.evaluate("JSON.stringify({...localStorage}) + document.cookie + location.href")
        await page.get_by_role("button", name="API 키 지우기").click()
        assert await page.evaluate("sessionStorage.length") == 0


async def test_limits_and_faults_are_said_in_words(browser: Browser, compiled: Path) -> None:
    async with LlmServer() as llm:
        llm.answer = status(500)
        settings = {"llm_server_url": llm.url, "fallback": "off", "rate_limit_recommend": "2/hour", **OPENAI}
        async with running(compiled, **settings) as service, visiting(browser, service.url) as visitor:
            problem = visitor.page.locator("#problem")
            await visitor.page.clock.install()
            await visitor.open()
            await visitor.wish(WISH, finished=False)
            await expect(problem).to_contain_text("요청 번호")
            await expect(problem).to_be_focused()
            await visitor.wish(WISH, finished=False)
            await expect(problem).to_contain_text("요청 번호")
            await visitor.wish(WISH, finished=False)
            await expect(problem).to_contain_text("요청이 너무 많습니다")
            await expect(problem.get_by_role("button")).to_be_disabled()
            await visitor.page.clock.run_for(3_000)
            await expect(problem.get_by_role("button")).to_have_text("다시 시도")
            await expect(problem.get_by_role("button")).to_be_enabled()
            assert await visitor.faults() == []


async def test_the_strip_tells_what_is_down_and_rests_while_nobody_looks(browser: Browser, compiled: Path) -> None:
    async with LlmServer() as llm:
        llm.answer = status(500)
        settings = {"llm_server_url": llm.url, "llm_breaker_failures": 1, **OPENAI}
        async with running(compiled, **settings) as service, visiting(browser, service.url) as visitor:
            page = visitor.page
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/health") else None)
            await page.clock.install()
            await visitor.open()
            await expect(page.locator("#health .part")).to_have_count(5)
            await service.recommend(WISH)
            await page.clock.run_for(16_000)
            await expect(page.locator("#health li[data-status=DOWN]")).to_have_text("언어 모델 응답 없음")
            assert "일부만 동작" in await visitor.text("#health")
            await page.evaluate("Object.defineProperty(document, 'hidden', {get: () => window.away, configurable: true})")
            await page.evaluate("window.away = true; document.dispatchEvent(new Event('visibilitychange'))")
            before = len(asked)
            await page.clock.run_for(120_000)
            assert len(asked) == before
            async with page.expect_request("**/health"):
                await page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
