"""The wheel carries all that the service needs: installed alone, it serves in an empty folder."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.request import urlopen

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def fetch(url: str) -> bytes:
    """Get a body."""
    body: bytes = urlopen(url, timeout=10).read()  # noqa: S310  our own process
    return body


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and unpack it where only it is found."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)],
        check=True,
        capture_output=True,
        timeout=100,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


async def test_it_serves_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(installed), "PORT": "0", "LOG_LEVEL": "info"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "opuscine", "serve", cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        url = ""
        async with asyncio.timeout(30):
            while "address=" not in url:
                url = (await process.stdout.readline()).decode()
        url = url.partition("address=")[2].split()[0]
        document = json.loads(await asyncio.to_thread(fetch, f"{url}/openapi.json"))
        page = await asyncio.to_thread(fetch, f"{url}/page/page.js")
        shown = await asyncio.to_thread(fetch, f"{url}/docs")
        health = json.loads(await asyncio.to_thread(fetch, f"{url}/health"))
    finally:
        process.terminate()
        await process.communicate()
    assert health["movie_count"] >= 120
    assert b"api/movies/recommend" in page
    assert b"page/swagger-ui-bundle.js" in shown
    assert "example" in document["components"]["schemas"]["RecommendAnswer"]


def test_it_holds_no_tests_and_no_scripts(installed: Path) -> None:
    assert {path.name for path in installed.iterdir() if path.is_dir() and not path.name.endswith(".dist-info")} == {"opuscine"}
    assert (installed / "opuscine" / "py.typed").exists()
