"""The one place that builds and wires: read from top to bottom, it is the list of parts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

import aiohttp
import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from opuscine.catalogue.grounding import Grounder
from opuscine.catalogue.service import Catalogue
from opuscine.client_address import read_networks
from opuscine.codec import dumps
from opuscine.connections.expectation import expect_later
from opuscine.connections.open_connections import OpenConnections
from opuscine.cors import allow_origins
from opuscine.errors import SettingsError
from opuscine.fast_path import FastRoutes, Found, fast_path
from opuscine.guard.awake_clock import AwakeClock
from opuscine.guard.breaker import Breaker
from opuscine.guard.probe import CachedProbe
from opuscine.guard.rate_limiter import Rate, RateLimiter, RedisRateLimiter
from opuscine.handlers import admin, docs, health, legacy, metrics, ott, page, popular, recommend
from opuscine.identity.authenticator import Authenticator, IdentitySettings
from opuscine.identity.jwt import JwtSettings
from opuscine.keys import (
    API_SERVER,
    API_SERVER_BREAKER,
    API_SERVER_PROBE,
    API_SERVER_TIER,
    AUTHENTICATOR,
    CATALOGUE,
    CONNECTIONS,
    FAST_PATH,
    LIFECYCLE,
    LLM,
    LLM_PROBES,
    MEASURES,
    METRICS_PAGE,
    OPENAPI,
    OTT,
    PREPARED,
    PRESENTER,
    READ_LIMIT,
    READ_LIMITER,
    RECOMMEND_LIMIT,
    RECOMMEND_LIMITER,
    RECOMMENDER,
    REDIS,
    REDIS_PROBE,
    SETTINGS,
    STATIC_FILES,
    TRACING,
    UTC_NOW,
    Lifecycle,
)
from opuscine.limits import Limit
from opuscine.llm.client import LlmClient
from opuscine.llm.session import llm_session
from opuscine.metrics import families
from opuscine.middlewares import registry
from opuscine.middlewares.plugin import BuiltInContext
from opuscine.openapi import document
from opuscine.operations import Operation
from opuscine.ott.api import ApiServerTier
from opuscine.ott.api_server import ApiServer, ApiServerSettings, api_breaker, api_session
from opuscine.ott.local import LocalTier
from opuscine.ott.redis import RedisTier
from opuscine.ott.repository import OttRepository
from opuscine.ott.tier import OttTier
from opuscine.prepared_answers import PreparedAnswers
from opuscine.presenter import AnswerPresenter
from opuscine.providers.table import ProviderTable
from opuscine.recommend.answer_cache import AnswerCache
from opuscine.recommend.embedded import EmbeddedRecommender
from opuscine.recommend.recommender import Recommender
from opuscine.recommend.sentence import SentenceReader
from opuscine.recommend.sifting import Sifter
from opuscine.redis_gateway import RedisBudget, RedisGateway, RedisSettings
from opuscine.settings import ServerSettings, Settings
from opuscine.static_files import static_files
from opuscine.telemetry.loop_lag import LoopLag
from opuscine.telemetry.measures import Measures
from opuscine.telemetry.page import MetricsPage
from opuscine.telemetry.tracing import open_tracing
from opuscine.telemetry.upstream_calls import UpstreamCalls

OPERATIONS: tuple[Operation, ...] = (
    *recommend.OPERATIONS,
    *ott.OPERATIONS,
    *popular.OPERATIONS,
    *health.OPERATIONS,
    *metrics.OPERATIONS,
    *admin.OPERATIONS,
    *docs.OPERATIONS,
    *page.OPERATIONS,
    *legacy.OPERATIONS,
)
WISHES = {operation.path: Found(operation) for operation in OPERATIONS if operation.handler is recommend.recommend}
FAST_ROUTES = FastRoutes(
    find={"GET": ott.find_kept, "POST": lambda app, target: WISHES.get(target) if app[RECOMMENDER].cache.holds_any else None},
    handlers={**ott.AT_ONCE, **{found.operation.operation_id: recommend.answer_at_once for found in WISHES.values()}},
)
# A Redis that hangs costs each request its budget until the breaker opens; it is asked again soon, since asking is cheap.
REDIS_BUDGET_S = 0.05  # per request, over all its uses
REDIS_FAILURES = 5
REDIS_OPEN_S = 1.0
REDIS_MAX_OPEN_S = 10.0
KEEP_ALIVE_S = 1_230  # longer than the idle pools of Java's clients (JDK below 20: 1,200 s): at equal times they lose POSTs
LIMITERS = {READ_LIMITER: "read", RECOMMEND_LIMITER: "recommend"}
PROBE_INTERVAL_S = 10.0
PROBE_TIMEOUT_S = 2.0

log = structlog.get_logger("opuscine.app")


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
    check_door(settings)
    app = web.Application(client_max_size=settings.body_limit)
    app[SETTINGS] = settings
    app[LIFECYCLE] = Lifecycle()
    app[MEASURES] = Measures()
    registered = CollectorRegistry()  # for plugins
    app[METRICS_PAGE] = MetricsPage(
        lambda: families(app), [ProcessCollector(registry=None), registered], folder=settings.metrics_folder, number=settings.worker
    )
    app[UTC_NOW] = utc_now
    app[CONNECTIONS] = open_connections(settings.server)
    app[OPENAPI] = dumps(document(OPERATIONS))
    app[STATIC_FILES] = static_files() if settings.page_on else {}
    app[READ_LIMIT] = Limit(lambda: app.get(READ_LIMITER))
    app[RECOMMEND_LIMIT] = Limit(lambda: app.get(RECOMMEND_LIMITER))

    routes: dict[web.AbstractRoute, Operation] = {}  # by route, since operations share handlers
    context = BuiltInContext(
        settings=settings,
        lifecycle=app[LIFECYCLE],
        clock=clock,
        operation_of=lambda request: routes.get(request.match_info.route),
        redis=lambda: app.get(REDIS),
        metrics=registered,
        measures=app[MEASURES],
        tracing=lambda: app.get(TRACING),
        authenticator=lambda: app[AUTHENTICATOR],
        read_limit=app[READ_LIMIT],
        redis_budget=partial(RedisBudget, REDIS_BUDGET_S, clock),
        trusted_proxies=read_networks(settings.trusted_proxies),
    )
    planned = registry.plan(settings.middlewares, production=settings.production, in_use=registry.guards_in_use(settings))
    app.middlewares.extend(registry.build(planned, context))
    for operation in OPERATIONS:
        for method in (operation.method, "HEAD") if operation.method == "GET" else (operation.method,):
            route = app.router.add_route(method, operation.path, operation.handler, expect_handler=expect_later)
            routes[route] = operation
    allow_origins(app, settings.cors_origins)
    app[FAST_PATH] = fast_path(app, app.middlewares, FAST_ROUTES)
    rates = {"read": parse_rate("read", settings.rates.read), "recommend": parse_rate("recommend", settings.rates.recommend)}
    app.cleanup_ctx.append(resources(settings, rates, clock=clock, utc_now=utc_now))
    return app


def open_connections(settings: ServerSettings) -> OpenConnections:
    """Make the book of all connections; the server that accepts them is given it."""
    return OpenConnections(
        limit=settings.max_connections, header_s=settings.header_timeout_s, body_s=settings.body_timeout_s, idle_s=KEEP_ALIVE_S
    )


def check_door(settings: Settings) -> None:
    """Refuse a door that would be shut to everyone, or open to anyone without that being said.

    Raises:
        SettingsError: names the settings.
    """
    if settings.auth_on and settings.auth_keys_file is None and not settings.auth_jwt_issuer:
        raise SettingsError("AUTH: on, but nothing to check callers by; set AUTH_KEYS_FILE or AUTH_JWT_ISSUER, or write AUTH=off")
    if settings.production and "*" in settings.cors_origins:
        raise SettingsError("CORS_ORIGINS: found '*'; valid in production: the origins by name, such as https://example.org")
    if not settings.auth_on:
        log.warning("authentication is off", consequence="every caller may do everything", environment=settings.environment)


def resources(
    settings: Settings, rates: Mapping[str, Rate | None], *, clock: Callable[[], float], utc_now: Callable[[], datetime]
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return the one owner of everything that must be closed, in reverse order of its being opened."""

    async def own(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if (tracing := open_tracing(settings.tracing)) is not None:
                app[TRACING] = tracing
                stack.push_async_callback(tracing.close)
            await stack.enter_async_context(LoopLag(app[MEASURES].loop_lag.observe))
            gateway = await own_redis(app, settings, stack, clock=clock) if settings.redis_address else None
            for key, name in LIMITERS.items():
                if (rate := rates[name]) is not None:
                    shared = RedisRateLimiter(rate, gateway, name=name) if gateway else None
                    app[key] = RateLimiter(rate, shared, name=name, clock=clock)
            if settings.auth_on:
                app[AUTHENTICATOR] = await own_authenticator(settings, stack)
            providers = ProviderTable.load()
            catalogue = await Catalogue.open(settings.catalogue)
            stack.push_async_callback(catalogue.close)
            repository = await own_repository(app, settings, stack, catalogue, providers, clock=clock, utc_now=utc_now)
            model = await open_llm(app, settings, stack, clock=clock) if settings.llm_server_url else None
            app[CATALOGUE] = catalogue
            app[OTT] = repository
            app[PREPARED] = PreparedAnswers(lambda: catalogue.info)
            sentences = SentenceReader(catalogue, providers, today=lambda: utc_now().date())
            embedded = EmbeddedRecommender(catalogue, sentences, clock=clock)
            await embedded.prepare()
            app[PRESENTER] = AnswerPresenter(lambda: catalogue.info.as_of)
            app[RECOMMENDER] = Recommender(
                model=model,
                sifter=Sifter(Grounder(catalogue, lambda: catalogue.info), repository),
                sentences=sentences,
                embedded=embedded,
                cache=AnswerCache(
                    settings.cache,
                    generation=lambda: catalogue.info.generation,
                    gateway=gateway,
                    now=lambda: utc_now().timestamp(),
                ),
                presenter=app[PRESENTER],
                generation=lambda: catalogue.info.generation,
                settings=settings.recommend,
                clock=clock,
            )
            await stack.enter_async_context(app[METRICS_PAGE].joined())
            yield

    return own


async def open_llm(app: web.Application, settings: Settings, stack: AsyncExitStack, *, clock: Callable[[], float]) -> LlmClient:
    """Open the guarded way to the LLM servers, and the probes that health answers from."""
    session = await stack.enter_async_context(llm_session(settings.llm))
    app[LLM] = LlmClient.open(
        settings.llm,
        session,
        clock=clock,
        limit_clock=stack.enter_context(AwakeClock(clock)),
        calls=lambda name: UpstreamCalls(name, app[MEASURES].calls, app.get(TRACING), clock=clock),
    )
    app[LLM_PROBES] = {
        server.name: await stack.enter_async_context(
            CachedProbe(server.name, server.probe, interval_s=PROBE_INTERVAL_S, timeout_s=PROBE_TIMEOUT_S)
        )
        for server in app[LLM].servers
    }
    return app[LLM]


def parse_rate(name: str, text: str) -> Rate | None:
    """Read a rate; None is no limit.

    Raises:
        SettingsError: names the setting and what is valid.
    """
    try:
        return Rate.parse(text)
    except ValueError as error:
        raise SettingsError(f"RATE_LIMIT_{name.upper()}: found {text!r}; {error}") from None


async def own_authenticator(settings: Settings, stack: AsyncExitStack) -> Authenticator:
    """Open what callers are recognised by, with a session of its own for the issuer's keys.

    Raises:
        KeysFileError: the keys file can't be read or trusted.
        SettingsError: the settings for tokens are not complete.
    """
    jwt = JwtSettings(
        issuer=settings.auth_jwt_issuer,
        audience=settings.auth_jwt_audience,
        algorithm=settings.auth_jwt_algorithm,
        key=settings.auth_jwt_key,
        key_file=settings.auth_jwt_key_file,
        jwks_url=settings.auth_jwt_jwks_url,
    )
    identity = IdentitySettings(keys_file=settings.auth_keys_file, jwt=jwt if jwt.issuer else None)
    session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False))
    authenticator = await Authenticator.open(identity, session=session)
    stack.push_async_callback(authenticator.close)
    return authenticator


