"""What the service says of itself to programs: its name, and its OpenAPI document."""

from __future__ import annotations

from aiohttp import web

from opuscine import __version__
from opuscine.contract import ATTRIBUTION, IndexAnswer
from opuscine.handlers.accept import prefers
from opuscine.handlers.answers import json_answer
from opuscine.handlers.page import send_file
from opuscine.keys import OPENAPI, STATIC_FILES
from opuscine.operations import Operation

PAGE_FILE = "index.html"
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


async def index(request: web.Request) -> web.Response:
    """Say what this is and where to go on: to programs as JSON, to a browser with the page where `PAGE` is on."""
    if PAGE_FILE in request.app[STATIC_FILES] and prefers(request.headers, "text/html"):
        answer = send_file(request, PAGE_FILE)
    else:
        answer = json_answer(INDEX, cache_control="public, max-age=300")
    answer.headers["Vary"] = "Accept"
    return answer


async def openapi(request: web.Request) -> web.Response:
    """Answer with the OpenAPI document, made once when the application was built."""
    return json_answer(request.app[OPENAPI], cache_control="public, max-age=300")


OPERATIONS = (
    Operation("GET", "/", index, "getIndex", "What this service is", "about", IndexAnswer, shows_page=True),
    Operation("GET", "/openapi.json", openapi, "getOpenApi", "This document", "about", None),
)
