"""What is told of films that the catalogue chose: what was understood, what was given up, and what is not known. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from opuscine.model import DegradedReason, Film
from opuscine.recommend.intent import Intent

SURE, UNSURE, POOR = 0.6, 0.4, 0.3
TITLE_CHARS = 60
OPENING = "지금은 추천 모델의 답을 받을 수 없어 "


@dataclass(frozen=True, slots=True)
class Course:
    """How films were come by."""

    named: str = ""  # the title that the message names
    alike: bool = False  # what follows the films of the words is like the first of them
    sought: tuple[str, ...] = ()  # words that were searched for
    hits: int = 0  # films that hold them
    given_up: tuple[str, ...] = ()  # sorts of constraint that no film met
    unknown: tuple[str, ...] = ()  # sorts of constraint that some film of the page could not be judged by
    near: bool = False  # series have no such genre: related ones were taken
    hurried: bool = False  # there was no time to search for words


@dataclass(frozen=True, slots=True)
class Explained:
    """The sentences for the caller, and how sure the choice is (0..1)."""

    text: str
    analysis: str
    reasoning: str
    confidence: float


def explain(intent: Intent, course: Course, *, found: bool, reason: DegradedReason | None) -> Explained:
    """Tell how the films of a page were chosen. It claims nothing that is not so of every film."""
    opening = OPENING if reason else ""
    missed = bool(course.sought) and not course.hits
    poor = bool(course.given_up) or missed or course.hurried or not (intent.understood or intent.terms or course.named)
    confidence = POOR if poor or not found else (UNSURE if course.unknown or course.near else SURE)
    analysis = f"파악한 조건: {', '.join(intent.said)}" if intent.said else "뚜렷한 조건이 없는 요청으로 보았습니다."
    text = " ".join(filter(None, (_chosen(intent, course, opening, found=found), _missing(course) if found else "")))
    return Explained(text, analysis, _reasoning(intent, course), confidence)


def unknown_facts(films: Iterable[Film], intent: Intent) -> tuple[str, ...]:
    """Name what is stated and not known of some films of a page."""
    page, facts = list(films), intent.facts
    missing = (
        ("국가", bool(facts.countries or facts.unwanted_countries) and any(not film.countries for film in page)),
        ("연도", bool(facts.years) and any(film.year is None for film in page)),
        ("장르", bool(facts.genre_groups or facts.unwanted_genres) and any(not film.genre_ids for film in page)),
        ("인기도", intent.order == "popular" and any(not film.popularity for film in page)),
    )
    return tuple(name for name, is_missing in missing if is_missing)


def _chosen(intent: Intent, course: Course, opening: str, *, found: bool) -> str:
    said = ", ".join(word for word in intent.said if word not in course.sought)
    sought = ", ".join(course.sought)[:TITLE_CHARS]
    if not found:
        return f"{opening}카탈로그에서 더 보여 드릴 작품을 찾지 못했습니다."
    if course.given_up or (course.sought and not course.hits):
        opening = f"{opening}카탈로그에서 골랐습니다. " if opening else ""
    if course.given_up:
        return f"{opening}말씀하신 조건에 모두 맞는 작품이 없어 {'·'.join(course.given_up)} 조건을 빼고 가까운 작품을 골랐습니다."
    title = course.named[:TITLE_CHARS]
    alike = "이어서 장르가 가까운" if course.alike or not said else f"이어서 ‘{said}’에 맞는"
    if title and intent.similar and course.alike:
        return f"{opening}‘{title}’{particle(title, '과', '와')} 장르가 가까운 작품을 카탈로그에서 골랐습니다."
    if title and not intent.similar:
        return f"{opening}‘{title}’{particle(title, '을', '를')} 먼저, {alike} 작품을 카탈로그에서 보여 드립니다."
    if course.sought and not course.hits:
        what = f"{particle(sought, '이라는', '라는')} 작품" if intent.similar else "에 대한 작품"
        if said and not intent.similar:
            return (
                f"{opening}‘{sought}’{what} 가운데 ‘{said}’에 맞는 것을 카탈로그에서 찾지 못해 ‘{said}’에 맞는 작품을 대신 보여 드립니다."
            )
        known = f"‘{said}’에 맞는" if said else "많은 사람이 좋아한"
        return f"{opening}‘{sought}’{what}을 카탈로그에서 찾지 못해 {known} 작품을 대신 보여 드립니다."
    if course.hits:
        known = f"‘{said}’에 맞는 작품 가운데 " if said else ""
        rest = ", 이어서 장르가 가까운 작품을" if course.alike else ""
        return f"{opening}{known}‘{sought}’에 대한 작품을 먼저{rest} 보여 드립니다."
    if said:
        return f"{opening}‘{said}’에 맞는 작품을 카탈로그에서 골랐습니다."
    return f"{opening}많은 사람이 좋아한 작품을 카탈로그에서 골랐습니다."


def particle(word: str, closed: str, open_: str) -> str:
    """Return the form of a Korean particle that fits behind a word: behind a final consonant, behind a vowel, or both to choose from."""
    last = word[-1:]
    if not "가" <= last <= "힣":
        return f"(이){open_}" if closed == f"이{open_}" else f"{closed}({open_})"
    return closed if (ord(last) - ord("가")) % 28 else open_


def _missing(course: Course) -> str:
    near = "시리즈에는 이 장르가 따로 없어 가까운 장르에서 골랐습니다." if course.near and not course.given_up else ""
    unknown = f"{'·'.join(course.unknown)} 정보가 없는 작품이 포함되어 있습니다." if course.unknown else ""
    return " ".join(filter(None, (near, unknown)))


def _reasoning(intent: Intent, course: Course) -> str:
    parts = [f"catalogue search: {intent.parameters()}, words {len(course.sought)}, hits {course.hits}"]
    if course.given_up:
        parts.append(f"{len(course.given_up)} constraints given up")
    if course.unknown:
        parts.append("titles of which a constraint is not known were kept")
    if course.hurried:
        parts.append("too little time to search for words")
    return "; ".join(parts)
