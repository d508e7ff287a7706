"""`GET /api/movies/popular`: films that many people like."""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web

from opuscine.catalogue.search import SearchQuery
from opuscine.contract import PopularAnswer, PopularQuery, show_films
from opuscine.handlers.answers import json_answer
from opuscine.handlers.parameters import read_parameters
from opuscine.keys import CATALOGUE, OTT, SETTINGS
from opuscine.model import Kind, Match, MatchMethod, RecommendedFilm
from opuscine.operations import Operation

CHOSEN = Match(MatchMethod.CATALOGUE, 1.0)


async def popular(request: web.Request) -> web.Response:
    """Answer with a page of the catalogue's best films."""
    asked = read_parameters(request, PopularQuery)
    region = asked.region or request.app[SETTINGS].region
    query = SearchQuery(kind=Kind.MOVIE, region=region, order="best", limit=asked.limit, offset=(asked.page - 1) * asked.limit)
    found = await request.app[CATALOGUE].search(query)
    places = await request.app[OTT].find_many([film.ref for film in found.films], region)
    films = [replace(RecommendedFilm(film, CHOSEN), links=places[film.ref].links) for film in found.films]
    return json_answer({"success": True, "movies": show_films(films), "total_results": found.total, "page": asked.page})


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
