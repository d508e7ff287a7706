"""One process that serves: its sockets, its signals, and how it stops without losing an answer."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
import uvloop
from aiohttp import web

from opuscine.acceptor import AcceptingSite
from opuscine.app import KEEP_ALIVE_S, create_app, open_connections
from opuscine.connections.handler import ConnectionHandler
from opuscine.connections.runner import ConnectionRunner
from opuscine.errors import OpusCineError
from opuscine.keys import AUTHENTICATOR, CATALOGUE, CONNECTIONS, FAST_PATH, LIFECYCLE, Lifecycle
from opuscine.open_files import allow_open_files
from opuscine.settings import Settings
from opuscine.sockets import bind_sockets
from opuscine.systemd import ServiceManager, sockets_handed_over, watchdog_interval_s

LINGER_S = 1.0  # how long a refused body is still read; longer lets a bomb hold up others (measured)
OTHER_FILES = 512  # what is open beside connections: upstreams, Redis, catalogue, logs, refused callers
DRAIN_LOOK_S = 0.05  # between looks at whether a caller still waits
IDLE_S = 1.0  # how long connections that idle at a stop are kept for a request that is on its way
FAREWELL_S = 0.5  # for the last event of streams whose time is up
CUT_OFF_S = 0.1  # aiohttp takes up to twice this to end what the drain left over
CLEAN_UP_S = 5.0  # longest time for closing connections, pools and files; systemd's TimeoutStopSec allows for it
YOUNG_OBJECTS = 2_000  # between two looks of the garbage collector
RELOAD_S = 60.0  # longest time that a reload is waited for; what takes longer goes on by itself

log = structlog.get_logger("opuscine.server")


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: the settings, the address or the sockets that were handed over cannot be used.
        CatalogueError: the catalogue's sources cannot be read.
    """
    faulthandler.enable()  # a watchdog ends a stuck process by SIGABRT; then the log says where it was stuck
    handed_over = sockets_handed_over(os.environ)
    watchdog_s = watchdog_interval_s(os.environ)
    manager = ServiceManager(os.environ.get("NOTIFY_SOCKET", ""))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, manager, handed_over=handed_over, watchdog_s=watchdog_s))


async def serve(settings: Settings, manager: ServiceManager, *, handed_over: Sequence[socket.socket], watchdog_s: float) -> None:
    """Serve in the running loop, which must be the main thread's, until told to stop.

    It listens on the sockets that were `handed_over`, else on the address of the settings. A stop takes at most `DRAIN_DELAY`,
    `DRAIN_TIMEOUT` and `CLEAN_UP_S`; told once more, the process ends at once.
    """
    asyncio.get_running_loop().set_exception_handler(log_loop_trouble)
    app = create_app(settings)
    runner = make_runner(app, settings)
    hangup = asyncio.Event()
    heartbeat = asyncio.create_task(manager.keep_alive(watchdog_s)) if watchdog_s else None
    try:
        async with until_told_to_stop(on_hangup=hangup.set):
            manager.starting("Opening the catalogue; a new one is compiled first")
            app[CONNECTIONS].limit = connections_that_fit(settings.server.max_connections)
            await runner.setup()
            spare_collector()
            site = await bind(runner, settings, handed_over)
            address = site.name
            log.info("listening", address=address, environment=settings.environment)
            manager.ready(f"Serving on {address}")
            while await hangup.wait():
                hangup.clear()
                manager.reloading("Reading the data again")
                await reload_parts(parts_to_reload(app))
                manager.ready(f"Serving on {address}")
        app[LIFECYCLE].draining = True
        log.info("stopping", drain_delay_s=settings.server.drain_delay_s, drain_timeout_s=settings.server.drain_timeout_s)
        manager.stopping("Finishing the answers under way")
        await asyncio.sleep(settings.server.drain_delay_s)
        await drain(runner, app[LIFECYCLE], settings.server.drain_timeout_s)
    finally:
        await clean_up(runner)
        if heartbeat is not None:
            heartbeat.cancel()
    log.info("stopped")


