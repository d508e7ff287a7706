"""The years that a sentence names: "2019년", "90년대 초반", "70~80년대", "since 2015", "last 5 years". Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

COUNTED = 20  # years that are told by their distance from today
LOOK_BACK = 24  # characters before a year that may say something of it
FIRST_BARE = 1930  # a bare number before is rather a title: "1917"
YearSpan = tuple[int | None, int | None]  # first and last year; None: no such bound

# "70~80년대", "7,80년대", "1990-2000년대": the first decade lends its ending from the second.
SHARED_ENDING = re.compile(r"(?<![\d.])((?:19|20)?\d0|[1-9])(?=\s?([~\-–,·/&]|와|and)\s?(?:19|20)?\d0\s?년대)")
POINT = re.compile(
    r"(?:\b(?P<early>early|mid|late)[ -](?:the )?)?(?<![\d.])(?<!\d,)(?:"
    r"'?(?P<decade>(?:19|20)?\d0)(?: ?년대|'?s\b)(?: ?(?P<part>초반|중반|후반|(?:초|중|말)(?![가-힣])))?"
    r"|(?P<year>(?:19|20)\d\d)(?![\d.,]\d|\d)(?P<unit> ?년도| ?년(?!간|째|생))?)"
)
LAST_YEARS = re.compile(
    r"(?:최근|지난|last|past)\s?(?:the\s)?(?P<count>\d{1,2}|few|몇|수)?\s?(?P<unit>년(?:간|동안|새|사이)?|years?\b|decade\b|decades\b)"
)
YEARS_AGO = re.compile(r"(?<!\d)(\d{1,2})\s?(?:년\s?전|years\sago)")
CENTURY = re.compile(r"(?<!\d)(20|21)\s?(?:세기|(?:th|st)\scentury)")
RELATIVE = re.compile(r"(?<![가-힣a-z])(올해|금년|this year|재작년|작년|지난해|last year|내년)")
OFFSETS = {"올해": 0, "금년": 0, "this year": 0, "재작년": -2, "작년": -1, "지난해": -1, "last year": -1, "내년": 1}

TO = re.compile(r"\s?(?:~|-|–|부터|에서|to|until|till|through)\s?(?:the\s)?")
BETWEEN = re.compile(r"\bbetween\s(?:the\s)?$")
ON = re.compile(
    r"\s?(?:이후|부터|이래|후(?!반)|\+|or\s(?:later|newer)|and\s(?:later|newer|on\b|after)|on\b(?!\s\w)|on\b(?=,|\.)|onwards?|forward)"
)
UP_TO = re.compile(r"\s?(?:이전|까지|전(?![가-힣])|전에|or\s(?:earlier|older)|and\s(?:earlier|older|before))")
SINCE = re.compile(r"\b(?:since|newer than|later than|after)\s(?:the\s)?$")
BEFORE = re.compile(r"\b(?:before|until|up to|by|prior to|older than|earlier than)\s(?:the\s)?$")
STATED = re.compile(r"\b(?:in|from|of|since|after|before|until|during|between|year|by)\s(?:the\s)?$")
AGE = re.compile(r"\b(?:my|his|her|their|our)\s$")


@dataclass(frozen=True, slots=True)
class YearMark:
    """Years named at a place of the text. A bare number is not certain to be a year: "2001 스페이스 오디세이"."""

    start: int
    end: int
    span: YearSpan
    certain: bool


def spell_out_decades(text: str) -> str:
    """Give each decade of a list its ending, so that every one can be read by itself: "70~80년대" → "70년대~80년대"."""
    return SHARED_ENDING.sub(lambda match: f"{match[1]}{'0' if len(match[1]) == 1 else ''}년대", text) if "년대" in text else text


def find_years(text: str, this_year: int) -> list[YearMark]:
    """Find all years in a folded text, in their order."""
    marks = [*_counted(text, this_year)][:COUNTED]
    free = text
    for mark in marks:
        free = free[: mark.start] + "\0" * (mark.end - mark.start) + free[mark.end :]
    marks.extend(_joined(free, [point for point in POINT.finditer(free) if not _stands_before(AGE, free, point.start())], this_year))
    return sorted(marks, key=lambda mark: mark.start)


def _stands_before(words: re.Pattern[str], text: str, start: int) -> re.Match[str] | None:
    """Find words that end right before a place."""
    return words.search(text, max(0, start - LOOK_BACK), start)


def _counted(text: str, this_year: int) -> Iterator[YearMark]:
    """Yield the years that are told by their distance from today."""
    for match in LAST_YEARS.finditer(text):
        if not match["count"] and match["unit"].startswith("년"):
            continue  # "지난 년" is nothing
        if not match["count"] and match["unit"].startswith("year"):
            continue  # "last year" is read below
        count = int(match["count"]) if (match["count"] or "").isdecimal() else (3 if match["count"] else 1)
        yield YearMark(*match.span(), (this_year - count * (10 if "decade" in match["unit"] else 1), None), certain=True)
    for match in YEARS_AGO.finditer(text):
        year = this_year - int(match[1])
        yield YearMark(*match.span(), (year - 1, year + 1), certain=False)
    for match in CENTURY.finditer(text):
        yield YearMark(*match.span(), (1901, 2000) if match[1] == "20" else (2001, None), certain=False)
    for match in RELATIVE.finditer(text):
        yield YearMark(*match.span(), (this_year + OFFSETS[match[1]],) * 2, certain=True)


def _joined(text: str, points: list[re.Match[str]], this_year: int) -> Iterator[YearMark]:
    """Yield single years and decades, and those that "~", "부터" or "between … and" make one span of."""
    place = 0
    while place < len(points):
        point = points[place]
        first, last = _years_of(point)
        start, end = point.span()
        certain = bool(point["decade"] or point["unit"] or _stands_before(STATED, text, start))
        place += 1
        if place < len(points):
            between = text[end : points[place].start()]
            if TO.fullmatch(between) or (between == " and " and _stands_before(BETWEEN, text, start)):
                other_first, other_last = _years_of(points[place])
                end = points[place].end()
                after = UP_TO.match(text, end)
                yield YearMark(start, after.end() if after else end, (min(first, other_first), max(last, other_last)), certain=True)
                place += 1
                continue
        if not certain and not FIRST_BARE <= first <= this_year + 1:
            continue  # "블레이드 러너 2049"
        yield _bounded(text, YearMark(start, end, (first, last), certain))


def _years_of(point: re.Match[str]) -> tuple[int, int]:
    if point["year"]:
        return int(point["year"]), int(point["year"])
    number = int(point["decade"])
    first = number if number > 100 else (1900 if number >= 30 else 2000) + number
    part = {"early": "초", "mid": "중", "late": "후", "말": "후"}.get(point["early"] or point["part"], (point["part"] or " ")[0])
    return {"초": (first, first + 3), "중": (first + 3, first + 6), "후": (first + 6, first + 9)}.get(part, (first, first + 9))


def _bounded(text: str, mark: YearMark) -> YearMark:
    """Open a span by the words around it: "2015년 이후" has no end, "before 1990" no beginning; "from 2019" is that year."""
    (first, last), start, end = mark.span, mark.start, mark.end
    if after := ON.match(text, end):
        return YearMark(start, after.end(), (first, None), certain=True)
    if since := _stands_before(SINCE, text, start):
        exclusive = "after" in since[0]
        return YearMark(since.start(), end, ((last or 0) + 1 if exclusive else first, None), certain=True)
    if after := UP_TO.match(text, end):
        return YearMark(start, after.end(), (None, last), certain=True)
    if before := _stands_before(BEFORE, text, start):
        exclusive = not before[0].startswith(("until", "up to", "by"))
        return YearMark(before.start(), end, (None, (first or 0) - 1 if exclusive else last), certain=True)
    return mark
