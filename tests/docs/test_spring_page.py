"""What docs/spring.md gives to copy is the code that the Spring suite runs. `python tests/docs/test_spring_page.py` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from opuscine.contract import PROBLEMS

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "spring.md"
PROJECT = REPOSITORY / "tests" / "spring"
BLOCK = re.compile(r"(<!-- code: (?P<path>\S+) -->\n```\w+\n)(?P<code>.*?)(```\n)", re.DOTALL)


def shown(path: Path) -> str:
    """Return a file as the page shows it: without package and imports, which every editor adds by itself."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("package ", "import "))]
    return "\n".join(lines).strip() + "\n"


def rewritten(page: str) -> str:
    """Return the page with the code as it is now."""
    return BLOCK.sub(lambda match: match[1] + shown(PROJECT / match["path"]) + match[4], page)


def test_the_page_shows_the_code_that_is_tested() -> None:
    page = PAGE.read_text()
    assert len(BLOCK.findall(page)) == 5
    assert rewritten(page) == page, "docs/spring.md is behind its code; run this file to write it anew"


def test_every_code_that_the_page_names_exists() -> None:
    table = PAGE.read_text().partition("| status | `code` |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z_]+)`", table)) - {"errors"} <= set(PROBLEMS)


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text()))
