"""What a sentence states: genres, moods, years, countries, film or series, providers, an order, and the words left over.

Pure; Korean and English. It understands words, not grammar: what it does not know stays in `terms` and is searched for.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from opuscine.catalogue.genres import GENRES
from opuscine.model import Kind
from opuscine.providers.table import Provider, ProviderTable
from opuscine.recommend.words import (
    CLASSIC_UNTIL,
    CLASSIC_WORDS,
    COUNTRY_NAMES,
    COUNTRY_WORDS,
    FILM_WORDS,
    GENRE_WORDS,
    MOOD_WORDS,
    ORDER_WORDS,
    PARTICLES,
    SERIES_OF,
    SERIES_WORDS,
    SIMILAR_WORDS,
    STOP_WORDS,
    Mood,
    Order,
)

NEGATIONS = re.compile(
    r"\s{0,2}(?:영화|장르|물|것)?(?:은|는|이|가|을|를|도)?\s{0,2}(?:말고|빼고|빼|제외|아닌|아니고|없는|싫|지\s?않|지\s?말|안\s)"
)
NEGATED_BEFORE = re.compile(r"(?:\bnot|\bno|\bwithout|\bexcept|\bnon)[\s-]{1,2}(?:a |any |too )?$|(?:안|덜)\s?$")
DECADE_FULL = re.compile(r"(?<!\d)((?:19|20)\d0)\s?(?:년대|'?s\b|s\b)")
DECADE_SHORT = re.compile(r"(?<!\d)'?(\d0)\s?(?:년대|'?s\b)")
YEAR_RANGE = re.compile(r"(?<!\d)((?:19|20)\d\d)\s?년?\s?(?:~|-|–|부터|에서|to|and|until)\s?((?:19|20)\d\d)(?!\d)\s?년?")
YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)(?!\d|\s?년대|'?s\b)\s?(?:년도|년)?")
LAST_YEARS = re.compile(r"(?:최근|지난|last|past)\s?(\d{1,2})\s?(?:년|years?)")
AFTER = re.compile(r"\s?(?:이후|부터|후|or later|and later|onwards?)")
BEFORE = re.compile(r"\s?(?:이전|까지|전에|or earlier|and earlier)")
AFTER_EN = re.compile(r"(?:since|after|from)\s$")
BEFORE_EN = re.compile(r"(?:before|until|up to)\s(?:the\s)?$")
PART_OF_DECADE = re.compile(r"\s?(초반|중반|후반|초|말)")
HANGUL = re.compile(r"[가-힣]")
RELATIVE_YEARS = (("올해", 0), ("this year", 0), ("작년", -1), ("지난해", -1), ("last year", -1))
KIND_NAMES = {Kind.MOVIE: "영화", Kind.TV: "시리즈"}
ORDER_NAMES = {"best": "평점순", "newest": "최신순", "popular": "인기순"}
WORD = re.compile(r"[\w'&+-]+")


@dataclass(frozen=True, slots=True)
class Intent:
    """What a message states, in the catalogue's own terms."""

    genre_ids: tuple[int, ...] = ()  # all of them wished for
    unwanted_genre_ids: tuple[int, ...] = ()  # said to be unwanted
    excluded_genre_ids: tuple[int, ...] = ()  # those, and what would spoil a mood
    moods: tuple[Mood, ...] = ()
    mood_words: tuple[str, ...] = ()  # as said, then as overviews say it
    year_from: int | None = None
    year_to: int | None = None
    countries: tuple[str, ...] = ()
    kind: Kind | None = None
    provider_ids: tuple[int, ...] = ()
    order: Order | None = None
    similar: bool = False
    terms: tuple[str, ...] = ()  # what is left over, to be searched for
    said: tuple[str, ...] = ()  # what was understood, in Korean, for the explanation

    @property
    def understood(self) -> bool:
        """Say whether the message states anything that narrows the choice."""
        return bool(self.said)

    def parameters(self) -> dict[str, object]:
        """Return the stated constraints by the names of TMDB's discover call, which callers know."""
        found: dict[str, object] = {}
        if self.genre_ids:
            found["with_genres"] = ",".join(map(str, self.genre_ids))
        if self.excluded_genre_ids:
            found["without_genres"] = ",".join(map(str, self.excluded_genre_ids))
        if self.year_from is not None:
            found["primary_release_date.gte"] = f"{self.year_from}-01-01"
        if self.year_to is not None:
            found["primary_release_date.lte"] = f"{self.year_to}-12-31"
        if self.countries:
            found["with_origin_country"] = "|".join(self.countries)
        if self.provider_ids:
            found["with_watch_providers"] = "|".join(map(str, self.provider_ids))
        if self.kind:
            found["media_type"] = self.kind.value
        return found


