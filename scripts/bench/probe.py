"""What is measured from inside a process of its own: `python -m bench.probe search|swap ...`. Prints one JSON object.

- `search CACHE_DIR MOVIES SERIES ROUNDS`: how long searches take, by the clock and in CPU.
- `swap`: the whole application, by the environment's settings, while its catalogue is replaced; the longest stall of its loop. The newer
  source of films lies beside the older one with `.new` behind its name.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from bench import titles
from opuscine.app import create_app
from opuscine.catalogue.cache_folder import CacheFolder
from opuscine.catalogue.search import SearchQuery
from opuscine.catalogue.sources import SourceFile
from opuscine.catalogue.store import CatalogueReader
from opuscine.keys import CATALOGUE
from opuscine.model import Kind
from opuscine.settings import load_settings

REGION = "KR"
TICK_S = 0.001
SETTLED_S = 1.0
SWAP_LIMIT_S = 1_800.0

# By what a word is: in every overview, in one of 24 titles, in every original title, and what names one film.
SEARCHES: Mapping[str, str] = {
    "broad Korean": "이야기",
    "two broad Korean words": "사랑 이야기",
    "one syllable": "바",
    "broad English": "film",
    "narrow Korean": "{title}",
    "narrow English": "{original}",
}


def search(cache_dir: str, movies: str, series: str, rounds: str) -> dict[str, Any]:
    """Search the current generation of a cache folder."""
    sources = (SourceFile(Kind.MOVIE, Path(movies)), SourceFile(Kind.TV, Path(series)))
    folder = CacheFolder(Path(cache_dir), sources, REGION)
    manifest = folder.current()
    if manifest is None or not manifest.indexed:
        raise RuntimeError("the catalogue is not compiled and indexed")
    reader = CatalogueReader(folder.file_of(manifest), manifest.generation, folder.path / manifest.index)
    today, found = datetime.now(UTC).date(), {}
    for name, text in SEARCHES.items():
        clock, cpu = [], []
        for number in range(int(rounds)):
            film = titles.film(number * 37 % manifest.movie_count)
            query = SearchQuery(text=text.format(title=film["title"], original=film["original_title"]))
            began, began_cpu = time.perf_counter(), time.thread_time()
            result = reader.search(query, today=today)
            clock.append(time.perf_counter() - began)
            cpu.append(time.thread_time() - began_cpu)
            if not result.films:
                raise RuntimeError(f"nothing was found for {name}")
        found[name] = {"clock_s": sorted(clock), "cpu_s": sorted(cpu)}
    return found


def swap() -> dict[str, Any]:
    """Replace the catalogue under the running application."""
    return uvloop.run(_swap())


async def _swap() -> dict[str, Any]:
    settings = load_settings()
    runner = web.AppRunner(app := create_app(settings))
    await runner.setup()
    try:
        await asyncio.sleep(SETTLED_S)
        quiet = await _longest_stall(SETTLED_S)
        await asyncio.to_thread(_replace_source, settings.catalogue.movies_file)
        catalogue = app[CATALOGUE]
        before, began = catalogue.generation, time.perf_counter()
        watch = asyncio.create_task(_longest_stall(None))
        aimed = await catalogue.reload()
        while catalogue.generation != aimed or not catalogue.info.overviews_indexed:
            if time.perf_counter() - began > SWAP_LIMIT_S:
                raise RuntimeError(f"the catalogue was not replaced: {catalogue.info.last_error}")
            await asyncio.sleep(0.05)
        took_s = time.perf_counter() - began
        await asyncio.sleep(SETTLED_S)
        watch.cancel()
        stalled = await watch
        if catalogue.generation == before:
            raise RuntimeError("the catalogue is the one before")
        return {"took_s": took_s, "quiet": quiet, "stall": stalled}
    finally:
        await runner.cleanup()


def _replace_source(path: Path | None) -> None:
    if path is None:
        raise RuntimeError("MOVIES_DATA_FILE names no source")
    Path(f"{path}.new").replace(path)


async def _longest_stall(within_s: float | None) -> dict[str, float]:
    """Watch the loop until cancelled, or for so long: by the clock, and by the CPU that the loop's thread used at one go, in seconds."""
    clock = cpu = 0.0
    until = time.perf_counter() + within_s if within_s is not None else None
    last, last_cpu = time.perf_counter(), time.thread_time()
    try:
        while until is None or last < until:
            await asyncio.sleep(TICK_S)
            now, now_cpu = time.perf_counter(), time.thread_time()
            clock, cpu = max(clock, now - last - TICK_S), max(cpu, now_cpu - last_cpu)
            last, last_cpu = now, now_cpu
    except asyncio.CancelledError:
        pass
    return {"clock_s": clock, "cpu_s": cpu}


if __name__ == "__main__":
    print(json.dumps(search(*sys.argv[2:]) if sys.argv[1] == "search" else swap()))
