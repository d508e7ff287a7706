"""Each environment file of `deploy/env/` starts a service that answers, and says only what is true of the settings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from dotenv import dotenv_values

from opuscine.identity.keys_editor import new_key
from opuscine.settings import Settings
from support.environment_files import FOLDER, read
from support.notified import unit

FILES = ("development.env", "staging.env", "production.env")
QUESTION = {"message": "2019년 한국 스릴러", "limit": 1}


@pytest.fixture
async def caller() -> AsyncIterator[aiohttp.ClientSession]:
    """Give a session."""
    async with aiohttp.ClientSession() as session:
        yield session


def as_systemd_starts_it(name: str, compiled: Path, folder: Path) -> tuple[dict[str, object], str]:
    """Return a file's settings with this machine's paths in place of the operator's, and a key that is let in."""
    keys_file = folder / "keys"
    key = new_key(keys_file, "backend", ["read", "recommend", "act_as"]).key
    values: dict[str, object] = {**read(FOLDER / name).values, "PORT": 0, "AUTH_KEYS_FILE": keys_file}
    by_systemd = {
        "CACHE_DIRECTORY": compiled,
        "STATE_DIRECTORY": folder,
        "INVOCATION_ID": "3d1219c7c4c5404aaa1f6d2a48adfda4",
        "JOURNAL_STREAM": "8:12345",
        "SYSTEMD_EXEC_PID": 1,
        "LOGNAME": "opuscine",
        "USER": "opuscine",
    }
    return values | by_systemd, key


def test_there_is_a_file_for_each_environment() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(FILES)
    assert [f"{read(FOLDER / name).values['ENVIRONMENT']}.env" for name in FILES] == list(FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_line_is_plain_and_explained(name: str) -> None:
    found = read(FOLDER / name)
    assert found.strange == []
    assert found.uncommented == []
    assert not set(found.values) & set(found.examples)


@pytest.mark.parametrize("name", FILES)
def test_a_shell_and_dotenv_read_the_same(name: str) -> None:
    values = read(FOLDER / name).values
    assert dotenv_values(FOLDER / name) == values
    script = 'set -a; . "$1"; exec python3 -c "import json, os; print(json.dumps(dict(os.environ)))"'
    shown = subprocess.run(
        ["sh", "-c", script, "sh", FOLDER / name], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    assert values.items() <= json.loads(shown.stdout).items()


@pytest.mark.parametrize("name", FILES)
def test_every_variable_is_a_setting_and_every_value_valid_the_examples_too(name: str) -> None:
    found = read(FOLDER / name)
    named = found.values | found.examples
    assert {variable.lower() for variable in named} <= set(Settings.model_fields)
    Settings(_env_file=None, **{variable.lower(): value for variable, value in named.items()})  # type: ignore[arg-type]  # all text, as in an environment


@pytest.mark.parametrize("name", ["staging.env", "production.env"])
def test_a_request_is_given_up_before_the_process_that_drains(name: str) -> None:
    values = read(FOLDER / name).values
    assert float(values["REQUEST_TIMEOUT"]) < float(values["DRAIN_TIMEOUT"])


def test_a_rehearsal_has_the_door_of_production() -> None:
    door = ("AUTH", "AUTH_KEYS_FILE", "RATE_LIMIT_RECOMMEND", "RATE_LIMIT_READ", "REQUEST_TIMEOUT", "DRAIN_TIMEOUT", "HOST")
    staging, production = read(FOLDER / "staging.env").values, read(FOLDER / "production.env").values
    assert [staging[variable] for variable in door] == [production[variable] for variable in door]


async def test_development_works_as_it_is_for_anybody(tmp_path: Path, caller: aiohttp.ClientSession) -> None:
    """Copied to `.env`, with nothing else set but a port that is free."""
    (tmp_path / ".env").write_bytes((FOLDER / "development.env").read_bytes())
    async with unit(tmp_path, {"PORT": 0}) as service:
        url = await service.url()
        async with caller.get(f"{url}/health/readiness") as response:
            assert response.status == 200
        async with caller.post(f"{url}/api/movies/recommend", json=QUESTION) as response:
            assert response.status == 200
        page = {"Origin": "http://localhost:3000"}
        async with caller.get(f"{url}/api/movies/496243/ott", headers=page) as response:
            assert response.headers["Access-Control-Allow-Origin"] == page["Origin"]
        assert (await service.stopped())[0] == 0
    assert url.startswith("http://127.0.0.1:")
    assert "authentication is off" in service.text
    assert '{"' not in service.text


@pytest.mark.parametrize("name", ["staging.env", "production.env"])
async def test_the_door_is_shut_to_strangers_and_open_to_a_key(
    tmp_path: Path, compiled: Path, caller: aiohttp.ClientSession, name: str
) -> None:
    settings, key = as_systemd_starts_it(name, compiled, tmp_path)
    async with unit(tmp_path, settings) as service:
        url = await service.url()
        for path in ("/health/readiness", "/health/liveness", "/health"):
            async with caller.get(url + path) as response:
                assert response.status == 200
        for headers in ({}, {"X-Api-Key": key[:-1]}, {"Authorization": "Bearer x"}):
            async with caller.post(f"{url}/api/movies/recommend", json=QUESTION, headers=headers) as response:
                assert (response.status, response.content_type) == (401, "application/problem+json")
                assert response.headers["WWW-Authenticate"].startswith("Bearer")
        async with caller.post(f"{url}/api/movies/recommend", json=QUESTION, headers={"X-Api-Key": key}) as response:
            assert response.status == 200
            assert "RateLimit" in response.headers
            assert (await response.json())["movies"]
        async with caller.post(f"{url}/admin/data/reload", headers={"X-Api-Key": key}) as response:
            assert response.status == 403
        assert (await service.stopped())[0] == 0
    assert all(json.loads(line)["level"] in {"debug", "info"} for line in service.log)
    assert key not in service.text


@pytest.mark.parametrize("name", ["staging.env", "production.env"])
async def test_without_its_keys_it_does_not_start(tmp_path: Path, compiled: Path, name: str) -> None:
    settings, _ = as_systemd_starts_it(name, compiled, tmp_path)
    async with unit(tmp_path, settings | {"AUTH_KEYS_FILE": tmp_path / "none"}) as service:
        assert await service.ended() == 1
    assert [line for line in service.log if "AUTH_KEYS_FILE must name a readable file" in line] == service.log[-1:]
    assert not [message for message in service.told if "READY" in message]


async def test_a_reload_reads_the_keys_again(tmp_path: Path, compiled: Path, caller: aiohttp.ClientSession) -> None:
    settings, _ = as_systemd_starts_it("production.env", compiled, tmp_path)
    async with unit(tmp_path, settings) as service:
        url = await service.url()
        key = new_key(tmp_path / "keys", "web", ["read"]).key
        service.process.send_signal(signal.SIGHUP)
        await service.tells("READY", times=2)
        async with caller.get(f"{url}/api/movies/496243/ott", headers={"X-Api-Key": key}) as response:
            assert response.status == 200
