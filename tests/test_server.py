"""One process that serves: what it tells its service manager, how it takes signals, and that a stop costs nobody his answer."""

from __future__ import annotations

import asyncio
import fcntl
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs
from yarl import URL

from opuscine.errors import CatalogueError
from opuscine.server import bind, clean_up, log_loop_trouble, reload_part, reload_parts
from opuscine.settings import Settings
from support.hygiene import watched_session
from support.llm_server import LlmServer, hang, reply, slow
from support.notified import Message, Unit, unit
from support.process import environment

REQUEST = b"GET /health/liveness HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def settings(compiled: Path) -> dict[str, object]:
    """Give the settings of a process that listens on a free port and is open to everyone."""
    return {"environment": "development", "port": 0, "cache_dir": compiled}


@pytest.fixture
async def caller() -> AsyncIterator[aiohttp.ClientSession]:
    """Give a session."""
    async with watched_session() as session:
        yield session


def free_port() -> int:
    """Return a port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def connects(url: str) -> bool:
    """Say whether somebody listens there."""
    address = URL(url)
    try:
        with socket.create_connection((address.host or "", address.port or 0), timeout=5):
            return True
    except ConnectionRefusedError:
        return False


@contextmanager
def compiling(cache_dir: Path) -> Iterator[None]:
    """Hold what a compile needs, so that a process that has to compile stays in its start."""
    (lock,) = cache_dir.glob("*.lock")
    for path in cache_dir.iterdir():
        if path != lock:
            path.unlink()
    with lock.open("r+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def is_running(pid: int) -> bool:
    """Say whether there is such a process that has not ended; one that nobody has buried yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children_of(pid: int) -> list[int]:
    """Return the processes that a process started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def remove_notify_socket(service: Unit) -> None:
    """Leave a process without its service manager."""
    Path(service.address).unlink()


async def waiting_call(llm: LlmServer, url: str, caller: aiohttp.ClientSession) -> asyncio.Task[aiohttp.ClientResponse]:
    """Begin a call and return it once the language model has it."""
    call = asyncio.create_task(caller.post(f"{url}/recommend", json={"message": "영화"}))
    async with asyncio.timeout(20):
        while not llm.in_flight:
            if call.done():
                raise AssertionError(f"the model was not asked: {await call}")
            await asyncio.sleep(0.005)
    return call


# What systemd is told


async def test_ready_is_told_once_a_caller_can_connect(tmp_path: Path, settings: dict[str, object]) -> None:
    connected: list[bool] = []

    def connect(message: Message) -> None:
        if "READY" in message:
            connected.append(connects(message["STATUS"].removeprefix("Serving on ")))

    async with unit(tmp_path, settings, on_told=connect) as service:
        await service.tells("READY")
    assert connected == [True]


async def test_a_service_that_cannot_listen_never_says_it_is_ready(tmp_path: Path, settings: dict[str, object]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with unit(tmp_path, settings | {"port": port}) as service:
            assert await service.ended() == 1
    assert [list(message) for message in service.told] == [["STATUS"]]
    assert f"opuscine: HOST, PORT: cannot listen on 127.0.0.1:{port} (Address already in use); choose" in service.text


async def test_nothing_is_ready_while_the_catalogue_is_compiled(tmp_path: Path, settings: dict[str, object]) -> None:
    cache_dir, port = tmp_path / "cache", free_port()
    settings |= {"cache_dir": cache_dir, "port": port}
    async with unit(tmp_path, settings) as service:
        await service.url()
        await service.stopped()
    with ExitStack() as held:
        held.enter_context(compiling(cache_dir))
        async with unit(tmp_path, settings) as service:
            assert (await service.tells("STATUS"))["STATUS"].startswith("Opening the catalogue")
            async with asyncio.timeout(20):
                while not children_of(service.process.pid):
                    await asyncio.sleep(0.005)
            assert not connects(f"http://127.0.0.1:{port}")
            assert not [message for message in service.told if "READY" in message]
            service.process.send_signal(signal.SIGHUP)  # comes too early, and must neither end it nor get lost
            held.close()
            await service.tells("READY", times=2)
    assert ["RELOADING" in message for message in service.told if "READY" in message or "RELOADING" in message] == [False, True, False]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_start_can_be_stopped_and_leaves_no_process_behind(
    tmp_path: Path, settings: dict[str, object], number: signal.Signals
) -> None:
    cache_dir = tmp_path / "cache"
    settings |= {"cache_dir": cache_dir}
    async with unit(tmp_path, settings) as service:
        await service.url()
        await service.stopped()
    with compiling(cache_dir):
        async with unit(tmp_path, settings) as service:
            async with asyncio.timeout(20):
                while not (children := children_of(service.process.pid)):
                    await asyncio.sleep(0.005)
            status, took_s = await service.stopped(number)
    assert status == 0
    assert took_s < 5
    assert not [message for message in service.told if "READY" in message]
    assert service.told[-1]["STOPPING"] == "1"
    assert not [child for child in children if is_running(child)]


async def test_a_reload_is_told_from_its_beginning_to_its_end(tmp_path: Path, settings: dict[str, object]) -> None:
    async with unit(tmp_path, settings) as service:
        url = await service.url()
        for times in (1, 2):
            service.process.send_signal(signal.SIGHUP)
            reloading = await service.tells("RELOADING", times=times)
            ready = await service.tells("READY", times=times + 1)
            assert int(reloading["MONOTONIC_USEC"]) > 0
            assert ready["STATUS"] == f"Serving on {url}"
        assert (await service.stopped())[0] == 0
    assert service.text.count("reload begun") == 2
    words = [name for message in service.told for name in message if name not in {"STATUS", "MONOTONIC_USEC"}]
    assert words == ["READY", "RELOADING", "READY", "RELOADING", "READY", "STOPPING"]


async def test_a_manager_that_is_gone_keeps_nobody_from_serving(
    tmp_path: Path, settings: dict[str, object], caller: aiohttp.ClientSession
) -> None:
    async with unit(tmp_path, settings | {"port": (port := free_port())}) as service:
        remove_notify_socket(service)
        await service.logs("listening")
        async with caller.get(f"http://127.0.0.1:{port}/health/readiness") as response:
            assert response.status == 200
        assert (await service.stopped())[0] == 0
    assert "systemd not told" in service.text


# How it stops


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_idle_connections_do_not_delay_the_stop(tmp_path: Path, settings: dict[str, object], number: signal.Signals) -> None:
    async with unit(tmp_path, settings | {"drain_timeout": 60}) as service:
        url = URL(await service.url())
        with ExitStack() as connections:
            sockets = [connections.enter_context(socket.create_connection((url.host or "", url.port or 0))) for _ in range(3)]
            _silent, halfway, kept_alive = sockets
            halfway.sendall(REQUEST[:20])
            kept_alive.sendall(REQUEST)
            kept_alive.settimeout(5)
            assert b"200 OK" in await asyncio.to_thread(kept_alive.recv, 4096)
            status, took_s = await service.stopped(number)
    assert status == 0
    assert took_s < 5


async def test_while_it_drains_readiness_fails_and_nobody_new_is_let_in(
    tmp_path: Path, settings: dict[str, object], caller: aiohttp.ClientSession
) -> None:
    async with LlmServer() as llm, unit(tmp_path, settings | {"llm_server_url": llm.url, "drain_timeout": 60}) as service:
        llm.answer = slow(1.0, reply())
        url = await service.url()
        call = await waiting_call(llm, url, caller)
        async with watched_session() as prober:
            async with prober.get(f"{url}/health/readiness") as response:
                assert response.status == 200
            service.process.send_signal(signal.SIGTERM)
            await service.tells("STOPPING")
            async with prober.get(f"{url}/health/readiness") as response:  # on the connection that was kept alive
                assert (response.status, response.headers["Connection"]) == (503, "close")
        async with asyncio.timeout(5):
            while connects(url):
                await asyncio.sleep(0.005)
        assert not call.done()
        response = await call
        assert (response.status, response.headers["Connection"]) == (200, "close")
        assert (await response.json())["data"]["source"] == "llm"
        assert await service.ended() == 0
    assert "cut off" not in service.text


async def test_requests_that_had_arrived_before_the_signal_are_answered(tmp_path: Path, settings: dict[str, object]) -> None:
    """On connections that are kept alive, and on new ones that only the kernel has accepted so far."""
    async with unit(tmp_path, settings) as service:
        url = URL(await service.url())
        with ExitStack() as connections:

            def connect() -> socket.socket:
                connection = connections.enter_context(socket.create_connection((url.host or "", url.port or 0)))
                connection.settimeout(10)
                connection.sendall(REQUEST)
                return connection

            kept_alive = [connect() for _ in range(50)]
            for connection in kept_alive:
                assert b"200 OK" in await asyncio.to_thread(connection.recv, 4096)
            service.process.send_signal(signal.SIGSTOP)
            for connection in kept_alive:
                connection.sendall(REQUEST)
            new = [connect() for _ in range(50)]
            service.process.send_signal(signal.SIGTERM)
            service.process.send_signal(signal.SIGCONT)
            answers = [await asyncio.to_thread(connection.recv, 4096) for connection in [*kept_alive, *new]]
        assert await service.ended() == 0
    assert [b"200 OK" in answer for answer in answers] == [True] * 100


async def test_an_answer_that_does_not_come_is_cut_off_when_the_time_is_up(
    tmp_path: Path, settings: dict[str, object], caller: aiohttp.ClientSession
) -> None:
    async with LlmServer() as llm, unit(tmp_path, settings | {"llm_server_url": llm.url, "drain_timeout": 0.5}) as service:
        llm.answer = hang()
        call = await waiting_call(llm, await service.url(), caller)
        status, took_s = await service.stopped()
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await call
    assert status == 0
    assert 0.5 <= took_s < 5
    assert "answers cut off" in service.text
    assert "count=1" in service.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_it_at_once(
    tmp_path: Path, settings: dict[str, object], caller: aiohttp.ClientSession, number: signal.Signals
) -> None:
    async with LlmServer() as llm, unit(tmp_path, settings | {"llm_server_url": llm.url, "drain_timeout": 60}) as service:
        llm.answer = hang()
        call = await waiting_call(llm, await service.url(), caller)
        service.process.send_signal(signal.SIGTERM)
        await service.tells("STOPPING")
        service.process.send_signal(signal.SIGHUP)  # means nothing any more
        status, took_s = await service.stopped(number)
        with pytest.raises(aiohttp.ClientError):
            await call
    assert status == -number
    assert took_s < 2


async def test_with_a_delay_readiness_fails_while_new_callers_are_still_let_in(
    tmp_path: Path, settings: dict[str, object], caller: aiohttp.ClientSession
) -> None:
    async with unit(tmp_path, settings | {"drain_delay": 1.5}) as service:
        url = await service.url()
        service.process.send_signal(signal.SIGTERM)
        await service.tells("STOPPING")
        for _ in range(2):  # each on a new connection
            async with caller.get(f"{url}/health/readiness") as response:
                assert (response.status, response.headers["Connection"]) == (503, "close")
        async with caller.get(f"{url}/api/movies/496243/ott") as response:
            assert (response.status, response.headers["Connection"]) == (200, "close")
        assert await service.ended() == 0


async def test_a_stream_whose_time_is_up_ends_with_an_event_that_says_so(
    tmp_path: Path, settings: dict[str, object], caller: aiohttp.ClientSession
) -> None:
    """One that has begun; one that has not becomes an ordinary 503."""
    async with LlmServer() as llm, unit(tmp_path, settings | {"llm_server_url": llm.url, "drain_timeout": 0.5}) as service:
        llm.answer = hang()
        url = await service.url()
        stream = asyncio.create_task(
            caller.post(f"{url}/recommend", json={"message": "영화"}, headers={"Accept": "text/event-stream", "X-Request-Id": "s-1"})
        )
        async with asyncio.timeout(20):
            while not llm.in_flight:
                await asyncio.sleep(0.005)
        service.process.send_signal(signal.SIGTERM)
        response = await stream
        problem = await response.json()
        assert (response.status, response.headers["Retry-After"], problem["code"]) == (503, "1", "unavailable")
        assert await service.ended() == 0


# Sockets that others opened


async def start_on(listening: socket.socket, home: Path, settings: dict[str, object]) -> asyncio.subprocess.Process:
    """Start the service as systemd does, with a socket as descriptor 3."""
    script = f"import os; os.dup2({listening.fileno()}, 3); os.environ['LISTEN_PID'] = str(os.getpid()); "
    script += "import sys; os.execv(sys.argv[1], sys.argv[1:])"
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-c", script, sys.executable, "-m", "opuscine", "serve"),
        cwd=home,
        env=environment(home, settings) | {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "opuscine.socket"},
        pass_fds=[listening.fileno()],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


def queue_of(listening: socket.socket) -> int:
    """Return how many connections may wait to be accepted (`tcpi_sacked` of a socket that listens, tcp(7))."""
    return int.from_bytes(listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[28:32], sys.byteorder)


async def test_a_socket_that_was_handed_over_is_used_in_place_of_the_settings_and_outlives_the_process(
    tmp_path: Path, settings: dict[str, object], caller: aiohttp.ClientSession
) -> None:
    with socket.socket() as listening, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listening.bind(("127.0.0.1", 0))
        listening.listen(77)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        in_time = aiohttp.ClientTimeout(30)
        early = asyncio.create_task(caller.get(f"{url}/health/readiness", timeout=in_time))  # before anybody accepts
        process = await start_on(listening, tmp_path, settings | {"port": taken.getsockname()[1]})
        assert (await early).status == 200
        assert queue_of(listening) == 77
        process.terminate()
        log = (await process.communicate())[0].decode()
        late = asyncio.create_task(caller.get(f"{url}/health/readiness", timeout=in_time))
        successor = await start_on(listening, tmp_path, settings)
        assert (await late).status == 200
        listening.setblocking(True)  # as others who share it can: it must keep nobody waiting
        async with aiohttp.ClientSession() as another, another.get(f"{url}/health/readiness", timeout=in_time) as response:
            assert response.status == 200
        successor.terminate()
        await successor.communicate()
    assert "sockets were handed over" in log
    assert "HOST and PORT are not used" in log


# What is closed, and what is read again


class Slow(web.AppRunner):
    """A runner of an application that takes for ever to close."""

    def __init__(self) -> None:
        app = web.Application()
        app.on_cleanup.append(self.never)
        super().__init__(app)

    async def never(self, _app: web.Application) -> None:
        """Wait for what does not happen."""
        await asyncio.get_running_loop().create_future()


async def test_trouble_that_nobody_caught_is_logged_without_what_it_was_about() -> None:
    error = ValueError("what a caller sent")
    with capture_logs() as logged:
        log_loop_trouble(
            asyncio.get_running_loop(), {"message": "Task exception was never retrieved", "exception": error, "task": "what ran"}
        )
    assert logged == [
        {"event": "event loop trouble", "log_level": "error", "doing": "Task exception was never retrieved", "exc_info": error}
    ]


async def test_closing_has_a_bound() -> None:
    runner = Slow()
    await runner.setup()
    with capture_logs() as logs:
        await clean_up(runner, limit_s=0.05)
    assert [line["event"] for line in logs] == ["closing took too long"]


async def test_parts_reload_beside_each_other_and_one_that_fails_stops_no_other() -> None:
    async def done() -> str:
        return "0f6b"

    async def refused() -> str:
        raise CatalogueError("movies.json is not JSON")

    async def broken() -> str:
        raise ZeroDivisionError

    with capture_logs() as logs:
        await reload_parts({"refused": refused, "broken": broken, "done": done})
    assert {(line["event"], line["part"]) for line in logs} == {
        ("reload refused", "refused"),
        ("reload failed", "broken"),
        ("reload begun", "done"),
    }


async def test_a_reload_that_takes_long_is_not_waited_for() -> None:
    async def slowly() -> Any:
        await asyncio.get_running_loop().create_future()

    with capture_logs() as logs:
        await reload_part("catalogue", slowly, limit_s=0.05)
    assert [line["event"] for line in logs] == ["reload takes long"]


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("a..b", r"\(Not a host name\)"),
        ("x" * 70, r"\(Not a host name\)"),
        ("192.0.2.1", r"\(Cannot assign requested address\)"),
        ("999.0.0.1", r"\((Name or service not known|Temporary failure in name resolution)\)"),
    ],
)
async def test_an_address_that_is_not_to_be_had_is_named(host: str, why: str) -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    try:
        with pytest.raises(Exception, match=rf"HOST, PORT: cannot listen on {host}:0 {why}; choose"):
            await bind(runner, Settings(_env_file=None, host=host, port=0))
    finally:
        await runner.cleanup()
