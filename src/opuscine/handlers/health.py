"""How the service is: for people and Spring's actuator clients, for load balancers, and for the one who restarts processes.

Everything comes from what is already known (the last outcome of probes that run in the background), so an answer never waits.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from opuscine import __version__
from opuscine.contract import HealthAnswer, StatusAnswer, show_instant
from opuscine.guard.breaker import BreakerInfo
from opuscine.guard.probe import ProbeOutcome
from opuscine.handlers.answers import json_answer
from opuscine.identity.scopes import Scope
from opuscine.keys import (
    API_SERVER,
    API_SERVER_BREAKER,
    API_SERVER_PROBE,
    CATALOGUE,
    CONTEXT,
    LIFECYCLE,
    LLM,
    LLM_PROBES,
    REDIS,
    REDIS_PROBE,
)
from opuscine.operations import Operation

UNUSED = {"status": "UNKNOWN", "details": {"configured": False}}


async def health(request: web.Request) -> web.Response:
    """Answer 200 and UP unless there is no catalogue or the process drains; a dead upstream is a component that is DOWN."""
    app = request.app
    catalogue = app.get(CATALOGUE)
    info = catalogue.info if catalogue is not None else None
    components: dict[str, dict[str, Any]] = {
        "llm": llm_component(app),
        "redis": redis_component(app),
        "catalogue": {
            "status": "UP" if info else "DOWN",
            "details": {"movies": info.movie_count, "series": info.tv_count, "generation": info.generation} if info else {},
        },
        "api_server": api_server_component(app),
    }
    if not request[CONTEXT].caller.has(Scope.READ):
        components = {name: {**component, "details": {}} for name, component in components.items()}
    up = is_ready(app)
    body = {
        "status": "UP" if up else "DOWN",
        "degraded": any(component["status"] == "DOWN" for component in components.values()),
        "components": components,
        "movie_count": info.movie_count if info else 0,
        "tv_count": info.tv_count if info else 0,
        "version": __version__,
    }
    return json_answer(body, status=200 if up else 503)


def llm_component(app: web.Application) -> dict[str, Any]:
    """Show the LLM servers: as a whole as the best of them, since one suffices, and each by its name."""
    if LLM not in app:
        return UNUSED
    servers = {server.name: upstream_component(app[LLM_PROBES][server.name].outcome, server.breaker.info) for server in app[LLM].servers}
    best = min(servers.values(), key=lambda component: ("UP", "UNKNOWN", "DOWN").index(component["status"]))
    return {"status": best["status"], "details": {**best["details"], "servers": servers}}


def redis_component(app: web.Application) -> dict[str, Any]:
    """Show Redis."""
    return upstream_component(app[REDIS_PROBE].outcome, app[REDIS].breaker) if REDIS in app else UNUSED


def api_server_component(app: web.Application) -> dict[str, Any]:
    """Show the API server."""
    return upstream_component(app[API_SERVER_PROBE].outcome, app[API_SERVER_BREAKER].info) if API_SERVER in app else UNUSED


def upstream_component(outcome: ProbeOutcome, breaker: BreakerInfo) -> dict[str, Any]:
    """Show a server behind us: DOWN when its last probe failed or its breaker is not closed."""
    if breaker.state != "closed" or outcome.up is False:
        status = "DOWN"
    else:
        status = "UP" if outcome.up else "UNKNOWN"
    checked_at = show_instant(outcome.checked_at) if outcome.checked_at else None
    details = {"configured": True, **outcome.details, "breaker": breaker.state, "checked_at": checked_at}
    if breaker.state == "open":
        details["breaker_open_for_s"] = breaker.open_for_s
    return {"status": status, "details": details}


def is_ready(app: web.Application) -> bool:
    """Say whether requests should be sent here: there is a catalogue, and the process does not drain."""
    return CATALOGUE in app and not app[LIFECYCLE].draining


async def liveness(_request: web.Request) -> web.Response:
    """Answer UP as long as the event loop runs; it depends on nothing outside."""
    return json_answer({"status": "UP"})


async def readiness(request: web.Request) -> web.Response:
    """Answer 200 while requests should be sent here, else 503."""
    up = is_ready(request.app)
    return json_answer({"status": "UP" if up else "DOWN"}, status=200 if up else 503)


OPERATIONS = (
    Operation("GET", "/health", health, "getHealth", "State of every part", "health", HealthAnswer, other_answers=(503,)),
    Operation(
        "GET",
        "/actuator/health",
        health,
        "getActuatorHealth",
        "The same, where Spring looks for it",
        "health",
        HealthAnswer,
        other_answers=(503,),
    ),
    Operation("GET", "/health/liveness", liveness, "getLiveness", "Whether the process lives", "health", StatusAnswer),
    Operation(
        "GET", "/health/readiness", readiness, "getReadiness", "Whether to send requests here", "health", StatusAnswer, other_answers=(503,)
    ),
    Operation("GET", "/healthz", liveness, "getHealthz", "Whether the process lives, by its short name", "health", StatusAnswer),
)
