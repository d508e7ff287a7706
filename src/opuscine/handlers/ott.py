"""Where titles stream: one film, one series, or many films at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from opuscine.context import RequestContext
from opuscine.contract import (
    BATCH_IDS,
    LARGEST_ID,
    FieldError,
    OttAnswer,
    OttBatchAnswer,
    OttBatchQuery,
    OttQuery,
    ProblemError,
    show_link,
    show_ott,
)
from opuscine.fast_path import Exchange, FastAnswer, FastHandler, Found
from opuscine.handlers.answers import conditional_answer, prepare, tagged_answer
from opuscine.handlers.parameters import read_parameters
from opuscine.keys import CATALOGUE, CONTEXT, OTT, PREPARED, SETTINGS
from opuscine.model import Kind, TitleRef
from opuscine.operations import Operation
from opuscine.ott.tier import Availability
from opuscine.prepared_answers import PreparedAnswer

FILM, SERIES = "findOttOfMovie", "findOttOfSeries"


def film_or_series(app: web.Application, number: int) -> TitleRef:
    """Read a number as a film's, unless the catalogue knows only a series under it: callers ask for series in this way too."""
    film, series = TitleRef(Kind.MOVIE, number), TitleRef(Kind.TV, number)
    known = app[CATALOGUE].get_many((film, series))
    return series if series in known and film not in known else film


async def find(request: web.Request, refs: Sequence[TitleRef], region: str) -> dict[TitleRef, Availability]:
    """Find where titles stream, within what the request has left of time and of Redis."""
    context = request[CONTEXT]
    with context.phases.phase("ott"):
        return await request.app[OTT].find_many(
            refs, region, budget=context.redis_budget, deadline=context.deadline, headers=context.upstream_headers()
        )


async def ott_body(request: web.Request, ref: TitleRef, region: str | None) -> dict[str, Any]:
    """Find where one title streams and show it."""
    region = region or request.app[SETTINGS].region
    found = (await find(request, [ref], region))[ref]
    request[CONTEXT].notes["source"] = found.source
    return show_ott(ref, region, found.links, source=found.source, as_of=found.as_of)


async def movie_ott(request: web.Request) -> web.Response:
    """Answer where a film streams; an id that only a series bears is answered as that series."""
    return sent_before(request) or await look_up(request, film_or_series, FILM)


async def tv_ott(request: web.Request) -> web.Response:
    """Answer where a series streams."""
    return sent_before(request) or await look_up(request, lambda _, number: TitleRef(Kind.TV, number), SERIES)


def sent_before(request: web.Request) -> web.Response | None:
    """Send the answer that the same target was given before, where that is kept and the catalogue still says so."""
    prepared = request.app[PREPARED].get(request.raw_path)
    if prepared is None:
        return None
    note_sent_before(request.app, request[CONTEXT])
    return tagged_answer(request, prepared)


def find_kept(app: web.Application, target: str) -> Found | None:
    """Say what a target means for which an answer is kept; None: there is none."""
    prepared = app[PREPARED].get(target)
    return None if prepared is None else Found(BY_ID[prepared.operation_id], prepared)


def answer_at_once(app: web.Application, exchange: Exchange) -> FastAnswer:
    """Give the answer that is kept for a target."""
    prepared: PreparedAnswer = exchange.kept
    note_sent_before(app, exchange.context)
    return FastAnswer(prepared.head, prepared.body)


def note_sent_before(app: web.Application, context: RequestContext) -> None:
    """Note that the catalogue has answered, and in no time."""
    context.phases.add("ott", 0.0)
    context.notes["source"] = "local"
    app[OTT].count_answer("local")


async def look_up(request: web.Request, meant: Callable[[web.Application, int], TitleRef], operation_id: str) -> web.Response:
    """Find where one title streams; what the catalogue alone says is kept as it is sent."""
    app = request.app
    edition = app[PREPARED].edition
    asked = read_parameters(request, OttQuery)
    body = await ott_body(request, meant(app, asked.id), asked.region)
    prepared = prepare(body, operation_id)
    if body["source"] == "local":
        app[PREPARED].keep(request.raw_path, prepared, edition=edition)
    return tagged_answer(request, prepared)


async def movies_ott(request: web.Request) -> web.Response:
    """Answer where several titles stream, by their ids."""
    asked = read_parameters(request, OttBatchQuery)
    refs = {number: film_or_series(request.app, number) for number in read_ids(asked.ids)}
    region = asked.region or request.app[SETTINGS].region
    found = await find(request, list(refs.values()), region)
    results = {
        str(number): {"media_type": ref.kind.value, "ott_links": [show_link(link) for link in found[ref].links]}
        for number, ref in refs.items()
    }
    return conditional_answer(request, {"success": True, "region": region, "results": results})


def read_ids(text: str) -> list[int]:
    """Read `1,2,3`; of a number that stands there twice, one is returned.

    Raises:
        ProblemError: more than 100 as they are written, or one outside 1..2⁶³-1.
    """
    numbers = [int(part) for part in text.split(",")]
    if len(numbers) > BATCH_IDS:
        raise ProblemError("invalid_fields", "Not valid: ids.", errors=[FieldError(field="ids", message=f"at most {BATCH_IDS} ids")])
    if any(not 1 <= number <= LARGEST_ID for number in numbers):
        raise ProblemError("invalid_fields", "Not valid: ids.", errors=[FieldError(field="ids", message=f"each from 1 to {LARGEST_ID}")])
    return list(dict.fromkeys(numbers))


OPERATIONS = (
    Operation(
        "GET",
        "/api/movies/ott",
        movies_ott,
        "findOttOfMovies",
        "Where several films stream",
        "ott",
        OttBatchAnswer,
        scope="read",
        parameters=OttBatchQuery,
        problems=(422, 503),
        conditional=True,
    ),
    Operation(
        "GET",
        "/api/movies/{id}/ott",
        movie_ott,
        FILM,
        "Where a film streams",
        "ott",
        OttAnswer,
        scope="read",
        parameters=OttQuery,
        problems=(422, 503),
        conditional=True,
    ),
    Operation(
        "GET",
        "/api/tv/{id}/ott",
        tv_ott,
        SERIES,
        "Where a series streams",
        "ott",
        OttAnswer,
        scope="read",
        parameters=OttQuery,
        problems=(422, 503),
        conditional=True,
    ),
)
BY_ID = {operation.operation_id: operation for operation in OPERATIONS}
AT_ONCE: dict[str, FastHandler] = {FILM: answer_at_once, SERIES: answer_at_once}
