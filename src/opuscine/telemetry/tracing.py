"""Spans for an OpenTelemetry collector: the extra `opuscine[otel]`, imported only where a collector is set.

Names and attributes follow OpenTelemetry's semantic conventions for HTTP. The path of an address that is not ours, and what callers
write, stand in no span.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

from opuscine import __version__
from opuscine.settings import TracingSettings

if TYPE_CHECKING:  # an extra: it may not be there
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

log = structlog.get_logger("opuscine.tracing")

Attributes = Mapping[str, str | int | bool]


class OpenSpan:
    """One span under way, and the `traceparent` by which others continue from it."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: Span) -> None:
        """Take a started span."""
        self._span = span
        told = span.get_span_context()
        self.traceparent = f"00-{told.trace_id:032x}-{told.span_id:016x}-{int(told.trace_flags):02x}"

    def end(self, status: int | None, *, failed: bool, attributes: Attributes | None = None, error: str = "") -> None:
        """End it with the answer's status, or None where there was no answer; `error` names what went wrong then."""
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415  an extra

        for name, value in (attributes or {}).items():
            self._span.set_attribute(name, value)
        if status is not None:
            self._span.set_attribute("http.response.status_code", status)
        if failed:
            self._span.set_attribute("error.type", error or str(status))
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class Tracing:
    """Begin spans, which a thread of its own sends off; a collector that is away costs spans and nothing else.

    At most 2,048 spans wait to be sent (`OTEL_BSP_MAX_QUEUE_SIZE`), later ones are dropped. Whether a request is recorded follows the
    caller's `traceparent`, and `OTEL_TRACES_SAMPLER` where there is none.
    """

    def __init__(self, provider: TracerProvider, exporter: SpanExporter) -> None:
        """Take a provider, and what it sends spans by; both are shut down by `close`."""
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415  an extra

        self._provider = provider
        self._exporter = exporter
        self._tracer = provider.get_tracer("opuscine", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def begin_server(self, name: str, headers: Mapping[str, str], attributes: Attributes) -> OpenSpan:
        """Begin the span of a request, a child of the one that `traceparent` in the caller's headers names."""
        return self._begin(name, headers, attributes, server=True)

    def begin_client(self, name: str, headers: Mapping[str, str], attributes: Attributes) -> OpenSpan:
        """Begin the span of a call to an upstream, a child of the one that `traceparent` in our headers names."""
        return self._begin(name, headers, attributes, server=False)

    async def close(self, limit_s: float = 2.0) -> None:
        """Send what waits, for at most `limit_s`; what is left then is lost."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            if not loop.is_closed():
                loop.call_soon_threadsafe(done.set)

        # A thread of its own, and not one of the loop's, whose end the process would wait for.
        threading.Thread(target=shut_down, name="tracing-close", daemon=True).start()
        try:
            async with asyncio.timeout(limit_s):
                await done.wait()
        except TimeoutError:
            self._exporter.shutdown()  # else it goes on trying for half a minute
            log.warning("spans lost", cause="the collector did not take them in time", waited_s=limit_s)

    def _begin(self, name: str, headers: Mapping[str, str], attributes: Attributes, *, server: bool) -> OpenSpan:
        from opentelemetry.trace import SpanKind  # noqa: PLC0415  an extra

        carrier = {key: value for key in ("traceparent", "tracestate") if (value := headers.get(key))}
        parent = self._propagator.extract(carrier)
        kind = SpanKind.SERVER if server else SpanKind.CLIENT
        return OpenSpan(self._tracer.start_span(name, context=parent, kind=kind, attributes=dict(attributes)))


def open_tracing(settings: TracingSettings) -> Tracing | None:
    """Build the way to the collector; None where none is set, or the extra is not installed, which the log says."""
    if not settings.endpoint:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  an extra
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        log.warning("no spans are sent", cause=str(error), remedy="pip install 'opuscine[otel]', or unset OTEL_EXPORTER_OTLP_ENDPOINT")
        return None
    # A collector that is away is told of once in a while by the exporter, with a traceback at a level that nobody needs.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
    ours = Resource.create({"service.name": "opuscine", "service.version": __version__})
    resource = ours.merge(OTELResourceDetector().detect())  # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{settings.endpoint}/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    log.info("spans are sent", endpoint=settings.endpoint)
    return Tracing(provider, exporter)
