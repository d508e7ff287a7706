"""Small catalogues for the tests: source files, settings that name them, and processes that open them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opuscine.catalogue.cache_folder import Manifest
from opuscine.catalogue.compile import run
from opuscine.catalogue.job import Done, Job
from opuscine.catalogue.sources import SourceFile
from opuscine.catalogue.store import CatalogueReader
from opuscine.model import Kind
from opuscine.settings import CatalogueSettings

Raw = Mapping[str, Any]

NETFLIX_KR = {"provider_name": "Netflix", "provider_id": 8, "type": "streaming", "region": "KR"}
NETFLIX_US = NETFLIX_KR | {"region": "US"}
NETFLIX_ADS_KR = {"provider_name": "Netflix Standard with Ads", "provider_id": 1796, "type": "streaming", "region": "KR"}
WATCHA_KR = {"provider_name": "Watcha", "provider_id": 97, "type": "streaming", "region": "KR"}

FILMS: tuple[Raw, ...] = (
    {
        "tmdb_id": 615,
        "title": "등대지기의 밤",
        "original_title": "The Lighthouse Keeper",
        "aliases": ["등대"],
        "genres": ["드라마"],
        "release_date": "2004-02-25",
        "origin_country": ["US"],
        "original_language": "en",
        "vote_average": 7.5,
        "vote_count": 900,
        "popularity": 50.0,
        "overview": "비가 그치지 않는 외딴섬에서 등대를 지키는 사람의 잔잔한 이야기.",
        "poster_path": "/lighthouse.jpg",
        "ott_links": ["https://www.netflix.com/kr/title/615"],
        "ott_providers": [NETFLIX_KR],
    },
    {
        "tmdb_id": 2,
        "title": "좀비 특급열차",
        "genres": ["액션", "공포"],
        "release_date": "2016-07-20",
        "origin_country": ["KR"],
        "vote_average": 7.8,
        "vote_count": 7000,
        "popularity": 80.0,
        "overview": "달리는 열차 안에서 살아남으려는 사람들.",
        "ott_links": ["https://watcha.com/contents/two"],
        "ott_providers": [WATCHA_KR, NETFLIX_US],
    },
    {
        "tmdb_id": 3,
        "title": "해리 포터와 좀비의 성",
        "genres": ["판타지", "모험"],
        "release_date": "2011-07-13",
        "origin_country": ["GB"],
        "vote_average": 8.1,
        "vote_count": 20000,
        "popularity": 120.0,
        "overview": "마법 학교에 찾아온 불청객을 막는 소년.",
        "ott_providers": [NETFLIX_ADS_KR],
    },
    {
        "tmdb_id": 4,
        "title": "비밀의 화원",
        "genres": ["가족", "드라마"],
        "release_date": "1993-08-13",
        "vote_average": 7.0,
        "vote_count": 300,
        "popularity": 10.0,
        "overview": "버려진 정원을 되살리는 아이들.",
    },
    {
        "tmdb_id": 5,
        "title": "좀비",
        "original_title": "Zombi",
        "genres": ["공포"],
        "release_date": "1978-09-01",
        "origin_country": ["IT", "US"],
        "vote_average": 9.9,
        "vote_count": 3,
        "popularity": 1.0,
        "overview": "쇼핑몰에 갇힌 네 사람.",
    },
    {"tmdb_id": 6, "title": "언젠가 올 영화", "genres": ["드라마"], "release_date": "2199-01-01", "popularity": 5.0},
    {"tmdb_id": 7, "title": "무엇도 모르는 영화", "popularity": 4.0, "overview": "Nobody knows anything about the spider's web."},
)

SERIES: tuple[Raw, ...] = (
    {
        "tmdb_id": 615,
        "name": "천년 뒤의 배달부",
        "original_name": "Delivery in a Thousand Years",
        "genres": ["애니메이션", "Sci-Fi & Fantasy"],
        "first_air_date": "1999-03-28",
        "vote_average": 8.3,
        "vote_count": 3000,
        "popularity": 70.0,
        "overview": "천 년 뒤에 깨어난 배달부.",
        "ott_links": ["https://www.disneyplus.com/series/delivery/615"],
    },
    {
        "id": "9",
        "name": "경찰 특공대",
        "genres": ["Action & Adventure"],
        "first_air_date": "2015",
        "origin_country": ["KR"],
        "vote_average": 6.5,
        "vote_count": 100,
        "popularity": 20.0,
    },
)


def write_list(path: Path, name: str, records: Sequence[Any]) -> Path:
    """Write a source file, by renaming it into place as an operator should."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps({"total_count": len(records), name: list(records)}, ensure_ascii=False), encoding="utf-8")
    unfinished.replace(path)
    return path


