"""One process that serves: its sockets, its signals, and how it stops without losing an answer."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress

import structlog
import uvloop
from aiohttp import web

from opuscine.app import KEEP_ALIVE_S, create_app, open_connections
from opuscine.connections.handler import ConnectionHandler
from opuscine.connections.runner import ConnectionRunner
from opuscine.errors import OpusCineError, SettingsError
from opuscine.keys import AUTHENTICATOR, CATALOGUE, CONNECTIONS, LIFECYCLE
from opuscine.open_files import allow_open_files
from opuscine.settings import Settings
from opuscine.systemd import ServiceManager

LINGER_S = 1.0  # how long a refused body is still read; longer lets a bomb hold up others (measured)
LISTEN_BACKLOG = 1_024
OTHER_FILES = 512  # what is open beside connections: upstreams, Redis, catalogue, logs, refused callers
DRAIN_LOOK_S = 0.05  # between looks at whether a caller still waits
CUT_OFF_S = 0.1  # aiohttp takes up to twice this to end what the drain left over
CLEAN_UP_S = 5.0  # longest time for closing connections, pools and files; systemd's TimeoutStopSec allows for it
RELOAD_S = 60.0  # longest time that a reload is waited for; what takes longer goes on by itself

log = structlog.get_logger("opuscine.server")


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: the settings or the address cannot be used.
        CatalogueError: the catalogue's sources cannot be read.
    """
    manager = ServiceManager(os.environ.get("NOTIFY_SOCKET", ""))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, manager))


async def serve(settings: Settings, manager: ServiceManager) -> None:
    """Serve in the running loop, which must be the main thread's, until told to stop.

    A stop takes at most `DRAIN_TIMEOUT` and `CLEAN_UP_S`; told once more, the process ends at once.
    """
    app = create_app(settings)
    runner = make_runner(app, settings)
    hangup = asyncio.Event()
    try:
        async with until_told_to_stop(on_hangup=hangup.set):
            manager.starting("Opening the catalogue; a new one is compiled first")
            app[CONNECTIONS].limit = connections_that_fit(settings.server.max_connections)
            await runner.setup()
            await bind(runner, settings)
            address = address_of(runner)
            log.info("listening", address=address, environment=settings.environment)
            manager.ready(f"Serving on {address}")
            while await hangup.wait():
                hangup.clear()
                manager.reloading("Reading the data again")
                await reload_parts(parts_to_reload(app))
                manager.ready(f"Serving on {address}")
        app[LIFECYCLE].draining = True
        log.info("stopping", drain_timeout_s=settings.server.drain_timeout_s)
        manager.stopping("Finishing the answers under way")
        await drain(runner, settings.server.drain_timeout_s)
    finally:
        await clean_up(runner)
    log.info("stopped")


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


async def bind(runner: web.AppRunner, settings: Settings) -> web.TCPSite:
    """Listen on the address of the settings.

    Raises:
        SettingsError: it is taken, not ours, or not to be had.
    """
    site = web.TCPSite(runner, settings.server.host, settings.server.port, backlog=LISTEN_BACKLOG)
    try:
        await site.start()
    except (OSError, UnicodeError) as error:
        reason = why_not_bound(error)
        where = f"{settings.server.host}:{settings.server.port}"
        raise SettingsError(f"HOST, PORT: cannot listen on {where} ({reason}); choose an address of this machine and a free port") from None
    return site


def why_not_bound(error: OSError | UnicodeError) -> str:
    """Say in a few words what was wrong with an address; event loops wrap the system's own words in theirs."""
    if isinstance(error, UnicodeError):
        return "Not a host name"
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or type(error).__name__
    return os.strerror(error.errno)


def address_of(runner: web.AppRunner) -> str:
    """Return where a caller finds the service; with `PORT=0` nobody knows before."""
    host, port = runner.addresses[0][:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


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


async def drain(runner: web.AppRunner, limit_s: float) -> None:
    """Stop accepting, and wait until no caller waits for an answer; whoever still does `limit_s` from now is cut off.

    Idle connections stay open meanwhile, so that a request which is on its way is answered (with `Connection: close`).
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + limit_s
    await stop_accepting(runner)
    waiting = 1  # at least one look later, when what had arrived has been read
    while waiting and loop.time() < give_up:
        await asyncio.sleep(min(DRAIN_LOOK_S, limit_s))
        waiting = callers_waiting(runner)
    if waiting:
        log.warning("answers cut off", count=waiting, drain_timeout_s=limit_s)


async def stop_accepting(runner: web.AppRunner) -> None:
    """Stop listening, and take the connections that the kernel has accepted for us by then: closing would reset them (measured)."""
    loop, server = asyncio.get_running_loop(), runner.server
    if server is None:  # the start was interrupted
        return
    # aiohttp (3.14) keeps the sockets there for `BaseRunner.addresses`; a copy keeps their queues when the event loop closes its own.
    sockets = [listening for site in runner.sites for listening in getattr(site._server, "sockets", ())]
    queues = [socket.socket(fileno=os.dup(listening.fileno())) for listening in sockets]
    for site in runner.sites:
        await site.stop()
    accepted = [connection for queue in queues for connection in take_all(queue)]
    for connection in accepted:
        with suppress(OSError):  # it is gone again
            await loop.connect_accepted_socket(server, connection)


def take_all(queue: socket.socket) -> Iterator[socket.socket]:
    """Give the connections that wait to be accepted, and close the socket."""
    with queue, suppress(BlockingIOError):
        queue.setblocking(False)
        for _ in range(LISTEN_BACKLOG):
            yield queue.accept()[0]


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
