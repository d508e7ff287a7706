"""The one HTTP session to all LLM servers of a process."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from opuscine import __version__
from opuscine.settings import LlmSettings

KEEPALIVE_S = 55.0  # below the 60 s after which common balancers forget an idle connection without a word
PROBE_CONNECTIONS = 2


@dataclass(slots=True)
class Attempt:
    """What the session's connector tells of the request that its task is making."""

    reused: bool = False  # it went over a connection that had been used before


ATTEMPT: ContextVar[Attempt | None] = ContextVar("attempt", default=None)


class TellingConnector(aiohttp.TCPConnector):
    """Tell the attempt under way whether its connection was used before.

    aiohttp's tracing would tell it too, by way of three coroutines and a namespace for each request.
    """

    def __init__(self, **options: Any) -> None:
        """Take the options of aiohttp's."""
        super().__init__(**options)
        self._used: WeakSet[ResponseHandler] = WeakSet()

    async def connect(self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:  # noqa: ASYNC109  aiohttp's own signature
        """Give a connection as aiohttp does."""
        connection = await super().connect(req, traces, timeout)
        attempt, protocol = ATTEMPT.get(), connection.protocol
        if protocol is not None:
            if attempt is not None:
                attempt.reused = protocol in self._used
            self._used.add(protocol)
        return connection


def llm_session(settings: LlmSettings) -> aiohttp.ClientSession:
    """Build the one session of a process for its LLM servers; the caller closes it. Needs a running loop.

    It has no timeouts of its own, since every call brings a deadline, keeps no cookies, reads no proxy variables, and asks for
    bodies as they are, so that no small answer can inflate to a large one. Its connections suffice for every server's calls, so that
    none waits for one here, whatever the others do.
    """
    connections = len(settings.urls) * (settings.max_concurrent + PROBE_CONNECTIONS)
    return aiohttp.ClientSession(
        connector=TellingConnector(limit=connections, keepalive_timeout=KEEPALIVE_S),
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": f"opuscine/{__version__}"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )
