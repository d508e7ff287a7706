"""Who knocks at the door: keys files, tokens that are valid now, and load that writes down every answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from opuscine.identity.keys_editor import new_key
from support.hygiene import HYGIENE
from support.redis_gateways import LoopWatch
from support.tokens import AUDIENCE, ISSUER, SECRET, PrivateKey, claims, signed

FILM = 496243
OTT = f"/api/movies/{FILM}/ott"
ORIGIN = "https://page.example"
FOREIGN = "https://evil.example"

# Tokens of `token()` are believed by a service with these settings.
JWT: Mapping[str, Any] = {
    "auth_jwt_issuer": ISSUER,
    "auth_jwt_audience": AUDIENCE,
    "auth_jwt_algorithm": "HS256",
    "auth_jwt_key": SECRET,
}


@dataclass
class Keys:
    """A keys file, and the keys themselves by the names under which the test made them."""

    path: Path
    named: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, **scopes: str) -> Keys:
        """Write a file with one key a name; scopes are words separated by blanks."""
        keys = cls(folder / "keys")
        for name, words in scopes.items():
            keys.named[name] = new_key(keys.path, name, words.split()).key
            HYGIENE.confide("API key", keys.named[name])
        return keys

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings of a service that knows these keys."""
        return {"auth": "on", "auth_keys_file": self.path}

    def __getitem__(self, name: str) -> dict[str, str]:
        """Return the header that shows a key."""
        return {"X-Api-Key": self.named[name]}


def token(
    sub: str | None = "alice",
    scope: str = "read recommend",
    *,
    key: PrivateKey | str = SECRET,
    algorithm: str = "HS256",
    kid: str | None = None,
    **changes: Any,
) -> str:
    """Sign a token that is valid now."""
    now = int(time.time())
    return signed(claims(**{"sub": sub, "scope": scope, "iat": now - 10, "exp": now + 300, **changes}), key, algorithm, kid=kid)


def bearer(text: str) -> dict[str, str]:
    """Return the header that shows a token."""
    return {"Authorization": f"Bearer {text}"}


async def raw(port: int, request: str) -> tuple[int, dict[str, str], bytes]:
    """Send a request byte by byte as it is written here, and read to the end of the connection; the request must ask to close it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request.replace("\n", "\r\n").encode())
        async with asyncio.timeout(10):
            answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}, body


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as a caller saw it."""

    at: float  # when it was asked for, monotonic seconds
    took_s: float
    status: int
    headers: Mapping[str, str]

    @property
    def redis_s(self) -> float:
        """Return how long the phases took in which the service may wait for Redis, as it says itself (`Server-Timing`)."""
        phases = dict(part.strip().split(";dur=") for part in self.headers["Server-Timing"].split(","))
        return sum(float(phases.get(name, "0")) for name in ("limit", "ott")) / 1000


@dataclass
class Load:
    """Callers that ask one after the other without end, and what they were answered."""

    caller: aiohttp.ClientSession
    url: str
    headers: Callable[[int], Mapping[str, str]] = lambda _: {}  # of the n-th request
    answers: list[Answer] = field(default_factory=list)
    longest_stall_s: float = 0.0  # of this process, which holds up callers and the service alike

    @contextlib.asynccontextmanager
    async def running(self, callers: int = 4, *, pause_s: float = 0.005) -> AsyncIterator[Load]:
        """Keep asking for the length of the block."""
        async with asyncio.TaskGroup() as group, LoopWatch() as watch:
            tasks = [group.create_task(self._call(number, callers, pause_s)) for number in range(callers)]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                self.longest_stall_s = watch.longest_stall_s

    async def _call(self, number: int, step: int, pause_s: float) -> None:
        while True:
            self.answers.append(await ask(self.caller, self.url, self.headers(number)))
            number += step
            await asyncio.sleep(pause_s)

    def since(self, began: float) -> list[Answer]:
        """Return the answers to what was asked after a moment."""
        return [answer for answer in self.answers if answer.at >= began]


async def ask(caller: aiohttp.ClientSession, url: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Ask once and read the whole answer."""
    began = time.monotonic()
    async with caller.get(url, headers=headers) as response:
        await response.read()
        return Answer(began, time.monotonic() - began, response.status, response.headers)


async def eventually(condition: Callable[[], Awaitable[object]], *, for_s: float = 15.0, what: str) -> float:
    """Ask until the answer is true; return how long that took, and fail after `for_s` seconds."""
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < for_s, f"{what} did not come true within {for_s} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - began
