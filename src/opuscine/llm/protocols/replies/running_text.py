"""Films named in running text: in quotation marks, with their year, or in a list between commas. Pure.

Running text names films for many reasons. Those it only compares with ("since you liked …") are passed over, and a list between commas is
read only behind words that announce one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from opuscine.llm.protocols.replies import words
from opuscine.llm.protocols.replies.wording import has_hangul, is_heading, lower_words, reads_as_sentence
from opuscine.llm.protocols.replies.written_title import QUOTES, YEAR, close_of_quote, read_entry
from opuscine.model import Suggestion

READ_LENGTH = 20_000
"""Characters of a turn's running text that are looked at."""

_SENTENCE = 4_000
_PIECES = 400

_END_OF_SENTENCE = re.compile(r"[.!?。！？]+[\"'”’)]*(?=\s)|\n+")
_SHORTENED = re.compile(r"(?:\b(?:mr|mrs|ms|dr|vol|st|jr|sr|vs|inc|no|pt|e\.g|i\.e|etc)|\b\w|\.\w)$", re.IGNORECASE)
_COMPARED_BEFORE = re.compile(
    r"(?:lik(?:ed?|ing)|lov(?:ed?|ing)|enjoy(?:ed|ing)?|saw|seen|watched|fans? of|similar to|based on|mentioned|reminiscent of"
    r"|sequel to|remake of|prequel to|adaptation of|known for|starred in|appeared in|than)"
    r"(?:\s(?:the|movies?|films?|series|shows?|such as|like))*(?:[\s,]|and|or|[\"'“”‘’][^\"'“”‘’]{1,80}[\"'“”‘’])*$",
    re.IGNORECASE,
)
_COMPARED_AFTER = re.compile(
    r"\s?(?:\([^()]{0,40}\)\s?)?(?:을|를|이|가|은|는|도)?\s?(?:좋아하|좋아했|좋아한|재미있게|재밌게|즐겁게|감명|보셨|봤|보신|보고|본\s|(?:와|과|랑)?\s?(?:비슷|유사|닮)|같은\s|처럼|의\s(?:감독|후속|속편|원작|배우))"
)
_SUGGESTS = re.compile(
    r"how about|what about|why not|you (?:could|can|might|should) (?:try|watch|check)|maybe|recommend|suggest|어때|어떠|어떨까|추천|권해",
    re.IGNORECASE,
)
_ANNOUNCES = re.compile(
    r"[:：]\s*|\b(?i:like|such as|includ(?:e|es|ed|ing)|how about|what about|recommend(?:ing)?|suggest(?:ing)?|try|trying|consider"
    r"|watch|watching|see|check out|enjoy|are|were|option is|pick is|choice is|be)\s+(?=[A-Z0-9\"'“‘#])",
)
_STRONGLY = re.compile(
    r"(?:how about|what about|(?:recommend|suggest|try|watch)(?:ing)?|consider|check out|(?:option|pick|choice) is)\s*$",
    re.IGNORECASE,
)
_OF_FILMS = re.compile(
    r"recommend|suggest|movie|film|series|show|title|these|here|try|watch|pick|option|enjoy|option|classic|comed|thriller|horror|추천|영화|작품|목록|드라마|시리즈|리스트",
    re.IGNORECASE,
)
_OF_PEOPLE = re.compile(
    r"\b(?:actors?|actress(?:es)?|stars?|starring|directors?|directed|cast|characters?|filmmakers?|written|played|genres?|moods?|themes?|platforms?|services?)\b"
    r"|배우|감독|출연|주연|장르|분위기|플랫폼|서비스",
    re.IGNORECASE,
)
_COMMA = re.compile(r"[,;、，]\s*(?!\d{3}\b)")
_KOREAN_TAIL = re.compile(
    r"\s*(?:등|같은|정도)(?:의|을|를|이|도)?(?:\s|$).*$"
    r"|(?:을|를|이|가|도|은|는)?\s+(?:추천|권해|어떠|어떤가|어떨|보세요|보시|있습니다|있어요|있고|좋습니다|좋아요|꼽).*$"
    r"|(?:입니다|이에요|예요|이 있습니다|가 있습니다)[.!]?$",
    re.DOTALL,
)
_KOREAN_LEAD = re.compile(
    r"^.{0,60}(?:으로는|로는|에는|작품은|영화는|드라마는|추천작은|중에서는|중에는|이라면|라면|에게는|께는|엔)\s+|^.{0,40}(?:로|으로|은|는)\s+(?=\S)",
    re.DOTALL,
)
_YEAR = re.compile(rf"\s?[(（\[](?:[^()（）\[\]]{{1,60}}?,\s?)?{YEAR}(?:년)?(?:[,\s–-][^()（）\[\]]{{0,60}})?[)）\]]")
_LEADS = frozenset(
    "try watch see check also consider sure and or then finally maybe perhaps i recommend recommended suggestions recommendations movies"
    " films movie film how about first second third lastly next plus another okay ok yes well so but with by from of in for the".split()
)


