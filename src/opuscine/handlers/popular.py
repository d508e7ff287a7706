"""`GET /api/movies/popular`: films that many people like."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from aiohttp import web

from opuscine.catalogue.search import SearchQuery
from opuscine.contract import PopularAnswer, PopularQuery, show_films
from opuscine.handlers.answers import json_answer
from opuscine.handlers.ott import find
from opuscine.handlers.parameters import read_parameters
from opuscine.keys import API_SERVER, CATALOGUE, CONTEXT, SETTINGS
from opuscine.model import Film, Kind, Match, MatchMethod, RecommendedFilm
from opuscine.operations import Operation
from opuscine.ott.api_server import ApiServerError

log = structlog.get_logger("opuscine.popular")
CHOSEN = Match(MatchMethod.CATALOGUE, 1.0)


async def popular(request: web.Request) -> web.Response:
    """Answer with the API server's popular films where one is set and answers, else with the catalogue's best."""
    asked = read_parameters(request, PopularQuery)
    region = asked.region or request.app[SETTINGS].region
    films, total = await from_api_server(request, asked) or await from_catalogue(request, asked, region)
    places = await find(request, [film.ref for film in films], region)
    shown = [RecommendedFilm(film, CHOSEN, links=places[film.ref].links) for film in films]
    return json_answer({"success": True, "movies": show_films(shown), "total_results": total, "page": asked.page})


async def from_api_server(request: web.Request, asked: PopularQuery) -> tuple[Sequence[Film], int] | None:
    """Return the API server's page and the number of all its films; None where there is no such server, or it gives nothing."""
    server = request.app.get(API_SERVER)
    if server is None:
        return None
    context = request[CONTEXT]
    try:
        with context.phases.phase("api_server"):
            found = await server.popular(asked.page, asked.limit, deadline=context.deadline, headers=context.upstream_headers())
    except ApiServerError as error:
        context.notes["degraded"] = "api_server"
        log.info("popular films come from the catalogue", cause=str(error), request_id=context.request_id)
        return None
    return (found.films, found.total) if found.films or asked.page > 1 else None


async def from_catalogue(request: web.Request, asked: PopularQuery, region: str) -> tuple[Sequence[Film], int]:
    """Return a page of the catalogue's best films."""
    query = SearchQuery(kind=Kind.MOVIE, region=region, order="best", limit=asked.limit, offset=(asked.page - 1) * asked.limit)
    found = await request.app[CATALOGUE].search(query)
    return found.films, found.total


OPERATIONS = (
    Operation(
        "GET",
        "/api/movies/popular",
        popular,
        "listPopularMovies",
        "Popular films",
        "popular",
        PopularAnswer,
        scope="read",
        parameters=PopularQuery,
        problems=(422, 503),
    ),
)
