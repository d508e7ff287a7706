"""Answers that are sent piece by piece, as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple

from aiohttp import web

from opuscine.codec import dumps
from opuscine.contract import ProblemError, show_problem
from opuscine.handlers.accept import prefers
from opuscine.keys import CONTEXT, LIFECYCLE

HEARTBEAT_S = 15.0  # below the 60 s after which proxies give up on a silent answer
CONTENT_TYPE = "text/event-stream"
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


class Event(NamedTuple):
    """One event: its name, and the object that it carries as JSON."""

    name: str
    data: Mapping[str, Any]

    def encode(self, number: int) -> bytes:
        """Write the event; JSON on one line needs no further escaping."""
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, self.name.encode(), dumps(self.data))


def wants_events(headers: Mapping[str, str]) -> bool:
    """Say whether the caller asks for a stream: it names its type, and JSON not before it."""
    return prefers(headers, CONTENT_TYPE)


async def send_events(
    request: web.Request, events: AsyncGenerator[Event, None], *, headers: Callable[[], Mapping[str, str]], heartbeat_s: float = HEARTBEAT_S
) -> web.StreamResponse:
    """Send events as they come, with comments as heartbeats while there are none.

    Until the first event (or heartbeat) nothing is sent, so that an error before it can still become an ordinary answer; `headers` are
    asked for then. A caller that leaves cancels whatever the events come from. When the process stops and its time is up, the last event is
    `error` with a problem.

    Raises:
        ProblemError: the time was up before anything was sent.
    """
    response = web.StreamResponse(headers=HEADERS)
    number = 0
    async with aclosing(events):
        upcoming = asyncio.ensure_future(anext(events, None))
        time_is_up = asyncio.ensure_future(request.app[LIFECYCLE].time_is_up.wait())
        try:
            while True:
                await asyncio.wait({upcoming, time_is_up}, timeout=heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
                if time_is_up.done() and not upcoming.done():
                    await say_goodbye(request, response, number)
                    break
                event = upcoming.result() if upcoming.done() else None
                if not response.prepared:
                    response.headers.update(headers())
                    await response.prepare(request)
                if not upcoming.done():
                    await response.write(b": waiting\n\n")
                    continue
                if event is None:
                    break
                await response.write(event.encode(number))
                number += 1
                upcoming = asyncio.ensure_future(anext(events, None))
        finally:
            upcoming.cancel()
            time_is_up.cancel()
            await asyncio.wait({upcoming, time_is_up})
    await response.write_eof()
    return response


async def say_goodbye(request: web.Request, response: web.StreamResponse, number: int) -> None:
    """End a stream that the process can't finish with an `error` event; one that has not begun becomes an ordinary problem."""
    problem = ProblemError("unavailable", "The service is being stopped; ask again, another process answers.", headers={"Retry-After": "1"})
    if not response.prepared:
        raise problem
    shown = show_problem(problem, instance=request.path, request_id=request[CONTEXT].request_id)
    await response.write(Event("error", shown).encode(number))
