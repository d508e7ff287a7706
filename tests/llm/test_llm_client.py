"""The client against a real server on real sockets: what each fault becomes, and that nothing leaks."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from opuscine.errors import SettingsError, UpstreamError
from opuscine.guard.adaptive_limit import AdaptiveLimit
from opuscine.guard.awake_clock import AwakeClock
from opuscine.guard.breaker import Breaker
from opuscine.guard.deadline import Deadline
from opuscine.guard.retry import RetryPolicy
from opuscine.llm.ask import LlmAsk, LlmReply
from opuscine.llm.client import LlmClient
from opuscine.llm.server import LlmServer as AskedServer
from opuscine.llm.session import llm_session
from opuscine.model import DegradedReason
from opuscine.settings import LlmSettings
from support.llm_server import (
    PARASITE,
    Behaviour,
    LlmServer,
    cut,
    drip,
    drop,
    garbage,
    hang,
    huge,
    raw_reply,
    redirect,
    refusal,
    reply,
    slow,
    status,
)
from support.manual_clock import ManualClock

ASK = LlmAsk("비 오는 날 볼만한 영화", user_id="u-1", page=2, limit=5)
ONCE = RetryPolicy(attempts=1)


@dataclass
class Rig:
    """A client, and what was given to it."""

    client: LlmClient
    server: AskedServer
    breaker: Breaker
    limit: AdaptiveLimit
    session: aiohttp.ClientSession
    breaker_clock: ManualClock

    async def ask(self, ask: LlmAsk = ASK, *, budget_s: float = 10.0, **headers: str) -> LlmReply:
        """Ask with a fresh deadline; headers are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.recommend(ask, deadline=Deadline(budget_s), headers=named)

    async def fault(self, *, budget_s: float = 10.0) -> UpstreamError:
        """Ask, and return the error that must come."""
        with pytest.raises(UpstreamError) as failed:
            await self.ask(budget_s=budget_s)
        return failed.value


RigMaker = Callable[..., Awaitable[Rig]]


@asynccontextmanager
async def rig_for(
    url: str,
    *,
    retry: RetryPolicy = ONCE,
    rng: Callable[[], float] = lambda: 0.5,
    limit_clock: Callable[[], float] | None = None,
    **changed: Any,
) -> AsyncIterator[Rig]:
    """Build a client for an address; `changed` names settings."""
    values: dict[str, Any] = {
        "urls": (url,),
        "protocol": "movie-recommend",
        "timeout_s": 5.0,
        "max_concurrent": 200,
        "breaker_failures": 3,
        "breaker_open_s": 10.0,
        "max_reply_bytes": 1_000_000,
    }
    settings = LlmSettings(**values | changed)
    clock = ManualClock()
    async with llm_session(settings) as session:
        client = LlmClient.open(settings, session, retry=retry, limit_clock=limit_clock, breaker_clock=clock, rng=rng, queue_s=0.0)
        [server] = client.servers
        yield Rig(client, server, server.breaker, server.limit, session, clock)


@pytest.fixture
async def llm() -> AsyncIterator[LlmServer]:
    async with LlmServer() as server:
        yield server


