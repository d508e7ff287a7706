"""`opuscine check`: whether the service would start and what it would find, before anyone calls it."""

from __future__ import annotations

import argparse
import asyncio
import errno
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp

from opuscine.app import create_app, open_redis, own_authenticator
from opuscine.catalogue.service import Catalogue
from opuscine.codec import dumps
from opuscine.errors import OpusCineError, UpstreamError
from opuscine.llm.client import LlmClient
from opuscine.llm.session import llm_session
from opuscine.settings import Settings, load_settings

LEAST_PYTHON = (3, 11)
PROBE_S = 5.0
NOT_CONFIGURED = "not configured"

Check = tuple[str, Callable[[Settings], Awaitable[str | None]]]


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check; `ok` is None where there is nothing to check."""

    name: str
    ok: bool | None
    text: str
    ms: float = 0.0


def run(arguments: argparse.Namespace) -> int:
    """Check everything and report; the exit status is 0 if nothing failed."""
    findings = asyncio.run(check_all())
    failed = any(finding.ok is False for finding in findings)
    if arguments.json:
        parts = {finding.name: {"ok": finding.ok, "detail": finding.text, "ms": round(finding.ms, 1)} for finding in findings}
        print(dumps({"ok": not failed, "checks": parts}).decode())
    else:
        for finding in findings:
            word = {True: "ok", False: "FAILED", None: "-"}[finding.ok]
            print(f"{finding.name:<12}{word:<8}{finding.text}")
    return int(failed)


async def check_all() -> list[Finding]:
    """Check Python and the settings, and with good settings the data and every server behind the service."""
    findings = [check_python()]
    try:
        settings = load_settings(env_file=Path(".env"))
        create_app(settings)
    except OpusCineError as error:
        return [*findings, Finding("settings", ok=False, text=str(error))]
    findings.append(Finding("settings", ok=True, text=f"environment {settings.environment}, port {settings.server.port}"))
    checks: tuple[Check, ...] = (
        ("address", check_address),
        ("callers", check_callers),
        ("data", check_data),
        *llm_checks(settings),
        ("api_server", check_api_server),
        ("redis", check_redis),
    )
    for name, check in checks:
        begun = time.monotonic()
        try:
            text = await check(settings)
            finding = Finding(name, ok=True if text else None, text=text or NOT_CONFIGURED)
        except (OpusCineError, aiohttp.ClientError, OSError, TimeoutError) as error:
            finding = Finding(name, ok=False, text=str(error) or type(error).__name__)
        findings.append(Finding(finding.name, finding.ok, finding.text, (time.monotonic() - begun) * 1000))
    return findings


def check_python() -> Finding:
    """Check the version of Python."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", ok=sys.version_info >= LEAST_PYTHON, text=version)


async def check_address(settings: Settings) -> str:
    """Try to listen where the service would; that it runs already is no fault."""
    server = settings.server
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.host, server.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"{server.host}:{server.port} is in use, perhaps by the service itself"
            raise OpusCineError(f"HOST, PORT: cannot listen on {server.host}:{server.port} ({error.strerror})") from None
    return f"{server.host}:{server.port} is free"


async def check_callers(settings: Settings) -> str | None:
    """Open what callers are recognised by."""
    if not settings.auth_on:
        return None
    async with AsyncExitStack() as stack:
        authenticator = await own_authenticator(settings, stack)
        keys = authenticator.api_keys.count if authenticator.api_keys is not None else 0
        return f"{keys} API keys, tokens {'of ' + settings.auth_jwt_issuer if authenticator.jwt else 'are not accepted'}"


async def check_data(settings: Settings) -> str:
    """Open the catalogue, compiling it if need be."""
    catalogue = await Catalogue.open(settings.catalogue)
    try:
        info = catalogue.info
        return f"{info.movie_count} films, {info.tv_count} series, {info.skipped} records skipped; {', '.join(info.sources)}"
    finally:
        await catalogue.close()


def llm_checks(settings: Settings) -> list[Check]:
    """Return a check of each LLM server, or one that finds none."""
    if len(settings.llm_server_url) <= 1:
        return [("llm", partial(check_llm, number=0))]
    return [(f"llm-{number + 1}", partial(check_llm, number=number)) for number in range(len(settings.llm_server_url))]


async def check_llm(settings: Settings, *, number: int) -> str | None:
    """Ask an LLM server for its health."""
    if not settings.llm_server_url:
        return None
    async with llm_session(settings.llm) as session:
        server = LlmClient.open(settings.llm, session).servers[number]
        try:
            async with asyncio.timeout(PROBE_S):
                details = await server.probe()
        except UpstreamError as error:
            raise OpusCineError(f"{server.address}: {error.reason.value.replace('_', ' ')}") from error
    return f"{server.address} answers with status {details['status']}"


async def check_api_server(settings: Settings) -> str | None:
    """Ask the API server for anything: every answer below 500 shows that it is there."""
    if not settings.api_server_url:
        return None
    timeout = aiohttp.ClientTimeout(total=PROBE_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"{settings.api_server_url}/health", allow_redirects=False) as response,
    ):
        if response.status >= 500:
            raise OpusCineError(f"answers with status {response.status}")
        return f"answers with status {response.status}"


async def check_redis(settings: Settings) -> str | None:
    """Ask Redis whether it is there."""
    if not settings.redis_address:
        return None
    gateway = open_redis(settings)
    try:
        details = await gateway.probe()
    finally:
        await gateway.close()
    return f"{gateway.info.address} answers in {details['ping_ms']} ms"
