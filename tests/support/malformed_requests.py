"""What attackers and broken programs send in place of a request, as data: the bytes, and the statuses that are a right answer.

Smuggling forms are those in which a proxy in front might see other borders between requests than this service (RFC 9112, 6.3 and 11.2).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

from support.attackers import Outcome, attack

GOOD = b"GET /health/liveness HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Malformed:
    """One request; `status` are those of its first answer, 0 is a connection that is closed without one."""

    sent: bytes
    status: tuple[int, ...] = (400,)


def get(line: bytes = b"GET /health/liveness HTTP/1.1", *headers: bytes) -> bytes:
    """Write a request without a body that asks to close the connection."""
    return b"\r\n".join([line, b"Host: x", b"Connection: close", *headers, b"", b""])


def post(body: bytes, *headers: bytes, length: bool = True) -> bytes:
    """Write a recommendation that asks to close the connection."""
    own = [b"Content-Length: %d" % len(body)] if length else []
    head = [b"POST /api/movies/recommend HTTP/1.1", b"Host: x", b"Connection: close", b"Content-Type: application/json", *own, *headers]
    return b"\r\n".join([*head, b"", body])


def chunked(body: bytes, *headers: bytes) -> bytes:
    """Write a recommendation whose body is given as its chunks."""
    return post(body, b"Transfer-Encoding: chunked", *headers, length=False)


OK = b'{"message": "x"}'
CHUNK = b"10\r\n" + OK + b"\r\n"

LINES: Mapping[str, Malformed] = {
    "nothing but an end": Malformed(b"", (0,)),
    "empty lines": Malformed(b"\r\n" * 1000, (0,)),
    "no method": Malformed(b"/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    "unknown method": Malformed(get(b"FOO / HTTP/1.1")),
    "method in lower case": Malformed(get(b"get / HTTP/1.1")),
    "no version": Malformed(b"GET /\r\n\r\n"),
    "version 0.9": Malformed(get(b"GET / HTTP/0.9")),
    "version 1.2": Malformed(get(b"GET / HTTP/1.2")),
    "version 2.0": Malformed(get(b"GET / HTTP/2.0")),
    "version 9.9": Malformed(get(b"GET / HTTP/9.9")),
    "version without a number": Malformed(get(b"GET / HTTP/x")),
    "another protocol": Malformed(get(b"GET / RTSP/1.0"), (200, 400)),
    "prior knowledge of HTTP/2": Malformed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "TLS": Malformed(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200))),
    "SSH": Malformed(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "SMTP": Malformed(b"EHLO x\r\n"),
    "Redis": Malformed(b"*1\r\n$4\r\nPING\r\n"),
    "proxy protocol": Malformed(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + GOOD),
    "zeros": Malformed(b"\x00" * 4096),
    "bytes of all kinds": Malformed(bytes(range(256)) * 16),
    "two spaces": Malformed(get(b"GET  /health/liveness  HTTP/1.1"), (200, 400)),
    "tab in place of space": Malformed(get(b"GET\t/health/liveness\tHTTP/1.1")),
    "space before the method": Malformed(b" " + get()),
    "long address": Malformed(get(b"GET /" + b"a" * 20_000 + b" HTTP/1.1"), (431,)),
    "address without an end": Malformed(b"GET /" + b"a" * 100_000, (431,)),
    "line feed in the address": Malformed(get(b"GET /a\nb HTTP/1.1")),
    "NUL in the address": Malformed(get(b"GET /a\x00b HTTP/1.1")),
    "bytes that are no UTF-8 in the address": Malformed(get(b"GET /\xff\xfe HTTP/1.1"), (400, 404)),
    "CONNECT": Malformed(get(b"CONNECT example.org:443 HTTP/1.1"), (400, 404, 405)),
    "OPTIONS *": Malformed(get(b"OPTIONS * HTTP/1.1"), (400, 404, 405)),
    "TRACE": Malformed(get(b"TRACE / HTTP/1.1"), (405,)),
}
HEADERS: Mapping[str, Malformed] = {
    "no host": Malformed(b"GET / HTTP/1.1\r\n\r\n"),
    "two hosts": Malformed(get(b"GET / HTTP/1.1", b"Host: y")),
    "host that is none": Malformed(b"GET /health/liveness HTTP/1.1\r\nHost: a b@c/\\\r\nConnection: close\r\n\r\n", (200, 400)),
    "header without a colon": Malformed(get(b"GET / HTTP/1.1", b"secret")),
    "space before the colon": Malformed(get(b"GET / HTTP/1.1", b"X-A : b")),
    "header without a name": Malformed(get(b"GET / HTTP/1.1", b": b")),
    "name with a space": Malformed(get(b"GET / HTTP/1.1", b"X A: b")),
    "name with a bracket": Malformed(get(b"GET / HTTP/1.1", b"X(A): b")),
    "name in Hangul": Malformed(get(b"GET / HTTP/1.1", "이름: b".encode())),
    "folded header": Malformed(get(b"GET / HTTP/1.1", b"X-A: b", b" c")),
    "folded first header": Malformed(b"GET / HTTP/1.1\r\n Host: x\r\n\r\n"),
    "NUL in a value": Malformed(get(b"GET / HTTP/1.1", b"X-A: a\x00b")),
    "bare carriage return in a value": Malformed(get(b"GET / HTTP/1.1", b"X-A: a\rX-B: b")),
    "control sign in a value": Malformed(get(b"GET / HTTP/1.1", b"X-A: a\x01b")),
    "bare line feeds": Malformed(get().replace(b"\r\n", b"\n")),
    "bare carriage returns": Malformed(get().replace(b"\r\n", b"\r")),
    "long header": Malformed(get(b"GET / HTTP/1.1", b"X-A: " + b"a" * 20_000), (431,)),
    "long name": Malformed(get(b"GET / HTTP/1.1", b"A" * 20_000 + b": b"), (431,)),
    "header without an end": Malformed(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 100_000, (431,)),
    "too many headers": Malformed(get(b"GET / HTTP/1.1", *(b"X-%d: a" % n for n in range(200))), (431,)),
    "headers without an end": Malformed(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000, (431,)),
    "WebSocket": Malformed(
        get(
            b"GET /health/liveness HTTP/1.1",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            b"Sec-WebSocket-Version: 13",
        ),
        (200,),
    ),
    "WebSocket of old": Malformed(get(b"GET / HTTP/1.1", b"Sec-WebSocket-Key1: x")),
}
SMUGGLING: Mapping[str, Malformed] = {
    "length and chunks": Malformed(chunked(b"0\r\n\r\n" + SMUGGLED, b"Content-Length: 5")),
    "chunks and length": Malformed(post(b"0\r\n\r\n" + SMUGGLED, b"Transfer-Encoding: chunked")),
    "two lengths": Malformed(post(OK + SMUGGLED, b"Content-Length: 5")),
    "two lengths that agree": Malformed(post(OK, b"Content-Length: 16")),
    "lengths in one header": Malformed(post(OK, b"Content-Length: 16, 16", length=False)),
    "negative length": Malformed(post(OK, b"Content-Length: -5", length=False)),
    "length with a plus": Malformed(post(OK, b"Content-Length: +16", length=False)),
    "length in hexadecimal": Malformed(post(OK, b"Content-Length: 0x10", length=False)),
    "length with a fraction": Malformed(post(OK, b"Content-Length: 16.0", length=False)),
    "length with a space inside": Malformed(post(OK, b"Content-Length: 1 6", length=False)),
    "length in other digits": Malformed(post(OK, "Content-Length: １６".encode(), length=False)),
    "length without a value": Malformed(post(OK, b"Content-Length:", length=False)),
    "length beyond 64 bits": Malformed(post(OK, b"Content-Length: 18446744073709551617", length=False)),
    "length of 5000 digits": Malformed(post(OK, b"Content-Length: " + b"9" * 5000, length=False)),
    "length on a folded line": Malformed(post(OK, b"X-A: b", b" Content-Length: 5")),
    "encoding on a folded line": Malformed(post(b"0\r\n\r\n", b"Transfer-Encoding:", b" chunked", length=False)),
    "encoding with a space before the colon": Malformed(post(b"0\r\n\r\n", b"Transfer-Encoding : chunked", length=False)),
    "encoding with a vertical tab": Malformed(post(b"0\r\n\r\n", b"Transfer-Encoding: \x0bchunked", length=False)),
    "encoding that is unknown": Malformed(post(b"0\r\n\r\n", b"Transfer-Encoding: xchunked", length=False)),
    "encoding that ends with another": Malformed(post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, identity", length=False)),
    "encoding twice": Malformed(chunked(b"0\r\n\r\n", b"Transfer-Encoding: chunked")),
    "encoding twice, the last unknown": Malformed(chunked(b"0\r\n\r\n", b"Transfer-Encoding: cow")),
    "encoding in quotes": Malformed(post(b"0\r\n\r\n", b'Transfer-Encoding: "chunked"', length=False)),
    "encoding of HTTP/1.0": Malformed(chunked(CHUNK + b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0")),
    "header after a bare line feed": Malformed(post(OK, b"X-A: b\nTransfer-Encoding: chunked")),
    "header after a bare carriage return": Malformed(post(OK, b"X-A: b\rTransfer-Encoding: chunked")),
    "body of a GET": Malformed(get(b"GET /health/liveness HTTP/1.1", b"Content-Length: 36") + SMUGGLED, (200,)),
}
CHUNKS: Mapping[str, Malformed] = {
    "size that is none": Malformed(chunked(b"secret\r\n")),
    "size without a digit": Malformed(chunked(b"\r\n" + OK + b"\r\n0\r\n\r\n")),
    "negative size": Malformed(chunked(b"-10\r\n" + OK + b"\r\n0\r\n\r\n")),
    "size with a sign": Malformed(chunked(b"+10\r\n" + OK + b"\r\n0\r\n\r\n")),
    "size with a prefix": Malformed(chunked(b"0x10\r\n" + OK + b"\r\n0\r\n\r\n")),
    "size with a space": Malformed(chunked(b"10 \r\n" + OK + b"\r\n0\r\n\r\n")),
    "size beyond 64 bits": Malformed(chunked(b"1" + b"0" * 16 + b"\r\n" + OK)),
    "size of 5000 digits": Malformed(chunked(b"0" * 5000 + b"10\r\n" + OK + b"\r\n0\r\n\r\n"), (200, 400)),
    "size that wraps round": Malformed(chunked(b"f" * 17 + b"\r\n" + OK)),
    "size larger than allowed": Malformed(chunked(b"7fffffff\r\n" + OK * 10_000), (413,)),
    "chunk longer than its size": Malformed(chunked(b"5\r\n" + OK + b"\r\n0\r\n\r\n")),
    "chunk shorter than its size": Malformed(chunked(b"20\r\n" + OK + b"\r\n0\r\n\r\n" + b"0\r\n\r\n"), (408,)),
    "chunk without its end": Malformed(chunked(b"10\r\n" + OK + b"0\r\n\r\n")),
    "chunk that ends with a bare line feed": Malformed(chunked(b"10\r\n" + OK + b"\n0\r\n\r\n")),
    "sizes that end with bare line feeds": Malformed(chunked(b"10\n" + OK + b"\n0\n\n")),
    "extension": Malformed(chunked(b"10;name=value\r\n" + OK + b"\r\n0\r\n\r\n"), (200,)),
    "extension with a bare line feed": Malformed(chunked(b"10;a\nb\r\n" + OK + b"\r\n0\r\n\r\n")),
    "extension without an end": Malformed(chunked(b"10;" + b"a" * 200_000), (400, 408)),
    "trailer": Malformed(chunked(CHUNK + b"0\r\nX-Trailer: a\r\n\r\n"), (200,)),
    "trailer that is a length": Malformed(chunked(CHUNK + b"0\r\nContent-Length: 5\r\n\r\n"), (200, 400)),
    "trailer that is none": Malformed(chunked(CHUNK + b"0\r\nsecret\r\n\r\n")),
    "trailers without an end": Malformed(chunked(CHUNK + b"0\r\n" + b"A: b\r\n" * 20_000), (400, 413, 431)),
    "no last chunk": Malformed(chunked(CHUNK), (408,)),
}
BODIES: Mapping[str, Malformed] = {
    "body that is missing": Malformed(post(b"")),
    "body that breaks off": Malformed(post(OK[:5], b"Content-Length: 16", length=False), (408,)),
    "body that is longer than said": Malformed(post(OK, b"Content-Length: 5", length=False)),
    "deep lists": Malformed(post(b"[" * 60_000)),
    "deep objects": Malformed(post(b'{"a":' * 12_000)),
    "deep value of an unknown field": Malformed(post(b'{"message": "x", "a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"), (200, 400)),
    "NaN": Malformed(post(b'{"message": "x", "page": NaN}'), (400, 422)),
    "infinity": Malformed(post(b'{"message": "x", "page": -Infinity}'), (400, 422)),
    "number beyond a double": Malformed(post(b'{"message": "x", "page": 1e999}'), (400, 422)),
    "number of 5000 digits": Malformed(post(b'{"message": "x", "page": ' + b"9" * 5000 + b"}"), (400, 422)),
    "digits without an end in a word": Malformed(post(b'{"message": "x", "page": "' + b"9" * 5000 + b'"}'), (422,)),
    "number of 5000 digits in an unknown field": Malformed(post(b'{"message": "x", "a": ' + b"9" * 5000 + b"}"), (200, 400)),
    "lone surrogate": Malformed(post(b'{"message": "\\ud800"}')),
    "surrogates the wrong way round": Malformed(post(b'{"message": "\\udc00\\ud800"}')),
    "lone surrogate in bytes": Malformed(post(b'{"message": "\xed\xa0\x80"}')),
    "bytes that are no UTF-8": Malformed(post(b'{"message": "\xff"}')),
    "overlong UTF-8": Malformed(post(b'{"message": "\xc0\xaf"}')),
    "UTF-16": Malformed(post('{"message": "x"}'.encode("utf-16"))),
    "UTF-16 that says so": Malformed(
        post('{"message": "x"}'.encode("utf-16"), b"Content-Type: application/json; charset=utf-16"), (400, 415)
    ),
    "byte order mark": Malformed(post(b"\xef\xbb\xbf" + OK), (200, 400)),
    "NUL": Malformed(post(b"\x00")),
    "NUL in the message": Malformed(post(b'{"message": "a\\u0000b"}'), (200, 422)),
    "raw NUL in the message": Malformed(post(b'{"message": "a\x00b"}')),
    "key twice": Malformed(post(b'{"message": "x", "message": "y"}'), (200, 400)),
    "no object": Malformed(post(b"[1, 2]"), (422,)),
    "two objects": Malformed(post(OK + OK)),
    "form": Malformed(post(b"message=x"), (400,)),
    "too long": Malformed(post(b'{"message": "' + b"a" * 200_000 + b'"}'), (413,)),
    "too long, it says": Malformed(post(b"", b"Content-Length: 99999999999", length=False), (413,)),
    "gzip": Malformed(post(b"\x1f\x8b\x08\x00", b"Content-Encoding: gzip"), (415,)),
    "an encoding that nobody knows": Malformed(post(OK, b"Content-Encoding: cow"), (415,)),
    "encoded twice": Malformed(post(OK, b"Content-Encoding: gzip, gzip"), (415,)),
    "encoded by two headers": Malformed(post(OK, b"Content-Encoding: identity", b"Content-Encoding: gzip"), (415,)),
}
PATHS: Mapping[str, Malformed] = {
    f"path {path.decode()}": Malformed(get(b"GET %s HTTP/1.1" % path), status)
    for path, status in {
        b"/../../etc/passwd": (404,),
        b"/api/movies/../../admin/stats": (404,),
        b"/%2e%2e/%2e%2e/etc/passwd": (404,),
        b"/..%2f..%2fetc/passwd": (404,),
        b"/api/movies/%2e%2e/ott": (404, 422),
        b"/docs/..%5c..%5cetc": (404,),
        b"//admin/stats": (404,),
        b"//evil.example/health/liveness": (404,),
        b"/health//liveness": (404,),
        b"/health/liveness%00": (404,),
        b"/api/movies/1%00/ott": (404, 422),
        b"/health/liveness;jsessionid=1": (404,),
        b"/health/live%6eess": (200,),
        b"/health/liveness%2f": (404,),
        b"/health/liveness%": (400, 404),
        b"/health/liveness%zz": (400, 404),
        b"/health/liveness#fragment": (200, 400, 404),
        b"/health/liveness?a=%ff%00&a=": (200,),
        b"/api/movies/%ed%a0%80/ott": (404, 422),
        b"/api/movies/-1/ott": (404, 422),
        b"/api/movies/99999999999999999999999999/ott": (422,),
        b"/api/movies/" + b"9" * 5000 + b"/ott": (404, 422),
        b"/api/movies/ott?ids=" + b"1," * 3000: (422,),
        b"/api/movies/ott?ids=1%0d%0aX-Evil:1": (422,),
        b"/api/movies/popular?page=1e9": (422,),
        b"/api/movies/popular?page=NaN": (422,),
        b"http://evil.example/health/liveness": (200, 400, 404),
        b"http://evil.example/../admin": (400, 404),
        b"http://": (400, 404),
        b"http://[::1": (400,),
        b"http://x:99999/": (400,),
        b"evil.example:443": (400,),
        b"javascript:alert(1)": (400, 404),
        b"*": (400, 404, 405),
    }.items()
}
CORPUS: Mapping[str, Malformed] = {**LINES, **HEADERS, **SMUGGLING, **CHUNKS, **BODIES, **PATHS}

ANSWER = re.compile(rb"(?:^|\n|\})HTTP/1\.[01] (\d{3}) ")
AT_ONCE = 16
CLOSED_S = 10.0  # loose: bounds are 0.7 s, and a refused body is read for one more


async def attempt(port: int, malformed: Malformed) -> tuple[Outcome, Outcome]:
    """Send one of them, and a good request after it."""
    bad = await attack(port, [malformed.sent], give_up_s=CLOSED_S)
    return bad, await attack(port, [GOOD], give_up_s=CLOSED_S)


async def attempt_all(port: int) -> list[str]:
    """Send all of them, some at a time, and say what was wrong with each answer."""
    places = asyncio.Semaphore(AT_ONCE)
    wrong: list[str] = []

    async def one(name: str, malformed: Malformed) -> None:
        async with places:
            bad, good = await attempt(port, malformed)
        statuses = [int(status) for status in ANSWER.findall(bad.answer)]
        if bad.gave_up:
            wrong.append(f"{name}: the connection stayed open")
        if bad.status not in malformed.status:
            wrong.append(f"{name}: {bad.status} instead of {malformed.status}")
        if any(status >= 500 for status in statuses) or b"/smuggled" in bad.answer:
            wrong.append(f"{name}: {statuses}")
        if len(statuses) > 1:
            wrong.append(f"{name}: was taken for {len(statuses)} requests")
        if any(word in bad.answer for word in (b"secret", b"Traceback", b"opuscine/", b"bytearray")):
            wrong.append(f"{name}: the answer tells more than it should: {bad.answer!r}")
        if statuses and statuses[0] >= 400 and b"application/problem+json" not in bad.answer:
            wrong.append(f"{name}: no problem+json")
        if good.status != 200:
            wrong.append(f"{name}: a good request after it got {good.status}")

    await asyncio.gather(*(one(name, malformed) for name, malformed in CORPUS.items()))
    return wrong
