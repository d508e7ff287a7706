"""Spans as a collector receives them, and that one which is away costs nothing but spans."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.api_server import FilmServer
from support.collector import collecting
from support.llm_server import LlmServer, drop, reply
from support.service import running

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=x"}


@pytest.fixture(autouse=True)
def quick_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the SDK send soon."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")


async def test_a_request_and_its_calls_are_spans_of_the_callers_trace(compiled: Path) -> None:
    async with (
        collecting() as collector,
        LlmServer() as llm,
        FilmServer() as api,
        running(compiled, llm_server_url=llm.url, api_server_url=api.url, otel_exporter_otlp_endpoint=collector.url) as service,
    ):
        llm.answer = reply({"id": 999999999, "title": "없는 영화", "release_date": "2011-01-01"})
        await service.recommend("비밀스러운 문장", headers=SAMPLED, user_id="geheim")
        to_api, request, to_llm = await collector.received(3)
        [asked] = llm.requests
    assert (request.name, request.kind) == ("POST /api/movies/recommend", 2)
    assert (to_llm.name, to_llm.kind) == ("POST /movie-recommend", 3)
    assert (to_api.name, to_api.kind) == ("GET /movie/{id}", 3)
    assert {span.trace_id for span in (request, to_llm, to_api)} == {TRACE}
    assert request.parent_id == CALLER
    assert to_llm.parent_id == to_api.parent_id == request.span_id
    assert asked.headers["traceparent"] == f"00-{TRACE}-{to_llm.span_id}-01"
    assert asked.headers["tracestate"] == "vendor=x"
    assert request.attributes["http.route"] == "/api/movies/recommend"
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["http.request.method"] == "POST"
    assert request.attributes["opuscine.source"] == "llm"
    assert to_llm.attributes["server.address"] == "127.0.0.1"
    assert to_llm.attributes["url.template"] == "/movie-recommend"
    assert request.resource["service.name"] == "opuscine"
    assert not request.failed
    assert "비밀" not in str([request, to_llm, to_api])
    assert "geheim" not in str([request, to_llm, to_api])


async def test_what_failed_is_marked_and_foreign_addresses_are_not_kept(compiled: Path) -> None:
    async with (
        collecting() as collector,
        LlmServer() as llm,
        running(compiled, llm_server_url=llm.url, otel_exporter_otlp_endpoint=collector.url, fallback="off") as service,
    ):
        llm.answer = drop()
        await service.recommend("영화", status=502, headers=SAMPLED)
        await service.get("/geheim?token=geheim", status=404, headers=SAMPLED)
        failed = await collector.named("POST /api/movies/recommend", "POST /movie-recommend", "GET")
    assert failed["POST /api/movies/recommend"].failed
    assert failed["POST /api/movies/recommend"].attributes["error.type"] == "502"
    assert failed["POST /movie-recommend"].failed
    assert failed["POST /movie-recommend"].attributes["error.type"] == "ServerDisconnectedError"
    assert not failed["GET"].failed  # the caller's fault is none of ours
    assert "geheim" not in str(failed)


async def test_what_the_caller_does_not_record_is_continued_and_not_sent(compiled: Path) -> None:
    async with (
        collecting() as collector,
        LlmServer() as llm,
        running(compiled, llm_server_url=llm.url, otel_exporter_otlp_endpoint=collector.url) as service,
    ):
        await service.recommend("영화", headers={"traceparent": f"00-{TRACE}-{CALLER}-00"})
        await service.get("/health")
        [health] = await collector.received(1)
        told = llm.requests[-1].headers["traceparent"]
    assert told.startswith(f"00-{TRACE}-")
    assert told.endswith("-00")
    assert CALLER not in told
    assert (health.name, health.parent_id) == ("GET /health", "")


async def test_the_log_and_the_answer_name_the_trace_that_is_sent(compiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with collecting() as collector, running(compiled, otel_exporter_otlp_endpoint=collector.url) as service:
        await service.get("/health")
        [span] = await collector.received(1)
    assert f"trace_id={span.trace_id}" in capsys.readouterr().out


@pytest.mark.parametrize("status", [None, 503])
async def test_a_dead_collector_delays_no_request_and_no_stop(compiled: Path, status: int | None) -> None:
    async with collecting() as collector:
        collector.status = status or 200
        address = collector.url if status else "http://127.0.0.1:9"
        async with running(compiled, otel_exporter_otlp_endpoint=address) as service:
            await service.get("/health")
            began = time.monotonic()
            await asyncio.gather(*(service.get("/health", headers=SAMPLED) for _ in range(300)))
            assert time.monotonic() - began < 10
            ended = time.monotonic()
        assert time.monotonic() - ended < 10


def test_without_a_collector_nothing_of_opentelemetry_is_needed_or_started() -> None:
    """It costs memory and time at the start; and it need not be there. (redis-py imports the SDK by itself where it is installed.)"""
    code = (
        "import sys, threading; {first}; from opuscine.app import create_app; from opuscine.settings import Settings;"
        "create_app(Settings(_env_file=None));"
        "sys.exit(any(name.startswith('opentelemetry.exporter') for name in sys.modules) or threading.active_count() > 1)"
    )
    for first in ("sys.modules['opentelemetry'] = None", "pass"):
        run = subprocess.run([sys.executable, "-c", code.format(first=first)], check=False, capture_output=True, timeout=60)
        assert run.returncode == 0, run.stderr


async def test_without_the_extra_the_service_runs_and_says_what_is_missing(
    compiled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    async with running(compiled, otel_exporter_otlp_endpoint="http://127.0.0.1:9") as service:
        await service.get("/health")
    assert "pip install 'opuscine[otel]'" in capsys.readouterr().out