def spare_collector() -> None:
    """Have the garbage collector pass over what the start has made, and look at what is young less often.

    Nearly everything that requests make is freed as soon as nobody holds it; only cycles wait for the collector. Looking for them every
    700 objects took a tenth of the CPU of a recommendation (measured).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)


def log_loop_trouble(_loop: asyncio.AbstractEventLoop, trouble: Mapping[str, Any]) -> None:
    """Log what nobody was there to catch; asyncio's own line would hold the exception's text and what a task was called with."""
    log.error("event loop trouble", doing=trouble.get("message", ""), exc_info=trouble.get("exception"))


@asynccontextmanager
async def until_told_to_stop(*, on_hangup: Callable[[], None]) -> AsyncIterator[None]:
    """Run the block until SIGTERM or SIGINT cancels it, wherever it is, and go on after it; SIGHUP calls `on_hangup`.

    From the first of the two on, each of them ends the process by itself and SIGHUP is ignored, even while the loop is stuck.
    """
    loop = asyncio.get_running_loop()
    block = asyncio.timeout(None)  # its end is set by the signal

    def let_go() -> None:
        for number, action in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.SIG_DFL), (signal.SIGHUP, signal.SIG_IGN)):
            loop.remove_signal_handler(number)
            signal.signal(number, action)

    def stop() -> None:
        let_go()
        block.reschedule(loop.time())

    try:
        async with block:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop)
            loop.add_signal_handler(signal.SIGHUP, on_hangup)
            yield
    except TimeoutError:
        if not block.expired():
            raise


def make_runner(app: web.Application, settings: Settings) -> web.AppRunner:
    """Bind the application to the bounds that every connection has; nothing listens yet."""
    return ConnectionRunner(
        app,
        app.get(CONNECTIONS) or open_connections(settings.server),
        at_once=app.get(FAST_PATH),
        access_log=None,  # the timing middleware logs requests; the built-in log doubles their cost
        handler_cancellation=True,  # a caller that left must not keep an LLM call running
        keepalive_timeout=KEEP_ALIVE_S,
        lingering_time=LINGER_S,
        auto_decompress=False,  # gzip bombs are refused by their header, never inflated
        shutdown_timeout=min(CUT_OFF_S, settings.server.drain_timeout_s),  # `drain` has waited before
    )


def connections_that_fit(wanted: int) -> int:
    """Have the kernel allow as many open files as connections and everything else need; return how many connections fit."""
    allowed = allow_open_files(wanted + OTHER_FILES)
    fit = min(wanted, max(1, allowed - OTHER_FILES, allowed // 2))
    if fit < wanted:
        log.warning(
            "fewer connections than wanted",
            max_connections=wanted,
            used=fit,
            open_files=allowed,
            remedy=f"set LimitNOFILE (ulimit -n) to {wanted + OTHER_FILES}, or MAX_CONNECTIONS to {fit}",
        )
    return fit


async def bind(runner: web.AppRunner, settings: Settings, handed_over: Sequence[socket.socket] = ()) -> web.BaseSite:
    """Listen on the sockets that were handed over, else on the address of the settings.

    Raises:
        SettingsError: the address is taken, not ours, or not to be had.
    """
    if handed_over:
        log.info("sockets were handed over", count=len(handed_over), consequence="HOST and PORT are not used")
    sockets = handed_over or bind_sockets(settings.server.host, settings.server.port)
    site = AcceptingSite(runner, sockets, shared=bool(handed_over))
    await site.start()
    return site


def parts_to_reload(app: web.Application) -> Mapping[str, Callable[[], Awaitable[object]]]:
    """Name what SIGHUP has read again."""
    parts: dict[str, Callable[[], Awaitable[object]]] = {"catalogue": app[CATALOGUE].reload}
    if AUTHENTICATOR in app:
        parts["keys"] = app[AUTHENTICATOR].reload
    return parts


async def reload_parts(parts: Mapping[str, Callable[[], Awaitable[object]]]) -> None:
    """Have all parts read their data again; one that fails goes on with what it had, and the log says why."""
    await asyncio.gather(*(reload_part(name, reload) for name, reload in parts.items()))


async def reload_part(name: str, reload: Callable[[], Awaitable[object]], *, limit_s: float = RELOAD_S) -> None:
    """Have one part read its data again, or begin to; nothing is raised."""
    try:
        async with asyncio.timeout(limit_s):
            outcome = await reload()
    except TimeoutError:
        log.warning("reload takes long", part=name, waited_s=limit_s)
    except OpusCineError as error:
        log.error("reload refused", part=name, error=str(error))
    except Exception:
        log.exception("reload failed", part=name)
    else:
        log.info("reload begun", part=name, outcome=outcome)


async def drain(runner: web.AppRunner, lifecycle: Lifecycle, limit_s: float) -> None:
    """Stop accepting, and wait until no caller waits for an answer; whoever still does `limit_s` from now is cut off.

    A stream of events is told so by its last one. Idle connections stay open for `IDLE_S`, so that a request which is on its way is
    answered, with `Connection: close`, and the caller does not use that connection again.
    """
    await stop_accepting(runner)
    if await nobody_waits(runner, limit_s):
        return
    lifecycle.time_is_up.set()
    count = callers_waiting(runner)
    await nobody_waits(runner, min(FAREWELL_S, limit_s))
    log.warning("answers cut off", count=count, drain_timeout_s=limit_s)


async def nobody_waits(runner: web.AppRunner, limit_s: float) -> bool:
    """Wait until no caller waits for an answer, but for `IDLE_S` while there are connections; return whether that came true in time."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while True:
        # At least one look later, when what had arrived has been read.
        await asyncio.sleep(min(DRAIN_LOOK_S, limit_s))
        waiting, waited_s = callers_waiting(runner), loop.time() - begun
        connections = runner.server.connections if runner.server is not None else []
        if waited_s >= limit_s or not connections or (waited_s >= IDLE_S and not waiting):
            return not waiting


async def stop_accepting(runner: web.AppRunner) -> None:
    """Stop listening, and take the connections that the kernel has accepted for us by then: closing would reset them (measured)."""
    for site in runner.sites:
        if isinstance(site, AcceptingSite):
            await site.take_waiting()
        await site.stop()


def callers_waiting(runner: web.AppRunner) -> int:
    """Count the connections that are not idle: a request is being read or answered there, or its answer is still being sent."""
    connections = runner.server.connections if runner.server is not None else []
    return sum(not connection.waits for connection in connections if isinstance(connection, ConnectionHandler))


async def clean_up(runner: web.AppRunner, *, limit_s: float = CLEAN_UP_S) -> None:
    """Close everything that was opened, connections first; what takes longer than `limit_s` is left to the end of the process."""
    try:
        async with asyncio.timeout(limit_s):
            await runner.cleanup()
    except TimeoutError:
        log.warning("closing took too long", limit_s=limit_s)
