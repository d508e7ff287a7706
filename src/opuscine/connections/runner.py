"""Run an application on connections of ours."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from opuscine.connections.dispatch import Dispatch
from opuscine.connections.handler import AtOnce, ConnectionHandler
from opuscine.connections.open_connections import OpenConnections


class ConnectionServer(web.Server):
    """Make a handler for each connection."""

    def __init__(self, made: web.Server, app: web.Application, connections: OpenConnections, at_once: AtOnce | None) -> None:
        """Take over what an application's own server was made with."""
        super().__init__(
            Dispatch(app),
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=asyncio.get_running_loop(),
            **made._kwargs,
        )
        self._open = connections
        self._at_once = at_once

    def __call__(self) -> RequestHandler:
        """Return the handler of a new connection."""
        return ConnectionHandler(self, self._open, self._at_once, loop=self._loop, **self._kwargs)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  aiohttp's own signature
        """Close all connections."""
        await super().shutdown(timeout)
        self._open.close()


class ConnectionRunner(web.AppRunner):
    """Run an application with bounds on its connections."""

    def __init__(self, app: web.Application, connections: OpenConnections, *, at_once: AtOnce | None = None, **options: Any) -> None:
        """Run nothing yet; `at_once` answers what it can in the step in which it arrives, `options` are those of `web.AppRunner`."""
        super().__init__(app, **options)
        self._open = connections
        self._at_once = at_once

    async def _make_server(self) -> web.Server:
        return ConnectionServer(await super()._make_server(), self.app, self._open, self._at_once)
