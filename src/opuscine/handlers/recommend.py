"""`POST /api/movies/recommend`: films for a wish."""

from __future__ import annotations

import time

from aiohttp import web

from opuscine.contract import Asked, RecommendAnswer, RecommendRequest, read_fields, show_recommendation
from opuscine.handlers.answers import json_answer
from opuscine.keys import BODY, CATALOGUE, CONTEXT, RECOMMEND_LIMIT, RECOMMENDER, SETTINGS
from opuscine.operations import Operation
from opuscine.recommend.wish import Wish


async def recommend(request: web.Request) -> web.Response:
    """Answer a wish with films and their links."""
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
    found = await request.app[RECOMMENDER].recommend(
        wish, deadline=context.deadline, phases=context.phases, headers=context.upstream_headers()
    )
    context.notes["source"] = found.source.value
    if found.degraded_reason is not None:
        context.notes["degraded"] = found.degraded_reason.value
    body = show_recommendation(
        found,
        Asked(message=wish.message, page=wish.page, limit=wish.limit, region=wish.region),
        as_of=request.app[CATALOGUE].info.as_of,
        elapsed_s=time.monotonic() - begun,
    )
    return json_answer(body)


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
        problems=(400, 408, 413, 415, 422, 429, 502, 503, 504),
    )


OPERATIONS = (recommend_operation("/api/movies/recommend", "recommendMovies", "Recommend films for a wish in plain language"),)
