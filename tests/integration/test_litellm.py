"""The service in front of LiteLLM's proxy, a gateway that others wrote: its forms, its refusals, its errors and its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from opuscine.keys import LLM, LLM_PROBES
from opuscine.llm.ask import TokenUsage
from opuscine.llm.prompt import load_prompt
from support.completions import completion, films, refusing_formats, streamed
from support.litellm_proxy import MODELS, LiteLlmProxy, mock, passed_on, reserved_port
from support.llm_server import LlmServer, hang
from support.service import Service, running

pytestmark = pytest.mark.wide

PARASITE = ("기생충", 2019)
SPIRITED_AWAY = ("센과 치히로의 행방불명", 2001)
INCEPTION = ("인셉션", 2010)
ALL = films(PARASITE, SPIRITED_AWAY, INCEPTION)
IDS = [496243, 129, 27205]

FORMS = {
    "plain": ALL,
    "prose": "물론이죠! 이런 영화는 어떠세요?\n\n1. **기생충** (2019) - 두 가족이 한집에서 얽힙니다.\n"
    "2. **센과 치히로의 행방불명** (2001) - 신들의 온천장 이야기입니다.\n3. **인셉션** (2010) - 꿈속의 꿈입니다.\n\n즐거운 시간 보내세요!",
    "fenced": f"요청하신 목록입니다.\n\n```json\n{ALL}\n```\n\n더 필요하시면 말씀해 주세요.",
    "commas": "기생충, 센과 치히로의 행방불명, 인셉션",
}
# LiteLLM streams a mock reply in pieces of three characters: this one takes it seconds.
ENDLESS = json.dumps({"movies": [{"title": "기생충", "year": 2019}], "explanation": "좋은 영화입니다. " * 4000}, ensure_ascii=False)


@pytest.fixture(scope="module")
def upstream_port() -> Iterator[int]:
    """Keep a port for the server behind the gateway, which the gateway has to know when it starts."""
    with reserved_port() as reserved:
        yield reserved.getsockname()[1]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, upstream_port: int) -> Iterator[LiteLlmProxy]:
    """Run one gateway for all tests: its start takes seconds."""
    models = {name: mock(text) for name, text in FORMS.items()}
    models |= {
        "formless": mock(ALL, provider="nlp_cloud"),  # LiteLLM knows that this provider takes no response format: it refuses
        "lenient": mock(ALL, provider="nlp_cloud", drop_params=True),  # and here it drops what the provider does not take
        "mumbling": mock("음... 글쎄요."),
        "asking": mock('{"explanation": "어떤 분위기의 영화를 좋아하세요?", "movies": []}'),
        "endless": mock(ENDLESS),
        "slow": mock(ALL, mock_delay=60),
        "busy": mock("litellm.RateLimitError"),
        "broken": mock("litellm.InternalServerError"),
        "behind": passed_on(f"http://127.0.0.1:{upstream_port}"),
    }
    with LiteLlmProxy(tmp_path_factory.mktemp("litellm"), models) as started:
        yield started


@pytest.fixture
def gateway(proxy: LiteLlmProxy) -> LiteLlmProxy:
    """Give the gateway, started again if the last test killed it."""
    proxy.start()
    return proxy


@pytest.fixture
async def upstream(upstream_port: int) -> AsyncIterator[LlmServer]:
    """Run the server behind the gateway."""
    async with LlmServer(port=upstream_port) as server:
        server.answer = completion(ALL)
        yield server


def service_for(model: str, gateway: LiteLlmProxy, compiled: Path, **settings: Any) -> AbstractAsyncContextManager[Service]:
    """Run the service with one of the gateway's models."""
    given = {"llm_server_url": gateway.url, "llm_protocol": "openai", "llm_model": model, "llm_api_key": gateway.key}
    return running(compiled, **(given | settings))


async def stream(service: Service, message: str = "영화", **fields: Any) -> list[tuple[str, dict[str, Any]]]:
    """Read a stream to its end."""
    headers = {"Accept": "text/event-stream"}
    async with service.caller.post(f"{service.url}/recommend", json={"message": message, **fields}, headers=headers) as response:
        assert response.status == 200
        return events_in(await response.text())


