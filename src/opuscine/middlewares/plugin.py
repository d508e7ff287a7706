"""What a middleware plugin is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Middleware

from opuscine.keys import Lifecycle
from opuscine.operations import Operation
from opuscine.settings import Settings


@dataclass(frozen=True, slots=True)
class PluginContext:
    """The collaborators that a plugin may unpack into keyword arguments of its middleware."""

    settings: Settings
    lifecycle: Lifecycle
    clock: Callable[[], float]
    operation_of: Callable[[web.Request], Operation | None]  # None: no such address or method


class Plugin(Protocol):
    """The object behind an entry point of the group `opuscine.middlewares`."""

    def __call__(self, context: PluginContext) -> Middleware:
        """Make the middleware; called once, when the application is built."""