def films_in_text(text: str) -> list[Suggestion]:
    """Return the films that a running text recommends, each once, in order: those in quotation marks, else with a year, else in a list."""
    text = text[:READ_LENGTH]
    sentences = [sentence for sentence in sentences_of(text) if not _only_asks(sentence)]
    for way in (_in_quotes, _with_year, _in_lists):
        films = [film for sentence in sentences for film in way(sentence)]
        if films:
            return _each_once(films)
    return [film for line in text.split("\n") for film in _whole_line(line, alone="\n" not in text)]


def _each_once(films: list[Suggestion]) -> list[Suggestion]:
    """Leave out what was named before: text comes back to a title, then without its year."""
    once: dict[tuple[str, int | None], Suggestion] = {}
    for film in films:
        title = film.title.casefold()
        if film.year or not any(title == known for known, _ in once):
            once.setdefault((title, film.year), film)
    return list(once.values())


def sentences_of(text: str) -> list[str]:
    """Cut a text into sentences; titles with a full stop ("Mr. Smith") or an exclamation ("Airplane!, …") are not cut through."""
    sentences: list[str] = []
    start = 0
    for end in _END_OF_SENTENCE.finditer(text):
        if end[0].startswith(".") and _SHORTENED.search(text, max(start, end.start() - 8), end.start()):
            continue
        following = text[end.end() : end.end() + 3].lstrip()[:1]
        if "\n" not in end[0] and following.isascii() and following.islower():
            continue
        sentences.append(text[start : end.end()].strip())
        start = end.end()
    sentences.append(text[start:].strip())
    return [sentence[:_SENTENCE] for sentence in sentences if sentence]


def questions_in(text: str) -> str:
    """Return what a text asks the caller, `""` for nothing."""
    asked = (_MARKER.sub("", sentence) for sentence in sentences_of(text[:READ_LENGTH]) if _ASKS.search(sentence))
    return " ".join(asked)


_ASKS = re.compile(
    r"[?？][\"'”’)*]*$|(?:나요|까요|가요|세요|을까|ㄹ까)[.~]?$|(?:알려|말씀해|말해|골라|선택해|얘기해)\s?(?:주|줘)"
    r"|\b(?:tell me|let me know|could you|can you|please (?:share|specify|provide|clarify))\b",
    re.IGNORECASE,
)


_MARKER = re.compile(r"^(?:\d{1,3}[.)]|[-*•])\s+")


def _only_asks(sentence: str) -> bool:
    return sentence.rstrip("\"'”’)* ").endswith(("?", "？")) and not _SUGGESTS.search(sentence)


def _in_quotes(sentence: str) -> Iterable[Suggestion]:
    position = 0
    while position < len(sentence):
        opening = next((at for at in range(position, len(sentence)) if _opens(sentence, at)), -1)
        if opening < 0:
            return
        if sentence.startswith("**", opening):
            closing, width = sentence.find("**", opening + 2, opening + 250), 2
        else:
            closing, width = close_of_quote(sentence, opening), 1
        if closing < 0:
            position = opening + width
            continue
        inside = sentence[opening + width : closing].strip(" *_")
        position = closing + width
        if _is_named(inside) and not _is_compared(sentence, opening, position):
            year = _YEAR.match(sentence, position)
            before = sentence[max(0, opening - 12) : opening].split()
            film = read_entry(f'"{inside}"{year[0] if year else ""}')
            if film:
                yield replace(film, kind=film.kind or words.KINDS_IN_FRONT.get(before[-1].casefold() if before else ""))


def _opens(sentence: str, at: int) -> bool:
    character = sentence[at]
    before = sentence[at - 1] if at else " "
    if character == "*":
        return sentence.startswith("**", at) and at + 2 < len(sentence) and sentence[at + 2] not in "* "
    if character not in QUOTES or character == "`":
        return False
    if character in "'\"" and (before.isalnum() or at + 1 >= len(sentence) or sentence[at + 1].isspace()):
        return False
    return character != "<" or not sentence[at + 1 : at + 2].startswith((" ", "/", "|"))


