"""Whose words a line begins: models go on and write the other side of the dialogue as well. Pure."""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple


class Speaker(Enum):
    """Who says a part of a reply, as the model wrote it."""

    MODEL = "model"
    CALLER = "caller"


class Turn(NamedTuple):
    """The beginning of a turn: where its marker starts and ends in the line, and who speaks."""

    start: int
    end: int
    speaker: Speaker


_CALLERS = "user|human|customer|client|viewer|사용자|유저|고객|손님|시청자|질문자"
_MODELS = (
    "system|assistant|ai|ai assistant|bot|chatbot|model|recommender|recommender system|movie recommender system|movie recommender"
    "|시스템|어시스턴트|비서|챗봇|봇|추천 시스템|ai 어시스턴트|인공지능|답변|모델|answer|response|output"
)
_SPEAKERS = {
    **dict.fromkeys(_CALLERS.split("|"), Speaker.CALLER),
    **dict.fromkeys(("instruction", "input", "question"), Speaker.CALLER),
    **dict.fromkeys(_MODELS.split("|"), Speaker.MODEL),
}
_NAMED = re.compile(
    rf"[\s>]{{0,40}}(?:[*_]{{1,3}}|\[|<)?(?P<name>{_CALLERS}|{_MODELS})(?:[*_]{{1,3}}|\]|>)?\s?[:：](?:[*_]{{1,3}})?",
    re.IGNORECASE,
)
_SECTION = re.compile(
    rf"\s{{0,40}}#{{2,6}}\s{{0,4}}[*_]{{0,3}}(?P<name>instruction|input|question|{_CALLERS}|{_MODELS})[*_]{{0,3}}\s?[:：]?[*_]{{0,3}}\s{{0,40}}\Z",
    re.IGNORECASE,
)
# These can't be words of a text, wherever they stand.
_TOKEN = re.compile(
    r"\[\|{1,2}\s?(?P<piped>\w{0,20})[\]|}]*"
    r"|<\|channel\|>\s?(?P<channel>\w{1,20})"
    r"|<\|(?P<special>[\w-]{1,30})\|>(?:\s?(?P<role>user|assistant|system)\b)?"
    r"|</s>|\[/?INST\]|<(?:start|end)_of_turn>(?:\s?(?P<turn>user|model)\b)?",
    re.IGNORECASE,
)
_NEUTRAL = re.compile(r"<\|(?:message|begin_of_text|end_header_id|bos|startoftext|constrain)\|>|<s>|<bos>", re.IGNORECASE)
_NO_SPEAKER = re.compile(r"ai[:：]\s*artificial intelligence", re.IGNORECASE)


def without_neutral_tokens(line: str) -> str:
    """Take away the tokens of chat templates that begin no turn."""
    return _NEUTRAL.sub(" ", line) if "<" in line else line


def turn_in(line: str) -> Turn | None:
    """Find the first marker of a turn in a line: `User:` and the like at its beginning, `[|Human|]` or `<|im_end|>` anywhere."""
    if named := _NAMED.match(line):
        if not _NO_SPEAKER.match(line.lstrip(" >*_")):
            return Turn(0, named.end(), _SPEAKERS[named["name"].casefold()])
    elif section := _SECTION.match(line):
        return Turn(0, section.end(), _SPEAKERS[section["name"].casefold()])
    if token := _TOKEN.search(line):
        return Turn(token.start(), token.end(), _speaker(token))
    return None


def _speaker(token: re.Match[str]) -> Speaker:
    """Take what follows a bare end token for the caller's words: the model's own have ended."""
    if channel := token["channel"]:  # the harmony format thinks in other channels
        return Speaker.MODEL if channel.casefold() == "final" else Speaker.CALLER
    named = (token["piped"] or token["role"] or token["turn"] or token["special"] or "").casefold()
    return Speaker.MODEL if named in ("ai", "assistant", "system", "model", "bot") else Speaker.CALLER
