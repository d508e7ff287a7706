"""Callers in numbers: all at once, or so many a second whether they are answered or not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import aiohttp

from support.scenarios.served import Served

FILM_LINKS = "/api/movies/496243/ott"
RECOMMEND = "/api/movies/recommend"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as a caller saw it; status 0 is none at all."""

    at: float  # monotonic seconds
    took_s: float
    status: int
    source: str = ""
    reason: str = ""
    redis_ms: float = 0.0  # of the phases in which the service may wait for Redis, as it says itself


async def ask(
    service: Served, path: str, body: object = None, *, deadline_s: float | None = None, method: str = "", **headers: str
) -> Reply:
    """Call once and read the whole answer; headers are written with underscores. Whatever goes wrong with the connection is status 0."""
    began = time.monotonic()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if deadline_s is not None:
        named["X-Request-Timeout-Ms"] = str(int(deadline_s * 1000))
    try:
        verb = method or ("GET" if body is None else "POST")
        async with service.caller.request(verb, service.url + path, json=body, headers=named) as response:
            wanted = response.status == 200 and body is not None and response.content_type == "application/json"
            answer: Any = await (response.json() if wanted else response.read())
            data = answer.get("data") or {} if isinstance(answer, dict) else {}
            redis_ms = _redis_ms(response.headers.get("Server-Timing", ""))
            return Reply(
                began, time.monotonic() - began, response.status, data.get("source", ""), data.get("degraded_reason") or "", redis_ms
            )
    except (aiohttp.ClientError, OSError, TimeoutError):
        return Reply(began, time.monotonic() - began, 0)


async def recommend(service: Served, message: str, *, deadline_s: float | None = None) -> Reply:
    """Ask for films."""
    return await ask(service, RECOMMEND, {"message": message, "limit": 5}, deadline_s=deadline_s)


async def at_once(calls: Iterable[Awaitable[Reply]]) -> list[Reply]:
    """Let all call at one time."""
    return list(await asyncio.gather(*calls))


async def paced(call: Callable[[int], Awaitable[Reply]], *, a_second: float, for_s: float, first: int = 0) -> list[Reply]:
    """Call so many times a second, however long answers take, and return when all are answered."""
    began = time.monotonic()
    tasks = []
    for number in range(int(a_second * for_s)):
        await asyncio.sleep(max(0.0, began + number / a_second - time.monotonic()))
        tasks.append(asyncio.ensure_future(call(first + number)))
    return list(await asyncio.gather(*tasks))


def _redis_ms(server_timing: str) -> float:
    phases = dict(part.strip().split(";dur=") for part in server_timing.split(",") if ";dur=" in part)
    return sum(float(phases.get(name, "0")) for name in ("limit", "ott"))