def write_sources(folder: Path, films: Sequence[Any] = FILMS, series: Sequence[Any] = SERIES) -> CatalogueSettings:
    """Write both source files and return settings that name them."""
    return CatalogueSettings(
        movies_file=write_list(folder / "films.json", "movies", films),
        tv_file=write_list(folder / "series.json", "tv_series", series),
        cache_dir=folder / "cache",
        ttl_s=86_400.0,
        region="KR",
    )


def sources_of(settings: CatalogueSettings) -> tuple[SourceFile, ...]:
    """Return the sources that settings name."""
    assert settings.movies_file is not None
    assert settings.tv_file is not None
    return (
        SourceFile(Kind.MOVIE, settings.movies_file, "MOVIES_DATA_FILE"),
        SourceFile(Kind.TV, settings.tv_file, "TV_DATA_FILE"),
    )


def job_of(settings: CatalogueSettings) -> Job:
    """Return the compiler's job for settings that name both files."""
    return Job(sources_of(settings), settings.cache_dir, settings.region)


def compile_here(settings: CatalogueSettings) -> Done:
    """Compile in this process."""
    return run(job_of(settings))


def compile_in_steps(settings: CatalogueSettings, steps: int) -> Manifest:
    """Compile in this process as a large catalogue is: what is looked up in one step, what is searched by in another."""
    manifest = run(replace(job_of(settings), at_once=0)).manifest
    return manifest if steps == 1 else run(replace(job_of(settings), index=True)).manifest


@contextmanager
def opened(settings: CatalogueSettings, *, steps: int | None = None) -> Iterator[CatalogueReader]:
    """Compile in this process, at once or as far as so many steps lead, and open the result."""
    manifest = compile_here(settings).manifest if steps is None else compile_in_steps(settings, steps)
    index = settings.cache_dir / manifest.index if manifest.has_own_index else None
    reader = CatalogueReader(settings.cache_dir / manifest.file, manifest.generation, index)
    try:
        yield reader
    finally:
        reader.retire()


# Opens a catalogue, prints its log and what it serves as JSON lines, and again whenever the generation changes, until its
# standard input ends.
_WORKER = """
import asyncio, json, sys
from pathlib import Path
import structlog
from opuscine.catalogue.service import Catalogue
from opuscine.errors import CatalogueError
from opuscine.settings import CatalogueSettings

structlog.configure(processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()])

async def main():
    movies, tv, cache = (Path(text) if text else None for text in sys.argv[1:])
    loop = asyncio.get_running_loop()
    ended = loop.run_in_executor(None, sys.stdin.read)
    try:
        catalogue = await Catalogue.open(CatalogueSettings(movies, tv, cache, 86400.0, "KR"))
    except CatalogueError as error:
        print(json.dumps({"failed": str(error)}), flush=True)
        return
    print(json.dumps({"ready": catalogue.info.generation}), flush=True)
    while not ended.done():
        await asyncio.wait([ended], timeout=0.1)
    await catalogue.close()

asyncio.run(main())
"""


@dataclass(slots=True)
class Worker:
    """Another process that has the catalogue open."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, settings: CatalogueSettings) -> Worker:
        """Start it; `ready` says when it serves."""
        arguments = (str(settings.movies_file or ""), str(settings.tv_file or ""), str(settings.cache_dir))
        process = subprocess.Popen(
            [sys.executable, "-c", _WORKER, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return cls(process)

    def read_until(self, key: str, value: str | None = None) -> list[dict[str, Any]]:
        """Read what it prints up to a line that has this key (and value); fails if it ends before."""
        lines: list[dict[str, Any]] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            lines.append(json.loads(line))
            if key in lines[-1] and value in {None, lines[-1][key]}:
                return lines
        raise AssertionError(f"no {key}={value} before the end: {lines}")

    def stop(self) -> list[dict[str, Any]]:
        """End it and return what else it printed."""
        rest, _ = self.process.communicate(timeout=60)
        return [json.loads(line) for line in rest.splitlines()]
