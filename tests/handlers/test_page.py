"""The page's files: who is shown them, under which policy, and when they are sent anew."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opuscine.contract import IndexAnswer
from opuscine.static_files import OWN_FOLDER, read, static_files
from support.service import Service, running

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
OPEN_DOOR = {"environment": "production", "auth": "off"}
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: https://image.tmdb.org",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}


@pytest.fixture
async def production(compiled: Path) -> AsyncIterator[Service]:
    """Run the service as production has it by default."""
    async with running(compiled, **OPEN_DOOR) as started:
        yield started


async def test_a_browser_is_shown_the_page_and_a_program_json(service: Service) -> None:
    async with service.caller.get(f"{service.url}/", headers=BROWSER) as response:
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert response.headers["Vary"] == "Accept"
        assert "<h1" in await response.text()
    for headers in ({}, {"Accept": "application/json"}, {"Accept": "application/json, text/html"}):
        IndexAnswer.model_validate(await service.get("/", headers=headers))


async def test_production_shows_neither_page_nor_viewer(production: Service) -> None:
    IndexAnswer.model_validate(await production.get("/", headers=BROWSER))
    for path in ("/docs", "/page/page.js"):
        problem = await production.get(path, status=404, headers=BROWSER)
        assert "PAGE=on" in problem["detail"]


async def test_production_shows_them_where_it_is_written_out(compiled: Path) -> None:
    async with running(compiled, **OPEN_DOOR, page="on") as service:
        for path in ("/", "/docs", "/page/page.js"):
            async with service.caller.get(service.url + path, headers=BROWSER) as response:
                assert response.status == 200


async def test_development_can_do_without(compiled: Path) -> None:
    async with running(compiled, page="off") as service:
        IndexAnswer.model_validate(await service.get("/", headers=BROWSER))


@pytest.mark.parametrize("path", ["/", "/docs", *(f"/page/{name}" for name in sorted(static_files()))])
async def test_every_file_is_sent_under_the_strict_policy_and_only_when_it_has_changed(service: Service, path: str) -> None:
    async with service.caller.get(service.url + path, headers=BROWSER) as response:
        assert response.status == 200
        policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
        assert policy == POLICY
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cache-Control"] == "no-cache"
        tag = response.headers["ETag"]
    async with service.caller.get(service.url + path, headers={**BROWSER, "If-None-Match": tag}) as response:
        assert response.status == 304
        assert response.headers["ETag"] == tag
        assert await response.read() == b""


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fapp.py", "index.html%00", "__init__.py"])
async def test_nothing_else_is_sent(service: Service, name: str) -> None:
    await service.get(f"/page/{name}", status=404)


def test_a_changed_file_has_another_tag_even_with_the_same_size_and_time(tmp_path: Path) -> None:
    file = tmp_path / "page.js"
    tags = set()
    for text in ("one", "two"):
        file.write_text(text)
        tags.add(read(file).etag)
    assert len(tags) == 2


@pytest.mark.parametrize("page", sorted(OWN_FOLDER.glob("*.html")), ids=lambda page: page.name)
def test_nothing_stands_inline_and_every_address_is_ours(page: Path) -> None:
    """The policy would block it in browsers; here it is found without one."""
    text = page.read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:", text)
    files = re.findall(r'(?:<script[^>]*\ssrc|<link[^>]*\shref)="([^"]+)"', text)
    assert files
    assert {Path(file).name for file in files} <= set(static_files())
    assert all(file.startswith("page/") for file in files)


def test_the_page_never_writes_markup() -> None:
    script = (OWN_FOLDER / "page.js").read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc", script)


def test_both_languages_say_the_same_things() -> None:
    """Every text that the Korean page has, the English page has too."""
    script = (OWN_FOLDER / "page.js").read_text("utf-8")
    korean, english = re.findall(r"\n  (?:ko|en): \{\n(.*?)\n  \},", script, re.DOTALL)
    bare = [re.sub(r'`[^`]*`|: "[^"]*"', ": ", text) for text in (korean, english)]
    names = [re.findall(r'(?:^|[,{]) *\n? *(\w+|"[^"]+"): ', text, re.MULTILINE) for text in bare]
    assert len(names[0]) > 60
    assert names[0] == names[1]