class _Sentence:
    """A message from which recognised words are struck out one after the other."""

    def __init__(self, message: str) -> None:
        self.text = " ".join(_folded(message).split())

    def take(self, word: str) -> int | None:
        """Strike the first whole occurrence of a word and return its position.

        A Latin word must stand alone. A Hangul word may have particles behind it but no syllable before it, since Korean
        compounds carry their head at the end.
        """
        position = self.text.find(word)
        while position >= 0:
            end = position + len(word)
            if _stands_alone(self.text, position, end, hangul=not word.isascii()):
                self.strike(position, end)
                return position
            position = self.text.find(word, position + 1)
        return None

    def strike(self, start: int, end: int) -> None:
        """Blank out a span, so that positions stay true."""
        self.text = self.text[:start] + " " * (end - start) + self.text[end:]

    def negated(self, original: str, position: int, length: int) -> bool:
        """Say whether the word at a position is one the caller does not want."""
        return bool(NEGATIONS.match(original, position + length) or NEGATED_BEFORE.search(original[max(0, position - 12) : position]))


def _stands_alone(text: str, start: int, end: int, *, hangul: bool) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    if hangul:
        return not HANGUL.match(before)
    return not (before.isascii() and before.isalnum()) and not (after.isascii() and after.isalnum())


def read_intent(message: str, *, providers: ProviderTable, this_year: int) -> Intent:
    """Read what a message states. Never raises, whatever the text."""
    sentence = _Sentence(message)
    named = _providers(sentence, providers.mentioned_in(message))
    year_from, year_to = _years(sentence, this_year)
    countries, kind = _countries(sentence)
    kind = _kind(sentence) or kind
    wanted, unwanted = _genres(sentence)
    moods, mood_words, mood_unwanted = _moods(sentence)
    order = _order(sentence)
    if any(sentence.take(word) is not None for word in CLASSIC_WORDS):
        order = order or "best"
        year_to = year_to if year_to is not None or year_from is not None else CLASSIC_UNTIL
    similar = any(_mentions(message.casefold(), word) for word in SIMILAR_WORDS)
    said = (
        *(GENRES[genre].ko for genre in wanted if genre in GENRES),
        *(f"{GENRES[genre].ko} 제외" for genre in unwanted if genre in GENRES),
        *_said_years(year_from, year_to),
        *(COUNTRY_NAMES[country] for country in countries),
        *((KIND_NAMES[kind],) if kind else ()),
        *(provider.name for provider in named),
        *(("분위기",) if moods else ()),
        *((ORDER_NAMES[order],) if order else ()),
    )
    return Intent(
        genre_ids=wanted,
        unwanted_genre_ids=tuple(dict.fromkeys((*unwanted, *mood_unwanted))),
        excluded_genre_ids=tuple(dict.fromkeys((*unwanted, *mood_unwanted, *_unfit(moods, wanted)))),
        moods=moods,
        mood_words=mood_words,
        year_from=year_from,
        year_to=year_to,
        countries=countries,
        kind=kind,
        provider_ids=tuple(provider.id for provider in named),
        order=order,
        similar=similar,
        terms=_terms(sentence.text),
        said=said,
    )


def _mentions(text: str, word: str) -> bool:
    return word in text if HANGUL.search(word) else re.search(rf"\b{re.escape(word)}\b", text) is not None


def _providers(sentence: _Sentence, mentioned: Iterable[Provider]) -> tuple[Provider, ...]:
    """Return the providers that are wanted; "넷플릭스 말고" names one that is not."""
    original = sentence.text
    wanted = []
    for provider in mentioned:
        names = (provider.name, provider.korean_name, *provider.other_names, *provider.mentions, *provider.word_mentions)
        unwanted = False
        for name in sorted((" ".join(_folded(name).split()) for name in names), key=len, reverse=True):
            position = sentence.take(name)
            unwanted = unwanted or (position is not None and sentence.negated(original, position, len(name)))
        if not unwanted:
            wanted.append(provider)
    return tuple(wanted)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _years(sentence: _Sentence, this_year: int) -> tuple[int | None, int | None]:
    text = sentence.text
    if match := YEAR_RANGE.search(text):
        first, last = sorted((int(match[1]), int(match[2])))
        sentence.strike(*match.span())
        return first, last
    if match := LAST_YEARS.search(text):
        sentence.strike(*match.span())
        return this_year - int(match[1]), None
    if match := DECADE_FULL.search(text) or DECADE_SHORT.search(text):
        return _decade(sentence, match)
    if match := YEAR.search(text):
        return _bounded(sentence, match, int(match[1]), int(match[1]))
    for word, year in RELATIVE_YEARS:
        if sentence.take(word) is not None:
            return this_year + year, this_year + year
    return None, None


def _decade(sentence: _Sentence, match: re.Match[str]) -> tuple[int | None, int | None]:
    number = int(match[1])
    first = number if number > 100 else (1900 if number >= 30 else 2000) + number
    last = first + 9
    if part := PART_OF_DECADE.match(sentence.text, match.end()):
        first, last = {"초": (first, first + 3), "중": (first + 3, first + 6), "후": (first + 6, last), "말": (first + 6, last)}[part[1][0]]
    return _bounded(sentence, match, first, last)


