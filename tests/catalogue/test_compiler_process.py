"""The compiler's process, as its parent sees it. Kills and time limits are tested where the whole catalogue is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from opuscine.catalogue.compiler_process import run_compiler
from opuscine.errors import CatalogueError
from support.catalogues import job_of, write_sources


async def test_the_target_is_heard_and_the_result_returned(tmp_path: Path) -> None:
    targets: list[str] = []
    done = await run_compiler(job_of(write_sources(tmp_path)), on_target=targets.append, limit_s=60)
    assert done.compiled
    assert targets == [done.manifest.generation]


async def test_what_it_complains_of_is_raised(tmp_path: Path) -> None:
    job = job_of(write_sources(tmp_path))
    (tmp_path / "films.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CatalogueError, match="MOVIES_DATA_FILE: .* has no list of titles"):
        await run_compiler(job, on_target=lambda _: None, limit_s=60)


async def test_of_a_crash_the_last_line_of_its_traceback_is_told(tmp_path: Path) -> None:
    job = replace(job_of(write_sources(tmp_path)), sources=())
    with pytest.raises(CatalogueError, match="the catalogue's compiler ended with status 1: ValueError: ") as caught:
        await run_compiler(job, on_target=lambda _: None, limit_s=60)
    assert "\n" not in str(caught.value)
