"""What else a title may be called: keys looser than `titles.title_key`, and how far each of them may be believed. Pure.

One spelling is chosen for what is written in several ways ("Rocky II", "록키 2편"; "&", "and", "와"), and what is often left out is left
out: editions, subtitles, the name of the series before a subtitle. A title and a work meet where a key of the one is a key of the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from opuscine.catalogue.titles import join_words, key_of, with_article_in_front, words_of
from opuscine.model import Kind, TitleRef


class Form(IntEnum):
    """What a key keeps of a title, surest first. Of two keys that meet, one must be of the whole title."""

    WHOLE = 0  # all that tells works apart
    NUMBERED = 1  # up to the number of a sequel, without the subtitle behind it
    SHORT = 2  # too little to tell without the very year: no subtitle, nothing but the subtitle, ...


class Variant(NamedTuple):
    """One key of a title, and what the words that it leaves out say of the work."""

    key: str
    form: Form
    kind: Kind | None = None
    season: int = 0  # of a series; its year is not the one of the series' start


class VariantEntry(NamedTuple):
    """Say that a work may be known under a key, and what of its title the key keeps."""

    ref: TitleRef
    year: int | None
    form: Form


_EDITIONS = (
    r"감독\s?판|감독\s?컷|디렉터스\s?컷|확장\s?판|완전\s?판|무삭제\s?(?:확장\s?)?판|최종\s?판|특별\s?판|특별\s?편집판|무삭제|"
    r"파이널\s?컷|얼티밋\s?(?:컷|에디션)|스페셜\s?(?:컷|에디션)|익스텐디드\s?(?:컷|에디션|판)|"
    r"(?:4k\s?|디지털\s?)?리마스터(?:링|드)?(?:\s?판)?|재개봉|"
    r"director[’']?s[’']? (?:cut|edition|version)|(?:special|extended|ultimate|final|theatrical|unrated|uncut|remastered|restored|"
    r"collector[’']?s|anniversary|definitive|alternate)\s(?:director[’']?s\s)?(?:cut|edition|version|release)|"
    r"(?:digitally |4k )?remastered|unrated|director[’']?s cut"
)
# What is an edition in brackets only: "Step Up 3D" and "Uncut" are titles.
_EDITIONS_IN_BRACKETS = (
    rf"{_EDITIONS}|[234]d|4k|imax|아이맥스|uncut|extended|theatrical|dub(?:bed)?|sub(?:bed|titled)?|더빙|자막|"
    r"(?:한국어|우리말|국내|영어|일본어)\s?(?:더빙|자막)(?:\s?판)?|(?:더빙|자막)\s?판|korean dub|english dub|스페셜"
)
_END_LENGTH = 60
_MOST_EDITIONS = 3
_EDITION = re.compile(
    rf"\s*(?:[\[(【［（]\s*(?:the\s)?(?:{_EDITIONS_IN_BRACKETS})\s*[\])】］）]|(?<=\S)[\s:,~–—-]+(?:the\s)?(?:{_EDITIONS}))\s*$"
)
_AS_FILM = re.compile(
    r"\s*[\[(]\s*(?:the )?(?:movie|film|극장\s?판|영화|더 무비)\s*[\])]\s*$|[\s:,~–—-]+(?:the movie|극장\s?판|더 무비)\s*$"
)
_FILM_IN_FRONT = re.compile(r"\s*(?:\[\s*극장\s?판\s*\]|\(\s*극장\s?판\s*\)|극장\s?판)[\s:,~–—-]+(?=\S)")
_SEASON_WORDS = {word: number for number, word in enumerate("one two three four five six seven eight nine ten".split(), start=1)}
_SEASON = re.compile(
    r"(?:[\s:,~–—(\[-]+|(?<=[가-힣]))(?:시즌|season|series)\s?"
    rf"(?P<number>\d{{1,2}}|{'|'.join(_SEASON_WORDS)})\s*[\])]?\s*$|[\s(\[]+(?P<term>\d{{1,2}})기\s*[\])]?\s*$"
)
# A remark behind a title says which of several works is meant, unless it is the title in another script.
_REMARK = re.compile(
    r"\b(?:live|action|remake|reboot|tv|film|movie|series|original|animat\w*|version|part|pt|vol|season|episode|dub\w*|sub\w*)\b|"
    r"실사|리메이크|리부트|원작|애니|버전|판$|편$|부$|시즌|드라마|영화|감독|주연"
)
_ALSO_KNOWN = re.compile(r"\s*(?:a\.?k\.?a\.?|원제)[\s:]*")
_LETTER = re.compile(r"[^\W\d_]")
_HANGUL = re.compile(r"[가-힣]")
_LATIN = re.compile(r"[a-z]")

_SEPARATOR = re.compile(r"\s*(?::(?!\d)|(?<!\d):)\s*|\s+[-–~|]+\s+|\s*[—―]+\s*")
_INNER_ARTICLE = re.compile(r"(?:(?<=\s)|^\W*)(?:the|an?)\s+(?=\S)")
_ARTICLE_ALONE = re.compile(r"(?:the|an?)", re.IGNORECASE)
_ARTICLE_IN_FRONT = re.compile(r"\W*(?:the|an?)\s")
_RUN = re.compile(r"[가-힣]+|\d+|[^가-힣\d]+")
_AND = frozenset("and und 그리고 앤 앤드 및".split())
_PART = frozenset("part pt chapter ch volume vol episode ep 파트 챕터 볼륨 에피소드".split())
_COUNTER = frozenset("편 부 탄 장 막 화".split())
_ORDINAL = {"첫": "1", "두": "2", "세": "3", "네": "4", "다섯": "5"}
_ROMAN = {
    word: str(number)
    for number, word in enumerate("i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx".split(), start=1)
}
_NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen "
        "twenty".split(),
        start=1,
    )
}
_SPELT_NUMBERS = {
    "원": "1",
    "투": "2",
    "쓰리": "3",
    "스리": "3",
    "포": "4",
    "파이브": "5",
    "식스": "6",
    "세븐": "7",
    "에이트": "8",
    "나인": "9",
    "텐": "10",
}
_SEQUELS = frozenset("2345")
"""Numbers that count sequels and little else ("Apollo 13", "District 9")."""

# Where nothing of this is found, a title has no key beside its own. Two patterns, since half the work is done where a title has no Hangul.
_TELLING_LATIN = re.compile(
    r"[:(\[【/|;\d—―]|\s[-–~]|[\W_](?:the|an?|and|und|part|pt|ch(?:apter)?|vol(?:ume)?|ep(?:isode)?|[ivx]+)\b|"
    r"(?<![a-z])(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fifteen|twenty)|teen\b|"
    r"(?:cut|edition|version|release|unrated|remastered)\W*$"
)
_TELLING = re.compile(
    r"[와과][^가-힣]|[판컷]\W*$|(?<![가-힣])더(?![가-힣])|[^가-힣](?:그리고|앤드?|및|번째|투|쓰리|스리|포|파이브|식스|세븐|에이트|나인|텐|파트|챕터|볼륨|에피소드)|[가-힣][ivx]|"
    r"극장\s?판|재개봉|무삭제|리마스터|시즌|에디션"
)

# Letters, those of syllabic scripts counted twice. Who says more than a work's title may mean another work: there more must agree.
_LEAST_SHORT = {Form.WHOLE: 6, Form.SHORT: 4}
_LEAST_TAIL = 10
_MOST_SEGMENTS = 4


def variants_said(plain: str) -> tuple[Variant, ...]:
    """Return the keys under which a title that somebody wrote (`titles.plain_title`) may be known; the first is of the whole of it."""
    return _best(_variants(plain, over=Form.WHOLE))


class Borne(NamedTuple):
    """How a title of a known work is looked up, beside its key."""

    variants: tuple[Variant, ...]  # the first is of the whole title; empty for the many that have no key but their own
    spelling: str


def read_borne(plain: str, key: str) -> Borne:
    """Read a known work's title (`titles.plain_title`) of this key: under which keys it may be asked for, and how it is spelt.

    It differs from `variants_said` in what a writer says too much: "Toy Story 1" and "Spirited Away: The Movie" mean "Toy Story" and
    "Spirited Away", but "Toy Story" need not mean a work that is called "Toy Story 1".
    """
    if not _is_telling(plain):
        return Borne((), _every_word(plain, key))
    return Borne(_best(_variants(plain, over=Form.SHORT)), _with_digits(plain) or key)


def spelling_of(plain: str, key: str) -> str:
    """Return a plain title, of this key, as its spelling is compared: every word counts, and numbers are written in one way."""
    return (_with_digits(plain) or key) if _is_telling(plain) else _every_word(plain, key)


def _every_word(plain: str, key: str) -> str:
    return join_words(words_of(plain)) if _ARTICLE_IN_FRONT.match(plain) else key


def _with_digits(plain: str) -> str:
    tokens: list[str] = []
    for text in _SEPARATOR.split(plain, maxsplit=_MOST_SEGMENTS - 1):
        tokens += _numbered(_runs(words_of(text)), begins=not tokens, keeps_words=True)[0]
    return join_words(tokens)


def _is_telling(plain: str) -> bool:
    return bool(_TELLING_LATIN.search(plain) or (not plain.isascii() and _TELLING.search(plain)))


def without_edition(title: str) -> str:
    """Cut words about an edition off the end of a title: "블레이드 러너 (파이널 컷)"."""
    for _ in range(_MOST_EDITIONS):
        before, end = title[:-_END_LENGTH], title[-_END_LENGTH:]
        folded = end.casefold()
        found = _EDITION.search(folded) if len(folded) == len(end) else None
        left = (before + end[: found.start()]).rstrip() if found else ""
        if not left or _ARTICLE_ALONE.fullmatch(left):
            break
        title = left
    return title


def _best(variants: Iterable[Variant]) -> tuple[Variant, ...]:
    """Keep each key once, as its surest form."""
    kept: dict[str, Variant] = {}
    for variant in variants:
        if variant.key and (variant.key not in kept or variant.form < kept[variant.key].form):
            kept[variant.key] = variant
    return tuple(kept.values())


def _variants(plain: str, *, over: Form) -> list[Variant]:
    """Read a plain title; `over` is the form of keys without what a writer says too much."""
    if not _is_telling(plain):
        return [Variant(key_of(plain), Form.WHOLE)]
    plain = with_article_in_front(without_edition(" ".join(plain.split())))
    end = max(0, len(plain) - _END_LENGTH)
    found = _of_segments(_segments(plain), over) or [Variant(key_of(plain), Form.WHOLE)]
    if (film := _AS_FILM.search(plain, end)) and film.start():
        found += _kept(plain[: film.start()], Variant("", over, Kind.MOVIE))
    elif film := _FILM_IN_FRONT.match(plain):
        found += _kept(plain[film.end() :], Variant("", over, Kind.MOVIE))
    elif (season := _SEASON.search(plain, end)) and season.start():
        said = season["number"] or season["term"]
        found += _kept(plain[: season.start()], Variant("", over, Kind.TV, _SEASON_WORDS.get(said) or int(said)))
    elif plain.endswith(")") and (opening := plain.rfind("(")) > 0:
        base, inside = plain[:opening].rstrip(), plain[opening + 1 : -1]
        form = Form.WHOLE if _is_name(base, inside, is_known=over is Form.SHORT) else Form.SHORT
        for name in filter(_LETTER.search, (base, _ALSO_KNOWN.sub("", inside, count=1))):
            named = _variants(with_article_in_front(name), over=over)
            found += [variant._replace(form=max(variant.form, form)) for variant in named]
    return found


def _kept(plain: str, like: Variant) -> list[Variant]:
    """Give the key of what is left without words that say of what kind a work is."""
    return [like._replace(key=variant.key) for variant in _of_segments(_segments(plain), like.form)[:1]]


def _is_name(base: str, inside: str, *, is_known: bool) -> bool:
    """Say whether a bracket behind a title holds another name of the work; in the title of a known work it does, unless it is a remark."""
    if _ALSO_KNOWN.match(inside):
        return True
    korean = bool(_HANGUL.search(base)), bool(_HANGUL.search(inside))
    latin = bool(_LATIN.search(base)), bool(_LATIN.search(inside))
    if not (korean[1] or latin[1]) or _REMARK.search(inside):
        return False
    return is_known or (korean[0] != korean[1] and latin[0] != latin[1])


def _of_segments(read: _Segments, over: Form) -> list[Variant]:
    """Combine the segments of a title: all of them, those in front, those behind, without the number before a subtitle."""
    words = _joined(read.segments)
    if not _weight(words) and not read.is_number:
        return []
    found = [Variant(join_words(words), Form.WHOLE)]
    short: list[list[str]] = []
    for cut in range(1, len(read.segments)):
        head, tail = _joined(read.segments[:cut]), _joined(read.segments[cut:])
        if len(head) > 1 and head[-1] in _SEQUELS:
            found.append(Variant(join_words(head), Form.NUMBERED))
        elif _weight(head) >= _LEAST_SHORT[over]:
            short.append(head)
        if over is Form.SHORT and _weight(tail) >= _LEAST_TAIL:
            short.append(tail)
        if len(read.segments[cut - 1]) > 1 and head[-1].isdecimal():
            short.append([*head[:-1], *tail])
    number = next((place for place, word in enumerate(words[1:-1], start=1) if word in _SEQUELS and read.has_digits), 0)
    if number and min(_weight(words[:number]), _weight(words[number:])) >= _LEAST_SHORT[over]:
        short.append(words[: number + 1])
    if len(words) > 1 and words[-1] == "1":
        # "Toy Story 1" is "Toy Story", but "Dune: Part One" need not be the "Dune" that we know.
        found.append(Variant(join_words(words[:-1]), Form.SHORT if read.ends_in_part else over))
    if len(words) > 1 and words[0] == "더":
        short.append(words[1:])
    return found + [Variant(join_words(part), Form.SHORT) for part in short]


class _Segments(NamedTuple):
    """A title between its separators, as words in which every number stands in digits."""

    segments: list[list[str]]
    ends_in_part: bool  # its last number is that of a part, chapter, ...
    has_digits: bool  # not only numbers in words, of which few count sequels: "The Two Popes"
    is_number: bool  # it has no letters at all: "1917"


def _segments(plain: str) -> _Segments:
    segments: list[list[str]] = []
    ends_in_part = False
    for text in _SEPARATOR.split(plain, maxsplit=_MOST_SEGMENTS - 1):
        words = words_of(_INNER_ARTICLE.sub("", text)) or words_of(text)
        if not words:
            continue
        tokens, ends_in_part = _numbered(_unjoined(words), begins=not segments)
        if segments and all(token.isdecimal() for token in tokens):
            segments[-1].extend(tokens)
        else:
            segments.append(tokens)
    return _Segments(segments, ends_in_part, any(map(str.isdecimal, plain)), bool(segments) and not _LETTER.search(plain))


def _unjoined(words: list[str]) -> list[str]:
    """Leave "and" out between words."""
    tokens: list[str] = []
    for place, word in enumerate(words, start=1):
        is_inside = place < len(words)
        if word in _AND and tokens and is_inside:
            continue
        has_and = word[-1] in "와과" and len(word) > 1 and is_inside
        tokens.append(word[:-1] if has_and else word)
    return _runs(tokens)


def _runs(words: list[str]) -> list[str]:
    """Part digits and Hangul from other letters."""
    return [run for word in words for run in _RUN.findall(word)]


def _numbered(tokens: list[str], *, begins: bool, keeps_words: bool = False) -> tuple[list[str], bool]:
    """Write numbers as digits, without the words that only say that one follows; also say whether the last was one of a part."""
    read: list[str] = []
    is_part = False
    place = 0
    while place < len(tokens):
        token, following = tokens[place], tokens[place + 1] if place + 1 < len(tokens) else ""
        inside = bool(read) or not begins
        place += 1
        if following and (token in _PART or token == "제") and _part_number(following):
            read += [token, _part_number(following)] if keeps_words else [_part_number(following)]
            is_part = True
            place += 2 if place + 1 < len(tokens) and tokens[place + 1] in _COUNTER else 1
        elif token in _ORDINAL and following == "번째":
            read.append(_ORDINAL[token])
            is_part = True
            place += 2 if place + 1 < len(tokens) and tokens[place + 1] == "이야기" else 1
        elif token.isdecimal() and following in _COUNTER and inside:
            read.append(token)
            is_part = True
            place += 1
        else:
            is_part = False
            read.append(_digits(token, is_last=inside and not following) if inside or following else token)
    return read, is_part


def _part_number(token: str) -> str:
    return token if token.isdecimal() else _ROMAN.get(token) or _NUMBER_WORDS.get(token) or _SPELT_NUMBERS.get(token, "")


def _digits(token: str, *, is_last: bool) -> str:
    number = _NUMBER_WORDS.get(token) or (is_last and (_ROMAN.get(token) or _SPELT_NUMBERS.get(token))) or "1"
    return token if number == "1" else number


def _joined(segments: list[list[str]]) -> list[str]:
    return [word for segment in segments for word in segment]


def _weight(words: list[str]) -> int:
    """Count letters, those of syllabic scripts twice; numbers weigh nothing."""
    return sum(1 if letter.isascii() else 2 for word in words if not word.isdecimal() for letter in word)
