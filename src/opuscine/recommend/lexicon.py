"""A sentence taken apart into the words that are understood and those that are not. Pure.

Korean is written without clear word ends: a word may carry particles ("스릴러나"), a head ("공포물") and further words ("공포영화추천"),
but what else follows makes another word of it: there is no 애니 in "애니멀" and no 인도 in "인도네시아".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from opuscine.model import Kind
from opuscine.recommend import grammar
from opuscine.recommend.moods import MOOD_WORDS, TOPIC_WORDS, Mood, Topic
from opuscine.recommend.words import (
    ABROAD_WORDS,
    CLASSIC_WORDS,
    COMEDY,
    COUNTRY_WORDS,
    DRAMA_WORDS,
    FILM_WORDS,
    GENRE_WORDS,
    LANGUAGE_WORDS,
    NEAR_GENRE_WORDS,
    ORDER_WORDS,
    SERIES_OF,
    SERIES_WORDS,
    SITCOM_WORDS,
    GenreGroups,
    Order,
)
from opuscine.recommend.years import YearSpan

# Each stands for a title that was taken out of a sentence (private use: no message means anything by them).
TITLES = "\ue000\ue001\ue002"
LONGEST_ENDING = 4  # syllables that may follow the stem of an adjective
LONGEST_RUN = 24  # syllables of a word that are taken apart; a longer one is unknown
HANGUL = re.compile(r"[가-힣]+")
LATIN = re.compile(r"[^\W_가-힣]+(?:['.+-][^\W_가-힣]+)*")
HEADS = tuple(
    sorted(
        (*FILM_WORDS[:1], *DRAMA_WORDS[:1], "스릴러", "코미디", "로맨스", "판타지", "애니메이션", "다큐", "다큐멘터리"),
        key=len,
        reverse=True,
    )
)


class Role(StrEnum):
    """What a word does in a sentence."""

    CONTENT = "content"  # says something of the films wished for
    UNKNOWN = "unknown"
    NOT_BEHIND = "not_behind"  # negates what stands before it
    NOT_NEAREST = "not_nearest"  # negates the word before it
    NOT_AHEAD = "not_ahead"  # negates what stands behind it
    NOT_EITHER = "not_either"
    OR = "or"
    COMMA = "comma"
    AND = "and"
    BREAK = "break"
    LIKE_BEHIND = "like_behind"
    LIKE_AHEAD = "like_ahead"
    SET_BEHIND = "set_behind"
    SET_AHEAD = "set_ahead"
    IN = "in"
    AT = "at"
    MADE_IN = "made_in"
    PASSED = "passed"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a word means. One word may say several things: "미드" is a series and American."""

    role: Role
    genres: GenreGroups = ()
    countries: tuple[str, ...] = ()
    abroad: bool = False
    kind: Kind | None = None
    drama: bool = False  # a series, or the genre
    mood: Mood | None = None
    topic: Topic | None = None
    order: Order | None = None
    classic: bool = False
    years: YearSpan | None = None
    provider: int | None = None
    certain: bool = True
    states: frozenset[str] = field(init=False, repr=False)  # of what it says something

    def __post_init__(self) -> None:
        """Note of what it says something; it is asked for often."""
        found = {
            "genre": self.genres,
            "country": self.countries or self.abroad,
            "kind": self.kind,
            "mood": self.mood,
            "topic": self.topic,
            "order": self.order or self.classic,
            "years": self.years,
            "provider": self.provider,
            "word": self.role is Role.UNKNOWN,
        }
        object.__setattr__(self, "states", frozenset(name for name, value in found.items() if value))


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a sentence."""

    text: str
    meaning: Meaning

    @property
    def role(self) -> Role:
        """Return what the word does."""
        return self.meaning.role

    @property
    def states(self) -> frozenset[str]:
        """Return of what the word says something."""
        return self.meaning.states


@dataclass(frozen=True, slots=True)
class Fixed:
    """A span of the text whose meaning is known already."""

    start: int
    end: int
    meaning: Meaning


UNKNOWN = Meaning(Role.UNKNOWN)


def fold(text: str) -> str:
    """Fold width, case, spaces and apostrophes, so that positions in the result stay true."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().replace("’", "'").split())


