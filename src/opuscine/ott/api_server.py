"""The one way to the API server: bounded in number, time and bytes, and guarded by a breaker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from opuscine import __version__
from opuscine.errors import OpusCineError, SettingsError
from opuscine.guard.breaker import Breaker, BreakerOpenError
from opuscine.guard.deadline import Deadline
from opuscine.guard.error_rate import ErrorRateLimit
from opuscine.model import OttLink, TitleRef
from opuscine.ott.api_replies import PopularPage, read_popular, read_title
from opuscine.providers.table import ProviderTable
from opuscine.telemetry.tracebacks import describe
from opuscine.telemetry.upstream_calls import UpstreamCalls

T = TypeVar("T")

KEEPALIVE_S = 55.0  # below the 60 s after which common balancers forget an idle connection without a word
PROBE_CONNECTIONS = 2
SLOW_SHARE = 0.8  # of the longest time: an answer that took so long was nearly none
SHORT_BYTES = 16 * 1024  # what is longer may take more than 5 ms to read, too long for the loop
UNKNOWN_STATUSES = frozenset({404, 410})


@dataclass(frozen=True, slots=True)
class ApiServerSettings:
    """How to reach the API server, and how much it may take."""

    url: str
    timeout_s: float = 2.0  # of all that one request asks of it
    max_concurrent: int = 8  # calls at once
    max_titles: int = 20  # asked for one request
    max_reply_bytes: int = 1024 * 1024
    breaker_failures: int = 5
    breaker_open_s: float = 10.0


class ApiServerError(OpusCineError):
    """Say that the API server gave no answer that can be used; the caller goes on without it."""

    def __init__(self, text: str, *, counts: bool | None = True, cut_short: bool = False) -> None:
        """Keep what follows from it.

        `counts` is the breaker's view: True counts against the server, False shows that it works, None says nothing. `cut_short`
        means that only the time was up that this call's caller had.
        """
        super().__init__(text)
        self.counts = counts
        self.cut_short = cut_short


def api_session(settings: ApiServerSettings) -> aiohttp.ClientSession:
    """Build the one session of a process for its API server; the caller closes it. Needs a running loop.

    As the LLM's: no timeouts of its own, no cookies, no proxy variables, bodies as they are.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=settings.max_concurrent + PROBE_CONNECTIONS, keepalive_timeout=KEEPALIVE_S),
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": f"opuscine/{__version__}"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


def api_breaker(settings: ApiServerSettings, *, clock: Callable[[], float] = time.monotonic) -> Breaker:
    """Build the breaker that `ApiServer` calls through.

    It opens after `breaker_failures` failures in a row, or when half of the calls of 30 s (at least 20) fail or take four fifths of
    `timeout_s`. Failed trials double the open time, up to four times its setting, and to no more than a minute.
    """
    open_s = settings.breaker_open_s
    return Breaker(
        "api_server",
        fail_max=settings.breaker_failures,
        open_s=open_s,
        max_open_s=min(4 * open_s, 60.0),
        error_rate=ErrorRateLimit(
            window_s=30.0, minimum_calls=max(20, settings.breaker_failures), share=0.5, slow_s=SLOW_SHARE * settings.timeout_s
        ),
        is_failure=lambda error: error.counts if isinstance(error, ApiServerError) else True,
        clock=clock,
    )


