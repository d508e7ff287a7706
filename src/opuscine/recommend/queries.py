"""What the catalogue is asked for a sentence: all that is stated first, then ever less. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from opuscine.catalogue.search import SearchQuery
from opuscine.model import Film, Kind
from opuscine.recommend.intent import Facts, Intent
from opuscine.recommend.sentence import Sentence
from opuscine.recommend.words import ANIMATION, DOCUMENTARY, NEAR_IN_SERIES

LIKENESS = 1.0  # points of the score (0..10) that each genre shared with the film to be like is worth
FAVOUR = 0.4  # points for each genre of a mood or topic, and for words that overviews say it with


class Step(NamedTuple):
    """One thing to search for: what of the sentence is given up for it, and whether it is for films like the one that is named."""

    query: SearchQuery
    given_up: tuple[str, ...] = ()
    alike: bool = False


def steps(sentence: Sentence, region: str) -> Iterator[Step]:
    """Yield what is searched for, one step after the other until something is found."""
    intent = sentence.intent
    stated = _stated(intent, region)
    if sentence.named is not None and intent.order is None:
        yield Step(like(stated, sentence.named, intent, exclude=sentence.namesakes if intent.similar else ()), alike=True)
    yield Step(stated)
    groups = stated.genre_groups
    loose = replace(stated, genre_groups=())
    given_up: tuple[str, ...] = ()
    if len(groups) > 1:
        yield Step(replace(stated, genre_groups=(tuple(genre for group in groups for genre in group),)), ("장르",))
    if groups:
        given_up = ("장르",)
        yield Step(loose, given_up)
    # Where even the newest are too old for the years that are stated, the newest come nearest.
    newest = bool(stated.years) and all((first or 0) >= intent.this_year - 1 for first, _ in stated.years)
    anywhere = replace(loose, provider_ids=(), exclude_provider_ids=())
    for name, changed in (
        ("OTT", anywhere),
        ("연도", replace(anywhere, years=(), order="newest" if newest else loose.order)),
        ("국가", replace(anywhere, years=(), countries=())),
        ("종류", replace(anywhere, years=(), countries=(), kind=None)),
        ("제외", SearchQuery(region=region, order="best")),
    ):
        if changed != loose:
            loose, given_up = changed, (*given_up, name)
            yield Step(loose, given_up)


def like(query: SearchQuery, model: Film, intent: Intent, *, exclude: tuple[Film, ...] = ()) -> SearchQuery:
    """Look for films like one: of its kind unless another is stated, the more of its genres the better, drawn if it is drawn."""
    drawn = ANIMATION in model.genre_ids
    groups = query.genre_groups or ((model.genre_ids,) if model.genre_ids else ())
    unlike = () if drawn or ANIMATION in intent.genre_ids else (ANIMATION, DOCUMENTARY)
    return replace(
        query,
        genre_groups=(*groups, (ANIMATION,)) if drawn and not intent.genre_ids else groups,
        kind=query.kind or model.ref.kind,
        exclude=(*query.exclude, *(film.ref for film in exclude)),
        exclude_genre_ids=(*query.exclude_genre_ids, *(genre for genre in unlike if genre not in model.genre_ids)),
        favour_genre_ids=model.genre_ids,
        favour_countries=model.countries[:1],
        favour_text="",
        favour=LIKENESS,
    )


def near_in_series(facts: Facts) -> bool:
    """Say whether series are wished for by a genre that TMDB gives to films only."""
    return facts.kind is Kind.TV and any(genre in NEAR_IN_SERIES for group in facts.genre_groups for genre in group)


def _stated(intent: Intent, region: str) -> SearchQuery:
    facts = intent.facts
    moody = tuple(dict.fromkeys(genre for mood in intent.moods for genre in mood.genres))
    required = tuple(mood.genres for mood in intent.moods if mood.required)
    groups = (*facts.genre_groups, *(required or ((moody,) if moody and not facts.genre_groups else ())))
    instead = (genre for mood in intent.unwanted_moods for genre in mood.instead)
    favoured = tuple(dict.fromkeys((*moody, *instead, *(genre for topic in intent.topics for genre in topic.genres))))
    spoiling = [stem for mood in intent.moods for stem in mood.spoiling]
    opposite = [stem for mood in intent.unwanted_moods for stem in mood.opposite_stems]
    unwanted = [*intent.unwanted_words, *(word for topic in intent.unwanted_topics for word in topic.words)]
    stems = [stem for mood in intent.moods for stem in mood.stems]
    if near_in_series(facts):
        near = [NEAR_IN_SERIES[genre] for group in groups for genre in group if genre in NEAR_IN_SERIES]
        stems.extend(words for _, words in near)
        groups = tuple(
            tuple(dict.fromkeys(one for genre in group for one in (genre, *NEAR_IN_SERIES.get(genre, ((), ""))[0]))) for group in groups
        )
    return SearchQuery(
        genre_groups=groups,
        exclude_genre_ids=intent.excluded_genre_ids,
        exclude_text=" ".join(dict.fromkeys((*unwanted, *opposite, *spoiling))),
        years=intent.years,
        countries=facts.countries,
        exclude_countries=facts.unwanted_countries,
        kind=facts.kind,
        provider_ids=intent.provider_ids,
        exclude_provider_ids=intent.unwanted_provider_ids,
        region=region,
        exclude=tuple(intent.unwanted),
        order=intent.order or "best",
        favour_genre_ids=favoured,
        favour_text=" ".join(stems),
        favour=LIKENESS if near_in_series(facts) else FAVOUR if favoured or stems else 0.0,
    )
