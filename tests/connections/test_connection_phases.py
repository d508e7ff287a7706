"""Each phase of a connection is bounded, nothing that is in order is cut, and every cut is told and counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.web_protocol import RequestHandler, _ErrInfo
from structlog.testing import capture_logs

from opuscine.connections.handler import PRIVATE_NAMES
from opuscine.keys import CONNECTIONS
from support.attackers import BODY_HEAD, HEAD, attack, drip, slow_body, slow_chunks, slow_headers
from support.door import eventually
from support.llm_server import LlmServer, reply, slow
from support.service import Service, running

BOUND_S = 0.4
LOOSE_S = 5.0  # the machine may be busy: what has to be cut is cut, late at worst
GET = HEAD + b"\r\n"
BODY = b'{"message": "x"}'
POST = BODY_HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY)


@pytest.fixture
async def service(compiled: Path) -> AsyncIterator[Service]:
    """Run the service with short bounds."""
    async with running(compiled, header_timeout=BOUND_S, body_timeout=BOUND_S) as started:
        yield started


class Wire:
    """A caller that writes and reads bytes as a test says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hold an open connection."""
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        """Send bytes now."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one answer."""
        async with asyncio.timeout(LOOSE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(head[0].split()[1]), headers, body

    async def is_closed(self) -> bool:
        """Wait for the end of the connection."""
        async with asyncio.timeout(LOOSE_S):
            return await self.reader.read() == b""


@asynccontextmanager
async def connected(service: Service) -> AsyncIterator[Wire]:
    """Open a connection for the length of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


async def closed_by(service: Service, cause: str) -> None:
    """Wait until a connection was counted under a cause."""

    async def counted() -> bool:
        return bool(service.app[CONNECTIONS].info.closed.get(cause))

    await eventually(counted, for_s=LOOSE_S, what=f"a connection closed by {cause}")


# Headers


async def test_a_connection_without_a_request_is_closed_without_a_word(service: Service) -> None:
    outcome = await attack(service.port, [], give_up_s=LOOSE_S)
    assert (outcome.answer, outcome.gave_up) == (b"", False)
    assert outcome.took_s >= BOUND_S * 0.9
    await closed_by(service, "silent")


async def test_slow_headers_are_cut_with_a_problem(service: Service) -> None:
    with capture_logs() as logs:
        outcome = await slow_headers(service.port, pause_s=0.05, give_up_s=LOOSE_S)
    head, _, body = outcome.answer.partition(b"\r\n\r\n")
    assert (outcome.status, json.loads(body)["code"]) == (408, "header_timeout")
    assert b"Content-Type: application/problem+json" in head
    assert b"Connection: close" in head
    assert outcome.took_s >= BOUND_S * 0.9
    assert [(line["event"], line["cause"], line["request_id"]) for line in logs] == [
        ("connection broken", "slow_headers", json.loads(body)["request_id"])
    ]
    await closed_by(service, "slow_headers")


async def test_slow_headers_of_a_later_request_are_cut_too(service: Service) -> None:
    outcome = await attack(service.port, drip(GET + HEAD, b"X-A: b\r\n", 0.05), give_up_s=LOOSE_S)
    assert (outcome.status, outcome.gave_up) == (200, False)
    assert b"408 Request Timeout" in outcome.answer


async def test_an_idle_connection_outlives_the_bounds_of_requests(service: Service) -> None:
    async with connected(service) as wire:
        await wire.send(GET)
        assert (await wire.answer())[0] == 200
        await wire.send(b"\r\n")  # some send an empty line behind a body
        await asyncio.sleep(2 * BOUND_S)
        await wire.send(GET)
        assert (await wire.answer())[0] == 200
        assert service.app[CONNECTIONS].info.idle == 1


async def test_headers_in_pieces_are_read(service: Service) -> None:
    async with connected(service) as wire:
        for _ in range(2):
            for at in range(0, len(GET), 7):
                await wire.send(GET[at : at + 7])
                await asyncio.sleep(0.002)
            assert (await wire.answer())[0] == 200


async def test_many_short_headers_that_are_too_long_together_are_cut(service: Service) -> None:
    outcome = await attack(service.port, drip(HEAD, b"X-A: " + b"b" * 4000 + b"\r\n", 0.005), give_up_s=LOOSE_S)
    assert outcome.status == 431
    assert outcome.took_s < LOOSE_S
    await closed_by(service, "long_headers")


async def test_an_answer_under_way_is_not_cut_by_the_slow_headers_behind_it(compiled: Path) -> None:
    async with (
        LlmServer() as llm,
        running(compiled, header_timeout=BOUND_S, llm_server_url=llm.url) as service,
        connected(service) as wire,
    ):
        llm.answer = slow(3 * BOUND_S, reply())
        await wire.send(POST + BODY)
        await asyncio.sleep(0.05)
        await wire.send(HEAD)
        status, _, body = await wire.answer()
        assert (status, json.loads(body)["data"]["source"]) == (200, "llm")
        assert await wire.is_closed()


# Bodies


@pytest.mark.parametrize("attacker", [slow_body, slow_chunks])
async def test_slow_bodies_are_cut_with_a_problem(service: Service, attacker: Any) -> None:
    outcome = await attacker(service.port, pause_s=0.05, give_up_s=LOOSE_S)
    assert (outcome.status, outcome.gave_up) == (408, False)
    assert b'"body_timeout"' in outcome.answer
    await closed_by(service, "slow_body")


async def test_a_body_that_nobody_reads_keeps_no_connection(service: Service) -> None:
    """The answer comes at once, and the connection ends though its caller goes on sending."""
    head = b"GET /health/liveness HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    outcome = await attack(service.port, drip(head, b"1\r\n \r\n", 0.05), give_up_s=LOOSE_S)
    assert (outcome.status, outcome.gave_up) == (200, False)


async def test_a_malformed_chunk_behind_the_headers_is_refused_at_once(compiled: Path) -> None:
    async with running(compiled, body_timeout=60) as service, connected(service) as wire:
        await wire.send(BODY_HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
        await asyncio.sleep(0.05)
        await wire.send(b"secret\r\n")
        status, _, body = await wire.answer()
        assert (status, json.loads(body)["code"]) == (400, "malformed_request")
        assert await wire.is_closed()
        await closed_by(service, "malformed")


async def test_bodies_behind_their_headers_are_read(service: Service) -> None:
    async with connected(service) as wire:
        for _ in range(3):
            await wire.send(POST)
            await asyncio.sleep(0.02)
            await wire.send(BODY)
            assert (await wire.answer())[0] == 200
        await asyncio.sleep(2 * BOUND_S)
        await wire.send(POST + BODY)
        assert (await wire.answer())[0] == 200


async def test_a_caller_that_waits_to_be_asked_for_its_body_is_asked(service: Service) -> None:
    async with connected(service) as wire:
        for _ in range(2):
            await wire.send(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
            assert (await wire.answer())[0] == 100
            await wire.send(BODY)
            assert (await wire.answer())[0] == 200
        await wire.send(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert (await wire.answer())[0] == 100
        status, headers, _ = await wire.answer()
        assert (status, headers["connection"]) == (408, "close")


# An upgrade to HTTP/2 that is declined: Java's HttpClient asks for it with every request on a cleartext connection

UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"


@pytest.mark.parametrize("pause_s", [0.0, 0.05])
async def test_a_post_that_asks_for_an_upgrade_is_answered_with_its_body_read(service: Service, pause_s: float) -> None:
    async with connected(service) as wire:
        for _ in range(3):
            await wire.send(POST.replace(b"\r\n\r\n", b"\r\n" + UPGRADE + b"\r\n"))
            await asyncio.sleep(pause_s)
            await wire.send(BODY)
            status, _, body = await wire.answer()
            assert (status, json.loads(body)["query_info"]["original_message"]) == (200, "x")


async def test_what_comes_behind_a_declined_upgrade_is_bounded_as_well(service: Service) -> None:
    """Of h2c aiohttp drops what comes in the same packet, of WebSocket it keeps it."""
    websocket = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with connected(service) as wire:
        await wire.send(HEAD + websocket + POST + BODY[:3])
        assert (await wire.answer())[0] == 200
        status, _, body = await wire.answer()
        assert (status, json.loads(body)["code"]) == (408, "body_timeout")
        assert await wire.is_closed()


# Many requests, and answers that nobody takes


async def test_requests_in_a_row_are_answered_in_their_order(service: Service) -> None:
    ids = [f"request-{number}" for number in range(100)]
    async with connected(service) as wire:
        await wire.send(b"".join(HEAD + b"X-Request-Id: %s\r\n\r\n" % request_id.encode() for request_id in ids))
        assert [(await wire.answer())[1]["x-request-id"] for _ in ids] == ids
        assert service.app[CONNECTIONS].info.idle == 1


async def test_a_caller_that_takes_no_answer_is_cut(service: Service) -> None:
    service.app[CONNECTIONS].sending.limit_s = BOUND_S
    async with connected(service) as wire:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # the stream's transport is one that reads
        request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
        sending = asyncio.create_task(wire.send(request * 2000))
        await closed_by(service, "not_taken")
        sending.cancel()
        await asyncio.wait({sending})
    assert service.app[CONNECTIONS].info.open == 0


async def test_connections_are_counted(service: Service) -> None:
    before = await service.get("/admin/stats")
    received = before["connections"].pop("received_bytes")
    assert received > 0
    assert before["connections"] == {"limit": 10_000, "open": 1, "idle": 0, "refused": 0, "closed": {}, "sent_bytes": 0}
    async with connected(service) as wire:
        await wire.send(GET)
        await wire.answer()
        stats = await service.get("/admin/stats")
        assert (stats["connections"]["open"], stats["connections"]["idle"]) == (2, 1)
    await closed_by(service, "in_order")


# What aiohttp keeps to itself


def test_the_private_names_that_are_used_are_those_of_this_aiohttp() -> None:
    """Another minor version may name or use them otherwise; then the tests above decide whether the bounds still hold."""
    assert version("aiohttp").startswith("3.14.")
    for name in PRIVATE_NAMES:
        assert any(name in getattr(kind, "__slots__", ()) or name in vars(kind) for kind in RequestHandler.__mro__), name
    assert HttpRequestParser.__module__ == "aiohttp._http_parser"  # the one in C
    assert {"version", "chunked"} <= set(dir(RawRequestMessage))
    assert {"status", "exc", "message"} <= set(_ErrInfo.__slots__)
