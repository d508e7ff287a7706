"""Several LLM servers behind one client: whom it asks, whom it asks next, and how often it may ask again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from opuscine.errors import UpstreamError
from opuscine.guard.deadline import Deadline
from opuscine.guard.retry import RetryPolicy
from opuscine.llm.ask import LlmAsk, LlmReply
from opuscine.llm.client import LlmClient
from opuscine.llm.server import llm_breaker
from opuscine.llm.session import llm_session
from opuscine.model import DegradedReason, Suggestion
from opuscine.settings import LlmSettings
from support.completions import completion, films, streamed
from support.llm_server import Behaviour, LlmServer, cut, drop, garbage, hang, refusal, slow, status
from support.manual_clock import ManualClock

ASK = LlmAsk(message="비 오는 날 볼만한 영화")


@asynccontextmanager
async def client_of(
    servers: Sequence[LlmServer], *, retry: RetryPolicy | None = None, queue_s: float = 0.0, **changed: Any
) -> AsyncIterator[LlmClient]:
    """Build a client; `changed` names settings. Breakers go by a clock that stands still."""
    values: dict[str, Any] = {
        "urls": tuple(server.url for server in servers),
        "protocol": "movie-recommend",
        "timeout_s": 5.0,
        "max_concurrent": 64,
        "breaker_failures": 3,
        "breaker_open_s": 10.0,
        "max_reply_bytes": 1_000_000,
    }
    settings = LlmSettings(**values | changed)
    async with llm_session(settings) as session:
        yield LlmClient.open(
            settings, session, retry=retry or RetryPolicy(base_s=0.01), breaker_clock=ManualClock(), rng=lambda: 0.5, queue_s=queue_s
        )


@pytest.fixture
async def pair() -> AsyncIterator[list[LlmServer]]:
    """Run two LLM servers."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(LlmServer()) for _ in range(2)]


async def ask(client: LlmClient, *, budget_s: float = 10.0) -> LlmReply:
    """Ask with a fresh deadline."""
    return await client.recommend(ASK, deadline=Deadline(budget_s), headers={})


async def fault_of(client: LlmClient, *, budget_s: float = 10.0) -> UpstreamError:
    """Ask, and return the error that must come."""
    with pytest.raises(UpstreamError) as failed:
        await ask(client, budget_s=budget_s)
    return failed.value


def asked(servers: Sequence[LlmServer]) -> list[int]:
    """Return how many questions each got."""
    return [len(server.requests) for server in servers]


async def until_asked(server: LlmServer, times: int = 1) -> None:
    """Wait until a server works on so many questions, at most 5 s."""
    async with asyncio.timeout(5):
        while server.in_flight < times:
            await asyncio.sleep(0.005)


# Whom it asks


async def test_idle_servers_take_turns(pair: list[LlmServer]) -> None:
    async with client_of(pair) as client:
        assert [server.name for server in client.servers] == ["llm-1", "llm-2"]
        for _ in range(6):
            await ask(client)
    assert asked(pair) == [3, 3]


async def test_the_one_with_the_fewest_calls_under_way_is_asked(pair: list[LlmServer]) -> None:
    pair[0].answer = hang()
    async with client_of(pair) as client:
        hanging = asyncio.create_task(ask(client))
        await until_asked(pair[0])
        for _ in range(4):
            await ask(client)
        assert asked(pair) == [1, 4]
        hanging.cancel()
        await asyncio.wait({hanging})
        assert [server.limit.in_flight for server in client.servers] == [0, 0]


async def test_each_server_has_room_for_its_own_maximum_and_beyond_both_it_is_full(pair: list[LlmServer]) -> None:
    for server in pair:
        server.answer = slow(0.3)
    async with client_of(pair, max_concurrent=2) as client:
        answers = await asyncio.gather(*(ask(client) for _ in range(10)), return_exceptions=True)
        reasons = [answer.reason for answer in answers if isinstance(answer, UpstreamError)]
    assert reasons == [DegradedReason.OVERLOADED] * 6
    assert [server.most_in_flight for server in pair] == [2, 2]


