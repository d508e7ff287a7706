"""JSON as models write it, read piece by piece: films come out as soon as their object is closed. Pure.

Tolerated: single and typographic quotes, missing and trailing commas, Python's words, bare keys, control characters in texts, brackets that
don't match, and an end at any place. Nothing is kept but what a film's fields need, so that depth and size cost no memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

from opuscine.llm.protocols.replies import words
from opuscine.llm.protocols.replies.written_title import (
    OVERVIEW_LENGTH,
    TITLE_LENGTH,
    YEAR,
    read_entry,
    read_title,
    without_number,
)
from opuscine.model import Kind, Suggestion

DEPTH = 32
"""Levels within which films are looked for; what lies deeper is passed over."""

TEXT_LENGTH = 20_000
"""Characters of a JSON text that are kept: it may hold a list of films in its turn."""

_FIELD_LENGTH = 2_000

_JUNK = 80  # letters that are no JSON, after which the rest is taken for running text


def _named(**lines: str) -> dict[str, str]:
    return {name: meaning for meaning, line in lines.items() for name in line.split("|")}


_FIELDS = _named(
    title="title|name|movie|film|movietitle|filmtitle|moviename|filmname|titleko|kotitle|koreantitle|titlekorean|titlekr|koreanname"
    "|seriestitle|seriesname|showtitle|showname|show|series|tvshow|tvseries|제목|영화|영화제목|영화명|작품|작품명|타이틀"
    "|한국어제목|한글제목|국문제목|시리즈|드라마",
    original_title="originaltitle|originalname|titleen|entitle|englishtitle|englishname|titleenglish|titleoriginal|원제|원제목|영어제목|영문제목"
    "|영제|오리지널제목",
    year="year|releaseyear|yearofrelease|yearreleased|productionyear|연도|년도|개봉연도|개봉년도|출시연도|제작연도|제작년도",
    release_date="releasedate|firstairdate|date|released|airdate|premiere|release|개봉일|개봉|출시일|방영일",
    kind="mediatype|type|kind|contenttype|format|종류|유형|구분|매체",
    overview="overview|description|plot|synopsis|summary|줄거리|설명|개요|소개",
    reason="reason|why|whyrecommended|whywatch|recommendationreason|rationale|comment|note|explanation|이유|추천이유|추천사유|코멘트",
)
_LISTS = frozenset(
    "movies|films|movie|film|items|item|list|results|result|recommendations|recommendation|recommendedmovies|recommendedfilms"
    "|movierecommendations|filmrecommendations|suggestions|suggestedmovies|titles|data|picks|entries|output|response|series|tvseries"
    "|tvshows|shows|movielist|filmlist|watchlist|top|answer|추천|추천영화|추천목록|추천작|추천리스트|영화|영화목록|목록|리스트|작품"
    "|작품목록|결과|드라마|시리즈".split("|")
)
_FILM_OBJECTS = frozenset("movie|film|item|show|series|details|media|영화|작품".split("|"))
_PASSED_OVER = frozenset(
    "genres|genre|genreids|cast|actors|stars|starring|director|directors|crew|writers|writer|keywords|tags|moods|mood|themes"
    "|countries|country|productioncountries|originalcountry|languages|spokenlanguages|productioncompanies|studios|platforms|providers"
    "|ottlinks|ottproviders|links|streaming|wheretowatch|awards|ratings|rating|followup|followups|followupsuggestions"
    "|followupquestions|nextquestions|questions|options|filters|preferences|user|query|metadata|pagination|parameters|similarto"
    "|basedon|watched|seen|excluded|exclude|disliked|liked|favorites|usage|error|errors|장르|출연|출연진|배우|감독|키워드|태그|분위기"
    "|국가|언어|플랫폼|제공처|수상|질문|후속질문|제외".split("|")
)
_EXPLANATIONS = frozenset(
    "explanation|recommendationexplanation|message|summary|introduction|intro|response|answer|reply|comment|note|text|content"
    "|reasoning|rationale|reason|description|설명|답변|메시지|소개|이유|추천이유|요약|코멘트".split("|")
)
_QUESTIONS = frozenset("question|clarifyingquestion|clarification|clarify|followupquestion|질문|확인질문".split("|"))
_TEXTS = frozenset("text|content|response|answer|reply|output|message|답변|메시지".split("|"))
_CALLS = frozenset(("arguments", "parameters", "args"))
_SKIPPED_IN_KEYS = re.compile(r"[\s_\-.]+")

_CLOSING_QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’"}
_IN_TEXT = {closing: re.compile(rf"[{closing}\\]") for closing in _CLOSING_QUOTES.values()}
_IN_TEXT["”"] = re.compile(r"[”\"\\]")  # “title": seen with smart quotes put in by half
_WORD = re.compile(r"[^\s,:{}\[\]\"“'‘]+")
_REST_OF_WORD = re.compile(r"[^\s,:{}\[\]\"“]+")
_WORD_LENGTH = 64
_SPACE = re.compile(r"[\s,]+")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": " ", "r": " ", "b": "", "f": " "}
_LITERAL = re.compile(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?|true|false|null|none|nan|undefined|-?infinity", re.IGNORECASE)
_YEAR = re.compile(rf"\D{{0,12}}{YEAR}(?!\d)")
_DATE = re.compile(rf"{YEAR}-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?")
_ENDS_JSON = ("```", "<|", "</s>", "###", "[|", "|")


class _Role(Enum):
    """What the films among a container's members would be."""

    OUTER = "outer"  # an object that may be a film itself, or hold lists of films
    FILMS = "films"  # a list whose members are films
    MAYBE = "maybe"  # a list under an unknown name: objects with a title are films, texts only if there is nothing else
    FILM = "film"
    OTHER = "other"


