"""One film as a model writes it down: title, year, kind and the rest, taken apart. Pure.

When in doubt a part stays with the title: who compares titles can leave a subtitle away, but can't bring one back.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from html import unescape
from itertools import islice
from typing import NamedTuple

from opuscine.llm.protocols.replies import words
from opuscine.llm.protocols.replies.wording import (
    ABBREVIATION,
    CREDIT,
    RATING,
    describes,
    has_hangul,
    is_heading,
    lower_words,
    only_genres,
    reads_as_sentence,
)
from opuscine.model import Kind, Suggestion

READ_LENGTH = 600
"""Characters of an entry that are read; what comes later describes the film."""

TITLE_LENGTH = 250
OVERVIEW_LENGTH = 500

_SPLITS = 8  # places at which a title is tried to end: no title holds more separators

QUOTES = {
    "『": "』",
    "「": "」",
    "〈": "〉",
    "《": "》",
    "<": ">",
    "＜": "＞",
    "«": "»",
    '"': '"',
    "“": "”",
    "„": "“",
    "‘": "’",
    "'": "'",
    "`": "`",
}
_BRACKETS = {"(": ")", "（": "）", "[": "]", "［": "］", "【": "】"}

_LINK = re.compile(r"!?\[([^\[\]]{1,300})\]\([^()\s]{0,300}\)")
_TAG = re.compile(r"</?(?:a|b|br|div|em|h[1-6]|i|p|span|strong|td|u)\b[^<>]{0,200}>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:amp|quot|apos|nbsp|#\d{1,6}|#x[0-9a-f]{1,5});", re.IGNORECASE)
_BOLD = re.compile(r"(\*{1,3}|_{1,3}|~~)(?=\S)")
_CHECKBOX = re.compile(r"\[[ xX✓✔]?\]\s+")
_LABEL = re.compile(r"[*_]{0,3}([\w][\w /'’.+-]{0,29}?)\s?[*_]{0,3}\s?[:：]\s?[*_]{0,3}\s?")
_KIND_IN_FRONT = re.compile(r"([A-Za-z가-힣]{2,9}(?: [A-Za-z가-힣]{2,6})?)\s*(?=[『「〈《<＜\"“‘'])")
_NUMBERED = re.compile(r"\(?\d{1,3}[.)]\s+(?=\S)")

RANK = re.compile(r"[^\W_][^*:\n]{0,40}:\s{1,4}(?=\*\*[^*])")
"""What a model praises a film with before its title: `Runner-up: **Ronin**`."""

YEAR = r"(?P<year>18[7-9]\d|19\d\d|20[0-4]\d)"
"""The pattern of a year that a film may be of."""

_YEAR_PART = re.compile(
    r"(?P<before>[^\W\d][^\d]{0,24}?)?[\s:]*"
    rf"{YEAR}(?:년(?:작|도)?)?"
    r"(?:[-./]\d{1,2}(?:[-./]\d{1,2})?\.?|\s*[-–—~]\s*(?:\d{4}|\d{2}|present|current|ongoing|now|현재)?(?:년)?)?"
    r"(?:\s*(?P<after>[^\W\d][^\d]{0,24}))?",
    re.IGNORECASE,
)
_YEAR_WORDS = frozenset("released release released in year c ca circa dir directed by remake original version reboot".split()) | {
    "개봉", "제작", "방영", "연도", "년도", "출시", "공개", "작", "개봉작", "리메이크", "방송",
}  # fmt: skip
_LEADING_YEAR = re.compile(rf"\s*[-–—,:]?\s*\(?{YEAR}(?!\d)(?:년)?(?=$|[\s,;.)\-–—|])")
_TRAILING_RATING = re.compile(
    r"[\s,–—-]{0,4}[★☆⭐🌟]{0,10}\s?(?:\d{1,2}(?:\.\d{1,2})?\s?/\s?(?:5|10|100)|[★☆⭐🌟]\s?\d{1,2}(?:\.\d{1,2})?|[★☆⭐🌟]{1,10}½?)\s?$"
)
_SEPARATOR = re.compile(r"\s+[-–—―~|:]\s+|\s*[—―]\s*|(?<=[\w)\"'”’!?.])[:：]\s+|\s+→\s*|\s+[/／]\s+|\s+\.{3}\s+")
_SENTENCE_END = re.compile(r"(?P<word>\S{1,20})[.!?]\s+(?=[A-Z가-힣\"“'])")
_LOWER_TAIL = re.compile(r",\s+(?=(?:an?|the|directed|starring|featuring|which|where|with|released|from)\s+\S)")
_SERIES_TAIL = re.compile(
    r"\W{0,4}(?:an?\s+)?(?:[\w-]{1,20}\s+){0,2}?(?:(?:tv|television)[\s-](?:mini-?)?(?:series|show|drama)|mini-?series)\b", re.IGNORECASE
)
_PERSON_WORD = re.compile(r"[A-Z][\w.'’-]*|(?:del|van|von|bin|al)\b")
_LETTERS = re.compile(r"[^\W\d_]")


@dataclass(slots=True)
class _Found:
    """What asides and tails say of the film whose title they follow."""

    year: int | None = None
    kind: Kind | None = None
    original_title: str = ""
    is_shown: bool = True
    part_of_title: bool = False


class _Parts(NamedTuple):
    title: str
    tail: str


def read_entry(text: str) -> Suggestion | None:
    """Read one entry of a list: `**기생충** (2019, 봉준호) - 두 가족의 이야기`.

    None for what is no film: a heading, a detail of a film named before, a sentence, a question, a soundtrack. The description behind the
    title, if any, becomes the overview. Of a long text only the beginning is read.
    """
    text = _undecorated(text[:READ_LENGTH])
    kind: Kind | None = None
    if rank := RANK.match(text):
        text = text[rank.end() :]
    label = _LABEL.match(text)
    if label:
        name = label[1].strip().casefold()
        if name in words.LABELS:
            return None
        if name in words.TITLE_LABELS and label.end() < len(text):
            kind = words.KINDS_IN_FRONT.get(name)
            text = _undecorated(text[label.end() :])
    return _entry(text, kind)


def read_title(text: str) -> Suggestion | None:
    """Read a title that stands alone, as in a field of its own: brackets at its end are read, nothing else is split off it."""
    text = _undecorated(text[:READ_LENGTH])
    quoted = _quoted(text)
    if quoted and not quoted.tail.strip():
        text = quoted.title
    found = _Found()
    title, _ = _before_asides(text.replace("**", "").replace("__", ""), found)
    return _suggestion(title, "", found)


def without_number(text: str) -> str:
    """Take the number of a list away: `1. 기생충`."""
    return _NUMBERED.sub("", text, count=1) if _NUMBERED.match(text) else text


def close_of_quote(text: str, start: int) -> int:
    """Return where the quotation that opens at `start` closes, -1 if it doesn't within a title's length.

    An apostrophe between letters ("Ocean's") closes nothing.
    """
    closing = QUOTES[text[start]]
    limit = min(len(text), start + TITLE_LENGTH)
    end = text.find(closing, start + 1, limit)
    while end > 0 and closing in "'’" and _is_apostrophe(text, end):
        end = text.find(closing, end + 1, limit)
    return end


def _is_apostrophe(text: str, position: int) -> bool:
    after = text[position + 1 : position + 2]
    return text[position - 1].isalpha() and after.isascii() and after.isalpha()


def _undecorated(text: str) -> str:
    """Take away what stands before an entry and is not of it: emoji, checkboxes, a heading's signs, the brackets of a link."""
    if "](" in text:
        text = _LINK.sub(r"\1", text)
    if "<" in text:
        text = _TAG.sub("", text)
    text = text.strip()
    while text:
        if (
            (text[0] == "#" and (len(text) == 1 or text[1] in "# "))
            or unicodedata.category(text[0]) in ("So", "Sk", "Cf", "Mn", "Me", "Co")
            or text[0] in "•·▪●○■□◆◇▶►▸✓✔★☆※→|>\u3000"
        ):
            text = text[1:].lstrip()
        elif found := _CHECKBOX.match(text):
            text = text[found.end() :]
        else:
            break
    return text