def _is_named(inside: str) -> bool:
    if not inside or len(inside.split()) > 14 or is_heading(inside) or inside.endswith((":", ",", ";")):
        return False
    if has_hangul(inside):
        return not reads_as_sentence(inside)
    first = inside[0]
    return not (first.isascii() and first.islower()) and len(lower_words(inside)) <= 1 and inside.casefold() not in words.PROVIDERS


def _is_compared(sentence: str, start: int, end: int) -> bool:
    return bool(_COMPARED_BEFORE.search(sentence[max(0, start - 120) : start]) or _COMPARED_AFTER.match(sentence, end))


def _with_year(sentence: str) -> Iterable[Suggestion]:
    for year in _YEAR.finditer(sentence):
        title = _title_before(sentence[max(0, year.start() - 160) : year.start()])
        if title and not _is_compared(sentence, year.start() - len(title), year.end()):
            film = read_entry(title + year[0])
            if film:
                yield film


def _title_before(text: str) -> str:
    """Return the words at a text's end that are written as a title is."""
    if has_hangul(text[-20:]):
        piece = re.split(r"[,:;.!?\"'()]|\s(?:그리고|및)\s", text)[-1].strip()
        return piece if 0 < len(piece.split()) <= 4 and not reads_as_sentence(piece) else ""
    taken: list[str] = []
    for word in reversed(text.split()):
        goes_on = word.endswith(",") and taken[-1:] and taken[-1].islower()  # "the Bad and the Ugly" after a comma
        ends = taken and word.endswith((",", ";", ".", "!", "?", ")")) and not _SHORTENED.search(word[:-1])
        if lower_words(word) or (ends and not goes_on):
            break
        taken.append(word)
    taken.reverse()
    while taken and (
        (taken[0].strip(".,:").casefold() in _LEADS and not (taken[0][0].isupper() and taken[0].casefold() == "the")) or taken[0].islower()
    ):
        taken.pop(0)
    return " ".join(taken)


def _in_lists(sentence: str) -> Iterable[Suggestion]:
    pieces = list(islice(_pieces(sentence), _PIECES))
    if has_hangul(sentence):
        yield from _korean_list(pieces)
        return
    at = 0
    while at < len(pieces):
        first, strongly = _first_title(pieces[at], len(pieces) - at)
        if not first:
            at += 1
            continue
        listed = [first]
        for piece in pieces[at + 1 :]:
            if _goes_on(piece):
                listed.append(piece)
            elif _is_continued(piece):
                listed[-1] = f"{listed[-1]}, {piece}"
            else:
                if last := _title_in_front(piece):
                    listed.append(last)
                break
        at += len(listed)
        titles = _last_two(_joined(listed))
        if len(titles) >= 3 or (titles and strongly):
            yield from _films(titles)


def _whole_line(line: str, *, alone: bool) -> list[Suggestion]:
    """Read a line that is nothing but a list: `Heat, Ronin, Collateral`; a full stop is let pass where it is all of the reply."""
    if (not alone and line.endswith((".", "!", "?"))) or _KOREAN_TAIL.search(line[-60:]) or reads_as_sentence(line[-200:]):
        return []
    pieces = [re.sub(r"^(?:and|or|&|그리고|및)\s+", "", piece.strip()) for piece in islice(_pieces(line[:_SENTENCE]), _PIECES)]
    if len(pieces) < 3:
        return []
    titles = _joined(pieces)
    korean = has_hangul(line)
    fit = all(_is_korean_title(title) if korean else _is_capitalised(title) and len(title.split()) <= 8 for title in titles)
    return list(_films(titles)) if fit else []


def _pieces(sentence: str) -> Iterable[str]:
    start = 0
    for comma in _COMMA.finditer(sentence):
        yield sentence[start : comma.start()]
        start = comma.end()
    yield sentence[start:].rstrip(" .?!")


def _first_title(piece: str, left: int) -> tuple[str, bool]:
    """Return the title that an announcement in a piece is followed by, and whether it may stand alone."""
    for announced in _ANNOUNCES.finditer(piece):
        before, title = piece[: announced.end()], piece[announced.end() :].strip()
        if not title or not _is_capitalised(title):
            continue
        if _OF_PEOPLE.search(before) and not re.search(r"\b(?:movies?|films?|titles?)\b", before[-40:]):
            return "", False
        colon = announced[0].strip() in (":", "：")
        if colon and not _OF_FILMS.search(before):
            continue
        strongly = bool(_STRONGLY.search(announced[0])) and not _COMPARED_BEFORE.search(before)
        if left == 1 and not strongly:
            continue
        if (
            re.search(r"(?:you|i|we)\s+(?:also\s+)?(?:like|enjoy|watch|see)\s*$", before.rstrip(": "), re.IGNORECASE)
            and not colon
            and left < 3
        ):
            continue
        return title, strongly
    return "", False


