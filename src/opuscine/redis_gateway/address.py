"""Where Redis is and how it is spoken to, read from one URL. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from opuscine.errors import SettingsError

Topology = Literal["single", "cluster", "sentinel"]

_SCHEMES: Mapping[str, tuple[Topology, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("single", False),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
}
_TLS_OPTIONS = ("ca_file", "cert_file", "key_file")
_SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
_NODE = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")
_VALID = (
    "Valid: redis://[user:password@]host[:port][/database], rediss://... for TLS (?ca_file=/path of the authority's certificate), "
    "unix://[user:password@]/path/to/socket[?db=0], redis+cluster://[user:password@]host:port,host:port, "
    "redis+sentinel://[user:password@]host:port,host:port/service[/database]. "
    "In user and password write : / ? # [ ] @ % as %3A %2F %3F %23 %5B %5D %40 %25."
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One server, the known nodes of a cluster, or the sentinels that know the primary of `service`."""

    topology: Topology
    nodes: tuple[tuple[str, int], ...] = ()  # empty for a Unix socket
    path: str = ""  # of a Unix socket
    db: int = 0
    service: str = ""
    tls: bool = False
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    ca_file: str = ""  # empty: the system's authorities
    cert_file: str = ""
    key_file: str = ""
    sentinel_username: str = field(default="", repr=False)
    sentinel_password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> RedisAddress:
        """Read `REDIS_URL`.

        Raises:
            SettingsError: it is not one of the valid forms. The text repeats nothing of the URL but its scheme, since a password
                that was not percent-encoded may turn up in any other part.
        """
        if "://" not in url:
            _refuse("it has no scheme")
        try:
            parts = urlsplit(url.strip())
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query), errors="strict"))
        except ValueError:
            _refuse("it cannot be taken apart")
        if parts.scheme not in _SCHEMES:
            _refuse(f"its scheme is {parts.scheme[:20]!r}")
        if parts.fragment:
            _refuse("it holds a '#'")
        if "@" in parts.path:
            _refuse("its path holds an '@', as it does when a password is not percent-encoded")
        topology, tls = _SCHEMES[parts.scheme]
        credentials, _, hosts = parts.netloc.rpartition("@")
        username, _, password = credentials.partition(":")
        address = cls(topology, tls=tls, username=unquote(username), password=unquote(password))
        if parts.scheme == "unix":
            if hosts or not parts.path:
                _refuse("a Unix socket has a path and no host (unix:///path/to/socket)")
            return replace(address, path=unquote(parts.path), db=_database(options.pop("db", "0")), **_options(options, ()))
        segments = [unquote(segment) for segment in parts.path.strip("/").split("/") if segment]
        service = segments.pop(0) if topology == "sentinel" and segments else ""
        if topology == "sentinel" and not service:
            _refuse("the name of the service is missing after the sentinels")
        if len(segments) > (0 if topology == "cluster" else 1):
            _refuse("its path has more parts than are valid (a cluster has no databases)")
        nodes = _nodes(hosts, 26379 if topology == "sentinel" else 6379)
        if topology == "single" and len(nodes) > 1:
            _refuse("it names several hosts, which only redis+cluster:// and redis+sentinel:// do")
        valid = (*(_TLS_OPTIONS if tls else ()), *(_SENTINEL_OPTIONS if topology == "sentinel" else ()))
        db = _database(segments[0]) if segments else 0
        return replace(address, nodes=nodes, service=service, db=db, **_options(options, valid))

    @property
    def display(self) -> str:
        """Return the address without user, password and options, for logs and health."""
        if self.path:
            return f"unix://{self.path}"
        nodes = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.nodes)
        scheme = ("rediss" if self.tls else "redis") + ("" if self.topology == "single" else f"+{self.topology}")
        return f"{scheme}://{nodes}" + (f"/{self.service}" if self.service else "")


def _nodes(text: str, default_port: int) -> tuple[tuple[str, int], ...]:
    nodes = []
    for part in text.split(","):
        found = _NODE.fullmatch(part)
        port = int((found and found["port"]) or default_port)
        if found is None or not 0 < port < 65536:
            _refuse("a host or port is missing or misspelt")
        nodes.append((found["v6"] or found["host"], port))
    return tuple(nodes)


def _database(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 4 or int(text) > 1023:
        _refuse("its database is not a number from 0 to 1023")
    return int(text)


def _options(given: dict[str, str], valid: tuple[str, ...]) -> dict[str, Any]:
    if given.keys() - set(valid):
        _refuse(f"it has options after '?' that are not valid here (those that are: {', '.join(valid) or 'none'})")
    return dict(given)


def _refuse(why: str) -> NoReturn:
    raise SettingsError(f"REDIS_URL cannot be used: {why}. {_VALID}") from None