def _entry(text: str, kind: Kind | None) -> Suggestion | None:
    found = _Found(kind=kind)
    if in_front := _KIND_IN_FRONT.match(text):
        named = words.KINDS_IN_FRONT.get(in_front[1].casefold())
        if named and _quoted(text[in_front.end() :]):
            found.kind = named
            text = text[in_front.end() :]
    quoted = _quoted(text)
    if quoted:
        title, tail = quoted
        inner, _ = _before_asides(title, found)
        title = inner
    elif bold := _bold(text):
        inside = bold.title.strip().rstrip(":：").rstrip()
        if inside.casefold().strip(" :") in words.LABELS or not inside:
            return None
        within = _quoted(inside)
        title, tail = within or _plain(inside, found)
        tail = f"{tail} {bold.tail}" if tail.strip() else bold.tail
        if within:
            title, _ = _before_asides(title, found)
    else:
        title, tail = _plain(text, found)
        if reads_as_sentence(title):
            return None
    overview = _read_tail(tail, title, found)
    if is_heading(title) and found.year is None and not (quoted and not only_genres(title)):
        return None
    return _suggestion(title, overview, found)


def _quoted(text: str) -> _Parts | None:
    """Split off a title in quotation marks that begins the text; None if the marks do not embrace the title."""
    if not text or text[0] not in QUOTES:
        if text[:1] == "[" and (end := text.find("]")) > 1 and not text[1:end].strip().isdecimal():
            return _Parts(text[1:end].strip(), text[end + 1 :])
        return None
    end = close_of_quote(text, 0)
    if end < 2:
        return None
    title = text[1:end].strip(" *_")
    tail = text[end + 1 :]
    goes_on = re.match(r"[,.!?]?\s*([A-Z][\w'’]*)", tail)
    if goes_on and text[0] in "\"'“‘" and not tail.lstrip().startswith(("By ", "Directed", "Starring", "-")):
        return None  # "Crocodile" Dundee
    while title[:1] in QUOTES and title[:1] != "'" and title.endswith(QUOTES[title[0]]) and len(title) > 2:
        title = title[1:-1].strip()
    return _Parts(title, tail.lstrip("*_"))


