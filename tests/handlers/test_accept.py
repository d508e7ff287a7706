"""Programs get JSON unless they ask for something else more than for that."""

from __future__ import annotations

import pytest

from opuscine.handlers.accept import prefers

CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (CHROME, True),
        ("text/html", True),
        ("TEXT/HTML; charset=utf-8", True),
        ("text/html, application/json", True),
        ("application/json;q=0.9, text/html", True),
        ("application/json, text/html", False),
        ("application/json, text/plain, */*", False),
        ("text/html;q=0.8, application/json", False),
        ("text/html;q=0", False),
        ("text/html;q=nonsense", True),
        ("text/html;q=nan", True),
        ("*/*", False),
        ("", False),
    ],
)
def test_html_is_for_those_who_rank_it_first(accept: str, html: bool) -> None:
    assert prefers({"Accept": accept}, "text/html") is html


def test_without_the_header_it_is_json() -> None:
    assert not prefers({}, "text/html")
