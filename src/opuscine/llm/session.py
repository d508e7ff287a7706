"""The one HTTP session to all LLM servers of a process."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import aiohttp

from opuscine import __version__
from opuscine.settings import LlmSettings

KEEPALIVE_S = 55.0  # below the 60 s after which common balancers forget an idle connection without a word
PROBE_CONNECTIONS = 2


@dataclass(slots=True)
class Attempt:
    """What the session's trace tells of one request."""

    reused: bool = False  # it went over a connection that had been used before


def llm_session(settings: LlmSettings) -> aiohttp.ClientSession:
    """Build the one session of a process for its LLM servers; the caller closes it. Needs a running loop.

    It has no timeouts of its own, since every call brings a deadline, keeps no cookies, reads no proxy variables, and asks for
    bodies as they are, so that no small answer can inflate to a large one. Its connections suffice for every server's calls, so that
    none waits for one here, whatever the others do.
    """
    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(_note_reuse)
    connections = len(settings.urls) * (settings.max_concurrent + PROBE_CONNECTIONS)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEPALIVE_S),
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": f"opuscine/{__version__}"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        trace_configs=[trace],
    )


async def _note_reuse(_session: aiohttp.ClientSession, context: SimpleNamespace, _: aiohttp.TraceConnectionReuseconnParams) -> None:
    attempt = context.trace_request_ctx
    if isinstance(attempt, Attempt):
        attempt.reused = True
