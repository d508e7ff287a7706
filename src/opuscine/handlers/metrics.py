"""`GET /metrics`: the figures of this service, of every worker of the machine, for Prometheus."""

from __future__ import annotations

from aiohttp import web

from opuscine.keys import METRICS_PAGE
from opuscine.operations import Operation
from opuscine.telemetry.exposition import CONTENT_TYPES, wanted_form

SAMPLE = """\
# HELP opuscine_ready 1 while requests should be sent here.
# TYPE opuscine_ready gauge
opuscine_ready{worker="0"} 1.0
"""
MEDIA_TYPES = tuple(name.partition(";")[0] for name in CONTENT_TYPES.values())


async def metrics(request: web.Request) -> web.Response:
    """Answer in Prometheus' text format 0.0.4, or in OpenMetrics 1.0 where the scraper prefers it."""
    form = wanted_form(", ".join(request.headers.getall("Accept", [])))
    page = await request.app[METRICS_PAGE].all(form)
    headers = {"Content-Type": CONTENT_TYPES[form], "Cache-Control": "no-store", "Vary": "Accept"}
    return web.Response(body=page.encode(), headers=headers)


OPERATIONS = (
    Operation(
        "GET",
        "/metrics",
        metrics,
        "getMetrics",
        "Figures for Prometheus",
        "admin",
        None,
        scope="metrics",
        content=MEDIA_TYPES[0],
        other_content=MEDIA_TYPES[1:],
        sample=SAMPLE,
    ),
)
