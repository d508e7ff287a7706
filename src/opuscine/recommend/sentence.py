"""A message as the catalogue understands it: the titles that it names, and what the rest of it states."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Protocol

from opuscine.catalogue.titles import TitleEntry, title_key
from opuscine.model import Film, TitleRef
from opuscine.providers.table import ProviderTable
from opuscine.recommend.constraints import broken_constraint
from opuscine.recommend.intent import Intent, read_intent
from opuscine.recommend.lexicon import HANGUL, TITLES, Role, fold, read_tokens, tail_cuts

WORDS = 40  # of a message that are looked at for a title
TITLE_WORDS = 8  # longest run of words tried as a title
LOOKUPS = 60  # titles tried for one message: about 10 µs each
KEPT_SENTENCES = 1_024  # at most some 10 kB each: the longest message of the contract
KEPT_WORDS = 4_096  # and short runs of them, whose reading is remembered: sentences are made of the same ones
LEAST_SYLLABLES = 3  # of a title of one Korean word amid others: shorter ones are words first
QUOTED = re.compile(
    "|".join(
        f"{opening}([^{opening}{closing}]{{1,80}}){closing}"
        for opening, closing in ('""', "“”", "‘’", "「」", "『』", "《》", "〈〉", "<>")
    )
)
NO_TITLES = dict.fromkeys(map(ord, TITLES), " ")
EMPTY = {Role.IDLE, Role.PASSED}


class TitleCatalogue(Protocol):
    """What is asked of the catalogue here."""

    @property
    def generation(self) -> str:
        """Return the name of what is served now."""
        ...

    def get(self, ref: TitleRef) -> Film | None:
        """Return a title."""

    def titles_by_key(self, key: str) -> Sequence[TitleEntry]:
        """Return the works that bear a title."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """What a message says: `named` is the work whose title stands in it, `intent` what the words around it state.

    `namesakes` are all works that the message may mean, the most popular first; `named` is the first of them.
    """

    intent: Intent
    named: Film | None = None
    namesakes: tuple[Film, ...] = ()


class SentenceReader:
    """Read messages against the catalogue, so that the words of a title state nothing: "범죄도시" asks for no crime film.

    What was read lately is remembered: callers ask for page after page, and once more in the model's place; and many ask the same.
    """

    def __init__(self, catalogue: TitleCatalogue, providers: ProviderTable, *, today: Callable[[], date]) -> None:
        """Take the titles, the providers' names, and the calendar that "올해" is read by."""
        self._catalogue = catalogue
        self._providers = providers
        self._today = today
        self._read_lately = lru_cache(maxsize=KEPT_SENTENCES)(self._read)

    def read(self, message: str) -> Sentence:
        """Read a message. Never raises, whatever the text; takes a few milliseconds at most, whatever its length."""
        return self._read_lately(message, self._catalogue.generation, self._today().year)

    def _read(self, message: str, _generation: str, _year: int) -> Sentence:
        return _Reading(self._catalogue, self._intent).read(message)

    def _intent(self, text: str) -> Intent:
        return read_intent(text, providers=self._providers, this_year=self._today().year)


