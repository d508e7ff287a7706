"""Lists of films written line by line: numbered, bulleted, as a table, or one `Title (Year)` a line. Pure.

Which lines name films is decided as they come: the first entry sets the level (its marker and indentation), and what is marked otherwise or
stands deeper tells of the film above. A heading opens a new level.
"""

from __future__ import annotations

import re
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from opuscine.llm.protocols.replies import words
from opuscine.llm.protocols.replies.wording import describes, is_heading, lower_words, reads_as_sentence
from opuscine.llm.protocols.replies.written_title import RANK, YEAR, read_entry, tidy
from opuscine.model import Suggestion

LINE_LENGTH = 2_000
"""Characters of a line that are looked at for markers."""

_PLAIN_LINES = 400  # more lines without a marker are no list of titles
_PLAIN_LENGTH = 300

_NUMBER = re.compile(
    r"(?P<indent>\s{0,40})(?:>\s?)?(?:#{1,6}\s{1,4})?(?P<bold>[*_]{1,3})?"
    r"(?:(?:No\.?\s?|#|영화\s|추천\s|추천작\s|Movie\s|Film\s|TOP\s?)?(?P<number>\d{1,3})(?:️?⃣|(?:번째|번|위|편)?\s?(?:\\?[.)、．]))"
    r"|(?P<circled>[①-⑳❶-❿➀-➓])"
    r"|[(\[【](?P<enclosed>\d{1,2})[)\]】]"
    r"|(?:No\.?\s?|#|영화\s|추천\s|Movie\s|Film\s)?(?P<loose>\d{1,3})(?:번째|번|위|편)?(?::|：|\s[-–—]|(?<=[번째위]))(?=\s))"
    r"(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_BULLET = re.compile(r"(?P<indent>\s{0,40})(?:>\s?)?(?:[-*+–—]\s+|[•·‣▪●○■□◆◇▶►▸✓✔☑★☆※➤➡⁃◦]️?\s*)(?P<rest>\S.*)", re.DOTALL)
_HEADING = re.compile(r"\s{0,40}(?:#{1,6}\s+(?P<title>\S.*)|(?P<bold>\*{2,3}|__)(?P<strong>[^*_].{0,300}?)(?P=bold)\s*:?\s*)", re.DOTALL)
_INLINE = re.compile(r"(?:(?<=[\s:,;])|\A)\(?(?P<number>\d{1,3})[.)](?=\s|[*\"“『「〈《‘'가-힣A-Z])\s*")
_NUMBER_BELONGS = re.compile(r"(?:\b(?:vol|part|chapter|episode|no|pt|ep|season|시즌|파트|제|편)\.?|#)\s*$", re.IGNORECASE)
_NOT_A_NUMBER = re.compile(r"\d{1,3}[.)]\d")  # 3.10 to Yuma
_YEAR = re.compile(rf"(?<!\d){YEAR}(?!\d)")
_YEAR_IN_BRACKETS = re.compile(rf"[(（\[][^()（）\[\]]{{0,60}}?{_YEAR.pattern}[^()（）\[\]]{{0,60}}[)）\]]")
_IN_BOLD = re.compile(r"\*\*[^*]{1,250}\*\*:?\s*")
_NAMED = re.compile(rf"[*_]{{0,3}}(?:{'|'.join(sorted(words.TITLE_LABELS))})[*_]{{0,3}}\s?[:：]", re.IGNORECASE)
_DETAIL = re.compile(
    r"\s{0,40}(?:[-*+•·▪◦]\s{1,4})?[*_]{0,3}"
    rf"(?P<label>{'|'.join(re.escape(label) for label in sorted(words.LABELS - words.REMARKS))})"
    r"[*_]{0,3}\s?[:：][*_]{0,3}\s?(?P<value>.{0,40})",
    re.IGNORECASE,
)
_ITEM_TAG = re.compile(r"<li\b[^<>]{0,200}>", re.IGNORECASE)
_TAG = re.compile(r"</?(?:li|ol|ul|p|div|br|h[1-6])\b[^<>]{0,200}>", re.IGNORECASE)
_RULE = re.compile(r"\s*[-*_=~#.·|`\s]*\s*\Z")
_CELL_RULE = re.compile(r"[\s:|-]+\Z")


class Marker(Enum):
    """What makes a line an entry."""

    NUMBER = "number"
    BULLET = "bullet"
    BARE = "bare"  # a `Title (Year)` alone on its line


class _Level(NamedTuple):
    marker: Marker
    indent: int


class ListLines:
    """Read the lines of one turn, in order."""

    def __init__(self) -> None:
        self._level: _Level | None = None
        self._last_number = 0
        self._waiting: Suggestion | None = None  # a card without a year: one of the details below it may say it
        self._columns: tuple[int, int] | None = None  # of a table: title, year (-1: none)
        self.plain: list[str] = []
        """Lines and headings without a marker that may be titles: what a reply without any marked line may list its films by."""
        self.headings: list[str] = []

    def read(self, line: str) -> tuple[list[Suggestion], bool]:
        """Return the films that a line completes, in order, and whether it is running text. A line of details is neither."""
        line = line[:LINE_LENGTH]
        if "<" in line:
            line = _TAG.sub("", _ITEM_TAG.sub("- ", line))
        if _RULE.match(line):
            return [], False
        if self._waiting and (detail := _DETAIL.match(line)):
            self._waiting = _of_year(self._waiting, detail)
            return [], False
        before = self.waiting()
        films = self._read(line)
        return [*before, *(films or ())], films is None

    def waiting(self) -> list[Suggestion]:
        """Return the film that waits for its year, which now can't come any more."""
        film, self._waiting = self._waiting, None
        return [film] if film else []

    def _read(self, line: str) -> list[Suggestion] | None:
        """Return the films of a line, None for a line of running text."""
        if line.lstrip().startswith("|"):
            return self._row(line)
        self._columns = None
        if several := self._inline(line):
            return several
        if number := self._numbered(line):
            rest = number["rest"].strip()
            if number["bold"]:
                rest = rest[len(number["bold"]) :] if rest.startswith(number["bold"]) else number["bold"] + rest
            return self._marked(Marker.NUMBER, _width(number["indent"]), rest)
        if bullet := _BULLET.match(line):
            return self._marked(Marker.BULLET, _width(bullet["indent"]), _renumbered(bullet["rest"]))
        return self._unmarked(line)

    def _numbered(self, line: str) -> re.Match[str] | None:
        found = _NUMBER.match(line)
        if not found or (not found["circled"] and _NOT_A_NUMBER.match(line.lstrip())):
            return None
        if loose := found["loose"]:  # "300: Rise of an Empire" is no third hundredth
            if int(loose) != self._last_number + 1:
                return None
            self._last_number += 1
        elif number := found["number"] or found["enclosed"]:
            self._last_number = int(number)
        return found

    def _marked(self, marker: Marker, indent: int, rest: str) -> list[Suggestion] | None:
        if not self._admits(marker, indent):
            return []
        if is_heading(rest):
            self._level = None
            return []
        if listed := _category(rest):
            return listed
        film = read_entry(rest)
        if film is None:
            return None if self._level is None and not _DETAIL.match(rest) else []
        self._level = _Level(marker, indent)
        return self._announced(film, rest)

    def _announced(self, film: Suggestion, text: str) -> list[Suggestion]:
        """Hold back a film without a year whose details stand on lines of their own."""
        if film.year is None and not film.overview and (_IN_BOLD.fullmatch(text) or _NAMED.match(text)):
            self._waiting = film
            return []
        return [film]

    def _admits(self, marker: Marker, indent: int) -> bool:
        if self._level is None:
            return True
        if marker is self._level.marker:
            return indent <= self._level.indent + 1
        return marker is Marker.NUMBER and indent <= self._level.indent

    def _inline(self, line: str) -> list[Suggestion]:
        """Read `1. A, 2. B and 3. C`, all on one line."""
        starts: list[re.Match[str]] = []
        for found in _INLINE.finditer(line):
            number = int(found["number"])
            follows = number == int(starts[-1]["number"]) + 1 if starts else number == 1 or not line[: found.start()].strip()
            if follows and not _NUMBER_BELONGS.search(line[max(0, found.start() - 12) : found.start()]):
                starts.append(found)
        if len(starts) < 2:
            return []
        ends = [following.start() for following in starts[1:]] + [len(line)]
        films: list[Suggestion] = []
        for start, end in zip(starts, ends, strict=True):
            films += self._marked(Marker.NUMBER, 0, _without_conjunction(line[start.end() : end])) or []
            films += self.waiting()
        self._last_number = int(starts[-1]["number"])
        return films

    def _unmarked(self, line: str) -> list[Suggestion] | None:
        heading = _HEADING.fullmatch(line.rstrip())
        text = (heading["title"] or heading["strong"] if heading else line).strip()
        if rank := RANK.match(text):
            text = text[rank.end() :]
        named = _NAMED.match(text)
        if film := self._bare(text) or (read_entry(text) if named and text.count(",") < 2 else None):
            if self._admits_bare():
                self._level = _Level(Marker.BARE, 0)
                return self._announced(film, text)
            return None
        if self._level and _DETAIL.match(text):
            return []
        if heading:
            self._level, self._last_number = None, 0
            _keep(text, self.headings)
            return []
        if text.endswith((":", "：", ":**")):
            self._level, self._last_number = None, 0
        _keep(text, self.plain)
        return None

    def _admits_bare(self) -> bool:
        return self._level is None or self._level.marker is Marker.BARE

    def _bare(self, text: str) -> Suggestion | None:
        """Read a line that is a title with its year in brackets, and at most a description behind a dash or colon."""
        year = _YEAR_IN_BRACKETS.search(text, 1)
        if not year:
            return None
        title, after = text[: year.start()].strip(), text[year.end() :].strip(" *_\"'”’")
        if not title or (after and after[0] not in "-–—:：([|"):
            return None
        plain = title.strip("*_\"'“”‘’『』「」〈〉《》<> ")
        if lower_words(plain) and not plain.islower():
            return None
        if len(plain.split()) > 14 or plain.endswith((":", ".", "!")) or reads_as_sentence(plain) or describes("", plain):
            return None
        film = read_entry(text)
        return film if film and film.year else None

    def _row(self, line: str) -> list[Suggestion]:
        """Read a row of a table whose head names a column of titles."""
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if _CELL_RULE.match(line):
            return []
        if self._columns is None:
            names = [cell.strip("*_ ").casefold() for cell in cells]
            title = next((at for at, name in enumerate(names) if name in words.COLUMN_TITLES), -1)
            year = next((at for at, name in enumerate(names) if name in words.COLUMN_YEARS), -1)
            if title >= 0:
                self._columns = (title, year)
            return []
        title, year = self._columns
        if title >= len(cells):
            return []
        cell = cells[title]
        if 0 <= year < len(cells) and (found := _YEAR.search(cells[year][:20])):
            cell = cell if _YEAR_IN_BRACKETS.search(cell) else f"{cell} ({found[0]})"
        film = read_entry(cell)
        return [film] if film else []


def _keep(text: str, lines: list[str]) -> None:
    if len(lines) <= _PLAIN_LINES:
        lines.append(" ".join(text[:_PLAIN_LENGTH].split()))


def films_of_plain_lines(lines: ListLines) -> dict[str, Suggestion]:
    """Read the films of a turn that names them on lines of their own without any marker, by line: as headings, or three lines and more."""
    for texts, least in ((lines.headings, 2), (lines.plain, 3)):
        if len(texts) > _PLAIN_LINES:
            continue
        films = {text: film for text in texts if not is_heading(text) and (film := read_entry(text)) and _is_title_line(text, film)}
        if len(films) >= least and len(films) * 3 >= len(texts) * 2:
            return films
    return {}


_SECTION = re.compile(
    r"추천|목록|이유|영화|결론|요약|마무리|recommend|summary|conclusion|suggestion|movies|films|why |tips|note|list|picks", re.IGNORECASE
)
_GREETING = re.compile(
    r"(?:sure|hello|hi|hey|okay|ok|of course|thanks|thank you|enjoy|great|certainly|absolutely|yes|no|sorry|welcome|user|system)\b"
    r"|(?:안녕|네|좋아)\b",
    re.IGNORECASE,
)


def _is_title_line(text: str, film: Suggestion) -> bool:
    plain = tidy(text)
    if _SECTION.search(plain) or _GREETING.match(plain) or plain.endswith((".", "!", ":", ",", ";")) or len(film.title.split()) > 10:
        return False
    first = plain.strip("\"'“‘『「〈《<*_")[:1]
    return not lower_words(film.title) and not reads_as_sentence(film.title) and (not first.isascii() or not first.islower())


def _category(text: str) -> list[Suggestion]:
    """Read `Action: John Wick, Speed`: a genre, and its films behind the colon."""
    label, colon, films = text.replace("**", "").partition(":")
    if not colon or "," not in films or not is_heading(label):
        return []
    read = [read_entry(_without_conjunction(part)) for part in films.split(",")[:50]]
    return [film for film in read if film]


def _without_conjunction(text: str) -> str:
    text = text.strip().rstrip(",;").rstrip()
    text = re.sub(r"^(?:and|or|그리고|및)\s+|(?:,|;)?\s+(?:and|or|그리고|및)$", "", text)
    return text.rstrip(",; ")


def _renumbered(text: str) -> str:
    """Take away a number that follows a bullet: `- 1. 기생충`."""
    found = re.match(r"\d{1,3}[.)]\s+(?=\S)", text)
    return text[found.end() :] if found else text


def _of_year(film: Suggestion, detail: re.Match[str]) -> Suggestion:
    """Take the year that a detail of a film says."""
    year = _YEAR.search(detail["value"])
    if film.year or not year or detail["label"].casefold() not in words.COLUMN_YEARS:
        return film
    return replace(film, year=int(year[0]))


def _width(indent: str) -> int:
    return len(indent.expandtabs(4))
