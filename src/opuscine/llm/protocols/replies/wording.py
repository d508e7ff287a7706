"""How wording reads: as a title, a sentence, a genre, a description. Pure.

English titles are told by their capitals (headline style); Korean has none, so that sentences are told by their endings.
"""

from __future__ import annotations

import re

from opuscine.llm.protocols.replies import words

RATING = re.compile(
    r"(?:(?:imdb|tmdb|rt|rotten tomatoes|metacritic|rating|rated|score|평점|별점|점수)[\s:]*)?[★☆⭐🌟✨\s]*"
    r"(?:\d{1,3}(?:[.,]\d{1,2})?\s*(?:/\s*\d{1,3}|%|점|stars?|out of \d{1,3})|[★☆⭐🌟]+|(?<=[a-z점\s★☆⭐])\d{1,2}(?:\.\d{1,2})?)"
    r"(?:\s*[★☆⭐🌟]+)?",
    re.IGNORECASE,
)
"""A rating, whole: `8.3/10`, `IMDb 8.3`, `★★★★`."""

CREDIT = re.compile(r"(?:,?\s+|\A)(?:directed by|dir\. |starring|featuring|감독[:\s]|주연[:\s])", re.IGNORECASE)
"""Who made a film or plays in it."""

ABBREVIATION = re.compile(r"(?:\b(?:inc|vol|jr|sr|co|st|mr|mrs|ms|dr|vs|pt|no|etc|bros)|\.\w|\b[A-Z]|\.\.)\.$", re.IGNORECASE)
"""A full stop at the end that only shortens a word, or is one of several."""

_ASKS = re.compile(r"(?:what|which|who|when|where|how|why|do|does|did|are|is|would|could|can|have|any)\b", re.IGNORECASE)
_GENRE_JOINTS = re.compile(r"[,/·&|+]|\s(?:and|및|와|과)\s|\s-\s")
_OF_FILMS = re.compile(r"\s?(?:movies|films|movie|film|picks|recommendations|영화|작품|추천|추천작|추천 영화|series|시리즈|장르)$")
_HANGUL = re.compile(r"[가-힣ㄱ-ㅎ]")
_KOREAN_SENTENCE = re.compile(
    r"(?:요|니다|니까|까|죠|세요|다|음|임|됨|함)[.!?~…]+$"
    r"|(?:세요|나요|까요|습니다|입니다|드립니다|드려요|주세요|예요|이에요|에요|해요|어요|아요)[.!?~…]*$"
)
_KOREAN_DESCRIBES = re.compile(
    r"(?:영화|작품|드라마|이야기|스토리|액션|코미디|스릴러|로맨스|멜로|공포|호러|판타지|애니메이션|다큐멘터리|명작|걸작"
    r"|수작|대작|감독|주연|출연|추천|시리즈물|블록버스터|느와르|연기|연출|입니다|그린|담은|다룬)$"
)
_CHEER = re.compile(
    r"(?:enjoy|happy (?:watching|viewing|movie)|have (?:fun|a)|hope|let me|let us|feel free|as an ai|i'm|i'd|i'll|i have|sure"
    r"|here (?:are|is)|please|thanks|thank you)\b",
    re.IGNORECASE,
)


def is_heading(text: str) -> bool:
    """Say whether a line only announces the lines below it: `Comedies:`, `스릴러`, `1. Action movies`."""
    plain = text.strip().strip("*_#[]【】<>〈〉 ").strip()
    if plain.endswith((":", "：")):
        return True
    plain = plain.strip("\"'“”‘’").casefold()
    parts = [part.strip() for part in _GENRE_JOINTS.split(plain)]
    if all(part in words.HEADINGS for part in parts):
        return True
    of_what = _OF_FILMS.sub("", plain)
    return of_what != plain and (not of_what or only_genres(of_what))


def only_genres(text: str) -> bool:
    """Say whether a text is nothing but genres: `Comedy/Drama`, `액션, 스릴러`."""
    parts = [part.strip(" .*_()\"'") for part in _GENRE_JOINTS.split(text.casefold())]
    return all(_is_genre(part) for part in parts)


def _is_genre(text: str) -> bool:
    if text in words.GENRES:
        return True
    pieces = text.replace("-", " ").split()
    return 1 < len(pieces) <= 4 and all(piece in words.GENRES for piece in pieces)


def has_hangul(text: str) -> bool:
    """Say whether a text has Korean letters."""
    return _HANGUL.search(text) is not None


def lower_words(text: str) -> list[str]:
    """Return the Latin words that headline style would not write in lower case; many of them make a sentence, not a title."""
    found = [word.strip("\"'“”‘’()[],.;:!?…*_") for word in text.split()]
    return [word for word in found if word and word[0].isalpha() and word[0].islower() and word.isascii() and word not in words.MINOR_WORDS]


def reads_as_sentence(text: str) -> bool:
    """Say whether a text is chatter and no title. A title wholly in lower case is one, if it is short."""
    if _HANGUL.search(text):
        count = len(text.split())
        found = _KOREAN_SENTENCE.search(text)
        return count > 14 or (found is not None and (count >= 5 or (count >= 2 and text.rstrip()[-1] in ".!?~…")))
    if text.strip(" !.").casefold() in words.CHEERS:
        return True
    if text.islower() and len(text.split()) <= 8 and text[-1] not in ".!?":
        return False
    lower = lower_words(text)
    if len(text.split()) > 25 or len(lower) >= 6:
        return True
    if lower and (_CHEER.match(text) or (_ASKS.match(text) and text[-1] in "?？")):
        return True
    spoken = sum(word.casefold() in words.SENTENCE_WORDS for word in lower)
    return (len(lower) >= 3 and (spoken > 0 or text[-1] in ".!?")) or (len(lower) >= 2 and spoken > 0 and text[-1] in ".!?")


def describes(left: str, right: str) -> bool:
    """Say whether what follows a separator describes the film instead of going on with its title."""
    text = right.strip(" *_\"'“”‘’")
    if not text or only_genres(text) or RATING.match(text) or CREDIT.match(text):
        return True
    if has_hangul(text):
        count = len(text.split())
        return count >= 4 or bool(_KOREAN_SENTENCE.search(text)) or bool(_KOREAN_DESCRIBES.search(text)) or " 감독" in text or "," in text
    if text[0].isalpha() and text[0].islower():
        return not left.islower()
    if text.casefold().split()[0] in words.PROVIDERS and len(text.split()) <= 2:
        return True
    if lower_words(" ".join(text.split()[1:])) and not left.islower():
        return True
    return text.endswith(".") and len(text.split()) >= 4 and not ABBREVIATION.search(text)
