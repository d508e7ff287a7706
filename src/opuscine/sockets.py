"""The sockets that callers connect to: bound here, whether for one process or for a parent that hands them on."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import ExitStack

from opuscine.errors import SettingsError

LISTEN_BACKLOG = 1_024
# An address of a host name that this machine does not have, where it has another one of that name.
NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def bind_sockets(host: str, port: int) -> list[socket.socket]:
    """Listen on each address that `host` stands for; port 0 takes a free one.

    Raises:
        SettingsError: it is taken, not ours, or not to be had.
    """
    try:
        return _bind_all(host, port)
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"HOST, PORT: cannot listen on {host}:{port} ({why_not_bound(error)}); choose an address of this machine and a free port"
        ) from None


def _bind_all(host: str, port: int) -> list[socket.socket]:
    missing: list[OSError] = []
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with ExitStack() as opened:
        bound = []
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                listening = opened.enter_context(socket.socket(family, kind, protocol))
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listening.bind(address)
            except OSError as error:
                if error.errno not in NOT_HERE:
                    raise
                missing.append(error)
            else:
                listening.listen(LISTEN_BACKLOG)
                listening.setblocking(False)
                bound.append(listening)
        if not bound:
            raise missing[0]
        opened.pop_all()
        return bound


def why_not_bound(error: OSError | UnicodeError) -> str:
    """Say in a few words what was wrong with an address."""
    if isinstance(error, UnicodeError):
        return "Not a host name"
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or type(error).__name__
    return os.strerror(error.errno)


def address_of(listening: socket.socket) -> str:
    """Return where a caller finds the service; with `PORT=0` nobody knows before."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
