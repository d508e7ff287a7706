"""The typed keys under which the application's parts and a request's context are found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from opuscine.catalogue.service import Catalogue
from opuscine.connections.open_connections import OpenConnections
from opuscine.context import RequestContext
from opuscine.fast_path import FastPath
from opuscine.guard.breaker import Breaker
from opuscine.guard.probe import CachedProbe
from opuscine.guard.rate_limiter import RateLimiter
from opuscine.identity.authenticator import Authenticator
from opuscine.limits import Limit
from opuscine.llm.client import LlmClient
from opuscine.ott.api import ApiServerTier
from opuscine.ott.api_server import ApiServer
from opuscine.ott.repository import OttRepository
from opuscine.prepared_answers import PreparedAnswers
from opuscine.presenter import AnswerPresenter
from opuscine.recommend.recommender import Recommender
from opuscine.redis_gateway import RedisBudget, RedisGateway
from opuscine.settings import Settings
from opuscine.static_files import StaticFile
from opuscine.telemetry.measures import Measures
from opuscine.telemetry.page import MetricsPage
from opuscine.telemetry.tracing import Tracing


@dataclass(slots=True)
class Lifecycle:
    """Say whether the process takes requests: it drains between SIGTERM and its end."""

    draining: bool = False
    time_is_up: asyncio.Event = field(default_factory=asyncio.Event)  # what is not finished now is cut off; streams say so
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))


SETTINGS = web.AppKey("settings", Settings)
CATALOGUE = web.AppKey("catalogue", Catalogue)
OTT = web.AppKey("ott", OttRepository)
LLM = web.AppKey("llm", LlmClient)  # with its servers; absent when LLM_SERVER_URL is empty
LLM_PROBES = web.AppKey("llm_probes", dict[str, CachedProbe])  # by the servers' names
REDIS = web.AppKey("redis", RedisGateway)  # absent when no setting names a Redis
REDIS_PROBE = web.AppKey("redis_probe", CachedProbe)
API_SERVER = web.AppKey("api_server", ApiServer)  # absent when API_SERVER_URL is empty
API_SERVER_BREAKER = web.AppKey("api_server_breaker", Breaker)
API_SERVER_TIER = web.AppKey("api_server_tier", ApiServerTier)
API_SERVER_PROBE = web.AppKey("api_server_probe", CachedProbe)
AUTHENTICATOR = web.AppKey("authenticator", Authenticator)  # absent when AUTH is off
READ_LIMITER = web.AppKey("read_limiter", RateLimiter[RedisBudget])  # absent when the rate is "off"
RECOMMEND_LIMITER = web.AppKey("recommend_limiter", RateLimiter[RedisBudget])
READ_LIMIT = web.AppKey("read_limit", Limit)
RECOMMEND_LIMIT = web.AppKey("recommend_limit", Limit)
RECOMMENDER = web.AppKey("recommender", Recommender)
PREPARED = web.AppKey("prepared", PreparedAnswers)
PRESENTER = web.AppKey("presenter", AnswerPresenter)
CONNECTIONS = web.AppKey("connections", OpenConnections)
FAST_PATH: web.AppKey[FastPath | None] = web.AppKey("fast_path", FastPath)  # None: a middleware can't take it
MEASURES = web.AppKey("measures", Measures)
METRICS_PAGE = web.AppKey("metrics_page", MetricsPage)
TRACING = web.AppKey("tracing", Tracing)  # absent where no spans are sent
LIFECYCLE = web.AppKey("lifecycle", Lifecycle)
OPENAPI = web.AppKey("openapi", bytes)
STATIC_FILES: web.AppKey[Mapping[str, StaticFile]] = web.AppKey("static_files", Mapping)  # empty when PAGE is off
UTC_NOW: web.AppKey[Callable[[], datetime]] = web.AppKey("utc_now", Callable)  # type: ignore[arg-type]  # a class is asked for, only for its repr

CONTEXT = web.RequestKey("context", RequestContext)
BODY = web.RequestKey("body", bytes)
