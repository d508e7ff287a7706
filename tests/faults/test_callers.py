"""Who calls cannot be checked as usual: whoever was believed before still is, and nobody else gets in."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from opuscine.identity.keys_editor import new_key
from support.door import OTT, Keys, ask, bearer, eventually, token
from support.fault_wall import fault
from support.jwks_server import JwksServer
from support.process import ServiceProcess, serving
from support.service import running
from support.tokens import AUDIENCE, ISSUER, jwk_of, rsa_key

RS: dict[str, Any] = {"key": rsa_key(), "algorithm": "RS256", "kid": "rsa-1"}
BY_ISSUER: dict[str, Any] = {"auth": "on", "auth_jwt_issuer": ISSUER, "auth_jwt_audience": AUDIENCE}


@pytest.fixture
async def issuer() -> AsyncIterator[JwksServer]:
    """Publish an issuer's key."""
    async with JwksServer(jwk_of(rsa_key(), "rsa-1")) as started:
        yield started


def _away(what: str, failure: str) -> Any:
    mark = fault(
        "Callers",
        f"The issuer's key set (`AUTH_JWT_JWKS_URL`) {what}",
        caller_gets="its answer as ever with a token of a known key; 401 with one of a key that nobody has seen",
        within="no wait for the issuer; 3 s for a key that nobody has seen",
        told_by="log `jwks_unavailable`, once, and `jwks_available_again`",
    )
    return pytest.param(failure, id=failure, marks=mark)


@pytest.mark.parametrize(
    "failure",
    [
        _away("refuses connections", "down"),
        _away("never comes", "hang"),
        _away("comes as an error", "error"),
        _away("comes as nonsense", "garbage"),
        _away("comes as a redirect elsewhere", "redirect"),
    ],
)
async def test_while_the_issuer_is_away_known_keys_go_on(compiled: Path, issuer: JwksServer, failure: Any) -> None:
    """Tokens never seen before are believed too, at once; one with a key that nobody knows is refused and waits for no issuer for long."""
    async with running(compiled, auth_jwt_jwks_url=issuer.url, auth_failures=10_000, **BY_ISSUER) as service:
        if failure == "down":
            await issuer.stop()
        else:
            issuer.behaviour = failure
        for sub in ("alice", "bob", "carol"):
            began = time.monotonic()
            await service.get(OTT, headers=bearer(token(sub, **RS)))
            assert time.monotonic() - began < 1
        began = time.monotonic()
        await service.get(OTT, status=401, headers=bearer(token(key=rsa_key("second"), algorithm="RS256", kid="new")))
        assert time.monotonic() - began < 3


async def status_of(service: ServiceProcess, headers: dict[str, str], path: str = OTT) -> int:
    async with service.caller.get(service.url + path, headers=headers) as response:
        return response.status


@fault(
    "Callers",
    "The issuer is away when the process starts",
    caller_gets="401 with a token, its answer as ever with an API key",
    within="no wait, until the issuer is back",
    told_by="log `jwks_unavailable`, then `jwks_read`",
)
async def test_a_process_that_starts_while_the_issuer_is_away_refuses_tokens_until_it_is_back(tmp_path: Path, issuer: JwksServer) -> None:
    keys = Keys.of(tmp_path, backend="read")
    await issuer.stop()
    settings = {**keys.settings, **BY_ISSUER, "auth_jwt_jwks_url": issuer.url, "auth_failures": 3}
    async with serving(tmp_path, **settings) as service:
        await service.logged("jwks_unavailable")
        for _ in range(6):  # the issuer's absence is no failed attempt of a caller
            assert await status_of(service, bearer(token(**RS))) == 401
        assert await status_of(service, keys["backend"]) == 200
        assert await status_of(service, bearer(token(**RS)), "/health") == 200
        await issuer.start()

        async def believed() -> bool:
            return await status_of(service, bearer(token(**RS))) == 200

        await eventually(believed, for_s=10, what="a token of the issuer that came back")
    assert not [line for line in service.log if line.get("level") in {"error", "critical"}]


def _untrusted(what: str, mode: int, line: str | None, said: str) -> Any:
    mark = fault(
        "Callers",
        f"The keys file {what} at the start",
        caller_gets="no answer: the process ends with status 1, and systemd tries again",
        within="a second or so",
        told_by="one line on standard error that names the file and the place in it",
    )
    return pytest.param(mode, line, said, id=said, marks=mark)


@pytest.mark.parametrize(
    ("mode", "line", "said"),
    [
        _untrusted("may be written by others", 0o666, "", "may be written by others"),
        _untrusted("holds a line that is no key", 0o600, "nonsense\n", "line 4: 1 fields"),
        _untrusted("is empty", 0o600, None, "it is empty"),
    ],
)
async def test_a_keys_file_that_cannot_be_trusted_stops_the_start(tmp_path: Path, mode: int, line: str | None, said: str) -> None:
    keys = Keys.of(tmp_path, backend="read")
    keys.path.write_text("" if line is None else keys.path.read_text() + line)
    keys.path.chmod(mode)
    with pytest.raises(AssertionError, match=said):
        async with serving(tmp_path, **keys.settings):
            raise NotImplementedError


@fault(
    "Callers",
    "The keys file is broken, or may be written by others, when it is read again",
    caller_gets="its answer as ever with the keys that were in force",
    within="two seconds of the change, or at once by SIGHUP",
    told_by="log `api_keys_refused` with its cause",
)
async def test_told_by_a_signal_it_reads_the_keys_at_once_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, backend="read")
    async with serving(tmp_path, **keys.settings) as service:

        async def works(key: str = keys.named["backend"]) -> bool:
            return (await ask(service.caller, service.url + OTT, {"X-Api-Key": key})).status == 200

        async def hang_up(refused_because: str) -> None:
            service.process.send_signal(signal.SIGHUP)

            async def said() -> bool:
                causes = [line["cause"] for line in service.log if line["event"] == "api_keys_refused" and line["level"] == "error"]
                return any(refused_because in cause for cause in causes)

            await eventually(said, for_s=5, what=f"a refusal because of {refused_because!r}")

        good = keys.path.read_text()
        keys.path.write_text("not a keys file\n")
        await hang_up("line 1")
        assert await works()

        keys.path.write_text(good)
        keys.path.chmod(0o666)
        await hang_up("may be written by others")
        assert await works()

        keys.path.chmod(0o600)
        new = new_key(keys.path, "second", ["read"])
        service.process.send_signal(signal.SIGHUP)
        await eventually(lambda: works(new.key), for_s=5, what="the new key")
        assert await works()
