"""The calls to servers behind us: how long each attempt took, and a span for each where spans are recorded."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from yarl import URL

from opuscine.telemetry.durations import Durations
from opuscine.telemetry.outcome import outcome_of
from opuscine.telemetry.tracing import OpenSpan, Tracing

NO_ANSWER = "IO_ERROR"  # Micrometer's status of a call that got none


def call_durations() -> Durations:
    """Build the histogram that the calls to all servers are counted in."""
    return Durations(
        "http_client_requests_seconds",
        "Duration of calls to other servers, one for each attempt.",
        ("client_name", "method", "uri", "status", "outcome"),
        max_series=20,
        fold=("status",),
    )


@dataclass(slots=True)
class UpstreamCall:
    """One call under way: the headers it is to be sent with, and the status once there is one."""

    headers: Mapping[str, str]
    status: int | None = None


class UpstreamCalls:
    """Measure the calls to one server, and give each a span of its own where spans are recorded."""

    def __init__(
        self,
        client_name: str,
        durations: Durations | None = None,
        tracing: Tracing | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Name the server as metrics do, and count into `durations`, which others may count into as well."""
        self._client_name = client_name
        self._durations = durations if durations is not None else call_durations()
        self._tracing = tracing
        self._clock = clock

    @asynccontextmanager
    async def measure(
        self, method: str, uri: str, headers: Mapping[str, str], *, server: URL | None = None
    ) -> AsyncGenerator[UpstreamCall, None]:
        """Measure the block. `uri` is a template, never an address with what callers chose; `server` is named in the span."""
        span = self._begin_span(method, uri, headers, server)
        call = UpstreamCall({**headers, "traceparent": span.traceparent} if span is not None else headers)
        begun = self._clock()
        error = ""
        try:
            yield call
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            status, outcome = (str(call.status), outcome_of(call.status)) if call.status is not None else (NO_ANSWER, "UNKNOWN")
            self._durations.observe(self._clock() - begun, (self._client_name, method, uri, status, outcome))
            if span is not None:
                span.end(call.status, failed=bool(error) or (call.status or 0) >= 400, error=error)

    def _begin_span(self, method: str, uri: str, headers: Mapping[str, str], server: URL | None) -> OpenSpan | None:
        if self._tracing is None:
            return None
        attributes: dict[str, str | int | bool] = {"http.request.method": method, "url.template": uri}
        if server is not None:
            attributes |= {"server.address": server.host or "", "server.port": server.port or 0}
        return self._tracing.begin_client(f"{method} {uri}", headers, attributes)
