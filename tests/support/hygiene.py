"""What callers sent in confidence, and everything that was written: the one must never stand in the other.

The tests' callers say what they send (`watched_session`, `confide`), the tests' processes what they wrote (`wrote`); the last test of a
run searches. Only values long enough to be nothing else are looked for, in the forms in which they might be written.
"""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote

import aiohttp

LEAST_CHARS = 8
GRAM = 8
SHOWN_CHARS = 120
SECRET_SETTINGS = frozenset({"llm_api_key", "redis_password", "auth_jwt_key"})
ADDRESS_SETTINGS = frozenset({"llm_server_url", "api_server_url", "redis_url", "auth_jwt_jwks_url"})
CONFIDENTIAL_MEMBERS = ("message", "user_id")
INNER_PAGES = ("/metrics", "/admin/stats", "/health", "/actuator/health")
Kind = str


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that was sent in confidence, and where it was found."""

    kind: Kind
    value: str
    where: str
    line: str


@dataclass
class Hygiene:
    """Hold what was sent and what was written."""

    confided: dict[str, Kind] = field(default_factory=dict)
    written: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def confide(self, kind: Kind, value: object) -> None:
        """Take note of something that must not be written; what is too short to be told from other words is passed over."""
        if isinstance(value, str) and len(value.strip()) >= LEAST_CHARS and not value.isdecimal():
            self.confided.setdefault(value.strip(), kind)

    def confide_settings(self, settings: Mapping[str, object]) -> None:
        """Take note of keys, passwords, and credentials in addresses."""
        for name, value in settings.items():
            if name.lower() in SECRET_SETTINGS:
                self.confide(name, value)
            elif name.lower() in ADDRESS_SETTINGS:
                self._confide_credentials(name, str(value))

    def confide_headers(self, headers: Mapping[str, str]) -> None:
        """Take note of an API key or a token, and of the user that the token names."""
        self.confide("API key", headers.get("X-Api-Key"))
        credential = headers.get("Authorization", "").rpartition(" ")[2]
        self.confide("token", credential)
        for part in credential.split(".")[1:2]:
            try:
                named = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
            except ValueError:
                continue
            self.confide("user", named.get("sub") if isinstance(named, dict) else None)

    def confide_body(self, body: bytes) -> None:
        """Take note of a sentence and of the user in a body."""
        try:
            members = json.loads(body)
        except (ValueError, RecursionError):  # a test may send anything
            return
        for name in CONFIDENTIAL_MEMBERS if isinstance(members, dict) else ():
            self.confide(name, members.get(name))

    def wrote(self, where: str, text: str) -> None:
        """Keep what a process, a log or an answer said."""
        if text:
            self.written[where].append(text)

    def leaks(self) -> list[Leak]:
        """Search all that was written for all that was confided."""
        wanted: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for value in self.confided:
            for form in _forms(value):
                wanted[form[:GRAM]].append((form, value))
        return [
            Leak(self.confided[value], value, where, _around(text, at, len(form)))
            for where, texts in self.written.items()
            for text in texts
            for at, form, value in _found(text, wanted)
        ]

    def _confide_credentials(self, name: str, address: str) -> None:
        for match in re.finditer(r"//([^/@]*)@", address):
            self.confide(f"credentials of {name}", unquote(match[1].rpartition(":")[2]))
            self.confide(f"credentials of {name}", match[1].rpartition(":")[2])


def _forms(value: str) -> Iterable[str]:
    """Return a value as it is, escaped as in JSON and in Python, and percent-encoded."""
    escaped = json.dumps(value)[1:-1]
    forms = {
        value,
        escaped,
        json.dumps(value, ensure_ascii=False)[1:-1],
        quote(value),
        repr(value)[1:-1],
        repr(value.encode(errors="replace"))[2:-1],
    }
    return [form for form in forms if len(form) >= GRAM]


def _found(text: str, wanted: Mapping[str, list[tuple[str, str]]]) -> Iterator[tuple[int, str, str]]:
    for at in range(len(text) - GRAM + 1):
        if (candidates := wanted.get(text[at : at + GRAM])) is not None:
            for form, value in candidates:
                if text.startswith(form, at):
                    yield at, form, value


def _around(text: str, at: int, length: int) -> str:
    return text[max(0, at - SHOWN_CHARS) : at + length + SHOWN_CHARS]


HYGIENE = Hygiene()  # of this run of the tests


def watched_session(**options: Any) -> aiohttp.ClientSession:
    """Open a caller's session that confides what it sends, and keeps the errors and the inner pages that it is shown."""
    trace = aiohttp.TraceConfig()

    async def started(_: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestStartParams) -> None:
        context.shown = False
        HYGIENE.confide_headers(params.headers)

    async def sent(_: aiohttp.ClientSession, _context: SimpleNamespace, params: aiohttp.TraceRequestChunkSentParams) -> None:
        HYGIENE.confide_body(params.chunk)

    async def answered(_: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestEndParams) -> None:
        context.shown = params.response.status >= 400 or params.url.path in INNER_PAGES

    async def received(_: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceResponseChunkReceivedParams) -> None:
        if context.shown:
            HYGIENE.wrote(f"the answer to {params.method} {params.url.path}", params.chunk.decode(errors="replace"))

    trace.on_request_start.append(started)
    trace.on_request_chunk_sent.append(sent)
    trace.on_request_end.append(answered)
    trace.on_response_chunk_received.append(received)
    return aiohttp.ClientSession(trace_configs=[trace], **options)