def _bold(text: str) -> _Parts | None:
    """Split off a title in bold or italic type that begins the text."""
    mark = _BOLD.match(text)
    if not mark:
        return None
    end = text.find(mark[1], mark.end())
    if end < 0:
        return None
    return _Parts(text[mark.end() : end].strip("*_ "), text[end + len(mark[1]) :].lstrip("*_"))


def _plain(text: str, found: _Found) -> _Parts:
    """Split a bare entry where its title ends."""
    text = text.replace("**", "").replace("__", "").strip("*_ ")
    head, tail = _before_asides(text, found)
    title, rest = _before_description(head, found)
    if rest and tail:
        # A bracket behind a description is not of the title: "Oldboy - a film (which won at Cannes)".
        tail = f"{rest} {tail}"
    return _Parts(title, rest or tail)


def _before_asides(text: str, found: _Found) -> _Parts:
    """Split a text at the first bracket that tells of the film instead of naming it, and take in what this and the next ones say."""
    position = 1
    while (start := _next_bracket(text, position)) >= 0:
        end = _closing(text, start)
        inside = text[start + 1 : end] if end > 0 else text[start + 1 :]
        title = text[:start].strip()
        aside = _aside(inside, title)
        if aside.part_of_title and end > 0:
            position = end + 1
            continue
        if not title.strip("\"'*_ "):
            break
        if end < 0:  # cut off within the bracket
            return _Parts(title, "")
        _take(aside, found)
        return _Parts(title, text[end + 1 :])
    return _Parts(text.strip(), "")


def _next_bracket(text: str, start: int) -> int:
    return min((at for opening in _BRACKETS if (at := text.find(opening, start)) >= 0), default=-1)


def _closing(text: str, start: int) -> int:
    opening, closing = text[start], _BRACKETS[text[start]]
    depth = 0
    for position in range(start, len(text)):
        if text[position] == opening:
            depth += 1
        elif text[position] == closing:
            depth -= 1
            if not depth:
                return position
    return -1


def _take(aside: _Found, found: _Found) -> None:
    found.year = found.year or aside.year
    found.kind = found.kind or aside.kind
    found.original_title = found.original_title or aside.original_title
    found.is_shown = found.is_shown and aside.is_shown


def _aside(inside: str, title: str) -> _Found:
    """Read what stands in brackets behind a title: `2019, 봉준호`, `TV series`, `Parasite, 2019`, `remake`."""
    aside = _Found()
    if inside.strip().casefold() in words.TITLE_ENDINGS:
        aside.part_of_title = True
        return aside
    for part in re.split(r"[,;|·/]", inside)[:6]:
        _read_part(part.strip(" \"'“”‘’*_『』「」〈〉《》<>"), title, aside)
    return aside


def _read_part(part: str, title: str, aside: _Found) -> None:
    plain = part.casefold()
    if not part:
        return
    if plain in words.KINDS:
        aside.kind = aside.kind or words.KINDS[plain]
    elif plain in words.NOT_SHOWN:
        aside.is_shown = False
    elif (year := _YEAR_PART.fullmatch(part)) and _year_words(year, aside):
        aside.year = aside.year or int(year["year"])
    elif not _is_note(part, title) and not aside.original_title:
        aside.original_title = part[:TITLE_LENGTH]


def _year_words(year: re.Match[str], aside: _Found) -> bool:
    """Say whether the words beside a year go with one, and take the kind that they may name."""
    for beside in (year["before"], year["after"]):
        plain = (beside or "").strip(" :,.").casefold()
        if plain in words.KINDS:
            aside.kind = aside.kind or words.KINDS[plain]
        elif plain in words.NOT_SHOWN:
            aside.is_shown = False
        elif plain and not set(plain.split()) <= _YEAR_WORDS:
            return False
    return True


