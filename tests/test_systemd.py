"""systemd is told by datagrams how the service is; that it cannot be told never harms the service."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from opuscine.errors import SettingsError
from opuscine.systemd import ServiceManager, sockets_handed_over, watchdog_interval_s


@pytest.fixture
def datagrams() -> Iterator[socket.socket]:
    """Give a socket of datagrams that nothing is bound to yet."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        yield listening


@pytest.fixture
def address() -> Iterator[str]:
    """Give a short path in a folder of its own: 107 bytes is all that a socket's path may have."""
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder) / "notify")


def test_each_message_is_one_datagram_of_the_protocol(datagrams: socket.socket, address: str) -> None:
    datagrams.bind(address)
    manager = ServiceManager(address)
    manager.starting("Opening")
    manager.ready("Serving on http://127.0.0.1:8000")
    manager.stopping("Finishing")
    assert [datagrams.recv(4096) for _ in range(3)] == [
        b"STATUS=Opening",
        b"READY=1\nSTATUS=Serving on http://127.0.0.1:8000",
        b"STOPPING=1\nSTATUS=Finishing",
    ]


def test_a_reload_carries_its_instant_in_microseconds_of_the_monotonic_clock(datagrams: socket.socket, address: str) -> None:
    datagrams.bind(address)
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    ServiceManager(address).reloading("Reading")
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    word, instant, status = datagrams.recv(4096).decode().splitlines()
    assert (word, status) == ("RELOADING=1", "STATUS=Reading")
    assert before <= int(instant.removeprefix("MONOTONIC_USEC=")) <= after


def test_an_abstract_socket_is_found(datagrams: socket.socket) -> None:
    name = f"opuscine-{secrets.token_hex(8)}"
    datagrams.bind(f"\0{name}")
    ServiceManager(f"@{name}").ready("Serving")
    assert datagrams.recv(4096) == b"READY=1\nSTATUS=Serving"


def test_without_systemd_nothing_is_sent_and_nothing_is_said() -> None:
    with capture_logs() as logs:
        ServiceManager("").ready("Serving")
    assert logs == []


def test_a_socket_that_is_gone_is_logged_and_harms_nobody(address: str) -> None:
    with capture_logs() as logs:
        ServiceManager(address).ready("Serving")
    assert [(line["event"], line["error"]) for line in logs] == [("systemd not told", "No such file or directory")]


def test_a_manager_that_does_not_read_is_waited_for_a_second_at_most(datagrams: socket.socket, address: str) -> None:
    datagrams.bind(address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.setblocking(False)
        filler.connect(address)
        with suppress(BlockingIOError):
            while True:
                filler.send(b"STATUS=full")
    begun = time.monotonic()
    with capture_logs() as logs:
        ServiceManager(address).ready("Serving")
    assert [line["event"] for line in logs] == ["systemd not told"]
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("address", ["notify", "vsock:2:1234", "./notify"])
def test_an_address_of_another_kind_is_refused_by_name(address: str) -> None:
    with pytest.raises(SettingsError, match=r"NOTIFY_SOCKET: found '.*'; valid: an absolute path, or @ and a name"):
        ServiceManager(address)


@pytest.mark.parametrize(
    ("pid", "asked", "interval_s"),
    [("ours", "10000000", 10.0), ("", "500000", 0.5), ("1", "10000000", 0.0), ("ours", "soon", 0.0), ("ours", "", 0.0)],
)
def test_the_watchdog_is_fed_if_it_waits_for_this_process(pid: str, asked: str, interval_s: float) -> None:
    environ = {"WATCHDOG_USEC": asked, "WATCHDOG_PID": str(os.getpid()) if pid == "ours" else pid}
    assert watchdog_interval_s(environ) == interval_s
    assert environ == {}


@pytest.mark.parametrize(("pid", "count"), [("1", "1"), ("", "1"), ("ours", ""), ("ours", "0"), ("ours", "one")])
def test_sockets_for_another_process_are_not_taken(pid: str, count: str) -> None:
    environ = {"LISTEN_PID": str(os.getpid()) if pid == "ours" else pid, "LISTEN_FDS": count, "LISTEN_FDNAMES": "opuscine.socket"}
    assert sockets_handed_over(environ) == []
    assert environ == {}
