"""What an administrator does and sees: reloading the data, and the inner state."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from opuscine import __version__
from opuscine.contract import ReloadAnswer, StatsAnswer, show_instant
from opuscine.handlers.answers import json_answer
from opuscine.keys import API_SERVER_BREAKER, CATALOGUE, CONNECTIONS, LIFECYCLE, LLM, READ_LIMIT, RECOMMEND_LIMIT, RECOMMENDER, REDIS
from opuscine.operations import Operation

LIMITS = {"read": READ_LIMIT, "recommend": RECOMMEND_LIMIT}
FOLDERS = re.compile(r"(?<![\w.])/(?:[^\s/]+/)+")  # where a file lies is for the log only


async def reload_data(request: web.Request) -> web.Response:
    """Begin a reload and answer at once; the catalogue in use goes on serving until the new one is ready."""
    generation = await request.app[CATALOGUE].reload()
    return json_answer({"success": True, "generation": generation}, status=202)


async def stats(request: web.Request) -> web.Response:
    """Show one object per part."""
    app = request.app
    info = {
        name: show_instant(value) if isinstance(value, datetime) else list(value) if isinstance(value, tuple) else value
        for name, value in asdict(app[CATALOGUE].info).items()
    }
    info["last_error"] = FOLDERS.sub("", app[CATALOGUE].info.last_error)
    body = {
        "success": True,
        "version": __version__,
        "uptime_seconds": round((datetime.now(UTC) - app[LIFECYCLE].started_at).total_seconds(), 1),
        "catalogue": info,
        "llm": llm_stats(app),
        "breakers": breaker_stats(app),
        "redis": asdict(app[REDIS].info) if REDIS in app else {"configured": False},
        "connections": asdict(app[CONNECTIONS].info),
        "limits": {name: asdict(counted) if (counted := app[key].info) else None for name, key in LIMITS.items()},
        "recommend": app[RECOMMENDER].stats(),
    }
    return json_answer(body)


def llm_stats(app: web.Application) -> dict[str, Any]:
    """Show the LLM path: the calls under way, how many may be, and how many were repeated."""
    return {"configured": True, **app[LLM].stats(), "tokens": asdict(app[LLM].usage)} if LLM in app else {"configured": False}


def breaker_stats(app: web.Application) -> dict[str, dict[str, Any]]:
    """Show the breaker of every server behind us."""
    breakers = {server.name: server.breaker.info for server in app[LLM].servers} if LLM in app else {}
    if API_SERVER_BREAKER in app:
        breakers["api_server"] = app[API_SERVER_BREAKER].info
    if REDIS in app:
        breakers["redis"] = app[REDIS].breaker
    return {name: asdict(info) for name, info in breakers.items()}


OPERATIONS = (
    Operation(
        "POST",
        "/admin/data/reload",
        reload_data,
        "reloadData",
        "Read the catalogue's sources again",
        "admin",
        ReloadAnswer,
        scope="admin",
        status=202,
        problems=(503,),
    ),
    Operation("GET", "/admin/stats", stats, "getStats", "The inner state", "admin", StatsAnswer, scope="admin"),
)
