"""What an administrator does and sees: reloading the data, and the inner state."""

from __future__ import annotations

import platform
import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from opuscine import __version__
from opuscine.contract import ReloadAnswer, StatsAnswer, show_instant
from opuscine.guard.probe import ProbeOutcome
from opuscine.handlers.answers import json_answer
from opuscine.keys import (
    CATALOGUE,
    CONNECTIONS,
    LIFECYCLE,
    LLM,
    MEASURES,
    METRICS_PAGE,
    OTT,
    READ_LIMIT,
    RECOMMEND_LIMIT,
    RECOMMENDER,
    REDIS,
)
from opuscine.metrics import breakers, found_by_probes
from opuscine.operations import Operation
from opuscine.telemetry.process import process_figures

LIMITS = {"read": READ_LIMIT, "recommend": RECOMMEND_LIMIT}
FOLDERS = re.compile(r"(?<![\w.])/(?:[^\s/]+/)+")  # where a file lies is for the log only


async def reload_data(request: web.Request) -> web.Response:
    """Begin a reload and answer at once; the catalogue in use goes on serving until the new one is ready."""
    generation = await request.app[CATALOGUE].reload()
    return json_answer({"success": True, "generation": generation}, status=202)


async def stats(request: web.Request) -> web.Response:
    """Show one object per part, as of now and since the start of this process; `/metrics` has the same for every worker."""
    app = request.app
    body = {
        "success": True,
        "version": __version__,
        "uptime_seconds": round((datetime.now(UTC) - app[LIFECYCLE].started_at).total_seconds(), 1),
        "catalogue": catalogue_stats(app),
        "tiers": {"answered": dict(app[OTT].answered), "failed": dict(app[OTT].failed)},
        "llm": llm_stats(app),
        "redis": asdict(app[REDIS].info) if REDIS in app else {"configured": False},
        "connections": asdict(app[CONNECTIONS].info),
        "upstreams": {name: upstream_stats(outcome) for name, outcome in found_by_probes(app).items()},
        "breakers": {name: asdict(info) for name, info in breakers(app).items()},
        "limits": {name: asdict(counted) if (counted := app[key].info) else None for name, key in LIMITS.items()},
        "callers": {"refused": dict(app[MEASURES].refused_callers)},
        "recommend": {"answered": dict(app[MEASURES].answered), **app[RECOMMENDER].stats()},
        "process": await process_stats(app),
    }
    return json_answer(body)


def catalogue_stats(app: web.Application) -> dict[str, Any]:
    """Show what is served, and why the newest reload failed if it did."""
    info = {
        name: show_instant(value) if isinstance(value, datetime) else list(value) if isinstance(value, tuple) else value
        for name, value in asdict(app[CATALOGUE].info).items()
    }
    return {**info, "last_error": FOLDERS.sub("", app[CATALOGUE].info.last_error)}


def llm_stats(app: web.Application) -> dict[str, Any]:
    """Show the LLM path: the calls under way, how many may be, and how many were repeated."""
    return {"configured": True, **app[LLM].stats(), "tokens": asdict(app[LLM].usage)} if LLM in app else {"configured": False}


def upstream_stats(outcome: ProbeOutcome) -> dict[str, Any]:
    """Show what the last probe of a server found; `up` is null before the first has ended."""
    return {"up": outcome.up, "checked_at": show_instant(outcome.checked_at) if outcome.checked_at else None, **outcome.details}


async def process_stats(app: web.Application) -> dict[str, Any]:
    """Show this process: its number among the workers, its requests, and what it takes of the machine."""
    return {
        "worker": app[METRICS_PAGE].worker,
        "python": platform.python_version(),
        "requests_in_flight": app[MEASURES].in_flight,
        "log_lines_left_out": app[MEASURES].lines_left_out,
        **await process_figures(),
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
