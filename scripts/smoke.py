#!/usr/bin/env python3
"""Ask a running OpusCine whether it works: three health probes, one OTT look-up, one recommendation.

Needs Python 3.11 and nothing else. Exit status: 0 all fine (a degraded service is fine, and said to be degraded),
1 something is not, 2 wrong usage. The API key is better given as OPUSCINE_KEY than as --key, which others may see in a
list of processes.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit

ADDRESS = "http://127.0.0.1:8000"
MESSAGE = "비 오는 날 볼만한 잔잔한 영화"
LIMIT = 5
HEALTH_TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 1 << 20  # the service keeps its answers under 262,144 bytes
MAX_DETAIL_CHARACTERS = 300

Json = Any


class ProbeError(Exception):
    """Say in one line what is wrong with an answer."""


class UnreachableError(ProbeError):
    """Say that no HTTP answer came at all, so that asking for more is of no use."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold what a probe that went well found: a line for people, and facts for programs."""

    detail: str
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold what came of one probe; `elapsed_ms` counts from its first byte sent to its verdict."""

    name: str
    ok: bool
    elapsed_ms: int
    detail: str
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Service:
    """Speak HTTP/1.1 to the service at `address`, a connection a request, straight: no proxy, no redirect, no surprise in size."""

    address: SplitResult
    key: str | None
    timeout_s: float

    @property
    def url(self) -> str:
        """Return the address as it was given, less a closing slash."""
        return self.address.geturl().rstrip("/")

    def get(self, path: str, *, timeout_s: float | None = None) -> Json:
        """Return the JSON object that a GET of `path` answers with 200. Raises ProbeError."""
        return self._ask("GET", path, None, timeout_s or self.timeout_s)

    def post(self, path: str, body: Json) -> Json:
        """Return the JSON object that a POST of `body` answers with 200. Raises ProbeError."""
        return self._ask("POST", path, json.dumps(body, ensure_ascii=False).encode(), self.timeout_s)

    def _ask(self, method: str, path: str, body: bytes | None, timeout_s: float) -> Json:
        status, reason, location, raw = self._exchange(method, path, body, timeout_s)
        if 300 <= status < 400:
            raise ProbeError(f"{method} {path} answered {status}, a redirect to {location or 'nowhere'}; it is not followed: check --url")
        if len(raw) > MAX_ANSWER_BYTES:
            raise ProbeError(f"{method} {path} answered with more than {MAX_ANSWER_BYTES:,} bytes, which this service never does")
        answer = _object(raw)
        if status != 200:
            raise ProbeError(f"{method} {path} answered {status} {reason}{_problem(answer)}{self._advice(status)}")
        if answer is None:
            raise ProbeError(f"{method} {path} answered 200, but with no JSON object")
        return answer

    def _exchange(self, method: str, path: str, body: bytes | None, timeout_s: float) -> tuple[int, str, str, bytes]:
        ends_at = time.monotonic() + timeout_s
        host, port = self.address.hostname or "", self.address.port
        kind = http.client.HTTPSConnection if self.address.scheme == "https" else http.client.HTTPConnection
        connection = kind(host, port, timeout=timeout_s)
        try:
            connection.connect()
        except OSError as error:
            raise UnreachableError(f"could not connect to {self.url}: {_reason(error, timeout_s)}") from error
        # The time-out of a socket bounds one read; a peer that drips byte by byte needs a bound on the whole.
        overdue = threading.Event()
        stop = threading.Timer(max(ends_at - time.monotonic(), 0.001), _hang_up, (connection.sock, overdue))
        stop.daemon = True
        stop.start()
        try:
            connection.request(method, self.address.path.rstrip("/") + path, body, self._headers(body))
            response = connection.getresponse()
            raw = response.read(MAX_ANSWER_BYTES + 1)
            if overdue.is_set():
                raise TimeoutError  # an answer cut off by our own bound looks whole when it has no length
        except (OSError, http.client.HTTPException) as error:
            if overdue.is_set() or isinstance(error, TimeoutError):
                raise UnreachableError(f"{self.url}{path} gave no answer within {timeout_s:g} s") from error
            raise UnreachableError(f"{self.url}{path} gave no proper HTTP answer: {_reason(error, timeout_s)}") from error
        finally:
            stop.cancel()
            connection.close()
        return response.status, response.reason, response.getheader("Location", ""), raw

    def _headers(self, body: bytes | None) -> dict[str, str]:
        headers = {"Accept": "application/json", "Connection": "close", "User-Agent": "opuscine-smoke"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.key is not None:
            headers["X-Api-Key"] = self.key
        return headers

    def _advice(self, status: int) -> str:
        if status == 401:
            return "; give a key as OPUSCINE_KEY or --key" if self.key is None else "; the key that was given is not accepted"
        if status == 403:
            return "; the key needs the scopes read and recommend"
        return ""


def _hang_up(sock: socket.socket, overdue: threading.Event) -> None:
    overdue.set()
    with suppress(OSError):  # it may have closed by itself
        sock.shutdown(socket.SHUT_RDWR)


def _reason(error: Exception, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no connection within {timeout_s:g} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _object(raw: bytes) -> dict[str, Json] | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _problem(answer: dict[str, Json] | None) -> str:
    told = [answer[name] for name in ("code", "detail") if isinstance(answer.get(name), str)] if answer else []
    return f" ({': '.join(told)})" if told else ""


def liveness(service: Service) -> Finding:
    """Check that the process answers at all."""
    _expect_up(service.get("/health/liveness", timeout_s=min(HEALTH_TIMEOUT_S, service.timeout_s)))
    return Finding("alive")


def readiness(service: Service) -> Finding:
    """Check that the service wants callers: it has its catalogue and is not draining."""
    _expect_up(service.get("/health/readiness", timeout_s=min(HEALTH_TIMEOUT_S, service.timeout_s)))
    return Finding("ready")


def health(service: Service) -> Finding:
    """Check that the service is UP, and find which of its parts are not. Details need a key with the scope read."""
    answer = service.get("/health", timeout_s=min(HEALTH_TIMEOUT_S, service.timeout_s))
    _expect_up(answer)
    shown = answer.get("components")
    components = {
        name: str(part.get("status")) if isinstance(part, dict) else "?"
        for name, part in (shown.items() if isinstance(shown, dict) else ())
    }
    degraded = answer.get("degraded") is True
    parts = [f"UP{', but degraded' if degraded else ''}"]
    if components:
        parts.append(", ".join(f"{name} {status}" for name, status in components.items()))
    counts = {name: answer[name] for name in ("movie_count", "tv_count") if isinstance(answer.get(name), int)}
    if len(counts) == 2:
        parts.append(f"{counts['movie_count']} films, {counts['tv_count']} series")
    return Finding("; ".join(parts), {"degraded": degraded, "components": components, **counts})


def ott(service: Service) -> Finding:
    """Check that the best known film can be asked for by its id, and that what comes has the shape of links."""
    popular = _movies(service.get("/api/movies/popular?limit=1"))
    film = popular[0]
    film_id = film.get("id")
    if not isinstance(film_id, int):
        raise ProbeError("the most popular film has no id that is a number")
    answer = service.get(f"/api/movies/{film_id}/ott")
    _expect_success(answer)
    if answer.get("movie_id") != film_id:
        raise ProbeError(f"asked where {film_id} streams, the answer is about {answer.get('movie_id')!r}")
    links = _links(answer)
    found = f"{len(links)} links" if len(links) != 1 else "1 link"
    return Finding(
        f"{film.get('title')!s} (id {film_id}): {found} in {answer.get('region', '?')}, source {answer.get('source', '?')}",
        {"movie_id": film_id, "links": len(links), "source": str(answer.get("source"))},
    )


def recommendation(service: Service) -> Finding:
    """Check that a sentence is answered with films that each say how they were matched and where they stream."""
    answer = service.post("/api/movies/recommend", {"message": MESSAGE, "limit": LIMIT})
    _expect_success(answer)
    films = _movies(answer)
    if len(films) > LIMIT:
        raise ProbeError(f"asked for {LIMIT} films, the answer has {len(films)}")
    for film in films:
        if not isinstance(film.get("match"), dict):
            raise ProbeError(f"the film {film.get('title')!s} does not say how it was matched: no 'match'")
    linked = sum(1 for film in films if _links(film))
    data = answer.get("data") if isinstance(answer.get("data"), dict) else {}
    degraded = data.get("degraded") is True
    detail = f"{len(films)} films, {linked} with links, source {data.get('source', '?')}"
    if degraded:
        detail += f", degraded: {data.get('degraded_reason') or 'no reason given'}"
    return Finding(detail, {"films": len(films), "with_links": linked, "source": str(data.get("source")), "degraded": degraded})


PROBES: Mapping[str, Callable[[Service], Finding]] = {
    "liveness": liveness,
    "readiness": readiness,
    "health": health,
    "ott": ott,
    "recommendation": recommendation,
}


def _expect_up(answer: Mapping[str, Json]) -> None:
    if answer.get("status") != "UP":
        raise ProbeError(f"its status is {answer.get('status')!r}, not 'UP'")


def _expect_success(answer: Mapping[str, Json]) -> None:
    if answer.get("success") is not True:
        raise ProbeError(f"'success' is {answer.get('success')!r}, not true: {answer.get('error')!s}")


def _movies(answer: Mapping[str, Json]) -> list[dict[str, Json]]:
    films = answer.get("movies")
    if not isinstance(films, list) or not all(isinstance(film, dict) for film in films):
        raise ProbeError("'movies' is no list of films")
    if not films:
        raise ProbeError("'movies' is empty")
    return films


def _links(owner: Mapping[str, Json]) -> list[dict[str, Json]]:
    links = owner.get("ott_links")
    if not isinstance(links, list):
        raise ProbeError("'ott_links' is no list")
    for link in links:
        if not isinstance(link, dict) or not isinstance(link.get("provider_name"), str) or not isinstance(link.get("link"), str):
            raise ProbeError("an item of 'ott_links' lacks its 'provider_name' or its 'link'")
    return links


def run(service: Service, report: Callable[[Outcome], None]) -> list[Outcome]:
    """Run every probe in order, telling `report` of each; after one that got no answer at all the rest are left out."""
    outcomes = []
    for name, probe in PROBES.items():
        began = time.monotonic()
        reachable = True
        try:
            finding = probe(service)
            ok = True
        except ProbeError as error:
            finding, ok, reachable = Finding(str(error)), False, not isinstance(error, UnreachableError)
        elapsed_ms = round((time.monotonic() - began) * 1000)
        detail, facts = _printable(finding.detail, service.key), _printable_facts(finding.facts, service.key)
        outcomes.append(Outcome(name, ok, elapsed_ms, detail, facts))
        report(outcomes[-1])
        if not reachable:
            break
    return outcomes


def _printable(text: str, key: str | None) -> str:
    """Make a text fit for one line of a terminal or a log, whatever a server put in it, and free of the key."""
    if key is not None:
        text = text.replace(key, "***")
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= MAX_DETAIL_CHARACTERS else line[: MAX_DETAIL_CHARACTERS - 1] + "…"


def _printable_facts(facts: Mapping[str, Json], key: str | None) -> dict[str, Json]:
    return {_printable(name, key): _printable_fact(value, key) for name, value in facts.items()}


def _printable_fact(value: Json, key: str | None) -> Json:
    if isinstance(value, dict):
        return _printable_facts(value, key)
    return _printable(value, key) if isinstance(value, str) else value


def _line(outcome: Outcome) -> str:
    return f"{'OK' if outcome.ok else 'FAIL':<4}  {outcome.name:<14}  {outcome.elapsed_ms:>6} ms  {outcome.detail}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # What was typed is not repeated, not even where argparse quotes it: it may be a key.
        told = re.sub(r"""(['"]).*\1""", "…", message, flags=re.DOTALL)
        self.exit(2, f"smoke.py: {told}; see smoke.py --help\n")


def _service(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[Service, bool]:
    parser = _Parser(prog="smoke.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--url", default=ADDRESS, help=f"where the service is ({ADDRESS})")
    parser.add_argument("--key", help="the API key, sent as X-Api-Key (environment: OPUSCINE_KEY)")
    parser.add_argument("--timeout", default="35", help="seconds for each answer (35); the health probes get at most 5 of them")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    options, rest = parser.parse_known_args(arguments)
    if rest:
        names = [argument.partition("=")[0] for argument in rest if argument.startswith("-")]
        parser.error(f"unknown option {names[0]}" if names else "it takes options only")

    try:
        timeout_s = float(options.timeout)
    except ValueError:
        timeout_s = 0.0
    if not 0.0 < timeout_s <= 3600.0:
        parser.error("--timeout must be a number of seconds above 0 and up to 3600")

    key = options.key or environment.get("OPUSCINE_KEY") or None
    if key is not None and not re.fullmatch(r"[\x21-\x7e]+", key):
        parser.error("the key must be printable ASCII without blanks; check --key or OPUSCINE_KEY for a stray line end")
    return Service(_address(options.url, parser), key, timeout_s), options.json


def _address(url: str, parser: _Parser) -> SplitResult:
    example = f"--url must be like {ADDRESS} or https://example.org/prefix"
    if not re.fullmatch(r"[\x21-\x7e]+", url):
        parser.error(example)
    try:
        address = urlsplit(url)
        usable = address.scheme in {"http", "https"} and bool(address.hostname) and address.port != 0
    except ValueError:
        parser.error(example)
    if not usable:
        parser.error(example)
    if address.username is not None or address.query or address.fragment:
        parser.error(f"{example}: no user name, no query, no fragment")
    return address


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command line and return its exit status."""
    service, as_json = _service(arguments, environment)
    outcomes = run(service, (lambda _: None) if as_json else (lambda outcome: print(_line(outcome), flush=True)))
    passed = sum(1 for outcome in outcomes if outcome.ok)
    ok = passed == len(PROBES)
    if as_json:
        probes = [{"name": it.name, "ok": it.ok, "elapsed_ms": it.elapsed_ms, "detail": it.detail, **it.facts} for it in outcomes]
        degraded = any(it.facts.get("degraded") is True for it in outcomes)
        print(json.dumps({"url": service.url, "ok": ok, "degraded": degraded, "probes": probes}, ensure_ascii=False))
    elif outcomes[0].ok:
        print(f"{service.url}: {passed} of {len(PROBES)} probes passed")
    return 0 if ok else 1


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    try:
        sys.exit(main(sys.argv[1:], os.environ))
    except KeyboardInterrupt:
        sys.exit(130)
