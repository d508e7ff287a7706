"""What systemd is told of the service, by the protocol of sd_notify(3): one datagram to a socket that it names.

Written out here, as sd_notify(3) suggests ("Standalone Implementations"): the protocol is promised to stay as it is, and the
libraries for it are wrappers of libsystemd, which is not everywhere.
"""

from __future__ import annotations

import socket
import time

import structlog

from opuscine.errors import SettingsError

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
