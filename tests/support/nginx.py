"""A real nginx with the configuration of `deploy/nginx/`, on free ports and with a certificate made for the test."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy" / "nginx" / "opuscine.conf"
NAME = "films.example.org"

MAIN = """\
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
worker_processes 2;
daemon off;
{user}
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/opuscine.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx."""

    url: str
    plain_url: str
    tls: ssl.SSLContext
    folder: Path

    @property
    def log(self) -> str:
        """Return the access log."""
        return (self.folder / "access.log").read_text()


def free_port() -> int:
    """Return a port of loopback that nobody has at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for loopback, and return it and its key."""
    made, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME},DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True, timeout=30)
    return made, key


def configured(text: str, *, machines: Sequence[str], plain: int, port: int, pem: Path, key: Path, log: Path) -> str:
    """Put a test's addresses in the place of the file's, of which each must be there."""
    servers = [line for line in text.splitlines() if line.strip().startswith("server 10.0.0.")]
    replaced = {
        "\n".join(servers): "\n".join(line.replace(line.split()[1], machine) for line, machine in zip(servers, machines, strict=True)),
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "    listen [::]:80;\n": "",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{port} ssl http2;",
        "    listen [::]:443 ssl http2;\n": "",
        "/etc/nginx/tls/films.example.org.pem": str(pem),
        "/etc/nginx/tls/films.example.org.key": str(key),
        "/var/log/nginx/opuscine.log": str(log),
    }
    for old, new in replaced.items():
        assert old in text, f"{old!r} is no longer in {CONFIGURATION.name}"
        text = text.replace(old, new)
    return text


@asynccontextmanager
async def nginx_before(folder: Path, *machines: str) -> AsyncIterator[Nginx]:
    """Run nginx before machines, given as `host:port`, until the block ends; skip where it isn't installed."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None or shutil.which("openssl") is None:
        pytest.skip("no nginx with openssl here (Debian: apt-get install nginx-light openssl)")
    pem, key = certificate(folder)
    plain, port = free_port(), free_port()
    text = CONFIGURATION.read_text()
    ours = configured(text, machines=machines, plain=plain, port=port, pem=pem, key=key, log=folder / "access.log")
    (folder / "opuscine.conf").write_text(ours)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user="user root;" if os.geteuid() == 0 else ""))
    process = await asyncio.create_subprocess_exec(
        binary, "-p", str(folder), "-c", str(folder / "nginx.conf"), stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(20):
            while not await _listens(port):
                assert process.returncode is None, (await process.communicate())[1].decode()
                await asyncio.sleep(0.05)
        yield Nginx(f"https://127.0.0.1:{port}", f"http://127.0.0.1:{plain}", ssl.create_default_context(cafile=str(pem)), folder)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
