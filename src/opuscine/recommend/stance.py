"""How the caller stands to each word of a sentence: wished for, not wished for, or neither. Pure.

It follows what stands beside a negation, not grammar: in Korean before it ("공포 말고"), in English behind it ("not horror").
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from itertools import pairwise

from opuscine.recommend.lexicon import Meaning, Role, Token

CONNECTORS = {Role.OR, Role.AND, Role.COMMA}
PASSED_AT_MOST = 3
PHRASE_AT_MOST = 12
WORDS_AT_MOST = 2  # unknown words that one negation may concern


class Stance(Enum):
    """What a word is to the caller. Only `WISHED` and `UNWANTED` are certain enough to reject a model's film for."""

    WISHED = "wished"
    LIKELY = "likely"  # wished for, probably
    UNWANTED = "unwanted"
    UNLIKELY = "unlikely"  # unwanted, probably
    MUTE = "mute"


def stances(tokens: Sequence[Token]) -> list[Stance]:
    """Say for each word how the caller stands to it; words that say nothing of films are mute."""
    found = {place: Stance.WISHED if token.states else Stance.MUTE for place, token in enumerate(tokens)}
    phrases = _negated_phrases(tokens)
    negated = {place for phrase in phrases for place in phrase}
    wished = list(
        {id(token.meaning): token.meaning for place, token in enumerate(tokens) if token.states and place not in negated}.values()
    )
    for phrase in phrases:
        found |= _judge(tokens, phrase, wished)
    _mute_settings(tokens, found)
    return list(found.values())


def _negated_phrases(tokens: Sequence[Token]) -> list[list[int]]:
    """Return the places that each negation concerns, in the order of the text."""
    phrases: list[list[int]] = []
    for place, token in enumerate(tokens):
        match token.role:
            case Role.NOT_BEHIND:
                phrase = _before(tokens, place)
            case Role.NOT_NEAREST:
                phrase = _before(tokens, place)[-1:]
            case Role.NOT_AHEAD:
                phrase = _ahead(tokens, place)
            case Role.NOT_EITHER:
                ahead = place + 1 < len(tokens) and "mood" in tokens[place + 1].states
                phrase = [place + 1] if ahead else _before(tokens, place)
            case _:
                continue
        if phrase:
            phrases.append(phrase)
    return phrases


def _before(tokens: Sequence[Token], place: int) -> list[int]:
    """Walk back from a negation over the noun phrase before it, and over those joined to it that are of its sort."""
    at = place - 1
    while at >= 0 and place - at <= PASSED_AT_MOST and tokens[at].role is Role.PASSED:
        at -= 1
    return sorted(_phrase(tokens, at, step=-1))


def _ahead(tokens: Sequence[Token], place: int) -> list[int]:
    """Walk on from a negation to the noun phrase behind it. An adjective takes all of the negation: "not too scary horror"."""
    at = place + 1
    while at < len(tokens) and tokens[at].role in {Role.PASSED, Role.IDLE, Role.IN, Role.LIKE_AHEAD} and at - place <= 2 * PASSED_AT_MOST:
        at += 1
    phrase = _phrase(tokens, at, step=1)
    if phrase and phrase[0] < len(tokens) and tokens[phrase[0]].states == {"mood"}:
        return phrase[:1]
    return phrase


def _phrase(tokens: Sequence[Token], at: int, *, step: int) -> list[int]:
    phrase: list[int] = []
    unknown = 0
    while 0 <= at < len(tokens) and len(phrase) < PHRASE_AT_MOST:
        token = tokens[at]
        if token.states:
            unknown += "word" in token.states
            if unknown > WORDS_AT_MOST:
                break
            phrase.append(at)
        elif token.role in CONNECTORS and phrase and _continues(tokens, phrase, at + step, token.role, step=step):
            pass
        elif not (step > 0 and phrase and token.role is Role.PASSED and all(tokens[place].states == {"kind"} for place in phrase)):
            break  # "no movies with zombies" goes on, anything else ends here
        at += step
    return phrase


def _continues(tokens: Sequence[Token], phrase: Sequence[int], at: int, connector: Role, *, step: int) -> bool:
    """Say whether what stands behind a connector is of the sort of the phrase; a comma alone joins only in front of a negation."""
    if not 0 <= at < len(tokens) or (step > 0 and connector is Role.COMMA):
        return False
    sorts = {sort for place in phrase for sort in tokens[place].states if sort != "kind"}
    return bool(sorts & tokens[at].states)


def _judge(tokens: Sequence[Token], phrase: Sequence[int], wished: Sequence[Meaning]) -> dict[int, Stance]:
    """Tell what of a negated phrase is unwanted.

    "한국 영화 말고" is against Korea, not against films; "한국 드라마 말고 영화" against series, since films are named in contrast; of
    "한국 공포 영화 말고" nobody knows.
    """
    told = [place for place in phrase if tokens[place].states - {"kind"}]
    if len(phrase) == 1:
        return {phrase[0]: Stance.UNWANTED}
    contrast = [place for place in phrase if any(_contrasts(tokens[place].meaning, other) for other in wished)]
    if contrast:
        return {place: Stance.UNWANTED if place in contrast else Stance.LIKELY for place in phrase}
    if not told:
        return dict.fromkeys(phrase, Stance.UNWANTED)
    rest = {place: Stance.LIKELY for place in phrase if place not in told}
    sorts = {sort for place in told for sort in tokens[place].states - {"kind"}}
    if len(sorts) == 1 and (len(told) == 1 or _listed(tokens, told) or sorts == {"word"}):
        return rest | dict.fromkeys(told, Stance.UNWANTED)
    return rest | dict.fromkeys(told[:-1], Stance.MUTE) | {told[-1]: Stance.UNLIKELY}


def _contrasts(one: Meaning, other: Meaning) -> bool:
    """Say whether two words say different things of one sort; an unknown word contrasts with nothing."""
    shared = one.states & other.states
    return (
        ("genre" in shared and one.genres != other.genres)
        or ("country" in shared and (one.countries, one.abroad) != (other.countries, other.abroad))
        or ("kind" in shared and one.kind is not other.kind)
        or ("provider" in shared and one.provider != other.provider)
    )


def _listed(tokens: Sequence[Token], places: Sequence[int]) -> bool:
    """Say whether connectors stand between all of the places: a list, and no compound such as "로맨틱 코미디"."""
    return all(any(tokens[between].role in CONNECTORS for between in range(one + 1, other)) for one, other in pairwise(places))


def _mute_settings(tokens: Sequence[Token], found: dict[int, Stance]) -> None:
    """Take out where and when a film plays ("80년대 배경", "set in Japan"), and where it is only watched ("미국에서 인기 있는")."""
    for place, token in enumerate(tokens):
        if token.role is Role.SET_BEHIND:
            _mute(tokens, found, range(place - 1, max(-1, place - 3), -1))
        elif token.role is Role.SET_AHEAD:
            _mute(tokens, found, range(place + 1, min(len(tokens), place + 3)))
        elif (
            token.role is Role.IN
            and place + 1 < len(tokens)
            and "country" in tokens[place + 1].states
            and found[place + 1] is Stance.WISHED
        ):
            found[place + 1] = Stance.LIKELY
        elif token.role is Role.AT and place and not (place + 1 < len(tokens) and tokens[place + 1].role is Role.MADE_IN):
            _mute(tokens, found, range(place - 1, place - 2, -1))


def _mute(tokens: Sequence[Token], found: dict[int, Stance], places: range) -> None:
    for place in places:
        if not tokens[place].states & {"country", "years"}:
            break
        found[place] = Stance.MUTE
