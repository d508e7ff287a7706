"""What a sentence states: genres, moods, years, countries, film or series, providers, an order, and the words left over.

Pure; Korean and English. It understands words and what stands beside them, not grammar; what it does not know is searched for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from math import prod

from opuscine.catalogue.genres import GENRES
from opuscine.model import Kind, TitleRef
from opuscine.providers.table import Provider, ProviderTable
from opuscine.recommend.grammar import VERB_ENDS
from opuscine.recommend.lexicon import TITLES, Fixed, Meaning, Role, Token, fold, read_tokens
from opuscine.recommend.moods import Mood, Topic
from opuscine.recommend.stance import CONNECTORS, Stance, stances
from opuscine.recommend.words import CLASSIC_UNTIL, COUNTRY_NAMES, DRAMA, KIND_NAMES, ORDER_NAMES, GenreGroups, Order
from opuscine.recommend.years import YearSpan, find_years, spell_out_decades

TERMS = 12
NAMELIKE = {"genre", "country"}
EITHER = {Role.OR, Role.COMMA}
MOST_GROUPS = 8
RECENT_YEARS = 2
HOME = ("KR",)  # what 외국 and 해외 leave out


@dataclass(frozen=True, slots=True)
class Facts:
    """What films shall be; every field that is left out allows everything."""

    genre_groups: GenreGroups = ()  # of each group at least one genre
    unwanted_genres: tuple[int, ...] = ()
    years: tuple[YearSpan, ...] = ()  # in one of them
    countries: tuple[str, ...] = ()  # from one of them
    unwanted_countries: tuple[str, ...] = ()
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """What a message states, in the catalogue's own terms."""

    facts: Facts = Facts()  # all that could be read, for a search
    certain: Facts = Facts()  # the part that leaves no doubt: a model's films are held to it
    named: frozenset[TitleRef] = frozenset()  # works whose title stands in the message: they stay, whatever else it states
    unwanted: frozenset[TitleRef] = frozenset()  # works that are named as not wished for
    moods: tuple[Mood, ...] = ()
    unwanted_moods: tuple[Mood, ...] = ()
    topics: tuple[Topic, ...] = ()
    unwanted_topics: tuple[Topic, ...] = ()
    provider_ids: tuple[int, ...] = ()
    unwanted_provider_ids: tuple[int, ...] = ()  # only where none is wished for
    order: Order | None = None
    classic: bool = False
    recent: bool = False  # not long ago, by another order than that of time: "요즘 인기 있는"
    this_year: int = 0
    similar: bool = False  # like something that is named
    terms: tuple[str, ...] = ()  # what is left over, to be searched for
    unwanted_words: tuple[str, ...] = ()
    unwanted_titles: str = ""  # marks of titles (`lexicon.TITLES`) that are not wished for
    said: tuple[str, ...] = ()  # what was understood, in Korean, for the explanation

    @property
    def understood(self) -> bool:
        """Say whether the message states anything that narrows the choice."""
        return bool(self.said)

    @property
    def genre_ids(self) -> tuple[int, ...]:
        """Return all genres that are wished for, each once."""
        return tuple(dict.fromkeys(genre for group in self.facts.genre_groups for genre in group))

    @property
    def excluded_genre_ids(self) -> tuple[int, ...]:
        """Return the genres that are unwanted, and those that would spoil a mood, less those that are wished for."""
        wished = {*self.genre_ids, *(genre for mood in self.moods for genre in mood.genres)}
        spoiling = (genre for mood in self.moods for genre in mood.excluded)
        opposite = (genre for mood in self.unwanted_moods for genre in mood.opposite)
        return tuple(dict.fromkeys((*self.facts.unwanted_genres, *(genre for genre in (*opposite, *spoiling) if genre not in wished))))

    @property
    def years(self) -> tuple[YearSpan, ...]:
        """Return the years to search in: those that are stated, else those of what is classic or recent."""
        if self.facts.years:
            return self.facts.years
        if self.classic:
            return ((None, CLASSIC_UNTIL),)
        return ((self.this_year - RECENT_YEARS, None),) if self.recent else ()

    def parameters(self) -> dict[str, object]:
        """Return what is searched for by the names of TMDB's discover call, which callers know."""
        found: dict[str, object] = {}
        first, last = _hull(self.years)
        if self.facts.genre_groups:
            found["with_genres"] = ",".join("|".join(map(str, group)) for group in self.facts.genre_groups)
        if self.excluded_genre_ids:
            found["without_genres"] = ",".join(map(str, self.excluded_genre_ids))
        if first is not None:
            found["primary_release_date.gte"] = f"{first}-01-01"
        if last is not None:
            found["primary_release_date.lte"] = f"{last}-12-31"
        if self.facts.countries:
            found["with_origin_country"] = "|".join(self.facts.countries)
        if self.provider_ids:
            found["with_watch_providers"] = "|".join(map(str, self.provider_ids))
        if self.facts.kind:
            found["media_type"] = self.facts.kind.value
        return found


