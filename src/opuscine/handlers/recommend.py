"""`POST /api/movies/recommend`: films for a wish."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import hdrs, web

from opuscine.codec import loads
from opuscine.context import RequestContext
from opuscine.contract import ProblemError, RecommendAnswer, RecommendRequest, WishFields, read_wish, show_films
from opuscine.fast_path import Exchange, FastAnswer
from opuscine.handlers.answers import json_answer, json_headers, written_head
from opuscine.handlers.cache_control import NOTHING, CacheWishes, read_cache_control
from opuscine.handlers.event_stream import Event, send_events, wants_events
from opuscine.keys import BODY, CONTEXT, MEASURES, PRESENTER, RECOMMEND_LIMIT, RECOMMENDER, SETTINGS
from opuscine.model import DegradedReason, Source
from opuscine.operations import Operation
from opuscine.recommend.recommender import Answer, FilmFound, Finished, Said, Whole
from opuscine.recommend.wish import Wish

HEAD = written_head(json_headers(), b"").replace(b" 0\r\n", b" %d\r\n")  # of every answer, with the place of its length


async def recommend(request: web.Request) -> web.StreamResponse:
    """Answer a wish with films and their links; a caller that accepts `text/event-stream` first gets each film as soon as it is known."""
    context = request[CONTEXT]
    asked = read_wish(request[BODY])
    user = context.caller.user(asked.user_id)
    await request.app[RECOMMEND_LIMIT].admit(context, user)
    wants = read_cache_control(request.headers.getall(hdrs.CACHE_CONTROL, ()))
    wish = wish_of(request.app, context, asked, user, wants)
    if wants_events(request.headers):
        return await send_events(request, events_of(request, wish), headers=context.answer_headers)
    answer = await request.app[RECOMMENDER].recommend(wish, context.scope())
    note_answer(request.app, context, answer)
    return json_answer(answer.body)


def answer_at_once(app: web.Application, exchange: Exchange) -> FastAnswer | None:
    """Give the answer to a wish that the process holds; whoever wants events, or says what may be kept, goes the ordinary way."""
    headers, context = exchange.headers, exchange.context
    if hdrs.CACHE_CONTROL in headers or wants_events(headers):
        return None
    try:
        asked = read_wish(exchange.body)
    except ProblemError:
        return None
    user = context.caller.user(asked.user_id)
    kept = app[RECOMMENDER].kept_here(wish_of(app, context, asked, user))
    if kept is None or not app[RECOMMEND_LIMIT].admit_at_once(context, user):
        return None
    answer = app[RECOMMENDER].give_kept(kept)
    note_answer(app, context, answer)
    return FastAnswer(HEAD % len(answer.body), answer.body)


def wish_of(app: web.Application, context: RequestContext, asked: WishFields, user: str | None, wants: CacheWishes = NOTHING) -> Wish:
    """Return what a caller wishes for."""
    return Wish(
        message=asked.message,
        page=asked.page,
        limit=asked.limit,
        region=asked.region or app[SETTINGS].region,
        caller=context.caller.id,
        user=user,
        fresh=wants.fresh,
        unkept=wants.unkept,
    )


async def events_of(request: web.Request, wish: Wish) -> AsyncGenerator[Event, None]:
    """Yield `movie` for each film, `message` for the explanation, and `done` with the rest of the answer."""
    begun = time.monotonic()
    context = request[CONTEXT]
    events = request.app[RECOMMENDER].stream(wish, context.scope())
    async with aclosing(events):
        async for event in events:
            match event:
                case Whole(answer):
                    note_answer(request.app, context, answer)
                    for part in parts_of(answer):
                        yield part
                case FilmFound(item):
                    yield Event("movie", show_films([item])[0])
                case Said(text):
                    yield Event("message", {"text": text})
                case Finished(rest):
                    note(request.app, context, rest.source, rest.degraded_reason)
                    body = request.app[PRESENTER].show(wish, rest, elapsed_s=time.monotonic() - begun)
                    yield Event("done", {name: value for name, value in body.items() if name != "movies"})


def parts_of(answer: Answer) -> list[Event]:
    """Take an answer apart into the events that it would have come as."""
    body = loads(answer.body)
    films = [Event("movie", movie) for movie in body.pop("movies")]
    text = body["query_info"]["recommendation_explanation"]
    return [*films, *([Event("message", {"text": text})] if text else []), Event("done", body)]


def note_answer(app: web.Application, context: RequestContext, answer: Answer) -> None:
    """Note for the log where the films come from, and for the caller how old they are (RFC 9111, section 5.1)."""
    note(app, context, answer.source, answer.degraded_reason)
    if answer.age_s is not None:
        context.headers["Age"] = str(answer.age_s)


def note(app: web.Application, context: RequestContext, source: Source, degraded_reason: DegradedReason | None) -> None:
    """Note for the log and the metrics where the films come from."""
    app[MEASURES].answered[source.value] += 1
    context.notes["source"] = source.value
    if degraded_reason is not None:
        context.notes["degraded"] = degraded_reason.value


EXAMPLES = (
    ("wish", "A wish", {"message": "비 오는 날 볼만한 잔잔한 영화"}),
    ("page", "The second page for one of the caller's users", {"message": "2019년 한국 스릴러", "user_id": "42", "page": 2, "limit": 5}),
    ("region", "Where to watch in another country", {"message": "Science fiction from the 1980s", "limit": 10, "region": "US"}),
)


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
        cached=True,
        examples=EXAMPLES,
        problems=(400, 408, 413, 415, 422, 429, 502, 503, 504),
    )


OPERATIONS = (recommend_operation("/api/movies/recommend", "recommendMovies", "Recommend films for a wish in plain language"),)
