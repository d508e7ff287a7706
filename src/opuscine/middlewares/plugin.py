"""What a middleware plugin is given, and what it gives back. `docs/plugins.md` is the guide for those who write one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CollectorRegistry

from opuscine.client_address import Networks
from opuscine.guard.deadline import Deadline
from opuscine.identity.authenticator import Authenticator
from opuscine.keys import Lifecycle
from opuscine.limits import Limit
from opuscine.operations import Operation
from opuscine.redis_gateway import RedisBudget, RedisGateway
from opuscine.settings import Settings
from opuscine.telemetry.measures import Measures
from opuscine.telemetry.tracing import Tracing


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginContext:
    """The collaborators that every plugin may unpack into keyword arguments of its middleware. Fields are added, never taken away."""

    settings: Settings
    clock: Callable[[], float]  # seconds, monotonic: for durations
    operation_of: Callable[[web.Request], Operation | None]  # None: no such address or method, or a preflight
    redis: Callable[[], RedisGateway | None]  # asked for in each request; None: no setting names a Redis
    metrics: CollectorRegistry  # what is registered here stands on /metrics too


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltInContext(PluginContext):
    """What our own middlewares are given besides; no part of what other plugins may count on."""

    lifecycle: Lifecycle
    measures: Measures
    tracing: Callable[[], Tracing | None]  # there once the application has started, and only where spans are sent
    authenticator: Callable[[], Authenticator]  # there once the application has started, and only where `AUTH` is on
    read_limit: Limit
    redis_budget: Callable[[Deadline], RedisBudget]  # a fresh one, for one request
    trusted_proxies: Networks


class Plugin(Protocol):
    """The object behind an entry point of the group `opuscine.middlewares`."""

    def __call__(self, context: PluginContext) -> Middleware:
        """Make the middleware; called once, when the application is built and nothing is open yet.

        Raises:
            SettingsError: the plugin's own settings cannot be used; the text says which and what is valid.
        """
