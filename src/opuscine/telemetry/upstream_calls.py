"""The calls to servers behind us: how long each attempt took, and a span for each where spans are recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

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


class UpstreamCall:
    """One call under way: the headers it is to be sent with, and the status once there is one."""

    __slots__ = ("_begun", "_labels", "_owner", "_span", "headers", "status")

    def __init__(self, owner: UpstreamCalls, labels: tuple[str, str], headers: Mapping[str, str], span: OpenSpan | None) -> None:
        """Take who counts it, its method and template, and its span if there is one."""
        self._owner = owner
        self._labels = labels
        self._span = span
        self._begun = 0.0
        self.headers = {**headers, "traceparent": span.traceparent} if span is not None else headers
        self.status: int | None = None

    def __enter__(self) -> UpstreamCall:
        """Begin."""
        self._begun = self._owner.clock()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Count it, however it ended."""
        self._owner.count(self._labels, self.status, self._owner.clock() - self._begun)
        if self._span is not None:
            self._span.end(self.status, failed=kind is not None or (self.status or 0) >= 400, error=kind.__name__ if kind else "")


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
        self.clock = clock

    def measure(self, method: str, uri: str, headers: Mapping[str, str], *, server: URL | None = None) -> UpstreamCall:
        """Measure a `with` block. `uri` is a template, never an address with what callers chose; `server` is named in the span."""
        return UpstreamCall(self, (method, uri), headers, self._begin_span(method, uri, headers, server))

    def count(self, labels: tuple[str, str], status: int | None, took_s: float) -> None:
        """Count a call that has ended, by its method and template; None: it got no answer."""
        shown, outcome = (str(status), outcome_of(status)) if status is not None else (NO_ANSWER, "UNKNOWN")
        self._durations.observe(took_s, (self._client_name, *labels, shown, outcome))

    def _begin_span(self, method: str, uri: str, headers: Mapping[str, str], server: URL | None) -> OpenSpan | None:
        if self._tracing is None:
            return None
        attributes: dict[str, str | int | bool] = {"http.request.method": method, "url.template": uri}
        if server is not None:
            attributes |= {"server.address": server.host or "", "server.port": server.port or 0}
        return self._tracing.begin_client(f"{method} {uri}", headers, attributes)
