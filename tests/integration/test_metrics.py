"""What `/metrics` tells: every figure after the traffic that makes it, in few series, without holding up anyone, from all workers."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from opuscine.keys import MEASURES
from support.api_server import FilmServer
from support.door import OTT, Keys, Load
from support.llm_server import LlmServer, drop, reply, slow
from support.metrics_page import OPENMETRICS, Page, scrape
from support.notified import unit
from support.process import ServiceProcess, serving
from support.redis_gateways import LoopWatch
from support.service import Service, running

MOST_SERIES = 2_000


async def test_requests_are_counted_under_micrometers_names_by_the_template_of_their_address(service: Service) -> None:
    before = await scrape(service.caller, service.url)
    for number in (496243, 129, 496243):
        await service.get(f"/api/movies/{number}/ott")
    await service.get("/api/movies/0/ott", status=422)
    await service.get("/secret-address", status=404)
    async with service.caller.request("PROPFIND", f"{service.url}/health") as response:
        assert response.status == 405
    page = await scrape(service.caller, service.url)
    name = "http_server_requests_seconds_count"
    assert page.value(name, method="GET", uri="/api/movies/{id}/ott", status="200", outcome="SUCCESS") == 3
    assert page.value(name, method="GET", uri="/api/movies/{id}/ott", status="422", outcome="CLIENT_ERROR") == 1
    assert page.value(name, method="GET", uri="UNKNOWN", status="404", outcome="CLIENT_ERROR") == 1
    assert page.value(name, method="OTHER", uri="UNKNOWN", status="405", outcome="CLIENT_ERROR") == 1
    assert page.value("http_server_requests_seconds_bucket", le="+Inf") == page.value(name)
    assert page.value("http_server_requests_seconds_sum") > 0
    assert "/metrics" not in before.labels("uri")
    assert page.value(name, uri="/metrics") == 1
    assert page.value("opuscine_requests_in_flight") == 1
    assert page.value("opuscine_ott_titles_total", tier="local") == 3


async def test_what_goes_over_the_network_is_counted(service: Service) -> None:
    before = await scrape(service.caller, service.url)
    size = 0
    for _ in range(10):
        async with service.caller.get(service.url + OTT, headers={"X-Padding": "x" * 1000}) as response:
            size = len(await response.read())
    after = await scrape(service.caller, service.url)

    def grown(name: str) -> float:
        return after.value(name) - before.value(name)

    assert grown("opuscine_network_receive_bytes_total") > 10_000
    assert grown("opuscine_network_transmit_bytes_total") > 9 * size
    assert after.value("opuscine_connections_open") == 1


async def test_both_forms_are_valid_and_tell_the_same(service: Service) -> None:
    await service.recommend()
    text, openmetrics = await scrape(service.caller, service.url), await scrape(service.caller, service.url, OPENMETRICS)
    assert text.documented.keys() == openmetrics.documented.keys()
    assert text.names <= openmetrics.names  # the loop's lag may have been looked at in between
    assert "counter" in set(text.documented.values())
    assert "unknown" not in set(openmetrics.documented.values())


async def test_the_models_part_is_counted(compiled: Path) -> None:
    async with LlmServer() as llm, running(compiled, llm_server_url=llm.url, llm_breaker_failures=2, cache_ttl=0) as service:
        llm.answer = slow(0.2, reply())
        await asyncio.gather(*(service.recommend("함께 묻는 문장") for _ in range(3)))
        llm.answer = drop()
        for number in range(3):
            await service.recommend(f"문장 {number}")
        page = await scrape(service.caller, service.url)
    assert page.value("http_client_requests_seconds_count", client_name="llm", method="POST", uri="/movie-recommend", status="200") == 1
    assert page.value("http_client_requests_seconds_count", client_name="llm", status="IO_ERROR", outcome="UNKNOWN") >= 2
    assert page.value("opuscine_calls_saved_total", upstream="llm") == 2
    assert page.value("opuscine_grounded_total", method="id+title") == 1
    assert page.value("opuscine_rejected_total") == 0
    assert page.value("opuscine_recommendations_total", source="llm") == 3
    assert page.value("opuscine_recommendations_total", source="catalogue") == 3
    assert page.value("opuscine_fallbacks_total") == 3
    assert page.value("opuscine_fallbacks_total", reason="breaker_open") >= 1
    assert page.value("opuscine_breaker_state", upstream="llm", state="open") == 1
    assert page.value("opuscine_breaker_state", upstream="llm") == 1
    assert page.value("opuscine_breaker_opened_total", upstream="llm") == 1
    assert 1 <= page.value("opuscine_llm_limit", upstream="llm") <= 64
    assert page.value("opuscine_llm_in_flight") == page.value("opuscine_llm_waiting") == 0
    assert page.value("opuscine_breaker_refused_total", upstream="llm") >= 1
    assert "문장" not in str(page)


async def test_the_api_servers_part_is_counted_without_ids(compiled: Path) -> None:
    async with FilmServer() as api, running(compiled, api_server_url=api.url) as service:
        await service.get("/api/movies/987654321/ott")
        page = await scrape(service.caller, service.url)
    assert page.value("http_client_requests_seconds_count", client_name="api_server", method="GET", uri="/movie/{id}") == 1
    assert page.value("opuscine_upstream_up", upstream="api_server") in {0, 1}
    assert "987654321" not in str(page)


async def test_who_is_turned_away_is_counted(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, reader="read", watcher="metrics")
    async with running(compiled, **keys.settings, rate_limit_read="2/hour", auth_failures=3) as service:
        await service.get(OTT, status=401)
        for number in range(4):
            await service.get(OTT, headers={"X-Api-Key": f"oc_wrong{number}_{secrets.token_hex(8)}"}, status=401 if number < 3 else 429)
        for number in range(4):
            await service.get(OTT, headers=keys["reader"], status=200 if number < 2 else 429)
        await service.get("/metrics", status=429)
        await service.get("/metrics", headers=keys["reader"], status=403)
        page = await scrape(service.caller, service.url, keys["watcher"])
    assert page.value("opuscine_authentication_failures_total", reason="missing") == 1
    assert page.value("opuscine_authentication_failures_total", reason="too_many_failures") == 2
    assert page.value("opuscine_authentication_failures_total") == 6
    assert page.value("opuscine_rate_limited_total", limit="read") == 2
    assert page.value("opuscine_rate_limit_allowed_total", limit="read") == 2


async def test_the_process_and_the_catalogue_are_told_of(service: Service) -> None:
    page = await scrape(service.caller, service.url)
    assert page.value("opuscine_catalogue_titles", kind="movie") == 267
    assert page.value("opuscine_catalogue_as_of_timestamp_seconds") > 1_500_000_000
    assert page.value("opuscine_catalogue_reload_failed") == 0
    assert page.value("process_cpu_seconds_total") > 0
    assert page.value("process_resident_memory_bytes") > 10_000_000
    assert page.value("opuscine_ready") == page.value("opuscine_worker_up", worker="0") == 1
    for _ in range(100):
        if "opuscine_event_loop_lag_seconds_count" in (page := await scrape(service.caller, service.url)).names:
            break
        await asyncio.sleep(0.05)
    assert page.value("opuscine_event_loop_lag_seconds_count") > 0


async def test_ten_thousand_requests_with_random_paths_users_and_keys_make_few_series(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, backend="read recommend act_as", watcher="metrics")
    rng = random.Random(5)
    secret, place = "geheim", "irgendwo"  # an answer may say where it was asked for, and a request's id; nothing else that a caller sends

    def request() -> tuple[str, str, dict[str, str], dict[str, str] | None]:
        word, named = (f"{kind}{rng.randrange(10**9)}" for kind in (secret, place))
        method = rng.choice(["GET", "GET", "GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD", "PROPFIND", "MKCOL", "PURGE"])
        paths = [
            f"/{named}",
            f"/api/movies/{rng.randrange(10**9)}/ott",
            f"/api/tv/{named}/ott",
            f"/view?movieId={named}",
            f"/health/{named}",
        ]
        paths += ["/api/movies/popular", "/openapi.json", "/health", f"/api/movies/ott?ids={rng.randrange(10**6)}", "/admin/stats"]
        credentials = rng.choice([keys["backend"], keys["backend"], {"X-Api-Key": f"oc_{word}"}, {"Authorization": f"Bearer {word}"}, {}])
        if rng.random() < 0.1:
            headers = {**credentials, "X-Request-Id": named}
            return "POST", "/api/movies/recommend", headers, {"message": word, "user_id": word}
        return method, rng.choice(paths), {**credentials, "traceparent": word}, None

    async with running(compiled, **keys.settings, auth_failures=100_000, log_level="warning") as service:

        async def caller(requests: int) -> None:
            for _ in range(requests):
                method, path, headers, body = request()
                async with service.caller.request(method, service.url + path, headers=headers, json=body) as response:
                    await response.read()

        await asyncio.gather(*(caller(500) for _ in range(20)))
        page = await scrape(service.caller, service.url, keys["watcher"])
    assert page.value("http_server_requests_seconds_count") == 10_000
    assert len(page.samples) < MOST_SERIES
    assert not [word for word in (secret, place) if word in str(page).lower()]


async def test_even_if_every_address_gave_every_status_the_series_stay_few(service: Service) -> None:
    """The bound does not depend on what was thought of: beyond so many sets of labels addresses are folded."""
    requests = service.app[MEASURES].requests
    for number in range(500):
        requests.observe(0.1, ("GET", f"/address/{number}", str(400 + number % 20), "CLIENT_ERROR"))
    page = await scrape(service.caller, service.url)
    assert len(page.samples) < MOST_SERIES
    assert page.value("http_server_requests_seconds_count", uri="OTHER") > 0


async def test_a_scrape_of_a_loaded_service_holds_up_nobody(service: Service) -> None:
    """On a quiet machine a scrape adds under 5 ms (docs/observability.md); here the bound is loose, as the machine may be busy."""
    requests = service.app[MEASURES].requests
    for number in range(100):
        requests.observe(0.1, ("GET", f"/address/{number}", "200", "SUCCESS"))
    stalls = []
    async with Load(service.caller, service.url + OTT).running(4) as load:
        for _ in range(5):
            async with LoopWatch() as watch:
                page = await scrape(service.caller, service.url)
            stalls.append(watch.longest_stall_s)
            assert len(page.samples) > 900
    assert {answer.status for answer in load.answers} == {200}
    assert min(stalls) < 0.1


async def test_scrapes_at_the_same_time_share_one_page(service: Service) -> None:
    pages = await asyncio.gather(*(scrape(service.caller, service.url) for _ in range(20)))
    assert len({page.value("opuscine_catalogue_titles") for page in pages}) == 1
    after = await scrape(service.caller, service.url)
    assert after.value("http_server_requests_seconds_count", uri="/metrics", status="200") == 20


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder with a short path: a socket's may have 107 bytes."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "metrics"


@asynccontextmanager
async def workers(home: Path, folder: Path, number: int) -> AsyncIterator[list[ServiceProcess]]:
    """Run processes with one cache and one folder of metrics, one after the other, so that the n-th has the slot n."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(serving(home, cache_dir=home / "cache", metrics_dir=folder, log_level="info"))
            for _ in range(number)
        ]


