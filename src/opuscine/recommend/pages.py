"""The films given for a wish, page by page, kept so that no page is asked for twice and none repeats another's film."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace

from opuscine.model import Recommendation, RecommendedFilm, Source, TitleRef


@dataclass(slots=True)
class Pages:
    """The pages known of one wish at one size. A page that is known stays as it was given."""

    limit: int
    known: dict[int, tuple[RecommendedFilm, ...]] = field(default_factory=dict)
    surplus: dict[int, tuple[RecommendedFilm, ...]] = field(default_factory=dict)  # page -> films that the page before had no room for
    said: Recommendation | None = None  # what the model last said beside its films
    total: int = 0  # films that there are, as the model says
    last: int | None = None  # the last page that has films, once that is known

    def page(self, number: int) -> tuple[RecommendedFilm, ...] | None:
        """Return a page that can be given without the model, or None.

        It was given before, or the films left over from the page before it fill it, or the model has no more.
        """
        if number not in self.known:
            left_over = self.surplus.get(number, ())
            if len(left_over) >= self.limit:
                self._put(number, left_over)
            elif self.last is not None and number > self.last and not left_over:
                return ()
        return self.known.get(number)

    def given(self) -> dict[TitleRef, RecommendedFilm]:
        """Return every film of every known page, in the order of the pages."""
        return {item.film.ref: item for number in sorted(self.known) for item in self.known[number]}

    def add(self, number: int, found: Iterable[RecommendedFilm]) -> None:
        """Make a page of what the model gave for it, after what was left over; films of other pages are not repeated."""
        if number in self.known:  # somebody else was quicker: what has been shown stays
            return
        elsewhere = self.given()
        fresh = {item.film.ref: item for item in (*self.surplus.get(number, ()), *found) if item.film.ref not in elsewhere}
        self._put(number, tuple(fresh.values()))

    def take_over(self, other: Pages) -> None:
        """Take the pages of another book of the same wish that are not known here; what was shown from it stays."""
        self.known = {**other.known, **self.known} if other is not self else self.known

    def films(self) -> int:
        """Return how many films are held."""
        return sum(map(len, (*self.known.values(), *self.surplus.values())))

    def show(self, number: int, *, cached: bool) -> Recommendation:
        """Show a known page, with what the model last said and the number of all films known."""
        if self.said is None:
            raise ValueError("pages of which nothing was said cannot be shown")
        return replace(
            self.said,
            films=self.page(number) or (),
            total=max(self.total, self.films()),
            source=Source.CACHE if cached else Source.LLM,
        )

    def _put(self, number: int, films: tuple[RecommendedFilm, ...]) -> None:
        self.known[number] = films[: self.limit]
        self.surplus.pop(number, None)
        if films[self.limit :]:
            self.surplus[number + 1] = films[self.limit :]


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
