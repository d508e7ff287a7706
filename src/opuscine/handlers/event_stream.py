"""Answers that are sent piece by piece, as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple

from aiohttp import web

from opuscine.codec import dumps
from opuscine.handlers.accept import prefers

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


def wants_events(request: web.Request) -> bool:
    """Say whether the caller asks for a stream: it names its type, and JSON not before it."""
    return prefers(request, CONTENT_TYPE)


async def send_events(
    request: web.Request, events: AsyncGenerator[Event, None], *, headers: Callable[[], Mapping[str, str]], heartbeat_s: float = HEARTBEAT_S
) -> web.StreamResponse:
    """Send events as they come, with comments as heartbeats while there are none.

    Until the first event (or heartbeat) nothing is sent, so that an error before it can still become an ordinary answer; `headers` are
    asked for then. A caller that leaves cancels whatever the events come from.
    """
    response = web.StreamResponse(headers=HEADERS)
    number = 0
    async with aclosing(events):
        upcoming = asyncio.ensure_future(anext(events, None))
        try:
            while True:
                done, _ = await asyncio.wait({upcoming}, timeout=heartbeat_s)
                event = upcoming.result() if done else None
                if not response.prepared:
                    response.headers.update(headers())
                    await response.prepare(request)
                if not done:
                    await response.write(b": waiting\n\n")
                    continue
                if event is None:
                    break
                await response.write(event.encode(number))
                number += 1
                upcoming = asyncio.ensure_future(anext(events, None))
        finally:
            upcoming.cancel()
            await asyncio.wait({upcoming})
    await response.write_eof()
    return response