@pytest.fixture
async def rig(llm: LlmServer) -> AsyncIterator[Rig]:
    async with rig_for(llm.url) as rig:
        yield rig


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something on the other side of a socket, at most 5 s."""
    async with asyncio.timeout(5):
        for pause_s in itertools.chain([0.0] * 10, itertools.repeat(0.005)):
            if condition():
                return
            await asyncio.sleep(pause_s)


# What goes out and what comes back


async def test_it_asks_as_the_protocol_says_and_reads_the_reply(llm: LlmServer, rig: Rig) -> None:
    answer = await rig.ask(traceparent="00-ab-cd-01", X_Request_Id="r1")
    assert answer.suggestions[0].id == PARASITE["id"]
    assert answer.ids_trusted
    [request] = llm.requests
    assert (request.method, request.path) == ("POST", "/movie-recommend")
    assert request.json == {"message": "비 오는 날 볼만한 영화", "user_id": "u-1", "context": {"page": 2, "limit": 5}}
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["traceparent"] == "00-ab-cd-01"
    assert request.headers["X-Request-Id"] == "r1"
    assert "비".encode() in request.body, "UTF-8, unescaped"
    assert "Cookie" not in request.headers


@pytest.mark.parametrize(("prefix", "slash"), [("", "/"), ("/models/llm", ""), ("/models/llm", "/")])
async def test_the_address_may_have_a_path_and_a_closing_slash(prefix: str, slash: str) -> None:
    async with LlmServer(prefix=prefix) as llm, rig_for(llm.url + slash) as rig:
        await rig.ask()
        await rig.server.probe()
        assert llm.requests[0].path == f"{prefix}/movie-recommend"
        assert llm.probes[0].path == f"{prefix}/health"


async def test_all_calls_go_over_kept_connections_of_the_one_session(llm: LlmServer, rig: Rig) -> None:
    for _ in range(5):
        await rig.ask()
    assert {request.connection for request in llm.requests} == {1}


async def test_cookies_and_proxy_variables_mean_nothing(llm: LlmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with rig_for(llm.url.replace("127.0.0.1", "localhost")) as rig:  # aiohttp's own jar would keep it for a name, not for an address
        llm.answer = raw_reply(b'{"success": true, "movies": []}', headers={"Set-Cookie": "session=1"})
        await rig.ask()
        await rig.ask()
    assert "Cookie" not in llm.requests[1].headers


@pytest.mark.parametrize("content_type", ["text/plain", "text/html; charset=euc-kr", "application/octet-stream"])
async def test_valid_json_of_any_content_type_is_accepted(llm: LlmServer, rig: Rig, content_type: str) -> None:
    llm.answer = reply(content_type=content_type)
    assert (await rig.ask()).suggestions[0].title == "기생충"


@pytest.mark.parametrize(
    ("url", "protocol"),
    [("llm.internal:8080", "movie-recommend"), ("ftp://x", "movie-recommend"), ("http://[", "movie-recommend"), ("http://x", "grpc")],
)
async def test_an_address_or_protocol_we_cannot_use_names_its_setting(url: str, protocol: str) -> None:
    with pytest.raises(SettingsError, match="LLM_SERVER_URL" if protocol == "movie-recommend" else "LLM_PROTOCOL"):
        async with rig_for(url, protocol=protocol):
            pytest.fail("must not be built")


# Each fault has its reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(status(500), DegradedReason.LLM_ERROR, id="500"),
        pytest.param(status(503), DegradedReason.LLM_ERROR, id="503"),
        pytest.param(status(404), DegradedReason.LLM_ERROR, id="404"),
        pytest.param(status(422), DegradedReason.LLM_ERROR, id="422"),
        pytest.param(status(429), DegradedReason.LLM_ERROR, id="429"),
        pytest.param(refusal(), DegradedReason.LLM_ERROR, id="success-false"),
        pytest.param(garbage(), DegradedReason.LLM_BAD_REPLY, id="garbage"),
        pytest.param(raw_reply(b""), DegradedReason.LLM_BAD_REPLY, id="empty"),
        pytest.param(raw_reply(b'{"detail": "hello"}'), DegradedReason.LLM_BAD_REPLY, id="no-movies"),
        pytest.param(raw_reply(b"\x1f\x8b\x08", headers={"Content-Encoding": "gzip"}), DegradedReason.LLM_BAD_REPLY, id="encoded"),
        pytest.param(cut(), DegradedReason.LLM_BAD_REPLY, id="cut"),
        pytest.param(cut(chunked=True), DegradedReason.LLM_BAD_REPLY, id="cut-chunked"),
        pytest.param(huge(2_000_000), DegradedReason.LLM_BAD_REPLY, id="huge"),
        pytest.param(drop(after=b"SSH-2.0-OpenSSH_9.2\r\n"), DegradedReason.LLM_BAD_REPLY, id="not-http"),
        pytest.param(drop(), DegradedReason.LLM_UNAVAILABLE, id="closed"),
        pytest.param(drop(reset=True), DegradedReason.LLM_UNAVAILABLE, id="reset"),
        pytest.param(drop(after=b"HTTP/1.1 200 OK\r\nContent-Le"), DegradedReason.LLM_UNAVAILABLE, id="closed-in-the-head"),
    ],
)
async def test_each_fault_is_one_word_of_the_contract(llm: LlmServer, rig: Rig, answer: Behaviour, reason: DegradedReason) -> None:
    llm.answer = answer
    fault = await rig.fault()
    assert fault.reason is reason
    assert len(llm.requests) == 1
    assert (rig.limit.in_flight, rig.breaker.closed) == (0, True)
    llm.answer = reply()
    assert (await rig.ask()).suggestions, "and the next call is not harmed by it"


@pytest.mark.parametrize("answer", [hang(), drip(), slow(30)], ids=["hang", "drip", "slow"])
async def test_what_takes_too_long_is_a_timeout_after_llm_timeout(llm: LlmServer, answer: Behaviour) -> None:
    llm.answer = answer
    async with rig_for(llm.url, timeout_s=0.2) as rig:
        began = time.monotonic()
        fault = await rig.fault()
        assert 0.19 <= time.monotonic() - began < 0.5
        assert fault.reason is DegradedReason.LLM_TIMEOUT
        assert fault.slow
        assert rig.breaker.fail_counter == 1
        await until(lambda: llm.in_flight == 0)


async def test_a_refused_connection_is_unavailable_and_a_restarted_server_answers_again(llm: LlmServer, rig: Rig) -> None:
    await rig.ask()
    await llm.stop()
    assert (await rig.fault()).reason is DegradedReason.LLM_UNAVAILABLE
    await llm.start()
    assert (await rig.ask()).suggestions


async def test_an_unknown_host_is_unavailable() -> None:
    async with rig_for("http://llm.invalid") as rig:
        assert (await rig.fault()).reason is DegradedReason.LLM_UNAVAILABLE


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_error_and_its_target_never_contacted(llm: LlmServer, rig: Rig, code: int) -> None:
    async with LlmServer() as elsewhere:
        llm.answer = redirect(f"{elsewhere.url}/movie-recommend", code)
        llm.health = redirect(f"{elsewhere.url}/health", code)
        assert (await rig.fault()).reason is DegradedReason.LLM_ERROR
        with pytest.raises(UpstreamError):
            await rig.server.probe()
        assert (elsewhere.requests, elsewhere.probes, elsewhere.strays) == ([], [], [])


async def test_a_closed_session_is_unavailable_and_says_nothing_of_the_server(llm: LlmServer, rig: Rig) -> None:
    await rig.session.close()
    assert (await rig.fault()).reason is DegradedReason.LLM_UNAVAILABLE
    assert rig.breaker.fail_counter == 0


async def test_an_answer_encoded_unasked_is_named_as_that(llm: LlmServer, rig: Rig) -> None:
    llm.answer = raw_reply(b"\x1f\x8b\x08", headers={"Content-Encoding": "gzip"})
    assert "encoded (gzip)" in str(await rig.fault())
    assert llm.requests[0].headers["Accept-Encoding"] == "identity"


async def test_a_body_is_not_read_past_its_bound(llm: LlmServer) -> None:
    llm.answer = huge(500_000_000)
    async with rig_for(llm.url, max_reply_bytes=100_000) as rig:
        began = time.monotonic()
        assert (await rig.fault()).reason is DegradedReason.LLM_BAD_REPLY
        assert time.monotonic() - began < 1
        await until(lambda: llm.in_flight == 0)


# Time


async def test_the_server_is_told_the_rest_of_its_time_on_each_attempt(llm: LlmServer) -> None:
    llm.next_answers = [slow(0.1, status(503)), slow(0.1, status(503))]
    async with rig_for(llm.url, retry=RetryPolicy(base_s=0.02)) as rig:
        await rig.ask(budget_s=2.0)
    told = [int(request.headers["X-Request-Timeout-Ms"]) for request in llm.requests]
    assert len(told) == 3
    assert 1500 < told[0] <= 1600, "the budget less a fifth"
    assert told[0] - 100 >= told[1] >= told[2] + 100


async def test_the_call_ends_with_its_share_of_the_deadline(llm: LlmServer, rig: Rig) -> None:
    llm.answer = hang()
    began = time.monotonic()
    assert (await rig.fault(budget_s=0.5)).reason is DegradedReason.LLM_TIMEOUT
    assert 0.35 < time.monotonic() - began < 0.5


@pytest.mark.parametrize("earlier_calls", [0, 1])
async def test_a_deadline_that_is_used_up_is_a_timeout_without_a_call(llm: LlmServer, rig: Rig, earlier_calls: int) -> None:
    for _ in range(earlier_calls):  # a connection lies ready
        await rig.ask()
    late = Deadline.after(1.0, started_at=time.monotonic() - 0.9)
    with pytest.raises(UpstreamError) as failed:
        await rig.client.recommend(ASK, deadline=late, headers={})
    assert failed.value.reason is DegradedReason.LLM_TIMEOUT
    assert rig.breaker.fail_counter == 0
    await rig.ask()
    assert len(llm.requests) == earlier_calls + 1


async def test_callers_who_give_less_time_than_answers_take_cannot_open_the_breaker_for_others(llm: LlmServer, rig: Rig) -> None:
    llm.answer = slow(0.3)
    await rig.ask()
    for _ in range(4):
        assert (await rig.fault(budget_s=0.1)).reason is DegradedReason.LLM_TIMEOUT
    assert (rig.breaker.closed, rig.breaker.fail_counter) == (True, 0)
    llm.answer = hang()
    for _ in range(3):
        await rig.fault(budget_s=0.5)
    assert not rig.breaker.closed, "who gave enough does"


async def test_one_slow_start_does_not_excuse_the_server_for_long(llm: LlmServer, rig: Rig) -> None:
    llm.next_answers = [slow(0.3)]
    await rig.ask()
    await rig.ask()
    llm.answer = hang()
    await rig.fault(budget_s=0.1)
    assert rig.breaker.fail_counter == 1


async def test_who_gives_half_of_the_longest_time_has_given_enough(llm: LlmServer) -> None:
    async with rig_for(llm.url, timeout_s=0.4) as rig:
        llm.answer = slow(0.35)
        await rig.ask()
        llm.answer = hang()
        await rig.fault(budget_s=0.3)
        assert rig.breaker.fail_counter == 1


async def test_answers_that_become_slower_are_noticed_gradually(llm: LlmServer, rig: Rig) -> None:
    llm.answer = slow(0.05)
    await rig.ask()
    llm.answer = slow(0.15)
    for _ in range(12):
        await rig.ask()
    llm.answer = hang()
    await rig.fault(budget_s=0.1)
    assert rig.breaker.fail_counter == 0


async def expired(rig: Rig, llm: LlmServer, *, after_s: float) -> UpstreamError:
    """Ask with plenty of time, bring the deadline forward a while after the question has arrived, and return the error."""
    deadline = Deadline(100.0)
    asking = asyncio.create_task(rig.client.recommend(ASK, deadline=deadline, headers={}))
    await until(lambda: llm.in_flight > 0)
    await asyncio.sleep(after_s)
    deadline.expire()
    with pytest.raises(UpstreamError) as failed:
        await asyncio.wait_for(asking, 5)
    return failed.value


async def test_a_silent_server_is_counted_against_when_everyone_has_left_in_time(llm: LlmServer, rig: Rig) -> None:
    """The deadline is brought forward inside of what the breaker guards, which therefore sees a timeout and no cancellation."""
    llm.answer = hang()
    for _ in range(3):
        assert (await expired(rig, llm, after_s=0.0)).reason is DegradedReason.LLM_TIMEOUT
        await until(lambda: not llm.in_flight)
    assert not rig.breaker.closed
    assert rig.limit.in_flight == 0


async def test_who_leave_sooner_than_answers_usually_come_say_nothing_of_the_server(llm: LlmServer, rig: Rig) -> None:
    """How long was really waited counts, and not how long might have been."""
    llm.next_answers = [slow(1.0)]
    await rig.ask()
    llm.answer = hang()
    await expired(rig, llm, after_s=0.0)
    assert (rig.breaker.closed, rig.breaker.fail_counter) == (True, 0)


@pytest.mark.parametrize("answer", [hang(), drip()], ids=["head", "body"])
async def test_a_cancelled_caller_ends_the_call_promptly_and_leaks_no_slot(llm: LlmServer, rig: Rig, answer: Behaviour) -> None:
    llm.answer = answer
    call = asyncio.create_task(rig.ask())
    await until(lambda: llm.in_flight == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert rig.limit.in_flight == 0
    assert rig.breaker.fail_counter == 0
    await until(lambda: llm.in_flight == 0)
    llm.answer = reply()
    assert (await rig.ask()).suggestions


# Again?


async def test_a_kept_connection_closed_by_the_server_is_retried_once_at_once(llm: LlmServer, rig: Rig) -> None:
    await rig.ask()
    llm.next_answers = [drop()]
    assert (await rig.ask()).suggestions
    assert [request.connection for request in llm.requests] == [1, 1, 2]
    assert rig.breaker.fail_counter == 0


async def test_a_kept_connection_reset_by_the_server_is_retried_once_at_once(llm: LlmServer, rig: Rig) -> None:
    await rig.ask()
    llm.next_answers = [drop(reset=True)]
    assert (await rig.ask()).suggestions
    assert len(llm.requests) == 3


async def test_a_server_that_closes_every_connection_is_not_asked_endlessly(llm: LlmServer, rig: Rig) -> None:
    await rig.ask()
    llm.answer = drop()
    assert (await rig.fault()).reason is DegradedReason.LLM_UNAVAILABLE
    assert len(llm.requests) == 3, "the one that lay idle, and one more"


@pytest.mark.parametrize(("retry", "attempts"), [(ONCE, 2), (RetryPolicy(base_s=0.01), 3)])
async def test_of_two_stale_connections_in_a_row_only_the_first_is_retried_at_once(
    llm: LlmServer, retry: RetryPolicy, attempts: int
) -> None:
    async with rig_for(llm.url, retry=retry) as rig:
        llm.answer = slow(0.05)
        await asyncio.gather(rig.ask(), rig.ask())
        assert {request.connection for request in llm.requests} == {1, 2}
        llm.next_answers = [drop(), drop()]
        outcome = await asyncio.gather(rig.ask(), return_exceptions=True)
        assert isinstance(outcome[0], UpstreamError) == (retry is ONCE)
        assert len(llm.requests) == 2 + attempts


async def test_a_connection_that_dies_with_part_of_an_answer_is_not_retried(llm: LlmServer) -> None:
    async with rig_for(llm.url, retry=RetryPolicy(base_s=0.01)) as rig:
        await rig.ask()
        llm.next_answers = [drop(after=b"HTTP/1.1 200 OK\r\nContent-Le")]
        assert (await rig.fault()).reason is DegradedReason.LLM_UNAVAILABLE
        assert len(llm.requests) == 2


async def test_a_kept_connection_that_dies_after_long_work_is_not_retried(llm: LlmServer) -> None:
    async with rig_for(llm.url, retry=RetryPolicy(base_s=0.01, quick_s=0.05)) as rig:
        await rig.ask()
        llm.answer = slow(0.1, drop())
        assert (await rig.fault()).reason is DegradedReason.LLM_UNAVAILABLE
        assert len(llm.requests) == 2


@pytest.mark.parametrize(
    "failing", [status(500), status(502), status(503), status(429), drop()], ids=["500", "502", "503", "429", "closed"]
)
async def test_quick_failures_are_tried_again_and_count_nothing_once_one_succeeds(llm: LlmServer, failing: Behaviour) -> None:
    llm.next_answers = [failing, failing]
    async with rig_for(llm.url, retry=RetryPolicy(base_s=0.01)) as rig:
        assert (await rig.ask()).suggestions
        assert len(llm.requests) == 3
        assert rig.breaker.fail_counter == 0


async def test_attempts_are_bounded_and_count_as_one_failure(llm: LlmServer) -> None:
    llm.answer = status(500)
    async with rig_for(llm.url, retry=RetryPolicy(base_s=0.01)) as rig:
        assert (await rig.fault()).reason is DegradedReason.LLM_ERROR
        assert len(llm.requests) == 3
        assert rig.breaker.fail_counter == 1


@pytest.mark.parametrize(
    "failing",
    [slow(0.1, status(500)), status(404), status(501), refusal(), garbage(), cut()],
    ids=["slow", "404", "501", "refusal", "garbage", "cut"],
)
async def test_slow_failures_and_those_that_would_only_repeat_are_not_tried_again(llm: LlmServer, failing: Behaviour) -> None:
    llm.answer = failing
    async with rig_for(llm.url, retry=RetryPolicy(base_s=0.01, quick_s=0.05)) as rig:
        await rig.fault()
        assert len(llm.requests) == 1


async def test_a_server_that_is_back_within_the_backoff_is_reached(llm: LlmServer) -> None:
    refused = asyncio.Event()

    def draw() -> float:
        refused.set()
        return 1.0

    async with rig_for(llm.url, retry=RetryPolicy(base_s=0.2), rng=draw) as rig:
        await llm.stop()
        call = asyncio.create_task(rig.ask())
        await refused.wait()
        await llm.start()
        assert (await call).suggestions


async def test_retry_after_within_the_deadline_is_waited_for(llm: LlmServer) -> None:
    llm.next_answers = [status(429, Retry_After="1")]
    async with rig_for(llm.url, retry=RetryPolicy(base_s=0.01)) as rig:
        began = time.monotonic()
        assert (await rig.ask(budget_s=5.0)).suggestions
        assert 1.0 <= time.monotonic() - began < 1.5


async def test_retry_after_beyond_the_deadline_ends_the_call_at_once(llm: LlmServer) -> None:
    llm.answer = status(429, Retry_After="3")
    async with rig_for(llm.url, retry=RetryPolicy(base_s=0.01)) as rig:
        began = time.monotonic()
        fault = await rig.fault(budget_s=3.0)
        assert time.monotonic() - began < 0.5
        assert (fault.reason, fault.retry_after_s) == (DegradedReason.LLM_ERROR, 3.0)
        assert len(llm.requests) == 1


# The breaker and the bound


@pytest.mark.parametrize("failing", [status(500), status(429), status(408), refusal(), garbage(), drop(), cut(), redirect("/")])
async def test_failures_in_a_row_open_the_breaker_and_then_the_server_is_left_alone(llm: LlmServer, rig: Rig, failing: Behaviour) -> None:
    llm.answer = failing
    for _ in range(3):
        assert (await rig.fault()).reason is not DegradedReason.BREAKER_OPEN
    asked = len(llm.requests)
    fault = await rig.fault()
    assert (fault.reason, fault.retry_after_s) == (DegradedReason.BREAKER_OPEN, 10.0)
    assert len(llm.requests) == asked


@pytest.mark.parametrize("code", [400, 401, 404, 413, 422])
async def test_statuses_that_blame_our_request_do_not_open_it(llm: LlmServer, rig: Rig, code: int) -> None:
    llm.answer = status(code)
    for _ in range(5):
        await rig.fault()
    assert rig.breaker.closed
    assert rig.breaker.fail_counter == 0


async def test_timeouts_open_it(llm: LlmServer) -> None:
    llm.answer = hang()
    async with rig_for(llm.url, timeout_s=0.05) as rig:
        for _ in range(3):
            await rig.fault()
        assert (await rig.fault()).reason is DegradedReason.BREAKER_OPEN


async def test_after_recovery_exactly_one_of_a_hundred_callers_closes_it(llm: LlmServer, rig: Rig) -> None:
    llm.answer = status(500)
    for _ in range(3):
        await rig.fault()
    llm.answer = slow(0.05)
    rig.breaker_clock.advance(10)
    asked = len(llm.requests)
    answers = await asyncio.gather(*(rig.ask() for _ in range(100)), return_exceptions=True)
    assert len(llm.requests) == asked + 1
    refused = [answer for answer in answers if isinstance(answer, UpstreamError)]
    assert len(refused) == 99
    assert {fault.reason for fault in refused} == {DegradedReason.BREAKER_OPEN}
    assert rig.breaker.closed
    assert (await rig.ask()).suggestions


async def test_a_trial_is_one_request_even_when_it_fails(llm: LlmServer) -> None:
    llm.answer = status(500)
    async with rig_for(llm.url, retry=RetryPolicy(base_s=0.01)) as rig:
        for _ in range(3):
            await rig.fault()
        asked = len(llm.requests)
        rig.breaker_clock.advance(10)
        assert (await rig.fault()).reason is DegradedReason.LLM_ERROR
        assert len(llm.requests) == asked + 1
        assert rig.breaker.time_until_half_open == 20.0


async def test_a_cancelled_trial_lets_the_next_caller_try(llm: LlmServer, rig: Rig) -> None:
    llm.answer = status(500)
    for _ in range(3):
        await rig.fault()
    llm.answer = hang()
    rig.breaker_clock.advance(10)
    trial = asyncio.create_task(rig.ask())
    await until(lambda: llm.in_flight == 1)
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    llm.answer = reply()
    assert (await rig.ask()).suggestions
    assert rig.breaker.closed


async def test_at_the_bound_on_concurrency_callers_are_told_at_once(llm: LlmServer) -> None:
    llm.answer = slow(0.2)
    async with rig_for(llm.url, max_concurrent=2) as rig:
        answers = await asyncio.gather(*(rig.ask() for _ in range(10)), return_exceptions=True)
        reasons = [answer.reason for answer in answers if isinstance(answer, UpstreamError)]
        assert reasons == [DegradedReason.OVERLOADED] * 8
        assert (llm.most_in_flight, rig.limit.in_flight, rig.breaker.fail_counter) == (2, 0, 0)


async def test_an_open_breaker_is_named_even_when_every_slot_is_held(llm: LlmServer) -> None:
    llm.answer = hang()
    async with rig_for(llm.url, max_concurrent=1) as rig:
        call = asyncio.create_task(rig.ask())
        await until(lambda: llm.in_flight == 1)
        assert (await rig.fault()).reason is DegradedReason.OVERLOADED
        rig.breaker.open()
        assert (await rig.fault()).reason is DegradedReason.BREAKER_OPEN
        call.cancel()
        await asyncio.wait({call})
        assert rig.limit.in_flight == 0


# The probe


async def test_a_probe_says_up_with_details_even_while_the_breaker_is_open(llm: LlmServer, rig: Rig) -> None:
    rig.breaker.open()
    details = await rig.server.probe()
    assert details["status"] == 200
    assert details["latency_ms"] >= 0
    assert rig.breaker.state_name == "open"


@pytest.mark.parametrize(
    ("health", "reason"),
    [
        (status(503), DegradedReason.LLM_ERROR),
        (status(404), DegradedReason.LLM_ERROR),
        (hang(), DegradedReason.LLM_TIMEOUT),
        (drop(), DegradedReason.LLM_UNAVAILABLE),
    ],
)
async def test_a_probe_that_finds_the_server_ill_says_so_and_leaves_the_breaker_alone(
    llm: LlmServer, health: Behaviour, reason: DegradedReason
) -> None:
    llm.health = health
    async with rig_for(llm.url, timeout_s=0.1, breaker_failures=1) as rig:
        with pytest.raises(UpstreamError) as failed:
            await rig.server.probe()
        assert failed.value.reason is reason
        assert rig.breaker.closed


async def test_what_holds_up_our_own_event_loop_is_not_taken_for_a_slow_server(llm: LlmServer) -> None:
    """The server answers in 50 ms as ever, but half a second passes before anybody looks."""
    llm.answer = slow(0.05)
    with AwakeClock() as awake:
        async with rig_for(llm.url, max_concurrent=16, limit_clock=awake) as rig:
            await asyncio.gather(*(rig.ask() for _ in range(16)))
            for _ in range(4):
                calls = asyncio.gather(*(rig.ask() for _ in range(16)))
                await until(lambda: llm.in_flight == 16)
                time.sleep(0.5)  # noqa: ASYNC251  that is the fault
                await calls
            assert (rig.limit.info.cuts, rig.limit.limit) == (0, 16)