@dataclass(slots=True)
class _Container:
    """An object or a list that is still open."""

    opening: str
    role: _Role
    key: str = ""
    has_key: bool = False  # its colon has come
    texts: dict[str, str] = field(default_factory=dict)
    has_films: bool = False
    has_list: bool = False
    calls: bool = False


class JsonText:
    """Read one JSON value from `{` or `[` to its end.

    `films` collects the films read, for the caller to take away; `done` is set at the end, and `intact` tells whether it
    was reached in order. If not, `unread` holds what belongs to the text that follows.
    """

    def __init__(self) -> None:
        self.films: list[Suggestion] = []
        self.maybe: list[Suggestion] = []
        self.explanation = ""
        self.question = ""
        self.texts: list[str] = []
        """What stands where a list of films is expected, or all of the answer: text that may name films."""
        self.done = False
        self.intact = False
        self._open: list[_Container] = []
        self._too_deep = 0
        self.unread = ""
        self._closing = ""  # of the text that is being read
        self._escaping = False
        self._perhaps_closed = False  # at a single quote, which may be an apostrophe
        self._in_comment = False
        self._text: list[str] = []
        self._text_length = 0
        self._word: list[str] = []
        self._word_length = 0
        self._junk = 0
        self._last: str | None = None  # a text or word that may turn out to be a key

    def feed(self, text: str, start: int) -> int:
        """Read on in a text from `start`; return where reading stopped: at its end, or behind the value once it is done."""
        position, end = start, len(text)
        while position < end and not self.done:
            if self._closing:
                position = self._read_text(text, position)
                continue
            if self._in_comment:
                position = text.find("\n", position) + 1 or end
                self._in_comment = text[position - 1] != "\n"
                continue
            if found := (_REST_OF_WORD if self._word else _WORD).match(text, position):
                if self._ends_here(found[0]):
                    return position
                position = found.end()
                self._add_to_word(found[0])
                continue
            self._end_word()
            if self.done:
                return position
            if found := _SPACE.match(text, position):
                position = found.end()
                if "," in found[0]:
                    self._end_value()
                continue
            position = self._read_sign(text, position)
        return position

    def finish(self) -> None:
        """Take the end of the reply for the end of the value. What is not complete is given up."""
        self.done = True

    def _read_sign(self, text: str, position: int) -> int:
        sign = text[position]
        if sign in _CLOSING_QUOTES:
            self._closing = _CLOSING_QUOTES[sign]
        elif sign == ":":
            if not self._take_key():
                self.unread = self._last or ""
                self.done = True
                return position
        elif sign in "{[":
            self._opened(sign)
        else:
            self._closed(sign)
        return position + 1

    def _read_text(self, text: str, position: int) -> int:
        if self._escaping:
            self._escaping = False
            self._keep(text[position])
            return position + 1
        if self._perhaps_closed:
            self._perhaps_closed = False
            if not text[position].isalpha():
                self._end_text()
                return position
            self._keep(self._closing)
        stop = _IN_TEXT[self._closing].search(text, position)
        self._keep(text[position : stop.start() if stop else len(text)])
        if stop is None:
            return len(text)
        if stop[0] == "\\":
            self._escaping = True
            self._keep("\\")
        elif self._closing in "'’":
            self._perhaps_closed = True
        else:
            self._end_text()
        return stop.end()

    def _keep(self, piece: str) -> None:
        if self._text_length < TEXT_LENGTH:
            self._text.append(piece[: TEXT_LENGTH - self._text_length])
            self._text_length += len(piece)

    def _end_text(self) -> None:
        self._closing = ""
        value = "".join(self._text)
        if "\\" in value:
            value = _unescaped(value)
        self._text.clear()
        self._text_length = 0
        self._value(value)

    def _ends_here(self, piece: str) -> bool:
        """Say whether a word that is read can only be of the text behind a value that was never closed."""
        before = "".join(self._word)
        if not (before + piece[:4]).startswith(_ENDS_JSON):
            return False
        fresh_list = self._open[-1].opening == "[" and self._last is None and not self._too_deep
        self.unread = "[" + before if fresh_list and (before + piece).startswith("|") else before
        self.done = True
        return True

    def _add_to_word(self, piece: str) -> None:
        kept = _WORD_LENGTH - self._word_length
        if kept > 0:
            self._word.append(piece[:kept])
        self._word_length += len(piece)
        if "".join(self._word).startswith("//"):
            self._in_comment = True
            self._word.clear()
            self._word_length = 0

    def _end_word(self) -> None:
        if not self._word:
            return
        word, length = "".join(self._word), self._word_length
        self._word.clear()
        self._word_length = 0
        if _LITERAL.fullmatch(word):
            self._value(word if word[-1].isdigit() else "")
            return
        self._last = word
        self._junk += length
        if self._junk > _JUNK:
            self.unread = word
            self.done = True

    def _take_key(self) -> bool:
        """Make the last value a key; say no where a colon can't be."""
        if self._too_deep:
            return True
        top = self._open[-1]
        if top.opening == "[" or self._last is None:
            return top.opening == "{"
        self._junk = max(0, self._junk - len(self._last))
        top.key = _SKIPPED_IN_KEYS.sub("", self._last[:64].casefold())
        top.has_key = True
        top.calls = top.calls or top.key in _CALLS
        self._last = None
        return True

    def _end_value(self) -> None:
        if self._open and not self._too_deep:
            self._open[-1].has_key = False
        self._last = None

    def _value(self, value: str) -> None:
        """Take a text or number where it stands: as a key to be, a field, or a member of a list."""
        if self._too_deep:
            return
        top = self._open[-1]
        if top.opening == "{":
            if not top.has_key:
                self._last = value
                return
            top.has_key = False
            self._field(top, value)
        elif top.role in (_Role.FILMS, _Role.MAYBE) and (film := read_entry(without_number(value))):
            if top.role is _Role.FILMS:
                self._found(film)
            elif len(self.maybe) < 200:
                self.maybe.append(film)

    def _field(self, top: _Container, value: str) -> None:
        if not value.strip():
            return
        if top.role is _Role.OUTER:
            if top.key in _QUESTIONS:
                self.question = self.question or value
            elif top.key in _EXPLANATIONS:
                self.explanation = self.explanation or value[:_FIELD_LENGTH]
            if (top.key in _TEXTS or (top.key in _LISTS and "\n" in value)) and len(self.texts) < 4:
                self.texts.append(value)
        meaning = _FIELDS.get(top.key)
        if meaning and top.role in (_Role.OUTER, _Role.FILM):
            if meaning == "title" and top.key not in ("title", "제목") and "title" in top.texts:
                meaning = "original_title"
            if meaning == "title" or meaning not in top.texts:
                top.texts[meaning] = value[:_FIELD_LENGTH]

    def _opened(self, sign: str) -> None:
        if self._too_deep or len(self._open) >= DEPTH:
            self._too_deep += 1
            return
        role = self._role(sign)
        if self._open:
            self._open[-1].has_key = False
        self._open.append(_Container(sign, role))
        self._last = None

    def _role(self, sign: str) -> _Role:
        if not self._open:
            return _Role.OUTER if sign == "{" else _Role.FILMS
        top = self._open[-1]
        if top.role in (_Role.FILMS, _Role.MAYBE):
            return _Role.FILM if sign == "{" else _Role.OTHER
        if top.role is _Role.OTHER or top.key in _PASSED_OVER:
            return _Role.OTHER
        if sign == "{":
            if top.key in _FILM_OBJECTS or top.key.isdecimal():
                return _Role.FILM
            return _Role.OUTER if top.role is _Role.OUTER else _Role.OTHER
        if top.key in _LISTS:
            top.has_list = True
            return _Role.FILMS
        return _Role.MAYBE if top.role is _Role.OUTER else _Role.OTHER

    def _closed(self, sign: str) -> None:
        if self._too_deep:
            self._too_deep -= 1
            return
        opening = "{" if sign == "}" else "["
        if not any(container.opening == opening for container in self._open):
            return
        matched = self._open[-1].opening == opening
        while self._open:
            container = self._open.pop()
            if container.opening == "{" and (matched or container.opening == opening):
                self._film_of(container)
            if self._open:
                self._open[-1].has_films |= container.has_films
            if container.opening == opening:
                break
        self._last = None
        if not self._open:
            self.done = True
            self.intact = matched

    def _film_of(self, container: _Container) -> None:
        if container.role not in (_Role.OUTER, _Role.FILM) or container.has_films or container.has_list or container.calls:
            return
        film = _film(container.texts)
        if film:
            self._found(film)
            container.has_films = True

    def _found(self, film: Suggestion) -> None:
        self.films.append(film)
        if self._open:
            self._open[-1].has_films = True