def read_tokens(text: str, fixed: Sequence[Fixed] = ()) -> list[Token]:
    """Take a folded text apart; `fixed` are spans that don't overlap, in their order."""
    tokens: list[Token] = []
    spans = list(reversed(fixed))
    at = 0
    joined = False  # to what was read just before, so that particles may follow
    while at < len(text):
        if spans and at >= spans[-1].start:
            span = spans.pop()
            tokens.append(Token(text[span.start : span.end], span.meaning))
            at, joined = max(at, span.end), True
            continue
        end = spans[-1].start if spans else len(text)
        found = _read(text, at, end, joined=joined)
        if found is None:
            joined = False
            at += 1
            continue
        tokens.extend(found[0])
        at, joined = found[1], True
    return [_in_name(tokens, place) for place in range(len(tokens))]


def _in_name(tokens: Sequence[Token], place: int) -> Token:
    """Read "war" behind an unknown word as a part of its name: "infinity war", "star wars"."""
    token = tokens[place]
    return Token(token.text, UNKNOWN) if token.text == "war" and place and tokens[place - 1].role is Role.UNKNOWN else token


def _read(text: str, at: int, end: int, *, joined: bool) -> tuple[list[Token], int] | None:
    """Read one word, or what is written together as one; None for a sign that means nothing."""
    for word, meaning, stem in _candidates(text, at):
        after = at + len(word)
        if after > end or not text.startswith(word, at):
            continue
        if not HANGUL.match(word[-1]):
            if not (word[-1].isalnum() and text[after : after + 1].isascii() and text[after : after + 1].isalnum()):
                return [Token(word, meaning)], after
            continue
        rest = HANGUL.match(text, after, end)
        tail = _tail(rest[0] if rest else "", _mode(meaning, stem=stem), meaning.role)
        if tail is not None:
            return [Token(word, meaning), *tail], rest.end() if rest else after
    if run := HANGUL.match(text, at, end):
        if joined and (tail := _tail(run[0], "", Role.CONTENT)) is not None:
            return list(tail), run.end()
        return _unknown(run[0]), run.end()
    if text[at] in TITLES:
        return [Token(text[at], UNKNOWN)], at + 1
    if latin := LATIN.match(text, at, end):
        return [Token(latin[0], UNKNOWN)], latin.end()
    return None


def _unknown(run: str) -> list[Token]:
    """Read a Korean word that nobody knows, but perhaps its head: "심리스릴러" is a thriller."""
    for cut in range(2, min(len(run), LONGEST_RUN) - 1):
        for head in HEADS:
            if run.startswith(head, cut) and (tail := _tail(run[cut + len(head) :], "", Role.CONTENT)) is not None:
                return [Token(run[:cut], UNKNOWN), Token(head, _WORDS[head]), *tail]
    return [Token(run, UNKNOWN)]


def _candidates(text: str, at: int) -> Iterable[tuple[str, Meaning, bool]]:
    yield from _INDEX.get(text[at : at + 2], ())
    yield from _INDEX.get(text[at : at + 1], ())


@lru_cache(maxsize=4096)
def _tail(rest: str, mode: str, role: Role) -> tuple[Token, ...] | None:
    """Read what follows a Korean word without a space: particles and further words; None if it makes another word of it."""
    if not rest:
        return ()
    if len(rest) > LONGEST_RUN or (role in {Role.IDLE, Role.PASSED} and len(rest) > 6):
        return None
    for particle, meaning in _PARTICLES:
        if rest.startswith(particle) and (further := _tail(rest[len(particle) :], "", role)) is not None:
            return (*((Token(particle, meaning),) if meaning is not None else ()), *further)
    for word, meaning, stem in _candidates(rest, 0):
        if (stem or len(word) > 1) and rest.startswith(word):
            further = _tail(rest[len(word) :], _mode(meaning, stem=stem), meaning.role)
            if further is not None:
                return (Token(word, meaning), *further)
    if mode == "mood":
        for ending in grammar.MOOD_ENDINGS:
            if rest.startswith(ending) and (further := _tail(rest[len(ending) :], "", role)) is not None:
                return further
    return _after_stem(rest, role) if mode == "stem" else None


def _after_stem(rest: str, role: Role) -> tuple[Token, ...] | None:
    """Read what follows a stem: an ending, which nobody lists, and perhaps further words: "무섭|지|않은"."""
    for cut in range(1, min(len(rest), LONGEST_ENDING + 1)):
        if any((stem or len(word) > 1) and rest.startswith(word, cut) for word, _, stem in _candidates(rest, cut)):
            further = _tail(rest[cut:], "", role)
            if further is not None:
                return further
    return () if len(rest) <= LONGEST_ENDING else None