def _is_capitalised(text: str) -> bool:
    """Say whether a text is written as a title in English is."""
    plain = re.sub(r"\([^()]*\)", "", text).strip("\"'“”‘’ ")
    if not plain or len(plain.split()) > 16 or plain.casefold() in words.PROVIDERS:
        return False
    first = plain[0]
    return (
        (first.isupper() or first.isdecimal() or first in "#¡¿")
        and set(lower_words(plain)) <= words.FRANCHISE_WORDS
        and not is_heading(plain)
    )


def _goes_on(piece: str) -> bool:
    return _is_capitalised(re.sub(r"^(?:and|or|&)\s+", "", piece.strip()))


def _is_continued(piece: str) -> bool:
    """Say whether a piece is the rest of a title that holds a comma: `the Witch and the Wardrobe`."""
    piece = piece.strip()
    first, _, rest = piece.partition(" ")
    return first in ("the", "a", "an", "his", "her") and bool(rest) and _is_capitalised(rest)


def _title_in_front(piece: str) -> str:
    """Return the titles with which a list ends within a piece: `Ronin and Collateral` of `Ronin and Collateral would fit`."""
    taken: list[str] = []
    for word in piece.split():
        if lower_words(word):
            break
        taken.append(word)
    while taken and taken[-1].islower():
        taken.pop()
    titles = " ".join(taken)
    return titles if re.search(r"^(?:and|or)\s|\s(?:and|or)\s", titles) and _goes_on(titles) else ""


def _joined(pieces: list[str]) -> list[str]:
    """Put known titles together again that a comma cut."""
    joined: list[str] = []
    at = 0
    while at < len(pieces):
        for count in (5, 4, 3, 2):
            candidate = ", ".join(pieces[at : at + count])
            if len(pieces) - at >= count and _comma_key(candidate) in _TITLES_WITH_COMMAS:
                joined.append(re.sub(r"^(?:and|or|&)\s+", "", candidate.strip()))
                at += count
                break
        else:
            joined.append(pieces[at].strip())
            at += 1
    return joined


def _comma_key(title: str) -> str:
    plain = re.sub(r"^(?:and|or|&|그리고)\s+|\band\b", "", title.casefold().strip())
    return "".join(character for character in plain if character.isalnum())


_TITLES_WITH_COMMAS = frozenset(_comma_key(title) for title in words.TITLES_WITH_COMMAS)


def _last_two(pieces: list[str]) -> list[str]:
    """Split the last two titles of `A, B and C`, where no piece of its own begins with the conjunction."""
    titles = [re.sub(r"^(?:and|or|&)\s+", "", piece) for piece in pieces]
    if len(titles) >= 2 and titles == pieces:
        found = re.search(r"\s(?:and|or)\s(?=[A-Z0-9][^\s]*(?:\s(?!and\b|or\b)\S+)*$)", titles[-1])
        if found:
            last = titles.pop()
            titles += [last[: found.start()], last[found.end() :]]
    return titles


def _films(titles: Iterable[str]) -> Iterable[Suggestion]:
    for title in titles:
        film = read_entry(title.strip())
        if film:
            yield film


def _korean_list(pieces: list[str]) -> Iterable[Suggestion]:
    """Read `추천 영화: 기생충, 올드보이, 괴물` and `기생충, 올드보이, 괴물을 추천합니다`."""
    if len(pieces) < 3:
        return
    first, last = pieces[0].strip(), re.sub(r"^(?:그리고|및)\s+", "", pieces[-1].strip())
    tail = _KOREAN_TAIL.search(last)
    if tail:
        last = last[: tail.start()].strip()
    before, colon, after = first.rpartition(": ")
    if colon and _OF_FILMS.search(before) and not _OF_PEOPLE.search(before):
        first = after
    elif not tail:
        return
    elif lead := _KOREAN_LEAD.match(first):
        if _OF_PEOPLE.search(lead[0]):
            return
        first = first[lead.end() :]
    split = re.split(r"\s(?:그리고|및|와|과)\s|(?<=\S)(?:와|과)\s(?=\S+$)", last)
    titles = [title.strip() for title in _joined([first, *pieces[1:-1], *split])]
    if len(titles) >= 3 and all(_is_korean_title(title) for title in titles):
        yield from _films(titles)


def _is_korean_title(text: str) -> bool:
    return 0 < len(text.split()) <= 6 and not reads_as_sentence(text) and not is_heading(text) and text not in words.PROVIDERS
