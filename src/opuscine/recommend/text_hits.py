"""Whether a film really holds the words that were searched for, as words of their own, and how much of it is about them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from opuscine.catalogue.tokens import Place, Term, fold, join_syllables, terms
from opuscine.model import Film
from opuscine.recommend.intent import Intent
from opuscine.recommend.moods import Topic

COVERED = 0.6  # least share of the words that a hit holds
WORD_TERMS = 8
NAME_WEIGHT = 3
MENTIONS = 3  # beyond these a word counts no more


class _Texts(NamedTuple):
    names: str
    overview: str


def covers(film: Film, intent: Intent) -> bool:
    """Say whether a film holds enough of the words, and something of each topic."""
    texts = _texts(film)
    needs = [(term,) for term in intent.terms] + [topic.words for topic in intent.topics]
    held = sum(any(_weight(word, texts) for word in need) for need in needs)
    return held >= COVERED * len(needs)


def by_topic(films: Iterable[Film], topics: Sequence[Topic]) -> list[Film]:
    """Return the films that are about all topics, those first that say so in their title or more than once."""
    weighed = [(film, [_weight_of(topic, _texts(film)) for topic in topics]) for film in films]
    about = [(film, sum(weights)) for film, weights in weighed if all(weights)]
    return [film for film, _ in sorted(about, key=lambda item: -item[1])]


def in_names(text: str, film: Film) -> bool:
    """Say whether a text stands in a title of a film: "범죄도시" in "범죄도시 3"."""
    wanted = terms(text, WORD_TERMS)
    names = _texts(film).names
    return bool(wanted) and all(word.place_in(names) >= Place.START for word in wanted)


def _texts(film: Film) -> _Texts:
    names = [fold(name) for name in (film.title, film.original_title, *film.aliases) if name]
    return _Texts("\n".join((*names, *map(join_syllables, names))), fold(film.overview))


def _weight_of(topic: Topic, texts: _Texts) -> int:
    return sum(_weight(word, texts) for word in topic.words)


def _weight(text: str, texts: _Texts) -> int:
    """Weigh how a word stands in a film's texts: 0 where it does not, or only as the beginning of other words in the overview."""
    parts = terms(text, WORD_TERMS)
    if not parts:
        return 0
    weights = [max(_weight_in(part, texts), _weight_in(part.stem, texts) if part.stem else 0) for part in parts]
    return min(weights)


def _weight_in(term: Term, texts: _Texts) -> int:
    name = NAME_WEIGHT if term.place_in(texts.names) >= Place.START else 0
    mentions = min(MENTIONS, texts.overview.count(term.text)) if term.place_in(texts.overview) is Place.WORD else 0
    return name + mentions
