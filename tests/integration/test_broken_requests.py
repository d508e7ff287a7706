"""What is no HTTP request is answered as a problem, repeats nothing of what was sent, and costs one line in the log."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from support.process import serving
from support.service import Service

BODY = b'{"message": "x"}'
BROKEN: dict[str, tuple[bytes, int]] = {
    "no method": (b"/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "method only": (b"FOO /\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03secret-bytes", 400),
    "long address": (b"GET /" + b"secret" * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
    "long header": (b"GET / HTTP/1.1\r\nHost: x\r\nX-Secret: " + b"s" * 9000 + b"\r\n\r\n", 431),
    "broken header": (b"GET / HTTP/1.1\r\nHost: x\r\nsecret header\r\n\r\n", 400),
    "null in header": (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00secret\r\n\r\n", 400),
    "two lengths": (b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nsecret", 400),
    "length and chunks": (b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "negative length": (b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400),
    "broken chunk": (b"POST /recommend HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n", 400),
}


async def exchange(port: int, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes and read the answer to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(5):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}, body


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_request_gets_a_problem_and_the_end_of_its_connection(service: Service, name: str) -> None:
    sent, expected = BROKEN[name]
    status, headers, body = await exchange(service.port, sent)
    problem = json.loads(body)
    assert (status, problem["status"]) == (expected, expected)
    assert headers["content-type"].startswith("application/problem+json")
    assert headers["x-request-id"] == problem["request_id"]
    assert headers["server"] == "OpusCine"
    assert b"secret" not in body
    assert b"bytearray" not in body


async def test_a_caller_whose_body_is_not_wanted_is_not_asked_for_it(service: Service) -> None:
    """Whoever waits for 100 Continue with a body that is too large or of the wrong kind gets its refusal at once."""
    for header, expected in (("Content-Length: 99999999", 413), ("Content-Encoding: gzip\r\nContent-Length: 20", 415)):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        head = f"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n{header}\r\n\r\n"
        writer.write(head.encode())
        async with asyncio.timeout(5):
            first = await reader.readline()
        assert first.split()[1] == str(expected).encode()
        writer.close()


async def test_an_expectation_that_is_not_known_is_passed_over(service: Service) -> None:
    sent = b"POST /recommend HTTP/1.1\r\nHost: x\r\nExpect: banana\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
    status, _, _ = await exchange(service.port, sent)
    assert status == 200


async def test_each_broken_request_costs_one_line_and_no_traceback(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        port = int(service.url.rpartition(":")[2])
        for sent, _ in BROKEN.values():
            await exchange(port, sent)
    refused = [line for line in service.log if line["event"] == "request refused"]
    assert sum(line["count"] for line in refused) == len(BROKEN)  # lines of one cause are counted together within a second
    text = str(service.log)
    assert "Traceback" not in text
    assert "secret" not in text
    assert not [line for line in service.log if line.get("level") == "error"]
