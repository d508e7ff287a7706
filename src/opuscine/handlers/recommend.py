"""`POST /api/movies/recommend`: films for a wish."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from opuscine.context import RequestContext
from opuscine.contract import Asked, RecommendAnswer, RecommendRequest, fit, read_fields, show_films, show_recommendation
from opuscine.handlers.answers import json_answer
from opuscine.handlers.event_stream import Event, send_events, wants_events
from opuscine.keys import BODY, CATALOGUE, CONTEXT, RECOMMEND_LIMIT, RECOMMENDER, SETTINGS
from opuscine.model import Recommendation
from opuscine.operations import Operation
from opuscine.recommend.recommender import FilmFound, Finished, Said
from opuscine.recommend.wish import Wish


async def recommend(request: web.Request) -> web.StreamResponse:
    """Answer a wish with films and their links; a caller that accepts `text/event-stream` first gets each film as soon as it is known."""
    begun = time.monotonic()
    context = request[CONTEXT]
    asked = read_fields(RecommendRequest, request[BODY])
    user = context.caller.user(asked.user_id)
    await request.app[RECOMMEND_LIMIT].admit(context, user)
    wish = Wish(
        message=asked.message,
        page=asked.page,
        limit=asked.limit,
        region=asked.region or request.app[SETTINGS].region,
        caller=context.caller.id,
        user=user,
        fresh="no-cache" in request.headers.get("Cache-Control", "").lower(),
    )
    if wants_events(request):
        return await send_events(request, events_of(request, wish, begun), headers=context.answer_headers())
    found = await request.app[RECOMMENDER].recommend(wish, context.scope())
    note(context, found)
    return json_answer(fit(show(request, wish, found, begun)))


async def events_of(request: web.Request, wish: Wish, begun: float) -> AsyncGenerator[Event, None]:
    """Yield `movie` for each film, `message` for the explanation, and `done` with the rest of the answer."""
    context = request[CONTEXT]
    events = request.app[RECOMMENDER].stream(wish, context.scope())
    async with aclosing(events):
        async for event in events:
            match event:
                case FilmFound(item):
                    yield Event("movie", show_films([item])[0])
                case Said(text):
                    yield Event("message", {"text": text})
                case Finished(rest):
                    note(context, rest)
                    body = show(request, wish, rest, begun)
                    yield Event("done", {name: value for name, value in body.items() if name != "movies"})


def show(request: web.Request, wish: Wish, found: Recommendation, begun: float) -> dict[str, Any]:
    """Show what was found under the contract."""
    asked = Asked(message=wish.message, page=wish.page, limit=wish.limit, region=wish.region)
    return show_recommendation(found, asked, as_of=request.app[CATALOGUE].info.as_of, elapsed_s=time.monotonic() - begun)


def note(context: RequestContext, found: Recommendation) -> None:
    """Note for the log where the films come from."""
    context.notes["source"] = found.source.value
    if found.degraded_reason is not None:
        context.notes["degraded"] = found.degraded_reason.value


def recommend_operation(path: str, operation_id: str, summary: str) -> Operation:
    """Describe the operation under a path."""
    return Operation(
        "POST",
        path,
        recommend,
        operation_id,
        summary,
        "recommend",
        RecommendAnswer,
        scope="recommend",
        body=RecommendRequest,
        streams=True,
        problems=(400, 408, 413, 415, 422, 429, 502, 503, 504),
    )


OPERATIONS = (recommend_operation("/api/movies/recommend", "recommendMovies", "Recommend films for a wish in plain language"),)
