"""How titles are compared: the one place where a title is normalised. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

from opuscine.model import TitleRef

TitleRole = Literal["title", "original", "alias"]

READ_LENGTH = 500
"""Characters of a title that are read. The longest film titles have some 250; more is no title, and NFKC is quadratic in
runs of combining marks."""

KEPT_KEYS = 4_096
"""Titles whose key is remembered: models suggest, and sentences are made of, much the same words again and again."""

FIRST_YEAR = 1870
LAST_YEAR = 2100

_LEADING_ARTICLE = re.compile(r"(?:the|an?)\s+(?=\S)")
# Moved to the front when they trail ("Misérables, Les"), but only the English ones are dropped there: "die" and "la" also begin
# "Die Hard" and "La La Land".
_TRAILING_ARTICLES = frozenset(
    {"the", "a", "an", "le", "la", "les", "l", "un", "une", "el", "los", "las", "il", "lo", "gli", "der", "die", "das", "ein", "eine"}
)
_APOSTROPHES = "'’‘ʼʻ＇´`"
_TRADE_SIGNS = str.maketrans("", "", "™®©℠")  # NFKC would spell the first and last out as letters
_PLAIN_LETTERS = {"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ı": "i", "×": "x"}
_OPENING_SIGNS = "\"'“”‘’«»<>〈〉《》「」『』([{*_ \t\n"
_VULGAR_FRACTION = re.compile(r"(?=[¼-¾⅐-⅞])")  # "8½" is "8 1/2", not "81/2"
_THOUSANDS_COMMA = re.compile(r"(?<=\d),(?=\d)")
_GAP_BETWEEN_DIGITS = re.compile(r"\d \d")
_OTHER_GAP = re.compile(r"(?<!\d) | (?!\d)")
# Of such a title only the gaps go: there is no article, no sign and no accent in it, and no gap between digits.
_PLAIN_TITLE = re.compile(r"(?!(?:the|an?) )[0-9a-z가-힣]+(?: (?:(?<=[^0-9] )|(?=[^0-9]))[0-9a-z가-힣]+)*")

_YEAR_BRACKETS = {")": "(", "]": "[", "）": "（", "］": "［", "】": "【"}
_YEAR_BRACKET_LENGTH = 40
_YEAR_IN_BRACKETS = re.compile(
    r"(?:(?:film|movie|tv (?:mini.?)?series|tv|영화|드라마)[\s,:]*)?"
    r"(?P<year>\d{4})(?:년)?"
    r"(?:\s*[-–—~]\s*(?:\d{4}(?:년)?|\d{2}|present|현재)?)?"
    r"(?:[\s,]*(?:film|movie|tv (?:mini.?)?series|tv|영화|드라마))?"
)


class TitleEntry(NamedTuple):
    """Say that a work carries a title, and in which role. Its year tells it from namesakes; its popularity (TMDB's) must not."""

    ref: TitleRef
    year: int | None
    role: TitleRole
    popularity: float


class _Folding(dict[int, str | None]):
    """Map every character as `str.translate` wants it: letters, digits and marks stay, signs become spaces.

    Latin letters lose their accents one by one; NFKD over a whole text would also take Hangul syllables and kana apart.
    """

    def __missing__(self, code: int) -> str | None:
        folded = self._fold(chr(code))
        if code <= 0xFFFF:  # the other planes are rare and many: nobody shall fill the memory with them
            self[code] = folded
        return folded

    @staticmethod
    def _fold(character: str) -> str | None:
        if character in _APOSTROPHES or "\u0300" <= character <= "\u036f":
            return None
        if character in _PLAIN_LETTERS:
            return _PLAIN_LETTERS[character]
        category = unicodedata.category(character)
        if category[0] in "LNM":
            base = unicodedata.normalize("NFD", character)[0]
            return base if base.isascii() and base.isalpha() else character
        return None if category in ("Cc", "Cf", "Cs") and not character.isspace() else " "


_FOLDING = _Folding()


@lru_cache(maxsize=KEPT_KEYS)
def title_key(text: str) -> str:
    """Fold a title to what it has in common with its other spellings; two titles of equal key are the same words.

    Width, case, Latin accents, punctuation, spacing ("스타 워즈", "스타워즈") and a leading English article ("The Godfather",
    "Godfather, The") make no difference, whatever the script. The Korean "더" is no article here: it is also a word of its own ("more").
    A gap stays only between digits, so that "9-1-1" is not "911". A title of signs alone ("???") is its own key; `""` means that there is
    nothing to compare. Folding a key again changes nothing.
    """
    return key_of(plain_title(text))


@lru_cache(maxsize=KEPT_KEYS)
def plain_title(text: str) -> str:
    """Return a title in one width and case, its article in front ("godfather, the"), its signs and spaces as they are."""
    return read_plain(text)


@lru_cache(maxsize=KEPT_KEYS)
def key_of(plain: str) -> str:
    """Return the key of a title that `plain_title` has prepared."""
    return read_key(plain)


def read_plain(text: str) -> str:
    """Do what `plain_title` does, and remember nothing: for titles that come once, as a compile's do."""
    if text.isascii():
        plain = text[:READ_LENGTH].casefold()
        return with_article_in_front(_THOUSANDS_COMMA.sub("", plain)) if "," in plain or ";" in plain else plain
    read = _VULGAR_FRACTION.sub(" ", text[:READ_LENGTH].translate(_TRADE_SIGNS))
    plain = unicodedata.normalize("NFKC", read).casefold()
    return with_article_in_front(_THOUSANDS_COMMA.sub("", unicodedata.normalize("NFKC", plain)))


def read_key(plain: str) -> str:
    """Do what `key_of` does, and remember nothing."""
    text = plain.lstrip(_OPENING_SIGNS)
    article = _LEADING_ARTICLE.match(text)
    return (join_words(words_of(text[article.end() :])) if article else "") or join_words(words_of(text)) or _signs(plain)


def read_title(text: str) -> str:
    """Do what `title_key` does, and remember nothing."""
    folded = text.lower()
    if len(folded) <= READ_LENGTH and _PLAIN_TITLE.fullmatch(folded):
        return folded.replace(" ", "")  # 1 µs instead of 5 (measured)
    return read_key(read_plain(text))


def words_of(plain: str) -> list[str]:
    """Return the words of a plain title, without signs and accents."""
    return plain.translate(_FOLDING).split()


def join_words(words: Iterable[str]) -> str:
    """Join words to a key; a gap stays only between digits."""
    joined = " ".join(words)
    if _GAP_BETWEEN_DIGITS.search(joined):
        joined = _OTHER_GAP.sub("", joined)
    else:
        joined = joined.replace(" ", "")
    return joined if joined.isascii() else unicodedata.normalize("NFKC", joined)


def split_year(text: str) -> tuple[str, int | None]:
    """Split "제목 (2016)" into the title and the year; without a year in brackets at its end a title comes back stripped, with None.

    Read as well: "(2016년)", "[2016]", "(2016 film)", "(TV Series 2016-2019)", of which the first year counts. A bare number belongs to the
    title ("Blade Runner 2049"), and so does a bracket that is all there is.
    """
    title = text.strip()
    opening = _YEAR_BRACKETS.get(title[-1:])
    start = title.rfind(opening, -_YEAR_BRACKET_LENGTH) if opening else -1
    if start < 0:
        return title, None
    inside = unicodedata.normalize("NFKC", title[start + 1 : -1]).casefold().strip()
    found = _YEAR_IN_BRACKETS.fullmatch(inside)
    before = title[:start].rstrip()
    if found is None or not before or not FIRST_YEAR <= int(found["year"]) <= LAST_YEAR:
        return title, None
    return before, int(found["year"])


def with_article_in_front(text: str) -> str:
    """Turn "godfather, the" into "the godfather"; some lists write a semicolon."""
    cut = max(text.rfind(","), text.rfind(";"))
    if cut > 0 and (article := text[cut + 1 :].strip().rstrip(_APOSTROPHES)) in _TRAILING_ARTICLES:
        return f"{article} {text[:cut]}"
    return text


def _signs(text: str) -> str:
    return "".join(character for character in text if unicodedata.category(character)[0] in "PS")