def _film(texts: dict[str, str]) -> Suggestion | None:
    title = texts.get("title") or texts.get("original_title")
    read = read_title(title) if title else None
    if title is None or read is None:
        return None
    release_date = texts.get("release_date", "").strip()
    dated = _DATE.match(release_date)
    year = _year(texts.get("year", "")) or _year(release_date) or read.year
    original = read_title(texts["original_title"]) if "original_title" in texts else None
    return Suggestion(
        title=read.title,
        original_title=(original.title if original and original.title != read.title else "") or read.original_title[:TITLE_LENGTH],
        year=year,
        kind=_kind(texts.get("kind", "")) or read.kind,
        overview=" ".join((texts.get("overview") or texts.get("reason") or "").split())[:OVERVIEW_LENGTH],
        release_date=dated[0] if dated else "",
    )


def _kind(value: str) -> Kind | None:
    return words.KINDS_AS_FIELD.get(value.strip().casefold().replace("_", " "))


def _year(value: str) -> int | None:
    found = _YEAR.match(value.strip())
    return int(found["year"]) if found else None


def _unescaped(text: str) -> str:
    """Resolve the escapes of a JSON text; broken ones stay as they are, halves of a pair become one character or U+FFFD."""
    text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else _ESCAPED.get(found[2], found[2]), text)
    if any("\ud800" <= character <= "\udfff" for character in text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\x00", " ")