def read_intent(message: str, *, providers: ProviderTable, this_year: int) -> Intent:
    """Read what a message states. Never raises, whatever the text."""
    text = spell_out_decades(fold(message))
    tokens = read_tokens(text, _fixed(text, providers.mentioned_in(message), this_year))
    intent = replace(_Reading(tokens).intent(), this_year=this_year)
    return replace(intent, said=_said(intent, providers))


def _fixed(text: str, mentioned: Iterable[Provider], this_year: int) -> list[Fixed]:
    """Find the spans of the text that are years and providers."""
    found = [
        Fixed(mark.start, mark.end, Meaning(Role.CONTENT, years=mark.span, certain=mark.certain)) for mark in find_years(text, this_year)
    ]
    for provider in mentioned:
        meaning = Meaning(Role.CONTENT, provider=provider.id)
        names = map(fold, (provider.name, provider.korean_name, *provider.other_names, *provider.mentions, *provider.word_mentions))
        written = {re.escape(spelling) for name in names for spelling in (name, name.replace(" ", ""))}
        found.extend(Fixed(*match.span(), meaning) for match in re.finditer("|".join(sorted(written, key=len, reverse=True)), text))
    apart: list[Fixed] = []
    for span in sorted(found, key=lambda span: (span.start, -span.end)):
        if not apart or span.start >= apart[-1].end:
            apart.append(span)
    return apart