class ApiServer:
    """Ask the API server where a title streams, and which films are popular.

    All collaborators belong to the caller; it holds nothing to close. Nothing is tried again: links and popular films have other
    sources, and the request has better uses for its time.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: ApiServerSettings,
        breaker: Breaker,
        *,
        table: ProviderTable,
        region: str,
        clock: Callable[[], float] = time.monotonic,
        calls: UpstreamCalls | None = None,
    ) -> None:
        """Take a session of `api_session` and a breaker of `api_breaker`; `region` is for links that name none, `calls` measures each call.

        Raises:
            SettingsError: the address is not one we can use.
        """
        self._session = session
        self._settings = settings
        self._breaker = breaker
        self._table = table
        self._region = region
        self._clock = clock
        self._calls = calls or UpstreamCalls("api_server")
        self._slots = asyncio.Semaphore(settings.max_concurrent)
        self._url = _base(settings.url)

    def granted_s(self, deadline: Deadline | None) -> float:
        """Return how long a request may wait for the server in all: `timeout_s`, or what its deadline leaves; 0.0: don't ask."""
        return self._settings.timeout_s if deadline is None else deadline.for_upstream(self._settings.timeout_s)

    def check(self) -> None:
        """Raise `ApiServerError` if a call would be refused now."""
        try:
            self._breaker.check()
        except BreakerOpenError as error:
            raise _refused(error) from error

    async def links(self, ref: TitleRef, *, ends_at: float, headers: Mapping[str, str]) -> tuple[OttLink, ...] | None:
        """Ask where a title streams, by `GET {url}/movie/{id}` or `/tv/{id}`, until the loop's clock shows `ends_at`.

        Returns links of every region; None where the server knows no such title.

        Raises:
            ApiServerError: there is no answer. Nothing else is raised for anything that the server does.
        """
        read = partial(read_title, ref=ref, table=self._table, region=self._region)
        return await self._call(self._url / ref.kind.value / str(ref.id), f"/{ref.kind.value}/{{id}}", read, ends_at, headers)

    async def popular(
        self, page: int, limit: int, *, deadline: Deadline | None = None, headers: Mapping[str, str] | None = None
    ) -> PopularPage:
        """Ask for a page of popular films by `GET {url}/popular?page=&limit=`. Their links are not read.

        Raises:
            ApiServerError: there is no page that can be used.
        """
        granted_s = self.granted_s(deadline)
        if granted_s <= 0:
            raise ApiServerError("no time is left to ask the API server", counts=None)
        read = partial(read_popular, page=page, limit=limit)
        ends_at = asyncio.get_running_loop().time() + granted_s
        url = (self._url / "popular").with_query(page=page, limit=limit)
        found = await self._call(url, "/popular", read, ends_at, headers or {})
        if found is None:
            raise ApiServerError("the API server has no /popular", counts=False)
        return found

    async def probe(self) -> dict[str, Any]:
        """Ask `GET {url}/health` whether the server is up, past the breaker; every status below 500 says so.

        Raises:
            ApiServerError: it answered another status, or nothing within `timeout_s`.
        """
        began = self._clock()
        try:
            async with (
                asyncio.timeout(self._settings.timeout_s),
                self._session.get(self._url / "health", allow_redirects=False) as response,
            ):
                status = response.status
        except TimeoutError:
            raise ApiServerError(f"the API server did not answer within {self._settings.timeout_s} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _lost(error) from error
        if status >= 500:
            raise ApiServerError(f"the API server answered {status}")
        return {"status": status, "latency_ms": round((self._clock() - began) * 1000, 1)}

    async def _call(self, url: URL, template: str, read: Callable[[bytes], T], ends_at: float, headers: Mapping[str, str]) -> T | None:
        """Wait for a free call and make it; None for 404. `template` is the address without what callers chose."""
        try:
            async with asyncio.timeout_at(ends_at):
                await self._slots.acquire()
        except TimeoutError:
            raise ApiServerError("all calls to the API server stayed taken", counts=None, cut_short=True) from None
        try:
            return await self._breaker.call(self._answer_in_time, url, template, read, ends_at, headers)
        except BreakerOpenError as error:
            raise _refused(error) from error
        finally:
            self._slots.release()

    async def _answer_in_time(
        self, url: URL, template: str, read: Callable[[bytes], T], ends_at: float, headers: Mapping[str, str]
    ) -> T | None:
        """Bound the call in time, inside of what the breaker guards: outside, it would only see a cancellation.

        A caller in a hurry must not open the breaker for the others: with less than a quarter of `timeout_s` its timeout says nothing.
        """
        granted_s = ends_at - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(ends_at):
                body = await self._body(url, template, headers)
                if body is None:
                    return None
                return read(body) if len(body) <= SHORT_BYTES else await asyncio.to_thread(read, body)
        except TimeoutError:
            fair = granted_s >= self._settings.timeout_s / 4
            cut_short = granted_s < self._settings.timeout_s * 0.9
            raise ApiServerError(
                f"the API server did not answer within {granted_s:.3f} s", counts=True if fair else None, cut_short=cut_short
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _lost(error) from error
        except ValueError as error:
            raise ApiServerError(f"the API server's answer cannot be used: {error}") from error

    async def _body(self, url: URL, template: str, headers: Mapping[str, str]) -> bytes | None:
        """Read a whole answer within its bound; None for a status that says "no such thing"."""
        if self._session.closed:
            raise ApiServerError("the session to the API server is closed: we are stopping", counts=None)
        with self._calls.measure("GET", template, headers, server=url) as measured:
            async with self._session.get(url, headers=measured.headers, allow_redirects=False) as response:
                measured.status = response.status
                if response.status in UNKNOWN_STATUSES:
                    return None
                if not 200 <= response.status < 300:
                    raise _status_error(response.status)
                return await self._bounded_body(response)

    async def _bounded_body(self, response: aiohttp.ClientResponse) -> bytes:
        coding = response.headers.get("Content-Encoding", "identity")
        if coding.strip().lower() not in {"", "identity"}:
            raise ApiServerError(f"the API server's answer is encoded ({coding[:40]}) unasked")
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._settings.max_reply_bytes:
                raise ApiServerError(f"the API server's answer is over {self._settings.max_reply_bytes} bytes")
        return bytes(body)


def _base(address: str) -> URL:
    try:
        url = URL(address)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise SettingsError("API_SERVER_URL: found something else than an address; valid: one such as http://api.internal:8081")
    return url


def _status_error(status: int) -> ApiServerError:
    """Explain a status. 4xx other than 408 and 429 are our requests' fault and don't count against the server."""
    if 300 <= status < 400:
        return ApiServerError(f"the API server answered {status}, a redirect, which is not followed: give API_SERVER_URL the final address")
    return ApiServerError(f"the API server answered {status}", counts=not 400 <= status < 500 or status in {408, 429})


def _lost(error: aiohttp.ClientError | OSError) -> ApiServerError:
    return ApiServerError(f"the API server cannot be reached, or its answer broke off: {describe(error)}")


def _refused(error: BreakerOpenError) -> ApiServerError:
    return ApiServerError(str(error), counts=None)
