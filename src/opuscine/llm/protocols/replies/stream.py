"""A model's reply read while it comes: each film as soon as its part is complete. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from opuscine.llm.protocols.replies.json_text import JsonText
from opuscine.llm.protocols.replies.list_lines import ListLines, films_of_plain_lines
from opuscine.llm.protocols.replies.running_text import READ_LENGTH, films_in_text, questions_in
from opuscine.llm.protocols.replies.turns import Speaker, turn_in, without_neutral_tokens
from opuscine.model import Suggestion

EXPLANATION_LENGTH = 1_000
QUESTION_LENGTH = 500
LINE_LENGTH = 20_000
"""Characters of a line that are kept: the longest comma list of `limit` titles is shorter."""

_LINES = 20_000  # of one reply, and
_JSONS = 2_000  # JSON values, and
_ANSWERS = 8  # turns of the model: more hold no films that anyone waits for

_STOP = re.compile(r"\n|\{(?=\s{0,200}(?:[\"'“‘}]|\Z))|\[(?=\s{0,200}(?:[{\"“‘]|'(?!\d)|\Z))")
_UNDECIDED = re.compile(r"\s*'?\Z")
_THOUGHT = re.compile(r"\s{0,200}<(?P<name>think|thinking|thought|reasoning|reflection)>", re.IGNORECASE)
_END_OF_THOUGHT = re.compile(r"</(?:think|thinking|thought|reasoning|reflection)>", re.IGNORECASE)
_BEGINS_THOUGHT = re.compile(r"\s{0,200}(?:<[a-z]{0,11})?\Z", re.IGNORECASE)
_FENCE = re.compile(r"\s{0,20}(?:`{3,}|~{3,})\s?(?P<language>[\w+-]{0,20})")
_READ_LANGUAGES = frozenset(
    ("", "json", "jsonl", "json5", "jsonc", "ndjson", "text", "txt", "plaintext", "markdown", "md", "yaml", "yml", "javascript", "js")
)
_ODD = re.compile("[\x00\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029\ud800-\udfff]")
_CUT_AT_END = re.compile(r"(?:^\s*(?:\d{1,3}[.)]?|[-*•])|[(\[（{][^()\[\]（）{}]{0,60}|[,:\-–—(])\s*\Z")


@dataclass(frozen=True, slots=True)
class ReadReply:
    """A reply as read and not yet believed. No suggestion has an id: a model makes numbers up."""

    suggestions: tuple[Suggestion, ...]
    explanation: str  # what the model says around its list, as it wrote it: to be made plain before it is shown
    question: str  # what it asks back, if it named no film
    complete: bool  # False where the text shows that it was cut: JSON or a thought left open, a last line that breaks off


class ReplyStream:
    """Read one reply in pieces, however it is cut.

    The films that `feed` and `finish` return are in sum those that `read_films` reads from the whole text, in the same order, wherever the
    pieces were cut. There is one exception: of a thought with an end (`</think>`) but no beginning the listed films have left before the
    end is known, while `read_films` leaves them out.

    Entries of a list come with the end of their line, objects in JSON with their closing bracket. Films named in running text, and lines
    that are only perhaps a list, come with the end of the turn: only then it is known that there is nothing surer.

    Memory is bounded whatever comes, and time is linear in the text.
    """

    def __init__(self, *, limit: int = 200) -> None:
        self._left = max(limit, 0)
        self._held = ""  # the end of the last piece, of which can't be told yet what it is
        self._thought_end: str | None = None  # the tag at which the model stops to think aloud
        self._begun = False
        self._json: JsonText | None = None
        self._line: list[str] = []
        self._line_length = 0
        self._lines = 0
        self._jsons = 0
        self._answers = 0
        self._turn = _Turn(Speaker.MODEL)
        self._first_answer = ""
        self._explanation = ""
        self._question = ""
        self._closed = False  # the films are complete: what follows is not read
        self._intact = True
        self._found: list[Suggestion] = []

    def feed(self, chunk: str) -> list[Suggestion]:
        """Read the next piece of the reply; return the films that it completes."""
        if not self._closed:
            if _ODD.search(chunk):
                chunk = _ODD.sub(_replaced, chunk)
            self._read(self._held + chunk)
        return self._taken()

    def finish(self, *, cut_off: bool = False) -> ReadReply:
        """Read the end of the reply; return the films that were not returned yet, and what is known of the whole.

        Args:
            cut_off: the server says that the model stopped for length: a last line that has no end is not believed.
        """
        if not self._closed:
            held, self._held = self._held, ""
            if self._thought_end is not None:
                self._intact = False
            elif self._json is not None:
                self._json.finish()
                self._end_json(self._json)
            else:
                self._append(held)
            if self._line and not self._closed:
                last = "".join(self._line)
                self._intact = self._intact and not cut_off and not _CUT_AT_END.search(last[-80:])
                if not cut_off or self._turn.films == 0:
                    self._end_line()
        if not self._closed:
            self._end_turn()
        films = tuple(self._taken())
        if not self._turn.films:
            self._question = self._question or questions_in(self._first_answer or self._explanation)
            self._explanation = self._explanation or self._first_answer
        else:
            self._question = ""
        return ReadReply(films, _bounded(self._explanation, EXPLANATION_LENGTH), _bounded(self._question, QUESTION_LENGTH), self._intact)

    def _taken(self) -> list[Suggestion]:
        films, self._found = self._found, []
        return films

    def _read(self, text: str) -> None:
        self._held = ""
        position = 0
        if not self._begun:
            if thought := _THOUGHT.match(text):
                self._thought_end = f"</{thought['name'].lower()}>"
                position = thought.end()
            elif _BEGINS_THOUGHT.match(text):
                self._held = text
                return
            self._begun = True
        if self._thought_end is not None:
            position = self._read_thought(text, position)
        while position < len(text) and not self._closed:
            if self._json is not None:
                position = self._json.feed(text, position)
                self._add(self._json.films)
                self._json.films.clear()
                if self._json.done:
                    unread = self._json.unread
                    self._end_json(self._json)
                    self._append(unread)
                continue
            position = self._read_text(text, position)

    def _read_thought(self, text: str, position: int) -> int:
        closing = self._thought_end or ""
        end = text.lower().find(closing, position)
        if end < 0:
            self._held = text[max(position, len(text) - len(closing) + 1) :]
            return len(text)
        self._thought_end = None
        return end + len(closing)

    def _read_text(self, text: str, position: int) -> int:
        """Read up to the end of a line or the beginning of JSON."""
        stop = _STOP.search(text, position)
        if stop is None:
            self._append(text[position:])
            return len(text)
        self._append(text[position : stop.start()])
        if stop[0] == "\n":
            self._end_line()
            return stop.end()
        if len(text) - stop.end() <= 200 and _UNDECIDED.match(text, stop.end()):
            self._held = text[stop.start() :]
            return len(text)
        if self._may_be_json():
            self._end_line()
            if self._closed:
                return len(text)
            if self._may_be_json():  # the words before it may have ended the turn
                self._jsons += 1
                self._json = JsonText()
                return stop.start()
        self._append(stop[0])
        return stop.end()

    def _may_be_json(self) -> bool:
        return self._turn.speaker is Speaker.MODEL and not self._turn.foreign_code and self._jsons < _JSONS

    def _append(self, piece: str) -> None:
        kept = LINE_LENGTH - self._line_length
        if piece and kept > 0:
            self._line.append(piece[:kept])
            self._line_length += len(piece)

    def _end_line(self) -> None:
        if not self._line:
            return
        line = "".join(self._line)
        self._line.clear()
        self._line_length = 0
        self._read_line(line)

    def _read_line(self, line: str) -> None:
        line = self._after_thought(without_neutral_tokens(line))
        while not self._closed:
            turn = turn_in(line)
            if turn is None:
                break
            self._within_turn(line[: turn.start])
            line = line[turn.end :]
            if not self._closed:
                self._begin_turn(turn.speaker)
        if not self._closed:
            self._within_turn(line)

    def _after_thought(self, line: str) -> str:
        """Forget the running text of a thought whose beginning was not marked. The films that it named have left already."""
        ends = list(_END_OF_THOUGHT.finditer(line)) if "</" in line else []
        if not ends:
            return line
        films = self._turn.films
        self._turn = _Turn(Speaker.MODEL)
        self._turn.films = films
        return line[ends[-1].end() :]

    def _within_turn(self, line: str) -> None:
        if not line.strip():
            return
        self._lines += 1
        if self._lines > _LINES:
            self._end_turn()
            self._closed = True
            return
        self._add(self._turn.read_line(line))

    def _begin_turn(self, speaker: Speaker) -> None:
        if speaker is self._turn.speaker is Speaker.MODEL and self._turn.is_empty:
            return
        self._end_turn()
        if not self._closed:
            self._turn = _Turn(speaker)

    def _end_turn(self) -> None:
        """Take what only the whole turn tells. The first answer with films is the last that is read."""
        turn = self._turn
        if turn.speaker is Speaker.CALLER:
            return
        self._add(turn.waiting())
        self._add(turn.films_at_end())
        text = turn.text()
        self._first_answer = self._first_answer or text
        self._question = self._question or turn.question
        if turn.films:
            self._explanation = turn.explanation or text
            self._closed = True
        else:
            self._explanation = self._explanation or turn.explanation
            self._answers += 1
            self._closed = self._answers == _ANSWERS

    def _end_json(self, json: JsonText) -> None:
        self._json = None
        self._intact = self._intact and json.intact
        turn = self._turn
        if not turn.films:
            for line in (line for text in json.texts for line in text.splitlines()):
                self._add(turn.read_line(line))
        turn.maybe += json.maybe
        turn.explanation = turn.explanation or json.explanation
        turn.question = turn.question or json.question

    def _add(self, films: Iterable[Suggestion]) -> None:
        if self._closed:
            return
        for film in films:
            if not self._left:
                break
            self._left -= 1
            self._turn.films += 1
            self._turn.from_json |= self._json is not None
            self._found.append(film)
        if not self._left:
            self._explanation = self._turn.explanation or self._turn.text()
            self._closed = True


class _Turn:
    """What one side says at a time."""

    def __init__(self, speaker: Speaker) -> None:
        self.speaker = speaker
        self.films = 0
        self.from_json = False
        self.maybe: list[Suggestion] = []
        self.explanation = ""
        self.question = ""
        self.foreign_code = False
        """In a fenced block of a language that no list of films is written in."""
        self._in_fence = False
        self._lists = ListLines()
        self._text: list[str] = []
        self._text_length = 0

    @property
    def is_empty(self) -> bool:
        return not (self.films or self._text or self.maybe)

    def read_line(self, line: str) -> list[Suggestion]:
        if self.speaker is Speaker.CALLER:
            return []
        if fence := _FENCE.match(line):
            self._in_fence = not self._in_fence
            self.foreign_code = self._in_fence and fence["language"].lower() not in _READ_LANGUAGES
            return []
        if self.foreign_code:
            return []
        films, is_text = ([], True) if self.from_json else self._lists.read(line)
        if is_text and self._text_length < READ_LENGTH:
            text = " ".join(line.split())
            self._text.append(text)
            self._text_length += len(text)
        return films

    def waiting(self) -> list[Suggestion]:
        """Return the film whose details could have gone on."""
        return self._lists.waiting()

    def films_at_end(self) -> list[Suggestion]:
        """Return the films of a turn that gave none so far: from lines without markers, else from its running text."""
        if self.films:
            return []
        if self.maybe:
            return self.maybe
        if plain := films_of_plain_lines(self._lists):
            self._text = [line for line in self._text if line not in plain]
            return list(plain.values())
        return films_in_text(self.text())

    def text(self) -> str:
        return "\n".join(self._text)


def read_films(text: str, *, limit: int = 200, cut_off: bool = False) -> ReadReply:
    """Read the films that a model's reply names, whatever shape the reply has.

    Read are JSON (fenced, within prose, as lines, cut off), numbered and bulleted lists, tables, lists between commas and titles in
    quotation marks. Of a reply in which the model writes both sides of a dialogue the first answer with films counts. Duplicates stay, at
    most `limit` films are read, and no text raises. Where none is read the reply may ask something: `question`.

    Args:
        text: the content of the reply.
        limit: the most films to read.
        cut_off: as in `ReplyStream.finish`.
    """
    stream = ReplyStream(limit=limit)
    thoughts = list(_END_OF_THOUGHT.finditer(text)) if "</" in text and not _THOUGHT.match(text) else []
    films = stream.feed(text[thoughts[-1].end() :] if thoughts else text)
    rest = stream.finish(cut_off=cut_off)
    return ReadReply((*films, *rest.suggestions), rest.explanation, rest.question, rest.complete)


def _replaced(odd: re.Match[str]) -> str:
    """Turn other line ends into newlines, and what can't be stored into what can."""
    return " " if odd[0] == "\x00" else "\ufffd" if "\ud800" <= odd[0] <= "\udfff" else "\n"


def _bounded(text: str, limit: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
