"""Whatever the LLM server does, the caller gets films before its deadline, and the answer says honestly where they come from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from opuscine.keys import LLM
from support.completions import completion
from support.fault_wall import fault
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
from support.service import Service, running
from support.within import within

DEADLINE_S = 1.0
MARKED = "200 from the catalogue, `degraded_reason: {}`"
TOLD = (
    "`/admin/stats` ▸ `recommend.fallbacks`, `breakers.llm`; log `breaker changed state` once it opens; "
    "metrics `opuscine_fallbacks_total`, `opuscine_breaker_state`"
)
AGAIN = f"log `asking the LLM server again`; {TOLD}"


@pytest.fixture
async def guarded(llm: LlmServer, compiled: Path) -> AsyncIterator[Service]:
    """Run the service in front of the LLM server, with a breaker that opens and closes soon."""
    async with running(
        compiled, llm_server_url=llm.url, request_timeout=DEADLINE_S, llm_breaker_failures=3, llm_breaker_open=0.3
    ) as service:
        yield service


def row(what: str, behaviour: Behaviour, reason: str, *, name: str, within: str = "the time the server takes", told_by: str = TOLD) -> Any:
    """Give one way to fail and the word that marks its answer, as a parameter with its place on the wall."""
    mark = fault("LLM", what, caller_gets=MARKED.format(reason), within=within, told_by=told_by)
    return pytest.param(behaviour, reason, id=name, marks=mark)


DEADLINE = "the caller's deadline"
HALF_AN_ANSWER = b'{"success": true, "movies": [{"id": 496243, "title": "'
FAULTS = [
    row("It accepts the call and never answers", hang(), "llm_timeout", name="silent", within=DEADLINE),
    row("It answers a byte now and then, without end", drip(0.1), "llm_timeout", name="drip", within=DEADLINE),
    row("It closes the connection instead of answering", drop(), "llm_unavailable", name="closes", told_by=AGAIN),
    row("It resets the connection", drop(reset=True), "llm_unavailable", name="resets", told_by=AGAIN),
    row("It answers 500", status(500), "llm_error", name="500", told_by=AGAIN),
    row("It answers 503", status(503), "llm_error", name="503", told_by=AGAIN),
    row("It answers 404", status(404), "llm_error", name="404"),
    row("It answers 429 and asks to wait for longer than the deadline", status(429, Retry_After="30"), "llm_error", name="429"),
    row("It answers with an HTML page", garbage(), "llm_bad_reply", name="HTML"),
    row("It answers with bytes that mean nothing", raw_reply(bytes(range(256))), "llm_bad_reply", name="garbage"),
    row("It does not speak HTTP", drop(after=b"SSH-2.0-OpenSSH_9.2\r\n"), "llm_bad_reply", name="no HTTP"),
    row("It answers with an empty body", raw_reply(b""), "llm_bad_reply", name="empty body"),
    row("It answers with JSON of another kind", raw_reply(b"[1, 2]"), "llm_bad_reply", name="other JSON"),
    row("It answers with JSON that ends early", raw_reply(HALF_AN_ANSWER), "llm_bad_reply", name="truncated JSON"),
    row("It breaks off midway", cut(), "llm_bad_reply", name="cut"),
    row("It breaks off between two chunks", cut(chunked=True), "llm_bad_reply", name="cut chunks"),
    row("Its answer is larger than `LLM_MAX_REPLY_BYTES`", huge(5_000_000), "llm_bad_reply", name="oversized"),
    row(
        "It sends a compressed answer unasked",
        raw_reply(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}),
        "llm_bad_reply",
        name="compressed",
    ),
    row("It answers `success: false`", refusal(), "llm_error", name="refuses"),
    row("It answers with an empty list", raw_reply(b'{"success": true, "movies": []}'), "llm_empty", name="empty list"),
    row(
        "None of its films fits what the sentence states",
        reply({"id": 129, "title": "센과 치히로의 행방불명", "release_date": "2001-07-20"}),
        "llm_empty",
        name="other films",
    ),
]


@pytest.mark.parametrize(("behaviour", "reason"), FAULTS)
async def test_a_fault_becomes_a_marked_answer_in_time(guarded: Service, llm: LlmServer, behaviour: Behaviour, reason: str) -> None:
    llm.answer = behaviour
    async with within(DEADLINE_S):
        answer = await guarded.recommend()
    assert (answer["data"]["degraded"], answer["data"]["degraded_reason"], answer["data"]["source"]) == (True, reason, "catalogue")
    assert answer["movies"]
    assert all(movie["release_date"].startswith("2019") for movie in answer["movies"])
    assert "추천 모델" in answer["query_info"]["recommendation_explanation"]
    assert (await guarded.get("/admin/stats"))["recommend"]["fallbacks"] == {reason: 1}


@fault(
    "LLM",
    "Nothing listens at its address",
    caller_gets=MARKED.format("llm_unavailable"),
    within="a second",
    told_by=f"`/health` ▸ `components.llm: DOWN`; log `probe changed`; {AGAIN}",
)
async def test_a_server_that_is_not_there_is_a_marked_answer_and_a_down_component(compiled: Path, llm: LlmServer) -> None:
    await llm.stop()
    async with running(compiled, llm_server_url=llm.url, request_timeout=DEADLINE_S) as service:
        async with within(DEADLINE_S):
            assert (await service.recommend())["data"]["degraded_reason"] == "llm_unavailable"
        async with asyncio.timeout(10):
            while (health := await service.get("/health"))["components"]["llm"]["status"] != "DOWN":
                await asyncio.sleep(0.01)
        assert (health["status"], health["degraded"]) == ("UP", True)


@fault(
    "LLM",
    "It answers with a redirect to another server",
    caller_gets=f"{MARKED.format('llm_error')}; nobody asks the other server",
    within="the time the server takes",
    told_by=TOLD,
)
async def test_a_redirect_elsewhere_is_not_followed(guarded: Service, llm: LlmServer) -> None:
    async with LlmServer() as elsewhere:
        llm.answer = redirect(elsewhere.url + "/movie-recommend")
        async with within(DEADLINE_S):
            answer = await guarded.recommend()
        assert answer["data"]["degraded_reason"] == "llm_error"
        assert elsewhere.requests == elsewhere.strays == []


def _mended(name: str, what: str, told_by: str, *answers: Behaviour) -> Any:
    mark = fault("LLM", what, caller_gets="200 from the model, not degraded", within=DEADLINE, told_by=told_by)
    return pytest.param(answers, id=name, marks=mark)


@pytest.mark.parametrize(
    "answers",
    [
        _mended("reset once", "It resets one connection and answers the next", "log `asking the LLM server again`", drop(reset=True)),
        _mended("503 once", "It answers 503 once", "log `asking the LLM server again`", status(503)),
        _mended("429 once", "It answers 429 with a short `Retry-After`", "log `asking the LLM server again`", status(429, Retry_After="0")),
        _mended("wrong type", "Its JSON is called `text/plain`", "nothing, as nothing is amiss", reply(content_type="text/plain")),
    ],
)
async def test_a_short_trouble_costs_a_moment_and_no_film(guarded: Service, llm: LlmServer, answers: Sequence[Behaviour]) -> None:
    llm.next_answers = list(answers)
    async with within(DEADLINE_S):
        answer = await guarded.recommend()
    assert (answer["data"]["degraded"], answer["data"]["source"]) == (False, "llm")
    assert answer["movies"][0]["id"] == PARASITE["id"]


@fault(
    "LLM",
    "It names films that nobody knows, with links of its own and another film's id",
    caller_gets="200 from the model: `match.method: unverified` without a link, and without the film whose id and title disagree",
    within="the time the server takes",
    told_by="`data.rejected`; `/admin/stats` ▸ `recommend.grounded`, `recommend.rejected`",
)
async def test_an_invented_film_gets_no_link_and_another_films_title_no_film(guarded: Service, llm: LlmServer) -> None:
    llm.answer = reply(
        {
            "id": 999999999,
            "title": "없는 영화",
            "release_date": "2019-01-01",
            "ott_links": [{"link": "https://evil.example"}],
            "overview": "<b>x</b> http://a.b/c",
        },
        {"id": 496243, "title": "센과 치히로의 행방불명", "release_date": "2001-07-20"},
        {"id": 496243, "title": "Parasite", "release_date": "2019-05-30"},
    )
    async with within(DEADLINE_S):
        answer = await guarded.recommend()
    assert "evil.example" not in str(answer)
    by_id = {movie["id"]: movie for movie in answer["movies"]}
    assert by_id[999999999]["match"] == {"method": "unverified", "score": 0.0}
    assert by_id[999999999]["ott_links"] == []
    assert "http" not in by_id[999999999]["overview"]
    assert by_id[496243]["title"] == "기생충"
    assert answer["data"]["rejected"] == 1
    assert (await guarded.get("/admin/stats"))["recommend"]["rejected"] == 1


@fault(
    "LLM",
    "It asks back instead of naming films",
    caller_gets="200 from the model with no film, its question in `query_info`",
    within="the time the server takes",
    told_by="nothing, as nothing is amiss",
)
async def test_a_model_that_asks_back_is_heard(compiled: Path, llm: LlmServer) -> None:
    llm.answer = completion("어떤 분위기를 좋아하세요?")
    chatty = {"llm_server_url": llm.url, "llm_protocol": "openai", "llm_model": "m", "request_timeout": DEADLINE_S}
    async with running(compiled, **chatty) as service, within(DEADLINE_S):
        answer = await service.recommend()
    assert (answer["data"]["degraded"], answer["movies"]) == (False, [])
    assert "어떤 분위기를" in str(answer["query_info"])


@fault(
    "LLM",
    "It fails `LLM_BREAKER_FAILURES` times in a row, and is well again later",
    caller_gets=f"{MARKED.format('breaker_open')} without a call to it; the model's films after one trial call",
    within="a few milliseconds, until `LLM_BREAKER_OPEN` is over",
    told_by="`/health` ▸ `components.llm: DOWN`; `/admin/stats` ▸ `breakers.llm`; log `breaker changed state`, once a change",
)
async def test_an_open_breaker_answers_without_touching_the_model_and_one_trial_closes_it(guarded: Service, llm: LlmServer) -> None:
    """After three failures nobody asks; after the open time exactly one of a hundred callers does, and its success closes the breaker."""
    llm.answer = garbage()
    for number in range(3):
        await guarded.recommend(f"영화 {number}")
    touched = len(llm.requests)
    answer = await guarded.recommend("영화")
    assert answer["data"]["degraded_reason"] == "breaker_open"
    assert len(llm.requests) == touched
    health = await guarded.get("/health")
    assert (health["components"]["llm"]["status"], health["degraded"], health["status"]) == ("DOWN", True, "UP")

    llm.answer = reply()
    breaker = guarded.app[LLM].servers[0].breaker
    async with asyncio.timeout(5):
        while breaker.time_until_half_open > 0:
            await asyncio.sleep(0.01)
    answers = await asyncio.gather(*(guarded.recommend(f"영화 {number}") for number in range(100)))
    assert sum(not answer["data"]["degraded"] for answer in answers) >= 1
    trials = len(llm.requests) - touched
    closed_at_once = sum(answer["data"]["source"] == "llm" for answer in answers)
    assert trials == closed_at_once  # nobody but the trial reached it before it had closed
    assert breaker.state_name == "closed"
    assert (await guarded.recommend("또 다른 영화"))["data"]["source"] == "llm"


@fault(
    "Callers",
    "A caller gives less time than the model needs (`X-Request-Timeout-Ms`)",
    caller_gets=MARKED.format("llm_timeout"),
    within="that caller's deadline",
    told_by="`/admin/stats` ▸ `recommend.fallbacks`; the breaker stays as it is",
)
async def test_the_callers_deadline_counts_and_the_rest_of_the_calls_own_goes_upstream(guarded: Service, llm: LlmServer) -> None:
    """Who is in a hurry leaves the call in time; the call itself may have `REQUEST_TIMEOUT`, since others may join it."""
    llm.answer = hang()
    async with within(0.3):
        answer = await guarded.recommend(headers={"X-Request-Timeout-Ms": "300", "X-Request-Id": "call-7"})
    assert answer["data"]["degraded_reason"] == "llm_timeout"
    sent = llm.requests[-1].headers
    assert 240 < int(sent["X-Request-Timeout-Ms"]) <= DEADLINE_S * 800  # a fifth of the budget is kept back
    assert sent["X-Request-Id"] == "call-7"
    assert len(sent["traceparent"]) == 55


@fault(
    "Callers",
    "Callers in a hurry ask a model that is well but slow",
    caller_gets=f"{MARKED.format('llm_timeout')}; callers with time get the model's films",
    within="each caller's own deadline",
    told_by="`/admin/stats` ▸ `recommend.fallbacks`; `breakers.llm` stays closed",
)
async def test_callers_in_a_hurry_do_not_open_the_breaker_for_the_others(guarded: Service, llm: LlmServer) -> None:
    llm.answer = slow(0.4)
    assert (await guarded.recommend("먼저 온 영화"))["data"]["source"] == "llm"
    hurried = {"X-Request-Timeout-Ms": "150"}
    reasons = [(await guarded.recommend(f"급한 영화 {number}", headers=hurried))["data"]["degraded_reason"] for number in range(5)]
    assert reasons == ["llm_timeout"] * 5
    assert (await guarded.recommend("느긋한 영화"))["data"]["source"] == "llm"


@fault(
    "Callers",
    "A caller leaves before its answer",
    caller_gets="nothing, as it is gone; its call to the model is cancelled",
    within="a moment of its leaving",
    told_by="log `request` with `status: 499`",
)
async def test_a_caller_that_leaves_takes_its_call_along(guarded: Service, llm: LlmServer) -> None:
    llm.answer = hang()
    call = asyncio.create_task(guarded.recommend())
    async with asyncio.timeout(5):
        while not llm.in_flight:
            await asyncio.sleep(0.01)
        call.cancel()
        while llm.in_flight:
            await asyncio.sleep(0.01)
    assert llm.abandoned == 1


def _shown(name: str, what: str, behaviour: Behaviour, expected: int, code: str, within: str = "the time the server takes") -> Any:
    mark = fault(
        "LLM",
        f"{what}, with `FALLBACK=off`",
        caller_gets=f"{expected}, `code: {code}`",
        within=within,
        told_by=f"log `request` with `status: {expected}`",
    )
    return pytest.param(behaviour, expected, code, id=name, marks=mark)


@pytest.mark.parametrize(
    ("behaviour", "expected", "code"),
    [
        _shown("garbage", "It answers nonsense", garbage(), 502, "upstream_bad_reply"),
        _shown("500", "It answers 500", status(500), 502, "upstream_bad_reply"),
        _shown("closes", "It closes the connection", drop(), 502, "upstream_bad_reply"),
        _shown("hanging", "It never answers", hang(), 504, "upstream_timeout", DEADLINE),
    ],
)
async def test_without_a_fallback_the_fault_shows(llm: LlmServer, compiled: Path, behaviour: Behaviour, expected: int, code: str) -> None:
    llm.answer = behaviour
    async with running(compiled, llm_server_url=llm.url, request_timeout=0.5, fallback="off", llm_breaker_failures=1) as service:
        async with within(0.5):
            problem = await service.recommend(status=expected)
        assert problem["code"] == code


@fault(
    "LLM",
    "Its breaker is open, with `FALLBACK=off`",
    caller_gets="503, `code: upstream_unavailable`, with `Retry-After: 1`",
    within="a few milliseconds",
    told_by="`/health` ▸ `components.llm: DOWN`; log `breaker changed state`",
)
async def test_without_a_fallback_an_open_breaker_is_503(llm: LlmServer, compiled: Path) -> None:
    llm.answer = garbage()
    async with running(compiled, llm_server_url=llm.url, fallback="off", llm_breaker_failures=1) as service:
        await service.recommend(status=502)
        async with service.caller.post(f"{service.url}/api/movies/recommend", json={"message": "영화"}) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert (await response.json(content_type=None))["code"] == "upstream_unavailable"
    assert len(llm.requests) == 1
