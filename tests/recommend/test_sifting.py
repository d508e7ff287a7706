"""Suggestions are grounded a few at a time, within the deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from opuscine.catalogue.grounding import Grounder
from opuscine.catalogue.spelling import Spelling
from opuscine.catalogue.titles import TitleEntry, title_key
from opuscine.catalogue.variants import VariantEntry
from opuscine.guard.deadline import Deadline
from opuscine.model import Film, Kind, Suggestion, TitleRef
from opuscine.ott.repository import OttRepository
from opuscine.providers.table import ProviderTable
from opuscine.recommend.intent import Intent
from opuscine.recommend.sifting import AT_A_TIME, Sifter
from opuscine.recommend.wish import RequestScope
from support.manual_clock import ManualClock

NUMBERS = range(1, 3 * AT_A_TIME + 1)
FILMS = {TitleRef(Kind.MOVIE, number): Film(TitleRef(Kind.MOVIE, number), f"영화 {number}") for number in NUMBERS}
SUGGESTED = [Suggestion(f"영화 {number}") for number in NUMBERS]


class Titles:
    """An index of these films; each look-up takes a while of the clock."""

    def __init__(self, clock: ManualClock | None = None, *, takes_s: float = 0.0) -> None:
        self._clock = clock
        self._takes_s = takes_s

    def get(self, ref: TitleRef) -> Film | None:
        return FILMS.get(ref)

    def get_many(self, refs: Sequence[TitleRef]) -> Mapping[TitleRef, Film]:
        return {ref: FILMS[ref] for ref in refs if ref in FILMS}

    def titles_by_key(self, key: str) -> Sequence[TitleEntry]:
        if self._clock is not None:
            self._clock.advance(self._takes_s)
        return [TitleEntry(film.ref, None, "title", 1.0) for film in FILMS.values() if title_key(film.title) == key]

    def titles_by_variant(self, _key: str) -> Sequence[VariantEntry]:
        return []

    def titles_spelt_like(self, _spelling: str, _year: int) -> Sequence[Spelling]:
        return []


def sifter(titles: Titles) -> Sifter:
    return Sifter(Grounder(titles, lambda: "one"), OttRepository([], table=ProviderTable.load()))


async def test_others_have_their_turn_between_the_suggestions_of_a_long_reply() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    sifted = await sifter(Titles()).sift(SUGGESTED, Intent(), "KR", RequestScope(Deadline(5)), ids_trusted=False)
    task.cancel()
    assert [item.film.ref.id for item in sifted.films] == list(NUMBERS)
    assert turns >= 2


async def test_a_work_suggested_again_much_later_stands_once() -> None:
    again = [*SUGGESTED, SUGGESTED[0], Suggestion("무엇")]
    sifted = await sifter(Titles()).sift(again, Intent(), "KR", RequestScope(Deadline(5)), ids_trusted=False)
    assert (len(sifted.films), sifted.rejected) == (len(SUGGESTED), 1)


async def test_what_the_deadline_leaves_no_time_for_is_given_up() -> None:
    clock = ManualClock()
    deadline = Deadline(5.0, clock)
    clock.advance(4.5)  # the reserve is left, as after a model that used all of its time
    slow = Titles(clock, takes_s=0.3 / AT_A_TIME)
    sifted = await sifter(slow).sift(SUGGESTED, Intent(), "KR", RequestScope(deadline), ids_trusted=False)
    assert (len(sifted.films), sifted.rejected) == (AT_A_TIME, 2 * AT_A_TIME)
