"""What a model is told. The words lie in one file, `data/prompt.v1.txt`; a change of them that callers could notice gets a new number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from opuscine.codec import dumps
from opuscine.llm.ask import LlmAsk
from opuscine.packaged import packaged_file

VERSION = 1
GIVEN_TITLES = 100
LEAKED_WORDS = 8  # so many words of the prompt in a row are the prompt, not chance

_SECTION = re.compile(r"^\[([a-z.]+)\]\n", re.MULTILINE)
_HANGUL = re.compile(r"[가-힣]")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Prompt:
    """The sections of the file."""

    system_en: str
    system_ko: str
    correction: str

    def system_for(self, message: str) -> str:
        """Return what the model is told, in the viewer's language: Korean for a message with any Hangul, else English."""
        return self.system_ko if _HANGUL.search(message) else self.system_en

    def leaks_into(self, text: str) -> bool:
        """Say whether a text repeats a run of the prompt's words."""
        return not _runs(text).isdisjoint(_prompt_runs(self))


@cache
def load_prompt() -> Prompt:
    """Read the file that travels with the package."""
    parts = _SECTION.split(packaged_file(f"prompt.v{VERSION}.txt").read_text(encoding="utf-8"))
    sections = dict(zip(parts[1::2], (text.strip() for text in parts[2::2]), strict=True))
    return Prompt(sections["system.en"], sections["system.ko"], sections["correction"])


def user_message(ask: LlmAsk) -> str:
    """Write the wish as data: inside a JSON string nothing of it can look like a part of the prompt."""
    wish = ask.message.encode("utf-8", "replace").decode()
    return dumps({"wish": wish, "count": ask.limit, "already_given": list(ask.given_titles[-GIVEN_TITLES:])}).decode()


@cache
def _prompt_runs(prompt: Prompt) -> frozenset[tuple[str, ...]]:
    return frozenset().union(*(_runs(text) for text in (prompt.system_en, prompt.system_ko, prompt.correction)))


def _runs(text: str) -> frozenset[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return frozenset(zip(*(words[start:] for start in range(LEAKED_WORDS)), strict=False))