class _Reading:
    """One message being read; counts the titles that were tried."""

    def __init__(self, catalogue: TitleCatalogue, intent: Callable[[str], Intent]) -> None:
        self._catalogue = catalogue
        self._intent = intent
        self._tried: dict[str, list[Film]] = {}

    def read(self, message: str) -> Sentence:
        text = " ".join(message.translate(NO_TITLES).split())
        words = text.split()[:WORDS]
        if whole := self._whole(words):
            return whole
        named: dict[str, list[Film]] = {}
        for run in self._runs(text, words):
            mark = TITLES[len(named)]
            if run in text and (films := self._fitting(run, text, mark)):
                named[mark] = films
                text = text.replace(run, f" {mark}", 1)
                if len(named) == len(TITLES):
                    break
        return _sentence(self._intent(text), named)

    def _whole(self, words: Sequence[str]) -> Sentence | None:
        """Read a message that is a title and nothing else but words that say nothing: "듄", "봄날은 간다 보고 싶어"."""
        if films := self._films(" ".join(words)):
            intent = self._intent(" ".join(words))
            return _sentence(Intent() if intent.terms else intent, {TITLES[0]: films})
        first, last = 0, len(words)
        while first < last and _is_empty(words[first]):
            first += 1
        while last > first and _is_empty(words[last - 1]):
            last -= 1
        if not 0 < last - first <= TITLE_WORDS:
            return None
        for begin, end in ((first, last), (first, len(words)), (0, last)):
            for text in _spellings(words[begin:end]):
                if (films := self._films(text)) and _is_name(text):
                    intent = self._intent(" ".join(words).replace(text, f" {TITLES[0]}", 1))
                    fitting = [film for film in films if not broken_constraint(film, intent.facts)]
                    return _sentence(intent, {TITLES[0]: fitting or films})
        return None

    def _runs(self, message: str, words: Sequence[str]) -> Iterator[str]:
        """Yield the runs of words that may be a title: in quotes, beside "같은" or "like", then the longest first."""
        yield from (match[match.lastindex or 0].strip() for match in QUOTED.finditer(message))
        compared = [place for place, word in enumerate(words) if _compares(word)]
        for place in compared[:2]:
            for length in range(TITLE_WORDS, 0, -1):
                for start in (place - length, place - length + 1, place + 1):
                    if start >= 0 and start + length <= len(words):
                        yield from _spellings(words[start : start + length])
        longest = min(TITLE_WORDS, len(words), max(1, LOOKUPS // max(1, len(words))))
        for length in range(longest, 0, -1):
            for start in range(len(words) - length + 1):
                run = words[start : start + length]
                yield from (text for text in _spellings(run) if length > 1 or _is_long(text, run[0], start))

    def _fitting(self, run: str, text: str, mark: str) -> list[Film]:
        """Return the works of a title that the rest of the text allows: no "클래식" for a message that wishes for music."""
        films = self._films(run)
        if not films or not _is_name(run):
            return []
        rest = self._intent(text.replace(run, f" {mark}", 1))
        if rest.similar or mark in rest.unwanted_titles:
            return films
        return [film for film in films if not broken_constraint(film, rest.facts)]

    def _films(self, text: str) -> list[Film]:
        """Return the works that bear a title, the most popular first."""
        key = title_key(text)
        if key not in self._tried:
            if len(self._tried) >= LOOKUPS or not key:
                return []
            self._tried[key] = self._bearing(key)
        return self._tried[key]

    def _bearing(self, key: str) -> list[Film]:
        if not (entries := self._catalogue.titles_by_key(key)):  # as with most runs of words
            return []
        popular = sorted({entry.ref: entry for entry in entries}.values(), key=lambda entry: -entry.popularity)
        return [film for entry in popular if (film := self._catalogue.get(entry.ref)) is not None]


def _sentence(intent: Intent, named: Mapping[str, Sequence[Film]]) -> Sentence:
    """Tie the titles to what the rest of the message says of them: that they are wished for, or that they are not."""
    wished = [film for mark, films in named.items() if mark not in intent.unwanted_titles for film in films]
    unwanted = [film for mark, films in named.items() if mark in intent.unwanted_titles for film in films]
    intent = replace(intent, named=frozenset(film.ref for film in wished), unwanted=frozenset(film.ref for film in unwanted))
    return Sentence(intent, next(iter(wished), None), tuple(dict.fromkeys(wished)))


def _spellings(run: Sequence[str]) -> Sequence[str]:
    """Return a run of words, and what is left when particles or known words are taken off its last one: "인셉션을", "기생충같은"."""
    *head, word = run
    return [" ".join((*head, tail)) for tail in _tails(word)] if head else _tails(word)


@lru_cache(maxsize=KEPT_WORDS)
def _tails(word: str) -> tuple[str, ...]:
    cuts = tail_cuts(word)
    return tuple(dict.fromkeys((word, *cuts[:1], *cuts[-1:])))


@lru_cache(maxsize=KEPT_WORDS)
def _is_empty(word: str) -> bool:
    """Say whether a word says nothing that a title could be recognised by: "추천해줘", "영화"."""
    return all(token.role in EMPTY or token.states == {"kind"} for token in read_tokens(fold(word)))


@lru_cache(maxsize=KEPT_WORDS)
def _is_name(text: str) -> bool:
    """Say whether a run of words may be a title: one that only states genres, moods or the like is none."""
    return any(token.role is Role.UNKNOWN or "topic" in token.states for token in read_tokens(fold(text)))


def _is_long(text: str, word: str, place: int) -> bool:
    """Say whether a title of one word may stand amid others: long enough, or written with a capital inside a sentence."""
    if HANGUL.match(text):
        return len(text) >= LEAST_SYLLABLES
    return place > 0 and word[:1].isupper() and len(text) > 1


@lru_cache(maxsize=KEPT_WORDS)
def _compares(word: str) -> bool:
    return any(token.role in {Role.LIKE_BEHIND, Role.LIKE_AHEAD} for token in read_tokens(fold(word)))
