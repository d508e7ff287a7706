"""The ordered list of films behind one wish, kept so that page N is a slice and no page repeats another's film."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from opuscine.model import Recommendation, RecommendedFilm, Source, TitleRef


@dataclass(slots=True)
class FilmList:
    """The films found so far for one wish, in the order they were given, and where each page of a size ended."""

    films: list[RecommendedFilm] = field(default_factory=list)
    refs: set[TitleRef] = field(default_factory=set)
    base: int = 0  # position of the first film: above 0 when the first page asked for was a later one
    total: int = 0
    exhausted: bool = False  # the model has no more
    ends: dict[tuple[int, int], int] = field(default_factory=dict)  # (limit, page) -> position behind its last film
    last: Recommendation | None = None  # what else the model said, handed on with later slices

    def add(self, found: Iterable[RecommendedFilm]) -> int:
        """Append the films that are new and return how many were."""
        fresh = [item for item in {item.film.ref: item for item in found}.values() if item.film.ref not in self.refs]
        self.films.extend(fresh)
        self.refs.update(item.film.ref for item in fresh)
        return len(fresh)

    def start_of(self, page: int, limit: int) -> int:
        """Return the index where a page begins: behind the page before it, which may have been short of its limit."""
        return 0 if page == 1 else self.ends.get((limit, page - 1), (page - 1) * limit - self.base)

    def has(self, page: int, limit: int) -> bool:
        """Say whether a page can be given without asking the model."""
        start = self.start_of(page, limit)
        if (limit, page) in self.ends:
            return True
        return len(self.films) >= start + limit or (self.exhausted and start <= len(self.films))

    def slice(self, page: int, limit: int) -> tuple[RecommendedFilm, ...]:
        """Return a page and remember where it ended."""
        start = self.start_of(page, limit)
        end = self.ends.setdefault((limit, page), max(start, min(start + limit, len(self.films))))
        return tuple(self.films[start:end])


class FilmLists:
    """Film lists by wish, forgotten after a time or when there are too many (least recently used first)."""

    def __init__(self, *, ttl_s: float, clock: Callable[[], float], capacity: int = 2_000) -> None:
        """Keep at most `capacity` lists for `ttl_s` seconds each; 0 seconds keeps none."""
        self._ttl_s = ttl_s
        self._clock = clock
        self._capacity = capacity
        self._lists: OrderedDict[Any, tuple[float, FilmList]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many lists are kept."""
        return len(self._lists)

    def get(self, key: Any) -> FilmList | None:
        """Return the list of a wish if it is young enough."""
        kept = self._lists.get(key)
        if kept is None:
            return None
        if kept[0] <= self._clock():
            del self._lists[key]
            return None
        self._lists.move_to_end(key)
        return kept[1]

    def keep(self, key: Any, films: FilmList) -> None:
        """Keep a list; its time runs from the first time it was kept."""
        if self._ttl_s <= 0:
            return
        expires = self._lists[key][0] if key in self._lists else self._clock() + self._ttl_s
        self._lists[key] = (expires, films)
        self._lists.move_to_end(key)
        while len(self._lists) > self._capacity:
            self._lists.popitem(last=False)


def page_of(films: FilmList, page: int, limit: int, *, cached: bool) -> Recommendation:
    """Show one page of a list as a recommendation, with what the model last said."""
    if films.last is None:
        raise ValueError("a list without a reply has no page")
    return replace(
        films.last,
        films=films.slice(page, limit),
        total=max(films.total, len(films.films)),
        source=Source.CACHE if cached else Source.LLM,
    )
