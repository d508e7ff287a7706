"""What the service says of itself to programs: its name, and its OpenAPI document."""

from __future__ import annotations

from aiohttp import web

from opuscine import __version__
from opuscine.contract import ATTRIBUTION, IndexAnswer
from opuscine.handlers.answers import json_answer
from opuscine.keys import OPENAPI
from opuscine.operations import Operation

INDEX = {
    "name": "OpusCine",
    "version": __version__,
    "description": "Recommends films for a sentence and says where each can be watched.",
    "links": {
        "recommend": "/api/movies/recommend",
        "popular": "/api/movies/popular",
        "health": "/health",
        "openapi": "/openapi.json",
    },
    "attribution": ATTRIBUTION,
}


async def index(_request: web.Request) -> web.Response:
    """Say what this is and where to go on."""
    return json_answer(INDEX, cache_control="public, max-age=300")


async def openapi(request: web.Request) -> web.Response:
    """Answer with the OpenAPI document, made once when the application was built."""
    return json_answer(request.app[OPENAPI], cache_control="public, max-age=300")


OPERATIONS = (
    Operation("GET", "/", index, "getIndex", "What this service is", "about", IndexAnswer),
    Operation("GET", "/openapi.json", openapi, "getOpenApi", "This document", "about", None),
)
