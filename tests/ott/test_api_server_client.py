"""The way to the API server, against a real one on real sockets: what each fault becomes, and that nothing leaks."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from opuscine.errors import SettingsError
from opuscine.guard.breaker import Breaker
from opuscine.guard.deadline import Deadline
from opuscine.guard.probe import CachedProbe
from opuscine.model import Kind, OttLink, TitleRef
from opuscine.ott.api_server import ApiServer, ApiServerError, ApiServerSettings, api_breaker, api_session
from opuscine.providers.table import ProviderTable
from support.api_server import FilmServer
from support.llm_server import Behaviour, cut, drop, garbage, hang, huge, raw_reply, redirect, status
from support.manual_clock import ManualClock
from support.redis_server import free_port

TABLE = ProviderTable.load()
FILM = TitleRef(Kind.MOVIE, 615)
SERIES = TitleRef(Kind.TV, 615)
ADDRESS = "https://www.netflix.com/kr/title/1"
BODY = {"movie": {"id": 615, "ott_links": [ADDRESS]}}
PARASITE = {"id": 496243, "title": "기생충"}


@dataclass
class Rig:
    """A client, and what was given to it."""

    server: ApiServer
    breaker: Breaker
    session: aiohttp.ClientSession
    clock: ManualClock  # of the breaker

    async def links(
        self, ref: TitleRef = FILM, *, within_s: float = 2.0, headers: dict[str, str] | None = None
    ) -> tuple[OttLink, ...] | None:
        ends_at = asyncio.get_running_loop().time() + within_s
        return await self.server.links(ref, ends_at=ends_at, headers=headers or {})

    async def fails(self, call: Callable[[], Awaitable[Any]] | None = None) -> ApiServerError:
        with pytest.raises(ApiServerError) as caught:
            await (call or self.links)()
        return caught.value


@asynccontextmanager
async def rig(url: str, **settings: Any) -> AsyncIterator[Rig]:
    given = ApiServerSettings(url, **settings)
    clock = ManualClock()
    breaker = api_breaker(given, clock=clock)
    async with api_session(given) as session:
        yield Rig(ApiServer(session, given, breaker, table=TABLE, region="KR"), breaker, session, clock)


@pytest.fixture
async def api() -> AsyncIterator[FilmServer]:
    async with FilmServer({"/movie/615": BODY, "/tv/615": {"tv": {"ott_links": []}}}, prefix="/films") as running:
        yield running


async def test_films_and_series_have_addresses_of_their_own(api: FilmServer) -> None:
    async with rig(api.url) as client:
        found = await client.links(FILM, headers={"X-Request-Id": "abc"})
        assert found is not None
        assert [link.link for link in found] == [ADDRESS]
        assert await client.links(SERIES) == ()
    assert api.asked == ["/movie/615", "/tv/615"]
    sent = api.requests[0].headers
    assert (sent["X-Request-Id"], sent["Accept-Encoding"], sent["User-Agent"][:9]) == ("abc", "identity", "opuscine/")


@pytest.mark.parametrize("code", [404, 410])
async def test_a_title_that_the_server_does_not_know_is_none_and_no_failure(api: FilmServer, code: int) -> None:
    api.answer = status(code)
    async with rig(api.url) as client:
        assert await client.links() is None
        assert client.breaker.fail_counter == 0


FAULTS: dict[str, Behaviour] = {
    "500": status(500),
    "429": status(429),
    "redirect": redirect("http://127.0.0.1:1/elsewhere"),
    "garbage": garbage(),
    "another title": raw_reply(b'{"movie": {"id": 7, "ott_links": []}}'),
    "too long": huge(70_000),
    "encoded": raw_reply(json.dumps(BODY).encode(), headers={"Content-Encoding": "br"}),
    "cut": cut(),
    "cut in chunks": cut(chunked=True),
    "dropped": drop(),
    "reset": drop(reset=True),
    "no HTTP": drop(after=b"SSH-2.0-OpenSSH\r\n\r\n"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_is_one_kind_of_error_and_counts(api: FilmServer, fault: str) -> None:
    api.answer = FAULTS[fault]
    async with rig(api.url, max_reply_bytes=65_536) as client:
        error = await client.fails()
        assert (error.counts, client.breaker.fail_counter) == (True, 1)
        api.answer = None
        assert await client.links()
        assert client.breaker.fail_counter == 0


async def test_a_server_that_is_not_there_is_one_too() -> None:
    async with rig(f"http://127.0.0.1:{free_port()}") as client:
        assert "cannot be reached" in str(await client.fails())
        assert client.breaker.fail_counter == 1


@pytest.mark.parametrize("code", [400, 401, 403, 422])
async def test_what_our_request_is_at_fault_for_does_not_count_against_the_server(api: FilmServer, code: int) -> None:
    api.answer = status(code)
    async with rig(api.url) as client:
        assert str(code) in str(await client.fails())
        assert client.breaker.fail_counter == 0


async def test_a_redirect_is_not_followed(api: FilmServer) -> None:
    async with FilmServer() as elsewhere, rig(api.url) as client:
        api.answer = redirect(elsewhere.url)
        assert "API_SERVER_URL" in str(await client.fails())
    assert elsewhere.asked == []


async def test_a_server_that_hangs_is_given_up_in_time_and_counts(api: FilmServer) -> None:
    api.answer = hang()
    async with rig(api.url, timeout_s=0.2) as client:
        began = time.monotonic()
        error = await client.fails(lambda: client.links(within_s=0.2))
        assert 0.15 <= time.monotonic() - began < 1.0
        assert (error.counts, error.cut_short) == (True, False)


async def test_a_caller_in_a_hurry_does_not_open_the_breaker_for_the_others(api: FilmServer) -> None:
    api.answer = hang()
    async with rig(api.url, timeout_s=2.0) as client:
        error = await client.fails(lambda: client.links(within_s=0.05))
        assert (error.counts, error.cut_short, client.breaker.fail_counter) == (None, True, 0)


async def test_the_breaker_opens_refuses_without_a_call_and_lets_one_trial_through(api: FilmServer) -> None:
    api.answer = status(500)
    async with rig(api.url, breaker_failures=3) as client:
        client.server.check()
        for _ in range(3):
            await client.fails()
        assert "open" in str(await client.fails())
        with pytest.raises(ApiServerError, match="open"):
            client.server.check()
        assert len(api.asked) == 3
        api.answer = None
        client.clock.advance(10)
        client.server.check()
        assert await client.links()
        assert client.breaker.closed


async def test_no_more_calls_run_at_once_than_are_allowed(api: FilmServer) -> None:
    api.delay_s = 0.02
    async with rig(api.url, max_concurrent=3) as client:
        await asyncio.gather(*(client.links() for _ in range(12)))
    assert (len(api.asked), api.most_in_flight) == (12, 3)


async def test_a_call_that_gets_no_turn_in_its_time_is_not_made(api: FilmServer) -> None:
    api.answer = hang()
    async with rig(api.url, max_concurrent=1, timeout_s=5.0) as client:
        first = asyncio.create_task(client.links(within_s=5.0))
        while not api.in_flight:
            await asyncio.sleep(0.005)
        error = await client.fails(lambda: client.links(within_s=0.05))
        assert (error.counts, error.cut_short) == (None, True)
        first.cancel()
        await asyncio.wait({first})
        api.answer = None
        assert await client.links()  # the turn of the cancelled one is free again
    assert len(api.asked) == 2


async def test_when_the_caller_leaves_so_does_the_call(api: FilmServer) -> None:
    api.answer = hang()
    async with rig(api.url) as client:
        call = asyncio.create_task(client.links())
        while not api.in_flight:
            await asyncio.sleep(0.005)
        call.cancel()
        await asyncio.wait({call})
        async with asyncio.timeout(5):
            while not api.abandoned:
                await asyncio.sleep(0.005)


async def test_a_long_answer_is_read_too(api: FilmServer) -> None:
    """In a thread, so that the loop goes on meanwhile; what is wrong with it is found there too."""
    links = [f"https://www.netflix.com/kr/title/{number}" for number in range(1000)]
    api.titles["/movie/615"] = {"movie": {"ott_links": links}}
    api.titles["/movie/1"] = {"movie": {"id": 2, "ott_links": links}}
    async with rig(api.url) as client:
        found = await client.links()
        assert found is not None
        assert len(found) == 1000
        assert "another title" in str(await client.fails(lambda: client.links(TitleRef(Kind.MOVIE, 1))))


async def test_an_answer_beyond_the_bound_is_not_read_to_its_end(api: FilmServer) -> None:
    api.titles["/movie/615"] = {"movie": {"ott_links": [f"https://www.netflix.com/kr/title/{number}" for number in range(1000)]}}
    async with rig(api.url, max_reply_bytes=20_000) as client:
        assert "over 20000 bytes" in str(await client.fails())


async def test_after_the_end_of_the_session_there_is_an_error_that_blames_nobody(api: FilmServer) -> None:
    async with rig(api.url) as client:
        await client.session.close()
        assert (await client.fails()).counts is None


@pytest.mark.parametrize("url", ["ftp://films", "films:80", "", "http://", "http://[::1"])
async def test_an_address_that_cannot_be_used_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="API_SERVER_URL"):
        async with rig(url):
            pytest.fail("it was taken")


async def test_popular_films_come_by_page(api: FilmServer) -> None:
    api.popular = raw_reply(json.dumps({"movies": [PARASITE], "total_results": 300}).encode())
    async with rig(api.url) as client:
        page = await client.server.popular(3, 20, headers={"X-Request-Id": "abc"})
    assert ([film.title for film in page.films], page.total) == (["기생충"], 300)
    assert api.asked == ["/popular?page=3&limit=20"]
    assert api.requests[0].headers["X-Request-Id"] == "abc"


@pytest.mark.parametrize("behaviour", [status(404), status(500), garbage(), raw_reply(b'{"movies": []}')])
async def test_without_a_usable_page_there_is_an_error_to_fall_back_by(api: FilmServer, behaviour: Behaviour) -> None:
    api.popular = behaviour
    async with rig(api.url) as client:
        await client.fails(lambda: client.server.popular(1, 20))


async def test_popular_films_are_waited_for_no_longer_than_the_deadline_allows(api: FilmServer) -> None:
    api.popular = hang()
    clock = ManualClock()
    async with rig(api.url) as client:
        began = time.monotonic()
        await client.fails(lambda: client.server.popular(1, 20, deadline=Deadline(0.25)))
        assert time.monotonic() - began < 0.25
        late = Deadline(1.0, clock)
        clock.advance(0.9)
        assert "no time" in str(await client.fails(lambda: client.server.popular(1, 20, deadline=late)))
    assert len(api.asked) == 1


@pytest.mark.parametrize("code", [200, 204, 302, 401, 404])
async def test_every_answer_below_500_shows_that_the_server_is_up(api: FilmServer, code: int) -> None:
    api.health = status(code)
    async with rig(api.url) as client:
        details = await client.server.probe()
    assert details["status"] == code
    assert details["latency_ms"] >= 0


async def test_a_redirect_of_the_probe_is_not_followed(api: FilmServer) -> None:
    api.health = redirect(f"http://127.0.0.1:{free_port()}/")
    async with rig(api.url) as client:
        assert (await client.server.probe())["status"] == 307


@pytest.mark.parametrize("behaviour", [status(500), status(503), hang(), drop()])
async def test_a_server_that_is_not_well_is_down(api: FilmServer, behaviour: Behaviour) -> None:
    api.health = behaviour
    async with rig(api.url, timeout_s=0.2) as client:
        probe = CachedProbe("api_server", client.server.probe, interval_s=60, timeout_s=1)
        assert (await probe.check_now()).up is False
        assert client.breaker.fail_counter == 0


@pytest.mark.parametrize(("took_s", "state"), [(1.5, "closed"), (1.7, "open")])
async def test_twenty_answers_of_which_half_took_four_fifths_of_the_longest_time_open_the_breaker(took_s: float, state: str) -> None:
    clock = ManualClock()
    breaker = api_breaker(ApiServerSettings(url="http://api.internal", timeout_s=2.0), clock=clock)

    async def answer(number: int) -> None:
        took = took_s if number % 2 else 0.1
        clock.advance(took)

    for number in range(20):
        before = clock.now
        await breaker.call(answer, number)
        clock.now = before  # as if they ran at once
    assert breaker.state_name == state


async def test_twenty_calls_of_which_half_fail_open_the_breaker_though_no_five_fail_in_a_row(api: FilmServer) -> None:
    breaker = api_breaker(ApiServerSettings(url=api.url), clock=ManualClock())

    async def answer(number: int) -> None:
        if number % 2:
            raise ApiServerError("it answered 500")

    for number in range(20):
        with suppress(ApiServerError):
            await breaker.call(answer, number)
    assert breaker.state_name == "open"