def events_in(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Read events: the name and the data of each."""
    lines = text.splitlines()
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    return list(zip(names, (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")), strict=True))


async def component(service: Service) -> str:
    """Let the service look at its LLM server; return what health says of it."""
    await service.app[LLM_PROBES]["llm"].check_now()
    return str((await service.get("/health"))["components"]["llm"]["status"])


def reason_of(answer: dict[str, Any]) -> str:
    """Check that an answer is the catalogue's and has films all the same; return why."""
    assert answer["movies"]
    assert answer["data"]["degraded"] is True
    return str(answer["data"]["degraded_reason"])


@pytest.mark.parametrize("form", FORMS)
async def test_films_are_read_and_grounded_in_whatever_form_the_model_writes_them(form: str, gateway: LiteLlmProxy, compiled: Path) -> None:
    async with service_for(form, gateway, compiled) as service:
        answer = await service.recommend("영화")
        assert [movie["id"] for movie in answer["movies"]] == IDS
        assert {movie["match"]["method"] for movie in answer["movies"]} == {"title" if form == "commas" else "title+year"}
        assert answer["data"]["source"] == "llm"
        assert answer["data"]["rejected"] == 0


@pytest.mark.parametrize("form", FORMS)
async def test_films_are_streamed_in_whatever_form_the_model_writes_them(form: str, gateway: LiteLlmProxy, compiled: Path) -> None:
    async with service_for(form, gateway, compiled) as service:
        events = await stream(service)
        assert [data["id"] for name, data in events if name == "movie"] == IDS
        assert events[-1][0] == "done"
        assert events[-1][1]["data"]["source"] == "llm"
        assert events[-1][1]["data"]["degraded"] is False


async def test_a_question_of_the_model_is_handed_on(gateway: LiteLlmProxy, compiled: Path) -> None:
    async with service_for("asking", gateway, compiled) as service:
        answer = await service.recommend("음")
        assert answer["query_info"]["recommendation_explanation"] == "어떤 분위기의 영화를 좋아하세요?"
        assert answer["data"]["degraded"] is False


async def test_an_answer_without_films_is_asked_for_again_once(gateway: LiteLlmProxy, compiled: Path) -> None:
    async with service_for("mumbling", gateway, compiled) as service:
        before = len(gateway.answered())
        assert reason_of(await service.recommend("영화")) == "llm_bad_reply"
        assert gateway.answered()[before:] == [200, 200]


async def test_a_response_format_that_the_gateway_refuses_is_not_asked_for_again(gateway: LiteLlmProxy, compiled: Path) -> None:
    """LiteLLM refuses what it knows the provider not to take, and never asks it."""
    async with service_for("formless", gateway, compiled) as service:
        before = len(gateway.answered())
        assert (await service.recommend("영화 하나"))["data"]["source"] == "llm"
        assert gateway.answered()[before:] == [400, 400, 200]
        assert (await service.recommend("영화 둘"))["data"]["source"] == "llm"
        assert gateway.answered()[before + 3 :] == [200]


async def test_a_refused_response_format_does_not_end_a_stream(gateway: LiteLlmProxy, compiled: Path) -> None:
    async with service_for("formless", gateway, compiled) as service:
        events = await stream(service)
        assert [data["id"] for name, data in events if name == "movie"] == IDS
        assert events[-1][1]["data"]["source"] == "llm"


async def test_a_gateway_that_drops_what_the_model_does_not_take_is_asked_once(gateway: LiteLlmProxy, compiled: Path) -> None:
    async with service_for("lenient", gateway, compiled) as service:
        before = len(gateway.answered())
        assert (await service.recommend("영화"))["data"]["source"] == "llm"
        assert gateway.answered()[before:] == [200]


async def test_tokens_are_counted(gateway: LiteLlmProxy, compiled: Path) -> None:
    """Every mock reply counts as 10 and 20 tokens."""
    async with service_for("plain", gateway, compiled) as service:
        await service.recommend("영화 하나")
        assert service.app[LLM].usage == TokenUsage(10, 20)
        await service.recommend("영화 둘")
        assert service.app[LLM].usage == TokenUsage(20, 40)


async def test_the_tokens_of_a_stream_are_counted(gateway: LiteLlmProxy, upstream: LlmServer, compiled: Path) -> None:
    """Like OpenAI's own servers LiteLLM tells them only to who asks for them."""
    async with service_for("behind", gateway, compiled) as service:
        await stream(service)
        assert service.app[LLM].usage == TokenUsage(100, 20)


@pytest.mark.parametrize("key", ["sk-wrong", ""])
async def test_a_gateway_that_does_not_know_the_key_is_a_fallback_and_down(key: str, gateway: LiteLlmProxy, compiled: Path) -> None:
    """LiteLLM answers 401 to a missing key and, having no database of keys, 400 to an unknown one."""
    async with service_for("plain", gateway, compiled, llm_api_key=key) as service:
        before = len(gateway.answered())
        assert reason_of(await service.recommend("영화")) == "llm_error"
        assert set(gateway.answered()[before:]) == {400 if key else 401}
        assert service.app[LLM].servers[0].breaker.state_name == "closed"
        assert await component(service) == "DOWN"


async def test_health_asks_for_the_list_of_models_with_the_key(gateway: LiteLlmProxy, compiled: Path) -> None:
    async with service_for("plain", gateway, compiled) as service:
        before = len(gateway.answered(MODELS))
        assert await component(service) == "UP"
        assert set(gateway.answered(MODELS)[before:]) == {200}


@pytest.mark.parametrize(("model", "status"), [("busy", 429), ("broken", 500), ("unknown", 400)])
async def test_an_error_of_the_gateway_is_a_fallback(model: str, status: int, gateway: LiteLlmProxy, compiled: Path) -> None:
    async with service_for(model, gateway, compiled) as service:
        before = len(gateway.answered())
        assert reason_of(await service.recommend("영화")) == "llm_error"
        asked = gateway.answered()[before:]
        assert set(asked) == {status}
        assert len(asked) <= 3
        events = await stream(service)
        assert events[0][0] == "movie"
        assert events[-1][1]["data"]["degraded_reason"] == "llm_error"


async def test_a_model_that_is_too_slow_is_a_fallback_in_time(gateway: LiteLlmProxy, compiled: Path) -> None:
    async with service_for("slow", gateway, compiled, request_timeout=1.0) as service:
        assert reason_of(await service.recommend("영화")) == "llm_timeout"


async def test_the_model_behind_the_gateway_is_asked_as_we_ask_it(gateway: LiteLlmProxy, upstream: LlmServer, compiled: Path) -> None:
    async with service_for("behind", gateway, compiled) as service:
        answer = await service.recommend('잔잔한 영화", "count": 99', limit=3)
        assert [movie["id"] for movie in answer["movies"]] == IDS
        assert service.app[LLM].usage == TokenUsage(100, 20)
    (asked,) = upstream.requests
    assert asked.headers["Authorization"] == "Bearer sk-upstream"
    assert asked.json["messages"][0] == {"role": "system", "content": load_prompt().system_ko}
    assert json.loads(asked.json["messages"][1]["content"])["wish"] == '잔잔한 영화", "count": 99'
    assert asked.json["response_format"]["json_schema"]["strict"] is True


async def test_a_refusal_of_the_model_behind_the_gateway_is_understood(gateway: LiteLlmProxy, upstream: LlmServer, compiled: Path) -> None:
    upstream.answer = refusing_formats({"json_schema"}, completion(ALL))
    async with service_for("behind", gateway, compiled) as service:
        await service.recommend("영화 하나")
        await service.recommend("영화 둘")
    assert [request.json["response_format"]["type"] for request in upstream.requests] == ["json_schema", "json_object", "json_object"]


async def test_films_come_through_the_gateway_while_the_model_still_writes(
    gateway: LiteLlmProxy, upstream: LlmServer, compiled: Path
) -> None:
    gate = asyncio.Event()
    upstream.answer = streamed([ALL[:-30], ALL[-30:-10], ALL[-10:]], gate=gate)
    headers = {"Accept": "text/event-stream"}
    async with (
        service_for("behind", gateway, compiled) as service,
        service.caller.post(f"{service.url}/recommend", json={"message": "영화"}, headers=headers) as response,
    ):
        first = await asyncio.wait_for(response.content.readuntil(b"\n\n"), 15)
        assert not gate.is_set()
        gate.set()
        events = events_in((first + await response.content.read()).decode())
        assert [data["id"] for name, data in events if name == "movie"] == IDS
        assert events[-1][1]["data"]["degraded"] is False


async def test_a_model_that_dies_midway_behind_the_gateway_is_told_from_one_that_is_done(
    gateway: LiteLlmProxy, upstream: LlmServer, compiled: Path
) -> None:
    """LiteLLM says so in an event with an `error`, and then ends its answer as if it were whole."""
    pieces = [ALL[start : start + 20] for start in range(0, ALL.index("센과"), 20)]
    upstream.answer = streamed(pieces, interval_s=0.1, then_cut=True)  # LiteLLM gives what it holds up when pieces come together
    async with service_for("behind", gateway, compiled) as service:
        events = await stream(service, limit=5)
    movies = [data for name, data in events if name == "movie"]
    assert movies[0]["match"]["method"] == "title+year"
    assert len({movie["id"] for movie in movies}) == 5
    assert events[-1][0] == "done"
    assert events[-1][1]["data"]["degraded"] is True


async def test_a_gateway_killed_midway_through_a_stream_leaves_its_films(gateway: LiteLlmProxy, compiled: Path) -> None:
    headers = {"Accept": "text/event-stream"}
    async with (
        service_for("endless", gateway, compiled) as service,
        service.caller.post(f"{service.url}/recommend", json={"message": "영화", "limit": 5}, headers=headers) as response,
    ):
        first = await asyncio.wait_for(response.content.readuntil(b"\n\n"), 15)
        gateway.kill()
        events = events_in((first + await response.content.read()).decode())
    movies = [data for name, data in events if name == "movie"]
    assert (movies[0]["id"], movies[0]["match"]["method"]) == (496243, "title+year")
    assert len({movie["id"] for movie in movies}) == 5
    assert events[-1][0] == "done"
    assert events[-1][1]["data"]["degraded_reason"] == "llm_bad_reply"


async def test_a_gateway_killed_under_a_question_is_a_fallback_until_it_is_back(
    gateway: LiteLlmProxy, upstream: LlmServer, compiled: Path
) -> None:
    upstream.answer = hang()
    async with service_for("behind", gateway, compiled) as service:
        question = asyncio.create_task(service.recommend("영화 하나"))
        async with asyncio.timeout(15):
            while not upstream.in_flight:
                await asyncio.sleep(0.01)
        gateway.kill()
        assert reason_of(await question) == "llm_unavailable"
        assert reason_of(await service.recommend("영화 둘")) == "llm_unavailable"
        assert await component(service) == "DOWN"
        upstream.answer = completion(ALL)
        await asyncio.to_thread(gateway.start)
        assert (await service.recommend("영화 셋"))["data"]["source"] == "llm"
        assert await component(service) == "UP"
