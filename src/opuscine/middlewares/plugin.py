"""What a middleware plugin is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Middleware

from opuscine.client_address import Networks
from opuscine.identity.authenticator import Authenticator
from opuscine.keys import Lifecycle
from opuscine.limits import Limit
from opuscine.operations import Operation
from opuscine.redis_gateway import RedisBudget
from opuscine.settings import Settings


@dataclass(frozen=True, slots=True)
class PluginContext:
    """The collaborators that a plugin may unpack into keyword arguments of its middleware."""

    settings: Settings
    lifecycle: Lifecycle
    clock: Callable[[], float]
    operation_of: Callable[[web.Request], Operation | None]  # None: no such address or method
    authenticator: Callable[[], Authenticator]  # there once the application has started, and only where `AUTH` is on
    read_limit: Limit
    redis_budget: Callable[[], RedisBudget]  # a fresh one, for one request
    trusted_proxies: Networks


class Plugin(Protocol):
    """The object behind an entry point of the group `opuscine.middlewares`."""

    def __call__(self, context: PluginContext) -> Middleware:
        """Make the middleware; called once, when the application is built."""
