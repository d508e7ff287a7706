"""A message as the catalogue understands it: the title that it names, and what the rest of it states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from opuscine.catalogue.titles import TitleEntry, title_key
from opuscine.model import Film, TitleRef
from opuscine.providers.table import ProviderTable
from opuscine.recommend.intent import Intent, read_intent, without_particle

TITLE_WORDS = 8  # longest run of words tried as a title
WORDS = 40  # of a message that are looked at for a title
LEAST_TITLE = 3  # characters of a title of one word: shorter ones are words first


class TitleCatalogue(Protocol):
    """What is asked of the catalogue here."""

    def get(self, ref: TitleRef) -> Film | None:
        """Return a title."""

    def titles_by_key(self, key: str) -> Sequence[TitleEntry]:
        """Return the works that bear a title."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """What a message says: `named` is the one work whose title stands in it, `intent` what the words around it state."""

    intent: Intent
    named: Film | None = None


class SentenceReader:
    """Read messages against the catalogue, so that the words of a title state nothing: "범죄도시" asks for no crime film."""

    def __init__(self, catalogue: TitleCatalogue, providers: ProviderTable, *, today: Callable[[], date]) -> None:
        """Take the titles, the providers' names, and the calendar that "올해" is read by."""
        self._catalogue = catalogue
        self._providers = providers
        self._today = today

    def read(self, message: str) -> Sentence:
        """Read a message. Never raises, whatever the text."""
        words = message.split()[:WORDS]
        for length in range(min(TITLE_WORDS, len(words)), 0, -1):
            for start in range(len(words) - length + 1):
                run = words[start : start + length]
                film = self._title(run)
                if film is not None:
                    around = [*words[:start], *(_similar(run[-1])), *words[start + length :]]
                    return Sentence(self._intent(" ".join(around)), film)
        return Sentence(self._intent(message))

    def _title(self, run: Sequence[str]) -> Film | None:
        """Return the one work of this title. A title that several works bear names none, nor does one of words that state something."""
        for text in dict.fromkeys((" ".join(run), " ".join([*run[:-1], without_particle(run[-1])]))):
            if len(run) == 1 and len(text) < LEAST_TITLE:
                continue
            refs = {entry.ref for entry in self._catalogue.titles_by_key(title_key(text))}
            if len(refs) == 1 and self._intent(text).terms:
                return self._catalogue.get(refs.pop())
        return None

    def _intent(self, text: str) -> Intent:
        return read_intent(text, providers=self._providers, this_year=self._today().year)


def _similar(word: str) -> tuple[str, ...]:
    """Keep what a title's particle says: "인셉션처럼" asks for films like it."""
    return ("처럼",) if word.endswith("처럼") else ()
