"""A real OpenTelemetry collector for the tests: it takes OTLP over HTTP and keeps the spans."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse


@dataclass(frozen=True, slots=True)
class Span:
    """One span as it was received."""

    name: str
    kind: int  # 2: server, 3: client
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass(slots=True)
class Collector:
    """A running collector; `status` is what it answers."""

    url: str = ""
    status: int = 200
    spans: list[Span] = field(default_factory=list)
    posts: int = 0

    async def received(self, number: int) -> list[Span]:
        """Wait until so many spans have come and return all, in the order of their names."""
        async with asyncio.timeout(20):
            while len(self.spans) < number:
                await asyncio.sleep(0.02)
        return sorted(self.spans, key=lambda span: span.name)

    async def named(self, *names: str) -> dict[str, Span]:
        """Wait until a span of each name has come and return the newest of each."""
        async with asyncio.timeout(20):
            while not set(names) <= {span.name for span in self.spans}:
                await asyncio.sleep(0.02)
        return {span.name: span for span in self.spans}

    async def take(self, request: web.Request) -> web.Response:
        """Read one batch."""
        self.posts += 1
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        message = ExportTraceServiceRequest.FromString(body)
        if self.status == 200:
            for group in message.resource_spans:
                resource = _attributes(group.resource.attributes)
                for scope in group.scope_spans:
                    self.spans += [_span(span, resource) for span in scope.spans]
        return web.Response(
            status=self.status, body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )


def _span(span: Any, resource: dict[str, Any]) -> Span:
    return Span(
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        failed=span.status.code == 2,
        attributes=_attributes(span.attributes),
        resource=resource,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Run a collector on a free port."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield collector
    finally:
        await runner.cleanup()
