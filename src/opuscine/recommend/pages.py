"""What has been given of a wish, page by page, so that no page repeats another's film and none is asked for that is there already."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from opuscine.model import Recommendation, RecommendedFilm, Source, TitleRef

Given = Mapping[TitleRef, str]  # films of a page in their order, with their titles


@dataclass(slots=True)
class Pages:
    """The pages of one wish at one size: which films were given, and what is left over for pages that nobody has asked for yet."""

    limit: int
    given: dict[int, Given] = field(default_factory=dict)
    surplus: dict[int, tuple[RecommendedFilm, ...]] = field(default_factory=dict)  # page -> films that the page before had no room for
    said: Recommendation | None = None  # what the model last said beside its films
    total: int = 0  # films that there are, as the model says
    last: int | None = None  # the last page that has films, once that is known

    def ready(self, number: int) -> tuple[RecommendedFilm, ...] | None:
        """Take a page that can be given without the model, or None: films left over fill it, or the model has no more."""
        left_over = self.surplus.get(number, ())
        if len(left_over) >= self.limit:
            return self.add(number, ())
        if self.last is not None and number > self.last and not left_over:
            return ()
        return None

    def elsewhere(self, number: int) -> dict[TitleRef, str]:
        """Return every film given on other pages, in the order of the pages."""
        pages = [page for page in self.given if page != number]
        return {ref: title for page in sorted(pages) for ref, title in self.given[page].items()} if pages else {}

    def add(self, number: int, found: Iterable[RecommendedFilm]) -> tuple[RecommendedFilm, ...]:
        """Make a page of what was left over for it and of what the model gave, without films of other pages, and return it.

        A page that was given before is replaced.
        """
        fresh = {item.film.ref: item for item in (*self.surplus.pop(number, ()), *found)}
        if elsewhere := self.elsewhere(number):
            fresh = {ref: item for ref, item in fresh.items() if ref not in elsewhere}
        films = tuple(fresh.values())
        page, left_over = films[: self.limit], films[self.limit :]
        self.given[number] = {item.film.ref: item.film.title for item in page}
        if left_over:
            self.surplus[number + 1] = left_over
        return page

    def learn(self, given: Mapping[int, Given]) -> None:
        """Take over what others know to have been given; what is known here stays."""
        self.given = {**given, **self.given}

    def films(self) -> int:
        """Return how many films are known."""
        return sum(map(len, (*self.given.values(), *self.surplus.values())))

    def show(self, films: tuple[RecommendedFilm, ...], *, source: Source) -> Recommendation:
        """Show a page, with what the model last said and the number of all films known."""
        if self.said is None:
            raise ValueError("pages of which nothing was said cannot be shown")
        return self.said.of_films(films, total=max(self.total, self.films()), source=source)


class PageStore:
    """Pages by wish, forgotten after a time, or when they hold too many films (the wish not asked for longest goes first)."""

    def __init__(self, *, ttl_s: float, clock: Callable[[], float], max_films: int = 20_000) -> None:
        """Keep the pages of a wish for `ttl_s` seconds from its first page on; 0 seconds keeps none."""
        self._ttl_s = ttl_s
        self._clock = clock
        self._max_films = max_films
        self._pages: OrderedDict[Hashable, tuple[float, int, Pages]] = OrderedDict()
        self._films = 0

    def __len__(self) -> int:
        """Return how many wishes are remembered."""
        return len(self._pages)

    def get(self, key: Hashable) -> Pages | None:
        """Return the pages of a wish if they are young enough."""
        kept = self._pages.get(key)
        if kept is None:
            return None
        if kept[0] <= self._clock():
            self._drop(key)
            return None
        self._pages.move_to_end(key)
        return kept[2]

    def keep(self, key: Hashable, pages: Pages) -> None:
        """Remember pages; those of the same wish that were remembered before keep their time."""
        if self._ttl_s <= 0:
            return
        before = self._pages.get(key)
        expires = before[0] if before is not None and before[2] is pages else self._clock() + self._ttl_s
        self._drop(key)
        films = pages.films()
        self._pages[key] = (expires, films, pages)
        self._films += films
        while self._films > self._max_films:
            self._drop(next(iter(self._pages)))

    def _drop(self, key: Hashable) -> None:
        dropped = self._pages.pop(key, None)
        if dropped is not None:
            self._films -= dropped[1]