async def own_repository(
    app: web.Application,
    settings: Settings,
    stack: AsyncExitStack,
    catalogue: Catalogue,
    providers: ProviderTable,
    *,
    clock: Callable[[], float],
    utc_now: Callable[[], datetime],
) -> OttRepository:
    """Open the tiers of links, nearest first: the catalogue, Redis, the API server; the last two only where they are set."""
    tiers: list[OttTier] = [LocalTier(catalogue)]
    store = None
    if REDIS in app:
        store = RedisTier(app[REDIS], table=providers, region=settings.region, now=utc_now, clock=clock)
        tiers.append(store)
    if settings.api_server_url:
        api_settings = ApiServerSettings(url=settings.api_server_url, timeout_s=settings.api_server_timeout)
        session = await stack.enter_async_context(api_session(api_settings))
        app[API_SERVER_BREAKER] = api_breaker(api_settings, clock=clock)
        calls = UpstreamCalls("api_server", app[MEASURES].calls, app.get(TRACING), clock=clock)
        app[API_SERVER] = ApiServer(
            session, api_settings, app[API_SERVER_BREAKER], table=providers, region=settings.region, clock=clock, calls=calls
        )
        probe = CachedProbe("api_server", app[API_SERVER].probe, interval_s=PROBE_INTERVAL_S, timeout_s=PROBE_TIMEOUT_S)
        app[API_SERVER_PROBE] = await stack.enter_async_context(probe)
        app[API_SERVER_TIER] = ApiServerTier(app[API_SERVER], miss_ttl_s=settings.cache_miss_ttl, now=utc_now, clock=clock)
        tiers.append(app[API_SERVER_TIER])
    return OttRepository(tiers, table=providers, store=store, now=utc_now, clock=clock)


async def own_redis(app: web.Application, settings: Settings, stack: AsyncExitStack, *, clock: Callable[[], float]) -> RedisGateway:
    """Open the door to Redis, and the probe that health answers from."""
    app[REDIS] = open_redis(settings, clock=clock)
    stack.push_async_callback(app[REDIS].close)
    probe = CachedProbe("redis", app[REDIS].probe, interval_s=PROBE_INTERVAL_S, timeout_s=PROBE_TIMEOUT_S)
    app[REDIS_PROBE] = await stack.enter_async_context(probe)
    return app[REDIS]


def open_redis(settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> RedisGateway:
    """Build the one door to Redis; it connects when it is used.

    Raises:
        SettingsError: the address can't be used.
    """
    breaker = Breaker("redis", fail_max=REDIS_FAILURES, open_s=REDIS_OPEN_S, max_open_s=REDIS_MAX_OPEN_S, clock=clock)
    return RedisGateway(RedisSettings(settings.redis_address, budget_s=REDIS_BUDGET_S), breaker=breaker, clock=clock)
