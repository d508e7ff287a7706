"""A look-up that is given again is the same, counts as one, and changes with the catalogue."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from opuscine.keys import CATALOGUE, OTT, PREPARED
from support.door import eventually
from support.service import Service, running

FILM = "/api/movies/496243/ott"


async def ask(service: Service, path: str, *, method: str = "GET", **headers: str) -> tuple[int, Mapping[str, str], bytes]:
    """Call and return status, headers and body."""
    async with service.caller.request(method, service.url + path, headers=headers) as response:
        return response.status, response.headers, await response.read()


async def test_a_look_up_is_answered_alike_the_first_time_and_from_then_on(service: Service) -> None:
    for path in (FILM, f"{FILM}?region=KR", "/api/tv/1399/ott"):
        answers = [await ask(service, path) for _ in range(3)]
        _, headers, _ = answers[0]
        assert len({body for _, _, body in answers}) == 1
        assert len({given["ETag"] for _, given, _ in answers}) == 1
        assert {tuple(sorted(name.lower() for name in given)) for _, given, _ in answers} == {
            tuple(sorted(name.lower() for name in headers))
        }
        assert {re.sub(r"[0-9.]+", "", given["Server-Timing"]) for _, given, _ in answers} == {"ott;dur=, total;dur="}
        assert (await ask(service, path, **{"If-None-Match": headers["ETag"]}))[0] == 304
        status, given, body = await ask(service, path, method="HEAD")
        assert (status, given["Content-Length"], body) == (200, headers["Content-Length"], b"")


async def test_every_look_up_is_counted_and_only_what_the_catalogue_says_is_kept(service: Service) -> None:
    before, kept = service.app[OTT].answered["local"], len(service.app[PREPARED])
    for _ in range(3):
        await ask(service, f"{FILM}?region=KR&again=no")
    assert service.app[OTT].answered["local"] == before + 3
    assert len(service.app[PREPARED]) == kept + 1
    for path in ("/api/movies/999999999/ott", "/api/movies/0/ott", f"{FILM}?region=Korea"):
        await ask(service, path)
    assert len(service.app[PREPARED]) == kept + 1


async def test_a_new_catalogue_is_told_of_at_once(tmp_path: Path) -> None:
    """What was said before a reload is not said after it."""
    source = tmp_path / "movies.json"

    def write(number: int) -> None:
        film = {"id": 1, "title": "하나", "ott_links": [f"https://www.netflix.com/title/{number}"]}
        source.write_text(json.dumps({"movies": [film]}), encoding="utf-8")

    write(1)
    async with running(tmp_path / "cache", movies_data_file=source) as service:

        async def link() -> str:
            answer = await service.get("/api/movies/1/ott")
            return str(answer["ott_links"][0]["link"])

        assert [await link(), await link()] == ["https://www.netflix.com/title/1"] * 2
        generation = service.app[CATALOGUE].generation
        write(2)
        await service.post("/admin/data/reload", status=202)

        async def replaced() -> bool:
            return service.app[CATALOGUE].generation != generation

        await eventually(replaced, what="the new catalogue")
        assert await link() == "https://www.netflix.com/title/2"
