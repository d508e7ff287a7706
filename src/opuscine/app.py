"""The one place that builds and wires: read from top to bottom, it is the list of parts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Handler

from opuscine.catalogue.service import Catalogue
from opuscine.codec import dumps
from opuscine.guard.concurrency import ConcurrencyLimit
from opuscine.guard.probe import CachedProbe
from opuscine.handlers import admin, docs, health, legacy, ott, popular, recommend
from opuscine.keys import (
    CATALOGUE,
    LIFECYCLE,
    LLM,
    LLM_BREAKER,
    LLM_LIMIT,
    LLM_PROBE,
    OPENAPI,
    OTT,
    RECOMMENDER,
    SETTINGS,
    UTC_NOW,
    Lifecycle,
)
from opuscine.llm.client import LlmClient, llm_breaker, llm_session
from opuscine.middlewares import registry
from opuscine.middlewares.plugin import PluginContext
from opuscine.openapi import document
from opuscine.operations import Operation
from opuscine.ott.local import LocalTier
from opuscine.ott.repository import OttRepository
from opuscine.providers.table import ProviderTable
from opuscine.recommend.embedded import EmbeddedRecommender
from opuscine.recommend.recommender import Recommender
from opuscine.settings import Settings

OPERATIONS: tuple[Operation, ...] = (
    *recommend.OPERATIONS,
    *ott.OPERATIONS,
    *popular.OPERATIONS,
    *health.OPERATIONS,
    *admin.OPERATIONS,
    *docs.OPERATIONS,
    *legacy.OPERATIONS,
)
PROBE_INTERVAL_S = 10.0
PROBE_TIMEOUT_S = 2.0


def create_app(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.monotonic,
    utc_now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> web.Application:
    """Build the application; what needs a running loop is acquired when it starts.

    Raises:
        SettingsError: the settings cannot work together.
    """
    lifecycle = Lifecycle()
    operations = {operation.handler: operation for operation in OPERATIONS}
    context = PluginContext(settings=settings, lifecycle=lifecycle, clock=clock, operation_of=finder(operations))
    planned = registry.plan(settings.middlewares, production=settings.environment == "production")

    app = web.Application(middlewares=registry.build(planned, context), client_max_size=settings.body_limit)
    app[SETTINGS] = settings
    app[LIFECYCLE] = lifecycle
    app[UTC_NOW] = utc_now
    app[OPENAPI] = dumps(document(OPERATIONS))
    for operation in OPERATIONS:
        app.router.add_route(operation.method, operation.path, operation.handler)
        if operation.method == "GET":
            app.router.add_route("HEAD", operation.path, operation.handler)
    app.cleanup_ctx.append(resources(settings, clock=clock, utc_now=utc_now))
    return app


def finder(operations: dict[Handler, Operation]) -> Callable[[web.Request], Operation | None]:
    """Return a function that finds the operation a request was routed to."""

    def operation_of(request: web.Request) -> Operation | None:
        return operations.get(request.match_info.handler)

    return operation_of


def resources(
    settings: Settings, *, clock: Callable[[], float], utc_now: Callable[[], datetime]
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return the one owner of everything that must be closed, in reverse order of its being opened."""

    async def own(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            providers = ProviderTable.load()
            catalogue = await Catalogue.open(settings.catalogue)
            stack.push_async_callback(catalogue.close)
            repository = OttRepository([LocalTier(catalogue)], table=providers, now=utc_now)
            model = await open_llm(app, settings, stack, clock=clock) if settings.llm_server_url else None
            app[CATALOGUE] = catalogue
            app[OTT] = repository
            app[RECOMMENDER] = Recommender(
                model=model,
                titles=catalogue,
                embedded=EmbeddedRecommender(catalogue, providers, today=lambda: utc_now().date()),
                ott=repository,
                settings=settings.recommend,
                clock=clock,
            )
            yield

    return own


async def open_llm(app: web.Application, settings: Settings, stack: AsyncExitStack, *, clock: Callable[[], float]) -> LlmClient:
    """Open the guarded way to the LLM server, and the probe that health answers from."""
    session = await stack.enter_async_context(llm_session(settings.llm))
    app[LLM_BREAKER] = llm_breaker(settings.llm, clock=clock)
    app[LLM_LIMIT] = ConcurrencyLimit(settings.llm.max_concurrent)
    app[LLM] = LlmClient(session, settings.llm, app[LLM_BREAKER], app[LLM_LIMIT], clock)
    probe = CachedProbe("llm", app[LLM].probe, interval_s=PROBE_INTERVAL_S, timeout_s=PROBE_TIMEOUT_S)
    app[LLM_PROBE] = await stack.enter_async_context(probe)
    return app[LLM]