async def test_who_finds_all_full_waits_shortly_for_a_place_at_any_of_them(pair: list[LlmServer]) -> None:
    pair[0].answer = hang()
    pair[1].answer = slow(0.1)
    async with client_of(pair, max_concurrent=1, queue_s=2.0) as client:
        calls = [asyncio.create_task(ask(client)) for _ in range(3)]
        done, waiting = await asyncio.wait(calls, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 2:
            more, waiting = await asyncio.wait(waiting, timeout=5, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        assert asked(pair) == [1, 2]
        for call in waiting:
            call.cancel()
        await asyncio.wait(waiting)


async def test_a_server_whose_breaker_is_open_is_left_alone_and_gets_its_one_trial(pair: list[LlmServer]) -> None:
    async with client_of(pair) as client:
        client.servers[0].breaker.open()
        for _ in range(4):
            await ask(client)
        assert asked(pair) == [0, 4]
        client.servers[0].breaker.half_open()
        pair[0].answer = pair[1].answer = slow(0.1)
        await asyncio.gather(*(ask(client) for _ in range(6)))
        assert asked(pair) == [1, 9]
        assert client.servers[0].breaker.closed


async def test_when_every_breaker_is_open_nobody_is_asked_and_the_earliest_trial_is_named(pair: list[LlmServer]) -> None:
    async with client_of(pair) as client:
        for server in client.servers:
            server.breaker.open()
        fault = await fault_of(client)
        assert (fault.reason, fault.retry_after_s) == (DegradedReason.BREAKER_OPEN, 10.0)
        assert [server.breaker.info.refused for server in client.servers] == [1, 1]
    assert asked(pair) == [0, 0]


async def test_a_server_that_refuses_a_form_does_not_spoil_it_for_the_other(pair: list[LlmServer]) -> None:
    async def takes_no_schema(request: Any) -> Any:
        asked_form = (await request.json()).get("response_format")
        return await (status(400) if asked_form else completion(films("기생충")))(request)

    pair[0].answer, pair[1].answer = takes_no_schema, completion(films("기생충"))
    async with client_of(pair, protocol="openai", model="test") as client:
        for _ in range(4):
            await ask(client)
    assert "response_format" not in pair[0].requests[-1].json
    assert pair[1].requests[-1].json["response_format"]["type"] == "json_schema"


# Whom it asks next


@pytest.mark.parametrize(
    "failing",
    [status(500), status(503, Retry_After="60"), status(429), refusal(), garbage(), cut(), drop()],
    ids=["500", "503", "429", "refusal", "garbage", "cut", "closed"],
)
async def test_what_one_fails_at_another_is_asked_at_once(pair: list[LlmServer], failing: Behaviour) -> None:
    pair[0].answer = failing
    async with client_of(pair) as client:
        began = time.monotonic()
        assert (await ask(client)).suggestions
        assert time.monotonic() - began < 2
        assert client.stats()["repeated"] == {"retries": 0, "failovers": 1, "denied": 0}
    assert asked(pair) == [1, 1]


async def test_a_dead_server_costs_no_caller_its_films_and_is_soon_left_alone(pair: list[LlmServer]) -> None:
    await pair[0].stop()
    async with client_of(pair) as client:
        for _ in range(20):
            assert (await ask(client)).suggestions
        assert [server.breaker.state_name for server in client.servers] == ["open", "closed"]
        assert client.failovers == 3


@pytest.mark.parametrize("code", [400, 401, 404, 413, 422])
async def test_what_our_question_is_to_blame_for_is_not_asked_elsewhere(pair: list[LlmServer], code: int) -> None:
    pair[0].answer = status(code)
    async with client_of(pair) as client:
        assert (await fault_of(client)).reason is DegradedReason.LLM_ERROR
    assert asked(pair) == [1, 0]


async def test_when_both_fail_the_last_one_is_tried_again_and_each_is_blamed_once(pair: list[LlmServer]) -> None:
    for server in pair:
        server.answer = status(500)
    async with client_of(pair) as client:
        assert (await fault_of(client)).reason is DegradedReason.LLM_ERROR
        assert [server.breaker.fail_counter for server in client.servers] == [1, 1]
        assert client.stats()["repeated"] == {"retries": 2, "failovers": 1, "denied": 0}
    assert asked(pair) == [1, 3]


async def test_a_slow_failure_that_leaves_too_little_time_ends_the_call(pair: list[LlmServer]) -> None:
    pair[0].answer = slow(0.5, status(500))
    async with client_of(pair, retry=RetryPolicy(quick_s=0.1)) as client:
        assert (await fault_of(client, budget_s=0.9)).reason is DegradedReason.LLM_ERROR
        assert asked(pair) == [1, 0]


async def test_a_slow_failure_that_leaves_enough_time_does_not(pair: list[LlmServer]) -> None:
    pair[0].answer = slow(0.3, status(500))
    async with client_of(pair, retry=RetryPolicy(quick_s=0.1)) as client:
        assert (await ask(client)).suggestions


async def test_a_silent_server_is_given_up_in_time_for_another_whose_answers_are_quick(pair: list[LlmServer]) -> None:
    async with client_of(pair, timeout_s=2.0) as client:
        await ask(client)
        await ask(client)
        pair[0].answer = hang()
        began = time.monotonic()
        assert (await ask(client)).suggestions
        assert 0.5 < time.monotonic() - began < 1.9
        assert client.servers[0].breaker.fail_counter == 1


async def test_a_slow_server_is_not_given_up_for_one_that_is_usually_no_quicker(pair: list[LlmServer]) -> None:
    for server in pair:
        server.answer = slow(0.5)
    async with client_of(pair, timeout_s=1.2) as client:
        await ask(client)
        await ask(client)
        pair[0].answer = slow(0.8)
        assert (await ask(client)).suggestions
        assert client.failovers == 0


async def test_a_cancelled_caller_leaves_no_place_taken_at_either(pair: list[LlmServer]) -> None:
    pair[0].answer, pair[1].answer = status(500), hang()
    async with client_of(pair) as client:
        call = asyncio.create_task(ask(client))
        await until_asked(pair[1])
        call.cancel()
        await asyncio.wait({call})
        assert [server.limit.in_flight for server in client.servers] == [0, 0]


# Streams


async def stream_into(parts: list[Suggestion | LlmReply], client: LlmClient) -> None:
    """Keep what a stream gives until it ends or fails."""
    async for part in client.stream(ASK, deadline=Deadline(10.0), headers={}):
        parts.append(part)  # noqa: PERF401  what came before a failure is kept


async def test_a_stream_that_fails_before_its_first_film_comes_from_the_other(pair: list[LlmServer]) -> None:
    pair[0].answer = status(500)
    pair[1].answer = completion(films("기생충", "괴물"))
    async with client_of(pair, protocol="openai", model="test") as client:
        parts: list[Suggestion | LlmReply] = []
        await stream_into(parts, client)
    assert [part.title for part in parts if isinstance(part, Suggestion)] == ["기생충", "괴물"]
    assert asked(pair) == [1, 1]


async def test_a_stream_that_has_shown_a_film_is_never_asked_anew(pair: list[LlmServer]) -> None:
    text = films("기생충", "괴물", "올드보이")
    pair[0].answer = streamed([text[: text.index("올드보이")]], then_cut=True)
    pair[1].answer = completion(text)
    async with client_of(pair, protocol="openai", model="test") as client:
        parts: list[Suggestion | LlmReply] = []
        with pytest.raises(UpstreamError) as failed:
            await stream_into(parts, client)
    assert failed.value.reason is DegradedReason.LLM_BAD_REPLY
    assert parts
    assert asked(pair) == [1, 0]


# How often


async def test_a_storm_of_failures_is_not_multiplied(pair: list[LlmServer]) -> None:
    """Both servers fail 300 callers; ten repetitions and a tenth of the calls are all that comes on top."""
    for server in pair:
        server.answer = status(500)
    async with client_of(pair, breaker_failures=1000) as client:
        for _ in range(30):
            await asyncio.gather(*(ask(client) for _ in range(10)), return_exceptions=True)
        repeated = client.stats()["repeated"]
    assert sum(asked(pair)) <= 300 + 10 + 30
    assert repeated["retries"] + repeated["failovers"] == sum(asked(pair)) - 300
    assert repeated["denied"] > 100


# What slow answers do


@pytest.mark.parametrize(
    ("slow_s", "took_s", "state"), [(None, 7.9, "closed"), (None, 8.1, "open"), (3.0, 2.9, "closed"), (3.0, 3.1, "open")]
)
async def test_answers_as_slow_as_the_setting_or_four_fifths_of_the_longest_time_open_the_breaker(
    slow_s: float | None, took_s: float, state: str
) -> None:
    clock = ManualClock()
    settings = LlmSettings(
        urls=("http://llm.internal",),
        protocol="movie-recommend",
        timeout_s=10.0,
        max_concurrent=64,
        breaker_failures=5,
        breaker_open_s=10.0,
        max_reply_bytes=1_000_000,
        slow_s=slow_s,
    )
    breaker = llm_breaker(settings, clock=clock)

    async def answer() -> None:
        clock.advance(took_s)

    for _ in range(20):
        await breaker.call(answer)
        clock.advance(-took_s)  # as if they ran at once
    assert breaker.state_name == state


async def test_the_stats_show_limit_and_base_of_the_path_and_of_each_server() -> None:
    async with LlmServer() as llm, client_of([llm]) as client:
        assert client.stats()["calls"]["base_ms"] is None
        for _ in range(10):
            await ask(client)
        stats = client.stats()
    assert stats["calls"]["base_ms"] > 0
    assert (stats["calls"]["limit"], stats["calls"]["max"], stats["calls"]["in_flight"], stats["calls"]["waiting"]) == (16, 64, 0, 0)
    assert stats["servers"]["llm"]["base_ms"] == stats["calls"]["base_ms"]


async def test_an_address_with_credentials_is_shown_without_them() -> None:
    async with LlmServer() as llm:
        secret = llm.url.replace("http://", "http://user:secret@")
        async with client_of([llm], urls=(secret,)) as client:
            assert (await ask(client)).suggestions
            assert "secret" not in client.servers[0].address
            assert "secret" not in repr(client.stats())
        assert llm.requests[0].headers["Authorization"].startswith("Basic ")


async def test_good_replies_of_all_servers_are_counted_together(pair: list[LlmServer]) -> None:
    for server in pair:
        server.answer = completion(films("기생충"))
    async with client_of(pair, protocol="openai", model="test") as client:
        await asyncio.gather(ask(client), ask(client))
        assert (client.usage.prompt, client.usage.completion) == (200, 40)