async def count_of(service: ServiceProcess, **labels: str) -> float:
    page = await scrape(service.caller, service.url)
    return page.value("http_server_requests_seconds_count", uri="/api/movies/{id}/ott", **labels)


async def ask(service: ServiceProcess, times: int) -> None:
    for _ in range(times):
        async with service.caller.get(service.url + OTT) as response:
            assert response.status == 200


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    """Poll: a worker on a busy machine may take longer than the others wait for its page."""
    async with asyncio.timeout(20):
        while not await what():
            await asyncio.sleep(0.05)


async def test_any_of_three_processes_shows_all_and_one_that_is_killed_harms_no_others_figures(tmp_path: Path, folder: Path) -> None:
    async with workers(tmp_path, folder, 3) as (first, second, third):
        await ask(first, 1)
        await ask(second, 20)
        await ask(third, 300)

        async def all_shown() -> bool:
            with contextlib.suppress(AssertionError):
                return [await count_of(service) for service in (first, second, third)] == [321] * 3
            return False

        await until(all_shown)
        assert [await count_of(first, worker=str(slot)) for slot in range(3)] == [1, 20, 300]

        second.process.send_signal(signal.SIGKILL)
        await second.process.wait()
        page = await scrape(first.caller, first.url)
        assert page.value("opuscine_worker_up", worker="1") == 0
        assert "1" not in {dict(borne).get("worker") for name, borne in page.samples if name.startswith("http_")}
        assert [await count_of(third, worker=slot) for slot in ("0", "2")] == [1, 300]

        async with serving(tmp_path, cache_dir=tmp_path / "cache", metrics_dir=folder) as again:
            await ask(again, 4)

            async def back() -> bool:
                page = await scrape(first.caller, first.url)
                return page.value("opuscine_worker_up", worker="1") == 1

            await until(back)
            page = await scrape(third.caller, third.url)
            counts = [page.value("http_server_requests_seconds_count", uri="/api/movies/{id}/ott", worker=str(slot)) for slot in range(3)]
            assert counts == [1, 4, 300]
            assert page.value("process_start_time_seconds", worker="1") > page.value("process_start_time_seconds", worker="2")


async def test_a_part_that_is_not_set_up_has_no_samples(service: Service) -> None:
    async with aiohttp.ClientSession() as caller:
        page: Page = await scrape(caller, service.url)
    assert not [name for name in page.names if name.startswith("opuscine_redis_")]
    assert page.documented["opuscine_redis_uses"] == "counter"


async def test_workers_of_one_parent_are_shown_together_without_a_setting(tmp_path: Path) -> None:
    settings = {"workers": 2, "port": 0, "environment": "development", "cache_dir": tmp_path / "cache"}
    async with unit(tmp_path, settings) as service:
        url = await service.url()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as caller:
            for _ in range(20):
                async with caller.get(url + OTT) as response:
                    assert response.status == 200

            async def both() -> bool:
                page = await scrape(caller, url)
                if page.labels("worker") != {"1", "2"} or page.value("opuscine_worker_up") != 2:
                    return False
                return page.value("http_server_requests_seconds_count", uri="/api/movies/{id}/ott") == 20

            await until(both)
        assert (await service.stopped())[0] == 0
