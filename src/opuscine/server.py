"""One process that serves: its sockets, its signals, and how it stops without losing an answer."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import structlog
import uvloop
from aiohttp import web

from opuscine.app import create_app
from opuscine.errors import CatalogueError, SettingsError
from opuscine.keys import CATALOGUE, LIFECYCLE
from opuscine.settings import Settings

KEEP_ALIVE_S = 1_230  # longer than the idle pools of Java's clients (JDK below 20: 1,200 s): at equal times they lose POSTs
LINGER_S = 1.0  # how long a refused body is still read; longer lets a bomb hold up others (measured)
LISTEN_BACKLOG = 1_024

log = structlog.get_logger("opuscine.server")


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: the settings or the address cannot be used.
        CatalogueError: the catalogue's sources cannot be read.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings))


async def serve(settings: Settings, *, on_listening: Callable[[str], None] = lambda _: None) -> None:
    """Serve in the running loop until told to stop; `on_listening` is called with the address once it is bound."""
    app = create_app(settings)
    runner = make_runner(app, settings)
    stopped = asyncio.Event()
    reloads: set[asyncio.Task[None]] = set()  # a task that nobody holds may vanish
    loop = asyncio.get_running_loop()
    await runner.setup()
    try:
        site = await bind(runner, settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: reloads.add(loop.create_task(reload_data(app))))
        host, port = runner.addresses[0][:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        log.info("listening", address=address, environment=settings.environment)
        on_listening(address)
        await stopped.wait()
        log.info("stopping", drain_timeout_s=settings.server.drain_timeout_s)
        app[LIFECYCLE].draining = True
        await site.stop()
    finally:
        await runner.cleanup()
    log.info("stopped")


def make_runner(app: web.Application, settings: Settings) -> web.AppRunner:
    """Bind the application to the bounds that every connection has; nothing listens yet."""
    return web.AppRunner(
        app,
        access_log=None,  # the timing middleware logs requests; the built-in log doubles their cost
        handler_cancellation=True,  # a caller that left must not keep an LLM call running
        keepalive_timeout=KEEP_ALIVE_S,
        lingering_time=LINGER_S,
        auto_decompress=False,  # gzip bombs are refused by their header, never inflated
        shutdown_timeout=settings.server.drain_timeout_s,
    )


async def bind(runner: web.AppRunner, settings: Settings) -> web.TCPSite:
    """Listen on the address of the settings.

    Raises:
        SettingsError: it is taken, not ours, or not to be had.
    """
    site = web.TCPSite(runner, settings.server.host, settings.server.port, backlog=LISTEN_BACKLOG)
    try:
        await site.start()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        where = f"{settings.server.host}:{settings.server.port}"
        raise SettingsError(f"HOST, PORT: cannot listen on {where} ({reason}); choose an address of this machine and a free port") from None
    return site


async def reload_data(app: web.Application) -> None:
    """Begin a reload of the catalogue, as SIGHUP asks; what goes wrong is logged and the old data go on serving."""
    try:
        generation = await app[CATALOGUE].reload()
    except (CatalogueError, SettingsError) as error:
        log.error("reload refused", error=str(error))
    else:
        log.info("reload begun", generation=generation)
