"""The predecessor's addresses: the same answers under the names that its callers know."""

from __future__ import annotations

from aiohttp import web

from opuscine.contract import ViewAnswer, ViewQuery, show_instant
from opuscine.handlers.answers import json_answer
from opuscine.handlers.ott import film_or_series, ott_body
from opuscine.handlers.parameters import read_parameters
from opuscine.handlers.recommend import recommend_operation
from opuscine.keys import UTC_NOW
from opuscine.operations import Operation


async def view(request: web.Request) -> web.Response:
    """Answer where a title streams, with the time of asking."""
    asked = read_parameters(request, ViewQuery)
    body = await ott_body(request, film_or_series(request.app, asked.movieId), asked.region)
    return json_answer({**body, "timestamp": show_instant(request.app[UTC_NOW]())})


OPERATIONS = (
    recommend_operation("/recommend", "recommendMoviesLegacy", "The same as /api/movies/recommend, under the predecessor's name"),
    Operation(
        "GET",
        "/view",
        view,
        "viewMovie",
        "Where a title streams, under the predecessor's name",
        "legacy",
        ViewAnswer,
        scope="read",
        parameters=ViewQuery,
        problems=(422, 503),
    ),
)
