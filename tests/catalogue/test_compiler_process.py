"""The compiler's process, as its parent sees it. Kills and time limits are tested where the whole catalogue is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from opuscine.catalogue.compiler_process import run_compiler
from opuscine.errors import CatalogueError
from support.catalogues import job_of, write_sources


async def test_the_result_is_returned(tmp_path: Path) -> None:
    settings = write_sources(tmp_path)
    done = await run_compiler(job_of(settings), limit_s=60)
    assert done.compiled
    assert done.peak_mib > 0
    assert (settings.cache_dir / done.manifest.file).exists()


async def test_what_it_complains_of_is_raised(tmp_path: Path) -> None:
    job = job_of(write_sources(tmp_path))
    (tmp_path / "films.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"MOVIES_DATA_FILE: .* has no list of titles"):
        await run_compiler(job, limit_s=60)


async def test_of_a_crash_the_last_line_of_its_traceback_is_told(tmp_path: Path) -> None:
    job = replace(job_of(write_sources(tmp_path)), region=5)  # type: ignore[arg-type]
    with pytest.raises(CatalogueError, match="the catalogue's compiler ended with status 1: TypeError: ") as caught:
        await run_compiler(job, limit_s=60)
    assert "\n" not in str(caught.value)