def _is_note(part: str, title: str) -> bool:
    """Say whether an aside is a remark, a genre, a person, a rating: anything but another title of the work."""
    if only_genres(part) or RATING.fullmatch(part) or part[0].islower() or not _LETTERS.search(part):
        return True
    if (
        part.casefold().startswith(("dir", "starring", "feat", "with ", "by ", "imdb", "part of", "season", "시즌"))
        or part.casefold() in words.PROVIDERS
    ):
        return True
    if has_hangul(part):
        return has_hangul(title) or part.endswith(("감독", "주연", "출연", "배우", "작", "년", "분", "판", "편"))
    if _LETTERS.search(part[0]) and part[0].isascii() and not has_hangul(title):
        names = re.split(r"\s(?:and|&)\s", part)
        return all(_PERSON_WORD.fullmatch(word) for word in re.split(r"\s+", " ".join(names))) and len(part.split()) <= 6
    return False


def _before_description(text: str, found: _Found) -> _Parts:
    """Split `Parasite - a dark comedy`, `Oldboy: revenge`, `기생충 / Parasite`; subtitles stay."""
    text = _TRAILING_RATING.sub("", text)
    ends = [
        end.end("word") + 1 for end in islice(_SENTENCE_END.finditer(text), _SPLITS) if not ABBREVIATION.search(text[: end.end("word") + 1])
    ]
    for separator in islice(_SEPARATOR.finditer(text), _SPLITS):
        left, right = text[: separator.start()].strip(), text[separator.end() :].strip()
        if not left:
            continue
        dash = separator[0].strip() not in (":", "：")
        if dash and (year := re.match(rf"\(?{YEAR}(?:년)?\)?(?=$|[\s,;.])", right)):
            found.year = found.year or int(year["year"])
            return _Parts(left, right[year.end() :])
        following = _SEPARATOR.search(text, separator.end())
        stops = [end for end in ends if end > separator.end()] + ([following.start()] if following else []) + [len(text)]
        if describes(left, text[separator.end() : min(stops)]):
            return _Parts(left, right)
        if dash and _other_script(left, right):
            found.original_title = found.original_title or right.strip("\"'“”‘’*_ ")[:TITLE_LENGTH]
            return _Parts(left, "")
    if credit := CREDIT.search(text, 1):
        return _Parts(text[: credit.start()], text[credit.start() :])
    for tail in islice(_LOWER_TAIL.finditer(text), _SPLITS):
        if lower_words(text[tail.end() :]):
            return _Parts(text[: tail.start()], text[tail.end() :])
    if year := re.search(rf",\s*\(?{YEAR}(?:년)?\)?\.?$", text):
        found.year = found.year or int(year["year"])
        return _Parts(text[: year.start()], "")
    for end in ends:
        if describes(text[:end], text[end:]):
            return _Parts(text[:end], text[end:])
    return _Parts(text, "")


def _other_script(left: str, right: str) -> bool:
    return bool(_LETTERS.search(right)) and has_hangul(left) != has_hangul(right) and bool(_LETTERS.search(left))


def _read_tail(tail: str, title: str, found: _Found) -> str:
    """Take in the brackets that follow the title directly; return the description after them."""
    rest = tail.strip()
    for _ in range(4):
        if not rest or rest[0] not in _BRACKETS:
            break
        end = _closing(rest, 0)
        if end < 0:
            return ""
        _take(_aside(rest[1:end], title), found)
        rest = rest[end + 1 :].strip()
    if found.year is None and (year := _LEADING_YEAR.match(rest)):
        found.year = int(year["year"])
        rest = rest[year.end() :]
    if found.kind is None and _SERIES_TAIL.match(rest):
        found.kind = Kind.TV
    rest = rest.strip(" -–—―:：|,;→)*_")
    return "" if RATING.fullmatch(rest) or not _LETTERS.search(rest) else rest


def tidy(title: str) -> str:
    """Make a title one line without markup and without the full stop of its sentence."""
    if "&" in title:
        title = _ENTITY.sub(lambda found: unescape(found[0]), title)
    title = " ".join(title.replace("**", "").replace("__", "").split())
    title = title.strip("*_ \t`")
    while title[-1:] in (",", ";", ":", "-", "–", "—", "·", "|", "/", "→", "。"):
        title = title[:-1].rstrip()
    if title.endswith(".") and not ABBREVIATION.search(title):
        title = title[:-1].rstrip()
    if len(title) > 2 and title[0] in QUOTES and title[-1] == QUOTES[title[0]] and title.count(title[0]) + title.count(title[-1]) <= 4:
        title = title[1:-1].strip()
    return title[:TITLE_LENGTH].rstrip()


def _suggestion(title: str, overview: str, found: _Found) -> Suggestion | None:
    title = tidy(title)
    if not found.is_shown or not any(character.isalnum() for character in title):
        return None
    return Suggestion(
        title=title,
        original_title=tidy(found.original_title),
        year=found.year,
        kind=found.kind,
        overview=overview[:OVERVIEW_LENGTH].strip(),
    )