class _Reading:
    """A sentence whose words are weighed; each method reads one sort of fact."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._stances = stances(tokens)

    def intent(self) -> Intent:
        """Put together what is stated."""
        terms = self._terms()
        facts, certain = self._facts(certain=False, terms=terms), self._facts(certain=True, terms=terms)
        wished, unwanted = list(self._meanings(Stance.WISHED, Stance.LIKELY)), list(self._meanings(Stance.UNWANTED, Stance.UNLIKELY))
        orders = list(dict.fromkeys(meaning.order for meaning in wished if meaning.order))
        classic = any(meaning.classic for meaning in wished)
        providers = _providers(wished)
        against = self._unwanted_words()
        return Intent(
            facts=facts,
            certain=certain,
            moods=tuple(dict.fromkeys(meaning.mood for meaning in wished if meaning.mood)),
            unwanted_moods=tuple(dict.fromkeys(meaning.mood for meaning in unwanted if meaning.mood)),
            topics=tuple(dict.fromkeys(meaning.topic for meaning in wished if meaning.topic)),
            unwanted_topics=tuple(dict.fromkeys(meaning.topic for meaning in unwanted if meaning.topic)),
            provider_ids=providers,
            unwanted_provider_ids=() if providers else _providers(unwanted),
            order=next((order for order in orders if order != "newest"), "newest" if orders else ("best" if classic else None)),
            classic=classic,
            recent=len(orders) > 1 and "newest" in orders,
            similar=self._similar(),
            terms=terms,
            unwanted_words=tuple(text for text in against if _term(text))[:TERMS],
            unwanted_titles="".join(text for text in against if text in TITLES),
        )

    def _meanings(self, *stances: Stance) -> Iterator[Meaning]:
        return (token.meaning for token, stance in zip(self._tokens, self._stances, strict=True) if stance in stances)

    def _facts(self, *, certain: bool, terms: Sequence[str]) -> Facts:
        likely = self._places(Stance.WISHED, Stance.LIKELY)
        wished = [place for place in self._places(Stance.WISHED) if self._is_certain(place)] if certain else likely
        unwanted = self._places(Stance.UNWANTED) if certain else self._places(Stance.UNWANTED, Stance.UNLIKELY)
        groups = self._genre_groups(self._places(Stance.WISHED) if certain else likely, certain=certain)
        kept = {genre for group in self._genre_groups(likely, certain=False) for genre in group}
        kind, as_genre = self._kind(likely, self._places(Stance.UNWANTED), certain=certain)
        meanings = [self._tokens[place].meaning for place in wished]
        against = [self._tokens[place].meaning for place in unwanted]
        countries = tuple(dict.fromkeys(country for meaning in meanings for country in meaning.countries))
        return Facts(
            genre_groups=(*groups, (DRAMA,)) if as_genre and (DRAMA,) not in groups else groups,
            unwanted_genres=tuple(dict.fromkeys(genre for genre in _unwanted_genres(against, certain=certain) if genre not in kept)),
            years=_years([meaning for meaning in meanings if meaning.years], terms),
            countries=countries,
            unwanted_countries=tuple(
                country
                for country in dict.fromkeys(
                    (
                        *(country for meaning in against for country in meaning.countries),
                        *(HOME if any(meaning.abroad for meaning in meanings) else ()),
                    )
                )
                if country not in countries
            ),
            kind=kind,
        )

    def _places(self, *stances: Stance) -> list[int]:
        return [place for place, stance in enumerate(self._stances) if stance in stances]

    def _is_certain(self, place: int) -> bool:
        """Say whether a word states what it seems to; before an unknown word it may be part of a name: "American Horror Story"."""
        token = self._tokens[place]
        if not token.meaning.certain or not token.states & NAMELIKE:
            return token.meaning.certain
        after = next((other for other in self._tokens[place + 1 :] if not other.states & NAMELIKE), None)
        return after is None or after.role is not Role.UNKNOWN

    def _genre_groups(self, places: Sequence[int], *, certain: bool) -> GenreGroups:
        """Read genres that stand together as all wished for, and those with an "or" or a comma between as one or the other."""
        named = [place for place in places if self._tokens[place].meaning.genres]
        links = [None, *(self._link(one, other) for one, other in pairwise(named))]
        either = any(link in EITHER for link in links)
        if certain:
            sure = [self._is_certain(place) for place in named]
            if Role.AND in links or (either and not all(sure)):
                return ()  # "액션과 코미디" may mean films that are both, or some of each
            named = [place for place, is_sure in zip(named, sure, strict=True) if is_sure]
            links = links[: len(named)] if either else [None] * len(named)
        chains: list[list[tuple[int, ...]]] = []
        for place, link in zip(named, links, strict=False):
            if link in EITHER or not chains:
                chains.append([])
            chains[-1].extend(self._tokens[place].meaning.genres)
        if prod(map(len, chains)) > MOST_GROUPS:
            chains = [[tuple(genre for chain in chains for group in chain for genre in group)]]
        choices = product(*chains) if chains else ()
        return tuple(dict.fromkeys(tuple(dict.fromkeys(genre for group in choice for genre in group)) for choice in choices))

    def _link(self, one: int, other: int) -> Role | None:
        """Return what joins two genres: the connector between them, if nothing but a kind stands beside it."""
        between = [token for token in self._tokens[one + 1 : other] if "kind" not in token.states]
        roles = [token.role for token in between if token.role in CONNECTORS]
        if not roles or any(token.states or token.role not in {*CONNECTORS, Role.IDLE, Role.PASSED} for token in between):
            return None
        return next((role for role in roles if role is not Role.AND), Role.AND)

    def _kind(self, wished: Sequence[int], unwanted: Sequence[int], *, certain: bool) -> tuple[Kind | None, bool]:
        """Tell films from series, and whether "드라마" is the genre; it is a series unless a film is named right behind it."""
        as_genre = any(self._is_genre(place) for place in wished)
        naming = [place for place in wished if not self._is_genre(place) and not self._is_franchise(place)]
        named = {self._tokens[place].meaning.kind for place in naming} - {None}
        against = {self._tokens[place].meaning.kind for place in unwanted} - {None}
        if len(against) == 1 and len(named - against) < 2:
            return (Kind.TV if Kind.MOVIE in against else Kind.MOVIE), as_genre
        if len(named) != 1:
            return None, as_genre
        sure = any(
            self._stances[place] is Stance.WISHED and self._is_certain(place) for place in naming if self._tokens[place].meaning.kind
        )
        return (next(iter(named)) if sure or not certain else None), as_genre

    def _is_genre(self, place: int) -> bool:
        after = self._tokens[place + 1] if place + 1 < len(self._tokens) else None
        return self._tokens[place].meaning.drama and after is not None and (after.meaning.kind is Kind.MOVIE or after.text == "장르")

    def _is_franchise(self, place: int) -> bool:
        """Say whether "시리즈" stands behind a name: "해리 포터 시리즈" are films."""
        before = self._tokens[place - 1] if place else None
        return self._tokens[place].text in {"시리즈", "series"} and before is not None and before.role is Role.UNKNOWN

    def _similar(self) -> bool:
        """Say whether something is to be like what is named: a title or a word that nobody knows."""
        told: Token | None = None  # the word before, those apart that say nothing
        for place, token in enumerate(self._tokens):
            if token.role is Role.LIKE_BEHIND and told is not None and told.role is Role.UNKNOWN:
                return True
            after = self._tokens[place + 1] if place + 1 < len(self._tokens) else None
            if token.role is Role.LIKE_AHEAD and after is not None and after.role is Role.UNKNOWN:
                return not place or self._tokens[place - 1].text not in {"i", "we", "don't", "would", "i'd"}
            if token.role not in {Role.AND, Role.IDLE, Role.PASSED}:
                told = token
        return False

    def _terms(self) -> tuple[str, ...]:
        """Return the words left over; verbs and numbers are nothing to search for."""
        terms: dict[str, None] = {}
        for place in self._places(Stance.WISHED, Stance.LIKELY):
            token = self._tokens[place]
            if token.role is Role.UNKNOWN and (term := _term(token.text)):
                terms[term] = None
        return tuple(terms)[:TERMS]

    def _unwanted_words(self) -> tuple[str, ...]:
        unknown = [self._tokens[place].text for place in self._places(Stance.UNWANTED) if self._tokens[place].role is Role.UNKNOWN]
        return tuple(dict.fromkeys(unknown))


def _providers(meanings: Iterable[Meaning]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(meaning.provider for meaning in meanings if meaning.provider is not None))


def _said(intent: Intent, providers: ProviderTable) -> tuple[str, ...]:
    """Tell in Korean what was understood."""
    facts = intent.facts
    opposite = [genre for genre in intent.excluded_genre_ids if any(genre in mood.opposite for mood in intent.unwanted_moods)]
    without = dict.fromkeys((*facts.unwanted_genres, *opposite))
    named, unnamed = (
        [provider.korean_name for number in numbers if (provider := providers.by_id(number)) is not None]
        for numbers in (intent.provider_ids, intent.unwanted_provider_ids)
    )
    return (
        *(" 또는 ".join(GENRES[genre].ko for genre in group) for group in facts.genre_groups),
        *(f"{GENRES[genre].ko} 제외" for genre in without),
        *(f"{mood.name} 작품 제외" for mood in intent.unwanted_moods if not set(mood.opposite) & without.keys()),
        *map(_said_years, facts.years),
        *(("고전",) if intent.classic else ()),
        *(("최근",) if intent.recent else ()),
        *(COUNTRY_NAMES[country] for country in facts.countries),
        *(f"{COUNTRY_NAMES[country]} 제외" for country in facts.unwanted_countries),
        *((KIND_NAMES[facts.kind],) if facts.kind else ()),
        *named,
        *(f"{name} 제외" for name in unnamed),
        *(f"{mood.name} 분위기" for mood in intent.moods),
        *(topic.name for topic in intent.topics),
        *(f"{topic.name} 제외" for topic in intent.unwanted_topics),
        *(f"{word} 제외" for word in intent.unwanted_words if not word.isascii()),
        *((ORDER_NAMES[intent.order],) if intent.order and not intent.classic else ()),
    )


def _said_years(span: YearSpan) -> str:
    first, last = span
    if first == last:
        return f"{first}년"
    if first is not None and last == first + 9 and first % 10 == 0:
        return f"{first}년대"
    if first is None or last is None:
        return f"{last}년까지" if first is None else f"{first}년부터"
    return f"{first}~{last}년"


def _unwanted_genres(against: Iterable[Meaning], *, certain: bool) -> Iterator[int]:
    """Yield the genres that are unwanted; of a compound such as "로코" only the first, and that is not certain."""
    for meaning in against:
        if not meaning.genres or (certain and (len(meaning.genres) > 1 or not meaning.certain)):
            continue
        yield from meaning.genres[0]


def _years(meanings: Sequence[Meaning], terms: Sequence[str]) -> tuple[YearSpan, ...]:
    """Merge the years that are named. A bare number beside words that nobody knows belongs to them: "원더우먼 1984"."""
    sure = [meaning for meaning in meanings if meaning.certain]
    spans = [meaning.years for meaning in (sure or ([] if terms else meanings)) if meaning.years is not None]
    opening = [first for first, last in spans if first is not None and last is None]
    closing = [last for first, last in spans if last is not None and first is None]
    if len(spans) == 2 and opening and closing and opening[0] <= closing[0]:
        return ((opening[0], closing[0]),)
    return tuple(dict.fromkeys(spans))


def _hull(spans: Iterable[YearSpan]) -> YearSpan:
    firsts, lasts = [first for first, _ in spans], [last for _, last in spans]
    first = None if not firsts or None in firsts else min(year for year in firsts if year is not None)
    last = None if not lasts or None in lasts else max(year for year in lasts if year is not None)
    return first, last


def _term(text: str) -> str:
    """Return a word if it is one to search for: no number, no single letter, no Korean verb."""
    if text in TITLES or len(text) < 2 or (text.isdecimal() and len(text) < 3):
        return ""  # "007" is a name, shorter numbers count something
    return "" if text in VERB_ENDS or (len(text) > 2 and text.endswith(VERB_ENDS)) else text