def _mode(meaning: Meaning, *, stem: bool) -> str:
    return "stem" if stem else ("mood" if meaning.mood else "")


@lru_cache(maxsize=4096)
def tail_cuts(word: str) -> tuple[str, ...]:
    """Return what may be left of a Korean word when particles and known words are taken off its end, longest first."""
    if not HANGUL.fullmatch(word) or len(word) > LONGEST_RUN:
        return ()
    return tuple(word[:cut] for cut in range(len(word) - 1, 0, -1) if _tail(word[cut:], "", Role.CONTENT) is not None)


def _all_words() -> dict[str, Meaning]:
    """List every word with its meaning; of words in two tables, the later table counts."""
    roles = {
        Role.IDLE: (*grammar.IDLE, *grammar.IDLE_PHRASES),
        Role.PASSED: tuple(grammar.PASSED),
        Role.NOT_BEHIND: tuple(word for word in grammar.NOT_BEHIND if word not in grammar.NEAREST_ONLY),
        Role.NOT_NEAREST: grammar.NEAREST_ONLY,
        Role.NOT_AHEAD: tuple(grammar.NOT_AHEAD),
        Role.NOT_EITHER: grammar.NOT_EITHER,
        Role.OR: grammar.OR,
        Role.COMMA: grammar.COMMA,
        Role.AND: grammar.AND,
        Role.BREAK: grammar.BREAK,
        Role.LIKE_BEHIND: grammar.LIKE_BEHIND,
        Role.LIKE_AHEAD: grammar.LIKE_AHEAD,
        Role.SET_BEHIND: grammar.SET_BEHIND,
        Role.SET_AHEAD: grammar.SET_AHEAD,
        Role.IN: grammar.IN,
        Role.MADE_IN: grammar.MADE_IN,
    }
    content = Role.CONTENT
    return {
        **{word: Meaning(role) for role, words in roles.items() for word in words},
        **{word: Meaning(content, topic=topic) for word, topic in TOPIC_WORDS.items()},
        **{word: Meaning(content, mood=mood) for word, mood in MOOD_WORDS.items()},
        **{word: Meaning(content, order=order) for word, order in ORDER_WORDS.items()},
        **{word: Meaning(content, classic=True) for word in CLASSIC_WORDS},
        **{word: Meaning(content, countries=countries) for word, countries in COUNTRY_WORDS.items()},
        **{word: Meaning(content, countries=countries, certain=False) for word, countries in LANGUAGE_WORDS.items()},
        **{word: Meaning(content, abroad=True) for word in ABROAD_WORDS},
        **{word: Meaning(content, genres=groups, certain=False) for word, groups in NEAR_GENRE_WORDS.items()},
        **{word: Meaning(content, genres=groups) for word, groups in GENRE_WORDS.items()},
        **{word: Meaning(content, kind=Kind.MOVIE) for word in FILM_WORDS},
        **{word: Meaning(content, kind=Kind.TV) for word in SERIES_WORDS},
        **{word: Meaning(content, kind=Kind.TV, drama=True, certain=False) for word in DRAMA_WORDS},
        **{word: Meaning(content, countries=(country,), kind=Kind.TV) for word, country in SERIES_OF.items()},
        **{word: Meaning(content, genres=((COMEDY,),), kind=Kind.TV) for word in SITCOM_WORDS},
    }


def _index(words: dict[str, Meaning]) -> dict[str, list[tuple[str, Meaning, bool]]]:
    """Find words by their first two characters, the longest first."""
    index: dict[str, list[tuple[str, Meaning, bool]]] = {}
    for written, meaning in sorted(words.items(), key=lambda item: -len(item[0])):
        word = written.removesuffix("~")
        index.setdefault(word[:2], []).append((word, meaning, written != word))
    return index


def _particles() -> tuple[tuple[str, Meaning | None], ...]:
    """List the particles, the longest first; most of them mean nothing here."""
    found: dict[str, Meaning | None] = dict.fromkeys(grammar.PARTICLES)
    for role, words in (
        (Role.OR, grammar.OR_PARTICLES),
        (Role.AND, grammar.AND_PARTICLES),
        (Role.BREAK, grammar.BREAK_PARTICLES),
        (Role.AT, grammar.AT_PARTICLES),
    ):
        found |= {word: Meaning(role) for word in words}
    return tuple(sorted(found.items(), key=lambda item: -len(item[0])))


_WORDS = _all_words()
_INDEX = _index(_WORDS)
_PARTICLES = _particles()
