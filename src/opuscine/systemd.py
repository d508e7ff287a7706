"""What systemd is told of the service, by the protocol of sd_notify(3), and the sockets that it hands over (sd_listen_fds(3)).

It is told by one datagram to a socket that it names; `opuscine serve --workers` speaks the same protocols with its workers. Written
out here, as sd_notify(3) suggests ("Standalone Implementations"): the protocols are promised to stay as they are, and the libraries
for them are wrappers of libsystemd, which is not everywhere.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import MutableMapping

import structlog

from opuscine.errors import SettingsError

FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START
LONGEST_ACCEPT = struct.pack("@ll", 0, 10_000)  # struct timeval: 10 ms
SEND_LIMIT_S = 1.0  # systemd reads at once; if its queue is full, serving goes before telling of it

log = structlog.get_logger("opuscine.systemd")


class ServiceManager:
    """Tell systemd how the service is; where no systemd waits to hear of it, nothing is sent."""

    def __init__(self, address: str = "") -> None:
        """Take what `$NOTIFY_SOCKET` says: a path, `@` and the name of an abstract socket, or nothing.

        Raises:
            SettingsError: the address is of another kind.
        """
        if address[:1] not in {"", "/", "@"}:
            raise SettingsError(f"NOTIFY_SOCKET: found {address!r}; valid: an absolute path, or @ and a name, as systemd sets it")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def starting(self, status: str) -> None:
        """Say what the start is busy with; `status` is one line, which `systemctl status` shows."""
        self._send(f"STATUS={status}")

    def ready(self, status: str) -> None:
        """Say that callers are answered: after the bind, and after each reload."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self, status: str) -> None:
        """Say that a reload begins; `ready` ends it. systemd tells reloads apart by the time."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}\nSTATUS={status}")

    def stopping(self, status: str) -> None:
        """Say that the service is on its way to its end."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    def alive(self) -> None:
        """Say that the event loop still turns."""
        self._send("WATCHDOG=1")

    async def keep_alive(self, interval_s: float) -> None:
        """Say so twice as often as it is waited for, from the event loop itself: one that is stuck says nothing, and is ended."""
        while True:
            self.alive()
            await asyncio.sleep(interval_s / 2)

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as datagrams:
                datagrams.settimeout(SEND_LIMIT_S)
                datagrams.connect(self._address)
                datagrams.sendall(message.encode())
        except OSError as error:
            log.warning("systemd not told", message=message, error=error.strerror or type(error).__name__)


def watchdog_interval_s(environ: MutableMapping[str, str]) -> float:
    """Return how often this process must be heard of (sd_watchdog_enabled(3)), or 0.0; child processes are not told."""
    asked, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    return int(asked) / 1_000_000 if asked.isdecimal() and pid in {"", str(os.getpid())} else 0.0


def sockets_handed_over(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Take over the sockets that were opened for this process (sd_listen_fds(3)); child processes get none.

    They listen already, with the queue that their opener chose, and are never told to listen again, which would change it.

    Raises:
        SettingsError: one of them is no TCP socket that listens.
    """
    pid, count, names = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    labels = names.split(":")
    taken = []
    for place in range(int(count)):
        label = labels[place] if place < len(labels) else "?"
        try:
            handed = socket.socket(fileno=FIRST_DESCRIPTOR + place)
            listens = handed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError:
            raise SettingsError(f"LISTEN_FDS: descriptor {FIRST_DESCRIPTOR + place} ({label}) is no socket") from None
        if handed.family not in {socket.AF_INET, socket.AF_INET6} or handed.type != socket.SOCK_STREAM or not listens:
            raise SettingsError(f"LISTEN_FDS: {label} is no TCP socket that listens; write ListenStream=ADDRESS:PORT in the socket unit")
        handed.set_inheritable(False)
        handed.setblocking(False)
        # Whoever shares the socket can make it block again (systemd does at each start without NonBlocking=yes): no accept may take long.
        handed.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, LONGEST_ACCEPT)
        taken.append(handed)
    return taken
