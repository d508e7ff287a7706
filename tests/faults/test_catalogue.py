"""A catalogue that is broken stops a start with one line, and never a service that runs."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from opuscine.catalogue.job import AT_ONCE
from support.door import eventually
from support.fault_wall import fault
from support.process import ServiceProcess, serving

FILM = {"tmdb_id": 1, "title": "하나", "genres": ["드라마"], "release_date": "2001-01-01"}
GOOD = json.dumps({"movies": [FILM]})
SERVED = "its answer as ever, from the data before"


def _broken(name: str, what: str, content: str | None) -> Any:
    started = fault(
        "Catalogue",
        f"{what}, at the start",
        caller_gets="no answer: the process ends with status 1, and systemd tries again",
        within="the time of reading it",
        told_by="one line on standard error that names the setting and the file",
    )
    return pytest.param(content, id=name, marks=started)


@pytest.mark.parametrize(
    "content",
    [
        _broken("cut", "A source ends early", GOOD[:30]),
        _broken("no JSON", "A source is no JSON", "<html>"),
        _broken("other JSON", "A source holds no films", '{"films": []}'),
        _broken("absent", "A source is not there", None),
    ],
)
async def test_a_broken_source_stops_the_start_with_one_line(tmp_path: Path, content: str | None) -> None:
    movies = tmp_path / "films.json"
    if content is not None:
        movies.write_text(content)
    with pytest.raises(AssertionError, match=r"films\.json") as ended:
        async with serving(tmp_path, movies_data_file=movies):
            raise NotImplementedError
    assert str(ended.value).count("'event': 'text'") == 1
    assert "MOVIES_DATA_FILE" in str(ended.value)


async def last_error(service: ServiceProcess) -> str:
    """Return what the administration says of the last reload."""
    async with service.caller.get(f"{service.url}/admin/stats") as response:
        return str((await response.json())["catalogue"]["last_error"])


async def titles(service: ServiceProcess) -> list[str]:
    """Return the titles of the popular films."""
    async with service.caller.get(f"{service.url}/api/movies/popular") as response:
        assert response.status == 200
        return [movie["title"] for movie in (await response.json())["movies"]]


@fault(
    "Catalogue",
    "A source is broken when it is read again (SIGHUP, `POST /admin/data/reload`, age)",
    caller_gets=SERVED,
    within="the time it always takes",
    told_by="`/admin/stats` ▸ `catalogue.last_error`; log `catalogue_reload_failed`",
)
async def test_a_broken_file_at_reload_leaves_the_old_data_serving(tmp_path: Path) -> None:
    movies = tmp_path / "movies.json"
    movies.write_text(GOOD)
    async with serving(tmp_path, movies_data_file=movies) as service:
        movies.write_text("not json")
        service.process.send_signal(signal.SIGHUP)
        await eventually(lambda: last_error(service), what="a reload that failed")
        assert str(tmp_path) not in await last_error(service)
        assert await titles(service) == ["하나"]
        assert (await service.logged("catalogue_reload_failed"))["level"] == "error"

        movies.write_text(json.dumps({"movies": [FILM | {"title": "둘"}]}))
        service.process.send_signal(signal.SIGHUP)

        async def renewed() -> bool:
            return await titles(service) == ["둘"]

        await eventually(renewed, what="the new data")


@fault(
    "Catalogue",
    "The disk of `CACHE_DIR` is full when the catalogue is compiled again",
    caller_gets=SERVED,
    within="the time it always takes",
    told_by="`/admin/stats` ▸ `catalogue.last_error`; log `catalogue_reload_failed`",
)
async def test_a_full_disk_at_reload_leaves_the_old_data_serving(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: writing fails alike."""
    movies = tmp_path / "movies.json"
    movies.write_text(GOOD)
    async with serving(tmp_path, movies_data_file=movies) as service:
        _, hard = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (4096, hard))
        movies.write_text(json.dumps({"movies": [FILM, {"tmdb_id": 2, "title": "둘"}]}))
        service.process.send_signal(signal.SIGHUP)
        await eventually(lambda: last_error(service), what="a reload that failed")
        assert await titles(service) == ["하나"]

        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        service.process.send_signal(signal.SIGHUP)

        async def renewed() -> bool:
            return len(await titles(service)) == 2

        await eventually(renewed, what="the new data")


@fault(
    "Catalogue",
    "The process that indexes a large catalogue's overviews is killed",
    caller_gets="its answer; searches find words of titles only, at a provider the popular ones, until a reload or a minute later",
    within="the time it always takes",
    told_by="`/admin/stats` ▸ `catalogue.overviews_indexed`, `catalogue.last_error`; log `catalogue_index_failed`",
)
async def test_a_killed_index_leaves_all_but_overviews_to_be_found(tmp_path: Path) -> None:
    movies = tmp_path / "movies.json"
    movies.write_text(many_films(AT_ONCE + 1))
    async with serving(tmp_path, movies_data_file=movies) as service:

        async def killed() -> bool:
            compilers = children_of(service.process.pid)
            for pid in compilers:
                os.kill(pid, signal.SIGKILL)
            return bool(compilers)

        async def indexed() -> bool:
            async with service.caller.get(f"{service.url}/admin/stats") as response:
                return bool((await response.json())["catalogue"]["overviews_indexed"])

        await eventually(killed, for_s=60.0, what="a process that indexes")
        assert "killed by signal 9" in str((await service.logged("catalogue_index_failed"))["error"])
        assert not await indexed()
        assert await last_error(service)
        assert await titles(service)

        movies.write_text(many_films(AT_ONCE + 2))
        service.process.send_signal(signal.SIGHUP)
        await eventually(indexed, for_s=60.0, what="the index")
        assert not await last_error(service)


def many_films(count: int) -> str:
    """Write a source of so many films."""
    return json.dumps({"movies": [{"id": number, "title": f"영화 {number}", "overview": "이야기"} for number in range(1, count + 1)]})


def children_of(pid: int) -> list[int]:
    """Return the children of a process."""
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


@fault(
    "Catalogue",
    "`CACHE_DIR` cannot be made or written",
    caller_gets="no answer: the process ends with status 1, and systemd tries again",
    within="a second or so",
    told_by="one line on standard error that names `CACHE_DIR`",
)
async def test_a_cache_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AssertionError, match="CACHE_DIR"):
        async with serving(tmp_path, cache_dir=tmp_path / "file" / "cache"):
            raise NotImplementedError


@fault(
    "Catalogue",
    "The compiled file is damaged while it serves",
    caller_gets="503, `code: unavailable`, or its answer as ever, until it is compiled anew; then its answer as ever",
    within="a few seconds for a catalogue of usual size",
    told_by="log `catalogue_file_damaged`; `/health` stays `UP`",
)
async def test_a_damaged_file_is_compiled_again(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    async with serving(tmp_path, cache_dir=cache) as service:
        [compiled] = cache.glob("*.db")
        with compiled.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (compiled.stat().st_size - 4096))

        async def answers() -> bool:
            async with service.caller.post(f"{service.url}/recommend", json={"message": "2019년 한국 스릴러"}) as response:
                body = await response.json(content_type=None)
                assert response.status == 200 or (response.status, body["code"]) == (503, "unavailable")
                return response.status == 200 and any(movie["id"] == 496243 for movie in body["movies"])

        await service.logged("catalogue_served")
        await eventually(answers, what="an answer from a sound catalogue")