def _bounded(sentence: _Sentence, match: re.Match[str], first: int, last: int) -> tuple[int | None, int | None]:
    """Widen a year or decade by the words around it: "2015년 이후" has no end, "before 1990" no beginning."""
    text, before = sentence.text, sentence.text[: match.start()]
    sentence.strike(*match.span())
    if AFTER.match(text, match.end()) or AFTER_EN.search(before):
        return (last + 1 if before.endswith("after ") else first), None
    if BEFORE.match(text, match.end()):
        return None, last
    if BEFORE_EN.search(before):
        return None, first - 1 if "before" in before[-12:] else last
    return first, last


def _countries(sentence: _Sentence) -> tuple[tuple[str, ...], Kind | None]:
    found: list[str] = []
    kind = None
    for word, country in SERIES_OF.items():
        if sentence.take(word) is not None:
            found.append(country)
            kind = Kind.TV
    for word, country in COUNTRY_WORDS.items():
        if sentence.take(word) is not None:
            found.append(country)
    return tuple(dict.fromkeys(found)), kind


def _kind(sentence: _Sentence) -> Kind | None:
    """Tell films from series; "드라마" is a series unless a film is named beside it, where it is the genre."""
    film, series = _take_all(sentence, FILM_WORDS), _take_all(sentence, SERIES_WORDS)
    if not film and sentence.take("드라마") is not None:
        series = True
    if film == series:
        return None
    return Kind.MOVIE if film else Kind.TV


def _take_all(sentence: _Sentence, words: Iterable[str]) -> bool:
    """Strike every one of the words and say whether there was any."""
    return any([sentence.take(word) is not None for word in words])  # noqa: C419  all must be struck, not only the first


def _genres(sentence: _Sentence) -> tuple[tuple[int, ...], tuple[int, ...]]:
    original = sentence.text
    wanted: list[int] = []
    unwanted: list[int] = []
    for word, genres in GENRE_WORDS.items():
        position = sentence.take(word)
        if position is not None:
            (unwanted if sentence.negated(original, position, len(word)) else wanted).extend(genres)
    return tuple(dict.fromkeys(wanted)), tuple(dict.fromkeys(genre for genre in unwanted if genre not in wanted))


def _moods(sentence: _Sentence) -> tuple[tuple[Mood, ...], tuple[str, ...], tuple[int, ...]]:
    """Return the moods, the words to search for, and the genre of each mood that is not wanted."""
    original = sentence.text
    moods: list[Mood] = []
    said: list[str] = []
    unwanted: list[int] = []
    for word, mood in MOOD_WORDS.items():
        position = sentence.take(word)
        if position is None:
            continue
        if sentence.negated(original, position, len(word)):
            unwanted.extend(mood.genres[:1])
            continue
        said.append(word)
        if mood not in moods:
            moods.append(mood)
    words = (*(word for word in said if not word.isascii()), *(word for mood in moods for word in mood.words))
    return tuple(moods), tuple(dict.fromkeys(words)), tuple(unwanted)


def _unfit(moods: Iterable[Mood], wanted: tuple[int, ...]) -> tuple[int, ...]:
    """Return the genres that spoil a mood, less those that were asked for or that another mood lives from."""
    kept = {*wanted, *(genre for mood in moods for genre in mood.genres)}
    return tuple(genre for mood in moods for genre in mood.excluded if genre not in kept)


def _order(sentence: _Sentence) -> Order | None:
    for word, order in ORDER_WORDS.items():
        if sentence.take(word) is not None:
            return order
    return None


def _said_years(year_from: int | None, year_to: int | None) -> tuple[str, ...]:
    if year_from is None and year_to is None:
        return ()
    if year_from == year_to:
        return (f"{year_from}년",)
    if year_from is not None and year_to == year_from + 9 and year_from % 10 == 0:
        return (f"{year_from}년대",)
    return (f"{year_from or ''}~{year_to or ''}년",)


def _terms(text: str) -> tuple[str, ...]:
    """Return the words left over, without stop words and without the particle that a Korean noun carries."""
    terms: list[str] = []
    for word in WORD.findall(text):
        if word in STOP_WORDS:
            continue
        bare = without_particle(word)
        if bare and bare not in STOP_WORDS and (len(bare) > 1 or HANGUL.match(bare) is None) and not bare.isdecimal():
            terms.append(bare)
    return tuple(dict.fromkeys(terms))[:12]


def without_particle(word: str) -> str:
    """Take one particle off the end of a Korean word of at least two more syllables: "인셉션을" → "인셉션"."""
    for particle in PARTICLES:
        if word.endswith(particle) and len(word) >= len(particle) + 2 and HANGUL.match(word):
            return word[: -len(particle)]
    return word
