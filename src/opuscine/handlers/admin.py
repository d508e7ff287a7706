"""What an administrator does and sees: reloading the data, and the inner state."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from opuscine import __version__
from opuscine.contract import ReloadAnswer, StatsAnswer, show_instant
from opuscine.handlers.answers import json_answer
from opuscine.keys import CATALOGUE, LIFECYCLE, LLM, LLM_BREAKER, LLM_LIMIT, RECOMMENDER
from opuscine.operations import Operation


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
    body = {
        "success": True,
        "version": __version__,
        "uptime_seconds": round((datetime.now(UTC) - app[LIFECYCLE].started_at).total_seconds(), 1),
        "catalogue": info,
        "llm": llm_stats(app),
        "recommend": app[RECOMMENDER].stats(),
    }
    return json_answer(body)


def llm_stats(app: web.Application) -> dict[str, Any]:
    """Show the LLM path: its breaker and the calls under way."""
    if LLM not in app:
        return {"configured": False}
    breaker, limit = app[LLM_BREAKER], app[LLM_LIMIT]
    return {
        "configured": True,
        "breaker": {"state": breaker.state_name, "failures": breaker.fail_counter, "open_for_s": round(breaker.time_until_half_open, 1)},
        "calls": {"in_flight": limit.in_use, "waiting": limit.waiting},
    }


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
